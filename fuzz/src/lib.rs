//! The invariants that the fuzz targets check.
pub mod administration;
pub mod frames;
pub mod invariants;
pub mod policy_file;
pub mod tls_stream;
