//! The operator's socket: `bulkhead status`, `sessions`, `kick`, … talk to the running server.
//! The supervisor admits root and the admin group, by the peer credentials of the socket.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{account::SessionId, bounded, channel::Message, process::SandboxReport};

/// Version of the bytes of this channel: raised when those of a message change, not when one is added.
pub const EPOCH: u32 = 1;

/// Command line → supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Counters and state.
    Status,
    /// The sessions. Answer: `Sessions`, as many as needed, the last with `more` false.
    Sessions,
    /// End one session, or all of an account.
    Kick(KickTarget),
    /// Read the configuration anew.
    Reload,
    /// Accept no more clients, let sessions finish, then exit.
    Drain,
    /// The penalties in force.
    Penalties,
    /// Forget the penalties of an address block, or all.
    ClearPenalties(#[serde(deserialize_with = "bounded::optional_text::<1024, _>")] Option<String>),
    /// The processes of the server, for `policy verify`.
    Processes,
}

impl Message for Request {
    const MAX_BYTES: usize = 1024;
}

/// Whom to kick.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum KickTarget {
    /// One session.
    Session(SessionId),
    /// All sessions of an account.
    Account(#[serde(deserialize_with = "bounded::text::<1024, _>")] String),
}

/// Supervisor → command line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Answer {
    /// Counters and state.
    Status(Box<Status>),
    /// A part of the session table.
    Sessions {
        /// The rows.
        #[serde(deserialize_with = "bounded::list::<4096, _, _>")]
        rows: Vec<SessionRow>,
        /// Whether another message follows.
        more: bool,
    },
    /// Done; how many it concerned.
    Done(u64),
    /// Not done, and why.
    Refused(#[serde(deserialize_with = "bounded::text::<1024, _>")] String),
    /// A part of the penalties.
    Penalties {
        /// The rows.
        #[serde(deserialize_with = "bounded::list::<4096, _, _>")]
        rows: Vec<PenaltyRow>,
        /// Whether another message follows.
        more: bool,
    },
    /// A part of the processes.
    Processes {
        /// The rows.
        #[serde(deserialize_with = "bounded::list::<4096, _, _>")]
        rows: Vec<ProcessRow>,
        /// Whether another message follows.
        more: bool,
    },
    /// The configuration was read again; these keys have changed and need a restart.
    Reloaded(#[serde(deserialize_with = "bounded::list::<256, _, _>")] Vec<String>),
}

impl Message for Answer {
    const MAX_BYTES: usize = 64 * 1024;
}

/// Counters and state of the server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Status {
    /// Version of the server.
    #[serde(deserialize_with = "bounded::text::<1024, _>")]
    pub version: String,
    /// Process id of the supervisor.
    pub pid: u32,
    /// How long it has been running.
    pub uptime: Duration,
    /// Where it listens.
    #[serde(deserialize_with = "bounded::list::<64, _, _>")]
    pub listening: Vec<String>,
    /// Whether it accepts clients.
    pub draining: bool,
    /// Connections now, in all phases.
    pub connections: u64,
    /// Sessions now (after login).
    pub sessions: u64,
    /// Ready gates in the pool.
    pub ready_gates: u64,
    /// Connections since the start.
    pub connections_total: u64,
    /// Connections answered with 421 since the start.
    pub refused_total: u64,
    /// Logins since the start.
    pub logins_total: u64,
    /// Failed logins since the start.
    pub failed_logins_total: u64,
    /// Processes that ended by violation or crash since the start.
    pub violations_total: u64,
    /// Bytes sent to clients since the start, in transfers that ended.
    pub bytes_downloaded: u64,
    /// Bytes received from clients since the start.
    pub bytes_uploaded: u64,
    /// The sandbox layers: one line each.
    #[serde(deserialize_with = "bounded::list::<64, _, _>")]
    pub layers: Vec<String>,
    /// Lines of the log that were lost because nobody read it, or it had no room.
    pub log_lines_lost: u64,
    /// The certificates that new connections are served with, the default first.
    pub certificates: Vec<CertificateRow>,
}

/// A certificate that is served.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CertificateRow {
    /// Its file.
    pub file: String,
    /// Its DNS names and addresses.
    pub names: Vec<String>,
    /// Begin of its validity, as RFC 3339.
    pub not_before: String,
    /// End of its validity, as RFC 3339.
    pub not_after: String,
    /// Whole days until the end; negative when it is over.
    pub days_left: i64,
    /// What is wrong with its validity, or will be within 30 days.
    pub warning: Option<String>,
}

/// A row of the session table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionRow {
    /// Its number.
    pub session: SessionId,
    /// The client.
    pub client: SocketAddr,
    /// `gate` before login, `session` after.
    #[serde(deserialize_with = "bounded::text::<1024, _>")]
    pub stage: String,
    /// The account, after login.
    #[serde(deserialize_with = "bounded::optional_text::<1024, _>")]
    pub account: Option<String>,
    /// Process id of the process that serves it.
    pub pid: u32,
    /// How long it has been connected.
    pub connected: Duration,
    /// Whether the control connection is TLS.
    pub tls: bool,
    /// Bytes sent and received in transfers that ended.
    pub downloaded: u64,
    /// As `downloaded`.
    pub uploaded: u64,
    /// The last transfer or operation.
    #[serde(deserialize_with = "bounded::text::<1024, _>")]
    pub last: String,
}

/// A row of the penalties.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PenaltyRow {
    /// The address block.
    #[serde(deserialize_with = "bounded::text::<1024, _>")]
    pub block: String,
    /// Seconds until it expires.
    pub seconds: u64,
    /// Whether it is above the floor, and so in force.
    pub in_force: bool,
    /// The causes, the last first.
    #[serde(deserialize_with = "bounded::text::<1024, _>")]
    pub causes: String,
}

/// A process of the server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessRow {
    /// Its role.
    #[serde(deserialize_with = "bounded::text::<1024, _>")]
    pub role: String,
    /// Its process id.
    pub pid: u32,
    /// The session it belongs to.
    pub session: Option<SessionId>,
    /// The uid and gid it must have.
    pub identity: Option<(u32, u32)>,
    /// What it said it has raised.
    pub report: Option<SandboxReport>,
    /// Policy features in force for it.
    #[serde(deserialize_with = "bounded::list::<64, _, _>")]
    pub features: Vec<String>,
}
