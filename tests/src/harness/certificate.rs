//! Certificates for servers and clients under test, right ones and wrong ones.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate and its key, as files and in memory.
#[derive(Debug)]
pub struct KeyPair {
    /// The certificate file, PEM.
    pub certificate: PathBuf,
    /// The key file, PEM in PKCS#8, mode 600.
    pub private_key: PathBuf,
    /// The certificate.
    pub der: CertificateDer<'static>,
    /// The key in PKCS#8.
    pub key_der: Vec<u8>,
}

impl KeyPair {
    /// A self-signed certificate for a server with these names (DNS names and addresses).
    pub fn for_server(directory: &Path, file: &str, names: &[&str]) -> KeyPair {
        KeyPair::self_signed(directory, file, params(names), false)
    }

    /// The same with an RSA key.
    pub fn for_server_by_rsa(directory: &Path, file: &str, names: &[&str]) -> KeyPair {
        KeyPair::self_signed(directory, file, params(names), true)
    }

    /// One whose validity ends so many days from now (negative: it is over), and began a year ago.
    pub fn ending_in(directory: &Path, file: &str, names: &[&str], days: i64) -> KeyPair {
        let mut params = params(names);
        let now = time::OffsetDateTime::now_utc();
        params.not_before = now - time::Duration::days(365);
        // An hour more: the day is not over before the test is.
        params.not_after = now + time::Duration::days(days) + time::Duration::hours(1);
        KeyPair::self_signed(directory, file, params, false)
    }

    /// A client's certificate with this common name, which nobody but itself has signed.
    pub fn of_stranger(directory: &Path, file: &str, name: &str) -> KeyPair {
        KeyPair::self_signed(directory, file, client_params(name), false)
    }

    fn self_signed(directory: &Path, file: &str, params: CertificateParams, rsa: bool) -> KeyPair {
        let algorithm = if rsa { &PKCS_RSA_SHA256 } else { &PKCS_ECDSA_P256_SHA256 };
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        KeyPair::write(directory, file, &certificate, &key)
    }

    fn write(
        directory: &Path,
        file: &str,
        certificate: &rcgen::Certificate,
        key: &rcgen::KeyPair,
    ) -> KeyPair {
        let pair = KeyPair {
            certificate: directory.join(format!("{file}.pem")),
            private_key: directory.join(format!("{file}-key.pem")),
            der: certificate.der().clone(),
            key_der: key.serialize_der(),
        };
        // As ACME clients do it: each file is replaced whole, one after the other.
        replace(&pair.private_key, key.serialize_pem().as_bytes(), 0o600);
        replace(&pair.certificate, certificate.pem().as_bytes(), 0o644);
        pair
    }

    /// The key as rustls takes it.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key_der.clone()).into()
    }

    /// The certificate file as TOML.
    pub fn certificate_toml(&self) -> String {
        format!("{:?}", self.certificate)
    }

    /// The key file as TOML.
    pub fn key_toml(&self) -> String {
        format!("{:?}", self.private_key)
    }
}

/// An authority that signs clients.
pub struct Authority {
    /// Its certificate file, PEM.
    pub certificate: PathBuf,
    issuer: Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    /// Makes one.
    pub fn new(directory: &Path, file: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = named(file);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = directory.join(format!("{file}.pem"));
        replace(&certificate, params.self_signed(&key).unwrap().pem().as_bytes(), 0o644);
        Authority { certificate, issuer: Issuer::new(params, key) }
    }

    /// A client's certificate with this common name; none when it is empty.
    pub fn sign_client(&self, directory: &Path, file: &str, name: &str) -> KeyPair {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = client_params(name).signed_by(&key, &self.issuer).unwrap();
        KeyPair::write(directory, file, &certificate, &key)
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = named("server under test");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn client_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    if !name.is_empty() {
        params.distinguished_name = named(name);
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn replace(path: &Path, contents: &[u8], mode: u32) {
    let new = path.with_extension("new");
    fs::write(&new, contents).unwrap();
    fs::set_permissions(&new, PermissionsExt::from_mode(mode)).unwrap();
    fs::rename(&new, path).unwrap();
}
