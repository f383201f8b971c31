//! The .rpm: what is in it, what its scripts do, and an installation into a root of its own.

use std::{fs, path::Path};

use libtest_mimic::Trial;

use super::{contents::EVERYWHERE, directory, harness, package_in, printed, project, run, text};

pub fn tests() -> Vec<Trial> {
    vec![
        harness::needs_program("rpm: holds what it should", "rpm", holds_what_it_should),
        harness::needs_program("rpm: scripts do nothing surprising", "rpm", scripts),
        harness::needs_program("rpm: rpmlint is content", "rpmlint", rpmlint_is_content),
        if harness::is_root() {
            harness::needs_program("rpm: installs into a root and goes again", "rpm", installs)
        } else {
            harness::needs_root("rpm: installs into a root and goes again", installs)
        },
    ]
}

fn holds_what_it_should() {
    let rpm = package_in(&directory(), "rpm");
    let listing = printed("rpm", &["-qp", "--nosignature", "-lv", text(&rpm)]);
    let further = [("-rw-r--r--", "/usr/share/zsh/site-functions/_bulkhead")];
    for (mode, path) in EVERYWHERE.iter().chain(&further) {
        let entry = listing.lines().find(|line| line.ends_with(&format!(" {path}")));
        let entry = entry.unwrap_or_else(|| panic!("{path} is missing:\n{listing}"));
        assert!(entry.starts_with(mode) && entry.contains(" root "), "{entry}");
    }
    let configuration = printed("rpm", &["-qp", "--nosignature", "-c", text(&rpm)]);
    let etc = |line: &&str| line.rsplit(' ').next().is_some_and(|path| path.starts_with("/etc/"));
    assert_eq!(configuration.lines().count(), listing.lines().filter(etc).count());
    let pam = fs::read_to_string(project("packaging/rpm/pam")).unwrap();
    assert!(pam.contains("password-auth"), "the service of Debian's relatives is another");
}

/// Word for word, so that a change of what runs as root on other people's machines is seen.
fn scripts() {
    let rpm = package_in(&directory(), "rpm");
    let scripts = printed("rpm", &["-qp", "--nosignature", "--scripts", text(&rpm)]);
    let commands: Vec<&str> = scripts
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.contains(" scriptlet"))
        .collect();
    let expected = [
        "systemd-sysusers bulkhead.conf || :",
        "systemd-tmpfiles --create bulkhead.conf || :",
        "if [ -d /run/systemd/system ]; then systemctl daemon-reload || :; fi",
        "if [ \"$1\" = 0 ] && [ -d /run/systemd/system ]; then",
        "systemctl --no-reload disable --now bulkhead.service bulkhead.socket bulkhead-helper.socket || :",
        "fi",
        "if [ -d /run/systemd/system ]; then",
        "systemctl daemon-reload || :",
        "if [ \"$1\" -ge 1 ]; then systemctl try-restart bulkhead.service || :; fi",
        "fi",
    ];
    assert_eq!(commands, expected, "{scripts}");
}

fn rpmlint_is_content() {
    let rpm = package_in(&directory(), "rpm");
    let config = project("packaging/rpm/rpmlint.toml");
    let output = run("rpmlint", &["--config", text(&config), "--strict", text(&rpm)]);
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn installs() {
    let rpm = package_in(&directory(), "rpm");
    let scratch = tempfile::TempDir::with_prefix("bulkhead-rpm-").unwrap();
    let root = scratch.path();
    let flags = ["--root", text(root), "--nodeps", "--noscripts", "--nosignature"];
    let rpm_with = |arguments: &[&str]| {
        let arguments: Vec<&str> = flags.iter().copied().chain(arguments.iter().copied()).collect();
        printed("rpm", &arguments)
    };
    printed("rpm", &["--root", text(root), "--initdb"]);
    rpm_with(&["-i", text(&rpm)]);
    let there = |path: &str| root.join(path.trim_start_matches('/')).exists();
    for (_, path) in EVERYWHERE {
        assert!(there(path), "{path}");
    }
    let verified = printed("rpm", &["--root", text(root), "-V", "--nodeps", "bulkhead"]);
    assert_eq!(verified, "");
    runs(root);
    rpm_with(&["-e", "bulkhead"]);
    for (_, path) in EVERYWHERE {
        assert!(!there(path), "{path} stayed");
    }
}

/// The installed program starts and reads the installed configuration.
fn runs(root: &Path) {
    let bulkhead = root.join("usr/bin/bulkhead");
    let configuration = root.join("etc/bulkhead/bulkhead.toml");
    let version = printed(text(&bulkhead), &["--version"]);
    assert!(version.starts_with("bulkhead "), "{version}");
    let listed = printed(text(&bulkhead), &["--config", text(&configuration), "unit"]);
    assert!(listed.contains("[Service]"), "{listed}");
}
