//! AppArmor: a role stacks its own profile on the one that its program was started with. The kernel
//! tells programs apart by their paths, and not a gate from a session, which are one program.

use ipc::process::LockdownFailure;
use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags},
    io,
};

use crate::{failure::failure, role::Role};

/// Where a process reads and changes its own profile (kernel 5.8 and later).
const OWN: &str = "/proc/self/attr/apparmor/current";
/// The packages' profiles, which are attached to programs (`packaging/apparmor/bulkhead`).
const ATTACHED: [&str; 2] = ["bulkhead", "bulkhead-helper"];
/// Bytes of a label with three profiles, and many more.
const MAX_LABEL: usize = 1024;

/// The profile that a process of the role must have where the packages' profiles hold it. A relay
/// keeps that of the gate it was: no policy lets it open anything that would change it.
pub fn profile_of(role: Role) -> String {
    match role {
        Role::Supervisor => "bulkhead".to_owned(),
        Role::Relay => profile_of(Role::Gate),
        _ => format!("bulkhead//{role}"),
    }
}

/// The profiles of a label as the kernel writes it: `bulkhead//&bulkhead//gate (enforce)`.
pub fn profiles(label: &str) -> impl Iterator<Item = &str> {
    label.trim_end().split(" (").next().unwrap_or_default().split("//&")
}

/// Stacks the role's profile, if the packages' profiles hold this process. A process that they do not
/// hold (no AppArmor, a program of another place, an administrator who has unloaded them) stays as it
/// is; `bulkhead policy verify` tells of it.
pub(crate) fn stack(role: Role) -> Result<(), LockdownFailure> {
    let profile = profile_of(role);
    let held = label().is_some_and(|label| profiles(&label).any(|name| ATTACHED.contains(&name)));
    if !held || role == Role::Supervisor {
        return Ok(());
    }
    open(OFlags::WRONLY)
        .and_then(|own| io::write(own, format!("stack {profile}").as_bytes()))
        .map(|_| ())
        .map_err(|e| {
            failure(
                "apparmor",
                format!(
                    "the profile {profile} cannot be stacked: {e}. Load the profiles that belong to \
                     this version: apparmor_parser --replace /etc/apparmor.d/bulkhead"
                ),
            )
        })
}

/// This process's label; `None` where AppArmor is off.
fn label() -> Option<String> {
    let own = open(OFlags::RDONLY).ok()?;
    let mut buffer = [0; MAX_LABEL];
    let length = io::read(own, &mut buffer).ok()?;
    Some(String::from_utf8_lossy(buffer.get(..length)?).into_owned())
}

fn open(how: OFlags) -> io::Result<OwnedFd> {
    rustix::fs::open(OWN, how | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_taken_apart() {
        let of = |label| profiles(label).collect::<Vec<_>>();
        assert_eq!(of("unconfined\n"), ["unconfined"]);
        assert_eq!(of("bulkhead (enforce)\n"), ["bulkhead"]);
        let stacked = "bulkhead//&bulkhead//gate//&bulkhead//worker (enforce)";
        assert_eq!(of(stacked), ["bulkhead", "bulkhead//gate", "bulkhead//worker"]);
    }
}
