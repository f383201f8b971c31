//! Who could put something else in the place of a directory that a path names.
//!
//! The root of an account is a path in the account file, and processes open it later: whoever may
//! change a directory on the way to it decides what they open. The walk here looks at every part of
//! a path, one after the other. As long as only root can change the parts it has seen, the next one
//! is certain; from the first part that somebody else can change, nothing below is.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

/// Symbolic links that are followed at most, as the kernel does (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// Bits of a directory's mode that let others than its owner change what is in it. An access
/// control list shows in the group's bits.
const WRITE_FOR_OTHERS: u32 = 0o022;
/// The bit that keeps others from replacing what is not theirs (inode(7)).
const STICKY: u32 = 0o1000;

/// A directory, and how certain its path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootPath {
    /// Its path without symbolic links.
    pub path: PathBuf,
    /// The uid it belongs to.
    pub owner: u32,
    /// The gid it belongs to.
    pub group: u32,
    /// The directories above it in which somebody else than root can replace the next part.
    pub exposed: Vec<Exposure>,
}

/// A directory in which somebody else than root can replace what a path leads through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// The directory.
    pub directory: PathBuf,
    /// The one uid that can, besides root; nothing where several can.
    pub by: Option<u32>,
}

impl RootPath {
    /// Where somebody could have put a directory of another user in its place, if it belongs neither
    /// to `uid` nor to root: an account of that uid must not be served from it.
    pub fn planted_for(&self, uid: u32) -> Option<&Exposure> {
        self.exposed.first().filter(|_| self.owner != uid && self.owner != 0)
    }

    /// Whether nobody but root, and perhaps `uid`, can replace a part of the path.
    pub fn is_certain_for(&self, uid: u32) -> bool {
        self.exposed.iter().all(|exposure| exposure.by == Some(uid))
    }
}

/// Why a path leads to no directory that can be used.
#[derive(Debug, thiserror::Error)]
pub enum RootPathError {
    /// A part of it cannot be reached.
    #[error("{} cannot be reached: {error}", path.display())]
    Unreachable {
        /// The part.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is something else than a directory.
    #[error("{} is no directory", .0.display())]
    NoDirectory(PathBuf),
    /// It does not begin with `/`.
    #[error("{} is no absolute path", .0.display())]
    Relative(PathBuf),
    /// A part of it is a symbolic link that somebody else than root may have made.
    #[error(
        "{} is a symbolic link, and somebody else than root can change {}; write the path it leads \
         to instead",
        link.display(),
        directory.display()
    )]
    Link {
        /// The link.
        link: PathBuf,
        /// The directory that somebody else than root can change.
        directory: PathBuf,
    },
    /// A part of it is a symbolic link, where none is followed.
    #[error("{} is a symbolic link; write the path it leads to instead", .0.display())]
    AnyLink(PathBuf),
}

/// Whether symbolic links of root's directories are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Links that only root can have made are followed, others refused.
    OfRoot,
    /// Each link is refused: for processes that may not read one (readlinkat(2)).
    None,
}

/// Looks at the directory `path` and at every directory above it.
///
/// # Errors
/// When it cannot be reached, is no directory, or leads through a symbolic link that is refused.
pub fn look(path: &Path, links: Links) -> Result<RootPath, RootPathError> {
    if !path.is_absolute() {
        return Err(RootPathError::Relative(path.to_owned()));
    }
    let mut walk = Walk { links, followed: 0, exposed: Vec::new(), path: PathBuf::from("/") };
    let mut ahead = parts(path);
    let mut last = walk.metadata(Path::new("/"))?;
    walk.judge_directory(&last);
    while let Some(part) = ahead.pop_front() {
        if part == ".." {
            walk.path.pop();
            last = walk.metadata(&walk.path)?;
            continue;
        }
        let next = walk.path.join(&part);
        let metadata = walk.metadata(&next)?;
        if metadata.is_symlink() {
            for part in parts(&walk.follow(&next, &metadata)?).into_iter().rev() {
                ahead.push_front(part);
            }
            last = walk.metadata(&walk.path)?;
            continue;
        }
        if !metadata.is_dir() {
            return Err(RootPathError::NoDirectory(next));
        }
        walk.judge_entry(&last, &metadata);
        walk.path = next;
        if !ahead.is_empty() {
            walk.judge_directory(&metadata);
        }
        last = metadata;
    }
    let Walk { path, exposed, .. } = walk;
    Ok(RootPath { path, owner: last.uid(), group: last.gid(), exposed })
}

