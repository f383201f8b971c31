//! What a TLS handshake agreed on, as the code points of IANA's registries: a few bytes of a fixed
//! size, so that a gate that has been taken over can put no text of its own into the log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The names of the versions that are spoken.
const VERSIONS: [(u16, &str); 2] = [(0x0303, "1.2"), (0x0304, "1.3")];

/// The names of the cipher suites that are spoken, as IANA writes them.
const CIPHERS: [(u16, &str); 9] = [
    (0x1301, "TLS_AES_128_GCM_SHA256"),
    (0x1302, "TLS_AES_256_GCM_SHA384"),
    (0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
    (0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    (0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    (0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    (0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
];

/// The key exchange groups that are spoken, in the order of the server's preference: hybrids of a
/// curve and ML-KEM first, against whoever records today and computes later.
pub const GROUPS: [(u16, &str); 5] = [
    (0x11ec, "X25519MLKEM768"),
    (0x11eb, "SECP256R1MLKEM768"),
    (0x001d, "X25519"),
    (0x0017, "P-256"),
    (0x0018, "P-384"),
];

/// What a handshake agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFacts {
    /// The version.
    pub version: u16,
    /// The cipher suite.
    pub cipher: u16,
    /// The key exchange group; 0: there was no key exchange (TLS 1.2, resumed).
    pub group: u16,
    /// Whether the master secret is bound to the handshake: TLS 1.3, or TLS 1.2 with the extended
    /// master secret (RFC 7627). Without it nothing may resume the session.
    pub extended_master_secret: bool,
}

impl TlsFacts {
    /// The version, as `1.3`.
    pub fn version(self) -> Name {
        Name::of(&VERSIONS, self.version)
    }

    /// The cipher suite, as IANA writes it.
    pub fn cipher(self) -> Name {
        Name::of(&CIPHERS, self.cipher)
    }

    /// The key exchange group.
    pub fn group(self) -> Name {
        Name::of(&GROUPS, self.group)
    }
}

/// The name of a code point; one without a name here is shown as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    code: u16,
    name: Option<&'static str>,
}

impl Name {
    fn of(names: &[(u16, &'static str)], code: u16) -> Name {
        let name = names.iter().find(|(number, _)| *number == code).map(|(_, name)| *name);
        Name { code, name }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name, self.code) {
            (Some(name), _) => f.write_str(name),
            (None, 0) => f.write_str("none"),
            (None, code) => write!(f, "0x{code:04x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_points_have_names_and_unknown_ones_are_numbers() {
        let facts = TlsFacts {
            version: 0x0304,
            cipher: 0x1302,
            group: 0x11ec,
            extended_master_secret: true,
        };
        let shown = format!("{} {} {}", facts.version(), facts.cipher(), facts.group());
        assert_eq!(shown, "1.3 TLS_AES_256_GCM_SHA384 X25519MLKEM768");
        let odd = TlsFacts { version: 0x0302, cipher: 0xffff, group: 0, ..facts };
        assert_eq!(
            format!("{} {} {}", odd.version(), odd.cipher(), odd.group()),
            "0x0302 0xffff none"
        );
    }
}
