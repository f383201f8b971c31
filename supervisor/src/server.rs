//! The state of the running server, shared by the tasks of its one thread.

use std::{
    cell::{Cell, RefCell},
    net::IpAddr,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use ipc::{
    ChannelError,
    account::{Account, Identity, SessionId},
    gate::{GateSettings, GateTls},
    operator::{KickTarget, ProcessRow, Status},
    process::{Confinement, SandboxReport},
    session::{SessionTls, TicketAnswer},
};

use crate::{
    census::{Census, block_of},
    children::{Children, Ended, Program},
    config::{Config, Network},
    connection::Connection,
    helper::HelperLink,
    keeper::KeeperLink,
    login::{STEP_ASIDE, Turnstile},
    pam_session::PamSessions,
    penalties::{Cause, Judgement, Penalties},
    pool::Pool,
    serving::Processes,
    sessions::{Order, SessionTable},
    tickets::{Purpose, Tickets},
};

/// Attempts that may wait for an authenticator.
const MAX_WAITING_ATTEMPTS: usize = 1000;

/// The programs the supervisor starts, opened once.
#[derive(Debug)]
pub struct Programs {
    /// `bulkhead` itself: keeper and authenticator.
    pub own: Program,
    /// `bulkhead-worker`.
    pub worker: Program,
    /// `bulkhead-helper`.
    pub helper: HelperSource,
}

/// Where the helper comes from.
#[derive(Debug)]
pub enum HelperSource {
    /// A program that the supervisor starts.
    Program(Program),
    /// A socket at which systemd starts one, in a unit of its own: the rest of the server then needs
    /// no network.
    Socket(PathBuf),
}

/// Where the other two binaries of an installed server are.
const LIBEXEC: &str = "/usr/libexec/bulkhead";

impl Programs {
    /// Opens the running program, and the other two beside it or under the libexec directory; the
    /// helper is not started by us if there is a socket where systemd does.
    ///
    /// # Errors
    /// A sentence that names what is missing and where it was looked for.
    pub fn open(helper_socket: Option<PathBuf>) -> Result<Programs, String> {
        let own = Path::new("/proc/self/exe");
        let beside = std::fs::read_link(own)
            .map_err(|e| format!("/proc/self/exe cannot be read ({e}); mount /proc"))?;
        let find = |name: &str| {
            let places = [beside.with_file_name(name), Path::new(LIBEXEC).join(name)];
            let found = places.iter().find_map(|place| Program::open(place).ok());
            found.ok_or_else(|| {
                format!(
                    "{name} is neither at {} nor at {}; install it beside bulkhead",
                    places[0].display(),
                    places[1].display()
                )
            })
        };
        Ok(Programs {
            own: Program::open(own).map_err(|e| format!("/proc/self/exe: {e}"))?,
            worker: find("bulkhead-worker")?,
            helper: match helper_socket {
                Some(socket) => HelperSource::Socket(socket),
                None => HelperSource::Program(find("bulkhead-helper")?),
            },
        })
    }
}

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Counters {
    connections: Cell<u64>,
    refused: Cell<u64>,
    logins: Cell<u64>,
    failed_logins: Cell<u64>,
    violations: Cell<u64>,
    downloaded: Cell<u64>,
    uploaded: Cell<u64>,
}

fn add(counter: &Cell<u64>, amount: u64) {
    counter.set(counter.get().saturating_add(amount));
}

impl Counters {
    /// A client was accepted.
    pub fn connection(&self) {
        add(&self.connections, 1);
    }
    /// A client got 421.
    pub fn refused(&self) {
        add(&self.refused, 1);
    }
    /// A login succeeded.
    pub fn login(&self) {
        add(&self.logins, 1);
    }
    /// A login failed.
    pub fn failed_login(&self) {
        add(&self.failed_logins, 1);
    }
    /// A process broke the rules or crashed.
    pub fn violation(&self) {
        add(&self.violations, 1);
    }
    /// Bytes were moved.
    pub fn moved(&self, downloaded: u64, uploaded: u64) {
        add(&self.downloaded, downloaded);
        add(&self.uploaded, uploaded);
    }
}

/// What the server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Accepting clients.
    Serving,
    /// No new clients; sessions finish.
    Draining,
    /// Everything ends.
    Ending,
}

/// The running server.
#[derive(Debug)]
pub struct Server {
    config: RefCell<Rc<Config>>,
    /// Whether it runs as root.
    pub privileged: bool,
    /// Programs to start.
    pub programs: Programs,
    /// Child processes.
    pub children: Rc<Children>,
    /// Clients counted.
    pub census: Rc<Census>,
    /// Those of them who have yet to show that they know the key of I2FTP.
    pub i2ftp_strangers: Rc<Census>,
    /// Ready gates.
    pub pool: Pool,
    /// The helper.
    pub helper: HelperLink,
    /// The keeper.
    pub keeper: KeeperLink,
    /// Connections.
    pub sessions: Rc<SessionTable>,
    /// Processes that serve somebody.
    pub processes: Rc<Processes>,
    /// Bound on authenticators.
    pub authenticators: Turnstile,
    /// PAM sessions that are open.
    pub pam_sessions: PamSessions,
    /// Counters.
    pub counters: Counters,
    penalties: RefCell<Penalties>,
    tickets: RefCell<Tickets>,
    phase: Cell<Phase>,
    phase_changed: tokio::sync::Notify,
    next_session: Cell<u64>,
    started: Instant,
    listening: RefCell<Vec<String>>,
}

