//! The last account file that could be read. A slip of the pen in the account file must not lock
//! everybody out: until it is corrected, the accounts of before are used, and the log names the
//! line. A file with a wrong mode or owner gets no such help: somebody may have tampered with it.

use std::{
    fs::{DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{
    index::{self, FileState, Index},
    store::{Store, StoreError},
};

/// Reads what the account file, which was opened before, says of `name`: its record and second factor,
/// and somebody's password hash for a name that is unknown. With an index and a last good file only
/// these are read; without one of them it is the whole file, and the next who asks has both.
///
/// # Errors
/// As [`load`].
pub fn load_one(
    users_file: &Path,
    opened: io::Result<File>,
    state_directory: &Path,
    name: &str,
) -> Result<(Store, Option<String>), StoreError> {
    if let Some(metadata) = opened.as_ref().ok().and_then(|file| file.metadata().ok()) {
        Store::judge(users_file, &metadata)?;
        let has_copy = File::open(copy_in(state_directory)).is_ok();
        let index =
            has_copy.then(|| Index::open(state_directory, FileState::of(&metadata))).flatten();
        if let Some(Ok(store)) = index.map(|mut index| index.look_up_or_any(name)) {
            return Ok((store, None));
        }
    }
    load(users_file, opened, state_directory)
}

/// Reads the account file, which was opened before, or the last good one in its place; with what an
/// administrator should know.
///
/// # Errors
/// When neither can be read. A file that is not there is an empty one.
pub fn load(
    users_file: &Path,
    opened: io::Result<File>,
    state_directory: &Path,
) -> Result<(Store, Option<String>), StoreError> {
    let copy = copy_in(state_directory);
    let metadata = opened.as_ref().ok().and_then(|file| file.metadata().ok());
    match Store::read(users_file, opened) {
        Ok((store, text)) => {
            let kept = keep(&copy, &text);
            if let Some(metadata) = metadata.filter(FileState::is_settled) {
                // Without an index the whole file is read again, and the copy's error says why.
                index::write(state_directory, FileState::of(&metadata), &store).unwrap_or_default();
            }
            let warning = |e: io::Error| {
                format!(
                    "{} cannot be written ({e}), so a damaged account file would lock everybody out",
                    copy.display()
                )
            };
            Ok((store, kept.err().map(warning)))
        }
        Err(StoreError::Read { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            Ok((Store::default(), None))
        }
        Err(damaged @ StoreError::Damaged { .. }) => match Store::load(&copy) {
            Ok(store) => {
                Ok((store, Some(format!("{damaged}; the accounts of before are used until then"))))
            }
            Err(_) => Err(damaged),
        },
        Err(e) => Err(e),
    }
}

/// Brings the index and the last good file, where there is one, up to date after a change of the
/// account file.
///
/// # Errors
/// When it cannot be written.
pub fn refresh(users_file: &Path, state_directory: &Path) -> Result<(), StoreError> {
    let copy = copy_in(state_directory);
    if !state_directory.exists() || !users_file.exists() {
        return Ok(());
    }
    let opened = File::open(users_file);
    let metadata = opened.as_ref().ok().and_then(|file| file.metadata().ok());
    let (store, text) = Store::read(users_file, opened)?;
    if let Some(metadata) = metadata {
        // Without one the first login reads the whole file.
        index::write(state_directory, FileState::of(&metadata), &store).unwrap_or_default();
    }
    if !copy.exists() {
        return Ok(());
    }
    keep(&copy, &text).map_err(|error| StoreError::Write { path: copy, error })
}

fn copy_in(state_directory: &Path) -> PathBuf {
    state_directory.join("accounts.toml")
}

fn keep(copy: &Path, text: &str) -> io::Result<()> {
    if std::fs::read(copy).is_ok_and(|kept| kept == text.as_bytes()) {
        return Ok(());
    }
    let directory = copy.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // Mode 0600 from the first moment, and gone if anything fails.
    let mut file = tempfile::Builder::new().prefix(".accounts.").tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_data()?;
    file.persist(copy).map(drop).map_err(|e| e.error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    fn load_now(file: &Path, state: &Path) -> Result<(Store, Option<String>), StoreError> {
        load(file, File::open(file), state)
    }

    #[test]
    fn a_damaged_file_is_replaced_by_the_last_good_one_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let (file, state) = (directory.path().join("users.toml"), directory.path().join("state"));
        write(&file, "[accounts.a]\nroot = \"/srv\"\n", 0o600);
        assert!(load_now(&file, &state).unwrap().1.is_none());
        let mode = std::fs::metadata(copy_in(&state)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        write(&file, "[accounts.a]\nroot = \"/srv\"\nfoo = 1\n", 0o600);
        let (store, warning) = load_now(&file, &state).unwrap();
        assert!(store.accounts.contains_key("a"));
        let warning = warning.unwrap();
        assert!(warning.contains("users.toml:3:") && warning.contains("foo"), "{warning}");

        write(&file, "[accounts.b]\nroot = \"/srv\"\n", 0o600);
        assert!(load_now(&file, &state).unwrap().0.accounts.contains_key("b"));
    }

    #[test]
    fn a_file_that_others_may_read_gets_no_help() {
        let directory = tempfile::tempdir().unwrap();
        let (file, state) = (directory.path().join("users.toml"), directory.path().join("state"));
        write(&file, "[accounts.a]\nroot = \"/srv\"\n", 0o600);
        load_now(&file, &state).unwrap();
        write(&file, "[accounts.a]\nroot = \"/srv\"\nfoo = 1\n", 0o644);
        assert!(matches!(load_now(&file, &state), Err(StoreError::Mode { .. })));
    }
}
