//! The old configuration as it is read: bounded, a regular file, text, and no template of one.

use std::{
    fs::{File, OpenOptions},
    io::Read,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{Format, ImportError};
use crate::commands::console::escape;

/// The largest file that is read, in bytes. Configurations have a hundredth of it.
const MAX_BYTES: u64 = 1024 * 1024;
/// Files of a directory, and files that another one includes, at most.
pub const MAX_FILES: usize = 256;

/// One line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it stands: `line 7`, or `modules.conf:7` in an included file.
    pub place: Place,
    /// What it says, without space around it.
    pub text: String,
}

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, where it is not the one that was named.
    pub file: Option<PathBuf>,
    /// The number of the line, from 1.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}:{}", escape(&file.display().to_string()), self.line),
            None => write!(f, "line {}", self.line),
        }
    }
}

/// The old configuration.
#[derive(Debug, Clone)]
pub struct Input {
    /// Whose it is.
    pub format: Format,
    /// Its name for messages.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The lines that say something.
    pub lines: Vec<Line>,
}

impl Input {
    /// Reads a file, or Pure-FTPd's directory, whose files are named for their one setting, which
    /// `is_setting` knows.
    ///
    /// # Errors
    /// When it cannot be read, is no text, too large, or a template.
    pub fn read(
        format: Format,
        path: &Path,
        is_setting: fn(&str) -> bool,
    ) -> Result<Input, ImportError> {
        let name = escape(&path.display().to_string());
        let unreadable = |why: String| ImportError::Unreadable { file: name.clone(), why };
        if path.is_dir() {
            if format != Format::PureFtpd {
                return Err(other(format, &name, "it is a directory"));
            }
            let text = directory(path, is_setting).map_err(|why| other(format, &name, &why))?;
            return Input::of_text(format, &name, &text);
        }
        let text = text_of(path).map_err(|e| match e {
            Unread::Other(why) => other(format, &name, why),
            Unread::Failed(why) => unreadable(why),
        })?;
        Input::of_text(format, &name, &text)
    }

    /// The same of a text.
    ///
    /// # Errors
    /// When it is a template.
    pub fn of_text(format: Format, name: &str, text: &str) -> Result<Input, ImportError> {
        let lines = lines(text, None);
        if format != Format::I2ftp {
            judge_template(name, &lines)?;
        }
        Ok(Input { format, name: name.to_owned(), text: text.to_owned(), lines })
    }

    /// That this is no file of the server that was named.
    pub fn other_file(&self, why: impl AsRef<str>) -> ImportError {
        other(self.format, &self.name, why.as_ref())
    }
}

fn other(format: Format, name: &str, why: &str) -> ImportError {
    ImportError::OtherFile { file: name.to_owned(), format: format.name(), why: why.to_owned() }
}

/// The lines of a text that say something: no comments, no empty ones.
pub fn lines(text: &str, file: Option<&Path>) -> Vec<Line> {
    let place = |line| Place { file: file.map(Path::to_owned), line };
    (1usize..)
        .zip(text.lines())
        .map(|(number, line)| Line { place: place(number), text: line.trim().to_owned() })
        .filter(|line| !line.text.is_empty() && !line.text.starts_with('#'))
        .collect()
}

/// Why a file was not read.
#[derive(Debug)]
pub enum Unread {
    /// It is no configuration.
    Other(&'static str),
    /// The host does not let us.
    Failed(String),
}

/// The text of a regular file. Configurations of that age may be in Latin-1; what is no UTF-8 is in
/// comments, or shown.
pub fn text_of(path: &Path) -> Result<String, Unread> {
    let failed = |e: std::io::Error| Unread::Failed(e.to_string());
    // A FIFO would keep us waiting.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let before = file.metadata().map_err(failed)?;
    if !before.is_file() {
        return Err(Unread::Other("it is no regular file"));
    }
    if before.len() > MAX_BYTES {
        return Err(Unread::Other("it is larger than 1 MiB"));
    }
    let bytes = whole(&mut file).map_err(failed)?;
    let after = file.metadata().map_err(failed)?;
    let state =
        |m: &std::fs::Metadata| (m.len(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
    if state(&before) != state(&after) || before.len() != bytes.len() as u64 {
        return Err(Unread::Failed("it changed while it was read; try again".into()));
    }
    if bytes.contains(&0) {
        return Err(Unread::Other("it is no text"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn whole(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The settings of Pure-FTPd's directory as lines. Nothing of a file that is not named for a setting
/// is repeated: the directory may be any.
fn directory(path: &Path, is_setting: fn(&str) -> bool) -> Result<String, String> {
    let entries = std::fs::read_dir(path).map_err(|e| format!("it cannot be read: {e}"))?;
    let mut names = Vec::new();
    for entry in entries.take(MAX_FILES.saturating_add(1)) {
        names.push(entry.map_err(|e| e.to_string())?.path());
    }
    if names.len() > MAX_FILES {
        return Err(format!("it has more than {MAX_FILES} files"));
    }
    names.sort();
    let mut text = String::new();
    for name in &names {
        let key = name.file_name().unwrap_or_default().to_string_lossy();
        if !is_setting(&key) {
            return Err(format!("{} is no setting of it", escape(&key)));
        }
        let value = text_of(name).map_err(|e| match e {
            Unread::Other(why) => format!("{key}: {why}"),
            Unread::Failed(why) => format!("{key} cannot be read: {why}"),
        })?;
        let value: Vec<&str> = value.split_whitespace().collect();
        text.push_str(&format!("{key} {}\n", value.join(" ")));
    }
    Ok(text)
}

/// What template engines replace: Jinja and Ansible, ERB and EJS, shells and Docker entry points.
fn judge_template(file: &str, lines: &[Line]) -> Result<(), ImportError> {
    for line in lines {
        if let Some(found) = placeholder(&line.text) {
            let (file, line) = (file.to_owned(), line.place.line);
            return Err(ImportError::Template { file, line, found: escape(found) });
        }
    }
    Ok(())
}

fn placeholder(text: &str) -> Option<&str> {
    for (open, close) in [("{{", "}}"), ("{%", "%}"), ("<%", "%>")] {
        if let Some((_, rest)) = text.split_once(open) {
            let end = rest.find(close).unwrap_or(rest.len());
            let start = text.len().saturating_sub(rest.len()).saturating_sub(open.len());
            let end =
                start.saturating_add(open.len()).saturating_add(end).saturating_add(close.len());
            return text.get(start..end.min(text.len()));
        }
    }
    for mark in ["@@", "%%"] {
        let mut parts = text.splitn(3, mark);
        if let (Some(_), Some(name), Some(_)) = (parts.next(), parts.next(), parts.next())
            && is_name(name)
        {
            return Some(name);
        }
    }
    // `${NAME}` and `${NAME:-default}`; a map of mod_rewrite has a lower-case name and a key.
    let (_, rest) = text.split_once("${")?;
    let (inside, _) = rest.split_once('}')?;
    let name = inside.split(":-").next().unwrap_or(inside);
    is_name(name).then_some(inside)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
