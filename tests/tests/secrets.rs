//! What is in the memory of the processes that face clients, and what is not (invariant I7).

use std::{
    fs,
    io::{Read, Seek, SeekFrom},
};

use bulkhead_tests::harness::{ControlConnection, Process, Server, eventually, needs_root};
use libtest_mimic::Trial;

use crate::hostile_workers;

pub fn tests() -> Vec<Trial> {
    vec![
        needs_root("secrets::no_process_keeps_a_password_or_anothers_name_after_login", memory),
        needs_root(
            "secrets::i7_what_is_typed_is_in_the_gate_and_never_in_the_supervisor",
            while_it_waits,
        ),
    ]
}

/// Everything a process can read of its own memory.
pub fn memory_of(pid: i32) -> Vec<u8> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut all = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, mode) = (words.next().unwrap(), words.next().unwrap());
        let (start, end) = range.split_once('-').unwrap();
        let start = u64::from_str_radix(start, 16).unwrap();
        let end = u64::from_str_radix(end, 16).unwrap();
        // The kernel's own pages cannot be read, and programs hold no secret of a run.
        if !mode.starts_with("rw") || start >> 47 != 0 {
            continue;
        }
        memory.seek(SeekFrom::Start(start)).unwrap();
        let mut piece = vec![0; usize::try_from(end - start).unwrap()];
        if memory.read_exact(&mut piece).is_ok() {
            all.extend_from_slice(&piece);
        }
    }
    all
}

fn holds(memory: &[u8], text: &str) -> bool {
    memory.windows(text.len()).any(|window| window == text.as_bytes())
}

/// A login that waits for its turn is where a password stays longest: one gate keeps the only
/// authenticator, and the next one has a password that nobody takes yet.
fn while_it_waits() {
    let server = hostile_workers::hostile(Server::new().with("auth.max_authenticators", "1"));
    hostile_workers::use_up_first_gate(&server);
    hostile_workers::set(&server, "gate typing silent");
    let _first = hostile_workers::meet(&server, "gate");
    eventually("the authenticator to wait", || server.processes_of("authenticator").pop());
    hostile_workers::set(&server, "");
    let mut second = ControlConnection::connect(server.address());
    second.expect(220);
    second.command("USER alice", 331);
    let password = server.account("alice").password.clone();
    second.send(&format!("PASS {password}"));
    let gate_has_it = || {
        let gates = server.processes_of("gate");
        gates.iter().any(|gate| holds(&memory_of(gate.pid), &password)).then_some(())
    };
    eventually("the gate to have the password", gate_has_it);
    assert!(!holds(&memory_of(server.pid()), &password), "the supervisor has the password");
    second.expect(230);
    assert!(!holds(&memory_of(server.pid()), &password), "the supervisor has had the password");
}

fn memory() {
    let server =
        Server::new().with_account("alicequartz", &[]).with_account("bobgranite", &[]).run();
    let (_alice, _bob) = (server.log_in("alicequartz"), server.log_in("bobgranite"));
    let users = fs::read_to_string(server.path("users.toml")).unwrap();
    let hash = users.lines().find_map(|line| line.trim().strip_prefix("password = ")).unwrap();
    let hash = hash.trim_matches(|c| c == '"' || c == '\'');
    assert!(hash.starts_with("$argon2id$"), "{hash}");
    let password = |name: &str| server.account(name).password.clone();
    let (alice, bob) = (password("alicequartz"), password("bobgranite"));
    let mut looked_at = Vec::new();
    for Process { pid, command, .. } in server.processes() {
        let memory = memory_of(pid);
        assert!(memory.len() > 50_000, "{command}: only {} bytes could be read", memory.len());
        let mut found = Vec::new();
        for secret in [alice.as_str(), bob.as_str(), hash] {
            if holds(&memory, secret) {
                found.push(secret);
            }
        }
        let session = command.contains("session");
        if session {
            let own = if command.contains("alicequartz") { "alicequartz" } else { "bobgranite" };
            let other = if own == "alicequartz" { "bobgranite" } else { "alicequartz" };
            // That its own name is found shows that the search can find something.
            assert!(holds(&memory, own), "{command} does not know its own name");
            if holds(&memory, other) {
                found.push(other);
            }
        }
        assert!(found.is_empty(), "{command} holds {found:?}");
        looked_at.push(command);
    }
    for word in ["session", "gate", "helper"] {
        assert!(looked_at.iter().any(|command| command.contains(word)), "{looked_at:?}");
    }
}
