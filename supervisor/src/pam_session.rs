//! PAM sessions of clients, where `[auth] pam_session` wants them: opened by an authenticator after the
//! login, closed by another one when the client has gone. Between the two no privileged process
//! waits; all that is kept is a name and an address, here.
//!
//! It lives in the supervisor because nobody else learns of the end of a connection whatever becomes
//! of its processes.

use std::{
    cell::Cell,
    net::IpAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use ipc::{
    authenticator::{Attempt, Verdict},
    bounded::UserName,
};

use crate::{
    login::{self, AttemptError},
    server::Server,
};

/// How many there are.
#[derive(Debug, Default)]
pub struct PamSessions {
    open: Rc<Cell<usize>>,
    closing: Rc<Cell<usize>>,
}

impl PamSessions {
    /// Waits until those whose clients have gone are closed; for the end of the server.
    pub async fn closed(&self, patience: Duration) {
        let begun = Instant::now();
        while self.closing.get() > 0 && begun.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.get() == 0
    }
}

/// A PAM session that is open, or may be. Dropped, it is closed: so none stays open because a client
/// went away while it was being opened.
#[derive(Debug)]
pub struct PamSession(Option<Open>);

#[derive(Debug)]
struct Open {
    server: Rc<Server>,
    user: UserName,
    client: IpAddr,
    _counted: Counted,
}

impl PamSession {
    /// Has a session opened for this user and client.
    ///
    /// # Errors
    /// The verdict that refuses it, or why there is none.
    pub async fn open(
        server: &Rc<Server>,
        user: UserName,
        client: IpAddr,
    ) -> Result<PamSession, Result<Verdict, AttemptError>> {
        let attempt = Attempt::OpenSession { user: user.clone() };
        let _counted = Counted::new(&server.pam_sessions.open);
        let session = PamSession(Some(Open { server: Rc::clone(server), user, client, _counted }));
        match login::judge(server, client, false, attempt, None).await {
            Ok(Verdict::SessionOpened) => Ok(session),
            other => Err(other),
        }
    }
}

impl Drop for PamSession {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            let closing = Counted::new(&open.server.pam_sessions.closing);
            tokio::task::spawn_local(async move {
                close(open).await;
                drop(closing);
            });
        }
    }
}

async fn close(open: Open) {
    let Open { server, user, client, _counted } = open;
    let attempt = Attempt::CloseSession { user: user.clone() };
    let failure = match login::judge(&server, client, false, attempt, None).await {
        Ok(Verdict::SessionClosed) => return,
        Ok(Verdict::Refused { reason } | Verdict::Broken(reason)) => reason,
        Ok(
            Verdict::Granted(_)
            | Verdict::GrantedInSession(_)
            | Verdict::SessionOpened
            | Verdict::NeedSecondFactor { .. }
            | Verdict::I2ftpRight
            | Verdict::Expired(_)
            | Verdict::TlsDemanded,
        ) => "it answered out of turn".to_owned(),
        Err(e) => e.to_string(),
    };
    log_event!(
        PamSessionOpen,
        user = user.as_str(),
        client = %client,
        "a PAM session was not closed: {}",
        crate::log::printable(&failure)
    );
}

#[derive(Debug)]
struct Counted(Rc<Cell<usize>>);

impl Counted {
    fn new(count: &Rc<Cell<usize>>) -> Counted {
        count.set(count.get().saturating_add(1));
        Counted(Rc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
