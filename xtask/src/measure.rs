//! `cargo xtask bench`: starts the benchmark, a package of its own, so that nothing else has to build
//! what it links.

use crate::command::{Done, cargo, run};

/// Builds the benchmark and runs it with these arguments.
///
/// # Errors
/// When the build fails, or the benchmark does.
pub fn run_benchmark(arguments: &[String]) -> Done<()> {
    let mut command = cargo();
    // Without a package: with the features of the whole workspace, as the tests are built.
    command.args(["run", "--quiet", "--locked", "--bin", "bulkhead-bench", "--"]);
    run(command.args(arguments))
}
