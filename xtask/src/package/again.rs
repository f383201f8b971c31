//! The second build that shows that the first can be repeated.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::command::{Done, cargo, copy, make_directory, output, run, workspace};

fn scratch() -> Done<TempDir> {
    TempDir::with_prefix("bulkhead-again-").map_err(|e| format!("the second build's place: {e}"))
}

/// A copy of the workspace as it is, without what git ignores.
///
/// # Errors
/// When git does not name the files, or one cannot be copied.
pub fn copy_of_workspace() -> Done<TempDir> {
    let scratch = scratch()?;
    let mut git = Command::new("git");
    git.current_dir(workspace()).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    for file in output(&mut git)?.lines() {
        let (from, to) = (workspace().join(file), scratch.path().join(file));
        // A file that was removed and not committed is listed as well.
        if from.is_file() {
            make_directory(to.parent().unwrap_or(&to))?;
            copy(&from, &to)?;
        }
    }
    Ok(scratch)
}

/// Builds the last commit from nothing in a clone, packs it, and compares.
///
/// # Errors
/// When the build fails, or a package is not the same bit for bit.
pub fn compare(packages: &[PathBuf], dev: bool) -> Done<()> {
    let scratch = scratch()?;
    let clone = scratch.path().join("clone");
    let mut git = Command::new("git");
    run(git.args(["clone", "--quiet"]).arg(workspace()).arg(&clone))?;
    let mut package = cargo();
    package.current_dir(&clone).args(["xtask", "package"]);
    if dev {
        package.arg("--dev");
    }
    for of_ours in ["CARGO_TARGET_DIR", "CARGO_MANIFEST_DIR"] {
        package.env_remove(of_ours);
    }
    run(&mut package)?;
    let place = clone.join("target").join(if dev { "package-dev" } else { "package" });
    let read = |path: &Path| fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
    for first in packages {
        let second = place.join(first.file_name().unwrap_or_default());
        if read(first)? != read(&second)? {
            let kept = scratch.keep();
            return Err(format!(
                "{} differs from what a second build in {} made; both are kept (uncommitted changes \
                 are in the first alone)",
                first.display(),
                kept.display()
            ));
        }
    }
    Ok(())
}
