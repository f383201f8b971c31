//! The invariants that the fuzz targets check, and the modules of the supervisor that they need: it
//! is a program, so they are compiled once more here.
pub mod administration;
pub mod frames;
pub mod invariants;
pub mod policy_file;
pub mod tls_stream;

#[allow(dead_code, reason = "the supervisor uses the rest")]
#[path = "../../supervisor/src/account/mod.rs"]
mod account;
#[allow(dead_code, reason = "as above")]
#[path = "../../supervisor/src/config/mod.rs"]
mod config;
