//! Every command in every state with missing, extra, over-long and malformed arguments: the code
//! of the RFC, and the session goes on.
//!
//! What is expected stands in one table. A command that HELP names and the table does not is a
//! failed test.

use std::io::Read;

use bulkhead_tests::harness::{ControlConnection, Server, patterned, test};
use libtest_mimic::Trial;

pub fn tests() -> Vec<Trial> {
    vec![
        test("bad_input::the_table_has_every_command", every_command),
        test("bad_input::before_login", before_login),
        test("bad_input::between_user_and_pass", between_user_and_pass),
        test("bad_input::between_pass_and_acct", between_pass_and_acct),
        test("bad_input::after_login", || in_state(|_| "")),
        test("bad_input::between_rnfr_and_rnto", || in_state(|c| after(c, "RNFR", "a", 350))),
        test("bad_input::behind_rest", || in_state(|c| after(c, "REST", "1", 350))),
        test("bad_input::behind_an_announcement", || in_state(|c| after(c, "EPSV", "1", 229))),
        test("bad_input::behind_a_range", || in_state(|c| after(c, "RANG", "0 0", 350))),
        test("bad_input::during_a_transfer", during_a_transfer),
    ]
}

/// When a command is answered with what it asks for.
#[derive(Clone, Copy, PartialEq)]
enum When {
    /// Before login; 503 after.
    Before,
    /// Any time.
    Any,
    /// After login; 530 before.
    After,
}
use When::{After, Any, Before};

/// What a command is refused for.
struct Row {
    command: &'static str,
    when: When,
    /// The code without an argument; 0: that is no mistake.
    missing: u16,
    /// An argument that is one too many or none at all, and the code.
    wrong: &'static [(&'static str, u16)],
}

const fn row(
    command: &'static str,
    when: When,
    missing: u16,
    wrong: &'static [(&'static str, u16)],
) -> Row {
    Row { command, when, missing, wrong }
}

/// A name of 256 bytes, which no file can have. `{name}` in an argument.
fn long_name() -> String {
    "n".repeat(256)
}

/// A path of 4000 bytes in names that are possible. `{path}` in an argument.
fn long_path() -> String {
    "p/".repeat(2000)
}

const NAMES: &[(&str, u16)] = &[("nowhere", 550), ("{name}", 553), ("{path}", 550), (" ", 550)];
const NEW_NAMES: &[(&str, u16)] =
    &[("nowhere/a", 550), ("{name}", 553), ("{path}", 550), ("a/b", 550)];
const NOTHING: &[(&str, u16)] = &[("extra", 501), ("{path}", 501)];
const SUMS: &[(&str, u16)] = &[
    ("nowhere", 550),
    ("{name}", 553),
    ("{path}", 550),
    ("\"a", 501),
    ("\"a\"b", 501),
    ("\"a\" 2 1", 501),
    ("\"a\" 0 1 2", 501),
    ("\"a\" 0 99999999999999999999", 501),
    ("\"a\" 7 9", 551),
];

