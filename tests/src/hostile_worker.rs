//! A worker that has been taken over: the test program itself, put in the place of
//! `bulkhead-worker`. It raises no sandbox and does to the supervisor what its scenario says; then it
//! neither ends nor listens, so that only being killed gets rid of it.
//!
//! The scenario is a file beside the program: stage, moment and deed, a word each on one line, or
//! `session lacks LAYER` for a session that is honest and incomplete. For the other stage, or without
//! a scenario, it becomes the honest worker beside it.

use std::{
    fs,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use ipc::{
    Channel, Message,
    bounded::{Bytes, Secret, UserName},
    fdpass,
    gate::{AuthResult, GateClosed, GateToSupervisor, Protection, SupervisorToGate},
    process::{LockdownFailure, SandboxReport},
    session::{
        Event, MAX_EVENTS, SessionClosed, SessionToSupervisor, SupervisorToSession, Transfer,
        TransferKind,
    },
    typed::{AuthenticatorToGate, GateToAuthenticator},
};

use crate::incomplete_session;

/// Name of the program that is played.
pub const PROGRAM: &str = "bulkhead-worker";
/// Name of the honest one beside it.
pub const HONEST: &str = "honest-worker";
/// Name of the scenario file beside it.
pub const SCENARIO: &str = "scenario";

/// Deeds that any process with a channel can do.
pub const RAW_DEEDS: [&str; 9] = [
    "garbage",
    "trailing",
    "empty",
    "oversize",
    "descriptor",
    "descriptors",
    "last-words",
    "exit",
    "die",
];

/// The messages of a gate, by the names of the deeds that send them.
pub const GATE_DEEDS: [&str; 9] = [
    "ready",
    "failed",
    "authenticate",
    "authenticate-twice",
    "second-factor",
    "knock",
    "proof",
    "handover",
    "closed",
];

/// What a gate can do to the channel over which it passes on what was typed.
pub const TYPING_DEEDS: [&str; 6] =
    ["silent", "garbage", "trailing", "empty", "oversize", "last-words"];

/// The messages of a session, by the names of the deeds that send them.
pub const SESSION_DEEDS: [&str; 10] = [
    "ready",
    "failed",
    "events",
    "need-helper",
    "need-keeper",
    "who",
    "issue-ticket",
    "redeem-ticket",
    "close-ticket",
    "closed",
];

/// The messages that a session can send without pause, by the names of the deeds that do. The first
/// one breaks the bound of its message; the others are only fast.
pub const FLOODS: [&str; 5] =
    ["flood-oversize", "flood-events", "flood-notice", "flood-who", "flood-need-helper"];

/// Whether this program was put in the place of the worker.
pub fn is_cast() -> bool {
    std::env::current_exe().is_ok_and(|path| path.file_name().is_some_and(|n| n == PROGRAM))
}

/// Plays the scenario. Never returns.
pub fn play() -> ! {
    let place = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    let stage = std::env::args().nth(1).unwrap_or_default();
    let text = fs::read_to_string(place.join(SCENARIO)).unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        // The layer is the rest of the line.
        [wanted, "lacks", ..] if *wanted == stage => incomplete_session::play(
            text.split_once("lacks ").map_or("", |(_, layer)| layer.trim()),
        ),
        [wanted, moment, deed] if *wanted == stage && stage == "gate" => play_gate(moment, deed),
        [wanted, moment, deed] if *wanted == stage => play_session(moment, deed),
        _ => become_honest(&place, &stage),
    }
}

fn become_honest(place: &Path, stage: &str) -> ! {
    let error = Command::new(place.join(HONEST)).arg(stage).exec();
    panic!("the honest worker cannot be started: {error}");
}

/// A directory of binaries in which the worker is hostile, out of the real ones in `dist`.
pub fn stage_set(place: PathBuf, dist: &Path) -> PathBuf {
    fs::create_dir(&place).unwrap();
    for program in ["bulkhead", "bulkhead-helper"] {
        fs::copy(dist.join(program), place.join(program)).unwrap();
    }
    fs::copy(dist.join(PROGRAM), place.join(HONEST)).unwrap();
    fs::copy(std::env::current_exe().unwrap(), place.join(PROGRAM)).unwrap();
    place
}

fn report() -> SandboxReport {
    SandboxReport { landlock_abi: 7, landlock_missing: Vec::new(), system_calls: 16, securebits: 0 }
}

fn stay() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

type Gate = Channel<GateToSupervisor, SupervisorToGate>;

