//! Sessions that have been taken over: every message in every wrong phase, oversize, garbage,
//! descriptors that do not belong, floods. Nobody else notices.

mod cast;

use std::{net::TcpListener, os::fd::AsFd};

use cast::{LOOPBACK, Session, Supervisor, connect, deaf_listener, is_unanswered, knock, listen};
use ipc::{
    ChannelError, fdpass,
    helper::{HelperToSession, Refusal, SessionToHelper},
    packet_filter,
};

/// Lets a session do something bad, and checks that it alone is expelled, with a word to the
/// supervisor.
fn is_expelled(bad: impl FnOnce(&Session)) -> String {
    let supervisor = Supervisor::start();
    let honest = supervisor.attach(7, (43_000, 43_499), 5);
    let hostile = supervisor.attach(8, (43_500, 43_999), 60);
    listen(&honest);
    bad(&hostile);
    let (session, what) = supervisor.violation();
    assert_eq!(session, 8);
    let end = loop {
        match hostile.recv() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(end, ChannelError::Closed), "{end}");
    listen(&honest);
    what
}

#[test]
fn garbage_is_a_violation() {
    let what = is_expelled(|hostile| {
        fdpass::send(hostile.as_fd(), &[0, 99, 1, 2], &[], false).unwrap();
    });
    assert!(what.contains("decode"), "{what}");
    is_expelled(|hostile| fdpass::send(hostile.as_fd(), &[77; 9], &[], false).unwrap());
    is_expelled(|hostile| fdpass::send(hostile.as_fd(), &[0, 0, 0], &[], false).unwrap());
}

#[test]
fn forged_last_words_are_a_violation() {
    is_expelled(|hostile| fdpass::send(hostile.as_fd(), &[1, 59, 0, 0, 0], &[], false).unwrap());
    is_expelled(|hostile| fdpass::send(hostile.as_fd(), &[2, b'x'], &[], false).unwrap());
}

#[test]
fn an_oversize_frame_is_a_violation() {
    let what = is_expelled(|hostile| {
        fdpass::send(hostile.as_fd(), &[0; 65], &[], false).unwrap();
    });
    assert!(what.contains("64 bytes"), "{what}");
    is_expelled(|hostile| fdpass::send(hostile.as_fd(), &[0; 60_000], &[], false).unwrap());
}

#[test]
fn descriptors_from_a_session_are_a_violation_and_are_closed() {
    let what = is_expelled(|hostile| {
        let fd = hostile.as_fd();
        fdpass::send(fd, &[0, 0], &[fd], false).unwrap();
    });
    assert!(what.contains("descriptors"), "{what}");
    is_expelled(|hostile| {
        let fd = hostile.as_fd();
        fdpass::send(fd, &[0, 0], &[fd; 253], false).unwrap();
    });
}

#[test]
fn a_second_request_before_the_answer_is_a_violation() {
    let (port, _deaf) = deaf_listener();
    let to = format!("127.0.0.1:{port}").parse().unwrap();
    let what = is_expelled(|hostile| {
        hostile.send(&SessionToHelper::Connect { to }, &[]).unwrap();
        hostile.send(&SessionToHelper::Listen, &[]).unwrap();
    });
    assert!(what.contains("under way"), "{what}");
    is_expelled(|hostile| {
        hostile.send(&SessionToHelper::Connect { to }, &[]).unwrap();
        hostile.send(&SessionToHelper::Connect { to }, &[]).unwrap();
    });
}

#[test]
fn a_session_that_does_not_read_its_answers_holds_a_handful_of_them() {
    let what = is_expelled(|hostile| {
        for _ in 0..64 {
            if hostile.send(&SessionToHelper::Listen, &[]).is_err() {
                break;
            }
        }
    });
    assert!(what.contains("without reading"), "{what}");
}

