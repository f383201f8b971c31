//! LIST, NLST and MLSD: entries are formatted and sent as the kernel gives them, or sorted by name
//! where people and scripts read them and there are few.

use std::{collections::VecDeque, ffi::CString};

use crate::{
    files::{Directory, Entry, FileError, Metadata},
    ftp::{
        glob,
        listing::{FactFormatter, ListFormatter, Relation, append_name_line},
    },
};

use super::{DataConnection, Job, Outcome, Scratch, Step, Transfer};

/// Entries up to which LIST, NLST and STAT are sorted: their names are held in memory. A larger
/// directory is sent as the kernel gives it, from its first entry on.
const MAX_SORTED: usize = 1000;
/// Reads of the directory after which the rest of the world is looked at.
const MAX_READS: usize = 16;
/// Bytes of lines after which the rest of the world is looked at: small listings end before.
const LARGE: usize = 4 * 1024;

/// How entries are written.
#[derive(Debug)]
pub enum ListingStyle {
    /// LIST.
    Long(Box<ListFormatter>),
    /// NLST, with what is written before each name (the directory as the client named it).
    Names(Vec<u8>),
    /// MLSD.
    Facts(Box<FactFormatter>),
}

/// A listing on its way to the client.
#[derive(Debug)]
pub struct Listing {
    /// How entries are written.
    pub style: ListingStyle,
    /// The directory that is read; `None` when the lines that are there already are all.
    pub directory: Option<Directory>,
    order: Order,
    /// `*` and `?`; `None`: every name.
    pub pattern: Option<Vec<u8>>,
    /// Whether names that begin with a dot are shown.
    pub all: bool,
    /// Lines that come before those of the directory.
    pub first: Vec<u8>,
    /// Most entries; 0: no limit.
    pub limit: u64,
    /// Entries that were written.
    pub entries: u64,
    /// What a symbolic link says; kept so that memory is taken once.
    pub link: Vec<u8>,
    /// Bytes of the scratch buffer that were written.
    pub written: usize,
}

/// In which order the entries of a directory are written.
#[derive(Debug)]
enum Order {
    /// Their names are read, to be sorted if they are few.
    Collecting(Vec<CString>),
    /// These come next. `more`: the rest of the directory follows as it is read.
    Held { names: VecDeque<CString>, more: bool },
    /// As the kernel gives them.
    AsRead,
}

/// Why the reading of a directory ended early.
#[derive(Debug)]
pub enum ListingError {
    /// The file system failed.
    File(FileError),
    /// More entries than the limit.
    TooMany,
}

impl From<FileError> for ListingError {
    fn from(error: FileError) -> Self {
        ListingError::File(error)
    }
}

impl From<ListingError> for Outcome {
    fn from(error: ListingError) -> Self {
        match error {
            ListingError::File(error) => Outcome::File(error),
            ListingError::TooMany => Outcome::TooManyEntries,
        }
    }
}

impl Listing {
    /// A listing of one directory, or of nothing but lines that are made already.
    pub fn new(style: ListingStyle, directory: Option<Directory>, limit: u64) -> Listing {
        let order = match style {
            ListingStyle::Long(_) | ListingStyle::Names(_) => Order::Collecting(Vec::new()),
            // Programs read it.
            ListingStyle::Facts(_) => Order::AsRead,
        };
        Listing {
            style,
            directory,
            order,
            pattern: None,
            all: false,
            first: Vec::new(),
            limit,
            entries: 0,
            link: Vec::new(),
            written: 0,
        }
    }

    /// Reads on and appends lines to `out`. Whether there may be more.
    ///
    /// # Errors
    /// The file system's, or the limit.
    pub fn read_some(&mut self, scratch: &mut Scratch) -> Result<bool, ListingError> {
        scratch.out.append(&mut self.first);
        let Some(directory) = self.directory.take() else { return Ok(false) };
        let more = match std::mem::replace(&mut self.order, Order::AsRead) {
            Order::Collecting(names) => self.collect(names, &directory, scratch)?,
            Order::Held { names, more } => self.append_held(names, more, &directory, scratch)?,
            Order::AsRead => {
                let out = &mut scratch.out;
                directory.read_some(&mut scratch.entries, |entry| self.append(entry, out))?
            }
        };
        if more {
            self.directory = Some(directory);
        }
        Ok(more)
    }

