//! The fields of an account that `add` and `set` have flags for.

use std::path::PathBuf;

use clap::Args;
use ipc::account::Rights;

use accounts::record::{Expiry, NetworkText, Record, RightList, TlsWord, right};

/// Flags of fields, each of which changes its field when it is given.
#[derive(Args, Default)]
pub struct Fields {
    /// Where its sessions start, as its clients see it.
    #[arg(long, value_name = "DIR")]
    pub start: Option<PathBuf>,
    /// Allow nothing that changes anything.
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub read_only: Option<bool>,
    /// What it may do, separated by commas (everything but symlink when left out).
    #[arg(long, value_name = "RIGHT,…", value_delimiter = ',', value_parser = right)]
    pub rights: Vec<Rights>,
    /// Its uid (the owner of the directory when left out).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub uid: Option<u32>,
    /// Its gid (the group of the directory when left out).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub gid: Option<u32>,
    /// Its supplementary groups, separated by commas.
    #[arg(long, value_name = "GID,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pub groups: Vec<u32>,
    /// Bytes per second it may upload.
    #[arg(long, value_name = "BYTES")]
    pub upload_rate: Option<u64>,
    /// Bytes per second it may download.
    #[arg(long, value_name = "BYTES")]
    pub download_rate: Option<u64>,
    /// Most sessions at a time.
    #[arg(long, value_name = "NUMBER")]
    pub max_sessions: Option<u32>,
    /// Networks it may log in from, separated by commas.
    #[arg(long, value_name = "NETWORK,…", value_delimiter = ',')]
    pub networks: Vec<NetworkText>,
    /// The last day it may log in, such as 2027-12-31 (UTC).
    #[arg(long, value_name = "DAY")]
    pub expires: Option<Expiry>,
    /// TLS demanded of it: none, control or control+data.
    #[arg(long, value_name = "DEMAND")]
    pub tls: Option<TlsWord>,
    /// Whether its data connections must resume the TLS session of their control connection.
    #[arg(long, value_name = "true|false")]
    pub require_session_reuse: Option<bool>,
    /// Answer SITE WHO.
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub administrator: Option<bool>,
}

impl Fields {
    /// Changes the fields that are given; says how many there were.
    pub fn apply(&self, record: &mut Record) -> usize {
        let mut changed = 0usize;
        let mut note = |given: bool| changed = changed.saturating_add(given.into());
        macro_rules! optional {
            ($($field:ident),*) => { $(
                note(self.$field.is_some());
                if self.$field.is_some() {
                    record.$field.clone_from(&self.$field);
                }
            )* };
        }
        optional!(
            start,
            uid,
            gid,
            upload_rate,
            download_rate,
            max_sessions,
            expires,
            tls,
            require_session_reuse
        );
        macro_rules! flags {
            ($($field:ident),*) => { $(
                note(self.$field.is_some());
                record.$field = self.$field.unwrap_or(record.$field);
            )* };
        }
        flags!(read_only, administrator);
        macro_rules! lists {
            ($($field:ident),*) => { $(
                note(!self.$field.is_empty());
                if !self.$field.is_empty() {
                    record.$field.clone_from(&self.$field);
                }
            )* };
        }
        lists!(groups, networks);
        if let Some(rights) = self.rights.iter().copied().reduce(Rights::with) {
            record.rights = Some(RightList(rights));
            note(true);
        }
        changed
    }
}
