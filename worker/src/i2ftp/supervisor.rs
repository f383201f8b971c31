//! The session's talk with the supervisor: tickets, events, orders.

use std::os::fd::{AsFd, BorrowedFd};

use ipc::{
    Channel,
    account::Limits,
    bounded::Bytes,
    reason::Reason,
    session::{
        Event, FileOperation, MAX_PATH, SessionToSupervisor, SupervisorToSession, TicketAnswer,
    },
};

use super::connection::Ended;

/// Longest text of a notice in the log.
const MAX_NOTICE: usize = 500;

/// The channel, and what came over it while something else was awaited.
#[derive(Debug)]
pub struct Supervisor {
    channel: Channel<SessionToSupervisor, SupervisorToSession>,
    events: Vec<Event>,
    /// End at once.
    pub kicked: bool,
    /// End when no transfer is under way.
    pub finishing: bool,
    /// New limits that are not in force yet.
    pub limits: Option<Limits>,
}

impl Supervisor {
    /// Adopts the channel.
    pub fn new(channel: Channel<SessionToSupervisor, SupervisorToSession>) -> Supervisor {
        Supervisor { channel, events: Vec::new(), kicked: false, finishing: false, limits: None }
    }

    /// Takes what has come, without waiting.
    ///
    /// # Errors
    /// When the channel fails, or an answer came to no question.
    pub fn look(&mut self) -> Result<(), Ended> {
        while let Some(received) = self.channel.try_recv()? {
            if self.dispatch(received.message)?.is_some() {
                return Err(out_of_turn());
            }
        }
        Ok(())
    }

    /// Asks for a ticket or about one.
    ///
    /// # Errors
    /// When the channel fails.
    pub fn ask(&mut self, question: &SessionToSupervisor) -> Result<TicketAnswer, Ended> {
        self.channel.send(question, &[])?;
        loop {
            let received = self.channel.recv()?;
            if let Some(answer) = self.dispatch(received.message)? {
                return Ok(answer);
            }
        }
    }

    fn dispatch(&mut self, message: SupervisorToSession) -> Result<Option<TicketAnswer>, Ended> {
        match message {
            SupervisorToSession::Ticket(answer) => return Ok(Some(answer)),
            SupervisorToSession::Kick { .. } => self.kicked = true,
            SupervisorToSession::Finish { .. } => self.finishing = true,
            SupervisorToSession::NewLimits(limits) => self.limits = Some(limits),
            SupervisorToSession::Boot(_)
            | SupervisorToSession::Control { .. }
            | SupervisorToSession::HelperChannel
            | SupervisorToSession::KeeperChannel
            | SupervisorToSession::NotAvailable
            | SupervisorToSession::WhoLines(_) => return Err(out_of_turn()),
        }
        Ok(None)
    }

    /// Notes an event; it is sent by [`Supervisor::report`].
    pub fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Notes a file operation.
    pub fn file_event(
        &mut self,
        operation: FileOperation,
        path: &str,
        to: Option<&str>,
        reason: Option<Reason>,
    ) {
        let to = to.map(bounded);
        self.event(Event::File { operation, path: bounded(path), to, reason });
    }

    /// Notes a request that was refused.
    pub fn refusal(&mut self, command: &str, path: &str, reason: Reason) {
        let command = Bytes::cut(command.as_bytes().to_vec());
        self.event(Event::Refused { command, path: bounded(path), reason });
    }

    /// Notes an odd thing worth a line of the log.
    pub fn notice(&mut self, text: &str) {
        let end = text.char_indices().map(|(at, _)| at).find(|at| *at > MAX_NOTICE);
        self.event(Event::Notice(text.get(..end.unwrap_or(text.len())).unwrap_or(text).to_owned()));
    }

    /// Sends the events noted so far.
    ///
    /// # Errors
    /// When the channel fails.
    pub fn report(&mut self) -> Result<(), Ended> {
        // Two paths at most in an event, and a message has room for several such.
        const BATCH: usize = 4;
        while !self.events.is_empty() {
            let rest = self.events.split_off(self.events.len().min(BATCH));
            let batch = std::mem::replace(&mut self.events, rest);
            self.channel.send(&SessionToSupervisor::Events(batch), &[])?;
        }
        Ok(())
    }

    /// Sends the last message of the session.
    ///
    /// # Errors
    /// When the channel fails.
    pub fn close(mut self, closed: ipc::session::SessionClosed) -> Result<(), Ended> {
        self.report()?;
        Ok(self.channel.send(&SessionToSupervisor::Closed(closed), &[])?)
    }
}

impl AsFd for Supervisor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

/// A path for a message.
pub fn bounded(path: &str) -> Bytes<MAX_PATH> {
    Bytes::cut(path.as_bytes().to_vec())
}

fn out_of_turn() -> Ended {
    Ended::Channel(ipc::ChannelError::Garbage("a message out of turn".into()))
}