/// The table. Behind `RNFR` and `REST`, and with a data connection announced, the codes are the
/// same: what is refused for its argument is refused before anything else is looked at.
const TABLE: &[Row] = &[
    row("USER", Before, 501, &[]),
    row("PASS", Before, 0, &[]),
    row("ACCT", Before, 501, &[("{path}", 503)]),
    row("QUIT", Any, 0, NOTHING),
    row("REIN", Any, 0, NOTHING),
    row("HOST", Before, 501, &[("a b", 501), ("[::1", 501), ("a..b", 501), ("{name}", 501)]),
    row("LANG", Any, 0, &[("fr", 504), ("{path}", 504), ("\u{e4}", 504)]),
    row("CLNT", Any, 501, &[]),
    row("CSID", Any, 501, &[]),
    row("AUTH", Before, 501, &[("GSSAPI", 504), ("{path}", 504)]),
    row("PBSZ", Any, 501, &[("0", 503), ("x", 503)]),
    row("PROT", Any, 501, &[("P", 503), ("X", 503)]),
    row("CCC", Any, 0, NOTHING),
    row("ADAT", Any, 501, &[("x", 503)]),
    row("MIC", Any, 501, &[("x", 533)]),
    row("CONF", Any, 501, &[("x", 533)]),
    row("ENC", Any, 501, &[("x", 533)]),
    row("CWD", After, 501, &[("nowhere", 550), ("{name}", 553), ("{path}", 550), ("a", 550)]),
    row("XCWD", After, 501, &[("nowhere", 550), ("{name}", 553), ("{path}", 550), ("a", 550)]),
    row("CDUP", After, 0, NOTHING),
    row("XCUP", After, 0, NOTHING),
    row("PWD", After, 0, NOTHING),
    row("XPWD", After, 0, NOTHING),
    row("MKD", After, 501, NEW_NAMES),
    row("XMKD", After, 501, NEW_NAMES),
    row("RMD", After, 501, &[("nowhere", 550), ("{name}", 553), ("a", 550), ("/", 550)]),
    row("XRMD", After, 501, &[("nowhere", 550), ("{name}", 553), ("a", 550), ("/", 550)]),
    row("DELE", After, 501, NAMES),
    row("RNFR", After, 501, NAMES),
    // Its codes depend on RNFR; see `in_state`.
    row("RNTO", After, 501, &[]),
    row(
        "PORT",
        After,
        501,
        &[
            ("127,0,0,1,4", 501),
            ("127,0,0,1,4,0,0", 501),
            ("127,0,0,1,4,256", 501),
            ("127,0,0,1,-4,0", 501),
            ("127.0.0.1,4,0", 501),
            ("a,b,c,d,e,f", 501),
            ("{path}", 501),
            ("127,0,0,2,4,0", 504),
            ("127,0,0,1,0,22", 504),
        ],
    ),
    row("PASV", After, 0, NOTHING),
    row(
        "EPRT",
        After,
        501,
        &[
            ("|1|127.0.0.1|1024", 501),
            ("|1|127.0.0.1|1024|x", 501),
            ("|1|127.0.0.1|0|", 501),
            ("|1|127.0.0.1|65536|", 501),
            ("|1|::1|1024|", 501),
            ("|x|127.0.0.1|1024|", 501),
            ("{path}", 501),
            ("|3|127.0.0.1|1024|", 522),
            ("|2|::1|1024|", 522),
            ("|1|127.0.0.2|1024|", 504),
            ("|1|127.0.0.1|1023|", 504),
        ],
    ),
    row("EPSV", After, 0, &[("x", 501), ("1 2", 501), ("{path}", 501), ("3", 522), ("2", 522)]),
    row("TYPE", After, 501, &[("X", 501), ("I N", 501), ("A N N", 501), ("E", 504), ("L 7", 504)]),
    row("STRU", After, 501, &[("X", 501), ("F F", 501), ("R", 504), ("P", 504)]),
    row("MODE", After, 501, &[("X", 501), ("S S", 501), ("B", 504), ("C", 504)]),
    row("RETR", After, 501, &[]),
    row("STOR", After, 501, &[]),
    row("STOU", After, 0, &[]),
    row("APPE", After, 501, &[]),
    row(
        "ALLO",
        After,
        501,
        &[("x", 501), ("-1", 501), ("1 R", 501), ("1 R 1 1", 501), ("99999999999999999999", 501)],
    ),
    row(
        "REST",
        After,
        501,
        &[("x", 501), ("-1", 501), ("1 2", 501), ("0x1", 501), ("99999999999999999999", 501)],
    ),
    row("ABOR", After, 0, NOTHING),
    row("LIST", After, 0, &[]),
    row("NLST", After, 0, &[]),
    row("MLSD", After, 0, &[]),
    row("MLST", After, 0, NAMES),
    row("STAT", After, 0, &[("nowhere", 550), ("{name}", 553), ("{path}", 550), ("no/*", 550)]),
    row("SIZE", After, 501, NAMES),
    row("MDTM", After, 501, NAMES),
    row(
        "MFMT",
        After,
        501,
        &[
            ("20200102030405", 501),
            ("20201302030405 a", 501),
            ("2020 a", 501),
            ("a 20200102030405", 501),
            ("20200102030405 nowhere", 550),
            ("20200102030405 {name}", 553),
        ],
    ),
    row(
        "MFF",
        After,
        501,
        &[
            ("a", 501),
            ("modify=20200102030405; ", 501),
            ("modify=20200102030405 a", 501),
            ("modify=never; a", 501),
            ("UNIX.mode=888; a", 501),
            ("UNIX.mode=4755; a", 504),
            ("create=20200102030405; a", 504),
            ("UNIX.mode=644; nowhere", 550),
        ],
    ),
    row("HASH", After, 501, NAMES),
    row("RANG", After, 501, &[("x", 501), ("1", 501), ("2 1", 501), ("0 1 2", 501), ("-1 1", 501)]),
    row("XCRC", After, 501, SUMS),
    row("XMD5", After, 501, SUMS),
    row("XSHA", After, 501, SUMS),
    row("XSHA1", After, 501, SUMS),
    row("XSHA256", After, 501, SUMS),
    row("XSHA512", After, 501, SUMS),
    row("AVBL", After, 0, &[("nowhere", 550), ("{name}", 553), ("{path}", 550)]),
    row("FEAT", Any, 0, NOTHING),
    row(
        "OPTS",
        Any,
        501,
        &[("XYZZY", 501), ("UTF8 MAYBE", 501), ("UTF8 OFF", 504), ("HASH x", 504)],
    ),
    row("HELP", Any, 0, &[("XYZZY", 502), ("{path}", 502)]),
    row("NOOP", Any, 0, NOTHING),
    row("SYST", Any, 0, NOTHING),
    row(
        "SITE",
        After,
        501,
        &[
            ("XYZZY", 504),
            ("{path}", 504),
            ("CHMOD", 501),
            ("CHMOD 644", 501),
            ("CHMOD u+x a", 501),
            ("CHMOD 4755 a", 504),
            ("CHMOD 644 nowhere", 550),
            ("UMASK 8", 501),
            ("IDLE x", 501),
            ("IDLE 99999999999999999999", 501),
            ("UTIME", 501),
            ("UTIME never a", 501),
            ("UTIME 20200102030405 nowhere", 550),
            ("SYMLINK a b", 550),
            ("HELP XYZZY", 504),
            ("WHO", 550),
        ],
    ),
];

