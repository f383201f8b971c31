//! REST (RFC 3659 section 5).

use super::ok_or_reply;
use crate::{
    ftp::{
        argument::{self, TransferType},
        reply::Reply,
    },
    session::Session,
};

impl Session<'_> {
    pub(super) fn rest(&mut self, argument: &[u8]) -> Reply {
        let offset = ok_or_reply!(argument::offset(argument).map_err(Reply::argument));
        if offset > 0 && self.kind == TransferType::Ascii {
            return Reply::REST_IN_ASCII;
        }
        self.offset = offset;
        Reply::offset(offset)
    }
}
