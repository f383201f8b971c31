//! The handshake on a non-blocking socket, made by rustls, one step at a time.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use ipc::{bounded::Bytes, tls_facts::TlsFacts};
use rustix::io::Errno;
use rustls::{
    HandshakeKind, PeerIncompatible, ProtocolVersion, ServerConfig,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, EncodeError},
};

use super::{
    TlsError,
    client_name::common_name,
    signer::Notes,
    stream::{Buffers, Stream},
};

/// The most a client may send before the handshake is over, in bytes: room for a hello with a
/// post-quantum key share and a long certificate chain.
const MAX_HANDSHAKE: usize = 64 * 1024;
/// How much is read at a time.
const READ: usize = 8 * 1024;
/// Type of a handshake record, which is what a client's first byte must be.
const HANDSHAKE_RECORD: u8 = 22;

/// The beginning of a record with a fatal alert before anything is encrypted (RFC 8446 sections 5.1
/// and 6): type, version, length, level. The description follows.
const FATAL_ALERT: [u8; 6] = [21, 3, 3, 0, 2, 2];
/// `handshake_failure`: the two do not come together.
const HANDSHAKE_FAILURE: u8 = 40;
/// `internal_error`: nothing is wrong with what the client said.
const INTERNAL_ERROR: u8 = 80;

/// What a handshake waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The client's next bytes.
    WantsRead,
    /// Room in the socket.
    WantsWrite,
    /// Nothing: it is done, and [`Handshake::into_stream`] may be called.
    Done,
}

/// What was agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    /// Version, cipher suite, group, and whether the master secret is bound to the handshake.
    pub facts: TlsFacts,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// The server name the client asked for.
    pub server_name: Option<String>,
    /// The common name of the client's certificate, if it gave one, which rustls has verified.
    /// Empty: it has no name.
    pub client_name: Option<Bytes<255>>,
}

/// A handshake that is under way.
pub struct Handshake {
    connection: UnbufferedServerConnection,
    notes: Arc<Notes>,
    socket: OwnedFd,
    /// `plain`: data the client sent in one flight with the end of its handshake.
    buffers: Buffers,
    closed_by_peer: bool,
    received: usize,
    resumed_only: bool,
    keeps_ticket: bool,
    accepts_fin: bool,
    /// A byte was sent, or was to be sent.
    has_answered: bool,
}

impl Handshake {
    pub(super) fn new(
        config: Arc<ServerConfig>,
        notes: Arc<Notes>,
        socket: OwnedFd,
    ) -> Result<Self, TlsError> {
        // What an earlier handshake left is none of this one.
        drop(notes.take_cause());
        notes.take_weak_session();
        let connection = UnbufferedServerConnection::new(config).map_err(TlsError::Handshake)?;
        Ok(Handshake {
            connection,
            notes,
            socket,
            buffers: Buffers::default(),
            closed_by_peer: false,
            received: 0,
            resumed_only: false,
            keeps_ticket: false,
            accepts_fin: false,
            has_answered: false,
        })
    }

    /// Reuses the memory of an earlier connection. Before the first step.
    #[must_use]
    pub fn with_buffers(self, buffers: Buffers) -> Self {
        Handshake { buffers, ..self }
    }

    /// The stream will be able to offer its last ticket again.
    pub(super) fn keep_ticket(&mut self) {
        self.keeps_ticket = true;
    }

    /// The client may end the stream by FIN alone.
    pub(super) fn accept_fin(&mut self) {
        self.accepts_fin = true;
    }

    pub(super) fn require_resumed(&mut self, resumed_only: bool) {
        self.resumed_only = resumed_only;
    }

    /// Goes on as far as the socket allows.
    ///
    /// # Errors
    /// When the handshake fails; the client has then been sent the alert that says so, as far as
    /// the socket took it.
    pub fn advance(&mut self) -> Result<Progress, TlsError> {
        loop {
            match self.step() {
                Ok(true) if self.is_done() => return Ok(Progress::Done),
                Ok(true) => {}
                Ok(false) => {}
                Err(error) => {
                    let error = self.cause(error);
                    self.send_alert(&error);
                    return Err(error);
                }
            }
            if !self.flush()? {
                return Ok(Progress::WantsWrite);
            }
            if !self.receive()? {
                return Ok(Progress::WantsRead);
            }
        }
    }

    fn is_done(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// Lets rustls work on the input. True: it can do no more, but application data may flow.
    fn step(&mut self) -> Result<bool, rustls::Error> {
        loop {
            let status = self.connection.process_tls_records(self.buffers.input.filled_mut());
            let mut discard = status.discard;
            let state = match status.state {
                Ok(state) => state,
                Err(error) => {
                    self.buffers.input.consume(discard);
                    return Err(error);
                }
            };
            let end = match state {
                ConnectionState::EncodeTlsData(mut encode) => {
                    let mut room = READ;
                    loop {
                        match encode.encode(self.buffers.output.room(room)) {
                            Ok(length) => break self.buffers.output.produce(length),
                            Err(EncodeError::InsufficientSize(size)) => room = size.required_size,
                            Err(EncodeError::AlreadyEncoded) => break,
                        }
                    }
                    None
                }
                ConnectionState::TransmitTlsData(transmit) => {
                    // The bytes are in `output`; whoever reads or writes next sends them first.
                    transmit.done();
                    None
                }
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard = discard.saturating_add(record.discard);
                        self.buffers.plain.push(record.payload);
                    }
                    None
                }
                ConnectionState::PeerClosed => {
                    self.closed_by_peer = true;
                    None
                }
                ConnectionState::WriteTraffic(_) | ConnectionState::Closed => Some(true),
                ConnectionState::BlockedHandshake => Some(false),
                // Early data is off.
                ConnectionState::ReadEarlyData(_) | _ => {
                    return Err(rustls::Error::General("an unexpected state".into()));
                }
            };
            self.buffers.input.consume(discard);
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }

