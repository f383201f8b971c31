//! The session's loop: one request at a time, answered in order, replies made as the client takes
//! them. No transfer is longer than one reply in memory.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use i2ftp::{
    CHUNK, Psk, WireVersion, message,
    packet::Wire,
    reply,
    request::{FileRequest, Id, Request},
    secured::Offer,
};
use ipc::{
    Channel,
    account::{Limits, Rights},
    bounded::Bytes,
    session::{
        FileOperation, I2ftpSettings, SessionBoot, SessionClosed, SessionToSupervisor,
        SupervisorToSession,
    },
};
use policy::LockedDown;
use rustix::event::{PollFd, PollFlags};

use super::{
    connection::{Connection, Ended},
    operations,
    refusal::{Refusal, paths_of},
    refusal_notices::RefusalNotices,
    start,
    supervisor::Supervisor,
    transfers::{Closing, HashStep, Transfers},
    tree::{Tree, place},
};
use crate::{
    rate::{Bucket, deadline, earlier},
    wait::poll_until,
};

/// A client that has sent no byte and taken none for so long is gone: it sends a life sign every
/// eight seconds.
const SILENCE: Duration = Duration::from_secs(25);
/// How long the answer to CLOZ waits for the MD5; the client asks once and waits 15 s.
const HASH_PATIENCE: Duration = Duration::from_secs(10);

/// What was begun and goes on while the client takes it.
#[derive(Debug)]
enum Work {
    /// Nothing: the next request may come.
    Nothing,
    /// The replies of a DOWN.
    Sending { id: Id, range: std::ops::Range<u64>, whole: bool },
    /// The MD5 of a CLOZ.
    Hashing { id: Id, until: Instant },
}

/// What the supervisor hands over.
#[derive(Debug)]
pub struct Client {
    /// The connection, or the relay's plain side.
    pub control: OwnedFd,
    /// What the gate has read behind the handshake.
    pub unread: Bytes<8192>,
    /// Whether the relay does TLS.
    pub tls: bool,
    /// The key pair of secured mode.
    pub offer: Option<Offer>,
}

/// A session of I2FTP.
struct Session {
    connection: Connection,
    supervisor: Supervisor,
    transfers: Transfers,
    rights: Rights,
    settings: I2ftpSettings,
    limits: Limits,
    upload: Option<Bucket>,
    download: Option<Bucket>,
    commands: Option<Bucket>,
    work: Work,
    /// A request was taken from the connection and waits for its turn (commands per second).
    pending: bool,
    /// The last request that moves data was refused: the next request counts like any other.
    refused: bool,
    refusals: RefusalNotices,
    /// The memory of the last reply.
    spare: Vec<u8>,
    heartbeat: Option<Instant>,
    last_request: Instant,
}

/// Serves a client after its login until it ends, and tells the supervisor why.
///
/// # Errors
/// When the supervisor cannot be told.
pub fn serve(
    _locked: &LockedDown,
    channel: Channel<SessionToSupervisor, SupervisorToSession>,
    boot: SessionBoot,
    root: OwnedFd,
    client: Client,
) -> Result<(), Ended> {
    let mut supervisor = Supervisor::new(channel);
    let settings = boot.i2ftp.and_then(|settings| {
        WireVersion::from_name(&settings.wire_version).map(|version| (settings, version))
    });
    let Some((settings, version)) = settings else {
        let reason = "the session was started without settings of I2FTP".to_owned();
        return supervisor.close(SessionClosed::Failed(reason));
    };
    let wire = Wire { version, psk: Psk::new(settings.key.expose()) };
    let mut connection = Connection::new(client.control, wire, 0, client.unread.as_slice());
    let begun = start::begin(&mut connection, &mut supervisor, version, client.offer);
    let (supervisor, ended) = match begun {
        Err(ended) => (supervisor, ended),
        Ok(()) => {
            let tree = Tree::new(root, boot.umask);
            let rights = boot.account.rights;
            let (size, sync) = (boot.limits.file_size, boot.ftp.sync_uploads);
            let mut session = Session {
                connection,
                supervisor,
                transfers: Transfers::new(tree, rights, size, sync, client.tls),
                rights,
                settings,
                upload: None,
                download: None,
                commands: None,
                work: Work::Nothing,
                pending: false,
                refused: false,
                refusals: RefusalNotices::default(),
                spare: Vec::new(),
                heartbeat: None,
                last_request: Instant::now(),
                limits: boot.limits.clone(),
            };
            session.adopt(boot.limits);
            let ended = session.run();
            session.transfers.abandon(&mut session.supervisor);
            if let Some(rest) = session.refusals.rest(Instant::now()) {
                session.supervisor.notice(&rest);
            }
            (session.supervisor, ended)
        }
    };
    close(supervisor, ended)
}

