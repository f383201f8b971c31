//! The one place where a process takes its rights away, in a fixed order.

use std::{
    ffi::CString,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use ipc::{
    account::Identity,
    process::{Confinement, LockdownFailure, SandboxReport},
    root_path::{self, Exposure, Links, RootPath},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::{
    fs::{Mode, OFlags},
    process::{DumpableBehavior, Signal},
};

use crate::{
    apparmor, compile,
    embedded::policy_of,
    failure::failure,
    identity, landlock_rules,
    model::{LimitedResource, Policy, RootDirectory},
    role::{Features, Role},
};

/// Proof that the lockdown of this process is complete. Only [`lockdown`] makes one; the loops that
/// read a client's bytes take it, so that they cannot start without it.
#[derive(Debug)]
pub struct LockedDown {
    report: SandboxReport,
    root: Option<OwnedFd>,
}

impl LockedDown {
    /// What was raised, for the supervisor.
    pub fn report(&self) -> &SandboxReport {
        &self.report
    }

    /// The root that was opened on the way, once.
    pub fn take_root(&mut self) -> Option<OwnedFd> {
        self.root.take()
    }
}

/// Locks this process down as the policy of `role` says, for ever. `root` is opened as the identity
/// that was taken on, before Landlock closes the door; the policy's rights on files remain beneath
/// it.
///
/// The order is fixed: bounding set, groups, gid, uid, AppArmor, root, chroot, securebits, capabilities, proof
/// that there is no way back, limits, umask, dumpable, death signal, no_new_privs, Landlock, seccomp.
/// Without `confinement.identity` (a rootless server) what needs privilege is left out, and nothing
/// else.
///
/// # Errors
/// Names the layer that could not be raised and what the administrator can do. The process must end
/// then: half of its rights may be gone.
pub fn lockdown(
    role: Role,
    confinement: &Confinement,
    features: Features,
    root: Option<&Path>,
) -> Result<LockedDown, LockdownFailure> {
    let policy = policy_of(role).map_err(|e| failure("policy", e.to_string()))?;
    // Compiled first: a policy that does not compile leaves the process as it was.
    let programs = compile::programs(&policy, features).map_err(|e| failure("seccomp", e))?;

    let privileged = identity::privileged();
    if privileged {
        identity::cut_bounding_set(&policy)?;
    }
    if let Some(identity) = &confinement.identity
        && !identity::is_taken_on(identity)
    {
        identity::take_on(&policy, identity)?;
    }
    // Behind the change of uid, which a role's profile does not allow; before a chroot hides /proc.
    apparmor::stack(role)?;
    let of_account = policy.process.root.is == RootDirectory::Account && privileged;
    let root = match (root, &confinement.identity) {
        (Some(root), Some(identity)) if of_account => Some(open_root_of(root, identity)?),
        (Some(root), Some(_) | None) => Some(open_root(root)?),
        (None, _) => None,
    };
    if let (true, Some(root)) = (of_account, root.as_ref()) {
        change_root(root)?;
    }
    identity::finish(&policy, privileged)?;
    identity::prove(&policy, confinement.identity.as_ref())?;
    limit(&policy)?;
    process_state(&policy)?;
    let raised = landlock_rules::raise(
        &policy.landlock,
        features,
        confinement.landlock,
        root.as_ref().map(AsFd::as_fd),
    )?;
    let report = SandboxReport {
        landlock_abi: raised.abi,
        landlock_missing: raised.missing,
        system_calls: count(&policy, features),
        securebits: rustix::thread::capabilities_secure_bits()
            .map_err(|e| failure("securebits", format!("they cannot be read: {e}")))?
            .bits(),
    };
    for program in &programs {
        filter(program)?;
    }
    Ok(LockedDown { report, root })
}

/// Puts a second, smaller filter over the one in force: a gate that becomes a relay. Everything but
/// the system calls stays as it is, since it is the same for both.
///
/// # Errors
/// When the filter cannot be put up; the process must end then.
pub fn narrow(role: Role, locked: &LockedDown) -> Result<SandboxReport, LockdownFailure> {
    let policy = policy_of(role).map_err(|e| failure("policy", e.to_string()))?;
    let programs = compile::programs(&policy, Features::NONE).map_err(|e| failure("seccomp", e))?;
    let report =
        SandboxReport { system_calls: count(&policy, Features::NONE), ..locked.report.clone() };
    for program in &programs {
        filter(program)?;
    }
    Ok(report)
}

fn count(policy: &Policy, features: Features) -> u32 {
    u32::try_from(compile::allowed_count(policy, features)).unwrap_or(u32::MAX)
}

fn filter(program: &[seccompiler::sock_filter]) -> Result<(), LockdownFailure> {
    seccompiler::apply_filter(program).map_err(|e| {
        failure(
            "seccomp",
            format!(
                "the filter cannot be put up ({e}). The kernel must be built with \
                 CONFIG_SECCOMP_FILTER, and an outer sandbox must let seccomp(2) through \
                 (systemd: SystemCallFilter=seccomp)"
            ),
        )
    })
}

/// Opens the root as a handle for `*at` calls. A root that cannot be opened is a refused login.
fn open_root(path: &Path) -> Result<OwnedFd, LockdownFailure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|e| cannot_open(path, &e.to_string()))
}

