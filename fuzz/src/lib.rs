//! The invariants that the fuzz targets check.
pub mod invariants;
