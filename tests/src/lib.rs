//! The harness of the whole-program tests: it starts the real binaries on free ports in a scratch
//! directory of their own, speaks to them over the wire, and looks at their processes from outside.

pub mod harness;
pub mod hostile_worker;
