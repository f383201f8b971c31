//! What transcripts cannot show of commands: bytes that come in odd pieces, and what is left on the
//! disk. The commands themselves are in tests/transcripts/.

use std::os::unix::{ffi::OsStrExt, fs::PermissionsExt};

use bulkhead_tests::harness::{Account, ControlConnection, Server, test};
use libtest_mimic::Trial;

pub fn tests() -> Vec<Trial> {
    vec![
        test("commands::lines_are_read_however_they_come", lines),
        test("commands::a_login_and_what_follows_may_come_in_one_piece", one_piece),
        test("commands::a_sum_is_made_beside_other_commands_and_aborted", sum),
        test("commands::an_urgent_abor_is_answered_without_a_transfer", urgent_abor),
        test("commands::rest_reaches_beyond_four_gibibytes", rest),
        test("commands::new_files_get_the_mode_that_the_umask_leaves", modes),
        test("commands::a_refused_change_leaves_the_files_as_they_were", read_only),
        test("commands::names_with_quotes_spaces_and_control_bytes_forge_nothing", names),
    ]
}

fn lines() {
    let server = Server::start();
    let mut control = server.log_in("alice");
    control.send_raw(b"NOOP\n");
    control.expect(200);
    for byte in b"noop\r\n" {
        control.send_raw(&[*byte]);
    }
    control.expect(200);
    control.send_raw(b"NOOP\r\nSYST\r\nNOOP\r\n");
    control.expect(200);
    control.expect(215);
    control.expect(200);
    let long = format!("CWD {}\r\nNOOP\r\n", "x".repeat(9000));
    control.send_raw(long.as_bytes());
    control.expect(500);
    control.expect(200);
    control.send_raw(b"CWD a\0b\r\n");
    control.expect(501);
    control.send_raw(b"CWD a\rb\r\n");
    control.expect(501);
    control.send_raw(b"\xff\xf4\xff\xf2ABOR\r\n");
    control.expect(226);
    control.send_raw(b"\xff\xfb\x01NOOP\r\n");
    let mut answer = [0; 3];
    std::io::Read::read_exact(&mut control.stream().try_clone().unwrap(), &mut answer).unwrap();
    assert_eq!(answer, [0xff, 0xfe, 0x01], "an option is declined");
    control.expect(200);
    control.send_raw(b"\r\n");
    control.expect(500);
    control.command("NOOP now", 501);
}

fn one_piece() {
    let server = Server::start();
    let mut control = ControlConnection::connect(server.address());
    control.send_raw(b"USER alice\r\nPASS alice-secret-1\r\nPWD\r\nMKD d\r\nCWD d\r\nQUIT\r\n");
    for code in [220, 331, 230, 257, 257, 250, 221] {
        control.expect(code);
    }
    control.expect_end();
    assert!(server.account("alice").has("d"));
}

