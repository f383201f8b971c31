//! Running other programs, and where things are.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// What a task ends with: nothing, or a sentence that says what failed.
pub type Done<T> = Result<T, String>;

/// The root of the workspace. `cargo run` names it anew at each run; what was compiled in names the
/// checkout that the build directory was made for, which may have been copied from another one.
pub fn workspace() -> PathBuf {
    let own =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let own = Path::new(&own);
    own.parent().unwrap_or(own).to_path_buf()
}

/// Where cargo builds: `CARGO_TARGET_DIR`, or `target` in the workspace.
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => workspace().join(directory),
        None => workspace().join("target"),
    }
}

/// The cargo that runs us.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

/// Runs a program with our own input and output, and expects success.
///
/// # Errors
/// When it cannot be started or fails.
pub fn run(command: &mut Command) -> Done<()> {
    let status = command.status().map_err(|e| format!("{command:?} cannot be started: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}")) }
}

/// Runs a program and takes what it prints, and expects success.
///
/// # Errors
/// When it cannot be started or fails; the text has what it printed on standard error.
pub fn output(command: &mut Command) -> Done<String> {
    let Output { status, stdout, stderr } =
        command.output().map_err(|e| format!("{command:?} cannot be started: {e}"))?;
    if status.success() {
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    } else {
        Err(format!("{command:?} failed: {status}\n{}", String::from_utf8_lossy(&stderr)))
    }
}

/// Whether we run as root.
///
/// # Errors
/// When `id` cannot be run.
pub fn is_root() -> Done<bool> {
    Ok(output(Command::new("id").arg("-u"))?.trim() == "0")
}

/// Copies a file, with its mode.
///
/// # Errors
/// Names both paths.
pub fn copy(from: &Path, to: &Path) -> Done<()> {
    // Written anew and renamed, because the old program may be running.
    let new = to.with_extension("new");
    std::fs::copy(from, &new)
        .and_then(|_| std::fs::rename(&new, to))
        .map_err(|e| format!("copying {} to {}: {e}", from.display(), to.display()))
}

/// Makes a directory and those above it.
///
/// # Errors
/// Names the path.
pub fn make_directory(path: &Path) -> Done<()> {
    std::fs::create_dir_all(path).map_err(|e| format!("making {}: {e}", path.display()))
}

/// Prints a line on standard output.
///
/// # Errors
/// When nobody reads it.
pub fn say(line: &str) -> Done<()> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{line}").map_err(|e| format!("standard output: {e}"))
}
