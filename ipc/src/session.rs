//! The channel supervisor ↔ session: a client after login.

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
};

use serde::{Deserialize, Serialize};

use crate::{
    account::{Account, Limits, SessionId, Uploads},
    bounded::{self, Bytes, Secret},
    channel::Message,
    gate::{GateTls, Service},
    process::{Confinement, LockdownFailure, SandboxReport},
    reason::Reason,
    share::Rate,
};

/// Version of the bytes of this channel: raised when those of a message change, not when one is added.
pub const EPOCH: u32 = 2;

/// Longest path in a message, in bytes (PATH_MAX).
pub const MAX_PATH: usize = 4096;

/// Most events in one message.
pub const MAX_EVENTS: usize = 256;
/// Longest notice, in bytes.
pub const MAX_NOTICE: usize = 1024;
/// Longest name of a command in a message, in bytes.
pub const MAX_COMMAND: usize = 32;

/// What a session is told about FTP.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FtpSettings {
    /// How uploads reach their place.
    pub uploads: Uploads,
    /// Whether an upload is synced to disk before its 226.
    pub sync_uploads: bool,
    /// IPv4 address PASV announces, when it is not the local one.
    pub passive_address: Option<Ipv4Addr>,
    /// Text of the 230 reply.
    #[serde(deserialize_with = "bounded::text::<4096, _>")]
    pub welcome: String,
}

/// What a session is told about TLS on data connections. Present when TLS is configured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionTls {
    /// Certificates and versions, as for the gate.
    pub tls: GateTls,
    /// Whether a data connection must resume the control connection's TLS session.
    pub require_session_reuse: bool,
    /// Whether an upload is complete only if it ends by close_notify.
    pub require_close_notify: bool,
}

/// What a session is told about I2FTP.
#[derive(Clone, Serialize, Deserialize)]
pub struct I2ftpSettings {
    /// The pre-shared key: every packet's header sum needs it.
    pub key: Secret,
    /// `2.2` or `2.1`.
    #[serde(deserialize_with = "bounded::text::<1024, _>")]
    pub wire_version: String,
    /// Secured mode (obfuscation, not encryption).
    pub secured: bool,
    /// Whether `PULF,path,hash` is understood.
    pub pulf_hash: bool,
    /// Whether PCTL is answered, and with which process id.
    pub pctl: Option<u32>,
}

impl std::fmt::Debug for I2ftpSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("I2ftpSettings")
            .field("wire_version", &self.wire_version)
            .finish_non_exhaustive()
    }
}

/// The first message to a session: who it is and what it may do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionBoot {
    /// How to lock down.
    pub confinement: Confinement,
    /// Its number.
    pub session: SessionId,
    /// The account.
    pub account: Account,
    /// Its limits, the account's own already applied.
    pub limits: Limits,
    /// Mode bits a new file or directory does not get.
    pub umask: u32,
    /// What it speaks.
    pub service: Service,
    /// The client's address.
    pub client: SocketAddr,
    /// The address the control connection came in on.
    pub local: SocketAddr,
    /// FTP.
    pub ftp: FtpSettings,
    /// TLS, if it is configured.
    pub tls: Option<SessionTls>,
    /// I2FTP, for its services.
    pub i2ftp: Option<I2ftpSettings>,
}

