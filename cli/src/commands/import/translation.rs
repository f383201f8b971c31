//! A translation as it grows: keys of our configuration, and what became of each line of the old one.

use std::path::Path;

use ipc::account::Rights;

use super::input::{Line, Place};
use crate::commands::console::escape;
use config::{Config, schema};

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is translated.
    Taken,
    /// It refused something that is not refused here.
    Opens(String),
    /// It cannot be had here, and a kind of login is closed for it until somebody has acted.
    Closed(String),
    /// It cannot be had here.
    Impossible(String),
    /// There is nothing to do for it.
    Needless(String),
}

impl Fate {
    /// It refused something that is not refused here.
    pub fn opens(why: impl Into<String>) -> Fate {
        Fate::Opens(why.into())
    }

    /// A kind of login is closed for it.
    pub fn closed(why: impl Into<String>) -> Fate {
        Fate::Closed(why.into())
    }

    /// It cannot be had here.
    pub fn impossible(why: impl Into<String>) -> Fate {
        Fate::Impossible(why.into())
    }

    /// There is nothing to do for it.
    pub fn needless(why: impl Into<String>) -> Fate {
        Fate::Needless(why.into())
    }

    fn why(&self) -> &str {
        match self {
            Fate::Taken => "",
            Fate::Opens(why) | Fate::Closed(why) | Fate::Impossible(why) | Fate::Needless(why) => {
                why
            }
        }
    }
}

/// A line of the old file, or a default of the old server, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Where it stands; nothing for a default that no line changes.
    pub place: Option<Place>,
    /// What it says.
    pub text: String,
    /// What became of it.
    pub fate: Fate,
}

/// What has been translated so far.
#[derive(Debug)]
pub struct Translation {
    keys: Vec<(&'static str, &'static str, String)>,
    outcomes: Vec<Outcome>,
    /// What PAM's users and imported accounts may do.
    pub rights: Rights,
    /// Why system users may not log in.
    pub without_pam: bool,
}

impl Default for Translation {
    fn default() -> Translation {
        Translation {
            keys: Vec::new(),
            outcomes: Vec::new(),
            rights: Rights::READ_WRITE,
            without_pam: false,
        }
    }
}

impl Translation {
    /// Accounts for a line, once.
    pub fn record(&mut self, line: impl Into<Line>, fate: Fate) {
        let Line { place, text } = line.into();
        self.outcomes.push(Outcome { place: Some(place), text: escape(&text), fate });
    }

    /// Says what a setting that no line changes means.
    pub fn record_default(&mut self, text: &str, fate: Fate) {
        self.outcomes.push(Outcome { place: None, text: text.to_owned(), fate });
    }

    /// Changes what became of a line, when another line decides about it.
    pub fn change(&mut self, place: &Place, fate: Fate) {
        if let Some(outcome) = self.outcomes.iter_mut().find(|o| o.place.as_ref() == Some(place)) {
            outcome.fate = fate;
        }
    }

    /// Sets a key to a TOML value; a later one replaces an earlier one.
    pub fn set(&mut self, table: &'static str, name: &'static str, value: impl ToString) -> Fate {
        self.keys.retain(|(t, n, _)| (*t, *n) != (table, name));
        self.keys.push((table, name, value.to_string()));
        Fate::Taken
    }

    /// Takes a key away again.
    pub fn unset(&mut self, table: &str, name: &str) {
        self.keys.retain(|(t, n, _)| (*t, *n) != (table, name));
    }

    /// Sets a key to a text.
    pub fn text(&mut self, table: &'static str, name: &'static str, text: &str) -> Fate {
        if text.chars().any(char::is_control) {
            return Fate::impossible("it contains a control character");
        }
        self.set(table, name, toml::Value::String(text.to_owned()))
    }

    /// Sets a key to a list of texts.
    pub fn texts<T: AsRef<str>>(
        &mut self,
        table: &'static str,
        name: &'static str,
        texts: &[T],
    ) -> Fate {
        let list = texts.iter().map(|text| toml::Value::String(text.as_ref().to_owned())).collect();
        self.set(table, name, toml::Value::Array(list))
    }

    /// Sets a key to a whole number.
    pub fn number(&mut self, table: &'static str, name: &'static str, text: &str) -> Fate {
        match text.parse::<u64>() {
            Ok(number) => self.set(table, name, number),
            Err(_) => Fate::impossible(format!("\"{}\" is not a whole number", escape(text))),
        }
    }

    /// Sets a limit that must not become larger by not being understood.
    pub fn limit(&mut self, table: &'static str, name: &'static str, text: &str) -> Fate {
        match text.parse::<u64>() {
            Ok(number) => self.set(table, name, number),
            Err(_) => Fate::opens(format!("\"{}\" is not a whole number", escape(text))),
        }
    }

    /// Sets a key to an octal umask.
    pub fn umask(&mut self, text: &str) -> Fate {
        match u32::from_str_radix(text, 8) {
            Ok(mask) if mask <= 0o777 => self.text("", "local_umask", &format!("{mask:03o}")),
            Ok(_) | Err(_) => Fate::impossible("it is not octal; new files are private"),
        }
    }

    /// Takes rights away from PAM's users.
    pub fn forbid(&mut self, rights: Rights) -> Fate {
        self.rights = self.rights.without(rights);
        Fate::Taken
    }

