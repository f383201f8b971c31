//! The command line: one file per command. Errors are printed once, here.

mod console;
mod user;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigErrors};

/// Exit code of a failure.
const EXIT_FAILURE: u8 = 1;
/// Exit code of a configuration or command line that cannot work.
const EXIT_CONFIGURATION: u8 = 2;

/// A file-transfer server in sandboxed compartments: FTP, FTPS and I2FTP.
#[derive(Parser)]
#[command(name = "bulkhead", version, disable_help_subcommand = true)]
struct Arguments {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/bulkhead/bulkhead.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Manage the accounts of the account file.
    #[command(subcommand)]
    User(user::Command),
    /// Judge one attempt to log in; started by the server.
    #[command(hide = true)]
    Authenticator,
}

/// What a command ends with when it fails: printed with all its causes.
pub type Failure = Box<dyn std::error::Error>;

/// Parses the command line, runs the command and prints what went wrong.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match dispatch(arguments) {
        Ok(code) => code,
        Err(failure) => {
            let code = if failure.is::<ConfigErrors>() { EXIT_CONFIGURATION } else { EXIT_FAILURE };
            console::complain(failure.as_ref());
            ExitCode::from(code)
        }
    }
}

fn dispatch(arguments: Arguments) -> Result<ExitCode, Failure> {
    let config = arguments.config.as_path();
    match arguments.command {
        Command::User(command) => user::run(load(config)?, command).map(done),
        Command::Authenticator => Ok(crate::roles::authenticator::run()),
    }
}

fn load(path: &Path) -> Result<Config, Failure> {
    Ok(Config::load(path)?)
}

fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}