/// Supervisor → session.
#[derive(Debug, Serialize, Deserialize)]
pub enum SupervisorToSession {
    /// First message. Answer: `Ready` or `Failed`.
    Boot(Box<SessionBoot>),
    /// One descriptor: the control connection, or the relay's plain side.
    Control {
        /// Bytes the client sent behind its login.
        unread: Bytes<8192>,
        /// The control connection's TLS state, if it has one.
        protection: crate::gate::Protection,
    },
    /// The answer to `NeedHelper`. One descriptor: the session's end of a
    /// [`crate::helper::SessionToHelper`] channel.
    HelperChannel,
    /// The answer to `NeedKeeper`. One descriptor: the session's end of a signing channel.
    KeeperChannel,
    /// The helper or keeper is not there at the moment.
    NotAvailable,
    /// The limits have changed (reload).
    NewLimits(Limits),
    /// End the session: reply, then close.
    Kick {
        /// A whole reply line without CR LF.
        #[serde(deserialize_with = "bounded::text::<1024, _>")]
        reply: String,
    },
    /// The server is going down: end the session with this reply as soon as no transfer is under
    /// way. A `Kick` follows when the grace period is over.
    Finish {
        /// A whole reply line without CR LF.
        #[serde(deserialize_with = "bounded::text::<1024, _>")]
        reply: String,
    },
    /// The answer to `Who`.
    WhoLines(#[serde(deserialize_with = "bounded::list::<16384, _, _>")] Vec<String>),
    /// The answer to a ticket call of I2FTP.
    Ticket(TicketAnswer),
}

impl Message for SupervisorToSession {
    const MAX_BYTES: usize = 160 * 1024;
    fn descriptors(&self) -> RangeInclusive<usize> {
        match self {
            SupervisorToSession::Control { .. }
            | SupervisorToSession::HelperChannel
            | SupervisorToSession::KeeperChannel => 1..=1,
            SupervisorToSession::Boot(_)
            | SupervisorToSession::NotAvailable
            | SupervisorToSession::NewLimits(_)
            | SupervisorToSession::Kick { .. }
            | SupervisorToSession::Finish { .. }
            | SupervisorToSession::WhoLines(_)
            | SupervisorToSession::Ticket(_) => 0..=0,
        }
    }
}

/// Session → supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub enum SessionToSupervisor {
    /// The sandbox is up; the session waits for the control connection.
    Ready(SandboxReport),
    /// It is not (or the root cannot be opened), and the session ends.
    Failed(LockdownFailure),
    /// What happened, in order. Sent in batches: at the latest when the session goes idle.
    Events(#[serde(deserialize_with = "bounded::list::<MAX_EVENTS, _, _>")] Vec<Event>),
    /// A channel to the helper, please. Answer: `HelperChannel` or `NotAvailable`.
    NeedHelper,
    /// A signing channel, please. Answer: `KeeperChannel` or `NotAvailable`.
    NeedKeeper,
    /// Who is logged in? Refused unless the account is an administrator's. Answer: `WhoLines`.
    Who,
    /// I2FTP: make a ticket. Answer: `Ticket`.
    IssueTicket {
        /// Path beneath the root.
        path: Bytes<MAX_PATH>,
        /// Upload or download.
        upload: bool,
        /// Size at GETF; uploads: 0.
        size: u64,
        /// Uploads with a hash: where the bytes are until it has been checked.
        publish: Option<Publish>,
    },
    /// I2FTP: what does this ticket stand for? Answer: `Ticket`.
    RedeemTicket {
        /// The id.
        id: [u8; 16],
    },
    /// I2FTP: this ticket is closed. Answer: `Ticket`.
    CloseTicket {
        /// The id.
        id: [u8; 16],
    },
    /// The session ends, and why.
    Closed(SessionClosed),
}

impl Message for SessionToSupervisor {
    const MAX_BYTES: usize = 64 * 1024;
    /// A line of the log is a unit. The burst is more files than a client moves before it looks up.
    const RATE: Rate = Rate::new(5_000, 20_000);

    fn cost(&self) -> u32 {
        /// Answering makes a channel, or walks through the table of sessions.
        const EXPENSIVE: u32 = 100;
        match self {
            SessionToSupervisor::Events(events) => {
                u32::try_from(events.len()).unwrap_or(u32::MAX).saturating_add(1)
            }
            SessionToSupervisor::NeedHelper
            | SessionToSupervisor::NeedKeeper
            | SessionToSupervisor::Who => EXPENSIVE,
            SessionToSupervisor::IssueTicket { .. }
            | SessionToSupervisor::RedeemTicket { .. }
            | SessionToSupervisor::CloseTicket { .. }
            | SessionToSupervisor::Ready(_)
            | SessionToSupervisor::Failed(_)
            | SessionToSupervisor::Closed(_) => 1,
        }
    }
}

/// I2FTP: an upload that appears under its path only if it is what the client said it would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// Path of the temporary beneath the root.
    pub temporary: Bytes<MAX_PATH>,
    /// MD5 the finished file must have.
    pub md5: [u8; 16],
}

