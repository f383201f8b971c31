//! What the helper does for sessions that keep to the rules.

mod cast;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use cast::{LOOPBACK, Session, Supervisor, answer, connect, deaf_listener, eventually, listen};
use ipc::{
    Channel, ChannelError,
    account::SessionId,
    helper::{HelperToSession, Refusal, SessionToHelper, SupervisorToHelper},
};

#[test]
fn a_listener_is_bound_to_a_port_of_the_range_and_takes_a_client() {
    let supervisor = Supervisor::start();
    let session = supervisor.attach(1, (40_100, 40_199), 5);
    let (port, listener) = listen(&session);
    assert!((40_100..=40_199).contains(&port));
    assert_eq!(listener.local_addr().unwrap(), (LOOPBACK, port).into());
    let mut client = TcpStream::connect((LOOPBACK, port)).unwrap();
    listener.set_nonblocking(false).unwrap();
    let (mut served, _) = listener.accept().unwrap();
    client.write_all(b"data").unwrap();
    drop(client);
    let mut got = String::new();
    served.read_to_string(&mut got).unwrap();
    assert_eq!(got, "data");
}

#[test]
fn a_session_that_asks_again_gets_the_same_listener() {
    let supervisor = Supervisor::start();
    let session = supervisor.attach(1, (40_200, 40_299), 5);
    let (first, listener) = listen(&session);
    drop(listener);
    for _ in 0..200 {
        assert_eq!(listen(&session).0, first);
    }
}