/// Tells the supervisor why a session has ended.
fn close(mut supervisor: Supervisor, ended: Ended) -> Result<(), Ended> {
    let closed = match &ended {
        Ended::Closed => SessionClosed::ClientClosed,
        Ended::Silent | Ended::Idle | Ended::Late => SessionClosed::Idle,
        Ended::Ordered => SessionClosed::Kicked,
        Ended::Violation(_) | Ended::Start(_) => {
            supervisor.notice(&ended.to_string());
            SessionClosed::Failed(ended.to_string())
        }
        Ended::Channel(_) => return Err(ended),
        Ended::System(_) => SessionClosed::Failed(ended.to_string()),
    };
    supervisor.close(closed)
}

impl Session {
    fn adopt(&mut self, limits: Limits) {
        let now = Instant::now();
        self.upload = Bucket::new(limits.upload_rate, now);
        self.download = Bucket::new(limits.download_rate, now);
        self.commands = Bucket::new(u64::from(limits.commands_per_second), now);
        self.transfers.set_file_size(limits.file_size);
        self.limits = limits;
    }

    fn run(&mut self) -> Ended {
        loop {
            if let Err(ended) = self.turn() {
                return ended;
            }
        }
    }

    /// One step: send, or go on with what was begun, or take a request, or wait.
    fn turn(&mut self) -> Result<(), Ended> {
        if self.connection.is_sending() {
            let may = self.download.as_mut().map_or(u64::MAX, |b| b.allowance(Instant::now()));
            let (sent, buffer) =
                self.connection.flush(usize::try_from(may).unwrap_or(usize::MAX))?;
            if let Some(bucket) = &mut self.download {
                bucket.take(sent as u64);
            }
            if let Some(buffer) = buffer {
                self.spare = buffer;
            }
            if self.connection.is_sending() {
                return self.wait();
            }
            return self.supervisor.look().and_then(|()| self.obey());
        }
        match &self.work {
            Work::Sending { .. } => self.send_on(),
            Work::Hashing { .. } => self.hash_on(),
            Work::Nothing => {
                if !self.pending {
                    self.pending = self.connection.advance()?;
                }
                if self.pending && self.may_command() {
                    self.pending = false;
                    self.heartbeat = None;
                    self.last_request = Instant::now();
                    self.request()?;
                    return self.supervisor.report();
                }
                if self.heartbeat.is_some_and(|at| at <= Instant::now()) {
                    self.heartbeat = None;
                    self.connection.send_heartbeat();
                    return Ok(());
                }
                self.wait()
            }
        }
    }

    /// Whether the pending request may be served now. Requests that move data have their own
    /// limits, as long as they move data: behind one that was refused the next one is counted.
    fn may_command(&mut self) -> bool {
        let moves_data = matches!(
            self.connection.message(),
            [b'U', b'P', b'L', b'D', ..] | [b'D', b'O', b'W', b'N', ..]
        );
        if moves_data && !self.refused {
            return true;
        }
        if empty_until(&mut self.commands, Instant::now()).is_some() {
            return false;
        }
        if let Some(bucket) = &mut self.commands {
            bucket.take(1);
        }
        self.refused = false;
        true
    }

