//! The packaged systemd unit: that our own sandbox rises under it. How much it leaves exposed is a
//! test of the packages.

use std::{collections::BTreeSet, fs, process::Command};

use bulkhead_tests::{
    environment,
    harness::{Process, Server, is_root, needs_program, patterned},
};
use libtest_mimic::Trial;
use policy::{Features, Role, compile, model::Style, policy_of};

const UNIT: &str = include_str!("../../packaging/systemd/bulkhead.service");
const HELPER_UNIT: &str = include_str!("../../packaging/systemd/bulkhead-helper@.service");

pub fn tests() -> Vec<Trial> {
    let analyze = "systemd-analyze";
    let rises = needs_program("unit::the_sandbox_rises_under_the_unit", analyze, rises);
    vec![
        needs_program("unit::its_filter_lets_every_call_of_the_sandbox_through", analyze, filter),
        if is_root() {
            rises
        } else {
            rises.with_kind("skipped: needs root").with_ignored_flag(true)
        },
    ]
}

fn analyze(arguments: &[&str]) -> String {
    let output = Command::new("systemd-analyze").args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The values of a setting, which may be given on several lines.
fn values(unit: &'static str, key: &str) -> Vec<&'static str> {
    let lines = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    lines.flat_map(str::split_whitespace).collect()
}

/// The calls that a unit's filter allows.
fn allowed_calls(unit: &str) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for line in unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        let (taken_away, words) = match line.strip_prefix('~') {
            Some(words) => (true, words),
            None => (false, line),
        };
        for name in words.split_whitespace().flat_map(expanded) {
            if taken_away {
                allowed.remove(&name);
            } else {
                allowed.insert(name);
            }
        }
    }
    allowed
}

/// A call, or all calls of a group and of the groups in it.
fn expanded(word: &str) -> Vec<String> {
    if !word.starts_with('@') {
        return vec![word.to_owned()];
    }
    let listed = analyze(&["syscall-filter", "--no-pager", word]);
    let members = listed.lines().skip(1).map(str::trim);
    members.filter(|line| !line.is_empty() && !line.starts_with('#')).flat_map(expanded).collect()
}

fn filter() {
    /// What raises the sandbox of any role.
    const RAISING: [&str; 9] = [
        "seccomp",
        "landlock_create_ruleset",
        "landlock_add_rule",
        "landlock_restrict_self",
        "setresuid",
        "capset",
        "prctl",
        "prlimit64",
        "close_range",
    ];
    const OF_SERVER: [&str; 4] = ["chroot", "setgroups", "setresgid", "openat2"];
    let (own, of_all): (Vec<Role>, Vec<Role>) = (vec![Role::Helper], Role::ALL.to_vec());
    for (unit, more, roles) in [(UNIT, &OF_SERVER[..], of_all), (HELPER_UNIT, &[], own)] {
        let allowed = allowed_calls(unit);
        let missing = missing_calls(&allowed, RAISING.iter().chain(more), &roles);
        assert!(missing.is_empty(), "the unit's SystemCallFilter stops {missing:?}");
        for call in ["mount", "ptrace", "bpf", "init_module", "kexec_load", "setpriority"] {
            assert!(!allowed.contains(call), "{call}");
        }
    }
}

/// What a unit stops of what raises the sandbox, and of what the roles below it may do.
fn missing_calls<'a>(
    allowed: &BTreeSet<String>,
    raising: impl Iterator<Item = &'a &'a str>,
    roles: &[Role],
) -> Vec<String> {
    let mut missing: Vec<String> =
        raising.filter(|call| !allowed.contains(**call)).map(|c| c.to_string()).collect();
    for role in roles {
        let policy = policy_of(*role).unwrap();
        if policy.seccomp.style == Style::Allow {
            let calls = compile::allowed_names(&policy, Features::all()).into_iter();
            missing.extend(calls.filter(|c| !allowed.contains(*c)).map(|c| format!("{role}: {c}")));
        }
    }
    missing
}

fn rises() {
    let mut server = Server::new().with_account("alice", &[]).with_account("bob", &["--read-only"]);
    let place = server.path("dist");
    fs::create_dir(&place).unwrap();
    for program in ["bulkhead", "bulkhead-worker", "bulkhead-helper"] {
        fs::copy(server.binaries.join(program), place.join(program)).unwrap();
    }
    let capabilities: Vec<&str> = values(UNIT, "CapabilityBoundingSet")
        .into_iter()
        .map(|name| name.strip_prefix("CAP_").unwrap())
        .collect();
    let calls: Vec<String> = allowed_calls(UNIT).into_iter().collect();
    environment::set_restrictions(&place, "bulkhead", &capabilities, &calls);
    server.binaries.clone_from(&place);
    server.launch();
    let supervisor = Process::look(server.pid()).unwrap();
    assert_eq!(supervisor.field("NoNewPrivs"), "1");
    assert_eq!(supervisor.field("Seccomp_filters"), "3", "the unit's filter and our two");
    let bytes = patterned(100_000);
    let (mut alice, _bob) = (server.log_in("alice"), server.log_in("bob"));
    alice.command("TYPE I", 200);
    alice.upload("STOR file", &bytes);
    assert!(alice.download("RETR file") == bytes);
    // Without the unit around it: it holds the processes against their policies.
    let verified = Command::new(place.join("real-bulkhead"))
        .arg("--config")
        .arg(server.path("bulkhead.toml"))
        .args(["policy", "verify", "--live"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success(), "{said}");
    assert!(said.contains("session") && said.contains("helper") && said.contains("gate"), "{said}");
}
