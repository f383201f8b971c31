//! The life of one connection, as DESIGN draws it: a gate until login, a session after it, and
//! every count undone at the end, however it ends.
//!
//! The supervisor holds the control connection until a session has it, and never reads a byte of
//! it. Who the client is comes from accept(2); which account it is comes from the authenticator.

use std::{
    cell::RefCell,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

use ipc::{
    ChannelError,
    account::{Account, SessionId},
    bounded::Bytes,
    gate::{AuthResult, GateClosed, GateToSupervisor, Protection, Service, SupervisorToGate},
    process::SandboxReport,
    session::SupervisorToSession,
};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::{
    attempts::{Attempts, Outcome},
    census::{Full, Place},
    children::{Child, Ended},
    listen,
    pam_session::PamSession,
    penalties::Cause,
    pool::{GateChannel, ReadyGate},
    server::Server,
    serving,
    session::{self, Occasion, ReadySession},
    sessions::{Entry, Order},
};

/// How long a client waits for a gate when none is ready and none can be started.
const GATE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a gate may take from `Granted` to `Handover`.
const HANDOVER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a process may take to end after it has said goodbye.
pub const GOODBYE_PATIENCE: Duration = Duration::from_secs(2);

/// A client that has been accepted and counted.
#[derive(Debug)]
pub struct Client {
    /// The control connection.
    pub control: OwnedFd,
    /// The client's address.
    pub address: SocketAddr,
    /// The address it connected to.
    pub local: SocketAddr,
    /// What it speaks.
    pub service: Service,
    /// Its place in the counts.
    pub place: Place,
}

/// What is known of a connection while it lasts.
#[derive(Debug)]
pub struct Connection {
    /// The server.
    pub server: Rc<Server>,
    /// Its number.
    pub session: SessionId,
    /// The client's address.
    pub client: SocketAddr,
    /// The address it connected to.
    pub local: SocketAddr,
    /// What it speaks.
    pub service: Service,
    /// Its row in the session table.
    pub entry: Entry,
    /// Its place among the strangers of I2FTP, until it has logged in.
    pub stranger: RefCell<Option<Place>>,
    /// The PAM session of its account, if one is open: closed when the connection is over, however
    /// it ends.
    pub pam_session: RefCell<Option<PamSession>>,
}

/// A gate that stayed to relay the control connection of a TLS session.
#[derive(Debug)]
pub struct Relay {
    /// The process.
    pub child: Child,
    /// Its channel: nothing is said on it any longer but last words.
    pub channel: GateChannel,
    /// What it raised as a gate.
    pub report: SandboxReport,
}

/// How a gate's part of a connection ended.
enum GateEnd {
    /// Logged in: the session has the control connection. The gate stays if it is a relay.
    LoggedIn(Box<ReadySession>, Account, Option<Box<Relay>>),
    /// Over, with the reason for the log.
    Over(String),
}

/// Serves one client from accept to the end.
pub async fn serve(server: Rc<Server>, client: Client) {
    let Client { control, address, local, service, place } = client;
    let session = server.next_session();
    let (entry, mut orders) = server.sessions.enter(session, address);
    let connection = Connection {
        server: Rc::clone(&server),
        session,
        client: address,
        local,
        service,
        entry,
        stranger: RefCell::default(),
        pam_session: RefCell::default(),
    };
    log_event!(
        Connected,
        session = session.0,
        client = %address.ip(),
        port = address.port(),
        service = service_word(service),
    );
    let reason = match admit_stranger(&connection) {
        Err(reason) => {
            server.counters.refused();
            log_event!(Refused, client = %address.ip(), reason);
            reason.into()
        }
        Ok(place) => {
            connection.stranger.replace(place);
            match tokio::time::timeout(GATE_PATIENCE, server.pool.take(&server)).await {
                Ok(gate) => with_gate(&connection, gate, control, &mut orders).await,
                Err(_) => {
                    server.counters.refused();
                    let line = "421 The server is too busy; try again later.\r\n";
                    listen::refuse(&control, service, line);
                    "no gate became ready".into()
                }
            }
        }
    };
    log_event!(
        Disconnected,
        session = session.0,
        client = %address.ip(),
        seconds = connection.entry.age().as_secs(),
        reason = crate::log::printable(&reason),
    );
    drop(connection);
    drop(place);
}

/// Counts a client of I2FTP among those who have yet to log in: whoever knows the key is through in
/// a moment, so that few places are enough, and strangers never take those of FTP.
fn admit_stranger(connection: &Connection) -> Result<Option<Place>, &'static str> {
    match connection.service {
        Service::Ftp | Service::FtpsImplicit => return Ok(None),
        Service::I2ftp | Service::I2ftpTls => {}
    }
    let server = &connection.server;
    let config = server.config();
    // A reload may have taken I2FTP away; the gate will be told.
    let Some(i2ftp) = &config.i2ftp else { return Ok(None) };
    server
        .i2ftp_strangers
        .admit(
            server.block(connection.client.ip()),
            i2ftp.max_unauthenticated,
            i2ftp.max_unauthenticated_per_ip,
        )
        .map(Some)
        .map_err(|full| match full {
            Full::Server => "i2ftp-strangers-full",
            Full::Address => "i2ftp-strangers-of-address-full",
        })
}

