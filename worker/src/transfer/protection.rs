//! PROT P: which data connections are TLS, and how they end.

use std::os::fd::OwnedFd;

use ipc::{
    account::TlsDemand,
    session::{SessionToSupervisor, TransferKind},
};

use super::{DataConnection, Outcome, Transfer};
use crate::{
    Fatal,
    ftp::{
        argument::{self, ProtectionLevel},
        reply::Reply,
    },
    session::Session,
    tls::{Buffers, DataTls, TransferDirection},
};

/// Most bytes that are taken off a finished connection before it is closed.
const UNREAD: usize = 4096;

/// What a session knows of the protection of its data connections. Only a session of a client whose
/// control connection is TLS has it.
pub struct Protection {
    /// TLS with the control connection's resumption entries.
    pub tls: DataTls,
    /// When TLS is demanded of this account.
    pub demand: TlsDemand,
    /// PBSZ was sent.
    pub pbsz: bool,
    /// PROT P was sent.
    pub private: bool,
    /// Buffers for the next data connection.
    pub buffers: Buffers,
    /// The socket of the last one. Closing it before the client has read its last bytes could turn
    /// the client's own close_notify into a reset of what it has not read yet.
    pub parting: Option<OwnedFd>,
}

/// Says nothing of resumption entries.
impl std::fmt::Debug for Protection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Protection")
            .field("demand", &self.demand)
            .field("private", &self.private)
            .finish_non_exhaustive()
    }
}

impl Session<'_> {
    /// Why no data connection may be opened as things are: it would be plain where TLS is demanded.
    pub(super) fn unprotected(&self) -> Option<Reply> {
        let protection = self.protection.as_ref()?;
        let demanded = protection.demand >= TlsDemand::ControlAndData;
        (demanded && !protection.private).then_some(Reply::DATA_MUST_BE_TLS)
    }

    /// Makes sure that there is a signing channel, if a data connection may need one.
    pub(super) fn prepare_protection(&mut self) -> Result<(), Fatal> {
        let needed = self.protection.as_ref().is_some_and(|p| p.private && p.tls.needs_keeper());
        if !needed {
            return Ok(());
        }
        self.channel.send(&SessionToSupervisor::NeedKeeper, &[])?;
        if let Some(channel) = self.await_keeper()?
            && let Some(protection) = &self.protection
        {
            protection.tls.attach(channel);
        }
        Ok(())
    }

    /// Puts a data connection that has come up under TLS, if the client wants it so.
    pub(super) fn protect(
        &mut self,
        transfer: &Transfer,
        socket: OwnedFd,
    ) -> Result<DataConnection, Outcome> {
        let Some(protection) = self.protection.as_mut().filter(|p| p.private) else {
            return Ok(DataConnection::Plain(socket));
        };
        let direction = match transfer.kind {
            TransferKind::Upload | TransferKind::Append => TransferDirection::FromClient,
            TransferKind::Download | TransferKind::Listing => TransferDirection::ToClient,
        };
        let buffers = std::mem::take(&mut protection.buffers);
        match protection.tls.accept(socket, direction) {
            Ok(handshake) => Ok(DataConnection::protected(handshake.with_buffers(buffers))),
            Err(error) => Err(Outcome::NoHandshake(error.to_string())),
        }
    }

    /// Closes a data connection on which everything was said.
    pub(super) fn part_with(&mut self, connection: DataConnection) {
        let Some(protection) = &mut self.protection else { return };
        let Some((socket, buffers)) = connection.into_parts() else { return };
        protection.buffers = buffers;
        if let Some(last) = protection.parting.replace(socket) {
            // The client has long read everything. What it said last (its close_notify) is taken,
            // because unread bytes would make the close a reset.
            let mut unread = [0; UNREAD];
            rustix::io::read(&last, &mut unread).ok();
        }
    }

    /// PBSZ (RFC 4217 section 8).
    pub(crate) fn pbsz(&mut self, argument: &[u8]) -> Reply {
        let Some(protection) = &mut self.protection else { return Reply::PROT_NEEDS_TLS };
        match argument::buffer_size(argument) {
            Ok(()) => {
                protection.pbsz = true;
                Reply::PBSZ
            }
            Err(error) => Reply::argument(error),
        }
    }

    /// PROT (RFC 4217 section 9).
    pub(crate) fn prot(&mut self, argument: &[u8]) -> Reply {
        let Some(protection) = &mut self.protection else { return Reply::PROT_NEEDS_TLS };
        if !protection.pbsz {
            return Reply::PROT_NEEDS_PBSZ;
        }
        match argument::protection_level(argument) {
            Ok(ProtectionLevel::Clear) if protection.demand >= TlsDemand::ControlAndData => {
                Reply::PROT_PRIVATE_DEMANDED
            }
            Ok(ProtectionLevel::Clear) => {
                protection.private = false;
                Reply::PROT_CLEAR
            }
            Ok(ProtectionLevel::Private) => {
                protection.private = true;
                Reply::PROT_PRIVATE
            }
            Ok(ProtectionLevel::NotSupported) => Reply::PROT_LEVEL,
            Err(error) => Reply::argument(error),
        }
    }
}
