//! The helper's one loop: the supervisor's channel, every session's channel, and the connections
//! under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use ipc::{
    Channel, ChannelError,
    account::SessionId,
    helper::{HelperToSession, HelperToSupervisor, Refusal, SessionToHelper, SupervisorToHelper},
};
use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollEvent, EpollFlags, EpollTimeout},
        socket::{setsockopt, sockopt},
    },
};
use policy::LockedDown;

use crate::{
    attachment::{Attachment, Connect},
    control_listener,
    data_connection::{self, Listener},
    start::Ended,
};

/// Events taken from the kernel at once.
const BATCH: usize = 64;

/// The key of an attachment; never used again, so that an event that waits in a batch cannot
/// reach the wrong session.
type Slot = u64;

/// What an event belongs to, packed into epoll's 64 bits of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Supervisor,
    Session(Slot),
    Connect(Slot),
}

impl Source {
    fn pack(self) -> u64 {
        match self {
            Source::Supervisor => 0,
            Source::Session(slot) => slot << 1,
            Source::Connect(slot) => slot << 1 | 1,
        }
    }

    fn unpack(data: u64) -> Source {
        match (data >> 1, data & 1) {
            (0, _) => Source::Supervisor,
            (slot, 0) => Source::Session(slot),
            (slot, _) => Source::Connect(slot),
        }
    }
}

/// A rule of its channel that a session broke; the text is for the log.
struct Violation(String);

/// The helper after lockdown.
pub struct Helper {
    supervisor: Channel<HelperToSupervisor, SupervisorToHelper>,
    epoll: Epoll,
    from_port_20: bool,
    attachments: BTreeMap<Slot, Attachment>,
    slots: BTreeMap<SessionId, Slot>,
    deadlines: BTreeSet<(Instant, Slot)>,
    /// Listeners of sessions without a channel that may still have them, until the supervisor says
    /// that the session has ended: without its wall the kernel would let strangers in.
    kept: BTreeMap<SessionId, Listener>,
    last_slot: Slot,
}

impl Helper {
    /// A helper without sessions. The proof of lockdown is asked for because a session's bytes are
    /// read from here on.
    ///
    /// # Errors
    /// When epoll refuses.
    pub fn new(
        _locked_down: &LockedDown,
        supervisor: Channel<HelperToSupervisor, SupervisorToHelper>,
        epoll: Epoll,
        from_port_20: bool,
    ) -> Result<Helper, Errno> {
        epoll.add(&supervisor, event(EpollFlags::EPOLLIN, Source::Supervisor))?;
        Ok(Helper {
            supervisor,
            epoll,
            from_port_20,
            attachments: BTreeMap::new(),
            slots: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            kept: BTreeMap::new(),
            last_slot: 0,
        })
    }