/// The parts of a path in order: names and `..`.
fn parts(path: &Path) -> VecDeque<OsString> {
    let part = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    };
    path.components().filter_map(part).collect()
}

struct Walk {
    links: Links,
    followed: usize,
    exposed: Vec<Exposure>,
    path: PathBuf,
}

impl Walk {
    fn metadata(&self, path: &Path) -> Result<fs::Metadata, RootPathError> {
        fs::symlink_metadata(path)
            .map_err(|error| RootPathError::Unreachable { path: path.to_owned(), error })
    }

    /// A directory that is passed through: its owner can replace what is in it, and so can others if
    /// the mode says so. With the sticky bit others cannot, which `judge_entry` completes.
    fn judge_directory(&mut self, metadata: &fs::Metadata) {
        if metadata.mode() & WRITE_FOR_OTHERS != 0 && metadata.mode() & STICKY == 0 {
            self.expose(None);
        } else if metadata.uid() != 0 {
            self.expose(Some(metadata.uid()));
        }
    }

    /// What stands in a directory with the sticky bit can be replaced by its own owner.
    fn judge_entry(&mut self, directory: &fs::Metadata, entry: &fs::Metadata) {
        let shared = directory.mode() & WRITE_FOR_OTHERS != 0 && directory.mode() & STICKY != 0;
        if shared && entry.uid() != 0 && entry.uid() != directory.uid() {
            self.expose(Some(entry.uid()));
        }
    }

    fn expose(&mut self, by: Option<u32>) {
        self.exposed.push(Exposure { directory: self.path.clone(), by });
    }

    /// Where a link leads, if only root can have made it.
    fn follow(&mut self, link: &Path, metadata: &fs::Metadata) -> Result<PathBuf, RootPathError> {
        if self.links == Links::None {
            return Err(RootPathError::AnyLink(link.to_owned()));
        }
        if metadata.uid() != 0 {
            self.expose(Some(metadata.uid()));
        }
        if let Some(Exposure { directory, .. }) = self.exposed.first() {
            let (link, directory) = (link.to_owned(), directory.clone());
            return Err(RootPathError::Link { link, directory });
        }
        let unreachable =
            |error: io::Error| RootPathError::Unreachable { path: link.to_owned(), error };
        self.followed = self.followed.saturating_add(1);
        if self.followed > MAX_LINKS {
            return Err(unreachable(io::Error::from_raw_os_error(libc::ELOOP)));
        }
        let target = fs::read_link(link).map_err(unreachable)?;
        if target.is_absolute() {
            self.path = PathBuf::from("/");
        }
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What needs directories of several owners is in tests/tests/root_paths.rs.
    #[test]
    fn what_is_no_directory_is_named() {
        assert!(matches!(look(Path::new("srv"), Links::OfRoot), Err(RootPathError::Relative(_))));
        let refused = look(Path::new("/etc/passwd"), Links::OfRoot).err().unwrap();
        assert!(refused.to_string().contains("/etc/passwd is no directory"), "{refused}");
        let gone = look(Path::new("/usr/none/x"), Links::OfRoot).err().unwrap();
        assert!(gone.to_string().contains("/usr/none cannot be reached"), "{gone}");
        let plain = look(Path::new("/usr/../usr/./lib"), Links::None).unwrap();
        assert_eq!((plain.path.as_path(), plain.exposed), (Path::new("/usr/lib"), Vec::new()));
    }
}
