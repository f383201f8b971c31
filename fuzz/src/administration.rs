//! What must hold for every file that an administrator writes: the configuration and the account
//! file. See `invariants` for how these are used.

use std::path::Path;

use accounts::store::{Store, StoreError};
use config::Config;

/// Hashes are secrets: this one must come up in no message.
const SECRET: &str = "$argon2id$v=19$m=65536,t=3,p=1$secretsalt";

/// The configuration is accepted, or each error names a place in the file and is one line of the
/// log. Both ways, the same text gives the same result.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let path = Path::new("bulkhead.toml");
    let first = Config::parse(path, text);
    match &first {
        Ok(config) => {
            assert!(config.passive.ports.0 <= config.passive.ports.1);
            assert!(config.umask <= 0o777);
            assert!(!config.listen_addresses.is_empty());
        }
        Err(errors) => {
            assert!(errors.iter().next().is_some(), "refused without a reason");
            for error in errors.iter() {
                let said = error.to_string();
                assert!(said.starts_with("bulkhead.toml:"), "no place: {said}");
                assert!(error.line <= text.lines().count() + 1, "line {}", error.line);
                assert!(!said.chars().any(char::is_control), "{said:?}");
            }
        }
    }
    let second = Config::parse(path, text);
    assert_eq!(first.is_ok(), second.is_ok());
}

/// An account file that loads has no account that is root or that has no place of its own, and
/// comes out of its own text as it was; the message about one that does not load names a line and
/// shows no hash.
pub fn account_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // So that the input need not invent it.
    let text = text.replace('\u{1}', SECRET);
    match Store::parse(Path::new("users.toml"), &text) {
        Ok(store) => {
            for record in store.accounts.values() {
                assert!(record.root.is_absolute());
                assert!(record.uid != Some(0) && record.gid != Some(0));
                assert!(!record.groups.contains(&0));
            }
            let written = toml::to_string(&store).expect("what was read can be written");
            let again = Store::parse(Path::new("users.toml"), &written).expect("and read again");
            assert_eq!(toml::to_string(&again).expect("as before"), written);
        }
        Err(error @ StoreError::Damaged { line, .. }) => {
            let said = error.to_string();
            assert!(line <= text.lines().count() + 1, "line {line}");
            assert!(!said.contains(SECRET), "a hash is in a message: {said}");
            assert!(!said.chars().any(char::is_control), "{said:?}");
        }
        Err(error) => panic!("a text cannot fail by {error}"),
    }
}

/// The name of a fuzz target, and its invariant.
pub type Named = (&'static str, fn(&[u8]));

/// Both by the names of their fuzz targets.
pub const ALL: [Named; 2] = [("configuration", configuration), ("account_file", account_file)];
