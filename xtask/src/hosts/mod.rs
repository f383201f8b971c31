//! `cargo xtask test --hosts`: stock hosts in virtual machines, and what the package does there.
//!
//! A guest is a Debian with its own kernel, systemd and AppArmor in qemu. Its checks are scripts of
//! `tests/hosts`; the table of docs/hosts.md is written by the run.

mod boot;
mod guest;
mod image;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use tempfile::TempDir;

use self::{
    boot::{ALL, Boot, FIRST, Ran},
    guest::{Checked, Outcome},
};
use crate::{
    command::{Done, copy, is_root, say},
    tools::is_installed,
};

/// How many checks passed, failed and were skipped.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Skipped.
    pub skipped: u64,
}

/// Why no guest can run here, if none can.
///
/// # Errors
/// When it cannot be found out.
pub fn missing() -> Done<Option<&'static str>> {
    if !is_root()? {
        return Ok(Some("root"));
    }
    let needed = ["qemu-system-x86_64", "debootstrap", "mke2fs", "tar"];
    Ok(needed.into_iter().find(|program| !is_installed(program)))
}

/// Whether the image for the guest of `.ci/run` is there. Making one takes minutes and many packages, which
/// only `cargo xtask test --hosts` spends.
///
/// # Errors
/// When the files of its recipe cannot be read.
pub fn first_is_made() -> Done<bool> {
    let made: Done<Vec<bool>> = FIRST.iter().map(|boot| image::is_made(boot.release)).collect();
    Ok(made?.into_iter().all(|made| made))
}

/// Runs the guest of `.ci/run` with the package in `packages`.
///
/// # Errors
/// When a guest cannot be prepared.
pub fn run_first(packages: &Path) -> Done<Sum> {
    Ok(sum(&run(&FIRST, packages)?))
}

/// Runs all guests and writes their table into docs/hosts.md.
///
/// # Errors
/// When a guest cannot be prepared, or the table cannot be written.
pub fn run_all(packages: &Path, filter: Option<&str>) -> Done<Sum> {
    let chosen = |boot: &Boot| filter.is_none_or(|filter| boot.name().contains(filter));
    let boots: Vec<Boot> = ALL.into_iter().filter(chosen).collect();
    let ran = run(&boots, packages)?;
    if filter.is_none() {
        table::write(&ran)?;
    }
    Ok(sum(&ran))
}

fn run(boots: &[Boot], packages: &Path) -> Done<Vec<Ran>> {
    let mut all = Vec::new();
    for boot in boots {
        say(&format!("== host {}", boot.name()))?;
        let started = Instant::now();
        let checked = run_one(boot, packages)?;
        for Checked { name, outcome } in &checked {
            match outcome {
                Outcome::Passed => say(&format!("test {name} ... ok"))?,
                Outcome::Skipped(why) => say(&format!("test {name} ... skipped: {why}"))?,
                Outcome::Failed(lines) => {
                    say(&format!("test {name} ... FAILED\n    {}", lines.join("\n    ")))?;
                }
            }
        }
        say(&format!("{} checks in {} s", checked.len(), started.elapsed().as_secs()))?;
        all.push(Ran { boot: *boot, checked });
    }
    Ok(all)
}

fn run_one(boot: &Boot, packages: &Path) -> Done<Vec<Checked>> {
    let image = match image::provide(boot.release) {
        Ok(image) => image,
        Err(why) => {
            let name = "the image of the guest".to_owned();
            return Ok(vec![Checked { name, outcome: Outcome::Skipped(why) }]);
        }
    };
    let scratch = TempDir::with_prefix("bulkhead-host-").map_err(|e| e.to_string())?;
    let place = scratch.path().join("guest");
    fs::create_dir(&place).map_err(|e| e.to_string())?;
    for file in ["lib.sh", boot.script] {
        fs::write(place.join(file), image::guest_file(file)?).map_err(|e| e.to_string())?;
    }
    let begin = format!("EXPECT={}\n. ./{}\n", boot.expect, boot.script);
    fs::write(place.join("run"), begin).map_err(|e| e.to_string())?;
    copy(&package_in(packages)?, &place.join("bulkhead.deb"))?;
    if let Ok(newer) = package_in(&packages.join("newer")) {
        copy(&newer, &place.join("newer.deb"))?;
    }
    guest::boot(&image, &place, boot.parameters, boot.limit)
}

/// The .deb in a directory.
fn package_in(directory: &Path) -> Done<PathBuf> {
    let entries = fs::read_dir(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    let found = paths.find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    found.ok_or_else(|| format!("{} holds no .deb", directory.display()))
}

fn sum(ran: &[Ran]) -> Sum {
    let mut sum = Sum::default();
    for Checked { outcome, .. } in ran.iter().flat_map(|ran| &ran.checked) {
        match outcome {
            Outcome::Passed => sum.passed += 1,
            Outcome::Failed(_) => sum.failed += 1,
            Outcome::Skipped(_) => sum.skipped += 1,
        }
    }
    sum
}
