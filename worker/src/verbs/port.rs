//! PORT (RFC 959 section 4.1.2) and EPRT (RFC 2428 section 2), bounded by RFC 2577 section 3.

use std::net::SocketAddr;

use super::ok_or_reply;
use crate::{
    ftp::{argument, reply::Reply},
    session::{DataWay, Session},
};

/// Ports below are the system's own services.
const LOWEST_PORT: u16 = 1024;

impl Session<'_> {
    pub(super) fn port(&mut self, argument: &[u8]) -> Reply {
        if self.only_epsv {
            return Reply::ONLY_EPSV;
        }
        if self.local_v4().is_none() {
            return Reply::PORT_NEEDS_IPV4;
        }
        let address = ok_or_reply!(argument::host_port(argument).map_err(Reply::argument));
        self.announce(address.into(), Reply::PORT)
    }

    pub(super) fn eprt(&mut self, argument: &[u8]) -> Reply {
        if self.only_epsv {
            return Reply::ONLY_EPSV;
        }
        let address = ok_or_reply!(argument::extended_port(argument).map_err(Reply::argument));
        match (self.local_v4().is_some(), address.is_ipv4()) {
            (true, false) => Reply::FAMILY_V4_ONLY,
            (false, true) => Reply::FAMILY_V6_ONLY,
            (true, true) | (false, false) => self.announce(address, Reply::EPRT),
        }
    }

    /// The helper checks the same against what it knows; here the client is told early.
    fn announce(&mut self, to: SocketAddr, reply: Reply) -> Reply {
        let own = to.ip().to_canonical() == self.client.ip().to_canonical();
        if !own || to.port() < LOWEST_PORT {
            return Reply::PORT_BOUNCE;
        }
        if self.way == DataWay::Passive
            && let Some(listener) = &mut self.listener
        {
            listener.stale = true;
        }
        self.way = DataWay::Active(to);
        reply
    }
}
