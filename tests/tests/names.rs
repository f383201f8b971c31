//! Names of every byte that a file system allows, in every verb and every listing.

use std::io::{Read, Write};

use bulkhead_tests::harness::{Account, ControlConnection, Server, test};
use libtest_mimic::Trial;

pub fn tests() -> Vec<Trial> {
    vec![
        test("names::f2_every_byte_in_a_name_works_in_every_verb_and_listing", every_byte),
        test("names::g15_leading_and_trailing_spaces_belong_to_the_name", spaces),
        test("names::g5_what_nlst_and_mlsd_say_can_be_deleted", listed_and_deleted),
    ]
}

/// A client that speaks bytes: names need not be UTF-8.
struct Client(ControlConnection);

impl Client {
    /// Sends a verb and a name (an IAC is doubled, RFC 854) and expects a reply; all of its bytes.
    fn command(&mut self, verb: &str, name: &[u8], code: u16) -> Vec<u8> {
        let mut line = format!("{verb} ").into_bytes();
        for byte in name {
            line.push(*byte);
            if *byte == 0xff {
                line.push(*byte);
            }
        }
        line.extend_from_slice(b"\r\n");
        self.0.send_raw(&line);
        self.expect(code, &line)
    }

    fn expect(&mut self, code: u16, to: &[u8]) -> Vec<u8> {
        let reply = self.0.raw_reply().unwrap();
        let starts = reply.starts_with(code.to_string().as_bytes());
        assert!(starts, "to {}: {}", to.escape_ascii(), reply.escape_ascii());
        reply
    }

    fn download(&mut self, verb: &str, name: &[u8]) -> Vec<u8> {
        let mut data = self.0.passive();
        self.command(verb, name, 150);
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).unwrap();
        self.expect(226, name);
        bytes
    }

    fn upload(&mut self, verb: &str, name: &[u8]) {
        let mut data = self.0.passive();
        self.command(verb, name, 150);
        data.write_all(b"abc").unwrap();
        drop(data);
        self.expect(226, name);
    }
}

