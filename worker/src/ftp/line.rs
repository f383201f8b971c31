//! The control connection's lines (RFC 959 section 5.3, RFC 1123 section 4.1.2.12, RFC 854).
//!
//! Bytes come in as the network cut them, lines go out. Nothing grows without bound: at most
//! [`READ_AHEAD`] raw bytes are held, and a line that is too long is dropped as it arrives. Whatever
//! may have been a password is wiped as soon as it has been passed on.

use zeroize::{Zeroize, Zeroizing};

/// Longest line that is understood, in bytes without its end and after Telnet is undone.
pub const MAX_LINE: usize = 4096;
/// Most raw bytes the reader holds; as many as fit into a handover message.
pub const READ_AHEAD: usize = 8192;
/// Most bytes of Telnet answers held until they are taken; a client that asks more gets no answer.
const MAX_ANSWERS: usize = 96;

const NUL: u8 = 0;
const LF: u8 = b'\n';
const CR: u8 = b'\r';
const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
const SB: u8 = 250;
/// End of subnegotiation; the lowest byte that is a Telnet command.
const SE: u8 = 240;

/// What the reader makes of the bytes up to a line's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line without its end, Telnet undone. Contains neither NUL nor LF.
    Text(Zeroizing<Vec<u8>>),
    /// A line of more than [`MAX_LINE`] bytes, dropped: 500.
    TooLong,
    /// A line with a NUL in it, dropped and never cut there: 501.
    Nul,
    /// A line with a CR that is neither part of its end nor escaped as CR NUL, dropped: 501.
    LoneCr,
}

/// Where in a line the reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    /// Behind a CR: LF ends the line, NUL makes it a CR of a name (RFC 2640 section 3.1).
    Cr,
    Iac,
    /// Behind IAC and DO, DONT, WILL or WONT: the option comes.
    Option(u8),
    Subnegotiation,
    SubnegotiationIac,
}

/// Makes lines of bytes.
#[derive(Debug)]
pub struct LineReader {
    /// What came in, raw.
    raw: Vec<u8>,
    /// Where in `raw` the unfinished line begins; what stands before has been wiped.
    start: usize,
    /// How much of `raw` has been looked at.
    seen: usize,
    /// The unfinished line, Telnet undone.
    text: Vec<u8>,
    state: State,
    nul: bool,
    lone_cr: bool,
    /// The unfinished line is too long: drop until its end.
    skipping: bool,
    answers: Vec<u8>,
}

impl Default for LineReader {
    fn default() -> Self {
        Self::new()
    }
}

impl LineReader {
    /// A reader at the beginning of a line.
    pub fn new() -> Self {
        LineReader {
            raw: Vec::new(),
            start: 0,
            seen: 0,
            text: Vec::new(),
            state: State::Text,
            nul: false,
            lone_cr: false,
            skipping: false,
            answers: Vec::new(),
        }
    }

    /// How many bytes may be fed now. 0: take lines first (there is one).
    pub fn room(&self) -> usize {
        READ_AHEAD.saturating_sub(self.raw.len() - self.start)
    }

