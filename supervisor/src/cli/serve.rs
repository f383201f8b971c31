//! `bulkhead serve`: the server in the foreground, as a service manager runs it.

use std::process::ExitCode;

use super::Failure;
use crate::{
    config::{Config, LogFormat, LogLevel},
    log, serve,
};

/// Starts the log and runs the server until it is told to end.
///
/// # Errors
/// When the log cannot be started.
pub fn run(config: Config) -> Result<ExitCode, Failure> {
    let format = match config.log.format {
        LogFormat::Text => log::Format::Text,
        LogFormat::Json => log::Format::Json,
    };
    let level = match config.log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    log::start(format, level, config.log.file.as_deref())?;
    for note in &config.notes {
        tracing::warn!(event = "note", "{note}");
    }
    let hooks = serve::Hooks { source: config.file.clone(), ready: None };
    Ok(serve::run(config, hooks))
}
