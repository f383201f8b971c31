//! I2FTP before login: what a stranger is answered, how many there may be, and what they can make
//! the server do.

use std::{
    io::{Read, Write},
    net::{IpAddr, TcpStream},
    time::{Duration, Instant},
};

use bulkhead_tests::harness::{
    ControlConnection, I2ftpClient, I2ftpServer, connect_from, eventually, i2ftp_key, i2ftp_now,
    test,
};
use i2ftp::{Psk, dynkey};
use libtest_mimic::Trial;

use crate::i2ftp::said;

pub fn tests() -> Vec<Trial> {
    vec![
        test("i2ftp_before_login::a_wrong_key_or_a_replayed_proof_ends_the_connection", wrong_keys),
        test("i2ftp_before_login::a_silent_client_does_not_hold_up_another", silent),
        test("i2ftp_before_login::strangers_have_few_places_and_clients_keep_none", strangers),
        test("i2ftp_before_login::failures_of_an_address_are_answered_ever_later", ever_later),
        test("i2ftp_before_login::a_stranger_costs_no_key_of_secured_mode", no_key),
    ]
}

fn wrong_keys() {
    let server = I2ftpServer::start(&[]);
    let address = server.address();
    let (psk, now) = (i2ftp_key(), i2ftp_now());
    let unit = dynkey::knock_unit(now);
    let stranger = Psk::new(b"another key altogether");
    for wrong in [
        [0; 16],
        dynkey::knock(&stranger, unit),
        dynkey::knock(&psk, unit - 3),
        dynkey::knock(&psk, unit + 3),
    ] {
        assert!(I2ftpClient::knock(address, &wrong).is_err());
    }
    let right = dynkey::knock(&psk, unit);
    let (mut stream, nonce) = I2ftpClient::knock(address, &right).unwrap();
    let proof = dynkey::proof(&psk, &nonce, dynkey::proof_unit(now));
    stream.write_all(&proof).unwrap();
    let mut version = [0; 3];
    stream.read_exact(&mut version).unwrap();
    drop(stream);
    // The same proof under another nonce, the proof of a stranger, and one of another time.
    for wrong in [
        proof,
        dynkey::proof(&stranger, &nonce, dynkey::proof_unit(now)),
        dynkey::proof(&psk, &nonce, dynkey::proof_unit(now) - 3),
    ] {
        let (mut stream, other) = I2ftpClient::knock(address, &right).unwrap();
        assert_ne!(other, nonce);
        stream.write_all(&wrong).unwrap();
        assert!(stream.read_exact(&mut version).is_err());
    }
    server.server.expect_event("login-failed", |event| event["reason"] == "wrong-i2ftp-proof");
    server.server.expect_event("login-failed", |event| event["reason"] == "wrong-i2ftp-key");
    // The wrong answer to the version.
    let (mut stream, nonce) = I2ftpClient::knock(address, &right).unwrap();
    stream.write_all(&dynkey::proof(&psk, &nonce, dynkey::proof_unit(now))).unwrap();
    stream.read_exact(&mut version).unwrap();
    stream.write_all(b"NO").unwrap();
    assert!(matches!(stream.read(&mut version), Ok(0) | Err(_)));
    server.server.expect_event("notice", |event| {
        said(event, "text", "something other than OK after the version")
    });
    server.server.expect_idle();
}

fn silent() {
    let server = I2ftpServer::start(&[]);
    let mut silent: Vec<_> =
        (0..10).map(|_| std::net::TcpStream::connect(server.address()).unwrap()).collect();
    let knock = dynkey::knock(&i2ftp_key(), dynkey::knock_unit(i2ftp_now()));
    silent.push(I2ftpClient::knock(server.address(), &knock).unwrap().0);
    let began = Instant::now();
    server.client().granted(b"LIST,.");
    assert!(began.elapsed() < Duration::from_secs(5));
    // And the silent ones are closed by one deadline.
    for mut stream in silent {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut byte = [0; 1];
        assert!(matches!(stream.read(&mut byte), Ok(0)), "a silent client is still served");
    }
    assert!(began.elapsed() < Duration::from_secs(15));
}

/// Whether the server closes a connection without a word, and at once.
fn is_refused(mut stream: TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    matches!(stream.read(&mut [0; 1]), Ok(0))
}

