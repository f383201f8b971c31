//! TLS as the worker does it: rustls makes the handshake, the keeper its signature, and the records
//! of both connections are sealed and opened here in large reused buffers.
//!
//! The gate accepts the control connection ([`ControlTls`]) and stays as relay; the session accepts
//! data connections ([`DataTls`]) with the resumption entries the gate handed over. No process here
//! ever has the private key: a signature is asked of the keeper, and a session whose clients must
//! resume asks for none.

mod buffer;
mod client_name;
mod handshake;
mod record;
mod resumption;
mod settings;
mod signer;
mod stream;
#[cfg(test)]
mod tests;

use std::io;

pub use handshake::{Established, Handshake, Progress};
pub use record::Fault;
pub use resumption::{Entry, Resumption};
pub use settings::{ControlTls, DataTls, TransferDirection};
pub use signer::Renew;
pub use stream::{Buffers, Inbound, Stream};

/// Why a TLS connection failed. The texts are for the log; what the client is told on the control
/// connection is chosen in `ftp::reply`.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The settings cannot work.
    #[error("TLS cannot be set up: {0}")]
    Settings(String),
    /// The handshake failed for a reason TLS itself names.
    #[error("the TLS handshake failed: {}", in_words(.0))]
    Handshake(rustls::Error),
    /// The client's first bytes are no TLS.
    #[error("the client spoke no TLS where TLS was due")]
    NotTls,
    /// The client does not offer `ftp` in ALPN: it means to speak to another kind of server.
    #[error("the client's ALPN offer has no `ftp` in it")]
    NotFtp,
    /// The client offers no version that is served.
    #[error(
        "the client speaks TLS 1.1 or older, which is refused; it needs TLS 1.2, or TLS 1.3 where \
         [tls] minimum_version says so"
    )]
    TooOld,
    /// TLS 1.2 without the extended master secret, where it is demanded.
    #[error(
        "the client speaks TLS 1.2 without the extended master secret (RFC 7627), which [tls] \
         require_extended_master_secret demands"
    )]
    NoExtendedMasterSecret,
    /// The client asked for a server name that is not in `[tls] names`.
    #[error("the client asked for a server name that is not in [tls] names")]
    ForeignName,
    /// The data connection does not resume the control connection's session.
    #[error("the data connection does not resume the TLS session of the control connection")]
    NotResumed,
    /// The keeper gave no signature.
    #[error("the keeper gave no signature: {0}")]
    Keeper(String),
    /// The client closed in the middle of the handshake.
    #[error("the client closed the connection during the TLS handshake")]
    HandshakeClosed,
    /// The handshake is longer than any that is honest.
    #[error("the TLS handshake is longer than {0} bytes")]
    HandshakeTooLong(usize),
    /// End of file without close_notify: what came before may be cut short.
    #[error("the client closed the connection without close_notify")]
    Truncated,
    /// The client sent a fatal alert (RFC 8446 section 6).
    #[error("the client sent the TLS alert {0}")]
    Alert(u8),
    /// The client broke the record protocol.
    #[error("the client broke the TLS record protocol: {0}")]
    Record(Fault),
    /// A connection has carried as much as its keys may protect.
    #[error("the TLS 1.2 connection has carried as much as its keys may protect")]
    Exhausted,
    /// The socket failed.
    #[error("the TLS connection failed: {0}")]
    System(#[from] io::Error),
}

/// What an administrator can act on, where rustls names a part of the protocol.
fn in_words(error: &rustls::Error) -> String {
    use rustls::PeerIncompatible;
    match error {
        // TLS 1.1 has neither of these extensions.
        rustls::Error::PeerIncompatible(
            PeerIncompatible::SignatureAlgorithmsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls13RequiredForQuic,
        ) => "the client offers no TLS version that is served here: TLS 1.2 (unless \
              minimum_version is 1.3) or TLS 1.3"
            .into(),
        rustls::Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            "the client offers no cipher suite that is served here".into()
        }
        rustls::Error::PeerIncompatible(PeerIncompatible::NoKxGroupsInCommon) => {
            "the client offers no key exchange group that is served here".into()
        }
        other => other.to_string(),
    }
}

impl From<rustix::io::Errno> for TlsError {
    fn from(errno: rustix::io::Errno) -> Self {
        TlsError::System(errno.into())
    }
}
