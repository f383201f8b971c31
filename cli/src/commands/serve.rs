//! `bulkhead serve`: the server in the foreground, as a service manager runs it.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use config::{Config, LogFormat, LogLevel};
use supervisor::{log, log_event, serve};

use super::Failure;

/// Options of `bulkhead serve`.
#[derive(Args)]
pub struct Serve {
    /// Reach the helper at this socket, where systemd starts it, instead of starting one.
    #[arg(long, value_name = "PATH")]
    helper_socket: Option<PathBuf>,
}

/// Starts the log and runs the server until it is told to end.
///
/// # Errors
/// When the log cannot be started.
pub fn run(config: Config, options: Serve) -> Result<ExitCode, Failure> {
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
        log_event!(Note, "{note}");
    }
    let hooks = serve::Hooks {
        source: config.file.clone(),
        helper_socket: options.helper_socket,
        ready: None,
    };
    Ok(serve::run(config, hooks))
}
