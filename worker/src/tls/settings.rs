//! rustls configured for the gate's control connection and for the session's data connections.

use std::{
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::{
    aead::{
        AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305, TlsProtocolId, TlsRecordSealingKey, UnboundKey,
    },
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
        ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    },
};
use ipc::{
    Channel,
    gate::GateTls,
    keeper::{Sign, Signed},
    session::SessionTls,
};
use rustls::{
    RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{
        self, CryptoProvider,
        aws_lc_rs::kx_group::{SECP256R1, SECP256R1MLKEM768, SECP384R1, X25519, X25519MLKEM768},
    },
    pki_types::CertificateDer,
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};

use super::{
    Handshake, TlsError,
    resumption::{Entry, Resumption},
    signer::{Certificates, Keeper, Notes, Renew, SigningChannel},
};

/// Tickets a control handshake gives. Clients differ in how many they keep and whether they use
/// one twice; four is what OpenSSL and GnuTLS clients were seen to keep at most.
const CONTROL_TICKETS: usize = 4;
/// Tickets a data handshake of a download or listing gives: the one it used up.
const DOWNLOAD_TICKETS: usize = 1;

/// ALPN protocols: `ftp` is registered for RFC 4217; FileZilla offers `ftp-data` on data
/// connections.
const CONTROL_ALPN: [&[u8]; 1] = [b"ftp"];
const DATA_ALPN: [&[u8]; 2] = [b"ftp-data", b"ftp"];

/// What stands before the modulus in the DER of an RSA public key of 2048 bits with the exponent 65537.
const RSA_2048: [u8; 9] = [0x30, 0x82, 1, 10, 2, 0x82, 1, 1, 0];

/// Which way a data connection moves its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferDirection {
    /// To the client: RETR, LIST, NLST, MLSD.
    ToClient,
    /// From the client: STOR, STOU, APPE.
    FromClient,
}

/// The gate's side: accepts the control connection.
pub struct ControlTls {
    config: Arc<ServerConfig>,
    keeper: Arc<Keeper>,
    notes: Arc<Notes>,
    resumption: Arc<Resumption>,
}

impl ControlTls {
    /// Sets TLS up. Called before lockdown: the random generator takes its first seed here. `renew`
    /// gets another channel when the keeper has died.
    ///
    /// # Errors
    /// When a certificate of the supervisor cannot be used.
    pub fn new(tls: &GateTls, renew: Option<Renew>) -> Result<Self, TlsError> {
        let signing = SigningChannel { channel: None, renew };
        let keeper = Arc::new(Keeper::Channel(Mutex::new(signing)));
        let notes = Arc::new(Notes::default());
        let resumption = Arc::new(Resumption::new(notes.clone()));
        let mut config = base(tls, &keeper, &notes)?;
        config.session_storage = resumption.clone();
        config.send_tls13_tickets = CONTROL_TICKETS;
        config.alpn_protocols = CONTROL_ALPN.map(<[u8]>::to_vec).to_vec();
        Ok(ControlTls { config: Arc::new(config), keeper, notes, resumption })
    }

    /// Takes the signing channel that came with the client.
    pub fn attach(&self, channel: Channel<Sign, Signed>) {
        attach(&self.keeper, channel);
    }

    /// Begins the handshake on a control connection, which must be non-blocking.
    ///
    /// # Errors
    /// When rustls refuses its own configuration.
    pub fn accept(&self, socket: OwnedFd) -> Result<Handshake, TlsError> {
        let mut handshake = Handshake::new(self.config.clone(), self.notes.clone(), socket)?;
        handshake.keep_ticket();
        Ok(handshake)
    }

    /// The resumption entries of the handshake, for the session.
    pub fn resumption_entries(&self) -> Vec<Entry> {
        self.resumption.export()
    }
}

/// The session's side: accepts data connections.
pub struct DataTls {
    download: Arc<ServerConfig>,
    upload: Arc<ServerConfig>,
    keeper: Arc<Keeper>,
    notes: Arc<Notes>,
    resumed_only: bool,
    require_close_notify: bool,
}

