//! The probe: a process that locks itself down and tries one thing.

use std::{
    fs,
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{PermissionsExt, chown},
    },
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use ipc::{
    account::Identity,
    last_words::leave,
    process::{Confinement, LandlockDemand},
};
use policy::{Feature, Features, LockedDown, Role};
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, RawDir, ResolveFlags},
    io::Errno,
    net::{AddressFamily, SendAncillaryBuffer, SendFlags, SocketType},
};

/// A directory with a file in it, and a file beside it.
pub struct Playground {
    /// Holds everything; removed at the end.
    directory: tempfile::TempDir,
}

impl Playground {
    /// Makes one that belongs to `uid`.
    pub fn new(uid: Option<u32>) -> io::Result<Playground> {
        let playground = Playground { directory: tempfile::tempdir()? };
        let (top, root) = (playground.directory.path(), playground.root().to_owned());
        fs::set_permissions(top, PermissionsExt::from_mode(0o755))?;
        fs::create_dir(&root)?;
        fs::write(root.join("file"), "inside")?;
        fs::write(top.join("neighbour"), "outside")?;
        for path in [root.join("file"), top.join("neighbour"), root] {
            chown(path, uid, uid)?;
        }
        Ok(playground)
    }

    /// The root of an account.
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }
}

/// Locks down, tries, and ends with 0 or the errno of the attempt; 200 and more are failures of the
/// probe itself.
pub fn run(arguments: &[String]) -> ExitCode {
    let [role, uid, features, root, attempt] = arguments else { return ExitCode::from(250) };
    let Some(role) = Role::from_name(role) else { return ExitCode::from(251) };
    let features: Features = features.split(',').filter_map(Feature::from_name).collect();
    let uid: Option<u32> = uid.parse().ok();
    let identity = uid.map(|uid| Identity { uid, gid: uid, groups: vec![] });
    let confinement = Confinement { identity, landlock: LandlockDemand::Required };
    if ipc::last_words::install(0).is_err() {
        return ExitCode::from(252);
    }
    let path = Path::new(root);
    let open = (role == Role::Session).then_some(path);
    match policy::lockdown(role, &confinement, features, open) {
        Err(failed) => {
            eprintln!("{}: {}", failed.layer, failed.reason);
            ExitCode::from(253)
        }
        Ok(mut locked) => {
            let root = locked.take_root();
            let outcome = act(attempt, root.as_ref().map(AsFd::as_fd), path, &locked);
            leave(outcome.err().map_or(0, Errno::raw_os_error))
        }
    }
}

fn act(
    attempt: &str,
    root: Option<BorrowedFd<'_>>,
    path: &Path,
    locked: &LockedDown,
) -> Result<(), Errno> {
    let from_nix = |e: nix::Error| Errno::from_raw_os_error(e as i32);
    let beneath = |name: &str, flags: OFlags| {
        let root = root.ok_or(Errno::BADF)?;
        let mode = if flags.contains(OFlags::CREATE) { Mode::RUSR } else { Mode::empty() };
        rustix::fs::openat2(root, name, flags, mode, ResolveFlags::BENEATH)
    };
    match attempt {
        "nothing" => Ok(()),
        "wait" => wait(),
        "send" => send(SendFlags::NOSIGNAL),
        "send with MSG_FASTOPEN" => send(SendFlags::from_bits_retain(0x2000_0000)),
        "openat" => rustix::fs::openat(CWD, "/", OFlags::PATH, Mode::empty()).map(drop),
        "kill" => rustix::process::test_kill_process(rustix::process::Pid::INIT),
        "setresuid" => nix::unistd::setresuid(0.into(), 0.into(), 0.into()).map_err(from_nix),
        "socket inet" => socket(AddressFamily::INET),
        "socket unix" => socket(AddressFamily::UNIX),
        "map executable" => crate::raw::map_executable().map_err(Errno::from_raw_os_error),
        "spawn" => spawn(),
        "unshare" => nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).map_err(from_nix),
        "mount" => nix::mount::mount(
            None::<&str>,
            "/",
            None::<&str>,
            nix::mount::MsFlags::MS_REMOUNT,
            None::<&str>,
        )
        .map_err(from_nix),
        "ptrace others" => {
            nix::sys::ptrace::attach(nix::unistd::Pid::from_raw(1)).map_err(from_nix)
        }
        "narrow, then send" => narrow(locked).and_then(|()| send(SendFlags::NOSIGNAL)),
        "narrow, then receive" => narrow(locked).and_then(|()| {
            let received = ipc::fdpass::receive(io::stdin().as_fd(), &mut [0], true);
            received.map(drop).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
        }),
        "read the file" => {
            let file = beneath("file", OFlags::RDONLY)?;
            rustix::io::read(file, &mut [0; 16]).map(drop)
        }
        "list the root" => list(&beneath(".", OFlags::RDONLY | OFlags::DIRECTORY)?),
        "open for writing" => beneath("file", OFlags::WRONLY).map(drop),
        "create" => beneath("new", OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL).map(drop),
        "unlink" => rustix::fs::unlinkat(root.ok_or(Errno::BADF)?, "file", AtFlags::empty()),
        "mkdir" => rustix::fs::mkdirat(root.ok_or(Errno::BADF)?, "new", Mode::RWXU),
        "mkfifo" => rustix::fs::mknodat(
            root.ok_or(Errno::BADF)?,
            "new",
            rustix::fs::FileType::Fifo,
            Mode::RUSR,
            0,
        ),
        "open /etc/passwd" => anywhere(Path::new("/etc/passwd")),
        "open the neighbour" => anywhere(&path.with_file_name("neighbour")),
        _ => Err(Errno::from_raw_os_error(199)),
    }
}

/// openat2 without RESOLVE_BENEATH: what a captured session would do.
fn anywhere(path: &Path) -> Result<(), Errno> {
    rustix::fs::openat2(CWD, path, OFlags::RDONLY, Mode::empty(), ResolveFlags::empty()).map(drop)
}

fn send(flags: SendFlags) -> Result<(), Errno> {
    // To a pipe that is no socket: whether the call is let through shows in the errno.
    let mut control = SendAncillaryBuffer::default();
    let text = [IoSlice::new(b"x")];
    match rustix::net::sendmsg(io::stderr().as_fd(), &text, &mut control, flags) {
        Err(Errno::NOTSOCK) => Ok(()),
        other => other.map(drop),
    }
}

fn socket(family: AddressFamily) -> Result<(), Errno> {
    let flags = rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK;
    let protocol = (family != AddressFamily::UNIX).then_some(rustix::net::ipproto::TCP);
    rustix::net::socket_with(family, SocketType::STREAM, flags, protocol).map(drop)
}

fn spawn() -> Result<(), Errno> {
    let child = Command::new("/bin/true").status();
    child.map(drop).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
}

fn narrow(locked: &LockedDown) -> Result<(), Errno> {
    policy::narrow(Role::Relay, locked).map(drop).map_err(|_| Errno::IO)
}

fn list(directory: &OwnedFd) -> Result<(), Errno> {
    let mut buffer = [MaybeUninit::uninit(); 1024];
    let mut entries = RawDir::new(directory, &mut buffer);
    entries.next().transpose().map(drop)
}

/// Waits until the other end of the channel is closed.
fn wait() -> Result<(), Errno> {
    let stdin = io::stdin();
    match rustix::io::read(stdin.as_fd(), &mut [0]) {
        Err(_) | Ok(_) => Ok(()),
    }
}
