//! FEAT and OPTS (RFC 2389), LANG (RFC 2640 section 4).

use super::ok_or_reply;
use crate::{
    ftp::{
        argument::{self, Options},
        reply::Reply,
    },
    session::Session,
};

impl Session<'_> {
    pub(super) fn feat(&self) -> Reply {
        Reply::features(self.tls, self.facts, self.algorithm)
    }

    pub(super) fn opts(&mut self, argument: &[u8]) -> Reply {
        match ok_or_reply!(argument::options(argument).map_err(Reply::argument)) {
            Options::Utf8On => Reply::UTF8,
            Options::Facts(facts) => {
                self.facts = facts;
                Reply::facts_chosen(facts)
            }
            Options::Hash(chosen) => {
                self.algorithm = chosen.unwrap_or(self.algorithm);
                Reply::algorithm(self.algorithm)
            }
        }
    }
}

pub(super) fn lang(argument: &[u8]) -> Reply {
    argument::language(argument).map_or_else(Reply::argument, |()| Reply::LANGUAGE)
}
