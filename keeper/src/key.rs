//! A certificate chain and its private key: read from two descriptors, judged, and kept.

use std::os::fd::OwnedFd;

use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
        ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
        KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
        RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
    },
};
use ipc::{
    bounded::Bytes,
    keeper::{CertificateFile, MAX_CHAIN},
};
use rustix::fs::FileType;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use zeroize::{Zeroize, Zeroizing};

/// The largest certificate or key file, in bytes.
const MAX_FILE: usize = 64 * 1024;
/// The most bytes of DER in one chain: the answer must fit one message.
const MAX_CHAIN_TOTAL: usize = 56 * 1024;
/// Shortest RSA modulus, in bytes (2048 bits).
const MIN_RSA: usize = 256;

/// TLS signature schemes (RFC 8446 section 4.2.3) of each kind of key, best first.
const RSA_SCHEMES: [(u16, &dyn RsaEncoding); 6] = [
    (0x0804, &RSA_PSS_SHA256),
    (0x0805, &RSA_PSS_SHA384),
    (0x0806, &RSA_PSS_SHA512),
    (RSA_PKCS1_SHA256_SCHEME, &RSA_PKCS1_SHA256),
    (RSA_PKCS1_SHA384_SCHEME, &RSA_PKCS1_SHA384),
    (RSA_PKCS1_SHA512_SCHEME, &RSA_PKCS1_SHA512),
];
const RSA_PKCS1_SHA256_SCHEME: u16 = 0x0401;
const RSA_PKCS1_SHA384_SCHEME: u16 = 0x0501;
const RSA_PKCS1_SHA512_SCHEME: u16 = 0x0601;
/// The curves, each with its one TLS 1.3 scheme.
const CURVES: [(u16, &EcdsaSigningAlgorithm); 3] = [
    (0x0403, &ECDSA_P256_SHA256_ASN1_SIGNING),
    (0x0503, &ECDSA_P384_SHA384_ASN1_SIGNING),
    (0x0603, &ECDSA_P521_SHA512_ASN1_SIGNING),
];
const ED25519_SCHEME: u16 = 0x0807;

/// Why a pair of files was not loaded: which file, and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The file at fault.
    pub file: CertificateFile,
    /// What is wrong and what to do.
    pub reason: String,
}

impl Unusable {
    fn certificate(reason: impl Into<String>) -> Self {
        Unusable { file: CertificateFile::Certificate, reason: reason.into() }
    }

    fn key(reason: impl Into<String>) -> Self {
        Unusable { file: CertificateFile::PrivateKey, reason: reason.into() }
    }
}

/// What the world may know of a loaded key.
#[derive(Debug)]
pub struct Public {
    /// DER, leaf first.
    pub chain: Vec<Bytes<MAX_CHAIN>>,
    /// Code points of the schemes the key can make, best first.
    pub schemes: Vec<u16>,
    /// DNS names and addresses of the leaf.
    pub names: Vec<String>,
    /// Begin of the leaf's validity, Unix time in seconds.
    pub not_before: i64,
    /// End of the leaf's validity, Unix time in seconds.
    pub not_after: i64,
    /// SHA-256 of the leaf.
    pub fingerprint: [u8; 32],
}

/// A private key that can sign. aws-lc keeps the number itself and wipes it when it is dropped.
pub enum PrivateKey {
    /// RSA, at least 2048 bits.
    Rsa(Box<RsaKeyPair>),
    /// ECDSA, with the scheme of its curve.
    Ecdsa(u16, Box<EcdsaKeyPair>),
    /// Ed25519.
    Ed25519(Box<Ed25519KeyPair>),
}

