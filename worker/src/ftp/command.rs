//! A command line as verb and argument (RFC 959 section 5.3).

use zeroize::Zeroizing;

use super::verb::{self, Arguments, Need, Row, Verb};

/// A command whose verb is known and whose argument is there or not, as its row says.
#[derive(Debug, Clone)]
pub struct Command {
    /// The verb.
    pub verb: Verb,
    /// Its row in the table, under the name the client used.
    pub row: &'static Row,
    /// Everything behind the one space that follows the verb, byte for byte; wiped when dropped,
    /// for it may be a password.
    pub argument: Zeroizing<Vec<u8>>,
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandError {
    /// An empty line: 500.
    Empty,
    /// No verb this server knows: 500.
    Unknown,
    /// A verb of an RFC that this server does not do: 502.
    NotImplemented,
    /// No verb, but the method of an HTTP request, which no FTP client sends: close (ALPACA).
    Http,
    /// The verb needs an argument: 501.
    ArgumentMissing(&'static Row),
    /// The verb has no argument: 501.
    ArgumentUnexpected(&'static Row),
}

/// What HTTP requests begin with. POST and GET are FTP verbs of no RFC.
const HTTP: [&[u8]; 9] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];

/// Verbs of RFC 959 and RFC 1639 for what there is no use here: mounting file systems, and
/// addresses of networks that are gone.
const NOT_IMPLEMENTED: [&[u8]; 3] = [b"SMNT", b"LPRT", b"LPSV"];

impl Command {
    /// Reads a line.
    ///
    /// # Errors
    /// [`CommandError`]: each has its own reply, and the session goes on.
    pub fn parse(line: &[u8]) -> Result<Command, CommandError> {
        let mut parts = line.splitn(2, |byte| *byte == b' ');
        let name = parts.next().unwrap_or_default();
        let argument = parts.next();
        if line.iter().all(|byte| *byte == b' ') {
            return Err(CommandError::Empty);
        }
        let Some(row) = verb::row(name) else {
            if NOT_IMPLEMENTED.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                return Err(CommandError::NotImplemented);
            }
            let http = HTTP.iter().any(|method| method.eq_ignore_ascii_case(name))
                && argument.is_some_and(|rest| !rest.is_empty());
            return Err(if http { CommandError::Http } else { CommandError::Unknown });
        };
        let argument = argument.unwrap_or_default();
        let blank = argument.iter().all(|byte| *byte == b' ');
        match row.arguments {
            Arguments::Required if argument.is_empty() => {
                return Err(CommandError::ArgumentMissing(row));
            }
            Arguments::None if !blank => return Err(CommandError::ArgumentUnexpected(row)),
            Arguments::None | Arguments::Optional | Arguments::Required => {}
        }
        let argument = if row.arguments == Arguments::None { &[] } else { argument };
        Ok(Command { verb: row.verb, row, argument: Zeroizing::new(argument.to_vec()) })
    }

    /// Whether it moves data, or asks or changes the file system, when it is not refused.
    pub fn reaches_files(&self) -> bool {
        match self.verb {
            Verb::Cwd | Verb::Cdup => true,
            Verb::Stat => !self.argument.is_empty(),
            Verb::Site => {
                let word = self.argument.trim_ascii_start().split(|byte| *byte == b' ').next();
                let row = verb::site_row(word.unwrap_or_default());
                row.is_some_and(|row| row.need != Need::Nothing)
            }
            // What only prepares a sum or an upload needs the right of what it prepares.
            Verb::Rang | Verb::Allo => false,
            _ => self.row.need != Need::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[u8]) -> (Verb, Vec<u8>) {
        let command = Command::parse(line).unwrap();
        (command.verb, command.argument.to_vec())
    }

    #[test]
    fn verbs_are_read_in_any_case_and_arguments_byte_for_byte() {
        assert_eq!(parsed(b"retr  a b "), (Verb::Retr, b" a b ".to_vec()));
        assert_eq!(parsed(b"XcWd \xff"), (Verb::Cwd, b"\xff".to_vec()));
        assert_eq!(parsed(b"PASS"), (Verb::Pass, vec![]));
        assert_eq!(parsed(b"NOOP  "), (Verb::Noop, vec![]));
    }

    #[test]
    fn missing_and_extra_arguments_are_errors() {
        for row in verb::TABLE {
            let bare = Command::parse(row.name.as_bytes());
            let extra = Command::parse(format!("{} x", row.name).as_bytes());
            match row.arguments {
                Arguments::None => {
                    assert!(bare.is_ok(), "{}", row.name);
                    assert_eq!(extra.unwrap_err(), CommandError::ArgumentUnexpected(row));
                }
                Arguments::Optional => assert!(bare.is_ok() && extra.is_ok(), "{}", row.name),
                Arguments::Required => {
                    assert_eq!(bare.unwrap_err(), CommandError::ArgumentMissing(row));
                    assert!(extra.is_ok(), "{}", row.name);
                }
            }
        }
    }

    #[test]
    fn g1_only_commands_that_reach_no_file_are_idle() {
        let reaches = |line: &str| Command::parse(line.as_bytes()).unwrap().reaches_files();
        for line in ["RETR a", "STOR a", "LIST", "MLST", "STAT a", "DELE a", "CWD a", "CDUP"] {
            assert!(reaches(line), "{line}");
        }
        for line in ["SIZE a", "MDTM a", "HASH a", "RNTO a", "AVBL", "site chmod 644 a"] {
            assert!(reaches(line), "{line}");
        }
        for line in ["NOOP", "STAT", "HELP", "FEAT", "PWD", "TYPE I", "PASV", "REST 0"] {
            assert!(!reaches(line), "{line}");
        }
        for line in ["RANG 0 1", "ALLO 1", "SITE WHO", "SITE HELP", "SITE UMASK", "SITE FOO"] {
            assert!(!reaches(line), "{line}");
        }
    }

    #[test]
    fn what_is_no_command_is_told_apart() {
        let error = |line: &[u8]| Command::parse(line).unwrap_err();
        assert_eq!(error(b""), CommandError::Empty);
        assert_eq!(error(b"  "), CommandError::Empty);
        assert_eq!(error(b"FOO bar"), CommandError::Unknown);
        assert_eq!(error(b" USER a"), CommandError::Unknown);
        assert_eq!(error(b"smnt /"), CommandError::NotImplemented);
        assert_eq!(error(b"GET / HTTP/1.1"), CommandError::Http);
        assert_eq!(error(b"GET"), CommandError::Unknown);
    }
}
