//! The model of the evidence report, and its form in Markdown. Nothing secret is in it: no hash of a
//! password, no key, no code. `bulkhead policy evidence` fills it in.

use std::path::PathBuf;

use serde::Serialize;

/// The report.
#[derive(Debug, Serialize)]
pub struct Evidence {
    /// Version of Bulkhead.
    pub version: &'static str,
    /// Release of the kernel.
    pub kernel: String,
    /// The configuration file.
    pub configuration: File,
    /// The programs.
    pub programs: Vec<File>,
    /// TLS, if it is configured.
    pub tls: Option<TlsFacts>,
    /// The accounts of the account file.
    pub accounts: Vec<AccountFacts>,
    /// Anonymous clients' root, if they are let in.
    pub anonymous: Option<PathBuf>,
    /// Where accounts come from.
    pub backends: Vec<String>,
    /// The policy of each role.
    pub policies: Vec<PolicyFacts>,
    /// The processes of the running server; none if none answers.
    pub processes: Vec<ProcessFacts>,
    /// What the host can enforce.
    pub host: Vec<Finding>,
}

/// One running process.
#[derive(Debug, Serialize)]
pub struct ProcessFacts {
    /// Its role.
    pub role: String,
    /// Its process id.
    pub pid: u32,
    /// Its AppArmor label; none where AppArmor is off.
    pub apparmor: Option<String>,
}

/// A file and its hash.
#[derive(Debug, Serialize)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256, or why there is none.
    pub sha256: String,
}

/// How TLS is configured.
#[derive(Debug, Serialize)]
pub struct TlsFacts {
    /// What TLS is required for.
    pub require: &'static str,
    /// The oldest version of TLS.
    pub minimum_version: &'static str,
    /// Whether a data connection must resume the control connection's session.
    pub require_session_reuse: bool,
    /// Whether uploads must end by close_notify.
    pub require_close_notify: bool,
    /// Whether TLS 1.2 must have the extended master secret.
    pub require_extended_master_secret: bool,
    /// Key exchange groups, in the order of the server's preference.
    pub key_exchange_groups: Vec<&'static str>,
    /// What is asked of client certificates.
    pub client_certificates: &'static str,
    /// The certificates; a hash of a private key has no place in a report.
    pub certificates: Vec<File>,
}

/// An account, without its secrets.
#[derive(Debug, Serialize)]
pub struct AccountFacts {
    /// Its name.
    pub name: String,
    /// Its root.
    pub root: PathBuf,
    /// Its rights.
    pub rights: Vec<&'static str>,
    /// The uid of its sessions, if it is written down.
    pub uid: Option<u32>,
    /// Whether it has a second factor.
    pub second_factor: bool,
    /// Whether it is disabled.
    pub disabled: bool,
}

/// The policy of a role, in numbers and hashes.
#[derive(Debug, Serialize)]
pub struct PolicyFacts {
    /// The role.
    pub role: &'static str,
    /// SHA-256 of the policy file.
    pub source: String,
    /// SHA-256 of each filter in its widest form.
    pub filters: Vec<String>,
    /// How many system calls its widest form allows.
    pub system_calls: usize,
    /// The most system calls the design allows it.
    pub goal: Option<usize>,
}

/// One thing a host can or cannot do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The layer it belongs to.
    pub layer: &'static str,
    /// What.
    pub what: String,
    /// Whether the host has it.
    pub there: bool,
    /// What is lost without it, and what covers that.
    pub without: &'static str,
}

fn yes_or_no(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

impl Evidence {
    /// The report in Markdown.
    pub fn markdown(&self) -> String {
        [
            self.files(),
            self.account_table(),
            self.tls_text(),
            self.policy_table(),
            self.process_table(),
            self.host_table(),
        ]
        .concat()
    }

    fn files(&self) -> String {
        let mut out = format!(
            "# Bulkhead {}: evidence\n\nKernel {}\n\n## Files\n\n| file | SHA-256 |\n|---|---|\n",
            self.version, self.kernel
        );
        let certificates = self.tls.iter().flat_map(|tls| &tls.certificates);
        let files = [&self.configuration].into_iter().chain(&self.programs).chain(certificates);
        for File { path, sha256 } in files {
            out.push_str(&format!("| {} | {sha256} |\n", path.display()));
        }
        out
    }

    fn account_table(&self) -> String {
        let mut out = format!("\n## Accounts\n\nBackends: {}. ", self.backends.join(", "));
        match &self.anonymous {
            Some(root) => {
                out.push_str(&format!("Anonymous: read-only, in {}.\n\n", root.display()));
            }
            None => out.push_str("Anonymous: refused.\n\n"),
        }
        out.push_str(
            "| account | root | rights | uid | second factor | |\n|---|---|---|---|---|---|\n",
        );
        for account in &self.accounts {
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
        out
    }

    fn tls_text(&self) -> String {
        let text = match &self.tls {
            None => "Not configured: passwords and files travel in clear.\n".to_owned(),
            Some(tls) => format!(
                "Required for {}; version {} or later; data connections must resume the control \
                 connection's session: {}; uploads must end by close_notify: {}; TLS 1.2 must have the \
                 extended master secret: {}; key exchange groups {}; client certificates {}.\n",
                tls.require,
                tls.minimum_version,
                yes_or_no(tls.require_session_reuse),
                yes_or_no(tls.require_close_notify),
                yes_or_no(tls.require_extended_master_secret),
                tls.key_exchange_groups.join(", "),
                tls.client_certificates
            ),
        };
        format!("\n## TLS\n\n{text}")
    }

    fn policy_table(&self) -> String {
        let mut out = String::from(
            "\n## Policies\n\n\
             | role | system calls | goal | SHA-256 of the data | SHA-256 of the filters |\n\
             |---|---|---|---|---|\n",
        );
        for policy in &self.policies {
            let goal = policy.goal.map_or("deny list".to_owned(), |goal| format!("at most {goal}"));
            out.push_str(&format!(
                "| {} | {} | {goal} | {} | {} |\n",
                policy.role,
                policy.system_calls,
                policy.source,
                policy.filters.join(", ")
            ));
        }
        out
    }

    fn process_table(&self) -> String {
        if self.processes.is_empty() {
            return "\n## Processes\n\nNo server of this configuration runs.\n".to_owned();
        }
        let mut out = String::from(
            "\n## Processes\n\n| role | process id | AppArmor profile |\n|---|---|---|\n",
        );
        for ProcessFacts { role, pid, apparmor } in &self.processes {
            let apparmor = apparmor.as_deref().unwrap_or("AppArmor is off");
            out.push_str(&format!("| {role} | {pid} | {apparmor} |\n"));
        }
        out
    }

    fn host_table(&self) -> String {
        let mut out =
            String::from("\n## Host\n\n| layer | what | there | without it |\n|---|---|---|---|\n");
        for finding in &self.host {
            let (there, without) =
                if finding.there { ("yes", "") } else { ("no", finding.without) };
            out.push_str(&format!(
                "| {} | {} | {there} | {without} |\n",
                finding.layer, finding.what
            ));
        }
        out.push_str(
            "\n`bulkhead policy verify` proves the policies on fresh processes and holds the running \
             ones against them; `bulkhead policy show` prints every rule and its reason.\n",
        );
        out
    }
}
