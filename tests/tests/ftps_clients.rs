//! Today's clients over TLS, in both versions, with session reuse required as it is by default. A
//! client that is not installed is skipped and counted.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
};

use bulkhead_tests::harness::{
    Account, ControlConnection, FtpsClient, Server, TlsClient, TlsVersion, connect_from,
    eventually, needs_program, patterned, test,
};
use libtest_mimic::Trial;

/// Files that one session moves, each way.
const MANY: usize = 200;
/// The same for curl, which (7.88) waits a second before most data connections under TLS. Its tickets
/// are good for one use, so trouble with them shows at the second file.
const MANY_FOR_CURL: usize = 12;

pub fn tests() -> Vec<Trial> {
    vec![
        needs_program("ftps_clients::curl_in_both_versions", "curl", curl_both),
        needs_program("ftps_clients::curl_by_implicit_tls", "curl", curl_implicit),
        needs_program("ftps_clients::lftp_in_both_versions", "lftp", lftp_both),
        needs_program("ftps_clients::ftplib_with_a_reused_session", "python3", ftplib_both),
        needs_program("ftps_clients::openssl_s_client_by_hand", "openssl", openssl_both),
        test("ftps_clients::every_form_of_auth_and_prot", auth_and_prot),
        test("ftps_clients::zero_bytes_and_large_files_both_ways", sizes),
        test("ftps_clients::active_data_connections", active),
        test("ftps_clients::implicit_tls_greets_after_the_handshake", implicit),
        test("ftps_clients::require_control", require_control),
        test("ftps_clients::require_control_and_data", require_both),
        test("ftps_clients::an_account_may_demand_more", account_demands),
        test("ftps_clients::minimum_version_is_kept", minimum_version),
        test("ftps_clients::reuse_may_be_left_to_the_client", reuse_optional),
        test("ftps_clients::f6_an_account_or_a_network_may_have_reuse_left_to_it", reuse_of_some),
        test("ftps_clients::the_login_tells_version_cipher_and_group", login_tells),
        needs_program("ftps_clients::g2_tls_1_2_without_extended_master_secret", "python3", weak),
    ]
}

/// A directory of so many files, every tenth of them empty.
fn many(server: &Server, count: usize) -> PathBuf {
    let here = server.path("many");
    fs::create_dir(&here).unwrap();
    for number in 0..count {
        fs::write(here.join(name(number)), contents(number)).unwrap();
    }
    here
}

fn name(number: usize) -> String {
    format!("f{number:03}")
}

fn contents(number: usize) -> Vec<u8> {
    patterned(number % 10 * 3_333)
}

/// Every file went up and came back, and nothing went wrong on the way. Some clients make `skipped`
/// empty files of their own without a transfer.
fn expect_many(server: &Server, account: &Account, there: &Path, count: usize, skipped: usize) {
    for number in 0..count {
        let name = name(number);
        assert!(account.read(&format!("up/{name}")) == contents(number), "{name} went up");
        assert!(fs::read(there.join(&name)).unwrap() == contents(number), "{name} came back");
    }
    let moved = eventually("every transfer to be logged", || {
        let transfers = server.events("transfer");
        let (whole, part): (Vec<_>, Vec<_>) = transfers.iter().partition(|e| e["complete"] == true);
        assert!(part.is_empty(), "{part:?}");
        assert!(whole.iter().all(|event| event["tls"] == true));
        let moved = whole.iter().filter(|event| event["kind"] != "listing").count();
        (moved >= 2 * (count - skipped)).then_some(moved)
    });
    assert!(moved <= 2 * count, "{moved} transfers");
    assert!(server.events("notice").is_empty(), "{:?}", server.events("notice"));
    assert!(server.events("violation").is_empty());
}

fn output(command: &mut Command) -> Output {
    let path = std::env::var_os("PATH").unwrap_or_default();
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", bulkhead_tests::harness::NO_HOME)
        .env("LC_ALL", "C.UTF-8");
    command.output().unwrap()
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = output(command);
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout
}

/// curl that insists on TLS of this version and on the server's own certificate.
fn curl(server: &Server, account: &Account, version: TlsVersion) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "100", "--ssl-reqd", "--cacert"]);
    curl.arg(server.path("server.pem"));
    curl.args(match version {
        TlsVersion::V1_2 => &["--tlsv1.2", "--tls-max", "1.2"][..],
        TlsVersion::V1_3 => &["--tlsv1.3"],
    });
    curl.args(["--user", &format!("{}:{}", account.name, account.password)]);
    curl
}