/// Commands whose codes depend on whether a data connection was announced.
const TRANSFERS: [&str; 7] = ["RETR", "STOR", "STOU", "APPE", "LIST", "NLST", "MLSD"];

fn every_command() {
    let server = Server::start();
    let mut control = server.log_in("alice");
    let help = control.command("HELP", 214);
    let [_, names @ .., _] = help.lines.as_slice() else { panic!("{help:?}") };
    let names: Vec<&str> = names.iter().flat_map(|line| line.split_whitespace()).collect();
    let rows: Vec<&str> = TABLE.iter().map(|row| row.command).collect();
    assert_eq!(rows, names, "the table and HELP");
}

/// What is wrong about a command for its form alone, and the code: the same in every state.
fn by_form(row: &Row) -> Vec<(Vec<u8>, u16)> {
    let command = row.command;
    let mut lines = vec![
        (format!("{command} {}", "x".repeat(5000)).into_bytes(), 500),
        (format!("{command} a\0b").into_bytes(), 501),
        (format!("{command} a\rb").into_bytes(), 501),
        (format!("{command}\ta").into_bytes(), 500),
        (format!("{command}x a").into_bytes(), 500),
    ];
    if row.missing == 501 {
        lines.push((command.as_bytes().to_vec(), 501));
        lines.push((format!("{command} ").into_bytes(), 501));
    }
    lines
}

