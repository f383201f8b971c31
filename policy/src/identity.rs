//! Capabilities, uid, gid and groups: taken away and proven to be gone.

use std::str::FromStr;

use caps::{CapSet, Capability, CapsHashSet};
use ipc::{account::Identity, process::LockdownFailure};
use nix::unistd::{Gid, Uid, getgroups, getresgid, getresuid, setgroups, setresgid, setresuid};
use rustix::thread::CapabilitiesSecureBits;

use crate::{
    failure::failure,
    model::{IdentityKind, Policy, Securebits},
};

/// The capability of a name without `CAP_`.
pub fn capability(name: &str) -> Option<Capability> {
    Capability::from_str(&format!("CAP_{name}")).ok()
}

/// The bit of a capability in the sets that /proc/PID/status prints.
pub fn capability_bit(name: &str) -> Option<u64> {
    capability(name).map(|capability| capability.bitmask())
}

fn in_policy(policy: &Policy, held_only: bool) -> CapsHashSet {
    let chosen = policy.capabilities.iter().filter(|c| c.held || !held_only);
    chosen.filter_map(|c| capability(&c.name)).collect()
}

/// The capabilities that the policy's process needs and this one has not.
pub fn lacking(policy: &Policy) -> Vec<String> {
    let effective = caps::read(None, CapSet::Effective).unwrap_or_default();
    let lacks = |name: &str| capability(name).is_none_or(|known| !effective.contains(&known));
    let needed = policy.capabilities.iter().filter(|c| c.needed && lacks(&c.name));
    needed.map(|c| c.name.clone()).collect()
}

/// Whether this process can cut its bounding set and set its securebits.
pub fn privileged() -> bool {
    caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).unwrap_or(false)
}

/// Step 1: cuts the bounding set to what the policy names.
pub fn cut_bounding_set(policy: &Policy) -> Result<(), LockdownFailure> {
    let stays = in_policy(policy, false);
    let failed = |e: caps::errors::CapsError| failure("bounding set", e.to_string());
    for capability in caps::read(None, CapSet::Bounding).map_err(failed)?.difference(&stays) {
        caps::drop(None, CapSet::Bounding, *capability).map_err(failed)?;
    }
    Ok(())
}

/// Whether this process was started with the identity already, as systemd starts the helper: then
/// it has no privilege to take on another one.
pub fn is_taken_on(identity: &Identity) -> bool {
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    let all = |uids: nix::unistd::ResUid, gids: nix::unistd::ResGid| {
        [uids.real, uids.effective, uids.saved] == [uid; 3]
            && [gids.real, gids.effective, gids.saved] == [gid; 3]
    };
    // initgroups(3) repeats the gid among the groups.
    let known = |group: &Gid| *group == gid || identity.groups.contains(&group.as_raw());
    !uid.is_root()
        && getresuid().and_then(|uids| Ok(all(uids, getresgid()?))).unwrap_or(false)
        && getgroups().is_ok_and(|groups| groups.iter().all(known))
}

/// Steps 2 to 4: groups, gid, uid. Capabilities survive the change of uid here, so that
/// [`finish`] can still lock the securebits; it takes them away.
pub fn take_on(policy: &Policy, identity: &Identity) -> Result<(), LockdownFailure> {
    let failed = |what: &str, e: nix::Error| {
        failure("identity", format!("{what} cannot be set for uid {}: {e}", identity.uid))
    };
    let root = identity.uid == 0 || identity.gid == 0 || identity.groups.contains(&0);
    if root && policy.identity.is != IdentityKind::Root {
        return Err(failure(
            "identity",
            format!("the {} never runs with the uid, gid or a group of root", policy.role),
        ));
    }
    let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups).map_err(|e| failed("the groups", e))?;
    let gid = Gid::from_raw(identity.gid);
    setresgid(gid, gid, gid).map_err(|e| failed("the gid", e))?;
    rustix::thread::set_keep_capabilities(true)
        .map_err(|e| failure("identity", format!("capabilities cannot be kept: {e}")))?;
    let uid = Uid::from_raw(identity.uid);
    setresuid(uid, uid, uid).map_err(|e| failed("the uid", e))?;
    // Only what the following steps need is in force while the root is opened: nothing that would
    // open it against its modes.
    let needed: CapsHashSet =
        [Capability::CAP_SETPCAP, Capability::CAP_SYS_CHROOT].into_iter().collect();
    let kept = in_policy(policy, true);
    let may: CapsHashSet = needed.union(&kept).copied().collect();
    let permitted = caps::read(None, CapSet::Permitted).unwrap_or_default();
    let stays: CapsHashSet = may.intersection(&permitted).copied().collect();
    set_all(&stays)
}