fn curl_both() {
    for version in TlsVersion::BOTH {
        let server = Server::new().with_tls().with_account("alice", &[]).run();
        let alice = server.account("alice");
        let (here, there) = (many(&server, MANY_FOR_CURL), server.path("there"));
        fs::create_dir(&there).unwrap();
        let last = name(MANY_FOR_CURL - 1).replace('f', "");
        let address = server.address();
        run(curl(&server, alice, version)
            .args(["--ftp-create-dirs", "-T", &format!("{}/f[000-{last}]", here.display())])
            .arg(format!("ftp://{address}/up/")));
        run(curl(&server, alice, version)
            .args(["-o", &format!("{}/f#1", there.display())])
            .arg(format!("ftp://{address}/up/[000-{last}]").replace("/[", "/f[")));
        expect_many(&server, alice, &there, MANY_FOR_CURL, 0);
        assert_eq!(server.events("connected").len(), 2, "each way was one session");
        // A listing, and a file of many records.
        let large = server.path("large");
        fs::write(&large, patterned(3_000_000)).unwrap();
        let url = format!("ftp://{address}/large");
        run(curl(&server, alice, version).arg("-T").arg(&large).arg(&url));
        assert!(run(curl(&server, alice, version).arg(&url)) == patterned(3_000_000));
        let list = run(curl(&server, alice, version).arg(format!("ftp://{address}/")));
        assert!(String::from_utf8_lossy(&list).contains("large"), "{list:?}");
    }
}

fn curl_implicit() {
    let server = Server::new().with_implicit_tls().with_account("alice", &[]).run();
    let alice = server.account("alice");
    alice.put("file", &patterned(100_000));
    for version in TlsVersion::BOTH {
        let url = format!("ftps://{}/file", server.implicit_address());
        assert!(run(curl(&server, alice, version).arg(&url)) == patterned(100_000));
        run(curl(&server, alice, version).args(["-T", "/dev/null"]).arg(format!("{url}-empty")));
        assert_eq!(alice.read("file-empty"), b"");
    }
}

fn lftp_both() {
    for (version, priority) in
        [("1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.2"), ("1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.3")]
    {
        let server = Server::new().with_tls().with_account("alice", &[]).run();
        let alice = server.account("alice");
        let (here, there) = (many(&server, MANY), server.path("there"));
        let script = format!(
            "set net:timeout 20; set net:max-retries 1; set cmd:fail-exit yes; \
             set ftp:ssl-force yes; set ftp:ssl-protect-data yes; set ftp:ssl-protect-list yes; \
             set ssl:ca-file {}; set ssl:priority {priority}; \
             open -u {},{} ftp://{}; mirror -R {} up; mirror up {}; quit",
            server.path("server.pem").display(),
            alice.name,
            alice.password,
            server.address(),
            here.display(),
            there.display(),
        );
        run(Command::new("lftp").args(["--norc", "-c", &script]));
        expect_many(&server, alice, &there, MANY, MANY / 10);
        assert_eq!(server.events("connected").len(), 1, "TLS {version}: both ways in one session");
    }
}

