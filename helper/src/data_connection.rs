//! The sockets of data connections: bound listeners and connections under way.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use ipc::{helper::Refusal, packet_filter};
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, connect,
        getsockopt, listen, setsockopt, socket, sockopt,
    },
};

use crate::ports::{FTP_DATA, RandomOrder};

/// Connections the kernel keeps for a listener, all of them of one client: a few more than the one
/// that is wanted, for clients that connect anew before they close.
const BACKLOG: i32 = 16;

/// The first port that no privilege is needed for.
const FIRST_UNPRIVILEGED: u16 = 1024;

/// A listener that only its session's client reaches.
#[derive(Debug)]
pub struct Listener {
    /// What the session gets.
    pub socket: OwnedFd,
    /// Its port.
    pub port: u16,
    /// The listener of the same port to which the kernel gives everybody else, where it lets no
    /// filter on the session's own. It must stay open as long as the session may have `socket`.
    pub wall: Option<OwnedFd>,
}

/// Binds and listens on a random free port of `range` on `local`, for `client` alone: the kernel
/// drops the packets of everybody else, and whoever gets the listener cannot change that (invariant
/// I6).
///
/// # Errors
/// [`Refusal::NoFreePort`] when all are taken; otherwise what the kernel says.
pub fn listener(local: IpAddr, client: IpAddr, range: (u16, u16)) -> Result<Listener, Refusal> {
    let mut random = [0; 8];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| Refusal::Exhausted(e.raw_os_error()))?;
    for port in RandomOrder::new(range, random) {
        // A port with a listener of somebody else answers EADDRINUSE to bind, one that is bound
        // but does not listen yet only to listen.
        match listen_to(local, client, port) {
            Err(Errno::EADDRINUSE) => {}
            other => return other.map_err(refusal),
        }
    }
    Err(Refusal::NoFreePort)
}

/// Listens on a port, to one client. Everything is attached before listen(2): no stranger's packet is
/// ever queued.
fn listen_to(local: IpAddr, client: IpAddr, port: u16) -> Result<Listener, Errno> {
    let socket = bound_socket(local, port)?;
    match packet_filter::admit_only(socket.as_fd(), client).map_err(errno) {
        Ok(()) => {
            listen(&socket, Backlog::new(BACKLOG)?)?;
            Ok(Listener { socket, port, wall: None })
        }
        Err(Errno::EPERM) => listen_behind(socket, local, client, port),
        Err(errno) => Err(errno),
    }
}

/// The same where the kernel puts no filter on a TCP socket for an unprivileged process: `wall` is
/// bound to the port and listens first, and takes nobody.
fn listen_behind(
    wall: OwnedFd,
    local: IpAddr,
    client: IpAddr,
    port: u16,
) -> Result<Listener, Errno> {
    packet_filter::share_port(wall.as_fd()).map_err(errno)?;
    packet_filter::steer(wall.as_fd(), client).map_err(errno)?;
    packet_filter::take_nobody(wall.as_fd(), local.is_ipv4()).map_err(errno)?;
    packet_filter::lock(wall.as_fd()).map_err(errno)?;
    listen(&wall, Backlog::new(0)?)?;
    let socket = tcp_socket(local)?;
    packet_filter::share_port(socket.as_fd()).map_err(errno)?;
    packet_filter::lock(socket.as_fd()).map_err(errno)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(local, port)))?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(Listener { socket, port, wall: Some(wall) })
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

/// A non-blocking TCP socket bound to a port of a local address; port 0 means any.
///
/// # Errors
/// As socket(2) and bind(2).
pub fn bound_socket(local: IpAddr, port: u16) -> Result<OwnedFd, Errno> {
    let socket = tcp_socket(local)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(local, port)))?;
    Ok(socket)
}

