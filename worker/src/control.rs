//! The control connection: bytes in, lines out, replies collected and written together.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Instant,
};

use rustix::{event::PollFlags, io::Errno};
use zeroize::Zeroize;

use crate::{
    ftp::{
        line::{Line, LineReader},
        reply::Reply,
    },
    tls::{self, Inbound, TlsError},
};

/// Replies that may wait for a client that does not read. Beyond, no more commands are taken.
const MAX_WAITING: usize = 64 * 1024;
/// How much is read at a time.
const PIECE: usize = 4096;

/// The bytes of the control connection. Both ends of a call never block: `WouldBlock` says that
/// the connection has to be polled for what the stream wants.
#[derive(Debug)]
pub enum Stream {
    /// TCP, or in a session of a TLS client the socket pair to the relay. The supervisor made it
    /// such that it does not block.
    Plain(OwnedFd),
    /// TLS: in the gate only.
    Tls(Box<tls::Stream>),
}

impl Stream {
    /// Reads what is there. 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; else as read(2).
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(fd) => loop {
                match rustix::io::read(&*fd, &mut *buffer) {
                    Ok(read) => return Ok(read),
                    Err(Errno::INTR) => {}
                    Err(e) => return Err(e.into()),
                }
            },
            Stream::Tls(tls) => match tls.receive(0) {
                Ok(Inbound::Data) => {
                    let mut plain = tls.plain();
                    let read = io::Read::read(&mut plain, buffer)?;
                    tls.consume(read);
                    Ok(read)
                }
                Ok(Inbound::Nothing) => Err(io::ErrorKind::WouldBlock.into()),
                Ok(Inbound::Closed) | Err(TlsError::Truncated) => Ok(0),
                Err(error) => Err(io::Error::other(error)),
            },
        }
    }

    /// Whether bytes were received already, so that a poll of the socket would wait in vain.
    pub fn has_received(&self) -> bool {
        match self {
            Stream::Plain(_) => false,
            Stream::Tls(tls) => !tls.plain().is_empty(),
        }
    }

    /// Whether bytes that were taken by [`Stream::write`] are not sent yet.
    pub fn has_unsent(&self) -> bool {
        match self {
            Stream::Plain(_) => false,
            Stream::Tls(tls) => tls.wants_write(),
        }
    }

    /// Sends what is not sent yet, as far as the peer takes it.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(_) => Ok(()),
            Stream::Tls(tls) => tls.flush().map(drop).map_err(io::Error::other),
        }
    }

    /// Says that nothing more will be sent, where the protocol has words for it.
    pub fn say_goodbye(&mut self) {
        match self {
            Stream::Plain(_) => {}
            // A connection that cannot say it any more is closed without.
            Stream::Tls(tls) => drop(tls.close()),
        }
    }

    /// Writes as much as the peer takes.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing; else as write(2).
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(fd) => loop {
                match rustix::io::write(&*fd, bytes) {
                    Ok(written) => return Ok(written),
                    Err(Errno::INTR) => {}
                    Err(e) => return Err(e.into()),
                }
            },
            Stream::Tls(tls) => {
                if tls.wants_write() && !tls.flush().map_err(io::Error::other)? {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                tls.seal(bytes).map_err(io::Error::other)?;
                tls.flush().map_err(io::Error::other)?;
                Ok(bytes.len())
            }
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Plain(fd) => fd.as_fd(),
            Stream::Tls(tls) => tls.as_fd(),
        }
    }
}

/// What a read of the control connection brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// Some bytes.
    Bytes,
    /// Nothing at the moment.
    Nothing,
    /// The client has closed, or the connection is broken.
    Closed,
}

/// The control connection.
#[derive(Debug)]
pub struct ControlConnection {
    stream: Stream,
    lines: LineReader,
    waiting: Vec<u8>,
    closed: bool,
    /// When the last whole line was taken: the idle timer counts from here, so that half a line,
    /// byte by byte, does not push it on.
    pub last_line: Instant,
}

impl ControlConnection {
    /// A connection; `unread` is what another process has read from it already.
    pub fn new(stream: Stream, unread: &[u8]) -> Self {
        let mut lines = LineReader::new();
        lines.feed(unread);
        ControlConnection {
            stream,
            lines,
            waiting: Vec::new(),
            closed: false,
            last_line: Instant::now(),
        }
    }