/// The answer to a ticket call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TicketAnswer {
    /// A new ticket.
    Issued {
        /// Its id, from the system's generator.
        id: [u8; 16],
    },
    /// What the ticket stands for.
    Redeemed {
        /// Path beneath the root.
        path: Bytes<MAX_PATH>,
        /// Upload or download.
        upload: bool,
        /// Size at GETF.
        size: u64,
        /// As in `IssueTicket`.
        publish: Option<Publish>,
        /// Whether nobody has redeemed it before: an upload replaces what was there when it
        /// begins, and not before.
        fresh: bool,
    },
    /// The ticket is closed.
    Closed,
    /// Unknown, foreign, expired, or too many.
    Refused,
}

/// Something a session did, for log and counters. The supervisor adds who, from where and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A transfer ended.
    Transfer(Transfer),
    /// A file operation.
    File {
        /// Which.
        operation: FileOperation,
        /// On which path, beneath the root.
        path: Bytes<MAX_PATH>,
        /// Rename: to which path.
        to: Option<Bytes<MAX_PATH>>,
        /// Why it was not done; nothing when it was.
        reason: Option<Reason>,
    },
    /// A command that was refused for lack of a right, or an odd thing worth a line.
    Notice(#[serde(deserialize_with = "bounded::text::<MAX_NOTICE, _>")] String),
    /// A command that was refused before anything was done.
    Refused {
        /// Its name, such as `RETR`; a name of the session's own table.
        command: Bytes<MAX_COMMAND>,
        /// The path or argument as the client wrote it.
        path: Bytes<MAX_PATH>,
        /// Why.
        reason: Reason,
    },
}

/// A transfer that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Which way, and what.
    pub kind: TransferKind,
    /// The path beneath the root.
    pub path: Bytes<MAX_PATH>,
    /// Bytes moved in this transfer.
    pub bytes: u64,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// Why it is not complete; nothing when every byte is where it belongs.
    pub reason: Option<Reason>,
    /// Whether the data connection was TLS.
    pub tls: bool,
}

/// The kinds of transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransferKind {
    /// RETR.
    Download,
    /// STOR, STOU.
    Upload,
    /// APPE.
    Append,
    /// LIST, NLST, MLSD.
    Listing,
}

/// The file operations that are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileOperation {
    /// DELE.
    Delete,
    /// RNFR, RNTO.
    Rename,
    /// MKD.
    MakeDirectory,
    /// RMD.
    RemoveDirectory,
    /// SITE CHMOD, MFF UNIX.mode.
    ChangeMode,
    /// MFMT, SITE UTIME.
    ChangeTime,
    /// SITE SYMLINK.
    MakeSymlink,
    /// I2FTP copy.
    Copy,
    /// I2FTP GETF: the file is opened; what is sent of it is a transfer's line.
    BeginDownload,
    /// I2FTP PULF: the file is made, or may be replaced.
    BeginUpload,
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionClosed {
    /// QUIT.
    Quit,
    /// The client closed.
    ClientClosed,
    /// No command for too long.
    Idle,
    /// The supervisor said so.
    Kicked,
    /// REIN: the client wants to log in anew. (The connection is closed with 421; RFC 959 allows a
    /// server to support REIN or not.)
    Reinitialize,
    /// Another failure.
    Failed(#[serde(deserialize_with = "bounded::text::<1024, _>")] String),
    /// The server is going down, or drains, and nothing was under way.
    ServerEnding,
}
