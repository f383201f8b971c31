//! The facts of MLSD and MLST (RFC 3659 section 7).

use ipc::account::Rights;

use super::{Cached, append_name, append_number};
use crate::{
    files::{FileKind, Metadata},
    ftp::calendar,
};

/// A fact of MLSD and MLST (RFC 3659 section 7.5, and the registry).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// file, dir, cdir, pdir, OS.unix=…
    Type,
    /// Bytes of a file.
    Size,
    /// Last modified.
    Modify,
    /// What the account may do with it.
    Perm,
    /// The same for the same file.
    Unique,
    /// Mode in octal.
    UnixMode,
    /// Owner's number.
    UnixOwner,
    /// Group's number.
    UnixGroup,
}

impl Fact {
    /// All of them, in the order they are written.
    pub const ALL: [Fact; 8] = [
        Fact::Type,
        Fact::Size,
        Fact::Modify,
        Fact::Perm,
        Fact::Unique,
        Fact::UnixMode,
        Fact::UnixOwner,
        Fact::UnixGroup,
    ];

    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Fact::Type => "type",
            Fact::Size => "size",
            Fact::Modify => "modify",
            Fact::Perm => "perm",
            Fact::Unique => "unique",
            Fact::UnixMode => "UNIX.mode",
            Fact::UnixOwner => "UNIX.owner",
            Fact::UnixGroup => "UNIX.group",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Fact::Type => 1,
            Fact::Size => 1 << 1,
            Fact::Modify => 1 << 2,
            Fact::Perm => 1 << 3,
            Fact::Unique => 1 << 4,
            Fact::UnixMode => 1 << 5,
            Fact::UnixOwner => 1 << 6,
            Fact::UnixGroup => 1 << 7,
        }
    }
}

/// Which facts are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactSet(u8);

impl Default for FactSet {
    fn default() -> Self {
        FactSet(u8::MAX)
    }
}

impl FactSet {
    /// The facts of `OPTS MLST type;size;`; names that are unknown say nothing.
    pub fn from_names(names: &[u8]) -> FactSet {
        let known = |name: &[u8]| {
            Fact::ALL.into_iter().find(|fact| fact.name().as_bytes().eq_ignore_ascii_case(name))
        };
        let facts = names.split(|byte| *byte == b';').filter_map(known);
        FactSet(facts.fold(0, |set, fact| set | fact.bit()))
    }

    /// Whether a fact is in force.
    pub fn contains(self, fact: Fact) -> bool {
        self.0 & fact.bit() != 0
    }

    /// `type;size;`, as the reply to OPTS MLST has it.
    pub fn names(self) -> String {
        let facts = Fact::ALL.into_iter().filter(|fact| self.contains(*fact));
        facts.fold(String::new(), |text, fact| text + fact.name() + ";")
    }

    /// `type*;size;`: all of them, those in force with a star, as FEAT has it.
    pub fn feature(self) -> String {
        Fact::ALL.into_iter().fold(String::new(), |text, fact| {
            text + fact.name() + if self.contains(fact) { "*;" } else { ";" }
        })
    }
}

/// What an entry of MLSD is to the directory that is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The directory itself.
    This,
    /// The one above.
    Parent,
    /// In it.
    Child,
}

/// Makes the lines of MLSD and MLST.
#[derive(Debug)]
pub struct FactFormatter {
    facts: FactSet,
    rights: Rights,
    uid: u32,
    groups: Vec<u32>,
    /// The directory's mode allows this account to make and delete entries.
    directory_writable: bool,
    /// The last entry's time, permissions, and UNIX facts, and how they are written.
    time: Cached<i64>,
    permissions: Cached<(FileKind, u32, u32, u32, bool)>,
    unix: Cached<(u32, u32, u32)>,
}

impl FactFormatter {
    /// A formatter for an account. `groups` are its gid and the supplementary ones. `directory` has
    /// the facts of the directory whose entries come.
    pub fn new(
        facts: FactSet,
        rights: Rights,
        uid: u32,
        groups: Vec<u32>,
        directory: &Metadata,
    ) -> FactFormatter {
        let mut formatter = FactFormatter {
            facts,
            rights,
            uid,
            groups,
            directory_writable: false,
            time: Cached::new(),
            permissions: Cached::new(),
            unix: Cached::new(),
        };
        formatter.directory_writable = formatter.bits(directory) & 3 == 3;
        formatter
    }

    /// What the mode bits let the account do: 4 read, 2 write, 1 search or execute.
    fn bits(&self, facts: &Metadata) -> u32 {
        let shift = if facts.uid == self.uid {
            6
        } else if self.groups.contains(&facts.gid) {
            3
        } else {
            0
        };
        (facts.mode >> shift) & 7
    }

