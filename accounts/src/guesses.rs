//! Wrong codes of one account, counted in the state directory: whoever guesses at a second factor is
//! slowed down with it, from however many addresses he comes.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

/// Wrong codes that cost nothing.
const FREE: u32 = 5;
/// Seconds for which no code is judged after the last of these; twice as many after each further one.
const FIRST_PAUSE: u64 = 30;
/// The longest pause, in seconds.
const LONGEST_PAUSE: u64 = 3600;
/// Seconds without a wrong code after which all are forgotten.
const FORGOTTEN_AFTER: u64 = 24 * 3600;

/// How many wrong codes there were, and when the last one. Pure: the caller brings the time, as Unix
/// time in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Guesses {
    /// Wrong codes since the last right one.
    pub wrong: u32,
    last: u64,
}

impl Guesses {
    /// Seconds until a code is judged again; `None`: now.
    pub fn wait(self, now: u64) -> Option<u64> {
        let further = self.wrong.checked_sub(FREE)?;
        let pause = FIRST_PAUSE.checked_shl(further.min(16)).unwrap_or(LONGEST_PAUSE);
        // A clock that was set back must not make the pause longer.
        let until = self.last.min(now).saturating_add(pause.min(LONGEST_PAUSE));
        until.checked_sub(now).filter(|left| *left > 0)
    }

    /// Counts a wrong code.
    #[must_use]
    pub fn with_wrong(self, now: u64) -> Guesses {
        let forgotten = now.saturating_sub(self.last) > FORGOTTEN_AFTER;
        let before = if forgotten { 0 } else { self.wrong };
        Guesses { wrong: before.saturating_add(1), last: now }
    }
}

/// The file of one account's guesses, under an exclusive lock for as long as this lives: of codes that
/// come at the same time, each one counts.
#[derive(Debug)]
pub struct GuessesFile {
    file: File,
    /// What it says.
    pub guesses: Guesses,
}

impl GuessesFile {
    /// Opens it, and waits for its lock.
    ///
    /// # Errors
    /// As open(2), flock(2) and read(2); `InvalidData` when it is damaged.
    pub fn open(path: &Path) -> io::Result<GuessesFile> {
        if let Some(directory) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let guesses = parse(&text).ok_or(io::ErrorKind::InvalidData)?;
        Ok(GuessesFile { file, guesses })
    }

    /// Writes what is to be remembered.
    ///
    /// # Errors
    /// As write(2) and fdatasync(2).
    pub fn write(&mut self, guesses: Guesses) -> io::Result<()> {
        if guesses == self.guesses {
            return Ok(());
        }
        let text = format!("{} {}\n", guesses.wrong, guesses.last);
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())?;
        self.file.set_len(u64::try_from(text.len()).unwrap_or(u64::MAX))?;
        self.file.sync_data()?;
        self.guesses = guesses;
        Ok(())
    }
}

/// What a file says; an empty one: nothing. One that cannot be understood must not count as nothing.
fn parse(text: &str) -> Option<Guesses> {
    if text.is_empty() {
        return Some(Guesses::default());
    }
    let (wrong, last) = text.trim_end().split_once(' ')?;
    Some(Guesses { wrong: wrong.parse().ok()?, last: last.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn after(count: u32) -> Guesses {
        (0..count).fold(Guesses::default(), |guesses, _| guesses.with_wrong(NOW))
    }

    #[test]
    fn b7_five_wrong_codes_are_free_and_each_further_one_doubles_the_pause_up_to_an_hour() {
        assert_eq!(after(4).wait(NOW), None);
        let pauses: Vec<u64> = (5..=13).map(|count| after(count).wait(NOW).unwrap()).collect();
        assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(after(100).wait(NOW), Some(3600));
        assert_eq!(after(5).wait(NOW + 29), Some(1));
        assert_eq!(after(5).wait(NOW + 30), None);
    }

    #[test]
    fn b7_a_clock_that_is_set_back_makes_no_pause_longer_and_a_day_forgets() {
        assert_eq!(after(5).wait(NOW - 500_000), Some(30));
        assert_eq!(after(9).with_wrong(NOW + FORGOTTEN_AFTER + 1).wrong, 1);
        assert_eq!(after(9).with_wrong(NOW + FORGOTTEN_AFTER).wrong, 10);
    }

    #[test]
    fn b7_a_year_of_guessing_at_the_longest_pause_is_a_small_part_of_all_codes() {
        let (mut guesses, mut now, mut judged) = (Guesses::default(), NOW, 0_u32);
        while now < NOW + 365 * 24 * 3600 {
            now += guesses.wait(now).unwrap_or(0);
            guesses = guesses.with_wrong(now);
            judged += 1;
        }
        assert!(judged < 9000, "{judged} of a million, three of which are right at a time");
    }

    #[test]
    fn b7_guesses_are_remembered_and_a_damaged_file_is_not_taken_for_none() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("second-factor/x.guesses");
        let mut file = GuessesFile::open(&path).unwrap();
        assert_eq!(file.guesses, Guesses::default());
        file.write(after(7)).unwrap();
        drop(file);
        let mut file = GuessesFile::open(&path).unwrap();
        assert_eq!(file.guesses, after(7));
        file.write(Guesses::default()).unwrap();
        drop(file);
        assert_eq!(GuessesFile::open(&path).unwrap().guesses.wait(NOW), None);
        std::fs::write(&path, "many").unwrap();
        assert_eq!(GuessesFile::open(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
