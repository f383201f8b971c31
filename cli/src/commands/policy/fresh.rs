//! Fresh processes of every role, each of which locks itself down and tries one thing that must
//! fail. What is tried uses nothing but ordinary library calls.

use std::{
    ffi::OsString,
    fs, io,
    net::{Ipv4Addr, UdpSocket},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixDatagram, process::ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use clap::{Args, ValueEnum};
use ipc::{
    account::Identity,
    fdpass,
    last_words::{self, EXIT_FORBIDDEN, LastWords},
    process::{Confinement, LandlockDemand},
};
use policy::{Feature, Features, LockedDown, Role, syscalls};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

/// Exit code of an attempt that succeeded, and should not have.
const SUCCEEDED: i32 = 77;
/// Exit code of an attempt that the kernel refused with an error.
const REFUSED: i32 = 78;
/// Exit code of a lockdown that failed.
const NOT_LOCKED_DOWN: i32 = 79;

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Action {
    /// Open /etc/passwd by name.
    OpenByName,
    /// Open it with openat, which an authenticator may call.
    OpenState,
    /// Open it with openat2, which a session may call.
    OpenOutside,
    /// Make a file in a root that is read-only.
    WriteReadOnly,
    /// Start a program.
    StartProgram,
    /// Make a UDP socket.
    MakeSocket,
    /// Make a Unix socket.
    MakeUnixSocket,
    /// Signal process 1.
    Signal,
    /// Become root again.
    BecomeRoot,
    /// Make a namespace.
    MakeNamespace,
    /// Trace another process.
    Trace,
}

impl Action {
    /// What a report calls it.
    pub fn describe(self) -> &'static str {
        match self {
            Action::OpenByName | Action::OpenState => "open /etc/passwd by name",
            Action::OpenOutside => "open /etc/passwd with openat2",
            Action::WriteReadOnly => "make a file as a read-only account",
            Action::StartProgram => "start a program",
            Action::MakeSocket => "make a UDP socket",
            Action::MakeUnixSocket => "make a Unix socket",
            Action::Signal => "signal process 1",
            Action::BecomeRoot => "become root again",
            Action::MakeNamespace => "make a network namespace",
            Action::Trace => "trace another process",
        }
    }

    /// The layer that must stop it.
    pub fn layer(self) -> &'static str {
        match self {
            Action::OpenState | Action::OpenOutside | Action::WriteReadOnly => "landlock",
            Action::OpenByName
            | Action::StartProgram
            | Action::MakeSocket
            | Action::MakeUnixSocket
            | Action::Signal
            | Action::BecomeRoot
            | Action::MakeNamespace
            | Action::Trace => "seccomp",
        }
    }

    /// What must fail in a role.
    pub fn of(role: Role) -> &'static [Action] {
        match role {
            Role::Supervisor | Role::PamAuthenticator => &[Action::MakeNamespace, Action::Trace],
            // It opens by name what Landlock leaves it: nothing outside its state directory.
            Role::Authenticator => &[
                Action::OpenState,
                Action::StartProgram,
                Action::MakeSocket,
                Action::MakeUnixSocket,
                Action::Signal,
                Action::BecomeRoot,
                Action::MakeNamespace,
                Action::Trace,
            ],
            Role::Session => &[
                Action::OpenByName,
                Action::OpenOutside,
                Action::WriteReadOnly,
                Action::StartProgram,
                Action::MakeSocket,
                Action::MakeUnixSocket,
                Action::Signal,
                Action::BecomeRoot,
                Action::MakeNamespace,
                Action::Trace,
            ],
            Role::Keeper | Role::Helper | Role::Gate | Role::Relay => &[
                Action::OpenByName,
                Action::StartProgram,
                Action::MakeSocket,
                Action::MakeUnixSocket,
                Action::Signal,
                Action::BecomeRoot,
                Action::MakeNamespace,
                Action::Trace,
            ],
        }
    }

    fn attempt(self, root: Option<&OwnedFd>) -> io::Result<()> {
        let open = OFlags::RDONLY | OFlags::CLOEXEC;
        match self {
            Action::OpenByName | Action::OpenState => fs::File::open("/etc/passwd").map(drop),
            Action::OpenOutside => {
                let nothing = ResolveFlags::empty();
                let opened = rustix::fs::openat2(CWD, "/etc/passwd", open, Mode::empty(), nothing);
                Ok(opened.map(drop)?)
            }
            Action::WriteReadOnly => {
                let root = root.ok_or(io::ErrorKind::NotFound)?;
                let create = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
                let beneath = ResolveFlags::BENEATH;
                Ok(rustix::fs::openat2(root, "new", create, Mode::RUSR, beneath).map(drop)?)
            }
            Action::StartProgram => Command::new("/bin/true").status().map(drop),
            Action::MakeSocket => UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map(drop),
            Action::MakeUnixSocket => UnixDatagram::unbound().map(drop),
            Action::Signal => Ok(nix::sys::signal::kill(nix::unistd::Pid::from_raw(1), None)?),
            Action::BecomeRoot => Ok(nix::unistd::setuid(nix::unistd::Uid::from_raw(0))?),
            Action::MakeNamespace => Ok(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?),
            Action::Trace => Ok(nix::sys::ptrace::attach(nix::unistd::Pid::from_raw(1))?),
        }
    }
}

