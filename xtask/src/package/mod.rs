//! `cargo xtask package`: a .deb and a .rpm out of one tree of files, and the list of what is linked in.
//!
//! Everything in a package comes from the commit: times are the commit's (`SOURCE_DATE_EPOCH`), the
//! compressed files hold no name or time of their own, and the programs no path of this machine. So
//! two builds of one commit are the same.

mod again;
mod changelog;
mod layout;
mod sbom;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;

use crate::{
    command::{Done, cargo, copy, output, run, say, target, workspace},
    dist::{self, Flavour},
    tools,
};

/// What to pack.
#[derive(Args)]
pub struct Options {
    /// Pack the binaries of the dev profile, into target/package-dev/, as the tests do
    #[arg(long)]
    dev: bool,
    /// Build and pack the commit once more, from nothing and in another directory, and compare
    #[arg(long)]
    twice: bool,
}

/// What distinguishes one packing from another.
#[derive(Debug, Clone, Copy)]
pub struct Packing {
    /// Which binaries.
    pub flavour: Flavour,
    /// Revision of the packages: 1, 2, … for the same version of Bulkhead.
    pub revision: u32,
}

impl Packing {
    /// Where the packages and the tree they are made of go.
    fn directory(self) -> PathBuf {
        // cargo-deb and cargo-generate-rpm read their lists of files from Cargo.toml, which names
        // this one directory; every packing is laid out anew.
        target().join(match self.flavour {
            Flavour::Release => "package",
            Flavour::Dev => "package-dev",
        })
    }
}

/// `cargo xtask package`: builds both packages.
///
/// # Errors
/// When a build fails or a tool is missing.
pub fn run_command(options: &Options) -> Done<()> {
    tools::provide_to_package()?;
    let flavour = if options.dev { Flavour::Dev } else { Flavour::Release };
    let packing = Packing { flavour, revision: 1 };
    let binaries = dist::build(flavour)?;
    lay_out(packing, &binaries)?;
    let packages = pack(packing, &packing.directory())?;
    for package in &packages {
        say(&package.display().to_string())?;
    }
    if options.twice {
        again::compare(&packages, options.dev)?;
        say("built twice, the packages are the same")?;
    }
    Ok(())
}

/// What the tests of the packages need, in `target/package-dev/`: the packages, a newer revision to
/// upgrade to (`newer/`), and the same once more, built out of a copy of the workspace (`again/`).
///
/// # Errors
/// When packing fails.
pub fn build_for_tests(binaries: &Path) -> Done<PathBuf> {
    let packing = Packing { flavour: Flavour::Dev, revision: 1 };
    let directory = build_two(binaries)?;
    let other = again::copy_of_workspace()?;
    let rebuilt = target().join("dist-again");
    dist::build_from(other.path(), packing.flavour, &rebuilt)?;
    lay_out_again(packing, &rebuilt)?;
    pack(packing, &directory.join("again"))?;
    Ok(directory)
}

/// The packages, and a newer revision to upgrade to (`newer/`), where the tests expect them.
///
/// # Errors
/// When packing fails.
pub fn build_two(binaries: &Path) -> Done<PathBuf> {
    let packing = Packing { flavour: Flavour::Dev, revision: 1 };
    let newer = Packing { revision: 2, ..packing };
    let directory = packing.directory();
    lay_out(packing, binaries)?;
    pack(packing, &directory)?;
    lay_out_again(newer, binaries)?;
    pack(newer, &directory.join("newer"))?;
    Ok(directory)
}

/// Where the packages are that [`build_for_tests`] makes.
pub fn tested() -> PathBuf {
    Packing { flavour: Flavour::Dev, revision: 1 }.directory()
}

/// Writes man pages, completions, the example configuration and the reference of its keys.
///
/// # Errors
/// When the build fails.
pub fn document(directory: &Path) -> Done<()> {
    let mut command = cargo();
    // Without a package: with the features of the whole workspace, as the tests are built.
    command.args(["run", "--quiet", "--locked", "--bin", "bulkhead"]);
    command.args(["--features", "bulkhead/document", "--", "document"]);
    run(command.arg(directory))
}

