//! The machine that takes a transfer from stage to stage.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use ipc::{account::Rights, bounded::Bytes, session::Event};
use rustix::event::PollFlags;

use super::{DataConnection, Job, Outcome, Stage, Step, Transfer, UploadRequest, Want, ended};
use crate::{
    Fatal,
    files::{Moved, remove_leftovers},
    ftp::path::VirtualPath,
    rate::deadline,
    session::Session,
    tls::TlsError,
};

/// The helper has a time-out of its own for connections; it is given so much more to say so.
const HELPER_GRACE: Duration = Duration::from_secs(5);

/// How often a session looks for leftovers in the directory of its uploads.
const TIDY_EVERY: Duration = Duration::from_secs(10);

/// Whether a transfer goes on.
enum Advance {
    Wait(Want),
    End(Outcome),
}

impl Session<'_> {
    /// Does what can be done for the transfer without waiting.
    pub(crate) fn drive(&mut self) -> Result<(), Fatal> {
        let Some(mut transfer) = self.transfer.take() else { return Ok(()) };
        match self.advance(&mut transfer) {
            Advance::Wait(want) => {
                transfer.want = want;
                self.transfer = Some(transfer);
                Ok(())
            }
            Advance::End(outcome) => self.end_transfer(transfer, outcome),
        }
    }

    /// Ends the transfer that runs, because the client said so.
    pub(crate) fn abort_transfer(&mut self) -> Result<(), Fatal> {
        match self.transfer.take() {
            Some(transfer) => self.end_transfer(transfer, Outcome::Aborted),
            None => Ok(()),
        }
    }

    /// Ends the transfer that runs, because the client is gone.
    pub(crate) fn abandon_transfer(&mut self) -> Result<(), Fatal> {
        match self.transfer.take() {
            Some(transfer) => self.end_transfer(transfer, Outcome::Gone),
            None => Ok(()),
        }
    }

    /// Ends the transfer that runs, because an administrator said so.
    pub(crate) fn kick_transfer(&mut self) -> Result<(), Fatal> {
        match self.transfer.take() {
            Some(transfer) => self.end_transfer(transfer, Outcome::Kicked),
            None => Ok(()),
        }
    }

    /// The descriptor the transfer waits for.
    pub(crate) fn transfer_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.transfer.as_ref()?.stage {
            Stage::Accepting => self.listener.as_ref().map(|listener| listener.fd.as_fd()),
            Stage::Connecting => self.helper.as_ref().map(AsFd::as_fd),
            Stage::Handshaking(connection)
            | Stage::Moving(connection)
            | Stage::Closing(connection) => connection.socket(),
        }
    }

    fn advance(&mut self, transfer: &mut Transfer) -> Advance {
        loop {
            let now = Instant::now();
            // Placeholder stage while the connection is in hand; every arm puts one back or ends.
            match std::mem::replace(&mut transfer.stage, Stage::Accepting) {
                Stage::Accepting => match self.accept_client() {
                    Ok(Some(fd)) => {
                        if let Err(outcome) = self.connected(transfer, fd) {
                            return Advance::End(outcome);
                        }
                    }
                    Ok(None) => {
                        let until = self.connection_deadline(transfer.since, true);
                        return wait_or(PollFlags::IN, until, now, Outcome::NotConnected);
                    }
                    Err(outcome) => return Advance::End(outcome),
                },
                Stage::Connecting => match self.take_connected() {
                    Some(Ok(fd)) => {
                        if let Err(outcome) = self.connected(transfer, fd) {
                            return Advance::End(outcome);
                        }
                    }
                    Some(Err(none)) => return Advance::End(Outcome::NoConnection(none)),
                    None => {
                        transfer.stage = Stage::Connecting;
                        let until = self
                            .connection_deadline(transfer.since, false)
                            .and_then(|until| until.checked_add(HELPER_GRACE));
                        return wait_or(PollFlags::IN, until, now, Outcome::NotConnected);
                    }
                },
                Stage::Handshaking(mut connection) => match connection.handshake() {
                    Moved::End => {
                        if let Err(outcome) = self.agreed(transfer) {
                            connection.reset();
                            return Advance::End(outcome);
                        }
                        if matches!(transfer.job, Job::Upload(_)) {
                            connection.acknowledge();
                        }
                        transfer.stage = Stage::Moving(connection);
                    }
                    Moved::WouldBlock | Moved::Bytes(_) => {
                        let flags = connection.interest(PollFlags::IN);
                        transfer.stage = Stage::Handshaking(connection);
                        return self.stall_or_wait(transfer, flags, now);
                    }
                    Moved::Gone => {
                        let outcome = handshake_failed(connection.failure());
                        transfer.stage = Stage::Handshaking(connection);
                        return Advance::End(outcome);
                    }
                },
                Stage::Moving(mut connection) => {
                    let step = match &transfer.job {
                        Job::Download(_) => {
                            transfer.step_download(&mut connection, &mut self.scratch)
                        }
                        Job::Upload(_) => transfer.step_upload(&mut connection, &mut self.scratch),
                        Job::Listing(_) => {
                            transfer.step_listing(&mut connection, &mut self.scratch)
                        }
                    };
                    let flags = match step {
                        Step::Done => {
                            transfer.stage = Stage::Closing(connection);
                            continue;
                        }
                        Step::Over(outcome) => {
                            let outcome = cut_short(outcome, &connection);
                            transfer.stage = Stage::Moving(connection);
                            return Advance::End(outcome);
                        }
                        Step::Again => {
                            transfer.stage = Stage::Moving(connection);
                            return Advance::Wait(Want { flags: PollFlags::OUT, until: Some(now) });
                        }
                        Step::Pause => {
                            transfer.stage = Stage::Moving(connection);
                            let until = transfer.bucket.as_ref().map(|bucket| bucket.next(now));
                            let flags = PollFlags::empty();
                            return Advance::Wait(Want { flags, until });
                        }
                        Step::Wait(flags) => flags,
                    };
                    transfer.stage = Stage::Moving(connection);
                    return self.stall_or_wait(transfer, flags, now);
                }
                Stage::Closing(mut connection) => match connection.finish() {
                    Moved::End | Moved::Bytes(_) => {
                        let outcome = match &mut transfer.job {
                            Job::Upload(upload) => upload
                                .complete(&self.root)
                                .map_or_else(Outcome::File, |()| Outcome::Complete),
                            Job::Download(_) | Job::Listing(_) => Outcome::Complete,
                        };
                        transfer.stage = Stage::Closing(connection);
                        return Advance::End(outcome);
                    }
                    Moved::WouldBlock => {
                        let flags = connection.interest(PollFlags::OUT);
                        transfer.stage = Stage::Closing(connection);
                        return self.stall_or_wait(transfer, flags, now);
                    }
                    Moved::Gone => {
                        transfer.stage = Stage::Closing(connection);
                        return Advance::End(Outcome::Gone);
                    }
                },
            }
        }
    }

    /// The data connection is up. A plain one needs no handshake: the file is made or emptied
    /// before the client is told to go on, so that a refusal is the command's only reply.
    fn connected(&mut self, transfer: &mut Transfer, socket: OwnedFd) -> Result<(), Outcome> {
        let connection = self.protect(transfer, socket)?;
        let now = Instant::now();
        transfer.since = now;
        transfer.began = now;
        transfer.limit_rate(&self.limits);
        self.scratch.out.clear();
        if connection.is_tls() {
            self.say(&transfer.opening);
            transfer.stage = Stage::Handshaking(connection);
            return Ok(());
        }
        self.open_target(transfer)?;
        self.say(&transfer.opening);
        transfer.stage = Stage::Moving(connection);
        Ok(())
    }

    /// The handshake of a protected connection is done: only now is anything made or emptied.
    fn agreed(&mut self, transfer: &mut Transfer) -> Result<(), Outcome> {
        transfer.since = Instant::now();
        self.open_target(transfer)
    }

    fn open_target(&mut self, transfer: &mut Transfer) -> Result<(), Outcome> {
        match &mut transfer.job {
            Job::Upload(upload) => {
                self.tidy(&upload.request);
                upload.open(&self.root).map_err(Outcome::Refused)
            }
            Job::Download(_) | Job::Listing(_) => Ok(()),
        }
    }

    /// Deletes what atomic uploads have left behind in the directory of this one, if its session was
    /// killed. Who may not list a directory leaves that to others.
    fn tidy(&mut self, request: &UploadRequest) {
        if !request.atomic || !request.rights.contains(Rights::LIST) {
            return;
        }
        let (directory, now) = (request.path.parent(), Instant::now());
        let lately = |(last, when): &(VirtualPath, Instant)| {
            *last == directory && now.saturating_duration_since(*when) < TIDY_EVERY
        };
        if self.scratch.tidied.as_ref().is_some_and(lately) {
            return;
        }
        remove_leftovers(&self.root, &directory, &mut self.scratch.entries);
        self.scratch.tidied = Some((directory, now));
    }

    fn stall_or_wait(&self, transfer: &Transfer, flags: PollFlags, now: Instant) -> Advance {
        let limit = self.limits.idle_data_timeout;
        wait_or(flags, deadline(transfer.since, limit), now, Outcome::Stalled)
    }

    /// Closes the data connection of a transfer that did not complete.
    fn close_data(&mut self, mut connection: DataConnection, outcome: &Outcome) {
        match outcome {
            // An alert and FIN have been sent; a reset could overtake them.
            Outcome::NoHandshake(_) | Outcome::NotResumed => drop(connection),
            // The client has sent its FIN and waits for ours. A reset would be an error of its
            // socket, which some clients report before they read the reply (Node's).
            Outcome::Truncated => {
                connection.finish();
                self.part_with(connection);
            }
            _ => connection.reset(),
        }
    }

    /// The transfer is over: the data connection is closed, then the client is told.
    fn end_transfer(&mut self, mut transfer: Transfer, outcome: Outcome) -> Result<(), Fatal> {
        let complete = outcome == Outcome::Complete;
        let mut tls = false;
        if let Some(cause) = outcome.tls_failure() {
            self.events.add(Event::Notice(format!("data connection: {cause}")), &self.channel)?;
        }
        match transfer.stage {
            Stage::Accepting => {
                // The client may connect yet; that connection belongs to no later transfer.
                if let Some(listener) = &mut self.listener {
                    listener.stale = true;
                }
            }
            Stage::Connecting => {
                if !matches!(outcome, Outcome::NoConnection(_)) {
                    self.cancel_connect();
                }
            }
            // The client's own end has come, or ours was said: nothing is left to reset.
            Stage::Closing(connection) if outcome != Outcome::Gone => {
                tls = connection.is_tls();
                self.part_with(connection);
            }
            Stage::Handshaking(connection)
            | Stage::Moving(connection)
            | Stage::Closing(connection) => {
                tls = connection.is_tls();
                self.close_data(connection, &outcome);
            }
        }
        if let (Job::Upload(upload), false) = (&mut transfer.job, complete) {
            upload.abandon(&self.root);
        }
        self.say(&if complete { transfer.complete } else { ended(&outcome, transfer.path.name()) });
        self.last_transfer = Instant::now();
        let micros = self.last_transfer.saturating_duration_since(transfer.began).as_micros();
        let event = Event::Transfer(ipc::session::Transfer {
            kind: transfer.kind,
            path: Bytes::cut(transfer.path.as_bytes().to_vec()),
            bytes: transfer.moved,
            micros: u64::try_from(micros).unwrap_or(u64::MAX),
            reason: outcome.reason(),
            tls,
        });
        self.events.add(event, &self.channel)
    }
}

/// Why a handshake failed: for the client, and in words for the log.
fn handshake_failed(failure: Option<&TlsError>) -> Outcome {
    match failure {
        Some(TlsError::NotResumed) => Outcome::NotResumed,
        Some(error) => Outcome::NoHandshake(error.to_string()),
        None => Outcome::NoHandshake("no TLS handshake".into()),
    }
}

/// A connection that went without close_notify, or broke the protocol, is not just closed.
fn cut_short(outcome: Outcome, connection: &DataConnection) -> Outcome {
    match (outcome, connection.failure()) {
        (Outcome::Gone, Some(TlsError::Truncated)) => Outcome::Truncated,
        // A socket that failed is a client that has gone, as it is without TLS.
        (Outcome::Gone, Some(error)) if !matches!(error, TlsError::System(_)) => {
            Outcome::TlsBroken(error.to_string())
        }
        (outcome, _) => outcome,
    }
}

/// Waits, or ends when the time is over.
fn wait_or(flags: PollFlags, until: Option<Instant>, now: Instant, late: Outcome) -> Advance {
    if until.is_some_and(|until| until <= now) {
        Advance::End(late)
    } else {
        Advance::Wait(Want { flags, until })
    }
}
