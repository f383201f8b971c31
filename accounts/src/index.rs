//! The account file as it is looked up: one record is found and read, whatever the number of accounts.
//!
//! Whoever parses the whole file after a change writes an index into the state directory: for each
//! name where its record is, and a digest of it. Behind that are the records, each as the account file
//! would write it alone. The index names the state of the account file it was made of (device, inode,
//! size, times); with any other state it is stale, and the whole file counts.

use std::{
    fs::{File, Metadata},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::store::Store;

/// What every index of this form begins with.
const MAGIC: &[u8; 16] = b"bulkhead-index-1";
/// Bytes of the state of the account file.
const STATE: usize = 7 * 8;
/// Bytes of the whole head: magic, state, number of names and of names with a password.
const HEAD: usize = 16 + STATE + 8 + 8;
/// Bytes of the key of a name: the start of its digest.
const KEY: usize = 16;
/// Bytes of an entry: key, offset, length, digest of the record.
const ENTRY: usize = KEY + 8 + 4 + 32;
/// The largest record that is believed, in bytes.
const MAX_RECORD: u32 = 256 * 1024;
/// A file that has changed within this time may change again without showing it in its times.
const SETTLED: Duration = Duration::from_secs(1);

/// The state of an account file, by which a later change of it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState([u8; STATE]);

impl FileState {
    /// The state of an opened file.
    pub fn of(metadata: &Metadata) -> FileState {
        let numbers = [
            metadata.dev(),
            metadata.ino(),
            metadata.len(),
            metadata.mtime().cast_unsigned(),
            metadata.mtime_nsec().cast_unsigned(),
            metadata.ctime().cast_unsigned(),
            metadata.ctime_nsec().cast_unsigned(),
        ];
        let mut state = [0; STATE];
        for (bytes, number) in state.chunks_exact_mut(8).zip(numbers) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        FileState(state)
    }

    /// Whether a change of the file would show: nothing has changed for a while.
    pub fn is_settled(metadata: &Metadata) -> bool {
        let changed = u64::try_from(metadata.ctime()).unwrap_or(u64::MAX);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.checked_sub(SETTLED).is_some_and(|settled| settled.as_secs() > changed)
    }
}

fn path_in(state_directory: &Path) -> PathBuf {
    state_directory.join("accounts.index")
}

fn key_of(name: &str) -> [u8; KEY] {
    let mut key = [0; KEY];
    let whole = digest(&SHA256, name.as_bytes());
    for (to, from) in key.iter_mut().zip(whole.as_ref()) {
        *to = *from;
    }
    key
}

/// An index that is of this state of the account file.
#[derive(Debug)]
pub struct Index {
    file: File,
    names: u64,
    with_password: u64,
}

impl Index {
    /// Opens the index in the state directory; nothing where there is none, or it is stale.
    pub fn open(state_directory: &Path, state: FileState) -> Option<Index> {
        let mut file = File::open(path_in(state_directory)).ok()?;
        let mut head = [0; HEAD];
        file.read_exact(&mut head).ok()?;
        let (magic, rest) = head.split_at_checked(MAGIC.len())?;
        let (of, numbers) = rest.split_at_checked(STATE)?;
        let (names, with_password) = numbers.split_at_checked(8)?;
        if magic != MAGIC || of != state.0 {
            return None;
        }
        let number = |bytes: &[u8]| Some(u64::from_le_bytes(bytes.try_into().ok()?));
        Some(Index { file, names: number(names)?, with_password: number(with_password)? })
    }

    /// What the account file says of `name`: a store with it alone, or an empty one.
    ///
    /// # Errors
    /// When the index is damaged, and the whole file has to be read.
    pub fn look_up(&mut self, name: &str) -> io::Result<Store> {
        let key = key_of(name);
        let (mut from, mut to) = (0, self.names);
        while from < to {
            let middle = from.midpoint(to);
            let entry = self.entry(middle)?;
            match entry.key.cmp(&key) {
                std::cmp::Ordering::Less => from = middle.saturating_add(1),
                std::cmp::Ordering::Greater => to = middle,
                std::cmp::Ordering::Equal => return self.record(&entry),
            }
        }
        Ok(Store::default())
    }

    /// What the account file says of `name`, and one account with a password that an unknown name is
    /// judged against: the same work for every name.
    ///
    /// # Errors
    /// As [`Index::look_up`].
    pub fn look_up_or_any(&mut self, name: &str) -> io::Result<Store> {
        let found = self.look_up(name)?;
        let any = self.any(spread(name))?.unwrap_or_default();
        let is_known = found.accounts.get(name).is_some_and(|record| record.password.is_some());
        let mut store = if is_known { Store::default() } else { any };
        store.second_factors.clear();
        store.accounts.extend(found.accounts);
        store.second_factors.extend(found.second_factors);
        Ok(store)
    }

    /// One of the accounts that have a password, always the same for the same number; none where no
    /// account has one.
    ///
    /// # Errors
    /// As [`Index::look_up`].
    pub fn any(&mut self, number: u64) -> io::Result<Option<Store>> {
        let Some(chosen) = number.checked_rem(self.with_password) else { return Ok(None) };
        let entries = self.names.checked_mul(ENTRY as u64).ok_or_else(damaged)?;
        let place = entries
            .checked_add(HEAD as u64)
            .and_then(|place| place.checked_add(chosen.checked_mul(8)?));
        self.file.seek(SeekFrom::Start(place.ok_or_else(damaged)?))?;
        let mut bytes = [0; 8];
        self.file.read_exact(&mut bytes)?;
        let entry = self.entry(u64::from_le_bytes(bytes))?;
        self.record(&entry).map(Some)
    }

    fn entry(&mut self, number: u64) -> io::Result<Entry> {
        let place = number.checked_mul(ENTRY as u64).and_then(|at| at.checked_add(HEAD as u64));
        self.file.seek(SeekFrom::Start(place.ok_or_else(damaged)?))?;
        let mut bytes = [0; ENTRY];
        self.file.read_exact(&mut bytes)?;
        Entry::parse(&bytes).ok_or_else(damaged)
    }

    fn record(&mut self, entry: &Entry) -> io::Result<Store> {
        if entry.length > MAX_RECORD {
            return Err(damaged());
        }
        self.file.seek(SeekFrom::Start(entry.offset))?;
        let mut text = Zeroizing::new(vec![0; usize::try_from(entry.length).unwrap_or(0)]);
        self.file.read_exact(&mut text)?;
        if digest(&SHA256, &text).as_ref() != entry.digest {
            return Err(damaged());
        }
        let text = std::str::from_utf8(&text).map_err(|_| damaged())?;
        Store::parse(Path::new("accounts.index"), text).map_err(|_| damaged())
    }
}

/// A number that is always the same for the same name.
pub fn spread(name: &str) -> u64 {
    name.bytes().fold(0, |sum, byte| u64::wrapping_mul(sum, 31).wrapping_add(u64::from(byte)))
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the index of the accounts is damaged")
}

/// Where a record is.
struct Entry {
    key: [u8; KEY],
    offset: u64,
    length: u32,
    digest: [u8; 32],
}

impl Entry {
    fn parse(bytes: &[u8; ENTRY]) -> Option<Entry> {
        let (key, rest) = bytes.split_at_checked(KEY)?;
        let (offset, rest) = rest.split_at_checked(8)?;
        let (length, digest) = rest.split_at_checked(4)?;
        Some(Entry {
            key: key.try_into().ok()?,
            offset: u64::from_le_bytes(offset.try_into().ok()?),
            length: u32::from_le_bytes(length.try_into().ok()?),
            digest: digest.try_into().ok()?,
        })
    }

    fn append(&self, out: &mut Vec<u8>) {
        out.extend(self.key);
        out.extend(self.offset.to_le_bytes());
        out.extend(self.length.to_le_bytes());
        out.extend(self.digest);
    }
}

/// Writes the index of a store that was read from a file in this state.
///
/// # Errors
/// When it cannot be written.
pub fn write(state_directory: &Path, state: FileState, store: &Store) -> io::Result<()> {
    let bytes = Zeroizing::new(bytes(state, store)?);
    // Mode 0600 from the first moment, and gone if anything fails.
    let mut file = tempfile::Builder::new().prefix(".index.").tempfile_in(state_directory)?;
    file.write_all(&bytes)?;
    file.as_file().sync_data()?;
    file.persist(path_in(state_directory)).map(drop).map_err(|e| e.error)
}

fn bytes(state: FileState, store: &Store) -> io::Result<Vec<u8>> {
    let names = store.accounts.keys().chain(store.second_factors.keys());
    let mut names: Vec<([u8; KEY], &String)> = names.map(|name| (key_of(name), name)).collect();
    names.sort();
    names.dedup();
    let has_password =
        |name: &String| store.accounts.get(name).is_some_and(|record| record.password.is_some());
    let with_password: Vec<u64> =
        (0u64..).zip(&names).filter(|(_, (_, name))| has_password(name)).map(|(n, _)| n).collect();
    let before = [HEAD, names.len().saturating_mul(ENTRY), with_password.len().saturating_mul(8)];
    let mut offset: u64 = before.iter().map(|length| *length as u64).sum();
    let (mut entries, mut records) = (Vec::new(), Zeroizing::new(Vec::new()));
    for (key, name) in &names {
        let mut one = Store::default();
        if let Some(record) = store.accounts.get(*name) {
            one.accounts.insert((*name).clone(), record.clone());
        }
        if let Some(factor) = store.second_factors.get(*name) {
            one.second_factors.insert((*name).clone(), factor.clone());
        }
        let text = Zeroizing::new(toml::to_string(&one).map_err(io::Error::other)?);
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        let whole = digest(&SHA256, text.as_bytes());
        let digest = whole.as_ref().try_into().map_err(io::Error::other)?;
        Entry { key: *key, offset, length, digest }.append(&mut entries);
        offset = offset.saturating_add(length.into());
        records.extend_from_slice(text.as_bytes());
    }
    let mut all = MAGIC.to_vec();
    all.extend(state.0);
    all.extend((names.len() as u64).to_le_bytes());
    all.extend((with_password.len() as u64).to_le_bytes());
    all.extend(entries);
    all.extend(with_password.iter().flat_map(|number| number.to_le_bytes()));
    all.extend_from_slice(&records);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{record::Record, store::SecondFactor};

    fn store() -> Store {
        let mut store = Store::default();
        for number in 0..200u32 {
            let record = Record {
                root: format!("/srv/{number}").into(),
                uid: Some(number.saturating_add(1)),
                password: (number % 2 == 0).then(|| "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/".into()),
                ..Record::default()
            };
            store.accounts.insert(format!("user{number}"), record);
        }
        store.second_factors.insert("user7".into(), SecondFactor::default());
        store.second_factors.insert("only-pam".into(), SecondFactor::default());
        store
    }

    #[test]
    fn one_record_is_found_among_many_and_nobody_where_there_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let state = FileState([7; STATE]);
        write(directory.path(), state, &store()).unwrap();
        let mut index = Index::open(directory.path(), state).unwrap();
        for number in 0..200 {
            let found = index.look_up(&format!("user{number}")).unwrap();
            assert_eq!(found.accounts.len(), 1);
            assert_eq!(found.accounts[&format!("user{number}")].uid, Some(number + 1));
            assert_eq!(found.second_factors.len(), usize::from(number == 7));
        }
        assert_eq!(index.look_up("only-pam").unwrap().second_factors.len(), 1);
        assert!(index.look_up("user200").unwrap().accounts.is_empty());
        let chosen = |index: &mut Index, number| {
            index.any(number).unwrap().unwrap().accounts.into_keys().next().unwrap()
        };
        let all: std::collections::BTreeSet<String> =
            (0..100).map(|number| chosen(&mut index, number)).collect();
        assert_eq!(all.len(), 100, "every account with a password is some stranger's");
        assert_eq!(chosen(&mut index, 5), chosen(&mut index, 105));
    }

    #[test]
    fn a_stale_or_damaged_index_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let state = FileState([7; STATE]);
        assert!(Index::open(directory.path(), state).is_none());
        write(directory.path(), state, &store()).unwrap();
        assert!(Index::open(directory.path(), FileState([8; STATE])).is_none());
        let path = path_in(directory.path());
        let mut bytes = std::fs::read(&path).unwrap();
        // A bit of a record.
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let mut index = Index::open(directory.path(), state).unwrap();
        let damaged = (0..200).filter(|n| index.look_up(&format!("user{n}")).is_err()).count();
        let other = usize::from(index.look_up("only-pam").is_err());
        assert_eq!(damaged + other, 1);
        std::fs::write(&path, &bytes[..HEAD + 5]).unwrap();
        let mut index = Index::open(directory.path(), state).unwrap();
        assert!(index.look_up("user1").is_err());
        std::fs::write(&path, b"short").unwrap();
        assert!(Index::open(directory.path(), state).is_none());
    }
}
