//! The logins of one connection: who is tried, how the attempt is judged, what the log and the
//! penalties learn, and what the client is told: always the same words for every wrong login.

use std::time::Duration;

use ipc::{
    account::Account,
    authenticator::{Attempt, GUESSING, I2ftpAccount, Verdict},
    bounded::{Bytes, Secret, UserName},
    gate::{AuthResult, GateToSupervisor, Service},
    tls_facts::TlsFacts,
};

use rustix::rand::GetRandomFlags;
use tokio::time::Instant;

use crate::{
    connection::Connection,
    login,
    pam_session::PamSession,
    penalties::{Cause, Judgement},
    pool::GateChannel,
};

/// Said when the server itself is at fault, or busy.
const UNAVAILABLE: &str = "Logins are not possible at the moment; try again later.";

/// What to do after an attempt.
#[derive(Debug)]
pub enum Outcome {
    /// Tell the gate.
    Answer(AuthResult),
    /// End the connection with this reply line.
    End(String),
    /// Start the session.
    LoggedIn(Account),
}

/// Whose code is awaited.
#[derive(Debug)]
struct AwaitedCode {
    /// The name that was typed.
    user: UserName,
    /// The name by which the account store knows whoever's password was right.
    canonical: UserName,
    /// Whether the password came over TLS, as the gate says.
    tls: bool,
}

/// The attempts of one connection.
#[derive(Debug)]
pub struct Attempts<'a> {
    connection: &'a Connection,
    /// Its gate, which passes what was typed to the authenticator.
    gate: &'a GateChannel,
    failures: u32,
    /// Whose password was right, while the code is awaited. The gate cannot name another account.
    awaiting_code: Option<AwaitedCode>,
    /// I2FTP: what the next proof must answer. Made here, so that a gate that has been taken over
    /// cannot pass on an answer recorded elsewhere.
    nonce: Option<Bytes<64>>,
    /// What the control connection's TLS agreed on, as the gate says: for the log only.
    pub tls: Option<TlsFacts>,
}

impl<'a> Attempts<'a> {
    /// No attempt yet.
    pub fn new(connection: &'a Connection, gate: &'a GateChannel) -> Self {
        Attempts { connection, gate, failures: 0, awaiting_code: None, nonce: None, tls: None }
    }

    /// Whether the gate may ask this now. Only one that has been taken over asks out of turn: a code
    /// that nobody waits for, a proof without a nonce, or another protocol than its client speaks.
    pub fn in_turn(&self, message: &GateToSupervisor) -> bool {
        let i2ftp = match self.connection.service {
            Service::I2ftp | Service::I2ftpTls => true,
            Service::Ftp | Service::FtpsImplicit => false,
        };
        match message {
            GateToSupervisor::Authenticate { .. } | GateToSupervisor::MalformedLogin => !i2ftp,
            GateToSupervisor::SecondFactor => self.awaiting_code.is_some(),
            GateToSupervisor::I2ftpKnock { .. } => i2ftp,
            GateToSupervisor::I2ftpProof { .. } => self.nonce.is_some(),
            GateToSupervisor::Closed(_) => true,
            GateToSupervisor::NeedKeeper
            | GateToSupervisor::Ready(_)
            | GateToSupervisor::Failed(_)
            | GateToSupervisor::Handover { .. } => false,
        }
    }

    /// A name and a password that was typed, and the name in the client's certificate, if it has shown
    /// one.
    pub async fn password(
        &mut self,
        user: UserName,
        tls: bool,
        client_name: Option<Bytes<255>>,
    ) -> Outcome {
        self.awaiting_code = None;
        let server = &self.connection.server;
        // Connections that were open before the penalty would be guesses for free.
        if let Judgement::Refused(_) = server.penalty(self.connection.client.ip()) {
            return Outcome::End(
                "421 Too many failures from your address; try again later.".into(),
            );
        }
        if login::is_anonymous(server, &user) {
            let anonymous_root =
                server.config().anonymous.as_ref().map(|anonymous| anonymous.root.clone());
            return match accounts::anonymous(anonymous_root.as_deref()) {
                Ok(account) => self.granted(&user, account, tls),
                Err(e) => self.broken(&user, &e.to_string()),
            };
        }
        let config = server.config();
        let bound = config.tls.as_ref().is_some_and(|tls| tls.client_certificate_names_account);
        let client_name = client_name.filter(|_| bound);
        let attempt = Attempt::Password { user: user.clone(), client_name };
        self.judge(user, tls, attempt).await
    }

    /// A name, password or code that no account can have.
    pub async fn malformed(&mut self) -> Outcome {
        self.awaiting_code = None;
        self.failed(None, "malformed", AuthResult::Refused, Instant::now()).await
    }

    /// The code of a second factor.
    pub async fn second_factor(&mut self) -> Outcome {
        let Some(AwaitedCode { user, canonical, tls }) = self.awaiting_code.take() else {
            // Only a gate that has been taken over asks this.
            return Outcome::Answer(AuthResult::Refused);
        };
        let attempt = Attempt::SecondFactor { user: user.clone(), canonical };
        self.judge(user, tls, attempt).await
    }

