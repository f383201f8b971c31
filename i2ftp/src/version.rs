//! The transport's version string. It is sent once in the handshake and goes into the sum of every
//! packet header, so both ends must agree exactly.

/// A version of the transport. The two differ in nothing but the string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireVersion {
    /// `2.1`: the newest with which the client runs unchanged (i2cylib 1.13.14).
    V2_1,
    /// `2.2`: the newest release (i2cylib 1.13.18 and later).
    V2_2,
}

impl WireVersion {
    /// Length of the string on the wire.
    pub const BYTES: usize = 3;

    /// The string on the wire.
    pub fn as_bytes(self) -> &'static [u8; Self::BYTES] {
        match self {
            WireVersion::V2_1 => b"2.1",
            WireVersion::V2_2 => b"2.2",
        }
    }

    /// The version of a string, as `[i2ftp] wire_version` writes it.
    pub fn from_name(name: &str) -> Option<WireVersion> {
        [WireVersion::V2_1, WireVersion::V2_2]
            .into_iter()
            .find(|version| version.as_bytes() == name.as_bytes())
    }
}
