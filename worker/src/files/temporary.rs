//! Hidden files beside the targets of uploads: their names, and how those are found that a process
//! left behind which was killed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    directory::DirectoryBuffer,
    error::{Call, FileError, FileResult},
    root::Root,
    writer_lock::{Writer, lock},
};
use crate::ftp::path::VirtualPath;

/// How the names begin.
const PREFIX: &[u8] = b".bulkhead-";
/// What follows in the names of [`Temporary::Ticket`].
const TICKET: &[u8] = b"ticket-";
/// Digits of the random number at the end.
const DIGITS: usize = 16;
/// How long a ticket's temporary may rest before it counts as left behind: a ticket that nobody uses
/// ends after two minutes.
const TICKET_REST: Duration = Duration::from_secs(600);
/// Most entries of a directory that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// Whose temporary it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporary {
    /// Of one upload, whose session has it open and locked from the beginning to the end.
    Upload,
    /// Of an I2FTP ticket, which several connections write to, and none for a while.
    Ticket,
}

impl Temporary {
    /// A name nobody guesses.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn name(self) -> FileResult<String> {
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map_err(|errno| FileError::of(Call::Other, errno))?;
        let ticket = match self {
            Temporary::Upload => &b""[..],
            Temporary::Ticket => TICKET,
        };
        let begin = String::from_utf8_lossy(PREFIX) + String::from_utf8_lossy(ticket);
        Ok(format!("{begin}{:016x}", u64::from_le_bytes(random)))
    }

    /// What a name stands for; `None`: it is no temporary's.
    fn from_name(name: &[u8]) -> Option<Temporary> {
        let rest = name.strip_prefix(PREFIX)?;
        let (temporary, digits) = match rest.strip_prefix(TICKET) {
            Some(digits) => (Temporary::Ticket, digits),
            None => (Temporary::Upload, rest),
        };
        let all_digits = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        (digits.len() == DIGITS && all_digits).then_some(temporary)
    }
}

/// Deletes what uploads have left behind in a directory: temporaries that nobody has locked, and for
/// those of tickets, that nobody has touched for ten minutes. What cannot be looked at or deleted
/// stays: the upload for whose sake it is done is not held up by it.
pub fn remove_leftovers(root: &Root, directory: &VirtualPath, buffer: &mut DirectoryBuffer) {
    let Ok(opened) = root.open_directory(directory) else { return };
    let mut found = Vec::new();
    let mut seen = 0;
    loop {
        let more = opened.read_some(buffer, |entry| {
            seen += 1;
            if let Some(temporary) = Temporary::from_name(entry.name()) {
                found.push((temporary, entry.name().to_vec()));
            }
            Ok::<(), FileError>(())
        });
        if !matches!(more, Ok(true)) || seen >= MAX_ENTRIES {
            break;
        }
    }
    for (temporary, name) in found {
        let Ok(path) = directory.child(&name) else { continue };
        if is_left_behind(root, temporary, &path) {
            root.delete(&path).ok();
        }
    }
}

fn is_left_behind(root: &Root, temporary: Temporary, path: &VirtualPath) -> bool {
    let Ok((file, facts)) = root.open_write(path) else { return false };
    let rested = match temporary {
        Temporary::Upload => true,
        Temporary::Ticket => age(facts.modified) >= TICKET_REST,
    };
    rested && lock(&file, Writer::Alone).is_ok()
}

/// How long ago a time was, in seconds since 1970; nothing, if it is yet to come.
fn age(modified: i64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_secs(u64::try_from(modified).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn a14_leftovers_go_and_what_a_live_session_writes_stays() {
        let place = tempfile::tempdir().unwrap();
        let make = |name: &str| File::create(place.path().join(name)).unwrap();
        let [left, live] = [Temporary::Upload; 2].map(|temporary| temporary.name().unwrap());
        let [old, new] = [Temporary::Ticket; 2].map(|temporary| temporary.name().unwrap());
        let others =
            [".bulkhead-", ".bulkhead-0123", ".bulkhead-0123456789abcdeX", ".bulkhead", "a"];
        for name in [&left, &new].into_iter().map(String::as_str).chain(others) {
            make(name);
        }
        make(&old).set_modified(SystemTime::now() - 2 * TICKET_REST).unwrap();
        let writing = make(&live);
        lock(&writing, Writer::Alone).unwrap();
        let root = Root::new(File::open(place.path()).unwrap().into());
        remove_leftovers(&root, &VirtualPath::root(), &mut DirectoryBuffer::new());
        let mut names: Vec<String> = fs::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let mut kept: Vec<String> = others.map(str::to_owned).to_vec();
        kept.extend([new, live]);
        kept.sort();
        assert_eq!(names, kept, "without {left} and {old}");
        drop(writing);
        remove_leftovers(&root, &VirtualPath::root(), &mut DirectoryBuffer::new());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), kept.len() - 1);
    }
}
