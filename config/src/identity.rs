//! The system users of helper, keeper and gate.

use ipc::account::Identity;
use nix::unistd::User;

/// The uids that stand in for system users that do not exist, for instance in a fresh checkout.
/// 65520 to 65533 is reserved by Debian's policy (9.2.2) and unused by systemd's allocation, so
/// nobody's files belong to them. Each role has its own.
pub(super) const STAND_IN_HELPER: u32 = 65521;
/// As [`STAND_IN_HELPER`].
pub(super) const STAND_IN_KEEPER: u32 = 65522;
/// As [`STAND_IN_HELPER`].
pub(super) const STAND_IN_GATE: u32 = 65523;

/// The identity of the user `name`, or the stand-in with a note for the log.
///
/// # Errors
/// When the user is root, or the user database cannot be read.
pub(super) fn resolve(
    role: &str,
    name: &str,
    stand_in: u32,
    notes: &mut Vec<String>,
) -> Result<Identity, String> {
    match User::from_name(name) {
        Ok(Some(user)) if user.uid.is_root() || user.gid.as_raw() == 0 => {
            Err(format!("the user \"{name}\" has uid or gid 0"))
        }
        Ok(Some(user)) => {
            Ok(Identity { uid: user.uid.as_raw(), gid: user.gid.as_raw(), groups: Vec::new() })
        }
        Ok(None) => {
            notes.push(format!(
                "the system user {name} does not exist; the {role} runs as uid {stand_in} of the \
                 reserved range instead"
            ));
            Ok(Identity { uid: stand_in, gid: stand_in, groups: Vec::new() })
        }
        Err(e) => Err(format!("the user \"{name}\" cannot be looked up: {e}")),
    }
}
