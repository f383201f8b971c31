//! The probe and the victim.

use std::{
    io::{self, Read},
    net::{TcpListener, TcpStream},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::ExitCode,
};

use ipc::{
    account::Identity,
    last_words::leave,
    packet_filter,
    process::{Confinement, LandlockDemand},
};
use policy::{Feature, Features, LockedDown, Role};
use rustix::fs::{Mode, OFlags};

use crate::{
    attempts::all,
    world::{World, as_argument},
};

/// A process of the same uid: waits until its standard input is closed.
pub fn be_a_victim() -> ExitCode {
    match io::stdin().read(&mut [0]) {
        Ok(_) | Err(_) => ExitCode::SUCCESS,
    }
}

/// Locks down, makes one attempt, and ends with 0 or its errno; 200 and more are failures of the
/// probe itself.
pub fn run(arguments: &[String]) -> ExitCode {
    let [role, features, uid, root, victim, name] = arguments else { return ExitCode::from(250) };
    let Some(attempt) = all().find(|attempt| attempt.name == name) else {
        return ExitCode::from(251);
    };
    match world(role, features, uid.parse().ok(), Path::new(root), victim.parse().ok()) {
        Ok(world) => leave((attempt.run)(&world).err().unwrap_or(0)),
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::from(252)
        }
    }
}

/// Makes the descriptors of the role and locks the process down; without a role it stays as it is.
fn world(
    role: &str,
    features: &str,
    uid: Option<u32>,
    path: &Path,
    victim: Option<u64>,
) -> Result<World, String> {
    let role = Role::from_name(role);
    let text = |e: io::Error| e.to_string();
    let victim = victim.ok_or("no victim")?;
    let (control, listener) = match role {
        Some(
            Role::Keeper
            | Role::Helper
            | Role::Supervisor
            | Role::Authenticator
            | Role::PamAuthenticator,
        ) => (u64::MAX, u64::MAX),
        Some(Role::Gate | Role::Relay | Role::Session) | None => sockets().map_err(text)?,
    };
    ipc::last_words::install(0).map_err(text)?;
    let root = match role {
        Some(role) => lock_down(role, features, uid, path)?.take_root(),
        None => Some(open(path).map_err(|e| e.to_string())?),
    };
    Ok(World { root, control, listener, victim, path: PathBuf::from(path) })
}

fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

/// A control connection and a listener for passive data connections, left open for the attempt.
fn sockets() -> io::Result<(u64, u64)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (control, _) = listener.accept()?;
    control.set_nonblocking(true)?;
    listener.set_nonblocking(true)?;
    // As the helper gives it away: with the filter that lets in one client, where the kernel lets
    // this process attach one, and locked.
    match packet_filter::admit_only(listener.as_fd(), client.local_addr()?.ip()) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            packet_filter::lock(listener.as_fd())?;
        }
        other => other?,
    }
    let numbers = (as_argument(control.as_raw_fd()), as_argument(listener.as_raw_fd()));
    std::mem::forget((listener, client, control));
    Ok(numbers)
}

fn lock_down(
    role: Role,
    features: &str,
    uid: Option<u32>,
    path: &Path,
) -> Result<LockedDown, String> {
    let features: Features = features.split(',').filter_map(Feature::from_name).collect();
    let identity = uid.map(|uid| Identity { uid, gid: uid, groups: vec![] });
    let confinement = Confinement { identity, landlock: LandlockDemand::Required };
    let text = |f: ipc::process::LockdownFailure| format!("{}: {}", f.layer, f.reason);
    // A relay is a gate first, whose list its own narrows.
    let first = if role == Role::Relay { Role::Gate } else { role };
    let root = matches!(role, Role::Session | Role::Authenticator).then_some(path);
    let locked = policy::lockdown(first, &confinement, features, root).map_err(text)?;
    if role == Role::Relay {
        policy::narrow(Role::Relay, &locked).map_err(text)?;
    }
    Ok(locked)
}
