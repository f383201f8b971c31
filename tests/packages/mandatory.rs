//! The profiles for AppArmor and SELinux are understood by their compilers.

use std::fs;

use libtest_mimic::Trial;

use super::{harness, project, run, text};

pub fn tests() -> Vec<Trial> {
    let selinux = "/usr/share/selinux/devel/Makefile";
    let module = harness::test("SELinux: the module compiles", module_compiles);
    vec![
        harness::needs_program(
            "AppArmor: the profile compiles",
            "apparmor_parser",
            profile_compiles,
        ),
        harness::test("AppArmor: h1 what is stacked is a child profile", h1_stacked_children),
        if fs::exists(selinux).unwrap_or_default() {
            module
        } else {
            module.with_kind("skipped: needs selinux-policy-dev").with_ignored_flag(true)
        },
    ]
}

fn profile_compiles() {
    let profile = project("packaging/apparmor/bulkhead");
    let arguments = ["--skip-kernel-load", "--skip-cache", "--names", text(&profile)];
    let output = run("apparmor_parser", &arguments);
    assert!(output.status.success(), "{output:?}");
    let names = String::from_utf8_lossy(&output.stdout);
    let roles = policy::Role::ALL.map(policy::profile_of);
    let programs = ["bulkhead//worker", "bulkhead-helper"].map(str::to_owned);
    for profile in roles.iter().chain(&programs) {
        assert!(names.lines().any(|name| name == profile), "{profile}: {names}");
    }
    let words = fs::read_to_string(&profile).unwrap();
    assert!(!words.contains("complain)") && !words.contains("flags="), "they enforce");
}

/// Under no_new_privs a program's profile can only be stacked on that of its parent. For `p` and a
/// stacked name the kernel looks for a profile that is attached to the path, and refuses the exec
/// when there is none of that name ("profile transition not found", kernel 6.1).
fn h1_stacked_children() {
    let profile = fs::read_to_string(project("packaging/apparmor/bulkhead")).unwrap();
    let rules: Vec<&str> = profile
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with('/') && line.contains(" -> &"))
        .collect();
    assert_eq!(rules.len(), 2, "{rules:?}");
    for rule in rules {
        let (access, target) = rule.trim_end_matches(',').split_once(" -> &").unwrap();
        assert!(access.ends_with("cix"), "{rule}");
        let child = target.strip_prefix("bulkhead//").unwrap();
        assert!(profile.contains(&format!("\n  profile {child} ")), "{child} is no child profile");
    }
}

fn module_compiles() {
    let scratch = tempfile::TempDir::with_prefix("bulkhead-selinux-").unwrap();
    for file in ["bulkhead.te", "bulkhead.fc", "bulkhead.if"] {
        fs::copy(project("packaging/selinux").join(file), scratch.path().join(file)).unwrap();
    }
    let makefile = "/usr/share/selinux/devel/Makefile";
    let place = text(scratch.path());
    let output = run("make", &["--directory", place, "--file", makefile, "bulkhead.pp"]);
    assert!(output.status.success(), "{output:?}");
    assert!(fs::metadata(scratch.path().join("bulkhead.pp")).unwrap().len() > 0);
}