/// Serves a client from its greeting on. Returns why the connection ended.
async fn with_gate(
    connection: &Connection,
    gate: ReadyGate,
    control: OwnedFd,
    orders: &mut UnboundedReceiver<Order>,
) -> String {
    connection.entry.served_by(gate.child.pid());
    match gate_part(connection, gate, control, orders).await {
        GateEnd::Over(reason) => reason,
        GateEnd::LoggedIn(ready, account, relay) => {
            let relay = relay.map(|relay| *relay);
            serving::serve(connection, *ready, &account, relay, orders).await
        }
    }
}

/// From the greeting to the login, or to the end.
async fn gate_part(
    connection: &Connection,
    gate: ReadyGate,
    control: OwnedFd,
    orders: &mut UnboundedReceiver<Order>,
) -> GateEnd {
    let ReadyGate { mut child, channel, report, .. } = gate;
    let row = connection.server.gate_row(child.pid(), Some(connection.session), report.clone());
    let listed = connection.server.processes.list(vec![row]);
    let end = talk_to_gate(connection, &channel, control, orders).await;
    drop(listed);
    match end {
        Ok((ready, account, true)) => {
            GateEnd::LoggedIn(ready, account, Some(Box::new(Relay { child, channel, report })))
        }
        Ok((ready, account, false)) => {
            drop(channel);
            tokio::task::spawn_local(async move { child.wait_or_kill(GOODBYE_PATIENCE).await });
            GateEnd::LoggedIn(ready, account, None)
        }
        Err(end) => {
            drop(channel);
            if matches!(&end, GateTalk::Broken(error) if error.is_misbehaviour()) {
                child.kill();
            }
            let ended = child.wait_or_kill(GOODBYE_PATIENCE).await;
            GateEnd::Over(gate_obituary(connection, &child, end, ended))
        }
    }
}

/// Why talking to a gate ended without a login.
enum GateTalk {
    /// It said goodbye.
    Closed(GateClosed),
    /// Its channel failed: it died, or broke the rules.
    Broken(ChannelError),
    /// The supervisor ended it.
    Stopped(String),
}

