//! The channel supervisor ↔ gate: a client before login, and the relay of a TLS session after it.

use std::{net::SocketAddr, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

use crate::{
    account::{SessionId, TlsDemand},
    bounded::{self, Bytes, UserName},
    channel::Message,
    keeper::{KeyId, MAX_CHAIN},
    process::{Confinement, LockdownFailure, SandboxReport},
    tls_facts::TlsFacts,
};

/// Version of the bytes of this channel: raised when those of a message change, not when one is added.
pub const EPOCH: u32 = 2;

/// What a client that connected speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Service {
    /// FTP, with AUTH TLS if TLS is configured (RFC 4217).
    Ftp,
    /// FTP inside TLS from the first byte (port 990).
    FtpsImplicit,
    /// I2FTP.
    I2ftp,
    /// I2FTP inside TLS.
    I2ftpTls,
}

/// A certificate chain the gate may present; its key is in the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Number of its key.
    pub key: KeyId,
    /// DER, leaf first.
    #[serde(deserialize_with = "bounded::list::<16, _, _>")]
    pub chain: Vec<Bytes<MAX_CHAIN>>,
    /// Signature schemes of the key, as TLS code points, best first.
    #[serde(deserialize_with = "bounded::list::<64, _, _>")]
    pub schemes: Vec<u16>,
    /// Names of the leaf, for the choice by SNI.
    #[serde(deserialize_with = "bounded::list::<1024, _, _>")]
    pub names: Vec<String>,
}

/// TLS as the gate does it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GateTls {
    /// Certificates, the default first.
    #[serde(deserialize_with = "bounded::list::<256, _, _>")]
    pub certificates: Vec<Certificate>,
    /// When TLS is demanded.
    pub demand: TlsDemand,
    /// Whether TLS 1.2 is refused.
    pub only_tls13: bool,
    /// Whether TLS 1.2 without the extended master secret (RFC 7627) is refused. Where it is not,
    /// nothing resumes such a session.
    pub require_extended_master_secret: bool,
    /// If not empty, a client that sends another SNI is refused.
    #[serde(deserialize_with = "bounded::list::<1024, _, _>")]
    pub names: Vec<String>,
    /// DER certificates of the authorities for client certificates; empty: none is asked for.
    #[serde(deserialize_with = "bounded::list::<256, _, _>")]
    pub client_ca: Vec<Bytes<MAX_CHAIN>>,
    /// Whether a client without a certificate is refused.
    pub client_certificate_required: bool,
}

/// What every gate of a configuration is told at its start, before it has a client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GateSettings {
    /// First line of the greeting.
    #[serde(deserialize_with = "bounded::text::<4096, _>")]
    pub banner: String,
    /// Seconds without a command.
    pub idle_ctrl_timeout: u64,
    /// Seconds a client may take to log in; 0 = no limit.
    pub login_timeout: u64,
    /// Commands per second; more are answered late. 0 = no limit.
    pub commands_per_second: u32,
    /// TLS, if it is configured.
    pub tls: Option<GateTls>,
}

/// Supervisor → gate.
#[derive(Debug, Serialize, Deserialize)]
pub enum SupervisorToGate {
    /// First message. Answer: `Ready` or `Failed`.
    Boot {
        /// How to lock down.
        confinement: Confinement,
        /// What the configuration says.
        settings: GateSettings,
    },
    /// A client. One descriptor: the control connection; two with TLS: the signing channel as well.
    Serve {
        /// The session, for the log only.
        session: SessionId,
        /// The client's address.
        client: SocketAddr,
        /// The address the client connected to.
        local: SocketAddr,
        /// What the client speaks.
        service: Service,
    },
    /// The answer to `Authenticate`, `SecondFactor`, `I2ftpKnock` or `I2ftpProof`.
    AuthResult(AuthResult),
    /// After `Handover` of a TLS session. One descriptor: the plain side of the relay.
    BecomeRelay,
    /// End the connection: send the reply line, then close.
    End {
        /// A whole reply line without CR LF, such as `421 The server is going down.`
        #[serde(deserialize_with = "bounded::text::<1024, _>")]
        reply: String,
    },
    /// While an `Authenticate` or a `SecondFactor` is judged, at most once. One descriptor: the
    /// channel to the authenticator, over which the gate sends what was typed.
    Authenticator,
    /// The answer to `NeedKeeper`. One descriptor: the gate's end of a signing channel.
    KeeperChannel,
    /// No keeper is there at the moment.
    NotAvailable,
}

impl Message for SupervisorToGate {
    const MAX_BYTES: usize = 128 * 1024;
    fn descriptors(&self) -> RangeInclusive<usize> {
        match self {
            SupervisorToGate::Serve { .. } => 1..=2,
            SupervisorToGate::BecomeRelay
            | SupervisorToGate::Authenticator
            | SupervisorToGate::KeeperChannel => 1..=1,
            SupervisorToGate::NotAvailable
            | SupervisorToGate::Boot { .. }
            | SupervisorToGate::AuthResult(_)
            | SupervisorToGate::End { .. } => 0..=0,
        }
    }
}

