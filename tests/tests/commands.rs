//! What transcripts cannot show of commands: bytes that come in odd pieces, and what is left on the
//! disk. The commands themselves are in tests/transcripts/.

use std::{
    io::Write,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    time::Duration,
};

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
        test("commands::f3_half_a_line_does_not_keep_the_idle_timer_away", half_a_line),
        test("commands::f4_rein_after_login_is_refused_and_the_session_goes_on", rein),
        test("commands::f5_noop_and_others_may_stand_between_rnfr_and_rnto", between_rnfr_and_rnto),
        test("commands::g4_an_offset_beyond_the_end_makes_no_hole", offsets),
        test("commands::g6_what_keeps_its_owner_out_says_so", kept_out),
        test("commands::g10_small_listings_are_sorted_and_large_ones_whole", sorted_listings),
        test("commands::g11_a_recursive_listing_is_a_504", recursive),
        test("commands::g12_sums_have_one_form_in_help_feat_and_use", sum_forms),
        test("commands::g14_rest_is_kept_by_what_prepares_a_transfer", rest_is_kept),
        test("commands::replies_differ_from_other_servers_as_documented", other_servers),
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
    server.account("alice").put("sparse", b"");
    let sparse = std::fs::File::options().write(true).open(server.account("alice").path("sparse"));
    sparse.unwrap().set_len(5_000_000_000).unwrap();
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

