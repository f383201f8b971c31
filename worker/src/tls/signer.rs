//! The private key as rustls sees it: a channel to the keeper.

use std::{
    os::fd::AsFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
};

use ipc::{
    Channel,
    bounded::Bytes,
    gate::Certificate,
    keeper::{KeyId, Sign, Signed},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::{
    SignatureAlgorithm, SignatureScheme,
    pki_types::CertificateDer,
    server::{ClientHello, ResolvesServerCert},
    sign::{CertifiedKey, Signer, SigningKey},
};

use super::TlsError;

/// Longest wait for a signature, in seconds. The keeper answers in a millisecond; when it hangs,
/// the handshake fails and the client may try again.
const ANSWER_SECONDS: i64 = 10;

/// What a TLS 1.3 CertificateVerify input begins with; no ServerKeyExchange input does.
const TLS13_PREFIX: [u8; 64] = [b' '; 64];

/// What the certificates and the keeper noted during a handshake and rustls has no words for; the
/// handshake picks it up here.
#[derive(Debug, Default)]
pub struct Notes {
    /// Why there was no certificate or signature.
    cause: AtomicU8,
    /// The server name the client asked for.
    server_name: Mutex<Option<String>>,
    /// The session's master secret is not bound to its handshake: nothing may resume it.
    weak_session: AtomicBool,
}

/// The causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A server name that is not ours.
    ForeignName = 1,
    /// A full handshake where a resumed one is demanded.
    NotResumed = 2,
    /// No channel to the keeper, or no answer on it.
    KeeperGone = 3,
    /// The keeper refused.
    KeeperRefused = 4,
}

impl Notes {
    fn note(&self, cause: Cause) {
        self.cause.store(cause as u8, Ordering::Relaxed);
    }

    /// Notes that the session is one that nothing may resume.
    pub fn note_weak_session(&self) {
        self.weak_session.store(true, Ordering::Relaxed);
    }

    /// Takes that note.
    pub fn take_weak_session(&self) -> bool {
        self.weak_session.swap(false, Ordering::Relaxed)
    }

    /// Takes the server name of the last handshake.
    pub fn take_server_name(&self) -> Option<String> {
        self.server_name.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Takes the cause, and says the error it stands for.
    pub fn take_cause(&self) -> Option<TlsError> {
        match self.cause.swap(0, Ordering::Relaxed) {
            1 => Some(TlsError::ForeignName),
            2 => Some(TlsError::NotResumed),
            3 => Some(TlsError::Keeper("it is not there at the moment".into())),
            4 => Some(TlsError::Keeper("it refused".into())),
            _ => None,
        }
    }
}

/// Asks for another channel to the keeper, and waits for it.
pub type Renew = Box<dyn Fn() -> Option<Channel<Sign, Signed>> + Send + Sync>;

/// Times a signature is asked for anew because the keeper has died meanwhile.
const RENEWALS: u32 = 3;

/// Who signs for this process.
#[derive(Debug)]
pub enum Keeper {
    /// Nobody: only resumed handshakes are accepted.
    ResumedOnly,
    /// The keeper, once there is a channel to it.
    Channel(Mutex<SigningChannel>),
}

/// The channel to the keeper, and how to get another one when the keeper has died.
#[derive(Default)]
pub struct SigningChannel {
    /// The channel, if there is one.
    pub channel: Option<Channel<Sign, Signed>>,
    /// Gates only: a session asks between two handshakes.
    pub renew: Option<Renew>,
}

impl std::fmt::Debug for SigningChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningChannel").field("channel", &self.channel).finish_non_exhaustive()
    }
}

