//! The evidence report as one page of HTML that needs nothing else: to be read, printed, and filed. Every
//! text that comes from a host or an account is escaped.

use std::fmt::Write;

use policy::{Role, TranslationError, policy_of};

use crate::{
    evidence::{AccountFacts, Evidence, File},
    report::{Row, rows},
};

/// One thing that `bulkhead policy verify` has looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The role.
    pub role: String,
    /// Process id of a live process; nothing for one that was started to try something.
    pub pid: Option<u32>,
    /// What was looked at, and what was found.
    pub what: String,
    /// The layers that failed, each with what was found; empty if all is well.
    pub flaws: Vec<String>,
}

/// What somebody gets who has taken a process over completely, and what he does not.
pub fn takeover(role: Role) -> (&'static str, &'static str) {
    match role {
        Role::Supervisor => (
            "the server: it starts every process and decides who an account is",
            "it reads no byte of a client, so nobody outside has a way to talk to it",
        ),
        Role::Keeper => (
            "the TLS private keys, as long as they are valid",
            "passwords, accounts, files, the network: it can open nothing and speaks with its \
             supervisor, gates and sessions only",
        ),
        Role::Authenticator => (
            "the account file with its password hashes, and the password of the one attempt it was \
             started for",
            "TLS keys, clients, the network; it ends with the attempt",
        ),
        Role::PamAuthenticator => (
            "what PAM's modules may: it runs as root, because they need it, and forbids what they \
             do not",
            "clients: what it reads of one is a bounded name and password; it ends with the attempt",
        ),
        Role::Helper => (
            "data connections of the sessions of now: to their own clients, whose addresses come \
             from the supervisor",
            "files, passwords, keys; it can execute nothing and has no capability but NET_BIND_SERVICE",
        ),
        Role::Gate => (
            "one control connection before its login, and the password typed on it",
            "accounts, files, keys, other clients, a socket of its own; a signature only over a \
             handshake of this server",
        ),
        Role::Relay => (
            "the bytes of one control connection after its login",
            "files, keys, other clients; it may do less than a gate",
        ),
        Role::Session => (
            "the files of one account, with the rights of that account, and its client's connections",
            "files outside the account's roots, other accounts, keys, passwords, programs, a peer \
             that is not its client",
        ),
    }
}

/// The page. `verified` is what `bulkhead policy verify` has found, if it was run.
///
/// # Errors
/// As [`policy_of`].
pub fn page(
    evidence: &Evidence,
    verified: Option<&[Verified]>,
    made: &str,
) -> Result<String, TranslationError> {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Bulkhead {0}: evidence</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>Bulkhead {0}: evidence</h1>\n<p class=\"meta\">Made on {1}. Kernel {2}.</p>\n",
        escape(evidence.version),
        escape(made),
        escape(&evidence.kernel)
    );
    out.push_str(SUMMARY);
    verdict(&mut out, verified);
    out.push_str("<h2>Processes</h2>\n<p>Who starts whom, and who reads a client's bytes.</p>\n");
    out.push_str(PICTURE);
    takeovers(&mut out);
    accounts(&mut out, evidence);
    tls(&mut out, evidence);
    host(&mut out, evidence);
    files(&mut out, evidence);
    rules(&mut out)?;
    checks(&mut out, verified);
    out.push_str("</body>\n</html>\n");
    Ok(out)
}

const STYLE: &str = include_str!("evidence_page.css");
const PICTURE: &str = include_str!("evidence_page.svg");

const SUMMARY: &str = "<p>Each client is served by processes of its own. None of them holds privilege, \
    a private key or a password file; each is confined by Landlock, seccomp, its own uid and an empty \
    capability set before it reads the client's first byte. This page says what each process may do and \
    why, what a takeover of each would yield, how this server is configured, and what was found when its \
    confinement was tried.</p>\n";

fn verdict(out: &mut String, verified: Option<&[Verified]>) {
    let text = match verified {
        None => "<p class=\"verdict unknown\">Confinement was not tried for this page: run \
             <code>bulkhead policy evidence --html FILE</code> as root.</p>\n"
            .to_owned(),
        Some(all) => {
            let failed = all.iter().filter(|one| !one.flaws.is_empty()).count();
            let class = if failed == 0 { "good" } else { "bad" };
            format!(
                "<p class=\"verdict {class}\">Confinement was tried: {} checks, {failed} failed.</p>\n",
                all.len()
            )
        }
    };
    out.push_str(&text);
}

