//! Logins: one authenticator process for each attempt, a bounded number of them at a time, and an
//! answer that tells a stranger nothing.

use std::{net::IpAddr, rc::Rc, time::Duration};

use ipc::{
    Received,
    authenticator::{Attempt, AuthenticatorToSupervisor, SupervisorToAuthenticator, Verdict},
    bounded::UserName,
};

use crate::{
    account,
    boot::{Beginner, BootError, Booted, boot},
    server::Server,
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
    #[error("the authenticator gave no verdict: {0}")]
    NoVerdict(String),
}

/// Whether this is an anonymous login that the configuration allows. Such a login involves no
/// secret and no account store, so the supervisor decides it without starting a process.
pub fn is_anonymous(server: &Server, user: &UserName) -> bool {
    server.config().anonymous.is_some() && account::is_anonymous(user.as_str())
}

/// Has one attempt judged.
///
/// # Errors
/// When no verdict was reached; the attempt counts as failed.
pub async fn judge(
    server: &Rc<Server>,
    client: IpAddr,
    tls: bool,
    attempt: Attempt,
) -> Result<Verdict, AttemptError> {
    let _turn = server.authenticators.enter().await.ok_or(AttemptError::Crowded)?;
    let beginner = Beginner {
        role: "authenticator",
        program: &server.programs.own,
        title: "bulkhead",
        arguments: &["authenticator"],
    };
    let first = SupervisorToAuthenticator::Attempt {
        confinement: server.authenticator_confinement(),
        settings: server.config().auth_settings(),
        client,
        tls,
        attempt,
    };
    let Booted { mut child, channel, answer } = boot(&server.children, beginner, first).await?;
    match answer {
        AuthenticatorToSupervisor::Ready(_) => {}
        AuthenticatorToSupervisor::Failed(failure) => {
            return Err(BootError::Lockdown { role: "authenticator", failure }.into());
        }
        AuthenticatorToSupervisor::Verdict(_) | AuthenticatorToSupervisor::Warning(_) => {
            return Err(AttemptError::NoVerdict("it spoke out of turn".into()));
        }
    }
    // An attempt that takes longer has failed: a PAM module hangs.
    let patience = Duration::from_secs(server.config().auth.timeout);
    let mut verdict = tokio::time::timeout(patience, channel.recv()).await;
    if let Ok(Ok(Received { message: AuthenticatorToSupervisor::Warning(text), .. })) = &verdict {
        tracing::error!(event = "accounts", "{}", crate::log::printable(text));
        verdict = tokio::time::timeout(patience, channel.recv()).await;
    }
    let verdict = match verdict {
        Err(_) => Err(AttemptError::NoVerdict(format!(
            "no answer within {} s; a PAM module may hang",
            patience.as_secs()
        ))),
        Ok(Err(e)) => Err(AttemptError::NoVerdict(e.to_string())),
        Ok(Ok(received)) => match received.message {
            AuthenticatorToSupervisor::Verdict(verdict) => Ok(verdict),
            AuthenticatorToSupervisor::Ready(_)
            | AuthenticatorToSupervisor::Failed(_)
            | AuthenticatorToSupervisor::Warning(_) => {
                Err(AttemptError::NoVerdict("it spoke out of turn".into()))
            }
        },
    };
    // It exits by itself; the verdict need not wait for that.
    let patience = if verdict.is_ok() { Duration::from_secs(2) } else { Duration::ZERO };
    tokio::task::spawn_local(async move { child.wait_or_kill(patience).await });
    verdict
}

/// The bound on authenticators that run at a time, and on attempts that wait for one.
#[derive(Debug)]
pub struct Turnstile {
    running: tokio::sync::Semaphore,
    waiting: std::cell::Cell<usize>,
    max_waiting: usize,
}

impl Turnstile {
    /// So many may run, and so many more wait in order.
    pub fn new(running: usize, max_waiting: usize) -> Turnstile {
        Turnstile {
            running: tokio::sync::Semaphore::new(running),
            waiting: std::cell::Cell::new(0),
            max_waiting,
        }
    }

    /// Waits in order for a turn; `None` when too many wait already.
    pub async fn enter(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        if self.waiting.get() >= self.max_waiting {
            return None;
        }
        self.waiting.set(self.waiting.get().saturating_add(1));
        let _left = Left(&self.waiting);
        self.running.acquire().await.ok()
    }
}

struct Left<'a>(&'a std::cell::Cell<usize>);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