fn ftplib_both() {
    const SCRIPT: &str = r#"
import ftplib, io, pathlib, ssl, sys
host, port, user, password, ca, version, here, there = sys.argv[1:9]

class Reusing(ftplib.FTP_TLS):
    """ftplib opens every data connection with a new session unless it is told better."""
    def ntransfercmd(self, cmd, rest=None):
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if self._prot_p:
            connection = self.context.wrap_socket(
                connection, server_hostname=self.host, session=self.sock.session)
            assert connection.session_reused
        return connection, size

context = ssl.create_default_context(cafile=ca)
context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
ftp = Reusing(context=context, timeout=20)
ftp.connect(host, int(port)); ftp.login(user, password); ftp.prot_p()
ftp.mkd("up")
names = sorted(path.name for path in pathlib.Path(here).iterdir())
for name in names:
    with open(f"{here}/{name}", "rb") as file:
        ftp.storbinary(f"STOR up/{name}", file)
assert sorted(ftp.nlst("up")) == [f"up/{name}" for name in names] or sorted(ftp.nlst("up")) == names
for name in names:
    with open(f"{there}/{name}", "wb") as file:
        ftp.retrbinary(f"RETR up/{name}", file.write)
ftp.quit()
"#;
    for version in ["TLSv1_2", "TLSv1_3"] {
        let server = Server::new().with_tls().with_account("alice", &[]).run();
        let alice = server.account("alice");
        let (here, there) = (many(&server, MANY), server.path("there"));
        fs::create_dir(&there).unwrap();
        let address = server.address();
        run(Command::new("python3")
            .args(["-c", SCRIPT, &address.ip().to_string(), &address.port().to_string()])
            .args([&alice.name, &alice.password])
            .arg(server.path("server.pem"))
            .arg(version)
            .args([&here, &there]));
        expect_many(&server, alice, &there, MANY, 0);
        assert_eq!(server.events("connected").len(), 1);
    }
}

/// `openssl s_client` with somebody at its keyboard.
struct Typist {
    child: Child,
    keys: ChildStdin,
    screen: BufReader<ChildStdout>,
}

