//! The gate's loop, and the commands before login.

use std::time::{Duration, Instant};

use ipc::{
    bounded::{Bytes, UserName},
    gate::{AuthResult, GateClosed, GateSettings, GateToSupervisor, Protection, SupervisorToGate},
    tls_facts::TlsFacts,
};
use policy::LockedDown;

use super::{
    SupervisorChannel,
    login::LoginStep,
    secure::become_relay,
    wait::{Woken, wait},
};
use crate::{
    Fatal,
    control::{ControlConnection, Filled, Stream},
    ftp::{
        argument::{self, Options},
        command::{Command, CommandError},
        digest::Algorithm,
        line::Line,
        listing::FactSet,
        reply::Reply,
        verb::{Phase, Verb},
    },
    rate::{Bucket, deadline, earlier},
    tls::ControlTls,
};

/// So many unknown commands before login, and the client does not speak FTP.
const MAX_UNKNOWN: u32 = 5;
/// A last reply waits so long for a client to take it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Whether the gate goes on.
pub(super) type Flow = std::ops::ControlFlow<GateClosed>;

/// A gate with its client.
pub struct Gate<'a> {
    pub(super) channel: SupervisorChannel,
    pub(super) settings: GateSettings,
    pub(super) control: ControlConnection,
    pub(super) step: LoginStep,
    pub(super) host: Option<Bytes<255>>,
    pub(super) protection: Protection,
    /// TLS, if it is configured.
    pub(super) tls: Option<ControlTls>,
    /// AUTH TLS was accepted; the handshake comes next.
    pub(super) auth_accepted: bool,
    /// The name in the certificate the client showed in the handshake.
    pub(super) client_name: Option<Bytes<255>>,
    /// What the control connection's TLS agreed on, for the log.
    pub(super) tls_facts: Option<TlsFacts>,
    pub(super) unknown: u32,
    /// What commands are taken from; `None`: no limit.
    pub(super) commands: Option<Bucket>,
    /// Until when commands are held back; `None`: they are not.
    pub(super) held: Option<Instant>,
    /// USER came without TLS, which is demanded.
    pub(super) plain_login: bool,
    pub(super) began: Instant,
    /// A client's bytes are read only by what can show that the sandbox is up.
    pub(super) locked: &'a LockedDown,
}

impl<'a> Gate<'a> {
    /// A gate for one client.
    pub fn new(
        locked: &'a LockedDown,
        channel: SupervisorChannel,
        settings: GateSettings,
        tls: Option<ControlTls>,
        control: ControlConnection,
    ) -> Self {
        let rate = u64::from(settings.commands_per_second);
        let commands = Bucket::with_burst(rate, rate, Instant::now());
        Gate {
            channel,
            settings,
            control,
            step: LoginStep::Nobody,
            host: None,
            protection: Protection::Plain,
            tls,
            auth_accepted: false,
            client_name: None,
            tls_facts: None,
            unknown: 0,
            commands,
            held: None,
            plain_login: false,
            began: Instant::now(),
            locked,
        }
    }

    /// Serves the client until it is handed over or gone. `implicit`: TLS comes before the
    /// greeting.
    ///
    /// # Errors
    /// When the supervisor is gone or waiting fails.
    pub fn serve(mut self, implicit: bool) -> Result<(), Fatal> {
        if implicit {
            let Some(secured) = self.secure()? else { return Ok(()) };
            self = secured;
        }
        let greeting = Reply::greeting(&self.settings.banner);
        self.say(&greeting);
        loop {
            if let Flow::Break(closed) = self.take_lines()? {
                return self.close(closed);
            }
            if self.auth_accepted {
                self.deliver();
                let Some(secured) = self.secure()? else { return Ok(()) };
                self = secured;
                continue;
            }
            if self.control.flush().is_err() || self.control.is_closed() {
                return self.close(GateClosed::ClientClosed);
            }
            if self.control.has_received() && !self.answering() {
                self.control.fill();
                continue;
            }
            let until = self.until();
            let control = (&self.control, self.control.interest());
            match wait(control, &self.channel, until)? {
                Woken::Control => {
                    if self.control.fill() == Filled::Closed && !self.answering() {
                        return self.close(GateClosed::ClientClosed);
                    }
                }
                Woken::Supervisor => match self.dispatch()? {
                    Next::Go => {}
                    Next::HandOver => return self.hand_over(),
                    Next::Close(closed) => return self.close(closed),
                },
                Woken::TimeOut => {
                    if let Some(closed) = self.timed_out(Instant::now()) {
                        return self.close(closed);
                    }
                }
            }
        }
    }