    fn obey(&mut self) -> Result<(), Ended> {
        if let Some(limits) = self.supervisor.limits.take() {
            self.adopt(limits);
        }
        let idle = matches!(self.work, Work::Nothing) && self.transfers.is_idle();
        if self.supervisor.kicked || (self.supervisor.finishing && idle) {
            return Err(Ended::Ordered);
        }
        Ok(())
    }

    /// Waits for whatever can go on next.
    fn wait(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        let sending = self.connection.is_sending();
        let mut interest = PollFlags::empty();
        let mut until;
        if sending {
            until = empty_until(&mut self.download, now);
            if until.is_none() {
                interest |= PollFlags::OUT;
            }
            let stalled = deadline(self.connection.last_sign, self.limits.idle_data_timeout);
            until = earlier(until, stalled);
        } else {
            if self.pending {
                until = empty_until(&mut self.commands, now);
            } else {
                until = empty_until(&mut self.upload, now);
                if until.is_none() {
                    interest |= PollFlags::IN;
                }
            }
            until = earlier(until, self.heartbeat);
            until = earlier(until, self.refusals.due());
            until = earlier(until, self.connection.last_sign.checked_add(SILENCE));
            until = earlier(until, self.idle_deadline());
        }
        let mut fds =
            [PollFd::new(&self.connection, interest), PollFd::new(&self.supervisor, PollFlags::IN)];
        poll_until(&mut fds, until)?;
        let [connection, channel] = fds.map(|fd| !fd.revents().is_empty());
        if channel {
            self.supervisor.look()?;
            self.obey()?;
        }
        if connection && interest.contains(PollFlags::IN) {
            let may = self.upload.as_mut().map_or(u64::MAX, |b| b.allowance(Instant::now()));
            let read = self.connection.fill(usize::try_from(may).unwrap_or(usize::MAX))?;
            if let Some(bucket) = &mut self.upload {
                bucket.take(read as u64);
            }
            return Ok(());
        }
        self.check_time(sending)
    }

    fn idle_deadline(&self) -> Option<Instant> {
        deadline(self.last_request, self.limits.idle_ctrl_timeout)
    }

    fn check_time(&mut self, sending: bool) -> Result<(), Ended> {
        let now = Instant::now();
        if self.refusals.due().is_some_and(|due| due <= now)
            && let Some(rest) = self.refusals.rest(now)
        {
            self.supervisor.notice(&rest);
            self.supervisor.report()?;
        }
        let since = now.saturating_duration_since(self.connection.last_sign);
        if sending {
            let stalled = deadline(self.connection.last_sign, self.limits.idle_data_timeout);
            return if stalled.is_some_and(|at| at <= now) { Err(Ended::Silent) } else { Ok(()) };
        }
        if since >= SILENCE {
            return Err(Ended::Silent);
        }
        if self.idle_deadline().is_some_and(|at| at <= now) {
            return Err(Ended::Idle);
        }
        Ok(())
    }

