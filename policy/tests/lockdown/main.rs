//! The lockdown on real processes: this program starts itself anew, locks itself down as a role and
//! tries one thing. Under root every probe takes on a uid of its own; otherwise the rootless form is
//! tested, and what needs root is reported as skipped.

mod attempts;
mod probe;
mod raw;
mod state;

use std::{
    io,
    os::{fd::AsFd, unix::process::ExitStatusExt},
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use ipc::{
    fdpass,
    last_words::{EXIT_FORBIDDEN, LastWords},
};
use libtest_mimic::{Arguments, Failed};
use policy::{Role, syscalls};

use crate::probe::Playground;

/// Starts this program as a probe instead of as the test runner.
const PROBE: &str = "--be-a-probe";
/// The uid and gid of probes that run under their own.
const PROBE_UID: u32 = 64_999;

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// It worked.
    Done,
    /// It failed with this errno.
    Errno(i32),
    /// The sandbox stopped the process at this call.
    Trapped(&'static str),
    /// Another end.
    Other(String),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == PROBE => probe::run(rest),
        _ => libtest_mimic::run(&Arguments::from_args(), attempts::trials()).exit_code(),
    }
}

/// Runs one attempt in a process of a role and holds its outcome against what is expected.
fn expect(
    role: Role,
    uid: Option<u32>,
    features: &str,
    attempt: &str,
    expected: &Outcome,
) -> Result<(), Failed> {
    let playground = Playground::new(uid)?;
    let outcome = run(role, uid, features, &playground.root(), attempt)?;
    if outcome == *expected {
        return Ok(());
    }
    Err(format!("{role}: {attempt}: {outcome:?} instead of {expected:?}").into())
}

/// The command line of a probe.
fn command(
    role: Role,
    uid: Option<u32>,
    features: &str,
    root: &Path,
    attempt: &str,
) -> io::Result<Command> {
    let uid = uid.map_or("-".to_owned(), |uid| uid.to_string());
    let mut command = Command::new(std::env::current_exe()?);
    command.args([PROBE, role.name(), &uid, features]).arg(root).arg(attempt);
    command.env_clear().current_dir("/");
    Ok(command)
}

fn run(
    role: Role,
    uid: Option<u32>,
    features: &str,
    root: &Path,
    attempt: &str,
) -> Result<Outcome, Failed> {
    let (ours, theirs) = fdpass::seqpacket_pair()?;
    let output =
        command(role, uid, features, root, attempt)?.stdin(Stdio::from(theirs)).output()?;
    let mut frame = [0; 256];
    let words = fdpass::receive(ours.as_fd(), &mut frame, true)
        .ok()
        .and_then(|receipt| LastWords::parse(frame.get(..receipt.bytes)?));
    Ok(match (output.status.code(), words) {
        (Some(EXIT_FORBIDDEN), Some(LastWords::Forbidden { syscall })) => {
            Outcome::Trapped(syscalls::name(i64::from(syscall)).unwrap_or("unknown"))
        }
        (Some(0), None) => Outcome::Done,
        (Some(code), None) if code < 200 => Outcome::Errno(code),
        (_, words) => {
            let signal = output.status.signal();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Outcome::Other(format!("{} (signal {signal:?}), {words:?}, {said}", output.status))
        }
    })
}
