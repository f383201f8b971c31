//! The helper: makes the data connections of every session, and the sockets on which the supervisor
//! accepts clients. It is the one process that needs the host's network.
//!
//! Started by the supervisor, or by systemd at its socket, under a uid of its own, with
//! CAP_NET_BIND_SERVICE as its only capability. It reads messages of the supervisor, which it trusts,
//! and of sessions, which it does not: a session may have been taken over by its client. It never
//! reads a byte from the network, and it connects to nobody but the client that the supervisor named
//! (invariant I6).
#![forbid(unsafe_code)]

mod attachment;
mod control_listener;
mod data_connection;
mod dispatch;
mod ports;
mod start;

use ipc::last_words;

fn main() {
    let status = match start::run() {
        Ok(()) => 0,
        Err(start::Ended::SupervisorGone) => 0,
        // Without a channel there is nobody to tell; the supervisor reads the exit status.
        Err(start::Ended::Failed(_)) => 1,
    };
    last_words::leave(status)
}
