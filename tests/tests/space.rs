//! File systems that take no more: a transfer says so, and leaves what it should.

use std::{io::Write, process::Command};

use bulkhead_tests::harness::{
    Account, ControlConnection, Server, in_namespaces, needs_root, patterned,
};
use libtest_mimic::Trial;

const FULL: &str = "space::an_upload_that_does_not_fit_is_a_452_and_never_complete";
const ATOMIC: &str = "space::an_atomic_upload_that_does_not_fit_leaves_the_old_file";
const READ_ONLY: &str = "space::a_file_system_that_is_read_only_is_a_550";

pub fn tests() -> Vec<Trial> {
    vec![needs_root(FULL, full), needs_root(ATOMIC, atomic), needs_root(READ_ONLY, read_only)]
}

/// More than the file system of the account holds.
const TOO_MUCH: usize = 3 << 20;

/// A server whose `alice` has a file system of one mebibyte for a root.
fn server(settings: &[(&str, &str)]) -> Server {
    let mut server = Server::new().with_account("alice", &[]);
    for (key, value) in settings {
        server = server.with(key, value);
    }
    let alice = server.account("alice");
    let owner = format!("size=1m,mode=755,uid={0},gid={0}", alice.uid);
    mount(&["-t", "tmpfs", "-o", &owner, "tmpfs"], alice);
    server.run()
}

fn mount(arguments: &[&str], account: &Account) {
    let mounted = Command::new("mount").args(arguments).arg(&account.root).output().unwrap();
    assert!(mounted.status.success(), "{mounted:?}");
}

/// Sends more than there is room for; the server may close in the middle.
fn upload_too_much(control: &mut ControlConnection, command: &str) {
    let mut data = control.passive();
    control.command(command, 150);
    data.write_all(&patterned(TOO_MUCH)).ok();
    drop(data);
    let reply = control.expect(452);
    assert!(reply.text().ends_with(": no space left."), "{reply:?}");
}

fn full() {
    if !in_namespaces(FULL, &["--mount"], "true") {
        return;
    }
    let server = server(&[]);
    let alice = server.account("alice");
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    let free: u64 = control.command("AVBL", 213).text().parse().unwrap();
    assert!((1..=1 << 20).contains(&free), "{free}");
    control.command("ALLO 500000", 200);
    control.command(&format!("ALLO {}", free + 1), 452);
    upload_too_much(&mut control, "STOR big");
    // What came before stays, for a client that goes on when there is room.
    let kept = alice.read("big");
    assert!(!kept.is_empty() && patterned(TOO_MUCH).starts_with(&kept), "{} bytes", kept.len());
    control.command("ALLO 1000", 452);
    upload_too_much(&mut control, "APPE big");
    upload_too_much(&mut control, "STOU big");
    control.command("TYPE A", 200);
    upload_too_much(&mut control, "STOR text");
    let complete = server.events("transfer").iter().any(|event| event["complete"] == true);
    assert!(!complete, "{:?}", server.events("transfer"));
    // Room is made, and all is well.
    control.command("TYPE I", 200);
    for name in ["big", "text"] {
        control.command(&format!("DELE {name}"), 250);
    }
    for entry in std::fs::read_dir(&alice.root).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    control.upload("STOR small", &patterned(100_000));
    assert!(alice.read("small") == patterned(100_000));
}

fn atomic() {
    if !in_namespaces(ATOMIC, &["--mount"], "true") {
        return;
    }
    let server = server(&[("uploads", "\"atomic\""), ("sync_uploads", "true")]);
    let alice = server.account("alice");
    alice.put("file", b"old");
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    upload_too_much(&mut control, "STOR file");
    upload_too_much(&mut control, "STOR other");
    assert_eq!(alice.read("file"), b"old");
    // The hidden files are gone, and their room is free.
    let left: Vec<_> = std::fs::read_dir(&alice.root).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    control.upload("STOR file", &patterned(500_000));
    assert!(alice.read("file") == patterned(500_000));
}

fn read_only() {
    if !in_namespaces(READ_ONLY, &["--mount"], "true") {
        return;
    }
    let server = server(&[]);
    let alice = server.account("alice");
    alice.put("a", b"x");
    mount(&["-o", "remount,ro"], alice);
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    for line in ["DELE a", "MKD d", "SITE CHMOD 600 a", "MFMT 20200102030405 a"] {
        let reply = control.command(line, 550);
        assert!(reply.text().ends_with("the file system is read-only."), "{line}: {reply:?}");
    }
    control.command("EPSV", 229);
    control.command("STOR a", 550);
    let _data = control.passive();
    control.command("STOR b", 550);
    assert_eq!(control.download("RETR a"), b"x");
}
