//! The downloads and uploads of a session: tickets of the supervisor, and the files this
//! connection has opened for them.
//!
//! A client asks for a file on one connection and moves its bytes on another. The ticket carries
//! the path between them; each session opens the path for itself, beneath its own root.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use i2ftp::{path::RelativePath, request::Id};
use ipc::{
    account::Rights,
    reason::Reason,
    session::{Event, Publish, SessionToSupervisor, TicketAnswer, Transfer, TransferKind},
};
use md5::{Digest, Md5};
use rustix::io::Errno;

use super::{
    connection::Ended,
    operations::write_at,
    refusal::Refusal,
    supervisor::{Supervisor, bounded},
    tree::{Tree, place},
};
use crate::files::{
    self, DirectoryBuffer, FileError, Replace, Temporary, Writer, lock, remove_leftovers,
};

/// Most files a connection has open; the one that rested longest is closed for the next.
const MAX_OPEN: usize = 8;
/// After so long, a request that takes longer asks the supervisor again: it keeps the ticket alive,
/// and tells when another upload has taken its place. Every request asks once, at its beginning: a
/// ticket that any connection has closed is closed on all of them.
const REDEEM_EVERY: Duration = Duration::from_secs(5);
/// Bytes hashed between two looks at the connection.
const HASH_PIECE: usize = 1024 * 1024;

/// The outer error ends the session, the inner one is the answer to the client.
pub type Answer<T> = Result<Result<T, Refusal>, Ended>;

/// A file this connection has opened for a ticket.
#[derive(Debug)]
pub struct Open {
    id: Id,
    file: OwnedFd,
    path: String,
    /// Upload or download.
    upload: bool,
    /// Downloads: the size at GETF, which is the size as far as this ticket goes.
    size: u64,
    publish: Option<Publish>,
    md5: Md5,
    /// How far `md5` has come, from the beginning without gaps.
    hashed: u64,
    /// Uploads with a hash: `file` is being read to be hashed, and this connection writes no more.
    reading: bool,
    /// Bytes that may be hashed at no cost: those that were sent here, at the upload's rate.
    prepaid: u64,
    moved: u64,
    began: Instant,
    redeemed: Instant,
    used: Instant,
}

/// All of them, and what they need.
#[derive(Debug)]
pub struct Transfers {
    tree: Tree,
    rights: Rights,
    /// Largest file an upload may make; 0 = no limit.
    file_size: u64,
    sync: bool,
    tls: bool,
    open: Vec<Open>,
}

impl Transfers {
    /// No transfers yet.
    pub fn new(tree: Tree, rights: Rights, file_size: u64, sync: bool, tls: bool) -> Transfers {
        Transfers { tree, rights, file_size, sync, tls, open: Vec::new() }
    }

    /// The root.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Whether no file is open for a ticket.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// New limits.
    pub fn set_file_size(&mut self, file_size: u64) {
        self.file_size = file_size;
    }