    /// Serves until the supervisor closes its channel.
    ///
    /// # Errors
    /// Always ends with one.
    pub fn serve(mut self) -> Result<(), Ended> {
        let mut events = [EpollEvent::empty(); BATCH];
        loop {
            let ready = match self.epoll.wait(&mut events, self.timeout()) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => 0,
                Err(errno) => return Err(errno.into()),
            };
            for event in events.iter().take(ready) {
                match Source::unpack(event.data()) {
                    Source::Supervisor => self.hear_supervisor()?,
                    Source::Session(slot) => self.hear_session(slot),
                    Source::Connect(slot) => self.connect_ready(slot),
                }
            }
            self.give_up_late_connects();
        }
    }

    /// Milliseconds until the next deadline, rounded up so that it is past when we wake.
    fn timeout(&self) -> EpollTimeout {
        let Some((deadline, _)) = self.deadlines.first() else { return EpollTimeout::NONE };
        let left = deadline.saturating_duration_since(Instant::now());
        let millis = left.as_millis().saturating_add(1);
        EpollTimeout::try_from(millis).unwrap_or(EpollTimeout::MAX)
    }

    fn hear_supervisor(&mut self) -> Result<(), Ended> {
        let received = match self.supervisor.try_recv() {
            Ok(Some(received)) => received,
            Ok(None) => return Ok(()),
            // No descriptor was left for the channel of an Attach. The session sees its channel
            // close and the client a 425; everybody else is served on.
            Err(ChannelError::Descriptors { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match received.message {
            SupervisorToHelper::Boot { .. } => Err(Ended::Failed("a second Boot".into())),
            SupervisorToHelper::Listen { address } => self.answer_supervisor(address),
            SupervisorToHelper::Attach { session, client, local, ports, connect_timeout } => {
                for channel in received.fds {
                    self.attach(Attachment {
                        session,
                        client: client.to_canonical(),
                        local: local.to_canonical(),
                        ports,
                        connect_timeout,
                        channel: Channel::from_fd(channel),
                        listener: None,
                        connect: None,
                    });
                }
                Ok(())
            }
            SupervisorToHelper::Ping => {
                // A supervisor that does not read gets its answer when it asks again.
                self.supervisor.try_send(&HelperToSupervisor::Pong, &[]).ok();
                Ok(())
            }
            SupervisorToHelper::Detach { session } => {
                if let Some(slot) = self.slots.get(&session).copied() {
                    self.detach(slot);
                }
                self.kept.remove(&session);
                Ok(())
            }
        }
    }

    fn answer_supervisor(&self, address: SocketAddr) -> Result<(), Ended> {
        match control_listener::open(address) {
            Ok(socket) => {
                self.supervisor.send(&HelperToSupervisor::Listening, &[socket.as_fd()])?
            }
            Err(errno) => {
                let errno = errno as i32;
                self.supervisor.send(&HelperToSupervisor::NotListening { errno }, &[])?;
            }
        }
        Ok(())
    }

    fn attach(&mut self, attachment: Attachment) {
        // Answers a session does not read wait in the kernel, with a descriptor each. The smallest
        // queue holds a handful; a session needs room for one. Should the call fail, the session
        // merely has more room.
        setsockopt(&attachment.channel, sockopt::SndBuf, &0).ok();
        let slot = self.last_slot.saturating_add(1);
        self.last_slot = slot;
        let watched =
            self.epoll.add(&attachment.channel, event(EpollFlags::EPOLLIN, Source::Session(slot)));
        if watched.is_err() {
            // Out of memory or watches: the dropped channel tells the session.
            return;
        }
        // The supervisor attaches a session anew when it asks anew; the old channel is dead.
        if let Some(old) = self.slots.insert(attachment.session, slot) {
            self.forget(old);
        }
        self.attachments.insert(slot, attachment);
    }

    /// Closes everything that belongs to a session.
    fn detach(&mut self, slot: Slot) {
        if let Some(attachment) = self.forget(slot) {
            self.slots.remove(&attachment.session);
        }
    }

    fn forget(&mut self, slot: Slot) -> Option<Attachment> {
        let mut attachment = self.attachments.remove(&slot)?;
        if let Some(listener) = attachment.listener.take_if(|listener| listener.wall.is_some()) {
            self.kept.insert(attachment.session, listener);
        }
        if let Some(Connect { deadline: Some(deadline), .. }) = attachment.connect {
            self.deadlines.remove(&(deadline, slot));
        }
        Some(attachment)
    }

    fn hear_session(&mut self, slot: Slot) {
        let Some(attachment) = self.attachments.get(&slot) else { return };
        let heard = match attachment.channel.try_recv() {
            Ok(None) => return,
            Ok(Some(received)) => self.dispatch(slot, received.message),
            Err(ChannelError::Closed) => return self.detach(slot),
            Err(error) => Err(Violation(error.to_string())),
        };
        if let Err(violation) = heard {
            self.expel(slot, violation);
        }
    }

    /// Closes the channel of a session that broke its rules, and tells the supervisor.
    fn expel(&mut self, slot: Slot, Violation(what): Violation) {
        let Some(attachment) = self.attachments.get(&slot) else { return };
        let session = attachment.session;
        self.detach(slot);
        // A supervisor that does not read at the moment must not stop the helper; the channel of
        // the session is closed in any case.
        self.supervisor.try_send(&HelperToSupervisor::Violation { session, what }, &[]).ok();
    }

    fn dispatch(&mut self, slot: Slot, message: SessionToHelper) -> Result<(), Violation> {
        match message {
            SessionToHelper::Listen => self.answer_listen(slot),
            SessionToHelper::Connect { to } => self.answer_connect(slot, to),
            SessionToHelper::Cancel => self.answer_cancel(slot),
        }
    }

    fn answer_listen(&mut self, slot: Slot) -> Result<(), Violation> {
        let Some(attachment) = self.attachments.get_mut(&slot) else { return Ok(()) };
        if attachment.connect.is_some() {
            return Err(Violation("Listen while a Connect is under way".into()));
        }
        if attachment.listener.is_none() {
            attachment.listener = self.kept.remove(&attachment.session);
        }
        if attachment.listener.is_none() {
            match data_connection::listener(attachment.local, attachment.client, attachment.ports) {
                Ok(listener) => attachment.listener = Some(listener),
                Err(refusal) => return refuse(attachment, refusal),
            }
        }
        let Some(listener) = &attachment.listener else { return Ok(()) };
        let answer = HelperToSession::Listening { port: listener.port };
        pass(attachment, &answer, listener.socket.as_fd())
    }

    fn answer_connect(&mut self, slot: Slot, to: SocketAddr) -> Result<(), Violation> {
        let Some(attachment) = self.attachments.get_mut(&slot) else { return Ok(()) };
        if attachment.connect.is_some() {
            return Err(Violation("Connect while a Connect is under way".into()));
        }
        let socket = data_connection::check_target(attachment.client, to)
            .and_then(|to| data_connection::connecting(attachment.local, to, self.from_port_20));
        let socket = match socket {
            Ok(socket) => socket,
            Err(refusal) => return refuse(attachment, refusal),
        };
        let watch = event(EpollFlags::EPOLLOUT, Source::Connect(slot));
        if let Err(errno) = self.epoll.add(&socket, watch) {
            return refuse(attachment, Refusal::Exhausted(errno as i32));
        }
        let deadline = match attachment.connect_timeout {
            0 => None,
            seconds => Instant::now().checked_add(Duration::from_secs(seconds)),
        };
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, slot));
        }
        attachment.connect = Some(Connect { socket, deadline });
        Ok(())
    }

    fn answer_cancel(&mut self, slot: Slot) -> Result<(), Violation> {
        // Without a connection under way its answer has crossed the Cancel: nothing to say.
        match self.end_connect(slot) {
            Some((attachment, _)) => refuse(attachment, Refusal::Cancelled),
            None => Ok(()),
        }
    }

    /// Takes the connection under way out of the loop. The session may keep its socket open, so
    /// closing ours would not end the watch.
    fn end_connect(&mut self, slot: Slot) -> Option<(&Attachment, OwnedFd)> {
        let attachment = self.attachments.get_mut(&slot)?;
        let Connect { socket, deadline } = attachment.connect.take()?;
        if let Some(deadline) = deadline {
            self.deadlines.remove(&(deadline, slot));
        }
        self.epoll.delete(&socket).ok();
        Some((attachment, socket))
    }

    fn connect_ready(&mut self, slot: Slot) {
        let Some((attachment, socket)) = self.end_connect(slot) else { return };
        let answered = match data_connection::outcome(&socket) {
            Ok(()) => pass(attachment, &HelperToSession::Connected, socket.as_fd()),
            Err(refusal) => refuse(attachment, refusal),
        };
        if let Err(violation) = answered {
            self.expel(slot, violation);
        }
    }

    fn give_up_late_connects(&mut self) {
        if self.deadlines.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some((deadline, slot)) = self.deadlines.first().copied() {
            if deadline > now {
                return;
            }
            self.deadlines.pop_first();
            let answered = match self.end_connect(slot) {
                Some((attachment, _)) => refuse(attachment, Refusal::TimedOut),
                None => Ok(()),
            };
            if let Err(violation) = answered {
                self.expel(slot, violation);
            }
        }
    }
}