impl DataTls {
    /// Sets TLS up. Called before lockdown; the control connection's entries come later, with the
    /// control connection.
    ///
    /// # Errors
    /// When a certificate of the supervisor cannot be used.
    pub fn new(tls: &SessionTls) -> Result<Self, TlsError> {
        let resumed_only = tls.require_session_reuse;
        let keeper = Arc::new(if resumed_only {
            Keeper::ResumedOnly
        } else {
            Keeper::Channel(Mutex::default())
        });
        let notes = Arc::new(Notes::default());
        let mut config = base(&tls.tls, &keeper, &notes)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.alpn_protocols = DATA_ALPN.map(<[u8]>::to_vec).to_vec();
        let config = Arc::new(config);
        Ok(DataTls {
            download: config.clone(),
            upload: config,
            keeper,
            notes,
            resumed_only,
            require_close_notify: tls.require_close_notify,
        })
    }

    /// Takes the control connection's resumption entries. Until then every data connection is
    /// one that resumes nothing.
    pub fn resume(&mut self, entries: Vec<Entry>) {
        let store = Arc::new(Resumption::with_control(entries, self.notes.clone()));
        let mut upload = ServerConfig::clone(&self.upload);
        upload.session_storage = store;
        // A client that closes without reading its tickets (curl) resets the connection, and its
        // upload looks cut short.
        upload.send_tls13_tickets = 0;
        let mut download = upload.clone();
        download.send_tls13_tickets = DOWNLOAD_TICKETS;
        self.upload = Arc::new(upload);
        self.download = Arc::new(download);
    }

    /// Whether a data connection may need a signature, so that a signing channel is needed.
    pub fn needs_keeper(&self) -> bool {
        match &*self.keeper {
            Keeper::ResumedOnly => false,
            Keeper::Channel(signing) => {
                !signing.lock().unwrap_or_else(PoisonError::into_inner).is_open()
            }
        }
    }

    /// Takes a signing channel.
    pub fn attach(&self, channel: Channel<Sign, Signed>) {
        attach(&self.keeper, channel);
    }

    /// Begins the handshake on a data connection, which must be non-blocking.
    ///
    /// # Errors
    /// When rustls refuses its own configuration.
    pub fn accept(
        &self,
        socket: OwnedFd,
        direction: TransferDirection,
    ) -> Result<Handshake, TlsError> {
        let config = match direction {
            TransferDirection::ToClient => &self.download,
            TransferDirection::FromClient => &self.upload,
        };
        let mut handshake = Handshake::new(config.clone(), self.notes.clone(), socket)?;
        handshake.require_resumed(self.resumed_only);
        if direction == TransferDirection::FromClient && !self.require_close_notify {
            handshake.accept_fin();
        }
        Ok(handshake)
    }
}

fn attach(keeper: &Keeper, channel: Channel<Sign, Signed>) {
    if let Keeper::Channel(signing) = keeper {
        signing.lock().unwrap_or_else(PoisonError::into_inner).channel = Some(channel);
    }
}

/// What both sides have in common.
fn base(tls: &GateTls, keeper: &Arc<Keeper>, notes: &Arc<Notes>) -> Result<ServerConfig, TlsError> {
    let unusable = |e: &dyn std::fmt::Display| TlsError::Settings(e.to_string());
    let provider = Arc::new(provider());
    warm_up(&provider, !tls.client_ca.is_empty()).map_err(|e| unusable(&e))?;
    let versions: &[&'static SupportedProtocolVersion] =
        if tls.only_tls13 { &[&TLS13] } else { &[&TLS13, &TLS12] };
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .map_err(|e| unusable(&e))?;
    let builder = match client_verifier(tls, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let certificates = Certificates::new(&tls.certificates, &tls.names, keeper, notes);
    let mut config = builder.with_cert_resolver(Arc::new(certificates));
    // Early data stays off (its default, 0): an FTP command must not be replayable.
    config.max_early_data_size = 0;
    config.require_ems = tls.require_extended_master_secret;
    config.enable_secret_extraction = true;
    Ok(config)
}

/// The algorithms: those of rustls, with key exchange groups that are chosen here and not by a
/// feature of a library.
fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![X25519MLKEM768, SECP256R1MLKEM768, X25519, SECP256R1, SECP384R1],
        ..crypto::aws_lc_rs::default_provider()
    }
}

