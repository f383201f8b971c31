//! The root supervisor of Bulkhead: it accepts, counts, starts and reaps, and never reads a byte
//! that came from the network.

#[macro_use]
pub mod log;

mod attempts;
mod boot;
mod census;
mod children;
mod connection;
mod deadlines;
mod hang_ups;
mod helper;
mod keeper;
pub mod listen;
mod login;
mod notify;
mod operator;
mod pam_session;
mod passive_names;
mod penalties;
mod plausible;
mod pool;
mod programs;
mod refusals;
pub mod serve;
mod server;
mod serving;
mod session;
mod sessions;
mod tickets;
pub mod validity;
mod wire;
