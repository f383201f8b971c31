//! Why something that a client asked for was not done, as one word of the log. Operators search for
//! these words and programs match them: a word never changes its meaning.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+) => {
        /// Why a transfer, a file operation or a command was not done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of the reference.
            pub const ALL: &[Reason] = &[$(Reason::$variant,)+];

            /// Its word in the log.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Reason::$variant => $word,)+
                }
            }

            /// What it means, for the reference.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Reason::$variant => concat!($($doc),+),)+
                }
            }
        }
    };
}

reasons! {
    /// The file system is full.
    NoSpace = "no-space",
    /// The file system is mounted read-only.
    ReadOnlyFileSystem = "read-only-file-system",
    /// The quota of the account's uid, gid or project is used up.
    Quota = "quota",
    /// Mode, owner or ACL of the file, or the sandbox, does not let the account's uid do it.
    Permission = "permission",
    /// The account lacks the right in the account file.
    NoRight = "no-right",
    /// The file exists, and the account may not replace it.
    NoOverwrite = "no-overwrite",
    /// There is no such file or directory.
    NotFound = "not-found",
    /// Something is there already.
    Exists = "exists",
    /// The directory is not empty.
    NotEmpty = "not-empty",
    /// It is a directory and should not be.
    IsDirectory = "is-directory",
    /// It, or something before it in the path, is no directory.
    NotDirectory = "not-directory",
    /// It is a FIFO, a device or a socket.
    NotRegular = "not-a-regular-file",
    /// A symbolic link or `..` leads out of the account's root.
    OutsideRoot = "outside-root",
    /// Too many symbolic links, one behind the other.
    LinkLoop = "link-loop",
    /// The file system takes no such name, or the command no such argument.
    BadName = "bad-name",
    /// The file would be larger than `file_size` or the file system allows.
    TooLarge = "too-large",
    /// A rename from one file system to another.
    OtherFileSystem = "other-file-system",
    /// The file system, or this kind of file, does not have the operation.
    NotSupported = "not-supported",
    /// It is in use: a running program, a mount point, the root itself, another upload.
    InUse = "in-use",
    /// The server has no descriptors or no memory left.
    NoResources = "no-resources",
    /// The file system failed in another way, such as an error of the disk.
    FileSystemError = "file-system-error",
    /// The offset lies beyond the end of the file, or cannot be used here.
    BadOffset = "bad-offset",
    /// The client sent ABOR.
    ClientAborted = "client-aborted",
    /// The client closed or reset the data connection, or left.
    ClientClosed = "client-closed",
    /// No data connection came up in time.
    NotConnected = "not-connected",
    /// The client's address refused the data connection, or none could be made.
    NoDataConnection = "no-data-connection",
    /// No byte moved for `idle_data_timeout`.
    Stalled = "stalled",
    /// The file became shorter while it was sent.
    FileChanged = "file-changed",
    /// The listing has more entries than `listing_entries`.
    TooManyEntries = "too-many-entries",
    /// The data connection is not protected as the account or the server demands.
    TlsDemanded = "tls-demanded",
    /// The TLS handshake of the data connection failed, or the client broke the protocol.
    TlsFailed = "tls-failed",
    /// The data connection does not resume the TLS session of the control connection.
    TlsNotResumed = "tls-not-resumed",
    /// The upload ended without close_notify: it may be incomplete.
    TlsTruncated = "tls-truncated",
    /// An administrator ended the session.
    Kicked = "kicked",
    /// The server was told to stop.
    ServerEnding = "server-ending",
    /// The uploaded bytes do not have the announced checksum.
    WrongHash = "wrong-hash",
    /// Another request of the client took its place, or was wrong.
    BadRequest = "bad-request",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e1_every_word_is_plain_and_its_own() {
        let mut words: Vec<&str> = Reason::ALL.iter().map(|reason| reason.word()).collect();
        for reason in Reason::ALL {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
            assert!(reason.word().bytes().all(plain), "{}", reason.word());
            assert!(!reason.meaning().is_empty());
        }
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Reason::ALL.len());
    }
}