#[test]
fn a_range_without_a_free_port_is_refused() {
    let supervisor = Supervisor::start();
    let taken = TcpListener::bind((LOOPBACK, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let session = supervisor.attach(1, (port, port), 5);
    session.send(&SessionToHelper::Listen, &[]).unwrap();
    let refused = session.recv().unwrap().message;
    assert!(matches!(refused, HelperToSession::Refused(Refusal::NoFreePort)), "{refused:?}");
    // The range is looked at anew each time.
    drop(taken);
    assert_eq!(listen(&session).0, port);
}

#[test]
fn a_connection_to_the_client_comes_up() {
    let supervisor = Supervisor::start();
    let session = supervisor.attach(1, (40_300, 40_399), 5);
    let client = TcpListener::bind((LOOPBACK, 0)).unwrap();
    let to = client.local_addr().unwrap().to_string();
    for _ in 0..3 {
        let mut data = connect(&session, &to).unwrap();
        let (mut accepted, from) = client.accept().unwrap();
        assert_eq!(from.ip(), LOOPBACK);
        data.write_all(b"hello").unwrap();
        let mut got = [0; 5];
        accepted.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hello");
    }
}

#[test]
fn a_client_that_does_not_listen_is_told_from_one_that_does_not_answer() {
    let supervisor = Supervisor::start();
    let session = supervisor.attach(1, (40_400, 40_499), 1);
    let closed = TcpListener::bind((LOOPBACK, 0)).unwrap().local_addr().unwrap().to_string();
    assert_eq!(connect(&session, &closed).err(), Some(Refusal::ConnectionRefused));
    let (port, _deaf) = deaf_listener();
    let start = Instant::now();
    assert_eq!(connect(&session, &format!("127.0.0.1:{port}")).err(), Some(Refusal::TimedOut));
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[test]
fn cancel_ends_a_connection_under_way_and_the_next_one_works() {
    let supervisor = Supervisor::start();
    let session = supervisor.attach(1, (40_500, 40_599), 60);
    let (port, _deaf) = deaf_listener();
    let to = format!("127.0.0.1:{port}").parse().unwrap();
    session.send(&SessionToHelper::Connect { to }, &[]).unwrap();
    session.send(&SessionToHelper::Cancel, &[]).unwrap();
    assert_eq!(answer(&session).err(), Some(Refusal::Cancelled));
    // A Cancel that comes too late is not answered.
    session.send(&SessionToHelper::Cancel, &[]).unwrap();
    let client = TcpListener::bind((LOOPBACK, 0)).unwrap();
    assert!(connect(&session, &client.local_addr().unwrap().to_string()).is_ok());
}

#[test]
fn a_connection_under_way_keeps_nobody_else_waiting() {
    let supervisor = Supervisor::start();
    let waiting = supervisor.attach(1, (40_600, 40_649), 60);
    let other = supervisor.attach(2, (40_650, 40_699), 60);
    let (port, _deaf) = deaf_listener();
    let to = format!("127.0.0.1:{port}").parse().unwrap();
    waiting.send(&SessionToHelper::Connect { to }, &[]).unwrap();
    let start = Instant::now();
    listen(&other);
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn the_end_of_a_session_closes_everything_of_it() {
    let supervisor = Supervisor::start();
    let idle = supervisor.open_descriptors();
    let session = supervisor.attach(1, (40_700, 40_799), 60);
    let (port, listener) = listen(&session);
    let (deaf, _deaf) = deaf_listener();
    let to = format!("127.0.0.1:{deaf}").parse().unwrap();
    session.send(&SessionToHelper::Connect { to }, &[]).unwrap();
    // The channel, the connection under way, the listener, and where the kernel gives no filter to
    // an unprivileged process, the wall beside it.
    eventually(|| supervisor.open_descriptors().is_none_or(|now| now >= idle.unwrap_or(0) + 3));
    drop(listener);
    drop(session);
    supervisor.detach(1);
    supervisor.settle(idle, 0);
    assert!(TcpStream::connect((LOOPBACK, port)).is_err(), "the listener is still there");
}

#[test]
fn detach_closes_the_channel_of_its_session_and_no_other() {
    let supervisor = Supervisor::start();
    let first = supervisor.attach(1, (40_800, 40_849), 5);
    let second = supervisor.attach(2, (40_850, 40_899), 5);
    listen(&first);
    let detach = SupervisorToHelper::Detach { session: SessionId(1) };
    supervisor.channel().send(&detach, &[]).unwrap();
    assert!(matches!(first.recv(), Err(ChannelError::Closed)));
    // Twice is once.
    supervisor.channel().send(&detach, &[]).unwrap();
    listen(&second);
}

#[test]
fn a_session_that_is_attached_anew_has_its_new_channel_only() {
    let supervisor = Supervisor::start();
    let old = supervisor.attach(1, (40_900, 40_949), 5);
    listen(&old);
    let new = supervisor.attach(1, (40_900, 40_949), 5);
    assert!(matches!(old.recv(), Err(ChannelError::Closed)));
    listen(&new);
}

#[test]
fn five_hundred_sessions_leave_nothing_behind() {
    let supervisor = Supervisor::start();
    let idle = supervisor.open_descriptors();
    for number in 0..500 {
        let session = supervisor.attach(number, (41_000, 41_999), 5);
        listen(&session);
        supervisor.detach(number);
    }
    supervisor.settle(idle, 0);
}

#[test]
fn a_helper_without_descriptors_refuses_and_recovers() {
    let supervisor = Supervisor::start_with_descriptors(12);
    let session = supervisor.attach(0, (42_000, 42_099), 5);
    let client = TcpListener::bind((LOOPBACK, 0)).unwrap();
    let to = client.local_addr().unwrap().to_string();
    assert!(connect(&session, &to).is_ok());
    // An Attach whose channel cannot be received loses that session only.
    let others: Vec<Session> =
        (1..=12).map(|number| supervisor.attach(number, (42_000, 42_099), 5)).collect();
    assert!(matches!(others.last().unwrap().recv(), Err(ChannelError::Closed)));
    assert!(matches!(connect(&session, &to), Err(Refusal::Exhausted(_))));
    drop(others);
    eventually(|| connect(&session, &to).is_ok());
}

#[test]
fn the_helper_ends_in_order_when_the_supervisor_is_gone() {
    let mut supervisor = Supervisor::start();
    let session = supervisor.attach(1, (42_100, 42_199), 5);
    listen(&session);
    supervisor.channel = None;
    assert_eq!(supervisor.helper.wait().unwrap().code(), Some(0));
    assert!(matches!(session.recv(), Err(ChannelError::Closed)));
}

#[test]
fn ipv6_sessions_are_served_on_ipv6() {
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let supervisor = Supervisor::start();
    let (session, helpers) = Channel::<SessionToHelper, HelperToSession>::pair().unwrap();
    let attach = SupervisorToHelper::Attach {
        session: SessionId(1),
        client: "::1".parse().unwrap(),
        local: "::1".parse().unwrap(),
        ports: (42_200, 42_299),
        connect_timeout: 5,
    };
    supervisor.channel().send(&attach, &[helpers.as_fd()]).unwrap();
    drop(helpers);
    let (port, _listener) = listen(&session);
    assert!(TcpStream::connect(("::1", port)).is_ok());
    let client = TcpListener::bind("[::1]:0").unwrap();
    assert!(connect(&session, &client.local_addr().unwrap().to_string()).is_ok());
}
