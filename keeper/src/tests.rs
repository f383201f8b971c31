use std::{fs::File, os::fd::AsFd};

use ipc::process::{Confinement, LandlockDemand};

use super::*;
use crate::test_certificate;

const KEY: KeyId = KeyId(7);
const P256: u16 = 0x0403;

/// Signing channels that a keeper of these tests has room for.
const ROOM: usize = 200;

/// A keeper that serves in a thread, with one key loaded.
struct Bench {
    supervisor: Channel<SupervisorToKeeper, KeeperToSupervisor>,
    ended: std::thread::JoinHandle<Result<(), ChannelError>>,
}

impl Bench {
    fn start() -> Self {
        let (supervisor, keeper) = Channel::pair().unwrap();
        let ended = std::thread::spawn(move || {
            Keeper {
                supervisor: keeper,
                keys: BTreeMap::new(),
                signing: Vec::with_capacity(ROOM),
                next: 0,
                retiring: false,
                _locked: None,
            }
            .serve()
        });
        let bench = Bench { supervisor, ended };
        let directory = tempfile::tempdir().unwrap();
        let made = test_certificate::create(directory.path(), &["localhost"]);
        let files = [File::open(made.certificate).unwrap(), File::open(made.private_key).unwrap()];
        let fds = [files[0].as_fd(), files[1].as_fd()];
        bench.supervisor.send(&SupervisorToKeeper::Load { key: KEY }, &fds).unwrap();
        let answer = bench.supervisor.recv().unwrap().message;
        assert!(matches!(answer, KeeperToSupervisor::Loaded { key: KEY, .. }), "{answer:?}");
        bench
    }

    fn attach(&self, signatures: u32, tls12: bool) -> Channel<Sign, Signed> {
        self.attach_to(3, signatures, tls12)
    }

    fn attach_to(&self, session: u64, signatures: u32, tls12: bool) -> Channel<Sign, Signed> {
        let (client, keeper) = Channel::pair().unwrap();
        let attach = SupervisorToKeeper::Attach { session: SessionId(session), signatures, tls12 };
        self.supervisor.send(&attach, &[AsFd::as_fd(&keeper)]).unwrap();
        client
    }

    fn violation(&self) -> String {
        match self.supervisor.recv().unwrap().message {
            KeeperToSupervisor::Violation { session: SessionId(3), what } => what,
            other => panic!("{other:?}"),
        }
    }
}

fn verify_input() -> Vec<u8> {
    [&[b' '; 64][..], b"TLS 1.3, server CertificateVerify\0", &[5; 32]].concat()
}

fn key_exchange_input() -> Vec<u8> {
    [&[1; 56][..], b"DOWNGRD\x01", &[3, 0, 0x1d, 32], &[9; 32]].concat()
}

fn ask(client: &Channel<Sign, Signed>, key: KeyId, tls13: bool, input: Vec<u8>) -> Signed {
    let input = Bytes::try_from(input).unwrap();
    client.send(&Sign::Sign { key, scheme: P256, tls13, input }, &[]).unwrap();
    client.recv().unwrap().message
}

#[test]
fn signs_for_both_versions() {
    let bench = Bench::start();
    let client = bench.attach(2, true);
    assert!(matches!(ask(&client, KEY, true, verify_input()), Signed::Signature(_)));
    assert!(matches!(ask(&client, KEY, false, key_exchange_input()), Signed::Signature(_)));
}

#[test]
fn refuses_what_has_not_the_form_and_closes_the_channel() {
    let cases = [
        (true, b"anything".to_vec(), "no TLS 1.3"),
        (true, key_exchange_input(), "no TLS 1.3"),
        (false, verify_input(), "no TLS 1.2"),
        (false, b"anything".to_vec(), "no TLS 1.2"),
    ];
    let bench = Bench::start();
    for (tls13, input, word) in cases {
        let client = bench.attach(5, true);
        assert!(matches!(ask(&client, KEY, tls13, input), Signed::Refused));
        assert!(bench.violation().contains(word));
        assert!(matches!(client.recv(), Err(ChannelError::Closed)));
    }
    let client = bench.attach(5, true);
    assert!(matches!(ask(&client, KEY, true, verify_input()), Signed::Signature(_)));
}

#[test]
fn refuses_tls12_where_it_is_off() {
    let bench = Bench::start();
    let client = bench.attach(5, false);
    assert!(matches!(ask(&client, KEY, false, key_exchange_input()), Signed::Refused));
    assert!(bench.violation().contains("TLS 1.2"));
}

#[test]
fn counts_the_signatures_of_a_channel() {
    let bench = Bench::start();
    let client = bench.attach(3, true);
    for _ in 0..3 {
        assert!(matches!(ask(&client, KEY, true, verify_input()), Signed::Signature(_)));
    }
    assert!(matches!(ask(&client, KEY, true, verify_input()), Signed::Refused));
    assert!(bench.violation().contains("more signatures"));
}