impl Typist {
    fn sit_down(arguments: &[&str]) -> Typist {
        // A client that waits for something that never comes is ended from outside.
        let mut child = Command::new("timeout")
            .args(["60", "openssl", "s_client", "-quiet"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (keys, screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Typist { child, keys, screen: BufReader::new(screen) }
    }

    fn types(&mut self, line: &str, code: &str) -> String {
        write!(self.keys, "{line}\r\n").unwrap();
        self.sees(code)
    }

    fn sees(&mut self, code: &str) -> String {
        let mut line = String::new();
        self.screen.read_line(&mut line).unwrap();
        assert!(line.starts_with(code), "{code}: {line:?}");
        line
    }

    fn port(&mut self) -> SocketAddr {
        let text = self.types("EPSV", "229");
        let port = text.split("|||").nth(1).and_then(|rest| rest.split('|').next()).unwrap();
        format!("127.0.0.1:{port}").parse().unwrap()
    }

    /// Everything that comes until the other side ends.
    fn rest(mut self) -> Vec<u8> {
        let mut all = Vec::new();
        self.screen.read_to_end(&mut all).unwrap();
        self.child.wait().unwrap();
        all
    }
}

fn openssl_both() {
    let server = Server::new().with_tls().with_account("alice", &[]).run();
    let alice = server.account("alice");
    alice.put("file", &patterned(100_000));
    let address = server.address().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        let ticket = server.path(&format!("session{version}"));
        let ticket = ticket.to_str().unwrap();
        let mut control = Typist::sit_down(&[
            "-connect",
            &address,
            "-starttls",
            "ftp",
            version,
            "-sess_out",
            ticket,
        ]);
        control.types(&format!("USER {}", alice.name), "331");
        control.types(&format!("PASS {}", alice.password), "230");
        control.types("PBSZ 0", "200");
        control.types("PROT P", "200");
        control.types("TYPE I", "200");
        eventually("openssl to keep the session", || {
            fs::metadata(ticket).is_ok_and(|file| file.len() > 0).then_some(())
        });
        let there = control.port().to_string();
        let data = Typist::sit_down(&["-connect", &there, version, "-sess_in", ticket]);
        control.types("RETR file", "150");
        assert!(data.rest() == patterned(100_000));
        control.sees("226");
        let there = control.port().to_string();
        let arguments = ["-connect", &there, version, "-sess_in", ticket, "-no_ign_eof"];
        let mut data = Typist::sit_down(&arguments);
        control.types("STOR typed", "150");
        data.keys.write_all(&patterned(50_000)).unwrap();
        let Typist { mut child, keys, screen } = data;
        // The end of what is typed is the end of the file.
        drop(keys);
        control.sees("226");
        drop(screen);
        child.wait().unwrap();
        assert!(alice.read("typed") == patterned(50_000));
        control.types("QUIT", "221");
        control.rest();
    }
}

fn auth_and_prot() {
    let server = Server::new().with_tls().with_account("alice", &[]).run();
    let features = server.connect().command("FEAT", 211);
    for feature in [" AUTH TLS", " PBSZ", " PROT"] {
        assert!(features.lines.iter().any(|line| line == feature), "{features:?}");
    }
    let mut plain = server.connect();
    plain.command("PBSZ 0", 503);
    plain.command("PROT P", 503);
    plain.command("CCC", 503);
    for refused in ["AUTH SSL", "AUTH TLS-P", "AUTH KERBEROS_V4"] {
        let reply = plain.command(refused, 504);
        assert!(reply.text().contains("TLS"), "{refused}: says what to use: {reply:?}");
    }
    plain.command("AUTH TLS-C", 234);
    let mut client =
        FtpsClient::connect(server.address(), TlsClient::new(TlsVersion::V1_3)).unwrap();
    client.control.command("AUTH TLS", 503);
    client.control.command("PROT P", 503);
    client.control.command("PBSZ 1024", 200);
    client.control.command("PROT S", 536);
    client.control.command("PROT E", 536);
    client.control.command("PROT X", 504);
    client.control.command("CCC", 534);
    client.authenticate(server.account("alice"));
    // The same words after login, in the session.
    client.control.command("AUTH TLS", 503);
    client.control.command("PROT S", 536);
    client.control.command("CCC", 534);
    client.control.command("PROT C", 200);
    let mut data = client.control.passive();
    client.control.command("NLST", 150);
    assert_eq!(data.read(&mut [0; 16]).unwrap(), 0, "PROT C is plain");
    client.control.expect(226);
    client.control.command("PROT P", 200);
    assert_eq!(client.download("NLST"), b"");
}

fn sizes() {
    for version in TlsVersion::BOTH {
        let server = Server::new().with_tls().with_account("alice", &[]).run();
        let alice = server.account("alice");
        for size in [0, 1, 16_384, 16_385, 20_000_001] {
            let mut client = FtpsClient::log_in(server.address(), alice, version);
            let name = format!("{size}");
            client.upload(&format!("STOR {name}"), &patterned(size));
            assert!(alice.read(&name) == patterned(size), "{size} bytes up");
            assert!(
                client.download(&format!("RETR {name}")) == patterned(size),
                "{size} bytes down"
            );
            client.control.command("QUIT", 221);
        }
        server.expect_idle();
    }
}

fn active() {
    let server = Server::new().with_tls().with_account("alice", &[]).run();
    let alice = server.account("alice");
    alice.put("file", &patterned(300_000));
    for version in TlsVersion::BOTH {
        let mut client = FtpsClient::log_in(server.address(), alice, version);
        for command in ["RETR file", "STOR up"] {
            let listener = client.control.active();
            client.control.command(command, 150);
            // The client of the FTP connection is the client of the TLS handshake as well.
            let socket = ControlConnection::data(listener.accept().unwrap().0);
            let mut data = client.tls.shake_hands(socket).unwrap();
            if command == "RETR file" {
                let mut got = Vec::new();
                data.read_to_end(&mut got).unwrap();
                assert!(got == patterned(300_000));
            } else {
                data.write_all(&patterned(70_000)).unwrap();
                data.conn.send_close_notify();
                data.flush().unwrap();
            }
            client.control.expect(226);
        }
        assert!(alice.read("up") == patterned(70_000));
    }
}

fn implicit() {
    let server = Server::new().with_implicit_tls().with_account("alice", &[]).run();
    let alice = server.account("alice");
    for version in TlsVersion::BOTH {
        let mut client =
            FtpsClient::implicit(server.implicit_address(), TlsClient::new(version)).unwrap();
        client.control.command("AUTH TLS", 503);
        client.authenticate(alice);
        client.protect();
        client.upload("STOR file", b"implicit");
        assert_eq!(client.download("RETR file"), b"implicit");
    }
}

fn require_control() {
    let server = Server::new()
        .with_tls()
        .with("tls.require", "\"control\"")
        .with_account("alice", &[])
        .run();
    let alice = server.account("alice");
    let mut plain = server.connect();
    let reply = plain.command(&format!("USER {}", alice.name), 530);
    assert!(reply.text().contains("AUTH TLS"), "{reply:?}");
    plain.command("PASS guess", 503);
    let mut client = FtpsClient::secure(plain, TlsClient::new(TlsVersion::V1_3)).unwrap();
    client.authenticate(alice);
    let mut data = client.control.passive();
    client.control.command("NLST", 150);
    assert_eq!(data.read(&mut [0; 16]).unwrap(), 0, "plain data is allowed");
    client.control.expect(226);
}

fn require_both() {
    let server = Server::new()
        .with_tls()
        .with("tls.require", "\"control+data\"")
        .with_account("alice", &[])
        .run();
    let alice = server.account("alice");
    server.connect().command(&format!("USER {}", alice.name), 530);
    let mut client =
        FtpsClient::connect(server.address(), TlsClient::new(TlsVersion::V1_2)).unwrap();
    client.control.command("PBSZ 0", 200);
    client.control.command("PROT C", 534);
    client.authenticate(alice);
    for command in ["RETR file", "STOR file", "LIST"] {
        client.control.passive();
        let reply = client.control.command(command, 521);
        assert!(reply.text().contains("PROT P"), "{command}: {reply:?}");
    }
    assert!(!alice.has("file"));
    client.protect();
    client.control.command("PROT C", 534);
    client.upload("STOR file", b"protected");
    assert_eq!(alice.read("file"), b"protected");
}

fn account_demands() {
    let server = Server::new()
        .with_tls()
        .with_account("alice", &["--tls", "control"])
        .with_account("bob", &["--tls", "control+data"])
        .with_account("carol", &[])
        .run();
    let (alice, bob) = (server.account("alice"), server.account("bob"));
    server.log_in("carol").command("PWD", 257);
    for account in [alice, bob] {
        let mut plain = server.connect();
        plain.command(&format!("USER {}", account.name), 331);
        let reply = plain.command(&format!("PASS {}", account.password), 530);
        assert!(reply.text().contains("AUTH TLS"), "{reply:?}");
    }
    let connect =
        || FtpsClient::connect(server.address(), TlsClient::new(TlsVersion::V1_3)).unwrap();
    let mut client = connect();
    client.authenticate(alice);
    let mut data = client.control.passive();
    client.control.command("NLST", 150);
    assert_eq!(data.read(&mut [0; 16]).unwrap(), 0, "plain data is allowed");
    client.control.expect(226);
    let mut client = connect();
    client.authenticate(bob);
    client.control.passive();
    client.control.command("NLST", 521);
    client.protect();
    assert_eq!(client.download("NLST"), b"");
}

fn minimum_version() {
    let server = Server::new()
        .with_tls()
        .with("tls.minimum_version", "\"1.3\"")
        .with_account("alice", &[])
        .run();
    let old = FtpsClient::connect(server.address(), TlsClient::new(TlsVersion::V1_2));
    let alert = old.err().expect("TLS 1.2 is refused").to_string();
    assert!(alert.contains("ProtocolVersion"), "{alert}");
    server.expect_event("disconnected", |event| {
        event["reason"].as_str().is_some_and(|reason| reason.contains("TLS failed"))
    });
    let mut client =
        FtpsClient::log_in(server.address(), server.account("alice"), TlsVersion::V1_3);
    assert_eq!(client.download("NLST"), b"");
}

fn reuse_optional() {
    let server = Server::new()
        .with_tls()
        .with("tls.require_session_reuse", "false")
        .with_account("alice", &[])
        .run();
    for version in TlsVersion::BOTH {
        let mut client = FtpsClient::log_in(server.address(), server.account("alice"), version);
        client.tls = client.tls.forgetful();
        for _ in 0..3 {
            client.upload("STOR file", b"by a session of its own");
            client.tls = client.tls.forgetful();
            assert_eq!(client.download("RETR file"), b"by a session of its own");
            client.tls = client.tls.forgetful();
        }
    }
    let mut plain = ControlConnection::log_in(server.address(), server.account("alice"));
    assert_eq!(plain.download("RETR file"), b"by a session of its own");
}

/// Whether a client that resumes nothing gets a listing.
fn is_served_without_reuse(server: &Server, name: &str, own: [u8; 4]) -> bool {
    let control = ControlConnection::connect_from(own.into(), server.address());
    let mut control = control;
    control.expect(220);
    let tls = TlsClient::new(TlsVersion::V1_3);
    let mut client = FtpsClient::secure(control, tls).unwrap();
    client.authenticate(server.account(name));
    client.protect();
    let text = client.control.command("EPSV", 229).text().to_owned();
    let port: u16 = text.split('|').nth(3).unwrap().parse().unwrap();
    client.control.send("NLST");
    let socket = connect_from(own.into(), SocketAddr::new(server.address().ip(), port));
    client.control.expect(150);
    let served = client.tls.forgetful().shake_hands(socket).and_then(|mut data| {
        let mut got = Vec::new();
        data.read_to_end(&mut got)
    });
    let code = client.control.reply().unwrap().code;
    assert_eq!(code, if served.is_ok() { 226 } else { 522 }, "{served:?}");
    served.is_ok()
}

fn reuse_of_some() {
    let server = Server::new()
        .with_tls()
        .with("tls.session_reuse_exempt", "[\"127.0.0.32/28\"]")
        .with_account("alice", &[])
        .with_account("bob", &["--require-session-reuse", "false"])
        .with_account("carol", &["--require-session-reuse", "true"])
        .run();
    for (name, own, served) in [
        ("alice", 1, false),
        ("alice", 33, true),
        ("bob", 1, true),
        ("bob", 33, true),
        ("carol", 1, false),
        ("carol", 33, false),
    ] {
        let got = is_served_without_reuse(&server, name, [127, 0, 0, own]);
        assert_eq!(got, served, "{name} from 127.0.0.{own}");
    }
}

fn login_tells() {
    let server = Server::new().with_tls().with_account("alice", &[]).run();
    for (version, shown) in [(TlsVersion::V1_2, "1.2"), (TlsVersion::V1_3, "1.3")] {
        drop(FtpsClient::log_in(server.address(), server.account("alice"), version));
        let event = server.expect_event("login", |event| event["tls_version"] == shown);
        assert!(event["tls_cipher"].as_str().unwrap().starts_with("TLS_"), "{event}");
        assert!(["X25519MLKEM768", "X25519"].contains(&event["tls_group"].as_str().unwrap()));
        assert_eq!(event["extended_master_secret"], true);
    }
    server.log_in("alice");
    let plain = server.expect_event("login", |event| event["tls"] == false);
    assert!(plain.get("tls_version").is_none(), "{plain}");
}

/// A client of TLS 1.2 that leaves the extended master secret out: it logs in, and what it gets
/// resumes nothing.
fn weak() {
    const SCRIPT: &str = r#"
import ftplib, ssl, sys
host, port, user, password = sys.argv[1:5]

class Reusing(ftplib.FTP_TLS):
    def ntransfercmd(self, cmd, rest=None):
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        connection = self.context.wrap_socket(
            connection, server_hostname=self.host, session=self.sock.session)
        assert not connection.session_reused, "a session was resumed that must not be"
        return connection, size

context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.maximum_version = ssl.TLSVersion.TLSv1_2
context.options |= 1  # SSL_OP_NO_EXTENDED_MASTER_SECRET
ftp = Reusing(context=context, timeout=20)
ftp.connect(host, int(port)); ftp.login(user, password); ftp.prot_p()
print(ftp.pwd())
print(ftp.nlst())
ftp.quit()
"#;
    let server = |keys: &[(&str, &str)]| {
        let mut server = Server::new().with_tls().with_account("alice", &[]);
        for (key, value) in keys {
            server = server.with(key, value);
        }
        server.run()
    };
    let list = |server: &Server| {
        let alice = server.account("alice");
        let (ip, port) = (server.address().ip().to_string(), server.address().port().to_string());
        let arguments = ["-c", SCRIPT, &ip, &port, &alice.name, &alice.password];
        output(Command::new("python3").args(arguments))
    };
    let strict = server(&[]);
    let said = list(&strict);
    assert!(String::from_utf8_lossy(&said.stdout).contains('/'), "the login works: {said:?}");
    assert!(String::from_utf8_lossy(&said.stderr).contains("HANDSHAKE_FAILURE"), "{said:?}");
    strict.expect_event("login", |event| event["extended_master_secret"] == false);
    let loose = server(&[("tls.require_session_reuse", "false")]);
    let said = list(&loose);
    assert!(said.status.success(), "{said:?}");
    let demanding = server(&[("tls.require_extended_master_secret", "true")]);
    assert!(!list(&demanding).status.success());
    demanding.expect_event("disconnected", |event| {
        event["reason"].as_str().is_some_and(|reason| reason.contains("RFC 7627"))
    });
}
