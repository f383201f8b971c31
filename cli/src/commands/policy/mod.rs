//! `bulkhead policy`: the sandboxes, for an auditor.

mod container;
mod evidence;
mod fresh;
pub(super) mod host;
mod live;
mod verify;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use policy::{Features, Role, compile, model::Policy, policy_of, source};
use policy_audit::{load::parse, report};

use super::{Failure, console::say};

/// What `bulkhead policy` does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the policy of one role, or of all: every rule and its reason
    Show {
        /// supervisor, keeper, authenticator, helper, gate, relay or session
        #[arg(value_parser = role)]
        role: Option<Role>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell which roles may make a system call, with which arguments, and why
    Explain {
        /// Name of a system call, for instance openat2
        syscall: String,
    },
    /// Print the filter of a role as the kernel gets it, and its SHA-256
    Dump {
        /// As for show
        #[arg(value_parser = role)]
        role: Role,
        /// The filter of a session whose account may only list and read
        #[arg(long)]
        read_only: bool,
    },
    /// Tell what this host can enforce, right by right, and what covers what it lacks
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Start every role and try what must fail; then hold the processes of the running server
    /// against their policies. Exit code 1 if a layer is missing anywhere
    Verify {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Do not ask for a running server
        #[arg(long)]
        offline: bool,
        /// Look at the running server only
        #[arg(long, conflicts_with = "offline")]
        live: bool,
    },
    /// Compare two versions' policies
    Diff {
        /// A directory with the policy files of a version (policy/roles), or "built-in"
        old: PathBuf,
        /// As OLD
        #[arg(default_value = "built-in")]
        new: PathBuf,
    },
    /// Print one report for a security officer: accounts, TLS, policies, host, versions, hashes
    Evidence {
        /// Print JSON instead of Markdown
        #[arg(long, conflicts_with = "html")]
        json: bool,
        /// Write one page of HTML to this file, to be read and printed: with every rule and its reason,
        /// what a takeover yields, and what verify finds
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// With --html: do not try the confinement, which takes a few seconds and needs root
        #[arg(long, requires = "html")]
        no_verify: bool,
    },
    /// Print the options of docker and podman for a container with this configuration
    Container,
    /// Lock down as a role and try one thing; started by verify
    #[command(hide = true)]
    Attempt(fresh::Attempt),
}

fn role(name: &str) -> Result<Role, String> {
    Role::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Role::ALL.iter().map(|role| role.name()).collect();
        format!("the roles are {}", names.join(", "))
    })
}

/// Runs one of the commands.
///
/// # Errors
/// When something cannot be read; a finding of `verify` is an exit code.
pub fn run(config: &Path, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Show { role, json } => show(role, json),
        Command::Explain { syscall } => {
            say(report::explain(&syscall)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Dump { role, read_only } => dump(role, read_only),
        Command::Check { json } => host::print(json),
        Command::Verify { json, offline, live } => {
            let what = match (offline, live) {
                (true, _) => verify::What::Fresh,
                (_, true) => verify::What::Live,
                _ => verify::What::Both,
            };
            verify::run(config, json, what)
        }
        Command::Diff { old, new } => diff(&old, &new),
        Command::Evidence { html: Some(file), no_verify, .. } => {
            evidence::write_page(config, &file, !no_verify)
        }
        Command::Container => {
            let config = config.exists().then(|| super::load(config)).transpose()?;
            container::print(config.as_ref())
        }
        Command::Evidence { json, .. } => evidence::print(config, json),
        Command::Attempt(attempt) => Ok(attempt.run()),
    }
}

fn show(role: Option<Role>, json: bool) -> Result<ExitCode, Failure> {
    let roles = role.map_or(Role::ALL.to_vec(), |role| vec![role]);
    if json {
        let reports = roles.into_iter().map(report::report).collect::<Result<Vec<_>, _>>()?;
        say(serde_json::to_string_pretty(&reports)?);
        return Ok(ExitCode::SUCCESS);
    }
    for role in roles {
        say(report::show(role)?);
    }
    if role.is_none() {
        say(summary()?);
    }
    Ok(ExitCode::SUCCESS)
}

/// The table of counts.
fn summary() -> Result<String, Failure> {
    let mut out = format!("{:<20}{:>22}{:>10}\n", "role", "allowed system calls", "goal");
    for role in Role::ALL {
        let report = report::report(role)?;
        let mut line = |name: &str, report: &report::RoleReport| {
            let goal = report.goal.map_or("deny list".into(), |goal| format!("<= {goal}"));
            out.push_str(&format!("{name:<20}{:>22}{goal:>10}\n", report.system_calls));
        };
        if let Some(read_only) = &report.read_only {
            line("session, read-only", read_only);
            line("session, writing", &report);
        } else {
            line(role.name(), &report);
        }
    }
    Ok(out)
}

fn dump(role: Role, read_only: bool) -> Result<ExitCode, Failure> {
    let features = if read_only { report::read_only_features() } else { Features::all() };
    for (number, program) in compile::programs(&policy_of(role)?, features)?.iter().enumerate() {
        say(format!("filter {} of the {role}, {} instructions", number + 1, program.len()));
        say(format!("SHA-256 {}", sha256(&report::bytes(program))));
        say(report::disassemble(program));
    }
    Ok(ExitCode::SUCCESS)
}

/// SHA-256 in hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn diff(old: &Path, new: &Path) -> Result<ExitCode, Failure> {
    let mut same = true;
    for role in Role::ALL {
        let lines = report::differences(&version(role, old)?, &version(role, new)?);
        if !lines.is_empty() {
            same = false;
            say(format!("{role}\n  {}", lines.join("\n  ")));
        }
    }
    if same {
        say("the two allow and forbid the same");
    }
    Ok(ExitCode::SUCCESS)
}

/// A role's policy of a version: from a directory, or the one in this program.
fn version(role: Role, from: &Path) -> Result<Policy, Failure> {
    if from == Path::new("built-in") {
        return Ok(parse(role, source(role))?);
    }
    let file = from.join(format!("{role}.toml"));
    let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(parse(role, &text)?)
}
