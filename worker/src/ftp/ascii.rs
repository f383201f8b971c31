//! TYPE A: line ends are LF in files and CR LF on the wire (RFC 959 section 3.1.1.1).
//!
//! What an upload and a download of the same text do is each other's inverse for every file that
//! has no CR before an LF; other bytes are never touched. Borders of chunks are of no meaning.

/// File to wire: an LF gets a CR before it, unless it has one already (a file with CR LF stays as
/// it is, instead of becoming CR CR LF).
#[derive(Debug, Default, Clone)]
pub struct ToWire {
    behind_cr: bool,
}

impl ToWire {
    /// A converter at the beginning of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Converts what comes next of the file; appends at most `2 * bytes.len()` bytes to `out`.
    pub fn convert(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.reserve(bytes.len().saturating_mul(2));
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_suffix(b"\n") {
                None => {
                    out.extend_from_slice(line);
                    self.behind_cr = line.last() == Some(&b'\r');
                }
                Some(text) => {
                    out.extend_from_slice(text);
                    let has_cr = match text.last() {
                        Some(last) => *last == b'\r',
                        None => self.behind_cr,
                    };
                    out.extend_from_slice(if has_cr { b"\n" } else { b"\r\n" });
                    self.behind_cr = false;
                }
            }
        }
    }
}

/// Wire to file: CR LF becomes LF. A CR before anything else stays.
#[derive(Debug, Default, Clone)]
pub struct FromWire {
    held_cr: bool,
}

impl FromWire {
    /// A converter at the beginning of an upload.
    pub fn new() -> Self {
        Self::default()
    }

    /// Converts what comes next; appends at most `bytes.len() + 1` bytes to `out`.
    pub fn convert(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.reserve(bytes.len().saturating_add(1));
        for piece in bytes.split_inclusive(|byte| *byte == b'\r') {
            if self.held_cr && piece.first() != Some(&b'\n') {
                out.push(b'\r');
            }
            self.held_cr = piece.last() == Some(&b'\r');
            out.extend_from_slice(piece.strip_suffix(b"\r").unwrap_or(piece));
        }
    }

    /// The upload is at its end: a CR that was held back is a byte of the file.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.held_cr) {
            out.push(b'\r');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_wire(chunks: &[&[u8]]) -> Vec<u8> {
        let (mut converter, mut out) = (ToWire::new(), Vec::new());
        chunks.iter().for_each(|chunk| converter.convert(chunk, &mut out));
        out
    }

    fn from_wire(chunks: &[&[u8]]) -> Vec<u8> {
        let (mut converter, mut out) = (FromWire::new(), Vec::new());
        chunks.iter().for_each(|chunk| converter.convert(chunk, &mut out));
        converter.finish(&mut out);
        out
    }

    #[test]
    fn line_ends_are_converted_across_chunks() {
        assert_eq!(to_wire(&[b"a\nb\n", b"\n", b"c"]), b"a\r\nb\r\n\r\nc");
        assert_eq!(to_wire(&[b"a\r", b"\nb\r\n"]), b"a\r\nb\r\n");
        assert_eq!(to_wire(&[b"a\r", b"", b"\n"]), b"a\r\n");
        assert_eq!(from_wire(&[b"a\r", b"\nb\r\n\r", b"\n"]), b"a\nb\n\n");
    }

    #[test]
    fn other_bytes_are_never_touched() {
        assert_eq!(from_wire(&[b"a\rb\r\r\nc\r"]), b"a\rb\r\nc\r");
        assert_eq!(from_wire(&[b"\r", b"\r", b"x", b"\n"]), b"\r\rx\n");
        assert_eq!(to_wire(&[b"a\rb\0\xff"]), b"a\rb\0\xff");
    }
}
