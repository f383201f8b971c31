//! The roles that are attacked, and how an attempt ends in them.

use std::{
    fmt, io,
    os::{
        fd::AsFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, Command, Stdio},
};

use ipc::{
    fdpass,
    last_words::{EXIT_FORBIDDEN, LastWords},
};
use nix::errno::Errno;

use crate::{PROBE, PROBE_UID, VICTIM, world::Files};

/// A column of the table: a role in a form of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The keeper.
    Keeper,
    /// The authenticator of a server without PAM; it stays root.
    Authenticator,
    /// The helper.
    Helper,
    /// The gate, with TLS.
    Gate,
    /// The relay.
    Relay,
    /// A session that may list and read.
    ReadOnly,
    /// A session that may do everything.
    Writing,
    /// As `Writing`, for I2FTP: without TLS.
    I2ftp,
    /// As `ReadOnly`, of a server that runs unprivileged: Landlock without a change of root.
    RootlessReadOnly,
    /// As `Writing`, of a server that runs unprivileged.
    RootlessWriting,
    /// No role: root without any lockdown.
    Naked,
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Column::Keeper => "keeper",
            Column::Authenticator => "authenticator",
            Column::Helper => "helper",
            Column::Gate => "gate",
            Column::Relay => "relay",
            Column::ReadOnly => "session, read-only",
            Column::Writing => "session, writing",
            Column::I2ftp => "session, I2FTP",
            Column::RootlessReadOnly => "rootless session, read-only",
            Column::RootlessWriting => "rootless session, writing",
            Column::Naked => "no sandbox",
        })
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Done,
    /// Its last call failed.
    Errno(i32),
    /// The filter ended the process.
    Trapped,
    /// The process ended in another way.
    Other(String),
}

impl Outcome {
    /// Without a sandbox: whether the call did something, or at least reached the code that looks at
    /// its arguments.
    pub fn got_through(&self) -> bool {
        match self {
            Outcome::Done | Outcome::Other(_) => true,
            Outcome::Trapped => false,
            Outcome::Errno(errno) => {
                let refused = [Errno::EPERM, Errno::EACCES, Errno::ENOSYS];
                !refused.contains(&Errno::from_raw(*errno))
            }
        }
    }
}

/// What the kernel says when Landlock, the change of root, the file system's permissions or
/// `RESOLVE_*` refuse a path.
const REFUSALS: [Errno; 7] = [
    Errno::EACCES,
    Errno::EPERM,
    Errno::ENOENT,
    Errno::EXDEV,
    Errno::ELOOP,
    Errno::EROFS,
    Errno::ENOTDIR,
];

/// What no layer stops where there is no change of root.
const FACTS: &str = "stat a file outside with statx";

/// What an authenticator may do: it has no change of root, and it locks the file of used codes.
const AUTHENTICATOR: [&str; 2] = [FACTS, "lock a file"];

/// What a session that may write can do: the bit goes with the first byte, so it is of no use.
const WRITING: &str = "make an empty set-uid file with openat2";

/// What a rootless server cannot stop: without privilege there is no change of root, and Landlock
/// has no right for looking at a name.
const ROOTLESS: [&str; 3] =
    [FACTS, "read a link outside with readlinkat", "change times outside with utimensat"];

impl Column {
    /// The columns whose attempts must all be denied.
    pub const ALL: [Column; 10] = [
        Column::Keeper,
        Column::Authenticator,
        Column::Helper,
        Column::Gate,
        Column::Relay,
        Column::ReadOnly,
        Column::Writing,
        Column::I2ftp,
        Column::RootlessReadOnly,
        Column::RootlessWriting,
    ];

    /// Whether an outcome means that the attempt was denied.
    pub fn denies(self, attempt: &str, outcome: &Outcome) -> bool {
        let opens = matches!(self.arguments()[0], "session" | "authenticator");
        match outcome {
            Outcome::Trapped => true,
            Outcome::Errno(errno) if opens => REFUSALS.contains(&Errno::from_raw(*errno)),
            // A helper has no control connection and no listener to misuse.
            Outcome::Errno(errno) if self == Column::Helper => *errno == Errno::EBADF as i32,
            Outcome::Done if self == Column::Authenticator => AUTHENTICATOR.contains(&attempt),
            Outcome::Done => {
                let writes =
                    matches!(self, Column::Writing | Column::I2ftp | Column::RootlessWriting);
                writes && attempt == WRITING || self.rootless() && ROOTLESS.contains(&attempt)
            }
            Outcome::Errno(_) | Outcome::Other(_) => false,
        }
    }

