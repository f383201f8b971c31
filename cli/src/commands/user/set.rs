//! `bulkhead user set`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{Failure, console, fields::Fields, unknown};
use accounts::{judge_place, judge_root, record::Record, settle, store::Store};

/// What changes of an account.
#[derive(Args)]
pub struct Set {
    /// The account.
    name: String,
    /// The directory its clients see as `/`.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Whether it cannot log in without a second factor.
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    second_factor: Option<bool>,
    #[command(flatten)]
    fields: Fields,
    /// Fields that go back to their default, separated by commas.
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',', value_enum)]
    clear: Vec<Field>,
}

/// A field that can go back to its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Field {
    /// Sessions start at the root.
    Start,
    /// It may do everything but make symbolic links.
    Rights,
    /// It has no supplementary groups.
    Groups,
    /// The server's rate of uploads.
    UploadRate,
    /// The server's rate of downloads.
    DownloadRate,
    /// The server's limit of sessions.
    MaxSessions,
    /// It may log in from anywhere.
    Networks,
    /// It does not expire.
    Expires,
    /// The server's demand of TLS.
    Tls,
    /// The server's demand that TLS sessions are resumed.
    RequireSessionReuse,
}

impl Field {
    fn clear(self, record: &mut Record) {
        match self {
            Field::Start => record.start = None,
            Field::Rights => record.rights = None,
            Field::Groups => record.groups.clear(),
            Field::UploadRate => record.upload_rate = None,
            Field::DownloadRate => record.download_rate = None,
            Field::MaxSessions => record.max_sessions = None,
            Field::Networks => record.networks.clear(),
            Field::Expires => record.expires = None,
            Field::Tls => record.tls = None,
            Field::RequireSessionReuse => record.require_session_reuse = None,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// What cannot be set, and what to do instead; nothing has changed then.
pub fn run(file: &Path, set: &Set) -> Result<(), Failure> {
    let changed = Store::edit(file, |store| -> Result<usize, Failure> {
        let record = store.accounts.get_mut(&set.name).ok_or_else(|| unknown(&set.name))?;
        set.apply(record)
    })?;
    if changed == 0 {
        return Err("nothing to set; `bulkhead user set --help` shows what there is".into());
    }
    console::say(format_args!("Changed {}; new sessions have it.", set.name));
    Ok(())
}

impl Set {
    fn apply(&self, record: &mut Record) -> Result<usize, Failure> {
        let mut changed = self.fields.apply(record);
        for field in &self.clear {
            field.clear(record);
        }
        changed = changed.saturating_add(self.clear.len());
        if let Some(needed) = self.second_factor {
            record.second_factor = needed;
            changed = changed.saturating_add(1);
        }
        if let Some(root) = &self.root {
            let found = settle(root)?;
            judge_root(&found.path)?;
            record.root = found.path;
            changed = changed.saturating_add(1);
        }
        if self.root.is_some() || self.fields.uid.is_some() {
            judge_place(&record.root, &record.identity()?)?;
        }
        Ok(changed)
    }
}
