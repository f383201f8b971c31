//! The generated parts of docs/security.md say what the data says. With `BULKHEAD_BLESS=1` they are
//! written anew.

use std::{fs, path::PathBuf};

use ipc::account::Rights;
use policy::{
    Features, Role, compile,
    model::{IdentityKind, Style},
    policy_of, syscalls,
};
use policy_audit::report;

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md")
}

/// A table of the roles.
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
fn roles() -> String {
    let mut out = String::from(
        "| role | runs as | capabilities | Landlock | system calls |\n|---|---|---|---|---|\n",
    );
    for role in Role::ALL {
        let policy = policy_of(role).unwrap();
        let identity = match policy.identity.is {
            IdentityKind::Root => "root",
            IdentityKind::Own => "a uid of its role",
            IdentityKind::Account => "the account",
        };
        let held: Vec<_> =
            policy.capabilities.iter().filter(|c| c.held).map(|c| c.name.as_str()).collect();
        let capabilities = if held.is_empty() { "none".to_owned() } else { held.join(" ") };
        let mut taken = Vec::new();
        if policy.landlock.files.is {
            let beneath = if policy.landlock.allowed.is_empty() { "" } else { " outside the root" };
            taken.push(format!("no file{beneath}"));
        }
        if policy.landlock.network.is {
            taken.push("no TCP bind or connect".into());
        }
        if policy.landlock.scopes.is {
            taken.push("no signal or abstract socket outside".into());
        }
        let landlock = if taken.is_empty() { "not used".to_owned() } else { taken.join(", ") };
        let count = compile::allowed_names(&policy, Features::all()).len();
        let calls = match policy.seccomp.style {
            Style::Deny => format!("{} forbidden", syscalls::all().count() - count),
            Style::Allow if role == Role::Session => {
                let read_only = compile::allowed_names(&policy, report::read_only_features()).len();
                format!("{read_only} read-only, {count} writing")
            }
            Style::Allow => count.to_string(),
        };
        out.push_str(&format!("| {role} | {identity} | {capabilities} | {landlock} | {calls} |\n"));
    }
    out
}

/// A table of the rights of accounts.
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
fn rights() -> String {
    let policy = policy_of(Role::Session).unwrap();
    let without = compile::allowed_names(&policy, Features::NONE);
    let mut out = String::from("| right | Landlock | system calls |\n|---|---|---|\n");
    for name in Rights::all_names() {
        let features = Features::from_rights(Rights::from_name(name).unwrap());
        let landlock: Vec<_> = policy
            .landlock
            .allowed
            .iter()
            .filter(|allowed| allowed.applies(features))
            .map(|allowed| allowed.right.as_str())
            .collect();
        let calls: Vec<_> = compile::allowed_names(&policy, features)
            .into_iter()
            .filter(|call| !without.contains(call))
            .collect();
        out.push_str(&format!("| {name} | {} | {} |\n", landlock.join(" "), calls.join(" ")));
    }
    out
}

#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
fn replaced(text: &str, part: &str, table: &str) -> String {
    let start = format!("<!-- generated: {part} -->\n");
    let (before, rest) = text.split_once(&start).unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    format!("{before}{start}{table}<!-- end -->{after}")
}

#[test]
fn the_generated_tables_say_what_the_data_says() {
    let text = fs::read_to_string(file()).unwrap();
    let current = replaced(&replaced(&text, "roles", &roles()), "rights", &rights());
    if std::env::var_os("BULKHEAD_BLESS").is_some() {
        fs::write(file(), current).unwrap();
        return;
    }
    assert!(
        text == current,
        "docs/security.md is out of date: run this test with BULKHEAD_BLESS=1"
    );
}