    /// Whether its sessions have no privilege to change the root with.
    fn rootless(self) -> bool {
        let session = self.arguments()[0] == "session";
        let privileged = matches!(self, Column::ReadOnly | Column::Writing | Column::I2ftp);
        session && (!is_root() || !privileged)
    }

    /// Role and features, as the probe takes them.
    fn arguments(self) -> [&'static str; 2] {
        match self {
            Column::Keeper => ["keeper", ""],
            Column::Authenticator => ["authenticator", ""],
            Column::Helper => ["helper", ""],
            Column::Gate => ["gate", "tls"],
            Column::Relay => ["relay", "tls"],
            Column::ReadOnly | Column::RootlessReadOnly => ["session", "list,read,tls,i2ftp"],
            Column::Writing | Column::RootlessWriting => [
                "session",
                "list,read,write,append,overwrite,delete,rename,mkdir,rmdir,chmod,symlink,tls,\
                 atomic-uploads,sync-uploads,i2ftp",
            ],
            Column::I2ftp => [
                "session",
                "list,read,write,append,overwrite,delete,rename,mkdir,rmdir,chmod,symlink,i2ftp",
            ],
            Column::Naked => ["-", ""],
        }
    }
}

/// Whether an attempt may be made as root without a sandbox, on a developer's machine.
pub fn harmless_as_root(attempt: &str) -> bool {
    attempt != "hang up the terminal"
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Runs the attempts of one column.
pub struct Runner {
    column: Column,
    files: Files,
    victim: Child,
    uid: Option<u32>,
}

impl Runner {
    /// Makes the files and starts the victim.
    pub fn new(column: Column) -> io::Result<Runner> {
        let stays_root = matches!(column, Column::Naked | Column::Authenticator);
        let uid = (is_root() && !stays_root).then_some(PROBE_UID);
        let files = Files::new(uid)?;
        let mut command = Command::new("/proc/self/exe");
        command.arg(VICTIM).stdin(Stdio::piped()).env_clear().current_dir("/");
        if let Some(uid) = uid {
            command.uid(uid).gid(uid);
        }
        Ok(Runner { column, files, victim: command.spawn()?, uid })
    }

    /// Makes one attempt.
    pub fn run(&self, attempt: &str) -> io::Result<Outcome> {
        let (ours, theirs) = fdpass::seqpacket_pair()?;
        let mut command = Command::new("/proc/self/exe");
        let mut identity = self.uid;
        if let (true, Some(uid)) = (self.column.rootless(), self.uid) {
            command.uid(uid).gid(uid);
            identity = None;
        }
        let output = command
            .arg(PROBE)
            .args(self.column.arguments())
            .arg(identity.map_or("-".to_owned(), |uid| uid.to_string()))
            .arg(self.files.root())
            .arg(self.victim.id().to_string())
            .arg(attempt)
            .stdin(Stdio::from(theirs))
            .env_clear()
            .current_dir("/")
            .output()?;
        let mut frame = [0; 256];
        let words = fdpass::receive(ours.as_fd(), &mut frame, true)
            .ok()
            .and_then(|receipt| LastWords::parse(frame.get(..receipt.bytes)?));
        let status = output.status;
        Ok(match (status.code(), status.signal(), words) {
            (Some(EXIT_FORBIDDEN), _, Some(LastWords::Forbidden { .. })) => Outcome::Trapped,
            // The 32-bit entry is another architecture: the filter kills without a word.
            (None, Some(libc::SIGSYS), _) => Outcome::Trapped,
            (Some(0), _, _) => Outcome::Done,
            (Some(code), _, None) if code < 200 => Outcome::Errno(code),
            (_, signal, words) => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                Outcome::Other(format!("{status}, signal {signal:?}, {words:?} {said}"))
            }
        })
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // It may have been ended by an attempt, which that attempt's outcome shows.
        self.victim.kill().unwrap_or_default();
        drop(self.victim.wait());
    }
}
