//! Every verb the server knows, in one table: HELP, FEAT, docs/commands.md and the checks before a
//! verb's handler all read it.

use ipc::account::Rights;

/// A verb. Names that mean the same (CWD and XCWD) are one verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[rustfmt::skip]
#[allow(missing_docs, reason = "each is described by its row in the table")]
pub enum Verb {
    User, Pass, Acct, Quit, Rein, Host, Lang, Clnt, Csid,
    Auth, Pbsz, Prot, Ccc, Adat, Mic, Conf, Enc,
    Cwd, Cdup, Pwd, Mkd, Rmd, Dele, Rnfr, Rnto,
    Port, Pasv, Eprt, Epsv, Type, Stru, Mode,
    Retr, Stor, Stou, Appe, Allo, Rest, Abor,
    List, Nlst, Mlsd, Mlst, Stat, Size, Mdtm, Mfmt, Mff,
    Hash, Rang, Xcrc, Xmd5, Xsha1, Xsha256, Xsha512, Avbl,
    Feat, Opts, Help, Noop, Syst, Site,
}

/// In which phase of a session a verb is answered with what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before login only (503 after).
    BeforeLogin,
    /// Before and after login.
    Any,
    /// After login (530 before).
    AfterLogin,
}

/// What an account must be allowed to do so that a verb is answered with what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// One right.
    One(Rights),
    /// One of two rights; which one, depends on what the path leads to.
    Either(Rights, Rights),
}

impl Need {
    /// Whether an account with these rights may use the verb at all. The handler asks again, for
    /// the right that the path needs.
    pub fn is_met(self, rights: Rights) -> bool {
        match self {
            Need::Nothing => true,
            Need::One(right) => rights.contains(right),
            Need::Either(one, other) => rights.contains(one) || rights.contains(other),
        }
    }
}

/// What stands behind a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arguments {
    /// Nothing may stand there (501).
    None,
    /// Something may stand there.
    Optional,
    /// Something must stand there (501).
    Required,
}

