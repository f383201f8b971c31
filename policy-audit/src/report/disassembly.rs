//! A filter as the kernel gets it, readable.

use policy::syscalls;
use seccompiler::sock_filter;

/// The program as bytes, in the kernel's layout: what its hash is made of.
pub fn bytes(program: &[sock_filter]) -> Vec<u8> {
    program
        .iter()
        .flat_map(|step| {
            let [c0, c1] = step.code.to_le_bytes();
            let [k0, k1, k2, k3] = step.k.to_le_bytes();
            [c0, c1, step.jt, step.jf, k0, k1, k2, k3]
        })
        .collect()
}

/// One line per instruction.
pub fn disassemble(program: &[sock_filter]) -> String {
    let mut out = String::new();
    // Where a comparison does not follow an argument, the accumulator holds the number of the call:
    // seccompiler loads arguments only behind a matching number, and answers there.
    let mut behind_argument = false;
    for (at, step) in program.iter().enumerate() {
        let text = instruction(at, step, !behind_argument);
        behind_argument = match step.code {
            0x20 => step.k != 0,
            0x54 => behind_argument,
            _ => false,
        };
        out.push_str(&format!("{at:>4}  {text}\n"));
    }
    out
}

fn instruction(at: usize, step: &sock_filter, holds_number: bool) -> String {
    let target = |offset: u8| at + 1 + usize::from(offset);
    let jump = |relation: &str| {
        let named = match syscalls::name(i64::from(step.k)) {
            Some(name) if holds_number && relation == "==" => format!("{name} ({})", step.k),
            _ => format!("{:#x}", step.k),
        };
        format!("if {relation} {named} then {} else {}", target(step.jt), target(step.jf))
    };
    match step.code {
        0x20 => format!("load {}", field(step.k)),
        0x54 => format!("and {:#x}", step.k),
        0x05 => format!("goto {}", at + 1 + usize::try_from(step.k).unwrap_or(usize::MAX - at - 1)),
        0x15 => jump("=="),
        0x25 => jump(">"),
        0x35 => jump(">="),
        0x45 => jump("has bits"),
        0x06 => format!("answer {}", answer(step.k)),
        other => format!("unknown instruction {other:#x} {} {} {:#x}", step.jt, step.jf, step.k),
    }
}

/// A place in `struct seccomp_data`.
fn field(offset: u32) -> String {
    match offset {
        0 => "number".into(),
        4 => "architecture".into(),
        16..=63 => {
            let half = if offset.is_multiple_of(8) { "low" } else { "high" };
            format!("argument {} ({half} half)", (offset - 16) / 8)
        }
        other => format!("offset {other}"),
    }
}

fn answer(k: u32) -> String {
    match k & libc::SECCOMP_RET_ACTION_FULL {
        libc::SECCOMP_RET_ALLOW => "allow".into(),
        libc::SECCOMP_RET_TRAP => "SIGSYS".into(),
        libc::SECCOMP_RET_KILL_PROCESS => "kill the process".into(),
        libc::SECCOMP_RET_ERRNO => format!("errno {}", k & libc::SECCOMP_RET_DATA),
        other => format!("{other:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use policy::{Features, Role, compile, policy_of};

    use super::*;

    #[test]
    fn every_instruction_of_every_filter_is_known() {
        for role in Role::ALL {
            let policy = policy_of(role).unwrap();
            for program in compile::programs(&policy, Features::all()).unwrap() {
                let text = disassemble(&program);
                assert!(!text.contains("unknown"), "{text}");
                assert_eq!(text.lines().count(), program.len());
                assert_eq!(bytes(&program).len(), program.len() * 8);
            }
        }
    }

    #[test]
    fn comparisons_of_the_number_name_the_call() {
        let policy = policy_of(Role::Relay).unwrap();
        let programs = compile::programs(&policy, Features::NONE).unwrap();
        assert!(disassemble(programs.first().unwrap()).contains("== exit_group"));
    }
}