/// A table with these headings and rows; cells are HTML already.
fn table(out: &mut String, class: &str, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    write!(out, "<table class=\"{class}\">\n<thead><tr>").ok();
    for head in heads {
        write!(out, "<th>{}</th>", escape(head)).ok();
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for cell in row {
            write!(out, "<td>{cell}</td>").ok();
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
}

fn takeovers(out: &mut String) {
    out.push_str("<h2>What a takeover yields</h2>\n");
    let row = |role: &Role| {
        let (yields, never) = takeover(*role);
        vec![code(role.name()), escape(yields), escape(never)]
    };
    let heads = ["process", "whoever has taken it over gets", "and does not get"];
    table(out, "takeover", &heads, Role::ALL.iter().map(row));
}

fn accounts(out: &mut String, evidence: &Evidence) {
    out.push_str("<h2>Accounts</h2>\n");
    let anonymous = match &evidence.anonymous {
        Some(root) => format!("let in read-only, in {}", code(&root.display().to_string())),
        None => "refused".to_owned(),
    };
    let backends = escape(&evidence.backends.join(", "));
    writeln!(out, "<p>Accounts come from: {backends}. Anonymous clients are {anonymous}.</p>").ok();
    let row = |account: &AccountFacts| {
        let mut marks = Vec::new();
        if account.second_factor {
            marks.push("second factor");
        }
        if account.disabled {
            marks.push("disabled");
        }
        vec![
            code(&account.name),
            code(&account.root.display().to_string()),
            escape(&account.rights.join(" ")),
            escape(&account.uid.map_or("not written down".to_owned(), |uid| uid.to_string())),
            escape(&marks.join(", ")),
        ]
    };
    let heads = ["account", "root", "rights", "uid", ""];
    table(out, "accounts", &heads, evidence.accounts.iter().map(row));
}

fn tls(out: &mut String, evidence: &Evidence) {
    out.push_str("<h2>TLS</h2>\n");
    let Some(tls) = &evidence.tls else {
        out.push_str(
            "<p class=\"verdict bad\">Not configured: passwords and files travel in clear.</p>\n",
        );
        return;
    };
    let rows = [
        ("required for", tls.require),
        ("oldest version", tls.minimum_version),
        ("data connections resume their control connection", yes(tls.require_session_reuse)),
        ("client certificates", tls.client_certificates),
    ];
    let rows = rows.into_iter().map(|(name, value)| vec![escape(name), escape(value)]);
    table(out, "tls", &["setting", "value"], rows);
}

fn host(out: &mut String, evidence: &Evidence) {
    out.push_str(
        "<h2>Host</h2>\n<p>What this kernel can enforce, and what covers what it lacks.</p>\n",
    );
    let rows = evidence.host.iter().map(|finding| {
        let without = if finding.there { "" } else { finding.without };
        let there = if finding.there { "yes" } else { "<b>no</b>" };
        vec![escape(finding.layer), escape(&finding.what), there.to_owned(), escape(without)]
    });
    table(out, "host", &["layer", "what", "there", "without it"], rows);
}

fn files(out: &mut String, evidence: &Evidence) {
    out.push_str("<h2>Files and filters, with their SHA-256</h2>\n");
    let certificates = evidence.tls.iter().flat_map(|tls| &tls.certificates);
    let all = [&evidence.configuration].into_iter().chain(&evidence.programs).chain(certificates);
    let row = |file: &File| vec![code(&file.path.display().to_string()), code(&file.sha256)];
    table(out, "hashes", &["file", "SHA-256"], all.map(row));
    let rows = evidence.policies.iter().map(|policy| {
        let goal =
            policy.goal.map_or("a list of what is forbidden".into(), |n| format!("at most {n}"));
        let filters: Vec<String> = policy.filters.iter().map(|hash| code(hash)).collect();
        vec![
            code(policy.role),
            policy.system_calls.to_string(),
            goal,
            code(&policy.source),
            filters.join("<br>"),
        ]
    });
    let heads =
        ["role", "system calls", "allowed by design", "SHA-256 of the data", "of the filters"];
    table(out, "policies", &heads, rows);
}

fn rules(out: &mut String) -> Result<(), TranslationError> {
    out.push_str("<h2>Every rule, with its reason</h2>\n");
    for role in Role::ALL {
        let policy = policy_of(role)?;
        writeln!(out, "<h3>{}</h3>\n<p>{}</p>", escape(role.name()), escape(&policy.about)).ok();
        let mut part = String::new();
        let rows = rows(&policy).into_iter().map(|Row { name, value, why }| {
            if !name.is_empty() {
                part = name;
            }
            vec![escape(&part), code(&value), escape(&why)]
        });
        table(out, "rules", &["part", "rule", "why"], rows);
    }
    Ok(())
}

fn checks(out: &mut String, verified: Option<&[Verified]>) {
    let Some(all) = verified else { return };
    out.push_str(
        "<h2>What was tried, and what was found</h2>\n<p>Processes that were started to try what must \
         fail, and those of the running server, as /proc shows them.</p>\n",
    );
    let rows = all.iter().map(|one| {
        let verdict =
            if one.flaws.is_empty() { "ok".to_owned() } else { "<b>FAILED</b>".to_owned() };
        let mut what = escape(&one.what);
        for flaw in &one.flaws {
            write!(what, "<br><b>{}</b>", escape(flaw)).ok();
        }
        let who = one.pid.map_or("tried".to_owned(), |pid| format!("pid {pid}"));
        vec![verdict, code(&one.role), who, what]
    });
    table(out, "checks", &["", "role", "process", "what"], rows);
}

fn yes(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

/// Text as HTML shows it. Who fills the report in has escaped what turns the direction of writing.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn evidence(account: &str) -> Evidence {
        Evidence {
            version: "1.2.3",
            kernel: "6.1".into(),
            configuration: File { path: PathBuf::from("/etc/x"), sha256: "00".into() },
            programs: Vec::new(),
            tls: None,
            accounts: vec![AccountFacts {
                name: account.into(),
                root: PathBuf::from("/srv/<x>"),
                rights: vec!["read"],
                uid: Some(1000),
                second_factor: true,
                disabled: false,
            }],
            anonymous: None,
            backends: vec!["file".into()],
            policies: Vec::new(),
            processes: Vec::new(),
            host: Vec::new(),
        }
    }

    #[test]
    fn every_role_every_rule_and_every_reason_is_on_the_page() {
        let page = page(&evidence("alice"), None, "2026-11-27").unwrap();
        for role in Role::ALL {
            assert!(page.contains(&format!("<h3>{}</h3>", role.name())));
            let (yields, never) = takeover(role);
            assert!(page.contains(&escape(yields)) && page.contains(&escape(never)));
            for row in rows(&policy_of(role).unwrap()) {
                assert!(page.contains(&escape(&row.why)), "{row:?}");
            }
        }
        assert!(!page.contains("http://") || page.contains("xmlns=\"http://www.w3.org/2000/svg\""));
        assert!(!page.contains("<script") && !page.contains("src="), "it needs nothing else");
    }

    #[test]
    fn what_comes_from_a_host_cannot_steer_the_page() {
        let name = "<script>alert(1)</script>\"&'";
        let page = page(&evidence(name), None, "now").unwrap();
        assert!(!page.contains("<script>"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&amp;&#39;"));
        assert!(page.contains("/srv/&lt;x&gt;"));
    }

    #[test]
    fn what_failed_stands_on_top_and_in_its_row() {
        let checks = [
            Verified { role: "gate".into(), pid: None, what: "fine".into(), flaws: Vec::new() },
            Verified {
                role: "session".into(),
                pid: Some(7),
                what: "uid 1000".into(),
                flaws: vec!["layer seccomp: it succeeded".into()],
            },
        ];
        let page = page(&evidence("alice"), Some(&checks), "now").unwrap();
        assert!(page.contains("2 checks, 1 failed"));
        assert!(page.contains("verdict bad") && page.contains("layer seccomp: it succeeded"));
    }
}
