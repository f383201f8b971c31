//! The lines of LIST, NLST, MLSD and MLST.
//!
//! The hot path of the server's listings: every line is appended to one reused buffer, numbers are
//! written by hand, and what repeats from one entry to the next (time, owner) is not made anew.
//!
//! A name is any bytes but NUL and `/`, and is written byte for byte, so that a client can name what
//! it was told of. Two bytes could forge a line or end one early: CR and LF. They are shown as `?`;
//! the entry is shown nevertheless, for a listing is never cut silently.

mod facts;

pub use facts::{Fact, FactFormatter, FactSet, Relation};

use super::calendar::{Date, two_digits};
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

/// Appends a name: CR and LF as `?`, everything else as it is.
#[inline]
fn append_name(out: &mut Vec<u8>, name: &[u8]) {
    let start = out.len();
    out.extend_from_slice(name);
    if name.iter().any(|byte| ends_line(*byte)) {
        for byte in out.iter_mut().skip(start).filter(|byte| ends_line(**byte)) {
            *byte = b'?';
        }
    }
}

/// Whether a byte could end a line of a listing or a reply; NUL, which no name has, for those who
/// read CR NUL as one.
#[inline]
pub fn ends_line(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | b'\0')
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    pub(super) fn facts(kind: FileKind, mode: u32) -> Metadata {
        Metadata {
            kind,
            mode,
            links: 1,
            uid: 1000,
            gid: 100,
            size: 4096,
            modified: NOW,
            modified_nanoseconds: 0,
            device: (8, 1),
            inode: 255,
        }
    }

    fn list(name: &[u8], facts: &Metadata, target: &[u8]) -> String {
        let mut out = Vec::new();
        ListFormatter::new(NOW).append(&mut out, name, facts, target);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn list_looks_as_ls_does() {
        let file = facts(FileKind::Regular, 0o644);
        assert_eq!(
            list(b"a b", &file, b""),
            "-rw-r--r--   1 1000     100              4096 Nov 14 22:13 a b\r\n"
        );
        let old = Metadata { modified: NOW - HALF_YEAR - 60, ..facts(FileKind::Directory, 0o1755) };
        assert_eq!(
            list(b"d", &old, b""),
            "drwxr-xr-t   1 1000     100              4096 May 16  2023 d\r\n"
        );
        let link = facts(FileKind::Symlink, 0o777);
        assert!(list(b"l", &link, b"to").ends_with(" l -> to\r\n"));
        let future = Metadata { modified: NOW + 3600, ..file };
        assert!(list(b"f", &future, b"").contains(" Nov 14  2023 f"));
        let largest = Metadata { size: u64::MAX, links: u32::MAX, uid: u32::MAX, ..file };
        let line = list(b"f", &largest, b"");
        assert!(
            line.contains(" 4294967295 4294967295 100")
                && line.contains(&format!(" {} ", u64::MAX))
        );
    }

    #[test]
    fn cached_texts_change_with_what_they_say() {
        let mut formatter = ListFormatter::new(NOW);
        let mut out = Vec::new();
        let one = facts(FileKind::Regular, 0o644);
        let two = Metadata { uid: 1, modified: NOW - 86_400, mode: 0o600, ..one };
        for entry in [&one, &one, &two, &one] {
            formatter.append(&mut out, b"x", entry, b"");
        }
        let expected: String =
            [&one, &one, &two, &one].map(|entry| list(b"x", entry, b"")).concat();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_name_cannot_forge_a_line() {
        let line =
            list(b"a\r\n-rw-r--r-- 1 0 0 1 Jan 1 00:00 b", &facts(FileKind::Regular, 0o644), b"");
        assert_eq!(line.matches('\n').count(), 1);
        let mut out = Vec::new();
        append_name_line(&mut out, b"a\nb\r");
        assert_eq!(out, b"a?b?\r\n");
    }

    #[test]
    fn f2_every_byte_of_a_name_but_cr_and_lf_is_listed_as_it_is() {
        for byte in (1..=255).filter(|byte| !matches!(byte, b'/' | b'\r' | b'\n')) {
            let name = [b'a', byte, b'b'];
            let mut out = Vec::new();
            append_name_line(&mut out, &name);
            assert_eq!(out, [&name[..], b"\r\n"].concat(), "NLST of {byte}");
            out.clear();
            let metadata = facts(FileKind::Symlink, 0o644);
            ListFormatter::new(NOW).append(&mut out, &name, &metadata, &name);
            let shown = [b" ", &name[..], b" -> ", &name[..], b"\r\n"].concat();
            assert!(out.ends_with(&shown), "LIST of {byte}");
        }
    }
}
