//! The lines of LIST, NLST, MLSD and MLST.
//!
//! The hot path of the server's listings: every line is appended to one reused buffer, numbers are
//! written by hand, and what repeats from one entry to the next (time, owner) is not made anew.
//!
//! A name is any bytes but NUL and `/`. Two of them could forge a line or end one early: CR and LF.
//! They, and the other control bytes, are shown as `?`; the entry is shown nevertheless, for a
//! listing is never cut silently.

use ipc::account::Rights;

use super::calendar::{self, Date, two_digits};
use crate::files::{FileKind, Metadata};

/// Half a year of 365.2425 days, in seconds: what is older shows its year (as ls does).
const HALF_YEAR: i64 = 15_778_476;
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// Makes the lines of LIST.
#[derive(Debug)]
pub struct ListFormatter {
    now: i64,
    /// Owner and group of the last entry, and how they are written.
    owner: Cached<(u32, u32)>,
    /// The minute of the last entry's time, and how it is written.
    time: Cached<i64>,
    /// The mode and kind of the last entry, and how they are written.
    mode: Cached<(u32, FileKind)>,
}

/// A text that stays the same as long as its key does.
#[derive(Debug)]
struct Cached<K> {
    key: Option<K>,
    text: [u8; 64],
    length: usize,
}

impl<K: PartialEq + Copy> Cached<K> {
    fn new() -> Self {
        Cached { key: None, text: [0; 64], length: 0 }
    }

    /// Appends the text of this key; `make` writes it, into at most 64 bytes.
    #[inline]
    fn append(&mut self, key: K, out: &mut Vec<u8>, make: impl FnOnce(&mut Vec<u8>)) {
        if self.key != Some(key) {
            let start = out.len();
            make(out);
            let made = out.get(start..).unwrap_or_default();
            if let Some(place) = self.text.get_mut(..made.len()) {
                place.copy_from_slice(made);
                self.length = made.len();
                self.key = Some(key);
            }
            return;
        }
        out.extend_from_slice(self.text.get(..self.length).unwrap_or_default());
    }
}

impl ListFormatter {
    /// A formatter for a listing made at `now`, seconds since 1970.
    pub fn new(now: i64) -> Self {
        ListFormatter { now, owner: Cached::new(), time: Cached::new(), mode: Cached::new() }
    }

