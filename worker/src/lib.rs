//! The worker: the process that serves one client, first as gate, then (another process) as session.
//!
//! Run by the supervisor, once per stage, with the channel to the supervisor as standard input. The
//! gate holds the control connection and nothing else; the session holds the account's root and
//! runs as the account. It reads every byte the client sends, so it never starts a thread or a
//! process, never opens a file by an absolute name, and reads none of those bytes before
//! `policy::lockdown` has returned.
#![forbid(unsafe_code)]

pub mod control;
mod fatal;
pub mod files;
pub mod ftp;
pub mod gate;
pub mod i2ftp;
pub mod rate;
pub mod relay;
pub mod session;
mod start;
pub mod tls;
pub mod transfer;
pub mod verbs;
pub mod wait;

pub use fatal::Fatal;
pub use start::run;
