//! Today's clients, each doing what it is mostly used for. A client that is not installed is
//! skipped and counted.

use std::process::{Command, Output};

use bulkhead_tests::harness::{Account, Server, needs_program, patterned};
use libtest_mimic::Trial;

pub fn tests() -> Vec<Trial> {
    vec![
        needs_program("clients::curl_by_every_method", "curl", curl_methods),
        needs_program("clients::curl_ranges_resumes_appends_and_quotes", "curl", curl_rest),
        needs_program("clients::curl_over_ipv6", "curl", curl_ipv6),
        needs_program("clients::lftp_mirrors_both_ways", "lftp", lftp_mirror),
        needs_program("clients::lftp_splits_resumes_and_changes_modes", "lftp", lftp_rest),
        needs_program("clients::wget_fetches_a_tree", "wget", wget),
        needs_program("clients::ftplib_in_both_modes_and_types", "python3", ftplib),
        needs_program("clients::ncftp_gets_and_puts", "ncftpget", ncftp),
        needs_program("clients::tnftp_gets_and_puts", "tnftp", tnftp),
    ]
}

fn output(command: &mut Command) -> Output {
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).env("HOME", "/nonexistent").env("LC_ALL", "C.UTF-8");
    command.output().unwrap()
}

/// Runs a client and expects success.
fn run(command: &mut Command) -> Vec<u8> {
    let output = output(command);
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout
}

fn url(server: &Server, account: &Account, path: &str) -> String {
    format!("ftp://{}:{}@{}/{path}", account.name, account.password, server.address())
}

fn curl(arguments: &[&str]) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "30"]).args(arguments);
    curl
}

fn curl_methods() {
    let server = Server::start();
    let alice = server.account("alice");
    let bytes = patterned(100_000);
    alice.make_directory("deep");
    alice.make_directory("deep/er");
    alice.put("deep/er/file", &bytes);
    let here = server.path("here");
    std::fs::write(&here, &bytes).unwrap();
    let here = here.display().to_string();
    for method in ["multicwd", "nocwd", "singlecwd"] {
        let file = url(&server, alice, "deep/er/file");
        for mode in
            [&["--disable-epsv"][..], &[], &["--ftp-port", "-"], &["--disable-eprt", "-P", "-"]]
        {
            let got = run(curl(&["--ftp-method", method]).args(mode).arg(&file));
            assert!(got == bytes, "{method} {mode:?}");
        }
        let up = url(&server, alice, &format!("deep/up-{method}"));
        run(&mut curl(&["--ftp-method", method, "-T", &here, &up]));
        assert!(alice.read(&format!("deep/up-{method}")) == bytes);
        let list = run(&mut curl(&["--ftp-method", method, &url(&server, alice, "deep/")]));
        assert!(String::from_utf8_lossy(&list).contains("up-"), "{list:?}");
        if method != "multicwd" {
            // The others do not make several levels.
            continue;
        }
        let made = url(&server, alice, &format!("new-{method}/a/b/file"));
        run(&mut curl(&["--ftp-method", method, "--ftp-create-dirs", "-T", &here, &made]));
    }
}