impl Server {
    /// A server that has started nothing yet.
    pub fn new(config: Config, programs: Programs, privileged: bool) -> Rc<Server> {
        Rc::new(Server {
            authenticators: Turnstile::new(
                config.attempts.max_authenticators,
                MAX_WAITING_ATTEMPTS,
                STEP_ASIDE,
            ),
            penalties: RefCell::new(Penalties::new(config.penalties.clone())),
            tickets: RefCell::default(),
            config: RefCell::new(Rc::new(config)),
            privileged,
            programs,
            children: Rc::default(),
            census: Rc::default(),
            i2ftp_strangers: Rc::default(),
            pool: Pool::default(),
            helper: HelperLink::default(),
            keeper: KeeperLink::default(),
            sessions: Rc::default(),
            processes: Rc::default(),
            pam_sessions: PamSessions::default(),
            counters: Counters::default(),
            phase: Cell::new(Phase::Serving),
            phase_changed: tokio::sync::Notify::new(),
            next_session: Cell::new(1),
            started: Instant::now(),
            listening: RefCell::default(),
        })
    }

    /// The configuration in force.
    pub fn config(&self) -> Rc<Config> {
        Rc::clone(&self.config.borrow())
    }

    /// Puts a new configuration in force: for new connections all of it, for sessions the limits.
    pub fn reconfigure(self: &Rc<Self>, config: Config) {
        self.penalties.borrow_mut().configure(config.penalties.clone());
        *self.config.borrow_mut() = Rc::new(config);
        self.renew_gates();
        let config = self.config();
        self.sessions.send_limits(|account| config.limits_of(account));
    }

    /// Replaces the waiting gates by ones that know the settings of now.
    pub fn renew_gates(self: &Rc<Self>) {
        self.pool.empty();
        self.pool.refill(self);
    }

    /// Number for the next connection.
    pub fn next_session(&self) -> SessionId {
        let number = self.next_session.get();
        self.next_session.set(number.wrapping_add(1));
        SessionId(number)
    }

    /// What the server is doing.
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Whether nothing new is to be started.
    pub fn ending(&self) -> bool {
        self.phase.get() == Phase::Ending
    }

    /// Goes on to a later phase.
    pub fn enter_phase(&self, phase: Phase) {
        self.phase.set(phase);
        self.phase_changed.notify_waiters();
    }

    /// Waits until the phase changes.
    pub async fn phase_change(&self) {
        self.phase_changed.notified().await;
    }

    /// How a child with this identity has to lock itself down.
    pub fn confinement(&self, identity: &Identity) -> Confinement {
        Confinement {
            identity: self.privileged.then(|| identity.clone()),
            landlock: self.config().landlock,
        }
    }

    /// The authenticator keeps the supervisor's identity: it reads the account store.
    pub fn authenticator_confinement(&self) -> Confinement {
        Confinement { identity: None, landlock: self.config().landlock }
    }

    /// What every gate is told.
    pub fn gate_settings(&self) -> GateSettings {
        self.config().gate_settings(self.gate_tls())
    }

    fn gate_tls(&self) -> Option<GateTls> {
        self.keeper.gate_tls(&self.config())
    }

    /// What a session of this account is told about TLS.
    pub fn session_tls(&self, account: &Account) -> Option<SessionTls> {
        let require_session_reuse = self.config().tls.as_ref()?.require_session_reuse;
        let mut tls = self.gate_tls()?;
        tls.demand = account.tls.unwrap_or(tls.demand);
        Some(SessionTls { tls, require_session_reuse })
    }

    /// The block an address counts in.
    pub fn block(&self, address: IpAddr) -> Network {
        let penalties = &self.config().penalties;
        block_of(address, penalties.ipv4_prefix, penalties.ipv6_prefix)
    }

    /// Adds a penalty for an address.
    pub fn penalise(&self, address: IpAddr, cause: Cause) {
        if self.penalties.borrow_mut().add(address, cause, Instant::now()) {
            tracing::warn!(event = "penalty", client = %address, ?cause, "refused for a while");
        }
    }

    /// Whether an address is refused at the moment.
    pub fn penalty(&self, address: IpAddr) -> Judgement {
        self.penalties.borrow_mut().judge(address, Instant::now())
    }

    /// The failed logins for which an address has a penalty.
    pub fn failed_logins_of(&self, address: IpAddr) -> u32 {
        self.penalties.borrow_mut().failed_logins(address, Instant::now())
    }

