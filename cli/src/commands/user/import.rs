//! `bulkhead user import`: accounts of a passwd-style file or of a table.

use std::path::{Path, PathBuf};

use clap::Args;
use ipc::account::Rights;

use super::{Failure, console, csv, written_identity};
use accounts::{
    AccountError, import, judge_root,
    record::{Record, RightList, right},
    settle,
    store::{Store, StoreError, flaw},
};

/// Takes over accounts.
#[derive(Args)]
pub struct Import {
    /// The file, one account per line.
    file: PathBuf,
    /// The file is a table: comma-separated, with the names of the columns in its first line. All of
    /// it is taken over, or nothing.
    #[arg(long)]
    csv: bool,
    /// The root of accounts whose line names no home; `{name}` stands for the name.
    #[arg(long, value_name = "DIR")]
    root: Option<String>,
    /// The uid of accounts whose line names none (the owner of the root when left out).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    uid: Option<u32>,
    /// The gid of accounts whose line names none (the group of the root when left out).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    gid: Option<u32>,
    /// What they may do, separated by commas (everything but symlink when left out).
    #[arg(long, value_name = "RIGHT,…", value_delimiter = ',', value_parser = right)]
    rights: Vec<Rights>,
}

/// Runs the command.
///
/// # Errors
/// Every line that was not taken over, and why.
pub fn run(file: &Path, import: &Import) -> Result<(), Failure> {
    let from = import.file.display();
    let text =
        std::fs::read_to_string(&import.file).map_err(|e| format!("{from} cannot be read: {e}"))?;
    if import.csv { table(file, import, &text) } else { passwd(file, import, &text) }
}

fn say_taken_over(count: usize) {
    console::say(format_args!("Took over {}.", console::counted(count, "account")));
}

/// A table: all of it, or nothing.
fn table(file: &Path, import: &Import, text: &str) -> Result<(), Failure> {
    let from = import.file.display();
    let refused = |problems: Vec<String>| -> Failure {
        let lines: Vec<String> =
            problems.iter().map(|p| format!("{from}:{}", console::escape(p))).collect();
        format!("{}\nnothing was taken over", lines.join("\n")).into()
    };
    let mut rows = csv::read(text, import.root.as_deref()).map_err(refused)?;
    let mut problems = Vec::new();
    for row in &mut rows {
        if let Err(why) = import.settle(&row.name, &mut row.record) {
            problems.push(format!("{}: {why}", row.line));
        }
    }
    let store = Store::load_or_empty(file)?;
    let mut names = std::collections::BTreeSet::new();
    for row in &rows {
        if store.accounts.contains_key(&row.name) || !names.insert(&row.name) {
            problems.push(format!("{}: {} exists already", row.line, row.name));
        }
    }
    if !problems.is_empty() {
        return Err(refused(problems));
    }
    csv::hash_all(&mut rows)?;
    let count = rows.len();
    Store::edit(file, |store| -> Result<(), Failure> {
        for row in rows {
            if store.accounts.insert(row.name.clone(), row.record).is_some() {
                return Err(format!("{} exists already; nothing was taken over", row.name).into());
            }
        }
        Ok(())
    })?;
    say_taken_over(count);
    Ok(())
}

/// Takes over what can be taken over and names every line that cannot, which makes it a failure.
fn passwd(file: &Path, import: &Import, text: &str) -> Result<(), Failure> {
    let from = import.file.display();
    let (mut taken_over, mut problems) = (0usize, Vec::new());
    Store::edit(file, |store| -> Result<(), StoreError> {
        for (number, line) in (1usize..).zip(text.lines()) {
            let place = format!("{from}:{number}");
            let taken = import::read(line, import.root.as_deref()).and_then(|line| {
                line.map(|mut line| import.settle(&line.name, &mut line.record).map(|()| line))
                    .transpose()
            });
            match taken {
                Ok(None) => {}
                Err(why) => problems.push(format!("{place}: {}", console::escape(&why))),
                Ok(Some(line)) if store.accounts.contains_key(&line.name) => {
                    problems.push(format!("{place}: {} exists already", line.name));
                }
                Ok(Some(line)) => {
                    if line.record.disabled {
                        let enable = format!("bulkhead user enable {}", line.name);
                        problems.push(format!(
                            "{place}: {}: disabled, because of what is left out; then: {enable}",
                            line.name
                        ));
                    }
                    for field in &line.left_out {
                        let field = console::escape(field);
                        problems.push(format!("{place}: {}: left out: {field}", line.name));
                    }
                    store.accounts.insert(line.name, line.record);
                    taken_over = taken_over.saturating_add(1);
                }
            }
        }
        Ok(())
    })?;
    say_taken_over(taken_over);
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}

impl Import {
    /// Writes down the identity of an account, and its root without links. A root that is not there
    /// yet can be taken over where the identity is known.
    fn settle(&self, name: &str, record: &mut Record) -> Result<(), String> {
        (record.uid, record.gid) = (record.uid.or(self.uid), record.gid.or(self.gid));
        if record.rights.is_none() {
            record.rights = self.rights.iter().copied().reduce(Rights::with).map(RightList);
        }
        judge_root(&record.root).map_err(|e| format!("{name}: {e}"))?;
        match settle(&record.root) {
            Ok(found) => {
                judge_root(&found.path).map_err(|e| format!("{name}: {e}"))?;
                let (uid, gid) = written_identity(record.uid, record.gid, &found)
                    .map_err(|e| format!("{name}: {e}"))?;
                (record.uid, record.gid) = (Some(uid), Some(gid));
                record.root = found.path;
            }
            Err(AccountError::Root(root, _))
                if record.uid.is_some() && record.gid.is_some() && !is_there(&root) => {}
            Err(e) => {
                return Err(format!("{name}: {e}; make it first, or give --uid and --gid"));
            }
        }
        // One line that the next reader would refuse must not spoil the others.
        flaw(name, record).map_or(Ok(()), Err)
    }
}

fn is_there(root: &Path) -> bool {
    !std::fs::symlink_metadata(root).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
}