fn sum() {
    let server = Server::start();
    let alice = server.account("alice");
    alice.put("huge", b"");
    // Nothing but a hole, of which a sum takes hours.
    let huge = std::fs::File::options().write(true).open(alice.path("huge")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let mut control = server.log_in("alice");
    for command in ["HASH huge", "XMD5 huge"] {
        control.send(command);
        control.command("NOOP", 200);
        control.command("STAT", 211);
        control.command("ABOR", 426);
        control.expect(226);
        control.command("ABOR", 226);
    }
    // A client that goes away ends it.
    control.send("HASH huge");
    control.command("NOOP", 200);
    drop(control);
    server.expect_idle();
}

fn urgent_abor() {
    let server = Server::start();
    let mut control = server.log_in("alice");
    control.send_raw(b"\xff\xf4\xff");
    rustix::net::send(control.stream(), b"\xf2", rustix::net::SendFlags::OOB).unwrap();
    control.command("ABOR", 226);
    // Some clients send the whole line as urgent data: its last byte is the mark.
    control.send_raw(b"ABOR\r");
    rustix::net::send(control.stream(), b"\n", rustix::net::SendFlags::OOB).unwrap();
    control.expect(226);
    control.command("NOOP", 200);
}

fn rest() {
    let server = Server::start();
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    // In a file that is nearly all hole.
    control.command("REST 5000000000", 350);
    control.upload("STOR sparse", b"end");
    assert_eq!(control.command("SIZE sparse", 213).text(), "5000000003");
    control.command("REST 5000000000", 350);
    assert_eq!(control.download("RETR sparse"), b"end");
    control.command("REST 5000000003", 350);
    assert_eq!(control.download("RETR sparse"), b"");
}

/// The mode bits of a file.
fn mode(account: &Account, name: &str) -> u32 {
    std::fs::metadata(account.path(name)).unwrap().permissions().mode() & 0o7777
}

fn modes() {
    let server = Server::new().with("local_umask", "\"037\"").with_account("alice", &[]).run();
    let alice = server.account("alice");
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    control.upload("STOR a", b"x");
    control.command("MKD d", 257);
    assert_eq!((mode(alice, "a"), mode(alice, "d")), (0o640, 0o740));
    control.command("SITE UMASK 007", 200);
    control.upload("STOU b", b"x");
    control.upload("APPE c", b"x");
    control.command("MKD e", 257);
    assert_eq!((mode(alice, "b"), mode(alice, "c"), mode(alice, "e")), (0o660, 0o660, 0o770));
    for bits in ["4755", "2755", "1755"] {
        control.command(&format!("SITE CHMOD {bits} a"), 504);
        control.command(&format!("MFF UNIX.mode={bits}; a"), 504);
    }
    // A file that is replaced keeps its mode.
    control.upload("STOR a", b"y");
    assert_eq!(mode(alice, "a"), 0o640);
}

fn read_only() {
    let server = Server::new().with_account("reader", &["--read-only"]).run();
    let reader = server.account("reader");
    reader.put("a", b"x");
    reader.make_directory("d");
    let before = std::fs::metadata(reader.path("a")).unwrap();
    let mut control = server.log_in("reader");
    control.command("EPSV", 229);
    for line in [
        "STOR a",
        "STOR b",
        "STOU",
        "APPE a",
        "DELE a",
        "MKD e",
        "RMD d",
        "RNFR a",
        "RNTO b",
        "SITE CHMOD 777 a",
        "SITE UTIME 20200102030405 a",
        "MFMT 20200102030405 a",
        "MFF UNIX.mode=0777; a",
    ] {
        control.command(line, 550);
    }
    let after = std::fs::metadata(reader.path("a")).unwrap();
    assert_eq!(reader.read("a"), b"x");
    assert_eq!(before.permissions(), after.permissions());
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    assert_eq!(std::fs::read_dir(reader.path("")).unwrap().count(), 2);
}

fn names() {
    let server = Server::start();
    let alice = server.account("alice");
    let mut control = server.log_in("alice");
    alice.put("two\r\n226 lines", b"");
    alice.put("-la", b"");
    control.command("TYPE I", 200);
    let list = String::from_utf8(control.download("LIST")).unwrap();
    assert!(list.contains(" two??226 lines\r\n"), "{list}");
    assert!(list.contains(" -la\r\n"), "{list}");
    let names = String::from_utf8(control.download("NLST")).unwrap();
    assert!(names.contains("two??226 lines\r\n"), "{names}");
    let facts = String::from_utf8(control.download("MLSD")).unwrap();
    assert!(facts.contains("; two??226 lines\r\n"), "{facts}");
    let stat = control.command("STAT /", 212);
    assert!(stat.lines.iter().any(|line| line.ends_with(" two??226 lines")), "{stat:?}");
    assert_eq!(control.download("NLST ./-la"), b"./-la\r\n");
    assert_eq!(control.download("NLST -- -la"), b"-la\r\n");
    assert_eq!(String::from_utf8(control.download("LIST -la")).unwrap().lines().count(), 2);
    let name = "n".repeat(255);
    control.upload(&format!("STOR {name}"), b"x");
    assert!(alice.has(&name));
    assert_eq!(control.download(&format!("RETR {name}")), b"x");
    control.command("EPSV", 229);
    control.command(&format!("STOR {name}n"), 553);
    // A byte that is no UTF-8, and a doubled IAC.
    control.send_raw(b"MKD \xe9\xff\xff\r\n");
    control.expect(257);
    assert!(alice.path("").join(std::ffi::OsStr::from_bytes(b"\xe9\xff")).is_dir());
}
