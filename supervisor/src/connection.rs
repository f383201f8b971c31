//! The life of one connection, as DESIGN draws it: a gate until login, a session after it, and
//! every count undone at the end, however it ends.
//!
//! The supervisor holds the control connection until a session has it, and never reads a byte of
//! it. Who the client is comes from accept(2); which account it is comes from the authenticator.

use std::{
    cell::RefCell,
    net::{IpAddr, SocketAddr},
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
use tokio::{sync::mpsc::UnboundedReceiver, time::Instant};

use crate::{
    attempts::{Attempts, Outcome},
    census::{Full, Place},
    children::{Child, Ended},
    deadlines::{GateDeadlines, Overdue, past},
    hang_ups::HangUp,
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
    /// The watch over the client's end of the control connection.
    pub hang_up: HangUp,
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
    let stranger = match admit_stranger(&server, address.ip(), service) {
        Ok(stranger) => stranger,
        Err(reason) => return server.refused(address.ip(), reason),
    };
    let hang_up = match server.hang_ups.watch(&control) {
        Ok(hang_up) => hang_up,
        Err(e) => {
            log_event!(AcceptFailed, "{e}; descriptors have run out");
            return server.refused(address.ip(), "no-descriptors");
        }
    };
    let session = server.next_session();
    let (entry, mut orders) = server.sessions.enter(session, address);
    let connection = Connection {
        server: Rc::clone(&server),
        session,
        client: address,
        local,
        service,
        entry,
        stranger: RefCell::new(stranger),
        pam_session: RefCell::default(),
        hang_up,
    };
    log_event!(
        Connected,
        session = session.0,
        client = %address.ip(),
        port = address.port(),
        service = service_word(service),
    );
    let reason = match tokio::time::timeout(GATE_PATIENCE, server.pool.take(&server)).await {
        Ok(gate) => with_gate(&connection, gate, control, &mut orders).await,
        Err(_) => {
            server.refused(address.ip(), "no-gate");
            let line = "421 The server is too busy; try again later.\r\n";
            listen::refuse(&control, service, line);
            "no gate became ready".into()
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
fn admit_stranger(
    server: &Server,
    client: IpAddr,
    service: Service,
) -> Result<Option<Place>, &'static str> {
    match service {
        Service::Ftp | Service::FtpsImplicit => return Ok(None),
        Service::I2ftp | Service::I2ftpTls => {}
    }
    let config = server.config();
    // A reload may have taken I2FTP away; the gate will be told.
    let Some(i2ftp) = &config.i2ftp else { return Ok(None) };
    let (most, most_per_ip) = (i2ftp.max_unauthenticated, i2ftp.max_unauthenticated_per_ip);
    let admitted = server.i2ftp_strangers.admit(server.block(client), most, most_per_ip);
    admitted.map(Some).map_err(|full| match full {
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
            let misbehaves = matches!(&end, GateTalk::Broken(error) if error.is_misbehaviour());
            if misbehaves || matches!(end, GateTalk::Overdue(_)) {
                child.kill();
            }
            let ended = child.wait_or_kill(GOODBYE_PATIENCE).await;
            GateEnd::Over(gate_obituary(connection, &child, end, ended))
        }
    }
}

/// Why talking to a gate ended without a login.
enum GateTalk {
    /// It said that it ends, and whether it was told to.
    Closed { closed: GateClosed, told: bool },
    /// It went on for longer than it may.
    Overdue(Overdue),
    /// Its channel failed: it died, or broke the rules.
    Broken(ChannelError),
    /// The supervisor ended it.
    Stopped(String),
}

/// Signing channels that a gate may ask for because the keeper has died.
const KEEPER_CHANNELS_OF_GATE: u32 = 3;

/// The dialogue with a gate: what it says, and how long it may go on.
struct Dialogue<'a> {
    connection: &'a Connection,
    channel: &'a GateChannel,
    deadlines: GateDeadlines,
    keeper_channels: u32,
}

async fn talk_to_gate(
    connection: &Connection,
    channel: &GateChannel,
    control: OwnedFd,
    orders: &mut UnboundedReceiver<Order>,
) -> Result<(Box<ReadySession>, Account, bool), GateTalk> {
    give_client(connection, channel, &control).await?;
    let login_timeout = connection.server.config().login_timeout;
    let mut dialogue = Dialogue {
        connection,
        channel,
        deadlines: GateDeadlines::new(Instant::now(), login_timeout),
        keeper_channels: 0,
    };
    let mut attempts = Attempts::new(connection, channel);
    loop {
        let message = dialogue.next(orders).await?;
        if !attempts.in_turn(&message) {
            return Err(GateTalk::Broken(ChannelError::Garbage("out of turn".into())));
        }
        let outcome = judged(&mut attempts, channel, message).await?;
        dialogue.deadlines.answered(Instant::now());
        match outcome {
            Outcome::Answer(answer) => {
                let answer = SupervisorToGate::AuthResult(answer);
                channel.send(&answer, &[]).await.map_err(GateTalk::Broken)?;
            }
            Outcome::End(reply) => dialogue.end(reply).await?,
            Outcome::LoggedIn(account) => {
                connection.stranger.replace(None);
                if let Some(ready) = start_session(connection, channel, &account).await? {
                    let relayed = hand_over(channel, &ready, control).await?;
                    return Ok((Box::new(ready), account, relayed));
                }
            }
        }
    }
}

impl Dialogue<'_> {
    /// The next message that is to be obeyed. A gate that was told to end may say that it does, and
    /// nothing else.
    async fn next(
        &mut self,
        orders: &mut UnboundedReceiver<Order>,
    ) -> Result<GateToSupervisor, GateTalk> {
        let hang_up = &self.connection.hang_up;
        loop {
            let message = tokio::select! {
                overdue = past(self.deadlines.first(hang_up.at())) => {
                    return Err(GateTalk::Overdue(overdue));
                }
                () = hang_up.happened(), if hang_up.at().is_none() => continue,
                received = self.channel.recv() => received.map_err(GateTalk::Broken)?.message,
                Some(order) = orders.recv() => {
                    match order {
                        Order::Kick(reply) | Order::Finish(reply) => self.end(reply).await?,
                        Order::NewLimits(_) => {}
                    }
                    continue;
                }
            };
            match message {
                GateToSupervisor::Closed(closed) => {
                    let told = self.deadlines.is_ending();
                    return Err(GateTalk::Closed { closed, told });
                }
                _ if self.deadlines.is_ending() => {}
                GateToSupervisor::NeedKeeper => self.attach_keeper().await?,
                other => return Ok(other),
            }
        }
    }

    /// Tells the gate to end, and obeys it no longer.
    async fn end(&mut self, reply: String) -> Result<(), GateTalk> {
        self.deadlines.end(Instant::now());
        let end = SupervisorToGate::End { reply };
        self.channel.send(&end, &[]).await.map_err(GateTalk::Broken)
    }

    /// The keeper has died before it has signed: gives the gate a channel to the next one.
    async fn attach_keeper(&mut self) -> Result<(), GateTalk> {
        self.keeper_channels = self.keeper_channels.saturating_add(1);
        if self.keeper_channels > KEEPER_CHANNELS_OF_GATE {
            let what = "a signing channel too many was asked for";
            return Err(GateTalk::Broken(ChannelError::Garbage(what.into())));
        }
        let keeper = &self.connection.server.keeper;
        let attached = keeper.attach_soon(self.connection.session);
        let sent = match undisturbed(self.channel, attached).await? {
            Some(fd) => {
                let message = SupervisorToGate::KeeperChannel;
                self.channel.send(&message, &[fd.as_fd()]).await
            }
            None => self.channel.send(&SupervisorToGate::NotAvailable, &[]).await,
        };
        sent.map_err(GateTalk::Broken)
    }
}

/// Gives a gate its client, and a signing channel if there is a keeper.
async fn give_client(
    connection: &Connection,
    channel: &GateChannel,
    control: &OwnedFd,
) -> Result<(), GateTalk> {
    let serve = SupervisorToGate::Serve {
        session: connection.session,
        client: connection.client,
        local: connection.local,
        service: connection.service,
    };
    let signing = connection.server.keeper.attach(connection.session);
    let fds = match &signing {
        Some(signing) => vec![control.as_fd(), signing.as_fd()],
        None => vec![control.as_fd()],
    };
    channel.send(&serve, &fds).await.map_err(GateTalk::Broken)
}

/// What becomes of an attempt to log in.
async fn judged(
    attempts: &mut Attempts<'_>,
    channel: &GateChannel,
    message: GateToSupervisor,
) -> Result<Outcome, GateTalk> {
    match message {
        GateToSupervisor::Authenticate { user, tls, host, client_name } => {
            drop(host);
            attempts.tls = tls;
            undisturbed(channel, attempts.password(user, tls.is_some(), client_name)).await
        }
        GateToSupervisor::MalformedLogin => undisturbed(channel, attempts.malformed()).await,
        GateToSupervisor::SecondFactor => undisturbed(channel, attempts.second_factor()).await,
        GateToSupervisor::I2ftpKnock { key } => {
            undisturbed(channel, attempts.i2ftp_knock(key)).await
        }
        GateToSupervisor::I2ftpProof { proof, tls } => {
            attempts.tls = tls;
            undisturbed(channel, attempts.i2ftp_proof(proof)).await
        }
        GateToSupervisor::Closed(_)
        | GateToSupervisor::NeedKeeper
        | GateToSupervisor::Ready(_)
        | GateToSupervisor::Failed(_)
        | GateToSupervisor::Handover { .. } => {
            Err(GateTalk::Broken(ChannelError::Garbage("out of turn".into())))
        }
    }
}

/// Starts the session of an account that has logged in. `None`: it cannot be, and the client has been
/// told.
async fn start_session(
    connection: &Connection,
    channel: &GateChannel,
    account: &Account,
) -> Result<Option<ReadySession>, GateTalk> {
    let occasion = Occasion {
        session: connection.session,
        account,
        service: connection.service,
        client: connection.client,
        local: connection.local,
        tls: connection.entry.is_tls(),
    };
    let error = match session::start(&connection.server, occasion).await {
        Ok(ready) => return Ok(Some(ready)),
        Err(error) => error,
    };
    log_event!(
        SessionFailed,
        session = connection.session.0,
        client = %connection.client.ip(),
        account = %account.name,
        "{error}"
    );
    let text = "The server cannot start a session for this account.";
    let answer = SupervisorToGate::AuthResult(AuthResult::Unavailable(text.into()));
    channel.send(&answer, &[]).await.map_err(GateTalk::Broken)?;
    Ok(None)
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
                GateToSupervisor::Closed(closed) => GateTalk::Closed { closed, told: false },
                GateToSupervisor::NeedKeeper
                | GateToSupervisor::Ready(_)
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
        GateToSupervisor::Closed(closed) => {
            return Err(GateTalk::Closed { closed, told: false });
        }
        GateToSupervisor::NeedKeeper
        | GateToSupervisor::Ready(_)
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
        GateTalk::Overdue(overdue) => {
            match overdue {
                Overdue::Farewell => return "ended by the server".into(),
                Overdue::Login => penalise(Cause::GraceExceeded),
                Overdue::HungUp => penalise(Cause::NoLogin),
            }
            // An honest gate notices both by itself, and sooner.
            log_event!(
                ProcessOverdue,
                role = "gate",
                pid = child.pid(),
                session = connection.session.0,
                client = %connection.client.ip(),
                reason = overdue_text(overdue),
                how = %ended,
                "a gate did not end with its client's time; it was killed"
            );
            overdue_text(overdue).into()
        }
        GateTalk::Closed { closed, told } => {
            match &closed {
                GateClosed::Ended | GateClosed::Failed(_) if told => {}
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
                GateClosed::Quit
                | GateClosed::Ended
                | GateClosed::Failed(_)
                | GateClosed::ClientClosed
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

/// Why a gate or session was ended, for the log.
pub fn overdue_text(overdue: Overdue) -> &'static str {
    match overdue {
        Overdue::Login => "not logged in in time",
        Overdue::HungUp => "the client has hung up",
        Overdue::Farewell => "ended by the server",
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
