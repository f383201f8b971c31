//! The gate: one client before its login.
//!
//! It holds the control connection and a channel to the supervisor, and can open, make or signal
//! nothing. It reads commands up to a login, passes names and passwords on, and ends with a
//! [`GateToSupervisor::Handover`] of everything the session needs.

mod keeper;
mod login;
pub(crate) mod secure;
mod serve;
mod wait;

use ipc::{
    Channel,
    gate::{GateSettings, GateToSupervisor, Service, SupervisorToGate},
};
use policy::{Feature, Features, LockedDown, Role};

use crate::{
    Fatal,
    control::{ControlConnection, Stream},
    i2ftp,
    tls::ControlTls,
};
pub use serve::Gate;

/// The gate's end of its channel.
pub type SupervisorChannel = Channel<GateToSupervisor, SupervisorToGate>;

/// Lives the life of a gate, from its first message to its last.
///
/// # Errors
/// [`Fatal`]: the process ends, and the supervisor sees it end.
pub fn run(channel: SupervisorChannel) -> Result<(), Fatal> {
    let (settings, tls, locked) = boot(&channel)?;
    let mut received = channel.recv()?;
    match received.message {
        SupervisorToGate::Serve { session: _, client: _, local: _, service } => {
            let mut fds = received.fds.drain(..);
            let control = fds.next().ok_or(Fatal::OutOfTurn)?;
            if let (Some(tls), Some(signing)) = (&tls, fds.next()) {
                tls.attach(Channel::from_fd(signing));
            }
            match service {
                Service::Ftp => {
                    let control = ControlConnection::new(Stream::Plain(control), b"");
                    Gate::new(&locked, channel, settings, tls, control).serve(false)
                }
                Service::FtpsImplicit => {
                    let control = ControlConnection::new(Stream::Plain(control), b"");
                    Gate::new(&locked, channel, settings, tls, control).serve(true)
                }
                Service::I2ftp => i2ftp::gate::serve(&locked, &channel, &settings, control),
                Service::I2ftpTls => {
                    i2ftp::gate::serve_tls(&locked, &channel, &settings, tls, control)
                }
            }
        }
        // A server that goes down has no client for this gate.
        SupervisorToGate::End { .. } => Ok(()),
        SupervisorToGate::Boot { .. }
        | SupervisorToGate::AuthResult(_)
        | SupervisorToGate::Authenticator
        | SupervisorToGate::BecomeRelay
        | SupervisorToGate::KeeperChannel
        | SupervisorToGate::NotAvailable => Err(Fatal::OutOfTurn),
    }
}

fn boot(
    channel: &SupervisorChannel,
) -> Result<(GateSettings, Option<ControlTls>, LockedDown), Fatal> {
    let SupervisorToGate::Boot { confinement, settings } = channel.recv()?.message else {
        return Err(Fatal::OutOfTurn);
    };
    let tls = match &settings.tls {
        Some(tls) => Some(ControlTls::new(tls, Some(keeper::renewal(channel)?))?),
        None => None,
    };
    let features = Features::NONE.with_if(tls.is_some(), Feature::Tls);
    match policy::lockdown(Role::Gate, &confinement, features, None) {
        Ok(locked) => {
            channel.send(&GateToSupervisor::Ready(locked.report().clone()), &[])?;
            Ok((settings, tls, locked))
        }
        Err(failure) => {
            channel.send(&GateToSupervisor::Failed(failure), &[])?;
            Err(Fatal::NotLockedDown)
        }
    }
}
