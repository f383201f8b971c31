//! `*` and `?` in one name: bounded work, nothing else.

/// Whether a name has to be matched at all.
pub fn is_pattern(name: &[u8]) -> bool {
    name.iter().any(|byte| matches!(byte, b'*' | b'?'))
}

/// Whether a name is one that the pattern means: `*` is any bytes, `?` one byte (of UTF-8: one
/// character). A name that begins with a dot is meant only by a pattern that does, as in a shell.
///
/// At most (length of name) x (length of pattern) steps, both at most 255 bytes in a listing: a
/// `*` that matched too little is extended, and only the last one ever needs that.
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut p, mut n) = (0, 0);
    // Behind the last `*`, and where in the name it stopped matching.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let (wanted, byte) = (pattern.get(p), name.get(n));
        match (wanted, byte) {
            (Some(b'*'), _) => {
                p += 1;
                star = Some((p, n));
                continue;
            }
            (None, None) => return true,
            (Some(b'?'), Some(_)) => {
                p += 1;
                n += 1 + continuation(name.get(n..).unwrap_or_default());
                continue;
            }
            (Some(wanted), Some(byte)) if wanted == byte => {
                p += 1;
                n += 1;
                continue;
            }
            _ => {}
        }
        // The rest did not match: let the last `*` take one byte more.
        match star {
            Some((behind, stopped)) if stopped < name.len() => {
                star = Some((behind, stopped + 1));
                (p, n) = (behind, stopped + 1);
            }
            _ => return false,
        }
    }
}

/// How many bytes of a UTF-8 character follow its first; 0 if it is none.
fn continuation(bytes: &[u8]) -> usize {
    let length = match bytes.first() {
        Some(0xC2..=0xDF) => 1,
        Some(0xE0..=0xEF) => 2,
        Some(0xF0..=0xF4) => 3,
        _ => return 0,
    };
    match bytes.get(..=length).map(std::str::from_utf8) {
        Some(Ok(_)) => length,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_a_shell_means() {
        for (pattern, name, expected) in [
            ("*", "a", true),
            ("*", ".a", false),
            (".*", ".a", true),
            ("", "", true),
            ("", "a", false),
            ("?", "", false),
            ("?", "ä", true),
            ("a*b*c", "axxbxxc", true),
            ("a*b*c", "axxbxx", false),
            ("*.txt", "x.txt.txt", true),
            ("a?c", "abc", true),
            ("[ab]", "a", false),
            ("*a", "aab", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn the_worst_pattern_takes_no_time() {
        let pattern = b"*a".repeat(127);
        let name = vec![b'b'; 255];
        let start = std::time::Instant::now();
        for _ in 0..100 {
            assert!(!matches(&pattern, &name));
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(1));
    }
}
