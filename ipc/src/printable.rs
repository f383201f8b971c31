//! Text of somebody else, fit for a line of the log, a reply or a terminal.

/// Escapes what could end a line, begin another, steer a terminal, or make text look like other text:
/// control characters, line and paragraph separators, and what changes the direction of writing
/// (CVE-2021-42574).
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_steering(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Separators of lines, marks and overrides of direction, and characters without width.
fn is_steering(c: char) -> bool {
    matches!(
        c,
        '\u{2028}'
            | '\u{2029}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_forge_a_log_line() {
        assert_eq!(printable("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J");
        assert_eq!(printable("größe 文件"), "größe 文件");
    }

    #[test]
    fn e6_a_name_cannot_turn_the_direction_of_writing() {
        let name = "exe.\u{202e}gpj\u{2066}\u{200b}\u{feff}\u{61c}";
        let shown = printable(name);
        assert_eq!(shown, "exe.\\u{202e}gpj\\u{2066}\\u{200b}\\u{feff}\\u{61c}");
    }
}
