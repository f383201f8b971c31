//! The attack battery: what a captured process would try, in processes of every role that faces
//! strangers, under the real lockdown; and once without any, which proves that the attempts can
//! succeed.
//!
//! Each attempt is a process of its own: it takes the role's identity, holds the descriptors such a
//! process holds, locks itself down with `policy::lockdown` and its embedded data, and makes the
//! attempt by raw system calls. Nothing of this is in a program that is shipped: it is a test of this
//! crate. With `BULKHEAD_BATTERY_TABLE=FILE` the results are written to FILE as a Markdown table.

#[allow(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "arguments of system calls are words, whatever C calls them"
)]
mod attempts;
mod columns;
mod probe;
mod raw;
mod table;
mod world;

use std::{ffi::CStr, process::ExitCode};

use libtest_mimic::{Arguments, Trial};

use crate::{
    attempts::all,
    columns::{Column, Outcome, Runner},
};

/// Starts this program as a probe.
pub const PROBE: &str = "--be-a-probe";
/// Starts this program as the victim.
pub const VICTIM: &str = "--be-a-victim";
/// Ends this program at once.
pub const END_AT_ONCE: &CStr = c"--end-at-once";
/// The uid and gid of probes that run under their own.
const PROBE_UID: u32 = 64_998;
/// Fewest attempts per role that the battery must have.
const AT_LEAST: usize = 150;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == PROBE => probe::run(rest),
        Some((first, _)) if first == VICTIM => probe::be_a_victim(),
        Some((first, _)) if Ok(first.as_str()) == END_AT_ONCE.to_str() => ExitCode::SUCCESS,
        _ => libtest_mimic::run(&Arguments::from_args(), trials()).exit_code(),
    }
}

fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = Column::ALL
        .into_iter()
        .map(|column| {
            let name = format!("every attempt of a captured {column} is denied");
            Trial::test(name, move || all_denied(column))
        })
        .collect();
    trials.push(Trial::test("there are enough attempts, each with a name of its own", || {
        let mut names: Vec<_> = all().map(|attempt| attempt.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().count(), "two attempts have the same name");
        assert!(names.len() >= AT_LEAST, "{} attempts", names.len());
        Ok(())
    }));
    trials.push(Trial::test("the published table names every attempt", || {
        let published = table::published()?;
        for attempt in all() {
            assert!(published.contains(&format!("\n| {} |", attempt.name)), "{}", attempt.name);
        }
        let security = include_str!("../../../docs/security.md");
        let count = format!("<!-- attempts -->{} named attempts", all().count());
        assert!(security.contains(&count), "docs/security.md does not say: {count}");
        Ok(())
    }));
    let naked = "without the sandbox the attempts get through where the kernel lets root through";
    let trial = Trial::test(naked, most_get_through);
    let is_root = nix::unistd::geteuid().is_root();
    trials.push(trial.with_ignored_flag(!is_root));
    if let Some(path) = std::env::var_os("BULKHEAD_BATTERY_TABLE") {
        trials.push(Trial::test("the table is written", move || Ok(table::write(path.as_ref())?)));
    }
    trials
}

fn all_denied(column: Column) -> Result<(), libtest_mimic::Failed> {
    let runner = Runner::new(column)?;
    let mut got_through = Vec::new();
    for attempt in all() {
        let outcome = runner.run(attempt.name)?;
        if !column.denies(attempt.name, &outcome) {
            got_through.push(format!("{}: {outcome:?}", attempt.name));
        }
    }
    if got_through.is_empty() {
        return Ok(());
    }
    Err(format!("{} of {}: {}", got_through.len(), all().count(), got_through.join("\n")).into())
}

/// How many of the attempts must get through without a sandbox. The rest is refused by this kernel
/// (a call it was built without) or harmless only in a form that it refuses.
const MOST: usize = 75;

fn most_get_through() -> Result<(), libtest_mimic::Failed> {
    let runner = Runner::new(Column::Naked)?;
    let mut refused = Vec::new();
    for attempt in all().filter(|attempt| columns::harmless_as_root(attempt.name)) {
        let outcome = runner.run(attempt.name)?;
        if !outcome.got_through() {
            refused.push(format!("{}: {outcome:?}", attempt.name));
        }
    }
    let percent = 100 * (all().count() - refused.len()) / all().count();
    if percent >= MOST && !refused.is_empty() {
        return Ok(());
    }
    Err(format!("{percent} percent got through; refused: {}", refused.join("\n")).into())
}

/// The outcome's letter in the table.
impl Outcome {
    fn layer(&self) -> String {
        match self {
            Outcome::Trapped => "seccomp".into(),
            Outcome::Done => "SUCCEEDED".into(),
            Outcome::Errno(errno) => nix::errno::Errno::from_raw(*errno).to_string(),
            Outcome::Other(how) => how.clone(),
        }
    }
}
