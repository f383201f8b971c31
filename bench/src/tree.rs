//! The files that are served, on tmpfs.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use xtask::command::{Done, make_directory};

/// The uid and gid of everything a client may write: nobody, nogroup.
pub const NOBODY: u32 = 65_534;
/// Bytes of the large file.
pub const LARGE: u64 = 1 << 30;
/// Number of small files, and of transfers in one session.
pub const SMALL_FILES: u32 = 2000;
/// Bytes of a small file.
pub const SMALL: usize = 4096;

/// Where the directory is, and what its name begins with; the process's number follows.
pub const PREFIX: &str = "/dev/shm/bulkhead-bench-";

/// Removes what benchmarks have left behind that were killed.
pub fn forget_the_dead() {
    let Ok(entries) = fs::read_dir("/dev/shm") else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let number = path.to_str().and_then(|path| path.strip_prefix(PREFIX));
        if number.is_some_and(|number| !Path::new("/proc").join(number).exists()) {
            // Another benchmark may be removing it as well.
            drop(fs::remove_dir_all(&path));
        }
    }
}

/// The directory; removed when dropped.
pub struct Tree {
    /// Configurations, logs, state.
    pub scratch: PathBuf,
}

impl Tree {
    /// Makes the files.
    pub fn make() -> Done<Tree> {
        forget_the_dead();
        let scratch = PathBuf::from(format!("{PREFIX}{}", std::process::id()));
        let tree = Tree { scratch };
        // Memory that is full of other files would have to be freed by whoever uploads first. Where
        // that may not be asked for, the rounds take turns all the same.
        fs::write("/proc/sys/vm/drop_caches", "1").ok();
        tree.fill().map_err(|error| format!("{}: {error}", tree.scratch.display()))?;
        Ok(tree)
    }

    /// What the other servers serve. It belongs to root: vsftpd refuses a root that its client
    /// may write to.
    pub fn root(&self) -> PathBuf {
        self.scratch.join("root")
    }

    /// The directory in it with the files.
    pub fn public(&self) -> PathBuf {
        self.root().join("pub")
    }

    /// Where uploads go.
    pub fn uploads(&self) -> PathBuf {
        self.public().join("up")
    }

    /// The certificate all servers present, PEM.
    pub fn certificate(&self) -> PathBuf {
        self.scratch.join("certificate.pem")
    }

    /// Its key, PEM.
    pub fn key(&self) -> PathBuf {
        self.scratch.join("key.pem")
    }

    /// Makes a directory of a million empty files, once; it takes a gigabyte of memory.
    pub fn make_million(&self) -> std::io::Result<()> {
        let directory = self.public().join("list1m");
        if directory.exists() {
            return Ok(());
        }
        fs::create_dir(&directory)?;
        (0..1_000_000)
            .try_for_each(|n| File::create(directory.join(format!("file-{n:07}.txt"))).map(drop))
    }

    /// Deletes what was uploaded.
    pub fn forget_uploads(&self) -> std::io::Result<()> {
        for entry in fs::read_dir(self.uploads())? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    fn fill(&self) -> std::io::Result<()> {
        let own = |path: &Path| chown(path, Some(NOBODY), Some(NOBODY));
        make_directory(&self.uploads()).map_err(std::io::Error::other)?;
        fs::create_dir(self.scratch.join("state"))?;
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])
            .map_err(std::io::Error::other)?;
        fs::write(self.certificate(), made.cert.pem())?;
        fs::write(self.key(), made.signing_key.serialize_pem())?;
        fs::set_permissions(self.key(), fs::Permissions::from_mode(0o600))?;
        own(&self.public())?;
        own(&self.uploads())?;
        let piece: Vec<u8> = (0..1u32 << 20).map(|n| n.to_le_bytes()[0]).collect();
        let mut large = File::create(self.public().join("large"))?;
        for _ in 0..LARGE / piece.len() as u64 {
            large.write_all(&piece)?;
        }
        let part = File::create(self.public().join("part"))?;
        (&part).write_all(&piece.repeat(20))?;
        fs::write(self.public().join("one"), "1")?;
        let small = self.public().join("small");
        fs::create_dir(&small)?;
        for n in 0..SMALL_FILES {
            fs::write(small.join(format!("f{n}")), &piece[..SMALL])?;
        }
        for (directory, entries) in [("list10k", 10_000), ("list100k", 100_000)] {
            let directory = self.public().join(directory);
            fs::create_dir(&directory)?;
            for n in 0..entries {
                File::create(directory.join(format!("file-{n:06}.txt")))?;
            }
        }
        Ok(())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.scratch));
    }
}