    /// Serves the request at hand.
    fn request(&mut self) -> Result<(), Ended> {
        let request = match Request::parse(self.connection.message(), self.settings.pulf_hash) {
            // The data of an upload stays where it was received.
            Ok(Request::Upload { id, offset, data }) => {
                let written = self.transfers.write(id, offset, data, &mut self.supervisor)?;
                return self.answer("UPLD", "", written.map(reply::uploaded));
            }
            Ok(request) => request,
            Err(e) => {
                let (command, path) = shown(self.connection.message());
                return self.answer(&command, &path, Err(Refusal::Request(e)));
            }
        };
        match request {
            Request::List(path) => {
                let listed = if self.rights.contains(Rights::LIST) {
                    let most = self.limits.listing_entries;
                    place(path.as_str().as_bytes())
                        .and_then(|place| self.transfers.tree().list(&place, path.name(), most))
                } else {
                    Err(Refusal::NoRight)
                };
                self.answer("LIST", path.as_str(), listed)
            }
            Request::BeginDownload(path) => {
                let begun = self.transfers.begin_download(&path, &mut self.supervisor)?;
                self.supervisor.file_event(
                    FileOperation::BeginDownload,
                    path.as_str(),
                    None,
                    begun.as_ref().err().map(Refusal::reason),
                );
                self.answer("GETF", path.as_str(), begun.map(|id| reply::begun(&id)))
            }
            Request::BeginUpload { path, md5 } => {
                let begun = self.transfers.begin_upload(&path, md5, &mut self.supervisor)?;
                self.supervisor.file_event(
                    FileOperation::BeginUpload,
                    path.as_str(),
                    None,
                    begun.as_ref().err().map(Refusal::reason),
                );
                self.answer("PULF", path.as_str(), begun.map(|id| reply::begun(&id)))
            }
            Request::Download { id, start, end } => {
                match self.transfers.range(id, start, end, &mut self.supervisor)? {
                    Ok(range) => {
                        self.work = Work::Sending { id, range, whole: true };
                        Ok(())
                    }
                    Err(refusal) => self.answer("DOWN", "", Err(refusal)),
                }
            }
            Request::Close(id) => match self.transfers.closing(id, &mut self.supervisor)? {
                Ok(Closing::Done) => self.close(id, None),
                Ok(Closing::Hash) => {
                    self.work = Work::Hashing { id, until: Instant::now() + HASH_PATIENCE };
                    Ok(())
                }
                Err(refusal) => self.answer("CLOZ", "", Err(refusal)),
            },
            Request::File(operation) => self.file_operation(&operation),
            Request::ProcessControl => {
                let answer = self.settings.pctl.map(reply::process_id).ok_or(Refusal::NoRight);
                self.answer("PCTL", "", answer)
            }
            Request::Upload { .. } => Ok(()),
        }
    }

    fn file_operation(&mut self, operation: &FileRequest) -> Result<(), Ended> {
        let supervisor = &mut self.supervisor;
        let done = operations::perform(operation, self.transfers.tree(), self.rights, supervisor)?;
        let (path, to) = paths_of(operation);
        supervisor.file_event(
            operations::operation_of(operation),
            path,
            to,
            done.as_ref().err().map(Refusal::reason),
        );
        self.obey()?;
        // The time an operation took is not the client's silence.
        self.connection.last_sign = Instant::now();
        self.answer("FIOP", path, done.map(|()| reply::file_operation_done()))
    }

    /// Sends the answer to a request; a refusal gets a line in the log.
    fn answer(
        &mut self,
        command: &str,
        path: &str,
        answer: Result<Vec<u8>, Refusal>,
    ) -> Result<(), Ended> {
        self.refused = answer.is_err();
        let message = answer.unwrap_or_else(|refusal| {
            let text = refusal.to_string();
            // What has a line of its own already needs no second one.
            let counted = !matches!(command, "GETF" | "PULF" | "FIOP");
            if counted && let Some(before) = self.refusals.add(Instant::now()) {
                self.supervisor.refusal(command, path, refusal.reason());
                if let Some(before) = before {
                    self.supervisor.notice(&before);
                }
            }
            reply::failure(&text)
        });
        if self.connection.send(message).is_err() {
            let text = Refusal::TooMany.to_string();
            return self
                .connection
                .send(reply::failure(&text))
                .map_err(|_| Ended::Start("a request whose answer cannot be sent"));
        }
        Ok(())
    }

