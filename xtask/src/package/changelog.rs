//! The changelog of the Debian package (deb-changelog(5)), out of the project's own.

use std::{fs, path::Path, process::Command};

use super::layout::compress;
use crate::command::{Done, output};

/// Who makes the packages, as in cli/Cargo.toml.
const MAINTAINER: &str = "The Bulkhead developers <bulkhead@example.org>";

/// Writes `changelog.Debian.gz` into the tree: one entry, which points at the project's changelog.
///
/// # Errors
/// When the file cannot be written.
pub fn write(package: &Path, revision: u32, time: u64) -> Done<()> {
    let version = env!("CARGO_PKG_VERSION");
    let since = format!("@{time}");
    let date = output(Command::new("date").args(["--utc", "--rfc-email", "--date", &since]))?;
    let text = format!(
        "bulkhead ({version}-{revision}) unstable; urgency=medium\n\n  \
         * Built from version {version}: see /usr/share/doc/bulkhead/changelog.gz.\n\n \
         -- {MAINTAINER}  {}\n",
        date.trim()
    );
    let path = package.join("root/usr/share/doc/bulkhead/changelog.Debian");
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    compress(&path)
}
