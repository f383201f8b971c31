//! I2FTP as an operator meets it: what starts and what does not, what is said where, `try` and
//! `import`.

use std::{io::BufRead, os::unix::fs::PermissionsExt};

use bulkhead_tests::harness::{
    Account, I2FTP_KEY_HEX as KEY_HEX, I2ftpClient, I2ftpServer, Server, dist, i2ftp_key,
    needs_root, test,
};
use i2ftp::{Psk, request::ask};
use libtest_mimic::Trial;

use crate::i2ftp::said;

pub fn tests() -> Vec<Trial> {
    vec![
        test(
            "i2ftp_operator::secured_mode_is_called_obfuscation_where_operators_look",
            obfuscation,
        ),
        test("i2ftp_operator::a_demand_for_tls_forbids_the_port_without_it", required_tls),
        needs_root("i2ftp_operator::a_host_in_fips_mode_does_not_serve_it", fips),
        test("i2ftp_operator::try_serves_it_with_a_key_it_prints", tried),
        test(
            "i2ftp_operator::a_configuration_of_the_python_server_is_imported_and_served",
            imported,
        ),
    ]
}

/// The label is where an operator looks: in the log and in `bulkhead check`.
fn obfuscation() {
    const LABEL: &str = "obfuscation, not encryption";
    let secured = I2ftpServer::start(&[("secured", "true")]);
    secured.server.expect_event("note", |event| said(event, "message", LABEL));
    let checked = secured.server.bulkhead(&["check"]);
    assert!(String::from_utf8_lossy(&checked.stdout).contains(LABEL), "{checked:?}");
    let plain = I2ftpServer::start(&[]);
    assert!(plain.server.events("note").iter().all(|event| !said(event, "message", LABEL)));
}

/// `[tls] require` and a listener without TLS exclude each other, before anybody is served.
fn required_tls() {
    let server = Server::new();
    let root = format!("{:?}", server.scratch.path());
    let server = I2ftpServer::inside_tls(I2ftpServer::with_key(server).with("i2ftp.root", &root))
        .with("tls.require", "\"control\"")
        .with("i2ftp.plain", "true");
    server.write_configuration();
    let checked = server.bulkhead(&["check"]);
    assert_eq!(checked.status.code(), Some(2));
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(text.contains("[tls] require forbids plain connections"), "{text}");
    let served = server.bulkhead(&["serve"]);
    assert!(!served.status.success());
    assert!(String::from_utf8_lossy(&served.stderr).contains("[tls] require forbids"));
    // Inside TLS alone it is served.
    let server = server.with("i2ftp.plain", "false").run();
    assert_eq!(server.events("serving").len(), 1);
}

/// A kernel in FIPS mode says so in a file; here, over which one of ours lies for this server.
fn fips() {
    let server = I2ftpServer::with_key(Server::new());
    let root = format!("{:?}", server.scratch.path());
    let server = server.with("i2ftp.root", &root);
    server.write_configuration();
    let in_fips_mode = |says: &str, arguments: &str| {
        let line = format!(
            "mount -t tmpfs none /proc/sys && mkdir /proc/sys/crypto && \
             echo {says} > /proc/sys/crypto/fips_enabled && \
             exec timeout 3 {} --config {} {arguments}",
            server.binaries.join("bulkhead").display(),
            server.path("bulkhead.toml").display(),
        );
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "sh", "-c", &line]).output().unwrap()
    };
    let refused = in_fips_mode("1", "serve");
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("I2FTP rests on MD5"), "{text}");
    assert!(server.events("serving").is_empty());
    let checked = in_fips_mode("1", "check");
    assert!(String::from_utf8_lossy(&checked.stdout).contains("I2FTP rests on MD5"));
    // The same host without FIPS mode serves, until it is told to end.
    in_fips_mode("0", "serve");
    assert_eq!(server.events("serving").len(), 1);
}

fn tried() {
    let scratch = tempfile::TempDir::with_prefix("bulkhead-test-").unwrap();
    std::fs::set_permissions(scratch.path(), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(scratch.path().join("a.txt"), b"hello").unwrap();
    let mut command = std::process::Command::new(dist().join("bulkhead"));
    command.args(["try", "--no-tls", "--port", "0", "--i2ftp=0"]).arg(scratch.path());
    let mut server = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut guide = std::io::BufReader::new(server.stdout.take().unwrap()).lines();
    let mut after = |words: &str| {
        guide.find_map(|line| Some(line.unwrap().split_once(words)?.1.to_owned())).unwrap()
    };
    let address = after("I2FTP on ");
    let address = address.split(',').next().unwrap().parse().unwrap();
    let key = after("key ");
    let (psk, _) = Psk::from_hex(key.trim()).unwrap();
    let mut client = I2ftpClient::log_in(address, &psk).unwrap();
    let id = client.begin(b"GETF", "a.txt");
    assert_eq!(client.download(&id, 0, 5), b"hello");
    // Closed, because a server that ends waits for transfers.
    client.granted(&ask::close(&id));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(server.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    assert!(server.wait().unwrap().success());
}

/// What `i2ftps-setup` has written serves the same clients here.
fn imported() {
    let mut server = Server::new();
    let exchange = Account::make(server.scratch.path(), "exchange", 20_101);
    exchange.put("a.txt", b"hello");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (old, new) = (server.path("server_conf.json"), server.path("imported.toml"));
    let text = serde_json::json!({
        "root": exchange.root, "port": port, "log_file": server.path("log"), "log_level": "INFO",
        "keychain": KEY_HEX, "tls": false, "read_only": true,
    });
    std::fs::write(&old, serde_json::to_string_pretty(&text).unwrap()).unwrap();
    let paths = [old, new.clone()].map(|path| path.to_str().unwrap().to_owned());
    let done = server.bulkhead(&["import", "i2ftp", &paths[0], "--output", &paths[1]]);
    assert!(done.status.success(), "{done:?}");
    let said = [done.stdout, done.stderr].concat();
    assert!(String::from_utf8_lossy(&said).contains("it listened on every address"));
    let here = format!(
        "listen_port = 0\ncontrol_socket = {:?}\nstate_directory = {:?}\n{}\n[auth]\nusers_file = {:?}\n",
        server.path("control.sock"),
        server.path("state"),
        std::fs::read_to_string(new).unwrap().replace("[log]", "[log]\nformat = \"json\""),
        server.path("users.toml"),
    );
    server.launch_with(&here);
    let address = I2ftpServer::address_of(&server);
    assert_eq!(address.port(), port);
    let mut client = I2ftpClient::log_in(address, &i2ftp_key()).unwrap();
    let id = client.begin(b"GETF", "a.txt");
    assert_eq!(client.download(&id, 0, 5), b"hello");
    client.granted(&ask::close(&id));
    assert!(client.refused(&ask::path(b"PULF", "b.txt")).contains("read-only"));
}
