//! A certificate, clients that trust it, and a keeper that signs for it in a thread. The fuzz
//! targets of TLS compile this file as well.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use ipc::{
    Channel,
    account::TlsDemand,
    bounded::Bytes,
    gate::{Certificate, GateTls},
    keeper::{KeyId, Sign, Signed},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs as provider, version};

/// A certificate, and a keeper that signs for it in a thread.
pub struct World {
    pub tls: GateTls,
    pub signatures: Arc<AtomicUsize>,
    key: Arc<EcdsaKeyPair>,
    pub roots: RootCertStore,
}

impl World {
    pub fn new() -> Self {
        let key = rcgen::KeyPair::generate().expect("a key can be made");
        let names = vec!["localhost".to_string(), "other.example".to_string()];
        let certificate = rcgen::CertificateParams::new(names.clone())
            .and_then(|params| params.self_signed(&key))
            .expect("a certificate can be made");
        let der = key.serialize_der();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der).expect("it is one");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("it is one");
        let tls = GateTls {
            certificates: vec![Certificate {
                key: KeyId(1),
                chain: vec![Bytes::try_from(certificate.der().to_vec()).expect("it is short")],
                schemes: vec![0x0403],
                names,
            }],
            demand: TlsDemand::None,
            only_tls13: false,
            require_extended_master_secret: false,
            names: Vec::new(),
            client_ca: Vec::new(),
            client_certificate_required: false,
        };
        World { tls, key: Arc::new(key), roots, signatures: Arc::default() }
    }

    /// A channel to a keeper of its own, which ends with it.
    pub fn keeper(&self) -> Channel<Sign, Signed> {
        let (client, keeper) = Channel::<Sign, Signed>::pair().expect("descriptors are left");
        let (key, signatures) = (self.key.clone(), self.signatures.clone());
        thread::spawn(move || {
            while let Ok(received) = keeper.recv() {
                let Sign::Sign { input, .. } = received.message;
                let signature = key.sign(&SystemRandom::new(), input.as_slice()).expect("it signs");
                signatures.fetch_add(1, Ordering::Relaxed);
                let signature = Bytes::try_from(signature.as_ref().to_vec()).expect("it is short");
                // Whoever asked may have ended meanwhile.
                keeper.send(&Signed::Signature(signature), &[]).ok();
            }
        });
        client
    }

    pub fn client(&self, tls13: bool, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let versions: &[_] = if tls13 { &[&version::TLS13] } else { &[&version::TLS12] };
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
                .with_protocol_versions(versions)
                .expect("a version is one")
                .with_root_certificates(self.roots.clone())
                .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }
}
