//! MFMT and MFF (draft-somers-ftp-mfxx).

use ipc::session::FileOperation;

use super::{Answer, ok_or_answer};
use crate::{
    ftp::{argument, reply::Reply},
    session::Session,
};

impl Session<'_> {
    pub(super) fn mfmt(&mut self, argument: &[u8]) -> Answer {
        let parsed = argument::modify_time(argument).map_err(Reply::argument);
        let (time, name) = ok_or_answer!(parsed);
        let path = ok_or_answer!(self.resolve(name));
        let done = self.root.change_times(&path, None, Some(time));
        self.note(FileOperation::ChangeTime, &path, None, &done)?;
        Ok(Some(match done {
            Ok(()) => Reply::modify_set(time, name),
            Err(error) => Reply::file_error(error, name),
        }))
    }

    pub(super) fn mff(&mut self, argument: &[u8]) -> Answer {
        let parsed = argument::modify_facts(argument).map_err(Reply::argument);
        let (changes, name) = ok_or_answer!(parsed);
        let path = ok_or_answer!(self.resolve(name));
        if let Some(mode) = changes.unix_mode {
            let done = self.root.change_mode(&path, mode);
            self.note(FileOperation::ChangeMode, &path, None, &done)?;
            ok_or_answer!(done.map_err(|error| Reply::file_error(error, name)));
        }
        if let Some(time) = changes.modify {
            let done = self.root.change_times(&path, None, Some(time));
            self.note(FileOperation::ChangeTime, &path, None, &done)?;
            ok_or_answer!(done.map_err(|error| Reply::file_error(error, name)));
        }
        Ok(Some(Reply::facts_set(changes, name)))
    }
}
