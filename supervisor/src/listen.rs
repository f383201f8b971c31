//! The listening sockets, which the helper or systemd opens, and the accept loop.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

use ipc::gate::Service;
use rustix::net::{SendFlags, SocketFlags, acceptfrom_with, getsockname, sockopt};
use tokio::io::unix::AsyncFd;

use crate::{
    census::Full,
    connection::{self, Client},
    helper::HelperLink,
    penalties::Judgement,
    server::{Phase, Server},
    wire::on_event_loop,
};

/// Pause when descriptors or memory have run out.
const PAUSE_WHEN_EXHAUSTED: Duration = Duration::from_millis(100);

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: OwnedFd,
    /// Where it listens.
    pub address: SocketAddr,
    /// What clients speak on it.
    pub service: Service,
}

/// Lets the helper open a listening socket. What it opened is looked at: it has to be where it
/// should.
///
/// # Errors
/// A sentence that names the address and what to do.
pub async fn open(
    helper: &HelperLink,
    address: SocketAddr,
    service: Service,
) -> Result<Listener, String> {
    let refused = |e: io::Error| format!("cannot listen on {address}: {e}; {}", advice(&e));
    let socket = helper.listen(address).await.map_err(refused)?;
    let there = take_over(&socket).map_err(refused)?;
    if there.ip() != address.ip() || ![0, there.port()].contains(&address.port()) {
        return Err(format!("cannot listen on {address}: the helper listens on {there} instead"));
    }
    Ok(Listener { socket, address: there, service })
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another server uses this port; stop it, or change listen_port",
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root or CAP_NET_BIND_SERVICE; or change listen_port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this host does not have that address; change listen_address"
        }
        _ => "check listen_address and listen_port",
    }
}

/// Makes a socket that somebody else opened ready for [`accept_clients`], if it listens for TCP.
fn take_over(socket: &OwnedFd) -> io::Result<SocketAddr> {
    let address = SocketAddr::try_from(getsockname(socket)?)?;
    if !sockopt::socket_acceptconn(socket)? {
        return Err(io::ErrorKind::NotConnected.into());
    }
    prepare(socket)?;
    rustix::io::ioctl_fionbio(socket, true)?;
    Ok(address)
}

/// A silent control connection is probed after this time: shorter than what NATs forget.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// What is set here is inherited by every connection, at no cost for each: replies leave at once
/// (Nagle's algorithm would hold them back until the client acknowledges the one before), ABOR by
/// urgent data is read in line, and NATs and dead clients are noticed while a transfer runs.
fn prepare(socket: &OwnedFd) -> io::Result<()> {
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_oobinline(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    Ok(())
}

/// What clients speak on a socket of this name (`FileDescriptorName=` of a socket unit).
fn service_of(name: &str) -> Option<Service> {
    match name {
        // What systemd says, or nobody, where the unit does not say it.
        "ftp" | "bulkhead.socket" | "unknown" | "" => Some(Service::Ftp),
        "ftps" => Some(Service::FtpsImplicit),
        "i2ftp" => Some(Service::I2ftp),
        "i2ftps" => Some(Service::I2ftpTls),
        _ => None,
    }
}

/// Takes over the sockets that systemd listens on (bulkhead.socket); none when it listens on none.
///
/// # Errors
/// A sentence that names the socket and what to do.
pub fn adopt() -> Result<Vec<Listener>, String> {
    let passed = ipc::fdpass::take_passed()
        .map_err(|e| format!("the sockets that LISTEN_FDS promises are not there: {e}"))?;
    passed.into_iter().map(|(name, socket)| adopt_one(&name, socket)).collect()
}

fn adopt_one(name: &str, socket: OwnedFd) -> Result<Listener, String> {
    let service = service_of(name).ok_or_else(|| {
        format!(
            "a socket of systemd is named {name:?}; FileDescriptorName= must be ftp, ftps, i2ftp \
             or i2ftps"
        )
    })?;
    let address = take_over(&socket).map_err(|e| {
        format!(
            "a socket of systemd named {name:?} is no listening TCP socket: {e}; use ListenStream= \
             with a port, and Accept=no"
        )
    })?;
    Ok(Listener { socket, address, service })
}

/// Accepts clients until the server no longer serves.
pub async fn accept_clients(server: Rc<Server>, listener: Listener) {
    let Listener { socket, address, service } = listener;
    let socket = match on_event_loop(socket) {
        Ok(socket) => socket,
        Err(e) => {
            log_event!(ListenerFailed, %address, "{e}");
            return;
        }
    };
    while server.phase() == Phase::Serving {
        let ready = tokio::select! {
            ready = socket.readable() => ready,
            () = server.phase_change() => continue,
        };
        let Ok(mut ready) = ready else { return };
        match accept(&socket) {
            Ok((control, peer)) => admit(&server, control, peer, service),
            Err(e) => match judge(&e) {
                Trouble::NothingThere => ready.clear_ready(),
                Trouble::ThisOneIsGone => {}
                Trouble::Exhausted => {
                    log_event!(
                        AcceptFailed,
                        %address,
                        "{e}; accepting again when descriptors or memory are free"
                    );
                    tokio::time::sleep(PAUSE_WHEN_EXHAUSTED).await;
                }
            },
        }
    }
}

fn accept(socket: &AsyncFd<OwnedFd>) -> io::Result<(OwnedFd, SocketAddr)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (control, peer) = acceptfrom_with(socket.get_ref(), flags)?;
    let peer = peer.ok_or(io::ErrorKind::NotConnected)?;
    Ok((control, SocketAddr::try_from(peer)?))
}

