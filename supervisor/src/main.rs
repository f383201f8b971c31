//! The root supervisor of Bulkhead, its keeper and authenticator, and the operator's command line.

mod config;

mod certificate;
mod roles;

fn main() {}
