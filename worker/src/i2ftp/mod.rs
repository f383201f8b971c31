//! I2FTP in the worker: the gate's part of the handshake, and the session.
//!
//! The gate passes the first 16 bytes and the answer to the nonce on to the supervisor and knows no
//! key. The session gets the connection after that: version, mode, key exchange and greeting in
//! [`start`], then requests in [`session`]. Every path goes through `tree`, which reaches nothing
//! but what is beneath the account's root. The protocol itself is the crate `i2ftp`.

pub mod connection;
pub mod gate;
mod operations;
mod refusal;
mod refusal_notices;
pub mod session;
pub mod start;
mod supervisor;
mod transfers;
mod tree;
