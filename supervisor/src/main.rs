//! The root supervisor of Bulkhead, its keeper and authenticator, and the operator's command line.

mod certificate;
mod config;
mod roles;

fn main() {}