fn cannot_open(path: &Path, why: &str) -> LockdownFailure {
    failure(
        "root",
        format!(
            "the root directory {} cannot be opened as the account: {why}. Create it, or give the \
             account's uid search permission on every directory above it",
            path.display()
        ),
    )
}

/// Opens the root of an account, by a path that leads through no symbolic link. Where somebody else
/// than root can change a directory above it, what is opened must belong to the account (or to root):
/// he could otherwise put another user's directory in its place.
fn open_root_of(path: &Path, identity: &Identity) -> Result<OwnedFd, LockdownFailure> {
    let found =
        root_path::look(path, Links::OfRoot).map_err(|e| cannot_open(path, &e.to_string()))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat2(rustix::fs::CWD, &found.path, flags, Mode::empty(), NO_SYMLINKS)
        .map_err(|e| cannot_open(path, &e.to_string()))?;
    // What was opened counts, and not what was looked at.
    let owner = rustix::fs::fstat(&root).map_err(|e| cannot_open(path, &e.to_string()))?.st_uid;
    match (RootPath { owner, ..found }).planted_for(identity.uid) {
        Some(Exposure { directory, .. }) => Err(failure(
            "root",
            format!(
                "the root directory {} belongs to uid {owner} and not to the account (uid {}), and \
                 somebody else than root can change {}, and so put it there. Give it to the \
                 account, or move it beneath directories that only root can change",
                path.display(),
                identity.uid,
                directory.display()
            ),
        )),
        None => Ok(root),
    }
}

const NO_SYMLINKS: rustix::fs::ResolveFlags = rustix::fs::ResolveFlags::NO_SYMLINKS;

fn change_root(root: &OwnedFd) -> Result<(), LockdownFailure> {
    let failed =
        |e: rustix::io::Errno| failure("chroot", format!("chroot to the root failed: {e}"));
    rustix::process::fchdir(root).map_err(failed)?;
    rustix::process::chroot(".").map_err(failed)
}

fn limit(policy: &Policy) -> Result<(), LockdownFailure> {
    for limit in &policy.limits {
        let resource = match limit.resource {
            LimitedResource::Core => Resource::RLIMIT_CORE,
            LimitedResource::Nproc => Resource::RLIMIT_NPROC,
            LimitedResource::Nofile => Resource::RLIMIT_NOFILE,
            LimitedResource::Memlock => Resource::RLIMIT_MEMLOCK,
            LimitedResource::Msgqueue => Resource::RLIMIT_MSGQUEUE,
            LimitedResource::As => Resource::RLIMIT_AS,
        };
        let failed = |e: nix::Error| failure("limits", format!("{resource:?} cannot be set: {e}"));
        let (_, hard) = getrlimit(resource).map_err(failed)?;
        let value = limit.at_most.min(hard);
        setrlimit(resource, value, value).map_err(failed)?;
    }
    Ok(())
}

fn process_state(policy: &Policy) -> Result<(), LockdownFailure> {
    let failed =
        |what: &str, e: rustix::io::Errno| failure("process", format!("{what} cannot be set: {e}"));
    if policy.role != Role::Supervisor {
        // A child was executed through a descriptor, whose number would be its name in the kernel's
        // messages and in ps -o comm. The kernel cuts the name at 15 bytes (prctl(2)).
        let name = CString::new(format!("bulkhead-{}", policy.role)).unwrap_or_default();
        rustix::thread::set_name(&name).map_err(|e| failed("the name", e))?;
    }
    if let Some(umask) = &policy.process.umask {
        rustix::process::umask(Mode::from_raw_mode(umask.is.bits()));
    }
    // After the change of uid: the kernel resets both settings there.
    if !policy.process.dumpable.is {
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_err(|e| failed("dumpable", e))?;
    }
    if policy.process.dies_with_parent.is {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|e| failed("the death signal", e))?;
    }
    if policy.process.no_new_privs.is {
        rustix::thread::set_no_new_privs(true).map_err(|e| failed("no_new_privs", e))?;
    }
    Ok(())
}
