//! AUTH TLS, PBSZ and PROT before login (RFC 4217), and the handshake of the control connection.

use std::{os::fd::OwnedFd, time::Instant};

use ipc::{
    account::TlsDemand,
    bounded::Bytes,
    gate::{GateClosed, GateToSupervisor, Protection, SupervisorToGate},
    last_words,
};
use policy::{LockedDown, Role};
use rustix::event::{PollFd, PollFlags};

use super::{
    SupervisorChannel,
    login::LoginStep,
    serve::{Flow, Gate},
};
use crate::{
    Fatal,
    control::{ControlConnection, Stream},
    ftp::{
        argument::{self, ProtectionLevel},
        reply::Reply,
    },
    rate::{deadline, earlier},
    relay::Relay,
    tls::{ControlTls, Established, Handshake, Progress, Stream as TlsStream, TlsError},
    wait::poll_until,
};

/// Longest a handshake may take, in seconds: three round trips of a slow line.
const HANDSHAKE_SECONDS: u64 = 30;

/// Why a connection was closed whose client sent commands behind AUTH TLS, in the clear.
const BEHIND_AUTH: &str = "the client sent something behind AUTH TLS, in the clear";

/// What became of a handshake.
pub(crate) type Shaken = Result<(TlsStream, Established), GateClosed>;

impl Gate<'_> {
    /// AUTH (RFC 4217 section 4). When it is accepted, nothing may follow it in the clear: what
    /// does is either an attack (its sender hopes that it is taken for something sent under TLS) or
    /// the client's first record, which does not come before the 234.
    pub(super) fn auth(&mut self, argument: &[u8]) -> Flow {
        if let Err(error) = argument::mechanism(argument) {
            return self.refuse(&Reply::argument(error));
        }
        if self.tls.is_none() {
            return self.refuse(&Reply::TLS_NOT_CONFIGURED);
        }
        if matches!(self.protection, Protection::Tls { .. }) {
            return self.refuse(&Reply::ALREADY_TLS);
        }
        if self.control.discard_pending() {
            self.say(&Reply::AUTH_PIPELINED);
            return Flow::Break(GateClosed::Tls(BEHIND_AUTH.into()));
        }
        self.auth_accepted = true;
        self.say(&Reply::AUTH_TLS);
        Flow::Continue(())
    }

    /// PBSZ (RFC 4217 section 8).
    pub(super) fn pbsz(&mut self, argument: &[u8]) -> Reply {
        let Protection::Tls { pbsz, .. } = &mut self.protection else {
            return Reply::PROT_NEEDS_TLS;
        };
        match argument::buffer_size(argument) {
            Ok(()) => {
                *pbsz = true;
                Reply::PBSZ
            }
            Err(error) => Reply::argument(error),
        }
    }

    /// PROT (RFC 4217 section 9).
    pub(super) fn prot(&mut self, argument: &[u8]) -> Reply {
        let Protection::Tls { pbsz, private_data, .. } = &mut self.protection else {
            return Reply::PROT_NEEDS_TLS;
        };
        if !*pbsz {
            return Reply::PROT_NEEDS_PBSZ;
        }
        let demand = self.settings.tls.as_ref().map_or(TlsDemand::None, |tls| tls.demand);
        match argument::protection_level(argument) {
            Ok(ProtectionLevel::Clear) if demand >= TlsDemand::ControlAndData => {
                Reply::PROT_PRIVATE_DEMANDED
            }
            Ok(ProtectionLevel::Clear) => {
                *private_data = false;
                Reply::PROT_CLEAR
            }
            Ok(ProtectionLevel::Private) => {
                *private_data = true;
                Reply::PROT_PRIVATE
            }
            Ok(ProtectionLevel::NotSupported) => Reply::PROT_LEVEL,
            Err(error) => Reply::argument(error),
        }
    }

    /// Puts the control connection under TLS. Everything said before is forgotten: a name that came
    /// in the clear is no name. `None`: the gate is over, and the supervisor has been told why.
    ///
    /// # Errors
    /// When the supervisor is gone or waiting fails.
    pub(super) fn secure(self) -> Result<Option<Self>, Fatal> {
        let until = earlier(
            deadline(self.began, self.settings.login_timeout),
            deadline(Instant::now(), HANDSHAKE_SECONDS),
        );
        let shaken = match (&self.tls, self.control.into_parts()) {
            (Some(tls), (Stream::Plain(socket), unread)) if unread.is_empty() => {
                shake_hands(tls, socket, &self.channel, until)?
            }
            (Some(_), (Stream::Plain(_), _)) => Err(GateClosed::Tls(BEHIND_AUTH.into())),
            (Some(_), (Stream::Tls(_), _)) => Err(GateClosed::Tls("it is TLS already".into())),
            (None, _) => Err(GateClosed::Tls("no certificate is loaded".into())),
        };
        let (stream, established) = match shaken {
            Ok(done) => done,
            Err(closed) => {
                self.channel.send(&GateToSupervisor::Closed(closed), &[])?;
                return Ok(None);
            }
        };
        let Established { facts, resumed: _, server_name, client_name } = established;
        Ok(Some(Gate {
            control: ControlConnection::new(Stream::Tls(Box::new(stream)), b""),
            auth_accepted: false,
            step: LoginStep::Nobody,
            host: server_name.map(|name| Bytes::cut(name.into_bytes())),
            client_name,
            tls_facts: Some(facts),
            protection: Protection::Tls {
                resumption: Vec::new(),
                private_data: false,
                pbsz: false,
            },
            ..self
        }))
    }
}

