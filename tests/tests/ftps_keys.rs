//! The private keys: who holds them (invariant I7), what happens when their keeper dies or they are
//! renewed, which of them a client gets, and which are refused.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use bulkhead_tests::harness::{
    Authority, FtpsClient, KeyPair, Process, Server, TlsClient, TlsVersion, eventually,
    needs_program, needs_root, patterned, test,
};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use crate::secrets::memory_of;

pub fn tests() -> Vec<Trial> {
    vec![
        needs_root("ftps_keys::a_key_is_in_no_process_but_the_keeper", one_holder),
        test("ftps_keys::a_keeper_that_dies_is_replaced", keeper_dies),
        test(
            "ftps_keys::a_dead_keeper_leaves_sessions_their_own_handshakes",
            keeper_dies_unresumed,
        ),
        test("ftps_keys::changed_files_are_loaded_without_dropping_anybody", renewed),
        test("ftps_keys::a_reload_leaves_sessions_the_key_they_began_with", renewed_unresumed),
        test("ftps_keys::what_cannot_be_loaded_changes_nothing", bad_renewal),
        test("ftps_keys::a_certificate_is_chosen_by_name", by_name),
        test("ftps_keys::unusable_keys_are_refused_by_name", refused),
        needs_program("ftps_keys::a_client_certificate_may_be_shown", "curl", client_certificate),
        needs_program("ftps_keys::a_client_certificate_may_be_demanded", "curl", demanded),
        needs_program(
            "ftps_keys::a_client_certificate_may_name_the_account",
            "curl",
            names_account,
        ),
    ]
}

/// The numbers that must stay secret in a PKCS#8 key, as memory may hold them: big-endian as in the
/// file, and little-endian as in the words of a computation.
fn secret_numbers(pkcs8: &[u8]) -> Vec<Vec<u8>> {
    // The private scalar of a key on P-256: an OCTET STRING of 32 bytes behind ECPrivateKey's version.
    let scalar = pkcs8.windows(5).position(|window| window == [2, 1, 1, 4, 32]);
    let numbers = match scalar {
        Some(at) => vec![pkcs8[at + 5..at + 37].to_vec()],
        // The two primes of an RSA key: its only INTEGERs of 128 bytes (and a zero in front) that
        // are odd and no exponents, which are e less than the others; all of them are secret.
        None => pkcs8
            .windows(5)
            .enumerate()
            .filter(|(_, window)| window[..4] == [2, 0x81, 0x81, 0])
            .map(|(at, _)| pkcs8[at + 4..at + 132].to_vec())
            .collect(),
    };
    assert!(!numbers.is_empty(), "no secret was found in the key");
    let reversed = numbers.iter().map(|number| number.iter().rev().copied().collect());
    let reversed: Vec<Vec<u8>> = reversed.collect();
    [numbers, reversed].concat()
}

fn one_holder() {
    let server = Server::new();
    let place = server.scratch.path().to_owned();
    let ecdsa = KeyPair::for_server(&place, "ecdsa", &["localhost", "127.0.0.1"]);
    let rsa = KeyPair::for_server_by_rsa(&place, "rsa", &["rsa.example.net"]);
    let server = server
        .with_certificates(&[&ecdsa, &rsa])
        .with("tls.require_session_reuse", "false")
        .with_account("alice", &[])
        .run();
    let alice = server.account("alice");
    alice.put("file", &patterned(10_000));
    // Both keys have signed, in both versions, for control and data connections.
    let mut clients = Vec::new();
    for version in TlsVersion::BOTH {
        for name in ["localhost", "rsa.example.net"] {
            let tls = TlsClient::new(version).asking_for(name);
            let mut client = FtpsClient::connect(server.address(), tls).unwrap();
            client.authenticate(alice);
            client.protect();
            client.tls = client.tls.forgetful();
            assert_eq!(client.download("RETR file").len(), 10_000);
            clients.push(client);
        }
    }
    let waiting = FtpsClient::connect(server.address(), TlsClient::new(TlsVersion::V1_3)).unwrap();
    let mut secrets = [secret_numbers(&ecdsa.key_der), secret_numbers(&rsa.key_der)].concat();
    for pair in [&ecdsa, &rsa] {
        // The files, as PEM: the second line, so that the first is not found in every PEM reader.
        let text = fs::read_to_string(&pair.private_key).unwrap();
        secrets.push(text.lines().nth(1).unwrap().as_bytes().to_vec());
    }
    let mut processes = server.processes();
    processes.push(Process::look(server.pid()).unwrap());
    let mut looked_at = Vec::new();
    for Process { pid, command, .. } in processes {
        let memory = memory_of(pid);
        assert!(memory.len() > 50_000, "{command}: only {} bytes could be read", memory.len());
        let found: Vec<usize> = secrets
            .iter()
            .enumerate()
            .filter(|(_, secret)| memory.windows(secret.len()).any(|window| window == *secret))
            .map(|(number, _)| number)
            .collect();
        if command.contains("keeper") {
            // That the keeper's are found shows that the search can find them.
            assert!(found.iter().any(|number| *number < 2), "the ECDSA key is not in the keeper");
            assert!(found.iter().any(|number| *number >= 2), "the RSA key is not in the keeper");
        } else {
            assert!(found.is_empty(), "{command} holds secrets {found:?}");
        }
        looked_at.push(command);
    }
    for word in ["session", "gate", "helper", "keeper", "serve"] {
        assert!(looked_at.iter().any(|command| command.contains(word)), "{word}: {looked_at:?}");
    }
    drop((waiting, clients));
}