    /// The first bytes of I2FTP. If they are right, the client is told what to prove itself with.
    pub async fn i2ftp_knock(&mut self, key: [u8; 16]) -> Outcome {
        self.nonce = None;
        let Some(psk) = self.psk() else { return Self::unavailable() };
        if let Err(outcome) = self.i2ftp(Attempt::I2ftpKnock { psk, key }).await {
            return outcome;
        }
        let mut nonce = vec![0; 64];
        let filled = rustix::rand::getrandom(&mut nonce, GetRandomFlags::empty()) == Ok(64);
        match Bytes::try_from(nonce) {
            Ok(nonce) if filled => {
                self.nonce = Some(nonce.clone());
                Outcome::Answer(AuthResult::Welcome { nonce })
            }
            Ok(_) | Err(_) => Self::unavailable(),
        }
    }

    /// The proof of I2FTP, once for each nonce.
    pub async fn i2ftp_proof(&mut self, proof: Bytes<64>) -> Outcome {
        let Some(nonce) = self.nonce.take() else {
            // Only a gate that has been taken over proves before it knocks.
            return Outcome::Answer(AuthResult::Refused);
        };
        let Some(psk) = self.psk() else { return Self::unavailable() };
        let Some(account) = self.i2ftp_account() else { return Self::unavailable() };
        let attempt = Attempt::I2ftpProof { psk, nonce, proof, account };
        let (user, account) = match self.i2ftp(attempt).await {
            Ok((user, Some(account))) => (user, account),
            Ok((user, None)) => return self.broken(&user, "the verdict has no account"),
            Err(outcome) => return outcome,
        };
        let tls = match self.connection.service {
            Service::I2ftpTls => true,
            Service::I2ftp | Service::Ftp | Service::FtpsImplicit => false,
        };
        self.granted(&user, account, tls)
    }

    /// Whose account the clients of I2FTP get; a reload may have taken I2FTP away.
    fn i2ftp_account(&self) -> Option<I2ftpAccount> {
        self.connection.server.config().i2ftp.as_ref().map(|i2ftp| I2ftpAccount {
            account: i2ftp.account.clone(),
            root: i2ftp.root.clone(),
            read_only: i2ftp.read_only,
        })
    }

    /// The pre-shared key; a reload may have taken I2FTP away.
    fn psk(&self) -> Option<Secret> {
        self.connection.server.config().i2ftp.as_ref().map(|i2ftp| i2ftp.key.clone())
    }

    fn unavailable() -> Outcome {
        Outcome::Answer(AuthResult::Unavailable(UNAVAILABLE.into()))
    }

    /// Has one half of I2FTP's login judged. If it is right: the name it goes by in the log, and, of
    /// the second half, the account.
    async fn i2ftp(&mut self, attempt: Attempt) -> Result<(UserName, Option<Account>), Outcome> {
        let Ok(user) = UserName::try_from("i2ftp".to_owned()) else {
            return Err(Outcome::Answer(AuthResult::Refused));
        };
        match self.connection.service {
            Service::I2ftp | Service::I2ftpTls => {}
            // Only a gate that has been taken over knocks for a client of another listener.
            Service::Ftp | Service::FtpsImplicit => {
                return Err(Outcome::Answer(AuthResult::Refused));
            }
        }
        let address = self.connection.client.ip();
        let started = Instant::now();
        match login::judge(&self.connection.server, address, false, attempt, None).await {
            Ok(Verdict::I2ftpRight) => Ok((user, None)),
            Ok(Verdict::Granted(account)) => Ok((user, Some(account))),
            Ok(verdict) => Err(self.refused(&user, &verdict, started).await),
            Err(e) => Err(self.broken(&user, &e.to_string())),
        }
    }

    async fn judge(&mut self, user: UserName, tls: bool, attempt: Attempt) -> Outcome {
        let address = self.connection.client.ip();
        let started = Instant::now();
        match login::judge(&self.connection.server, address, tls, attempt, Some(self.gate)).await {
            Ok(Verdict::Granted(account)) => self.granted(&user, account, tls),
            Ok(Verdict::GrantedInSession(account)) => {
                self.granted_in_session(&user, account, tls, started).await
            }
            Ok(Verdict::NeedSecondFactor { canonical }) => {
                self.awaiting_code = Some(AwaitedCode { user, canonical, tls });
                Outcome::Answer(AuthResult::NeedSecondFactor)
            }
            Ok(verdict) => self.refused(&user, &verdict, started).await,
            Err(e) => self.broken(&user, &e.to_string()),
        }
    }

    /// A system user for whom a PAM session is opened first.
    async fn granted_in_session(
        &mut self,
        user: &UserName,
        account: Account,
        tls: bool,
        started: Instant,
    ) -> Outcome {
        let connection = self.connection;
        let (server, client) = (&connection.server, connection.client.ip());
        match PamSession::open(server, account.name.clone(), client).await {
            Ok(session) => {
                let outcome = self.granted(user, account, tls);
                if matches!(outcome, Outcome::LoggedIn(_)) {
                    connection.pam_session.replace(Some(session));
                }
                outcome
            }
            Err(Ok(verdict)) => self.refused(user, &verdict, started).await,
            Err(Err(e)) => self.broken(user, &e.to_string()),
        }
    }