    /// Reads names until all are there or too many to be sorted.
    fn collect(
        &mut self,
        mut names: Vec<CString>,
        directory: &Directory,
        scratch: &mut Scratch,
    ) -> Result<bool, FileError> {
        let more = directory.read_some::<FileError>(&mut scratch.entries, |entry| {
            if self.shows(entry.name()) {
                names.push(entry.c_name().to_owned());
            }
            Ok(())
        })?;
        self.order = if names.len() > MAX_SORTED {
            Order::Held { names: names.into(), more }
        } else if more {
            Order::Collecting(names)
        } else {
            names.sort_unstable();
            Order::Held { names: names.into(), more }
        };
        Ok(true)
    }

    /// Writes some of the entries whose names are held.
    fn append_held(
        &mut self,
        mut names: VecDeque<CString>,
        more: bool,
        directory: &Directory,
        scratch: &mut Scratch,
    ) -> Result<bool, ListingError> {
        let start = scratch.out.len();
        while scratch.out.len().saturating_sub(start) <= LARGE {
            let Some(name) = names.pop_front() else { return Ok(more) };
            self.append(&directory.entry(&name), &mut scratch.out)?;
        }
        self.order = Order::Held { names, more };
        Ok(true)
    }

    fn shows(&self, name: &[u8]) -> bool {
        match &self.pattern {
            Some(pattern) => glob::matches(pattern, name),
            None => self.all || name.first() != Some(&b'.'),
        }
    }

    fn append(&mut self, entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<(), ListingError> {
        let name = entry.name();
        if !self.shows(name) {
            return Ok(());
        }
        self.entries = self.entries.saturating_add(1);
        if self.limit > 0 && self.entries > self.limit {
            return Err(ListingError::TooMany);
        }
        match &mut self.style {
            ListingStyle::Names(prefix) => {
                out.extend_from_slice(prefix);
                append_name_line(out, name);
            }
            ListingStyle::Long(formatter) => {
                let Some(metadata) = entry.metadata()? else { return Ok(()) };
                self.link.clear();
                if is_link(&metadata) {
                    entry.target(&mut self.link);
                }
                formatter.append(out, name, &metadata, &self.link);
            }
            ListingStyle::Facts(formatter) => {
                let Some(metadata) = entry.metadata()? else { return Ok(()) };
                formatter.append_line(out, name, &metadata, Relation::Child);
            }
        }
        Ok(())
    }
}

/// Whether it is a symbolic link.
pub(crate) fn is_link(metadata: &Metadata) -> bool {
    metadata.kind == crate::files::FileKind::Symlink
}

impl Transfer {
    pub(super) fn step_listing(
        &mut self,
        connection: &mut DataConnection,
        scratch: &mut Scratch,
    ) -> Step {
        let mut sent = 0;
        // Entries that are not shown cost time as well, and send nothing.
        for _ in 0..MAX_READS {
            match self.write_out(connection, scratch) {
                Step::Done => {}
                other => return other,
            }
            let Job::Listing(listing) = &mut self.job else { return Step::Done };
            if listing.directory.is_none() && listing.first.is_empty() {
                return Step::Done;
            }
            // A client that waits for the 150 before it reads must not wait for the whole of a
            // large directory, nor one that says ABOR.
            if std::mem::take(&mut sent) > LARGE {
                return Step::Again;
            }
            // What was read before the failure is sent, so that the client has what there is;
            // the reply says that it is not all.
            if let Err(error) = listing.read_some(scratch) {
                return Step::Over(error.into());
            }
            sent = scratch.out.len();
        }
        Step::Again
    }
}
