//! The sandbox policies of Bulkhead as data, and the lockdown that raises them.
//!
//! `roles/*.toml` hold one policy per role: identity, capabilities, limits, Landlock rights and
//! system calls, each with its reason. The files are embedded here, checked by [`load`], compiled by
//! [`compile`] and raised by [`lockdown()`]; `bulkhead policy` prints the same data. Every process
//! of Bulkhead runs this crate on itself before it reads a byte of a client. It depends on `ipc`
//! for the messages that carry a [`ipc::process::Confinement`] there and a
//! [`ipc::process::SandboxReport`] back, and on nothing else of Bulkhead.
#![forbid(unsafe_code)]

pub mod compile;
mod identity;
mod landlock_rules;
pub mod load;
pub mod lockdown;
pub mod model;
pub mod report;
pub mod role;
mod symbols;
pub mod syscalls;

pub use identity::{capability_bit, securebits_of};
pub use landlock_rules::{Probe, probe};
pub use load::policy_of;
pub use lockdown::{LockedDown, lockdown, narrow};
pub use role::{Feature, Features, Role};