/// When a line of FEAT (RFC 2389) is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Always.
    Always(&'static str),
    /// When TLS is configured.
    Tls(&'static str),
    /// The line of MLST, which names the facts and marks those in force.
    Facts,
    /// The line of HASH, which names the algorithms and marks the one in force.
    Algorithms,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The name as it is sent, upper case.
    pub name: &'static str,
    /// The verb.
    pub verb: Verb,
    /// Where it is defined.
    pub source: &'static str,
    /// What stands behind it, for HELP and docs.
    pub syntax: &'static str,
    /// What it does, for docs.
    pub what: &'static str,
    /// What stands behind it, for the check.
    pub arguments: Arguments,
    /// When it is answered.
    pub phase: Phase,
    /// Whether it is answered at once while a transfer runs. Others wait for its end.
    pub during_transfer: bool,
    /// What it needs.
    pub need: Need,
    /// Its line in FEAT.
    pub feature: Option<Feature>,
}

impl Row {
    const fn new(
        name: &'static str,
        verb: Verb,
        source: &'static str,
        syntax: &'static str,
        what: &'static str,
    ) -> Row {
        let arguments = match syntax.as_bytes() {
            [] => Arguments::None,
            [b'[', ..] => Arguments::Optional,
            _ => Arguments::Required,
        };
        Row {
            name,
            verb,
            source,
            syntax,
            what,
            arguments,
            phase: Phase::AfterLogin,
            during_transfer: false,
            need: Need::Nothing,
            feature: None,
        }
    }
    const fn phase(mut self, phase: Phase) -> Row {
        self.phase = phase;
        self
    }
    const fn at_once(mut self) -> Row {
        self.during_transfer = true;
        self
    }
    const fn needs(mut self, right: Rights) -> Row {
        self.need = Need::One(right);
        self
    }
    const fn needs_either(mut self, one: Rights, other: Rights) -> Row {
        self.need = Need::Either(one, other);
        self
    }
    const fn feature(mut self, feature: Feature) -> Row {
        self.feature = Some(feature);
        self
    }
}

use Feature::{Always, Tls};
use Phase::{Any, BeforeLogin};

/// The table, in the order of HELP and docs/commands.md.
#[rustfmt::skip]
pub static TABLE: &[Row] = &[
    Row::new("USER", Verb::User, "RFC 959 4.1.1", "name", "Begins a login.").phase(BeforeLogin),
    Row::new("PASS", Verb::Pass, "RFC 959 4.1.1", "[password]", "Goes on with a login; the six digits of a second factor may stand behind the password.").phase(BeforeLogin),
    Row::new("ACCT", Verb::Acct, "RFC 959 4.1.1", "code", "Ends a login with the second factor.").phase(BeforeLogin),
    Row::new("QUIT", Verb::Quit, "RFC 959 4.1.1", "", "Ends the connection, after the transfer that runs.").phase(Any).at_once(),
    Row::new("REIN", Verb::Rein, "RFC 959 4.1.1", "", "Before login: forgets USER. After it: 502, for a process that has become an account stays it.").phase(Any),
    Row::new("HOST", Verb::Host, "RFC 7151", "name", "Names the virtual host, before USER.").phase(BeforeLogin).feature(Always("HOST")),
    Row::new("LANG", Verb::Lang, "RFC 2640 4", "[tag]", "Chooses the language of replies: English.").phase(Any).feature(Always("LANG EN*")),
    Row::new("CLNT", Verb::Clnt, "FTP registry", "name", "Says which client this is.").phase(Any).feature(Always("CLNT")),
    Row::new("CSID", Verb::Csid, "draft-peterson-streamlined-ftp", "facts", "Says which client this is, and hears which server.").phase(Any).feature(Always("CSID")),

    Row::new("AUTH", Verb::Auth, "RFC 4217 4", "TLS", "Begins TLS.").phase(BeforeLogin).feature(Tls("AUTH TLS")),
    Row::new("PBSZ", Verb::Pbsz, "RFC 4217 8", "0", "Sets the protection buffer's size, for TLS always 0.").phase(Any).feature(Tls("PBSZ")),
    Row::new("PROT", Verb::Prot, "RFC 4217 9", "C|P", "Chooses plain or TLS data connections.").phase(Any).feature(Tls("PROT")),
    Row::new("CCC", Verb::Ccc, "RFC 2228 3", "", "Would end TLS of the control connection: refused.").phase(Any),
    Row::new("ADAT", Verb::Adat, "RFC 2228 3", "data", "Security data: none is needed for TLS.").phase(Any),
    Row::new("MIC", Verb::Mic, "RFC 2228 3", "data", "A protected command: TLS protects all of them.").phase(Any),
    Row::new("CONF", Verb::Conf, "RFC 2228 3", "data", "As MIC.").phase(Any),
    Row::new("ENC", Verb::Enc, "RFC 2228 3", "data", "As MIC.").phase(Any),

    Row::new("CWD", Verb::Cwd, "RFC 959 4.1.1", "directory", "Changes the working directory."),
    Row::new("XCWD", Verb::Cwd, "RFC 775", "directory", "As CWD."),
    Row::new("CDUP", Verb::Cdup, "RFC 959 4.1.1", "", "Changes to the directory above, never above the root."),
    Row::new("XCUP", Verb::Cdup, "RFC 775", "", "As CDUP."),
    Row::new("PWD", Verb::Pwd, "RFC 959 4.1.3", "", "Names the working directory."),
    Row::new("XPWD", Verb::Pwd, "RFC 775", "", "As PWD."),
    Row::new("MKD", Verb::Mkd, "RFC 959 4.1.3", "directory", "Makes a directory.").needs(Rights::MKDIR),
    Row::new("XMKD", Verb::Mkd, "RFC 775", "directory", "As MKD.").needs(Rights::MKDIR),
    Row::new("RMD", Verb::Rmd, "RFC 959 4.1.3", "directory", "Removes an empty directory.").needs(Rights::RMDIR),
    Row::new("XRMD", Verb::Rmd, "RFC 775", "directory", "As RMD.").needs(Rights::RMDIR),
    Row::new("DELE", Verb::Dele, "RFC 959 4.1.3", "file", "Deletes a file.").needs(Rights::DELETE),
    Row::new("RNFR", Verb::Rnfr, "RFC 959 4.1.3", "path", "Names what RNTO renames; the commands that keep an offset of REST keep it as well.").needs(Rights::RENAME),
    Row::new("RNTO", Verb::Rnto, "RFC 959 4.1.3", "path", "Renames; a file in its place is replaced if the account may overwrite.").needs(Rights::RENAME),

    Row::new("PORT", Verb::Port, "RFC 959 4.1.2", "h1,h2,h3,h4,p1,p2", "The next data connection goes to this address of the client."),
    Row::new("PASV", Verb::Pasv, "RFC 959 4.1.2", "", "The next data connection comes from the client (IPv4)."),
    Row::new("EPRT", Verb::Eprt, "RFC 2428 2", "|family|address|port|", "As PORT, for IPv4 and IPv6.").feature(Always("EPRT")),
    Row::new("EPSV", Verb::Epsv, "RFC 2428 3", "[1|2|ALL]", "As PASV, for IPv4 and IPv6; ALL refuses every other way from then on.").feature(Always("EPSV")),
    Row::new("TYPE", Verb::Type, "RFC 959 4.1.2", "A [N]|I|L 8", "Chooses text, with line ends converted, or binary transfers."),
    Row::new("STRU", Verb::Stru, "RFC 959 4.1.2", "F", "Chooses the file structure."),
    Row::new("MODE", Verb::Mode, "RFC 959 4.1.2", "S", "Chooses the stream mode."),

    Row::new("RETR", Verb::Retr, "RFC 959 4.1.3", "file", "Downloads a file.").needs(Rights::READ),
    Row::new("STOR", Verb::Stor, "RFC 959 4.1.3", "file", "Uploads a file: a new one needs write, one that exists overwrite, behind REST append; an offset beyond the end is refused with 554.").needs_either(Rights::WRITE, Rights::OVERWRITE),
    Row::new("STOU", Verb::Stou, "RFC 959 4.1.3", "[file]", "Uploads a file under a name that the server makes up.").needs(Rights::WRITE),
    Row::new("APPE", Verb::Appe, "RFC 959 4.1.3", "file", "Uploads to the end of a file; a new one needs write.").needs_either(Rights::APPEND, Rights::WRITE),
    Row::new("ALLO", Verb::Allo, "RFC 959 4.1.3", "bytes [R bytes]", "Asks whether so much fits.").needs_either(Rights::WRITE, Rights::APPEND),
    Row::new("REST", Verb::Rest, "RFC 3659 5", "offset", "The next RETR or STOR begins there; what only prepares a transfer, and NOOP, STAT and ALLO, keep it, every other command forgets it.").feature(Always("REST STREAM")),
    Row::new("ABOR", Verb::Abor, "RFC 959 4.1.3", "", "Ends the transfer that runs or waits.").at_once(),

    Row::new("LIST", Verb::List, "RFC 959 4.1.3", "[options] [path]", "Lists as ls -l does, times in UTC, sorted by name up to 1,000 entries; options a, d and l; -R is refused with 504; * and ? in the last name.").needs(Rights::LIST),
    Row::new("NLST", Verb::Nlst, "RFC 959 4.1.3", "[options] [path]", "Lists names only, sorted up to 1,000 entries.").needs(Rights::LIST),
    Row::new("MLSD", Verb::Mlsd, "RFC 3659 7", "[directory]", "Lists a directory with facts.").needs(Rights::LIST),
    Row::new("MLST", Verb::Mlst, "RFC 3659 7", "[path]", "Gives the facts of one path on the control connection.").needs(Rights::LIST).feature(Feature::Facts),
    Row::new("STAT", Verb::Stat, "RFC 959 4.1.3", "[path]", "The state of the session, of the transfer that runs, or a listing on the control connection.").at_once(),
    Row::new("SIZE", Verb::Size, "RFC 3659 4", "file", "The size of a file in bytes, as TYPE I would send it.").needs_either(Rights::LIST, Rights::READ).feature(Always("SIZE")),
    Row::new("MDTM", Verb::Mdtm, "RFC 3659 3", "file", "The time a file was last modified, UTC.").needs_either(Rights::LIST, Rights::READ).feature(Always("MDTM")),
    Row::new("MFMT", Verb::Mfmt, "draft-somers-ftp-mfxx 3", "time path", "Sets the time of modification, UTC.").needs(Rights::CHMOD).feature(Always("MFMT")),
    Row::new("MFF", Verb::Mff, "draft-somers-ftp-mfxx 5", "fact=value;... path", "Sets facts: modify and UNIX.mode.").needs(Rights::CHMOD).feature(Always("MFF modify;UNIX.mode;")),

    Row::new("HASH", Verb::Hash, "draft-bryan-ftpext-hash 3", "file", "The sum of a file, or of the range of RANG.").needs(Rights::READ).feature(Feature::Algorithms),
    Row::new("RANG", Verb::Rang, "draft-bryan-ftp-range", "first last", "The range of the next HASH, both ends included; 1 0 forgets it.").needs(Rights::READ).feature(Always("RANG STREAM")),
    Row::new("XCRC", Verb::Xcrc, "FTP registry", "file [first last]", "The CRC-32 of a file.").needs(Rights::READ).feature(Always("XCRC file;first;last")),
    Row::new("XMD5", Verb::Xmd5, "FTP registry", "file [first last]", "The MD5 of a file.").needs(Rights::READ).feature(Always("XMD5 file;first;last")),
    Row::new("XSHA", Verb::Xsha1, "FTP registry", "file [first last]", "As XSHA1.").needs(Rights::READ),
    Row::new("XSHA1", Verb::Xsha1, "FTP registry", "file [first last]", "The SHA-1 of a file.").needs(Rights::READ).feature(Always("XSHA1 file;first;last")),
    Row::new("XSHA256", Verb::Xsha256, "FTP registry", "file [first last]", "The SHA-256 of a file.").needs(Rights::READ).feature(Always("XSHA256 file;first;last")),
    Row::new("XSHA512", Verb::Xsha512, "FTP registry", "file [first last]", "The SHA-512 of a file.").needs(Rights::READ).feature(Always("XSHA512 file;first;last")),
    Row::new("AVBL", Verb::Avbl, "draft-peterson-streamlined-ftp", "[directory]", "The bytes that are free.").needs_either(Rights::WRITE, Rights::APPEND).feature(Always("AVBL")),

    Row::new("FEAT", Verb::Feat, "RFC 2389 3", "", "The extensions this server knows.").phase(Any),
    Row::new("OPTS", Verb::Opts, "RFC 2389 4", "UTF8 ON|MLST facts|HASH algorithm", "Options of other commands.").phase(Any).feature(Always("UTF8")),
    Row::new("HELP", Verb::Help, "RFC 959 4.1.3", "[command]", "The commands, or the syntax of one.").phase(Any),
    Row::new("NOOP", Verb::Noop, "RFC 959 4.1.3", "", "Does nothing; keeps the idle timer away, as every whole command does.").phase(Any).at_once(),
    Row::new("SYST", Verb::Syst, "RFC 959 4.1.3", "", "The kind of system.").phase(Any),
    Row::new("SITE", Verb::Site, "RFC 959 4.1.3", "command", "Commands of this server.").feature(Always("SITE CHMOD;UMASK;IDLE;UTIME;SYMLINK;HELP;WHO")),
];

/// A row of the table of SITE commands.
#[derive(Debug, Clone, Copy)]
pub struct SiteRow {
    /// The word behind SITE.
    pub name: &'static str,
    /// What stands behind it.
    pub syntax: &'static str,
    /// What it does.
    pub what: &'static str,
    /// What it needs.
    pub need: Need,
    /// Whether only an administrator is answered.
    pub administrator: bool,
}

/// The SITE commands. [`super::site::Site`] has their arguments.
#[rustfmt::skip]
pub static SITE_TABLE: &[SiteRow] = &[
    SiteRow { name: "CHMOD", syntax: "mode path", what: "Changes the mode: three octal digits; never set-uid, set-gid or sticky. What its owner may neither read nor write can be changed on the host only.", need: Need::One(Rights::CHMOD), administrator: false },
    SiteRow { name: "UMASK", syntax: "[mode]", what: "Shows or sets the mode bits that new files do not get, for this session.", need: Need::Nothing, administrator: false },
    SiteRow { name: "IDLE", syntax: "[seconds]", what: "Shows or shortens the time without a command after which the session ends.", need: Need::Nothing, administrator: false },
    SiteRow { name: "UTIME", syntax: "time path", what: "Sets the time of modification, UTC; also: path atime mtime ctime UTC.", need: Need::One(Rights::CHMOD), administrator: false },
    SiteRow { name: "SYMLINK", syntax: "target link", what: "Makes a symbolic link.", need: Need::One(Rights::SYMLINK), administrator: false },
    SiteRow { name: "HELP", syntax: "[command]", what: "These commands, or the syntax of one.", need: Need::Nothing, administrator: false },
    SiteRow { name: "WHO", syntax: "", what: "Who is logged in.", need: Need::Nothing, administrator: true },
];

/// The row of a name, in whatever case it is written.
pub fn row(name: &[u8]) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name.as_bytes().eq_ignore_ascii_case(name))
}

