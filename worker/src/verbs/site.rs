//! SITE (RFC 959 section 4.1.3): CHMOD, UMASK, IDLE, UTIME, SYMLINK, HELP, WHO.

use ipc::session::{FileOperation, SessionToSupervisor};

use super::{Answer, ok_or_answer};
use crate::{
    ftp::{
        reply::Reply,
        site::{self, Site},
        verb,
    },
    session::Session,
};

impl Session<'_> {
    pub(super) fn site(&mut self, argument: &[u8]) -> Answer {
        let name = argument.trim_ascii_start().split(|byte| *byte == b' ').next();
        if let Some(row) = verb::site_row(name.unwrap_or_default()) {
            if !row.need.is_met(self.account.rights) {
                return Ok(Some(Reply::RIGHT_MISSING));
            }
            if row.administrator && !self.account.administrator {
                return Ok(Some(Reply::NOT_THE_ADMINISTRATOR));
            }
        }
        let reply = match ok_or_answer!(site::site(argument).map_err(Reply::argument)) {
            Site::Chmod { mode, path: name } => {
                let path = ok_or_answer!(self.resolve(name));
                let done = self.root.change_mode(&path, mode);
                self.note(FileOperation::ChangeMode, &path, None, &done)?;
                done.map_or_else(|e| Reply::file_error(e, name), |()| Reply::MODE_CHANGED)
            }
            Site::Umask(mask) => {
                self.umask = mask.unwrap_or(self.umask);
                Reply::umask(self.umask)
            }
            Site::Idle(None) => Reply::idle(self.idle()),
            Site::Idle(Some(seconds)) => {
                if self.limits.idle_ctrl_timeout > 0 && seconds > self.limits.idle_ctrl_timeout {
                    Reply::IDLE_TOO_LONG
                } else {
                    self.idle = Some(seconds);
                    Reply::idle(seconds)
                }
            }
            Site::Utime { modify, access, path: name } => {
                let path = ok_or_answer!(self.resolve(name));
                let done = self.root.change_times(&path, access, Some(modify));
                self.note(FileOperation::ChangeTime, &path, None, &done)?;
                done.map_or_else(|e| Reply::file_error(e, name), |()| Reply::TIMES_CHANGED)
            }
            Site::Symlink { target, link: name } => {
                let link = ok_or_answer!(self.resolve(name));
                let done = self.root.make_symlink(target, &link);
                self.note(FileOperation::MakeSymlink, &link, None, &done)?;
                done.map_or_else(|e| Reply::file_error(e, name), |()| Reply::LINK_MADE)
            }
            Site::Help(name) => Reply::site_help(name),
            Site::Who => {
                self.channel.send(&SessionToSupervisor::Who, &[])?;
                self.who_asked = true;
                return Ok(None);
            }
        };
        Ok(Some(reply))
    }

    /// The supervisor's answer to SITE WHO.
    pub(crate) fn answer_who(&mut self, lines: &[String]) {
        if !std::mem::take(&mut self.who_asked) {
            return;
        }
        let lines: Vec<Vec<u8>> = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        self.say(&if lines.is_empty() {
            Reply::line(211, "Nobody is logged in.")
        } else {
            Reply::lines(211, "Logged in:", lines, "End")
        });
    }
}
