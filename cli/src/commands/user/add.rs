//! `bulkhead user add`.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, console, exists, fields::Fields, judge_name, taken, totp, written_identity};
use crate::commands::unit;
use accounts::{judge_root, password, record::Record, settle, store::Store};
use config::Config;

/// A new account.
#[derive(Args, Default)]
pub struct Add {
    /// Its name.
    pub name: String,
    /// The directory its clients see as `/`.
    #[arg(long, value_name = "DIR")]
    pub root: PathBuf,
    /// Read the password from the first line of standard input.
    #[arg(long)]
    password_stdin: bool,
    /// Demand one-time codes from the start.
    #[arg(long)]
    pub totp: bool,
    #[command(flatten)]
    pub fields: Fields,
}

impl Add {
    /// An account with nothing but a name and a root.
    pub fn new(name: String, root: PathBuf) -> Add {
        Add { name, root, ..Add::default() }
    }
}

/// Runs the command.
///
/// # Errors
/// What cannot be added, and what to do instead.
pub fn run(config: &Config, add: Add) -> Result<(), Failure> {
    // Before somebody types a password for nothing.
    if exists(&config.auth.users_file, &add.name)? {
        return Err(taken(&add.name));
    }
    judge_name(&add.name)?;
    record(&add)?;
    let typed = console::new_password(add.password_stdin)?;
    let (root, writes) = (settle(&add.root)?.path, record(&add)?.rights().any_write());
    create(config, add, &typed)?;
    if let Some(advice) = unit::advice(config, &root, writes) {
        console::say(advice);
    }
    Ok(())
}

/// Adds an account with this password, and enrols it if that is asked for.
///
/// # Errors
/// What cannot be added, and what to do instead.
pub fn create(config: &Config, add: Add, typed: &str) -> Result<(), Failure> {
    let file = &config.auth.users_file;
    let name = judge_name(&add.name)?;
    let mut record = record(&add)?;
    let identity = record.identity()?;
    record.password = Some(password::hash(typed.as_bytes())?);
    let root = record.root.clone();
    Store::edit(file, |store| -> Result<(), Failure> {
        if store.accounts.contains_key(name.as_str()) {
            return Err(taken(name.as_str()));
        }
        store.accounts.insert(name.as_str().to_owned(), record);
        Ok(())
    })?;
    console::say(format_args!(
        "Added {name}: uid {}, gid {}, root {}.",
        identity.uid,
        identity.gid,
        root.display()
    ));
    if add.totp { totp::enrol(config, name.as_str()) } else { Ok(()) }
}

/// The record of an account, without its password.
fn record(add: &Add) -> Result<Record, Failure> {
    let found = settle(&add.root)?;
    judge_root(&found.path)?;
    let (uid, gid) = written_identity(add.fields.uid, add.fields.gid, &found)?;
    let mut record = Record { root: found.path, ..Record::default() };
    add.fields.apply(&mut record);
    (record.uid, record.gid) = (Some(uid), Some(gid));
    Ok(record)
}