    /// Appends the line of an entry, as `ls -ln` writes it, with CR LF. `target` is what a symbolic
    /// link says; it is shown when it is not empty.
    pub fn append(&mut self, out: &mut Vec<u8>, name: &[u8], facts: &Metadata, target: &[u8]) {
        out.reserve(96 + name.len() + target.len());
        self.mode.append((facts.mode, facts.kind), out, |out| {
            out.extend_from_slice(&mode_text(facts.kind, facts.mode));
        });
        append_padded(out, u64::from(facts.links), 4);
        self.owner.append((facts.uid, facts.gid), out, |out| {
            out.push(b' ');
            append_left(out, u64::from(facts.uid), 8);
            out.push(b' ');
            append_left(out, u64::from(facts.gid), 8);
        });
        append_padded(out, facts.size, 13);
        let now = self.now;
        self.time.append(facts.modified.div_euclid(60), out, |out| {
            out.extend_from_slice(&time_text(facts.modified, now));
        });
        append_name(out, name);
        if !target.is_empty() {
            out.extend_from_slice(b" -> ");
            append_name(out, target);
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends a line of NLST: the name and CR LF.
pub fn append_name_line(out: &mut Vec<u8>, name: &[u8]) {
    out.reserve(name.len() + 2);
    append_name(out, name);
    out.extend_from_slice(b"\r\n");
}

/// Appends a name: control bytes as `?`, everything else as it is.
#[inline]
fn append_name(out: &mut Vec<u8>, name: &[u8]) {
    let start = out.len();
    out.extend_from_slice(name);
    if name.iter().any(u8::is_ascii_control) {
        for byte in out.iter_mut().skip(start).filter(|byte| byte.is_ascii_control()) {
            *byte = b'?';
        }
    }
}

/// `drwxr-xr-x`.
fn mode_text(kind: FileKind, mode: u32) -> [u8; 10] {
    let letter = match kind {
        FileKind::Regular => b'-',
        FileKind::Directory => b'd',
        FileKind::Symlink => b'l',
        FileKind::Fifo => b'p',
        FileKind::Socket => b's',
        FileKind::CharacterDevice => b'c',
        FileKind::BlockDevice => b'b',
        FileKind::Unknown => b'?',
    };
    let bit = |bit: u32, letter: u8| if mode & bit == 0 { b'-' } else { letter };
    let special = |bit: u32, execute: u32, letter: u8| match (mode & bit != 0, mode & execute != 0)
    {
        (false, false) => b'-',
        (false, true) => b'x',
        (true, true) => letter,
        (true, false) => letter.to_ascii_uppercase(),
    };
    [
        letter,
        bit(0o400, b'r'),
        bit(0o200, b'w'),
        special(0o4000, 0o100, b's'),
        bit(0o040, b'r'),
        bit(0o020, b'w'),
        special(0o2000, 0o010, b's'),
        bit(0o004, b'r'),
        bit(0o002, b'w'),
        special(0o1000, 0o001, b't'),
    ]
}

/// ` Nov 20 21:59 ` within the last six months, ` Nov 20  2025 ` otherwise.
fn time_text(modified: i64, now: i64) -> [u8; 14] {
    let date = Date::from_seconds(modified);
    let mut text = *b"            \0\0";
    let (month_text, day_text, rest_text) = (1..4, 5..7, 8..13);
    let mut put = |place: std::ops::Range<usize>, bytes: &[u8]| {
        if let Some(place) = text.get_mut(place)
            && place.len() == bytes.len()
        {
            place.copy_from_slice(bytes);
        }
    };
    let month = MONTHS.get(usize::from(date.month).wrapping_sub(1)).copied().unwrap_or(b"???");
    put(month_text, month);
    let [tens, ones] = two_digits(date.day);
    put(day_text, &[if tens == b'0' { b' ' } else { tens }, ones]);
    if modified > now.saturating_sub(HALF_YEAR) && modified <= now {
        let ([h1, h2], [m1, m2]) = (two_digits(date.hour), two_digits(date.minute));
        put(rest_text, &[h1, h2, b':', m1, m2]);
    } else {
        let century = two_digits(u8::try_from(date.year / 100).unwrap_or(0));
        let year = two_digits(u8::try_from(date.year % 100).unwrap_or(0));
        let ([c1, c2], [y1, y2]) = (century, year);
        put(rest_text, &[b' ', c1, c2, y1, y2]);
    }
    put(13..14, b" ");
    text
}

/// The digits of a number at the end of a buffer of 20 bytes, and how many they are.
#[inline]
fn digits(mut number: u64) -> ([u8; 20], usize) {
    let mut text = [b' '; 20];
    let mut length = 0;
    for place in text.iter_mut().rev() {
        // A digit is below 10, so the cast keeps it whole.
        *place = b'0' + u8::try_from(number % 10).unwrap_or(0);
        length += 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    (text, length)
}

/// Appends a number, right-aligned in `width` bytes of spaces, and at least one space before it.
#[inline]
fn append_padded(out: &mut Vec<u8>, number: u64, width: usize) {
    let (text, length) = digits(number);
    let shown = length.saturating_add(1).max(width).min(text.len());
    if length == text.len() {
        out.push(b' ');
    }
    out.extend_from_slice(text.get(text.len() - shown..).unwrap_or_default());
}

/// Appends a number, with spaces behind it up to `width`.
#[inline]
fn append_left(out: &mut Vec<u8>, number: u64, width: usize) {
    let (text, length) = digits(number);
    out.extend_from_slice(text.get(text.len() - length..).unwrap_or_default());
    for _ in length..width {
        out.push(b' ');
    }
}

/// Appends a number and nothing else.
#[inline]
fn append_number(out: &mut Vec<u8>, number: u64) {
    append_left(out, number, 0);
}

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
