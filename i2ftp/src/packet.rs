//! Packets: a message is cut into packets of a ten-byte header and a body. The receiving side
//! takes bytes as they come, in any portions, holds at most one message, and calls every deviation
//! a violation: TCP does not corrupt bytes, and searching for the next plausible header, as the
//! first implementation does, lets a stranger's data be taken for a request.

use std::io::IoSlice;

use crate::{
    Psk, WireVersion,
    md5::{md5, md5_each},
};

/// Length of a header.
pub const HEADER_BYTES: usize = 10;
/// Bytes of body after which a sender cuts. Receivers take up to 65535.
pub const BODY_BYTES: usize = 32_758;
/// The longest message there is.
pub const MAX_MESSAGE: usize = 0xFF_FFFF;
/// The longest request a server takes: the largest legal one is 524,159 bytes.
pub const MAX_REQUEST: usize = 1 << 20;
/// A life sign: a header without a body. Only its first byte counts.
pub const HEARTBEAT: [u8; HEADER_BYTES] = *b"Heartbeat_";

/// First byte of a data packet.
const DATA: u8 = b'A';
/// Most bodies whose sums are checked together.
const BATCH: usize = 16;

/// What the sums of headers are made with.
#[derive(Debug, Clone)]
pub struct Wire {
    /// The version both ends agreed on.
    pub version: WireVersion,
    /// The pre-shared key.
    pub psk: Psk,
}

impl Wire {
    fn header_sum(&self, start: &[u8; 6]) -> u8 {
        md5(&[start, self.version.as_bytes(), self.psk.bytes()])[2]
    }

    fn header(&self, remaining: usize, body: usize, sum: [u8; 16], id: u8) -> [u8; HEADER_BYTES] {
        let [.., r2, r1, r0] = remaining.to_be_bytes();
        let [.., n1, n0] = body.to_be_bytes();
        let start = [DATA, r2, r1, r0, n1, n0];
        [DATA, r2, r1, r0, n1, n0, self.header_sum(&start), sum[0], sum[1], id]
    }

    /// Cuts a message into packets. `id` is any value; it marks the packets of one message.
    ///
    /// # Errors
    /// [`TooLong`] when the message cannot be sent; the caller answers with an error instead.
    pub fn packets(&self, message: Vec<u8>, id: u8) -> Result<Outgoing, TooLong> {
        if message.len() > MAX_MESSAGE {
            return Err(TooLong);
        }
        let bodies: Vec<&[u8]> = message.chunks(BODY_BYTES).collect();
        let mut headers = Vec::with_capacity(bodies.len());
        let mut remaining = message.len();
        for (body, sum) in bodies.iter().zip(md5_each(&bodies)) {
            headers.push(self.header(remaining, body.len(), sum, id));
            remaining -= body.len();
        }
        Ok(Outgoing { message, headers, sent: 0 })
    }
}

/// The message is longer than [`MAX_MESSAGE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message cannot be longer than 16,777,215 bytes")]
pub struct TooLong;

/// A message on its way out. The message itself is not copied: headers and bodies are sent as a
/// list of slices.
#[derive(Debug)]
pub struct Outgoing {
    message: Vec<u8>,
    headers: Vec<[u8; HEADER_BYTES]>,
    sent: usize,
}

impl Outgoing {
    /// Bytes on the wire that are not yet sent.
    pub fn remaining(&self) -> usize {
        self.message.len() + self.headers.len() * HEADER_BYTES - self.sent
    }

    /// The first slices of what is not yet sent: at most `most`, and at most so many `bytes`.
    pub fn slices(&self, most: usize, mut bytes: usize) -> Vec<IoSlice<'_>> {
        let (first, within) = (self.sent / PACKET, self.sent % PACKET);
        let packets = self.headers.iter().zip(self.message.chunks(BODY_BYTES)).skip(first);
        let mut slices = Vec::with_capacity(most);
        let mut skip = within;
        for part in packets.flat_map(|(header, body)| [header.as_slice(), body]) {
            let rest = part.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(part.len());
            let rest = rest.get(..bytes).unwrap_or(rest);
            if slices.len() == most || bytes == 0 {
                break;
            }
            if !rest.is_empty() {
                slices.push(IoSlice::new(rest));
                bytes -= rest.len();
            }
        }
        slices
    }

    /// Notes that `bytes` more have been sent.
    pub fn advance(&mut self, bytes: usize) {
        self.sent += bytes.min(self.remaining());
    }

    /// The message's memory, to be used again.
    pub fn into_buffer(self) -> Vec<u8> {
        self.message
    }

    /// The whole wire form, for tests and for clients that write it at once.
    pub fn to_vec(&self) -> Vec<u8> {
        self.slices(2 * self.headers.len(), usize::MAX).iter().flat_map(|s| s.to_vec()).collect()
    }
}

/// Length of a full packet.
const PACKET: usize = HEADER_BYTES + BODY_BYTES;

/// What a portion of bytes completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A life sign.
    Heartbeat,
    /// A message; [`Decoder::message`] has it.
    Message,
}

/// A rule of section 4.1 that the peer broke; the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The first byte of a packet is neither data nor heartbeat.
    #[error("a packet of an unknown type")]
    Type,
    /// The header's sum is wrong: damage, another key or another version.
    #[error("a header with a wrong sum (another key or wire_version?)")]
    HeaderSum,
    /// A body's sum is wrong.
    #[error("a body with a wrong sum")]
    BodySum,
    /// A packet without a body.
    #[error("a packet without a body")]
    Empty,
    /// A body longer than what the message has left, or nothing left.
    #[error("a body longer than its message")]
    Overlong,
    /// A continuation whose count of remaining bytes does not follow from its predecessor.
    #[error("a packet out of order")]
    OutOfOrder,
    /// A continuation of another message.
    #[error("packets of two messages mixed")]
    Mixed,
    /// A message longer than the limit.
    #[error("a message longer than allowed here")]
    TooLong,
}

