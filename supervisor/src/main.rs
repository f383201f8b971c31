//! The root supervisor of Bulkhead, its keeper and authenticator, and the operator's command line.

mod certificate;
mod account;
mod cli;
mod config;
mod roles;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
