//! `bulkhead policy evidence`: one report for a security officer who has to allow, or waive, a file
//! transfer server. Nothing secret is in it: no hash of a password, no key, no code.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use accounts::store::Store;
use config::{Config, Tls};
use ipc::{account::TlsDemand, operator::ProcessRow, printable};
use policy::{Features, Role, compile, policy_of, source};
use policy_audit::{
    evidence::{AccountFacts, Evidence, File, PolicyFacts, ProcessFacts, TlsFacts},
    evidence_page, report,
};

use super::{
    super::{Failure, operator},
    host, live, say, sha256,
};

/// Prints the report.
///
/// # Errors
/// When the configuration or the account file cannot be read.
pub fn print(config_path: &Path, json: bool) -> Result<ExitCode, Failure> {
    let config = super::super::load(config_path)?;
    let evidence = gather(config_path, &config)?;
    say(if json { serde_json::to_string_pretty(&evidence)? } else { evidence.markdown() });
    Ok(ExitCode::SUCCESS)
}

/// Writes the page.
///
/// # Errors
/// When the configuration or the account file cannot be read, a process cannot be started, or the file
/// cannot be written.
pub fn write_page(config_path: &Path, to: &Path, verify: bool) -> Result<ExitCode, Failure> {
    let config = super::super::load(config_path)?;
    let evidence = gather(config_path, &config)?;
    let verified = verify.then(|| super::verify::verified(&config)).transpose()?;
    let failed = verified.iter().flatten().any(|one| !one.flaws.is_empty());
    let made = supervisor::validity::date(supervisor::validity::now());
    let page = evidence_page::page(&evidence, verified.as_deref(), &made)?;
    fs::write(to, page).map_err(|e| format!("{} cannot be written: {e}", to.display()))?;
    say(format!("Written: {}", to.display()));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn gather(config_path: &Path, config: &Config) -> Result<Evidence, Failure> {
    // An account file that does not exist holds no accounts: they may all come from PAM.
    let store = match config.auth.users_file.exists() {
        true => Store::load(&config.auth.users_file)?,
        false => Store::default(),
    };
    let accounts = store.accounts.iter().map(|(name, record)| AccountFacts {
        name: printable(name),
        root: printable(&record.root.display().to_string()).into(),
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
        processes: processes(config),
        host: host::findings(),
    })
}

/// The running server's processes, each with its AppArmor profile.
fn processes(config: &Config) -> Vec<ProcessFacts> {
    let rows = operator::open(&config.control_socket)
        .and_then(|channel| operator::process_rows(&channel))
        .unwrap_or_default();
    let facts = |row: ProcessRow| {
        let seen = live::Evidence::read(row.pid)?;
        let apparmor = seen.profile().map(str::to_owned);
        Some(ProcessFacts { role: row.role, pid: row.pid, apparmor })
    };
    rows.into_iter().filter_map(facts).collect()
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
        require_close_notify: tls.require_close_notify,
        require_extended_master_secret: tls.require_extended_master_secret,
        key_exchange_groups: ipc::tls_facts::GROUPS.iter().map(|(_, name)| *name).collect(),
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