    /// GETF: opens the file, fixes its size and gets a ticket.
    ///
    /// # Errors
    /// See [`Answer`].
    pub fn begin_download(
        &mut self,
        path: &RelativePath,
        supervisor: &mut Supervisor,
    ) -> Answer<Id> {
        if !self.rights.contains(Rights::READ) {
            return Ok(Err(Refusal::NoRight));
        }
        let (file, size) = match self.open_read(path.as_str().as_bytes()) {
            Ok(opened) => opened,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let issued = issue(path, false, size, None, supervisor)?;
        if let Ok(id) = issued {
            self.keep(id, file, path.as_str().to_owned(), false, size, None, supervisor);
        }
        Ok(issued)
    }

    /// PULF: makes the file with its parents, or makes sure that the one there can be replaced,
    /// and gets a ticket. What is there stays until the upload begins.
    ///
    /// # Errors
    /// See [`Answer`].
    pub fn begin_upload(
        &mut self,
        path: &RelativePath,
        md5: Option<[u8; 16]>,
        supervisor: &mut Supervisor,
    ) -> Answer<Id> {
        if !self.rights.any_write() {
            return Ok(Err(Refusal::ReadOnly));
        }
        let publish = match self.prepare_upload(path, md5) {
            Ok(publish) => publish,
            Err(refusal) => return Ok(Err(refusal)),
        };
        issue(path, true, 0, publish, supervisor)
    }

    fn prepare_upload(
        &self,
        path: &RelativePath,
        md5: Option<[u8; 16]>,
    ) -> Result<Option<Publish>, Refusal> {
        let target = place(path.as_str().as_bytes())?;
        let may = |right| if self.rights.contains(right) { Ok(()) } else { Err(Refusal::NoRight) };
        match self.tree.root().open_write(&target) {
            Ok((file, _)) => {
                may(Rights::OVERWRITE)?;
                // Somebody who writes to it by another protocol is not written over.
                lock(&file, Writer::one_of_several()?)?;
            }
            Err(FileError::NotFound) => {
                may(Rights::WRITE)?;
                if self.rights.contains(Rights::MKDIR) {
                    self.tree.make_parents(&target)?;
                }
                // With a hash, nothing has the name before the hash is right.
                if md5.is_none() {
                    drop(self.tree.create(&target)?);
                }
            }
            Err(e) => return Err(e.into()),
        }
        let Some(md5) = md5 else { return Ok(None) };
        may(Rights::READ.with(Rights::WRITE))?;
        if self.rights.contains(Rights::LIST) {
            let mut buffer = DirectoryBuffer::new();
            remove_leftovers(self.tree.root(), &target.parent(), &mut buffer);
        }
        let temporary = temporary_beside(path.as_str())?;
        drop(self.tree.create(&place(temporary.as_bytes())?)?);
        Ok(Some(Publish { temporary: bounded(&temporary), md5 }))
    }

    /// DOWN: the bytes to send, clamped to the file. `end <= start` means to its end.
    ///
    /// # Errors
    /// See [`Answer`].
    pub fn range(
        &mut self,
        id: Id,
        start: u64,
        end: u64,
        supervisor: &mut Supervisor,
    ) -> Answer<std::ops::Range<u64>> {
        let index = match self.redeemed(id, supervisor)? {
            Ok(index) => index,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(open) = self.open.get(index) else { return Ok(Err(Refusal::UnknownId)) };
        if open.upload {
            return Ok(Err(Refusal::Direction));
        }
        if start > open.size {
            return Ok(Err(Refusal::BehindEnd));
        }
        let end = if end <= start { open.size } else { end.min(open.size) };
        Ok(Ok(start..end))
    }

    /// Reads bytes of a download behind what `buffer` holds.
    ///
    /// # Errors
    /// See [`Answer`].
    pub fn read(
        &mut self,
        id: Id,
        range: std::ops::Range<u64>,
        buffer: &mut [u8],
        supervisor: &mut Supervisor,
    ) -> Answer<()> {
        let index = match self.still_redeemed(id, supervisor)? {
            Ok(index) => index,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(open) = self.open.get_mut(index) else { return Ok(Err(Refusal::UnknownId)) };
        let mut at = range.start;
        let mut rest = &mut *buffer;
        while !rest.is_empty() {
            match rustix::io::pread(&open.file, &mut *rest, at) {
                Ok(0) => return Ok(Err(Refusal::Shrunk)),
                Ok(read) => {
                    rest = rest.get_mut(read..).unwrap_or_default();
                    at = at.saturating_add(read as u64);
                }
                Err(Errno::INTR) => {}
                Err(e) => return Ok(Err(e.into())),
            }
        }
        if open.hashed == range.start {
            open.md5.update(&*buffer);
            open.hashed = at;
        }
        open.moved = open.moved.saturating_add(buffer.len() as u64);
        Ok(Ok(()))
    }

    /// UPLD: writes bytes and gives the position behind them.
    ///
    /// # Errors
    /// See [`Answer`].
    pub fn write(
        &mut self,
        id: Id,
        offset: u64,
        data: &[u8],
        supervisor: &mut Supervisor,
    ) -> Answer<u64> {
        if !self.rights.any_write() {
            return Ok(Err(Refusal::ReadOnly));
        }
        let index = match self.redeemed(id, supervisor)? {
            Ok(index) => index,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let limit = if self.file_size == 0 { i64::MAX.unsigned_abs() } else { self.file_size };
        let Some(open) = self.open.get_mut(index) else { return Ok(Err(Refusal::UnknownId)) };
        if !open.upload {
            return Ok(Err(Refusal::Direction));
        }
        let end = match offset.checked_add(data.len() as u64) {
            Some(end) if end <= limit => end,
            Some(_) | None => return Ok(Err(Refusal::TooLarge)),
        };
        let written = write_at(&open.file, offset, data);
        if written.is_ok() {
            open.moved = open.moved.saturating_add(data.len() as u64);
        }
        Ok(written.map(|()| end))
    }

    /// CLOZ: whether the session is a download, whose MD5 is asked for, or an upload.
    ///
    /// # Errors
    /// See [`Answer`].
    pub fn closing(&mut self, id: Id, supervisor: &mut Supervisor) -> Answer<Closing> {
        let index = match self.redeemed(id, supervisor)? {
            Ok(index) => index,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(open) = self.open.get_mut(index) else { return Ok(Err(Refusal::UnknownId)) };
        if !open.upload {
            return Ok(Ok(Closing::Hash));
        }
        if self.sync
            && let Err(e) = files::sync(&open.file)
        {
            return Ok(Err(e.into()));
        }
        let Some(publish) = &open.publish else { return Ok(Ok(Closing::Done)) };
        if open.reading {
            // Asked again, because the hash was not ready.
            return Ok(Ok(Closing::Hash));
        }
        // The upload may have come over several connections and in any order: hash what is there.
        let opened = place(publish.temporary.as_slice())
            .and_then(|temporary| Ok(self.tree.root().open_read(&temporary)?));
        Ok(opened.map(|(file, facts)| {
            open.prepaid = files::allocated(&file).unwrap_or_default();
            (open.file, open.size) = (file, facts.size);
            (open.md5, open.hashed, open.reading) = (Md5::new(), 0, true);
            Closing::Hash
        }))
    }

    /// Hashes the next piece of a file that is being closed. `allowance` is how many bytes the rate
    /// allows now; what was sent at the upload's rate is not counted again, holes are.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn hash_on(
        &mut self,
        id: Id,
        buffer: &mut Vec<u8>,
        allowance: u64,
    ) -> Result<HashStep, Refusal> {
        let open = self.open.iter_mut().find(|open| open.id == id).ok_or(Refusal::UnknownId)?;
        let left = open.size.saturating_sub(open.hashed);
        if left == 0 {
            return Ok(HashStep::Done(open.md5.clone().finalize().into()));
        }
        let left = left.min(open.prepaid.saturating_add(allowance));
        if left == 0 {
            return Ok(HashStep::Pause);
        }
        let piece = usize::try_from(left).unwrap_or(HASH_PIECE).min(HASH_PIECE);
        if buffer.len() < piece {
            buffer.resize(piece, 0);
        }
        let place = buffer.get_mut(..piece).unwrap_or_default();
        match rustix::io::pread(&open.file, &mut *place, open.hashed) {
            Ok(0) => Err(Refusal::Shrunk),
            Ok(read) => {
                open.md5.update(place.get(..read).unwrap_or_default());
                let read = read as u64;
                open.hashed = open.hashed.saturating_add(read);
                open.used = Instant::now();
                let unpaid = read.saturating_sub(open.prepaid);
                open.prepaid = open.prepaid.saturating_sub(read);
                Ok(HashStep::Hashed { unpaid })
            }
            Err(Errno::INTR) => Ok(HashStep::Hashed { unpaid: 0 }),
            Err(e) => Err(e.into()),
        }
    }

    /// Ends a session: the ticket, the file, and for an upload with a hash the temporary, which
    /// gets its name if `md5` is what was announced.
    ///
    /// # Errors
    /// See [`Answer`]. The ticket is gone in any case.
    pub fn close(
        &mut self,
        id: Id,
        md5: Option<[u8; 16]>,
        supervisor: &mut Supervisor,
    ) -> Answer<bool> {
        supervisor.ask(&SessionToSupervisor::CloseTicket { id })?;
        let Some(index) = self.open.iter().position(|open| open.id == id) else {
            return Ok(Err(Refusal::UnknownId));
        };
        let open = self.open.swap_remove(index);
        let published = match &open.publish {
            None => Ok(()),
            Some(publish) => self.publish(publish, &open.path, md5),
        };
        let upload = open.upload;
        self.log(&open, published.is_ok(), supervisor);
        Ok(published.map(|()| upload))
    }

    /// Gives an upload its name if it is what was announced, and removes it otherwise.
    fn publish(&self, publish: &Publish, path: &str, md5: Option<[u8; 16]>) -> Result<(), Refusal> {
        let (temporary, target) = (place(publish.temporary.as_slice())?, place(path.as_bytes())?);
        let overwrite = self.rights.contains(Rights::OVERWRITE);
        let replace = if overwrite { Replace::Allowed } else { Replace::Never };
        let published = if md5 == Some(publish.md5) {
            self.tree.root().rename(&temporary, &target, replace).map_err(Refusal::from)
        } else {
            Err(Refusal::WrongHash)
        };
        if published.is_err() {
            // The refusal is the answer; a temporary that cannot be removed adds nothing to it.
            self.tree.root().delete(&temporary).unwrap_or_default();
        }
        published
    }

    /// Opens the file of an upload, locks it against writers of other uploads, and empties it when
    /// the upload begins.
    fn open_upload(&self, path: &[u8], fresh: bool) -> Result<OwnedFd, Refusal> {
        let (file, _) = self.tree.root().open_write(&place(path)?)?;
        lock(&file, Writer::one_of_several()?)?;
        // Behind the lock: somebody else may have written to what was empty when it was asked for.
        if fresh && files::open_metadata(&file)?.size > 0 {
            if !self.rights.contains(Rights::OVERWRITE) {
                return Err(Refusal::NoRight);
            }
            files::set_length(&file, 0)?;
        }
        Ok(file)
    }

    fn open_read(&self, path: &[u8]) -> Result<(OwnedFd, u64), Refusal> {
        let (file, facts) = self.tree.root().open_read(&place(path)?)?;
        Ok((file, facts.size))
    }

    /// Notes the transfers that end with the connection.
    pub fn abandon(&mut self, supervisor: &mut Supervisor) {
        for open in std::mem::take(&mut self.open) {
            self.log(&open, false, supervisor);
        }
    }

    /// As [`Transfers::redeemed`], in the middle of a request.
    fn still_redeemed(&mut self, id: Id, supervisor: &mut Supervisor) -> Answer<usize> {
        let now = Instant::now();
        let known = self.open.iter().position(|open| open.id == id);
        match known.and_then(|index| self.open.get_mut(index)) {
            Some(open) if now.saturating_duration_since(open.redeemed) < REDEEM_EVERY => {
                open.used = now;
                Ok(known.ok_or(Refusal::UnknownId))
            }
            Some(_) | None => self.redeemed(id, supervisor),
        }
    }

    /// The place of an open file, opened now if need be. Asks the supervisor for the ticket.
    fn redeemed(&mut self, id: Id, supervisor: &mut Supervisor) -> Answer<usize> {
        let now = Instant::now();
        let known = self.open.iter().position(|open| open.id == id);
        if let Some(open) = known.and_then(|index| self.open.get_mut(index)) {
            open.used = now;
        }
        let answer = supervisor.ask(&SessionToSupervisor::RedeemTicket { id })?;
        let TicketAnswer::Redeemed { path, upload, size, publish, fresh } = answer else {
            if let Some(index) = known {
                let open = self.open.swap_remove(index);
                self.log(&open, false, supervisor);
            }
            return Ok(Err(Refusal::UnknownId));
        };
        if let Some(open) = known.and_then(|index| self.open.get_mut(index)) {
            open.redeemed = now;
            return Ok(known.ok_or(Refusal::UnknownId));
        }
        let stored = match &publish {
            Some(publish) => publish.temporary.as_slice(),
            None => path.as_slice(),
        };
        let file = if upload {
            self.open_upload(stored, fresh)
        } else {
            self.open_read(stored).map(|(file, _)| file)
        };
        if fresh && upload && file.is_err() {
            // What is there was not emptied, and no later use would do it: the client begins anew.
            supervisor.ask(&SessionToSupervisor::CloseTicket { id })?;
        }
        match file {
            Ok(file) => {
                let path = String::from_utf8_lossy(path.as_slice()).into_owned();
                self.keep(id, file, path, upload, size, publish, supervisor);
                Ok(Ok(self.open.len().saturating_sub(1)))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of a ticket, each once")]
    fn keep(
        &mut self,
        id: Id,
        file: OwnedFd,
        path: String,
        upload: bool,
        size: u64,
        publish: Option<Publish>,
        supervisor: &mut Supervisor,
    ) {
        let now = Instant::now();
        if self.open.len() >= MAX_OPEN {
            let rested = self.open.iter().enumerate().min_by_key(|(_, open)| open.used);
            if let Some(index) = rested.map(|(index, _)| index) {
                let open = self.open.swap_remove(index);
                self.log(&open, false, supervisor);
            }
        }
        self.open.push(Open {
            id,
            file,
            path,
            upload,
            size,
            publish,
            md5: Md5::new(),
            hashed: 0,
            reading: false,
            prepaid: 0,
            moved: 0,
            began: now,
            redeemed: now,
            used: now,
        });
    }

    /// A transfer's line in the log. The connection on which a client merely asked for the file
    /// has moved nothing, and says nothing.
    fn log(&self, open: &Open, closed: bool, supervisor: &mut Supervisor) {
        if open.moved == 0 && !(closed && open.upload) {
            return;
        }
        let complete = if open.upload { closed } else { open.moved >= open.size };
        let reason = (!complete).then_some(Reason::ClientClosed);
        let micros = u64::try_from(open.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        supervisor.event(Event::Transfer(Transfer {
            kind: if open.upload { TransferKind::Upload } else { TransferKind::Download },
            path: bounded(&open.path),
            bytes: open.moved,
            micros,
            reason,
            tls: self.tls,
        }));
    }
}

/// What one step of hashing came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashStep {
    /// A piece is hashed.
    Hashed {
        /// Bytes of it that come out of the download's rate.
        unpaid: u64,
    },
    /// The rate allows no byte now.
    Pause,
    /// The MD5.
    Done([u8; 16]),
}

/// What CLOZ needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Nothing more.
    Done,
    /// The MD5 of the file.
    Hash,
}

fn issue(
    path: &RelativePath,
    upload: bool,
    size: u64,
    publish: Option<Publish>,
    supervisor: &mut Supervisor,
) -> Answer<Id> {
    let path = bounded(path.as_str());
    match supervisor.ask(&SessionToSupervisor::IssueTicket { path, upload, size, publish })? {
        TicketAnswer::Issued { id } => Ok(Ok(id)),
        TicketAnswer::Redeemed { .. } | TicketAnswer::Closed | TicketAnswer::Refused => {
            Ok(Err(Refusal::TooManySessions))
        }
    }
}

/// A name nobody guesses, in the directory of the target.
fn temporary_beside(path: &str) -> Result<String, Refusal> {
    let name = Temporary::Ticket.name()?;
    Ok(match path.rsplit_once('/') {
        Some((directory, _)) => format!("{directory}/{name}"),
        None => name,
    })
}
