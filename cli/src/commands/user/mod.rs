//! `bulkhead user …`: the accounts of the account file.

mod add;
mod csv;
mod fields;
mod import;
mod list;
mod set;

use std::path::Path;

use clap::Subcommand;
use ipc::{bounded::UserName, root_path::RootPath};

pub use self::add::{Add, create};
use super::{Failure, console, totp};
use accounts::{
    AccountError, last_good, name, owner_to_write, password, second_factor,
    store::{Store, StoreError},
};
use config::Config;

/// Manage the accounts of the account file.
#[derive(Subcommand)]
pub enum Command {
    /// Add an account.
    Add(Box<Add>),
    /// Change an account: what is not named stays as it is.
    Set(Box<set::Set>),
    /// Show everything about an account.
    Show {
        /// The account.
        name: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Change the password of an account.
    Passwd {
        /// The account.
        name: String,
        /// Read the password from the first line of standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Demand one-time codes of an account, or no longer.
    Totp(totp::Totp),
    /// List the accounts.
    List {
        /// As JSON, one array.
        #[arg(long)]
        json: bool,
    },
    /// Let an account log in again.
    Enable {
        /// The account.
        name: String,
    },
    /// Let an account log in no longer; sessions that run go on (see `bulkhead kick`).
    Disable {
        /// The account.
        name: String,
    },
    /// Give an account another name.
    Rename {
        /// The account.
        name: String,
        /// Its new name.
        new: String,
    },
    /// Take over accounts of a passwd-style file (htpasswd, ProFTPD, Pure-FTPd, shadow), or of a
    /// table (--csv).
    Import(Box<import::Import>),
    /// Remove an account and its second factor.
    Remove {
        /// The account.
        name: String,
    },
}

/// Runs a command.
///
/// # Errors
/// What cannot be done, and what to do instead.
pub fn run(config: &Config, command: Command) -> Result<(), Failure> {
    let file = &config.auth.users_file;
    match command {
        Command::Add(add) => add::run(config, *add),
        Command::Set(set) => set::run(file, &set),
        Command::Show { name, json } => list::show(file, &name, json),
        Command::Totp(command) => totp::run(config, &command),
        Command::Passwd { name, password_stdin } => passwd(file, &name, password_stdin),
        Command::List { json } => list::run(file, json),
        Command::Enable { name } => set_disabled(file, &name, false),
        Command::Disable { name } => set_disabled(file, &name, true),
        Command::Rename { name, new } => rename(config, &name, &new),
        Command::Import(import) => import::run(file, &import),
        Command::Remove { name } => remove(file, &name),
    }?;
    // A removed account must not come back with the last good file.
    last_good::refresh(file, &config.auth.state_directory).map_err(Into::into)
}

fn judge_name(name: &str) -> Result<UserName, Failure> {
    name::judge(name).map_err(|e| format!("the name {name:?} cannot be used: {e}").into())
}

/// The uid and gid of a new account, which are always written down: nobody who changes a directory
/// later changes an account.
///
/// # Errors
/// When they are to be those of the root's owner, and cannot be.
fn written_identity(
    uid: Option<u32>,
    gid: Option<u32>,
    found: &RootPath,
) -> Result<(u32, u32), AccountError> {
    if let (Some(uid), Some(gid)) = (uid, gid) {
        return Ok((uid, gid));
    }
    let owner = owner_to_write(found)?;
    Ok((uid.unwrap_or(owner.uid), gid.unwrap_or(owner.gid)))
}

fn passwd(file: &Path, name: &str, from_stdin: bool) -> Result<(), Failure> {
    if !exists(file, name)? {
        return Err(unknown(name));
    }
    let typed = console::new_password(from_stdin)?;
    let hash = password::hash(typed.as_bytes())?;
    Store::edit(file, |store| -> Result<(), Failure> {
        store.accounts.get_mut(name).ok_or_else(|| unknown(name))?.password = Some(hash);
        Ok(())
    })?;
    console::say(format_args!("Changed the password of {name}."));
    Ok(())
}

fn set_disabled(file: &Path, name: &str, disabled: bool) -> Result<(), Failure> {
    let was = Store::edit(file, |store| -> Result<bool, Failure> {
        let record = store.accounts.get_mut(name).ok_or_else(|| unknown(name))?;
        Ok(std::mem::replace(&mut record.disabled, disabled))
    })?;
    let word = if disabled { "disabled" } else { "enabled" };
    let already = if was == disabled { "already " } else { "" };
    console::say(format_args!("{name} is {already}{word}."));
    Ok(())
}

fn rename(config: &Config, name: &str, new: &str) -> Result<(), Failure> {
    judge_name(new)?;
    Store::edit(&config.auth.users_file, |store| -> Result<(), Failure> {
        if store.accounts.contains_key(new) || store.second_factors.contains_key(new) {
            return Err(taken(new));
        }
        let record = store.accounts.remove(name).ok_or_else(|| unknown(name))?;
        store.accounts.insert(new.to_owned(), record);
        if let Some(factor) = store.second_factors.remove(name) {
            store.second_factors.insert(new.to_owned(), factor);
        }
        // Under the lock, so that no code is accepted once under each name.
        second_factor::rename(&config.auth.state_directory, name, new)?;
        Ok(())
    })?;
    console::say(format_args!("{name} is {new} now. Its root and its sessions stay as they are."));
    Ok(())
}

fn remove(file: &Path, name: &str) -> Result<(), Failure> {
    Store::edit(file, |store| -> Result<(), Failure> {
        store.second_factors.remove(name);
        store.accounts.remove(name).map(drop).ok_or_else(|| unknown(name))
    })?;
    console::say(format_args!("Removed {name}. Its files are still there."));
    Ok(())
}

fn exists(file: &Path, name: &str) -> Result<bool, StoreError> {
    Ok(Store::load_or_empty(file)?.accounts.contains_key(name))
}

fn taken(name: &str) -> Failure {
    format!("{name} exists already; `bulkhead user set` changes it").into()
}

fn unknown(name: &str) -> Failure {
    format!("there is no account {name:?}; `bulkhead user list` shows those there are").into()
}