/// Renews docs/configure.md, the tables of docs/log.md with its schema, and the picture of the crates in docs/design.md.
///
/// # Errors
/// When the build fails.
pub fn renew_documents() -> Done<()> {
    let directory = target().join("documents");
    document(&directory)?;
    copy(&directory.join("configure.md"), &workspace().join("docs/configure.md"))?;
    copy(&directory.join("log.schema.json"), &workspace().join("docs/log.schema.json"))?;
    let page = workspace().join("docs/log.md");
    for part in ["log-events", "log-reasons"] {
        let text = std::fs::read_to_string(directory.join(format!("{part}.md")));
        replace_part(&page, part, &text.map_err(|e| format!("{part}.md: {e}"))?)?;
    }
    crate::structure::renew_picture()
}

/// Replaces what stands between two comments with this name in a page.
///
/// # Errors
/// When the page cannot be read or written, or has no such part.
pub fn replace_part(page: &Path, name: &str, text: &str) -> Done<()> {
    let failed = |e: std::io::Error| format!("{}: {e}", page.display());
    let whole = std::fs::read_to_string(page).map_err(failed)?;
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let parts = whole.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some(format!("{before}{begin}{text}{end}{after}"))
    });
    let new = parts.ok_or_else(|| format!("{}: no part named {name}", page.display()))?;
    std::fs::write(page, new).map_err(failed)
}

/// Lays out the tree of files from nothing.
fn lay_out(packing: Packing, binaries: &Path) -> Done<()> {
    let directory = packing.directory();
    remove(&directory)?;
    document(&directory.join("documents"))?;
    lay_out_again(packing, binaries)
}

/// Lays out the tree anew, with the documents that are there.
fn lay_out_again(packing: Packing, binaries: &Path) -> Done<()> {
    let directory = packing.directory();
    for tree in ["root", "root-rpm"] {
        remove(&directory.join(tree))?;
    }
    layout::lay_out(&directory, &directory.join("documents"), binaries, packing.flavour)?;
    changelog::write(&directory, packing.revision, commit_time()?)?;
    sbom::write(&directory.join("root/usr/share/doc/bulkhead/sbom.cdx.json"))?;
    // The lists of files in cli/Cargo.toml name one place for both flavours.
    let named = target().join("package-tree");
    remove(&named)?;
    std::os::unix::fs::symlink(&directory, &named)
        .map_err(|e| format!("linking {}: {e}", named.display()))
}

/// Makes both packages out of the tree that is laid out.
fn pack(packing: Packing, into: &Path) -> Done<Vec<PathBuf>> {
    crate::command::make_directory(into)?;
    let time = commit_time()?.to_string();
    let revision = packing.revision.to_string();
    let mut deb = cargo();
    deb.args(["deb", "--quiet", "--locked", "--no-build", "--no-strip", "--package", "bulkhead"]);
    deb.args(["--deb-revision", &revision, "--output"]).arg(into);
    if packing.flavour == Flavour::Dev {
        deb.arg("--fast");
    }
    run(deb.env("SOURCE_DATE_EPOCH", &time))?;
    let mut rpm = cargo();
    rpm.args(["generate-rpm", "--package", "cli", "--source-date", &time]);
    if packing.flavour == Flavour::Dev {
        rpm.args(["--payload-compress", "gzip"]);
    }
    rpm.args(["--set-metadata", &format!("release = \"{revision}\""), "--output"]).arg(into);
    run(&mut rpm)?;
    let mut packages = layout::entries(into)?;
    packages.retain(|path| path.extension().is_some_and(|e| e == "deb" || e == "rpm"));
    Ok(packages)
}

/// The time of the commit, in seconds since 1970.
fn commit_time() -> Done<u64> {
    let mut git = Command::new("git");
    let time = output(git.current_dir(workspace()).args(["log", "-1", "--format=%ct"]))?;
    time.trim().parse().map_err(|e| format!("git log names no time: {e}"))
}

fn remove(path: &Path) -> Done<()> {
    let removed = match path.symlink_metadata() {
        Err(_) => return Ok(()),
        Ok(there) if there.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    removed.map_err(|e| format!("removing {}: {e}", path.display()))
}
