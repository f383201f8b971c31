//! `bulkhead import`: translates the configuration of another server.
//!
//! One rule: what is not understood closes access. Each line of the old file is accounted for exactly
//! once: it is translated, or stands under one of three headings. As long as anything stands under
//! OPENS ACCESS, the translation refuses every client and the exit code is 3, until somebody has read
//! it and gives `--accept-wider-access`.

mod directive;
mod i2ftp_json;
mod input;
mod mini_ftpd;
mod proftpd;
mod pure_ftpd;
mod translation;
mod vsftpd;

#[cfg(test)]
mod tests;

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};

use self::translation::Translation;
use super::{Failure, console};

/// Exit code of a file that is none of the server that was named.
const EXIT_OTHER_FILE: u8 = 2;
/// Exit code of a translation that would let somebody do what the old server refused.
const EXIT_OPENS_ACCESS: u8 = 3;

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
    /// Translate although what stands under OPENS ACCESS will not be refused here.
    #[arg(long)]
    accept_wider_access: bool,
}

/// A server whose configuration can be translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// vsftpd.conf(5).
    Vsftpd,
    /// proftpd.conf.
    Proftpd,
    /// Pure-FTPd's file, or its directory of settings.
    PureFtpd,
    /// The small server this project grew from.
    #[value(alias = "mini-ftp")]
    MiniFtpd,
    /// The Python I2FTP server.
    I2ftp,
}

impl Format {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Why a file is not translated.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error("{file} cannot be read: {why}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
    /// It is no configuration of that server.
    #[error("{file}: this is not a {format} file: {why}")]
    OtherFile {
        /// The file.
        file: String,
        /// The server that was named.
        format: String,
        /// How it can be told.
        why: String,
    },
    /// It is a template of a configuration.
    #[error("{file}:{line}: this is a template ({found}); render it first, and import the result")]
    Template {
        /// The file.
        file: String,
        /// The line.
        line: usize,
        /// What a template engine would replace.
        found: String,
    },
}

/// Runs the command.
///
/// # Errors
/// When the translation cannot be written.
pub fn run(import: &Import) -> Result<ExitCode, Failure> {
    let translation = match translate(import.format, &import.file) {
        Ok(translation) => translation,
        Err(error @ ImportError::Unreadable { .. }) => return Err(error.into()),
        Err(error) => {
            console::complain(&error);
            return Ok(ExitCode::from(EXIT_OTHER_FILE));
        }
    };
    let opens = translation.opens_access();
    let refuses = opens && !import.accept_wider_access;
    let toml = translation.toml(&import.format.name(), &import.file, refuses);
    match &import.output {
        None => console::say(&toml),
        Some(path) if refuses => console::warn(format_args!(
            "{} was not written: read OPENS ACCESS below first.",
            path.display()
        )),
        Some(path) => {
            write_new(path, &toml)?;
            console::say(format_args!("Wrote {}.", path.display()));
        }
    }
    for line in translation.report(refuses) {
        console::warn(line);
    }
    for problem in translation::still_to_do(&toml) {
        console::warn(format_args!("still to do: {problem}"));
    }
    Ok(if refuses { ExitCode::from(EXIT_OPENS_ACCESS) } else { ExitCode::SUCCESS })
}

/// Translates a file of the host.
fn translate(format: Format, file: &Path) -> Result<Translation, ImportError> {
    let input = input::Input::read(format, file, pure_ftpd::is_setting)?;
    match format {
        Format::Vsftpd => vsftpd::translate(&input),
        Format::Proftpd => proftpd::translate(&input),
        Format::PureFtpd => pure_ftpd::translate(&input),
        Format::MiniFtpd => mini_ftpd::translate(&input),
        Format::I2ftp => i2ftp_json::translate(&input),
    }
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