fn curl_rest() {
    let server = Server::start();
    let alice = server.account("alice");
    let bytes = patterned(1_000_000);
    alice.put("file", &bytes);
    let file = url(&server, alice, "file");
    assert!(run(&mut curl(&["--range", "1000-1999", &file])) == bytes[1000..2000]);
    assert!(run(&mut curl(&["--range", "-10", &file])) == bytes[999_990..]);
    let part = server.path("part");
    std::fs::write(&part, &bytes[..400_000]).unwrap();
    let part = part.display().to_string();
    run(&mut curl(&["-C", "-", "-o", &part, &file]));
    assert!(std::fs::read(&part).unwrap() == bytes);
    alice.put("up", &bytes[..300_000]);
    run(&mut curl(&["-C", "-", "-T", &part, &url(&server, alice, "up")]));
    assert!(alice.read("up") == bytes);
    run(&mut curl(&["--append", "-T", &part, &url(&server, alice, "up")]));
    assert_eq!(alice.read("up").len(), 2_000_000);
    run(&mut curl(&["-Q", "-RNFR up", "-Q", "-RNTO moved", "-o", &part, &file]));
    assert!(alice.has("moved"));
    run(&mut curl(&["-Q", "DELE moved", &url(&server, alice, "")]));
    assert!(!alice.has("moved"));
    let head = run(&mut curl(&["--head", &file]));
    assert!(String::from_utf8_lossy(&head).contains("Content-Length: 1000000"), "{head:?}");
    let names = run(&mut curl(&["--list-only", &url(&server, alice, "")]));
    assert_eq!(names, b"file\n");
    alice.put("text", b"one\ntwo\n");
    let text = run(&mut curl(&["--use-ascii", &url(&server, alice, "text")]));
    assert_eq!(text, b"one\ntwo\n");
    let missing = output(&mut curl(&[&url(&server, alice, "nothing")]));
    assert_eq!(missing.status.code(), Some(78), "{missing:?}");
}

fn curl_ipv6() {
    let server = Server::new().with("listen_address", "\"::1\"").with_account("alice", &[]).run();
    let alice = server.account("alice");
    let bytes = patterned(100_000);
    alice.put("file", &bytes);
    let file = url(&server, alice, "file");
    for mode in [&[][..], &["--ftp-port", "-"]] {
        assert!(run(curl(&["--globoff"]).args(mode).arg(&file)) == bytes, "{mode:?}");
    }
}

fn lftp(server: &Server, account: &Account, commands: &str) -> Vec<u8> {
    let script = format!(
        "set net:timeout 10; set net:max-retries 1; set cmd:fail-exit yes; \
         set ftp:ssl-allow no; open -u {},{} ftp://{}; {commands}; quit",
        account.name,
        account.password,
        server.address()
    );
    run(Command::new("lftp").args(["--norc", "-c", &script]))
}

fn lftp_mirror() {
    let server = Server::start();
    let alice = server.account("alice");
    let here = server.path("here");
    for directory in ["", "a", "a/b", "empty"] {
        std::fs::create_dir_all(here.join(directory)).unwrap();
    }
    let files = ["one", "a/two", "a/b/three", "a/b/with space", "a/\u{e4}\u{f6}\u{fc}"];
    for (number, name) in files.iter().enumerate() {
        std::fs::write(here.join(name), patterned(number * 70_000)).unwrap();
    }
    let there = server.path("there");
    lftp(&server, alice, &format!("mirror -R {} tree", here.display()));
    lftp(&server, alice, &format!("mirror tree {}", there.display()));
    for name in files {
        assert!(alice.read(&format!("tree/{name}")) == std::fs::read(here.join(name)).unwrap());
        assert!(
            std::fs::read(there.join(name)).unwrap() == std::fs::read(here.join(name)).unwrap()
        );
    }
    let found = String::from_utf8(lftp(&server, alice, "find tree")).unwrap();
    assert!(files.iter().all(|name| found.contains(name)), "{found}");
    lftp(&server, alice, "rm -r tree");
    assert!(!alice.has("tree"));
}

