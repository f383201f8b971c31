//! The resumption entries of one session: what lets its data connections resume the control
//! connection, and nobody else's.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use ipc::bounded::Bytes;
use rustls::server::StoresServerSessions;

use super::signer::Notes;

/// Versions of TLS, as the protocol writes them.
const TLS12: u16 = 0x0303;
const TLS13: u16 = 0x0304;

/// An entry as it travels in a message: key and value as rustls stores them.
pub type Entry = (Bytes<64>, Bytes<8192>);

/// The most entries of data connections that are kept; the oldest goes first. The control
/// connection's own entries are kept beside them, because some clients use nothing else.
const MAX_RENEWED: usize = 64;

/// The entries of one session. A process has only its own session's, so a ticket of another session
/// is an unknown one. An entry may be used again: clients run out of single-use tickets after two
/// or three transfers, and without early data a second use gives away nothing (RFC 8446 section
/// 8.1 is about early data; appendix C.4, about linking connections, does not matter between
/// connections of one session).
///
/// A TLS 1.2 session without the extended master secret (RFC 7627) is not kept: whoever stands
/// between client and server could make two sessions with one secret, and resume the one as the other
/// (RFC 7627 sections 1 and 5.3).
#[derive(Default)]
pub struct Resumption {
    entries: Mutex<Entries>,
    notes: Arc<Notes>,
}

#[derive(Default)]
struct Entries {
    control: Vec<Entry>,
    renewed: VecDeque<Entry>,
}

impl Resumption {
    /// An empty store, which notes a session that may not be resumed.
    pub fn new(notes: Arc<Notes>) -> Self {
        Resumption { entries: Mutex::default(), notes }
    }

    /// A store with the control connection's entries in it.
    pub fn with_control(entries: Vec<Entry>, notes: Arc<Notes>) -> Self {
        let entries = Mutex::new(Entries { control: entries, renewed: VecDeque::new() });
        Resumption { entries, notes }
    }

    /// The entries of this process's handshakes, for the session that goes on from here.
    pub fn export(&self) -> Vec<Entry> {
        self.locked(|entries| entries.renewed.iter().cloned().collect())
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Entries) -> T) -> T {
        work(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Says how many entries there are; the entries themselves are secrets.
impl std::fmt::Debug for Resumption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (control, renewed) = self.locked(|e| (e.control.len(), e.renewed.len()));
        write!(f, "Resumption({control} + {renewed} entries)")
    }
}

impl StoresServerSessions for Resumption {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        if !may_be_resumed(&value) {
            self.notes.note_weak_session();
            return false;
        }
        let (Ok(key), Ok(value)) = (Bytes::try_from(key), Bytes::try_from(value)) else {
            return false;
        };
        self.locked(|entries| {
            if entries.renewed.len() >= MAX_RENEWED {
                entries.renewed.pop_front();
            }
            entries.renewed.push_back((key, value));
        });
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.locked(|entries| {
            let mut all = entries.renewed.iter().rev().chain(&entries.control);
            all.find(|(k, _)| k.as_slice() == key).map(|(_, value)| value.as_slice().to_vec())
        })
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.get(key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// Whether an entry, as rustls encodes it, is of TLS 1.3, or of TLS 1.2 with the extended master
/// secret. What cannot be read is not resumed; a test holds this against handshakes of rustls.
fn may_be_resumed(value: &[u8]) -> bool {
    extended_master_secret(value) == Some(true)
}

/// Reads as far as needed: server name, version, cipher suite, master secret, and the flag.
fn extended_master_secret(value: &[u8]) -> Option<bool> {
    let (has_name, rest) = value.split_first()?;
    let rest = if *has_name == 1 { behind_short(rest)? } else { rest };
    let (version, rest) = rest.split_first_chunk::<2>()?;
    match u16::from_be_bytes(*version) {
        TLS13 => Some(true),
        TLS12 => {
            let (_cipher, rest) = rest.split_first_chunk::<2>()?;
            Some(*behind_short(rest)?.first()? == 1)
        }
        _ => None,
    }
}

/// What follows bytes with a length of one byte before them.
fn behind_short(value: &[u8]) -> Option<&[u8]> {
    let (length, rest) = value.split_first()?;
    rest.get(usize::from(*length)..)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of an entry, as rustls encodes it.
    fn entry(version: [u8; 2], flag: u8) -> Vec<u8> {
        [&[1, 1, b'x'], &version[..], &[0x13, 1, 2, 7, 7, flag]].concat()
    }

    #[test]
    fn an_entry_may_be_used_again() {
        let store = Resumption::default();
        let value = entry([3, 4], 0);
        assert!(store.put(b"key".to_vec(), value.clone()));
        assert_eq!(store.take(b"key"), Some(value.clone()));
        assert_eq!(store.take(b"key"), Some(value));
        assert_eq!(store.take(b"other"), None);
    }

    #[test]
    fn control_entries_outlive_any_number_of_transfers() {
        let gate = Resumption::default();
        gate.put(b"control".to_vec(), entry([3, 4], 0));
        let session = Resumption::with_control(gate.export(), Arc::default());
        for n in 0..1000_u32 {
            session.put(n.to_be_bytes().to_vec(), entry([3, 3], 1));
        }
        assert!(session.take(b"control").is_some());
        assert!(session.take(&999_u32.to_be_bytes()).is_some());
        assert!(session.take(&0_u32.to_be_bytes()).is_none(), "the store is bounded");
    }

    #[test]
    fn an_entry_too_large_to_hand_over_is_not_kept() {
        let store = Resumption::default();
        let mut large = entry([3, 4], 0);
        large.resize(8193, 0);
        assert!(!store.put(b"key".to_vec(), large));
        assert!(!store.put(vec![0; 65], entry([3, 4], 0)));
    }

    #[test]
    fn g2_a_session_without_the_extended_master_secret_is_not_kept() {
        let store = Resumption::default();
        assert!(!store.put(b"key".to_vec(), entry([3, 3], 0)));
        assert!(store.notes.take_weak_session());
        for unreadable in [&b""[..], b"\x01", b"\0\x03\x03", b"\0\x03\x02\0\0\0\x01", b"value"] {
            assert!(!store.put(b"key".to_vec(), unreadable.to_vec()), "{unreadable:?}");
        }
        assert_eq!(store.take(b"key"), None);
    }
}
