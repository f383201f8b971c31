//! The account file: read whole, written whole, one writer at a time.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{
    document,
    name::{self, NameError},
    record::Record,
};

/// What stands above the accounts.
const HEADER: &str = "\
# The accounts of Bulkhead, managed by `bulkhead user`.
# It may be edited by hand; `bulkhead user` keeps comments.

";

/// Bits of the mode that let others read or write.
const FOR_OTHERS: u32 = 0o077;

/// The accounts, and the second factors of accounts of every backend, by name.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// The accounts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub accounts: BTreeMap<String, Record>,
    /// The second factors; also of PAM users, who have no account here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub second_factors: BTreeMap<String, SecondFactor>,
}

/// A second factor.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecondFactor {
    /// The secret of the one-time codes.
    pub secret: CodeSecret,
    /// Hashes (SHA-256, hex) of recovery codes that have not been used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recovery: Vec<String>,
}

/// The secret of one-time codes, in base 32: wiped when dropped, printable by nobody.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct CodeSecret(String);

impl CodeSecret {
    /// The text. Callers must not keep a copy.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for CodeSecret {
    fn from(text: String) -> CodeSecret {
        CodeSecret(text)
    }
}

/// Why the account file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be read.
    #[error("the account file {} cannot be read: {error}; {remedy}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// Others may read or write it.
    #[error(
        "the account file {} has mode {mode:04o} and may be read or changed by others; run: chmod \
         600 {}", path.display(), path.display()
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error(
        "the account file {} belongs to uid {owner}; run: chown {expected} {}",
        path.display(), path.display()
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who it must belong to.
        expected: u32,
    },
    /// It is not what it must be.
    #[error("{}:{line}: the account file is damaged: {what}; correct the line", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// An account would get a name that none may have.
    #[error("the name {name:?} cannot be used: {error}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        error: NameError,
    },
    /// It cannot be written.
    #[error("the account file {} cannot be written: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl Store {
    /// Its two tables, as the document has them.
    pub(crate) fn tables(&self) -> document::Tables<'_, Record, SecondFactor> {
        document::Tables { accounts: &self.accounts, second_factors: &self.second_factors }
    }

    /// Reads the account file.
    ///
    /// # Errors
    /// Everything in [`StoreError`] but `Write`.
    pub fn load(path: &Path) -> Result<Store, StoreError> {
        Self::read(path, File::open(path)).map(|(store, _)| store)
    }

    /// Reads the account file that was opened at `path`, and says what is written in it.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn read(
        path: &Path,
        opened: io::Result<File>,
    ) -> Result<(Store, Zeroizing<String>), StoreError> {
        let unreadable = |error: io::Error| StoreError::Read {
            path: path.to_owned(),
            remedy: if error.kind() == io::ErrorKind::NotFound {
                "`bulkhead user add NAME --root DIR` makes the first account"
            } else {
                "see that the server may read it"
            },
            error,
        };
        let mut file = opened.map_err(unreadable)?;
        Self::judge(path, &file.metadata().map_err(unreadable)?)?;
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(unreadable)?;
        Ok((Store::parse(path, &text)?, text))
    }

    /// That nobody else may read or change the account file.
    ///
    /// # Errors
    /// [`StoreError::Mode`] and [`StoreError::Owner`].
    pub fn judge(path: &Path, metadata: &std::fs::Metadata) -> Result<(), StoreError> {
        if metadata.mode() & FOR_OTHERS != 0 {
            return Err(StoreError::Mode { path: path.into(), mode: metadata.mode() & 0o7777 });
        }
        let expected = rustix::process::geteuid().as_raw();
        if metadata.uid() != expected && metadata.uid() != 0 {
            return Err(StoreError::Owner { path: path.into(), owner: metadata.uid(), expected });
        }
        Ok(())
    }

    /// Reads the account file; one that is not there yet is an empty one.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn load_or_empty(path: &Path) -> Result<Store, StoreError> {
        match Store::load(path) {
            Err(StoreError::Read { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Store::default())
            }
            other => other,
        }
    }

    /// Reads the text of an account file.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn parse(path: &Path, text: &str) -> Result<Store, StoreError> {
        let damaged = |line, what: String| {
            let what = without_secrets(&what);
            StoreError::Damaged { path: path.to_owned(), line, what }
        };
        let store: Store = toml::from_str(text).map_err(|e| {
            let start = e.span().map_or(0, |span| span.start);
            let before = text.as_bytes().get(..start).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
            // The message alone: the whole text of the error would show the line, and so a hash.
            damaged(line, e.message().to_owned())
        })?;
        for (name, record) in &store.accounts {
            if let Some(what) = flaw(name, record) {
                return Err(damaged(line_of(text, name), what));
            }
        }
        Ok(store)
    }

    /// Changes the account file: locks it, reads it, lets `change` change it and replaces it in
    /// one step. A file that is not there yet is made. With an error nothing is changed.
    ///
    /// # Errors
    /// Those of `change`, and [`StoreError`].
    pub fn edit<T, E: From<StoreError>>(
        path: &Path,
        change: impl FnOnce(&mut Store) -> Result<T, E>,
    ) -> Result<T, E> {
        let unwritable = |error: io::Error| StoreError::Write { path: path.to_owned(), error };
        // A lock file of its own: the account file is replaced, so a lock on it would be one on
        // a file that is gone.
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(unwritable)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|e| unwritable(e.into()))?;
        let (before, text) = match Store::read(path, File::open(path)) {
            Err(StoreError::Read { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                (Store::default(), Zeroizing::new(HEADER.to_owned()))
            }
            read => read?,
        };
        let mut store = before.clone();
        let result = change(&mut store)?;
        for name in store.accounts.keys().filter(|name| !before.accounts.contains_key(*name)) {
            name::judge(name).map_err(|error| StoreError::Name { name: name.clone(), error })?;
        }
        let text = document::changed(&text, &before.tables(), &store.tables()).map(Zeroizing::new);
        let text = text.map_err(|e| unwritable(io::Error::other(e)))?;
        // What the next reader would refuse is never written.
        if Store::parse(path, &text)? != store {
            return Err(unwritable(io::Error::other("the change does not survive writing")).into());
        }
        replace(path, &text).map_err(unwritable)?;
        Ok(result)
    }
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    // NamedTempFile makes its file with mode 0600 and takes it away when anything fails.
    let mut file = tempfile::Builder::new().prefix(".users.").tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    File::open(directory)?.sync_all()
}

