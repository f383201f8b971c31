//! What /proc says of a process that has locked itself down.

use std::{
    collections::HashMap,
    fs,
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use ipc::fdpass;
use libtest_mimic::Failed;
use policy::Role;

use crate::{command, probe::Playground};

/// CAP_NET_BIND_SERVICE as a bit.
const NET_BIND_SERVICE: u64 = 1 << 10;

/// Starts a probe that waits, and compares its state with what the design says of the role.
pub fn check(role: Role, uid: Option<u32>) -> Result<(), Failed> {
    let playground = Playground::new(uid)?;
    let (ours, theirs) = fdpass::seqpacket_pair()?;
    let mut child = command(role, uid, "list,read", &playground.root(), "wait")?
        .stdin(Stdio::from(theirs))
        .spawn()?;
    let compared = compare(role, uid, &child);
    drop(ours);
    let status = child.wait()?;
    // The helper may not read(2); that it was stopped there is no matter here.
    assert!(status.code().is_some(), "{role} died: {status}");
    compared
}

fn compare(role: Role, uid: Option<u32>, child: &Child) -> Result<(), Failed> {
    let status = wait_for_seccomp(child)?;
    let field = |name: &str| status.get(name).map(String::as_str).unwrap_or_default();
    let mut wrong = Vec::new();
    let mut hold = |name: &str, expected: &str| {
        let found = field(name).split_whitespace().collect::<Vec<_>>().join(" ");
        if found != expected {
            wrong.push(format!("{name}: `{found}` instead of `{expected}`"));
        }
    };
    let nothing = format!("{:016x}", 0);
    hold("NoNewPrivs", "1");
    hold("Seccomp", "2");
    hold("CapInh", &nothing);
    hold("CapAmb", &nothing);
    if let Some(uid) = uid {
        let kept = if role == Role::Helper { NET_BIND_SERVICE } else { 0 };
        let kept = format!("{kept:016x}");
        hold("CapPrm", &kept);
        hold("CapEff", &kept);
        hold("CapBnd", &kept);
        let four = format!("{uid} {uid} {uid} {uid}");
        hold("Uid", &four);
        hold("Gid", &four);
        hold("Groups", "");
    } else {
        hold("CapPrm", &nothing);
        hold("CapEff", &nothing);
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.id()))?;
    for (name, expected) in [("Max core file size", "0"), ("Max processes", "0")] {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        let values: Vec<_> = line.get(26..).unwrap_or_default().split_whitespace().collect();
        if values.get(..2) != Some(&[expected, expected]) {
            wrong.push(format!("{line} instead of {expected}"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ").into()) }
}

fn wait_for_seccomp(child: &Child) -> Result<HashMap<String, String>, Failed> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let text = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
        let status: HashMap<_, _> = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        if status.get("Seccomp").is_some_and(|mode| mode == "2") {
            return Ok(status);
        }
        if Instant::now() > deadline {
            return Err("the probe raised no filter within 10 seconds".into());
        }
        sleep(Duration::from_millis(5));
    }
}
