//! An established TLS connection over a non-blocking socket.
//!
//! Bytes go out in two steps: [`Stream::seal`] makes records of them, [`Stream::flush`] sends as
//! much as the socket takes. They come in in two steps as well: [`Stream::receive`] reads once and
//! opens every record that is whole, [`Stream::plain`] and [`Stream::consume`] hand the contents
//! on. Nothing here waits; the caller polls the socket and keeps the time.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{io::Errno, net::Shutdown};
use rustls::{
    ExtractedSecrets, SupportedCipherSuite, kernel::KernelConnection, server::ServerConnectionData,
};

use super::{
    TlsError,
    buffer::Buffer,
    record::{ContentType, Fault, MAX_PLAIN, MAX_RECORD, OVERHEAD, RecordKey, whole_record},
};

/// So many records before a cipher's limit its key is renewed (TLS 1.3) or the connection ends (TLS
/// 1.2): room for the KeyUpdate or close_notify that has to be sealed with the old key.
const LIMIT_MARGIN: u64 = 16;

/// Bytes of a TLS 1.3 KeyUpdate (RFC 8446 section 4.6.3): type, length, and whether the peer is to
/// do the same.
const KEY_UPDATE: [u8; 4] = [24, 0, 0, 1];
const UPDATE_NOT_REQUESTED: u8 = 0;
const UPDATE_REQUESTED: u8 = 1;

/// Alert levels and descriptions (RFC 8446 section 6).
const WARNING: u8 = 1;
const FATAL: u8 = 2;
const CLOSE_NOTIFY: u8 = 0;
const USER_CANCELED: u8 = 90;

/// Type of the handshake message that brings a ticket (RFC 8446 section 4.6.1).
const NEW_SESSION_TICKET: u8 = 4;

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
    /// Records a key may seal before it is renewed or the connection ends.
    pub(super) limit: u64,
    input: Buffer,
    output: Buffer,
    plain: Buffer,
    /// The client has sent close_notify, or FIN where that is enough.
    peer_closed: bool,
    /// FIN behind a whole record ends the stream as close_notify does.
    accepts_fin: bool,
    /// We have.
    closed: bool,
    /// An answer to a KeyUpdate is in `output`: further requests are answered by it as well, so
    /// that a flood of them does not fill the memory.
    updating: bool,
    /// The last ticket of the handshake, to be sent again: see [`Stream::offer_ticket`].
    ticket: Option<Vec<u8>>,
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
        let limit = confidentiality_limit(&keys).saturating_sub(LIMIT_MARGIN);
        Ok(Stream {
            socket,
            seal: RecordKey::new(secrets.tx, tls13)?,
            open: RecordKey::new(secrets.rx, tls13)?,
            keys,
            tls13,
            limit,
            input,
            output,
            plain,
            peer_closed,
            accepts_fin: false,
            closed: false,
            updating: false,
            ticket: None,
        })
    }

    /// Keeps the last ticket that waits to be sent, for [`Stream::offer_ticket`]. Before anything is
    /// sent, and only for TLS 1.3: TLS 1.2 sends its ticket once.
    pub(super) fn keep_ticket(&mut self) {
        if self.tls13 {
            self.ticket = last_ticket(&mut self.seal, self.output.filled());
        }
    }

    /// From now on a client that ends by FIN without close_notify has ended in order, if its last
    /// record is whole: nobody can tell then whether somebody else has cut the stream short.
    pub(super) fn accept_fin(&mut self) {
        self.accepts_fin = true;
    }

    /// Queues the last ticket of the handshake once more. OpenSSL uses a TLS 1.3 ticket once where
    /// its application keeps sessions, as curl does, and an upload's handshake gives no new one; so
    /// the control connection gives it, which the client reads in any case. It is the same ticket:
    /// this session takes it again, and it leads to the same key as before.
    ///
    /// # Errors
    /// As [`Stream::seal`].
    pub fn offer_ticket(&mut self) -> Result<(), TlsError> {
        let Some(ticket) = self.ticket.take() else { return Ok(()) };
        let sealed = self.seal_record(ContentType::Handshake, &ticket);
        self.ticket = Some(ticket);
        sealed
    }

    /// Makes records of `plain`, to be sent by [`Stream::flush`]. Give it what one system call
    /// should send: the output queue grows by as much.
    ///
    /// # Errors
    /// When a TLS 1.2 connection has carried all it may (256 GiB with AES-GCM; ChaCha20-Poly1305 has
    /// no such limit).
    pub fn seal(&mut self, plain: &[u8]) -> Result<(), TlsError> {
        for chunk in plain.chunks(MAX_PLAIN) {
            if self.seal.sequence() >= self.limit {
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
        if self.wants_write() {
            // The client may wait for it before it sends anything: the Finished of a full TLS 1.2
            // handshake, the answer to a KeyUpdate. A socket that cannot send it will say so when
            // it is read.
            drop(self.flush());
        }
        let between_records = self.input.is_empty();
        let room = self.input.room(most.max(MAX_RECORD));
        let got = loop {
            match rustix::io::read(&self.socket, &mut *room) {
                Ok(0) if self.accepts_fin && between_records => {
                    self.peer_closed = true;
                    return Ok(Inbound::Closed);
                }
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
        const UNDUE: TlsError = TlsError::Record(Fault::UndueHandshake);
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
        let TlsError::Record(fault) = error else { return };
        if self.seal_record(ContentType::Alert, &[FATAL, fault.alert()]).is_ok() {
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

/// The last ticket in the records that wait to be sent, which rustls has sealed with this key.
fn last_ticket(seal: &mut RecordKey, mut waiting: &[u8]) -> Option<Vec<u8>> {
    let next = seal.sequence();
    let mut records = Vec::new();
    while let Ok(Some(length)) = whole_record(waiting, true) {
        let (record, rest) = waiting.split_at_checked(length)?;
        records.push(record);
        waiting = rest;
    }
    let first = next.checked_sub(u64::try_from(records.len()).ok()?)?;
    seal.go_to(first);
    let mut ticket = None;
    for record in records {
        let mut plain = vec![0; record.len()];
        if let Ok((ContentType::Handshake, length)) = seal.open(record, &mut plain) {
            plain.truncate(length);
            ticket = last_message(&plain).or(ticket);
        }
    }
    seal.go_to(next);
    ticket
}

/// The last handshake message of a record, if it brings a ticket.
fn last_message(mut messages: &[u8]) -> Option<Vec<u8>> {
    let mut last = None;
    while let &[kind, high, middle, low, ..] = messages {
        let length = usize::try_from(u32::from_be_bytes([0, high, middle, low])).ok()?;
        let (message, rest) = messages.split_at_checked(length.checked_add(4)?)?;
        last = (kind == NEW_SESSION_TICKET).then(|| message.to_vec());
        messages = rest;
    }
    last
}

/// How many records a key of the negotiated cipher may seal (RFC 8446 section 5.5).
fn confidentiality_limit(keys: &KernelConnection<ServerConnectionData>) -> u64 {
    match keys.negotiated_cipher_suite() {
        SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit,
        SupportedCipherSuite::Tls12(suite) => suite.common.confidentiality_limit,
    }
}

/// Whether an alert is close_notify; an alert that ends the connection is an error.
fn is_close(alert: &[u8], tls13: bool) -> Result<bool, TlsError> {
    match *alert {
        [_, CLOSE_NOTIFY] => Ok(true),
        [_, USER_CANCELED] => Ok(false),
        [WARNING, _] if !tls13 => Ok(false),
        [_, description] => Err(TlsError::Alert(description)),
        _ => Err(TlsError::Record(Fault::IllFormedAlert)),
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
