//! Whether an account can get to its root: by the mode bits of the root and of all directories above it.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use ipc::account::Identity;

/// Enter a directory.
const ENTER: u32 = 0o1;
/// Enter it, and list it.
const LIST: u32 = 0o5;

/// What keeps an account from its root, if the mode bits tell; with what to do about it.
pub fn hindrance(root: &Path, identity: &Identity) -> Option<(String, String)> {
    let above: Vec<PathBuf> = root.ancestors().skip(1).map(Path::to_owned).collect();
    for directory in above.iter().rev() {
        if closed(directory, identity, ENTER) {
            return Some((
                format!(
                    "its uid {} may not enter {}, which is above its root {}",
                    identity.uid,
                    directory.display(),
                    root.display()
                ),
                format!(
                    "let it pass, for instance with `chmod o+x {}`, or name another root",
                    directory.display()
                ),
            ));
        }
    }
    closed(root, identity, LIST).then(|| {
        (
            format!("its uid {} may not list its root {}", identity.uid, root.display()),
            format!(
                "give it to the account, for instance with `chown {}:{} {2} && chmod 750 {2}`",
                identity.uid,
                identity.gid,
                root.display()
            ),
        )
    })
}

/// Whether a directory lacks one of these bits for an identity. What an ACL says is not known here, and
/// no obstacle.
fn closed(directory: &Path, identity: &Identity, bits: u32) -> bool {
    let Ok(facts) = directory.metadata() else { return false };
    let shift = if facts.uid() == identity.uid {
        6
    } else if facts.gid() == identity.gid || identity.groups.contains(&facts.gid()) {
        3
    } else {
        0
    };
    (facts.mode() >> shift) & bits != bits && !has_acl(directory)
}

fn has_acl(directory: &Path) -> bool {
    rustix::fs::getxattr(directory, "system.posix_acl_access", &mut [0u8; 0]).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn c7_a_closed_root_and_a_closed_directory_above_it_are_found() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("above").join("root");
        std::fs::create_dir_all(&root).unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let stranger = Identity { uid: 4_000_001, gid: 4_000_001, groups: Vec::new() };
        let own = root.metadata().unwrap();
        let owner = Identity { uid: own.uid(), gid: own.gid(), groups: Vec::new() };
        mode(place.path(), 0o711);
        for (above, of_root, word) in [
            (0o755, 0o755, ""),
            (0o700, 0o755, "above"),
            (0o755, 0o000, "list"),
            (0o711, 0o711, "list"),
        ] {
            mode(&root, of_root);
            mode(place.path().join("above").as_path(), above);
            let found = hindrance(&root, &stranger).map(|(what, _)| what).unwrap_or_default();
            assert!(
                found.contains(word) && found.is_empty() == word.is_empty(),
                "{above:o}: {found}"
            );
        }
        mode(&root, 0o700);
        assert_eq!(hindrance(&root, &owner), None);
        mode(&root, 0o000);
        assert!(hindrance(&root, &owner).is_some());
        mode(&root, 0o755);
    }
}