impl PrivateKey {
    /// Signs `input` with `scheme`; `None` when this key does not make that scheme, or when
    /// PKCS#1 v1.5 is asked for TLS 1.3, where it is forbidden (RFC 8446 section 4.2.3).
    pub fn sign(&self, scheme: u16, tls13: bool, input: &[u8]) -> Option<Vec<u8>> {
        match self {
            PrivateKey::Rsa(key) => {
                let pkcs1 =
                    [RSA_PKCS1_SHA256_SCHEME, RSA_PKCS1_SHA384_SCHEME, RSA_PKCS1_SHA512_SCHEME];
                if tls13 && pkcs1.contains(&scheme) {
                    return None;
                }
                let (_, encoding) = RSA_SCHEMES.into_iter().find(|(s, _)| *s == scheme)?;
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &SystemRandom::new(), input, &mut signature).ok()?;
                Some(signature)
            }
            PrivateKey::Ecdsa(own, key) => (scheme == *own)
                .then(|| key.sign(&SystemRandom::new(), input).ok())
                .flatten()
                .map(|signature| signature.as_ref().to_vec()),
            PrivateKey::Ed25519(key) => (scheme == ED25519_SCHEME)
                .then(|| key.try_sign(input).ok())
                .flatten()
                .map(|signature| signature.as_ref().to_vec()),
        }
    }

    /// The schemes this key can make, best first.
    pub fn schemes(&self) -> Vec<u16> {
        match self {
            PrivateKey::Rsa(_) => RSA_SCHEMES.iter().map(|(scheme, _)| *scheme).collect(),
            PrivateKey::Ecdsa(scheme, _) => vec![*scheme],
            PrivateKey::Ed25519(_) => vec![ED25519_SCHEME],
        }
    }

    /// The contents of the BIT STRING in a certificate's SubjectPublicKeyInfo.
    fn public(&self) -> &[u8] {
        match self {
            PrivateKey::Rsa(key) => key.public_key().as_ref(),
            PrivateKey::Ecdsa(_, key) => key.public_key().as_ref(),
            PrivateKey::Ed25519(key) => key.public_key().as_ref(),
        }
    }
}

/// Makes a key of every kind and signs with it, so that everything aws-lc sets up at first use is
/// set up. The RSA key takes a tenth of a second, once per keeper.
pub fn warm_up() {
    let random = SystemRandom::new();
    if let Ok(key) = RsaKeyPair::generate(KeySize::Rsa2048) {
        let key = PrivateKey::Rsa(Box::new(key));
        for scheme in key.schemes() {
            drop(key.sign(scheme, false, b"warm"));
        }
    }
    for (_, curve) in CURVES {
        let Ok(made) = EcdsaKeyPair::generate_pkcs8(curve, &random) else { continue };
        if let Some(PrivateKey::Ecdsa(scheme, key)) = read_pkcs8(made.as_ref()) {
            drop(PrivateKey::Ecdsa(scheme, key).sign(scheme, true, b"warm"));
        }
    }
    if let Ok(key) = Ed25519KeyPair::generate() {
        key.try_sign(b"warm").ok();
    }
}

/// Reads and judges a chain and its key. A certificate that has ended, or that begins only later, is
/// loaded: clients decide about it, and those that trust it by its fingerprint go on.
///
/// # Errors
/// Names the file at fault: not a regular file, readable by everybody, no PEM, or a key that does not
/// belong to the certificate.
pub fn load(certificate: OwnedFd, private_key: OwnedFd) -> Result<(Public, PrivateKey), Unusable> {
    let certificate = read_file(certificate, false).map_err(Unusable::certificate)?;
    let key_text = read_file(private_key, true).map_err(Unusable::key)?;
    let (mut public, leaf_key) = read_chain(&certificate)?;
    let key = read_key(&key_text)?;
    if key.public() != leaf_key {
        return Err(Unusable::key(
            "the key does not belong to the first certificate of the certificate file: give the \
             key the certificate was made for, and put the server's own certificate first",
        ));
    }
    public.schemes = key.schemes();
    Ok((public, key))
}

