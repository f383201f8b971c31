//! An established TLS connection over a non-blocking socket.
//!
//! Bytes go out in two steps: [`Stream::seal`] makes records of them, [`Stream::flush`] sends as
//! much as the socket takes. They come in in two steps as well: [`Stream::receive`] reads once and
//! opens every record that is whole, [`Stream::plain`] and [`Stream::consume`] hand the contents
//! on. Nothing here waits; the caller polls the socket and keeps the time.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{io::Errno, net::Shutdown};
use rustls::{ExtractedSecrets, kernel::KernelConnection, server::ServerConnectionData};

use super::{
    TlsError,
    buffer::Buffer,
    record::{ContentType, MAX_PLAIN, MAX_RECORD, OVERHEAD, RecordKey, whole_record},
};

/// Records one key may seal before it is renewed (TLS 1.3) or the connection ends (TLS 1.2): well
/// below the limit of AES-GCM, 2^24.5 full records (RFC 8446 section 5.5).
const MAX_RECORDS: u64 = 1 << 23;

/// Bytes of a TLS 1.3 KeyUpdate (RFC 8446 section 4.6.3): type, length, and whether the peer is to
/// do the same.
const KEY_UPDATE: [u8; 4] = [24, 0, 0, 1];
const UPDATE_NOT_REQUESTED: u8 = 0;
const UPDATE_REQUESTED: u8 = 1;

/// Alert levels and descriptions (RFC 8446 section 6).
const WARNING: u8 = 1;
const FATAL: u8 = 2;
const CLOSE_NOTIFY: u8 = 0;
const UNEXPECTED_MESSAGE: u8 = 10;
const BAD_RECORD_MAC: u8 = 20;
const USER_CANCELED: u8 = 90;

/// What one [`Stream::receive`] brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inbound {
    /// Contents; they are in [`Stream::plain`].
    Data,
    /// Nothing yet: poll the socket.
    Nothing,
    /// The client has said, by close_notify, that it sends no more. All contents are there.
    Closed,
}

/// The memory of a connection, for the next one when it is over.
#[derive(Default)]
pub struct Buffers {
    pub(super) input: Buffer,
    pub(super) output: Buffer,
    pub(super) plain: Buffer,
}

/// Says nothing of contents.
impl std::fmt::Debug for Buffers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffers").finish_non_exhaustive()
    }
}

/// An established TLS connection.
pub struct Stream {
    socket: OwnedFd,
    seal: RecordKey,
    open: RecordKey,
    keys: KernelConnection<ServerConnectionData>,
    tls13: bool,
    input: Buffer,
    output: Buffer,
    plain: Buffer,
    /// The client has sent close_notify.
    peer_closed: bool,
    /// We have.
    closed: bool,
    /// An answer to a KeyUpdate is in `output`: further requests are answered by it as well, so
    /// that a flood of them does not fill the memory.
    updating: bool,
}

impl Stream {
    pub(super) fn new(
        socket: OwnedFd,
        secrets: ExtractedSecrets,
        keys: KernelConnection<ServerConnectionData>,
        tls13: bool,
        buffers: Buffers,
        peer_closed: bool,
    ) -> Result<Self, TlsError> {
        let Buffers { input, output, plain } = buffers;
        Ok(Stream {
            socket,
            seal: RecordKey::new(secrets.tx, tls13)?,
            open: RecordKey::new(secrets.rx, tls13)?,
            keys,
            tls13,
            input,
            output,
            plain,
            peer_closed,
            closed: false,
            updating: false,
        })
    }

    /// Makes records of `plain`, to be sent by [`Stream::flush`]. Give it what one system call
    /// should send: the output queue grows by as much.
    ///
    /// # Errors
    /// When a TLS 1.2 connection has carried all it may.
    pub fn seal(&mut self, plain: &[u8]) -> Result<(), TlsError> {
        for chunk in plain.chunks(MAX_PLAIN) {
            if self.seal.sequence() >= MAX_RECORDS {
                self.renew()?;
            }
            self.seal_record(ContentType::Data, chunk)?;
        }
        Ok(())
    }

    fn seal_record(&mut self, content: ContentType, plain: &[u8]) -> Result<(), TlsError> {
        let room = self.output.room(plain.len().saturating_add(OVERHEAD));
        let length = self.seal.seal(content, plain, room)?;
        self.output.produce(length);
        Ok(())
    }

    /// Sends a KeyUpdate and takes the next key.
    fn renew(&mut self) -> Result<(), TlsError> {
        if !self.tls13 {
            return Err(TlsError::Exhausted);
        }
        let [kind, l0, l1, l2] = KEY_UPDATE;
        self.seal_record(ContentType::Handshake, &[kind, l0, l1, l2, UPDATE_NOT_REQUESTED])?;
        let secrets = self.keys.update_tx_secret().map_err(TlsError::Handshake)?;
        self.seal = RecordKey::new(secrets, true)?;
        Ok(())
    }

    /// Queues close_notify: the client is told that everything was sent.
    ///
    /// # Errors
    /// As [`Stream::seal`].
    pub fn close(&mut self) -> Result<(), TlsError> {
        if self.closed {
            return Ok(());
        }
        self.closed = true;
        self.seal_record(ContentType::Alert, &[WARNING, CLOSE_NOTIFY])
    }

    /// Whether [`Stream::flush`] has something to send.
    pub fn wants_write(&self) -> bool {
        !self.output.is_empty()
    }

    /// How many sealed bytes wait to be sent.
    pub fn unsent(&self) -> usize {
        self.output.len()
    }