#[test]
fn refuses_a_key_that_is_not_there() {
    let bench = Bench::start();
    let client = bench.attach(3, true);
    assert!(matches!(ask(&client, KeyId(8), true, verify_input()), Signed::Refused));
    assert!(bench.violation().contains("key 8"));
    bench.supervisor.send(&SupervisorToKeeper::Forget { key: KEY }, &[]).unwrap();
    let client = bench.attach(3, true);
    assert!(matches!(ask(&client, KEY, true, verify_input()), Signed::Refused));
}

#[test]
fn slows_down_a_channel_that_asks_too_fast_and_serves_the_others() {
    let bench = Bench::start();
    let (fast, other) = (bench.attach(1000, true), bench.attach_to(4, 1, true));
    let began = Instant::now();
    for _ in 0..RATE.burst + 20 {
        assert!(matches!(ask(&fast, KEY, true, verify_input()), Signed::Signature(_)));
    }
    assert!(began.elapsed() >= EARN * 15, "{:?}", began.elapsed());
    assert!(matches!(ask(&other, KEY, true, verify_input()), Signed::Signature(_)));
}

#[test]
fn garbage_on_a_signing_channel_ends_that_channel_alone() {
    let bench = Bench::start();
    let client = bench.attach(5, true);
    ipc::fdpass::send(client.as_fd(), &[0, 99, 99], &[], false).unwrap();
    assert!(!bench.violation().is_empty());
    assert!(matches!(client.recv(), Err(ChannelError::Closed)));
    let oversize = bench.attach(5, true);
    ipc::fdpass::send(oversize.as_fd(), &[0; 1200], &[], false).unwrap();
    assert!(bench.violation().contains("longer"));
    let with_fd = bench.attach(5, true);
    let message = Sign::Sign { key: KEY, scheme: P256, tls13: true, input: Bytes::default() };
    assert!(with_fd.send(&message, &[with_fd.as_fd()]).is_err(), "its own side refuses");
}

#[test]
fn ends_with_the_supervisor_and_on_a_second_boot() {
    let bench = Bench::start();
    drop(bench.supervisor);
    assert!(bench.ended.join().unwrap().is_ok());
    let bench = Bench::start();
    let confinement = Confinement { identity: None, landlock: LandlockDemand::Required };
    bench.supervisor.send(&SupervisorToKeeper::Boot { confinement }, &[]).unwrap();
    assert!(bench.ended.join().unwrap().is_err());
}

#[test]
fn a_retiring_keeper_ends_with_its_last_channel() {
    let bench = Bench::start();
    let client = bench.attach(5, true);
    bench.supervisor.send(&SupervisorToKeeper::Retire, &[]).unwrap();
    assert!(matches!(ask(&client, KEY, true, verify_input()), Signed::Signature(_)));
    assert!(!bench.ended.is_finished());
    drop(client);
    assert!(bench.ended.join().unwrap().is_ok());
}

#[test]
fn a5_a_session_has_one_channel_however_often_it_asks() {
    let bench = Bench::start();
    let old: Vec<_> = (0..ROOM * 3).map(|_| bench.attach(1, true)).collect();
    let current = bench.attach(1, true);
    assert!(matches!(ask(&current, KEY, true, verify_input()), Signed::Signature(_)));
    for channel in old {
        assert!(matches!(channel.recv(), Err(ChannelError::Closed)));
    }
}

#[test]
fn a5_a_full_keeper_refuses_the_next_channel_and_serves_the_others() {
    let bench = Bench::start();
    let sessions = u64::try_from(ROOM).unwrap();
    let clients: Vec<_> = (0..sessions).map(|n| bench.attach_to(n, 1, true)).collect();
    let beyond = bench.attach_to(sessions, 1, true);
    assert!(matches!(beyond.recv(), Err(ChannelError::Closed)));
    for client in &clients {
        assert!(matches!(ask(client, KEY, true, verify_input()), Signed::Signature(_)));
    }
    drop(clients);
    // Their places are free again.
    let next = bench.attach_to(sessions, 1, true);
    assert!(matches!(ask(&next, KEY, true, verify_input()), Signed::Signature(_)));
}

#[test]
fn i9_a_busy_keeper_answers_a_ping_between_two_turns() {
    let bench = Bench::start();
    let sessions = u64::try_from(ROOM).unwrap();
    let clients: Vec<_> = (0..sessions).map(|n| bench.attach_to(n, 10, true)).collect();
    for client in &clients {
        for _ in 0..5 {
            let input = Bytes::try_from(verify_input()).unwrap();
            let request = Sign::Sign { key: KEY, scheme: P256, tls13: true, input };
            client.send(&request, &[]).unwrap();
        }
    }
    bench.supervisor.send(&SupervisorToKeeper::Ping, &[]).unwrap();
    assert!(matches!(bench.supervisor.recv().unwrap().message, KeeperToSupervisor::Pong));
    for client in &clients {
        for _ in 0..5 {
            assert!(matches!(client.recv().unwrap().message, Signed::Signature(_)));
        }
    }
}