fn filled(command: &str, argument: &str) -> String {
    let argument = argument.replace("{name}", &long_name()).replace("{path}", &long_path());
    format!("{command} {argument}")
}

/// Sends a line and expects the code.
fn refused(control: &mut ControlConnection, line: &[u8], code: u16) {
    control.send_raw(&[line, b"\r\n"].concat());
    let shown = String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned();
    let reply = control.reply().unwrap_or_else(|e| panic!("no reply to {shown:?}: {e}"));
    assert_eq!(reply.code, code, "to {shown:?}: {reply:?}");
}

/// Whether five unknown commands before login close the connection: these are.
fn is_unknown(line: &[u8], row: &Row) -> bool {
    !line.starts_with(format!("{} ", row.command).as_bytes()) && line != row.command.as_bytes()
}

/// Goes through the table in a state before login that `enter` reaches on a new connection.
/// `code` says what is expected of a command of the login, if it is answered otherwise there.
fn before(enter: impl Fn() -> ControlConnection, code: impl Fn(&str, &str) -> Option<u16>) {
    for row in TABLE {
        let mut control = enter();
        let mut lines = by_form(row);
        for (argument, after) in row.wrong {
            let expected = match row.when {
                After if by_arguments(row, argument) => 501,
                After => 530,
                Before | Any => code(row.command, argument).unwrap_or(*after),
            };
            lines.push((filled(row.command, argument).into_bytes(), expected));
        }
        if TRANSFERS.contains(&row.command) {
            lines.push((filled(row.command, "{path}").into_bytes(), 530));
        }
        let mut unknown = 0;
        for (line, code) in lines {
            unknown += u32::from(is_unknown(&line, row));
            assert!(unknown < 5, "{}", row.command);
            refused(&mut control, &line, code);
        }
        control.command("NOOP", 200);
    }
}

/// Whether an argument is refused for being there at all, which comes before the state.
fn by_arguments(row: &Row, argument: &str) -> bool {
    row.missing == 0
        && NOTHING.iter().any(|(extra, _)| extra == &argument)
        && row.wrong.len() == NOTHING.len()
        && row.wrong.iter().zip(NOTHING).all(|(one, other)| one == other)
}

fn before_login() {
    let server = Server::start();
    before(|| server.connect(), |_, _| None);
    // A name is asked for its password, whatever it is.
    let mut control = server.connect();
    for name in ["{name}", "{path}", "a\u{e4}\u{7f}", "-", "root; ls"] {
        control.command(&filled("USER", name), 331);
    }
    control.command("PASS", 530);
    control.command("PASS x", 503);
}

fn between_user_and_pass() {
    let server = Server::start();
    let enter = || {
        let mut control = server.connect();
        control.command("USER alice", 331);
        control
    };
    before(enter, |command, _| (command == "HOST").then_some(503));
    for (password, code) in [("", 530), ("{path}", 530), ("\u{e4} \u{fc}", 530)] {
        let mut control = enter();
        control.command(filled("PASS", password).trim_end(), code);
        // The login begins anew, and works.
        control.command("PASS alice-secret-1", 503);
        control.command("USER alice", 331);
        control.command("PASS alice-secret-1", 230);
    }
}

fn between_pass_and_acct() {
    let server = Server::start();
    let demanded = server.bulkhead(&["user", "totp", "alice"]);
    assert!(demanded.status.success(), "{demanded:?}");
    let enter = || {
        let mut control = server.connect();
        control.command("USER alice", 331);
        control.command("PASS alice-secret-1", 332);
        control
    };
    before(enter, |command, _| match command {
        "HOST" => Some(503),
        "ACCT" => Some(530),
        _ => None,
    });
    for code in ["12345", "1234567", "abcdef", "000000 ", "{path}"] {
        enter().command(&filled("ACCT", code), 530);
    }
}

