//! The words and marks of a Rust file with their lines, without comments: enough to find paths,
//! items and the ends of blocks, in macros as well.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An identifier, a keyword or a number.
    Word,
    /// A mark: `::`, or one character.
    Mark,
    /// A string or character literal; the text has its quotes.
    Literal,
    /// A lifetime.
    Lifetime,
}

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its text.
    pub text: &'a str,
    /// Its line, counted from 1.
    pub line: usize,
}

/// The tokens of a file.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut all = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let (kind, length) = if first.is_whitespace() {
            (None, first.len_utf8())
        } else if rest.starts_with("//") {
            (None, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (None, block_comment(rest))
        } else if let Some(length) = string(rest) {
            (Some(Kind::Literal), length)
        } else if first == '\'' {
            quote(rest)
        } else if is_of_word(first) {
            (Some(Kind::Word), word(rest))
        } else if rest.starts_with("::") {
            (Some(Kind::Mark), 2)
        } else {
            (Some(Kind::Mark), first.len_utf8())
        };
        let (text, after) = rest.split_at(length);
        if let Some(kind) = kind {
            let text = if kind == Kind::Word { text.trim_start_matches("r#") } else { text };
            all.push(Token { kind, text, line });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    all
}

fn is_of_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word(text: &str) -> usize {
    let raw = if text.starts_with("r#") { 2 } else { 0 };
    let end = text[raw..].find(|c| !is_of_word(c));
    end.map_or(text.len(), |end| raw + end)
}

/// The length of a block comment; they nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The length of a string literal of any kind, if one begins here.
fn string(text: &str) -> Option<usize> {
    let prefix = text.find(|c| !matches!(c, 'b' | 'c' | 'r')).filter(|end| *end <= 2)?;
    let body = &text[prefix..];
    if text[..prefix].ends_with('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        let inside = body[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
        return Some(prefix + hashes + 1 + length);
    }
    let inside = body.strip_prefix('"')?;
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(prefix + 1 + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// A character or a lifetime, and its length.
fn quote(text: &str) -> (Option<Kind>, usize) {
    let inside = &text[1..];
    let mut characters = inside.char_indices();
    let first = characters.next().map_or('\'', |(_, c)| c);
    let second = characters.next();
    if first == '\\' {
        // The character behind the backslash may be a quote.
        let from = second.map_or(inside.len(), |(at, c)| at + c.len_utf8());
        let end = inside[from..].find('\'').map_or(inside.len(), |at| from + at + 1);
        return (Some(Kind::Literal), 1 + end);
    }
    match second {
        Some((at, '\'')) => (Some(Kind::Literal), 1 + at + 1),
        _ => (Some(Kind::Lifetime), 1 + word(inside)),
    }
}

/// The index behind the bracket that closes the one at `open`.
pub fn behind_block(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.kind != Kind::Mark {
            continue;
        }
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// The tokens without the items that only tests compile (`#[cfg(test)]` and what it stands before).
pub fn without_tests<'a>(all: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut kept = Vec::with_capacity(all.len());
    let mut at = 0;
    while at < all.len() {
        if let Some(behind) = test_attribute(all, at) {
            at = behind_item(all, behind);
        } else {
            kept.push(all[at]);
            at += 1;
        }
    }
    kept
}

fn is(tokens: &[Token<'_>], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.text == text && token.kind != Kind::Literal)
}

/// The index behind an attribute `#[cfg(test)]` or `#[cfg(any(test, …))]` that begins here.
fn test_attribute(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let begins = is(tokens, at, "#") && is(tokens, at + 1, "[") && is(tokens, at + 2, "cfg");
    let behind = begins.then(|| behind_block(tokens, at + 1))?;
    let words: Vec<&str> = tokens[at + 2..behind].iter().map(|token| token.text).collect();
    (words.contains(&"test") && !words.contains(&"not")).then_some(behind)
}

/// The index behind the item, field or statement that begins here, its other attributes included.
fn behind_item(tokens: &[Token<'_>], mut at: usize) -> usize {
    while is(tokens, at, "#") {
        at = behind_block(tokens, at + 1);
    }
    const ITEMS: [&str; 16] = [
        "async",
        "const",
        "enum",
        "extern",
        "fn",
        "impl",
        "let",
        "macro_rules",
        "mod",
        "pub",
        "static",
        "struct",
        "trait",
        "type",
        "unsafe",
        "use",
    ];
    let item = tokens.get(at).is_some_and(|token| ITEMS.contains(&token.text));
    while at < tokens.len() {
        match tokens[at].text {
            _ if tokens[at].kind == Kind::Literal => at += 1,
            "{" => {
                at = behind_block(tokens, at);
                if item && !is(tokens, at, ";") {
                    return at;
                }
            }
            "(" | "[" => at = behind_block(tokens, at),
            ";" => return at + 1,
            "," if !item => return at + 1,
            "}" => return at,
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        tokens(source).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn strings_comments_and_characters_hide_what_is_in_them() {
        assert_eq!(texts("a /* b /* c */ d */ e // f\ng"), ["a", "e", "g"]);
        assert_eq!(texts(r#"x = "crate::y \" z"; b"{" r"\" '"'"#).len(), 7);
        assert_eq!(texts("r#\"a\"b\"# c"), ["r#\"a\"b\"#", "c"]);
        assert_eq!(
            texts(r"'{' '\'' '\u{7b}' 'a 'static"),
            ["'{'", r"'\''", r"'\u{7b}'", "'a", "'static"]
        );
        assert_eq!(texts("r#type::b"), ["type", "::", "b"]);
        assert_eq!(texts("break'a"), ["break", "'a"]);
    }

    #[test]
    fn lines_are_counted_through_comments_and_strings() {
        let all = tokens("a\n/*\n\n*/ b \"\n\" c");
        let lines: Vec<usize> = all.iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 4, 4, 5]);
    }

    #[test]
    fn what_only_tests_compile_is_left_out() {
        let source = "use a::b; #[cfg(test)] mod tests { use c::d; } #[cfg(test)] #[allow(x)] \
                      fn e<A, B>() -> [u8; 3] { f() } #[cfg(test)] mod g; h { #[cfg(test)] i: j, k }
                      #[cfg(not(test))] l();";
        let kept: Vec<&str> =
            without_tests(&tokens(source)).into_iter().map(|token| token.text).collect();
        let expected = ["use", "a", "::", "b", ";", "h", "{", "k", "}"];
        assert_eq!(kept[..9], expected);
        assert!(kept.contains(&"l"));
    }
}