/// Kills the keeper, and waits until another one serves.
fn kill_keeper(server: &Server) {
    let [old] = server.processes_of("keeper").try_into().unwrap();
    old.signal(Signal::SIGKILL);
    server.expect_event("process-died", |event| event["role"] == "keeper");
    server.expect_event("process-started", |event| event["role"] == "keeper");
    let [new] = server.processes_of("keeper").try_into().unwrap();
    assert_ne!(old.pid, new.pid);
}

fn keeper_dies() {
    for version in TlsVersion::BOTH {
        let server = Server::new().with_tls().with_account("alice", &[]).run();
        let alice = server.account("alice");
        alice.put("file", &patterned(64 << 20));
        let mut before = FtpsClient::log_in(server.address(), alice, version);
        let mut data = before.open("RETR file");
        let mut got = vec![0; 1_000_000];
        std::io::Read::read_exact(&mut data, &mut got).unwrap();
        kill_keeper(&server);
        let mut after = FtpsClient::log_in(server.address(), alice, version);
        assert_eq!(after.download("NLST"), b"file\r\n");
        // The transfer that ran goes on, and so does its session.
        std::io::Read::read_to_end(&mut data, &mut got).unwrap();
        assert!(got == patterned(64 << 20));
        before.control.expect(226);
        assert_eq!(before.download("NLST"), b"file\r\n");
    }
}

fn keeper_dies_unresumed() {
    let server = Server::new()
        .with_tls()
        .with("tls.require_session_reuse", "false")
        .with_account("alice", &[])
        .run();
    let alice = server.account("alice");
    alice.put("file", b"contents");
    let fresh = |client: &mut FtpsClient| client.tls = client.tls.forgetful();
    let mut before = FtpsClient::log_in(server.address(), alice, TlsVersion::V1_3);
    let mut quiet = FtpsClient::log_in(server.address(), alice, TlsVersion::V1_3);
    fresh(&mut before);
    assert_eq!(before.download("RETR file"), b"contents");
    kill_keeper(&server);
    for client in [&mut before, &mut quiet] {
        fresh(client);
        // The first handshake may meet the old channel; the one after it gets a new one.
        let socket = client.begin("RETR file");
        drop(client.tls.shake_hands(socket));
        client.control.reply().unwrap();
        fresh(client);
        assert_eq!(client.download("RETR file"), b"contents");
    }
    assert!(server.events("violation").is_empty());
}

/// The certificate a new connection is shown.
fn shown(server: &Server, name: &str) -> Vec<u8> {
    let tls = TlsClient::new(TlsVersion::V1_3).asking_for(name);
    let mut client = FtpsClient::connect(server.address(), tls).unwrap();
    let chain = client.control.transport().conn.peer_certificates().unwrap();
    chain[0].as_ref().to_vec()
}

fn expect_shown(server: &Server, pair: &KeyPair) {
    eventually("the new certificate to be shown", || {
        (shown(server, "localhost") == pair.der.as_ref()).then_some(())
    });
}

fn renewed() {
    let server = Server::new().with_tls().with_account("alice", &[]).run();
    let alice = server.account("alice");
    alice.put("file", &patterned(64 << 20));
    let mut sessions: Vec<FtpsClient> = TlsVersion::BOTH
        .iter()
        .map(|version| FtpsClient::log_in(server.address(), alice, *version))
        .collect();
    let mut data: Vec<_> = sessions.iter_mut().map(|client| client.open("RETR file")).collect();
    let shaking = server.connect();
    let place = server.scratch.path();
    // Twice: by a watcher that has seen a change already, as well.
    for _ in 0..2 {
        let new = KeyPair::for_server(place, "server", &["localhost", "127.0.0.1"]);
        expect_shown(&server, &new);
    }
    // A connection that was there before goes on with what its gate knows.
    let mut shaking = FtpsClient::secure(shaking, TlsClient::new(TlsVersion::V1_3)).unwrap();
    shaking.authenticate(alice);
    for (client, data) in sessions.iter_mut().zip(&mut data) {
        let mut got = Vec::new();
        std::io::Read::read_to_end(data, &mut got).unwrap();
        assert!(got == patterned(64 << 20));
        client.control.expect(226);
        assert_eq!(client.download("NLST"), b"file\r\n");
    }
    assert!(server.events("not-reloaded").is_empty());
    assert!(server.events("violation").is_empty());
    // The keepers of before have gone.
    drop((sessions, shaking));
    eventually("one keeper to be left", || {
        (server.processes_of("keeper").len() == 1).then_some(())
    });
    assert!(server.events("process-died").is_empty());
}

