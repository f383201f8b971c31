//! An account of a server under test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::is_root;

/// An account with a root directory in the server's scratch directory.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: String,
    /// What its clients see as `/`.
    pub root: PathBuf,
    /// Its uid and gid; our own when we are not root.
    pub uid: u32,
}

impl Account {
    /// Every right there is, for `--rights`.
    pub const ALL_RIGHTS: &str =
        "list,read,write,append,overwrite,delete,rename,mkdir,rmdir,chmod,symlink";

    /// Makes the root directory of an account and gives it to `uid`, where we may.
    pub fn make(scratch: &Path, name: &str, uid: u32) -> Account {
        let root = scratch.join(format!("root-{name}"));
        fs::create_dir(&root).unwrap();
        let uid = if is_root() { uid } else { nix::unistd::getuid().as_raw() };
        let account =
            Account { name: name.to_owned(), password: format!("{name}-secret-1"), root, uid };
        account.own("");
        account
    }

    /// Path of a file beneath the root.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Puts a file of the account beneath its root.
    pub fn put(&self, name: &str, contents: &[u8]) {
        fs::write(self.path(name), contents).unwrap();
        self.own(name);
    }

    /// Makes a directory of the account beneath its root.
    pub fn make_directory(&self, name: &str) {
        fs::create_dir(self.path(name)).unwrap();
        self.own(name);
    }

    /// Reads a file beneath the root.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Whether there is something of this name beneath the root.
    pub fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.path(name)).is_ok()
    }

    fn own(&self, name: &str) {
        if is_root() {
            std::os::unix::fs::chown(self.path(name), Some(self.uid), Some(self.uid)).unwrap();
        }
    }
}
