//! Every reply: its code, its words, and the bytes that are sent (RFC 959 section 4.2).
//!
//! The one place where codes are chosen. Names of files come into replies as they are; the encoder
//! makes sure that no name can end a line, begin another, or be a Telnet command.

use std::borrow::Cow;

use super::{
    argument::ArgumentError, command::CommandError, digest::Algorithm, line::Line,
    listing::FactSet, path::PathError, verb,
};
use crate::files::FileError;
use ipc::helper::Refusal;

/// A reply of one line or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    text: Cow<'static, [u8]>,
    /// Between the first and the last line, without their ends.
    inner: Vec<Vec<u8>>,
    /// The last line, when there are several.
    last: &'static str,
}

/// Replies whose words are always the same.
#[rustfmt::skip]
#[allow(missing_docs, reason = "the words say it")]
impl Reply {
    pub const OPENING_DATA: Reply = Reply::fixed(150, "Opening the data connection.");
    pub const USING_DATA: Reply = Reply::fixed(125, "Data connection open; the transfer starts.");

    pub const NOOP: Reply = Reply::fixed(200, "NOOP done.");
    pub const PORT: Reply = Reply::fixed(200, "PORT done.");
    pub const EPRT: Reply = Reply::fixed(200, "EPRT done.");
    pub const EPSV_ALL: Reply = Reply::fixed(200, "EPSV ALL: no PORT, PASV or EPRT from now on.");
    pub const TYPE_ASCII: Reply = Reply::fixed(200, "Type is ASCII.");
    pub const TYPE_BINARY: Reply = Reply::fixed(200, "Type is binary.");
    pub const STRUCTURE: Reply = Reply::fixed(200, "Structure is file.");
    pub const MODE: Reply = Reply::fixed(200, "Mode is stream.");
    pub const UTF8: Reply = Reply::fixed(200, "UTF8 is on.");
    pub const LANGUAGE: Reply = Reply::fixed(200, "Replies are in English.");
    pub const CLIENT_NOTED: Reply = Reply::fixed(200, "Noted.");
    pub const CLIENT_IDENTITY: Reply = Reply::fixed(200, "Name=Bulkhead;");
    pub const PBSZ: Reply = Reply::fixed(200, "PBSZ=0");
    pub const PROT_CLEAR: Reply = Reply::fixed(200, "Data connections are plain.");
    pub const PROT_PRIVATE: Reply = Reply::fixed(200, "Data connections are TLS.");
    pub const ALLOCATED: Reply = Reply::fixed(200, "So much fits.");
    pub const MODE_CHANGED: Reply = Reply::fixed(200, "Mode changed.");
    pub const TIMES_CHANGED: Reply = Reply::fixed(200, "Times changed.");
    pub const LINK_MADE: Reply = Reply::fixed(200, "Link made.");
    pub const RANGE_FORGOTTEN: Reply = Reply::fixed(350, "The range is forgotten.");

    pub const SYSTEM: Reply = Reply::fixed(215, "UNIX Type: L8");
    pub const HOST: Reply = Reply::fixed(220, "Host noted; log in.");
    pub const REINITIALIZED: Reply = Reply::fixed(220, "Begun anew; log in.");
    pub const GOODBYE: Reply = Reply::fixed(221, "Goodbye.");
    pub const NOTHING_TO_ABORT: Reply = Reply::fixed(226, "No transfer was running.");
    pub const ABORTED: Reply = Reply::fixed(226, "ABOR done.");
    pub const COMPLETE: Reply = Reply::fixed(226, "Transfer complete.");
    pub const LISTED: Reply = Reply::fixed(226, "Listing complete.");
    pub const AUTH_TLS: Reply = Reply::fixed(234, "Begin TLS.");
    pub const DIRECTORY_CHANGED: Reply = Reply::fixed(250, "Directory changed.");
    pub const DIRECTORY_REMOVED: Reply = Reply::fixed(250, "Directory removed.");
    pub const DELETED: Reply = Reply::fixed(250, "Deleted.");
    pub const RENAMED: Reply = Reply::fixed(250, "Renamed.");