/// Brings a session into the state behind a command, and names it.
fn after(
    control: &mut ControlConnection,
    command: &'static str,
    argument: &str,
    code: u16,
) -> &'static str {
    control.command(&format!("{command} {argument}"), code);
    command
}

/// Goes through the table in a state that `enter` reaches after login, by the command it names.
fn in_state(enter: fn(&mut ControlConnection) -> &'static str) {
    let server = Server::start();
    server.account("alice").put("a", b"12345");
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    for row in TABLE {
        for (line, code) in after_login(row) {
            enter(&mut control);
            refused(&mut control, &line, code);
            // Whatever it was, nothing of it is left.
            control.command("PWD", 257);
        }
    }
    // Without an announcement there is no transfer, whatever the name.
    for command in TRANSFERS {
        control.command("PORT 127,0,0,1,255,255", 200);
        control.command("RETR a", 425);
        for argument in ["a", "nowhere", "{name}", "{path}"] {
            refused(&mut control, filled(command, argument).as_bytes(), 425);
        }
    }
    for (command, arguments) in [
        ("RETR", NAMES),
        ("STOR", &[("{name}", 553), ("a/b", 550), (".", 550)]),
        ("STOU", &[("{name}", 553), ("a/b", 550)]),
        ("APPE", &[("{name}", 553), ("a/b", 550), (".", 550)]),
        ("LIST", &[("nowhere", 550), ("{name}", 553), ("no/*", 550)]),
        ("NLST", &[("nowhere", 550), ("{name}", 553), ("no/*", 550)]),
        ("MLSD", &[("nowhere", 550), ("{name}", 553), ("a", 501), ("a/b", 550)]),
    ] {
        for (argument, code) in arguments {
            control.command("EPSV", 229);
            let entered = enter(&mut control);
            // These go with no REST at all, which comes before the name.
            let void = entered == "REST" && ["STOU", "APPE"].contains(&command);
            let code = if void { 550 } else { *code };
            refused(&mut control, filled(command, argument).as_bytes(), code);
        }
    }
    for name in ["nowhere/a", "{name}", "{path}"] {
        control.command("RNFR a", 350);
        let code = if name == "{name}" { 553 } else { 550 };
        refused(&mut control, filled("RNTO", name).as_bytes(), code);
        control.command("RNTO b", 503);
    }
    assert_eq!(server.account("alice").read("a"), b"12345");
    assert_eq!(std::fs::read_dir(&server.account("alice").root).unwrap().count(), 1);
}

/// Every wrong line of a command after login, with its code.
fn after_login(row: &Row) -> Vec<(Vec<u8>, u16)> {
    let mut lines = by_form(row);
    for (argument, code) in row.wrong {
        let code = if row.when == Before { 503 } else { *code };
        lines.push((filled(row.command, argument).into_bytes(), code));
    }
    if row.when == Before {
        lines.push((format!("{} x", row.command).into_bytes(), 503));
    }
    lines
}

fn during_a_transfer() {
    let server = Server::start();
    let alice = server.account("alice");
    alice.put("a", b"12345");
    let large = patterned(24 << 20);
    alice.put("large", &large);
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    let lines: Vec<_> = TABLE.iter().flat_map(after_login).collect();
    for some in lines.chunks(40) {
        let mut data = control.passive();
        control.command("RETR large", 150);
        for (line, _) in some {
            control.send_raw(&[line, b"\r\n".as_slice()].concat());
        }
        // They wait for the transfer, which they do not disturb, and are answered in order.
        let mut got = Vec::new();
        data.read_to_end(&mut got).unwrap();
        assert!(got == large, "the download was disturbed");
        control.expect(226);
        for (line, code) in some {
            let reply = control.reply().unwrap();
            let shown = String::from_utf8_lossy(&line[..line.len().min(60)]);
            assert_eq!(reply.code, *code, "to {shown:?}: {reply:?}");
        }
        control.command("NOOP", 200);
    }
}
