//! USER, PASS and ACCT (RFC 959 section 4.1.1).

use std::os::fd::OwnedFd;

use ipc::{
    Channel, ChannelError,
    account::TlsDemand,
    bounded::{Secret, UserName},
    gate::{GateToSupervisor, Protection},
    typed::{AuthenticatorToGate, GateToAuthenticator},
};

use super::serve::{Flow, Gate};
use crate::{Fatal, ftp::reply::Reply};

/// How far a login has come.
#[derive(Debug)]
pub(super) enum LoginStep {
    /// No USER yet.
    Nobody,
    /// The password comes. `None`: a name that no account can have; the answer is the same.
    Password(Option<UserName>),
    /// Name and password are judged. What was typed is kept until the authenticator takes it.
    Judged(Option<Secret>),
    /// The second factor comes.
    Code,
    /// It is judged; kept as a password is.
    CodeJudged(Option<Secret>),
}

impl Gate<'_> {
    pub(super) fn user(&mut self, name: &[u8]) -> Reply {
        let plain = matches!(self.protection, Protection::Plain);
        let demanded =
            self.settings.tls.as_ref().is_some_and(|tls| tls.demand >= TlsDemand::Control);
        self.plain_login = plain && demanded;
        if self.plain_login {
            return Reply::LOGIN_NEEDS_TLS;
        }
        let name = String::from_utf8(name.to_vec()).ok();
        let name = name.and_then(|name| UserName::try_from(name).ok());
        let anonymous = name.as_ref().is_some_and(is_anonymous);
        self.step = LoginStep::Password(name);
        if anonymous { Reply::NEED_PASSWORD_ANONYMOUS } else { Reply::NEED_PASSWORD }
    }

    pub(super) fn pass(&mut self, password: &[u8]) -> Result<Flow, Fatal> {
        let name = match std::mem::replace(&mut self.step, LoginStep::Nobody) {
            LoginStep::Password(name) => name,
            other @ (LoginStep::Nobody
            | LoginStep::Judged(_)
            | LoginStep::Code
            | LoginStep::CodeJudged(_)) => {
                self.step = other;
                return Ok(self.refuse(&Reply::USER_FIRST));
            }
        };
        let usable = name.filter(|name| !password.is_empty() || is_anonymous(name));
        match (usable, Secret::try_from(password.to_vec())) {
            (Some(name), Ok(password)) => {
                self.authenticate(name)?;
                self.step = LoginStep::Judged(Some(password));
                Ok(Flow::Continue(()))
            }
            (None, _) | (_, Err(_)) => self.malformed(LoginStep::Judged(None)),
        }
    }

    pub(super) fn acct(&mut self, code: &[u8]) -> Result<Flow, Fatal> {
        if !matches!(self.step, LoginStep::Code) {
            return Ok(self.refuse(&Reply::PASS_FIRST));
        }
        match Secret::try_from(code.to_vec()) {
            Ok(code) => {
                self.channel.send(&GateToSupervisor::SecondFactor, &[])?;
                self.step = LoginStep::CodeJudged(Some(code));
                Ok(Flow::Continue(()))
            }
            Err(_) => self.malformed(LoginStep::CodeJudged(None)),
        }
    }

    /// Passes what was typed on to the authenticator, once.
    pub(super) fn tell_authenticator(&mut self, channel: OwnedFd) -> Result<(), Fatal> {
        let typed = match &mut self.step {
            LoginStep::Judged(typed) | LoginStep::CodeJudged(typed) => typed.take(),
            LoginStep::Nobody | LoginStep::Password(_) | LoginStep::Code => None,
        };
        let typed = typed.ok_or(Fatal::OutOfTurn)?;
        let channel = Channel::<GateToAuthenticator, AuthenticatorToGate>::from_fd(channel);
        match channel.try_send(&GateToAuthenticator::Typed(typed), &[]) {
            // The supervisor says what follows when an authenticator has ended.
            Ok(()) | Err(ChannelError::Closed) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// What no account can have is refused by the supervisor all the same: at the same time and in
    /// the same words as a wrong password, and counted like one.
    fn malformed(&mut self, step: LoginStep) -> Result<Flow, Fatal> {
        self.channel.send(&GateToSupervisor::MalformedLogin, &[])?;
        self.step = step;
        Ok(Flow::Continue(()))
    }
}

/// The names of RFC 1635, which need no password.
fn is_anonymous(name: &UserName) -> bool {
    matches!(name.as_str(), "anonymous" | "ftp")
}
