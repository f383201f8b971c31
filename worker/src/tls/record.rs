//! TLS records after the handshake: sealed and opened with the keys rustls negotiated.
//!
//! rustls copies every record twice on its way out and once on its way in; here a record goes from
//! the caller's bytes into the socket's buffer, and back, in the one pass of its cipher. Formats:
//! RFC 8446 section 5, RFC 5246 section 6.2.3.3, RFC 5288, RFC 7905.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use rustls::ConnectionTrafficSecrets;

use super::TlsError;

/// Longest plaintext of a record, in bytes.
pub const MAX_PLAIN: usize = 16384;
/// Bytes before the payload of a record: type, version, length.
pub const HEADER: usize = 5;
/// Longest record of any version: TLS 1.2 allows 2048 bytes more than its plaintext.
pub const MAX_RECORD: usize = HEADER + MAX_PLAIN + 2048;
/// The most a record is longer than its plaintext, of those made here.
pub const OVERHEAD: usize = HEADER + EXPLICIT_NONCE + TAG;

/// Length of the tag of all three ciphers.
const TAG: usize = 16;
/// Part of the nonce that TLS 1.2's GCM records carry (RFC 5288 section 3).
const EXPLICIT_NONCE: usize = 8;
/// Most padding and type byte and tag of a TLS 1.3 record (RFC 8446 section 5.2).
const TLS13_EXPANSION: usize = 256;
/// legacy_record_version.
const VERSION: [u8; 2] = [3, 3];

/// What is wrong with a record, and so what a client is told that sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No version of TLS begins a record like this.
    #[error("something that is no record")]
    NoRecord,
    /// Longer than any honest record.
    #[error("a record longer than TLS allows")]
    TooLong,
    /// No room for a tag in it.
    #[error("a record shorter than its tag")]
    Short,
    /// Forged, damaged, repeated or out of order.
    #[error("a record whose tag is wrong")]
    WrongTag,
    /// TLS 1.3: not of the type that all encrypted records have.
    #[error("an unencrypted record after the handshake")]
    Unencrypted,
    /// TLS 1.3: no type in it.
    #[error("a record of nothing but padding")]
    OnlyPadding,
    /// The plaintext is longer than a record may carry.
    #[error("a record with more than 16384 bytes in it")]
    TooMuchInside,
    /// Not of a type there is.
    #[error("a record of unknown type")]
    UnknownType,
    /// ChangeCipherSpec has no place after the handshake.
    #[error("ChangeCipherSpec after the handshake")]
    ChangeCipherSpec,
    /// A handshake message other than KeyUpdate: renegotiation among them.
    #[error("a handshake message that is not due")]
    UndueHandshake,
    /// Not two bytes.
    #[error("an ill-formed alert")]
    IllFormedAlert,
    /// A buffer of this program is too small.
    #[error("no room for a record")]
    NoRoom,
    /// The cipher refused to seal.
    #[error("a record that could not be sealed")]
    NotSealed,
}

impl Fault {
    /// The alert that tells the client (RFC 8446 section 6.2).
    pub fn alert(self) -> u8 {
        match self {
            Fault::WrongTag | Fault::Short => 20,
            Fault::TooLong | Fault::TooMuchInside => 22,
            Fault::NoRecord
            | Fault::Unencrypted
            | Fault::OnlyPadding
            | Fault::UnknownType
            | Fault::ChangeCipherSpec
            | Fault::UndueHandshake => 10,
            Fault::IllFormedAlert => 50,
            Fault::NoRoom | Fault::NotSealed => 80,
        }
    }
}

/// Types of records (RFC 8446 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// Alerts.
    Alert = 21,
    /// Post-handshake messages.
    Handshake = 22,
    /// What the connection is for.
    Data = 23,
}

impl ContentType {
    fn from_byte(byte: u8) -> Result<Self, TlsError> {
        match byte {
            21 => Ok(ContentType::Alert),
            22 => Ok(ContentType::Handshake),
            23 => Ok(ContentType::Data),
            20 => Err(TlsError::Record(Fault::ChangeCipherSpec)),
            _ => Err(TlsError::Record(Fault::UnknownType)),
        }
    }
}

/// How a version and cipher write a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// TLS 1.3: the type is encrypted behind the plaintext, the header is authenticated.
    Tls13,
    /// TLS 1.2 with AES-GCM: eight bytes of the nonce stand before the ciphertext.
    Tls12Gcm,
    /// TLS 1.2 with ChaCha20-Poly1305.
    Tls12ChaCha,
}

