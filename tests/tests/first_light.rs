//! The main job, on the wire and with real clients: log in, list, download, upload.

use std::{
    io::{Read, Write},
    process::Command,
};

use bulkhead_tests::harness::{ControlConnection, Server, needs_program, patterned, test};
use libtest_mimic::Trial;

/// Sizes at which transfers go wrong: nothing, one byte, a byte behind a power of two.
const SIZES: [usize; 4] = [0, 1, 4096, (1 << 20) + 1];

pub fn tests() -> Vec<Trial> {
    vec![
        test("first_light::a_file_of_every_size_goes_up_and_comes_down", every_size),
        test(
            "first_light::active_and_passive_connections_carry_the_same_bytes",
            active_and_passive,
        ),
        test("first_light::a_transcript_of_the_verbs", transcript),
        test("first_light::wrong_password_and_unknown_user_sound_the_same", same_words),
        test("first_light::sigterm_ends_the_server_with_status_0", sigterm),
        needs_program("first_light::curl_lists_downloads_and_uploads", "curl", curl),
        needs_program("first_light::lftp_lists_downloads_and_uploads", "lftp", lftp),
    ]
}

fn every_size() {
    let server = Server::start();
    let alice = server.account("alice");
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    for size in SIZES {
        let name = format!("file-{size}");
        let bytes = patterned(size);
        control.upload(&format!("STOR {name}"), &bytes);
        assert!(alice.read(&name) == bytes, "{name} arrived differently");
        assert!(control.download(&format!("RETR {name}")) == bytes, "{name} came back differently");
        assert_eq!(control.command(&format!("SIZE {name}"), 213).text(), size.to_string());
    }
    control.command("QUIT", 221);
    control.expect_end();
}

fn active_and_passive() {
    let server = Server::start();
    let alice = server.account("alice");
    let bytes = patterned(300_000);
    alice.put("data", &bytes);
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    assert!(control.download("RETR data") == bytes);
    let listener = control.active();
    control.command("RETR data", 150);
    let mut data = ControlConnection::data(listener.accept().unwrap().0);
    let mut got = Vec::new();
    data.read_to_end(&mut got).unwrap();
    control.expect(226);
    assert!(got == bytes);
    let listener = control.active();
    control.command("STOR copy", 150);
    let mut data = ControlConnection::data(listener.accept().unwrap().0);
    data.write_all(&bytes).unwrap();
    drop(data);
    control.expect(226);
    assert!(alice.read("copy") == bytes);
}

fn transcript() {
    let server = Server::start();
    let alice = server.account("alice");
    alice.put("greeting.txt", b"hello\r\n");
    let mut control = server.connect();
    control.command("SYST", 215);
    control.command("FEAT", 211);
    control.command("NOOP", 200);
    control.command("PWD", 530);
    control.command("USER alice", 331);
    control.command(&format!("PASS {}", alice.password), 230);
    assert!(control.command("PWD", 257).text().starts_with("\"/\""));
    control.command("TYPE I", 200);
    control.command("MKD below", 257);
    control.command("CWD below", 250);
    assert!(control.command("PWD", 257).text().starts_with("\"/below\""));
    control.command("CDUP", 250);
    control.command("SIZE greeting.txt", 213);
    control.command("MDTM greeting.txt", 213);
    control.command("RNFR greeting.txt", 350);
    control.command("RNTO below/moved.txt", 250);
    assert!(alice.has("below/moved.txt") && !alice.has("greeting.txt"));
    control.command("RMD below", 550);
    control.command("DELE below/moved.txt", 250);
    control.command("RMD below", 250);
    assert!(!alice.has("below"));
    control.command("CWD /nowhere", 550);
    control.command("REST 5", 350);
    control.command("XYZZY", 500);
    control.command("QUIT", 221);
}

fn same_words() {
    let server = Server::start();
    let mut refused = Vec::new();
    for (user, password) in
        [("alice", "wrong"), ("mallory", "wrong"), ("mallory", "alice-secret-1")]
    {
        let mut control = server.connect();
        let asked = control.command(&format!("USER {user}"), 331);
        refused.push((asked, control.command(&format!("PASS {password}"), 530)));
    }
    assert!(refused.windows(2).all(|pair| pair[0] == pair[1]), "{refused:?}");
}

fn sigterm() {
    let mut server = Server::start();
    let mut control = server.log_in("alice");
    server.signal(nix::sys::signal::Signal::SIGTERM);
    control.expect_end();
    assert_eq!(server.wait().code(), Some(0));
}

/// Runs a client and expects success.
fn run(command: &mut Command) -> Vec<u8> {
    let output = command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = output.env("HOME", bulkhead_tests::harness::NO_HOME).output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout
}

fn curl() {
    let server = Server::start();
    let alice = server.account("alice");
    let url = format!("ftp://alice:{}@{}", alice.password, server.address());
    let curl = || {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "20"]);
        command
    };
    for size in SIZES {
        let bytes = patterned(size);
        let file = server.path("upload");
        std::fs::write(&file, &bytes).unwrap();
        run(curl().arg("-T").arg(&file).arg(format!("{url}/up-{size}")));
        assert!(alice.read(&format!("up-{size}")) == bytes, "{size} bytes went up differently");
        let got = run(curl().arg(format!("{url}/up-{size}")));
        assert!(got == bytes, "{size} bytes came down differently");
    }
    let listing = String::from_utf8(run(curl().arg(format!("{url}/")))).unwrap();
    assert!(listing.lines().any(|line| line.ends_with("up-4096")), "{listing}");
    let names = String::from_utf8(run(curl().arg("--list-only").arg(format!("{url}/")))).unwrap();
    assert_eq!(names.lines().count(), SIZES.len(), "{names}");
}

fn lftp() {
    let server = Server::start();
    let alice = server.account("alice");
    let bytes = patterned((1 << 20) + 1);
    alice.put("there", &bytes);
    std::fs::write(server.path("here"), &bytes).unwrap();
    let script = format!(
        "set net:timeout 10; set net:max-retries 1; set cmd:fail-exit yes; \
         open -u alice,{} ftp://{}; ls; get there -o {}; put {} -o put; mkdir new; cd new; quit",
        alice.password,
        server.address(),
        server.path("got").display(),
        server.path("here").display(),
    );
    let listing = run(Command::new("lftp").arg("--norc").arg("-c").arg(script));
    assert!(String::from_utf8_lossy(&listing).contains("there"));
    assert!(std::fs::read(server.path("got")).unwrap() == bytes);
    assert!(alice.read("put") == bytes);
    assert!(alice.has("new"));
}