    /// The next reply of a DOWN.
    fn send_on(&mut self) -> Result<(), Ended> {
        let Work::Sending { id, range, whole } = &mut self.work else { return Ok(()) };
        let (id, start, first) = (*id, range.start, std::mem::replace(whole, false));
        if range.is_empty() && !first {
            self.work = Work::Nothing;
            return self.supervisor.report();
        }
        let left = range.end.saturating_sub(range.start);
        let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        range.start = range.start.saturating_add(length as u64);
        let piece = start..range.start;
        let mut buffer = std::mem::take(&mut self.spare);
        buffer.resize(length.saturating_add(reply::DOWNLOAD_PREFIX), 0);
        let (prefix, data) = buffer.split_at_mut(reply::DOWNLOAD_PREFIX);
        prefix.copy_from_slice(&reply::download_prefix(start));
        let read = self.transfers.read(id, piece, data, &mut self.supervisor)?;
        if read.is_err() {
            self.work = Work::Nothing;
        }
        self.answer("DOWN", "", read.map(|()| buffer))
    }

    /// The next piece of the MD5 a CLOZ waits for.
    fn hash_on(&mut self) -> Result<(), Ended> {
        let Work::Hashing { id, until } = self.work else { return Ok(()) };
        self.supervisor.look()?;
        self.obey()?;
        // The client waits for us, not the other way round.
        self.connection.last_sign = Instant::now();
        let now = Instant::now();
        let allowance = self.download.as_mut().map_or(u64::MAX, |bucket| bucket.allowance(now));
        match self.transfers.hash_on(id, &mut self.spare, allowance) {
            Ok(HashStep::Hashed { .. } | HashStep::Pause) if now >= until => {
                self.work = Work::Nothing;
                self.answer("CLOZ", "", Err(Refusal::NotReady))
            }
            Ok(HashStep::Hashed { unpaid }) => {
                if let Some(bucket) = &mut self.download {
                    bucket.take(unpaid);
                }
                Ok(())
            }
            Ok(HashStep::Pause) => {
                let next = empty_until(&mut self.download, now);
                let mut fds = [PollFd::new(&self.supervisor, PollFlags::IN)];
                poll_until(&mut fds, earlier(next, Some(until)))?;
                Ok(())
            }
            Ok(HashStep::Done(md5)) => {
                self.work = Work::Nothing;
                self.close(id, Some(md5))
            }
            Err(refusal) => {
                self.work = Work::Nothing;
                self.answer("CLOZ", "", Err(refusal))
            }
        }
    }

    fn close(&mut self, id: Id, md5: Option<[u8; 16]>) -> Result<(), Ended> {
        let closed = self.transfers.close(id, md5, &mut self.supervisor)?;
        let answer = closed.map(|upload| match md5 {
            Some(md5) if !upload => reply::download_closed(&md5),
            Some(_) | None => reply::upload_closed(),
        });
        let pause = Duration::from_millis(message::CLOSE_HEARTBEAT_MILLIS);
        self.heartbeat = Instant::now().checked_add(pause);
        self.answer("CLOZ", "", answer)?;
        self.supervisor.report()
    }
}

/// What the log tells of a request that cannot be read: a command, and the path if it has one.
/// Other requests have an id in its place, which whoever reads the log could use.
fn shown(message: &[u8]) -> (String, String) {
    const SHOWN: usize = 200;
    let (command, path) = match message.split_first_chunk::<5>() {
        Some((command @ (b"LIST," | b"GETF," | b"PULF,"), path)) => (command, path),
        Some((b"FIOP,", rest)) => (b"FIOP,", rest.get(2..).unwrap_or_default()),
        Some((command @ (b"DOWN," | b"UPLD," | b"CLOZ," | b"PCTL,"), _)) => (command, &[][..]),
        Some(_) | None => return ("request".into(), String::new()),
    };
    let path = path.get(..SHOWN).unwrap_or(path);
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(command.get(..4).unwrap_or_default()), text(path))
}

/// When to look again at a limit that allows nothing now.
fn empty_until(bucket: &mut Option<Bucket>, now: Instant) -> Option<Instant> {
    let bucket = bucket.as_mut()?;
    (bucket.allowance(now) == 0).then(|| bucket.next(now))
}
