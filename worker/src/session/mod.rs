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

use ipc::{
    Channel, ChannelError,
    account::Uploads,
    gate::{Protection, Service},
    session::{SessionBoot, SessionToSupervisor, SupervisorToSession},
};
use policy::{Feature, Features, LockedDown, Role};

use crate::control::{ControlConnection, Stream};
pub use helper::NoConnection;
pub use state::{DataWay, Session};

/// The session's end of its channel.
pub type SupervisorChannel = Channel<SessionToSupervisor, SupervisorToSession>;

/// Why a session could not go on.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The supervisor is gone, or broke the rules of the channel.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The supervisor sent a message that has no place in this phase.
    #[error("a message of the supervisor came out of turn")]
    OutOfTurn,
    /// The sandbox is not up; the supervisor has been told.
    #[error("the sandbox is not up")]
    NotLockedDown,
    /// A system call failed that should not.
    #[error("a system call failed: {0}")]
    System(#[from] std::io::Error),
}

/// Lives the life of a session, from its first message to its last.
///
/// # Errors
/// [`SessionError`]: the process ends, and the supervisor sees it end.
pub fn run(channel: SupervisorChannel) -> Result<(), SessionError> {
    let (boot, mut locked) = boot(&channel)?;
    let root = locked.take_root().ok_or(SessionError::NotLockedDown)?;
    match boot.service {
        Service::Ftp | Service::FtpsImplicit => {
            let Some((control, protection)) = control(&channel)? else { return Ok(()) };
            Session::new(&locked, channel, boot, root, control, protection).serve()
        }
        Service::I2ftp | Service::I2ftpTls => Err(SessionError::OutOfTurn),
    }
}

/// The control connection, when the supervisor hands it over; `None` when the session is ended
/// before.
fn control(
    channel: &SupervisorChannel,
) -> Result<Option<(ControlConnection, Protection)>, SessionError> {
    let mut received = channel.recv()?;
    match received.message {
        SupervisorToSession::Control { unread, protection } => {
            let fd = received.fds.pop().ok_or(SessionError::OutOfTurn)?;
            let control = ControlConnection::new(Stream::Plain(fd), unread.as_slice());
            Ok(Some((control, protection)))
        }
        SupervisorToSession::Kick { .. } | SupervisorToSession::Finish { .. } => Ok(None),
        SupervisorToSession::Boot(_)
        | SupervisorToSession::HelperChannel
        | SupervisorToSession::KeeperChannel
        | SupervisorToSession::NotAvailable
        | SupervisorToSession::NewLimits(_)
        | SupervisorToSession::WhoLines(_)
        | SupervisorToSession::Ticket(_) => Err(SessionError::OutOfTurn),
    }
}

fn boot(channel: &SupervisorChannel) -> Result<(SessionBoot, LockedDown), SessionError> {
    let SupervisorToSession::Boot(boot) = channel.recv()?.message else {
        return Err(SessionError::OutOfTurn);
    };
    let features = Features::from_rights(boot.account.rights)
        .with_if(boot.tls.is_some(), Feature::Tls)
        .with_if(boot.ftp.uploads == Uploads::Atomic, Feature::AtomicUploads)
        .with_if(boot.ftp.sync_uploads, Feature::SyncUploads);
    // The modes of new files are chosen by the session, which may change its umask; the kernel's,
    // which no policy lets it change later, must not take more away.
    rustix::process::umask(rustix::fs::Mode::empty());
    let root = boot.account.root.as_path();
    match policy::lockdown(Role::Session, &boot.confinement, features, Some(root)) {
        Ok(locked) => {
            channel.send(&SessionToSupervisor::Ready(locked.report().clone()), &[])?;
            Ok((*boot, locked))
        }
        Err(failure) => {
            channel.send(&SessionToSupervisor::Failed(failure), &[])?;
            Err(SessionError::NotLockedDown)
        }
    }
}