fn renewed_unresumed() {
    let server = Server::new()
        .with_tls()
        .with("tls.require_session_reuse", "false")
        .with_account("alice", &[])
        .run();
    let alice = server.account("alice");
    alice.put("file", b"contents");
    // One that has a signing channel already, and one that has not.
    let mut used = FtpsClient::log_in(server.address(), alice, TlsVersion::V1_3);
    used.tls = used.tls.forgetful();
    assert_eq!(used.download("RETR file"), b"contents");
    let mut unused = FtpsClient::log_in(server.address(), alice, TlsVersion::V1_2);
    for by_signal in [true, false] {
        let new = KeyPair::for_server(server.scratch.path(), "server", &["localhost"]);
        if by_signal {
            server.signal(Signal::SIGHUP);
        } else {
            assert!(server.bulkhead(&["reload"]).status.success());
        }
        expect_shown(&server, &new);
    }
    for client in [&mut used, &mut unused] {
        client.tls = client.tls.forgetful();
        assert_eq!(client.download("RETR file"), b"contents");
    }
    assert!(server.events("violation").is_empty());
}

/// Makes a pair of files unusable.
type Spoil = fn(&Path);

fn bad_renewal() {
    let server = Server::new().with_tls().with_account("alice", &[]).run();
    let place = server.scratch.path();
    let good = shown(&server, "localhost");
    let key = place.join("server-key.pem");
    let names = ["localhost"];
    let spoil: [(&str, Spoil); 3] = [
        ("no private key in it", |place| {
            KeyPair::for_server(place, "server", &["localhost"]);
            fs::write(place.join("server-key.pem"), "-----BEGIN PRIVATE KEY-----\nMII").unwrap();
        }),
        ("does not belong to", |place| {
            drop(KeyPair::for_server(place, "server", &["localhost"]));
            let other = KeyPair::for_server(place, "other", &["localhost"]);
            fs::rename(other.private_key, place.join("server-key.pem")).unwrap();
        }),
        ("readable by everybody", |place| {
            let pair = KeyPair::for_server(place, "server", &["localhost"]);
            fs::set_permissions(pair.private_key, PermissionsExt::from_mode(0o644)).unwrap();
        }),
    ];
    for (why, spoil) in spoil {
        spoil(place);
        server.expect_event("not-reloaded", |event| {
            event["message"].as_str().is_some_and(|message| message.contains(why))
        });
        assert_eq!(shown(&server, "localhost"), good, "{why}: the old one stays");
    }
    // A file that is away for a while is nothing to act on.
    fs::rename(&key, place.join("away")).unwrap();
    assert_eq!(shown(&server, "localhost"), good);
    let new = KeyPair::for_server(place, "server", &names);
    expect_shown(&server, &new);
    let mut client =
        FtpsClient::log_in(server.address(), server.account("alice"), TlsVersion::V1_3);
    assert_eq!(client.download("NLST"), b"");
}

fn by_name() {
    let server = Server::new();
    let place = server.scratch.path().to_owned();
    let first = KeyPair::for_server(&place, "first", &["localhost"]);
    let second = KeyPair::for_server(&place, "second", &["second.example.net", "*.wild.example"]);
    let third = KeyPair::for_server_by_rsa(&place, "third", &["third.example.net"]);
    let server = server.with_certificates(&[&first, &second, &third]).run();
    for (name, pair) in [
        ("localhost", &first),
        ("second.example.net", &second),
        ("SECOND.Example.NET", &second),
        ("a.wild.example", &second),
        ("third.example.net", &third),
        // Nobody's name, and no name: the default.
        ("wild.example", &first),
        ("unknown.example.net", &first),
        ("127.0.0.1", &first),
    ] {
        assert!(shown(&server, name) == pair.der.as_ref(), "{name}");
    }
}