/// Becomes the relay, when the supervisor has the socket to the session ready. There is nothing left
/// to sign, so the caller has let go of its signing channel.
///
/// Does not return but in failure.
///
/// # Errors
/// When the supervisor is gone, or the sandbox cannot be narrowed.
pub(crate) fn become_relay(
    channel: &SupervisorChannel,
    locked: &LockedDown,
    client: TlsStream,
) -> Result<(), Fatal> {
    let mut received = channel.recv()?;
    let session = match received.message {
        SupervisorToGate::BecomeRelay => received.fds.pop().ok_or(Fatal::OutOfTurn)?,
        SupervisorToGate::End { .. } => return Ok(()),
        SupervisorToGate::AuthResult(_)
        | SupervisorToGate::Authenticator
        | SupervisorToGate::Boot { .. }
        | SupervisorToGate::Serve { .. }
        | SupervisorToGate::KeeperChannel
        | SupervisorToGate::NotAvailable => return Err(Fatal::OutOfTurn),
    };
    policy::narrow(Role::Relay, locked).map_err(Fatal::NotNarrowed)?;
    let mut relay = Relay::new(client, session);
    relay.run();
    last_words::leave(0)
}

/// Shakes hands, and listens to the supervisor meanwhile.
///
/// # Errors
/// When the supervisor is gone or waiting fails.
pub(crate) fn shake_hands(
    tls: &ControlTls,
    socket: OwnedFd,
    channel: &SupervisorChannel,
    until: Option<Instant>,
) -> Result<Shaken, Fatal> {
    let mut handshake = match tls.accept(socket) {
        Ok(handshake) => handshake,
        Err(error) => return Ok(Err(failed(&error))),
    };
    loop {
        let flags = match handshake.advance() {
            Ok(Progress::Done) => return Ok(handshake.into_stream().map_err(|e| failed(&e))),
            Ok(Progress::WantsRead) => PollFlags::IN,
            Ok(Progress::WantsWrite) => PollFlags::OUT,
            Err(error) => {
                linger(&handshake);
                return Ok(Err(failed(&error)));
            }
        };
        let mut fds = [PollFd::new(channel, PollFlags::IN), PollFd::new(&handshake, flags)];
        if poll_until(&mut fds, until)? == 0 {
            return Ok(Err(GateClosed::Tls("the TLS handshake took too long".into())));
        }
        if fds.first().is_some_and(|fd| !fd.revents().is_empty()) {
            return match channel.recv()?.message {
                // No reply can be sent in the middle of a handshake.
                SupervisorToGate::End { .. } => Ok(Err(GateClosed::Ended)),
                SupervisorToGate::AuthResult(_)
                | SupervisorToGate::Authenticator
                | SupervisorToGate::Boot { .. }
                | SupervisorToGate::Serve { .. }
                | SupervisorToGate::BecomeRelay
                | SupervisorToGate::KeeperChannel
                | SupervisorToGate::NotAvailable => Err(Fatal::OutOfTurn),
            };
        }
    }
}

fn failed(error: &TlsError) -> GateClosed {
    match error {
        TlsError::HandshakeClosed => GateClosed::ClientClosed,
        other => GateClosed::Tls(other.to_string()),
    }
}

/// Sends FIN behind the alert that was sent, so that the client reads it before the reset that its
/// unread bytes may cause.
fn linger(handshake: &Handshake) {
    // A client that has gone needs no farewell.
    rustix::net::shutdown(handshake, rustix::net::Shutdown::Write).ok();
}
