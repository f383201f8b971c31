//! QUIT (RFC 959 section 4.1.1).

use ipc::session::SessionClosed;

use crate::{ftp::reply::Reply, session::Session};

impl Session<'_> {
    pub(super) fn quit(&mut self) -> Reply {
        self.ending = Some(SessionClosed::Quit);
        Reply::GOODBYE
    }
}
