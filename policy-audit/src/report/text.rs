//! Policies and single system calls in words.

use policy::{
    Feature, Features, Role, TranslationError, compile,
    model::{Answer, Condition, IdentityKind, LimitedResource, Policy, RootDirectory, Securebits},
    model::{Setting, Style, Syscall},
    policy_of, syscalls,
};

/// Width of the column of values.
const WIDTH: usize = 34;

/// A role's policy in words: what, and why.
///
/// # Errors
/// As [`policy_of`].
pub fn show(role: Role) -> Result<String, TranslationError> {
    let policy = policy_of(role)?;
    let mut out = format!("{}: {}\n\n", policy.role, policy.about);
    for Row { name, value, why } in rows(&policy) {
        if value.len() > WIDTH {
            out.push_str(&format!("  {name:<22} {value}\n  {:<22} {:<WIDTH$} {why}\n", "", ""));
        } else {
            out.push_str(&format!("  {name:<22} {value:<WIDTH$} {why}\n"));
        }
    }
    Ok(out)
}

/// One thing that a policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Which part of the sandbox; empty for a rule of the filter.
    pub name: String,
    /// What it says.
    pub value: String,
    /// Why.
    pub why: String,
}

/// A policy, line by line.
pub fn rows(policy: &Policy) -> Vec<Row> {
    let mut rows = Vec::new();
    write_policy(&mut rows, policy);
    rows
}

fn write_policy(out: &mut Vec<Row>, policy: &Policy) {
    line(out, "identity", identity(policy.identity.is), &policy.identity.why);
    let process = &policy.process;
    line(out, "no_new_privs", yes_no(&process.no_new_privs), &process.no_new_privs.why);
    line(out, "dumpable", yes_no(&process.dumpable), &process.dumpable.why);
    let dies = &process.dies_with_parent;
    line(out, "dies with its parent", yes_no(dies), &dies.why);
    line(out, "securebits", securebits(process.securebits.is), &process.securebits.why);
    match &process.umask {
        Some(umask) => line(out, "umask", &String::from(umask.is), &umask.why),
        None => line(out, "umask", "unchanged", "as systemd or the shell that started it set it"),
    }
    line(out, "root directory", root_directory(process.root.is), &process.root.why);
    if policy.capabilities.is_empty() {
        line(out, "capabilities", "none", "every set is empty, the bounding set too");
    }
    for capability in &policy.capabilities {
        let whose = if capability.held { "capability" } else { "capability of children" };
        line(out, whose, &capability.name, &capability.why);
    }
    for limit in &policy.limits {
        let what = format!("{} at most {}", resource(limit.resource), limit.at_most);
        line(out, "limit", &what, &limit.why);
    }
    write_landlock(out, policy);
    let names = compile::allowed_names(policy, Features::all()).len();
    let calls = match policy.seccomp.style {
        Style::Allow => format!("{names} allowed"),
        Style::Deny => format!("{} forbidden", syscalls::all().count().saturating_sub(names)),
    };
    line(out, "system calls", &calls, &policy.seccomp.why);
    if let Some(goal) = super::goal(policy.role, Features::all()) {
        line(
            out,
            "",
            &format!("goal: at most {goal}"),
            "the number that the design allows, held by a test",
        );
    }
    if policy.role == Role::Session {
        let features = super::read_only_features();
        let names = compile::allowed_names(policy, features).len();
        let goal = super::goal(policy.role, features).unwrap_or_default();
        let what = format!("read-only account: {names}");
        line(out, "", &what, &format!("goal: at most {goal}"));
    }
    let mut rules: Vec<&Syscall> = policy.syscalls.iter().collect();
    rules.sort_by_key(|rule| rule.name.as_str());
    for rule in rules {
        line(out, "", &rule_text(rule), &rule.why);
    }
}

fn write_landlock(out: &mut Vec<Row>, policy: &Policy) {
    let landlock = &policy.landlock;
    for (name, setting) in [
        ("Landlock, files", &landlock.files),
        ("Landlock, TCP", &landlock.network),
        ("Landlock, scopes", &landlock.scopes),
    ] {
        line(out, name, if setting.is { "taken away" } else { "not used" }, &setting.why);
    }
    for allowed in &landlock.allowed {
        let what = format!("{}{}", allowed.right, needs(&allowed.needs, &[]));
        line(out, "  remains", &what, &allowed.why);
    }
}

fn line(out: &mut Vec<Row>, name: &str, value: &str, why: &str) {
    out.push(Row { name: name.to_owned(), value: value.to_owned(), why: why.to_owned() });
}

