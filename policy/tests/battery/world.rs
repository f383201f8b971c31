//! What an attempt finds: the descriptors a process of its role really has, a victim with the same
//! uid, and files inside and outside the root.

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{PermissionsExt, chown, symlink},
        },
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// The files of a battery: an account's root, and what lies outside of it.
pub struct Files {
    directory: tempfile::TempDir,
    stop: Arc<AtomicBool>,
    racer: Option<JoinHandle<()>>,
}

impl Files {
    /// Makes them, as `uid`'s, and starts the second process of the rename race.
    pub fn new(uid: Option<u32>) -> io::Result<Files> {
        let directory = tempfile::tempdir()?;
        let top = directory.path().to_owned();
        fs::set_permissions(&top, PermissionsExt::from_mode(0o777))?;
        let root = top.join("root");
        let other = top.join("other-account");
        for made in [&root, &other, &root.join("deep"), &root.join("deep/swap")] {
            fs::create_dir(made)?;
        }
        for (file, mode) in [
            (root.join("file"), 0o644),
            (other.join("readable"), 0o644),
            (other.join("writable"), 0o666),
            (other.join("doomed"), 0o666),
        ] {
            fs::write(&file, "contents")?;
            fs::set_permissions(&file, PermissionsExt::from_mode(mode))?;
            chown(&file, uid, uid)?;
        }
        fs::set_permissions(&other, PermissionsExt::from_mode(0o777))?;
        symlink(other.join("readable"), root.join("absolute-link"))?;
        symlink("../other-account/readable", root.join("relative-link"))?;
        symlink("../other-account", root.join("directory-link"))?;
        symlink("/proc/self/root/etc/passwd", root.join("magic-link"))?;
        for owned in [&root, &other, &root.join("deep"), &root.join("deep/swap")] {
            chown(owned, uid, uid)?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let racer = race(root.join("deep/swap"), top.join("swapped-out"), Arc::clone(&stop));
        Ok(Files { directory, stop, racer: Some(racer) })
    }

    /// The account's root.
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(racer) = self.racer.take() {
            racer.join().unwrap_or_default();
        }
    }
}

/// Moves a directory out of the root and in again, as a second process of the account would.
fn race(inside: PathBuf, outside: PathBuf, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            // At the end the directory may be gone already.
            fs::rename(&inside, &outside).unwrap_or_default();
            thread::sleep(Duration::from_micros(300));
            fs::rename(&outside, &inside).unwrap_or_default();
            thread::sleep(Duration::from_micros(300));
        }
    })
}

/// What a probe works with.
pub struct World {
    /// The root's descriptor, for a session.
    pub root: Option<OwnedFd>,
    /// The control connection, where the role has one: fd 3.
    pub control: u64,
    /// A listening socket for passive data connections: fd 4.
    pub listener: u64,
    /// A process of the same uid that does nothing.
    pub victim: u64,
    /// The path of the root, as the host sees it.
    pub path: PathBuf,
}

impl World {
    /// The root's descriptor as an argument; -1 without one.
    pub fn root_fd(&self) -> u64 {
        self.root.as_ref().map_or(u64::MAX, |fd| as_argument(fd.as_raw_fd()))
    }

    /// A path outside the root.
    pub fn outside(&self, name: &str) -> CString {
        c_path(&self.path.with_file_name("other-account").join(name))
    }
}

/// A descriptor as an argument.
pub fn as_argument(fd: i32) -> u64 {
    u64::try_from(fd).unwrap_or(u64::MAX)
}

/// A path for the kernel.
pub fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}
