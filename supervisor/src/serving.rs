//! A connection after login: the session's messages, its events in the log, and its end.

use std::{
    cell::{Cell, RefCell},
    os::fd::AsFd,
    pin::Pin,
    rc::Rc,
    time::Duration,
};

use ipc::{
    ChannelError, Message,
    account::Account,
    gate::Service,
    operator::ProcessRow,
    parts::parts,
    process::SandboxReport,
    reason::Reason,
    session::{
        Event, FileOperation, SessionClosed, SessionToSupervisor, SupervisorToSession, Transfer,
        TransferKind,
    },
};
use tokio::{sync::mpsc::UnboundedReceiver, time::Instant};

use crate::{
    children::Ended,
    connection::{Connection, GOODBYE_PATIENCE, Relay, overdue_text},
    deadlines::{Overdue, SessionDeadlines, past},
    keeper::Keeper,
    log::printable,
    plausible::Plausible,
    session::{ReadySession, SessionChannel},
    sessions::Order,
    tickets::Purpose,
};

/// How long a relay may take: it waits for five seconds for the client to close as well.
const RELAY_PATIENCE: Duration = Duration::from_secs(10);

/// Serves a session until it ends; returns the reason for the log.
pub async fn serve(
    connection: &Connection,
    ready: ReadySession,
    account: &Account,
    relay: Option<Relay>,
    orders: &mut UnboundedReceiver<Order>,
) -> String {
    let ReadySession { mut child, channel, report, keeper } = ready;
    let server = &connection.server;
    connection.entry.served_by(child.pid());
    let rows = process_rows(connection, account, child.pid(), report, relay.as_ref());
    let _listed = server.processes.list(rows);
    server.counters.login();
    let dialogue = Dialogue {
        connection,
        account,
        channel: &channel,
        keeper: keeper.as_deref(),
        keeper_channels: Cell::new(0),
        plausible: RefCell::new(Plausible::new(Instant::now())),
    };
    let end = dialogue.talk(orders).await;
    drop(keeper);
    server.helper.detach(connection.session);
    drop(channel);
    let patience = if end.is_ok() { GOODBYE_PATIENCE } else { Duration::ZERO };
    let ended = child.wait_or_kill(patience).await;
    if let Some(relay) = relay {
        let overdue = matches!(end, Err(End::Overdue(_)));
        let patience = if overdue { Duration::ZERO } else { RELAY_PATIENCE };
        end_relay(connection, account, relay, patience).await;
    }
    match end {
        Ok(closed) => reason_text(&closed),
        Err(End::Overdue(overdue)) => {
            log_event!(
                ProcessOverdue,
                role = "session",
                pid = child.pid(),
                session = connection.session.0,
                client = %connection.client.ip(),
                account = account.name.as_str(),
                reason = overdue_text(overdue),
                how = %ended,
                "a session did not end by itself; it was killed"
            );
            format!("{}; the session did not end by itself and was killed", overdue_text(overdue))
        }
        Err(End::Broken(error)) => {
            let name = Some(account.name.as_str());
            server.process_broke(connection, "session", child.pid(), name, &error, ended);
            format!("the session broke: {error}")
        }
    }
}

/// The session's process, and its relay's where it has one, as `policy verify` asks for them.
fn process_rows(
    connection: &Connection,
    account: &Account,
    pid: u32,
    report: SandboxReport,
    relay: Option<&Relay>,
) -> Vec<ProcessRow> {
    let server = &connection.server;
    let mut rows = vec![ProcessRow {
        role: "session".into(),
        pid,
        session: Some(connection.session),
        // Rootless, a session has the identity and the bounding set of the server.
        identity: server.privileged.then_some((account.identity.uid, account.identity.gid)),
        report: Some(report),
        features: account.rights.names().map(str::to_owned).collect(),
    }];
    if let Some(relay) = relay {
        let (pid, report) = (relay.child.pid(), relay.report.clone());
        let gate = server.gate_row(pid, Some(connection.session), report);
        rows.push(ProcessRow { role: "relay".into(), ..gate });
    }
    rows
}