impl SigningChannel {
    /// Whether there is a channel whose other end is open.
    pub fn is_open(&self) -> bool {
        let Some(channel) = &self.channel else { return false };
        let mut fds = [PollFd::new(channel, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A poll that fails says nothing; then the request will.
        poll(&mut fds, Some(&now)).unwrap_or(0) == 0
    }

    /// The channel; another one, if there is none and one can be had.
    fn get(&mut self) -> Option<&Channel<Sign, Signed>> {
        if self.channel.is_none() {
            self.channel = self.renew.as_ref().and_then(|renew| renew());
        }
        self.channel.as_ref()
    }
}

impl Keeper {
    /// Asks the keeper for a signature and waits for it.
    fn ask_sign(&self, key: KeyId, scheme: u16, input: &[u8]) -> Result<Vec<u8>, Cause> {
        let Keeper::Channel(signing) = self else { return Err(Cause::NotResumed) };
        let mut signing = signing.lock().unwrap_or_else(PoisonError::into_inner);
        let tls13 = input.starts_with(&TLS13_PREFIX);
        let input = Bytes::try_from(input.to_vec()).map_err(|_| Cause::KeeperRefused)?;
        let request = Sign::Sign { key, scheme, tls13, input };
        for _ in 0..=RENEWALS {
            let channel = signing.get().ok_or(Cause::KeeperGone)?;
            let answer = exchange(channel, &request);
            match answer {
                Answer::Given(Signed::Signature(signature)) => return Ok(signature.into()),
                Answer::Given(Signed::Refused) => return Err(Cause::KeeperRefused),
                // The keeper has died; the next one has the same keys, if there is a next one.
                Answer::Closed => signing.channel = None,
                Answer::Late => {
                    // A late answer must not become the answer to another question.
                    signing.channel = None;
                    break;
                }
            }
        }
        Err(Cause::KeeperGone)
    }
}

/// What came of a request.
enum Answer {
    Given(Signed),
    Closed,
    Late,
}

fn exchange(channel: &Channel<Sign, Signed>, request: &Sign) -> Answer {
    if channel.try_send(request, &[]).is_err() {
        return Answer::Closed;
    }
    let timeout = Timespec { tv_sec: ANSWER_SECONDS, tv_nsec: 0 };
    let descriptor = channel.as_fd();
    let mut fds = [PollFd::new(&descriptor, PollFlags::IN)];
    loop {
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Answer::Late,
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Answer::Closed,
        }
    }
    match channel.try_recv() {
        Ok(Some(received)) => Answer::Given(received.message),
        Ok(None) | Err(_) => Answer::Closed,
    }
}

/// A private key in the keeper.
#[derive(Debug)]
struct KeeperKey {
    key: KeyId,
    schemes: Vec<SignatureScheme>,
    keeper: Arc<Keeper>,
    notes: Arc<Notes>,
}

impl SigningKey for KeeperKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        if matches!(*self.keeper, Keeper::ResumedOnly) {
            self.notes.note(Cause::NotResumed);
            return None;
        }
        let scheme = *self.schemes.iter().find(|scheme| offered.contains(scheme))?;
        let (keeper, notes) = (self.keeper.clone(), self.notes.clone());
        Some(Box::new(KeeperSigner { key: self.key, scheme, keeper, notes }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.schemes.first() {
            Some(
                SignatureScheme::ECDSA_NISTP256_SHA256
                | SignatureScheme::ECDSA_NISTP384_SHA384
                | SignatureScheme::ECDSA_NISTP521_SHA512,
            ) => SignatureAlgorithm::ECDSA,
            Some(SignatureScheme::ED25519) => SignatureAlgorithm::ED25519,
            Some(_) | None => SignatureAlgorithm::RSA,
        }
    }
}

#[derive(Debug)]
struct KeeperSigner {
    key: KeyId,
    scheme: SignatureScheme,
    keeper: Arc<Keeper>,
    notes: Arc<Notes>,
}

impl Signer for KeeperSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.keeper.ask_sign(self.key, self.scheme.into(), message).map_err(|cause| {
            self.notes.note(cause);
            rustls::Error::General("no signature".into())
        })
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

/// The certificates, chosen by server name and by what the client can verify.
#[derive(Debug)]
pub struct Certificates {
    choices: Vec<Choice>,
    /// Server names a client may ask for; empty: any.
    accepted: Vec<String>,
    notes: Arc<Notes>,
}

#[derive(Debug)]
struct Choice {
    names: Vec<String>,
    schemes: Vec<SignatureScheme>,
    certified: Arc<CertifiedKey>,
}

impl Certificates {
    /// Makes the choice from what the supervisor sent.
    pub fn new(
        certificates: &[Certificate],
        accepted: &[String],
        keeper: &Arc<Keeper>,
        notes: &Arc<Notes>,
    ) -> Self {
        let choices = certificates.iter().map(|certificate| {
            let schemes: Vec<SignatureScheme> =
                certificate.schemes.iter().copied().map(SignatureScheme::from).collect();
            let chain = certificate
                .chain
                .iter()
                .map(|der| CertificateDer::from(der.as_slice().to_vec()))
                .collect();
            let key = KeeperKey {
                key: certificate.key,
                schemes: schemes.clone(),
                keeper: keeper.clone(),
                notes: notes.clone(),
            };
            let names = certificate.names.clone();
            let certified = Arc::new(CertifiedKey::new(chain, Arc::new(key)));
            Choice { names, schemes, certified }
        });
        Certificates {
            choices: choices.collect(),
            accepted: accepted.iter().map(|name| name.to_ascii_lowercase()).collect(),
            notes: notes.clone(),
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().map(str::to_ascii_lowercase);
        *self.notes.server_name.lock().unwrap_or_else(PoisonError::into_inner) = asked.clone();
        if let Some(asked) = &asked
            && !self.accepted.is_empty()
            && !self.accepted.iter().any(|name| covers(name, asked))
        {
            self.notes.note(Cause::ForeignName);
            return None;
        }
        let named = |choice: &&Choice| match &asked {
            Some(asked) => choice.names.iter().any(|name| covers(name, asked)),
            None => false,
        };
        let verifiable = |choice: &&Choice| {
            choice.schemes.iter().any(|scheme| hello.signature_schemes().contains(scheme))
        };
        let mut choices = [
            self.choices.iter().find(|choice| named(choice) && verifiable(choice)),
            self.choices.iter().find(verifiable),
            self.choices.first(),
        ]
        .into_iter()
        .flatten();
        choices.next().map(|choice| choice.certified.clone())
    }
}

/// Whether a certificate's name covers the name asked for; a leading `*` stands for one label.
fn covers(name: &str, asked: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => asked.split_once('.').is_some_and(|(_, rest)| rest == parent),
        None => name == asked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_one_label() {
        assert!(covers("*.example.org", "ftp.example.org"));
        assert!(!covers("*.example.org", "example.org"));
        assert!(!covers("*.example.org", "a.ftp.example.org"));
        assert!(covers("ftp.example.org", "ftp.example.org"));
        assert!(!covers("ftp.example.org", "www.example.org"));
    }
}
