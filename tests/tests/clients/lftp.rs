//! lftp: several connections, mirrors, resumes.

use std::process::Command;

use bulkhead_tests::harness::{Server, patterned};

use super::run;

fn lftp(server: &Server, passive: bool, commands: &str) -> Vec<u8> {
    let account = server.account("alice");
    let script = format!(
        "set net:timeout 10; set net:max-retries 1; set cmd:fail-exit yes; \
         set ftp:ssl-allow no; set ftp:passive-mode {passive}; open -u {},{} ftp://{}; \
         {commands}; quit",
        account.name,
        account.password,
        server.address()
    );
    run(Command::new("lftp").args(["--norc", "-c", &script]))
}

/// Passive or not. On the loopback address of IPv6 lftp announces `EPRT |2|::|…`, which is nobody's
/// address, and is refused.
fn ways(server: &Server) -> &'static [bool] {
    if server.address().is_ipv4() { &[true, false] } else { &[true] }
}

pub fn mirror(server: &Server) {
    let alice = server.account("alice");
    let here = server.path("here");
    for directory in ["", "a", "a/b", "empty"] {
        std::fs::create_dir_all(here.join(directory)).unwrap();
    }
    let files = ["one", "a/two", "a/b/three", "a/b/with space", "a/\u{e4}\u{f6}\u{fc}"];
    for (number, name) in files.iter().enumerate() {
        std::fs::write(here.join(name), patterned(number * 70_000)).unwrap();
    }
    for passive in ways(server) {
        let there = server.path(&format!("there-{passive}"));
        lftp(server, *passive, &format!("mirror -R --parallel=3 {} tree", here.display()));
        lftp(server, *passive, &format!("mirror --parallel=3 tree {}", there.display()));
        for name in files {
            let sent = std::fs::read(here.join(name)).unwrap();
            assert!(alice.read(&format!("tree/{name}")) == sent, "{name}");
            assert!(std::fs::read(there.join(name)).unwrap() == sent, "{name}");
        }
        assert!(alice.has("tree/empty") && there.join("empty").is_dir());
        // A second mirror finds nothing to do; one after a change brings what has changed.
        let again = lftp(server, *passive, &format!("mirror -v tree {}", there.display()));
        assert!(!String::from_utf8_lossy(&again).contains("Transferring"), "{again:?}");
        alice.put("tree/a/new", b"new");
        lftp(server, *passive, &format!("mirror tree {}", there.display()));
        assert_eq!(std::fs::read(there.join("a/new")).unwrap(), b"new");
        let found = String::from_utf8(lftp(server, *passive, "find tree")).unwrap();
        assert!(files.iter().all(|name| found.contains(name)), "{found}");
        lftp(server, *passive, "rm -r tree");
        assert!(!alice.has("tree"));
    }
}

pub fn rest(server: &Server) {
    let alice = server.account("alice");
    let bytes = patterned(4_000_000);
    for passive in ways(server) {
        alice.put("file", &bytes);
        let got = server.path(&format!("got-{passive}"));
        let name = got.display();
        lftp(server, *passive, &format!("pget -n 4 file -o {name}"));
        assert!(std::fs::read(&got).unwrap() == bytes);
        std::fs::write(&got, &bytes[..1_000_000]).unwrap();
        lftp(server, *passive, &format!("get -c file -o {name}"));
        assert!(std::fs::read(&got).unwrap() == bytes);
        alice.put("up", &bytes[..1_000_000]);
        lftp(server, *passive, &format!("put -c {name} -o up; chmod 640 up"));
        assert!(alice.read("up") == bytes);
        assert_eq!(super::mode(alice, "up"), 0o640);
        lftp(
            server,
            *passive,
            "cat file > /dev/null; mv up moved; cls -l; mkdir -p d/e; rmdir d/e",
        );
        assert!(alice.has("moved") && alice.has("d"));
        lftp(server, *passive, "rm moved; rmdir d");
    }
}
