//! The operator's commands beside a running server: `check`, `reload`, `status`, and a second server.

use std::{
    fs,
    net::TcpListener,
    process::{Command, Output},
};

use bulkhead_tests::harness::{
    ControlConnection, FtpsClient, KeyPair, Server, TlsClient, TlsVersion, eventually, needs_root,
    test,
};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

pub fn tests() -> Vec<Trial> {
    vec![
        test("operator_commands::c1_check_finds_a_running_server_in_order", check_beside),
        test("operator_commands::c1_check_finds_a_port_that_another_program_has", foreign_port),
        test(
            "operator_commands::show3_check_and_reload_put_a_changed_limit_in_force",
            changed_limit,
        ),
        test("operator_commands::c2_a_refused_reload_has_changed_nothing", refused_reload),
        test("operator_commands::c4_a_certificate_that_ends_is_told_of_everywhere", ending),
        test("operator_commands::c4_a_certificate_that_has_ended_is_served", ended),
        test("operator_commands::c4_renew_makes_the_certificate_again", renew),
        test(
            "operator_commands::c5_operators_need_no_configuration_that_loads",
            wrong_configuration,
        ),
        test("operator_commands::c6_a_second_server_leaves_the_first_its_socket", second_server),
        needs_root(
            "operator_commands::c8_user_add_says_what_a_running_server_needs",
            unreachable_root,
        ),
        test("operator_commands::c6_a_start_that_fails_leaves_no_socket", no_socket_left),
    ]
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server on a port that its configuration names, as a real one.
fn on_a_port() -> (Server, u16) {
    let port = free_port();
    let server = Server::new().with("listen_port", &port.to_string()).with_account("alice", &[]);
    (server.run(), port)
}

fn check_beside() {
    let (server, port) = on_a_port();
    let checked = server.bulkhead(&["check"]);
    assert!(checked.status.success(), "{}", text(&checked));
    assert!(!text(&checked).contains(&port.to_string()), "{}", text(&checked));
    // The same without the server.
    let mut server = server;
    server.signal(Signal::SIGTERM);
    server.wait();
    assert!(server.bulkhead(&["check"]).status.success());
}

fn foreign_port() {
    let (server, _) = on_a_port();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let server = server.with("listen_port", &port.to_string());
    server.write_configuration();
    let checked = server.bulkhead(&["check"]);
    assert_eq!(checked.status.code(), Some(1), "{}", text(&checked));
    assert!(text(&checked).contains(&format!("port {port}")), "{}", text(&checked));
}

/// What the packages' documents tell an administrator to do: `bulkhead check && bulkhead reload`.
fn changed_limit() {
    let (server, _) = on_a_port();
    let mut client = server.log_in("alice");
    let check_and_reload = |server: &Server| {
        let program = server.binaries.join("bulkhead");
        let file = server.path("bulkhead.toml");
        let word = format!("{} --config {}", program.display(), file.display());
        let line = format!("{word} check && {word} reload");
        Command::new("sh").args(["-c", &line]).output().unwrap()
    };
    let server = server.with("maximum_clients", "1");
    server.write_configuration();
    let done = check_and_reload(&server);
    assert!(done.status.success(), "{}", text(&done));
    let mut second = ControlConnection::connect(server.address());
    second.expect(421);
    // A limit of sessions holds for the one that is there.
    client.command("NOOP", 200);
    // With a broken certificate nothing has changed.
    let server = server
        .with("maximum_clients", "2")
        .with("tls.certificate", "\"/nonexistent.pem\"")
        .with("tls.private_key", "\"/nonexistent.pem\"");
    server.write_configuration();
    let done = check_and_reload(&server);
    assert!(!done.status.success());
    assert!(text(&done).contains("/nonexistent.pem"), "{}", text(&done));
    let reloaded = server.bulkhead(&["reload"]);
    assert!(!reloaded.status.success(), "{}", text(&reloaded));
    let mut third = ControlConnection::connect(server.address());
    third.expect(421);
    client.command("NOOP", 200);
}

fn refused_reload() {
    let server = Server::new()
        .with_tls()
        .with("tls.require", "\"control+data\"")
        .with("banner", "\"of before\"")
        .with_account("alice", &[])
        .run();
    let status = |server: &Server| {
        let mut status = server.status();
        for moving in [
            "uptime",
            "connections_total",
            "connections",
            "ready_gates",
            "logins_total",
            "sessions",
        ] {
            status.as_object_mut().unwrap().remove(moving);
        }
        status
    };
    let before = status(&server);
    let settings = server.settings.clone();
    let open_key = KeyPair::for_server(server.scratch.path(), "open", &["localhost"]);
    fs::set_permissions(&open_key.private_key, std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .unwrap();
    let mut server = server;
    for (certificate, key) in [
        ("\"/nonexistent.pem\"".to_owned(), open_key.key_toml()),
        (open_key.certificate_toml(), open_key.key_toml()),
    ] {
        server.settings = settings.clone();
        server = server
            .with("tls.require", "\"none\"")
            .with("banner", "\"of after\"")
            .with("maximum_clients", "0")
            .with("penalties.enabled", "true")
            .with("tls.certificate", &certificate)
            .with("tls.private_key", &key);
        server.write_configuration();
        let count = server.events("not-reloaded").len();
        let reloaded = server.bulkhead(&["reload"]);
        assert!(!reloaded.status.success());
        assert!(text(&reloaded).contains("old settings stay"), "{}", text(&reloaded));
        server.signal(Signal::SIGHUP);
        eventually("the second refusal", || {
            (server.events("not-reloaded").len() >= count + 2).then_some(())
        });
        assert_eq!(status(&server), before);
        // Every gate, those that were ready and those that are started now, knows the old settings.
        for _ in 0..6 {
            let mut client = ControlConnection::connect(server.address());
            let greeting = client.reply().unwrap();
            assert!(greeting.text().contains("of before"), "{greeting:?}");
            client.command("USER alice", 530);
        }
        let mut client =
            FtpsClient::log_in(server.address(), server.account("alice"), TlsVersion::V1_3);
        assert_eq!(client.download("NLST"), b"");
    }
    // And the right one is put in force as a whole.
    server.settings = settings;
    let server = server.with("banner", "\"of after\"");
    server.write_configuration();
    assert!(server.bulkhead(&["reload"]).status.success());
    let greeting = ControlConnection::connect(server.address()).reply().unwrap();
    assert!(greeting.text().contains("of after"), "{greeting:?}");
}

/// A server with a certificate that ends so many days from now.
fn with_certificate_ending_in(days: i64) -> Server {
    let server = Server::new();
    let names = ["localhost", "127.0.0.1"];
    let pair = KeyPair::ending_in(server.scratch.path(), "server", &names, days);
    server.with_certificates(&[&pair]).with_account("alice", &[]).run()
}

/// The end of the certificate as the log, `status` and `check` are to write it, up to the day.
fn day(days: i64) -> String {
    let end =
        time::OffsetDateTime::now_utc() + time::Duration::days(days) + time::Duration::hours(1);
    end.date().to_string()
}

fn ending() {
    let server = with_certificate_ending_in(20);
    let loaded = server.expect_event("certificate", |_| true);
    assert!(loaded["not_after"].as_str().unwrap().starts_with(&day(20)), "{loaded}");
    let warned = server.expect_event("certificate-ends-soon", |_| true);
    assert_eq!(warned["level"], "WARN");
    let message = warned["message"].as_str().unwrap();
    assert!(message.contains("in 20 days") && message.contains(&day(20)), "{message}");
    let status = text(&server.bulkhead(&["status"]));
    assert!(status.contains("it ends in 20 days") && status.contains(&day(20)), "{status}");
    let row = server.status()["certificates"][0].clone();
    assert_eq!(row["days_left"], 20, "{row}");
    let check = server.bulkhead(&["check"]);
    assert!(check.status.success(), "it serves: {}", text(&check));
    assert!(text(&check).contains("warning: ") && text(&check).contains(&day(20)), "{check:?}");
    // One that is far from its end is told of, and warned of nowhere.
    let server = with_certificate_ending_in(200);
    server.expect_event("certificate", |_| true);
    assert!(server.events("certificate-ends-soon").is_empty());
    assert!(!text(&server.bulkhead(&["status"])).contains("WARNING"));
    assert!(!text(&server.bulkhead(&["check"])).contains("it ends"));
}

fn ended() {
    let server = with_certificate_ending_in(-1);
    let warned = server.expect_event("certificate-not-valid", |_| true);
    assert_eq!(warned["level"], "ERROR");
    assert!(warned["message"].as_str().unwrap().contains(&day(-1)), "{warned}");
    let status = text(&server.bulkhead(&["status"]));
    assert!(status.contains("ended on") && status.contains(&day(-1)), "{status}");
    let check = server.bulkhead(&["check"]);
    assert!(check.status.success(), "it serves: {}", text(&check));
    assert!(text(&check).contains("ended on"), "{}", text(&check));
    // Plain logins go on, and a client that does not look at dates has its TLS.
    server.log_in("alice").command("NOOP", 200);
    let mut client =
        FtpsClient::log_in(server.address(), server.account("alice"), TlsVersion::V1_3);
    assert_eq!(client.download("NLST"), b"");
}

fn renew() {
    let server = Server::new().with_certificate().with_account("alice", &[]).run();
    let shown = |server: &Server| {
        let tls = TlsClient::new(TlsVersion::V1_3);
        let mut client = FtpsClient::connect(server.address(), tls).unwrap();
        let chain = client.control.transport().conn.peer_certificates().unwrap();
        chain[0].as_ref().to_vec()
    };
    let before = shown(&server);
    let early = server.bulkhead(&["certificate", "--renew"]);
    assert!(early.status.success() && text(&early).contains("--force"), "{}", text(&early));
    let forced = server.bulkhead(&["certificate", "--renew", "--force"]);
    assert!(forced.status.success(), "{}", text(&forced));
    eventually("the new certificate to be served", || (shown(&server) != before).then_some(()));
    // What somebody else has made is left to him.
    let server = with_certificate_ending_in(3);
    let file = server.path("server.pem");
    let before = fs::read(&file).unwrap();
    let foreign = server.bulkhead(&["certificate", "--renew", "--force"]);
    assert_eq!(foreign.status.code(), Some(1), "{}", text(&foreign));
    assert!(text(&foreign).contains("not made by Bulkhead"), "{}", text(&foreign));
    assert!(fs::read(&file).unwrap() == before);
}

fn wrong_configuration() {
    let server = Server::start();
    let mut alice = server.log_in("alice");
    let mut configuration = fs::read_to_string(server.path("bulkhead.toml")).unwrap();
    configuration.push_str("listen_prot = 21\nlocal_umask = 077\n");
    fs::write(server.path("bulkhead.toml"), &configuration).unwrap();
    for command in [&["status"][..], &["sessions"], &["penalties", "list"], &["kick", "nobody"]] {
        let output = server.bulkhead(command);
        let nobody = text(&output).contains("there is no such session");
        assert!(output.status.success() || nobody, "{command:?}: {}", text(&output));
    }
    // The server, and not the command, says what is wrong with it.
    let reload = server.bulkhead(&["reload"]);
    assert!(text(&reload).contains("old settings stay"), "{}", text(&reload));
    // Without any configuration, the path of the socket is enough.
    fs::remove_file(server.path("bulkhead.toml")).unwrap();
    let socket = server.path("control.sock");
    let socket = socket.to_str().unwrap();
    for command in [&["status"][..], &["kick", "alice"], &["drain"]] {
        let output = server.bulkhead(&[command, &["--socket", socket]].concat());
        assert!(output.status.success(), "{command:?}: {}", text(&output));
    }
    alice.expect(421);
    let mut server = server;
    assert!(server.wait().success(), "drained");
}

fn second_server() {
    let (server, _) = on_a_port();
    // The same configuration, and one that shares nothing but the socket.
    let second = server.bulkhead(&["serve"]);
    assert_eq!(second.status.code(), Some(1), "{}", text(&second));
    let other = Server::new()
        .with("control_socket", &format!("{:?}", server.path("control.sock")))
        .with_account("alice", &[]);
    let mut other = other;
    assert!(other.try_launch().is_err());
    let said = fs::read_to_string(other.path("stderr")).unwrap();
    assert!(said.contains("a running server answers there"), "{said}");
    assert_eq!(server.status()["pid"], server.pid());
    server.log_in("alice").command("NOOP", 200);
    // What a killed one has left is taken over.
    let mut server = server;
    server.signal(Signal::SIGKILL);
    server.wait();
    assert!(server.path("control.sock").exists());
    server.launch();
    assert_eq!(server.status()["pid"], server.pid());
}

fn no_socket_left() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut server = Server::new().with("listen_port", &port).with_account("alice", &[]);
    assert!(server.try_launch().is_err());
    assert!(!server.path("control.sock").exists());
}

/// As under ProtectSystem=strict: everything is read-only to the server but what was declared.
fn unreachable_root() {
    let mut server = Server::new().with_account("alice", &[]);
    let place = server.scratch.path().display().to_string();
    let outside = tempfile::TempDir::with_prefix("bulkhead-test-").unwrap();
    let hide = format!(
        "mount --bind {0} {0} && mount --bind {1} {1} && mount -o remount,ro,bind {1} && exec \"$@\"",
        place,
        outside.path().display()
    );
    let words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &hide, "--"];
    server.under = words.map(str::to_owned).to_vec();
    server.launch();
    let add = |name: &str, root: &std::path::Path, more: &[&str]| {
        fs::create_dir(root).unwrap();
        let root = root.to_str().unwrap();
        let ids = ["--uid", "20099", "--gid", "20099", "--password-stdin"];
        let words = [&["user", "add", name, "--root", root][..], &ids, more].concat();
        let added = server.bulkhead_with_input(&words, b"a password\n");
        assert!(added.status.success(), "{}", text(&added));
        text(&added)
    };
    let said = add("below", &server.path("below"), &[]);
    assert!(!said.contains("running server"), "{said}");
    let said = add("reader", &outside.path().join("reader"), &["--read-only"]);
    assert!(!said.contains("running server"), "{said}");
    let said = add("writer", &outside.path().join("writer"), &[]);
    assert!(said.contains("The running server cannot write to"), "{said}");
    assert!(said.contains("Do this:"), "{said}");
}
