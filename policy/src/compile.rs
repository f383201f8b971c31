//! From a policy's list of system calls to the programs the kernel runs.

use std::collections::{BTreeMap, BTreeSet};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use crate::{
    model::{Answer, Condition, Policy, Style, Syscall},
    role::Features,
    symbols, syscalls,
};

/// Set in the number of a call that enters by the x32 table of an x86-64 kernel.
const X32_BIT: u32 = 0x4000_0000;

/// One program per answer that the policy gives, in a fixed order. The kernel runs all of them on
/// every system call and takes the most severe answer.
///
/// # Errors
/// When a rule cannot be compiled; the crate `policy-audit` has ruled that out for the embedded ones.
pub fn programs(policy: &Policy, features: Features) -> Result<Vec<BpfProgram>, String> {
    let answer_of = |rule: &Syscall| match policy.seccomp.style {
        Style::Allow => policy.seccomp.answer,
        Style::Deny => rule.answer.unwrap_or(policy.seccomp.answer),
    };
    let mut by_answer: BTreeMap<Answer, BTreeMap<i64, Vec<SeccompRule>>> = BTreeMap::new();
    for rule in policy.syscalls.iter().filter(|rule| rule.applies(features)) {
        let number = syscalls::number(&rule.name)
            .ok_or_else(|| format!("there is no system call `{}`", rule.name))?;
        let rules = by_answer.entry(answer_of(rule)).or_default().entry(number).or_default();
        rules.extend(conditions(rule)?);
    }
    if by_answer.is_empty() {
        return Err("no rule is left with these features, and an empty filter is none".into());
    }
    by_answer.into_iter().map(|(answer, rules)| program(policy, answer, rules)).collect()
}

fn program(
    policy: &Policy,
    answer: Answer,
    rules: BTreeMap<i64, Vec<SeccompRule>>,
) -> Result<BpfProgram, String> {
    let answer = match answer {
        Answer::Trap => SeccompAction::Trap,
        Answer::Eperm => SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        Answer::Enosys => SeccompAction::Errno(libc::ENOSYS.unsigned_abs()),
    };
    let (listed, unlisted) = match policy.seccomp.style {
        Style::Allow => (SeccompAction::Allow, answer),
        Style::Deny => (answer, SeccompAction::Allow),
    };
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|e| e.to_string())?;
    let filter = SeccompFilter::new(rules, unlisted, listed, arch).map_err(|e| e.to_string())?;
    let mut program: BpfProgram = filter
        .try_into()
        .map_err(|e: seccompiler::BackendError| format!("the filter does not compile: {e}"))?;
    if policy.seccomp.style == Style::Deny {
        // A deny list names numbers; the same calls have others behind the x32 bit.
        program.splice(0..0, kill_x32());
    }
    Ok(program)
}

/// Kills a process that enters by the x32 table.
fn kill_x32() -> [sock_filter; 3] {
    const LD_W_ABS: u16 = 0x20;
    const JMP_JGE_K: u16 = 0x35;
    const RET_K: u16 = 0x06;
    [
        sock_filter { code: LD_W_ABS, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JMP_JGE_K, jt: 0, jf: 1, k: X32_BIT },
        sock_filter { code: RET_K, jt: 0, jf: 0, k: libc::SECCOMP_RET_KILL_PROCESS },
    ]
}

/// The rules of seccompiler for one rule of a policy: one per combination of alternatives. None
/// means that the call matches with any arguments.
///
/// # Errors
/// Names the condition that is wrong.
pub fn conditions(rule: &Syscall) -> Result<Vec<SeccompRule>, String> {
    if rule.when.is_empty() {
        return Ok(Vec::new());
    }
    let mut combinations: Vec<Vec<SeccompCondition>> = vec![Vec::new()];
    for condition in &rule.when {
        let alternatives = alternatives(condition)?;
        combinations = combinations
            .iter()
            .flat_map(|so_far| {
                alternatives.iter().map(|alternative| {
                    so_far.iter().cloned().chain([alternative.clone()]).collect()
                })
            })
            .collect();
    }
    combinations.into_iter().map(|c| SeccompRule::new(c).map_err(|e| e.to_string())).collect()
}

fn alternatives(condition: &Condition) -> Result<Vec<SeccompCondition>, String> {
    let length = if condition.wide { SeccompCmpArgLen::Qword } else { SeccompCmpArgLen::Dword };
    let all_bits = if condition.wide { u64::MAX } else { u64::from(u32::MAX) };
    let make = |operator, value| {
        SeccompCondition::new(condition.arg, length.clone(), operator, value)
            .map_err(|e| e.to_string())
    };
    let masked = |mask, value| make(SeccompCmpOp::MaskedEq(mask), value);
    match (&*condition.is, &condition.only, &condition.without, &*condition.has) {
        (values @ [_, ..], None, None, []) => {
            values.iter().map(|v| make(SeccompCmpOp::Eq, symbols::value(v)?)).collect()
        }
        ([], Some(bits), None, []) => Ok(vec![masked(all_bits & !symbols::value(bits)?, 0)?]),
        ([], None, Some(bits), []) => Ok(vec![masked(symbols::value(bits)?, 0)?]),
        ([], None, None, bits @ [_, ..]) => bits
            .iter()
            .map(|bit| {
                let bit = symbols::value(bit)?;
                masked(bit, bit)
            })
            .collect(),
        _ => Err(format!(
            "the condition on argument {} needs exactly one of `is`, `only`, `without`, `has`",
            condition.arg
        )),
    }
}

/// How many names [`allowed_names`] has. Every child counts at its start, so an allow list is not
/// held against the table of all calls.
pub fn allowed_count(policy: &Policy, features: Features) -> usize {
    match policy.seccomp.style {
        Style::Allow => {
            let rules = policy.syscalls.iter().filter(|rule| rule.applies(features));
            rules.map(|rule| rule.name.as_str()).collect::<BTreeSet<_>>().len()
        }
        Style::Deny => allowed_names(policy, features).len(),
    }
}

/// The names of the system calls that a process with this policy can make: all but those that are
/// forbidden whatever their arguments.
pub fn allowed_names(policy: &Policy, features: Features) -> Vec<&'static str> {
    let listed = |name: &str, unconditional: bool| {
        policy.syscalls.iter().any(|rule| {
            rule.name == name && rule.applies(features) && (!unconditional || rule.when.is_empty())
        })
    };
    let mut names: Vec<_> = syscalls::all()
        .map(|(name, _)| name)
        .filter(|name| match policy.seccomp.style {
            Style::Allow => listed(name, false),
            Style::Deny => !listed(name, true),
        })
        .collect();
    names.sort_unstable();
    names
}