fn read_file(file: OwnedFd, secret: bool) -> Result<Zeroizing<Vec<u8>>, String> {
    let stat = rustix::fs::fstat(&file).map_err(|e| format!("cannot be examined: {e}"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err("is not a regular file".into());
    }
    let mode = stat.st_mode & 0o7777;
    if secret && mode & 0o027 != 0 {
        return Err(format!(
            "is readable by everybody or writable by its group (mode {mode:04o}): a private key \
             must not be; `chmod 600` it, or 640 for a group of administrators"
        ));
    }
    let mut text = Zeroizing::new(vec![0; MAX_FILE + 1]);
    let mut filled = 0;
    loop {
        let Some(room) = text.get_mut(filled..).filter(|room| !room.is_empty()) else {
            return Err(format!("is longer than {MAX_FILE} bytes"));
        };
        match rustix::io::read(&file, room) {
            Ok(0) => break,
            Ok(got) => filled = filled.saturating_add(got),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(format!("cannot be read: {e}")),
        }
    }
    text.truncate(filled);
    Ok(text)
}

fn read_chain(text: &[u8]) -> Result<(Public, Vec<u8>), Unusable> {
    let mut chain = Vec::new();
    let mut total = 0_usize;
    for certificate in CertificateDer::pem_slice_iter(text) {
        let der = certificate
            .map_err(|e| Unusable::certificate(format!("is damaged PEM: {e}")))?
            .as_ref()
            .to_vec();
        total = total.saturating_add(der.len());
        let der = Bytes::try_from(der)
            .map_err(|e| Unusable::certificate(format!("has a certificate that is {e}")))?;
        chain.push(der);
    }
    if total > MAX_CHAIN_TOTAL {
        return Err(Unusable::certificate(format!(
            "has a chain of more than {MAX_CHAIN_TOTAL} bytes: leave out the root and anything \
             that is no part of the chain"
        )));
    }
    let Some(leaf) = chain.first().map(|der| der.as_slice().to_vec()) else {
        return Err(Unusable::certificate(
            "has no certificate in it: a PEM file that begins with the server's certificate, such \
             as `fullchain.pem`, is needed",
        ));
    };
    let (_, parsed) = X509Certificate::from_der(&leaf)
        .map_err(|e| Unusable::certificate(format!("begins with no X.509 certificate: {e}")))?;
    let validity = parsed.validity();
    let fingerprint = digest::digest(&digest::SHA256, &leaf);
    let public = Public {
        schemes: Vec::new(),
        names: names(&parsed),
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
        fingerprint: fingerprint.as_ref().try_into().unwrap_or_default(),
        chain,
    };
    let leaf_key = parsed.public_key().subject_public_key.data.to_vec();
    Ok((public, leaf_key))
}

/// The names a client may ask for; the common name only where there is no alternative name.
pub fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let mut names: Vec<String> = Vec::new();
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        if let GeneralName::DNSName(name) = name {
            names.push(name.to_ascii_lowercase());
        } else if let GeneralName::IPAddress(bytes) = name {
            names.extend(address(bytes));
        }
    }
    if names.is_empty() {
        let common = certificate.subject().iter_common_name().filter_map(|cn| cn.as_str().ok());
        names.extend(common.map(str::to_ascii_lowercase));
    }
    names
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    let v6 = <[u8; 16]>::try_from(bytes).ok()?;
    Some(std::net::Ipv6Addr::from(v6).to_string())
}

fn read_key(text: &[u8]) -> Result<PrivateKey, Unusable> {
    let mut der = PrivateKeyDer::from_pem_slice(text).map_err(|_| {
        let encrypted = [&b"ENCRYPTED PRIVATE KEY"[..], b"Proc-Type: 4,ENCRYPTED"]
            .iter()
            .any(|mark| text.windows(mark.len()).any(|window| window == *mark));
        Unusable::key(if encrypted {
            "is encrypted with a passphrase: store it without one (`openssl pkey -in KEY -out \
             NEW`) and protect it by its mode"
        } else {
            "has no private key in it: PEM in PKCS#8, PKCS#1 or SEC1 is needed"
        })
    })?;
    let key = match &der {
        PrivateKeyDer::Pkcs1(rsa) => {
            RsaKeyPair::from_der(rsa.secret_pkcs1_der()).ok().map(Box::new).map(PrivateKey::Rsa)
        }
        PrivateKeyDer::Sec1(ec) => CURVES.into_iter().find_map(|(scheme, curve)| {
            let pair = EcdsaKeyPair::from_private_key_der(curve, ec.secret_sec1_der()).ok()?;
            Some(PrivateKey::Ecdsa(scheme, Box::new(pair)))
        }),
        PrivateKeyDer::Pkcs8(any) => read_pkcs8(any.secret_pkcs8_der()),
        _ => None,
    };
    der.zeroize();
    match key {
        Some(PrivateKey::Rsa(key)) if key.public_modulus_len() < MIN_RSA => {
            Err(Unusable::key("is an RSA key of less than 2048 bits: make a longer one"))
        }
        Some(key) => Ok(key),
        None => Err(Unusable::key(
            "is of no kind TLS servers use: RSA (2048 bits or more), ECDSA on P-256, P-384 or \
             P-521, or Ed25519 is needed",
        )),
    }
}

fn read_pkcs8(der: &[u8]) -> Option<PrivateKey> {
    if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
        return Some(PrivateKey::Ed25519(Box::new(key)));
    }
    let ecdsa = CURVES.into_iter().find_map(|(scheme, curve)| {
        let pair = EcdsaKeyPair::from_pkcs8(curve, der).ok()?;
        Some(PrivateKey::Ecdsa(scheme, Box::new(pair)))
    });
    ecdsa.or_else(|| RsaKeyPair::from_pkcs8(der).ok().map(Box::new).map(PrivateKey::Rsa))
}

#[cfg(test)]
mod tests;
