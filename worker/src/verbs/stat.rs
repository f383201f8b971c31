//! STAT (RFC 959 section 4.1.3): the session, the transfer that runs, or a listing on the control
//! connection.

use ipc::account::Rights;

use super::ok_or_reply;
use crate::{
    ftp::{argument::TransferType, reply::Reply},
    session::{DataWay, Session},
    transfer::Scratch,
};

/// Entries of a listing on the control connection: its replies wait in memory.
const MAX_ENTRIES: u64 = 10_000;

impl Session<'_> {
    pub(super) fn stat(&mut self, argument: &[u8]) -> Reply {
        if argument.is_empty() {
            return Reply::lines(211, "Status:", self.status(), "End");
        }
        if !self.account.rights.contains(Rights::LIST) {
            return Reply::RIGHT_MISSING;
        }
        let (_, mut listing) = ok_or_reply!(self.prepare_listing(argument, false));
        let limit = self.limits.listing_entries;
        // RFC 959 section 4.2.2: 212 is of a directory, 213 of a file.
        let code = if listing.directory.is_some() { 212 } else { 213 };
        listing.limit = if limit == 0 { MAX_ENTRIES } else { limit.min(MAX_ENTRIES) };
        let mut scratch = Scratch::default();
        loop {
            match listing.read_some(&mut scratch) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return crate::transfer::ended(&error.into(), argument),
            }
        }
        let lines = scratch.out.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec());
        let lines: Vec<Vec<u8>> = lines.collect();
        if lines.is_empty() {
            return Reply::line(code, "Nothing is there.");
        }
        Reply::lines(code, "Status:", lines, "End")
    }

    fn status(&self) -> Vec<Vec<u8>> {
        let kind = match self.kind {
            TransferType::Ascii => "ASCII",
            TransferType::Binary => "binary",
        };
        let way = match self.way {
            DataWay::None => "none announced".to_owned(),
            DataWay::Passive => "passive".to_owned(),
            DataWay::Active(to) => format!("active, to {to}"),
        };
        let mut lines = vec![
            format!("Bulkhead; connected from {}", self.client.ip().to_canonical()),
            format!("Logged in as {}", self.account.name),
            format!("Type: {kind}; structure: file; mode: stream"),
            format!("Control connection: {}", if self.tls { "TLS" } else { "plain" }),
            format!("Data connection: {way}"),
        ];
        if let Some(transfer) = &self.transfer {
            lines.push(format!("Transfer running: {} bytes so far", transfer.moved()));
        }
        lines.into_iter().map(String::into_bytes).collect()
    }
}