    fn granted(&self, user: &UserName, account: Account, tls: bool) -> Outcome {
        let connection = self.connection;
        let server = &connection.server;
        if account.identity.uid == 0 {
            return self.broken(user, "the account has uid 0, which is never served");
        }
        let demand = account.tls.unwrap_or(server.config().tls_demand());
        if !tls && demand > ipc::account::TlsDemand::None {
            return self.tls_demanded(user);
        }
        let limit = server.config().max_sessions_of(&account);
        if !connection.entry.log_in(&account, tls, limit) {
            log_event!(
                LoginRefused,
                session = connection.session.0,
                client = %connection.client.ip(),
                account = account.name.as_str(),
                reason = "session-limit",
            );
            let text = "Too many sessions of this account; close one and try again.";
            return Outcome::Answer(AuthResult::Unavailable(text.into()));
        }
        log_event!(
            Login,
            session = connection.session.0,
            client = %connection.client.ip(),
            account = account.name.as_str(),
            uid = account.identity.uid,
            tls,
            tls_version = self.tls.map(|tls| tracing::field::display(tls.version())),
            tls_cipher = self.tls.map(|tls| tracing::field::display(tls.cipher())),
            tls_group = self.tls.map(|tls| tracing::field::display(tls.group())),
            extended_master_secret = self.tls.map(|tls| tls.extended_master_secret),
        );
        Outcome::LoggedIn(account)
    }

    /// A wrong login: one log line, a penalty, a delay that holds no process, and the words that
    /// every wrong login gets.
    async fn refused(&mut self, user: &UserName, verdict: &Verdict, started: Instant) -> Outcome {
        let (reason, answer) = match verdict {
            Verdict::Refused { reason } => (reason.as_str(), AuthResult::Refused),
            Verdict::Expired(text) => ("expired", AuthResult::Expired(text.clone())),
            Verdict::TlsDemanded => return self.tls_demanded(user),
            Verdict::Broken(what) => return self.broken(user, what),
            Verdict::Granted(_)
            | Verdict::GrantedInSession(_)
            | Verdict::SessionOpened
            | Verdict::SessionClosed
            | Verdict::NeedSecondFactor { .. }
            | Verdict::I2ftpRight => ("out-of-turn", AuthResult::Refused),
        };
        let reason = reason.to_owned();
        if reason.starts_with(GUESSING) {
            log_event!(
                SecondFactorGuessing,
                session = self.connection.session.0,
                client = %self.connection.client.ip(),
                account = user.as_str(),
                reason,
                "whoever sends codes for this account knows its password, or is its user"
            );
        }
        self.failed(Some(user), &reason, answer, started).await
    }

    async fn failed(
        &mut self,
        user: Option<&UserName>,
        reason: &str,
        answer: AuthResult,
        started: Instant,
    ) -> Outcome {
        let connection = self.connection;
        let server = &connection.server;
        log_event!(
            LoginFailed,
            session = connection.session.0,
            client = %connection.client.ip(),
            user = user.map_or("", UserName::as_str),
            reason,
        );
        server.counters.failed_login();
        server.penalise(connection.client.ip(), Cause::FailedLogin);
        self.failures = self.failures.saturating_add(1);
        // Counted from the start of the attempt, so that the time of the answer does not tell which
        // backend has judged.
        tokio::time::sleep_until(started + self.delay()).await;
        if self.failures >= server.config().attempts.max_attempts {
            return Outcome::End("421 Too many failed logins; goodbye.".into());
        }
        Outcome::Answer(answer)
    }

    /// The account demands TLS, and its password has come in the clear. No failure: the client is told.
    fn tls_demanded(&self, user: &UserName) -> Outcome {
        log_event!(
            LoginRefused,
            session = self.connection.session.0,
            client = %self.connection.client.ip(),
            account = user.as_str(),
            reason = "tls-demanded",
        );
        Outcome::Answer(AuthResult::TlsDemanded)
    }

    /// `failure_delay` after the first failure, doubled with each one, up to sixteen times as long.
    /// The same for every cause, so that it tells nothing. The failures are those of the connection,
    /// or of its address as long as that has a penalty for them: a client of I2FTP has one attempt
    /// for each connection.
    fn delay(&self) -> Duration {
        let server = &self.connection.server;
        let of_address = server.failed_logins_of(self.connection.client.ip());
        let doublings = self.failures.max(of_address).saturating_sub(1).min(4);
        let first = server.config().attempts.failure_delay;
        Duration::from_millis(first.saturating_mul(1 << doublings))
    }

    fn broken(&self, user: &UserName, what: &str) -> Outcome {
        log_event!(
            LoginImpossible,
            session = self.connection.session.0,
            client = %self.connection.client.ip(),
            user = user.as_str(),
            "{what}"
        );
        Self::unavailable()
    }
}