    /// What a time-out ends the connection for; `None`: commands were only held back until now.
    fn timed_out(&mut self, now: Instant) -> Option<GateClosed> {
        let over = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if over(self.login_deadline()) {
            self.say(&Reply::LOGIN_TIMEOUT);
            return Some(GateClosed::LoginTimeout);
        }
        if over(self.idle_deadline()) {
            self.say(&Reply::IDLE);
            return Some(GateClosed::Idle);
        }
        None
    }

    pub(super) fn say(&mut self, reply: &Reply) {
        self.control.say(reply);
    }

    /// Whether an answer of the supervisor is awaited: commands wait meanwhile.
    fn answering(&self) -> bool {
        matches!(self.step, LoginStep::Judged(_) | LoginStep::CodeJudged(_))
    }

    fn login_deadline(&self) -> Option<Instant> {
        deadline(self.began, self.settings.login_timeout)
    }

    fn idle_deadline(&self) -> Option<Instant> {
        if self.answering() {
            return None;
        }
        deadline(self.control.last_line, self.settings.idle_ctrl_timeout)
    }

    fn until(&self) -> Option<Instant> {
        earlier(self.held, earlier(self.login_deadline(), self.idle_deadline()))
    }

    /// Whether a command may be taken now; if not, `held` says when.
    fn may_take(&mut self) -> bool {
        let now = Instant::now();
        let next = |bucket: &mut Bucket| (bucket.allowance(now) == 0).then(|| bucket.next(now));
        self.held = self.commands.as_mut().and_then(next);
        self.held.is_none()
    }