/// Why the account file would be damaged with an account in it.
pub fn flaw(name: &str, record: &Record) -> Option<String> {
    if ipc::bounded::UserName::try_from(name.to_owned()).is_err() {
        return Some("a name must have 1 to 255 bytes and no control characters".into());
    }
    if !record.root.is_absolute() {
        return Some(format!("the root of {name} is not an absolute path"));
    }
    if record.root.as_os_str().as_encoded_bytes().iter().any(u8::is_ascii_control) {
        return Some(format!("the root of {name} contains a control character"));
    }
    if record.uid == Some(0) || record.gid == Some(0) || record.groups.contains(&0) {
        return Some(format!("{name} has uid or gid 0, which no account may have"));
    }
    match &record.password {
        Some(hash) if !super::password::is_known(hash) => {
            Some(format!("the password hash of {name} is in no known format"))
        }
        Some(_) | None => None,
    }
}

/// A message about the file without what may be a secret in it. Messages repeat keys, names and
/// values, and a hash may stand where one of these belongs: every hash has a `$`, and a secret of
/// one-time codes or a digest is a longer word than any that is right.
fn without_secrets(what: &str) -> String {
    const LONGEST_WORD: usize = 24;
    let tells = |text: &str| {
        let mut words = text.split(|c: char| !c.is_alphanumeric());
        text.contains('$') || words.any(|word| word.len() > LONGEST_WORD)
    };
    if !tells(what) {
        return what.to_owned();
    }
    let expected = what.rfind(", expected ").and_then(|at| what.get(at..));
    let expected = expected.filter(|expected| !tells(expected)).unwrap_or_default();
    format!("what stands there may be a secret and is not repeated{expected}")
}

fn line_of(text: &str, name: &str) -> usize {
    let heads = [format!("[accounts.{name}]"), format!("[accounts.\"{name}\"]")];
    let found = text.lines().position(|line| heads.iter().any(|head| line.trim() == head));
    found.map_or(0, |index| index.saturating_add(1))
}
