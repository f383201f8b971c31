//! The root supervisor of Bulkhead, its keeper and authenticator, and the operator's command line.
//!
//! `bulkhead serve` is the supervisor: it accepts, counts, starts and reaps, and never reads a byte
//! that came from the network. The keeper and the authenticator are this program executed anew,
//! with policies of their own. Everything else is a command that ends by itself.

mod account;
mod attempts;
mod boot;
mod census;
mod certificate;
mod children;
mod cli;
mod config;
mod connection;
mod fips;
mod helper;
mod keeper;
mod listen;
mod log;
mod login;
mod notify;
mod operator;
mod pam_session;
mod penalties;
mod pool;
mod programs;
#[cfg(test)]
mod properties;
mod roles;
mod serve;
mod server;
mod serving;
mod session;
mod sessions;
mod settings;
mod tickets;
mod wire;
mod write_access;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
