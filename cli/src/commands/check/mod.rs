//! `bulkhead check`: reads the configuration and looks at the host, and says everything that is
//! wrong at once, each with what to do about it.

mod accounts;
mod files;
mod keys;
mod network;
mod reach;
mod why;

use std::{fmt, path::Path, process::ExitCode};

use clap::Args;
use config::fips;
use config::{Config, ConfigErrors};
use serde::Serialize;

use super::{EXIT_CONFIGURATION, EXIT_FAILURE, Failure, console, policy::host};

/// Exit codes, at the end of --help.
const EXIT_CODES: &str = "Exit codes: 0 no errors, warnings at most; 1 errors; 2 the configuration itself cannot \
    work. A running server of this configuration is no error, so that `bulkhead check && bulkhead reload` \
    reloads.";

/// Check the configuration and the host.
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
pub struct Check {
    /// As JSON, one object.
    #[arg(long)]
    json: bool,
    /// Print every key there is, with its default and meaning, and check nothing.
    #[arg(long)]
    keys: bool,
    #[command(flatten)]
    question: why::Question,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The server does not start, or a part of it cannot work.
    Error,
    /// It works, and somebody should know.
    Warning,
    /// Good to know.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where: a file, perhaps with a line, or a part of the host.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// Collects findings.
pub struct Findings<'a> {
    config: &'a Config,
    all: Vec<Finding>,
}

impl Findings<'_> {
    /// A finding about a key of the configuration (`table.name`, or `.name` for a flat one).
    fn key(&mut self, severity: Severity, key: &str, what: impl Into<String>, remedy: &str) {
        let error = self.config.error_at(key, what.into(), remedy.to_owned());
        let place = match error.line {
            0 => error.file.display().to_string(),
            line => format!("{}:{line}", error.file.display()),
        };
        self.push(severity, place, error.what, error.remedy);
    }

    /// A finding about something else.
    fn push(
        &mut self,
        severity: Severity,
        place: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.all.push(Finding {
            severity,
            place: place.into(),
            what: what.into(),
            remedy: remedy.into(),
        });
    }
}

/// Runs the command. Its exit code is 0 without errors, 1 with some, and 2 when the configuration
/// itself cannot work.
///
/// # Errors
/// When the findings cannot be encoded.
pub fn run(path: &Path, check: &Check) -> Result<ExitCode, Failure> {
    if check.keys {
        keys::print();
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(name) = &check.question.account {
        return why::answer(&Config::load(path)?, name, &check.question);
    }
    let (findings, code) = match Config::load(path) {
        Ok(config) => {
            let findings = findings(&config);
            let failed = findings.iter().any(|finding| finding.severity == Severity::Error);
            (findings, if failed { EXIT_FAILURE } else { 0 })
        }
        Err(errors) => (of_errors(&errors), EXIT_CONFIGURATION),
    };
    if check.json {
        console::say(serde_json::to_string_pretty(&findings)?);
        return Ok(code.into());
    }
    for Finding { severity, place, what, remedy } in &findings {
        console::say(format_args!("{severity}: {place}: {what}; {remedy}"));
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    console::say(match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => "Everything is in order.".to_owned(),
        (0, warnings) => format!("The server can start. Warnings: {warnings}."),
        (errors, warnings) => format!("Errors: {errors}. Warnings: {warnings}."),
    });
    Ok(code.into())
}

fn of_errors(errors: &ConfigErrors) -> Vec<Finding> {
    let finding = |error: &config::ConfigError| Finding {
        severity: Severity::Error,
        place: match error.line {
            0 => error.file.display().to_string(),
            line => format!("{}:{line}", error.file.display()),
        },
        what: error.what.clone(),
        remedy: error.remedy.clone(),
    };
    errors.iter().map(finding).collect()
}

/// Everything there is to say about a configuration that loads, and this host; errors first.
pub fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = Findings { config, all: Vec::new() };
    files::check(&mut findings);
    accounts::check(&mut findings);
    network::check(&mut findings);
    sandbox(&mut findings);
    if let Some(what) = fips::objection(config, Path::new(fips::INDICATOR)) {
        findings.key(
            Severity::Error,
            "i2ftp.enabled",
            what,
            "FIPS mode is set by `fips=1` at boot",
        );
    }
    for note in &config.notes {
        findings.push(
            Severity::Note,
            "configuration",
            note,
            "nothing needs to be done unless you want it otherwise",
        );
    }
    findings.all.sort_by_key(|finding| finding.severity);
    findings.all
}

/// The layers of the sandbox this host lacks.
fn sandbox(findings: &mut Findings<'_>) {
    use ipc::process::LandlockDemand;
    let demand = findings.config.landlock;
    let host = host::findings();
    let landlock = |finding: &&host::Finding| finding.layer == "landlock";
    let any = host.iter().filter(landlock).any(|finding| finding.there);
    for finding in host.iter().filter(|finding| !finding.there) {
        let severity = match (finding.layer, demand) {
            ("landlock", LandlockDemand::Off) => continue,
            ("landlock", LandlockDemand::Strict) => Severity::Error,
            ("landlock", LandlockDemand::Required) if !any => Severity::Error,
            ("seccomp" | "capabilities", _) => Severity::Error,
            _ => Severity::Note,
        };
        findings.push(
            severity,
            format!("sandbox layer {}", finding.layer),
            format!("this host lacks: {}", finding.what),
            finding.without,
        );
    }
    if !findings.config.without_capabilities.is_empty() {
        let named = findings.config.without_capabilities.join(", ");
        findings.key(
            Severity::Error,
            "sandbox.without_capabilities",
            format!("the server begins although root lacks {named}"),
            "grant what is named (systemd: CapabilityBoundingSet=; a container: --cap-add) and take it \
             out of the list",
        );
    }
    if demand == LandlockDemand::Off {
        findings.key(
            Severity::Warning,
            "sandbox.landlock",
            "Landlock is off: what an account may do is enforced by chroot, uid and the command \
             handler alone",
            "write \"required\" where the kernel has Landlock (5.13 and later)",
        );
    }
}
