//! Every command on the wire, at least once as it should be and once as it should not.

use bulkhead_tests::harness::{ControlConnection, Server, test};
use libtest_mimic::Trial;

pub fn tests() -> Vec<Trial> {
    vec![
        test("commands::before_login_only_the_login_is_served", before_login),
        test("commands::lines_are_read_however_they_come", lines),
        test("commands::directories_are_made_entered_named_and_removed", directories),
        test("commands::files_are_deleted_renamed_and_described", files),
        test("commands::parameters_of_transfers_are_what_the_rfc_says", parameters),
        test("commands::data_connections_go_to_the_client_alone", data_addresses),
        test("commands::rest_is_void_after_anything_but_a_transfer", rest),
        test("commands::facts_are_set_and_given", facts),
        test("commands::sums_are_those_of_the_standards", sums),
        test("commands::site_commands_do_what_they_say", site),
        test("commands::help_feat_and_stat_are_whole", help),
        test("commands::a_read_only_account_changes_nothing", read_only),
        test("commands::names_with_quotes_spaces_and_control_bytes_forge_nothing", names),
    ]
}

/// Sends each line and expects the code.
fn transcript(control: &mut ControlConnection, lines: &[(&str, u16)]) {
    for (line, code) in lines {
        control.command(line, *code);
    }
}

