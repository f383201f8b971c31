//! Messages of the supervisor.

use ipc::{
    Channel,
    keeper::{Sign, Signed},
    session::SupervisorToSession,
};

use super::{Session, helper::HelperChannel};
use crate::Fatal;

/// What a message of the supervisor leaves to its receiver.
pub(crate) enum Supervised {
    /// Nothing.
    Done,
    /// The channel that was asked for.
    Helper(HelperChannel),
    /// The signing channel that was asked for.
    Keeper(Channel<Sign, Signed>),
    /// There is none.
    NotAvailable,
}

impl Session<'_> {
    /// Receives and obeys one message.
    pub(crate) fn dispatch(&mut self) -> Result<Supervised, Fatal> {
        let mut received = self.channel.recv()?;
        match received.message {
            SupervisorToSession::HelperChannel => {
                let fd = received.fds.pop().ok_or(Fatal::OutOfTurn)?;
                Ok(Supervised::Helper(Channel::from_fd(fd)))
            }
            SupervisorToSession::KeeperChannel => {
                let fd = received.fds.pop().ok_or(Fatal::OutOfTurn)?;
                Ok(Supervised::Keeper(Channel::from_fd(fd)))
            }
            SupervisorToSession::NotAvailable => Ok(Supervised::NotAvailable),
            SupervisorToSession::NewLimits(limits) => {
                self.take_limits(limits);
                Ok(Supervised::Done)
            }
            SupervisorToSession::Kick { reply } => {
                self.kick_transfer()?;
                self.kick(&reply);
                Ok(Supervised::Done)
            }
            SupervisorToSession::Finish { reply } => {
                self.finish = Some(reply);
                Ok(Supervised::Done)
            }
            SupervisorToSession::WhoLines(lines) => {
                self.answer_who(&lines);
                Ok(Supervised::Done)
            }
            SupervisorToSession::Boot(_)
            | SupervisorToSession::Control { .. }
            | SupervisorToSession::Ticket(_) => Err(Fatal::OutOfTurn),
        }
    }
}
