//! The channels of the helper: supervisor ↔ helper, and one for each session.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
};

use serde::{Deserialize, Serialize};

use crate::{
    account::SessionId,
    bounded,
    channel::Message,
    process::{Confinement, LockdownFailure, SandboxReport},
};

/// Version of the bytes of this channel: raised when those of a message change, not when one is added.
pub const EPOCH: u32 = 1;

/// Supervisor → helper.
#[derive(Debug, Serialize, Deserialize)]
pub enum SupervisorToHelper {
    /// First message.
    Boot {
        /// How to lock down.
        confinement: Confinement,
        /// Whether active connections come from port 20 (needs CAP_NET_BIND_SERVICE).
        from_port_20: bool,
    },
    /// Bind and listen for clients: the supervisor may have neither the privilege nor the network
    /// for it. Comes before the first Attach only. Answer: `Listening` or `NotListening`.
    Listen {
        /// Where; port 0 means any.
        address: SocketAddr,
    },
    /// A session may ask for data connections on the channel that comes with this message.
    /// One descriptor: the helper's end of the [`SessionToHelper`] channel.
    Attach {
        /// The session, for Detach and events.
        session: SessionId,
        /// The client's address as the supervisor accepted it: the only peer of any connection.
        client: IpAddr,
        /// The address the control connection came in on: where listeners are bound.
        local: IpAddr,
        /// Ports of passive listeners.
        ports: (u16, u16),
        /// Seconds an active connection may take to come up.
        connect_timeout: u64,
    },
    /// The session has ended: close everything that belongs to it.
    Detach {
        /// The session.
        session: SessionId,
    },
    /// Is the helper still serving? Answer: `Pong`.
    Ping,
}

impl Message for SupervisorToHelper {
    const MAX_BYTES: usize = 1024;
    fn descriptors(&self) -> RangeInclusive<usize> {
        match self {
            SupervisorToHelper::Attach { .. } => 1..=1,
            SupervisorToHelper::Boot { .. }
            | SupervisorToHelper::Listen { .. }
            | SupervisorToHelper::Detach { .. }
            | SupervisorToHelper::Ping => 0..=0,
        }
    }
}

/// Helper → supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub enum HelperToSupervisor {
    /// The sandbox is up; the helper serves.
    Ready {
        /// What was raised.
        report: SandboxReport,
        /// Whether it can bind ports below 1024 (and so port 20).
        low_ports: bool,
    },
    /// It is not, and the helper ends.
    Failed(LockdownFailure),
    /// One descriptor: the socket that listens for clients.
    Listening,
    /// It cannot listen there.
    NotListening {
        /// Why, as socket(2), bind(2) or listen(2) says.
        errno: i32,
    },
    /// A session broke the rules of its channel; the helper has closed it.
    Violation {
        /// The session.
        session: SessionId,
        /// What it did. For the log.
        #[serde(deserialize_with = "bounded::text::<1024, _>")]
        what: String,
    },
    /// The answer to `Ping`.
    Pong,
}

impl Message for HelperToSupervisor {
    const MAX_BYTES: usize = 4096;
    fn descriptors(&self) -> RangeInclusive<usize> {
        match self {
            HelperToSupervisor::Listening => 1..=1,
            HelperToSupervisor::Ready { .. }
            | HelperToSupervisor::Failed(_)
            | HelperToSupervisor::NotListening { .. }
            | HelperToSupervisor::Violation { .. }
            | HelperToSupervisor::Pong => 0..=0,
        }
    }
}

/// Session → helper. One request at a time; each has one answer.
#[derive(Debug, Serialize, Deserialize)]
pub enum SessionToHelper {
    /// Bind and listen on a random free port of the range, on the session's local address.
    /// Answer: `Listening` or `Refused`.
    Listen,
    /// Connect to the client. The helper refuses any address but the client's own and ports below
    /// 1024 (RFC 2577 section 3). Answer: `Connected` or `Refused`.
    Connect {
        /// The address as the client gave it in PORT or EPRT.
        to: SocketAddr,
    },
    /// Give up the Connect that is under way (ABOR, time-out). Answer: `Refused(Cancelled)`, unless
    /// the connection's answer was already on its way.
    Cancel,
}

impl Message for SessionToHelper {
    const MAX_BYTES: usize = 64;
}

/// Helper → session.
#[derive(Debug, Serialize, Deserialize)]
pub enum HelperToSession {
    /// One descriptor: the listening socket, non-blocking.
    Listening {
        /// Its port.
        port: u16,
    },
    /// One descriptor: the connected socket, non-blocking.
    Connected,
    /// No connection, and why.
    Refused(Refusal),
}

impl Message for HelperToSession {
    const MAX_BYTES: usize = 64;
    fn descriptors(&self) -> RangeInclusive<usize> {
        match self {
            HelperToSession::Listening { .. } | HelperToSession::Connected => 1..=1,
            HelperToSession::Refused(_) => 0..=0,
        }
    }
}

/// Why the helper made no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The address is not the client's own.
    #[error("the address is not the address of the client")]
    ForeignAddress,
    /// The port is below 1024.
    #[error("ports below 1024 are not connected to")]
    PrivilegedPort,
    /// Every port of the range is taken.
    #[error("no port of the passive range is free")]
    NoFreePort,
    /// The client's host refused.
    #[error("the client refused the connection")]
    ConnectionRefused,
    /// The client's host did not answer in time.
    #[error("the client did not answer in time")]
    TimedOut,
    /// No route, or another failure of the network.
    #[error("the network failed with errno {0}")]
    Network(i32),
    /// The session gave it up.
    #[error("given up")]
    Cancelled,
    /// The server's own limit of descriptors or memory.
    #[error("the helper has no resources left (errno {0})")]
    Exhausted(i32),
}
