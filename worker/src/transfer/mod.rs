//! Transfers: a data connection comes up, bytes move, one reply says what became of it. All of it
//! in steps that never block, so that the control connection is served meanwhile.

mod begin;
mod connection;
mod download;
mod drive;
mod listing;
mod outcome;
mod protection;
mod target;
mod upload;

use std::time::Instant;

use ipc::{account::Limits, session::TransferKind};
use rustix::event::PollFlags;

pub use connection::DataConnection;
pub use download::Download;
pub(crate) use listing::is_link;
pub use listing::{Listing, ListingStyle};
pub use outcome::Outcome;
pub(crate) use outcome::ended;
pub use protection::Protection;
pub use target::{UploadForm, UploadRefusal, UploadRequest};
pub use upload::Upload;

use crate::{
    files::{DirectoryBuffer, Pipe},
    ftp::{path::VirtualPath, reply::Reply},
    rate::Bucket,
};

/// What moves.
#[derive(Debug)]
pub enum Job {
    /// A file to the client.
    Download(Download),
    /// A file from the client.
    Upload(Box<Upload>),
    /// A listing to the client.
    Listing(Box<Listing>),
}

/// How far a transfer has come.
#[derive(Debug)]
pub enum Stage {
    /// The client is to connect to the listener.
    Accepting,
    /// The helper connects to the client.
    Connecting,
    /// The connection is up, and its protection (if any) is being agreed on.
    Handshaking(DataConnection),
    /// Bytes move.
    Moving(DataConnection),
    /// All bytes have moved; the connection's own last words are on their way.
    Closing(DataConnection),
}

/// What a transfer waits for.
#[derive(Debug, Clone, Copy)]
pub struct Want {
    /// Events of its descriptor; empty while only time can help.
    pub flags: PollFlags,
    /// When it must be looked at, whatever happens.
    pub until: Option<Instant>,
}

/// A transfer that was asked for and has not ended.
#[derive(Debug)]
pub struct Transfer {
    pub(crate) kind: TransferKind,
    pub(crate) path: VirtualPath,
    pub(crate) job: Job,
    pub(crate) stage: Stage,
    pub(crate) bucket: Option<Bucket>,
    /// Since when the present stage lasts, or when the last byte moved.
    pub(crate) since: Instant,
    /// When the first byte could move.
    pub(crate) began: Instant,
    pub(crate) moved: u64,
    /// The reply when the data connection is up.
    opening: Reply,
    /// The reply when every byte is where it belongs.
    complete: Reply,
    want: Want,
}

impl Transfer {
    /// A transfer that waits for its data connection.
    pub fn new(kind: TransferKind, path: VirtualPath, job: Job) -> Transfer {
        let now = Instant::now();
        Transfer {
            kind,
            path,
            job,
            stage: Stage::Accepting,
            bucket: None,
            since: now,
            began: now,
            moved: 0,
            opening: Reply::OPENING_DATA,
            complete: Reply::COMPLETE,
            want: Want { flags: PollFlags::empty(), until: Some(now) },
        }
    }

    /// The same with these replies at its beginning and its end.
    #[must_use]
    pub fn with_replies(self, opening: Reply, complete: Reply) -> Transfer {
        Transfer { opening, complete, ..self }
    }

    /// What to wait for.
    pub fn want(&self) -> Want {
        self.want
    }

    /// Bytes moved so far.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// From now on bytes move as fast as these limits allow.
    pub(crate) fn limit_rate(&mut self, limits: &Limits) {
        let rate = match self.kind {
            TransferKind::Upload | TransferKind::Append => limits.upload_rate,
            TransferKind::Download | TransferKind::Listing => limits.download_rate,
        };
        self.bucket = Bucket::new(rate, Instant::now());
    }

    /// Counts bytes that moved.
    fn count(&mut self, bytes: usize, now: Instant) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.moved = self.moved.saturating_add(bytes);
        self.since = now;
        if let Some(bucket) = &mut self.bucket {
            bucket.take(bytes);
        }
    }
}

/// What one step of moving bytes came to.
#[derive(Debug)]
enum Step {
    /// Look at the rest of the world, then go on at once.
    Again,
    /// Wait for the data connection.
    Wait(PollFlags),
    /// The rate allows no byte now.
    Pause,
    /// All bytes have moved.
    Done,
    /// The transfer is over.
    Over(Outcome),
}

/// Buffers that a session makes once and uses for every transfer.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The pipe between the two halves of a splice.
    pub(crate) pipe: Option<Pipe>,
    /// Bytes as they were read.
    pub(crate) raw: Vec<u8>,
    /// Bytes that wait to be written.
    pub(crate) out: Vec<u8>,
    /// Entries of a directory.
    pub(crate) entries: DirectoryBuffer,
    /// The directory whose leftovers were last looked for, and when.
    pub(crate) tidied: Option<(VirtualPath, Instant)>,
}
