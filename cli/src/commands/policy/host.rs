//! `bulkhead policy check`: what this host can enforce.

use std::{fs, process::ExitCode};

pub use policy_audit::evidence::Finding;

use super::{super::Failure, say};

/// Everything this host can and cannot do.
pub fn findings() -> Vec<Finding> {
    let mut all: Vec<Finding> = policy::probe()
        .rights
        .into_iter()
        .map(|(right, there)| Finding {
            layer: "landlock",
            what: right.to_owned(),
            there,
            without: without_right(right),
        })
        .collect();
    let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    for action in ["allow", "trap", "errno", "kill_process"] {
        all.push(Finding {
            layer: "seccomp",
            what: format!("answer {action}"),
            there: actions.split_whitespace().any(|there| there == action),
            without: "no filter can be put up, and nothing is served: build the kernel with \
                      CONFIG_SECCOMP_FILTER",
        });
    }
    let root = nix::unistd::geteuid().is_root();
    all.push(Finding {
        layer: "identity",
        what: "run as root, to take on other identities".into(),
        there: root,
        without: "rootless: every process has your uid; Landlock and seccomp hold all the same",
    });
    all.extend(root.then(capabilities).into_iter().flatten());
    all
}

/// The capabilities that the supervisor needs, where it runs as root.
fn capabilities() -> Vec<Finding> {
    let Ok(policy) = policy::policy_of(policy::Role::Supervisor) else { return Vec::new() };
    let lacking = policy::lacking(&policy);
    let needed = policy.capabilities.iter().filter(|capability| capability.needed);
    needed
        .map(|capability| Finding {
            layer: "capabilities",
            what: format!("CAP_{}", capability.name),
            there: !lacking.contains(&capability.name),
            without: "a server of root does not begin, unless `[sandbox] without_capabilities` names it",
        })
        .collect()
}

/// What is lost without a Landlock right, and what covers it.
fn without_right(right: &str) -> &'static str {
    match right {
        "refer" => "kernel before 5.19: no rename from one directory to another, for anybody",
        "truncate" => {
            "kernel before 6.2: a file that may be opened for writing may be cut; seccomp allows \
             ftruncate only to accounts that may overwrite or append"
        }
        "bind_tcp" | "connect_tcp" => {
            "kernel before 6.7: covered by seccomp, which allows no process but the helper to make, \
             bind or connect a socket"
        }
        "ioctl_dev" => "kernel before 6.10: covered by seccomp, which allows no ioctl at all",
        "scope_signal" => {
            "kernel before 6.12: covered by seccomp, which allows no kill; with PAM, whose modules are \
             held by a list of what is forbidden, they can signal other processes of root"
        }
        "scope_abstract_unix_socket" => {
            "kernel before 6.12: covered by seccomp, which allows no connect but the helper's TCP; with \
             PAM, its modules can reach abstract sockets of other programs"
        }
        _ => {
            "no Landlock at all: `landlock = \"required\"` refuses to serve; with \"off\", chroot, \
             uid and seccomp remain"
        }
    }
}

/// The kernel's release.
pub fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim().to_owned()
}

/// Prints the findings.
///
/// # Errors
/// When they cannot be encoded.
pub fn print(json: bool) -> Result<ExitCode, Failure> {
    let findings = findings();
    if json {
        say(serde_json::to_string_pretty(&findings)?);
        return Ok(ExitCode::SUCCESS);
    }
    say(format!("kernel {}", kernel()));
    for finding in &findings {
        let there = if finding.there { "yes" } else { "NO" };
        say(format!("  {:<13} {there:<4} {}", finding.layer, finding.what));
        if !finding.there {
            say(format!("  {:<13} {:<4} without it: {}", "", "", finding.without));
        }
    }
    Ok(ExitCode::SUCCESS)
}