fn play_gate(moment: &str, deed: &str) -> ! {
    let channel: Gate = Channel::from_fd(fdpass::inherited_channel().unwrap());
    // Boot.
    channel.recv().unwrap();
    if moment == "before-ready" {
        do_gate(&channel, deed);
    }
    channel.send(&GateToSupervisor::Ready(report()), &[]).unwrap();
    if moment == "waiting" {
        do_gate(&channel, deed);
    }
    // Serve. The descriptor stays open, as a captured gate would keep it.
    let _serve = channel.recv().unwrap();
    if moment == "serving" {
        do_gate(&channel, deed);
    }
    if moment == "typing" {
        channel.send(&authenticate("alice"), &[]).unwrap();
        do_typing(&typed_channel(&channel), deed);
    }
    // The harness has an account `alice` with this password, so the login is granted.
    channel.send(&authenticate("alice"), &[]).unwrap();
    let typed = typed_channel(&channel);
    typed.send(&GateToAuthenticator::Typed(secret("alice-secret-1")), &[]).unwrap();
    let answer = channel.recv().unwrap().message;
    assert!(matches!(answer, SupervisorToGate::AuthResult(AuthResult::Granted)), "{answer:?}");
    do_gate(&channel, deed)
}

/// The channel to the authenticator that has begun to judge.
fn typed_channel(channel: &Gate) -> Channel<GateToAuthenticator, AuthenticatorToGate> {
    match channel.recv().unwrap().into_one() {
        Some((SupervisorToGate::Authenticator, fd)) => Channel::from_fd(fd),
        other => panic!("no channel to an authenticator: {other:?}"),
    }
}

fn authenticate(user: &str) -> GateToSupervisor {
    GateToSupervisor::Authenticate {
        user: UserName::try_from(user.to_owned()).unwrap(),
        tls: None,
        host: None,
        client_name: None,
    }
}

fn secret(text: &str) -> Secret {
    Secret::try_from(text.as_bytes().to_vec()).unwrap()
}

fn failure() -> LockdownFailure {
    LockdownFailure { layer: "seccomp".into(), reason: "forged\nevent=login".into() }
}

/// Spoils what was typed, or keeps it.
fn do_typing(typed: &Channel<GateToAuthenticator, AuthenticatorToGate>, deed: &str) -> ! {
    let frame = message_frame(&GateToAuthenticator::Typed(secret("alice-secret-1")));
    match deed {
        "silent" => stay(),
        raw => do_raw(typed.as_fd(), raw, &frame),
    }
}

/// Tries one wrong password after the other, whatever the supervisor answers.
fn guess_on(channel: &Gate) -> ! {
    loop {
        channel.send(&authenticate("alice"), &[]).ok();
        // The channel to the authenticator comes first, then the verdict.
        match channel.recv() {
            Err(_) => stay(),
            Ok(mut received) => {
                if let Some(typed) = received.fds.pop() {
                    let typed: Channel<GateToAuthenticator, AuthenticatorToGate> =
                        Channel::from_fd(typed);
                    typed.send(&GateToAuthenticator::Typed(secret("wrong")), &[]).ok();
                    channel.recv().ok();
                }
            }
        }
    }
}

fn do_gate(channel: &Gate, deed: &str) -> ! {
    match deed {
        "stay" => stay(),
        "guess-on" => guess_on(channel),
        _ => {}
    }
    let bytes = |length| Bytes::try_from(vec![7; length]).unwrap();
    let message = match deed {
        "ready" => GateToSupervisor::Ready(report()),
        "failed" => GateToSupervisor::Failed(failure()),
        "authenticate" => authenticate("mallory"),
        "authenticate-twice" => {
            channel.send(&authenticate("mallory"), &[]).ok();
            authenticate("alice")
        }
        "second-factor" => GateToSupervisor::SecondFactor,
        "knock" => GateToSupervisor::I2ftpKnock { key: [7; 16] },
        "proof" => GateToSupervisor::I2ftpProof { proof: bytes(64), tls: None },
        "handover" => GateToSupervisor::Handover {
            unread: Bytes::default(),
            protection: Protection::Tls { resumption: Vec::new(), private_data: true, pbsz: true },
        },
        "closed" => {
            GateToSupervisor::Closed(GateClosed::Failed("forged\nevent=login account=root".into()))
        }
        raw => do_raw(channel.as_fd(), raw, &message_frame(&authenticate("mallory"))),
    };
    channel.send(&message, &[]).ok();
    stay()
}

type Session = Channel<SessionToSupervisor, SupervisorToSession>;

