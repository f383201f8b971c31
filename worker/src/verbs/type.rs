//! TYPE, STRU and MODE (RFC 959 section 4.1.2).

use super::ok_or_reply;
use crate::{
    ftp::{
        argument::{self, TransferType},
        reply::Reply,
    },
    session::Session,
};

impl Session<'_> {
    pub(super) fn set_type(&mut self, argument: &[u8]) -> Reply {
        self.kind = ok_or_reply!(argument::transfer_type(argument).map_err(Reply::argument));
        match self.kind {
            TransferType::Ascii => Reply::TYPE_ASCII,
            TransferType::Binary => Reply::TYPE_BINARY,
        }
    }
}

pub(super) fn stru(argument: &[u8]) -> Reply {
    argument::structure(argument).map_or_else(Reply::argument, |()| Reply::STRUCTURE)
}

pub(super) fn mode(argument: &[u8]) -> Reply {
    argument::mode(argument).map_or_else(Reply::argument, |()| Reply::MODE)
}
