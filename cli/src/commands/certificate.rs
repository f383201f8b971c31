//! `bulkhead certificate`: a self-signed certificate for development and first steps.
//!
//! A command of its own, because the private key passes through the memory of the process that
//! makes it: `bulkhead try` runs it as a child, so that the server never holds a key.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::Args;
use config::{Config, Tls};

use supervisor::validity;

use super::{EXIT_FAILURE, Failure, console};
use crate::certificate;

/// Make a self-signed certificate for development, or renew those that were made here.
#[derive(Args)]
pub struct Certificate {
    /// The directory for certificate.pem and private_key.pem; older ones are replaced.
    #[arg(long, value_name = "DIR", required_unless_present = "renew")]
    directory: Option<PathBuf>,
    /// DNS names and addresses the certificate is for.
    #[arg(required_unless_present = "renew")]
    names: Vec<String>,
    /// Renew the certificates of the configuration that Bulkhead has made and that end within 30
    /// days. A running server serves them within seconds.
    #[arg(long, conflicts_with_all = ["directory", "names"])]
    renew: bool,
    /// With --renew: whenever they end.
    #[arg(long, requires = "renew")]
    force: bool,
}

/// Makes the certificate and prints where it is, with its fingerprint.
///
/// # Errors
/// A name that is none, or a directory that cannot be written.
pub fn run(config: &Path, options: &Certificate) -> Result<ExitCode, Failure> {
    match &options.directory {
        Some(directory) => {
            show(&certificate::create(directory, &options.names)?);
            Ok(ExitCode::SUCCESS)
        }
        None => renew(&Config::load(config)?, options.force),
    }
}

fn show(made: &certificate::Created) {
    console::say(format_args!("certificate  {}", made.certificate.display()));
    console::say(format_args!("private key  {}", made.private_key.display()));
    console::say(format_args!(
        "SHA-256      {}",
        certificate::format_fingerprint(&made.fingerprint)
    ));
}

/// Renews what was made here. Exit code 1 when a certificate that ends is somebody else's.
fn renew(config: &Config, force: bool) -> Result<ExitCode, Failure> {
    let tls = config.tls.as_ref().ok_or("the configuration names no certificate below [tls]")?;
    let now = validity::now();
    let mut code = ExitCode::SUCCESS;
    for (chain, private_key) in &tls.pairs {
        let place = chain.display();
        let text = std::fs::read(chain).map_err(|e| format!("{place} cannot be read: {e}"))?;
        let found = certificate::look(&text).map_err(|e| format!("{place} {e}"))?;
        let until = validity::date(found.validity.not_after);
        match (found.made_here, found.validity.judge(now).is_some()) {
            (true, ends) if ends || force => {
                show(&certificate::create_as(chain.clone(), private_key.clone(), &found.names)?);
                console::say("A running server serves it within seconds.");
            }
            (true, _) => console::say(format_args!(
                "{place} is valid until {until} and was left as it is; --force renews it now"
            )),
            (false, ends) => {
                console::say(format_args!(
                    "{place} is valid until {until} and was not made by Bulkhead: whoever made it \
                     renews it, for instance certbot"
                ));
                if ends {
                    code = ExitCode::from(EXIT_FAILURE);
                }
            }
        }
    }
    Ok(code)
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