fn half_a_line() {
    let server = Server::new()
        .with("idle_ctrl_timeout", "3")
        .with("limits.login_timeout", "0")
        .with_account("alice", &[])
        .run();
    // Before login and after it.
    for logged_in in [false, true] {
        let mut control = if logged_in { server.log_in("alice") } else { server.connect() };
        control.command("NOOP", 200);
        let mut stream = control.stream().try_clone().unwrap();
        let trickle = std::thread::spawn(move || {
            while stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        control.expect(421);
        drop(control);
        trickle.join().unwrap();
    }
}

fn rein() {
    let server = Server::start();
    let mut control = server.log_in("alice");
    control.command("CWD /", 250);
    let reply = control.command("REIN", 502);
    assert!(reply.text().contains("connect anew"), "{reply:?}");
    control.command("PWD", 257);
    control.command("USER alice", 503);
}

fn between_rnfr_and_rnto() {
    let server = Server::start();
    let alice = server.account("alice");
    alice.put("a", b"x");
    let mut control = server.log_in("alice");
    control.command("RNFR a", 350);
    for (line, code) in [("NOOP", 200), ("STAT", 211), ("TYPE I", 200), ("EPSV", 229)] {
        control.command(line, code);
    }
    control.command("RNTO b", 250);
    assert!(alice.has("b"));
    // Whatever does something else gives it up.
    for (line, code) in [("PWD", 257), ("CWD /", 250), ("SIZE b", 213), ("MKD d", 257)] {
        control.command("RNFR b", 350);
        control.command(line, code);
        control.command("RNTO c", 503);
    }
    // A failed RNTO as well.
    control.command("RNFR b", 350);
    control.command("RNTO gone/c", 550);
    control.command("RNTO c", 503);
    assert!(alice.has("b") && !alice.has("c"));
}

fn offsets() {
    let server = Server::start();
    let alice = server.account("alice");
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    let largest = i64::MAX.to_string();
    let beyond = (1u64 << 63).to_string();
    for (offset, code) in [
        ("0", 226),
        ("9", 226),
        ("10", 226),
        ("11", 554),
        ("4294967296", 554),
        (largest.as_str(), 554),
    ] {
        for name in ["r", "gone"] {
            alice.put("r", b"0123456789");
            control.command("EPSV", 229);
            control.command(&format!("REST {offset}"), 350);
            if name == "gone" || code == 554 {
                let missing = name == "gone" && offset != "0";
                if missing || code == 554 {
                    control.command(&format!("STOR {name}"), 554);
                    assert!(!alice.has("gone"));
                    assert_eq!(alice.read("r"), b"0123456789");
                }
                continue;
            }
            control.upload(&format!("STOR {name}"), b"AB");
            let at: usize = offset.parse().unwrap();
            let mut expected = b"0123456789"[..at].to_vec();
            expected.extend_from_slice(b"AB");
            let kept = b"0123456789".get(at + 2..).unwrap_or_default();
            if at > 0 {
                expected.extend_from_slice(kept);
            }
            assert_eq!(alice.read(name), expected, "REST {offset}");
        }
    }
    alice.put("r", b"0123456789");
    for (offset, code) in [("11", 554), (largest.as_str(), 554)] {
        control.command("EPSV", 229);
        control.command(&format!("REST {offset}"), 350);
        control.command("RETR r", code);
    }
    control.command("REST 10", 350);
    assert_eq!(control.download("RETR r"), b"");
    for offset in [beyond.as_str(), "18446744073709551615", "18446744073709551616", "-1", "1x", ""]
    {
        control.command(&format!("REST {offset}"), 501);
    }
}

fn kept_out() {
    let server = Server::start();
    let alice = server.account("alice");
    alice.put("f", b"x");
    alice.make_directory("d");
    let mut control = server.log_in("alice");
    // Any of the owner's bits that lets it be opened is enough.
    for bits in ["400", "200", "644"] {
        control.command(&format!("SITE CHMOD {bits} f"), 200);
    }
    control.command("SITE CHMOD 400 d", 200);
    control.command("SITE CHMOD 300 d", 200);
    control.command("SITE CHMOD 000 f", 200);
    for line in [
        "SITE CHMOD 644 f",
        "SITE CHMOD 755 d",
        "MFMT 20200102030405 f",
        "MFF UNIX.mode=0644; f",
        "SITE UTIME 20200102030405 d",
    ] {
        let reply = control.command(line, 550);
        assert!(reply.text().ends_with("it can be changed on the host only."), "{reply:?}");
    }
    control.command("DELE f", 250);
}

fn sorted_listings() {
    let server = Server::start();
    let alice = server.account("alice");
    let mut control = server.log_in("alice");
    let names_of = |bytes: Vec<u8>| -> Vec<String> {
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
    };
    let mut names: Vec<String> = Vec::new();
    for count in [1usize, 3, 999, 1000, 1700] {
        while names.len() < count {
            // In no order that a file system may have by itself.
            let name = format!("{:05}", (names.len() * 7919) % 10_007);
            alice.put(&name, b"");
            names.push(name);
        }
        names.sort();
        for command in ["NLST", "LIST"] {
            let mut listed = names_of(control.download(command));
            if count > 1000 {
                listed.sort();
            }
            assert!(listed == names, "{command} of {count}");
        }
        let stat = control.command("STAT /", 212);
        let mut listed = names_of(stat.lines[1..=count].join("\n").into_bytes());
        if count > 1000 {
            listed.sort();
        }
        assert!(listed == names, "STAT of {count}");
    }
    // What a pattern or the hidden ones leave is counted, not what is there.
    alice.put(".hidden", b"");
    let listed = names_of(control.download("NLST 00*"));
    assert!(listed.is_sorted() && (100..=1000).contains(&listed.len()), "{}", listed.len());
    assert_eq!(control.download("NLST nothing*"), b"");
}

fn recursive() {
    let server = Server::start();
    let mut control = server.log_in("alice");
    control.command("EPSV", 229);
    for line in ["LIST -R", "LIST -lR", "LIST -R /", "NLST -R", "STAT -laR"] {
        let reply = control.command(line, 504);
        assert!(reply.text().contains("-R"), "{reply:?}");
    }
}

fn sum_forms() {
    let server = Server::start();
    let alice = server.account("alice");
    alice.put("abc", b"abcdef");
    alice.put("abc 0 1", b"another file");
    alice.put("two words", b"abcdef");
    let mut control = server.log_in("alice");
    let feat = control.command("FEAT", 211).lines;
    for verb in ["XCRC", "XMD5", "XSHA1", "XSHA256", "XSHA512"] {
        let help = control.command(&format!("HELP {verb}"), 214);
        assert!(help.text().starts_with(&format!("{verb} file [first last] :")), "{help:?}");
        assert!(feat.contains(&format!(" {verb} file;first;last")), "{feat:?}");
    }
    control.command("OPTS HASH CRC32", 200);
    control.command("RANG 1 3", 350);
    let hash = control.command("HASH abc", 213);
    let sum = hash.text().split(' ').nth(2).unwrap().to_ascii_uppercase();
    for line in ["XCRC abc 1 3", "XCRC \"abc\" 1 3", "XCRC two words 1 3", "XCRC \"two words\" 1 3"]
    {
        assert_eq!(control.command(line, 250).text(), sum, "{line}");
    }
    // A name that ends in numbers is a name, if there is such a file; in quotes it is none.
    let whole = control.command("XCRC \"abc 0 1\"", 250);
    assert_eq!(control.command("XCRC abc 0 1", 250), whole);
    assert_ne!(control.command("XCRC \"abc\" 0 1", 250), whole);
    control.command("XCRC abc 0 5", 250);
    control.command("XCRC abc 0 6", 551);
    control.command("XCRC gone 0 1", 550);
    control.command("XCRC \"abc\" 0 9223372036854775807", 501);
}

fn rest_is_kept() {
    let server = Server::start();
    server.account("alice").put("f", b"0123456789");
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    control.command("REST 4", 350);
    for (line, code) in [("TYPE I", 200), ("NOOP", 200), ("STAT", 211), ("ALLO 1", 200)] {
        control.command(line, code);
    }
    assert_eq!(control.download("RETR f"), b"456789");
    // It was for one transfer, and whatever else is done forgets it.
    assert_eq!(control.download("RETR f"), b"0123456789");
    for (line, code) in [("PWD", 257), ("SIZE f", 213), ("CWD /", 250)] {
        control.command("REST 4", 350);
        control.command(line, code);
        assert_eq!(control.download("RETR f"), b"0123456789", "{line}");
    }
}

/// The table of docs/commands.md: requests, and the code that it says they get here.
fn documented() -> Vec<(Vec<String>, u16)> {
    let text = include_str!("../../docs/commands.md");
    let table = text.split("## The same requests to other servers").nth(1).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.split(" | ");
        let requests = cells.next().unwrap().trim_start_matches("| ").split(", ");
        let requests = requests.map(|request| request.trim_matches('`').to_owned()).collect();
        (requests, cells.next().unwrap().parse().unwrap())
    })
    .collect()
}

