//! The relay: a gate after a login over TLS.
//!
//! It moves bytes between the client's TLS control connection and its session's plain socket, under a
//! policy of ten system calls, and adds nothing but a ticket where a transfer has used one up. Each direction has one buffer that must be
//! empty before more is read for it, so a side that does not read stops the other one, and an end
//! of one direction is handed on while the other one goes on.

use std::{
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::Shutdown,
};

use crate::tls::{Inbound, Stream, TlsError};

/// Bytes read from the session at a time: replies are short.
const PIECE: usize = 4096;
/// Pieces that go one way before the other way has its turn. A client that sends without a pause to
/// a session that reads without a pause must not hold up what the session answers.
const TURN: u32 = 16;
/// How long a client may take to answer the session's end with its own, so that the last reply is
/// not lost in a reset.
const FAREWELL: Duration = Duration::from_secs(5);

/// A relay between a client and its session.
#[derive(Debug)]
pub struct Relay {
    client: Stream,
    session: OwnedFd,
    /// The client has said that it sends no more, and the session has been told.
    client_ended: bool,
    /// When the session ended; the client then has a while to end as well.
    session_ended: Option<Instant>,
    /// A turn was over before its side had nothing left.
    more: bool,
    /// A transfer was announced (150), and its end was not.
    transferring: bool,
}

/// What one side allows.
enum Side {
    /// More may come.
    Open,
    /// It has gone, so the relay ends.
    Gone,
}

impl Relay {
    /// A relay; neither socket may block.
    pub fn new(client: Stream, session: OwnedFd) -> Self {
        Relay {
            client,
            session,
            client_ended: false,
            session_ended: None,
            more: false,
            transferring: false,
        }
    }

    /// Moves bytes until both sides have ended, or one has gone. The process then ends: its policy
    /// has no call that would close a descriptor.
    pub fn run(&mut self) {
        loop {
            let turn = self.turn();
            if !matches!(turn, Ok(Side::Open)) {
                return;
            }
            match self.wait() {
                Ok(true) => {}
                Ok(false) | Err(_) => return,
            }
        }
    }

    /// Moves what can be moved without waiting.
    fn turn(&mut self) -> Result<Side, TlsError> {
        self.more = false;
        let up = self.feed_session()?;
        let down = self.feed_client()?;
        let over = self.client_ended && self.session_ended.is_some() && !self.client.wants_write();
        Ok(match (up, down) {
            (Side::Open, Side::Open) if !over => Side::Open,
            _ => Side::Gone,
        })
    }

    fn feed_session(&mut self) -> Result<Side, TlsError> {
        for _ in 0..TURN {
            if self.client_ended {
                return Ok(Side::Open);
            }
            match self.client.receive(0) {
                Ok(Inbound::Data) => {}
                Ok(Inbound::Nothing) => return Ok(Side::Open),
                // A control connection carries commands, each with its own end: one that is cut
                // short is no command, so this end needs no close_notify to be believed.
                Ok(Inbound::Closed) | Err(TlsError::Truncated) => {
                    self.client_ended = true;
                    // A session that has gone needs not be told.
                    rustix::net::shutdown(&self.session, Shutdown::Write).ok();
                    return Ok(Side::Open);
                }
                Err(error) => return Err(error),
            }
            if self.session_ended.is_some() {
                // Nobody is there to read it; it is taken so that the close is no reset.
                let unread = self.client.plain().len();
                self.client.consume(unread);
                continue;
            }
            match rustix::io::write(&self.session, self.client.plain()) {
                Ok(written) => self.client.consume(written),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Side::Open),
                // Its last words may still be there to be read.
                Err(Errno::PIPE | Errno::CONNRESET) => self.end_session()?,
                Err(e) => return Err(e.into()),
            }
        }
        self.more = true;
        Ok(Side::Open)
    }

    fn feed_client(&mut self) -> Result<Side, TlsError> {
        let mut piece = [0; PIECE];
        for _ in 0..TURN {
            if !self.client.flush()? {
                return Ok(Side::Open);
            }
            if self.session_ended.is_some() {
                self.client.shutdown()?;
                return Ok(Side::Open);
            }
            match rustix::io::read(&self.session, &mut piece) {
                Ok(0) | Err(Errno::CONNRESET) => self.end_session()?,
                Ok(got) => {
                    let replies = piece.get(..got).unwrap_or_default();
                    if self.ends_transfer(replies) {
                        self.client.offer_ticket()?;
                    }
                    self.client.seal(replies)?;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Side::Open),
                Err(e) => return Err(e.into()),
            }
        }
        self.more = true;
        Ok(Side::Open)
    }

    /// Whether these replies tell the end of a transfer: its data connection has used a ticket, and
    /// the next one may need another. What is not found in a line that was cut in two costs the
    /// client nothing but that.
    fn ends_transfer(&mut self, replies: &[u8]) -> bool {
        let mut ended = false;
        for line in replies.split(|byte| *byte == b'\n') {
            match line {
                [b'1', b'5', b'0', ..] => self.transferring = true,
                [b'2' | b'4' | b'5', ..] if self.transferring => {
                    self.transferring = false;
                    ended = true;
                }
                _ => {}
            }
        }
        ended
    }

    fn end_session(&mut self) -> Result<(), TlsError> {
        self.session_ended = Some(Instant::now());
        self.client.close()
    }

    /// Waits until a side that is waited for is ready; false when the time is over.
    fn wait(&self) -> io::Result<bool> {
        let timeout = match self.session_ended {
            None => None,
            Some(ended) => match FAREWELL.checked_sub(ended.elapsed()) {
                Some(left) => Some(left),
                None => return Ok(false),
            },
        };
        if self.more {
            return Ok(true);
        }
        let (mut client, mut session) = (PollFlags::empty(), PollFlags::empty());
        if self.client.wants_write() {
            client |= PollFlags::OUT;
        } else if self.session_ended.is_none() {
            session |= PollFlags::IN;
        }
        if !self.client.plain().is_empty() {
            session |= PollFlags::OUT;
        } else if !self.client_ended {
            client |= PollFlags::IN;
        }
        let timeout = timeout.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or_default(),
            tv_nsec: left.subsec_nanos().into(),
        });
        // A side that is waited for nothing is left out: its hang-up would end every wait at once.
        let mut fds = Vec::with_capacity(2);
        if !client.is_empty() {
            fds.push(PollFd::new(&self.client, client));
        }
        if !session.is_empty() {
            fds.push(PollFd::new(&self.session, session));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(true),
            Err(e) => Err(e.into()),
        }
    }
}