/// What became of a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthResult {
    /// Logged in. The session is ready and waits for the control connection: answer with
    /// `Handover`. The session sends the 230.
    Granted,
    /// The password is right and a code is needed: 332, then `SecondFactor`.
    NeedSecondFactor,
    /// Wrong name, wrong password, wrong code, or an account that may not log in: 530, always the
    /// same words.
    Refused,
    /// The password has expired: 530 with this text.
    Expired(#[serde(deserialize_with = "bounded::text::<1024, _>")] String),
    /// The account demands TLS: 530, and say so (the name need not exist).
    TlsDemanded,
    /// I2FTP: the first 16 bytes are right; send the nonce. The supervisor makes it and remembers
    /// it, so that no gate can pass on an answer that somebody recorded elsewhere.
    Welcome {
        /// 64 bytes from the system's generator.
        nonce: Bytes<64>,
    },
    /// Too many sessions or attempts, or the server cannot start a session: 421, and close.
    Unavailable(#[serde(deserialize_with = "bounded::text::<1024, _>")] String),
}

/// What the control connection's protection is when it is handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protection {
    /// No TLS: the session gets the control connection itself.
    Plain,
    /// TLS: the gate stays as relay.
    Tls {
        /// Resumption entries of this control connection: key and value as rustls stores them.
        #[serde(deserialize_with = "bounded::list::<128, _, _>")]
        resumption: Vec<(Bytes<64>, Bytes<8192>)>,
        /// Whether PROT P is set (RFC 4217 section 9).
        private_data: bool,
        /// PBSZ was sent.
        pbsz: bool,
    },
}

/// Gate → supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub enum GateToSupervisor {
    /// The sandbox is up; the gate waits for a client.
    Ready(SandboxReport),
    /// It is not, and the gate ends.
    Failed(LockdownFailure),
    /// A login with a password, which the gate keeps until it has the authenticator's channel. Answer:
    /// `Authenticator`, unless nobody has to judge it, and then `AuthResult`.
    Authenticate {
        /// The name.
        user: UserName,
        /// What the control connection's TLS agreed on, as the gate says; `None`: it is plain.
        tls: Option<TlsFacts>,
        /// Host name of HOST (RFC 7151) or SNI, if any.
        host: Option<Bytes<255>>,
        /// Common name of the client certificate the handshake verified, if any; empty: it has
        /// none. A gate that has been taken over can say what it likes, so this can refuse a login
        /// and never grant one.
        client_name: Option<Bytes<255>>,
    },
    /// A name or a password that no account can have: empty, too long, or not text. Answer:
    /// `AuthResult`, as for any wrong one, so that it is counted, logged and answered like them.
    MalformedLogin,
    /// A code was typed, after `NeedSecondFactor`; the gate keeps it as it does a password. Answer:
    /// `Authenticator`, and then `AuthResult`.
    SecondFactor,
    /// I2FTP, the first 16 bytes. Answer: `AuthResult` `Welcome` or `Refused`.
    I2ftpKnock {
        /// The bytes.
        key: [u8; 16],
    },
    /// I2FTP, the answer to the nonce of `Welcome`. Answer: `AuthResult` `Granted` or another. The
    /// version string and all that follows is the session's, so the gate hands over at once.
    I2ftpProof {
        /// The 64 bytes of the client.
        proof: Bytes<64>,
        /// As in `Authenticate`.
        tls: Option<TlsFacts>,
    },
    /// After `Granted`: the gate reads no more. It ends (plain) or waits for `BecomeRelay` (TLS).
    Handover {
        /// Bytes the client sent behind its last command.
        unread: Bytes<8192>,
        /// Protection of the control connection.
        protection: Protection,
    },
    /// The gate ends, and why. For the log and the penalties.
    Closed(GateClosed),
    /// The keeper has died before it has signed: another signing channel, please. A few times at most.
    /// Answer: `KeeperChannel` or `NotAvailable`.
    NeedKeeper,
}

impl Message for GateToSupervisor {
    const MAX_BYTES: usize = 96 * 1024;
}

/// Why a gate ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GateClosed {
    /// QUIT.
    Quit,
    /// The client closed.
    ClientClosed,
    /// No command for too long.
    Idle,
    /// Not logged in in time.
    LoginTimeout,
    /// Too many failed logins on one connection.
    TooManyFailures,
    /// Something that is not FTP: an HTTP verb or a handful of unknown commands.
    NotFtp,
    /// A TLS handshake failed, with its cause.
    Tls(#[serde(deserialize_with = "bounded::text::<1024, _>")] String),
    /// The supervisor said so.
    Ended,
    /// Another failure.
    Failed(#[serde(deserialize_with = "bounded::text::<1024, _>")] String),
    /// The client tried to log in without TLS, which is demanded, and went.
    PlainLogin,
}