/// The code of the last reply to a line; one that moves data gets a data connection.
fn last_code(control: &mut ControlConnection, line: &str) -> u16 {
    let moves = ["RETR ", "STOR ", "APPE ", "LIST ", "NLST ", "MLSD "];
    let mut data = moves.iter().any(|verb| line.starts_with(verb)).then(|| control.passive());
    control.send(line);
    let mut reply = control.reply().unwrap();
    if reply.code == 150
        && let Some(mut data) = data.take()
    {
        if line.starts_with("STOR ") || line.starts_with("APPE ") {
            data.write_all(b"AB").unwrap();
        } else {
            std::io::Read::read_to_end(&mut data, &mut Vec::new()).unwrap();
        }
        drop(data);
        reply = control.reply().unwrap();
    }
    reply.code
}

fn other_servers() {
    let server = Server::start();
    let alice = server.account("alice");
    let rows = documented();
    assert!(rows.len() > 35, "{}", rows.len());
    std::os::unix::fs::symlink("loop", alice.path("loop")).unwrap();
    for name in ["d", "full", "full/sub"] {
        alice.make_directory(name);
    }
    for (requests, code) in rows {
        alice.put("f", b"0123456789");
        let mut control = server.log_in("alice");
        control.command("TYPE I", 200);
        let mut last = 0;
        for line in &requests {
            last = last_code(&mut control, line);
        }
        assert_eq!(last, code, "{requests:?}");
    }
}