fn strangers() {
    let server =
        I2ftpServer::start(&[("max_unauthenticated", "4"), ("max_unauthenticated_per_ip", "3")]);
    let from = |last: u8| connect_from(IpAddr::from([127, 0, 0, last]), server.address());
    // Whoever has logged in is none of them any more.
    let clients: Vec<I2ftpClient> = (0..5).map(|_| server.client()).collect();
    let mut silent: Vec<TcpStream> = (0..3).map(|_| from(1)).collect();
    assert!(is_refused(from(1)), "a fourth of one address");
    server
        .server
        .expect_event("refused", |event| event["reason"] == "i2ftp-strangers-of-address-full");
    silent.push(from(2));
    assert!(is_refused(from(3)), "a fifth in all");
    server.server.expect_event("refused", |event| event["reason"] == "i2ftp-strangers-full");
    // FTP has its own places, and those who are served go on.
    ControlConnection::connect(server.server.address()).expect(220);
    for mut client in clients {
        client.granted(b"LIST,.");
    }
    // A place that is left is free again.
    silent.remove(0);
    let again = || I2ftpClient::log_in(server.address(), &i2ftp_key()).ok();
    eventually("a place for the next", again).granted(b"LIST,.");
    drop(silent);
    server.server.expect_idle();
}

fn ever_later() {
    const FIRST: Duration = Duration::from_millis(250);
    let server = I2ftpServer::start_with(&[], |server| {
        server
            .with("auth.failure_delay", &FIRST.as_millis().to_string())
            .with("penalties.enabled", "true")
            .with("penalties.failed_login", "100")
            .with("penalties.floor", "1000")
            .with("penalties.ceiling", "1000")
    });
    // Each on a connection of its own, as the real client tries again.
    for doublings in 0..4 {
        let began = Instant::now();
        assert!(I2ftpClient::knock(server.address(), &[0; 16]).is_err());
        let (took, least) = (began.elapsed(), FIRST * (1 << doublings));
        assert!(took >= least, "failure {doublings} was answered after {took:?}");
    }
    // Another client of the same address knows the key.
    let began = Instant::now();
    server.client().granted(b"LIST,.");
    assert!(began.elapsed() < FIRST * 16, "the right key waits for nothing");
}

/// CPU seconds of the server and of all its processes that have ended.
fn cpu_seconds(server: &I2ftpServer) -> f64 {
    let ticks = |pid: i32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default();
        // utime, stime, cutime and cstime, counted from the state behind the name.
        fields.split_whitespace().skip(11).take(4).filter_map(|n| n.parse::<u64>().ok()).sum()
    };
    let children = server.server.processes();
    let all = children.iter().map(|process| process.pid).chain([server.server.pid()]);
    all.map(ticks).sum::<u64>() as f64 / 100.0
}

/// A key pair of 2048 bits takes some hundred milliseconds of CPU time: whoever has not proved that
/// he knows the key of all must not be able to ask for one.
fn no_key() {
    const TIMES: usize = 20;
    let server = I2ftpServer::start(&[("secured", "true"), ("max_unauthenticated_per_ip", "0")]);
    let (psk, now) = (i2ftp_key(), i2ftp_now());
    let knock = dynkey::knock(&psk, dynkey::knock_unit(now));
    // The servant processes of the start are there.
    server.client().granted(b"LIST,.");
    server.server.expect_idle();
    let before = cpu_seconds(&server);
    for _ in 0..TIMES {
        // All of the login but the last byte's worth: the knock is right, the proof is not.
        let (mut stream, _) = I2ftpClient::knock(server.address(), &knock).unwrap();
        stream.write_all(&[0x55; 64]).unwrap();
        assert!(stream.read_exact(&mut [0; 3]).is_err());
    }
    server.server.expect_idle();
    let of_strangers = cpu_seconds(&server) - before;
    for _ in 0..TIMES {
        server.client().granted(b"LIST,.");
    }
    server.server.expect_idle();
    let of_clients = cpu_seconds(&server) - before - of_strangers;
    assert!(
        of_strangers < of_clients / 3.0,
        "{TIMES} strangers cost {of_strangers} s, as many clients {of_clients} s"
    );
}
