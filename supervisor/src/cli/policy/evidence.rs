//! `bulkhead policy evidence`: one report for a security officer who has to allow, or waive, a file
//! transfer server. Nothing secret is in it: no hash of a password, no key, no code.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use ipc::account::TlsDemand;
use policy::{Features, Role, compile, load::source, policy_of, report};
use serde::Serialize;

use super::{
    super::Failure,
    host::{self, Finding},
    say, sha256,
};
use crate::{
    account::store::Store,
    config::{Config, Tls},
};

/// The report.
#[derive(Debug, Serialize)]
struct Evidence {
    version: &'static str,
    kernel: String,
    configuration: File,
    programs: Vec<File>,
    tls: Option<TlsFacts>,
    accounts: Vec<AccountFacts>,
    anonymous: Option<PathBuf>,
    backends: Vec<String>,
    policies: Vec<PolicyFacts>,
    host: Vec<Finding>,
}

/// A file and its hash.
#[derive(Debug, Serialize)]
struct File {
    path: PathBuf,
    /// SHA-256, or why there is none.
    sha256: String,
}

#[derive(Debug, Serialize)]
struct TlsFacts {
    require: &'static str,
    minimum_version: &'static str,
    require_session_reuse: bool,
    client_certificates: &'static str,
    certificates: Vec<File>,
}

#[derive(Debug, Serialize)]
struct AccountFacts {
    name: String,
    root: PathBuf,
    rights: Vec<&'static str>,
    uid: Option<u32>,
    second_factor: bool,
    disabled: bool,
}

#[derive(Debug, Serialize)]
struct PolicyFacts {
    role: &'static str,
    /// SHA-256 of the policy file.
    source: String,
    /// SHA-256 of each filter in its widest form.
    filters: Vec<String>,
    system_calls: usize,
    goal: Option<usize>,
}

/// Prints the report.
///
/// # Errors
/// When the configuration or the account file cannot be read.
pub fn print(config_path: &Path, json: bool) -> Result<ExitCode, Failure> {
    let config = super::super::load(config_path)?;
    let evidence = gather(config_path, &config)?;
    say(if json { serde_json::to_string_pretty(&evidence)? } else { markdown(&evidence) });
    Ok(ExitCode::SUCCESS)
}

fn gather(config_path: &Path, config: &Config) -> Result<Evidence, Failure> {
    // An account file that does not exist holds no accounts: they may all come from PAM.
    let store = match config.auth.users_file.exists() {
        true => Store::load(&config.auth.users_file)?,
        false => Store::default(),
    };
    let accounts = store.accounts.iter().map(|(name, record)| AccountFacts {
        name: name.clone(),
        root: record.root.clone(),
        rights: record.rights().names().collect(),
        uid: record.uid,
        second_factor: record.second_factor || store.second_factors.contains_key(name),
        disabled: record.disabled,
    });
    Ok(Evidence {
        version: env!("CARGO_PKG_VERSION"),
        kernel: host::kernel(),
        configuration: file(config_path),
        programs: programs(),
        tls: config.tls.as_ref().map(tls_facts),
        accounts: accounts.collect(),
        anonymous: config.anonymous.as_ref().map(|anonymous| anonymous.root.clone()),
        backends: config.auth.backends.iter().map(|b| format!("{b:?}").to_lowercase()).collect(),
        policies: Role::ALL.into_iter().map(policy_facts).collect::<Result<_, _>>()?,
        host: host::findings(),
    })
}

fn file(path: &Path) -> File {
    let sha256 = match fs::read(path) {
        Ok(bytes) => sha256(&bytes),
        Err(e) => format!("unreadable: {e}"),
    };
    File { path: path.to_owned(), sha256 }
}

/// The three programs, where they lie side by side.
fn programs() -> Vec<File> {
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("bulkhead"));
    let beside = ["bulkhead-worker", "bulkhead-helper"].map(|name| own.with_file_name(name));
    let libexec = ["bulkhead-worker", "bulkhead-helper"]
        .map(|name| own.with_file_name("..").join("libexec").join("bulkhead").join(name));
    let others = beside.into_iter().chain(libexec).filter(|path| path.exists());
    [own.clone()].into_iter().chain(others).map(|path| file(&path)).collect()
}

