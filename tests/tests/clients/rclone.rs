//! rclone: copies, checks and deletes trees, and says what it found out about the server.

use std::process::Command;

use bulkhead_tests::harness::{Server, patterned};

use super::run;

fn rclone(server: &Server) -> Command {
    let alice = server.account("alice");
    let obscured = run(Command::new("rclone").args(["obscure", &alice.password]));
    let mut command = Command::new("rclone");
    command.args(["--config", "/dev/null", "--retries", "1", "--low-level-retries", "2"]);
    command.args(["--ftp-host", &server.address().ip().to_string()]);
    command.args(["--ftp-port", &server.address().port().to_string()]);
    command.args(["--ftp-user", &alice.name, "--ftp-pass"]);
    command.arg(String::from_utf8(obscured).unwrap().trim());
    command
}

pub fn tree(server: &Server) {
    let alice = server.account("alice");
    let local = server.path("local");
    std::fs::create_dir_all(local.join("below")).unwrap();
    for number in 0..50 {
        std::fs::write(local.join(format!("file {number}")), number.to_string()).unwrap();
    }
    std::fs::write(local.join("below/large"), patterned(3_000_000)).unwrap();
    run(rclone(server).arg("copy").arg(&local).arg(":ftp:tree"));
    assert!(alice.read("tree/below/large") == patterned(3_000_000));
    run(rclone(server).args(["check", "--download"]).arg(&local).arg(":ftp:tree"));
    run(rclone(server).args(["moveto", ":ftp:tree/file 1", ":ftp:tree/moved"]));
    assert_eq!(alice.read("tree/moved"), b"1");
    let listed = run(rclone(server).args(["lsf", "--recursive", ":ftp:tree"]));
    assert_eq!(String::from_utf8(listed).unwrap().lines().count(), 52);
    run(rclone(server).args(["purge", ":ftp:tree"]));
    assert!(!alice.has("tree"));
}

/// TLS as rclone does it by default, and where each data connection must resume its own control
/// connection's session: rclone has one cache for all of them, so there may be one only.
pub fn tls() {
    for demanded in [false, true] {
        let server = Server::new()
            .with_tls()
            .with("tls.require_session_reuse", if demanded { "true" } else { "false" })
            .with_account("alice", &[])
            .run();
        let local = server.path("local");
        std::fs::create_dir(&local).unwrap();
        for number in 0..8 {
            std::fs::write(local.join(number.to_string()), patterned(100_000)).unwrap();
        }
        let rclone = || {
            let mut rclone = rclone(&server);
            rclone.args(["--ftp-explicit-tls", "--ftp-no-check-certificate"]);
            rclone.args(if demanded { &["--transfers=1", "--checkers=1"][..] } else { &[] });
            rclone
        };
        run(rclone().arg("copy").arg(&local).arg(":ftp:tree"));
        run(rclone().args(["check", "--download"]).arg(&local).arg(":ftp:tree"));
        assert!(server.account("alice").read("tree/7") == patterned(100_000));
    }
}

/// `rclone test info --all`, as docs/clients.md tells it.
pub fn info(server: &Server) {
    let report = server.path("info.json");
    let mut command = rclone(server);
    command.args(["test", "info", "--all", "--write-json"]).arg(&report).arg(":ftp:info");
    run(&mut command);
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(report["MaxFileLength"], 255);
    for able in ["CanStream", "CanWriteUnnormalized", "CanReadUnnormalized"] {
        assert_eq!(report[able], true, "{able}");
    }
    let characters = report["ControlCharacters"].as_object().unwrap();
    assert!(characters.len() > 100, "{}", characters.len());
    for (character, found) in characters {
        // rclone writes them as symbols, in whatever it lists.
        if character.chars().any(char::is_control) || character == "/" {
            continue;
        }
        for place in ["left", "middle", "right"] {
            assert_eq!(found["InList"][place], "present", "{character:?}: {found}");
            assert_eq!(found["WriteError"].get(place), None, "{character:?}: {found}");
            assert_eq!(found["GetError"].get(place), None, "{character:?}: {found}");
        }
    }
}
