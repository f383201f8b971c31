//! What changed between two versions of a policy.

use std::collections::BTreeMap;

use policy::model::Policy;

/// One line per entry that was added (`+`), removed (`-`) or changed (`~`), sorted. Empty if the
/// two allow and forbid the same; reasons alone make no difference.
pub fn differences(old: &Policy, new: &Policy) -> Vec<String> {
    let (old, new) = (entries(old), entries(new));
    let mut lines = Vec::new();
    for (key, value) in &old {
        match new.get(key) {
            None => lines.push(format!("- {key}: {value}")),
            Some(now) if now != value => lines.push(format!("~ {key}: {value} -> {now}")),
            Some(_) => {}
        }
    }
    for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
        lines.push(format!("+ {key}: {value}"));
    }
    lines
}

/// Every entry of a policy by a key that names it in both versions.
fn entries(policy: &Policy) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let process = &policy.process;
    all.insert("identity".into(), format!("{:?}", policy.identity.is));
    all.insert("no_new_privs".into(), process.no_new_privs.is.to_string());
    all.insert("dumpable".into(), process.dumpable.is.to_string());
    all.insert("dies_with_parent".into(), process.dies_with_parent.is.to_string());
    all.insert("securebits".into(), format!("{:?}", process.securebits.is));
    let umask = process.umask.as_ref().map(|umask| String::from(umask.is));
    all.insert("umask".into(), umask.unwrap_or_else(|| "unchanged".into()));
    all.insert("root".into(), format!("{:?}", process.root.is));
    for capability in &policy.capabilities {
        let whose = if capability.held { "held" } else { "for children" };
        all.insert(format!("capability {}", capability.name), whose.into());
    }
    for limit in &policy.limits {
        all.insert(format!("limit {:?}", limit.resource), limit.at_most.to_string());
    }
    let landlock = &policy.landlock;
    for (name, setting) in [
        ("landlock files", &landlock.files),
        ("landlock network", &landlock.network),
        ("landlock scopes", &landlock.scopes),
    ] {
        all.insert(name.into(), setting.is.to_string());
    }
    for allowed in &landlock.allowed {
        all.insert(format!("landlock allow {}", allowed.right), format!("{:?}", allowed.needs));
    }
    all.insert("filter".into(), format!("{:?}, {:?}", policy.seccomp.style, policy.seccomp.answer));
    for rule in &policy.syscalls {
        let conditions: Vec<_> = rule.when.iter().map(super::condition).collect();
        let form = format!(
            "{} needs {:?} unless {:?} answer {:?}",
            if conditions.is_empty() { "any arguments,".into() } else { conditions.join(" and ") },
            rule.needs,
            rule.unless,
            rule.answer,
        );
        let entry: &mut String = all.entry(format!("syscall {}", rule.name)).or_default();
        if !entry.is_empty() {
            entry.push_str("; or ");
        }
        entry.push_str(&form);
    }
    all
}

#[cfg(test)]
mod tests {
    use policy::{Role, source};

    use super::*;
    use crate::load::parse;

    #[test]
    fn what_was_added_removed_and_changed_is_named() {
        let gate = source(Role::Gate);
        let old = parse(Role::Gate, gate).unwrap();
        assert_eq!(differences(&old, &old), [""; 0]);
        let changed = gate.replacen("name = \"read\"", "name = \"openat\"", 1).replacen(
            "at_most = 32",
            "at_most = 33",
            1,
        );
        let new = parse(Role::Gate, &changed).unwrap();
        let lines = differences(&old, &new);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines.iter().any(|l| l.starts_with("- syscall read")));
        assert!(lines.iter().any(|l| l.starts_with("+ syscall openat")));
        assert!(lines.iter().any(|l| l == "~ limit Nofile: 32 -> 33"));
    }

    #[test]
    fn another_reason_is_no_difference() {
        let gate = source(Role::Gate);
        let old = parse(Role::Gate, gate).unwrap();
        let reworded = gate.replace("the control connection", "the connection of the client");
        assert_eq!(differences(&old, &parse(Role::Gate, &reworded).unwrap()), [""; 0]);
    }
}
