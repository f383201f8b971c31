//! `bulkhead policy verify`: fresh processes of every role, and the live ones of the server.

use std::{io, os::unix::fs::chown, path::Path, process::ExitCode};

use ipc::process::LandlockDemand;
use policy::Role;
use serde::Serialize;

use super::{
    super::{Failure, operator},
    fresh::{self, Action, Ended},
    live::{self, Evidence},
    say,
};
use config::Config;
use policy_audit::evidence_page::Verified;

/// The uid of fresh processes when the configuration names none: see the reserved range in
/// [`config`].
const STAND_IN: u32 = 65_524;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    role: String,
    /// Process id of a live process, none for a fresh one.
    pid: Option<u32>,
    what: String,
    /// The layers that failed, each with what was found; empty if all is well.
    flaws: Vec<(String, String)>,
}

/// Which processes are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Fresh ones of every role, and those of the running server.
    Both,
    /// Fresh ones.
    Fresh,
    /// Those of the running server.
    Live,
}

/// Runs all checks, prints them, and ends with exit code 1 if any failed.
///
/// # Errors
/// When the configuration cannot be read, or a process cannot be started.
pub fn run(config: &Path, json: bool, what: What) -> Result<ExitCode, Failure> {
    let config = if config.exists() || what != What::Fresh {
        Some(super::super::load(config)?)
    } else {
        None
    };
    let landlock = config.as_ref().map_or(LandlockDemand::Required, |config| config.landlock);
    let mut checks = match what {
        What::Live => Vec::new(),
        What::Both | What::Fresh => fresh_processes(config.as_ref(), landlock)?,
    };
    match &config {
        Some(config) if what != What::Fresh => checks.extend(live_processes(config)?),
        Some(_) | None => {}
    }
    let failed = checks.iter().filter(|check| !check.flaws.is_empty()).count();
    if json {
        say(serde_json::to_string_pretty(&checks)?);
    } else {
        print(&checks);
        say(format!("{} checks, {failed} failed", checks.len()));
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What there is to verify, for the page of evidence: fresh processes, and live ones where a server runs.
///
/// # Errors
/// When a process cannot be started.
pub fn verified(config: &Config) -> Result<Vec<Verified>, Failure> {
    let mut checks = fresh_processes(Some(config), config.landlock)?;
    if operator::open(&config.control_socket).is_ok() {
        checks.extend(live_processes(config)?);
    }
    let flaw = |(layer, text): (String, String)| format!("layer {layer}: {text}");
    Ok(checks
        .into_iter()
        .map(|Check { role, pid, what, flaws }| Verified {
            role,
            pid,
            what,
            flaws: flaws.into_iter().map(flaw).collect(),
        })
        .collect())
}

fn print(checks: &[Check]) {
    for check in checks {
        let who = check.pid.map_or("fresh".to_owned(), |pid| format!("pid {pid}"));
        let verdict = if check.flaws.is_empty() { "ok    " } else { "FAILED" };
        say(format!("{verdict} {:<14} {who:<12} {}", check.role, check.what));
        for (layer, text) in &check.flaws {
            say(format!("       {:<14} layer {layer}: {text}", ""));
        }
    }
}

fn fresh_processes(
    config: Option<&Config>,
    landlock: LandlockDemand,
) -> Result<Vec<Check>, Failure> {
    let is_root = nix::unistd::geteuid().is_root();
    let root = Playground::new(is_root.then_some(STAND_IN))?;
    let mut checks = Vec::new();
    for role in Role::ALL {
        let uid = match role {
            Role::Supervisor | Role::Authenticator | Role::PamAuthenticator => None,
            Role::Keeper => config.map(|config| config.identities.keeper.uid),
            Role::Helper => config.map(|config| config.identities.helper.uid),
            Role::Gate | Role::Relay => config.map(|config| config.identities.gate.uid),
            Role::Session => Some(STAND_IN),
        };
        let confined = !matches!(role, Role::Supervisor | Role::PamAuthenticator);
        let own_uid = confined && role != Role::Authenticator;
        let uid = if is_root && own_uid { uid.or(Some(STAND_IN)) } else { None };
        for action in Action::of(role) {
            let ended = fresh::start(role, *action, uid, &root.path, landlock)?;
            checks.push(judge(role, *action, &ended, landlock));
        }
    }
    Ok(checks)
}

fn judge(role: Role, action: Action, ended: &Ended, landlock: LandlockDemand) -> Check {
    let confined = !matches!(role, Role::Supervisor | Role::PamAuthenticator);
    let by_filter = action.layer() == "seccomp";
    let flaw = match ended {
        Ended::Stopped(_) | Ended::Refused if !by_filter => None,
        Ended::Stopped(_) => None,
        Ended::Refused if !confined => None,
        Ended::Refused => Some("the kernel refused it, but the filter let it through".to_owned()),
        Ended::Succeeded if !by_filter && landlock == LandlockDemand::Off => None,
        Ended::Succeeded => Some("it succeeded".to_owned()),
        Ended::Broken(how) => Some(format!("the process ended another way: {how}")),
    };
    let how = match ended {
        Ended::Stopped(call) => format!("stopped at {call}"),
        Ended::Refused => "refused".to_owned(),
        Ended::Succeeded => "succeeded".to_owned(),
        Ended::Broken(_) => "broken".to_owned(),
    };
    Check {
        role: role.to_string(),
        pid: None,
        what: format!("{}: {how}", action.describe()),
        flaws: flaw.into_iter().map(|text| (action.layer().to_owned(), text)).collect(),
    }
}

fn live_processes(config: &Config) -> Result<Vec<Check>, Failure> {
    let channel = operator::open(&config.control_socket)
        .map_err(|e| format!("{e} (--offline tries fresh processes only)"))?;
    let off = config.landlock == LandlockDemand::Off;
    let mut checks = Vec::new();
    for row in operator::process_rows(&channel)? {
        // One that has ended meanwhile is no flaw.
        let Some(evidence) = Evidence::read(row.pid) else { continue };
        let flaws = live::flaws(&row, &evidence, off);
        let session = row.session.map(|session| format!(" of session {session}"));
        checks.push(Check {
            role: row.role.clone(),
            pid: Some(row.pid),
            what: format!(
                "uid {}, as its policy says{}{}",
                evidence.status.get("Uid").map_or("?", |uid| uid.split(' ').next().unwrap_or("?")),
                session.unwrap_or_default(),
                evidence.profile().map_or(String::new(), |label| format!(", AppArmor {label}")),
            ),
            flaws: flaws.into_iter().map(|flaw| (flaw.layer.to_owned(), flaw.text)).collect(),
        });
    }
    if checks.is_empty() {
        return Err("the running server has named no process".into());
    }
    Ok(checks)
}

/// A directory for the session's attempts, removed at the end.
struct Playground {
    path: std::path::PathBuf,
}

impl Playground {
    fn new(uid: Option<u32>) -> io::Result<Playground> {
        let path = std::env::temp_dir().join(format!("bulkhead-verify-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        let playground = Playground { path };
        chown(&playground.path, uid, uid)?;
        Ok(playground)
    }
}

impl Drop for Playground {
    fn drop(&mut self) {
        // Nothing is in it unless an attempt succeeded, which is reported.
        std::fs::remove_dir_all(&self.path).unwrap_or_default();
    }
}