fn tls_facts(tls: &Tls) -> TlsFacts {
    TlsFacts {
        require: match tls.require {
            TlsDemand::None => "nothing",
            TlsDemand::Control => "control connections",
            TlsDemand::ControlAndData => "control and data connections",
        },
        minimum_version: if tls.only_tls13 { "1.3" } else { "1.2" },
        require_session_reuse: tls.require_session_reuse,
        client_certificates: match (&tls.client_ca, tls.require_client_certificate) {
            (None, _) => "not asked for",
            (Some(_), false) => "accepted",
            (Some(_), true) => "required",
        },
        // The certificates only: a hash of a private key has no place in a report.
        certificates: tls.pairs.iter().map(|(certificate, _)| file(certificate)).collect(),
    }
}

fn policy_facts(role: Role) -> Result<PolicyFacts, Failure> {
    let programs = compile::programs(&policy_of(role)?, Features::all())?;
    let report = report::report(role)?;
    Ok(PolicyFacts {
        role: role.name(),
        source: sha256(source(role).as_bytes()),
        filters: programs.iter().map(|program| sha256(&report::bytes(program))).collect(),
        system_calls: report.system_calls,
        goal: report.goal,
    })
}

fn markdown(evidence: &Evidence) -> String {
    let mut out = format!(
        "# Bulkhead {}: evidence\n\nKernel {}\n\n## Files\n\n| file | SHA-256 |\n|---|---|\n",
        evidence.version, evidence.kernel
    );
    let certificates = evidence.tls.iter().flat_map(|tls| &tls.certificates);
    let files = [&evidence.configuration].into_iter().chain(&evidence.programs).chain(certificates);
    for File { path, sha256 } in files {
        out.push_str(&format!("| {} | {sha256} |\n", path.display()));
    }
    out.push_str("\n## Accounts\n\n");
    out.push_str(&format!("Backends: {}. ", evidence.backends.join(", ")));
    match &evidence.anonymous {
        Some(root) => out.push_str(&format!("Anonymous: read-only, in {}.\n\n", root.display())),
        None => out.push_str("Anonymous: refused.\n\n"),
    }
    out.push_str(
        "| account | root | rights | uid | second factor | |\n|---|---|---|---|---|---|\n",
    );
    for account in &evidence.accounts {
        let uid = account.uid.map_or("owner of the root".to_owned(), |uid| uid.to_string());
        out.push_str(&format!(
            "| {} | {} | {} | {uid} | {} | {} |\n",
            account.name,
            account.root.display(),
            account.rights.join(" "),
            if account.second_factor { "yes" } else { "no" },
            if account.disabled { "disabled" } else { "" },
        ));
    }
    out.push_str("\n## TLS\n\n");
    match &evidence.tls {
        None => out.push_str("Not configured: passwords and files travel in clear.\n"),
        Some(tls) => out.push_str(&format!(
            "Required for {}; version {} or later; data connections must resume the control \
             connection's session: {}; client certificates {}.\n",
            tls.require,
            tls.minimum_version,
            if tls.require_session_reuse { "yes" } else { "no" },
            tls.client_certificates
        )),
    }
    out.push_str("\n## Policies\n\n");
    out.push_str("| role | system calls | goal | SHA-256 of the data | SHA-256 of the filters |\n");
    out.push_str("|---|---|---|---|---|\n");
    for policy in &evidence.policies {
        let goal = policy.goal.map_or("deny list".to_owned(), |goal| format!("at most {goal}"));
        out.push_str(&format!(
            "| {} | {} | {goal} | {} | {} |\n",
            policy.role,
            policy.system_calls,
            policy.source,
            policy.filters.join(", ")
        ));
    }
    out.push_str("\n## Host\n\n| layer | what | there | without it |\n|---|---|---|---|\n");
    for finding in &evidence.host {
        let (there, without) = if finding.there { ("yes", "") } else { ("no", finding.without) };
        out.push_str(&format!("| {} | {} | {there} | {without} |\n", finding.layer, finding.what));
    }
    out.push_str(
        "\n`bulkhead policy verify` proves the policies on fresh processes and holds the running \
         ones against them; `bulkhead policy show` prints every rule and its reason.\n",
    );
    out
}
