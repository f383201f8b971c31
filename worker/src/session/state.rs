//! What a session knows.

use std::{collections::VecDeque, net::SocketAddr, os::fd::OwnedFd, time::Instant};

use ipc::bounded::Bytes;
use ipc::{
    account::{Account, Limits},
    session::{Event, FileOperation, FtpSettings, SessionBoot, SessionClosed},
};
use policy::LockedDown;

use super::{
    SupervisorChannel,
    events::Events,
    helper::{HelperChannel, Listener},
};
use crate::{
    Fatal,
    control::ControlConnection,
    files::Root,
    ftp::{
        argument::{ByteRange, TransferType},
        command::Command,
        digest::Algorithm,
        listing::FactSet,
        path::VirtualPath,
        reply::Reply,
    },
    transfer::{self, Scratch, Transfer},
    verbs::hash::Summing,
};

/// How the next data connection comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataWay {
    /// Neither PORT nor PASV was sent.
    None,
    /// The client connects to the listener.
    Passive,
    /// The helper connects to this address of the client.
    Active(SocketAddr),
}

/// A line of the client: a command, or the reply to what is none.
pub(crate) type Queued = Result<Command, Reply>;

/// A session with its client.
pub struct Session<'a> {
    pub(crate) channel: SupervisorChannel,
    pub(crate) control: ControlConnection,
    pub(crate) account: Account,
    pub(crate) limits: Limits,
    pub(crate) settings: FtpSettings,
    pub(crate) client: SocketAddr,
    pub(crate) local: SocketAddr,
    /// Whether TLS is configured, for FEAT.
    pub(crate) tls: bool,
    /// Protection of data connections, when the control connection is TLS.
    pub(crate) protection: Option<transfer::Protection>,
    pub(crate) root: Root,

    pub(crate) queue: VecDeque<Queued>,
    pub(crate) directory: VirtualPath,
    pub(crate) umask: u32,
    /// What SITE IDLE has set, in seconds.
    pub(crate) idle: Option<u64>,
    pub(crate) kind: TransferType,
    pub(crate) facts: FactSet,
    pub(crate) algorithm: Algorithm,
    pub(crate) offset: u64,
    pub(crate) rename_from: Option<VirtualPath>,
    pub(crate) range: Option<ByteRange>,
    pub(crate) only_epsv: bool,
    pub(crate) who_asked: bool,
    pub(crate) summing: Option<Summing>,

    pub(crate) way: DataWay,
    pub(crate) listener: Option<Listener>,
    pub(crate) helper: Option<HelperChannel>,
    pub(crate) transfer: Option<Transfer>,
    pub(crate) scratch: Scratch,

    pub(crate) events: Events,
    pub(crate) ending: Option<SessionClosed>,
    pub(crate) finish: Option<String>,
    /// When the last transfer ended: the idle timer rests while data moves.
    pub(crate) last_transfer: Instant,
    pub(crate) commands: Flood,
    /// A client's bytes are read only by what can show that the sandbox is up.
    _locked: &'a LockedDown,
}

impl<'a> Session<'a> {
    /// A session that is about to greet its client.
    pub fn new(
        locked: &'a LockedDown,
        channel: SupervisorChannel,
        boot: SessionBoot,
        root: OwnedFd,
        control: ControlConnection,
        protection: Option<transfer::Protection>,
    ) -> Self {
        let start = boot.account.start.as_os_str().as_encoded_bytes().to_vec();
        let directory = VirtualPath::root().join(&start).unwrap_or_else(|_| VirtualPath::root());
        Session {
            channel,
            control,
            idle: None,
            commands: Flood::default(),
            account: boot.account,
            limits: boot.limits,
            settings: boot.ftp,
            client: boot.client,
            local: boot.local,
            tls: boot.tls.is_some(),
            protection,
            root: Root::new(root),
            queue: VecDeque::new(),
            directory,
            umask: boot.umask,
            kind: TransferType::Ascii,
            facts: FactSet::default(),
            algorithm: Algorithm::default(),
            offset: 0,
            rename_from: None,
            range: None,
            only_epsv: false,
            who_asked: false,
            summing: None,
            way: DataWay::None,
            listener: None,
            helper: None,
            transfer: None,
            scratch: Scratch::default(),
            events: Events::default(),
            ending: None,
            finish: None,
            last_transfer: Instant::now(),
            _locked: locked,
        }
    }

    /// Adds a reply to those that wait to be written.
    pub(crate) fn say(&mut self, reply: &Reply) {
        self.control.say(reply);
    }

    /// Seconds without a command after which the session ends; 0 is no limit.
    pub(crate) fn idle(&self) -> u64 {
        self.idle.unwrap_or(self.limits.idle_ctrl_timeout)
    }

    /// The limits have changed; they hold for the transfer that runs as well.
    pub(crate) fn take_limits(&mut self, limits: Limits) {
        let rates = |limits: &Limits| (limits.upload_rate, limits.download_rate);
        let changed = rates(&self.limits) != rates(&limits);
        self.limits = limits;
        if let (true, Some(transfer)) = (changed, &mut self.transfer) {
            transfer.limit_rate(&self.limits);
        }
    }

    /// Whether a command is still being obeyed, so that those behind it wait.
    pub(crate) fn is_busy(&self) -> bool {
        self.transfer.is_some() || self.summing.is_some() || self.who_asked
    }

    /// Ends the session after a last reply line.
    pub(crate) fn kick(&mut self, reply: &str) {
        self.say(&Reply::from_line(reply));
        self.ending = Some(SessionClosed::Kicked);
    }

    /// Tells the supervisor of a file operation.
    pub(crate) fn note(
        &mut self,
        operation: FileOperation,
        path: &VirtualPath,
        to: Option<&VirtualPath>,
        done: bool,
    ) -> Result<(), Fatal> {
        let event = Event::File {
            operation,
            path: Bytes::cut(path.as_bytes().to_vec()),
            to: to.map(|to| Bytes::cut(to.as_bytes().to_vec())),
            done,
        };
        self.events.add(event, &self.channel)
    }
}

/// Counts commands per second.
#[derive(Debug, Default)]
pub(crate) struct Flood {
    window: Option<Instant>,
    taken: u32,
}

impl Flood {
    /// Whether one more command may be taken now; if not, when. `limit` 0 is no limit.
    pub(crate) fn take(&mut self, limit: u32, now: Instant) -> Result<(), Instant> {
        if limit == 0 {
            return Ok(());
        }
        let second = std::time::Duration::from_secs(1);
        let end = self.window.and_then(|window| window.checked_add(second));
        match end {
            Some(end) if now < end => {
                if self.taken >= limit {
                    return Err(end);
                }
                self.taken = self.taken.saturating_add(1);
            }
            Some(_) | None => {
                self.window = Some(now);
                self.taken = 1;
            }
        }
        Ok(())
    }

    /// There was no command to take.
    pub(crate) fn give_back(&mut self) {
        self.taken = self.taken.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_of_commands_waits_for_the_next_second() {
        let start = Instant::now();
        let mut flood = Flood::default();
        assert!(flood.take(2, start).is_ok());
        assert!(flood.take(2, start).is_ok());
        assert_eq!(flood.take(2, start), Err(start + Duration::from_secs(1)));
        assert!(flood.take(2, start + Duration::from_secs(1)).is_ok());
        assert!((0..1000).all(|_| flood.take(0, start).is_ok()));
    }
}
