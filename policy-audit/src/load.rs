//! Policy files: read and checked. What does not pass never becomes a sandbox.

use std::collections::BTreeMap;

use policy::{
    Features, Role, capability_bit, compile, is_file_right,
    model::{Answer, IdentityKind, Policy, Style},
    syscalls,
};

/// Why a policy is not usable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// It is no TOML of the form that [`policy::model`] describes.
    #[error("the policy of the {role} does not load: {reason}")]
    Syntax {
        /// Whose.
        role: String,
        /// The parser's words.
        reason: String,
    },
    /// A rule is wrong.
    #[error("the policy of the {role} is wrong at `{item}`: {reason}")]
    Rule {
        /// Whose.
        role: Role,
        /// Which entry.
        item: String,
        /// What is wrong.
        reason: String,
    },
}

/// Reads and checks a policy.
///
/// # Errors
/// Names the role and the entry.
pub fn parse(role: Role, text: &str) -> Result<Policy, PolicyError> {
    let policy: Policy = toml::from_str(text)
        .map_err(|e| PolicyError::Syntax { role: role.to_string(), reason: e.to_string() })?;
    let wrong = |item: &str, reason: &str| PolicyError::Rule {
        role,
        item: item.to_owned(),
        reason: reason.to_owned(),
    };
    if policy.role != role {
        return Err(wrong("role", "the file is another role's"));
    }
    for (item, why) in reasons(&policy) {
        if why.trim().len() < 10 {
            return Err(wrong(item, "the reason is missing or says nothing"));
        }
    }
    for capability in &policy.capabilities {
        if capability_bit(&capability.name).is_none() {
            return Err(wrong(&capability.name, "there is no such capability"));
        }
    }
    for allowed in &policy.landlock.allowed {
        if !is_file_right(&allowed.right) {
            return Err(wrong(&allowed.right, "there is no such Landlock right"));
        }
        // What an account may do hangs on its rights; other roles have no account.
        if allowed.needs.is_empty() && policy.identity.is == IdentityKind::Account {
            return Err(wrong(&allowed.right, "a right on files needs a feature to hang on"));
        }
    }
    if !policy.landlock.allowed.is_empty() && !policy.landlock.files.is {
        return Err(wrong("landlock", "rights are allowed, but none is taken away"));
    }
    check_syscalls(&policy).map_err(|(item, reason)| wrong(&item, &reason))?;
    Ok(policy)
}

/// Every reason of a policy with the entry it belongs to.
fn reasons(policy: &Policy) -> Vec<(&str, &str)> {
    let mut all = vec![
        ("identity", policy.identity.why.as_str()),
        ("no_new_privs", &policy.process.no_new_privs.why),
        ("dumpable", &policy.process.dumpable.why),
        ("dies_with_parent", &policy.process.dies_with_parent.why),
        ("securebits", &policy.process.securebits.why),
        ("umask", policy.process.umask.as_ref().map_or("as its parent's", |umask| &umask.why)),
        ("root", &policy.process.root.why),
        ("landlock.files", &policy.landlock.files.why),
        ("landlock.network", &policy.landlock.network.why),
        ("landlock.scopes", &policy.landlock.scopes.why),
        ("seccomp", &policy.seccomp.why),
    ];
    all.extend(policy.capabilities.iter().map(|c| (c.name.as_str(), c.why.as_str())));
    all.extend(policy.limits.iter().map(|l| ("limit", l.why.as_str())));
    all.extend(policy.landlock.allowed.iter().map(|a| (a.right.as_str(), a.why.as_str())));
    all.extend(policy.syscalls.iter().map(|s| (s.name.as_str(), s.why.as_str())));
    all
}

/// Checks the list of system calls: known names, known constants, no rule that another one makes
/// meaningless, no list that forbids nothing or allows nothing.
fn check_syscalls(policy: &Policy) -> Result<(), (String, String)> {
    let mut seen: BTreeMap<&str, bool> = BTreeMap::new();
    for rule in &policy.syscalls {
        let wrong = |reason: String| (rule.name.clone(), reason);
        if syscalls::number(&rule.name).is_none() {
            return Err(wrong("there is no such system call".into()));
        }
        compile::conditions(rule).map_err(wrong)?;
        let conditional = !rule.when.is_empty();
        // seccompiler keeps a map: of two rules without conditions, one would silently win.
        if let Some(other) = seen.insert(&rule.name, conditional)
            && !(conditional && other)
        {
            return Err(wrong("listed twice, and not each time with a condition".into()));
        }
        if rule.answer.is_some() && policy.seccomp.style == Style::Allow {
            return Err(wrong("an answer of its own makes sense in a deny list only".into()));
        }
    }
    let essential = ["sendmsg", "exit_group"];
    match policy.seccomp.style {
        Style::Allow => {
            if policy.seccomp.answer != Answer::Trap {
                return Err(("seccomp".into(), "an allow list answers with trap".into()));
            }
            for name in essential {
                let always = policy.syscalls.iter().any(|s| s.name == name && s.needs.is_empty());
                if !always {
                    let why = "every role needs it to say its last words".to_owned();
                    return Err((name.into(), why));
                }
            }
        }
        Style::Deny => {
            if !policy.syscalls.iter().any(|s| s.applies(Features::all())) {
                return Err(("seccomp".into(), "the list forbids nothing".into()));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use policy::{policy_of, source};

    use super::*;

    #[test]
    fn what_runs_is_what_the_checked_file_says() {
        for role in Role::ALL {
            let file = parse(role, source(role)).unwrap();
            let translated = policy_of(role).unwrap();
            assert_eq!(format!("{translated:?}"), format!("{file:?}"), "{role}");
            for features in [Features::NONE, Features::all()] {
                let names = compile::allowed_names(&file, features);
                assert_eq!(names.len(), compile::allowed_count(&translated, features), "{role}");
            }
        }
    }
}
