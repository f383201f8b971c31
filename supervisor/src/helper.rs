//! The supervisor's side of the helper: start it, let it open the listening sockets, attach sessions
//! to it, and start another one when it dies. A session whose helper has died asks for a new channel
//! and goes on.

mod unit;

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

use ipc::{
    Channel, ChannelError,
    account::SessionId,
    helper::{HelperToSession, HelperToSupervisor, SessionToHelper, SupervisorToHelper},
    process::SandboxReport,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    boot::{Beginner, BootError, Booted, Dead, Pauses, boot, next_process, replace},
    children::Child,
    deadlines::{Beat, Gone, Watch},
    log::describe,
    programs::HelperSource,
    server::Server,
    wire::AsyncChannel,
};

/// How long the helper may take to open a socket.
const LISTEN_PATIENCE: Duration = Duration::from_secs(10);

type HelperChannel = AsyncChannel<SupervisorToHelper, HelperToSupervisor>;

/// The helper that runs now, if one does.
#[derive(Debug, Default)]
pub struct HelperLink {
    channel: RefCell<Option<Rc<HelperChannel>>>,
    pid: Cell<u32>,
    report: RefCell<Option<SandboxReport>>,
    /// Whether the helper can bind ports below 1024.
    low_ports: Cell<bool>,
    pauses: Pauses,
    /// Told when a helper has become ready.
    arrived: Notify,
}

/// The process at the other end.
#[derive(Debug)]
pub enum Process {
    /// A child of ours.
    Child(Child),
    /// A process that systemd started.
    Unit {
        /// Its process id.
        pid: u32,
        /// What it can be killed by, if it does not answer.
        pidfd: Option<OwnedFd>,
    },
}

impl Process {
    fn pid(&self) -> u32 {
        match self {
            Process::Child(child) => child.pid(),
            Process::Unit { pid, .. } => *pid,
        }
    }

    /// Waits for its end, after its channel has ended, and says how that was.
    async fn end(&mut self, cause: &Gone) -> String {
        match self {
            Process::Child(child) => child.wait_or_kill(cause.patience()).await.to_string(),
            // Without a channel it ends by itself, unless it is stopped; systemd has its exit status.
            Process::Unit { pidfd, .. } => {
                if let (Some(pidfd), Gone::Silent | Gone::Accuses) = (pidfd, cause) {
                    let kill = rustix::process::Signal::KILL;
                    rustix::process::pidfd_send_signal(pidfd, kill).ok();
                }
                "its unit says how: systemctl status 'bulkhead-helper@*'".into()
            }
        }
    }
}

impl HelperLink {
    /// Lets the helper listen for clients. Only before [`watch`] hears it.
    ///
    /// # Errors
    /// As socket(2), bind(2) and listen(2) say to the helper, or why it did not answer.
    pub async fn listen(&self, address: SocketAddr) -> io::Result<OwnedFd> {
        let not_running = || io::Error::other("the helper is not running");
        let channel = self.channel.borrow().clone().ok_or_else(not_running)?;
        let ended =
            |e: ChannelError| io::Error::other(format!("the helper has ended: {}", describe(&e)));
        match channel.send(&SupervisorToHelper::Listen { address }, &[]).await {
            // A helper that has just died may have left its last words.
            Ok(()) | Err(ChannelError::Closed) => {}
            Err(e) => return Err(ended(e)),
        }
        let answer = tokio::time::timeout(LISTEN_PATIENCE, channel.recv())
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
            .map_err(ended)?;
        if let HelperToSupervisor::NotListening { errno } = answer.message {
            return Err(io::Error::from_raw_os_error(errno));
        }
        match answer.into_one() {
            Some((HelperToSupervisor::Listening, socket)) => Ok(socket),
            _ => Err(io::Error::other("the helper spoke out of turn")),
        }
    }

    /// Attaches a session. Returns the session's end of the new channel, or `None` when no helper
    /// runs at the moment.
    pub fn attach(
        &self,
        session: SessionId,
        client: SocketAddr,
        local: SocketAddr,
        ports: (u16, u16),
        connect_timeout: u64,
    ) -> Option<OwnedFd> {
        let channel = self.channel.borrow().clone()?;
        let (for_session, for_helper) = Channel::<SessionToHelper, HelperToSession>::pair().ok()?;
        let attach = SupervisorToHelper::Attach {
            session,
            client: client.ip().to_canonical(),
            local: local.ip().to_canonical(),
            ports,
            connect_timeout,
        };
        channel.try_send(&attach, &[for_helper.as_fd()]).ok()?;
        Some(for_session.into_fd())
    }

    /// As [`HelperLink::attach`]; where no helper runs, the next one is waited for, a moment.
    pub async fn attach_soon(
        &self,
        session: SessionId,
        client: SocketAddr,
        local: SocketAddr,
        ports: (u16, u16),
        connect_timeout: u64,
    ) -> Option<OwnedFd> {
        let attach = || self.attach(session, client, local, ports, connect_timeout);
        next_process(&self.arrived, attach).await
    }

