//! What the developer's commands do. The program `xtask` picks one of them; the benchmark, a package of
//! its own, uses the ground floor: [`command`], [`dist`] and [`tools`].
#![forbid(unsafe_code)]

pub mod command;
pub mod demonstrate;
pub mod dist;
pub mod hosts;
pub mod link;
pub mod measure;
pub mod package;
pub mod structure;
pub mod tests_run;
pub mod tools;