    pub const NEED_PASSWORD: Reply = Reply::fixed(331, "Password, please.");
    pub const NEED_PASSWORD_ANONYMOUS: Reply = Reply::fixed(331, "Anonymous: your mail address as password, please.");
    pub const NEED_SECOND_FACTOR: Reply = Reply::fixed(332, "Code, please: ACCT and the six digits.");
    pub const RENAME_TO: Reply = Reply::fixed(350, "RNTO with the new name, please.");

    pub const IDLE: Reply = Reply::fixed(421, "No command for too long; goodbye.");
    pub const LOGIN_TIMEOUT: Reply = Reply::fixed(421, "Not logged in in time; goodbye.");
    pub const TOO_MANY_FAILURES: Reply = Reply::fixed(421, "Too many failed logins; goodbye.");
    pub const NOT_FTP: Reply = Reply::fixed(421, "This is not FTP; goodbye.");
    pub const SHUTTING_DOWN: Reply = Reply::fixed(421, "The server is going down; goodbye.");
    pub const REINITIALIZE_CLOSES: Reply = Reply::fixed(421, "A login cannot be undone here: connect anew.");
    pub const INTERNAL: Reply = Reply::fixed(421, "The server failed; connect anew.");
    pub const AUTH_PIPELINED: Reply = Reply::fixed(421, "Nothing may follow AUTH before the handshake; goodbye.");

    pub const NO_DATA_CONNECTION: Reply = Reply::fixed(425, "PORT, PASV, EPRT or EPSV first.");
    pub const CLIENT_DID_NOT_CONNECT: Reply = Reply::fixed(425, "The data connection was not made in time.");
    pub const HELPER_GONE: Reply = Reply::fixed(425, "Data connections are not available at the moment; try again.");
    pub const DATA_TLS_FAILED: Reply = Reply::fixed(425, "The TLS handshake of the data connection failed.");
    pub const DATA_TLS_NOT_RESUMED: Reply = Reply::fixed(522, "The data connection must resume the TLS session of the control connection.");
    pub const TRANSFER_ABORTED: Reply = Reply::fixed(426, "Transfer aborted.");
    pub const CLIENT_CLOSED_DATA: Reply = Reply::fixed(426, "The data connection was closed before the end.");
    pub const DATA_STALLED: Reply = Reply::fixed(426, "The data connection has stalled for too long.");
    pub const UPLOAD_TRUNCATED: Reply = Reply::fixed(426, "The upload ended without close_notify: it is incomplete.");

    pub const FILE_CHANGED: Reply = Reply::fixed(451, "The file has become shorter during the transfer.");
    pub const TOO_MANY_ENTRIES: Reply = Reply::fixed(451, "More entries than a listing may have: the listing is incomplete.");
    pub const NO_ROOM: Reply = Reply::fixed(452, "So much does not fit.");

