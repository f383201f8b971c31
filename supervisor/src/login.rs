//! Logins: one authenticator process for each attempt, a bounded number of them at a time, and an
//! answer that tells a stranger nothing.

use std::{
    net::IpAddr,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

use config::Config;
use ipc::{
    Channel, ChannelError,
    authenticator::{Attempt, AuthenticatorToSupervisor, SupervisorToAuthenticator, Verdict},
    bounded::UserName,
    gate::SupervisorToGate,
    process::{Confinement, SandboxReport},
    typed::{AuthenticatorToGate, GateToAuthenticator},
};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    boot::{Beginner, BootError, Booted, boot_with},
    children::Child,
    pool::GateChannel,
    server::Server,
    wire::AsyncChannel,
};

/// Why an attempt got no verdict.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// Too many attempts wait already.
    #[error("too many logins are waiting")]
    Crowded,
    /// The authenticator did not start.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// It ended without a verdict, or took too long.
    #[error("the authenticator {pid} gave no verdict: {reason}")]
    NoVerdict {
        /// Its process id.
        pid: u32,
        /// What happened instead.
        reason: String,
    },
}

/// Whether this is an anonymous login that the configuration allows. Such a login involves no
/// secret and no account store, so the supervisor decides it without starting a process.
pub fn is_anonymous(server: &Server, user: &UserName) -> bool {
    server.config().anonymous.is_some() && accounts::is_anonymous(user.as_str())
}

/// Has one attempt judged. What was typed goes from the gate to the authenticator, which by then has
/// locked itself down; neither end of their channel stays here.
///
/// # Errors
/// When no verdict was reached; the attempt counts as failed.
pub async fn judge(
    server: &Rc<Server>,
    client: IpAddr,
    tls: bool,
    attempt: Attempt,
    gate: Option<&GateChannel>,
) -> Result<Verdict, AttemptError> {
    let mut turn = server.authenticators.enter().await.ok_or(AttemptError::Crowded)?;
    let config = server.config();
    let (to_gate, typed) = typed_channel(&attempt)?;
    let Started { mut child, channel, .. } =
        start(server, &config, client, tls, attempt, typed).await?;
    let pid = child.pid();
    let no_verdict = |reason: String| Err(AttemptError::NoVerdict { pid, reason });
    if let (Some(gate), Some(to_gate)) = (gate, to_gate) {
        // The end of a gate that is gone is noticed where its messages are awaited.
        gate.try_send(&SupervisorToGate::Authenticator, &[to_gate.as_fd()]).ok();
    }
    // An attempt that takes longer has failed: a PAM module hangs.
    let patience = Duration::from_secs(config.attempts.timeout);
    let judging = async {
        let received = channel.recv().await?;
        match &received.message {
            AuthenticatorToSupervisor::Warning(text) => {
                log_event!(Accounts, "{}", crate::log::printable(text));
                channel.recv().await
            }
            AuthenticatorToSupervisor::Ready(_)
            | AuthenticatorToSupervisor::Failed(_)
            | AuthenticatorToSupervisor::Verdict(_) => Ok(received),
        }
    };
    let verdict = match turn.during(tokio::time::timeout(patience, judging)).await {
        Err(_) => {
            no_verdict(format!("no answer within {} s; a PAM module may hang", patience.as_secs()))
        }
        Ok(Err(e)) => return no_verdict(died(server, child, &e).await),
        Ok(Ok(received)) => match received.message {
            AuthenticatorToSupervisor::Verdict(verdict) => Ok(verdict),
            AuthenticatorToSupervisor::Ready(_)
            | AuthenticatorToSupervisor::Failed(_)
            | AuthenticatorToSupervisor::Warning(_) => no_verdict("it spoke out of turn".into()),
        },
    };
    // It exits by itself; the verdict need not wait for that.
    let patience = if verdict.is_ok() { Duration::from_secs(2) } else { Duration::ZERO };
    tokio::task::spawn_local(async move { child.wait_or_kill(patience).await });
    verdict
}

/// The two ends of the channel from gate to authenticator, where something was typed.
fn typed_channel(attempt: &Attempt) -> Result<(Option<OwnedFd>, Option<OwnedFd>), BootError> {
    if !attempt.is_typed() {
        return Ok((None, None));
    }
    let (gate, authenticator) = Channel::<GateToAuthenticator, AuthenticatorToGate>::pair()
        .map_err(|e| BootError::start("authenticator", e))?;
    Ok((Some(gate.into_fd()), Some(authenticator.into_fd())))
}

/// Tries whether an authenticator can lock itself down as this configuration wants it: a server that
/// could let nobody in does not begin to serve. Gives what it has raised.
///
/// # Errors
/// Names the layer that cannot be raised, and what the administrator can do.
pub async fn rehearse(server: &Rc<Server>, config: &Config) -> Result<SandboxReport, AttemptError> {
    let nobody = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    let started = start(server, config, nobody, false, Attempt::Rehearsal, None).await?;
    let Started { mut child, channel, report } = started;
    drop(channel);
    // It ends by itself.
    tokio::task::spawn_local(async move { child.wait_or_kill(Duration::from_secs(2)).await });
    Ok(report)
}

/// An authenticator that has locked itself down.
struct Started {
    child: Child,
    channel: AsyncChannel<SupervisorToAuthenticator, AuthenticatorToSupervisor>,
    report: SandboxReport,
}

