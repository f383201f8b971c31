//! The resumption entries of one session: what lets its data connections resume the control
//! connection, and nobody else's.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use ipc::bounded::Bytes;
use rustls::server::StoresServerSessions;

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
#[derive(Default)]
pub struct Resumption(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    control: Vec<Entry>,
    renewed: VecDeque<Entry>,
}

impl Resumption {
    /// A store with the control connection's entries in it.
    pub fn with_control(entries: Vec<Entry>) -> Self {
        Resumption(Mutex::new(Entries { control: entries, renewed: VecDeque::new() }))
    }

    /// The entries of this process's handshakes, for the session that goes on from here.
    pub fn export(&self) -> Vec<Entry> {
        self.locked(|entries| entries.renewed.iter().cloned().collect())
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Entries) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_may_be_used_again() {
        let store = Resumption::default();
        assert!(store.put(b"key".to_vec(), b"value".to_vec()));
        assert_eq!(store.take(b"key").as_deref(), Some(&b"value"[..]));
        assert_eq!(store.take(b"key").as_deref(), Some(&b"value"[..]));
        assert_eq!(store.take(b"other"), None);
    }

    #[test]
    fn control_entries_outlive_any_number_of_transfers() {
        let gate = Resumption::default();
        gate.put(b"control".to_vec(), b"value".to_vec());
        let session = Resumption::with_control(gate.export());
        for n in 0..1000_u32 {
            session.put(n.to_be_bytes().to_vec(), b"data".to_vec());
        }
        assert!(session.take(b"control").is_some());
        assert!(session.take(&999_u32.to_be_bytes()).is_some());
        assert!(session.take(&0_u32.to_be_bytes()).is_none(), "the store is bounded");
    }

    #[test]
    fn an_entry_too_large_to_hand_over_is_not_kept() {
        let store = Resumption::default();
        assert!(!store.put(b"key".to_vec(), vec![0; 8193]));
        assert!(!store.put(vec![0; 65], b"value".to_vec()));
    }
}