/// The relay ends by itself once the session's side is closed. One that had to be killed, or that
/// was stopped, is a log line.
async fn end_relay(connection: &Connection, account: &Account, relay: Relay, patience: Duration) {
    let Relay { mut child, channel, .. } = relay;
    let ended = child.wait_or_kill(patience).await;
    if patience.is_zero() {
        // It was killed with its session, which has a line of its own.
        return;
    }
    if ended != Ended::Exited(0) {
        let error = match channel.recv().await {
            Ok(_) => ChannelError::Garbage("out of turn".into()),
            Err(error) => error,
        };
        let name = Some(account.name.as_str());
        connection.server.process_broke(connection, "relay", child.pid(), name, &error, ended);
    }
}

enum End {
    Overdue(Overdue),
    Broken(ChannelError),
}

impl From<ChannelError> for End {
    fn from(error: ChannelError) -> End {
        End::Broken(error)
    }
}

/// Signing channels that a session may ask for: one at a time, and another one when the keeper has died.
const KEEPER_CHANNELS_OF_SESSION: u32 = 64;

/// An answer to a session that is under way. What it ends with: the session's last message, if this
/// was it.
type Answering<'a> =
    Pin<Box<dyn Future<Output = Result<Option<SessionClosed>, ChannelError>> + 'a>>;

/// The dialogue with a session. Everything it may want is decided by what the supervisor knows.
struct Dialogue<'a> {
    connection: &'a Connection,
    account: &'a Account,
    channel: &'a SessionChannel,
    keeper: Option<&'a Keeper>,
    keeper_channels: Cell<u32>,
    plausible: RefCell<Plausible>,
}

impl Dialogue<'_> {
    async fn talk(&self, orders: &mut UnboundedReceiver<Order>) -> Result<SessionClosed, End> {
        let hang_up = &self.connection.hang_up;
        let mut deadlines = SessionDeadlines::default();
        // While one message is answered the next one is left unread, but orders are obeyed.
        let mut answering: Option<Answering<'_>> = None;
        loop {
            tokio::select! {
                overdue = past(deadlines.first(hang_up.at())) => return Err(End::Overdue(overdue)),
                () = hang_up.happened(), if hang_up.at().is_none() => {}
                received = self.channel.recv(), if answering.is_none() => {
                    answering = Some(Box::pin(self.answer(received?.message)));
                }
                answered = finished(&mut answering) => {
                    answering = None;
                    if let Some(closed) = answered? {
                        return Ok(closed);
                    }
                }
                Some(order) = orders.recv() => {
                    let message = match order {
                        Order::Kick(reply) => {
                            deadlines.kick(Instant::now());
                            SupervisorToSession::Kick { reply }
                        }
                        Order::Finish(reply) => SupervisorToSession::Finish { reply },
                        Order::NewLimits(limits) => SupervisorToSession::NewLimits(*limits),
                    };
                    self.channel.send(&message, &[]).await?;
                }
            }
        }
    }

    /// Answers one message.
    async fn answer(
        &self,
        message: SessionToSupervisor,
    ) -> Result<Option<SessionClosed>, ChannelError> {
        let Dialogue { connection, account, channel, .. } = self;
        let server = &connection.server;
        match message {
            SessionToSupervisor::Events(events) => {
                for event in events {
                    // The lines of one message must not be one turn of the loop.
                    tokio::task::consume_budget().await;
                    self.log_event(event);
                }
            }
            SessionToSupervisor::NeedHelper => self.attach_helper().await?,
            SessionToSupervisor::NeedKeeper => self.attach_keeper().await?,
            SessionToSupervisor::Who => {
                let lines = if account.administrator { server.sessions.who() } else { Vec::new() };
                let answer = SupervisorToSession::WhoLines(first_part(lines));
                channel.send(&answer, &[]).await?;
            }
            SessionToSupervisor::IssueTicket { path, upload, size, publish } => {
                self.in_i2ftp()?;
                let purpose = Purpose { path, upload, size, publish };
                let answer = server.issue_ticket(connection.session, account, purpose);
                channel.send(&SupervisorToSession::Ticket(answer), &[]).await?;
            }
            SessionToSupervisor::RedeemTicket { id } => {
                self.in_i2ftp()?;
                let answer = server.redeem_ticket(account, id);
                channel.send(&SupervisorToSession::Ticket(answer), &[]).await?;
            }
            SessionToSupervisor::CloseTicket { id } => {
                self.in_i2ftp()?;
                let answer = server.close_ticket(account, id);
                channel.send(&SupervisorToSession::Ticket(answer), &[]).await?;
            }
            SessionToSupervisor::Closed(closed) => return Ok(Some(closed)),
            SessionToSupervisor::Ready(_) | SessionToSupervisor::Failed(_) => {
                return Err(ChannelError::Garbage("out of turn".into()));
            }
        }
        Ok(None)
    }

    /// Tickets are I2FTP's; only a session that has been taken over asks for one elsewhere.
    fn in_i2ftp(&self) -> Result<(), ChannelError> {
        match self.connection.service {
            Service::I2ftp | Service::I2ftpTls => Ok(()),
            Service::Ftp | Service::FtpsImplicit => {
                Err(ChannelError::Garbage("a ticket outside of I2FTP".into()))
            }
        }
    }

    async fn attach_helper(&self) -> Result<(), ChannelError> {
        let connection = self.connection;
        let config = connection.server.config();
        let attached = connection.server.helper.attach_soon(
            connection.session,
            connection.client,
            connection.local,
            config.passive.ports,
            config.limits.connect_timeout,
        );
        match attached.await {
            Some(fd) => self.channel.send(&SupervisorToSession::HelperChannel, &[fd.as_fd()]).await,
            None => self.channel.send(&SupervisorToSession::NotAvailable, &[]).await,
        }
    }

    async fn attach_keeper(&self) -> Result<(), ChannelError> {
        let asked = self.keeper_channels.get().saturating_add(1);
        self.keeper_channels.set(asked);
        let own = self.keeper.filter(|_| asked <= KEEPER_CHANNELS_OF_SESSION);
        let connection = self.connection;
        let attached = match own {
            Some(own) => {
                connection.server.keeper.attach_session_soon(connection.session, own).await
            }
            None => None,
        };
        match attached {
            Some(fd) => self.channel.send(&SupervisorToSession::KeeperChannel, &[fd.as_fd()]).await,
            None => self.channel.send(&SupervisorToSession::NotAvailable, &[]).await,
        }
    }
}