fn before_login() {
    let server = Server::start();
    let mut control = server.connect();
    transcript(
        &mut control,
        &[
            ("NOOP", 200),
            ("SYST", 215),
            ("FEAT", 211),
            ("HELP", 214),
            ("HELP RETR", 214),
            ("CLNT transcript", 200),
            ("CSID Name=transcript;", 200),
            ("LANG", 200),
            ("LANG en-GB", 200),
            ("LANG fr", 504),
            ("OPTS UTF8 ON", 200),
            ("OPTS UTF8 OFF", 504),
            ("OPTS", 501),
            ("PASS early", 503),
            ("ACCT 123456", 503),
            ("RETR greeting.txt", 530),
            ("LIST", 530),
            ("PASV", 530),
            ("STAT", 530),
            ("PBSZ 0", 503),
            ("PROT P", 503),
            ("AUTH KERBEROS_V4", 504),
            ("HOST ftp.example.org", 220),
            ("HOST a b", 501),
            ("USER", 501),
            ("USER alice", 331),
            ("HOST ftp.example.org", 503),
            ("ACCT 123456", 503),
            ("REIN", 220),
            ("PASS alice-secret-1", 503),
            ("USER alice", 331),
            ("PASS alice-secret-1", 230),
            ("USER alice", 503),
            ("HOST ftp.example.org", 503),
        ],
    );
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

fn directories() {
    let server = Server::start();
    let alice = server.account("alice");
    let mut control = server.log_in("alice");
    transcript(
        &mut control,
        &[
            ("MKD one", 257),
            ("MKD one", 550),
            ("XMKD one/two", 257),
            ("MKD nowhere/two", 550),
            ("MKD", 501),
            ("CWD one/two", 250),
            ("XPWD", 257),
            ("CDUP", 250),
            ("XCUP", 250),
            ("CDUP", 250),
            ("CWD ..", 250),
            ("XCWD /one", 250),
            ("CWD ~", 250),
            ("CWD nowhere", 550),
            ("RMD one", 550),
            ("RMD one/two", 250),
            ("XRMD one", 250),
            ("RMD one", 550),
            ("RMD /", 450),
        ],
    );
    assert!(!alice.has("one"));
}

fn files() {
    let server = Server::start();
    let alice = server.account("alice");
    alice.put("a", b"12345");
    alice.put("b", b"");
    alice.make_directory("d");
    let mut control = server.log_in("alice");
    assert_eq!(control.command("SIZE a", 550).text(), "SIZE is not given in TYPE A: TYPE I first.");
    control.command("TYPE I", 200);
    assert_eq!(control.command("SIZE a", 213).text(), "5");
    assert_eq!(control.command("MDTM a", 213).text().len(), 14);
    transcript(
        &mut control,
        &[
            ("SIZE d", 550),
            ("SIZE nothing", 550),
            ("MDTM nothing", 550),
            ("DELE nothing", 550),
            ("DELE d", 550),
            ("RNTO c", 503),
            ("RNFR nothing", 550),
            ("RNFR a", 350),
            ("NOOP", 200),
            ("RNTO c", 250),
            ("RNTO c", 503),
            ("RNFR c", 350),
            ("PWD", 257),
            ("RNTO a", 503),
            ("RNFR c", 350),
            ("RNTO d/c", 250),
            ("RNFR d/c", 350),
            ("RNTO ../../../../e", 250),
            ("DELE b", 250),
        ],
    );
    assert_eq!(alice.read("e"), b"12345");
    assert!(!alice.has("b"));
}

fn parameters() {
    let server = Server::start();
    let mut control = server.log_in("alice");
    transcript(
        &mut control,
        &[
            ("TYPE A", 200),
            ("TYPE A N", 200),
            ("TYPE A T", 504),
            ("TYPE E", 504),
            ("TYPE L 8", 200),
            ("TYPE L 7", 504),
            ("TYPE I", 200),
            ("TYPE X", 501),
            ("TYPE", 501),
            ("STRU F", 200),
            ("STRU R", 504),
            ("STRU X", 501),
            ("MODE S", 200),
            ("MODE B", 504),
            ("MODE X", 501),
            ("ALLO 10", 200),
            ("ALLO 10 R 10", 200),
            ("ALLO 9000000000000000000", 452),
            ("ALLO many", 501),
            ("AVBL", 213),
            ("AVBL nowhere", 550),
        ],
    );
}

fn data_addresses() {
    let server = Server::start();
    let mut control = server.log_in("alice");
    transcript(
        &mut control,
        &[
            ("LIST", 425),
            ("RETR a", 425),
            ("STOR a", 425),
            ("PORT 127,0,0,1,4,0", 200),
            ("PORT 127,0,0,2,4,0", 500),
            ("PORT 127,0,0,1,3,255", 500),
            ("PORT 127,0,0,1,4", 501),
            ("PORT 127,0,0,1,4,256", 501),
            ("EPRT |1|127.0.0.1|1024|", 200),
            ("EPRT |1|127.0.0.2|1024|", 500),
            ("EPRT |2|::1|1024|", 522),
            ("EPRT |3|x|1024|", 522),
            ("EPRT nonsense", 501),
            ("PASV", 227),
            ("EPSV", 229),
            ("EPSV 1", 229),
            ("EPSV 2", 522),
            ("EPSV 9", 522),
            ("EPSV x", 501),
            ("EPSV ALL", 200),
            ("PASV", 503),
            ("PORT 127,0,0,1,4,0", 503),
            ("EPRT |1|127.0.0.1|1024|", 503),
            ("EPSV", 229),
        ],
    );
}

fn rest() {
    let server = Server::start();
    let alice = server.account("alice");
    alice.put("a", b"0123456789");
    let mut control = server.log_in("alice");
    control.command("REST 3", 550);
    control.command("TYPE I", 200);
    control.command("REST x", 501);
    control.command("REST -1", 501);
    control.command("REST 3", 350);
    assert_eq!(control.download("RETR a"), b"3456789");
    assert_eq!(control.download("RETR a"), b"0123456789");
    control.command("REST 3", 350);
    control.command("PWD", 257);
    assert_eq!(control.download("RETR a"), b"0123456789");
    control.command("REST 10", 350);
    assert_eq!(control.download("RETR a"), b"");
    control.command("EPSV", 229);
    control.command("REST 11", 350);
    control.command("RETR a", 554);
    control.command("REST 4", 350);
    control.upload("STOR a", b"xy");
    assert_eq!(alice.read("a"), b"0123xy6789");
    // Beyond 4 GiB, in a file that is nearly all hole.
    control.command("REST 5000000000", 350);
    control.upload("STOR sparse", b"end");
    assert_eq!(control.command("SIZE sparse", 213).text(), "5000000003");
    control.command("REST 5000000000", 350);
    assert_eq!(control.download("RETR sparse"), b"end");
}

fn facts() {
    let server = Server::start();
    let alice = server.account("alice");
    alice.put("a", b"0123456789");
    let mut control = server.log_in("alice");
    let reply = control.command("MFMT 20200102030405 a", 213);
    assert_eq!(reply.text(), "Modify=20200102030405; a");
    control.command("TYPE I", 200);
    assert_eq!(control.command("MDTM a", 213).text(), "20200102030405");
    control.command("MFF modify=20210102030405;UNIX.mode=0640; a", 213);
    assert_eq!(control.command("MDTM a", 213).text(), "20210102030405");
    control.command("OPTS MLST type;size;unix.mode;", 200);
    let facts = control.command("MLST a", 250);
    assert_eq!(facts.lines.get(1).unwrap(), " type=file;size=10;UNIX.mode=0640; /a");
    let list = String::from_utf8(control.download("MLSD")).unwrap();
    assert!(list.contains("type=file;size=10;UNIX.mode=0640; a\r\n"), "{list}");
    assert!(list.contains("type=cdir;"), "{list}");
    transcript(
        &mut control,
        &[
            ("MLST", 250),
            ("MLST nothing", 550),
            ("MFMT 20200102030405", 501),
            ("MFMT 20201302030405 a", 501),
            ("MFMT 20200102030405 nothing", 550),
            ("MFF UNIX.mode=4755; a", 504),
            ("MFF owner=root; a", 504),
            ("MFF a", 501),
            ("EPSV", 229),
            ("MLSD a", 550),
            ("MLSD nothing", 550),
        ],
    );
}

fn sums() {
    let server = Server::start();
    server.account("alice").put("abc", b"abc");
    let mut control = server.log_in("alice");
    let hash = control.command("HASH abc", 213).text().to_owned();
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hash, format!("SHA-256 0-2 {sha256} abc"));
    assert_eq!(control.command("XMD5 abc", 250).text(), "900150983CD24FB0D6963F7D28E17F72");
    assert_eq!(control.command("XCRC abc", 250).text(), "352441C2");
    control.command("OPTS HASH MD5", 200);
    control.command("RANG 0 0", 350);
    let first = control.command("HASH abc", 213).text().to_owned();
    assert_eq!(first, "MD5 0-0 0cc175b9c0f1b6a831c399e269772661 abc");
    assert!(control.command("HASH abc", 213).text().starts_with("MD5 0-2 "));
    assert_eq!(control.command("XSHA1 \"abc\" 0 1", 250).text().len(), 40);
    transcript(
        &mut control,
        &[
            ("XSHA256 abc", 250),
            ("XSHA512 abc", 250),
            ("XSHA512 nothing", 550),
            ("RANG 5 9", 350),
            ("HASH abc", 551),
            ("RANG 1 0", 350),
            ("RANG x", 501),
            ("HASH nothing", 550),
            ("HASH", 501),
            ("OPTS HASH SHA-3", 504),
            ("OPTS HASH", 200),
        ],
    );
}

