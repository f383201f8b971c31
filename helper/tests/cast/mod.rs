//! The cast of these tests: the real helper, with the test as its supervisor and as its sessions.
#![allow(dead_code, reason = "each test binary uses its part of the cast")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use ipc::{
    Channel,
    account::{Identity, SessionId},
    helper::{HelperToSession, HelperToSupervisor, Refusal, SessionToHelper, SupervisorToHelper},
    process::{Confinement, LandlockDemand},
};

/// What every session of these tests has for its client and its server's address.
pub const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A session's end of its channel.
pub type Session = Channel<SessionToHelper, HelperToSession>;

/// The supervisor's side of a running helper.
pub struct Supervisor {
    /// The helper's process.
    pub helper: Child,
    /// The supervisor's end.
    pub channel: Option<Channel<SupervisorToHelper, HelperToSupervisor>>,
}

impl Supervisor {
    /// Starts the helper and waits for its Ready.
    pub fn start() -> Supervisor {
        Supervisor::of(Command::new(env!("CARGO_BIN_EXE_bulkhead-helper")))
    }

    /// Starts a helper that may have no more than `count` descriptors open.
    pub fn start_with_descriptors(count: u32) -> Supervisor {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "ulimit -n $0; exec $1", &count.to_string()]);
        shell.arg(env!("CARGO_BIN_EXE_bulkhead-helper"));
        Supervisor::of(shell)
    }

    fn of(mut command: Command) -> Supervisor {
        let (ours, theirs) = Channel::pair().unwrap();
        let helper = command
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(Channel::<HelperToSupervisor, SupervisorToHelper>::into_fd(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let confinement = Confinement { identity: identity(), landlock: LandlockDemand::Required };
        ours.send(&SupervisorToHelper::Boot { confinement, from_port_20: false }, &[]).unwrap();
        match ours.recv().unwrap().message {
            HelperToSupervisor::Ready { .. } => {}
            other => panic!("no Ready but {other:?}"),
        }
        Supervisor { helper, channel: Some(ours) }
    }

    /// The channel; it is there until the test closes it.
    pub fn channel(&self) -> &Channel<SupervisorToHelper, HelperToSupervisor> {
        self.channel.as_ref().unwrap()
    }

    /// Attaches a session on the loopback address.
    pub fn attach(&self, number: u64, ports: (u16, u16), connect_timeout: u64) -> Session {
        self.send_attach(SupervisorToHelper::Attach {
            session: SessionId(number),
            client: LOOPBACK,
            local: LOOPBACK,
            ports,
            connect_timeout,
        })
    }

    /// Attaches a session of this client, whose control connection came in on `local`.
    pub fn attach_of(&self, client: &str, local: &str, ports: (u16, u16)) -> Session {
        self.send_attach(SupervisorToHelper::Attach {
            session: SessionId(1),
            client: client.parse().unwrap(),
            local: local.parse().unwrap(),
            ports,
            connect_timeout: 5,
        })
    }

    fn send_attach(&self, message: SupervisorToHelper) -> Session {
        let (session, helpers) = Channel::pair().unwrap();
        let helpers: OwnedFd = Channel::<HelperToSession, SessionToHelper>::into_fd(helpers);
        self.channel().send(&message, &[helpers.as_fd()]).unwrap();
        session
    }

    /// Says that a session has ended, as the supervisor does when it has reaped its process.
    pub fn detach(&self, number: u64) {
        let detach = SupervisorToHelper::Detach { session: SessionId(number) };
        self.channel().send(&detach, &[]).unwrap();
    }

    /// The next violation the helper reports.
    pub fn violation(&self) -> (u64, String) {
        match self.channel().recv().unwrap().message {
            HelperToSupervisor::Violation { session, what } => (session.0, what),
            other => panic!("no Violation but {other:?}"),
        }
    }

    /// How many descriptors the helper has open. `None` for an ordinary user: the helper is not
    /// dumpable, so its part of /proc belongs to root.
    pub fn open_descriptors(&self) -> Option<usize> {
        let list = format!("/proc/{}/fd", self.helper.id());
        std::fs::read_dir(list).map(Iterator::count).ok()
    }

    /// Waits until the helper has `change` descriptors more open than `before`.
    pub fn settle(&self, before: Option<usize>, change: usize) {
        let Some(before) = before else { return };
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.open_descriptors() != Some(before + change) {
            let now = self.open_descriptors();
            assert!(Instant::now() < deadline, "{now:?} open, not {before} + {change}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Root's helper takes on a uid of its own, as the policy demands; an ordinary user's keeps his.
fn identity() -> Option<Identity> {
    let number = 64_990;
    rustix::process::geteuid().is_root().then(|| Identity {
        uid: number,
        gid: number,
        groups: Vec::new(),
    })
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.channel = None;
        self.helper.kill().ok();
        self.helper.wait().ok();
    }
}

/// Asks for a listener and gets it.
pub fn listen(session: &Session) -> (u16, std::net::TcpListener) {
    session.send(&SessionToHelper::Listen, &[]).unwrap();
    let (message, fd) = session.recv().unwrap().into_one().expect("a listener");
    match message {
        HelperToSession::Listening { port } => (port, std::net::TcpListener::from(fd)),
        other => panic!("no Listening but {other:?}"),
    }
}

/// Begins to connect from an address of the host to a port of `to`, without waiting.
pub fn knock(from: &str, to: &str, port: u16) -> OwnedFd {
    use std::net::{IpAddr, SocketAddr};

    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
    let (from, to): (IpAddr, IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None).unwrap();
    bind(&socket, &SocketAddr::new(from, 0)).unwrap();
    assert_eq!(
        connect(&socket, &SocketAddr::new(to, port)),
        Err(rustix::io::Errno::INPROGRESS),
        "the answer of the own host is awaited"
    );
    socket
}

/// Whether a connection that was begun is neither up nor refused: its packets were dropped.
pub fn is_unanswered(socket: &OwnedFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(socket, PollFlags::OUT)];
    let timeout = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
    poll(&mut fds, Some(&timeout)).unwrap() == 0
}

/// Asks for a connection and gets the answer.
pub fn connect(session: &Session, to: &str) -> Result<std::net::TcpStream, Refusal> {
    session.send(&SessionToHelper::Connect { to: to.parse().unwrap() }, &[]).unwrap();
    answer(session)
}

/// The answer to a Connect.
pub fn answer(session: &Session) -> Result<std::net::TcpStream, Refusal> {
    let mut received = session.recv().unwrap();
    match received.message {
        HelperToSession::Connected => Ok(received.fds.pop().unwrap().into()),
        HelperToSession::Refused(refusal) => Err(refusal),
        HelperToSession::Listening { .. } => panic!("Listening answers no Connect"),
    }
}

/// A listener whose queue is full, so that a connection to it neither comes up nor fails.
pub fn deaf_listener() -> (u16, Vec<Box<dyn AsRawFd>>) {
    use nix::sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket,
    };
    let flags = SockFlag::SOCK_CLOEXEC;
    let listener = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
    bind(listener.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let port = getsockname::<SockaddrIn>(listener.as_raw_fd()).unwrap().port();
    let fill = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    (port, vec![Box::new(listener), Box::new(fill)])
}

/// Waits until `condition` holds.
pub fn eventually(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(Instant::now() < deadline, "gave up waiting");
        std::thread::sleep(Duration::from_millis(5));
    }
}
