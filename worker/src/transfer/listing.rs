//! LIST, NLST and MLSD: entries are formatted and sent as the kernel gives them.

use crate::{
    files::{Directory, Entry, FileError, Metadata},
    ftp::{
        glob,
        listing::{FactFormatter, ListFormatter, Relation, append_name_line},
    },
};

use super::{DataConnection, Job, Outcome, Scratch, Step, Transfer};

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
        Listing {
            style,
            directory,
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
        let out = &mut scratch.out;
        let more = directory.read_some(&mut scratch.entries, |entry| self.append(entry, out))?;
        if more {
            self.directory = Some(directory);
        }
        Ok(more)
    }

    fn append(&mut self, entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<(), ListingError> {
        let name = entry.name();
        let shown = match &self.pattern {
            Some(pattern) => glob::matches(pattern, name),
            None => self.all || name.first() != Some(&b'.'),
        };
        if !shown {
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
        loop {
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
    }
}