    pub const UNKNOWN: Reply = Reply::fixed(500, "Unknown command.");
    pub const EMPTY: Reply = Reply::fixed(500, "A command is needed.");
    pub const LINE_TOO_LONG: Reply = Reply::fixed(500, "The line is longer than 4096 bytes.");
    pub const NUL: Reply = Reply::fixed(501, "The line contains a NUL byte.");
    pub const LONE_CR: Reply = Reply::fixed(501, "The line contains a CR that is not part of its end.");
    pub const SIZE_IN_ASCII: Reply = Reply::fixed(550, "SIZE is not given in TYPE A: TYPE I first.");
    pub const REST_IN_ASCII: Reply = Reply::fixed(550, "REST is not possible in TYPE A: TYPE I first.");
    pub const TLS_NOT_CONFIGURED: Reply = Reply::fixed(502, "TLS is not configured here.");
    pub const NO_SECURITY_DATA: Reply = Reply::fixed(503, "TLS needs no ADAT.");
    pub const COMMAND_PROTECTION: Reply = Reply::fixed(533, "TLS protects all commands; none is protected by itself.");
    pub const CCC_REFUSED: Reply = Reply::fixed(534, "The control connection stays TLS.");
    pub const PROT_NEEDS_TLS: Reply = Reply::fixed(503, "AUTH TLS first.");
    pub const PROT_NEEDS_PBSZ: Reply = Reply::fixed(503, "PBSZ 0 first.");
    pub const PROT_LEVEL: Reply = Reply::fixed(536, "Only PROT C and PROT P are possible with TLS.");
    pub const PROT_PRIVATE_DEMANDED: Reply = Reply::fixed(534, "Data connections must be TLS here: PROT P.");
    pub const DATA_MUST_BE_TLS: Reply = Reply::fixed(521, "Data connections must be TLS here: PROT P first.");
    pub const ALREADY_TLS: Reply = Reply::fixed(503, "The control connection is TLS already.");
    pub const LOGIN_NEEDS_TLS: Reply = Reply::fixed(530, "AUTH TLS first.");
    pub const ONLY_EPSV: Reply = Reply::fixed(503, "After EPSV ALL only EPSV is possible.");
    pub const USER_FIRST: Reply = Reply::fixed(503, "USER first.");
    pub const PASS_FIRST: Reply = Reply::fixed(503, "USER and PASS first.");
    pub const RNFR_FIRST: Reply = Reply::fixed(503, "RNFR first.");
    pub const HOST_AFTER_USER: Reply = Reply::fixed(503, "HOST comes before USER.");
    pub const LOGGED_IN_ALREADY: Reply = Reply::fixed(503, "Logged in already.");
    pub const TRANSFER_RUNS: Reply = Reply::fixed(503, "A transfer is running.");
    pub const HOST_UNKNOWN: Reply = Reply::fixed(504, "No such host here.");
    pub const NOT_THE_ADMINISTRATOR: Reply = Reply::fixed(550, "Only an administrator is told.");
    pub const APPEND_AFTER_REST: Reply = Reply::fixed(550, "REST and APPE do not go together.");
    pub const ATOMIC_NO_REST: Reply = Reply::fixed(550, "Uploads are atomic here and cannot be resumed: send the whole file.");
    pub const ATOMIC_NO_APPEND: Reply = Reply::fixed(550, "Uploads are atomic here and cannot be appended to.");
    pub const BEYOND_END: Reply = Reply::fixed(554, "The offset is beyond the end of the file.");
    pub const RANGE_BEYOND_END: Reply = Reply::fixed(551, "The range is beyond the end of the file.");
    pub const PORT_BOUNCE: Reply = Reply::fixed(500, "Data connections go to the client's own address only, ports from 1024 on.");
    pub const PASV_NEEDS_IPV4: Reply = Reply::fixed(522, "PASV is for IPv4; use EPSV.");
    pub const PORT_NEEDS_IPV4: Reply = Reply::fixed(522, "PORT is for IPv4; use EPRT.");
    pub const FAMILY_V4_ONLY: Reply = Reply::fixed(522, "Network protocol not supported, use (1).");
    pub const FAMILY_V6_ONLY: Reply = Reply::fixed(522, "Network protocol not supported, use (2).");
    pub const NOT_LOGGED_IN: Reply = Reply::fixed(530, "Log in with USER and PASS.");
    pub const LOGIN_REFUSED: Reply = Reply::fixed(530, "Login failed.");
    pub const RIGHT_MISSING: Reply = Reply::fixed(550, "Your account is not allowed to do this.");
    pub const OVERWRITE_REFUSED: Reply = Reply::fixed(553, "The file exists, and your account is not allowed to replace it.");
    pub const FILE_SIZE_LIMIT: Reply = Reply::fixed(552, "The file is larger than your account is allowed.");
    pub const IDLE_TOO_LONG: Reply = Reply::fixed(501, "The time can be made shorter only.");
}

/// Replies with something in them.
impl Reply {
    const fn fixed(code: u16, text: &'static str) -> Reply {
        Reply { code, text: Cow::Borrowed(text.as_bytes()), inner: Vec::new(), last: "" }
    }

    /// A reply of one line.
    pub fn line(code: u16, text: impl Into<Vec<u8>>) -> Reply {
        Reply { code, text: Cow::Owned(text.into()), inner: Vec::new(), last: "" }
    }

    /// A reply of several lines; the inner ones are sent with a space before them, so that none
    /// can be taken for the last.
    pub fn lines(code: u16, first: &'static str, inner: Vec<Vec<u8>>, last: &'static str) -> Reply {
        Reply { code, text: Cow::Borrowed(first.as_bytes()), inner, last }
    }

    /// A whole reply line that another process chose: its code if it has one, else 421.
    pub fn from_line(line: &str) -> Reply {
        let code = line.get(..3).and_then(|code| code.parse().ok());
        match (code, line.get(3..)) {
            (Some(code @ 100..=699), Some(rest)) => Reply::line(code, rest.trim_start()),
            _ => Reply::line(421, line),
        }
    }