    /// Reads once.
    pub fn fill(&mut self) -> Filled {
        if self.closed {
            return Filled::Closed;
        }
        let mut buffer = [0; PIECE];
        let room = self.lines.room().min(PIECE);
        let Some(piece) = buffer.get_mut(..room).filter(|piece| !piece.is_empty()) else {
            return Filled::Nothing;
        };
        match self.stream.read(piece) {
            Ok(0) => {
                self.closed = true;
                Filled::Closed
            }
            Ok(read) => {
                self.lines.feed(piece.get(..read).unwrap_or_default());
                // What was typed may be a password.
                piece.get_mut(..read).unwrap_or_default().zeroize();
                Filled::Bytes
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Filled::Nothing,
            Err(_) => {
                self.closed = true;
                Filled::Closed
            }
        }
    }

    /// The next whole line that was read.
    pub fn next_line(&mut self) -> Option<Line> {
        if self.is_clogged() {
            return None;
        }
        let line = self.lines.next_line();
        let answers = self.lines.take_answers();
        self.waiting.extend_from_slice(&answers);
        if line.is_some() {
            self.last_line = Instant::now();
        }
        line
    }

    /// Adds a whole reply to those that wait.
    pub fn say(&mut self, reply: &Reply) {
        reply.encode(&mut self.waiting);
    }

    /// Writes the replies that wait, in one write if the client takes them.
    ///
    /// # Errors
    /// When the connection is broken. A client that does not read is no error: the replies wait.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            match self.stream.write(&self.waiting) {
                Ok(written) if written >= self.waiting.len() => self.waiting.clear(),
                Ok(written) => {
                    self.waiting.drain(..written);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => {
                    self.closed = true;
                    return Err(e);
                }
            }
        }
        self.stream.flush().inspect_err(|_| self.closed = true)
    }

    /// Makes the replies that wait the last ones: where the protocol has words for the end, they
    /// follow. What the client does not take at once is lost.
    pub fn say_goodbye(&mut self) {
        if self.flush().is_ok() {
            self.stream.say_goodbye();
        }
    }

    /// Whether [`ControlConnection::fill`] has something to read without a wait.
    pub fn has_received(&self) -> bool {
        self.stream.has_received() && self.lines.room() > 0
    }

    /// Whether replies wait for the client to read.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty() || self.stream.has_unsent()
    }

    /// Whether so many replies wait that no more commands are taken until the client reads.
    pub fn is_clogged(&self) -> bool {
        self.waiting.len() > MAX_WAITING
    }

    /// Whether the client has closed, or the connection is broken.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// What to poll for. A reader that is full is not polled for more.
    pub fn interest(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        if !self.closed && self.lines.room() > 0 && !self.is_clogged() {
            flags |= PollFlags::IN;
        }
        if self.is_waiting() {
            flags |= PollFlags::OUT;
        }
        flags
    }

    /// Gives up the connection: the stream and what was read and not understood yet.
    pub fn into_parts(mut self) -> (Stream, Vec<u8>) {
        let unread = self.lines.take_pending();
        (self.stream, unread)
    }

    /// Drops what was read and not understood yet, and says whether there was any. For AUTH TLS:
    /// nothing sent in the clear may be taken for something sent under TLS.
    pub fn discard_pending(&mut self) -> bool {
        let mut pending = self.lines.take_pending();
        let some = !pending.is_empty();
        pending.zeroize();
        some
    }
}

impl AsFd for ControlConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};

    use super::*;

    fn pair() -> (ControlConnection, OwnedFd) {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .unwrap();
        (ControlConnection::new(Stream::Plain(ours), b""), theirs)
    }

    #[test]
    fn replies_of_a_burst_leave_in_one_write() {
        let (mut control, client) = pair();
        control.say(&Reply::line(200, "one"));
        control.say(&Reply::line(200, "two"));
        control.flush().unwrap();
        let mut buffer = [0; 64];
        let read = rustix::io::read(&client, &mut buffer[..]).unwrap();
        assert_eq!(&buffer[..read], b"200 one\r\n200 two\r\n");
    }

    #[test]
    fn a_client_that_does_not_read_stops_the_flow_of_commands() {
        let (mut control, client) = pair();
        control.say(&Reply::line(200, vec![b'x'; 1 << 20]));
        control.flush().unwrap();
        assert!(control.is_waiting());
        rustix::io::write(&client, b"NOOP\r\n").unwrap();
        assert_eq!(control.fill(), Filled::Bytes);
        assert_eq!(control.next_line(), None);
        assert!(!control.interest().contains(PollFlags::IN));
    }

    #[test]
    fn f3_half_a_line_does_not_push_the_idle_timer() {
        let (mut control, client) = pair();
        let began = control.last_line;
        for byte in b"NOOP\xff\xf1" {
            rustix::io::write(&client, &[*byte]).unwrap();
            assert_eq!(control.fill(), Filled::Bytes);
            assert_eq!(control.next_line(), None);
            assert_eq!(control.last_line, began);
        }
        rustix::io::write(&client, b"\r\n").unwrap();
        assert_eq!(control.fill(), Filled::Bytes);
        assert!(control.next_line().is_some());
        assert!(control.last_line > began);
    }

    #[test]
    fn bytes_read_by_the_gate_come_first() {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .unwrap();
        let mut control = ControlConnection::new(Stream::Plain(ours), b"NO");
        rustix::io::write(&theirs, b"OP\r\n").unwrap();
        assert_eq!(control.next_line(), None);
        assert_eq!(control.fill(), Filled::Bytes);
        assert!(matches!(control.next_line(), Some(Line::Text(text)) if **text == *b"NOOP"));
        drop(theirs);
        assert_eq!(control.fill(), Filled::Closed);
    }
}