    /// The penalty table, for the operator.
    pub fn penalties(&self) -> std::cell::RefMut<'_, Penalties> {
        self.penalties.borrow_mut()
    }

    /// Ends one session.
    pub fn end_session(&self, session: SessionId, reply: &str) {
        self.sessions.kick(&KickTarget::Session(session), reply);
    }

    /// Orders every connection to end when it has nothing under way.
    pub fn finish_all(&self) {
        self.sessions.order_all(&Order::Finish("421 The server is going down.".into()));
    }

    /// A process that serves a client died or broke the rules: one log line that says which, and
    /// how, and a penalty for its client.
    pub fn process_broke(
        &self,
        connection: &Connection,
        role: &str,
        pid: u32,
        account: Option<&str>,
        error: &ChannelError,
        ended: Ended,
    ) {
        self.counters.violation();
        let what = crate::log::describe(error);
        tracing::error!(
            event = if error.is_violation() { "violation" } else { "process-died" },
            role,
            pid,
            session = connection.session.0,
            client = %connection.client.ip(),
            account,
            how = %ended,
            what,
        );
        self.penalise(connection.client.ip(), Cause::Violation);
    }

    /// Makes a ticket of I2FTP.
    pub fn issue_ticket(
        &self,
        session: SessionId,
        account: &Account,
        purpose: Purpose,
    ) -> TicketAnswer {
        let name = account.name.as_str();
        self.tickets.borrow_mut().issue(session, name, purpose, Instant::now())
    }

    /// What a ticket stands for.
    pub fn redeem_ticket(&self, account: &Account, id: [u8; 16]) -> TicketAnswer {
        self.tickets.borrow_mut().redeem(account.name.as_str(), id, Instant::now())
    }

    /// Closes a ticket.
    pub fn close_ticket(&self, account: &Account, id: [u8; 16]) -> TicketAnswer {
        self.tickets.borrow_mut().close(account.name.as_str(), id, Instant::now())
    }

    /// Notes where the server listens.
    pub fn set_listening(&self, places: Vec<String>) {
        *self.listening.borrow_mut() = places;
    }

    /// A gate, for `bulkhead policy verify`.
    pub fn gate_row(
        &self,
        pid: u32,
        session: Option<SessionId>,
        report: SandboxReport,
    ) -> ProcessRow {
        let gate = &self.config().identities.gate;
        ProcessRow {
            role: "gate".into(),
            pid,
            session,
            identity: self.privileged.then_some((gate.uid, gate.gid)),
            report: Some(report),
            features: Vec::new(),
        }
    }

    /// Every process of the server, for `bulkhead policy verify`.
    pub fn process_rows(&self) -> Vec<ProcessRow> {
        let config = self.config();
        let own = |role: &str, pid, identity: Option<&Identity>, report| ProcessRow {
            role: role.into(),
            pid,
            session: None,
            identity: identity.filter(|_| self.privileged).map(|i| (i.uid, i.gid)),
            report,
            features: Vec::new(),
        };
        let mut rows = vec![own("supervisor", std::process::id(), None, None)];
        if let Some((pid, report)) = self.helper.process() {
            rows.push(own("helper", pid, Some(&config.identities.helper), Some(report)));
        }
        if let Some((pid, report)) = self.keeper.process() {
            rows.push(own("keeper", pid, Some(&config.identities.keeper), Some(report)));
        }
        for (pid, report) in self.pool.reports() {
            rows.push(self.gate_row(pid, None, report));
        }
        rows.extend(self.processes.rows());
        rows
    }

    /// Counters and state, for the operator.
    pub fn status(&self) -> Status {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            uptime: Duration::from_secs(self.started.elapsed().as_secs()),
            listening: self.listening.borrow().clone(),
            draining: self.phase() != Phase::Serving,
            connections: self.census.total(),
            sessions: count(self.sessions.logged_in()),
            ready_gates: count(self.pool.ready()),
            connections_total: self.counters.connections.get(),
            refused_total: self.counters.refused.get(),
            logins_total: self.counters.logins.get(),
            failed_logins_total: self.counters.failed_logins.get(),
            violations_total: self.counters.violations.get(),
            bytes_downloaded: self.counters.downloaded.get(),
            bytes_uploaded: self.counters.uploaded.get(),
            layers: self.layers(),
        }
    }

    /// The sandbox layers, a line each, as a ready gate has raised them.
    pub fn layers(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.push(if self.privileged {
            "identity: every role and account runs under its own uid".into()
        } else {
            "identity: unprivileged, every process runs under the same uid".into()
        });
        if let Some((_, report)) = self.helper.process() {
            lines.push(match report.landlock_abi {
                0 => "landlock: off by configuration".to_owned(),
                abi if report.landlock_missing.is_empty() => {
                    format!("landlock: ABI {abi}, every right")
                }
                abi => {
                    format!("landlock: ABI {abi}, without {}", report.landlock_missing.join(", "))
                }
            });
            lines.push(format!(
                "seccomp: on; the helper may make {} system calls",
                report.system_calls
            ));
        }
        lines
    }
}