    /// The greeting.
    pub fn greeting(banner: &str) -> Reply {
        Reply::line(220, banner)
    }

    /// Logged in. A welcome of several lines becomes a reply of several.
    pub fn logged_in(welcome: &str) -> Reply {
        let mut lines: Vec<&str> = welcome.lines().collect();
        let last = lines.pop().unwrap_or("Logged in.");
        if lines.is_empty() {
            return Reply::line(230, last);
        }
        let mut inner: Vec<Vec<u8>> = lines.into_iter().map(|line| line.into()).collect();
        inner.push(last.into());
        Reply::lines(230, "Welcome", inner, "Logged in.")
    }

    /// A line that is no command at all; `None` for one that may be.
    pub fn line_error(line: &Line) -> Option<Reply> {
        match line {
            Line::Text(_) => None,
            Line::TooLong => Some(Self::LINE_TOO_LONG),
            Line::Nul => Some(Self::NUL),
            Line::LoneCr => Some(Self::LONE_CR),
        }
    }

    /// A line whose verb is unknown, or whose argument is missing or too much.
    pub fn command(error: CommandError) -> Reply {
        match error {
            CommandError::Empty => Self::EMPTY,
            CommandError::Unknown => Self::UNKNOWN,
            CommandError::Http => Self::NOT_FTP,
            CommandError::ArgumentMissing(row) => Self::line(
                501,
                format!("{} needs an argument: {} {}", row.name, row.name, row.syntax),
            ),
            CommandError::ArgumentUnexpected(row) => {
                Self::line(501, format!("{} has no argument.", row.name))
            }
        }
    }

    /// An argument that is none.
    pub fn argument(error: ArgumentError) -> Reply {
        match error {
            ArgumentError::Syntax(text) => Self::fixed(501, text),
            ArgumentError::NotImplemented(text) => Self::fixed(504, text),
            ArgumentError::Protocol => Self::line(522, error.to_string()),
        }
    }

    /// A path that cannot be one.
    pub fn path_error(error: PathError) -> Reply {
        let code = match error {
            PathError::Empty | PathError::Nul => 501,
            PathError::TooLong | PathError::NameTooLong => 553,
        };
        Self::line(code, format!("{error}."))
    }

    /// A file operation that was not done, with its reason. `name` is the path as the client
    /// wrote it.
    pub fn file_error(error: FileError, name: &[u8]) -> Reply {
        let code = match error {
            FileError::NotFound
            | FileError::Denied
            | FileError::Exists
            | FileError::NotEmpty
            | FileError::IsDirectory
            | FileError::NotDirectory
            | FileError::NotRegular
            | FileError::Beneath
            | FileError::LinkLoop
            | FileError::ReadOnly
            | FileError::CrossesFileSystems
            | FileError::NotSupported => 550,
            FileError::Name => 553,
            FileError::NoSpace => 452,
            FileError::Quota | FileError::TooLarge => 552,
            FileError::Busy => 450,
            FileError::Resources(_) | FileError::Failed(_) => 451,
        };
        let mut text = name.to_vec();
        if !text.is_empty() {
            text.extend_from_slice(b": ");
        }
        text.extend_from_slice(error.to_string().as_bytes());
        text.push(b'.');
        Self::line(code, text)
    }

    /// The helper made no data connection.
    pub fn refusal(refusal: Refusal) -> Reply {
        match refusal {
            Refusal::ForeignAddress | Refusal::PrivilegedPort => Self::PORT_BOUNCE,
            Refusal::NoFreePort => Self::fixed(
                425,
                "Every passive port is taken at the moment; try again, or use PORT.",
            ),
            Refusal::ConnectionRefused
            | Refusal::TimedOut
            | Refusal::Network(_)
            | Refusal::Cancelled
            | Refusal::Exhausted(_) => Self::line(425, format!("No data connection: {refusal}.")),
        }
    }

    /// PASV's answer (RFC 959 section 4.1.2).
    pub fn passive(address: std::net::SocketAddrV4) -> Reply {
        let [a, b, c, d] = address.ip().octets();
        let [high, low] = address.port().to_be_bytes();
        Self::line(227, format!("Entering Passive Mode ({a},{b},{c},{d},{high},{low})."))
    }