fn site() {
    let server = Server::start();
    let alice = server.account("alice");
    alice.put("a", b"x");
    let mut control = server.log_in("alice");
    control.command("SITE CHMOD 604 a", 200);
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(alice.path(name)).unwrap().permissions().mode() & 0o7777
    };
    assert_eq!(mode("a"), 0o604);
    control.command("SITE UMASK 027", 200);
    control.command("TYPE I", 200);
    control.upload("STOR b", b"y");
    assert_eq!(mode("b"), 0o640);
    control.command("SITE UTIME 20200102030405 a", 200);
    assert_eq!(control.command("MDTM a", 213).text(), "20200102030405");
    transcript(
        &mut control,
        &[
            ("SITE CHMOD 4755 a", 504),
            ("SITE CHMOD 999 a", 501),
            ("SITE CHMOD 644", 501),
            ("SITE CHMOD 644 nothing", 550),
            ("SITE UMASK", 200),
            ("SITE UMASK 8", 501),
            ("SITE IDLE", 200),
            ("SITE IDLE 100", 200),
            ("SITE IDLE 100000", 501),
            ("SITE HELP", 214),
            ("SITE HELP CHMOD", 214),
            ("SITE HELP EXEC", 504),
            ("SITE EXEC ls", 504),
            ("SITE", 501),
            ("SITE WHO", 550),
            ("SITE SYMLINK a c", 550),
        ],
    );
    assert_eq!(mode("a"), 0o604);
    assert!(!alice.has("c"));
}

