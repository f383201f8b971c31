//! A program of the server in surroundings of its own: the test program takes its place, and becomes
//! it with them. Variables, where the supervisor starts every process with none, stand for other
//! moments: a C library that gets each piece of memory from the kernel. Restrictions stand for those
//! that systemd puts on a service.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use policy::{capability_bit, syscalls};
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

/// Name of the file beside a program that lists its variables.
const VARIABLES: &str = "environment";
/// Name of the file beside a program that lists its restrictions: capabilities on one line, system
/// calls on the next.
const RESTRICTIONS: &str = "restrictions";

/// Name of the file beside a program that names a system call that fails, and its error number.
const FAILING: &str = "failing";

/// The program that this one stands for, and the directory both are in.
fn cast() -> Option<(PathBuf, PathBuf)> {
    let own = std::env::current_exe().ok()?;
    let real = own.with_file_name(format!("real-{}", own.file_name()?.to_str()?));
    real.exists().then_some((real, own.parent()?.to_owned()))
}

/// Whether this program was put in the place of one.
pub fn is_cast() -> bool {
    cast().is_some()
}

/// Becomes it. Never returns.
pub fn play() -> ! {
    let (real, place) = cast().unwrap();
    let mut command = Command::new(real);
    command.args(std::env::args_os().skip(1));
    if let Ok(text) = fs::read_to_string(place.join(VARIABLES)) {
        command.envs(text.lines().filter_map(|line| line.split_once('=')));
    }
    if let Ok(text) = fs::read_to_string(place.join(RESTRICTIONS)) {
        let (capabilities, calls) = text.split_once('\n').unwrap();
        restrict(capabilities, calls);
    }
    if let Ok(text) = fs::read_to_string(place.join(FAILING)) {
        let (call, errno) = text.split_once(' ').unwrap();
        let action = SeccompAction::Errno(errno.parse().unwrap());
        filter_calls(&[syscalls::number(call).unwrap()], SeccompAction::Allow, action);
    }
    panic!("the real program cannot be started: {}", command.exec());
}

/// What systemd does before it executes a service: CapabilityBoundingSet=, NoNewPrivileges= and
/// SystemCallFilter= with SystemCallErrorNumber=EPERM.
fn restrict(capabilities: &str, calls: &str) {
    let kept = capabilities.split_whitespace().map(|name| capability_bit(name).unwrap());
    let kept = CapabilitySet::from_bits_retain(kept.fold(0, |all, bit| all | bit));
    for bit in 0..=40 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if !kept.contains(capability) {
            remove_capability_from_bounding_set(capability).ok();
        }
    }
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable })
        .unwrap();
    let numbers: Vec<i64> = calls.split_whitespace().filter_map(syscalls::number).collect();
    let refused = SeccompAction::Errno(nix::errno::Errno::EPERM as u32);
    filter_calls(&numbers, refused, SeccompAction::Allow);
}

/// Raises a filter that does one thing with these calls and another with the rest.
fn filter_calls(numbers: &[i64], rest: SeccompAction, these: SeccompAction) {
    set_no_new_privs(true).unwrap();
    let rules: BTreeMap<i64, _> = numbers.iter().map(|number| (*number, Vec::new())).collect();
    let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let filter = SeccompFilter::new(rules, rest, these, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    apply_filter(&program).unwrap();
}

/// Lets `program` in `place` run with these variables, given as `NAME=VALUE` a line.
pub fn set(place: &Path, program: &str, variables: &str) {
    fs::write(place.join(VARIABLES), variables).unwrap();
    stand_in(place, program);
}

/// Lets `program` in `place` run with these capabilities and these system calls at most.
pub fn set_restrictions(place: &Path, program: &str, capabilities: &[&str], calls: &[String]) {
    let text = format!("{}\n{}", capabilities.join(" "), calls.join(" "));
    fs::write(place.join(RESTRICTIONS), text).unwrap();
    stand_in(place, program);
}

/// Lets a system call of `program` in `place`, and of all that it starts, fail with this error.
pub fn set_failing(place: &Path, program: &str, call: &str, errno: nix::errno::Errno) {
    fs::write(place.join(FAILING), format!("{call} {}", errno as i32)).unwrap();
    stand_in(place, program);
}

fn stand_in(place: &Path, program: &str) {
    fs::rename(place.join(program), place.join(format!("real-{program}"))).unwrap();
    fs::copy(std::env::current_exe().unwrap(), place.join(program)).unwrap();
}
