//! From exec to `Ready`, in a fixed order.

use std::net::{IpAddr, Ipv4Addr};

use ipc::{
    Channel, ChannelError, fdpass,
    helper::{HelperToSupervisor, SupervisorToHelper},
    last_words,
};
use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags},
};
use policy::{Features, Role};

use crate::{data_connection, dispatch::Helper, ports::FTP_DATA};

/// Why the helper ends.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The supervisor has closed the channel: the server is going down.
    #[error("the supervisor is gone")]
    SupervisorGone,
    /// The helper cannot go on.
    #[error("{0}")]
    Failed(String),
}

impl From<ChannelError> for Ended {
    fn from(error: ChannelError) -> Ended {
        match error {
            ChannelError::Closed => Ended::SupervisorGone,
            other => Ended::Failed(format!("the supervisor's channel: {other}")),
        }
    }
}

impl From<Errno> for Ended {
    fn from(errno: Errno) -> Ended {
        Ended::Failed(format!("epoll: {errno}"))
    }
}

/// Everything the helper does, until the supervisor closes its channel.
///
/// # Errors
/// Always ends with one; [`Ended::SupervisorGone`] is the orderly one.
pub fn run() -> Result<(), Ended> {
    let io = |e: std::io::Error| Ended::Failed(e.to_string());
    fdpass::close_from(3).map_err(io)?;
    last_words::install(0).map_err(io)?;
    let supervisor: Channel<HelperToSupervisor, SupervisorToHelper> =
        Channel::from_fd(fdpass::inherited_channel().map_err(io)?);
    let (confinement, from_port_20) = match supervisor.recv()?.message {
        SupervisorToHelper::Boot { confinement, from_port_20 } => (confinement, from_port_20),
        SupervisorToHelper::Listen { .. }
        | SupervisorToHelper::Attach { .. }
        | SupervisorToHelper::Detach { .. }
        | SupervisorToHelper::Ping => {
            return Err(Ended::Failed("the first message was not Boot".into()));
        }
    };
    // The policy does not allow epoll_create: one is enough, and it exists before.
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let locked_down = match policy::lockdown(Role::Helper, &confinement, Features::default(), None)
    {
        Ok(locked_down) => locked_down,
        Err(failure) => {
            let text = format!("{}: {}", failure.layer, failure.reason);
            supervisor.send(&HelperToSupervisor::Failed(failure), &[])?;
            return Err(Ended::Failed(text));
        }
    };
    let low_ports = can_bind_low_ports();
    let report = locked_down.report().clone();
    supervisor.send(&HelperToSupervisor::Ready { report, low_ports }, &[])?;
    Helper::new(&locked_down, supervisor, epoll, from_port_20 && low_ports)?.serve()
}

/// Tries it, because the capability, a sysctl (net.ipv4.ip_unprivileged_port_start) or a network
/// namespace may allow it.
fn can_bind_low_ports() -> bool {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    match data_connection::bound_socket(loopback, FTP_DATA) {
        Ok(_) | Err(Errno::EADDRINUSE) => true,
        Err(_) => false,
    }
}
