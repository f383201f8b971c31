//! The session's loop: commands in order, a transfer beside them, and no wait without a limit.

use std::time::{Duration, Instant};

use ipc::session::{SessionClosed, SessionToSupervisor};
use rustix::event::{PollFd, PollFlags};

use super::{Session, supervisor::Supervised};
use crate::{
    Fatal,
    control::Filled,
    ftp::{command::Command, line::Line, reply::Reply, verb::Verb},
    rate::{deadline, earlier},
    wait::poll_until,
};

/// Commands that may wait for the end of a transfer.
const MAX_QUEUED: usize = 64;
/// A last reply waits so long for a client to take it.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the wait of one turn found.
#[derive(Default)]
struct Ready {
    control: bool,
    supervisor: bool,
    transfer: bool,
}

impl Session<'_> {
    /// Serves the client to the end.
    ///
    /// # Errors
    /// When the supervisor is gone or a system call fails that should not.
    pub fn serve(mut self) -> Result<(), Fatal> {
        self.say(&Reply::logged_in(&self.settings.welcome));
        let mut ready = Ready { transfer: true, ..Ready::default() };
        loop {
            let mut hold = self.turn(ready.transfer)?;
            // A transfer that has just ended lets waiting commands through.
            while hold.is_none() && !self.is_busy() && !self.queue.is_empty() {
                if self.ending.is_some() || self.control.is_clogged() {
                    break;
                }
                hold = self.turn(true)?;
            }
            self.finish_if_idle();
            if let Some(closed) = self.ending.take() {
                return self.close(closed);
            }
            if self.control.flush().is_err() {
                return self.close(SessionClosed::ClientClosed);
            }
            if self.control.is_closed() {
                self.abandon_transfer()?;
                return self.close(SessionClosed::ClientClosed);
            }
            ready = self.wait(hold)?;
            if ready.supervisor {
                match self.dispatch()? {
                    Supervised::Done => {}
                    // The answer to a question that was given up.
                    Supervised::Helper(helper) => self.helper = Some(helper),
                    Supervised::Keeper(_) | Supervised::NotAvailable => {}
                }
            }
            if ready.control {
                let _: Filled = self.control.fill();
            }
        }
    }

    /// One turn: commands, and the transfer if there is something to do for it. Answers until when
    /// commands are held back, if they are.
    fn turn(&mut self, transfer: bool) -> Result<Option<Instant>, Fatal> {
        let was_running = self.transfer.is_some();
        let hold = self.take_commands()?;
        if self.transfer.is_some() && (transfer || !was_running) {
            self.drive()?;
        }
        self.sum_on();
        Ok(hold)
    }

    fn take_commands(&mut self) -> Result<Option<Instant>, Fatal> {
        loop {
            if self.ending.is_some() || self.control.is_clogged() {
                return Ok(None);
            }
            if let Some(until) = self.commands_held_until() {
                return Ok(Some(until));
            }
            if !self.is_busy()
                && let Some(queued) = self.queue.pop_front()
            {
                self.obey(queued)?;
                continue;
            }
            if self.queue.len() >= MAX_QUEUED {
                return Ok(None);
            }
            let Some(line) = self.control.next_line() else { return Ok(None) };
            let queued = match line {
                Line::Text(text) => Command::parse(&text).map_err(Reply::command),
                Line::TooLong => Err(Reply::LINE_TOO_LONG),
                Line::Nul => Err(Reply::NUL),
                Line::LoneCr => Err(Reply::LONE_CR),
            };
            if self.is_answered_at_once(&queued) {
                self.obey(queued)?;
            } else {
                self.queue.push_back(queued);
            }
        }
    }

    /// Whether a line is answered before the transfer that runs has ended.
    fn is_answered_at_once(&self, queued: &super::state::Queued) -> bool {
        if !self.is_busy() {
            return false;
        }
        match queued {
            Err(_) => false,
            Ok(command) => match command.verb {
                Verb::Abor => true,
                // RFC 959 section 4.1.1: the connection stays open for the transfer's reply.
                Verb::Quit => false,
                Verb::Stat => self.queue.is_empty() && command.argument.is_empty(),
                _ => self.queue.is_empty() && command.row.during_transfer,
            },
        }
    }

    fn obey(&mut self, queued: super::state::Queued) -> Result<(), Fatal> {
        match queued {
            Ok(command) => self.dispatch_verb(&command),
            Err(reply) => {
                self.count_command(false);
                self.say(&reply);
                Ok(())
            }
        }
    }

    fn finish_if_idle(&mut self) {
        if !self.is_busy()
            && self.ending.is_none()
            && let Some(reply) = self.finish.take()
        {
            self.say(&Reply::from_line(&reply));
            self.ending = Some(SessionClosed::ServerEnding);
        }
        if self.ending.is_none() && self.idle_since_too_long() {
            self.say(&Reply::IDLE);
            self.ending = Some(SessionClosed::Idle);
        }
    }

    fn idle_deadline(&self) -> Option<Instant> {
        if self.is_busy() {
            return None;
        }
        deadline(self.control.last_line.max(self.last_transfer), self.idle())
    }

    fn idle_since_too_long(&self) -> bool {
        self.idle_deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    fn wait(&mut self, hold: Option<Instant>) -> Result<Ready, Fatal> {
        let want = self.transfer.as_ref().map(|transfer| transfer.want());
        let mut until = earlier(hold, self.idle_deadline());
        until = earlier(until, self.events.due());
        until = earlier(until, want.as_ref().and_then(|want| want.until));
        let now = Instant::now();
        until = earlier(until, self.summing.as_mut().map(|summing| summing.next(now)));
        let control = self.control.interest();
        let data = want.as_ref().and_then(|want| Some((self.transfer_fd()?, want.flags)));
        let mut fds = Vec::with_capacity(3);
        fds.push(PollFd::new(&self.channel, PollFlags::IN));
        // What is polled for nothing still reports its hang-up, again and again: it is left out
        // until there is something to do about it.
        if !control.is_empty() {
            fds.push(PollFd::new(&self.control, control));
        }
        if let Some((fd, flags)) = data.filter(|(_, flags)| !flags.is_empty()) {
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        }
        let count = poll_until(&mut fds, until)?;
        let mut fired = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut ready = Ready {
            supervisor: fired.next().unwrap_or(false),
            control: !control.is_empty() && fired.next().unwrap_or(false),
            transfer: fired.next().unwrap_or(false),
        };
        let now = Instant::now();
        if count == 0 || want.as_ref().and_then(|want| want.until).is_some_and(|at| at <= now) {
            ready.transfer = true;
        }
        self.events.send_if_due(now, &self.channel)?;
        Ok(ready)
    }

    fn close(mut self, closed: SessionClosed) -> Result<(), Fatal> {
        let until = Instant::now().checked_add(FAREWELL);
        while self.control.flush().is_ok() && self.control.is_waiting() {
            let mut fds = [PollFd::new(&self.control, PollFlags::OUT)];
            if poll_until(&mut fds, until)? == 0 {
                break;
            }
        }
        // What the client still sends would turn the close into a reset, which eats the reply.
        if self.control.fill() == Filled::Bytes {
            rustix::net::shutdown(&self.control, rustix::net::Shutdown::Write)
                .or_else(|e| if e == rustix::io::Errno::NOTCONN { Ok(()) } else { Err(e) })
                .map_err(std::io::Error::from)?;
            let until = Instant::now().checked_add(FAREWELL);
            loop {
                self.control.discard_pending();
                let mut fds = [PollFd::new(&self.control, PollFlags::IN)];
                if poll_until(&mut fds, until)? == 0 || self.control.fill() != Filled::Bytes {
                    break;
                }
            }
        }
        self.events.send(&self.channel)?;
        self.channel.send(&SessionToSupervisor::Closed(closed), &[])?;
        Ok(())
    }
}