    /// The error behind rustls's error.
    fn cause(&self, error: rustls::Error) -> TlsError {
        if let Some(cause) = self.notes.take_cause() {
            return cause;
        }
        match error {
            rustls::Error::NoApplicationProtocol => TlsError::NotFtp,
            rustls::Error::PeerIncompatible(
                PeerIncompatible::SignatureAlgorithmsExtensionRequired
                | PeerIncompatible::Tls12NotOffered,
            ) => TlsError::TooOld,
            rustls::Error::PeerIncompatible(
                PeerIncompatible::ExtendedMasterSecretExtensionRequired,
            ) => TlsError::NoExtendedMasterSecret,
            other => TlsError::Handshake(other),
        }
    }

    /// Sends the alert rustls has ready after an error, without waiting. rustls is asked only while
    /// it has something to send: it must not see the faulty input twice.
    ///
    /// Of an error of its own certificate or signature in TLS 1.2 rustls says nothing at all (the
    /// client would see its connection end without a reason). Nothing has been sent then, so nothing
    /// is encrypted yet, and the alert is written here.
    fn send_alert(&mut self, error: &TlsError) {
        while self.connection.wants_write() {
            let status = self.connection.process_tls_records(self.buffers.input.filled_mut());
            let Ok(ConnectionState::EncodeTlsData(mut encode)) = status.state else { break };
            let Ok(length) = encode.encode(self.buffers.output.room(READ)) else { break };
            self.buffers.output.produce(length);
        }
        if !self.has_answered && self.buffers.output.is_empty() {
            let description = match error {
                TlsError::Keeper(_) => INTERNAL_ERROR,
                _ => HANDSHAKE_FAILURE,
            };
            self.buffers.output.push(&[&FATAL_ALERT[..], &[description]].concat());
        }
        // The handshake has failed already; that the alert cannot be sent changes nothing.
        drop(self.flush());
    }

    fn flush(&mut self) -> Result<bool, TlsError> {
        self.has_answered |= !self.buffers.output.is_empty();
        while !self.buffers.output.is_empty() {
            match rustix::io::write(&self.socket, self.buffers.output.filled()) {
                Ok(sent) => self.buffers.output.consume(sent),
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(true)
    }

    /// Reads once. False: there is nothing to read yet.
    fn receive(&mut self) -> Result<bool, TlsError> {
        if self.received >= MAX_HANDSHAKE {
            return Err(TlsError::HandshakeTooLong(MAX_HANDSHAKE));
        }
        let got = loop {
            match rustix::io::read(&self.socket, self.buffers.input.room(READ)) {
                Ok(0) => return Err(TlsError::HandshakeClosed),
                Ok(got) => break got,
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        };
        self.buffers.input.produce(got);
        let first = self.received == 0;
        self.received = self.received.saturating_add(got);
        if first && self.buffers.input.filled().first() != Some(&HANDSHAKE_RECORD) {
            return Err(TlsError::NotTls);
        }
        Ok(true)
    }

    /// The stream, when the handshake is done. What rustls still wants to send (tickets) goes out
    /// with the stream's first bytes.
    ///
    /// # Errors
    /// When the handshake is not done, or resumes nothing where that is demanded.
    pub fn into_stream(self) -> Result<(Stream, Established), TlsError> {
        let connection = &self.connection;
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        if self.resumed_only && !resumed {
            return Err(TlsError::NotResumed);
        }
        let version = connection.protocol_version();
        let cipher = connection.negotiated_cipher_suite();
        let group = connection.negotiated_key_exchange_group();
        let established = Established {
            facts: TlsFacts {
                version: version.map(u16::from).unwrap_or_default(),
                cipher: cipher.map(|suite| u16::from(suite.suite())).unwrap_or_default(),
                group: group.map(|group| u16::from(group.name())).unwrap_or_default(),
                extended_master_secret: !self.notes.take_weak_session(),
            },
            resumed,
            server_name: self.notes.take_server_name(),
            client_name: connection
                .peer_certificates()
                .and_then(|chain| chain.first())
                .map(|der| common_name(der)),
        };
        let tls13 = version == Some(ProtocolVersion::TLSv1_3);
        let (secrets, keys) =
            self.connection.dangerous_into_kernel_connection().map_err(TlsError::Handshake)?;
        let mut stream =
            Stream::new(self.socket, secrets, keys, tls13, self.buffers, self.closed_by_peer)?;
        if self.keeps_ticket {
            stream.keep_ticket();
        }
        if self.accepts_fin {
            stream.accept_fin();
        }
        Ok((stream, established))
    }
}

impl AsFd for Handshake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Says nothing of keys and contents.
impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake").field("received", &self.received).finish_non_exhaustive()
    }
}
