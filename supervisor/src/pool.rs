//! The pool of ready gates: each has locked itself down before a client comes, so that a connection
//! waits for no process to start.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};

use ipc::{
    gate::{GateToSupervisor, SupervisorToGate},
    process::SandboxReport,
};
use tokio::sync::Notify;

use crate::{
    boot::{Beginner, BootError, Booted, boot},
    children::Child,
    server::Server,
    wire::AsyncChannel,
};

/// Pause after a gate could not be started, so that a failing host is not kept busy with failing.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);

/// The channel to a gate.
pub type GateChannel = AsyncChannel<SupervisorToGate, GateToSupervisor>;

/// A gate that has locked itself down and waits for a client.
#[derive(Debug)]
pub struct ReadyGate {
    /// The process.
    pub child: Child,
    /// Its channel.
    pub channel: GateChannel,
    /// What it has raised.
    pub report: SandboxReport,
}

/// The pool.
#[derive(Debug, Default)]
pub struct Pool {
    ready: RefCell<VecDeque<ReadyGate>>,
    starting: Cell<usize>,
    waiting: Cell<usize>,
    arrived: Notify,
    /// Raised whenever the settings change: a gate that was started before knows the old ones, and
    /// names keys that a new keeper does not have.
    generation: Cell<u64>,
}

impl Pool {
    /// Gates that wait for a client.
    pub fn ready(&self) -> usize {
        self.ready.borrow().len()
    }

    /// Process ids and reports of the waiting gates.
    pub fn reports(&self) -> Vec<(u32, SandboxReport)> {
        self.ready.borrow().iter().map(|gate| (gate.child.pid(), gate.report.clone())).collect()
    }

    /// Adds a gate that was started to see whether gates can be.
    pub fn put(&self, gate: ReadyGate) {
        self.ready.borrow_mut().push_back(gate);
        self.arrived.notify_one();
    }

    /// Lets go of the waiting gates (after a reload: they know the old settings; at the end).
    pub fn empty(&self) {
        self.generation.set(self.generation.get().wrapping_add(1));
        self.ready.borrow_mut().clear();
    }

    /// Removes gates that have died while they waited.
    pub fn sweep(&self, server: &Rc<Server>) {
        self.ready.borrow_mut().retain_mut(|gate| match gate.child.try_ended() {
            None => true,
            Some(ended) => {
                log_event!(
                    ProcessDied,
                    role = "gate",
                    pid = gate.child.pid(),
                    how = %ended,
                    "a gate died while it waited for a client"
                );
                server.counters.violation();
                false
            }
        });
        self.refill(server);
    }

    /// Takes a ready gate, waiting for one if need be.
    pub async fn take(&self, server: &Rc<Server>) -> ReadyGate {
        loop {
            let taken = self.ready.borrow_mut().pop_front();
            if let Some(gate) = taken {
                self.refill(server);
                return gate;
            }
            let _waiting = Waiting::new(&self.waiting);
            self.refill(server);
            self.arrived.notified().await;
        }
    }

    /// Starts gates until there are enough for the pool and for everybody who waits.
    pub fn refill(&self, server: &Rc<Server>) {
        if server.ending() {
            return;
        }
        let wanted = server.config().ready_gates.saturating_add(self.waiting.get());
        while self.ready().saturating_add(self.starting.get()) < wanted {
            self.starting.set(self.starting.get().saturating_add(1));
            let server = Rc::clone(server);
            tokio::task::spawn_local(async move {
                let pool = &server.pool;
                let generation = pool.generation.get();
                match start(&server).await {
                    Ok(_) if generation != pool.generation.get() => {
                        pool.starting.set(pool.starting.get().saturating_sub(1));
                        pool.refill(&server);
                    }
                    Ok(gate) => {
                        pool.ready.borrow_mut().push_back(gate);
                        pool.starting.set(pool.starting.get().saturating_sub(1));
                        pool.arrived.notify_one();
                    }
                    Err(e) => {
                        log_event!(ProcessFailed, role = "gate", "{e}");
                        tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                        pool.starting.set(pool.starting.get().saturating_sub(1));
                        pool.refill(&server);
                    }
                }
            });
        }
    }
}

/// Counts one who waits for a gate, for as long as it waits.
struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get().saturating_add(1));
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// Starts one gate and waits until it has locked itself down.
///
/// # Errors
/// When it cannot be started, or cannot raise its sandbox.
pub async fn start(server: &Rc<Server>) -> Result<ReadyGate, BootError> {
    let beginner = Beginner {
        role: "gate",
        program: &server.programs.worker,
        title: "bulkhead-worker",
        arguments: &["gate"],
    };
    let first = SupervisorToGate::Boot {
        confinement: server.confinement(&server.config().identities.gate),
        settings: server.gate_settings(),
    };
    let Booted { child, channel, answer } = boot(&server.children, beginner, first).await?;
    match answer {
        GateToSupervisor::Ready(report) => Ok(ReadyGate { child, channel, report }),
        GateToSupervisor::Failed(failure) => Err(BootError::Lockdown { role: "gate", failure }),
        GateToSupervisor::Authenticate { .. }
        | GateToSupervisor::MalformedLogin
        | GateToSupervisor::SecondFactor
        | GateToSupervisor::I2ftpKnock { .. }
        | GateToSupervisor::I2ftpProof { .. }
        | GateToSupervisor::Handover { .. }
        | GateToSupervisor::NeedKeeper
        | GateToSupervisor::Closed(_) => Err(BootError::out_of_turn("gate")),
    }
}
