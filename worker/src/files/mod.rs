//! Every file system call of a session, in one place.
//!
//! A path never reaches the kernel but through `openat2` beneath the root's descriptor
//! (`RESOLVE_BENEATH`, so neither `..` nor an absolute symbolic link leads out), or as a single name
//! beside the descriptor of its directory that was opened that way. Landlock enforces the same from
//! outside.

mod directory;
mod error;
mod metadata;
mod moving;
mod root;
mod temporary;
mod writer_lock;

pub use directory::{Directory, DirectoryBuffer, Entry};
pub use error::{Call, FileError, FileResult};
pub use metadata::{FileKind, Metadata, Space, open_metadata};
pub use moving::{Moved, Pipe, copy_range, send_file, splice_from, splice_to};
pub use root::{Replace, Root, allocated, set_length, sync};
pub use temporary::{Temporary, remove_leftovers};
pub use writer_lock::{Writer, lock};

#[cfg(test)]
mod tests;
