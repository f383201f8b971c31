//! FIOP: rename, move, copy, remove and make directories, beneath the root and bounded.

use std::os::fd::OwnedFd;

use i2ftp::request::FileRequest;
use ipc::{account::Rights, session::FileOperation};
use rustix::io::Errno;

use super::{
    connection::Ended,
    refusal::Refusal,
    supervisor::Supervisor,
    tree::{Tree, place},
};
use crate::{
    files::{FileError, FileKind, Moved, send_file},
    ftp::path::VirtualPath,
};

/// Most entries one operation touches.
const MAX_ENTRIES: u64 = 1_000_000;
/// Most bytes of names that wait for their turn.
const MAX_WAITING: usize = 16 * 1024 * 1024;
/// Bytes copied between two looks at the supervisor.
const PIECE: usize = 8 * 1024 * 1024;
/// Entries between two looks at the supervisor.
const LOOK_EVERY: u64 = 256;

/// What an operation is called in the log.
pub fn operation_of(request: &FileRequest) -> FileOperation {
    match request {
        FileRequest::Rename(..) | FileRequest::Move(..) => FileOperation::Rename,
        FileRequest::Copy(..) => FileOperation::Copy,
        FileRequest::Remove(_) => FileOperation::Delete,
        FileRequest::MakeDirectory(_) => FileOperation::MakeDirectory,
    }
}

/// Does a file operation.
///
/// # Errors
/// The outer error ends the session, the inner one is the answer to the client.
pub fn perform(
    request: &FileRequest,
    tree: &Tree,
    rights: Rights,
    supervisor: &mut Supervisor,
) -> Result<Result<(), Refusal>, Ended> {
    let mut work = Work { tree, rights, supervisor, entries: 0, broken: None };
    let done = work.perform(request);
    match work.broken {
        Some(ended) => Err(ended),
        None => Ok(done),
    }
}

struct Work<'a> {
    tree: &'a Tree,
    rights: Rights,
    supervisor: &'a mut Supervisor,
    entries: u64,
    /// The channel to the supervisor failed meanwhile.
    broken: Option<Ended>,
}

