//! Landlock: which rights this kernel has, and a ruleset from a policy.

use std::os::fd::BorrowedFd;

use ipc::process::{LandlockDemand, LockdownFailure};
use landlock::{
    AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};

use crate::{failure::failure, model::Landlock, role::Features};

/// Rights on files, by the names of linux/landlock.h. What each of them guards is written in
/// docs/security.md; the first kernel that has it stands in landlock(7).
const FILE_RIGHTS: [(&str, AccessFs); 16] = [
    ("execute", AccessFs::Execute),
    ("write_file", AccessFs::WriteFile),
    ("read_file", AccessFs::ReadFile),
    ("read_dir", AccessFs::ReadDir),
    ("remove_dir", AccessFs::RemoveDir),
    ("remove_file", AccessFs::RemoveFile),
    ("make_char", AccessFs::MakeChar),
    ("make_dir", AccessFs::MakeDir),
    ("make_reg", AccessFs::MakeReg),
    ("make_sock", AccessFs::MakeSock),
    ("make_fifo", AccessFs::MakeFifo),
    ("make_block", AccessFs::MakeBlock),
    ("make_sym", AccessFs::MakeSym),
    ("refer", AccessFs::Refer),
    ("truncate", AccessFs::Truncate),
    ("ioctl_dev", AccessFs::IoctlDev),
];

const NETWORK_RIGHTS: [(&str, AccessNet); 2] =
    [("bind_tcp", AccessNet::BindTcp), ("connect_tcp", AccessNet::ConnectTcp)];

const SCOPES: [(&str, Scope); 2] =
    [("scope_signal", Scope::Signal), ("scope_abstract_unix_socket", Scope::AbstractUnixSocket)];

/// Whether there is a right on files of this name.
pub fn is_file_right(name: &str) -> bool {
    file_right(name).is_some()
}

/// The right on files of a name.
fn file_right(name: &str) -> Option<AccessFs> {
    FILE_RIGHTS.iter().find(|(known, _)| *known == name).map(|(_, right)| *right)
}

/// What this kernel's Landlock can enforce, found by trying each right by itself.
#[derive(Debug, Clone, Default)]
pub struct Probe {
    /// Rights on files.
    files: BitFlags<AccessFs>,
    /// TCP rights.
    network: BitFlags<AccessNet>,
    /// Scopes.
    scopes: BitFlags<Scope>,
    /// Every right this build knows, and whether the kernel has it.
    pub rights: Vec<(&'static str, bool)>,
}

impl Probe {
    /// The rights of this build that the kernel lacks.
    pub fn missing(&self) -> Vec<String> {
        self.rights.iter().filter(|(_, there)| !there).map(|(name, _)| (*name).to_owned()).collect()
    }

    /// Whether there is any Landlock at all.
    pub fn any(&self) -> bool {
        self.rights.iter().any(|(_, there)| *there)
    }

    /// What a policy takes away and this kernel can take away.
    fn asked(&self, policy: &Landlock) -> Asked {
        Asked {
            files: if policy.files.is { self.files } else { BitFlags::EMPTY },
            network: if policy.network.is { self.network } else { BitFlags::EMPTY },
            scopes: if policy.scopes.is { self.scopes } else { BitFlags::EMPTY },
        }
    }

    /// Whether this kernel has anything of what a policy takes away. A policy that asks for scopes
    /// alone gets nothing from a kernel before 6.12, and its processes report no Landlock.
    pub fn has_any_of(&self, policy: &Landlock) -> bool {
        self.asked(policy) != Asked::default()
    }
}

/// The rights that one ruleset takes away. The kernel refuses a ruleset that takes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Asked {
    files: BitFlags<AccessFs>,
    network: BitFlags<AccessNet>,
    scopes: BitFlags<Scope>,
}

/// Tries every right. The number of the ABI is no proof: some kernels report one and lack a right
/// of it. A kernel that has them all says so in one call, which every worker's start is quicker for;
/// on another, each right is tried by itself.
pub fn probe() -> Probe {
    let all = Probe {
        files: FILE_RIGHTS.iter().fold(BitFlags::EMPTY, |all, (_, right)| all | *right),
        network: NETWORK_RIGHTS.iter().fold(BitFlags::EMPTY, |all, (_, right)| all | *right),
        scopes: SCOPES.iter().fold(BitFlags::EMPTY, |all, (_, scope)| all | *scope),
        rights: Vec::new(),
    };
    let at_once = hard()
        .handle_access(all.files)
        .and_then(|ruleset| ruleset.handle_access(all.network))
        .and_then(|ruleset| ruleset.scope(all.scopes))
        .and_then(Ruleset::create);
    if at_once.is_ok() {
        let names = FILE_RIGHTS.iter().map(|(name, _)| *name);
        let names = names.chain(NETWORK_RIGHTS.iter().map(|(name, _)| *name));
        let names = names.chain(SCOPES.iter().map(|(name, _)| *name));
        return Probe { rights: names.map(|name| (name, true)).collect(), ..all };
    }
    let mut found = Probe::default();
    for (name, right) in FILE_RIGHTS {
        let there = hard().handle_access(right).and_then(Ruleset::create).is_ok();
        if there {
            found.files |= right;
        }
        found.rights.push((name, there));
    }
    for (name, right) in NETWORK_RIGHTS {
        let there = hard().handle_access(right).and_then(Ruleset::create).is_ok();
        if there {
            found.network |= right;
        }
        found.rights.push((name, there));
    }
    for (name, scope) in SCOPES {
        let there = hard().scope(scope).and_then(Ruleset::create).is_ok();
        if there {
            found.scopes |= scope;
        }
        found.rights.push((name, there));
    }
    found
}

