//! How long functions are.

use super::tokens::{Kind, Token, behind_block};

/// Lines that a function may have, from `fn` to its closing brace.
pub const LONGEST: usize = 60;

/// A function.
#[derive(Debug, PartialEq, Eq)]
pub struct Function<'a> {
    /// Its name.
    pub name: &'a str,
    /// The line of `fn`.
    pub line: usize,
    /// Lines from `fn` to the closing brace.
    pub lines: usize,
}

/// The functions of a file that have a body.
pub fn functions<'a>(tokens: &[Token<'a>]) -> Vec<Function<'a>> {
    let mut all = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let [keyword, name] = pair else { continue };
        let named = keyword.text == "fn" && keyword.kind == Kind::Word && name.kind == Kind::Word;
        if !named {
            continue;
        }
        let Some(open) = body(tokens, at + 2) else { continue };
        let end = behind_block(tokens, open).saturating_sub(1);
        if let Some(close) = tokens.get(end) {
            let lines = close.line - keyword.line + 1;
            all.push(Function { name: name.text, line: keyword.line, lines });
        }
    }
    all
}

/// The brace that opens a function's body, whose signature goes on at `at`.
fn body(tokens: &[Token<'_>], mut at: usize) -> Option<usize> {
    loop {
        let token = tokens.get(at)?;
        match token.text {
            _ if token.kind != Kind::Mark => at += 1,
            "(" | "[" => at = behind_block(tokens, at),
            "{" => return Some(at),
            ";" | "}" => return None,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tokens::tokens, *};

    #[test]
    fn a_function_is_measured_from_its_keyword_to_its_brace() {
        let source = "trait A { fn declared(&self); }\n/// Doc.\nfn one() -> [u8; 2] { [0; 2] }\n\
                      type F = fn(u8) -> u8;\nfn four<T>(\n    x: fn() -> T,\n) {\n}\n";
        let all = tokens(source);
        let found = functions(&all);
        let expected = [("one", 3, 1), ("four", 5, 4)];
        let found: Vec<_> = found.iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(found, expected);
    }
}
