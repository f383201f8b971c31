//! From the text of a configuration file to checked values with their lines, and all errors.

use std::{collections::BTreeMap, path::Path};

use toml::de::{DeTable, DeValue};

use super::{
    error::ConfigError,
    schema::{self, KEYS, Key},
    value::{self, Value},
};

/// A value and the line it stands on; defaults stand on line 0.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) line: usize,
}

/// The values of a configuration, defaults included.
#[derive(Debug, Default)]
pub(super) struct Values(BTreeMap<(&'static str, &'static str), Entry>);

impl Values {
    pub(super) fn find(&self, table: &str, name: &str) -> Option<&Entry> {
        let key = schema::find(table, name)?;
        self.0.get(&(key.table, key.name))
    }
}

/// Lines with a syntax error that are left out, one after the other, to read the rest.
const MOST_LEFT_OUT: usize = 50;

/// Reads `text`; whatever is wrong is added to `errors`, and the rest is read all the same. Also tells
/// whether nothing was left out for a syntax error.
pub(super) fn read(file: &Path, text: &str, errors: &mut Vec<ConfigError>) -> (Values, bool) {
    let mut reader = Reader { file, text, errors, values: Values::default() };
    for key in KEYS {
        reader.default_of(key);
    }
    let mut readable = text.to_owned();
    for _ in 0..MOST_LEFT_OUT {
        let (table, syntax) = DeTable::parse_recoverable(&readable);
        let Some(first) = syntax.first() else {
            let complete = readable == text;
            reader.document(table.get_ref());
            return (reader.values, complete);
        };
        reader.syntax_error(first);
        // An error without a place, or in a place that is empty already, will not go away.
        let line = first.span().map_or(0, |span| reader.line(span.start));
        match without(&readable, line) {
            Some(rest) => readable = rest,
            None => break,
        }
    }
    (reader.values, false)
}

/// The text with this line blank, so that all others keep their numbers and their bytes' places. What stands below a heading that
/// cannot be read belongs to no table that is known, and goes with it.
fn without(text: &str, number: usize) -> Option<String> {
    let lines: Vec<&str> = text.split('\n').collect();
    let first = number.checked_sub(1)?;
    let heading = |line: &str| line.trim_start().starts_with('[');
    let bad = lines.get(first).filter(|line| !line.trim().is_empty())?;
    let end = match heading(bad) {
        false => number,
        true => {
            let below = lines.iter().skip(number).position(|line| heading(line));
            below.map_or(lines.len(), |more| number.saturating_add(more))
        }
    };
    let kept = lines.iter().enumerate().map(|(index, line)| {
        let gone = index >= first && index < end;
        if gone { " ".repeat(line.len()) } else { (*line).to_owned() }
    });
    Some(kept.collect::<Vec<_>>().join("\n"))
}

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    errors: &'a mut Vec<ConfigError>,
    values: Values,
}

impl Reader<'_> {
    fn default_of(&mut self, key: &'static Key) {
        let Some(default) = key.default else { return };
        let value = DeValue::parse(default)
            .map_err(|e| (e.message().to_owned(), String::new()))
            .and_then(|parsed| value::read(key.kind, parsed.get_ref()));
        match value {
            Ok(value) => {
                self.values.0.insert((key.table, key.name), Entry { value, line: 0 });
            }
            Err((what, _)) => self.error(
                0,
                format!("the default of {} is wrong: {what}", full_name(key.table, key.name)),
                "this is a defect of Bulkhead: please report it".into(),
            ),
        }
    }

    fn document(&mut self, document: &DeTable<'_>) {
        let tables = schema::tables();
        for (name, found) in document {
            let line = self.line(name.span().start);
            let name = name.get_ref().as_ref();
            match (found.get_ref(), tables.contains(&name)) {
                (DeValue::Table(table), true) => self.table(name, table),
                (DeValue::Table(_), false) => {
                    let remedy = match nearest(name, tables.iter().copied()) {
                        Some(near) => format!("did you mean [{near}]?"),
                        None => format!("the tables are {}", tables.join(", ")),
                    };
                    self.error(line, format!("unknown table [{name}]"), remedy);
                }
                (_, true) => self.error(
                    line,
                    format!("`{name}` is a table"),
                    format!("write [{name}] on a line of its own and its keys below"),
                ),
                (value, false) => {
                    let line = self.line(found.span().start);
                    self.key("", name, value, line);
                }
            }
        }
    }

    fn table(&mut self, table: &str, entries: &DeTable<'_>) {
        for (name, found) in entries {
            let line = self.line(name.span().start);
            self.key(table, name.get_ref(), found.get_ref(), line);
        }
    }

    fn key(&mut self, table: &str, name: &str, found: &DeValue<'_>, line: usize) {
        let Some(key) = schema::find(table, name) else {
            let what = format!("unknown key {}", full_name(table, name));
            return self.error(line, what, suggestion(table, name));
        };
        match value::read(key.kind, found) {
            Ok(value) => {
                self.values.0.insert((key.table, key.name), Entry { value, line });
            }
            Err((what, remedy)) => {
                self.error(line, format!("{}: {what}", full_name(table, name)), remedy);
            }
        }
    }

    fn syntax_error(&mut self, error: &toml::de::Error) {
        let line = error.span().map_or(0, |span| self.line(span.start));
        let source = self.text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let (what, remedy) = match source.split_once('=').map(|(k, v)| (k.trim(), v.trim())) {
            // 077 is no TOML: a number does not begin with 0.
            Some(("local_umask", value)) => (
                format!("local_umask: {value} is not TOML"),
                format!("write it in quotes: local_umask = \"{}\"", value.trim_matches('"')),
            ),
            Some((key, value)) if bare_word(value) => (
                format!("{key}: {value} is not TOML"),
                format!("write a text in quotes: {key} = \"{value}\""),
            ),
            Some(_) | None => (
                format!("this is not TOML: {}", error.message()),
                "correct the line: `key = value`, texts in double quotes, tables as [name]".into(),
            ),
        };
        // One line with several mistakes in a row is one error to its reader.
        if !self.errors.iter().any(|e| e.line == line && line != 0) {
            self.error(line, what, remedy);
        }
    }

    fn error(&mut self, line: usize, what: String, remedy: String) {
        self.errors.push(ConfigError { file: self.file.to_owned(), line, what, remedy });
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1)
    }
}

fn bare_word(value: &str) -> bool {
    !value.is_empty()
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "._:/+-".contains(c))
        && value.parse::<f64>().is_err()
}

/// A key as an error names it: `ports` in `[passive]`.
pub(super) fn full_name(table: &str, name: &str) -> String {
    if table.is_empty() { format!("`{name}`") } else { format!("`{name}` in [{table}]") }
}

fn nearest<'a>(name: &str, among: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    among
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, known)| *distance <= known.len().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

fn suggestion(table: &str, name: &str) -> String {
    if let Some(elsewhere) = KEYS.iter().find(|key| key.name == name) {
        return if elsewhere.table.is_empty() {
            format!("`{name}` belongs above the first [table]")
        } else {
            format!("`{name}` belongs below [{}]", elsewhere.table)
        };
    }
    let same = KEYS.iter().filter(|key| key.table == table).map(|key| key.name);
    if let Some(near) = nearest(name, same) {
        return format!("did you mean `{near}`?");
    }
    match nearest(name, KEYS.iter().map(|key| key.name)) {
        Some(near) => {
            let table = KEYS.iter().find(|key| key.name == near).map_or("", |key| key.table);
            format!("did you mean {}?", full_name(table, near))
        }
        None => "remove it; `bulkhead check --keys` lists the keys there are".into(),
    }
}
