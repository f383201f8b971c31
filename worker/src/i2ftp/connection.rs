//! The connection of an I2FTP session: packets in, packets out, and the clock that tells a living
//! client from a dead one.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Instant,
};

use i2ftp::{
    iccode::Coder,
    packet::{Decoder, Event, HEARTBEAT, Outgoing, TooLong, Violation, Wire},
};
use rustix::{
    io::Errno,
    net::{SendAncillaryBuffer, SendFlags},
};

/// How much is read at a time.
const PIECE: usize = 256 * 1024;
/// Most slices of one write.
const SLICES: usize = 64;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The client closed, or the connection broke.
    #[error("the client closed")]
    Closed,
    /// The client broke a rule of the framing.
    #[error("the client sent {0}")]
    Violation(#[from] Violation),
    /// The client broke a rule of the session's start.
    #[error("the client sent {0}")]
    Start(&'static str),
    /// Nothing was heard of the client for too long.
    #[error("nothing was heard of the client for too long")]
    Silent,
    /// No request for too long.
    #[error("no request for too long")]
    Idle,
    /// The handshake was not complete in time.
    #[error("the handshake was not complete in time")]
    Late,
    /// The supervisor said so.
    #[error("ended by the server")]
    Ordered,
    /// The supervisor's channel failed.
    #[error("the channel to the supervisor failed: {0}")]
    Channel(#[from] ipc::ChannelError),
    /// The system gives no randomness, or poll(2) failed.
    #[error("the system failed: {0}")]
    System(#[from] io::Error),
}

/// A message on its way, or a heartbeat.
#[derive(Debug)]
enum Sending {
    Nothing,
    Message(Outgoing),
    Raw { bytes: Vec<u8>, sent: usize },
}

/// The connection, after the gate.
#[derive(Debug)]
pub struct Connection {
    fd: OwnedFd,
    wire: Wire,
    decoder: Decoder,
    /// Secured mode: receiving and sending.
    coders: Option<(Coder, Coder)>,
    input: Vec<u8>,
    /// The part of `input` that was read and not taken yet.
    unread: std::ops::Range<usize>,
    sending: Sending,
    next_id: u8,
    /// When a byte last came, or was taken by the client.
    pub last_sign: Instant,
}

impl Connection {
    /// Adopts the connection; `unread` is what the gate read behind the login.
    pub fn new(fd: OwnedFd, wire: Wire, limit: usize, unread: &[u8]) -> Connection {
        let mut input = vec![0; PIECE.max(unread.len())];
        if let Some(place) = input.get_mut(..unread.len()) {
            place.copy_from_slice(unread);
        }
        Connection {
            fd,
            decoder: Decoder::new(wire.clone(), limit),
            wire,
            coders: None,
            input,
            unread: 0..unread.len(),
            sending: Sending::Nothing,
            next_id: 0,
            last_sign: Instant::now(),
        }
    }

    /// Turns secured mode on, for every message to come.
    pub fn set_coders(&mut self, coders: (Coder, Coder)) {
        self.coders = Some(coders);
    }

    /// The longest message taken from now on.
    pub fn set_limit(&mut self, limit: usize) {
        self.decoder.set_limit(limit);
    }

    /// Whether everything read has been taken, so that only reading brings more.
    pub fn wants_bytes(&self) -> bool {
        self.unread.is_empty()
    }

    /// Reads once, at most so many bytes; call when poll(2) says so.
    ///
    /// # Errors
    /// [`Ended::Closed`] at the end.
    pub fn fill(&mut self, most: usize) -> Result<usize, Ended> {
        let most = most.min(self.input.len());
        let place = self.input.get_mut(..most).unwrap_or_default();
        match rustix::io::read(&self.fd, place) {
            Ok(0) => Err(Ended::Closed),
            Ok(read) => {
                self.unread = 0..read;
                self.last_sign = Instant::now();
                Ok(read)
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(0),
            Err(_) => Err(Ended::Closed),
        }
    }

    /// Takes raw bytes of the handshake, as many as asked for, if they are there.
    pub fn raw(&mut self, count: usize) -> Option<&[u8]> {
        let end = self.unread.start.checked_add(count)?;
        if end > self.unread.end {
            return None;
        }
        let bytes = self.input.get(self.unread.start..end)?;
        self.unread.start = end;
        Some(bytes)
    }

    /// Makes room behind unread bytes and reads more; for the handshake, whose messages may come
    /// byte by byte.
    ///
    /// # Errors
    /// As [`Connection::fill`].
    pub fn fill_behind(&mut self) -> Result<(), Ended> {
        let held = self.unread.len();
        self.input.copy_within(self.unread.clone(), 0);
        let place = self.input.get_mut(held..).unwrap_or_default();
        match rustix::io::read(&self.fd, place) {
            Ok(0) => Err(Ended::Closed),
            Ok(read) => {
                self.unread = 0..held.saturating_add(read);
                self.last_sign = Instant::now();
                Ok(())
            }
            Err(Errno::INTR | Errno::AGAIN) => {
                self.unread = 0..held;
                Ok(())
            }
            Err(_) => Err(Ended::Closed),
        }
    }

    /// Takes what was read until a message is complete; true when one is. Heartbeats are counted as
    /// signs of life when they are read, and mean nothing else.
    ///
    /// # Errors
    /// [`Ended::Violation`].
    pub fn advance(&mut self) -> Result<bool, Ended> {
        loop {
            let mut rest = self.input.get(self.unread.clone()).unwrap_or_default();
            let event = self.decoder.take(&mut rest)?;
            self.unread.start = self.unread.end.saturating_sub(rest.len());
            match event {
                None => return Ok(false),
                Some(Event::Heartbeat) => {}
                Some(Event::Message) => {
                    if let Some((receiving, _)) = &mut self.coders {
                        receiving.reset();
                        receiving.decode(self.decoder.message());
                    }
                    return Ok(true);
                }
            }
        }
    }

    /// The message of the last [`Connection::advance`] that was true.
    pub fn message(&mut self) -> &[u8] {
        self.decoder.message()
    }

    /// Begins to send a message. Nothing else may be on its way.
    ///
    /// # Errors
    /// [`TooLong`]; nothing has been sent then.
    pub fn send(&mut self, mut message: Vec<u8>) -> Result<(), TooLong> {
        if message.len() > i2ftp::packet::MAX_MESSAGE {
            return Err(TooLong);
        }
        if let Some((_, sending)) = &mut self.coders {
            sending.reset();
            sending.encode(&mut message);
        }
        self.next_id = self.next_id.wrapping_add(1);
        self.sending = Sending::Message(self.wire.packets(message, self.next_id)?);
        Ok(())
    }

    /// Begins to send bytes outside of packets: the version string.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.sending = Sending::Raw { bytes: bytes.to_vec(), sent: 0 };
    }

    /// Begins to send a life sign.
    pub fn send_heartbeat(&mut self) {
        self.send_raw(&HEARTBEAT);
    }

    /// Whether something is on its way.
    pub fn is_sending(&self) -> bool {
        !matches!(self.sending, Sending::Nothing)
    }

    /// Sends as much as the client takes now, at most so many bytes. Gives the number, and the
    /// memory of a message that is sent, to be used again.
    ///
    /// # Errors
    /// [`Ended::Closed`] when the connection is broken.
    pub fn flush(&mut self, most: usize) -> Result<(usize, Option<Vec<u8>>), Ended> {
        let mut total = 0usize;
        loop {
            let left = most.saturating_sub(total);
            let sent = match &self.sending {
                Sending::Nothing => return Ok((total, None)),
                _ if left == 0 => return Ok((total, None)),
                Sending::Message(outgoing) => self.write(&outgoing.slices(SLICES, left)),
                Sending::Raw { bytes, sent } => {
                    self.write(&[io::IoSlice::new(bytes.get(*sent..).unwrap_or_default())])
                }
            };
            let sent = match sent {
                Ok(sent) => sent,
                Err(Errno::AGAIN) => return Ok((total, None)),
                Err(Errno::INTR) => continue,
                Err(_) => return Err(Ended::Closed),
            };
            self.last_sign = Instant::now();
            total = total.saturating_add(sent);
            match std::mem::replace(&mut self.sending, Sending::Nothing) {
                Sending::Nothing => {}
                Sending::Message(mut outgoing) => {
                    outgoing.advance(sent);
                    if outgoing.remaining() == 0 {
                        return Ok((total, Some(outgoing.into_buffer())));
                    }
                    self.sending = Sending::Message(outgoing);
                }
                Sending::Raw { bytes, sent: before } => {
                    let sent = before.saturating_add(sent);
                    if sent < bytes.len() {
                        self.sending = Sending::Raw { bytes, sent };
                    }
                }
            }
        }
    }

    /// sendmsg(2), which every policy allows, and not writev(2), which none does.
    fn write(&self, slices: &[io::IoSlice<'_>]) -> Result<usize, Errno> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        rustix::net::sendmsg(&self.fd, slices, &mut SendAncillaryBuffer::default(), flags)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
