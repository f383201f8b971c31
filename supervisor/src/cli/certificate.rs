//! `bulkhead certificate`: a self-signed certificate for development and first steps.
//!
//! A command of its own, because the private key passes through the memory of the process that
//! makes it: `bulkhead try` runs it as a child, so that the server never holds a key.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::Args;

use super::Failure;
use crate::{certificate, config::Tls};

/// Make a self-signed certificate for development.
#[derive(Args)]
pub struct Certificate {
    /// The directory for certificate.pem and private_key.pem; older ones are replaced.
    #[arg(long, value_name = "DIR")]
    directory: PathBuf,
    /// DNS names and addresses the certificate is for.
    #[arg(required = true)]
    names: Vec<String>,
}

/// Makes the certificate and prints where it is, with its fingerprint.
///
/// # Errors
/// A name that is none, or a directory that cannot be written.
pub fn run(options: &Certificate) -> Result<ExitCode, Failure> {
    let made = certificate::create(&options.directory, &options.names)?;
    let mut out = io::stdout().lock();
    writeln!(out, "certificate  {}", made.certificate.display())?;
    writeln!(out, "private key  {}", made.private_key.display())?;
    writeln!(out, "SHA-256      {}", certificate::format_fingerprint(&made.fingerprint))?;
    Ok(ExitCode::SUCCESS)
}

/// Has a child make a certificate, and returns TLS settings that use it, with what the child said.
///
/// # Errors
/// When the child cannot be started, or what it could not do.
pub fn in_a_child(directory: &Path, names: &[&str]) -> Result<(Tls, String), Failure> {
    let output = Command::new("/proc/self/exe")
        .arg("certificate")
        .arg("--directory")
        .arg(directory)
        .args(names)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into());
    }
    let tls = Tls::with_pair(
        directory.join(certificate::CERTIFICATE),
        directory.join(certificate::PRIVATE_KEY),
    );
    Ok((tls, String::from_utf8_lossy(&output.stdout).into_owned()))
}
