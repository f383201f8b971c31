//! ABOR (RFC 959 section 4.1.3): 426 for the transfer, 226 for ABOR itself; with urgent data or
//! without. The line reader drops the Telnet signals that come before it.

use super::Answer;
use crate::{ftp::reply::Reply, session::Session};

impl Session<'_> {
    pub(super) fn abor(&mut self) -> Answer {
        if self.summing.take().is_some() {
            self.say(&Reply::TRANSFER_ABORTED);
            return Ok(Some(Reply::ABORTED));
        }
        if self.transfer.is_none() {
            return Ok(Some(Reply::NOTHING_TO_ABORT));
        }
        self.abort_transfer()?;
        Ok(Some(Reply::ABORTED))
    }
}