    /// Sends what is queued; false when the socket took only a part of it.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn flush(&mut self) -> Result<bool, TlsError> {
        while !self.output.is_empty() {
            match rustix::io::write(&self.socket, self.output.filled()) {
                Ok(sent) => self.output.consume(sent),
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        self.updating = false;
        Ok(true)
    }

    /// Sends FIN; for after [`Stream::close`] and a complete [`Stream::flush`].
    ///
    /// # Errors
    /// When the socket fails; a client that has gone already is no error.
    pub fn shutdown(&mut self) -> Result<(), TlsError> {
        match rustix::net::shutdown(&self.socket, Shutdown::Write) {
            Ok(()) | Err(Errno::NOTCONN) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// The contents received and not yet consumed.
    pub fn plain(&self) -> &[u8] {
        self.plain.filled()
    }

    /// Takes `count` bytes off [`Stream::plain`].
    pub fn consume(&mut self, count: usize) {
        self.plain.consume(count);
    }

    /// Reads at most `most` bytes (at least one record's worth) and opens every record that is
    /// whole. Contents that are still in [`Stream::plain`] come back first, without reading.
    ///
    /// # Errors
    /// [`TlsError::Truncated`] at end of file without close_notify; the others when the client
    /// breaks the protocol, which it has then been told by an alert.
    pub fn receive(&mut self, most: usize) -> Result<Inbound, TlsError> {
        if !self.plain.is_empty() {
            return Ok(Inbound::Data);
        }
        // What came in one flight with the handshake may already be a whole record.
        self.open_records()?;
        if !self.plain.is_empty() {
            return Ok(Inbound::Data);
        }
        if self.peer_closed {
            return Ok(Inbound::Closed);
        }
        let room = self.input.room(most.max(MAX_RECORD));
        let got = loop {
            match rustix::io::read(&self.socket, &mut *room) {
                Ok(0) => return Err(TlsError::Truncated),
                Ok(got) => break got,
                Err(Errno::AGAIN) => return Ok(Inbound::Nothing),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        };
        self.input.produce(got);
        self.open_records()?;
        Ok(if !self.plain.is_empty() {
            Inbound::Data
        } else if self.peer_closed {
            Inbound::Closed
        } else {
            Inbound::Nothing
        })
    }

    fn open_records(&mut self) -> Result<(), TlsError> {
        while !self.peer_closed {
            let opened = self.open_record();
            match opened {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.send_alert(&error);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Opens the next record, if it is whole.
    fn open_record(&mut self) -> Result<bool, TlsError> {
        let Some(length) = whole_record(self.input.filled(), self.tls13)? else {
            return Ok(false);
        };
        let record = self.input.filled().get(..length).unwrap_or_default();
        let room = self.plain.room(length);
        let (content, opened) = self.open.open(record, room)?;
        self.input.consume(length);
        match content {
            ContentType::Data => self.plain.produce(opened),
            ContentType::Alert => {
                let alert = room.get(..opened).unwrap_or_default();
                self.peer_closed = is_close(alert, self.tls13)?;
            }
            ContentType::Handshake => {
                let message = room.first_chunk::<5>().copied().filter(|_| opened == 5);
                self.answer_handshake(message)?;
            }
        }
        Ok(true)
    }

    /// The only handshake message that is due after a handshake is TLS 1.3's KeyUpdate; there is
    /// no renegotiation.
    fn answer_handshake(&mut self, message: Option<[u8; 5]>) -> Result<(), TlsError> {
        const UNDUE: TlsError = TlsError::Record("a handshake message that is not due");
        let requested = match message {
            Some([kind, l0, l1, l2, requested]) if [kind, l0, l1, l2] == KEY_UPDATE => requested,
            Some(_) | None => return Err(UNDUE),
        };
        if !self.tls13 || requested > UPDATE_REQUESTED {
            return Err(UNDUE);
        }
        let secrets = self.keys.update_rx_secret().map_err(TlsError::Handshake)?;
        self.open = RecordKey::new(secrets, true)?;
        if requested == UPDATE_REQUESTED && !self.updating && !self.closed {
            self.renew()?;
            self.updating = true;
        }
        Ok(())
    }

    /// Tells the client why the connection ends, without waiting for it.
    fn send_alert(&mut self, error: &TlsError) {
        let description = match error {
            TlsError::Record(text) if text.contains("tag is wrong") => BAD_RECORD_MAC,
            TlsError::Record(_) => UNEXPECTED_MESSAGE,
            _ => return,
        };
        if self.seal_record(ContentType::Alert, &[FATAL, description]).is_ok() {
            // The connection has failed already; that the alert cannot be sent changes nothing.
            drop(self.flush());
        }
    }

    /// Whether the client has sent close_notify.
    pub fn peer_has_closed(&self) -> bool {
        self.peer_closed
    }

    /// The socket, and the buffers for another connection.
    pub fn into_parts(self) -> (OwnedFd, Buffers) {
        let mut buffers = Buffers { input: self.input, output: self.output, plain: self.plain };
        buffers.input.clear();
        buffers.output.clear();
        buffers.plain.clear();
        (self.socket, buffers)
    }

    /// Gives back the memory of empty buffers; for a connection that will be quiet for a while.
    pub fn release(&mut self) {
        self.input.release();
        self.output.release();
        self.plain.release();
    }
}

/// Whether an alert is close_notify; an alert that ends the connection is an error.
fn is_close(alert: &[u8], tls13: bool) -> Result<bool, TlsError> {
    match *alert {
        [_, CLOSE_NOTIFY] => Ok(true),
        [_, USER_CANCELED] => Ok(false),
        [WARNING, _] if !tls13 => Ok(false),
        [_, description] => Err(TlsError::Alert(description)),
        _ => Err(TlsError::Record("an ill-formed alert")),
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Says nothing of keys and contents.
impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream")
            .field("tls13", &self.tls13)
            .field("unsent", &self.output.len())
            .finish_non_exhaustive()
    }
}
