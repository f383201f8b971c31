//! The session: one client after its login, with the identity of its account.
//!
//! It holds the control connection (or the relay's plain side), the account's root, and channels to
//! the supervisor and the helper. What it can do to files is what the account's rights say: the
//! verb table says so first, Landlock and seccomp say it again.

mod events;
mod helper;
mod run;
mod state;
mod supervisor;

use std::os::fd::OwnedFd;

use ::i2ftp::secured::Offer;
use ipc::{
    Channel,
    account::{Rights, TlsDemand, Uploads},
    bounded::Bytes,
    gate::{Protection, Service},
    session::{SessionBoot, SessionToSupervisor, SupervisorToSession},
};
use policy::{Feature, Features, LockedDown, Role};

use crate::{
    Fatal,
    control::{ControlConnection, Stream},
    i2ftp,
    tls::{Buffers, DataTls},
    transfer,
};
pub use helper::NoConnection;
pub use state::{DataWay, Session};

/// The session's end of its channel.
pub type SupervisorChannel = Channel<SessionToSupervisor, SupervisorToSession>;

/// Lives the life of a session, from its first message to its last.
///
/// # Errors
/// [`Fatal`]: the process ends, and the supervisor sees it end.
pub fn run(channel: SupervisorChannel) -> Result<(), Fatal> {
    let (boot, tls, offer, mut locked) = boot(&channel)?;
    let root = locked.take_root().ok_or(Fatal::NotLockedDown)?;
    let Some((control, unread, protection)) = control(&channel)? else { return Ok(()) };
    match boot.service {
        Service::Ftp | Service::FtpsImplicit => {
            let control = ControlConnection::new(Stream::Plain(control), unread.as_slice());
            let protection = protect_data(&boot, tls, protection);
            Session::new(&locked, channel, boot, root, control, protection).serve()
        }
        Service::I2ftp | Service::I2ftpTls => {
            let tls = matches!(protection, Protection::Tls { .. });
            let client = i2ftp::session::Client { control, unread, tls, offer };
            Ok(i2ftp::session::serve(&locked, channel, boot, root, client)?)
        }
    }
}

/// The control connection, what the gate has read from it, and its protection, when the supervisor
/// hands it over; `None` when the session is ended before.
fn control(
    channel: &SupervisorChannel,
) -> Result<Option<(OwnedFd, Bytes<8192>, Protection)>, Fatal> {
    let mut received = channel.recv()?;
    match received.message {
        SupervisorToSession::Control { unread, protection } => {
            let fd = received.fds.pop().ok_or(Fatal::OutOfTurn)?;
            Ok(Some((fd, unread, protection)))
        }
        SupervisorToSession::Kick { .. } | SupervisorToSession::Finish { .. } => Ok(None),
        SupervisorToSession::Boot(_)
        | SupervisorToSession::HelperChannel
        | SupervisorToSession::KeeperChannel
        | SupervisorToSession::NotAvailable
        | SupervisorToSession::NewLimits(_)
        | SupervisorToSession::WhoLines(_)
        | SupervisorToSession::Ticket(_) => Err(Fatal::OutOfTurn),
    }
}

/// What protects data connections, if the control connection is protected.
fn protect_data(
    boot: &SessionBoot,
    tls: Option<DataTls>,
    control: Protection,
) -> Option<transfer::Protection> {
    let Protection::Tls { resumption, private_data, pbsz } = control else {
        return None;
    };
    let mut tls = tls?;
    tls.resume(resumption);
    Some(transfer::Protection {
        tls,
        demand: boot.tls.as_ref().map_or(TlsDemand::None, |tls| tls.tls.demand),
        pbsz,
        private: private_data,
        buffers: Buffers::default(),
        parting: None,
    })
}

fn boot(
    channel: &SupervisorChannel,
) -> Result<(SessionBoot, Option<DataTls>, Option<Offer>, LockedDown), Fatal> {
    let SupervisorToSession::Boot(boot) = channel.recv()?.message else {
        return Err(Fatal::OutOfTurn);
    };
    let tls = boot.tls.as_ref().map(DataTls::new).transpose()?;
    let publishes = boot.i2ftp.as_ref().is_some_and(|settings| settings.pulf_hash);
    let features = Features::from_rights(boot.account.rights)
        .with_if(boot.tls.is_some(), Feature::Tls)
        .with_if(boot.ftp.uploads == Uploads::Atomic || publishes, Feature::AtomicUploads)
        .with_if(boot.ftp.sync_uploads, Feature::SyncUploads)
        .with_if(boot.i2ftp.is_some(), Feature::I2ftp);
    let offer = i2ftp::start::prepare(boot.i2ftp.as_ref())?;
    if boot.account.rights.contains(Rights::READ) {
        crate::ftp::digest::prepare();
    }
    let root = boot.account.root.as_path();
    match policy::lockdown(Role::Session, &boot.confinement, features, Some(root)) {
        Ok(locked) => {
            channel.send(&SessionToSupervisor::Ready(locked.report().clone()), &[])?;
            Ok((*boot, tls, offer, locked))
        }
        Err(failure) => {
            channel.send(&SessionToSupervisor::Failed(failure), &[])?;
            Err(Fatal::NotLockedDown)
        }
    }
}