fn help() {
    let server = Server::start();
    let mut control = server.log_in("alice");
    let help = control.command("HELP", 214).lines.join(" ");
    for name in [
        "USER", "PASS", "ACCT", "QUIT", "REIN", "CWD", "CDUP", "XCWD", "XCUP", "PWD", "XPWD",
        "MKD", "XMKD", "RMD", "XRMD", "PORT", "PASV", "EPRT", "EPSV", "TYPE", "STRU", "MODE",
        "RETR", "STOR", "STOU", "APPE", "ALLO", "REST", "RNFR", "RNTO", "DELE", "LIST", "NLST",
        "MLSD", "MLST", "SIZE", "MDTM", "MFMT", "MFF", "STAT", "ABOR", "FEAT", "OPTS", "HELP",
        "NOOP", "SYST", "HASH", "RANG", "XCRC", "XMD5", "XSHA1", "XSHA256", "XSHA512", "AVBL",
        "CLNT", "HOST", "LANG", "SITE", "CSID",
    ] {
        assert!(help.split(' ').any(|word| word == name), "{name} is not in HELP");
        control.command(&format!("HELP {name}"), 214);
    }
    control.command("HELP XYZZY", 502);
    let feat = control.command("FEAT", 211);
    assert!(feat.lines.iter().any(|line| line == " REST STREAM"), "{feat:?}");
    let stat = control.command("STAT", 211);
    assert!(stat.lines.iter().any(|line| line.contains("Logged in as alice")), "{stat:?}");
    server.account("alice").put("seen", b"");
    let stat = control.command("STAT /", 213);
    assert!(stat.lines.iter().any(|line| line.ends_with(" seen")), "{stat:?}");
    control.command("STAT nothing", 550);
    control.command("REIN", 421);
    control.expect_end();
}

fn read_only() {
    let server = Server::new().with_account("reader", &["--read-only"]).run();
    let reader = server.account("reader");
    reader.put("a", b"x");
    let mut control = server.log_in("reader");
    control.command("TYPE I", 200);
    assert_eq!(control.download("RETR a"), b"x");
    control.command("EPSV", 229);
    transcript(
        &mut control,
        &[
            ("STOR b", 550),
            ("STOU", 550),
            ("APPE a", 550),
            ("DELE a", 550),
            ("MKD d", 550),
            ("RMD d", 550),
            ("RNFR a", 550),
            ("SITE CHMOD 600 a", 550),
            ("MFMT 20200102030405 a", 550),
            ("ALLO 1", 550),
        ],
    );
    assert_eq!(reader.read("a"), b"x");
    let facts = control.command("MLST a", 250).lines.get(1).cloned().unwrap();
    assert!(facts.contains("perm=r;"), "{facts}");
}

fn names() {
    let server = Server::start();
    let alice = server.account("alice");
    let mut control = server.log_in("alice");
    let reply = control.command("MKD a \"quoted\" name", 257);
    assert_eq!(reply.text(), "\"/a \"\"quoted\"\" name\" made.");
    control.command("CWD a \"quoted\" name", 250);
    assert!(control.command("PWD", 257).text().starts_with("\"/a \"\"quoted\"\" name\" "));
    control.command("CDUP", 250);
    alice.put("two\r\n226 lines", b"");
    alice.put("-la", b"");
    control.command("TYPE I", 200);
    let list = String::from_utf8(control.download("LIST")).unwrap();
    assert!(list.contains(" two??226 lines\r\n"), "{list}");
    assert!(list.contains(" -la\r\n"), "{list}");
    assert_eq!(control.download("NLST ./-la"), b"./-la\r\n");
    assert_eq!(String::from_utf8(control.download("LIST -la")).unwrap().lines().count(), 3);
    let name = "n".repeat(255);
    control.upload(&format!("STOR {name}"), b"x");
    assert!(alice.has(&name));
    control.command("EPSV", 229);
    control.command(&format!("STOR {name}n"), 553);
    // A byte that is no UTF-8, and a doubled IAC.
    control.send_raw(b"MKD \xe9\xff\xff\r\n");
    control.expect(257);
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"\xe9\xff");
    assert!(alice.path("").join(odd).is_dir());
}
