//! Addresses, ports and limits.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs},
    path::Path,
};

use ipc::account::TlsDemand;
use nix::sys::resource::{Resource, getrlimit};

use super::{
    super::operator::{self, OperatorError},
    Findings, Severity,
};

/// Descriptors the supervisor needs for one connection: control connection, channels, pidfds.
const DESCRIPTORS_EACH: u64 = 4;

/// Checks them.
pub fn check(findings: &mut Findings<'_>) {
    listeners(findings);
    passive(findings);
    plain_passwords(findings);
    let config = findings.config;
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let needed = config.maximum_clients.saturating_mul(DESCRIPTORS_EACH);
        if needed > hard {
            findings.key(
                Severity::Warning,
                ".maximum_clients",
                format!("{needed} descriptors may be needed and {hard} are allowed"),
                "raise LimitNOFILE of the service (`ulimit -Hn`), or lower `maximum_clients`",
            );
        }
    }
}

/// The ports the server listens on, with the key each comes from.
fn ports(findings: &Findings<'_>) -> Vec<(&'static str, u16)> {
    let config = findings.config;
    let mut ports = vec![(".listen_port", config.listen_port)];
    ports.extend(
        config.tls.as_ref().and_then(|tls| tls.implicit_port).map(|p| ("tls.implicit_port", p)),
    );
    if let Some(i2ftp) = &config.i2ftp {
        ports.extend(i2ftp.listen_port.map(|port| ("i2ftp.listen_port", port)));
        ports.extend(i2ftp.tls_port.map(|port| ("i2ftp.tls_port", port)));
    }
    ports
}

/// The server that runs already, of which this may be the configuration: that it holds its ports is
/// as it should be.
enum Running {
    /// Nobody answers at the control socket.
    No,
    /// It answers and does not say where it listens: not to this user.
    Silent,
    /// Where it listens.
    At(Vec<String>),
}

impl Running {
    fn look(control_socket: &Path) -> Running {
        match operator::open(control_socket) {
            Err(OperatorError::NotAllowed(_)) => Running::Silent,
            Err(_) => Running::No,
            Ok(channel) => operator::server_status(&channel)
                .map_or(Running::Silent, |status| Running::At(status.listening)),
        }
    }

    fn may_hold(&self, place: SocketAddr) -> bool {
        match self {
            Running::No => false,
            Running::Silent => true,
            // An address of systemd's socket unit covers the single addresses of the configuration.
            Running::At(all) => {
                all.iter().filter_map(|one| one.parse().ok()).any(|one: SocketAddr| {
                    one.port() == place.port()
                        && (one.ip() == place.ip() || one.ip().is_unspecified())
                })
            }
        }
    }
}

fn listeners(findings: &mut Findings<'_>) {
    let ports = ports(findings);
    let running = Running::look(&findings.config.control_socket);
    for (index, (key, port)) in ports.iter().enumerate() {
        if *port != 0 && ports.iter().take(index).any(|(_, other)| other == port) {
            findings.key(
                Severity::Error,
                key,
                format!("port {port} is used twice"),
                "give each service a port of its own",
            );
        }
        for address in findings.config.listen_addresses.clone() {
            let place = SocketAddr::new(address, *port);
            if let Err(e) = TcpListener::bind(place)
                && !(e.kind() == io::ErrorKind::AddrInUse && running.may_hold(place))
            {
                findings.key(
                    Severity::Error,
                    key,
                    format!("nothing can listen on {address} port {port}: {e}"),
                    "stop what listens there (`ss -ltnp`), name an address of this host, or a port \
                     of 1024 and above when not running as root",
                );
            }
        }
    }
}

fn passive(findings: &mut Findings<'_>) {
    let config = findings.config;
    let (first, last) = config.passive.ports;
    if first > 0 {
        for (key, port) in ports(findings) {
            if (first..=last).contains(&port) {
                findings.key(
                    Severity::Error,
                    key,
                    format!("port {port} lies in the range of passive data connections"),
                    "move the port, or `ports` below [passive]",
                );
            }
        }
        let count = u64::from(last.saturating_sub(first)).saturating_add(1);
        // The defaults say nothing of themselves.
        let chosen = config.is_set("passive.ports") || config.is_set(".maximum_clients");
        if !chosen {
            // Nothing more to say of the range.
        } else if config.maximum_clients == 0 || count < config.maximum_clients {
            findings.key(
                Severity::Note,
                "passive.ports",
                format!("{count} passive ports for more clients than that"),
                "widen the range if clients are told that no port is free",
            );
        }
    }
    for passive in &config.passive.addresses {
        let resolved = (passive.host.as_str(), 0).to_socket_addrs();
        let any_ipv4 = resolved.map(|mut all| all.any(|one| one.is_ipv4()));
        let what = match any_ipv4 {
            Ok(true) => continue,
            Ok(false) => format!("{} has no IPv4 address, which PASV needs", passive.host),
            Err(e) => format!("{} cannot be resolved: {e}", passive.host),
        };
        findings.key(
            Severity::Error,
            "passive.address",
            what,
            "write the address clients reach this host by",
        );
    }
}

fn plain_passwords(findings: &mut Findings<'_>) {
    let config = findings.config;
    let local = |address: &IpAddr| address.is_loopback();
    if config.listen_addresses.iter().all(local) {
        return;
    }
    match &config.tls {
        None => findings.key(
            Severity::Warning,
            ".listen_address",
            "passwords and files cross the network in the clear: there is no certificate",
            "add `certificate`, `private_key` and `require = \"control+data\"` below [tls]",
        ),
        Some(tls) if tls.require == TlsDemand::None => findings.key(
            Severity::Warning,
            "tls.require",
            "clients may send passwords in the clear",
            "write `require = \"control+data\"` below [tls] once every client can do TLS",
        ),
        Some(_) => {}
    }
    if config.i2ftp.as_ref().is_some_and(|i2ftp| i2ftp.listen_port.is_some()) {
        findings.key(
            Severity::Warning,
            "i2ftp.enabled",
            "I2FTP without TLS encrypts nothing; its secured mode is obfuscation",
            "set `tls_port` and `plain = false` below [i2ftp] where the clients can do it",
        );
    }
}
