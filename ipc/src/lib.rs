//! Every message that travels between Bulkhead's processes, and the channels that carry them.
//!
//! Each channel is a file here with one enum per direction. The doc comment of a variant says who
//! sends it, when, what the receiver checks and how many descriptors travel with it. A channel is a
//! `SOCK_SEQPACKET` socket pair: one frame is one message, its size is bounded before decoding, and
//! a frame that is too long, does not decode exactly, or carries the wrong number of descriptors
//! is a [`channel::ChannelError`] that ends the session of the process that sent it.
//!
//! This crate depends on no other crate of Bulkhead. Unsafe code is fenced into [`fdpass`]
//! (descriptors from the kernel), [`last_words`] (the SIGSYS handler) and [`packet_filter`] (two
//! socket options).

pub mod account;
pub mod authenticator;
pub mod bounded;
pub mod channel;
pub mod codec;
pub mod fdpass;
pub mod gate;
pub mod helper;
pub mod keeper;
pub mod last_words;
pub mod network;
pub mod operator;
pub mod packet_filter;
pub mod parts;
pub mod printable;
pub mod process;
pub mod reason;
pub mod root_path;
pub mod session;
pub mod share;
pub mod tls_facts;
pub mod typed;

pub use channel::{Channel, ChannelError, Message, Received};
pub use printable::printable;