#[test]
fn nothing_a_session_says_changes_whom_the_helper_connects_to() {
    let supervisor = Supervisor::start();
    let session = supervisor.attach(1, (44_000, 44_099), 1);
    // Another address of this host, where somebody listens: a connection would come up.
    let other = TcpListener::bind("127.0.0.2:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let port = other.local_addr().unwrap().port();
    let foreign = [
        format!("127.0.0.2:{port}"),
        format!("0.0.0.0:{port}"),
        format!("[::1]:{port}"),
        format!("[::ffff:127.0.0.2]:{port}"),
        format!("[::127.0.0.1]:{port}"),
        format!("255.255.255.255:{port}"),
    ];
    for to in &foreign {
        assert_eq!(connect(&session, to).err(), Some(Refusal::ForeignAddress), "{to}");
    }
    assert!(other.accept().is_err(), "somebody connected");
    for port in [0, 1, 20, 22, 25, 1023] {
        let to = format!("127.0.0.1:{port}");
        assert_eq!(connect(&session, &to).err(), Some(Refusal::PrivilegedPort), "{to}");
    }
}

#[test]
fn every_listener_is_on_the_address_of_the_control_connection() {
    let supervisor = Supervisor::start();
    for number in 0..20 {
        let session = supervisor.attach(number, (44_100, 44_199), 1);
        let (_, listener) = listen(&session);
        assert_eq!(listener.local_addr().unwrap().ip(), LOOPBACK);
    }
}

#[test]
fn a_hundred_hostile_sessions_leave_nothing_behind() {
    let supervisor = Supervisor::start();
    let idle = supervisor.open_descriptors();
    for number in 0..100 {
        let hostile = supervisor.attach(number, (44_200, 44_299), 60);
        hostile.send(&SessionToHelper::Listen, &[]).unwrap();
        fdpass::send(hostile.as_fd(), &[9; 40], &[hostile.as_fd()], false).unwrap();
        assert_eq!(supervisor.violation().0, number);
        supervisor.detach(number);
    }
    supervisor.settle(idle, 0);
    let honest = supervisor.attach(1000, (44_200, 44_299), 5);
    honest.send(&SessionToHelper::Listen, &[]).unwrap();
    assert!(matches!(honest.recv().unwrap().message, HelperToSession::Listening { .. }));
}

#[test]
fn b6_a_stranger_at_the_listener_is_dropped_by_the_kernel() {
    let supervisor = Supervisor::start();
    // The same client in both notations.
    for (number, client) in ["127.0.0.1", "::ffff:127.0.0.1"].into_iter().enumerate() {
        let low = 44_300 + 10 * u16::try_from(number).unwrap();
        let session = supervisor.attach_of(client, "127.0.0.1", (low, low + 9));
        let (port, listener) = listen(&session);
        let stranger = knock("127.0.0.77", "127.0.0.1", port);
        assert!(is_unanswered(&stranger), "{client}: a stranger was answered");
        let client = knock("127.0.0.1", "127.0.0.1", port);
        assert!(!is_unanswered(&client), "the client was not let in");
        let (_, from) = listener.accept().unwrap();
        assert_eq!(from.ip(), LOOPBACK);
        let none = listener.accept().unwrap_err();
        assert_eq!(none.kind(), std::io::ErrorKind::WouldBlock, "somebody else waits");
    }
}

#[test]
fn b6_a_stranger_over_ipv6_is_dropped_by_the_kernel() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: this host has no IPv6");
        return;
    }
    let supervisor = Supervisor::start();
    // There is one loopback address: the client is elsewhere, and `::1` the stranger.
    let session = supervisor.attach_of("2001:db8::7", "::1", (44_400, 44_409));
    let (port, _listener) = listen(&session);
    assert!(is_unanswered(&knock("::1", "::1", port)), "a stranger was answered");
    supervisor.detach(1);
    let session = supervisor.attach_of("::1", "::1", (44_410, 44_419));
    let (port, listener) = listen(&session);
    assert!(!is_unanswered(&knock("::1", "::1", port)), "the client was not let in");
    listener.accept().unwrap();
}

#[test]
fn b6_a_captured_session_cannot_change_the_filter_of_its_listener() {
    let supervisor = Supervisor::start();
    let session = supervisor.attach_of("127.0.0.1", "127.0.0.1", (44_500, 44_509));
    let (port, listener) = listen(&session);
    let stranger = "127.0.0.77".parse().unwrap();
    let change = |socket: std::os::fd::BorrowedFd<'_>| {
        let changes = [packet_filter::admit_only, packet_filter::steer];
        changes.map(|change| change(socket, stranger).unwrap_err().raw_os_error())
    };
    let refused = [Some(rustix::io::Errno::PERM.raw_os_error()); 2];
    assert_eq!(change(listener.as_fd()), refused);
    let client = knock("127.0.0.1", "127.0.0.1", port);
    assert!(!is_unanswered(&client), "the client was not let in");
    let (accepted, _) = listener.accept().unwrap();
    assert_eq!(change(accepted.as_fd()), refused);
}

#[test]
fn b6_a_session_without_its_channel_serves_no_stranger() {
    let supervisor = Supervisor::start();
    let session = supervisor.attach_of("127.0.0.1", "127.0.0.1", (44_600, 44_609));
    let (port, listener) = listen(&session);
    // It closes its channel, and is attached anew; it keeps what it had.
    drop(session);
    let session = supervisor.attach_of("127.0.0.1", "127.0.0.1", (44_600, 44_609));
    assert!(is_unanswered(&knock("127.0.0.77", "127.0.0.1", port)), "a stranger was answered");
    // Another listener may be a new one; the first is the stranger's in no case.
    listen(&session);
    assert!(is_unanswered(&knock("127.0.0.77", "127.0.0.1", port)), "a stranger was answered");
    drop(listener);
}
