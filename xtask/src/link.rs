//! How the programs differ from what `cargo build` makes of their packages: worker and helper are linked
//! statically, and a panic ends each of them at once.
//!
//! Cargo knows no such difference within one build. Two builds, with flags of their own, compiled
//! every package twice, and a third time for the tests, which need a panic that unwinds. So cargo is
//! told to start this program for the compiler (`RUSTC_WORKSPACE_WRAPPER`), which adds the flags where the
//! programs themselves are compiled, and changes nothing for what they are made of. Cargo keeps what
//! it has built through a wrapper apart from the rest.

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode},
};

use crate::command::Done;

/// Says that this program stands for the compiler.
const MARK: &str = "BULKHEAD_LINK";

/// The programs that are linked statically, as the compiler calls them: they reach their `main` in a
/// third of the time, and share no writable relocation with a library.
const STATIC: [&str; 2] = ["bulkhead_worker", "bulkhead_helper"];

/// The program that is linked dynamically, because PAM loads its modules.
const DYNAMIC: &str = "bulkhead";

/// Makes a cargo command link the programs as they are shipped.
///
/// # Errors
/// When it is not known where this program is.
pub fn as_shipped(command: &mut Command) -> Done<&mut Command> {
    let own = env::current_exe().map_err(|e| format!("the path of xtask is not known: {e}"))?;
    let directory = own.parent().map(PathBuf::from).unwrap_or_default();
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([directory].into_iter().chain(env::split_paths(&path)))
        .map_err(|e| format!("PATH: {e}"))?;
    // By its name: cargo puts the wrapper into the names of symbols, and the programs are the same
    // wherever they are built.
    Ok(command.env("RUSTC_WORKSPACE_WRAPPER", "xtask").env(MARK, "1").env("PATH", path))
}

/// Becomes the compiler, if cargo has started us for it.
pub fn as_compiler() -> Option<ExitCode> {
    env::var_os(MARK)?;
    let mut arguments = env::args_os().skip(1);
    let compiler = arguments.next()?;
    let arguments: Vec<OsString> = arguments.collect();
    let error = Command::new(&compiler).args(&arguments).args(flags(&arguments)).exec();
    eprintln!("xtask: {} cannot be started: {error}", compiler.display());
    Some(ExitCode::FAILURE)
}

/// The flags that a program of ours gets besides.
fn flags(arguments: &[OsString]) -> Vec<&'static str> {
    let after = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1)?.to_str()
    };
    match (after("--crate-type"), after("--crate-name")) {
        (Some("bin"), Some(name)) if STATIC.contains(&name) => {
            vec!["-Cpanic=abort", "-Ctarget-feature=+crt-static"]
        }
        (Some("bin"), Some(DYNAMIC)) => vec!["-Cpanic=abort"],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Vec<&'static str> {
        flags(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn only_the_programs_themselves_get_flags() {
        let worker = of("--crate-name bulkhead_worker src/main.rs --crate-type bin --emit=link");
        assert_eq!(worker, ["-Cpanic=abort", "-Ctarget-feature=+crt-static"]);
        assert_eq!(of("--crate-name bulkhead --crate-type bin"), ["-Cpanic=abort"]);
        for other in [
            "--crate-name bulkhead_worker --crate-type lib",
            "--crate-name build_script_build --crate-type bin",
            "--crate-name xtask --crate-type bin",
            "--crate-name bulkhead_helper --test",
            "-vV",
        ] {
            assert!(of(other).is_empty(), "{other}");
        }
    }
}
