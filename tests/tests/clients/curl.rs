//! curl, the client most programs have inside them.

use std::process::Command;

use bulkhead_tests::harness::{Server, patterned};

use super::{output, run, url};

fn curl(arguments: &[&str]) -> Command {
    let mut curl = Command::new("curl");
    // Brackets of an IPv6 address are no pattern.
    curl.args(["--silent", "--show-error", "--max-time", "30", "--globoff"]).args(arguments);
    curl
}

/// The ways to a data connection: EPSV and PASV, EPRT and PORT. IPv6 has the first of each.
fn ways(server: &Server) -> &'static [&'static [&'static str]] {
    const WAYS: [&[&str]; 4] =
        [&[], &["--ftp-port", "-"], &["--disable-epsv"], &["--disable-eprt", "--ftp-port", "-"]];
    if server.address().is_ipv4() { &WAYS } else { &WAYS[..2] }
}

pub fn methods(server: &Server) {
    let alice = server.account("alice");
    let bytes = patterned(100_000);
    alice.make_directory("deep");
    alice.make_directory("deep/er");
    alice.put("deep/er/file", &bytes);
    let here = server.path("here");
    std::fs::write(&here, &bytes).unwrap();
    let here = here.display().to_string();
    for method in ["multicwd", "nocwd", "singlecwd"] {
        let method = ["--ftp-method", method];
        for (number, way) in ways(server).iter().enumerate() {
            let got = run(curl(&method).args(*way).arg(url(server, alice, "deep/er/file")));
            assert!(got == bytes, "{method:?} {way:?}");
            let name = format!("deep/up-{}-{number}", method[1]);
            run(curl(&method).args(*way).args(["-T", &here, &url(server, alice, &name)]));
            assert!(alice.read(&name) == bytes, "{method:?} {way:?}");
            let list = run(curl(&method).args(*way).arg(url(server, alice, "deep/")));
            assert!(String::from_utf8_lossy(&list).contains("up-"), "{list:?}");
        }
    }
    // The other methods do not make several levels.
    let made = url(server, alice, "new/a/b/file");
    run(&mut curl(&["--ftp-method", "multicwd", "--ftp-create-dirs", "-T", &here, &made]));
    assert!(alice.read("new/a/b/file") == bytes);
}

pub fn rest(server: &Server) {
    let alice = server.account("alice");
    let bytes = patterned(1_000_000);
    for way in ways(server) {
        let curl = |arguments: &[&str]| {
            let mut curl = curl(way);
            curl.args(arguments);
            curl
        };
        alice.put("file", &bytes);
        let file = url(server, alice, "file");
        assert!(run(&mut curl(&["--range", "1000-1999", &file])) == bytes[1000..2000]);
        assert!(run(&mut curl(&["--range", "-10", &file])) == bytes[999_990..]);
        let part = server.path("part");
        std::fs::write(&part, &bytes[..400_000]).unwrap();
        let part = part.display().to_string();
        run(&mut curl(&["-C", "-", "-o", &part, &file]));
        assert!(std::fs::read(&part).unwrap() == bytes);
        alice.put("up", &bytes[..300_000]);
        run(&mut curl(&["-C", "-", "-T", &part, &url(server, alice, "up")]));
        assert!(alice.read("up") == bytes);
        run(&mut curl(&["--append", "-T", &part, &url(server, alice, "up")]));
        assert_eq!(alice.read("up").len(), 2_000_000);
        run(&mut curl(&["-Q", "-RNFR up", "-Q", "-RNTO moved", "-o", &part, &file]));
        assert!(alice.has("moved"));
        run(&mut curl(&["-Q", "DELE moved", &url(server, alice, "")]));
        assert!(!alice.has("moved"));
        run(&mut curl(&["-Q", "SITE CHMOD 640 file", "-o", &part, &file]));
        assert_eq!(super::mode(alice, "file"), 0o640);
        let head = run(&mut curl(&["--head", &file]));
        assert!(String::from_utf8_lossy(&head).contains("Content-Length: 1000000"), "{head:?}");
        alice.put("text", b"one\ntwo\n");
        let names = run(&mut curl(&["--list-only", &url(server, alice, "")]));
        let mut names: Vec<&str> = std::str::from_utf8(&names).unwrap().lines().collect();
        names.sort_unstable();
        assert_eq!(names, ["file", "text"]);
        let text = run(&mut curl(&["--use-ascii", &url(server, alice, "text")]));
        assert_eq!(text, b"one\ntwo\n");
        let missing = output(&mut curl(&[&url(server, alice, "nothing")]));
        assert_eq!(missing.status.code(), Some(78), "{missing:?}");
        std::fs::remove_file(alice.path("text")).unwrap();
    }
}
