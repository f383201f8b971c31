//! The sockets on which the supervisor accepts clients: asked for by the supervisor, when the server
//! starts.

use std::{
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{Backlog, SockaddrStorage, bind, listen, setsockopt, sockopt},
};

use crate::data_connection::tcp_socket;

/// Takes a burst of connects; the kernel's own limit (somaxconn) may be lower.
const BACKLOG: i32 = 1024;

/// Binds and listens; a `::` takes no client of IPv4, so that a listener for these may stand beside
/// it.
///
/// # Errors
/// As socket(2), bind(2) and listen(2).
pub fn open(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = tcp_socket(address.ip())?;
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn listeners_of_both_families_share_a_port() {
        let v6 = TcpListener::from(open("[::]:0".parse().unwrap()).unwrap());
        let port = v6.local_addr().unwrap().port();
        let v4 = TcpListener::from(open(SocketAddr::from(([0, 0, 0, 0], port))).unwrap());
        assert_eq!(v4.local_addr().unwrap().port(), port);
    }

    #[test]
    fn a_taken_port_is_an_error() {
        let first = TcpListener::from(open("127.0.0.1:0".parse().unwrap()).unwrap());
        assert_eq!(open(first.local_addr().unwrap()).unwrap_err(), Errno::EADDRINUSE);
    }
}