    /// Lets the helper forget a session. The end of the session's channel tells it as well.
    pub fn detach(&self, session: SessionId) {
        if let Some(channel) = self.channel.borrow().as_ref() {
            // A helper that is gone has forgotten everything already.
            channel.try_send(&SupervisorToHelper::Detach { session }, &[]).ok();
        }
    }

    /// Process id and report, when it runs.
    pub fn process(&self) -> Option<(u32, SandboxReport)> {
        self.report.borrow().clone().map(|report| (self.pid.get(), report))
    }

    /// Whether active connections can come from port 20.
    pub fn low_ports(&self) -> bool {
        self.low_ports.get()
    }
}

/// Starts a helper and waits until it has locked itself down.
///
/// # Errors
/// When it cannot be started, or cannot raise its sandbox.
pub async fn start(server: &Rc<Server>) -> Result<Process, BootError> {
    let first = SupervisorToHelper::Boot {
        confinement: server.confinement(&server.config().identities.helper),
        from_port_20: server.config().active_from_port_20,
    };
    let (process, channel, answer) = match &server.programs.helper {
        HelperSource::Program(program) => {
            let beginner =
                Beginner { role: "helper", program, title: "bulkhead-helper", arguments: &[] };
            let Booted { child, channel, answer } = boot(&server.children, beginner, first).await?;
            (Process::Child(child), channel, answer)
        }
        HelperSource::Socket(path) => {
            let expected = server.privileged.then_some(server.config().identities.helper.uid);
            let (pid, channel, answer) = unit::boot(path, expected, first).await?;
            let process = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
            let open =
                |pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok();
            (Process::Unit { pid, pidfd: process.and_then(open) }, channel, answer)
        }
    };
    match answer {
        HelperToSupervisor::Ready { report, low_ports } => {
            let link = &server.helper;
            link.pid.set(process.pid());
            link.low_ports.set(low_ports);
            *link.report.borrow_mut() = Some(report);
            *link.channel.borrow_mut() = Some(Rc::new(channel));
            link.arrived.notify_waiters();
            Ok(process)
        }
        HelperToSupervisor::Failed(failure) => Err(BootError::Lockdown { role: "helper", failure }),
        HelperToSupervisor::Listening
        | HelperToSupervisor::NotListening { .. }
        | HelperToSupervisor::Violation { .. }
        | HelperToSupervisor::Pong => Err(BootError::out_of_turn("helper")),
    }
}

/// Listens to the helper, and replaces it when it dies, until the server ends.
pub async fn watch(server: Rc<Server>, mut process: Process) {
    loop {
        let cause = listen(&server).await;
        *server.helper.channel.borrow_mut() = None;
        *server.helper.report.borrow_mut() = None;
        let how = process.end(&cause).await;
        if server.ending() {
            return;
        }
        let dead = Dead { role: "helper", pid: process.pid(), how, cause: cause.to_string() };
        let start_again = async || {
            let process = start(&server).await?;
            let pid = process.pid();
            Ok((process, pid))
        };
        process = replace(&server, dead, &server.helper.pauses, start_again).await;
    }
}

/// Handles the helper's messages until its channel ends or it is silent; returns why.
async fn listen(server: &Rc<Server>) -> Gone {
    let Some(channel) = server.helper.channel.borrow().clone() else {
        return Gone::Ended("it is not running".into());
    };
    let mut watch = Watch::new(Instant::now());
    loop {
        let received = tokio::select! {
            biased;
            received = channel.recv() => received,
            beat = watch.beat() => match beat {
                // One that has no room for a question does not answer it either.
                Beat::Ask => {
                    channel.try_send(&SupervisorToHelper::Ping, &[]).ok();
                    continue;
                }
                Beat::Silent => return Gone::Silent,
            },
        };
        match received.map(|received| received.message) {
            Ok(HelperToSupervisor::Pong) => watch.answered(Instant::now()),
            Ok(HelperToSupervisor::Violation { session, what }) => {
                if !watch.may_accuse(std::time::Instant::now()) {
                    return Gone::Accuses;
                }
                log_event!(
                    Violation,
                    role = "session",
                    session = session.0,
                    what = crate::log::printable(&what),
                    "a session broke the rules of its channel to the helper"
                );
                server.counters.violation();
                server.end_session(session, "421 The session broke the rules of its channel.");
            }
            Ok(
                HelperToSupervisor::Ready { .. }
                | HelperToSupervisor::Failed(_)
                | HelperToSupervisor::Listening
                | HelperToSupervisor::NotListening { .. },
            ) => return Gone::Ended("it spoke out of turn".into()),
            Err(e) => return Gone::Ended(e.to_string()),
        }
    }
}
