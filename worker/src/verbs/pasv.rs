//! PASV (RFC 959 section 4.1.2) and EPSV (RFC 2428 section 3).

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use super::{Answer, ok_or_answer};
use crate::{
    Fatal,
    ftp::{
        argument::{self, ExtendedPassive},
        reply::Reply,
    },
    session::{DataWay, NoConnection, Session},
};

impl Session<'_> {
    pub(super) fn pasv(&mut self) -> Answer {
        if self.only_epsv {
            return Ok(Some(Reply::ONLY_EPSV));
        }
        let Some(local) = self.local_v4() else { return Ok(Some(Reply::PASV_NEEDS_IPV4)) };
        let address = self.settings.passive_address.unwrap_or(local);
        Ok(Some(match self.listen()? {
            Ok(port) => Reply::passive(SocketAddrV4::new(address, port)),
            Err(none) => no_connection(none),
        }))
    }

    pub(super) fn epsv(&mut self, argument: &[u8]) -> Answer {
        let wanted = ok_or_answer!(argument::extended_passive(argument).map_err(Reply::argument));
        let v4 = self.local_v4().is_some();
        match wanted {
            ExtendedPassive::All => {
                self.only_epsv = true;
                return Ok(Some(Reply::EPSV_ALL));
            }
            ExtendedPassive::V6 if v4 => return Ok(Some(Reply::FAMILY_V4_ONLY)),
            ExtendedPassive::V4 if !v4 => return Ok(Some(Reply::FAMILY_V6_ONLY)),
            ExtendedPassive::Any | ExtendedPassive::V4 | ExtendedPassive::V6 => {}
        }
        Ok(Some(match self.listen()? {
            Ok(port) => Reply::extended_passive(port),
            Err(none) => no_connection(none),
        }))
    }

    /// The address of the control connection, if it is IPv4.
    pub(super) fn local_v4(&self) -> Option<Ipv4Addr> {
        match self.local.ip().to_canonical() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    fn listen(&mut self) -> Result<Result<u16, NoConnection>, Fatal> {
        let port = match self.ask_listen()? {
            Ok(port) => port,
            Err(none) => return Ok(Err(none)),
        };
        // A connection to an announcement that was never used must not serve this one.
        let stale = self.listener.as_ref().is_some_and(|listener| listener.stale);
        if stale || self.way == DataWay::Passive {
            self.drain_listener();
        }
        self.way = DataWay::Passive;
        Ok(Ok(port))
    }
}

/// The reply when there is no data connection to have.
pub(crate) fn no_connection(none: NoConnection) -> Reply {
    match none {
        NoConnection::Refused(refusal) => Reply::refusal(refusal),
        NoConnection::NoHelper => Reply::HELPER_GONE,
    }
}
