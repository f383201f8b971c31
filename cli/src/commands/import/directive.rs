//! What a server's setting means here: one row for each setting that the server knows.

use super::{
    input::{Line, Place},
    translation::{Fate, Translation},
};
use crate::commands::console::escape;

/// One setting of the old file.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Where it stands.
    pub place: Place,
    /// Its name as it is written.
    pub name: String,
    /// Its value, without quotes around the whole.
    pub value: String,
}

impl Setting {
    /// The line as it is shown.
    pub fn text(&self) -> String {
        let text = format!("{} {}", self.name, self.value);
        escape(text.trim())
    }

    /// The words of the value.
    pub fn words(&self) -> Vec<&str> {
        self.value.split_whitespace().collect()
    }

    /// Yes or no; nothing for what is neither.
    pub fn flag(&self) -> Option<bool> {
        flag(&self.value)
    }
}

impl From<&Setting> for Line {
    fn from(setting: &Setting) -> Line {
        Line { place: setting.place.clone(), text: setting.text() }
    }
}

/// What a setting means here. `S` is what the translator has collected.
pub enum Rule<S> {
    /// The translator's own function decides.
    Translated(fn(&Setting, &mut S, &mut Translation) -> Fate),
    /// It closes something, unless it has one of these values, and nothing does that here.
    Closes(&'static [&'static str], &'static str),
    /// It allows or does something that is not to be had here, unless it has one of these values.
    Lacks(&'static [&'static str], &'static str),
    /// There is nothing to do for it, for this reason.
    Needless(&'static str),
}

/// One row of a server's table.
pub struct Row<S> {
    /// The setting.
    pub name: &'static str,
    /// What it means here.
    pub rule: Rule<S>,
}

/// Several settings with one meaning.
#[macro_export]
macro_rules! import_rows {
    ($($rule:expr => $($name:literal)+;)*) => {
        &[$($($crate::commands::import::directive::Row { name: $name, rule: $rule },)+)*]
    };
}

/// Values that switch a setting off.
pub const OFF: &[&str] = &["no", "off", "false", "0", "none"];
/// Values that switch a setting on.
pub const ON: &[&str] = &["yes", "on", "true", "1"];
/// No value: the setting matters whatever it says.
pub const NEVER: &[&str] = &[];

/// The row of a setting.
pub fn find<'a, S>(table: &'a [Row<S>], name: &str) -> Option<&'a Row<S>> {
    table.iter().find(|row| row.name.eq_ignore_ascii_case(name))
}

/// What becomes of a setting by a table. What the table does not know may have closed something.
pub fn fate<S>(table: &[Row<S>], setting: &Setting, seen: &mut S, into: &mut Translation) -> Fate {
    let Some(row) = find(table, &setting.name) else {
        return Fate::opens("it is not known, and may have refused something");
    };
    let is_one_of = |values: &[&str]| {
        let first = setting.value.split_whitespace().next().unwrap_or_default();
        values.iter().any(|value| value.eq_ignore_ascii_case(first))
    };
    match row.rule {
        Rule::Translated(translate) => translate(setting, seen, into),
        Rule::Closes(unless, why) if !is_one_of(unless) => Fate::opens(why),
        Rule::Lacks(unless, why) if !is_one_of(unless) => Fate::impossible(why),
        Rule::Closes(..) | Rule::Lacks(..) => Fate::needless("it changes nothing"),
        Rule::Needless(why) => Fate::needless(why),
    }
}

/// What becomes of a setting that stands where it is not applied: what could have refused something
/// opens access, unless it is known not to.
pub fn fate_unapplied<S>(table: &[Row<S>], setting: &Setting, closes: bool, whence: &str) -> Fate {
    match find(table, &setting.name).map(|row| &row.rule) {
        None => Fate::opens(format!("{whence}, which is not applied, and it is not known")),
        Some(Rule::Needless(why)) => Fate::needless(*why),
        Some(Rule::Closes(..)) => Fate::opens(format!("{whence}, which is not applied")),
        Some(Rule::Translated(_)) if closes => {
            Fate::opens(format!("{whence}, which is not applied"))
        }
        Some(Rule::Translated(_) | Rule::Lacks(..)) => {
            Fate::impossible(format!("{whence}, which is not applied"))
        }
    }
}

/// `yes`, `on`, `true`, `1`, and their opposites.
pub fn flag(text: &str) -> Option<bool> {
    let is = |values: &[&str]| values.iter().any(|value| value.eq_ignore_ascii_case(text));
    match (is(ON), is(&["no", "off", "false", "0"])) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    }
}
