//! The log: text for people, JSON lines for machines. Every line about a client carries the
//! supervisor's own word on session, address and account.

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt, path::Path, sync::Mutex};

use ipc::{ChannelError, last_words::LastWords};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log. Without a file it goes to standard error, which systemd takes to the journal.
///
/// # Errors
/// A sentence that names the file.
pub fn start(format: Format, level: &str, file: Option<&Path>) -> Result<(), String> {
    match file {
        None => install(format, level, std::io::stderr),
        Some(path) => {
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o640)
                .open(path)
                .map_err(|e| format!("cannot open the log file {}: {e}", path.display()))?;
            install(format, level, Mutex::new(file))
        }
    }
}

fn install<W>(format: Format, level: &str, writer: W) -> Result<(), String>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(format!("supervisor={level},config={level},bulkhead={level}"))
        .map_err(|e| format!("[log] level = \"{level}\": {e}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_target(false)
        .with_ansi(false);
    let installed = match format {
        Format::Text => log.try_init(),
        Format::Json => log.json().flatten_event(true).try_init(),
    };
    installed.map_err(|e| format!("cannot start the log: {e}"))
}

/// Text from a client or a session, fit for one log line: control characters are escaped, so that a
/// file name cannot forge a line.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || c == '\u{2028}' || c == '\u{2029}' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// An error of a channel, with the name of a forbidden system call instead of its number.
pub fn describe(error: &ChannelError) -> String {
    if let ChannelError::LastWords(LastWords::Forbidden { syscall }) = error {
        let name = policy::syscalls::name((*syscall).into()).unwrap_or("unknown");
        return format!("its sandbox stopped it at the system call {name} ({syscall})");
    }
    printable(&error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_forge_a_log_line() {
        assert_eq!(printable("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J");
        assert_eq!(printable("größe"), "größe");
    }
}
