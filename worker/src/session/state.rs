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
    files::{FileError, FileResult, Root},
    ftp::{
        argument::{ByteRange, TransferType},
        command::Command,
        digest::Algorithm,
        listing::FactSet,
        path::VirtualPath,
        reply::Reply,
    },
    rate::{Bucket, IDLE_COMMANDS_BURST},
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
    /// What commands that do nothing are taken from; `None`: no limit.
    pub(crate) idle_commands: Option<Bucket>,
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
            idle_commands: idle_commands(&boot.limits),
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
        if self.limits.commands_per_second != limits.commands_per_second {
            self.idle_commands = idle_commands(&limits);
        }
        self.limits = limits;
        if let (true, Some(transfer)) = (changed, &mut self.transfer) {
            transfer.limit_rate(&self.limits);
        }
        if let (true, Some(summing)) = (changed, &mut self.summing) {
            summing.limit_rate(&self.limits);
        }
    }

    /// Whether a command is still being obeyed, so that those behind it wait.
    pub(crate) fn is_busy(&self) -> bool {
        self.transfer.is_some() || self.summing.is_some() || self.who_asked
    }

    /// Counts a command that was answered. `worked`: it moved data, or asked or changed the file
    /// system; one that did gives back what commands that do nothing have used up, so that no honest
    /// client meets the limit.
    pub(crate) fn count_command(&mut self, worked: bool) {
        let Some(bucket) = &mut self.idle_commands else { return };
        if worked { bucket.fill(Instant::now()) } else { bucket.take(1) }
    }

    /// When the next command may be taken; `None`: now.
    pub(crate) fn commands_held_until(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let bucket = self.idle_commands.as_mut()?;
        (bucket.allowance(now) == 0).then(|| bucket.next(now))
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
        done: &FileResult<()>,
    ) -> Result<(), Fatal> {
        let event = Event::File {
            operation,
            path: Bytes::cut(path.as_bytes().to_vec()),
            to: to.map(|to| Bytes::cut(to.as_bytes().to_vec())),
            reason: done.err().map(FileError::reason),
        };
        self.events.add(event, &self.channel)
    }
}

/// The bucket for commands that do nothing, as the limits say.
fn idle_commands(limits: &Limits) -> Option<Bucket> {
    let rate = u64::from(limits.commands_per_second);
    Bucket::with_burst(rate, IDLE_COMMANDS_BURST, Instant::now())
}