    /// Takes in what was read; answers how many bytes it took, at most [`room`](Self::room).
    /// The caller wipes its own buffer.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        let take = bytes.len().min(self.room());
        self.make_room();
        // All of it at once: a vector that grows leaves copies behind that nobody wipes.
        self.raw.reserve_exact(READ_AHEAD.saturating_sub(self.raw.len()));
        self.raw.extend(bytes.iter().take(take));
        take
    }

    /// The next whole line, if there is one.
    pub fn next_line(&mut self) -> Option<Line> {
        while let Some(&byte) = self.raw.get(self.seen) {
            self.seen += 1;
            let ended = if self.skipping { byte == LF } else { self.take(byte) };
            if ended {
                return Some(self.finish());
            }
            if self.text.len() > MAX_LINE || self.seen - self.start >= READ_AHEAD {
                self.skipping = true;
                self.text.zeroize();
            }
        }
        if self.skipping {
            self.forget_seen();
        }
        None
    }

    /// Whether a part of a line is held, or lines that were not taken yet.
    pub fn has_pending(&self) -> bool {
        self.start < self.raw.len()
    }

    /// Takes out what was fed and belongs to no line that was taken, raw, for whoever reads on.
    /// At most [`READ_AHEAD`] bytes. The reader is as new afterwards.
    pub fn take_pending(&mut self) -> Vec<u8> {
        self.make_room();
        let pending = std::mem::take(&mut self.raw);
        *self = LineReader::new();
        pending
    }

    /// Takes out what has to be sent to answer Telnet options: every one is declined.
    pub fn take_answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answers)
    }

    /// One byte of a line; whether the line ends with it.
    fn take(&mut self, byte: u8) -> bool {
        match self.state {
            State::Text => match byte {
                LF => return true,
                CR => self.state = State::Cr,
                IAC => self.state = State::Iac,
                NUL => self.nul = true,
                _ => self.push(byte),
            },
            State::Cr => {
                self.state = State::Text;
                match byte {
                    LF => return true,
                    NUL => self.push(CR),
                    _ => {
                        self.lone_cr = true;
                        return self.take(byte);
                    }
                }
            }
            State::Iac => {
                self.state = State::Text;
                match byte {
                    IAC => self.push(IAC),
                    DO | DONT | WILL | WONT => self.state = State::Option(byte),
                    SB => self.state = State::Subnegotiation,
                    // IP, AO, DM, NOP …: nothing to do; ABOR itself follows as a line.
                    SE.. => {}
                    _ => {
                        // No Telnet command. Within a line it is the byte of a name that the
                        // client did not double; before a verb it is what remains of an urgent
                        // IAC DM whose last byte travelled out of band.
                        if !self.text.is_empty() {
                            self.push(IAC);
                        }
                        return self.take(byte);
                    }
                }
            }
            State::Option(verb) => {
                self.state = State::Text;
                let answer = match verb {
                    DO => Some(WONT),
                    WILL => Some(DONT),
                    _ => None,
                };
                if let Some(answer) = answer
                    && self.answers.len() < MAX_ANSWERS
                {
                    self.answers.extend([IAC, answer, byte]);
                }
            }
            State::Subnegotiation => {
                if byte == IAC {
                    self.state = State::SubnegotiationIac;
                }
            }
            State::SubnegotiationIac => {
                self.state = if byte == SE { State::Text } else { State::Subnegotiation };
            }
        }
        false
    }

    /// Adds a byte to the line. Grows it by hand, because what it grew out of has to be wiped.
    fn push(&mut self, byte: u8) {
        if self.text.len() == self.text.capacity() {
            let at_hand = self.raw.len().saturating_sub(self.seen);
            let mut larger = Vec::with_capacity((self.text.len() * 2).max(at_hand + 1).max(16));
            larger.extend_from_slice(&self.text);
            self.text.zeroize();
            self.text = larger;
        }
        self.text.push(byte);
    }

    /// The line that has just ended; the reader stands at the beginning of the next.
    fn finish(&mut self) -> Line {
        self.forget_seen();
        let text = Zeroizing::new(std::mem::take(&mut self.text));
        let line = if self.skipping || text.len() > MAX_LINE {
            Line::TooLong
        } else if self.nul {
            Line::Nul
        } else if self.lone_cr {
            Line::LoneCr
        } else {
            Line::Text(text)
        };
        self.state = State::Text;
        self.nul = false;
        self.lone_cr = false;
        self.skipping = false;
        line
    }

    /// Wipes the raw bytes that were looked at.
    fn forget_seen(&mut self) {
        if let Some(seen) = self.raw.get_mut(self.start..self.seen) {
            seen.zeroize();
        }
        self.start = self.seen;
    }

    /// Moves what is not forgotten to the front. Done before more is taken in and not for each
    /// line, so that many short lines cost no more than one long.
    fn make_room(&mut self) {
        if self.start == 0 {
            return;
        }
        let held = self.raw.len() - self.start;
        self.raw.copy_within(self.start.., 0);
        if let Some(stale) = self.raw.get_mut(held..) {
            stale.zeroize();
        }
        self.raw.truncate(held);
        self.seen -= self.start;
        self.start = 0;
    }
}

impl Drop for LineReader {
    fn drop(&mut self) {
        self.raw.zeroize();
        self.text.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &[u8]) -> Option<Line> {
        Some(Line::Text(Zeroizing::new(line.to_vec())))
    }

