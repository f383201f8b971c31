//! The attempts, by what they are after.

mod execution;
mod files;
mod kernel;
mod modes;
mod processes;
mod sockets;
mod state;

use crate::world::World;

/// What an attempt got: the value of its last call, or the errno.
pub type Got = Result<i64, i32>;

/// One attempt.
pub struct Attempt {
    /// What it tries; unique.
    pub name: &'static str,
    /// Tries it.
    pub run: fn(&World) -> Got,
}

/// Makes a list of attempts.
macro_rules! attempts {
    ($($name:literal => $run:expr),+ $(,)?) => {
        /// The attempts of this topic.
        pub const ATTEMPTS: &[$crate::attempts::Attempt] =
            &[$($crate::attempts::Attempt { name: $name, run: $run }),+];
    };
}
use attempts;

/// All attempts.
pub fn all() -> impl Iterator<Item = &'static Attempt> {
    [
        files::ATTEMPTS,
        modes::ATTEMPTS,
        execution::ATTEMPTS,
        sockets::ATTEMPTS,
        processes::ATTEMPTS,
        kernel::ATTEMPTS,
        state::ATTEMPTS,
    ]
    .into_iter()
    .flatten()
}