/// Takes a peer's bytes and gives messages. Holds at most one message of at most the limit, and no
/// memory for bytes that have not come.
#[derive(Debug)]
pub struct Decoder {
    wire: Wire,
    limit: usize,
    header: [u8; HEADER_BYTES],
    header_len: usize,
    /// Bytes of the current body that have not come yet.
    body_left: usize,
    /// Bytes of the message behind the current packet; 0 at its last packet or outside of one.
    remaining: usize,
    id: u8,
    message: Vec<u8>,
    /// Whether `message` is complete, so that the next packet begins a new one.
    complete: bool,
    /// Where bodies begin whose sums are not checked yet, and the sums.
    unchecked: Vec<(usize, [u8; 2])>,
}

impl Decoder {
    /// A decoder before the first byte; `limit` is the longest message taken.
    pub fn new(wire: Wire, limit: usize) -> Decoder {
        Decoder {
            wire,
            limit,
            header: [0; HEADER_BYTES],
            header_len: 0,
            body_left: 0,
            remaining: 0,
            id: 0,
            message: Vec::new(),
            complete: true,
            unchecked: Vec::with_capacity(BATCH),
        }
    }

    /// Changes the limit for the messages to come.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The message the last [`Event::Message`] was about, until the next [`Decoder::take`].
    pub fn message(&mut self) -> &mut [u8] {
        &mut self.message
    }

    /// Whether bytes of an incomplete packet or message are held.
    pub fn is_within_message(&self) -> bool {
        !self.complete || self.header_len > 0
    }

    /// Takes bytes from the front of `input` until something is complete or nothing is left.
    ///
    /// # Errors
    /// [`Violation`]; the decoder must not be used any more.
    pub fn take(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        while !input.is_empty() {
            if self.body_left > 0 {
                let (now, rest) = input.split_at(self.body_left.min(input.len()));
                self.message.extend_from_slice(now);
                self.body_left -= now.len();
                *input = rest;
                if self.body_left == 0 && self.body_complete()? {
                    return Ok(Some(Event::Message));
                }
            } else if self.take_header(input)? {
                return Ok(Some(Event::Heartbeat));
            }
        }
        Ok(None)
    }

    /// Takes bytes of a header; true after a heartbeat.
    fn take_header(&mut self, input: &mut &[u8]) -> Result<bool, Violation> {
        if self.header_len == 0 && !matches!(input.first(), Some(&(DATA | b'H'))) {
            return Err(Violation::Type);
        }
        let place = self.header.get_mut(self.header_len..).unwrap_or_default();
        let (now, rest) = input.split_at(place.len().min(input.len()));
        if let Some(place) = place.get_mut(..now.len()) {
            place.copy_from_slice(now);
        }
        self.header_len += now.len();
        *input = rest;
        if self.header_len < HEADER_BYTES {
            return Ok(false);
        }
        self.header_len = 0;
        let [kind, r2, r1, r0, n1, n0, header_sum, s0, s1, id] = self.header;
        if kind != DATA {
            // The client's heartbeats do not wait for its messages: they are welcome between the
            // packets of a message.
            return Ok(true);
        }
        if self.wire.header_sum(&[kind, r2, r1, r0, n1, n0]) != header_sum {
            return Err(Violation::HeaderSum);
        }
        let remaining = usize::from(r2) << 16 | usize::from(r1) << 8 | usize::from(r0);
        let body = usize::from(n1) << 8 | usize::from(n0);
        if body == 0 {
            return Err(Violation::Empty);
        }
        if body > remaining {
            return Err(Violation::Overlong);
        }
        if self.complete {
            if remaining > self.limit {
                return Err(Violation::TooLong);
            }
            self.message.clear();
            self.unchecked.clear();
            self.complete = false;
            self.id = id;
        } else {
            if id != self.id {
                return Err(Violation::Mixed);
            }
            if remaining != self.remaining {
                return Err(Violation::OutOfOrder);
            }
        }
        self.remaining = remaining - body;
        self.body_left = body;
        self.unchecked.push((self.message.len(), [s0, s1]));
        Ok(false)
    }

    /// A body has come to its end; true when the message has as well. Sums are checked in batches,
    /// but always before anybody sees the message.
    fn body_complete(&mut self) -> Result<bool, Violation> {
        let complete = self.remaining == 0;
        if complete || self.unchecked.len() == BATCH {
            let ends = self.unchecked.iter().skip(1).map(|(start, _)| *start);
            let ends = ends.chain([self.message.len()]);
            let bodies: Vec<&[u8]> = self
                .unchecked
                .iter()
                .zip(ends)
                .map(|((start, _), end)| self.message.get(*start..end).unwrap_or_default())
                .collect();
            let sums = md5_each(&bodies);
            let right = |(sum, (_, said)): (&[u8; 16], &(usize, [u8; 2]))| sum.starts_with(said);
            if !sums.iter().zip(&self.unchecked).all(right) {
                return Err(Violation::BodySum);
            }
            self.unchecked.clear();
        }
        self.complete = complete;
        Ok(complete)
    }
}