    fn take_lines(&mut self) -> Result<Flow, Fatal> {
        self.held = None;
        while !self.answering() && !self.auth_accepted && self.may_take() {
            let Some(line) = self.control.next_line() else { break };
            if let Some(bucket) = &mut self.commands {
                bucket.take(1);
            }
            let flow = match line {
                Line::Text(text) => match Command::parse(&text) {
                    Ok(command) => self.obey(&command)?,
                    Err(error) => self.misunderstood(&error),
                },
                Line::TooLong => self.refuse(&Reply::LINE_TOO_LONG),
                Line::Nul => self.refuse(&Reply::NUL),
                Line::LoneCr => self.refuse(&Reply::LONE_CR),
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(Flow::Continue(()))
    }

    pub(super) fn refuse(&mut self, reply: &Reply) -> Flow {
        self.say(reply);
        Flow::Continue(())
    }

    fn misunderstood(&mut self, error: &CommandError) -> Flow {
        match error {
            // Nothing of the request is sent back, and no FTP client is annoyed (ALPACA).
            CommandError::Http => return Flow::Break(GateClosed::NotFtp),
            CommandError::Empty | CommandError::Unknown => {
                self.unknown = self.unknown.saturating_add(1);
                if self.unknown >= MAX_UNKNOWN {
                    self.say(&Reply::NOT_FTP);
                    return Flow::Break(GateClosed::NotFtp);
                }
            }
            CommandError::NotImplemented
            | CommandError::ArgumentMissing(_)
            | CommandError::ArgumentUnexpected(_) => {}
        }
        self.refuse(&Reply::command(*error))
    }

    fn obey(&mut self, command: &Command) -> Result<Flow, Fatal> {
        if command.row.phase == Phase::AfterLogin {
            return Ok(self.refuse(&Reply::NOT_LOGGED_IN));
        }
        let tls = self.settings.tls.is_some();
        let argument = command.argument.as_slice();
        let reply = match command.verb {
            Verb::User => self.user(argument),
            Verb::Pass => return self.pass(argument),
            Verb::Acct => return self.acct(argument),
            Verb::Quit => {
                self.say(&Reply::GOODBYE);
                return Ok(Flow::Break(GateClosed::Quit));
            }
            Verb::Rein => {
                self.step = LoginStep::Nobody;
                self.host = None;
                Reply::REINITIALIZED
            }
            Verb::Host => self.host(argument),
            Verb::Lang => {
                argument::language(argument).map_or_else(Reply::argument, |()| Reply::LANGUAGE)
            }
            Verb::Clnt => Reply::CLIENT_NOTED,
            Verb::Csid => Reply::CLIENT_IDENTITY,
            Verb::Feat => Reply::features(tls, FactSet::default(), Algorithm::default()),
            Verb::Opts => opts(argument),
            Verb::Help => Reply::help(argument),
            Verb::Noop => Reply::NOOP,
            Verb::Syst => Reply::SYSTEM,
            Verb::Auth => return Ok(self.auth(argument)),
            Verb::Pbsz => self.pbsz(argument),
            Verb::Prot => self.prot(argument),
            Verb::Ccc => match self.protection {
                Protection::Plain => Reply::PROT_NEEDS_TLS,
                Protection::Tls { .. } => Reply::CCC_REFUSED,
            },
            Verb::Adat => Reply::NO_SECURITY_DATA,
            Verb::Mic | Verb::Conf | Verb::Enc => Reply::COMMAND_PROTECTION,
            Verb::Cwd
            | Verb::Cdup
            | Verb::Pwd
            | Verb::Mkd
            | Verb::Rmd
            | Verb::Dele
            | Verb::Rnfr
            | Verb::Rnto
            | Verb::Port
            | Verb::Pasv
            | Verb::Eprt
            | Verb::Epsv
            | Verb::Type
            | Verb::Stru
            | Verb::Mode
            | Verb::Retr
            | Verb::Stor
            | Verb::Stou
            | Verb::Appe
            | Verb::Allo
            | Verb::Rest
            | Verb::Abor
            | Verb::List
            | Verb::Nlst
            | Verb::Mlsd
            | Verb::Mlst
            | Verb::Stat
            | Verb::Size
            | Verb::Mdtm
            | Verb::Mfmt
            | Verb::Mff
            | Verb::Hash
            | Verb::Rang
            | Verb::Xcrc
            | Verb::Xmd5
            | Verb::Xsha1
            | Verb::Xsha256
            | Verb::Xsha512
            | Verb::Avbl
            | Verb::Site => Reply::NOT_LOGGED_IN,
        };
        Ok(self.refuse(&reply))
    }

    /// HOST (RFC 7151): remembered for the log and the account store; one server, one host.
    fn host(&mut self, argument: &[u8]) -> Reply {
        if !matches!(self.step, LoginStep::Nobody) {
            return Reply::HOST_AFTER_USER;
        }
        match argument::host(argument) {
            Ok(name) => {
                self.host = Some(Bytes::cut(name.as_bytes().to_vec()));
                Reply::HOST
            }
            Err(error) => Reply::argument(error),
        }
    }

    fn dispatch(&mut self) -> Result<Next, Fatal> {
        let mut received = self.channel.recv()?;
        match received.message {
            SupervisorToGate::AuthResult(result) if self.answering() => Ok(self.judged(result)),
            SupervisorToGate::Authenticator => {
                let channel = received.fds.pop().ok_or(Fatal::OutOfTurn)?;
                self.tell_authenticator(channel)?;
                Ok(Next::Go)
            }
            SupervisorToGate::End { reply } => {
                self.say(&Reply::from_line(&reply));
                Ok(Next::Close(GateClosed::Ended))
            }
            SupervisorToGate::AuthResult(_)
            | SupervisorToGate::Boot { .. }
            | SupervisorToGate::Serve { .. }
            | SupervisorToGate::BecomeRelay
            | SupervisorToGate::KeeperChannel
            | SupervisorToGate::NotAvailable => Err(Fatal::OutOfTurn),
        }
    }

    fn judged(&mut self, result: AuthResult) -> Next {
        let code_was_judged = matches!(self.step, LoginStep::CodeJudged(_));
        self.step = LoginStep::Nobody;
        match result {
            AuthResult::Granted => return Next::HandOver,
            AuthResult::NeedSecondFactor if !code_was_judged => {
                self.step = LoginStep::Code;
                self.say(&Reply::NEED_SECOND_FACTOR);
            }
            // How many are too many is said by the supervisor, which ends the connection then.
            AuthResult::NeedSecondFactor | AuthResult::Refused => self.say(&Reply::LOGIN_REFUSED),
            AuthResult::Expired(text) => self.say(&Reply::line(530, text)),
            AuthResult::TlsDemanded => self.say(&Reply::LOGIN_NEEDS_TLS),
            AuthResult::Unavailable(text) => {
                self.say(&Reply::line(421, text));
                return Next::Close(GateClosed::Ended);
            }
            // The answer to an I2FTP knock; an FTP gate never knocks.
            AuthResult::Welcome { .. } => {
                return Next::Close(GateClosed::Failed("answer out of turn".into()));
            }
        }
        Next::Go
    }

    fn hand_over(mut self) -> Result<(), Fatal> {
        // Replies to what was pipelined before the login are older than the 230 of the session.
        self.deliver();
        let (stream, unread) = self.control.into_parts();
        let unread = Bytes::try_from(unread).unwrap_or_default();
        let mut protection = self.protection;
        if let (Protection::Tls { resumption, .. }, Some(tls)) = (&mut protection, &self.tls) {
            *resumption = tls.resumption_entries();
        }
        self.channel.send(&GateToSupervisor::Handover { unread, protection }, &[])?;
        match stream {
            // The session has a descriptor of its own for the same connection.
            Stream::Plain(_) => Ok(()),
            Stream::Tls(client) => {
                drop(self.tls);
                become_relay(&self.channel, self.locked, *client)
            }
        }
    }

    /// Writes what waits, for a moment at most.
    fn deliver(&mut self) {
        let until = Instant::now().checked_add(FAREWELL);
        while self.control.flush().is_ok() && self.control.is_waiting() {
            let flags = rustix::event::PollFlags::OUT;
            let mut fds = [rustix::event::PollFd::new(&self.control, flags)];
            if !matches!(crate::wait::poll_until(&mut fds, until), Ok(1..)) {
                break;
            }
        }
    }

    fn close(mut self, closed: GateClosed) -> Result<(), Fatal> {
        let closed = match closed {
            GateClosed::Quit | GateClosed::ClientClosed | GateClosed::Idle if self.plain_login => {
                GateClosed::PlainLogin
            }
            other => other,
        };
        self.deliver();
        self.control.say_goodbye();
        self.deliver();
        self.channel.send(&GateToSupervisor::Closed(closed), &[])?;
        Ok(())
    }

    pub(super) fn authenticate(&mut self, user: UserName) -> Result<(), Fatal> {
        let message = GateToSupervisor::Authenticate {
            user,
            tls: self.tls_facts,
            host: self.host.clone(),
            client_name: self.client_name.clone(),
        };
        Ok(self.channel.send(&message, &[])?)
    }
}

/// What follows a message of the supervisor.
pub(super) enum Next {
    Go,
    HandOver,
    Close(GateClosed),
}

/// OPTS before login: what it would set belongs to the session, but for UTF8, which is always on.
fn opts(argument: &[u8]) -> Reply {
    match argument::options(argument) {
        Ok(Options::Utf8On) => Reply::UTF8,
        Ok(Options::Facts(_) | Options::Hash(_)) => Reply::NOT_LOGGED_IN,
        Err(error) => Reply::argument(error),
    }
}
