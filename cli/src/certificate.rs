//! Development certificates: made by `bulkhead try` and `bulkhead setup`, self-signed, with a
//! fingerprint to compare.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::digest;
use keeper::key;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    PKCS_ECDSA_P256_SHA256,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use supervisor::validity::Validity;
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};
use zeroize::Zeroizing;

/// File name of a certificate that was made.
pub const CERTIFICATE: &str = "certificate.pem";
/// File name of its private key.
pub const PRIVATE_KEY: &str = "private_key.pem";
/// How long a development certificate is valid, in days.
const VALID_DAYS: i64 = 365;

/// Organization of the certificates that are made here.
const ORGANIZATION: &str = "Bulkhead development certificate";
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
/// `private_key.pem` in `directory`, which must exist; older ones are replaced whole.
///
/// # Errors
/// As [`create_as`].
pub fn create(directory: &Path, names: &[String]) -> Result<Created, CertificateError> {
    create_as(directory.join(CERTIFICATE), directory.join(PRIVATE_KEY), names)
}

/// Makes a self-signed certificate and its key as these files. Older ones are replaced whole and
/// leave owner, group and mode to the new ones; the key comes first, so that no moment shows a new
/// certificate beside an old key for longer than a rename.
///
/// The key passes through the memory of the calling process. Call it in a command that ends, not
/// in the server: `bulkhead try` runs it in a child of its own.
///
/// # Errors
/// A name that is none, or a file that cannot be written.
pub fn create_as(
    certificate: PathBuf,
    private_key: PathBuf,
    names: &[String],
) -> Result<Created, CertificateError> {
    let mut params = CertificateParams::new(names.to_vec())?;
    let mut subject = DistinguishedName::new();
    let common = names.first().map_or("bulkhead", String::as_str);
    subject.push(DnType::CommonName, common);
    subject.push(DnType::OrganizationName, ORGANIZATION);
    params.distinguished_name = subject;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = OffsetDateTime::now_utc();
    params.not_before = now.saturating_sub(Duration::days(1));
    params.not_after = now.saturating_add(Duration::days(VALID_DAYS));
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let made = params.self_signed(&key)?;
    let key_pem = Zeroizing::new(key.serialize_pem());
    replace(&private_key, 0o600, key_pem.as_bytes())?;
    replace(&certificate, 0o644, made.pem().as_bytes())?;
    let hash = digest::digest(&digest::SHA256, made.der());
    let fingerprint = hash.as_ref().try_into().unwrap_or_default();
    Ok(Created { certificate, private_key, fingerprint })
}

/// Writes a file under a temporary name and renames it, so that nobody ever reads half of it.
fn replace(path: &Path, mode: u32, contents: &[u8]) -> Result<(), CertificateError> {
    // A link stays a link, as those of /etc/letsencrypt/live.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut new = path.clone().into_os_string();
    new.push(".new");
    let new = PathBuf::from(new);
    let write = || -> io::Result<()> {
        match fs::remove_file(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file: File =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        if let Ok(old) = fs::metadata(&path) {
            std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
            file.set_permissions(old.permissions())?;
        }
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&new, &path)
    };
    write().map_err(|source| CertificateError::Written { path: path.clone(), source })
}

/// What a certificate file holds, as far as its renewal is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its DNS names and addresses.
    pub names: Vec<String>,
    /// When it is valid.
    pub validity: Validity,
    /// Whether Bulkhead has made it.
    pub made_here: bool,
}

/// Looks at the first certificate of a PEM text.
///
/// # Errors
/// When there is none.
pub fn look(pem: &[u8]) -> Result<Found, String> {
    let der = CertificateDer::from_pem_slice(pem).map_err(|e| format!("is no PEM: {e}"))?;
    let (_, parsed) =
        X509Certificate::from_der(&der).map_err(|e| format!("is no X.509 certificate: {e}"))?;
    let ours = |name: &X509Name<'_>| {
        name.iter_organization().any(|word| word.as_str().is_ok_and(|word| word == ORGANIZATION))
    };
    Ok(Found {
        names: key::names(&parsed),
        validity: Validity {
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        },
        made_here: parsed.subject() == parsed.issuer() && ours(parsed.subject()),
    })
}

/// A fingerprint as `openssl x509 -fingerprint -sha256` writes it: `AB:CD:…`.
pub fn format_fingerprint(fingerprint: &[u8; 32]) -> String {
    let pairs: Vec<String> = fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

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
    fn the_development_certificate_loads_and_signs() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["FTP.example".to_string(), "127.0.0.1".to_string()];
        let created = create(directory.path(), &names).unwrap();
        let open = |path: &Path| File::open(path).unwrap().into();
        let (public, signer) =
            key::load(open(&created.certificate), open(&created.private_key)).unwrap();
        assert_eq!(public.names, ["ftp.example", "127.0.0.1"]);
        assert_eq!(public.fingerprint, created.fingerprint);
        assert!(signer.sign(0x0403, true, b"text").is_some());
    }

    #[test]
    fn a_fingerprint_reads_like_that_of_openssl() {
        let text = format_fingerprint(&[0xab; 32]);
        assert_eq!(text.len(), 95);
        assert!(text.starts_with("AB:AB:"));
    }

    #[test]
    fn c4_a_certificate_that_was_made_here_is_known_and_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["localhost".to_string(), "127.0.0.1".to_string()];
        let first = create(directory.path(), &names).unwrap();
        let found = look(&fs::read(&first.certificate).unwrap()).unwrap();
        assert!(found.made_here && found.names == names, "{found:?}");
        fs::set_permissions(&first.private_key, PermissionsExt::from_mode(0o640)).unwrap();
        let again =
            create_as(first.certificate.clone(), first.private_key.clone(), &found.names).unwrap();
        assert_ne!(first.fingerprint, again.fingerprint);
        assert_eq!(fs::metadata(&again.private_key).unwrap().mode() & 0o777, 0o640);
        let foreign = CertificateParams::new(names.to_vec()).unwrap();
        let foreign = foreign.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert!(!look(foreign.pem().as_bytes()).unwrap().made_here);
        assert!(look(b"nothing").is_err());
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(create(directory.path(), &["naïve".to_string()]).is_err());
    }
}
