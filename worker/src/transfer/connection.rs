//! The data connection, plain or protected.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{event::PollFlags, io::Errno};

use crate::files::Moved;

/// A data connection. It never blocks.
#[derive(Debug)]
pub enum DataConnection {
    /// TCP without TLS.
    Plain(OwnedFd),
}

impl DataConnection {
    /// Goes on with the handshake. [`Moved::End`]: there is nothing (more) to agree on.
    pub fn handshake(&mut self) -> Moved {
        match self {
            DataConnection::Plain(_) => Moved::End,
        }
    }

    /// Writes some of the bytes. [`Moved::Bytes`] says how many it took.
    pub fn write(&mut self, bytes: &[u8]) -> Moved {
        match self {
            DataConnection::Plain(fd) => moved(rustix::io::write(&*fd, bytes)),
        }
    }

    /// Reads what is there. [`Moved::End`]: the client has sent everything.
    pub fn read(&mut self, buffer: &mut [u8]) -> Moved {
        match self {
            DataConnection::Plain(fd) => moved(rustix::io::read(&*fd, buffer)),
        }
    }

    /// Says that everything was sent. [`Moved::End`]: said.
    pub fn finish(&mut self) -> Moved {
        match self {
            // Closing a TCP connection says it.
            DataConnection::Plain(_) => Moved::End,
        }
    }

    /// The socket, if the kernel may move bytes between it and a file.
    pub fn as_plain(&self) -> Option<BorrowedFd<'_>> {
        match self {
            DataConnection::Plain(fd) => Some(fd.as_fd()),
        }
    }

    /// What to poll for when `handshake`, `write`, `read` or `finish` would block, where `plain` is
    /// what a socket without a layer would wait for.
    pub fn interest(&self, plain: PollFlags) -> PollFlags {
        match self {
            DataConnection::Plain(_) => plain,
        }
    }

    /// Whether it is protected.
    pub fn is_tls(&self) -> bool {
        match self {
            DataConnection::Plain(_) => false,
        }
    }

    /// Closes it with a reset, so that the client does not take what it has for all there is.
    pub fn reset(self) {
        let fd = match &self {
            DataConnection::Plain(fd) => fd.as_fd(),
        };
        // If it fails, the client sees an orderly end, and the reply says what it was.
        rustix::net::sockopt::set_socket_linger(fd, Some(std::time::Duration::ZERO)).ok();
    }
}

impl AsFd for DataConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            DataConnection::Plain(fd) => fd.as_fd(),
        }
    }
}

/// Sorts what a socket call answered. Whatever went wrong, the connection is gone.
fn moved(result: Result<usize, Errno>) -> Moved {
    match result {
        Ok(0) => Moved::End,
        Ok(bytes) => Moved::Bytes(bytes),
        Err(Errno::AGAIN | Errno::INTR) => Moved::WouldBlock,
        Err(_) => Moved::Gone,
    }
}
