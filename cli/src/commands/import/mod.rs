//! `bulkhead import`: translates the configuration of another server, and names every line that it
//! cannot.

mod i2ftp_json;
mod mini_ftpd;
mod proftpd;
mod pure_ftpd;
mod vsftpd;

#[cfg(test)]
mod tests;

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use super::{Failure, console};
use config::{Config, schema};

/// Translates the configuration of another server.
#[derive(Args)]
pub struct Import {
    /// Whose configuration it is.
    #[arg(value_enum)]
    format: Format,
    /// Its file; for Pure-FTPd also its `conf` directory.
    file: PathBuf,
    /// Where to write the translation; printed when left out. Never overwrites.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Vsftpd,
    Proftpd,
    PureFtpd,
    #[value(alias = "mini-ftp")]
    MiniFtpd,
    I2ftp,
}

/// Runs the command.
///
/// # Errors
/// When the file cannot be read, or the translation cannot be written.
pub fn run(import: &Import) -> Result<(), Failure> {
    let text = read(&import.file)?;
    let translation = translate(import.format, &text)?;
    let name = import.format.to_possible_value().map_or_else(String::new, |v| v.get_name().into());
    let (toml, problems) = translation.finish(&name, &import.file);
    match &import.output {
        None => console::say(&toml),
        Some(path) => {
            write_new(path, &toml)?;
            console::say(format_args!("Wrote {}.", path.display()));
        }
    }
    for problem in problems {
        console::warn(problem);
    }
    Ok(())
}

fn translate(format: Format, text: &str) -> Result<Translation, Failure> {
    let mut translation = Translation::default();
    match format {
        Format::Vsftpd => vsftpd::translate(text, &mut translation),
        Format::Proftpd => proftpd::translate(text, &mut translation),
        Format::PureFtpd => pure_ftpd::translate(text, &mut translation),
        Format::MiniFtpd => mini_ftpd::translate(text, &mut translation),
        Format::I2ftp => i2ftp_json::translate(text, &mut translation)?,
    }
    Ok(translation)
}

/// The text of a file, or of a directory whose files are named for their one setting.
fn read(path: &Path) -> Result<String, Failure> {
    let unreadable = |e: std::io::Error| format!("{} cannot be read: {e}", path.display());
    if !path.is_dir() {
        // Configurations of that age may be in Latin-1; what is no UTF-8 is in comments or shown.
        return Ok(String::from_utf8_lossy(&std::fs::read(path).map_err(unreadable)?).into_owned());
    }
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    names.sort();
    let mut text = String::new();
    for name in names.iter().filter(|name| name.is_file()) {
        let value = std::fs::read(name).map_err(unreadable)?;
        let key = name.file_name().unwrap_or_default().to_string_lossy();
        text.push_str(&format!("{key} {}\n", String::from_utf8_lossy(&value).trim()));
    }
    Ok(text)
}

/// Writes a file that must not be there yet; it may hold a key.
///
/// # Errors
/// When it is there, or cannot be written.
pub fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| format!("{} cannot be written: {e}", path.display()))?;
    file.write_all(text.as_bytes())?;
    Ok(file.sync_all()?)
}

/// What has been translated so far.
#[derive(Default)]
pub(super) struct Translation {
    /// Table, key and TOML value; a later one replaces an earlier one.
    keys: Vec<(&'static str, &'static str, String)>,
    /// Line and what was left out.
    left_out: Vec<(usize, String)>,
}

impl Translation {
    /// Sets a key to a TOML value.
    fn set(&mut self, table: &'static str, name: &'static str, value: impl ToString) {
        self.keys.retain(|(t, n, _)| (*t, *n) != (table, name));
        self.keys.push((table, name, value.to_string()));
    }

    /// Sets a key to a text.
    fn text(&mut self, table: &'static str, name: &'static str, text: &str) {
        self.set(table, name, toml::Value::String(text.to_owned()));
    }

    /// Sets a key to a list of texts.
    fn texts(&mut self, table: &'static str, name: &'static str, texts: &[&str]) {
        let list = texts.iter().map(|text| toml::Value::String((*text).to_owned())).collect();
        self.set(table, name, toml::Value::Array(list));
    }

    /// Sets a key to a whole number, or leaves the line out.
    fn number(&mut self, line: usize, table: &'static str, name: &'static str, text: &str) {
        match text.parse::<u64>() {
            Ok(number) => self.set(table, name, number),
            Err(_) => self.leave(line, format!("\"{text}\" is not a whole number")),
        }
    }

    /// Leaves a line out and says why.
    fn leave(&mut self, line: usize, why: impl Into<String>) {
        self.left_out.push((line, why.into()));
    }

    fn has(&self, table: &str, name: &str) -> bool {
        self.keys.iter().any(|(t, n, _)| (*t, *n) == (table, name))
    }

    /// The translation as TOML, and what its reader should know.
    fn finish(mut self, format: &str, file: &Path) -> (String, Vec<String>) {
        self.left_out.sort();
        let file = file.display();
        let mut toml = format!("# Translated from {file} ({format}) by `bulkhead import`.\n\n");
        let mut tables = vec![""];
        tables.extend(schema::tables());
        for table in tables {
            let keys: Vec<_> = schema::KEYS
                .iter()
                .filter(|key| key.table == table)
                .filter_map(|key| self.keys.iter().find(|k| (k.0, k.1) == (table, key.name)))
                .collect();
            if keys.is_empty() {
                continue;
            }
            if !table.is_empty() {
                toml.push_str(&format!("\n[{table}]\n"));
            }
            for (_, name, value) in keys {
                toml.push_str(&format!("{name} = {value}\n"));
            }
        }
        let mut problems: Vec<String> = self
            .left_out
            .iter()
            .map(|(line, why)| format!("{file}:{line}: left out: {why}"))
            .collect();
        if !self.left_out.is_empty() {
            toml.push_str("\n# Left out:\n");
        }
        for (line, why) in &self.left_out {
            toml.push_str(&format!("#   line {line}: {why}\n"));
        }
        if let Err(errors) = Config::parse(Path::new("the translation"), &toml) {
            problems
                .extend(errors.iter().map(|e| format!("still to do: {}; {}", e.what, e.remedy)));
        }
        (toml, problems)
    }
}

/// `yes`, `on`, `true`, `1`, and their opposites.
fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" | "1" => Some(true),
        "no" | "off" | "false" | "0" => Some(false),
        _ => None,
    }
}

/// The lines of a configuration with their numbers, without comments and empty ones.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1usize..)
        .zip(text.lines())
        .map(|(number, line)| (number, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// An octal umask as a TOML text.
fn umask(line: usize, text: &str, into: &mut Translation) {
    match u32::from_str_radix(text, 8) {
        Ok(mask) if mask <= 0o777 => into.text("", "local_umask", &format!("{mask:03o}")),
        Ok(_) | Err(_) => into.leave(line, format!("umask {text} is not octal")),
    }
}
