//! What the keeper signs, and what it does not: a gate that has been taken over can ask for
//! signatures, but only for handshakes that name the keeper's side as a server of this host.

/// What stands before the hash in a server's CertificateVerify (RFC 8446 section 4.4.3).
const CONTEXT: &[u8] = b"TLS 1.3, server CertificateVerify\0";
/// How many spaces stand before the context.
const SPACES: usize = 64;
/// Lengths of the hashes of TLS 1.3's cipher suites: SHA-256 and SHA-384.
const HASHES: [usize; 2] = [32, 48];

/// Last eight bytes of a server random when a server that knows TLS 1.3 speaks TLS 1.2 (RFC 8446
/// section 4.1.3). This server always knows TLS 1.3.
const DOWNGRADE_TO_TLS12: &[u8; 8] = b"DOWNGRD\x01";
/// ECCurveType named_curve (RFC 8422 section 5.4).
const NAMED_CURVE: u8 = 3;
/// The groups of TLS 1.2 key exchanges with the lengths of their points: P-256, P-384, P-521,
/// X25519.
const GROUPS: [(u16, u8); 4] = [(0x0017, 65), (0x0018, 97), (0x0019, 133), (0x001d, 32)];

/// Whether `input` is the input of a server's CertificateVerify in TLS 1.3.
pub fn is_certificate_verify(input: &[u8]) -> bool {
    let Some((spaces, rest)) = input.split_at_checked(SPACES) else { return false };
    let Some(hash) = rest.strip_prefix(CONTEXT) else { return false };
    spaces.iter().all(|byte| *byte == b' ') && HASHES.contains(&hash.len())
}

/// Whether `input` is what a TLS 1.2 server signs in its ServerKeyExchange (RFC 8422 section 5.4):
/// both randoms, the server's with the downgrade mark, and one point of a named curve.
pub fn is_server_key_exchange(input: &[u8]) -> bool {
    let Some((_client_random, rest)) = input.split_at_checked(32) else { return false };
    let Some((server_random, parameters)) = rest.split_at_checked(32) else { return false };
    let &[NAMED_CURVE, high, low, length, ref point @ ..] = parameters else { return false };
    let group = u16::from_be_bytes([high, low]);
    server_random.ends_with(DOWNGRADE_TO_TLS12)
        && GROUPS.contains(&(group, length))
        && point.len() == usize::from(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate_verify(hash: usize) -> Vec<u8> {
        [vec![b' '; 64], CONTEXT.to_vec(), vec![7; hash]].concat()
    }

    fn server_key_exchange() -> Vec<u8> {
        let mut input = vec![1; 56];
        input.extend_from_slice(DOWNGRADE_TO_TLS12);
        input.extend_from_slice(&[3, 0, 0x1d, 32]);
        input.extend_from_slice(&[9; 32]);
        input
    }

    #[test]
    fn a_server_certificate_verify_is_signed() {
        assert!(is_certificate_verify(&certificate_verify(32)));
        assert!(is_certificate_verify(&certificate_verify(48)));
    }

    #[test]
    fn any_other_text_is_not_signed_as_tls13() {
        for hash in [0, 20, 31, 33, 64] {
            assert!(!is_certificate_verify(&certificate_verify(hash)), "hash of {hash}");
        }
        let mut client = certificate_verify(32);
        client.splice(73..79, *b"client");
        assert!(!is_certificate_verify(&client));
        let mut tab = certificate_verify(32);
        tab[63] = b'\t';
        assert!(!is_certificate_verify(&tab));
        assert!(!is_certificate_verify(&certificate_verify(32)[1..]));
        assert!(!is_certificate_verify(b""));
        assert!(!is_certificate_verify(&server_key_exchange()));
    }

    #[test]
    fn a_server_key_exchange_is_signed() {
        assert!(is_server_key_exchange(&server_key_exchange()));
    }

    #[test]
    fn any_other_text_is_not_signed_as_tls12() {
        let right = server_key_exchange();
        for cut in 0..right.len() {
            assert!(!is_server_key_exchange(&right[..cut]), "cut to {cut}");
        }
        let mut longer = right.clone();
        longer.push(0);
        assert!(!is_server_key_exchange(&longer));
        let mut unmarked = right.clone();
        unmarked[63] = 0;
        assert!(!is_server_key_exchange(&unmarked), "no downgrade mark");
        let mut explicit = right.clone();
        explicit[64] = 1;
        assert!(!is_server_key_exchange(&explicit), "explicit curve");
        let mut unknown = right;
        unknown[66] = 0x1e;
        assert!(!is_server_key_exchange(&unknown), "unknown group");
        assert!(!is_server_key_exchange(&certificate_verify(32)));
    }
}