async fn talk_to_gate(
    connection: &Connection,
    channel: &GateChannel,
    control: OwnedFd,
    orders: &mut UnboundedReceiver<Order>,
) -> Result<(Box<ReadySession>, Account, bool), GateTalk> {
    let server = &connection.server;
    let serve = SupervisorToGate::Serve {
        session: connection.session,
        client: connection.client,
        local: connection.local,
        service: connection.service,
    };
    let signing = server.keeper.attach(connection.session);
    let fds = match &signing {
        Some(signing) => vec![control.as_fd(), signing.as_fd()],
        None => vec![control.as_fd()],
    };
    channel.send(&serve, &fds).await.map_err(GateTalk::Broken)?;
    drop(signing);
    let mut attempts = Attempts::new(connection, channel);
    let mut deadline = None;
    loop {
        let stopped = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let message = tokio::select! {
            () = stopped => return Err(GateTalk::Stopped("ended by the server".into())),
            received = channel.recv() => received.map_err(GateTalk::Broken)?.message,
            Some(order) = orders.recv() => match order {
                Order::Kick(reply) | Order::Finish(reply) => {
                    let end = SupervisorToGate::End { reply };
                    channel.send(&end, &[]).await.map_err(GateTalk::Broken)?;
                    deadline = Some(tokio::time::Instant::now() + GOODBYE_PATIENCE);
                    continue;
                }
                Order::NewLimits(_) => continue,
            },
        };
        if !attempts.in_turn(&message) {
            return Err(GateTalk::Broken(ChannelError::Garbage("out of turn".into())));
        }
        let outcome = match message {
            GateToSupervisor::Authenticate { user, tls, host, client_name } => {
                drop(host);
                let judging = attempts.password(user, tls, client_name);
                undisturbed(channel, judging).await?
            }
            GateToSupervisor::MalformedLogin => undisturbed(channel, attempts.malformed()).await?,
            GateToSupervisor::SecondFactor => {
                undisturbed(channel, attempts.second_factor()).await?
            }
            GateToSupervisor::I2ftpKnock { key } => {
                undisturbed(channel, attempts.i2ftp_knock(key)).await?
            }
            GateToSupervisor::I2ftpProof { proof } => {
                undisturbed(channel, attempts.i2ftp_proof(proof)).await?
            }
            GateToSupervisor::Closed(closed) => return Err(GateTalk::Closed(closed)),
            GateToSupervisor::Ready(_)
            | GateToSupervisor::Failed(_)
            | GateToSupervisor::Handover { .. } => {
                return Err(GateTalk::Broken(ChannelError::Garbage("out of turn".into())));
            }
        };
        match outcome {
            Outcome::Answer(answer) => {
                let answer = SupervisorToGate::AuthResult(answer);
                channel.send(&answer, &[]).await.map_err(GateTalk::Broken)?;
            }
            Outcome::End(reply) => {
                let end = SupervisorToGate::End { reply };
                channel.send(&end, &[]).await.map_err(GateTalk::Broken)?;
                deadline = Some(tokio::time::Instant::now() + GOODBYE_PATIENCE);
            }
            Outcome::LoggedIn(account) => {
                connection.stranger.replace(None);
                let occasion = Occasion {
                    session: connection.session,
                    account: &account,
                    service: connection.service,
                    client: connection.client,
                    local: connection.local,
                    tls: connection.entry.is_tls(),
                };
                match session::start(server, occasion).await {
                    Ok(ready) => {
                        let relayed = hand_over(channel, &ready, control).await?;
                        return Ok((Box::new(ready), account, relayed));
                    }
                    Err(e) => {
                        log_event!(
                            SessionFailed,
                            session = connection.session.0,
                            client = %connection.client.ip(),
                            account = %account.name,
                            "{e}"
                        );
                        let text = "The server cannot start a session for this account.";
                        let answer =
                            SupervisorToGate::AuthResult(AuthResult::Unavailable(text.into()));
                        channel.send(&answer, &[]).await.map_err(GateTalk::Broken)?;
                    }
                }
            }
        }
    }
}

/// Waits for a verdict while the gate is silent. A gate that ends meanwhile ends the wait, so that
/// its slot is free at once; one that speaks out of turn has broken the rules.
async fn undisturbed<T>(
    channel: &GateChannel,
    judging: impl Future<Output = T>,
) -> Result<T, GateTalk> {
    tokio::select! {
        verdict = judging => Ok(verdict),
        received = channel.recv() => Err(match received {
            Ok(received) => match received.message {
                GateToSupervisor::Closed(closed) => GateTalk::Closed(closed),
                GateToSupervisor::Ready(_)
                | GateToSupervisor::Failed(_)
                | GateToSupervisor::Authenticate { .. }
                | GateToSupervisor::MalformedLogin
                | GateToSupervisor::SecondFactor
                | GateToSupervisor::I2ftpKnock { .. }
                | GateToSupervisor::I2ftpProof { .. }
                | GateToSupervisor::Handover { .. } => {
                    GateTalk::Broken(ChannelError::Garbage("out of turn".into()))
                }
            },
            Err(e) => GateTalk::Broken(e),
        }),
    }
}

