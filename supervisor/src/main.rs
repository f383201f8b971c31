//! The root supervisor of Bulkhead, its keeper and authenticator, and the operator's command line.

mod account;
mod certificate;
mod cli;
mod config;
mod penalties;
mod roles;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