    /// EPSV's answer (RFC 2428 section 3).
    pub fn extended_passive(port: u16) -> Reply {
        Self::line(229, format!("Entering Extended Passive Mode (|||{port}|)"))
    }

    /// `257 "path" text`, quotes in the path doubled (RFC 959 appendix II).
    pub fn path(path: &[u8], text: &str) -> Reply {
        let mut line = Vec::with_capacity(path.len() + text.len() + 8);
        line.push(b'"');
        for byte in path {
            if *byte == b'"' {
                line.push(b'"');
            }
            line.push(*byte);
        }
        line.extend_from_slice(b"\" ");
        line.extend_from_slice(text.as_bytes());
        Self::line(257, line)
    }

    /// A download or upload begins. `size` in bytes, where it is known.
    pub fn opening(name: &[u8], size: Option<u64>) -> Reply {
        let mut text = b"Opening the data connection for ".to_vec();
        text.extend_from_slice(name);
        if let Some(size) = size {
            text.extend_from_slice(format!(" ({size} bytes)").as_bytes());
        }
        Self::line(150, text)
    }

    /// STOU begins: the name the server made up (RFC 1123 section 4.1.2.9).
    pub fn opening_unique(name: &[u8]) -> Reply {
        Self::line(150, [b"FILE: ".as_slice(), name].concat())
    }

    /// STOU has ended.
    pub fn complete_unique(name: &[u8]) -> Reply {
        Self::line(226, [b"Transfer complete; unique file name: ".as_slice(), name].concat())
    }

    /// REST.
    pub fn offset(offset: u64) -> Reply {
        Self::line(350, format!("The next transfer begins at {offset}."))
    }

    /// RANG.
    pub fn range(first: u64, last: u64) -> Reply {
        Self::line(350, format!("The next HASH is of bytes {first} to {last}."))
    }

    /// SIZE (RFC 3659 section 4).
    pub fn size(size: u64) -> Reply {
        Self::line(213, size.to_string())
    }

    /// MDTM (RFC 3659 section 3).
    pub fn modified(seconds: i64) -> Reply {
        Self::line(213, super::calendar::format(seconds))
    }

    /// MFMT: `213 Modify=YYYYMMDDHHMMSS; path`.
    pub fn modify_set(seconds: i64, path: &[u8]) -> Reply {
        let time = super::calendar::format(seconds);
        Self::line(213, [b"Modify=".as_slice(), &time, b"; ", path].concat())
    }

    /// MFF: the facts that were set, then the path.
    pub fn facts_set(changes: super::argument::FactChanges, path: &[u8]) -> Reply {
        let mut text = Vec::new();
        if let Some(modify) = changes.modify {
            text.extend_from_slice(b"Modify=");
            text.extend_from_slice(&super::calendar::format(modify));
            text.push(b';');
        }
        if let Some(mode) = changes.unix_mode {
            text.extend_from_slice(format!("UNIX.mode={mode:04o};").as_bytes());
        }
        text.push(b' ');
        text.extend_from_slice(path);
        Self::line(213, text)
    }

    /// MLST: the facts line between two others (RFC 3659 section 7.2).
    pub fn facts(line: Vec<u8>) -> Reply {
        Self::lines(250, "Facts", vec![line], "End")
    }

    /// HASH: `213 SHA-256 0-1023 sum name`, the range's ends both included.
    pub fn hash(algorithm: Algorithm, first: u64, end: u64, sum: &str, name: &[u8]) -> Reply {
        let mut text =
            format!("{} {first}-{} {sum} ", algorithm.name(), end.max(1) - 1).into_bytes();
        text.extend_from_slice(name);
        Self::line(213, text)
    }

    /// XCRC and its sisters.
    pub fn sum(sum: &str) -> Reply {
        Self::line(250, sum.to_ascii_uppercase())
    }

    /// OPTS HASH: the algorithm in force.
    pub fn algorithm(algorithm: Algorithm) -> Reply {
        Self::line(200, algorithm.name())
    }

    /// OPTS MLST: the facts in force (RFC 3659 section 7.9).
    pub fn facts_chosen(facts: FactSet) -> Reply {
        Self::line(200, format!("MLST OPTS {}", facts.names()).trim_end().to_owned())
    }