/// The hidden command: lock down, try, and tell by the exit code.
#[derive(Debug, Args)]
pub struct Attempt {
    #[arg(value_parser = super::role)]
    role: Role,
    action: Action,
    /// uid and gid to take on.
    #[arg(long)]
    uid: Option<u32>,
    /// Root of a session.
    #[arg(long)]
    root: Option<PathBuf>,
    /// Go on without Landlock.
    #[arg(long)]
    landlock_off: bool,
}

impl Attempt {
    /// Runs in the process that is locked down; never returns.
    pub fn run(self) -> ExitCode {
        let identity = self.uid.map(|uid| Identity { uid, gid: uid, groups: Vec::new() });
        let landlock =
            if self.landlock_off { LandlockDemand::Off } else { LandlockDemand::Required };
        let confinement = Confinement { identity, landlock };
        let locked = fdpass::close_from(3)
            .and_then(|()| last_words::install(0))
            .map_err(|e| e.to_string())
            .and_then(|()| self.lock_down(&confinement));
        match locked {
            Err(reason) => {
                super::super::console::complain(&io::Error::other(reason));
                last_words::leave(NOT_LOCKED_DOWN)
            }
            Ok(mut locked) => {
                let root = locked.take_root();
                let succeeded = self.action.attempt(root.as_ref()).is_ok();
                last_words::leave(if succeeded { SUCCEEDED } else { REFUSED })
            }
        }
    }

    fn lock_down(&self, confinement: &Confinement) -> Result<LockedDown, String> {
        let text = |f: ipc::process::LockdownFailure| format!("{}: {}", f.layer, f.reason);
        let features: Features = [Feature::List, Feature::Read, Feature::Tls].into_iter().collect();
        // A relay is a gate first.
        let first = if self.role == Role::Relay { Role::Gate } else { self.role };
        let locked =
            policy::lockdown(first, confinement, features, self.root.as_deref()).map_err(text)?;
        if self.role == Role::Relay {
            policy::narrow(Role::Relay, &locked).map_err(text)?;
        }
        Ok(locked)
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The filter stopped the process at this call.
    Stopped(String),
    /// The kernel refused with an error.
    Refused,
    /// It succeeded.
    Succeeded,
    /// The process did not even lock itself down, or died in another way.
    Broken(String),
}

/// Starts a process of `role` that tries `action`.
///
/// # Errors
/// When it cannot be started.
pub fn start(
    role: Role,
    action: Action,
    uid: Option<u32>,
    root: &Path,
    landlock: LandlockDemand,
) -> io::Result<Ended> {
    let (ours, theirs) = fdpass::seqpacket_pair()?;
    let mut arguments: Vec<OsString> = ["policy", "attempt", role.name()].map(Into::into).into();
    if let Some(value) = action.to_possible_value() {
        arguments.push(value.get_name().into());
    }
    if let Some(uid) = uid {
        arguments.extend(["--uid".into(), uid.to_string().into()]);
    }
    if matches!(role, Role::Session | Role::Authenticator) {
        arguments.extend(["--root".into(), root.into()]);
    }
    if landlock == LandlockDemand::Off {
        arguments.push("--landlock-off".into());
    }
    let output = Command::new("/proc/self/exe")
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(theirs))
        .output()?;
    let mut frame = [0; 256];
    let words = fdpass::receive(ours.as_fd(), &mut frame, true)
        .ok()
        .and_then(|receipt| LastWords::parse(frame.get(..receipt.bytes)?));
    Ok(match (output.status.code(), words) {
        (Some(EXIT_FORBIDDEN), Some(LastWords::Forbidden { syscall })) => {
            let number = i64::from(syscall);
            Ended::Stopped(syscalls::name(number).map_or(number.to_string(), str::to_owned))
        }
        (Some(REFUSED), _) => Ended::Refused,
        (Some(SUCCEEDED), _) => Ended::Succeeded,
        (code, words) => Ended::Broken(format!(
            "exit code {code:?}, signal {:?}, {words:?}: {}",
            output.status.signal(),
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    })
}