/// The row of a SITE command, in whatever case it is written.
pub fn site_row(name: &[u8]) -> Option<&'static SiteRow> {
    SITE_TABLE.iter().find(|row| row.name.as_bytes().eq_ignore_ascii_case(name))
}

impl Verb {
    /// Whether an offset of REST is for this verb; any other forgets it (RFC 3659 section 5).
    pub fn takes_offset(self) -> bool {
        matches!(self, Verb::Retr | Verb::Stor | Verb::Appe | Verb::Stou)
    }

    /// Whether it lists, sends or takes a file: why it was refused is a line of the log. What else
    /// changes files has its own.
    pub fn moves_files(self) -> bool {
        matches!(
            self,
            Verb::Retr
                | Verb::Stor
                | Verb::Stou
                | Verb::Appe
                | Verb::List
                | Verb::Nlst
                | Verb::Mlsd
        )
    }

    /// Whether it may stand between REST (or RNFR) and the verb that needs them: the ones that
    /// prepare a data connection, and those that change nothing.
    pub fn keeps_offset(self) -> bool {
        matches!(
            self,
            Verb::Port
                | Verb::Pasv
                | Verb::Eprt
                | Verb::Epsv
                | Verb::Type
                | Verb::Rest
                | Verb::Noop
                | Verb::Stat
                | Verb::Allo
                | Verb::Pbsz
                | Verb::Prot
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_is_there_once_and_every_verb_has_a_row() {
        let names: HashSet<_> = TABLE.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), TABLE.len());
        for row in TABLE {
            assert_eq!(row.name, row.name.to_ascii_uppercase());
            assert!(row.name.len() <= 7 && row.what.ends_with('.'), "{}", row.name);
        }
        // The commands that the mini FTP server and the RFCs together ask for.
        for name in "USER PASS ACCT QUIT REIN CWD CDUP XCWD XCUP PWD XPWD MKD XMKD RMD XRMD PORT \
             PASV EPRT EPSV TYPE STRU MODE RETR STOR STOU APPE ALLO REST RNFR RNTO DELE LIST NLST \
             MLSD MLST SIZE MDTM MFMT MFF STAT ABOR FEAT OPTS HELP NOOP SYST HASH RANG XCRC XMD5 \
             XSHA1 XSHA256 XSHA512 AVBL CLNT HOST LANG SITE CSID AUTH PBSZ PROT CCC ADAT"
            .split_whitespace()
        {
            assert!(row(name.as_bytes()).is_some(), "{name}");
        }
    }

    #[test]
    fn what_changes_files_needs_a_right_that_a_reader_lacks() {
        for row in TABLE {
            let changes = matches!(
                row.verb,
                Verb::Mkd
                    | Verb::Rmd
                    | Verb::Dele
                    | Verb::Rnfr
                    | Verb::Rnto
                    | Verb::Stor
                    | Verb::Stou
                    | Verb::Appe
                    | Verb::Mfmt
                    | Verb::Mff
            );
            assert!(!changes || !row.need.is_met(Rights::READ_ONLY), "{}", row.name);
        }
        assert!(row(b"RETR").is_some_and(|row| row.need.is_met(Rights::READ_ONLY)));
        assert!(row(b"STOR").is_some_and(|row| row.need.is_met(Rights::OVERWRITE)));
    }
}