/// The end of the answer that is under way; never, when there is none.
async fn finished(
    answering: &mut Option<Answering<'_>>,
) -> Result<Option<SessionClosed>, ChannelError> {
    match answering {
        Some(answer) => answer.await,
        None => std::future::pending().await,
    }
}

/// As many lines as fit into the answer to `Who`, and a line that says how many do not.
fn first_part(lines: Vec<String>) -> Vec<String> {
    /// Room for that last line.
    const LAST: usize = 100;
    let all = lines.len();
    let bytes = SupervisorToSession::MAX_BYTES.saturating_sub(LAST);
    let mut first = parts(lines, bytes).into_iter().next().unwrap_or_default();
    let left = all.saturating_sub(first.len());
    if left > 0 {
        first.push(format!("and {left} more; `bulkhead sessions` lists them all"));
    }
    first
}

impl Dialogue<'_> {
    /// Writes one event to the log, with the supervisor's own word on who it was (I8).
    fn log_event(&self, event: Event) {
        let connection = self.connection;
        let (session, client) = (connection.session.0, connection.client.ip());
        let account = self.account.name.as_str();
        match event {
            Event::Transfer(transfer) => self.log_transfer(transfer),
            Event::File { operation, path, to, reason } => {
                let operation = operation_word(operation);
                let path = printable(&String::from_utf8_lossy(path.as_slice()));
                let to = to.map(|to| printable(&String::from_utf8_lossy(to.as_slice())));
                connection.entry.note(0, 0, format!("{operation} {path}"));
                let (done, reason) = (reason.is_none(), reason.map(Reason::word));
                log_event!(File, session, %client, account, operation, path, to, done, reason);
            }
            Event::Refused { command, path, reason } => {
                let command = printable(&String::from_utf8_lossy(command.as_slice()));
                let path = printable(&String::from_utf8_lossy(path.as_slice()));
                let reason = reason.word();
                log_event!(CommandRefused, session, %client, account, command, path, reason);
            }
            Event::Notice(text) => {
                log_event!(Notice, session, %client, account, text = printable(&text));
            }
        }
    }

    fn log_transfer(&self, transfer: Transfer) {
        let Transfer { kind, path, bytes, micros, reason, tls } = transfer;
        let connection = self.connection;
        let (session, client) = (connection.session.0, connection.client.ip());
        let account = self.account.name.as_str();
        let bytes = self.plausible.borrow_mut().bytes(bytes, Instant::now());
        let (word, down, up) = match kind {
            TransferKind::Download => ("download", bytes, 0),
            TransferKind::Upload => ("upload", 0, bytes),
            TransferKind::Append => ("append", 0, bytes),
            TransferKind::Listing => ("listing", bytes, 0),
        };
        let path = printable(&String::from_utf8_lossy(path.as_slice()));
        connection.entry.note(down, up, format!("{word} {path}"));
        connection.server.counters.moved(down, up);
        let (seconds, rate) = (seconds(micros), rate(bytes, micros));
        let complete = reason.is_none();
        let reason = reason.map(Reason::word);
        log_event!(
            Transfer, session, %client, account, kind = word, path, bytes, seconds, rate, complete,
            reason, tls
        );
    }
}