fn event(flags: EpollFlags, source: Source) -> EpollEvent {
    EpollEvent::new(flags, source.pack())
}

/// Answers with a descriptor. When the kernel has no room for one in flight, the answer is a
/// refusal.
fn pass(
    attachment: &Attachment,
    answer: &HelperToSession,
    fd: BorrowedFd<'_>,
) -> Result<(), Violation> {
    match attachment.channel.try_send(answer, &[fd]) {
        Err(ChannelError::System(e)) if e.raw_os_error() == Some(Errno::ETOOMANYREFS as i32) => {
            refuse(attachment, Refusal::Exhausted(Errno::ETOOMANYREFS as i32))
        }
        other => judge_answer(other),
    }
}

fn refuse(attachment: &Attachment, refusal: Refusal) -> Result<(), Violation> {
    judge_answer(attachment.channel.try_send(&HelperToSession::Refused(refusal), &[]))
}

fn judge_answer(sent: Result<(), ChannelError>) -> Result<(), Violation> {
    match sent {
        // A session that has closed its end is detached when its end of file is read.
        Ok(()) | Err(ChannelError::Closed) => Ok(()),
        Err(ChannelError::System(e)) if e.kind() == std::io::ErrorKind::WouldBlock => {
            Err(Violation("asks on without reading the answers".into()))
        }
        Err(error) => Err(Violation(error.to_string())),
    }
}
