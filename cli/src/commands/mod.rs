//! The command line: one file per command. Errors are printed once, here.

mod certificate;
mod check;
mod console;
#[cfg(any(feature = "document", test))]
mod document;
mod import;
pub mod operator;
mod policy;
mod serve;
mod setup;
mod totp;
mod try_serve;
mod unit;
mod user;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use config::{Config, ConfigErrors};

/// Exit code of a failure.
const EXIT_FAILURE: u8 = 1;
/// Exit code of a configuration or command line that cannot work.
const EXIT_CONFIGURATION: u8 = 2;

/// Where the configuration is when nothing is said.
const DEFAULT_CONFIGURATION: &str = "/etc/bulkhead/bulkhead.toml";

/// Exit codes, at the end of --help and of the man page.
const EXIT_CODES: &str = "Exit codes: 0 done; 1 not done, with the reason on standard error; 2 the configuration \
    or the command line cannot work. `check` exits with 1 when it finds an error, and with 0 when it \
    finds warnings only.";

/// A file-transfer server in sandboxed compartments: FTP, FTPS and I2FTP.
#[derive(Parser)]
#[command(name = "bulkhead", version, disable_help_subcommand = true, after_help = EXIT_CODES)]
struct Arguments {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_CONFIGURATION)]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a directory on 127.0.0.1 with a made-up account, for anybody.
    Try(try_serve::Try),
    /// Make a self-signed certificate for development, or renew those that were made here.
    Certificate(certificate::Certificate),
    /// Run the server.
    Serve(serve::Serve),
    /// Write the configuration, the first account and a certificate, question by question.
    Setup(Box<setup::Setup>),
    /// Check the configuration and the host, and say everything that is wrong at once.
    Check(check::Check),
    /// Manage the accounts of the account file.
    #[command(subcommand)]
    User(user::Command),
    /// Say what the running server does.
    Status(operator::Output),
    /// List the sessions of the running server.
    Sessions(operator::Output),
    /// End a session, or all sessions of an account.
    Kick(operator::Kick),
    /// Let the running server read its configuration and certificates again.
    Reload(operator::Reach),
    /// Let the running server accept nobody else, and end when the last session has.
    Drain(operator::Reach),
    /// List or forget the penalties of addresses.
    #[command(subcommand)]
    Penalties(operator::PenaltiesCommand),
    /// Print, explain and verify the sandboxes, for an auditor.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Translate the configuration of another server.
    Import(import::Import),
    /// Print or write a systemd drop-in with the directories that the server needs.
    Unit(unit::Unit),
    /// Write man pages, completions and the reference of the configuration; for packaging.
    #[cfg(feature = "document")]
    #[command(hide = true)]
    Document {
        /// Where to.
        directory: PathBuf,
    },
}

/// What a command ends with when it fails: printed with all its causes.
pub type Failure = Box<dyn std::error::Error>;

/// Parses the command line, runs the command and prints what went wrong.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match dispatch(arguments) {
        Ok(code) => code,
        // `bulkhead status | head`: the reader has what it wanted.
        Err(failure) if is_broken_pipe(failure.as_ref()) => ExitCode::SUCCESS,
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
        Command::Try(options) => try_serve::run(&options),
        Command::Certificate(options) => certificate::run(config, &options),
        Command::Serve(options) => serve::run(load(config)?, options),
        Command::Setup(command) => setup::run(config, &command),
        Command::Check(command) => check::run(config, &command),
        Command::User(command) => user::run(&load(config)?, command).map(done),
        Command::Status(output) => Ok(operator::status(config, &output)?),
        Command::Sessions(output) => Ok(operator::sessions(config, &output)?),
        Command::Kick(kick) => Ok(operator::kick(config, &kick)?),
        Command::Reload(reach) => Ok(operator::reload(config, &reach)?),
        Command::Drain(reach) => Ok(operator::drain(config, &reach)?),
        Command::Penalties(command) => Ok(operator::penalties(config, &command)?),
        Command::Policy(command) => policy::run(config, command),
        Command::Import(command) => import::run(&command),
        Command::Unit(options) => unit::run(&load(config)?, &options).map(done),
        #[cfg(feature = "document")]
        Command::Document { directory } => {
            use clap::CommandFactory;
            document::write(&Arguments::command(), &directory).map(done)
        }
    }
}

/// Whether an error, or what it comes from, is a reader of the output that went away.
fn is_broken_pipe(failure: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(failure), |error| error.source()).any(|error| {
        let error = error.downcast_ref::<std::io::Error>();
        error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

fn load(path: &Path) -> Result<Config, Failure> {
    Ok(Config::load(path)?)
}

fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}
