//! Write access to one directory for one uid, by a POSIX ACL that ends with its owner (acl(5)).
//! For `bulkhead try`, when root serves a directory of root: nothing is ever served as root.

use std::{io, os::unix::fs::PermissionsExt, path::Path};

use rustix::fs::{XattrFlags, getxattr, removexattr, setxattr};

/// Where Linux keeps the access ACL of a file.
const ACL: &str = "system.posix_acl_access";
/// Version of the binary form, then entries of tag, permissions and id, all little endian
/// (linux/posix_acl_xattr.h).
const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
const NO_ID: u32 = u32::MAX;
const RWX: u16 = 7;

/// Write access that ends when this is dropped.
#[derive(Debug)]
pub struct WriteAccess {
    directory: std::path::PathBuf,
    mode: u32,
}

impl WriteAccess {
    /// Lets `uid` read, write and search `directory`, besides those who already may.
    ///
    /// # Errors
    /// When the file system has no ACLs, or the directory already has one.
    pub fn grant(directory: &Path, uid: u32) -> io::Result<WriteAccess> {
        let mode = std::fs::metadata(directory)?.permissions().mode();
        if getxattr(directory, ACL, &mut [0u8; 0]).is_ok() {
            return Err(io::Error::other("it has an ACL already, which is left alone"));
        }
        let class = |shift: u32| u16::try_from((mode >> shift) & 7).unwrap_or(0);
        let entries = [
            (USER_OBJ, class(6), NO_ID),
            (USER, RWX, uid),
            (GROUP_OBJ, class(3), NO_ID),
            (MASK, RWX, NO_ID),
            (OTHER, class(0), NO_ID),
        ];
        let mut value = VERSION.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            value.extend(tag.to_le_bytes());
            value.extend(permissions.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        setxattr(directory, ACL, &value, XattrFlags::empty())?;
        Ok(WriteAccess { directory: directory.to_owned(), mode })
    }
}

impl Drop for WriteAccess {
    fn drop(&mut self) {
        // The directory may have been removed meanwhile; then there is nothing to restore. Removing
        // the ACL leaves its mask in the group bits, so the mode is set as well.
        removexattr(&self.directory, ACL).ok();
        let mode = std::fs::Permissions::from_mode(self.mode & 0o7777);
        std::fs::set_permissions(&self.directory, mode).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_is_granted_and_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let mode = || std::fs::metadata(directory.path()).unwrap().permissions().mode();
        let before = mode();
        let granted = match WriteAccess::grant(directory.path(), 65524) {
            Ok(granted) => granted,
            // A file system without ACLs: then `try` says so, which is all there is to see.
            Err(e) => {
                assert_eq!(e.raw_os_error(), Some(nix::libc::EOPNOTSUPP), "{e}");
                return;
            }
        };
        assert!(getxattr(directory.path(), ACL, &mut [0u8; 0]).is_ok());
        assert!(WriteAccess::grant(directory.path(), 65524).is_err());
        drop(granted);
        assert!(getxattr(directory.path(), ACL, &mut [0u8; 0]).is_err());
        assert_eq!(mode(), before);
    }
}