/// As a reply writes a name: an IAC is doubled.
fn doubled(name: &[u8]) -> Vec<u8> {
    name.iter().flat_map(|byte| vec![*byte; if *byte == 0xff { 2 } else { 1 }]).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A path that means this name: what looks like an option, or like the root, gets `./` before it.
fn path(name: &[u8]) -> Vec<u8> {
    if name.starts_with(b"-") || name == b"~" || name.starts_with(b"~/") {
        [b"./", name].concat()
    } else {
        name.to_vec()
    }
}

/// Everything that can be done with a file of this name in the working directory, which is empty.
fn file(client: &mut Client, name: &[u8]) {
    let path = path(name);
    client.upload("STOR", &path);
    assert!(client.command("SIZE", &path, 213).starts_with(b"213 3"));
    client.command("MDTM", &path, 213);
    client.command("HASH", &path, 213);
    client.command("XCRC", &[b"\"", &path[..], b"\""].concat(), 250);
    client.command("MFMT 20200102030405", &path, 213);
    client.command("MFF modify=20200102030405;", &path, 213);
    client.command("SITE CHMOD 640", &path, 200);
    let facts = client.command("MLST", &path, 250);
    assert!(contains(&facts, &[b"; /d/", &doubled(name)[..], b"\r\n"].concat()), "MLST {name:?}");
    let status = client.command("STAT", &path, 213);
    assert!(contains(&status, &[b" ", &doubled(&path)[..], b"\r\n"].concat()), "STAT {name:?}");
    assert_eq!(client.download("RETR", &path), b"abc");
    let line = [name, b"\r\n"].concat();
    assert_eq!(client.download("NLST -a", b""), line);
    assert_eq!(client.download("NLST", &path), [&path[..], b"\r\n"].concat());
    assert!(client.download("LIST -a", b"").ends_with(&[b" ", &line[..]].concat()));
    assert!(client.download("LIST", &path).ends_with(&[b" ", &path[..], b"\r\n"].concat()));
    assert!(contains(&client.download("MLSD", b"."), &[b"; ", &line[..]].concat()));
    client.upload("APPE", &path);
    client.command("RNFR", &path, 350);
    client.command("RNTO", b"other", 250);
    client.command("RNFR", b"other", 350);
    client.command("RNTO", &path, 250);
    assert!(client.command("SIZE", &path, 213).starts_with(b"213 6"));
    client.command("DELE", &path, 250);
    client.upload("STOU", &path);
    client.command("DELE", &path, 250);
    client.command("SITE SYMLINK target", &[b"\"", &path[..], b"\""].concat(), 200);
    client.command("DELE", &path, 250);
}

/// Everything that can be done with a directory of this name.
fn directory(client: &mut Client, name: &[u8]) {
    let path = path(name);
    let quoted: Vec<u8> =
        doubled(name).iter().flat_map(|b| vec![*b; if *b == b'"' { 2 } else { 1 }]).collect();
    let quoted = [b"\"/d/", &quoted[..], b"\""].concat();
    assert!(contains(&client.command("MKD", &path, 257), &quoted), "MKD {name:?}");
    client.command("CWD", &path, 250);
    client.0.send("PWD");
    assert!(contains(&client.expect(257, name), &quoted), "PWD {name:?}");
    client.0.command("CDUP", 250);
    assert_eq!(client.download("LIST", &path), b"");
    client.download("MLSD", &path);
    client.command("STAT", &path, 212);
    client.command("RMD", &path, 250);
}

fn server() -> Server {
    Server::new().with_account("alice", &["--rights", Account::ALL_RIGHTS]).run()
}

fn client(server: &Server) -> Client {
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    control.command("MKD d", 257);
    control.command("CWD d", 250);
    Client(control)
}

fn every_byte() {
    let server = server();
    let mut client = client(&server);
    for byte in (1..=255).filter(|byte| !matches!(byte, b'/' | b'\r' | b'\n')) {
        file(&mut client, &[b'a', byte, b'b']);
        // The first and the last byte are where a parser cuts.
        if !byte.is_ascii_alphanumeric() {
            let names =
                [vec![byte], vec![byte, b'x'], vec![b'x', byte], vec![byte, byte, b'.', byte]];
            for name in names.iter().filter(|name| *name != b".") {
                directory(&mut client, name);
            }
        }
        if matches!(byte, b' ' | b'"' | b'-' | b'~' | b'*' | b'?' | b';' | b'=' | b'%' | b'\\') {
            for name in [vec![byte], vec![byte, b'x'], vec![b'x', byte]] {
                file(&mut client, &name);
            }
        }
    }
}

fn spaces() {
    let server = server();
    let mut client = client(&server);
    for name in [b" a".as_slice(), b"  two", b" -la", b"a ", b" ", b"   "] {
        file(&mut client, name);
        directory(&mut client, name);
    }
    // Behind options and their one space as well.
    client.upload("STOR", b" a");
    for verb in ["LIST -a", "LIST -l -a", "LIST --", "NLST -1"] {
        assert!(client.download(verb, b" a").ends_with(b" a\r\n"), "{verb}");
    }
    client.0.command("EPSV", 229);
    client.command("LIST -a", b"a", 550);
}

fn listed_and_deleted() {
    let server = Server::start();
    let alice = server.account("alice");
    let mut client = client(&server);
    for name in ["tab\tname", "esc\x1b[31m", "del\x7f", "bell\x07", "x\x01y"] {
        alice.put(&format!("d/{name}"), b"abc");
    }
    for line in client.download("NLST", b"").split(|byte| *byte == b'\n') {
        if let Some(name) = line.strip_suffix(b"\r") {
            client.command("RNFR", name, 350);
        }
    }
    let facts = client.download("MLSD", b"");
    let mut deleted = 0;
    for line in facts.split(|byte| *byte == b'\n').filter(|line| contains(line, b"type=file")) {
        let name = line.splitn(2, |byte| *byte == b' ').nth(1).unwrap();
        client.command("DELE", name.strip_suffix(b"\r").unwrap(), 250);
        deleted += 1;
    }
    assert_eq!(deleted, 5);
}