    /// Appends the facts of an entry, a space, and its name; no line end.
    pub fn append(&mut self, out: &mut Vec<u8>, name: &[u8], facts: &Metadata, relation: Relation) {
        out.reserve(160 + name.len());
        let wanted = self.facts;
        if wanted.contains(Fact::Type) {
            out.extend_from_slice(match (facts.kind, relation) {
                (FileKind::Directory, Relation::This) => b"type=cdir;",
                (FileKind::Directory, Relation::Parent) => b"type=pdir;",
                (FileKind::Directory, Relation::Child) => b"type=dir;".as_slice(),
                (FileKind::Regular, _) => b"type=file;",
                (FileKind::Symlink, _) => b"type=OS.unix=symlink;",
                (FileKind::Fifo, _) => b"type=OS.unix=fifo;",
                (FileKind::Socket, _) => b"type=OS.unix=socket;",
                (FileKind::CharacterDevice, _) => b"type=OS.unix=chr;",
                (FileKind::BlockDevice, _) => b"type=OS.unix=blk;",
                (FileKind::Unknown, _) => b"type=OS.unix=unknown;",
            });
        }
        if wanted.contains(Fact::Size) && facts.kind == FileKind::Regular {
            out.extend_from_slice(b"size=");
            append_number(out, facts.size);
            out.push(b';');
        }
        if wanted.contains(Fact::Modify) {
            self.time.append(facts.modified, out, |out| {
                out.extend_from_slice(b"modify=");
                out.extend_from_slice(&calendar::format(facts.modified));
                out.push(b';');
            });
        }
        if wanted.contains(Fact::Perm) {
            let may = Permissions {
                rights: self.rights,
                bits: self.bits(facts),
                in_writable: self.directory_writable && relation == Relation::Child,
            };
            let key = (facts.kind, facts.mode, facts.uid, facts.gid, may.in_writable);
            self.permissions.append(key, out, |out| may.append(out, facts.kind));
        }
        if wanted.contains(Fact::Unique) {
            out.extend_from_slice(b"unique=");
            append_hexadecimal(out, (u64::from(facts.device.0) << 32) | u64::from(facts.device.1));
            out.push(b'g');
            append_hexadecimal(out, facts.inode);
            out.push(b';');
        }
        self.append_unix(out, facts);
        out.push(b' ');
        append_name(out, name);
    }

    /// As [`append`](Self::append), with CR LF: a line of MLSD.
    pub fn append_line(
        &mut self,
        out: &mut Vec<u8>,
        name: &[u8],
        facts: &Metadata,
        relation: Relation,
    ) {
        self.append(out, name, facts, relation);
        out.extend_from_slice(b"\r\n");
    }

    /// UNIX.mode, UNIX.owner and UNIX.group: they repeat from entry to entry.
    fn append_unix(&mut self, out: &mut Vec<u8>, facts: &Metadata) {
        let wanted = self.facts;
        self.unix.append((facts.mode, facts.uid, facts.gid), out, |out| {
            if wanted.contains(Fact::UnixMode) {
                let octal = |shift: u32| b'0' + u8::try_from(facts.mode >> shift & 7).unwrap_or(0);
                out.extend_from_slice(b"UNIX.mode=");
                out.extend_from_slice(&[octal(9), octal(6), octal(3), octal(0), b';']);
            }
            if wanted.contains(Fact::UnixOwner) {
                out.extend_from_slice(b"UNIX.owner=");
                append_number(out, u64::from(facts.uid));
                out.push(b';');
            }
            if wanted.contains(Fact::UnixGroup) {
                out.extend_from_slice(b"UNIX.group=");
                append_number(out, u64::from(facts.gid));
                out.push(b';');
            }
        });
    }
}

/// What an account may do with an entry: its rights, and the mode bits that apply to it.
struct Permissions {
    rights: Rights,
    bits: u32,
    /// In a directory whose mode lets the account make and delete entries.
    in_writable: bool,
}

