//! The harness of the whole-program tests: it starts the real binaries on free ports in a scratch
//! directory of their own, speaks to them over the wire, and looks at their processes from outside.

pub mod environment;
pub mod harness;
pub mod hostile_worker;
pub mod incomplete_session;
pub mod other_host;
pub mod reduced_policy;