/// The key of one direction and its place in the sequence.
pub struct RecordKey {
    key: LessSafeKey,
    iv: [u8; 12],
    form: Form,
    sequence: u64,
}

impl RecordKey {
    /// Makes the key from what rustls extracted.
    ///
    /// # Errors
    /// When rustls negotiated a cipher this build does not know.
    pub fn new(
        (sequence, secrets): (u64, ConnectionTrafficSecrets),
        tls13: bool,
    ) -> Result<Self, TlsError> {
        let unknown = || TlsError::Settings("a cipher was negotiated that is not built in".into());
        let (algorithm, key, iv, tls12) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => {
                (&AES_128_GCM, key, iv, Form::Tls12Gcm)
            }
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => {
                (&AES_256_GCM, key, iv, Form::Tls12Gcm)
            }
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (&CHACHA20_POLY1305, key, iv, Form::Tls12ChaCha)
            }
            _ => return Err(unknown()),
        };
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| unknown())?;
        let iv = iv.as_ref().try_into().map_err(|_| unknown())?;
        let form = if tls13 { Form::Tls13 } else { tls12 };
        Ok(RecordKey { key: LessSafeKey::new(key), iv, form, sequence })
    }

    /// How many records went through this key.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Goes to another place in the sequence: to read back what was sealed with this key and is not
    /// sent yet. Whoever does that comes back, or a nonce is used twice.
    pub fn go_to(&mut self, sequence: u64) {
        self.sequence = sequence;
    }

    /// The nonce of the next record: the iv, its last eight bytes combined with the sequence
    /// number (RFC 8446 section 5.3). TLS 1.2's GCM may choose its explicit part; this choice
    /// never repeats.
    fn nonce(&self) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, part) in nonce.iter_mut().skip(4).zip(self.sequence.to_be_bytes()) {
            *byte ^= part;
        }
        nonce
    }

    /// The additional data of TLS 1.2: sequence number, type, version, length of the plaintext.
    fn tls12_aad(&self, content: u8, length: usize) -> Result<[u8; 13], TlsError> {
        let mut aad = [0; 13];
        let [s0, s1, s2, s3, s4, s5, s6, s7] = self.sequence.to_be_bytes();
        let [high, low] = length_bytes(length)?;
        aad.copy_from_slice(&[
            s0, s1, s2, s3, s4, s5, s6, s7, content, VERSION[0], VERSION[1], high, low,
        ]);
        Ok(aad)
    }

    fn advance(&mut self) -> Result<(), TlsError> {
        self.sequence = self.sequence.checked_add(1).ok_or(TlsError::Exhausted)?;
        Ok(())
    }

    /// Writes one record with `plain` (at most [`MAX_PLAIN`] bytes) to the start of `out`, which
    /// has room for [`OVERHEAD`] bytes more, and returns its length.
    ///
    /// # Errors
    /// When the room is too small or the sequence ends: faults of this program.
    pub fn seal(
        &mut self,
        content: ContentType,
        plain: &[u8],
        out: &mut [u8],
    ) -> Result<usize, TlsError> {
        const ROOM: TlsError = TlsError::Record(Fault::NoRoom);
        let nonce = self.nonce();
        let (outer, explicit, inner_type): (u8, &[u8], &[u8]) = match self.form {
            Form::Tls13 => (ContentType::Data as u8, &[], &[content as u8]),
            Form::Tls12Gcm => (content as u8, nonce.get(4..).unwrap_or_default(), &[]),
            Form::Tls12ChaCha => (content as u8, &[], &[]),
        };
        let payload = explicit.len() + plain.len() + inner_type.len() + TAG;
        let [high, low] = length_bytes(payload)?;
        let header = [outer, VERSION[0], VERSION[1], high, low];
        let record = out.get_mut(..HEADER + payload).ok_or(ROOM)?;
        let (start, rest) = record.split_at_mut(HEADER + explicit.len());
        let (start, nonce_place) = start.split_at_mut(HEADER);
        start.copy_from_slice(&header);
        nonce_place.copy_from_slice(explicit);
        let (cipher, extra) = rest.split_at_mut(plain.len());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = match self.form {
            Form::Tls13 => {
                let aad = Aad::from(header);
                self.key.seal_out_of_place_scatter(nonce, aad, plain, cipher, inner_type, extra)
            }
            Form::Tls12Gcm | Form::Tls12ChaCha => {
                let aad = Aad::from(self.tls12_aad(content as u8, plain.len())?);
                self.key.seal_out_of_place_scatter(nonce, aad, plain, cipher, inner_type, extra)
            }
        };
        sealed.map_err(|_| TlsError::Record(Fault::NotSealed))?;
        self.advance()?;
        Ok(HEADER + payload)
    }

    /// Opens one whole record (as [`whole_record`] cut it) into `out`, which has room for as many
    /// bytes as the record is long. Returns its type and the length of its plaintext.
    ///
    /// # Errors
    /// When the record is forged, damaged or ill-formed.
    pub fn open(
        &mut self,
        record: &[u8],
        out: &mut [u8],
    ) -> Result<(ContentType, usize), TlsError> {
        const SHORT: TlsError = TlsError::Record(Fault::Short);
        let (header, payload) = record.split_first_chunk::<HEADER>().ok_or(SHORT)?;
        let mut nonce = self.nonce();
        let payload = match self.form {
            Form::Tls12Gcm => {
                let (explicit, payload) =
                    payload.split_first_chunk::<EXPLICIT_NONCE>().ok_or(SHORT)?;
                let fixed = self.iv.first_chunk::<4>().ok_or(SHORT)?;
                nonce.copy_from_slice([&fixed[..], explicit].concat().as_slice());
                payload
            }
            Form::Tls13 | Form::Tls12ChaCha => payload,
        };
        let (cipher, tag) = payload.split_last_chunk::<TAG>().ok_or(SHORT)?;
        let plain = out.get_mut(..cipher.len()).ok_or(TlsError::Record(Fault::NoRoom))?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let [outer, ..] = *header;
        let opened = match self.form {
            Form::Tls13 => {
                let aad = Aad::from(*header);
                self.key.open_separate_gather(nonce, aad, cipher, tag, plain)
            }
            Form::Tls12Gcm | Form::Tls12ChaCha => {
                let aad = Aad::from(self.tls12_aad(outer, cipher.len())?);
                self.key.open_separate_gather(nonce, aad, cipher, tag, plain)
            }
        };
        opened.map_err(|_| TlsError::Record(Fault::WrongTag))?;
        self.advance()?;
        let (content, length) = match self.form {
            Form::Tls13 => {
                if outer != ContentType::Data as u8 {
                    return Err(TlsError::Record(Fault::Unencrypted));
                }
                // Type byte, then padding of zeros (RFC 8446 section 5.4), which counts as well. It
                // is looked at after the tag was right, so its length in time is nobody's secret.
                if plain.len() > MAX_PLAIN + 1 {
                    return Err(TlsError::Record(Fault::TooMuchInside));
                }
                let end = plain.iter().rposition(|byte| *byte != 0);
                let (Some(length), Some(inner)) = (end, end.and_then(|at| plain.get(at))) else {
                    return Err(TlsError::Record(Fault::OnlyPadding));
                };
                (*inner, length)
            }
            Form::Tls12Gcm | Form::Tls12ChaCha => (outer, plain.len()),
        };
        if length > MAX_PLAIN {
            return Err(TlsError::Record(Fault::TooMuchInside));
        }
        Ok((ContentType::from_byte(content)?, length))
    }
}

