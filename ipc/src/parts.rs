//! Tables that may be longer than a message: cut into parts by the bytes they take.

use serde::Serialize;

use crate::codec;

/// Bytes of a message that are kept free for what stands around the rows.
const FRAMING: usize = 64;

/// Cuts `rows` into parts, each of which fits into a message of `most_bytes`; one part at least. A row
/// that would not fit into a message of its own is left out.
pub fn parts<T: Serialize>(rows: Vec<T>, most_bytes: usize) -> Vec<Vec<T>> {
    let room = most_bytes.saturating_sub(FRAMING);
    let (mut parts, mut part, mut used) = (Vec::new(), Vec::new(), 0_usize);
    let mut scratch = Vec::new();
    for row in rows {
        scratch.clear();
        if codec::encode(&row, &mut scratch).is_err() || scratch.len() > room {
            continue;
        }
        if used.saturating_add(scratch.len()) > room {
            parts.push(std::mem::take(&mut part));
            used = 0;
        }
        used = used.saturating_add(scratch.len());
        part.push(row);
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a9_parts_are_filled_by_bytes_and_nothing_is_lost() {
        let rows: Vec<String> = (0..300).map(|n| "x".repeat(n * 7 % 400)).collect();
        let parts = parts(rows.clone(), 1024);
        assert!(parts.len() > 10);
        for part in &parts {
            let mut encoded = Vec::new();
            codec::encode(part, &mut encoded).unwrap();
            assert!(encoded.len() <= 1024, "{}", encoded.len());
        }
        assert_eq!(parts.concat(), rows);
    }

    #[test]
    fn a9_no_row_is_one_part_and_a_giant_is_left_out() {
        assert_eq!(parts(Vec::<String>::new(), 1024), [Vec::<String>::new()]);
        let rows = vec!["a".to_owned(), "x".repeat(2000), "b".to_owned()];
        assert_eq!(parts(rows, 1024), [["a".to_owned(), "b".to_owned()]]);
    }
}
