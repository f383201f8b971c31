//! `bulkhead user list` and `show`.

use std::path::Path;

use serde_json::{Value, json};

use super::{Failure, console, unknown};
use crate::commands::console::escape;
use accounts::{record::Record, store::Store};

/// The width of a terminal that every line fits.
const WIDTH: usize = 120;

/// Lists the accounts.
///
/// # Errors
/// When the account file cannot be read.
pub fn run(file: &Path, json: bool) -> Result<(), Failure> {
    let store = Store::load_or_empty(file)?;
    if json {
        let rows: Vec<Value> =
            store.accounts.iter().map(|(name, record)| object(name, record, &store)).collect();
        console::say(serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    if store.accounts.is_empty() {
        console::say("No accounts. `bulkhead user add NAME --root DIR` makes one.");
        return Ok(());
    }
    console::say(row("NAME", "UID:GID", "RIGHTS", "ROOT"));
    for (name, record) in &store.accounts {
        for line in lines(name, record, &store) {
            console::say(line);
        }
    }
    console::say(
        "Rights: list read write append overwrite delete reName mkdir rmdir(x) chmod symlink.",
    );
    Ok(())
}

/// The lines of an account: its row, and below it what is special about it.
fn lines(name: &str, record: &Record, store: &Store) -> Vec<String> {
    let root = escape(&record.root.display().to_string());
    let mut lines = vec![row(&escape(name), &identity(record), &letters(record), &root)];
    let mut line = String::new();
    for note in notes(name, record, store) {
        let longer = line.chars().count().saturating_add(note.chars().count());
        if !line.is_empty() && longer > WIDTH.saturating_sub(2) {
            lines.push(std::mem::take(&mut line));
        }
        line.push_str(if line.is_empty() { "    " } else { ", " });
        line.push_str(&note);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines.into_iter().map(|line| cut(&line, WIDTH)).collect()
}

fn row(name: &str, identity: &str, rights: &str, root: &str) -> String {
    let text = format!("{:<24} {identity:<13} {rights:<11} {root}", cut(name, 24));
    cut(text.trim_end(), WIDTH)
}

/// A text that is no longer than `width`; where something is cut away there is `…`.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

fn identity(record: &Record) -> String {
    let number = |id: Option<u32>| id.map_or_else(|| "?".to_owned(), |id| id.to_string());
    format!("{}:{}", number(record.uid), number(record.gid))
}

/// A letter for each right it has, a dash for each that it has not.
fn letters(record: &Record) -> String {
    let rights = record.rights();
    let has: Vec<&str> = rights.names().collect();
    ipc::account::Rights::all_names()
        .zip("lrwaodnmxcs".chars())
        .map(|(name, letter)| if has.contains(&name) { letter } else { '-' })
        .collect()
}

/// What is special about an account.
fn notes(name: &str, record: &Record, store: &Store) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |condition: bool, text: String| {
        if condition {
            notes.push(text);
        }
    };
    note(record.disabled, "disabled".into());
    note(record.uid.is_none() || record.gid.is_none(), "uid or gid not written down".into());
    note(record.password.is_none(), "no password".into());
    let enrolled = store.second_factors.contains_key(name);
    note(enrolled, "second factor".into());
    note(record.second_factor && !enrolled, "second factor needed and not enrolled".into());
    note(record.administrator, "administrator".into());
    if let Some(expiry) = record.expires {
        note(true, format!("until {expiry}"));
    }
    if let Some(tls) = record.tls {
        note(true, format!("TLS {tls}"));
    }
    if let Some(most) = record.max_sessions {
        note(most > 0, format!("at most {most} sessions"));
    }
    for (what, rate) in [("up", record.upload_rate), ("down", record.download_rate)] {
        if let Some(rate) = rate {
            note(true, format!("{what} {rate} B/s"));
        }
    }
    note(!record.groups.is_empty(), format!("groups {}", joined(&record.groups)));
    note(!record.networks.is_empty(), format!("from {}", joined(&record.networks)));
    if let Some(start) = &record.start {
        note(true, format!("starts in {}", escape(&start.display().to_string())));
    }
    notes
}

fn joined<T: ToString>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Everything about an account but its secrets, as JSON.
fn object(name: &str, record: &Record, store: &Store) -> Value {
    let factor = store.second_factors.get(name);
    json!({
        "name": name,
        "root": record.root,
        "start": record.start.clone().unwrap_or_else(|| "/".into()),
        "rights": record.rights().names().collect::<Vec<_>>(),
        "uid": record.uid,
        "gid": record.gid,
        "groups": record.groups,
        "upload_rate": record.upload_rate,
        "download_rate": record.download_rate,
        "max_sessions": record.max_sessions,
        "networks": record.networks,
        "expires": record.expires,
        "tls": record.tls,
        "password": record.password.is_some(),
        "second_factor": factor.is_some(),
        "second_factor_needed": record.second_factor,
        "recovery_codes": factor.map_or(0, |factor| factor.recovery.len()),
        "administrator": record.administrator,
        "disabled": record.disabled,
    })
}

/// Shows everything about an account.
///
/// # Errors
/// When there is none of that name, or the account file cannot be read.
pub fn show(file: &Path, name: &str, json: bool) -> Result<(), Failure> {
    let store = Store::load_or_empty(file)?;
    let record = store.accounts.get(name).ok_or_else(|| unknown(name))?;
    let object = object(name, record, &store);
    if json {
        console::say(serde_json::to_string_pretty(&object)?);
        return Ok(());
    }
    for (key, value) in object.as_object().into_iter().flatten() {
        let text = match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => escape(text),
            Value::Array(all) if all.is_empty() => "-".to_owned(),
            Value::Array(all) => {
                let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
                all.iter().map(text).collect::<Vec<_>>().join(" ")
            }
            Value::Bool(true) => "yes".to_owned(),
            Value::Bool(false) => "no".to_owned(),
            other => other.to_string(),
        };
        console::say(format_args!("{key:<21} {text}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &str) -> String {
        let store = Store::parse(Path::new("users.toml"), text).unwrap();
        let all = store.accounts.iter().flat_map(|(name, record)| lines(name, record, &store));
        all.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn e6_a_list_says_what_matters_and_fits_a_terminal() {
        let text = listed(
            "[accounts.alice]\nroot = \"/srv/a\"\nrights = [\"list\", \"write\"]\nuid = 4294967295\n\
             gid = 4294967295\ngroups = [5, 6]\nupload_rate = 1\ndownload_rate = 2\nmax_sessions = 3\n\
             networks = [\"10.0.0.0/8\", \"2001:db8:1111:2222:3333:4444:5555:6666/128\"]\n\
             expires = \"2027-01-31\"\ntls = \"control\"\nsecond_factor = true\ndisabled = true\n\
             administrator = true\nstart = \"/in\"\n",
        );
        for said in [
            "alice",
            "l-w--------",
            "/srv/a",
            "disabled",
            "no password",
            "not enrolled",
            "administrator",
            "until 2027-01-31",
            "TLS control",
            "at most 3 sessions",
            "up 1 B/s",
            "down 2 B/s",
            "groups 5 6",
            "10.0.0.0/8",
            "starts in /in",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        let long = format!("[accounts.{}]\nroot = \"/{}\"\n", "n".repeat(200), "r".repeat(300));
        for line in text.lines().chain(listed(&long).lines()) {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        assert!(listed(&long).contains('…') && listed(&long).contains("?:?"));
        let hostile = listed("[accounts.\"a\\u202Eb\"]\nroot = \"/x\"\n");
        assert!(!hostile.contains('\u{202e}'), "{hostile:?}");
    }
}