#[cfg(test)]
impl RecordKey {
    /// A TLS 1.3 record of any outer type with exactly this inside, type byte and padding included.
    pub fn seal_inner(&mut self, outer: u8, inner: &[u8]) -> Vec<u8> {
        let [high, low] = length_bytes(inner.len() + TAG).unwrap();
        let header = [outer, VERSION[0], VERSION[1], high, low];
        let nonce = Nonce::assume_unique_for_key(self.nonce());
        let mut sealed = inner.to_vec();
        self.key.seal_in_place_append_tag(nonce, Aad::from(header), &mut sealed).unwrap();
        self.advance().unwrap();
        [&header[..], &sealed].concat()
    }

    /// A TLS 1.2 record of AES-GCM with an explicit nonce of the caller's choice.
    pub fn seal_with_explicit_nonce(&mut self, explicit: [u8; 8], plain: &[u8]) -> Vec<u8> {
        let [high, low] = length_bytes(EXPLICIT_NONCE + plain.len() + TAG).unwrap();
        let header = [ContentType::Data as u8, VERSION[0], VERSION[1], high, low];
        let nonce = [&self.iv[..4], &explicit].concat().try_into().unwrap();
        let aad = Aad::from(self.tls12_aad(ContentType::Data as u8, plain.len()).unwrap());
        let mut sealed = plain.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, aad, &mut sealed).unwrap();
        self.advance().unwrap();
        [&header[..], &explicit, &sealed].concat()
    }
}