fn lftp_rest() {
    let server = Server::start();
    let alice = server.account("alice");
    let bytes = patterned(4_000_000);
    alice.put("file", &bytes);
    let got = server.path("got");
    lftp(&server, alice, &format!("pget -n 4 file -o {}", got.display()));
    assert!(std::fs::read(&got).unwrap() == bytes);
    std::fs::write(&got, &bytes[..1_000_000]).unwrap();
    lftp(&server, alice, &format!("get -c file -o {}", got.display()));
    assert!(std::fs::read(&got).unwrap() == bytes);
    alice.put("up", &bytes[..1_000_000]);
    lftp(&server, alice, &format!("put -c {} -o up; chmod 640 up", got.display()));
    assert!(alice.read("up") == bytes);
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(alice.path("up")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    lftp(&server, alice, "set ftp:passive-mode no; cat file > /dev/null; mv up moved; cls -l");
    assert!(alice.has("moved"));
}

fn wget() {
    let server = Server::start();
    let alice = server.account("alice");
    alice.make_directory("tree");
    alice.make_directory("tree/below");
    alice.put("tree/one", b"1");
    alice.put("tree/below/two", &patterned(50_000));
    let got = server.path("got");
    std::fs::create_dir(&got).unwrap();
    for mode in [&[][..], &["--no-passive-ftp"]] {
        let mut command = Command::new("wget");
        command.args(["--quiet", "--tries=1", "--timeout=20", "--recursive", "-nH"]).args(mode);
        run(command.arg("-P").arg(&got).arg(url(&server, alice, "tree/")));
        assert!(std::fs::read(got.join("tree/below/two")).unwrap() == patterned(50_000));
        std::fs::remove_dir_all(got.join("tree")).unwrap();
    }
}

fn ftplib() {
    const SCRIPT: &str = r#"
import ftplib, io, sys
host, port, user, password = sys.argv[1:5]
for passive in (True, False):
    ftp = ftplib.FTP(); ftp.connect(host, int(port), timeout=20); ftp.login(user, password)
    ftp.set_pasv(passive)
    data = bytes(range(256)) * 1000
    ftp.storbinary("STOR data", io.BytesIO(data))
    got = io.BytesIO(); ftp.retrbinary("RETR data", got.write); assert got.getvalue() == data
    got = io.BytesIO(); ftp.retrbinary("RETR data", got.write, rest=1000)
    assert got.getvalue() == data[1000:]
    ftp.storlines("STOR text", io.BytesIO(b"one\ntwo\n"))
    lines = []; ftp.retrlines("RETR text", lines.append); assert lines == ["one", "two"], lines
    ftp.voidcmd("TYPE I"); assert ftp.size("text") == 8
    assert sorted(ftp.nlst()) == ["data", "text"], ftp.nlst()
    facts = dict(ftp.mlsd()); assert facts["data"]["size"] == str(len(data)), facts
    ftp.mkd("d"); ftp.cwd("d"); assert ftp.pwd() == "/d"; ftp.cwd(".."); ftp.rmd("d")
    ftp.rename("data", "moved"); ftp.delete("moved"); ftp.delete("text")
    ftp.storbinary("STOR data", io.BytesIO(data))
    sock = ftp.transfercmd("RETR data"); sock.recv(10); sock.close()
    try: ftp.voidresp()
    except ftplib.error_temp: pass
    ftp.delete("data"); ftp.quit()
"#;
    let server = Server::start();
    let alice = server.account("alice");
    let address = server.address();
    run(Command::new("python3").args(["-c", SCRIPT]).args([
        &address.ip().to_string(),
        &address.port().to_string(),
        &alice.name,
        &alice.password,
    ]));
}

fn ncftp() {
    let server = Server::start();
    let alice = server.account("alice");
    alice.put("file", &patterned(100_000));
    let got = server.path("got");
    std::fs::create_dir(&got).unwrap();
    let (port, host) = (server.address().port().to_string(), server.address().ip().to_string());
    let login = ["-u", &alice.name, "-p", &alice.password, "-P", &port];
    run(Command::new("ncftpget").args(login).arg(&host).arg(&got).arg("file"));
    assert!(std::fs::read(got.join("file")).unwrap() == patterned(100_000));
    std::fs::rename(got.join("file"), got.join("up")).unwrap();
    run(Command::new("ncftpput").args(login).arg(&host).arg("/").arg(got.join("up")));
    assert!(alice.read("up") == patterned(100_000));
}

fn tnftp() {
    let server = Server::start();
    let alice = server.account("alice");
    alice.put("file", &patterned(100_000));
    let got = server.path("got");
    run(Command::new("tnftp").arg("-o").arg(&got).arg(url(&server, alice, "file")));
    assert!(std::fs::read(&got).unwrap() == patterned(100_000));
    run(Command::new("tnftp").arg("-u").arg(url(&server, alice, "up")).arg(&got));
    assert!(alice.read("up") == patterned(100_000));
}