/// Has aws-lc set up what it sets up at first use: its random generator and the tables of each hash,
/// cipher and group. Each of them ends in futex(2), which no policy of the worker allows. A tenth of
/// a millisecond, in which a gate is not waited for.
fn warm_up(provider: &CryptoProvider, verifies: bool) -> Result<(), rustls::Error> {
    let mut seed = [0; 16];
    provider.secure_random.fill(&mut seed)?;
    for suite in &provider.cipher_suites {
        match suite {
            SupportedCipherSuite::Tls13(suite) => drop(suite.common.hash_provider.hash(&seed)),
            SupportedCipherSuite::Tls12(suite) => {
                suite.prf_provider.for_secret(&mut [0; 16], &seed, b"warm", &seed);
            }
        }
    }
    std::hint::black_box(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &seed), &seed));
    for cipher in [&AES_128_GCM, &AES_256_GCM, &CHACHA20_POLY1305] {
        let key = [0; 32];
        let key = key.get(..cipher.key_len()).unwrap_or_default();
        let refused = |_| rustls::Error::EncryptError;
        UnboundKey::new(cipher, key).map_err(refused)?;
        if cipher != &CHACHA20_POLY1305 {
            // The forms rustls uses have tables of their own.
            TlsRecordSealingKey::new(cipher, TlsProtocolId::TLS13, key).map_err(refused)?;
            TlsRecordSealingKey::new(cipher, TlsProtocolId::TLS12, key).map_err(refused)?;
        }
    }
    for group in &provider.kx_groups {
        group.start()?;
    }
    if verifies {
        warm_up_verification(provider);
    }
    Ok(())
}

/// Has every algorithm that verifies client certificates do so once, for the same reason: with keys
/// of every kind, because one that cannot be read is refused before the tables are made.
fn warm_up_verification(provider: &CryptoProvider) {
    let random = SystemRandom::new();
    let mut keys: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for curve in [
        &ECDSA_P256_SHA256_ASN1_SIGNING,
        &ECDSA_P384_SHA384_ASN1_SIGNING,
        &ECDSA_P521_SHA512_ASN1_SIGNING,
    ] {
        let Ok(key) = EcdsaKeyPair::generate(curve) else { continue };
        let Ok(signature) = key.sign(&random, b"warm") else { continue };
        keys.push((key.public_key().as_ref().to_vec(), signature.as_ref().to_vec()));
    }
    if let Ok(key) = Ed25519KeyPair::generate() {
        keys.push((key.public_key().as_ref().to_vec(), key.sign(b"warm").as_ref().to_vec()));
    }
    // To make an RSA key takes too long. Any odd number of 2048 bits is one that can be verified
    // with; that the signature is wrong shows at the end of the work.
    let modulus = [0xb5; 256];
    let public = [&RSA_2048[..], &modulus, &[2, 3, 1, 0, 1]].concat();
    keys.push((public, [0x2f; 256].to_vec()));
    for algorithm in provider.signature_verification_algorithms.all {
        for (public, signature) in &keys {
            algorithm.verify_signature(public, b"warm", signature).ok();
        }
    }
}

fn client_verifier(
    tls: &GateTls,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    if tls.client_ca.is_empty() {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    for authority in &tls.client_ca {
        roots
            .add(CertificateDer::from(authority.as_slice().to_vec()))
            .map_err(|e| TlsError::Settings(format!("a certificate of client_ca: {e}")))?;
    }
    let mut builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    if !tls.client_certificate_required {
        builder = builder.allow_unauthenticated();
    }
    let verifier = builder.build().map_err(|e| TlsError::Settings(format!("client_ca: {e}")))?;
    Ok(Some(verifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_are_the_ones_that_the_log_has_names_for_in_the_order_of_preference() {
        let groups: Vec<u16> =
            provider().kx_groups.iter().map(|group| u16::from(group.name())).collect();
        let named: Vec<u16> = ipc::tls_facts::GROUPS.iter().map(|(code, _)| *code).collect();
        assert_eq!(groups, named);
    }

    #[test]
    fn every_cipher_suite_has_a_name_in_the_log() {
        for suite in provider().cipher_suites {
            let facts = ipc::tls_facts::TlsFacts {
                version: 0x0303,
                cipher: u16::from(suite.suite()),
                group: 0,
                extended_master_secret: true,
            };
            let name = facts.cipher().to_string();
            assert!(name.starts_with("TLS_"), "{:?} is {name}", suite.suite());
        }
    }
}
