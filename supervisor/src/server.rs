//! The state of the running server, shared by the tasks of its one thread.

mod counters;
mod report;

use std::{
    cell::{Cell, RefCell},
    io,
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
    time::{Duration, Instant},
};

use config::Config;
use ipc::network::Network;
use ipc::{
    ChannelError,
    account::{Account, Identity, SessionId},
    gate::{GateSettings, GateTls},
    operator::KickTarget,
    process::{Confinement, SandboxReport},
    session::{SessionTls, TicketAnswer},
};

use self::counters::Counters;
use crate::{
    census::{Census, block_of},
    children::{Children, Ended},
    connection::Connection,
    hang_ups::HangUps,
    helper::HelperLink,
    keeper::{KeeperLink, Prepared},
    login::{STEP_ASIDE, Turnstile},
    pam_session::PamSessions,
    passive_names::PassiveNames,
    penalties::{Cause, Judgement, Penalties},
    pool::Pool,
    programs::Programs,
    refusals::{Refusals, Refused},
    serving::Processes,
    sessions::{Order, SessionTable},
    tickets::{Purpose, Tickets},
};

/// Attempts that may wait for an authenticator.
const MAX_WAITING_ATTEMPTS: usize = 1000;

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
    /// Clients that have hung up.
    pub hang_ups: Rc<HangUps>,
    /// Addresses of the names in `[passive] address`.
    pub passive_names: PassiveNames,
    was_reconfigured: tokio::sync::Notify,
    /// Counters.
    pub counters: Counters,
    penalties: RefCell<Penalties>,
    tickets: RefCell<Tickets>,
    refusals: RefCell<Refusals>,
    phase: Cell<Phase>,
    phase_changed: tokio::sync::Notify,
    next_session: Cell<u64>,
    started: Instant,
    listening: RefCell<Vec<String>>,
    /// What an authenticator raised when one was tried.
    authenticator: RefCell<Option<SandboxReport>>,
}

impl Server {
    /// A server that has started nothing yet.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub fn new(
        config: Config,
        programs: Programs,
        children: Rc<Children>,
        privileged: bool,
    ) -> io::Result<Rc<Server>> {
        Ok(Rc::new(Server {
            authenticators: Turnstile::new(
                config.attempts.max_authenticators,
                MAX_WAITING_ATTEMPTS,
                STEP_ASIDE,
            ),
            penalties: RefCell::new(Penalties::new(config.penalties.clone())),
            tickets: RefCell::default(),
            refusals: RefCell::default(),
            hang_ups: HangUps::new()?,
            passive_names: PassiveNames::default(),
            was_reconfigured: tokio::sync::Notify::new(),
            config: RefCell::new(Rc::new(config)),
            privileged,
            programs,
            children,
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
            authenticator: RefCell::default(),
        }))
    }

    /// The configuration in force.
    pub fn config(&self) -> Rc<Config> {
        Rc::clone(&self.config.borrow())
    }

    /// Puts a new configuration in force: for new connections all of it, for sessions the limits.
    /// Nothing here can fail: the keeper has loaded its keys before.
    pub fn reconfigure(self: &Rc<Self>, config: Config, keeper: Option<Prepared>) {
        self.penalties.borrow_mut().configure(config.penalties.clone());
        *self.config.borrow_mut() = Rc::new(config);
        match keeper {
            Some(keeper) => keeper.install(self),
            None => self.keeper.let_go(),
        }
        self.renew_gates();
        self.was_reconfigured.notify_one();
        let config = self.config();
        self.sessions.send_limits(|account| config.limits_of(account));
    }

    /// Replaces the waiting gates by ones that know the settings of now.
    pub fn renew_gates(self: &Rc<Self>) {
        self.pool.empty();
        self.pool.refill(self);
    }

    /// Waits until a new configuration is in force.
    pub async fn reconfigured(&self) {
        self.was_reconfigured.notified().await;
    }

    /// What PASV announces to a client; `None`: the local address.
    pub fn passive_address(&self, client: IpAddr) -> Option<Ipv4Addr> {
        self.passive_names.address(self.config().passive_host(client)?)
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

    /// What every gate is told.
    pub fn gate_settings(&self) -> GateSettings {
        self.config().gate_settings(self.gate_tls())
    }

    fn gate_tls(&self) -> Option<GateTls> {
        self.keeper.gate_tls(&self.config())
    }

    /// What a session of this account, from this client, is told about TLS.
    pub fn session_tls(&self, account: &Account, client: IpAddr) -> Option<SessionTls> {
        let config = self.config();
        let settings = config.tls.as_ref()?;
        let require_session_reuse = settings.requires_session_reuse(account, client);
        let require_close_notify = settings.require_close_notify;
        let mut tls = self.gate_tls()?;
        tls.demand = account.tls.unwrap_or(tls.demand);
        Some(SessionTls { tls, require_session_reuse, require_close_notify })
    }

    /// The block an address counts in.
    pub fn block(&self, address: IpAddr) -> Network {
        let penalties = &self.config().penalties;
        block_of(address, penalties.ipv4_prefix, penalties.ipv6_prefix)
    }

    /// Adds a penalty for an address.
    pub fn penalise(&self, address: IpAddr, cause: Cause) {
        if self.penalties.borrow_mut().add(address, cause, Instant::now()) {
            log_event!(Penalty, client = %address, cause = cause.name(), "refused for a while");
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
        let (session, client) = (connection.session.0, connection.client.ip());
        if error.is_violation() {
            log_event!(Violation, role, pid, session, %client, account, how = %ended, what);
        } else {
            log_event!(ProcessDied, role, pid, session, %client, account, how = %ended, what);
        }
        // What an administrator or the kernel kills for lack of memory is nobody's fault.
        if error.is_violation() || ended.is_own_doing() {
            self.penalise(connection.client.ip(), Cause::Violation);
        }
    }

    /// A client is refused: it is counted, and a line of the log tells of all of a second.
    pub fn refused(self: &Rc<Self>, client: IpAddr, reason: &'static str) {
        self.counters.refused();
        if self.refusals.borrow_mut().count(self.block(client), client, reason) {
            let server = Rc::clone(self);
            tokio::task::spawn_local(async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                server.log_refusals();
            });
        }
    }

    /// Writes what was refused and not told of yet.
    pub fn log_refusals(&self) {
        let (rows, beyond) = self.refusals.borrow_mut().take();
        for Refused { block, client, reason, count } in rows {
            log_event!(Refused, client = %client, block = %block, reason, count);
        }
        if beyond > 0 {
            log_event!(Refused, reason = "further-blocks", count = beyond);
        }
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

    /// Notes what an authenticator has raised.
    pub fn set_authenticator(&self, report: SandboxReport) {
        *self.authenticator.borrow_mut() = Some(report);
    }

    /// Notes where the server listens.
    pub fn set_listening(&self, places: Vec<String>) {
        *self.listening.borrow_mut() = places;
    }
}