/// Seconds with three digits behind the point: nobody reads more.
fn seconds(micros: u64) -> f64 {
    let millis = u32::try_from(micros.saturating_add(500) / 1000).unwrap_or(u32::MAX);
    f64::from(millis) / 1000.0
}

/// Bytes per second; of what took no time at all, the bytes.
fn rate(bytes: u64, micros: u64) -> u64 {
    let rate = u128::from(bytes).saturating_mul(1_000_000) / u128::from(micros.max(1));
    if micros == 0 { bytes } else { u64::try_from(rate).unwrap_or(u64::MAX) }
}

fn operation_word(operation: FileOperation) -> &'static str {
    match operation {
        FileOperation::Delete => "delete",
        FileOperation::Rename => "rename",
        FileOperation::MakeDirectory => "mkdir",
        FileOperation::RemoveDirectory => "rmdir",
        FileOperation::ChangeMode => "chmod",
        FileOperation::ChangeTime => "utime",
        FileOperation::MakeSymlink => "symlink",
        FileOperation::Copy => "copy",
        FileOperation::BeginDownload => "begin-download",
        FileOperation::BeginUpload => "begin-upload",
    }
}

fn reason_text(closed: &SessionClosed) -> String {
    match closed {
        SessionClosed::Quit => "quit".into(),
        SessionClosed::ClientClosed => "the client closed".into(),
        SessionClosed::Idle => "idle".into(),
        SessionClosed::Kicked => "kicked".into(),
        SessionClosed::ServerEnding => "the server is ending".into(),
        SessionClosed::Reinitialize => "reinitialized".into(),
        SessionClosed::Failed(cause) => format!("failed: {cause}"),
    }
}

/// The list of processes that are serving somebody, for `bulkhead policy verify`.
#[derive(Debug, Default)]
pub struct Processes {
    rows: std::cell::RefCell<std::collections::BTreeMap<u64, Vec<ProcessRow>>>,
    next: std::cell::Cell<u64>,
}

impl Processes {
    /// Lists processes until the returned value is dropped.
    pub fn list(self: &Rc<Self>, rows: Vec<ProcessRow>) -> Listed {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        self.rows.borrow_mut().insert(number, rows);
        Listed { processes: Rc::clone(self), number }
    }

    /// All of them.
    pub fn rows(&self) -> Vec<ProcessRow> {
        self.rows.borrow().values().flatten().cloned().collect()
    }
}

/// A place in the list of processes.
#[derive(Debug)]
pub struct Listed {
    processes: Rc<Processes>,
    number: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.processes.rows.borrow_mut().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a9_who_is_answered_in_one_message_however_many_there_are() {
        let lines: Vec<String> =
            (0..20_000).map(|n| format!("{n} alice from ::1 for 1 s")).collect();
        let answer = first_part(lines.clone());
        assert!(answer.last().unwrap().starts_with("and "), "{:?}", answer.last());
        let mut encoded = Vec::new();
        ipc::codec::encode(&SupervisorToSession::WhoLines(answer), &mut encoded).unwrap();
        assert!(encoded.len() < SupervisorToSession::MAX_BYTES, "{}", encoded.len());
        assert_eq!(first_part(lines[..10].to_vec()), lines[..10]);
    }

    #[test]
    fn e1_a_transfer_has_seconds_and_a_rate() {
        assert_eq!((seconds(0), rate(10, 0)), (0.0, 10));
        assert_eq!((seconds(1_234_567), rate(1_000_000, 2_000_000)), (1.235, 500_000));
        assert_eq!(rate(u64::MAX, 1), u64::MAX);
        assert!(seconds(u64::MAX) > 4_000_000.0);
    }
}
