//! The sandbox policies for people: parsing and checks of the files, reports, differences between two
//! versions, and the model of the evidence report.
//!
//! The command `bulkhead policy` and tests run this crate; no role does. A role reads its policy in
//! the form that the build script of [`policy`] has translated, so that it parses no TOML at run time
//! and does not link a parser for it. That the translation and the file say the same is tested here.
#![forbid(unsafe_code)]

pub mod evidence;
pub mod evidence_page;
pub mod load;
pub mod report;
