//! Every reply: its code, its words, and the bytes that are sent (RFC 959 section 4.2).
//!
//! The one place where codes are chosen. Names of files come into replies as they are; the encoder
//! makes sure that no name can end a line, begin another, or be a Telnet command.

mod fixed;

use std::borrow::Cow;

use super::{
    argument::ArgumentError, command::CommandError, digest::Algorithm, line::Line,
    listing::FactSet, path::PathError, verb,
};
use crate::files::FileError;
use ipc::{helper::Refusal, reason::Reason};

/// A reply of one line or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    text: Cow<'static, [u8]>,
    /// Between the first and the last line, without their ends.
    inner: Vec<Vec<u8>>,
    /// The last line, when there are several.
    last: &'static str,
    /// Of a refusal: its word in the log.
    reason: Option<Reason>,
}

/// Replies with something in them.
impl Reply {
    const fn fixed(code: u16, text: &'static str) -> Reply {
        Reply {
            code,
            text: Cow::Borrowed(text.as_bytes()),
            inner: Vec::new(),
            last: "",
            reason: None,
        }
    }

    /// A fixed refusal with its word in the log.
    const fn refused(code: u16, text: &'static str, reason: Reason) -> Reply {
        let text = Cow::Borrowed(text.as_bytes());
        Reply { code, text, inner: Vec::new(), last: "", reason: Some(reason) }
    }

    /// The same with a word for the log, as a refusal has it.
    fn because(self, reason: Reason) -> Reply {
        Reply { reason: Some(reason), ..self }
    }

    /// The word in the log of a refusal.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// A reply of one line.
    pub fn line(code: u16, text: impl Into<Vec<u8>>) -> Reply {
        Reply { code, text: Cow::Owned(text.into()), inner: Vec::new(), last: "", reason: None }
    }

    /// A reply of several lines; the inner ones are sent with a space before them, so that none
    /// can be taken for the last.
    pub fn lines(code: u16, first: &'static str, inner: Vec<Vec<u8>>, last: &'static str) -> Reply {
        Reply { code, text: Cow::Borrowed(first.as_bytes()), inner, last, reason: None }
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
            // Before login, an HTTP request ends the connection and is not answered at all; after
            // it, the client has shown that it speaks FTP.
            CommandError::Unknown | CommandError::Http => Self::UNKNOWN,
            CommandError::NotImplemented => Self::NOT_IMPLEMENTED,
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
        Self::line(code, format!("{error}.")).because(Reason::BadName)
    }

    /// A file operation that was not done, with its reason. `name` is the path as the client
    /// wrote it. Together with [`FileError::of`] the one table from call and errno to reply.
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
            | FileError::IntoItself
            | FileError::TooManyLinks
            | FileError::Mounted
            | FileError::Root
            | FileError::OwnerKeptOut
            | FileError::NotSupported
            | FileError::Failed(_) => 550,
            FileError::Name => 553,
            FileError::NoSpace => 452,
            FileError::Quota | FileError::TooLarge => 552,
            FileError::Again | FileError::BeingWritten | FileError::Running => 450,
            FileError::Resources(_) | FileError::Device(_) => 451,
        };
        let mut text = name.to_vec();
        if !text.is_empty() {
            text.extend_from_slice(b": ");
        }
        text.extend_from_slice(error.to_string().as_bytes());
        text.push(b'.');
        Self::line(code, text).because(error.reason())
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

    /// Whether it says that nothing was done (RFC 959 section 4.2.1: 4yz and 5yz).
    pub fn is_refusal(&self) -> bool {
        self.code >= 400
    }

    /// Appends the bytes that are sent. Nothing in them but the ends of the reply's own lines is a
    /// CR or an LF (they become `?`), and a 0xFF is doubled (RFC 854).
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
            end if super::listing::ends_line(*end) => out.push(b'?'),
            byte => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_can_forge_a_line() {
        let reply = Reply::path(b"/a\r\n226 forged\xff\"x\t", "made.");
        assert_eq!(reply.to_bytes(), b"257 \"/a??226 forged\xff\xff\"\"x\t\" made.\r\n");
        let reply = Reply::facts(b"type=file; x\r\n250 End".to_vec());
        assert_eq!(reply.to_bytes(), b"250-Facts\r\n type=file; x??250 End\r\n250 End\r\n");
    }

    #[test]
    fn passive_replies_have_the_form_clients_search() {
        let address = "192.0.2.7:50001".parse().unwrap();
        assert_eq!(
            Reply::passive(address).to_bytes(),
            b"227 Entering Passive Mode (192,0,2,7,195,81).\r\n"
        );
        assert_eq!(
            Reply::extended_passive(50001).to_bytes(),
            b"229 Entering Extended Passive Mode (|||50001|)\r\n"
        );
    }

    #[test]
    fn features_are_those_of_the_table_and_tls_only_with_tls() {
        let text = |tls| {
            let reply = Reply::features(tls, FactSet::default(), Algorithm::default());
            String::from_utf8(reply.to_bytes()).unwrap()
        };
        let plain = text(false);
        assert!(plain.starts_with("211-Extensions:\r\n ") && plain.ends_with("\r\n211 End\r\n"));
        assert!(plain.contains("\r\n MLST type*;size*;modify*;perm*;unique*;UNIX.mode*;"));
        assert!(plain.contains("\r\n HASH SHA-256*;SHA-512;SHA-1;MD5;CRC32\r\n"));
        assert!(plain.contains("\r\n UTF8\r\n") && !plain.contains("AUTH TLS"));
        assert!(text(true).contains("\r\n AUTH TLS\r\n"));
    }

    #[test]
    fn help_names_every_verb_and_the_syntax_of_one() {
        let all = String::from_utf8(Reply::help(b"").to_bytes()).unwrap();
        for row in verb::TABLE {
            assert!(all.split_whitespace().any(|word| word == row.name), "{}", row.name);
        }
        assert_eq!(
            Reply::help(b"cwd").to_bytes(),
            b"214 CWD directory : Changes the working directory.\r\n"
        );
        assert_eq!(Reply::help(b"nope").code(), 502);
        assert_eq!(Reply::site_help(b"WHO").code(), 214);
    }

    #[test]
    fn errors_of_files_have_the_codes_of_the_rfc() {
        for (error, code) in [
            (FileError::NotFound, 550),
            (FileError::NoSpace, 452),
            (FileError::Quota, 552),
            (FileError::Name, 553),
            (FileError::Again, 450),
            (FileError::Device(rustix::io::Errno::IO), 451),
        ] {
            assert_eq!(Reply::file_error(error, b"a").code(), code);
        }
        let reply = Reply::file_error(FileError::NotFound, b"x\ny");
        assert_eq!(reply.to_bytes(), b"550 x?y: no such file or directory.\r\n");
    }

    #[test]
    fn a_line_of_another_process_keeps_its_code() {
        assert_eq!(Reply::from_line("421 Kicked.").to_bytes(), b"421 Kicked.\r\n");
        assert_eq!(Reply::from_line("Kicked.").to_bytes(), b"421 Kicked.\r\n");
        assert_eq!(Reply::from_line("é").code(), 421);
    }

    #[test]
    fn a_welcome_of_several_lines_is_one_reply() {
        assert_eq!(Reply::logged_in("Hello.").to_bytes(), b"230 Hello.\r\n");
        assert_eq!(
            Reply::logged_in("a\nb").to_bytes(),
            b"230-Welcome\r\n a\r\n b\r\n230 Logged in.\r\n"
        );
    }
}
