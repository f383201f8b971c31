//! How a data connection comes up.

use std::{net::SocketAddr, os::fd::OwnedFd, time::Instant};

use rustix::{
    io::Errno,
    net::{SocketFlags, acceptfrom_with},
};

use super::{Outcome, Stage, Transfer, ended};
use crate::{
    Fatal,
    files::{Call, FileError},
    ftp::reply::Reply,
    session::{DataWay, Session},
};

/// Strays that are drained at a time before the control connection is looked at.
const MAX_STRAYS: usize = 64;

impl Session<'_> {
    /// Begins a transfer over the data connection that was announced. Whatever becomes of it, the
    /// announcement is used up. Answers the reply when there is no connection to have.
    pub(crate) fn begin_transfer(
        &mut self,
        mut transfer: Transfer,
    ) -> Result<Option<Reply>, Fatal> {
        let way = std::mem::replace(&mut self.way, DataWay::None);
        if let Some(refusal) = self.unprotected() {
            return Ok(Some(refusal));
        }
        self.prepare_protection()?;
        transfer.stage = match way {
            DataWay::None => return Ok(Some(Reply::NO_DATA_CONNECTION)),
            DataWay::Passive => Stage::Accepting,
            DataWay::Active(to) => match self.ask_connect(to)? {
                Ok(()) => Stage::Connecting,
                Err(none) => return Ok(Some(ended(&Outcome::NoConnection(none), b""))),
            },
        };
        self.transfer = Some(transfer);
        Ok(None)
    }

    /// Whether a data connection was announced. Looked at before files are touched.
    ///
    /// # Errors
    /// The reply that says what is missing.
    pub(crate) fn announced_data_way(&self) -> Result<(), Reply> {
        if self.way == DataWay::None {
            return Err(Reply::NO_DATA_CONNECTION);
        }
        self.unprotected().map_or(Ok(()), Err)
    }

    /// The client's connection, if it is there. Connections from anybody else are drained: one
    /// stranger must not lock the client out.
    pub(super) fn accept_client(&mut self) -> Result<Option<OwnedFd>, Outcome> {
        let Some(listener) = &self.listener else { return Err(Outcome::NotConnected) };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        for _ in 0..MAX_STRAYS {
            match acceptfrom_with(&listener.fd, flags) {
                Ok((fd, from)) => {
                    let from = from.and_then(|from| SocketAddr::try_from(from).ok());
                    if from.is_some_and(|from| same_host(from, self.client)) {
                        return Ok(Some(fd));
                    }
                }
                Err(Errno::AGAIN) => return Ok(None),
                // The client gave up while it waited, or the network hiccuped (accept(2)).
                Err(
                    Errno::INTR
                    | Errno::CONNABORTED
                    | Errno::PROTO
                    | Errno::NETDOWN
                    | Errno::NETUNREACH
                    | Errno::HOSTDOWN
                    | Errno::HOSTUNREACH,
                ) => {}
                Err(errno) => return Err(Outcome::File(FileError::of(Call::Other, errno))),
            }
        }
        Ok(None)
    }

    /// Throws away connections that were made to an announcement which was never used.
    pub(crate) fn drain_listener(&mut self) {
        let Some(listener) = &mut self.listener else { return };
        listener.stale = false;
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        for _ in 0..MAX_STRAYS {
            match acceptfrom_with(&listener.fd, flags) {
                Ok(stray) => drop(stray),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(_) => return,
            }
        }
    }

    /// The moment by which the data connection must be up.
    pub(super) fn connection_deadline(&self, since: Instant, passive: bool) -> Option<Instant> {
        let limit = if passive { self.limits.accept_timeout } else { self.limits.connect_timeout };
        crate::rate::deadline(since, limit)
    }
}

/// Whether two addresses are one host, however IPv4 is written.
fn same_host(one: SocketAddr, other: SocketAddr) -> bool {
    one.ip().to_canonical() == other.ip().to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_the_same_in_both_notations_and_on_any_port() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:1".parse().unwrap();
        let plain: SocketAddr = "192.0.2.1:2".parse().unwrap();
        assert!(same_host(mapped, plain));
        assert!(!same_host(plain, "192.0.2.2:2".parse().unwrap()));
    }
}
