//! What is beneath the account's root, in I2FTP's terms. Every call goes through
//! [`crate::files`].

use std::os::fd::OwnedFd;

use i2ftp::listing::{Entry, Listing};

use super::refusal::Refusal;
use crate::{
    files::{self, DirectoryBuffer, FileError, FileKind, Metadata, Replace, Root},
    ftp::path::VirtualPath,
};

/// The account's root, and the mode bits nothing new gets.
#[derive(Debug)]
pub struct Tree {
    root: Root,
    umask: u32,
}

/// The path of a request or ticket; what `i2ftp` calls the empty path is the root.
///
/// # Errors
/// [`Refusal::Path`].
pub fn place(path: &[u8]) -> Result<VirtualPath, Refusal> {
    // The dot keeps a leading `~` an ordinary letter.
    Ok(VirtualPath::root().join(&[b"./", path].concat())?)
}

impl Tree {
    /// Adopts the root.
    pub fn new(root: OwnedFd, umask: u32) -> Tree {
        Tree { root: Root::new(root), umask }
    }

    /// The root itself, for what needs no more than it.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Makes a file that must not exist.
    ///
    /// # Errors
    /// [`FileError::Exists`], or another.
    pub fn create(&self, path: &VirtualPath) -> Result<OwnedFd, Refusal> {
        Ok(self.root.create(path, 0o666 & !self.umask, false)?)
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// [`FileError::Exists`], or another.
    pub fn make_directory(&self, path: &VirtualPath) -> Result<(), Refusal> {
        Ok(self.root.make_directory(path, 0o777 & !self.umask)?)
    }

    /// Makes the directories above a path that are missing.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn make_parents(&self, path: &VirtualPath) -> Result<(), Refusal> {
        let mut missing = Vec::new();
        let mut above = path.parent();
        while !above.is_root() && matches!(self.root.metadata(&above), Err(FileError::NotFound)) {
            let next = above.parent();
            missing.push(above);
            above = next;
        }
        for directory in missing.iter().rev() {
            match self.make_directory(directory) {
                // Another session was faster.
                Ok(()) | Err(Refusal::File(FileError::Exists)) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(())
    }

    /// Renames, replacing nothing.
    ///
    /// # Errors
    /// [`FileError::Exists`], or another.
    pub fn rename(&self, from: &VirtualPath, to: &VirtualPath) -> Result<(), Refusal> {
        Ok(self.root.rename(from, to, Replace::Never)?)
    }

    /// The reply to LIST: the entries of a directory, or the file under the name the client asked
    /// for. At most `most` entries, if that is not 0.
    ///
    /// # Errors
    /// [`Refusal`]; a listing is never cut.
    pub fn list(&self, path: &VirtualPath, name: &str, most: u64) -> Result<Vec<u8>, Refusal> {
        let mut listing = Listing::default();
        let own = self.root.metadata(path)?;
        if !own.is_directory() {
            listing.push(name.as_bytes(), entry(&own))?;
            return Ok(listing.finish());
        }
        let mut count = 0u64;
        self.each_entry(path, |name, facts| {
            count = count.saturating_add(1);
            if most > 0 && count > most {
                return Err(Refusal::TooMany);
            }
            // A link shows what it leads to, if that is beneath the root and exists; otherwise it
            // shows itself.
            let shown = match facts.kind {
                FileKind::Symlink => self.root.metadata(&path.child(name)?).unwrap_or(facts),
                FileKind::Regular
                | FileKind::Directory
                | FileKind::Fifo
                | FileKind::Socket
                | FileKind::CharacterDevice
                | FileKind::BlockDevice
                | FileKind::Unknown => facts,
            };
            Ok(listing.push(name, entry(&shown))?)
        })?;
        Ok(listing.finish())
    }

    /// Calls `each` with every name in a directory and its own facts.
    ///
    /// # Errors
    /// What `each` gives, or [`Refusal`].
    pub fn each_entry(
        &self,
        path: &VirtualPath,
        mut each: impl FnMut(&[u8], Metadata) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let directory = self.root.open_directory(path)?;
        let mut buffer = DirectoryBuffer::new();
        let mut visit = |entry: &files::Entry<'_>| match entry.metadata()? {
            Some(facts) => each(entry.name(), facts),
            None => Ok(()),
        };
        while directory.read_some(&mut buffer, &mut visit)? {}
        Ok(())
    }
}

fn entry(facts: &Metadata) -> Entry {
    Entry {
        is_directory: facts.is_directory(),
        size: facts.size,
        seconds: facts.modified,
        nanoseconds: facts.modified_nanoseconds,
    }
}
