//! Starting a session: the process that serves an account.

use std::{net::SocketAddr, rc::Rc};

use ipc::{
    account::{Account, SessionId},
    gate::Service,
    process::SandboxReport,
    session::{SessionBoot, SessionToSupervisor, SupervisorToSession},
};

use crate::{
    boot::{Beginner, BootError, Booted, boot},
    children::Child,
    keeper::Keeper,
    server::Server,
    wire::AsyncChannel,
};

/// The channel to a session.
pub type SessionChannel = AsyncChannel<SupervisorToSession, SessionToSupervisor>;

/// A session that has locked itself down and waits for the control connection.
#[derive(Debug)]
pub struct ReadySession {
    /// The process.
    pub child: Child,
    /// Its channel.
    pub channel: SessionChannel,
    /// What it has raised.
    pub report: SandboxReport,
    /// The keeper whose keys it was told of, if it may need a signature.
    pub keeper: Option<Rc<Keeper>>,
}

/// What a session is started for.
#[derive(Debug)]
pub struct Occasion<'a> {
    /// Its number.
    pub session: SessionId,
    /// The account, from the authenticator's verdict.
    pub account: &'a Account,
    /// What the client speaks.
    pub service: Service,
    /// The client.
    pub client: SocketAddr,
    /// The address it connected to.
    pub local: SocketAddr,
    /// Whether the control connection is TLS; only then can a data connection be.
    pub tls: bool,
}

/// Starts a session and waits until it has locked itself down as its account.
///
/// # Errors
/// When it cannot be started, cannot raise its sandbox, or its root cannot be opened.
pub async fn start(server: &Rc<Server>, occasion: Occasion<'_>) -> Result<ReadySession, BootError> {
    let Occasion { session, account, service, client, local, tls } = occasion;
    let beginner = Beginner {
        role: "session",
        program: &server.programs.worker,
        title: &format!("bulkhead-worker: {}", account.name),
        arguments: &["session"],
    };
    let config = server.config();
    let first = SessionBoot {
        confinement: server.confinement(&account.identity),
        session,
        account: account.clone(),
        limits: config.limits_of(account),
        umask: config.umask,
        service,
        client,
        local,
        ftp: config.ftp_settings(server.passive_address(client.ip())),
        tls: tls.then(|| server.session_tls(account, client.ip())).flatten(),
        i2ftp: matches!(service, Service::I2ftp | Service::I2ftpTls)
            .then(|| config.i2ftp_settings())
            .flatten(),
    };
    let keeper = first.tls.as_ref().filter(|tls| !tls.require_session_reuse);
    let keeper = keeper.and_then(|_| server.keeper.current());
    let first = SupervisorToSession::Boot(Box::new(first));
    let Booted { child, channel, answer } = boot(&server.children, beginner, first).await?;
    match answer {
        SessionToSupervisor::Ready(report) => Ok(ReadySession { child, channel, report, keeper }),
        SessionToSupervisor::Failed(failure) => {
            Err(BootError::Lockdown { role: "session", failure })
        }
        SessionToSupervisor::Events(_)
        | SessionToSupervisor::NeedHelper
        | SessionToSupervisor::NeedKeeper
        | SessionToSupervisor::Who
        | SessionToSupervisor::IssueTicket { .. }
        | SessionToSupervisor::RedeemTicket { .. }
        | SessionToSupervisor::CloseTicket { .. }
        | SessionToSupervisor::Closed(_) => Err(BootError::out_of_turn("session")),
    }
}
