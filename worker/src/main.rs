//! `bulkhead-worker gate|session`: started by the supervisor with its channel as standard input.

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::run(std::env::args_os().nth(1).as_deref())
}
