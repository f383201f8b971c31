//! The tree of files that both packages are made of.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    command::{Done, copy, make_directory, run, workspace},
    dist::Flavour,
};

/// Where a package's file comes from, relative to the workspace, and where it goes.
const FILES: [(&str, &str); 16] = [
    ("packaging/pam.d/bulkhead", "root/etc/pam.d/bulkhead"),
    ("packaging/rpm/pam", "root-rpm/etc/pam.d/bulkhead"),
    ("packaging/logrotate.d/bulkhead", "root/etc/logrotate.d/bulkhead"),
    ("packaging/apparmor/bulkhead", "root/etc/apparmor.d/bulkhead"),
    ("packaging/systemd/bulkhead.service", "root/usr/lib/systemd/system/bulkhead.service"),
    ("packaging/systemd/bulkhead.socket", "root/usr/lib/systemd/system/bulkhead.socket"),
    (
        "packaging/systemd/bulkhead-helper@.service",
        "root/usr/lib/systemd/system/bulkhead-helper@.service",
    ),
    (
        "packaging/systemd/bulkhead-helper.socket",
        "root/usr/lib/systemd/system/bulkhead-helper.socket",
    ),
    ("packaging/sysusers.d/bulkhead.conf", "root/usr/lib/sysusers.d/bulkhead.conf"),
    ("packaging/tmpfiles.d/bulkhead.conf", "root/usr/lib/tmpfiles.d/bulkhead.conf"),
    ("packaging/firewalld/bulkhead.xml", "root/usr/lib/firewalld/services/bulkhead.xml"),
    ("packaging/fail2ban/bulkhead.conf", "root/usr/share/bulkhead/fail2ban/bulkhead.conf"),
    ("packaging/selinux/bulkhead.te", "root/usr/share/bulkhead/selinux/bulkhead.te"),
    ("packaging/selinux/bulkhead.fc", "root/usr/share/bulkhead/selinux/bulkhead.fc"),
    ("packaging/selinux/bulkhead.if", "root/usr/share/bulkhead/selinux/bulkhead.if"),
    ("packaging/deb/lintian-overrides", "root/usr/share/lintian/overrides/bulkhead"),
];

/// As [`FILES`], out of what `bulkhead document` writes.
const DOCUMENTS: [(&str, &str); 5] = [
    ("bulkhead.toml", "root/etc/bulkhead/bulkhead.toml"),
    ("completions/bulkhead.bash", "root/usr/share/bash-completion/completions/bulkhead"),
    ("completions/_bulkhead", "root/usr/share/zsh/vendor-completions/_bulkhead"),
    ("completions/_bulkhead", "root-rpm/usr/share/zsh/site-functions/_bulkhead"),
    ("completions/bulkhead.fish", "root/usr/share/fish/vendor_completions.d/bulkhead.fish"),
];

/// Lays the tree out in `package/root` (both packages) and `package/root-rpm` (what differs there).
///
/// # Errors
/// When a file is missing or cannot be written.
pub fn lay_out(package: &Path, documents: &Path, binaries: &Path, flavour: Flavour) -> Done<()> {
    for (from, to) in FILES {
        place(&workspace().join(from), &package.join(to))?;
    }
    for (from, to) in DOCUMENTS {
        place(&documents.join(from), &package.join(to))?;
    }
    let own = package.join("root/usr/bin/bulkhead");
    place_program(&binaries.join("bulkhead"), &own, flavour)?;
    for program in ["bulkhead-worker", "bulkhead-helper"] {
        let to = package.join("root/usr/libexec/bulkhead").join(program);
        place_program(&binaries.join(program), &to, flavour)?;
    }
    for policy in entries(&workspace().join("policy/roles"))? {
        let to = package.join("root/usr/share/bulkhead/policy").join(name(&policy));
        place(&policy, &to)?;
    }
    for page in entries(&documents.join("man"))? {
        let section = if page.extension().is_some_and(|e| e == "5") { "man5" } else { "man8" };
        let to = package.join("root/usr/share/man").join(section).join(name(&page));
        place(&page, &to)?;
        compress(&to)?;
    }
    let documents = package.join("root/usr/share/doc/bulkhead");
    for folder in ["docs", "docs/decisions"] {
        let to = match folder.strip_prefix("docs/") {
            Some(inner) => documents.join(inner),
            None => documents.clone(),
        };
        for page in entries(&workspace().join(folder))?.into_iter().filter(|page| page.is_file()) {
            place(&page, &to.join(name(&page)))?;
        }
    }
    let changelog = documents.join("changelog");
    place(&workspace().join("CHANGELOG.md"), &changelog)?;
    compress(&changelog)
}

/// Compresses a file in place, without its name and time.
pub fn compress(file: &Path) -> Done<()> {
    run(Command::new("gzip").args(["--no-name", "--best", "--force"]).arg(file))
}

/// The release profile strips its programs; those of the dev profile are stripped here. Their build
/// id is a hash over what is stripped, which names directories of this machine, so it is wiped. (Not
/// removed: strip would lay the segments out anew, without GNU_RELRO.)
fn place_program(from: &Path, to: &Path, flavour: Flavour) -> Done<()> {
    place(from, to)?;
    run(Command::new("strip").args(["--strip-unneeded", "--remove-section=.comment"]).arg(to))?;
    if flavour == Flavour::Release {
        return Ok(());
    }
    let note = to.with_extension("note");
    std::fs::write(&note, NO_BUILD_ID).map_err(|e| format!("{}: {e}", note.display()))?;
    let mut wipe = Command::new("objcopy");
    wipe.arg(format!("--update-section=.note.gnu.build-id={}", note.display()));
    run(wipe.arg(to))?;
    std::fs::remove_file(&note).map_err(|e| format!("{}: {e}", note.display()))
}

/// The note of a build id of zeros: lengths of its name and of the id, type, name, id (elf(5)).
const NO_BUILD_ID: [u8; 36] = {
    let mut note = [0; 36];
    (note[0], note[4], note[8]) = (4, 20, 3);
    (note[12], note[13], note[14]) = (b'G', b'N', b'U');
    note
};

fn place(from: &Path, to: &Path) -> Done<()> {
    make_directory(to.parent().unwrap_or(to))?;
    copy(from, to)
}

/// The entries of a directory, sorted.
pub fn entries(directory: &Path) -> Done<Vec<PathBuf>> {
    let failed = |e: std::io::Error| format!("{}: {e}", directory.display());
    let entries = fs::read_dir(directory).map_err(failed)?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> &std::ffi::OsStr {
    path.file_name().unwrap_or_default()
}
