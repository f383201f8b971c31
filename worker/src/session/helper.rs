//! The session's dealings with the helper: a listener that is asked for once, and active
//! connections.

use std::{
    net::SocketAddr,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use ipc::{
    Channel, ChannelError,
    helper::{HelperToSession, Refusal, SessionToHelper},
    keeper::{Sign, Signed},
    session::SessionToSupervisor,
};
use rustix::event::{PollFd, PollFlags};

use super::{Session, supervisor::Supervised};
use crate::{Fatal, wait::poll_until};

/// The session's channel to the helper.
pub type HelperChannel = Channel<SessionToHelper, HelperToSession>;

/// The supervisor and the helper answer in microseconds; one that takes so long hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no data connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoConnection {
    /// The helper refused, and why.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// There is no helper at the moment.
    #[error("the server cannot make data connections at the moment")]
    NoHelper,
}

/// The passive listener, kept for the whole session.
#[derive(Debug)]
pub struct Listener {
    /// The listening socket; it does not block.
    pub fd: OwnedFd,
    /// Its port.
    pub port: u16,
    /// A connection may wait on it that belongs to no announcement any more.
    pub stale: bool,
}

impl Session<'_> {
    /// The port of the session's listener, which is made when there is none.
    ///
    /// # Errors
    /// The outer one when the supervisor is gone, the inner one when there is no listener to have.
    pub(crate) fn ask_listen(&mut self) -> Result<Result<u16, NoConnection>, Fatal> {
        if let Some(listener) = &self.listener {
            return Ok(Ok(listener.port));
        }
        for fresh in [false, true] {
            if fresh {
                // The helper that was asked first is gone; there may be a new one.
                self.helper = None;
            }
            if !self.ensure_helper()? {
                return Ok(Err(NoConnection::NoHelper));
            }
            let Some(helper) = &self.helper else { break };
            if helper.send(&SessionToHelper::Listen, &[]).is_err() {
                continue;
            }
            match answer(helper) {
                Some(Ok((HelperToSession::Listening { port }, Some(fd)))) => {
                    self.listener = Some(Listener { fd, port, stale: false });
                    return Ok(Ok(port));
                }
                Some(Ok((HelperToSession::Refused(refusal), _))) => {
                    return Ok(Err(refusal.into()));
                }
                Some(Ok((HelperToSession::Listening { .. } | HelperToSession::Connected, _)))
                | None => break,
                Some(Err(_)) => {}
            }
        }
        self.helper = None;
        Ok(Err(NoConnection::NoHelper))
    }

    /// Asks for an active connection; [`Session::take_connected`] has the answer later.
    ///
    /// # Errors
    /// As [`Session::ask_listen`].
    pub(crate) fn ask_connect(
        &mut self,
        to: SocketAddr,
    ) -> Result<Result<(), NoConnection>, Fatal> {
        for fresh in [false, true] {
            if fresh {
                self.helper = None;
            }
            if !self.ensure_helper()? {
                break;
            }
            let Some(helper) = &self.helper else { break };
            if helper.send(&SessionToHelper::Connect { to }, &[]).is_ok() {
                return Ok(Ok(()));
            }
        }
        self.helper = None;
        Ok(Err(NoConnection::NoHelper))
    }

    /// The answer to [`Session::ask_connect`], if it is there.
    pub(crate) fn take_connected(&mut self) -> Option<Result<OwnedFd, NoConnection>> {
        let received = match &self.helper {
            None => return Some(Err(NoConnection::NoHelper)),
            Some(helper) => helper.try_recv(),
        };
        match received {
            Ok(None) => None,
            Ok(Some(mut received)) => match received.message {
                HelperToSession::Connected => {
                    Some(received.fds.pop().ok_or(NoConnection::NoHelper))
                }
                HelperToSession::Refused(refusal) => Some(Err(refusal.into())),
                HelperToSession::Listening { .. } => {
                    self.helper = None;
                    Some(Err(NoConnection::NoHelper))
                }
            },
            Err(_) => {
                self.helper = None;
                Some(Err(NoConnection::NoHelper))
            }
        }
    }

    /// Gives up a connection that was asked for, and waits for the helper's word on it: the next
    /// answer must belong to the next question.
    pub(crate) fn cancel_connect(&mut self) {
        let Some(helper) = &self.helper else { return };
        let told = helper.send(&SessionToHelper::Cancel, &[]).is_ok();
        // A connection that came up just now is closed with its descriptor.
        let settled = told && matches!(answer(helper), Some(Ok(_)));
        if !settled {
            self.helper = None;
        }
    }

    /// Makes sure that there is a channel to the helper; false when the supervisor has none.
    fn ensure_helper(&mut self) -> Result<bool, Fatal> {
        if self.helper.is_some() {
            return Ok(true);
        }
        self.channel.send(&SessionToSupervisor::NeedHelper, &[])?;
        match self.await_supervisor()? {
            Some(Supervised::Helper(helper)) => {
                self.helper = Some(helper);
                Ok(true)
            }
            Some(Supervised::Keeper(_)) => Err(Fatal::OutOfTurn),
            Some(Supervised::NotAvailable | Supervised::Done) | None => Ok(false),
        }
    }

    /// The answer to `NeedKeeper`; `None` when there is no keeper at the moment.
    pub(crate) fn await_keeper(&mut self) -> Result<Option<Channel<Sign, Signed>>, Fatal> {
        match self.await_supervisor()? {
            Some(Supervised::Keeper(keeper)) => Ok(Some(keeper)),
            Some(Supervised::Helper(_)) => Err(Fatal::OutOfTurn),
            Some(Supervised::NotAvailable | Supervised::Done) | None => Ok(None),
        }
    }

    /// The supervisor's answer to a question that was just asked; what it says besides is obeyed.
    fn await_supervisor(&mut self) -> Result<Option<Supervised>, Fatal> {
        let until = Instant::now().checked_add(PATIENCE);
        loop {
            let mut fds = [PollFd::new(&self.channel, PollFlags::IN)];
            if poll_until(&mut fds, until)? == 0 {
                return Ok(None);
            }
            match self.dispatch()? {
                Supervised::Done => {}
                answer => return Ok(Some(answer)),
            }
        }
    }
}

/// One answer of the helper with its descriptor; `None` when it takes too long.
#[allow(clippy::type_complexity, reason = "used twice, and a name would say less")]
fn answer(
    helper: &HelperChannel,
) -> Option<Result<(HelperToSession, Option<OwnedFd>), ChannelError>> {
    let until = Instant::now().checked_add(PATIENCE);
    let mut fds = [PollFd::new(helper, PollFlags::IN)];
    if !matches!(poll_until(&mut fds, until), Ok(1..)) {
        return None;
    }
    Some(helper.recv().map(|mut received| (received.message, received.fds.pop())))
}