    /// Lets no system user in, for this reason.
    pub fn close_pam(&mut self, why: impl Into<String>) -> Fate {
        self.without_pam = true;
        Fate::Closed(format!("{}; so system users (pam) are left out", why.into()))
    }

    /// Whether a key is set.
    pub fn has(&self, table: &str, name: &str) -> bool {
        self.keys.iter().any(|(t, n, _)| (*t, *n) == (table, name))
    }

    /// Sets the backends and the rights of PAM's users.
    pub fn finish_accounts(&mut self, pam: bool) {
        let backends: &[&str] = if pam && !self.without_pam { &["file", "pam"] } else { &["file"] };
        self.texts("auth", "backends", backends);
        if pam && !self.without_pam && self.rights != Rights::READ_WRITE {
            let rights: Vec<&str> = self.rights.names().collect();
            self.texts("auth", "pam_rights", &rights);
        }
    }

    /// What became of every line.
    #[cfg(test)]
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// Whether anything the old server refused is not refused by the translation.
    pub fn opens_access(&self) -> bool {
        self.outcomes.iter().any(|outcome| matches!(outcome.fate, Fate::Opens(_)))
    }

    /// The outcomes under each heading, in the order of the file; what closes a kind of login first.
    fn headings(&self) -> [(&'static str, Vec<&Outcome>); 3] {
        let of = |chosen: fn(&Fate) -> bool| -> Vec<&Outcome> {
            let mut all: Vec<&Outcome> = self.outcomes.iter().filter(|o| chosen(&o.fate)).collect();
            all.sort_by_key(|o| (!matches!(o.fate, Fate::Closed(_)), o.place.clone()));
            all
        };
        [
            (
                "OPENS ACCESS: the old server refused this, the translation does not",
                of(|fate| matches!(fate, Fate::Opens(_))),
            ),
            (
                "NOT POSSIBLE: left out",
                of(|fate| matches!(fate, Fate::Closed(_) | Fate::Impossible(_))),
            ),
            ("NOT NEEDED: nothing to do", of(|fate| matches!(fate, Fate::Needless(_)))),
        ]
    }

    /// What to tell: the three headings, and how many lines are translated.
    pub fn report(&self, refuses: bool) -> Vec<String> {
        let mut report = Vec::new();
        for (heading, outcomes) in self.headings() {
            if !outcomes.is_empty() {
                report.push(heading.to_owned());
            }
            report.extend(outcomes.iter().map(|outcome| format!("  {}", show(outcome))));
        }
        let is_taken = |o: &&Outcome| o.place.is_some() && o.fate == Fate::Taken;
        let taken = self.outcomes.iter().filter(is_taken).count();
        report.push(format!("Translated: {taken} of {} lines.", self.lines()));
        if refuses {
            report.push(
                "This translation refuses every client ([access] deny_networks). When what stands \
                 under OPENS ACCESS is right for you, import again with --accept-wider-access."
                    .into(),
            );
        }
        report
    }

    fn lines(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.place.is_some()).count()
    }

    /// The translation as TOML. One that `refuses` lets nobody connect.
    pub fn toml(&self, format: &str, file: &Path, refuses: bool) -> String {
        let file = escape(&file.display().to_string());
        let mut toml = format!("# Translated from {file} ({format}) by `bulkhead import`.\n");
        let [opens, rest @ ..] = self.headings();
        comment(&mut toml, &opens);
        let everybody = ("access", "deny_networks", "[\"0.0.0.0/0\", \"::/0\"]".to_owned());
        let value = |table: &str, name: &str| -> Option<&str> {
            if refuses && (table, name) == (everybody.0, everybody.1) {
                return Some(&everybody.2);
            }
            self.keys.iter().find(|k| (k.0, k.1) == (table, name)).map(|k| k.2.as_str())
        };
        toml.push('\n');
        let mut tables = vec![""];
        tables.extend(schema::tables());
        for table in tables {
            let keys = schema::KEYS.iter().filter(|key| key.table == table);
            let keys: Vec<_> =
                keys.filter_map(|key| Some((key.name, value(table, key.name)?))).collect();
            if !keys.is_empty() && !table.is_empty() {
                toml.push_str(&format!("\n[{table}]\n"));
            }
            for (name, value) in keys {
                toml.push_str(&format!("{name} = {value}\n"));
            }
        }
        for heading in &rest {
            comment(&mut toml, heading);
        }
        toml
    }
}

fn comment(toml: &mut String, (heading, outcomes): &(&str, Vec<&Outcome>)) {
    if outcomes.is_empty() {
        return;
    }
    toml.push_str(&format!("\n# {heading}:\n"));
    for outcome in outcomes {
        toml.push_str(&format!("#   {}\n", show(outcome)));
    }
}

fn show(Outcome { place, text, fate }: &Outcome) -> String {
    let place = place.as_ref().map_or_else(|| "by default".to_owned(), Place::to_string);
    format!("{place}: {text}: {}", fate.why())
}

/// What keeps a translation from being loaded.
pub fn still_to_do(toml: &str) -> Vec<String> {
    match Config::parse(Path::new("the translation"), toml) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(|e| format!("{}; {}", e.what, e.remedy)).collect(),
    }
}
