//! What the helper knows of one session. Nothing in it but `request` and `listener` changes after
//! Attach: no word of the session reaches the rest.

use std::{net::IpAddr, os::fd::OwnedFd, time::Instant};

use ipc::{
    Channel,
    account::SessionId,
    helper::{HelperToSession, SessionToHelper},
};

use crate::data_connection::Listener;

/// A session that may ask for data connections.
pub struct Attachment {
    /// Its number, for the supervisor.
    pub session: SessionId,
    /// The client, as the supervisor accepted it, in canonical form.
    pub client: IpAddr,
    /// Where listeners are bound and connections come from, in canonical form.
    pub local: IpAddr,
    /// Ports of listeners.
    pub ports: (u16, u16),
    /// Seconds a connection may take to come up; 0 = as long as the kernel tries.
    pub connect_timeout: u64,
    /// The helper's end.
    pub channel: Channel<HelperToSession, SessionToHelper>,
    /// The session's only listener. It is kept so that a session that asks again gets the same one:
    /// a session that has been taken over cannot use up the passive range.
    pub listener: Option<Listener>,
    /// The connection under way.
    pub connect: Option<Connect>,
}

/// A connection that is under way.
pub struct Connect {
    /// Its socket.
    pub socket: OwnedFd,
    /// When it is given up.
    pub deadline: Option<Instant>,
}