/// Takes the control connection from the gate to the session. Returns whether the gate stays as
/// relay.
async fn hand_over(
    channel: &GateChannel,
    ready: &ReadySession,
    control: OwnedFd,
) -> Result<bool, GateTalk> {
    let granted = SupervisorToGate::AuthResult(AuthResult::Granted);
    channel.send(&granted, &[]).await.map_err(GateTalk::Broken)?;
    let received = tokio::time::timeout(HANDOVER_PATIENCE, channel.recv())
        .await
        .map_err(|_| GateTalk::Stopped("the gate did not hand over".into()))?
        .map_err(GateTalk::Broken)?;
    let (unread, protection) = match received.message {
        GateToSupervisor::Handover { unread, protection } => (unread, protection),
        GateToSupervisor::Closed(closed) => return Err(GateTalk::Closed(closed)),
        GateToSupervisor::Ready(_)
        | GateToSupervisor::Failed(_)
        | GateToSupervisor::Authenticate { .. }
        | GateToSupervisor::MalformedLogin
        | GateToSupervisor::SecondFactor
        | GateToSupervisor::I2ftpKnock { .. }
        | GateToSupervisor::I2ftpProof { .. } => {
            return Err(GateTalk::Broken(ChannelError::Garbage("out of turn".into())));
        }
    };
    let relayed = matches!(protection, Protection::Tls { .. });
    let stopped = |e: &dyn std::fmt::Display| GateTalk::Stopped(e.to_string());
    let control = if relayed {
        // As a session does for a plain one: one reply, one packet, at once.
        rustix::net::sockopt::set_tcp_nodelay(&control, true).map_err(|e| stopped(&e))?;
        let (for_session, for_relay) =
            std::os::unix::net::UnixStream::pair().map_err(|e| stopped(&e))?;
        // Neither may change the state of a descriptor, and neither must ever wait in a call: the
        // relay not in a write, the session not in its look for what the client still sends.
        for_relay.set_nonblocking(true).map_err(|e| stopped(&e))?;
        for_session.set_nonblocking(true).map_err(|e| stopped(&e))?;
        let become_relay = SupervisorToGate::BecomeRelay;
        channel.send(&become_relay, &[for_relay.as_fd()]).await.map_err(GateTalk::Broken)?;
        OwnedFd::from(for_session)
    } else {
        control
    };
    match give_control(ready, control, unread, protection).await {
        // One that has just ended has left its last words, which are read where sessions are served.
        Ok(()) | Err(ChannelError::Closed) => Ok(relayed),
        Err(e) => Err(stopped(&e)),
    }
}

async fn give_control(
    ready: &ReadySession,
    control: OwnedFd,
    unread: Bytes<8192>,
    protection: Protection,
) -> Result<(), ChannelError> {
    let message = SupervisorToSession::Control { unread, protection };
    ready.channel.send(&message, &[control.as_fd()]).await
}

/// Says in the log and to the penalties why a gate ended, and returns the reason.
fn gate_obituary(connection: &Connection, child: &Child, end: GateTalk, ended: Ended) -> String {
    let penalise = |cause| connection.server.penalise(connection.client.ip(), cause);
    match end {
        GateTalk::Stopped(reason) => reason,
        GateTalk::Closed(closed) => {
            match &closed {
                GateClosed::Quit | GateClosed::Ended | GateClosed::Failed(_) => {}
                GateClosed::TooManyFailures => {}
                GateClosed::LoginTimeout => penalise(Cause::GraceExceeded),
                GateClosed::PlainLogin => {
                    let (session, client) = (connection.session.0, connection.client.ip());
                    log_event!(
                        LoginRefused,
                        session,
                        %client,
                        reason = "tls-demanded",
                        "the client sent USER without AUTH TLS before it: set it to explicit FTPS"
                    );
                    penalise(Cause::NoLogin);
                }
                GateClosed::ClientClosed
                | GateClosed::Idle
                | GateClosed::NotFtp
                | GateClosed::Tls(_) => penalise(Cause::NoLogin),
            }
            reason_text(&closed)
        }
        GateTalk::Broken(error) => {
            connection.server.process_broke(connection, "gate", child.pid(), None, &error, ended);
            format!("the gate broke: {error}")
        }
    }
}

/// The word of a service in the log.
fn service_word(service: Service) -> &'static str {
    match service {
        Service::Ftp => "ftp",
        Service::FtpsImplicit => "ftps",
        Service::I2ftp => "i2ftp",
        Service::I2ftpTls => "i2ftps",
    }
}

fn reason_text(closed: &GateClosed) -> String {
    match closed {
        GateClosed::Quit => "quit before login".into(),
        GateClosed::ClientClosed => "the client closed before login".into(),
        GateClosed::Idle => "idle before login".into(),
        GateClosed::LoginTimeout => "not logged in in time".into(),
        GateClosed::TooManyFailures => "too many failed logins".into(),
        GateClosed::NotFtp => "the client does not speak FTP".into(),
        GateClosed::Tls(cause) => format!("TLS failed: {cause}"),
        GateClosed::Ended => "ended by the server".into(),
        GateClosed::Failed(cause) => format!("failed: {cause}"),
        GateClosed::PlainLogin => "TLS is demanded, and the client tried to log in without".into(),
    }
}
