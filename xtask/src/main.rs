//! The developer's commands: `cargo xtask dist`, `build`, `package`, `test`, `try`, `bench`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{demonstrate, dist, link, measure, package, structure, tests_run, tools};

/// Build, test and try Bulkhead.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the release binaries as the packages ship them, into target/dist/
    Dist,
    /// Build the same layout with the dev profile, into target/dist-dev/
    Build,
    /// Build a .deb and a .rpm into target/package/
    Package(package::Options),
    /// Renew docs/configure.md out of the table of keys, and the picture of docs/design.md
    Document,
    /// Run every test; the last line is `N passed, N failed, N skipped`
    Test(tests_run::Options),
    /// Hold the source against the floor plan: circles of modules, crates that may not meet, long functions
    Structure(structure::Options),
    /// Install what a build and the tests need, or name it
    Provide,
    /// Compare speed, CPU time and memory with the FTP servers of Debian (as root, a few minutes)
    #[command(disable_help_flag = true)]
    Bench {
        /// What the benchmark is given; `--help` prints it
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the release binaries and run `bulkhead try` with these arguments
    Try {
        /// What `bulkhead try` is given, for instance the directory to serve
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    if let Some(code) = link::as_compiler() {
        return code;
    }
    let done = match Arguments::parse().command {
        Command::Dist => dist::build(dist::Flavour::Release).map(|_| ()),
        Command::Build => dist::build(dist::Flavour::Dev).map(|_| ()),
        Command::Package(options) => package::run_command(&options),
        Command::Document => package::renew_documents(),
        Command::Structure(options) => structure::run(&options),
        Command::Provide => tools::provide_everything(),
        Command::Test(options) => tests_run::run(&options),
        Command::Bench { arguments } => measure::run_benchmark(&arguments),
        Command::Try { arguments } => demonstrate::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
