//! Development certificates: made by `bulkhead try` and `bulkhead setup`, self-signed, with a
//! fingerprint to compare.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    PKCS_ECDSA_P256_SHA256,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

/// File name of a certificate that was made.
pub const CERTIFICATE: &str = "certificate.pem";
/// File name of its private key.
pub const PRIVATE_KEY: &str = "private_key.pem";
/// How long a development certificate is valid, in days.
const VALID_DAYS: i64 = 365;

/// A certificate that was made, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM, readable by its owner alone.
    pub private_key: PathBuf,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
}

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A name is none a certificate can carry.
    #[error("no certificate can be made: {0}")]
    Made(#[from] rcgen::Error),
    /// A file cannot be written.
    #[error("{path} cannot be written: {source}")]
    Written {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes a self-signed certificate for `names` (DNS names and addresses) as `certificate.pem` and
/// `private_key.pem` in `directory`, which must exist; older ones are replaced whole, the key first
/// so that no moment shows a new certificate beside an old key for longer than a rename.
///
/// The key passes through the memory of the calling process. Call it in a command that ends, not
/// in the server: `bulkhead try` runs it in a child of its own.
///
/// # Errors
/// A name that is none, or a directory that cannot be written.
pub fn create(directory: &Path, names: &[String]) -> Result<Created, CertificateError> {
    let mut params = CertificateParams::new(names.to_vec())?;
    let mut subject = DistinguishedName::new();
    let common = names.first().map_or("bulkhead", String::as_str);
    subject.push(DnType::CommonName, common);
    subject.push(DnType::OrganizationName, "Bulkhead development certificate");
    params.distinguished_name = subject;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = OffsetDateTime::now_utc();
    params.not_before = now.saturating_sub(Duration::days(1));
    params.not_after = now.saturating_add(Duration::days(VALID_DAYS));
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let made = params.self_signed(&key)?;
    let key_pem = Zeroizing::new(key.serialize_pem());
    let private_key = replace(directory, PRIVATE_KEY, 0o600, key_pem.as_bytes())?;
    let certificate = replace(directory, CERTIFICATE, 0o644, made.pem().as_bytes())?;
    let hash = digest::digest(&digest::SHA256, made.der());
    let fingerprint = hash.as_ref().try_into().unwrap_or_default();
    Ok(Created { certificate, private_key, fingerprint })
}

/// Writes a file under a temporary name and renames it, so that nobody ever reads half of it.
fn replace(
    directory: &Path,
    name: &str,
    mode: u32,
    contents: &[u8],
) -> Result<PathBuf, CertificateError> {
    let path = directory.join(name);
    let new = directory.join(format!("{name}.new"));
    let write = || -> io::Result<()> {
        match fs::remove_file(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file: File =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&new, &path)
    };
    write().map_err(|source| CertificateError::Written { path: path.clone(), source })?;
    Ok(path)
}

/// A fingerprint as `openssl x509 -fingerprint -sha256` writes it: `AB:CD:…`.
pub fn format_fingerprint(fingerprint: &[u8; 32]) -> String {
    let pairs: Vec<String> = fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_certificate_and_a_private_key_are_written() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["localhost".to_string(), "127.0.0.1".to_string()];
        let first = create(directory.path(), &names).unwrap();
        assert_eq!(fs::metadata(&first.private_key).unwrap().mode() & 0o777, 0o600);
        let again = create(directory.path(), &names).unwrap();
        assert_ne!(first.fingerprint, again.fingerprint, "each one is new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left over");
    }

    #[test]
    fn a_fingerprint_reads_like_that_of_openssl() {
        let text = format_fingerprint(&[0xab; 32]);
        assert_eq!(text.len(), 95);
        assert!(text.starts_with("AB:AB:"));
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(create(directory.path(), &["naïve".to_string()]).is_err());
    }
}
