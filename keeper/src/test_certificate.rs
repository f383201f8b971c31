//! A certificate for the tests of this crate.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use time::{Duration, OffsetDateTime};

/// A certificate that was made, and where it is.
pub struct Created {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub private_key: PathBuf,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
}

/// Makes a self-signed certificate for `names` that is valid for a year, in `directory`.
pub fn create(directory: &Path, names: &[&str]) -> Created {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "bulkhead");
    params.not_before = OffsetDateTime::now_utc() - Duration::days(1);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(365);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let made = params.self_signed(&key).unwrap();
    let (certificate, private_key) =
        (directory.join("certificate.pem"), directory.join("private_key.pem"));
    fs::write(&certificate, made.pem()).unwrap();
    fs::write(&private_key, key.serialize_pem()).unwrap();
    fs::set_permissions(&private_key, fs::Permissions::from_mode(0o600)).unwrap();
    let fingerprint = digest::digest(&digest::SHA256, made.der()).as_ref().try_into().unwrap();
    Created { certificate, private_key, fingerprint }
}