fn play_session(moment: &str, deed: &str) -> ! {
    let channel: Session = Channel::from_fd(fdpass::inherited_channel().unwrap());
    // Boot.
    channel.recv().unwrap();
    if moment == "before-ready" {
        do_session(&channel, deed);
    }
    channel.send(&SessionToSupervisor::Ready(report()), &[]).unwrap();
    if moment == "waiting" {
        do_session(&channel, deed);
    }
    // Control.
    let _control = channel.recv().unwrap();
    do_session(&channel, deed)
}

/// Sends one message without pause, as fast as the supervisor takes it. Never ends by itself.
fn flood(channel: &Session, deed: &str) -> ! {
    let notices = |count| SessionToSupervisor::Events(vec![Event::Notice("x".into()); count]);
    let message = match deed {
        "flood-oversize" => notices(21_000),
        "flood-events" => notices(MAX_EVENTS),
        "flood-notice" => notices(1),
        "flood-who" => SessionToSupervisor::Who,
        "flood-need-helper" => SessionToSupervisor::NeedHelper,
        unknown => panic!("no such flood: {unknown}"),
    };
    let frame = message_frame(&message);
    loop {
        // What the supervisor answers is thrown away, so that it has no reason to stop.
        fdpass::send(channel.as_fd(), &frame, &[], false).ok();
        while channel.try_recv().is_ok_and(|received| received.is_some()) {}
    }
}

fn do_session(channel: &Session, deed: &str) -> ! {
    if deed == "stay" {
        stay();
    }
    if FLOODS.contains(&deed) {
        flood(channel, deed);
    }
    let path = || Bytes::try_from(b"a\nforged event=login".to_vec()).unwrap();
    let message = match deed {
        "ready" => SessionToSupervisor::Ready(report()),
        "failed" => SessionToSupervisor::Failed(failure()),
        "events" => SessionToSupervisor::Events(vec![
            Event::Transfer(Transfer {
                kind: TransferKind::Upload,
                path: path(),
                bytes: u64::MAX,
                micros: u64::MAX,
                reason: None,
                tls: true,
            });
            20
        ]),
        "need-helper" => {
            for _ in 0..200 {
                channel.try_send(&SessionToSupervisor::NeedHelper, &[]).ok();
            }
            SessionToSupervisor::NeedHelper
        }
        "need-keeper" => {
            for _ in 0..200 {
                channel.try_send(&SessionToSupervisor::NeedKeeper, &[]).ok();
            }
            SessionToSupervisor::NeedKeeper
        }
        "who" => SessionToSupervisor::Who,
        "issue-ticket" => {
            SessionToSupervisor::IssueTicket { path: path(), upload: true, size: 1, publish: None }
        }
        "redeem-ticket" => SessionToSupervisor::RedeemTicket { id: [7; 16] },
        "close-ticket" => SessionToSupervisor::CloseTicket { id: [7; 16] },
        "closed" => SessionToSupervisor::Closed(SessionClosed::Failed("forged\nline".into())),
        raw => do_raw(channel.as_fd(), raw, &message_frame(&SessionToSupervisor::Who)),
    };
    channel.send(&message, &[]).ok();
    stay()
}

/// The frame of a message, as the channel sends it.
fn message_frame<M: Message>(message: &M) -> Vec<u8> {
    let (ours, theirs): (OwnedFd, OwnedFd) = fdpass::seqpacket_pair().unwrap();
    Channel::<M, M>::from_fd(ours).send(message, &[]).unwrap();
    let mut frame = vec![0; M::MAX_BYTES];
    let length = fdpass::receive(theirs.as_fd(), &mut frame, false).unwrap().bytes;
    frame.truncate(length);
    frame
}

fn do_raw(channel: std::os::fd::BorrowedFd<'_>, deed: &str, frame: &[u8]) -> ! {
    let send = |bytes: &[u8], fds: &[_]| {
        fdpass::send(channel, bytes, fds, false).ok();
    };
    match deed {
        "garbage" => send(&[0, 250, 251, 252, 253], &[]),
        "trailing" => send(&[frame, &[0]].concat(), &[]),
        "empty" => send(&[], &[]),
        "oversize" => send(&vec![0; 150_000], &[]),
        "descriptor" => send(frame, &[channel]),
        "descriptors" => send(frame, &[channel; 253]),
        "last-words" => send(&[1, 59, 0, 0, 0], &[]),
        "exit" => ipc::last_words::leave(0),
        "die" => {
            let own = nix::unistd::getpid();
            nix::sys::signal::kill(own, nix::sys::signal::Signal::SIGKILL).ok();
        }
        unknown => panic!("no such deed: {unknown}"),
    }
    stay()
}