impl Permissions {
    /// Appends `perm=` (RFC 3659 section 7.5.5): what rights and mode bits both allow.
    fn append(&self, out: &mut Vec<u8>, kind: FileKind) {
        let (may, rights) = (|wanted: u32| self.bits & wanted == wanted, self.rights);
        let mut letter = |letter: u8, bits: bool, right: Rights| {
            if bits && rights.contains(right) {
                out.push(letter);
            }
        };
        for byte in b"perm=" {
            letter(*byte, true, Rights::NONE);
        }
        match kind {
            FileKind::Directory => {
                letter(b'c', may(3), Rights::WRITE);
                letter(b'd', self.in_writable, Rights::RMDIR);
                letter(b'e', may(1), Rights::NONE);
                letter(b'f', self.in_writable, Rights::RENAME);
                letter(b'l', may(5), Rights::LIST);
                letter(b'm', may(3), Rights::MKDIR);
                letter(b'p', may(3), Rights::DELETE);
            }
            FileKind::Regular => {
                letter(b'a', may(2), Rights::APPEND);
                letter(b'd', self.in_writable, Rights::DELETE);
                letter(b'f', self.in_writable, Rights::RENAME);
                letter(b'r', may(4), Rights::READ);
                letter(b'w', may(2), Rights::OVERWRITE);
            }
            FileKind::Symlink
            | FileKind::Fifo
            | FileKind::Socket
            | FileKind::CharacterDevice
            | FileKind::BlockDevice
            | FileKind::Unknown => {
                letter(b'd', self.in_writable, Rights::DELETE);
                letter(b'f', self.in_writable, Rights::RENAME);
            }
        }
        letter(b';', true, Rights::NONE);
    }
}

/// Appends a number in lower-case hexadecimal.
#[inline]
fn append_hexadecimal(out: &mut Vec<u8>, number: u64) {
    let significant = 64 - number.leading_zeros();
    let places = significant.div_ceil(4).max(1);
    for place in (0..places).rev() {
        let digit = u8::try_from(number >> (place * 4) & 15).unwrap_or(0);
        out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::facts, *};

    fn line_of(
        rights: Rights,
        directory_mode: u32,
        entry: &Metadata,
        relation: Relation,
    ) -> String {
        let directory = facts(FileKind::Directory, directory_mode);
        let mut formatter =
            FactFormatter::new(FactSet::default(), rights, 1000, vec![100], &directory);
        let mut out = Vec::new();
        formatter.append(&mut out, b"x", entry, relation);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn facts_are_those_of_rfc_3659() {
        let file = facts(FileKind::Regular, 0o644);
        assert_eq!(
            line_of(Rights::READ_WRITE, 0o755, &file, Relation::Child),
            "type=file;size=4096;modify=20231114221320;perm=adfrw;unique=800000001gff;\
             UNIX.mode=0644;UNIX.owner=1000;UNIX.group=100; x"
        );
        let directory = facts(FileKind::Directory, 0o755);
        assert!(
            line_of(Rights::READ_WRITE, 0o755, &directory, Relation::Child)
                .starts_with("type=dir;modify=20231114221320;perm=cdeflmp;")
        );
        assert!(
            line_of(Rights::READ_WRITE, 0o755, &directory, Relation::This)
                .starts_with("type=cdir;modify=20231114221320;perm=celmp;")
        );
    }

    #[test]
    fn permissions_are_what_rights_and_mode_both_allow() {
        let permissions = |rights, directory, entry: &Metadata| {
            let line = line_of(rights, directory, entry, Relation::Child);
            let start = line.find("perm=").unwrap() + 5;
            line[start..].split(';').next().unwrap().to_owned()
        };
        let file = facts(FileKind::Regular, 0o644);
        assert_eq!(permissions(Rights::READ_ONLY, 0o755, &file), "r");
        assert_eq!(permissions(Rights::READ_WRITE, 0o555, &file), "arw");
        assert_eq!(permissions(Rights::NONE, 0o755, &file), "");
        let foreign = Metadata { uid: 0, gid: 0, ..file };
        assert_eq!(permissions(Rights::READ_WRITE, 0o555, &foreign), "r");
        let of_group = Metadata { uid: 0, mode: 0o620, ..file };
        assert_eq!(permissions(Rights::READ_WRITE, 0o555, &of_group), "aw");
        let directory = facts(FileKind::Directory, 0o755);
        assert_eq!(permissions(Rights::READ_ONLY, 0o755, &directory), "el");
    }

    #[test]
    fn chosen_facts_only_are_written() {
        let facts_chosen = FactSet::from_names(b"Size;type;nonsense;");
        let directory = facts(FileKind::Directory, 0o755);
        let mut formatter =
            FactFormatter::new(facts_chosen, Rights::READ_WRITE, 1000, vec![100], &directory);
        let mut out = Vec::new();
        formatter.append_line(&mut out, b"x", &facts(FileKind::Regular, 0o644), Relation::Child);
        assert_eq!(out, b"type=file;size=4096; x\r\n");
        assert_eq!(
            facts_chosen.feature(),
            "type*;size*;modify;perm;unique;UNIX.mode;UNIX.owner;UNIX.group;"
        );
        assert_eq!(FactSet::from_names(b"").names(), "");
    }
}