/// A non-blocking TCP socket of the address's family, not bound yet.
///
/// # Errors
/// As socket(2).
pub fn tcp_socket(local: IpAddr) -> Result<OwnedFd, Errno> {
    let family = if local.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, SockProtocol::Tcp)?;
    // The last connection of a port waits a minute in TIME_WAIT and must not hold the port.
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    Ok(socket)
}

/// Whether a session whose client is `client` may connect to `to` (invariant I6, RFC 2577 section 3).
///
/// # Errors
/// The refusal that the session is told.
pub fn check_target(client: IpAddr, to: SocketAddr) -> Result<SocketAddr, Refusal> {
    if to.ip().to_canonical() != client.to_canonical() {
        return Err(Refusal::ForeignAddress);
    }
    if to.port() < FIRST_UNPRIVILEGED {
        return Err(Refusal::PrivilegedPort);
    }
    // The address of the supervisor, not the equal one of the session: flow label and scope of an
    // IPv6 address are the session's words too.
    Ok(SocketAddr::new(client, to.port()))
}

/// Starts to connect from `local` to `to`. The connection is up or has failed when the socket
/// becomes writable; [`outcome`] tells which.
///
/// # Errors
/// What the kernel says at once.
pub fn connecting(local: IpAddr, to: SocketAddr, from_port_20: bool) -> Result<OwnedFd, Refusal> {
    if from_port_20 {
        match start_connect(local, FTP_DATA, to) {
            // Another connection from port 20 to this very address is still in TIME_WAIT, or
            // somebody holds the port: the client is better served from another one.
            Err(Errno::EADDRNOTAVAIL | Errno::EADDRINUSE | Errno::EACCES) => {}
            other => return other.map_err(refusal),
        }
    }
    start_connect(local, 0, to).map_err(refusal)
}

fn start_connect(local: IpAddr, port: u16, to: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = bound_socket(local, port)?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

/// What became of a connection whose socket is writable.
///
/// # Errors
/// Why it is not up.
pub fn outcome(socket: &OwnedFd) -> Result<(), Refusal> {
    match getsockopt(socket, sockopt::SocketError) {
        Ok(0) => Ok(()),
        Ok(errno) => Err(refusal(Errno::from_raw(errno))),
        Err(errno) => Err(refusal(errno)),
    }
}

fn refusal(errno: Errno) -> Refusal {
    match errno {
        Errno::ECONNREFUSED => Refusal::ConnectionRefused,
        Errno::ETIMEDOUT => Refusal::TimedOut,
        Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS | Errno::ETOOMANYREFS => {
            Refusal::Exhausted(errno as i32)
        }
        other => Refusal::Network(other as i32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn target(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_the_clients_own_address_is_a_target() {
        let client = ip("192.0.2.7");
        assert!(check_target(client, target("192.0.2.7:5000")).is_ok());
        for foreign in ["192.0.2.8:5000", "127.0.0.1:5000", "[::1]:5000", "0.0.0.0:5000"] {
            assert_eq!(check_target(client, target(foreign)), Err(Refusal::ForeignAddress));
        }
    }

    #[test]
    fn an_ipv4_client_of_an_ipv6_socket_is_the_same_client() {
        assert!(check_target(ip("::ffff:192.0.2.7"), target("192.0.2.7:5000")).is_ok());
        assert!(check_target(ip("192.0.2.7"), target("[::ffff:192.0.2.7]:5000")).is_ok());
    }

    #[test]
    fn privileged_ports_are_no_target() {
        let client = ip("2001:db8::1");
        assert!(check_target(client, target("[2001:db8::1]:1024")).is_ok());
        for port in ["1023", "22", "0"] {
            let to = target(&format!("[2001:db8::1]:{port}"));
            assert_eq!(check_target(client, to), Err(Refusal::PrivilegedPort));
        }
    }

    #[test]
    fn scope_and_flow_of_the_session_are_not_used() {
        let client = ip("fe80::1");
        let said =
            SocketAddr::V6(std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 5000, 7, 9));
        assert_eq!(check_target(client, said), Ok(SocketAddr::new(client, 5000)));
    }
}
