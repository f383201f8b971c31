//! The sandbox policies of Bulkhead as data, and the lockdown that raises them.
//!
//! `roles/*.toml` hold one policy per role: identity, capabilities, limits, Landlock rights and
//! system calls, each with its reason. The files are translated by build.rs, embedded here, compiled
//! by [`compile`] and raised by [`lockdown()`]; the crate `policy-audit` checks the files and prints
//! the same data for `bulkhead policy`. Every process
//! of Bulkhead runs this crate on itself before it reads a byte of a client. It depends on `ipc`
//! for the messages that carry a [`ipc::process::Confinement`] there and a
//! [`ipc::process::SandboxReport`] back, and on nothing else of Bulkhead.
#![forbid(unsafe_code)]

mod apparmor;
pub mod compile;
mod embedded;
mod failure;
mod identity;
mod landlock_rules;
pub mod lockdown;
pub mod model;
pub mod role;
mod symbols;
pub mod syscalls;

pub use apparmor::{profile_of, profiles};
pub use embedded::{TranslationError, policy_of, source};
pub use identity::{capability_bit, lacking, securebits_of};
pub use landlock_rules::{Probe, is_file_right, probe};
pub use lockdown::{LockedDown, lockdown, narrow};
pub use role::{Feature, Features, Role};