/// What an error of accept(2) asks for.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// Wait for the next client.
    NothingThere,
    /// The client went away while it was queued; take the next one.
    ThisOneIsGone,
    /// Descriptors or memory have run out: wait a little, the client stays in the queue.
    Exhausted,
}

fn judge(error: &io::Error) -> Trouble {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::AGAIN) => Trouble::NothingThere,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Trouble::Exhausted,
        // accept(2): pending network errors of the new socket are reported here, to be treated
        // like EAGAIN and retried.
        _ => Trouble::ThisOneIsGone,
    }
}

/// Says in one constant line why a client that nothing was sent to yet is not served, where its
/// protocol has such a line.
pub fn refuse(control: &OwnedFd, service: Service, line: &str) {
    if service == Service::Ftp {
        // The line fits any fresh socket's buffer; a client that is gone needs none.
        rustix::net::send(control, line.as_bytes(), SendFlags::NOSIGNAL).ok();
    }
}

/// Counts a client and serves it, or says in one constant line why not.
fn admit(server: &Rc<Server>, control: OwnedFd, peer: SocketAddr, service: Service) {
    let address = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let config = server.config();
    server.counters.connection();
    let refusal = match (config.access.admits(address.ip()), server.penalty(address.ip())) {
        (false, _) => Some(("network", "421 Not from your address.\r\n")),
        (true, Judgement::Refused(_)) => {
            Some(("penalty", "421 Too many failures from your address.\r\n"))
        }
        (true, Judgement::Welcome) => None,
    };
    let place = match refusal {
        Some(refusal) => Err(refusal),
        None => server
            .census
            .admit(server.block(address.ip()), config.maximum_clients, config.max_conns_per_ip)
            .map_err(|full| match full {
                Full::Server => ("server-full", "421 Too many clients; try again later.\r\n"),
                Full::Address => {
                    ("address-full", "421 Too many connections from your address.\r\n")
                }
            }),
    };
    let place = match place {
        Ok(place) => place,
        Err((reason, line)) => {
            server.refused(address.ip(), reason);
            refuse(&control, service, line);
            return;
        }
    };
    let Ok(local) = getsockname(control.as_fd()).map_err(io::Error::from).and_then(|local| {
        let local = SocketAddr::try_from(local)?;
        Ok(SocketAddr::new(local.ip().to_canonical(), local.port()))
    }) else {
        return;
    };
    let client = Client { control, address, local, service, place };
    tokio::task::spawn_local(connection::serve(Rc::clone(server), client));
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn errors_of_accept_are_sorted_by_what_to_do() {
        let judged = |errno: Errno| judge(&io::Error::from(errno));
        assert_eq!(judged(Errno::AGAIN), Trouble::NothingThere);
        assert_eq!(judged(Errno::CONNABORTED), Trouble::ThisOneIsGone);
        assert_eq!(judged(Errno::NETUNREACH), Trouble::ThisOneIsGone);
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert_eq!(judged(errno), Trouble::Exhausted);
        }
    }

    #[test]
    fn only_listening_tcp_sockets_of_known_names_are_taken_over() {
        let listener = || OwnedFd::from(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        assert_eq!(adopt_one("ftps", listener()).unwrap().service, Service::FtpsImplicit);
        let error = adopt_one("http", listener()).unwrap_err();
        assert!(error.contains("\"http\"") && error.contains("ftps"), "{error}");
        let udp = OwnedFd::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        assert!(adopt_one("ftp", udp).unwrap_err().contains("no listening TCP socket"));
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(adopt_one("ftp", one.into()).unwrap_err().contains("no listening TCP socket"));
    }

    #[test]
    fn an_error_comes_with_what_to_do() {
        let advised = |errno: Errno| advice(&io::Error::from(errno));
        assert!(advised(Errno::ADDRINUSE).contains("another server uses this port"));
        assert!(advised(Errno::ACCESS).contains("CAP_NET_BIND_SERVICE"));
        assert!(advised(Errno::ADDRNOTAVAIL).contains("change listen_address"));
    }
}