/// A rule without its reason: name, conditions, features.
fn rule_text(rule: &Syscall) -> String {
    let conditions: Vec<_> = rule.when.iter().map(condition).collect();
    let mut text = rule.name.clone();
    if !conditions.is_empty() {
        text.push_str(&format!(" if {}", conditions.join(" and ")));
    }
    text.push_str(&needs(&rule.needs, &rule.unless));
    match rule.answer {
        None => {}
        Some(Answer::Trap) => text.push_str(" -> SIGSYS"),
        Some(Answer::Eperm) => text.push_str(" -> EPERM"),
        Some(Answer::Enosys) => text.push_str(" -> ENOSYS"),
    }
    text
}

fn needs(needs: &[Feature], unless: &[Feature]) -> String {
    let names =
        |features: &[Feature]| features.iter().map(|f| f.name()).collect::<Vec<_>>().join(" or ");
    let mut text = String::new();
    if !needs.is_empty() {
        text.push_str(&format!(" [with {}]", names(needs)));
    }
    if !unless.is_empty() {
        text.push_str(&format!(" [without {}]", names(unless)));
    }
    text
}

/// A condition in words.
pub fn condition(condition: &Condition) -> String {
    let argument = format!("argument {}", condition.arg);
    match (&*condition.is, &condition.only, &condition.without) {
        ([], Some(bits), _) => format!("{argument} has no bit but {bits}"),
        ([], None, Some(bits)) => format!("{argument} has no bit of {bits}"),
        ([], None, None) => format!("{argument} has {}", condition.has.join(" or ")),
        (values, ..) => format!("{argument} is {}", values.join(" or ")),
    }
}

/// Which roles may make a system call, with which arguments, and why; and which need it.
///
/// # Errors
/// An unknown name, with the most similar ones.
pub fn explain(name: &str) -> Result<String, String> {
    let number = syscalls::number(name).ok_or_else(|| unknown(name))?;
    let mut out = format!("{name} is system call {number}\n\n");
    for role in Role::ALL {
        let policy = policy_of(role).map_err(|e| e.to_string())?;
        let rules: Vec<_> = policy.syscalls.iter().filter(|rule| rule.name == name).collect();
        let verdict = match (policy.seccomp.style, rules.is_empty()) {
            (Style::Allow, true) => "forbidden: not in its list; the process ends",
            (Style::Allow, false) => "allowed:",
            (Style::Deny, true) => "allowed: not in its list of what is forbidden",
            (Style::Deny, false) => "forbidden:",
        };
        out.push_str(&format!("  {:<15}{verdict}\n", role.name()));
        for rule in rules {
            out.push_str(&format!("  {:<15}  {}: {}\n", "", rule_text(rule), rule.why));
        }
    }
    Ok(out)
}

fn unknown(name: &str) -> String {
    let similar: Vec<_> = syscalls::all()
        .map(|(known, _)| known)
        .filter(|known| known.contains(name) || name.contains(known))
        .take(5)
        .collect();
    let hint = if similar.is_empty() {
        "man 2 syscalls lists them".to_owned()
    } else {
        format!("there are {}", similar.join(", "))
    };
    format!("this architecture has no system call `{name}`; {hint}")
}

fn yes_no(setting: &Setting<bool>) -> &'static str {
    if setting.is { "yes" } else { "no" }
}

fn identity(kind: IdentityKind) -> &'static str {
    match kind {
        IdentityKind::Root => "root",
        IdentityKind::Own => "a uid of its role",
        IdentityKind::Account => "the account's uid, gid and groups",
    }
}

fn securebits(kind: Securebits) -> &'static str {
    match kind {
        Securebits::Locked => "all locked",
        Securebits::NoAmbient => "no ambient capability, locked",
    }
}

fn root_directory(kind: RootDirectory) -> &'static str {
    match kind {
        RootDirectory::Host => "the host's",
        RootDirectory::Account => "the account's root (chroot)",
    }
}

fn resource(resource: LimitedResource) -> &'static str {
    match resource {
        LimitedResource::Core => "core dump",
        LimitedResource::Nproc => "processes",
        LimitedResource::Nofile => "descriptors",
        LimitedResource::Memlock => "locked memory",
        LimitedResource::Msgqueue => "message queues",
        LimitedResource::As => "memory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn show_names_every_rule_and_its_reason() {
        for role in Role::ALL {
            let shown = show(role).unwrap();
            for rule in policy_of(role).unwrap().syscalls {
                assert!(shown.contains(&rule.name) && shown.contains(&rule.why), "{}", rule.name);
            }
        }
    }

    #[test]
    fn explain_tells_who_may_and_who_may_not() {
        let text = explain("connect").unwrap();
        assert!(text.contains("helper         allowed"));
        assert!(text.contains("session        forbidden"));
        assert!(explain("openat").unwrap().contains("gate           forbidden"));
        assert!(explain("opnat").is_err());
    }
}