/// A ruleset that cannot be made when the kernel lacks anything that is asked of it.
fn hard() -> Ruleset {
    Ruleset::default().set_compatibility(CompatLevel::HardRequirement)
}

/// What was raised of Landlock.
#[derive(Debug, Default)]
pub struct Raised {
    /// The ABI in force; 0 without Landlock, and where the kernel has nothing of what is asked.
    pub abi: u32,
    /// Rights this build knows and the kernel lacks.
    pub missing: Vec<String>,
}

/// Raises a policy's Landlock rules on this process, for ever. `root` is the directory beneath which
/// the policy's rights remain.
pub fn raise(
    policy: &Landlock,
    features: Features,
    demand: LandlockDemand,
    root: Option<BorrowedFd<'_>>,
) -> Result<Raised, LockdownFailure> {
    let nothing = !(policy.files.is || policy.network.is || policy.scopes.is);
    if demand == LandlockDemand::Off || nothing {
        return Ok(Raised::default());
    }
    let found = probe();
    let missing = found.missing();
    if !found.any() {
        return Err(failure(
            "landlock",
            "the kernel has no Landlock, or it was left out of the kernel's `lsm=` list. Boot with \
             Landlock enabled (kernel 5.13 or later), or set `[sandbox] landlock = \"off\"` to run \
             on chroot, uid and seccomp alone",
        ));
    }
    if demand == LandlockDemand::Strict && !missing.is_empty() {
        return Err(failure(
            "landlock",
            format!(
                "the kernel lacks these Landlock rights: {}. Boot a newer kernel, or set `[sandbox] \
                 landlock = \"required\"` to do without them (seccomp stops what they would have)",
                missing.join(", ")
            ),
        ));
    }
    let asked = found.asked(policy);
    if asked == Asked::default() {
        return Ok(Raised { abi: 0, missing });
    }
    let abi = enforce(policy, features, asked, root)
        .map_err(|e| failure("landlock", format!("the rules cannot be put up: {e}")))?;
    Ok(Raised { abi, missing })
}

fn enforce(
    policy: &Landlock,
    features: Features,
    asked: Asked,
    root: Option<BorrowedFd<'_>>,
) -> Result<u32, String> {
    let text = |e: landlock::RulesetError| e.to_string();
    // Only what was found is asked for, so each request is a hard one: nothing is dropped silently.
    let mut ruleset = hard();
    if !asked.files.is_empty() {
        ruleset = ruleset.handle_access(asked.files).map_err(text)?;
    }
    if !asked.network.is_empty() {
        ruleset = ruleset.handle_access(asked.network).map_err(text)?;
    }
    if !asked.scopes.is_empty() {
        ruleset = ruleset.scope(asked.scopes).map_err(text)?;
    }
    let mut created = ruleset.create().map_err(text)?;
    let remaining = policy
        .allowed
        .iter()
        .filter(|allowed| allowed.applies(features))
        .filter_map(|allowed| file_right(&allowed.right))
        .fold(BitFlags::<AccessFs>::EMPTY, |all, right| all | right)
        & asked.files;
    if let Some(root) = root
        && !remaining.is_empty()
    {
        created = created.add_rule(PathBeneath::new(root, remaining)).map_err(text)?;
    }
    let status = created.restrict_self().map_err(text)?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::FullyEnforced, LandlockStatus::Available { effective_abi, kernel_abi }) => {
            Ok(kernel_abi.and_then(|abi| abi.try_into().ok()).unwrap_or(effective_abi as u32))
        }
        (enforced, _) => Err(format!("the kernel enforced them only in part ({enforced:?})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Role, policy_of};

    /// A kernel before 6.12: rights on files, and no scope.
    fn before_scopes() -> Probe {
        Probe { files: AccessFs::ReadFile.into(), ..Probe::default() }
    }

    #[test]
    fn h2_a_policy_of_scopes_alone_asks_nothing_of_a_kernel_without_them() {
        let pam = policy_of(Role::PamAuthenticator).unwrap().landlock;
        assert!(!before_scopes().has_any_of(&pam));
        assert!(Probe { scopes: Scope::Signal.into(), ..Probe::default() }.has_any_of(&pam));
    }

    #[test]
    fn h2_every_other_policy_gets_what_such_a_kernel_has() {
        for role in Role::ALL {
            let landlock = policy_of(role).unwrap().landlock;
            assert_eq!(before_scopes().has_any_of(&landlock), landlock.files.is, "{role}");
        }
    }
}