fn refused() {
    let server = Server::new().with_account("alice", &[]);
    let place = server.scratch.path().to_owned();
    let good = KeyPair::for_server(&place, "good", &["localhost"]);
    let other = KeyPair::for_server(&place, "other", &["localhost"]);
    let open = KeyPair::for_server(&place, "open", &["localhost"]);
    fs::set_permissions(&open.private_key, PermissionsExt::from_mode(0o644)).unwrap();
    let no_key = place.join("no-key.pem");
    fs::write(&no_key, "-----BEGIN NOTHING-----\n").unwrap();
    fs::set_permissions(&no_key, PermissionsExt::from_mode(0o600)).unwrap();
    let empty = place.join("empty.pem");
    fs::write(&empty, "").unwrap();
    let missing = place.join("missing.pem");
    let cases: [(&PathBuf, &PathBuf, &PathBuf, &str); 6] = [
        (&good.certificate, &other.private_key, &other.private_key, "does not belong to"),
        (&open.certificate, &open.private_key, &open.private_key, "readable by everybody"),
        (&empty, &good.private_key, &empty, "has no certificate in it"),
        (&good.certificate, &no_key, &no_key, "no private key in it"),
        (&missing, &good.private_key, &missing, "No such file"),
        (&place, &good.private_key, &place, "is not a regular file"),
    ];
    let mut server = server;
    for (certificate, key, guilty, why) in cases {
        server = server
            .with("tls.certificate", &format!("{certificate:?}"))
            .with("tls.private_key", &format!("{key:?}"));
        server.write_configuration();
        for command in ["check", "serve"] {
            let output = server.bulkhead(&[command]);
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            assert!(!output.status.success(), "{command}: {said}");
            assert!(said.contains(why), "{command}: {why:?} is not in:\n{said}");
            assert!(
                said.contains(&guilty.display().to_string()),
                "{command}: names the file: {said}"
            );
        }
    }
}

/// Lists the account's directory with curl and its certificate, if it is given one.
fn curl(server: &Server, account: &str, certificate: Option<&KeyPair>, version: &str) -> Output {
    let account = server.account(account);
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "30", "--ssl-reqd", "--insecure"]);
    curl.args(["--tls-max", version, "--user"]);
    curl.arg(format!("{}:{}", account.name, account.password));
    if let Some(pair) = certificate {
        curl.arg("--cert").arg(&pair.certificate).arg("--key").arg(&pair.private_key);
    }
    curl.arg(format!("ftp://{}/", server.address())).output().unwrap()
}

fn with_authority() -> (Server, Authority, PathBuf) {
    let server = Server::new().with_tls().with_account("alice", &[]).with_account("bob", &[]);
    let place = server.scratch.path().to_owned();
    let authority = Authority::new(&place, "clients");
    let server = server.with("tls.client_ca", &format!("{:?}", authority.certificate));
    (server, authority, place)
}

fn client_certificate() {
    let (server, authority, place) = with_authority();
    let pair = authority.sign_client(&place, "laptop", "a laptop");
    let server = server.run();
    for version in ["1.2", "1.3"] {
        for certificate in [None, Some(&pair)] {
            let output = curl(&server, "alice", certificate, version);
            assert!(output.status.success(), "{output:?}");
        }
    }
}

fn demanded() {
    let (server, authority, place) = with_authority();
    let pair = authority.sign_client(&place, "laptop", "a laptop");
    let server = server.with("tls.require_client_certificate", "true").run();
    for version in ["1.2", "1.3"] {
        assert!(!curl(&server, "alice", None, version).status.success());
        let output = curl(&server, "alice", Some(&pair), version);
        assert!(output.status.success(), "{output:?}");
    }
    // TLS is not demanded here, so a plain login needs no certificate.
    server.log_in("alice").command("PWD", 257);
}

fn names_account() {
    let (server, authority, place) = with_authority();
    let alice = authority.sign_client(&place, "alice", "alice");
    let nameless = authority.sign_client(&place, "nameless", "");
    let shouting = authority.sign_client(&place, "shouting", "ALICE");
    let server = server.with("tls.client_certificate_names_account", "true").run();
    for version in ["1.2", "1.3"] {
        let allowed = |account: &str, pair: Option<&KeyPair>| {
            curl(&server, account, pair, version).status.success()
        };
        assert!(allowed("alice", Some(&alice)));
        assert!(!allowed("bob", Some(&alice)), "a certificate of somebody else");
        assert!(!allowed("alice", Some(&nameless)), "a certificate of nobody");
        assert!(!allowed("alice", Some(&shouting)), "names are compared as they are");
        assert!(allowed("bob", None), "without a certificate the password decides");
    }
    server.expect_event("login-failed", |event| {
        event["user"] == "bob" && event["reason"] == "certificate-of-another"
    });
    // It never replaces the password, and a wrong one looks the same.
    let mut client =
        FtpsClient::connect(server.address(), TlsClient::new(TlsVersion::V1_3).showing(&alice))
            .unwrap();
    client.control.command("USER alice", 331);
    let wrong = client.control.command("PASS guess", 530);
    client.control.command("USER bob", 331);
    let password = format!("PASS {}", server.account("bob").password);
    assert_eq!(client.control.command(&password, 530), wrong);
    client.authenticate(server.account("alice"));
}
