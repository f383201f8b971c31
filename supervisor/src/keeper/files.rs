//! The files of certificates and keys: opened for the keeper, and watched for changes, so that what
//! an ACME client renews is served without anybody having to say so.

use std::{
    fs::{File, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use config::Tls;

use crate::server::Server;

/// How often the files are looked at. A change is acted on when two looks in a row see the same, so
/// that a file that is being written, or the second of two that belong together, is waited for.
const PERIOD: Duration = Duration::from_secs(2);
/// Pause until what could not be loaded is tried again: a keeper may have failed for another reason
/// than its files.
const RETRY: Duration = Duration::from_secs(60);

/// How often the log says which certificates end soon or have ended.
const REMINDER: Duration = Duration::from_secs(24 * 60 * 60);

/// A file as it is at one moment. One that was replaced, written to, or given another mode or owner
/// is another version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    size: u64,
    /// Last change of contents and of attributes, seconds and nanoseconds.
    changed: [(i64, i64); 2],
}

impl Version {
    fn new(path: &Path, metadata: &Metadata) -> Version {
        Version {
            path: path.to_owned(),
            identity: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            changed: [
                (metadata.mtime(), metadata.mtime_nsec()),
                (metadata.ctime(), metadata.ctime_nsec()),
            ],
        }
    }

    /// The file as it is now; `None` when it is not there.
    fn now(path: &Path) -> Option<Version> {
        std::fs::metadata(path).ok().map(|metadata| Version::new(path, &metadata))
    }
}

/// A file that was opened for the keeper.
#[derive(Debug)]
pub struct Opened {
    /// The file; nobody here reads it.
    pub file: File,
    /// What it is.
    pub version: Version,
}

impl Opened {
    /// Opens a file.
    ///
    /// # Errors
    /// Says which file, and why not.
    pub fn new(path: &Path) -> Result<Opened, String> {
        let failed = |e| format!("cannot open {}: {e}", path.display());
        let file = File::open(path).map_err(failed)?;
        let version = Version::new(path, &file.metadata().map_err(failed)?);
        Ok(Opened { file, version })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.version.path
    }
}

/// Every file of the settings; `None` when one is not there.
fn versions(tls: &Tls) -> Option<Vec<Version>> {
    let pairs = tls.pairs.iter().flat_map(|(certificate, key)| [certificate, key]);
    pairs.chain(&tls.client_ca).map(|path| Version::now(path)).collect()
}

/// What is to be done about the files.
#[derive(Debug, Default)]
struct Watcher {
    /// What the last look saw.
    seen: Option<Vec<Version>>,
    /// What could not be loaded, and when it may be tried again.
    rejected: Option<(Vec<Version>, Instant)>,
}

impl Watcher {
    /// Whether the files as they are `now` are to be loaded, where others are `loaded`.
    fn look(&mut self, now: Option<Vec<Version>>, loaded: &[Version]) -> bool {
        // One that is away comes back, or its absence is found when the server starts anew.
        let Some(now) = now else { return false };
        if now == loaded {
            *self = Watcher::default();
            return false;
        }
        let settled = self.seen.as_ref() == Some(&now);
        let tried = self
            .rejected
            .as_ref()
            .is_some_and(|(rejected, until)| *rejected == now && Instant::now() < *until);
        self.seen = Some(now);
        settled && !tried
    }

    /// What was seen last could not be loaded.
    fn reject(&mut self) {
        let until = Instant::now().checked_add(RETRY);
        self.rejected = self.seen.clone().zip(until);
    }
}

/// Loads the certificates anew when their files have changed, until the server ends. What cannot be
/// loaded is logged, and the keeper of before stays.
pub async fn watch(server: Rc<Server>) {
    let mut watcher = Watcher::default();
    let mut reminded = Instant::now();
    while !server.ending() {
        tokio::time::sleep(PERIOD).await;
        if reminded.elapsed() >= REMINDER {
            reminded = Instant::now();
            server.keeper.warn_of_ends();
        }
        let config = server.config();
        let Some(tls) = &config.tls else { continue };
        let loaded = server.keeper.loaded.borrow().clone();
        // No keeper has loaded anything: its restart, or its operator, is at it.
        if loaded.is_empty() || !watcher.look(versions(tls), &loaded) {
            continue;
        }
        match super::renew(&server).await {
            Ok(()) => log_event!(Reloaded, "the files of a certificate have changed"),
            Err(e) => {
                log_event!(NotReloaded, "the old certificates stay: {e}");
                watcher.reject();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_change_is_acted_on_when_it_has_settled() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let now = || Version::now(&path).map(|version| vec![version]);
        let loaded = now().unwrap();
        let mut watcher = Watcher::default();
        assert!(!watcher.look(now(), &loaded), "nothing has changed");
        std::fs::write(&path, "another").unwrap();
        assert!(!watcher.look(now(), &loaded), "it may be changing still");
        assert!(watcher.look(now(), &loaded));
        watcher.reject();
        assert!(!watcher.look(now(), &loaded), "it was tried");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(!watcher.look(now(), &loaded));
        assert!(watcher.look(now(), &loaded), "another mode is worth another try");
        std::fs::remove_file(&path).unwrap();
        assert!(!watcher.look(now(), &loaded), "a file that is away is waited for");
        std::fs::write(&path, "one").unwrap();
        assert!(!watcher.look(now(), &loaded));
        assert!(watcher.look(now(), &loaded), "the same contents in another file are a change");
        assert!(!watcher.look(now(), &now().unwrap()), "loaded");
    }
}