impl Work<'_> {
    fn perform(&mut self, request: &FileRequest) -> Result<(), Refusal> {
        match request {
            FileRequest::Rename(from, to) | FileRequest::Move(from, to) => {
                self.need(Rights::RENAME)?;
                if from.is_root() || to.is_root() {
                    return Err(Refusal::Root);
                }
                let (from, to) = (place(from.as_str().as_bytes())?, place(to.as_str().as_bytes())?);
                self.tree.rename(&from, &to)
            }
            FileRequest::Copy(from, to) => {
                self.need(Rights::READ.with(Rights::WRITE))?;
                if from.is_root() || to.is_root() {
                    return Err(Refusal::Root);
                }
                self.copy(place(from.as_str().as_bytes())?, place(to.as_str().as_bytes())?)
            }
            FileRequest::Remove(path) => {
                self.need(Rights::DELETE)?;
                if path.is_root() {
                    return Err(Refusal::Root);
                }
                self.remove(place(path.as_str().as_bytes())?)
            }
            FileRequest::MakeDirectory(path) => {
                self.need(Rights::MKDIR)?;
                let path = place(path.as_str().as_bytes())?;
                self.tree.make_parents(&path)?;
                self.tree.make_directory(&path)
            }
        }
    }

    fn need(&self, rights: Rights) -> Result<(), Refusal> {
        if self.rights.contains(rights) {
            Ok(())
        } else if self.rights.any_write() {
            Err(Refusal::NoRight)
        } else {
            Err(Refusal::ReadOnly)
        }
    }

    /// Counts an entry, and now and then looks whether the supervisor wants the session to end.
    fn count(&mut self) -> Result<(), Refusal> {
        self.entries = self.entries.saturating_add(1);
        if self.entries > MAX_ENTRIES {
            return Err(Refusal::TooMany);
        }
        if self.entries.is_multiple_of(LOOK_EVERY) { self.look() } else { Ok(()) }
    }

    fn look(&mut self) -> Result<(), Refusal> {
        if let Err(ended) = self.supervisor.look() {
            self.broken = Some(ended);
            return Err(Refusal::Ordered);
        }
        if self.supervisor.kicked { Err(Refusal::Ordered) } else { Ok(()) }
    }

    fn copy(&mut self, from: VirtualPath, to: VirtualPath) -> Result<(), Refusal> {
        if !self.tree.root().metadata(&from)?.is_directory() {
            return self.copy_file(&from, &to);
        }
        self.need(Rights::MKDIR.with(Rights::LIST))?;
        if from.contains(&to) {
            return Err(Refusal::IntoItself);
        }
        self.copy_directory(from, to)
    }

    fn copy_file(&mut self, from: &VirtualPath, to: &VirtualPath) -> Result<(), Refusal> {
        let (source, _) = self.tree.root().open_read(from)?;
        let target = self.tree.create(to)?;
        let copied = self.copy_bytes(&source, &target);
        if copied.is_err() && self.rights.contains(Rights::DELETE) {
            // A copy that failed is not left behind as if it were one, where the account may
            // delete at all. The first error is the one to tell.
            self.tree.root().delete(to).unwrap_or_default();
        }
        copied
    }

    /// By sendfile(2), which goes from file to file as well and is in the policy for downloads:
    /// copy_file_range(2) would be one system call more for every session.
    fn copy_bytes(&mut self, source: &OwnedFd, target: &OwnedFd) -> Result<(), Refusal> {
        let mut read = 0;
        loop {
            match send_file(target, source, &mut read, PIECE) {
                Ok(Moved::End) => return Ok(()),
                Ok(Moved::Bytes(_) | Moved::WouldBlock | Moved::Gone) => self.look()?,
                Err(FileError::CrossesFileSystems | FileError::NotSupported) => {
                    return self.copy_by_hand(source, target, read);
                }
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// For file systems that cannot copy by themselves; goes on at `at`.
    fn copy_by_hand(
        &mut self,
        source: &OwnedFd,
        target: &OwnedFd,
        mut at: u64,
    ) -> Result<(), Refusal> {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = match rustix::io::pread(source, &mut buffer, at) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(Errno::INTR) => continue,
                Err(e) => return Err(e.into()),
            };
            write_at(target, at, buffer.get(..read).unwrap_or_default())?;
            at = at.saturating_add(read as u64);
            self.look()?;
        }
    }

    /// Copies a directory with all beneath it. Directories wait on a stack of paths, so that depth
    /// costs neither stack nor descriptors.
    fn copy_directory(&mut self, from: VirtualPath, to: VirtualPath) -> Result<(), Refusal> {
        let mut complete = true;
        self.tree.make_directory(&to)?;
        let mut waiting = vec![(from, to)];
        while let Some((from, to)) = waiting.pop() {
            let held = waiting.iter().map(|(a, b)| length(a).saturating_add(length(b))).sum();
            for (name, kind) in self.names(&from, held)? {
                self.count()?;
                let (source, target) = (from.child(&name)?, to.child(&name)?);
                match kind {
                    FileKind::Regular => self.copy_file(&source, &target)?,
                    FileKind::Directory => {
                        self.tree.make_directory(&target)?;
                        waiting.push((source, target));
                    }
                    FileKind::Symlink
                    | FileKind::Fifo
                    | FileKind::Socket
                    | FileKind::CharacterDevice
                    | FileKind::BlockDevice
                    | FileKind::Unknown => complete = false,
                }
            }
        }
        if complete { Ok(()) } else { Err(Refusal::Incomplete) }
    }

    /// Removes a file, or a directory with all beneath it.
    fn remove(&mut self, path: VirtualPath) -> Result<(), Refusal> {
        if !self.tree.root().link_metadata(&path)?.is_directory() {
            return Ok(self.tree.root().delete(&path)?);
        }
        self.need(Rights::RMDIR.with(Rights::LIST))?;
        // A directory comes twice: to be emptied, and behind what is in it to be removed.
        let mut waiting = vec![(path, false)];
        while let Some((path, emptied)) = waiting.pop() {
            self.count()?;
            if emptied {
                self.tree.root().remove_directory(&path)?;
                continue;
            }
            let held = waiting.iter().map(|(path, _)| length(path)).sum();
            let names = self.names(&path, held)?;
            waiting.push((path.clone(), true));
            for (name, kind) in names {
                let below = path.child(&name)?;
                if kind == FileKind::Directory {
                    waiting.push((below, false));
                } else {
                    self.count()?;
                    self.tree.root().delete(&below)?;
                }
            }
        }
        Ok(())
    }

    /// The names in a directory, as many as memory is set aside for beside the bytes `held`.
    fn names(
        &mut self,
        path: &VirtualPath,
        mut held: usize,
    ) -> Result<Vec<(Vec<u8>, FileKind)>, Refusal> {
        let mut names = Vec::new();
        self.tree.each_entry(path, |name, facts| {
            held = held.saturating_add(name.len()).saturating_add(length(path));
            names.push((name.to_vec(), facts.kind));
            if held > MAX_WAITING { Err(Refusal::TooMany) } else { Ok(()) }
        })?;
        Ok(names)
    }
}

fn length(path: &VirtualPath) -> usize {
    path.as_bytes().len()
}

/// Writes everything to a file, from `at` on.
///
/// # Errors
/// What the file system says; a part may have been written.
pub fn write_at(file: &OwnedFd, mut at: u64, mut bytes: &[u8]) -> Result<(), Refusal> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, at) {
            Ok(0) => return Err(Refusal::File(FileError::NoSpace)),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                at = at.saturating_add(written as u64);
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}