/// The last step on capabilities: securebits for ever, then every set cut to what the policy holds.
pub fn finish(policy: &Policy, privileged: bool) -> Result<(), LockdownFailure> {
    rustix::thread::clear_ambient_capability_set()
        .map_err(|e| failure("capabilities", format!("the ambient set cannot be emptied: {e}")))?;
    if privileged {
        let bits = securebits(policy.process.securebits.is);
        rustix::thread::set_capabilities_secure_bits(bits)
            .map_err(|e| failure("securebits", format!("they cannot be locked: {e}")))?;
    }
    let permitted =
        caps::read(None, CapSet::Permitted).map_err(|e| failure("capabilities", e.to_string()))?;
    let of_policy = |held_only: bool| -> CapsHashSet {
        in_policy(policy, held_only).intersection(&permitted).copied().collect()
    };
    // What children need is permitted and not in force: with no_new_privs, exec gives no process a
    // capability that its parent was not permitted, whatever the bounding set says (capabilities(7)).
    set_sets(&of_policy(true), &of_policy(false))
}

/// The bits of a setting, as prctl(2) and a report have them.
pub fn securebits_of(setting: Securebits) -> u32 {
    securebits(setting).bits()
}

/// The bits of a setting.
pub fn securebits(setting: Securebits) -> CapabilitiesSecureBits {
    let no_ambient = CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    match setting {
        Securebits::NoAmbient => no_ambient,
        Securebits::Locked => {
            no_ambient
                | CapabilitiesSecureBits::NO_ROOT
                | CapabilitiesSecureBits::NO_ROOT_LOCKED
                | CapabilitiesSecureBits::NO_SETUID_FIXUP
                | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
                | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        }
    }
}

fn set_all(held: &CapsHashSet) -> Result<(), LockdownFailure> {
    set_sets(held, held)
}

fn set_sets(effective: &CapsHashSet, permitted: &CapsHashSet) -> Result<(), LockdownFailure> {
    let failed = |e: caps::errors::CapsError| failure("capabilities", e.to_string());
    // Effective first: it must stay within the permitted set.
    caps::set(None, CapSet::Effective, effective).map_err(failed)?;
    caps::set(None, CapSet::Permitted, permitted).map_err(failed)?;
    caps::set(None, CapSet::Inheritable, &CapsHashSet::new()).map_err(failed)
}

/// Proof that the identity is what it must be and that no way leads back to root.
pub fn prove(policy: &Policy, identity: Option<&Identity>) -> Result<(), LockdownFailure> {
    if policy.identity.is == IdentityKind::Root && identity.is_none_or(|i| i.uid == 0) {
        return Ok(());
    }
    let failed = |e: nix::Error| failure("identity", e.to_string());
    let (uids, gids) = (getresuid().map_err(failed)?, getresgid().map_err(failed)?);
    if let Some(identity) = identity {
        let uid = Uid::from_raw(identity.uid);
        let gid = Gid::from_raw(identity.gid);
        let all_uids = [uids.real, uids.effective, uids.saved] == [uid; 3];
        let all_gids = [gids.real, gids.effective, gids.saved] == [gid; 3];
        if !(all_uids && all_gids) {
            return Err(failure("identity", format!("the change to uid {uid} was not complete")));
        }
    }
    if uids.effective.is_root() {
        return Err(failure("identity", format!("the {} still runs as root", policy.role)));
    }
    let root = (Uid::from_raw(0), Gid::from_raw(0));
    let uid_back = setresuid(root.0, root.0, root.0).is_ok();
    let gid_back = !gids.effective.eq(&root.1) && setresgid(root.1, root.1, root.1).is_ok();
    if uid_back || gid_back {
        return Err(failure("identity", "the process could become root again"));
    }
    Ok(())
}