    fn lines(bytes: &[u8]) -> Vec<Line> {
        let mut reader = LineReader::new();
        let mut lines = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = reader.feed(rest);
            assert!(taken > 0, "the reader takes no more and gives no line");
            rest = &rest[taken..];
            while let Some(line) = reader.next_line() {
                lines.push(line);
            }
        }
        lines
    }

    #[test]
    fn lines_end_with_cr_lf_or_lf_and_may_come_byte_by_byte() {
        let mut reader = LineReader::new();
        let mut seen = Vec::new();
        for byte in b"USER a\r\nPASS b\nNOOP\r" {
            assert_eq!(reader.feed(&[*byte]), 1);
            seen.extend(reader.next_line());
        }
        assert_eq!(seen, [text(b"USER a").unwrap(), text(b"PASS b").unwrap()]);
        assert!(reader.has_pending());
        reader.feed(b"\n");
        assert_eq!(reader.next_line(), text(b"NOOP"));
        assert!(!reader.has_pending());
    }

    #[test]
    fn a_long_line_is_one_item_and_the_next_is_read_normally() {
        for length in [MAX_LINE + 1, READ_AHEAD, 100_000] {
            let mut bytes = vec![b'x'; length];
            bytes.extend_from_slice(b"\r\nNOOP\r\n");
            assert_eq!(lines(&bytes), [Line::TooLong, text(b"NOOP").unwrap()], "{length}");
        }
        let mut bytes = vec![b'x'; MAX_LINE];
        bytes.extend_from_slice(b"\r\n");
        assert_eq!(lines(&bytes), [text(&vec![b'x'; MAX_LINE]).unwrap()]);
    }

    #[test]
    fn a_flood_of_telnet_bytes_in_one_line_ends_in_too_long() {
        let mut bytes = [IAC, 241].repeat(READ_AHEAD);
        bytes.extend_from_slice(b"\r\nNOOP\r\n");
        assert_eq!(lines(&bytes), [Line::TooLong, text(b"NOOP").unwrap()]);
    }

    #[test]
    fn nul_and_lone_cr_are_refused_and_cr_nul_is_a_cr() {
        assert_eq!(
            lines(b"MKD a\0b\r\nMKD a\rb\r\nMKD a\r\0b\r\nMKD a\r\r\nNOOP\r\n"),
            [
                Line::Nul,
                Line::LoneCr,
                text(b"MKD a\rb").unwrap(),
                Line::LoneCr,
                text(b"NOOP").unwrap()
            ]
        );
    }

    #[test]
    fn telnet_is_undone_and_options_are_declined() {
        let mut reader = LineReader::new();
        reader.feed(b"\xff\xf4\xff\xf2ABOR\r\n");
        assert_eq!(reader.next_line(), text(b"ABOR"));
        // The urgent byte travelled out of band: only its IAC is in line.
        reader.feed(b"\xff\xf4\xffABOR\r\n");
        assert_eq!(reader.next_line(), text(b"ABOR"));
        reader.feed(b"RETR \xff\xff\xffy\r\n\xff\xfd\x01\xff\xfb\x03\xff\xfe\x0aNOOP\r\n");
        assert_eq!(reader.next_line(), text(b"RETR \xff\xffy"));
        assert_eq!(reader.next_line(), text(b"NOOP"));
        assert_eq!(reader.take_answers(), b"\xff\xfc\x01\xff\xfe\x03");
        reader.feed(b"\xff\xfa\x18\n\xff\xf0NOOP\r\n");
        assert_eq!(reader.next_line(), text(b"NOOP"));
    }

    #[test]
    fn what_was_not_taken_is_handed_over_raw() {
        let mut reader = LineReader::new();
        reader.feed(b"PASS x\r\nPWD\r\nRETR \xff\xff");
        assert_eq!(reader.next_line(), text(b"PASS x"));
        assert_eq!(reader.take_pending(), b"PWD\r\nRETR \xff\xff");
        assert!(!reader.has_pending());
        reader.feed(b"RETR \xff");
        assert_eq!(reader.next_line(), None);
        assert_eq!(reader.take_pending(), b"RETR \xff");
    }
}