/// Length of the whole record that `bytes` begin with, if it is all there.
///
/// # Errors
/// When no honest record begins like this.
pub fn whole_record(bytes: &[u8], tls13: bool) -> Result<Option<usize>, TlsError> {
    let Some(&[_, major, _, high, low]) = bytes.first_chunk::<HEADER>() else { return Ok(None) };
    if major != VERSION[0] {
        return Err(TlsError::Record(Fault::NoRecord));
    }
    let payload = usize::from(u16::from_be_bytes([high, low]));
    let longest =
        if tls13 { MAX_PLAIN + TLS13_EXPANSION } else { MAX_RECORD.saturating_sub(HEADER) };
    if payload > longest {
        return Err(TlsError::Record(Fault::TooLong));
    }
    let whole = HEADER + payload;
    Ok((bytes.len() >= whole).then_some(whole))
}

fn length_bytes(length: usize) -> Result<[u8; 2], TlsError> {
    let length = u16::try_from(length).map_err(|_| TlsError::Record(Fault::TooLong))?;
    Ok(length.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use rustls::crypto::cipher::{AeadKey, Iv};

    use super::*;

    fn key(cipher: u8, tls13: bool) -> RecordKey {
        let iv = Iv::from([7; 12]);
        let key = AeadKey::from([9; 32]);
        let secrets = match cipher {
            0 => ConnectionTrafficSecrets::Aes256Gcm { key, iv },
            _ => ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv },
        };
        RecordKey::new((0, secrets), tls13).unwrap()
    }

    fn sealed(cipher: u8, tls13: bool, plain: &[u8]) -> Vec<u8> {
        let mut record = vec![0; plain.len() + OVERHEAD];
        let length = key(cipher, tls13).seal(ContentType::Data, plain, &mut record).unwrap();
        record.truncate(length);
        record
    }

    #[test]
    fn what_is_sealed_opens_in_every_form() {
        for (cipher, tls13) in [(0, true), (1, true), (0, false), (1, false)] {
            for length in [0, 1, 4096, MAX_PLAIN] {
                let plain: Vec<u8> = (0..length).map(|n: usize| n.to_le_bytes()[0]).collect();
                let record = sealed(cipher, tls13, &plain);
                assert_eq!(whole_record(&record, tls13).unwrap(), Some(record.len()));
                let mut out = vec![0; record.len()];
                let (content, got) = key(cipher, tls13).open(&record, &mut out).unwrap();
                assert_eq!((content, got), (ContentType::Data, length));
                assert_eq!(out[..got], plain[..]);
            }
        }
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed() {
        for (cipher, tls13) in [(0, true), (1, true), (0, false), (1, false)] {
            let record = sealed(cipher, tls13, b"attack at dawn");
            for at in 0..record.len() {
                let mut changed = record.clone();
                changed[at] ^= 1;
                let opened = key(cipher, tls13).open(&changed, &mut [0; 64]);
                // TLS 1.2 does not authenticate the length bytes themselves, but what they say,
                // and its version is a constant.
                let constant = !tls13 && (1..5).contains(&at);
                assert!(constant || opened.is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn a_repeated_record_is_noticed() {
        let record = sealed(0, true, b"once");
        let mut key = key(0, true);
        assert!(key.open(&record, &mut [0; 64]).is_ok());
        assert!(key.open(&record, &mut [0; 64]).is_err());
    }

    #[test]
    fn short_records_and_lengths_are_refused() {
        for length in 0..24 {
            let record = &sealed(0, false, b"")[..length];
            assert!(key(0, false).open(record, &mut [0; 64]).is_err());
        }
        assert!(whole_record(&[23, 3, 3, 0xff, 0xff], true).is_err());
        assert!(whole_record(b"GET / HTTP/1.1", true).is_err());
        assert_eq!(whole_record(&[23, 3, 3], true).unwrap(), None);
        assert_eq!(whole_record(&[23, 3, 3, 0, 9, 1], true).unwrap(), None);
    }
}
