//! The reply to LIST: a JSON object with a member for each entry (RFC 8259).

use std::fmt::Write;

use crate::packet::{MAX_MESSAGE, TooLong};

/// What a listing says of an entry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// Directory or not.
    pub is_directory: bool,
    /// Size in bytes.
    pub size: u64,
    /// Modification time: seconds since 1970.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanoseconds: u32,
}

/// A LIST reply under construction.
#[derive(Debug)]
pub struct Listing(String);

impl Default for Listing {
    fn default() -> Self {
        Listing("\x01,{".to_owned())
    }
}

impl Listing {
    /// Adds an entry. A name that is not UTF-8 is shown with replacement characters: no request
    /// can name it, but it is not hidden.
    ///
    /// # Errors
    /// [`TooLong`] when the reply would not fit into a message; the listing is useless then.
    pub fn push(&mut self, name: &[u8], entry: Entry) -> Result<(), TooLong> {
        if self.0.len() > 3 {
            self.0.push_str(", ");
        }
        push_string(&mut self.0, &String::from_utf8_lossy(name));
        #[allow(clippy::cast_precision_loss, reason = "the protocol's time is a double")]
        let time = entry.seconds as f64 + f64::from(entry.nanoseconds) * 1e-9;
        // Writing to a String does not fail. {:?} always writes a fraction.
        write!(
            self.0,
            ": {{\"is_dir\": {}, \"size\": {}, \"time\": {time:?}}}",
            entry.is_directory, entry.size
        )
        .map_err(|_| TooLong)?;
        if self.0.len() >= MAX_MESSAGE { Err(TooLong) } else { Ok(()) }
    }

    /// The reply.
    pub fn finish(mut self) -> Vec<u8> {
        self.0.push('}');
        self.0.into_bytes()
    }
}

/// Appends a JSON string; everything beyond ASCII is escaped, as the first implementation does.
fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str("\\u");
                    for shift in [12, 8, 4, 0] {
                        let digit = u32::from(*unit >> shift) & 15;
                        out.push(char::from_digit(digit, 16).unwrap_or('0'));
                    }
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Entry =
        Entry { is_directory: false, size: 13, seconds: 1_600_000_000, nanoseconds: 500_000_000 };

    #[test]
    fn an_entry_reads_as_the_first_implementation_writes_it() {
        let mut listing = Listing::default();
        listing.push(b"a.txt", ENTRY).unwrap();
        let want = b"\x01,{\"a.txt\": {\"is_dir\": false, \"size\": 13, \"time\": 1600000000.5}}";
        assert_eq!(listing.finish(), want);
        assert_eq!(Listing::default().finish(), b"\x01,{}");
    }

    #[test]
    fn names_cannot_forge_members() {
        let mut listing = Listing::default();
        listing.push(b"x\": {}, \"y\\\n\xff\xf0\x9f\x98\x80", ENTRY).unwrap();
        let reply = listing.finish();
        let object: serde_json::Value = serde_json::from_slice(&reply[2..]).unwrap();
        let names: Vec<&String> = object.as_object().unwrap().keys().collect();
        assert_eq!(names, ["x\": {}, \"y\\\n\u{fffd}\u{1f600}"]);
    }

    #[test]
    fn a_listing_that_fits_no_message_is_an_error() {
        let mut listing = Listing::default();
        let name = [b'n'; 255];
        let pushed = (0..MAX_MESSAGE / 255).try_for_each(|_| listing.push(&name, ENTRY));
        assert_eq!(pushed, Err(TooLong));
    }
}