async fn start(
    server: &Rc<Server>,
    config: &Config,
    client: IpAddr,
    tls: bool,
    attempt: Attempt,
    typed: Option<OwnedFd>,
) -> Result<Started, AttemptError> {
    let beginner = Beginner {
        role: "authenticator",
        program: &server.programs.own,
        title: "bulkhead",
        arguments: &["authenticator"],
    };
    let first = SupervisorToAuthenticator::Attempt {
        // It keeps the supervisor's identity: it reads the account store.
        confinement: Confinement { identity: None, landlock: config.landlock },
        settings: config.auth.clone(),
        client,
        tls,
        attempt,
    };
    let Booted { child, channel, answer } =
        boot_with(&server.children, beginner, first, typed).await?;
    match answer {
        AuthenticatorToSupervisor::Ready(report) => Ok(Started { child, channel, report }),
        AuthenticatorToSupervisor::Failed(failure) => {
            Err(BootError::Lockdown { role: "authenticator", failure }.into())
        }
        AuthenticatorToSupervisor::Verdict(_) | AuthenticatorToSupervisor::Warning(_) => {
            let reason = "it spoke out of turn".into();
            Err(AttemptError::NoVerdict { pid: child.pid(), reason })
        }
    }
}

/// An authenticator whose channel has broken: a line in the log that says which and how it ended,
/// and the same in words for that of the login.
async fn died(server: &Server, mut child: Child, error: &ChannelError) -> String {
    // If it still lives, it has broken the channel itself.
    let how = child.wait_or_kill(Duration::from_millis(200)).await;
    let what = crate::log::describe(error);
    let (role, pid) = ("authenticator", child.pid());
    if error.is_violation() {
        log_event!(Violation, role, pid, %how, what);
    } else {
        log_event!(ProcessDied, role, pid, %how, what);
    }
    server.counters.violation();
    format!("{what}; {how}")
}

/// An attempt that takes longer than this makes room for the next one.
pub const STEP_ASIDE: Duration = Duration::from_secs(3);
/// So many times as many attempts may have stepped aside as may run at a time.
const ASIDE: usize = 4;

/// The bound on authenticators that run at a time, and on attempts that wait for one.
///
/// An attempt that takes long has a PAM module that hangs. It steps aside, so that those behind it
/// are judged meanwhile; the number of those that have is bounded as well.
#[derive(Debug)]
pub struct Turnstile {
    running: Semaphore,
    aside: Semaphore,
    patience: Duration,
    waiting: std::cell::Cell<usize>,
    max_waiting: usize,
}

impl Turnstile {
    /// So many may run, and so many more wait in order. One that takes longer than `patience` steps
    /// aside.
    pub fn new(running: usize, max_waiting: usize, patience: Duration) -> Turnstile {
        Turnstile {
            running: Semaphore::new(running),
            aside: Semaphore::new(running.saturating_mul(ASIDE).min(Semaphore::MAX_PERMITS)),
            patience,
            waiting: std::cell::Cell::new(0),
            max_waiting,
        }
    }

    /// Waits in order for a turn; `None` when too many wait already.
    pub async fn enter(&self) -> Option<Turn<'_>> {
        if self.waiting.get() >= self.max_waiting {
            return None;
        }
        self.waiting.set(self.waiting.get().saturating_add(1));
        let _left = Left(&self.waiting);
        let place = self.running.acquire().await.ok()?;
        Some(Turn { turnstile: self, _place: place })
    }
}

/// A place among those that run, for as long as it lives.
#[derive(Debug)]
pub struct Turn<'a> {
    turnstile: &'a Turnstile,
    _place: SemaphorePermit<'a>,
}

impl Turn<'_> {
    /// Does the work, and steps aside if it takes long and there is a place to step to.
    async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        if let Ok(done) = tokio::time::timeout(self.turnstile.patience, &mut work).await {
            return done;
        }
        if let Ok(place) = self.turnstile.aside.try_acquire() {
            self._place = place;
        }
        work.await
    }
}

struct Left<'a>(&'a std::cell::Cell<usize>);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn attempts_that_hang_make_room_up_to_a_bound() {
        let turnstile = Rc::new(Turnstile::new(2, 100, Duration::from_millis(1)));
        let attempts = tokio::task::LocalSet::new();
        for _ in 0..20 {
            let turnstile = Rc::clone(&turnstile);
            attempts.spawn_local(async move {
                let mut turn = turnstile.enter().await.unwrap();
                turn.during(std::future::pending::<()>()).await;
            });
        }
        let full = async {
            while turnstile.aside.available_permits() > 0 || turnstile.waiting.get() != 10 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let full = tokio::time::timeout(Duration::from_secs(20), attempts.run_until(full)).await;
        assert!(full.is_ok(), "two run and eight have stepped aside; ten wait: {turnstile:?}");
        drop(attempts);
        assert!(turnstile.enter().await.is_some());
    }

    #[tokio::test]
    async fn too_many_who_wait_are_told_so() {
        let turnstile = Turnstile::new(1, 2, STEP_ASIDE);
        let _running = turnstile.enter().await.unwrap();
        let (first, second) = (turnstile.enter(), turnstile.enter());
        tokio::pin!(first, second);
        assert!(is_pending(&mut first) && is_pending(&mut second));
        assert!(turnstile.enter().await.is_none());
    }

    fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::Pin::new(future).poll(&mut context).is_pending()
    }
}