    /// AVBL.
    pub fn available(bytes: u64) -> Reply {
        Self::line(213, bytes.to_string())
    }

    /// SITE UMASK.
    pub fn umask(mask: u32) -> Reply {
        Self::line(200, format!("The umask is {mask:03o}."))
    }

    /// SITE IDLE; 0 is no limit.
    pub fn idle(seconds: u64) -> Reply {
        Self::line(200, format!("The session ends after {seconds} seconds without a command."))
    }

    /// FEAT (RFC 2389 section 3.2).
    pub fn features(tls: bool, facts: FactSet, algorithm: Algorithm) -> Reply {
        let line = |row: &verb::Row| {
            Some(match row.feature? {
                verb::Feature::Always(text) => text.to_owned(),
                verb::Feature::Tls(text) => tls.then(|| text.to_owned())?,
                verb::Feature::Facts => format!("MLST {}", facts.feature()),
                verb::Feature::Algorithms => {
                    let names = Algorithm::ALL.map(|each| {
                        each.name().to_owned() + if each == algorithm { "*" } else { "" }
                    });
                    format!("HASH {}", names.join(";"))
                }
            })
        };
        let inner = verb::TABLE.iter().filter_map(line).map(String::into_bytes);
        // RFC 3659 section 5.1 and 7: TVFS says that paths are trees of `/`.
        let inner = inner.chain([b"TVFS".to_vec()]).collect();
        Self::lines(211, "Extensions:", inner, "End")
    }

    /// HELP, of all verbs or of one.
    pub fn help(verb: &[u8]) -> Reply {
        let verb = verb.trim_ascii();
        if verb.is_empty() {
            let names: Vec<&str> = verb::TABLE.iter().map(|row| row.name).collect();
            let inner = names.chunks(10).map(|names| names.join(" ").into_bytes()).collect();
            return Self::lines(
                214,
                "These commands are known:",
                inner,
                "HELP and a command for one.",
            );
        }
        match verb::row(verb) {
            Some(row) => {
                let text = format!("{} {}", row.name, row.syntax);
                Self::line(214, format!("{} : {}", text.trim_end(), row.what))
            }
            None => Self::fixed(502, "No such command; HELP names them."),
        }
    }

    /// SITE HELP, of all SITE commands or of one.
    pub fn site_help(name: &[u8]) -> Reply {
        let text = |row: &verb::SiteRow| {
            let text = format!("SITE {} {}", row.name, row.syntax);
            format!("{} : {}", text.trim_end(), row.what).into_bytes()
        };
        if name.is_empty() {
            let inner = verb::SITE_TABLE.iter().map(text).collect();
            return Self::lines(214, "These SITE commands are known:", inner, "End");
        }
        match verb::site_row(name) {
            Some(row) => Self::line(214, text(row)),
            None => Self::fixed(504, "No such SITE command; SITE HELP names them."),
        }
    }
}

impl Reply {
    /// The code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Appends the bytes that are sent. Nothing in them but the ends of the reply's own lines is a
    /// CR, an LF or another control byte (they become `?`), and a 0xFF is doubled (RFC 854).
    pub fn encode(&self, out: &mut Vec<u8>) {
        let [hundreds, rest] = [self.code / 100, self.code % 100];
        let digits = super::calendar::two_digits(u8::try_from(rest).unwrap_or(0));
        let code = [b'0' + u8::try_from(hundreds).unwrap_or(4) % 10, digits[0], digits[1]];
        let several = !self.inner.is_empty();
        out.extend_from_slice(&code);
        out.push(if several { b'-' } else { b' ' });
        append_safe(out, &self.text);
        out.extend_from_slice(b"\r\n");
        if several {
            for line in &self.inner {
                out.push(b' ');
                append_safe(out, line);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(&code);
            out.push(b' ');
            out.extend_from_slice(self.last.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }

    /// The bytes that are sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

/// Appends text that may be a name.
fn append_safe(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(text.len() + 8);
    for byte in text {
        match byte {
            0xFF => out.extend_from_slice(&[0xFF, 0xFF]),
            control if control.is_ascii_control() => out.push(b'?'),
            byte => out.push(*byte),
        }
    }
}
