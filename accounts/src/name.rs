//! The names that an account may be given.
//!
//! A name becomes part of paths (`--root '/srv/{name}'`), of lines on terminals and of the log, so
//! that it is stricter than what a client may type. Accounts that have another name already keep it.

use ipc::bounded::{BoundError, UserName};

use super::is_anonymous;

/// Why an account cannot have a name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    /// It is no name that a client could send.
    #[error("it is {0}")]
    Bound(BoundError),
    /// It contains `/`.
    #[error("it contains a slash, and could lead out of a directory")]
    Slash,
    /// It begins with a dot.
    #[error("it begins with a dot")]
    Dot,
    /// It begins or ends with a space.
    #[error("it begins or ends with a space")]
    Space,
    /// It contains a character that shows as another text than it is.
    #[error("it contains an invisible character")]
    Invisible,
    /// It is a name of anonymous login.
    #[error("it is for anonymous login; see [anonymous] in the configuration")]
    Anonymous,
}

/// The name of a new account.
///
/// # Errors
/// Why it cannot be one.
pub fn judge(name: &str) -> Result<UserName, NameError> {
    let user = UserName::try_from(name.to_owned()).map_err(NameError::Bound)?;
    if name.contains('/') {
        return Err(NameError::Slash);
    }
    if name.starts_with('.') {
        return Err(NameError::Dot);
    }
    if name.starts_with(char::is_whitespace) || name.ends_with(char::is_whitespace) {
        return Err(NameError::Space);
    }
    if name.chars().any(is_invisible) {
        return Err(NameError::Invisible);
    }
    if is_anonymous(name) {
        return Err(NameError::Anonymous);
    }
    Ok(user)
}

/// Whether a character shows nothing, or changes how others are shown: the general categories Cf, Zl
/// and Zp of Unicode as far as terminals know them.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b2_a_name_leads_nowhere_and_shows_as_it_is() {
        for good in ["alice", "a.b", "DOMAIN\\user", "user@example.net", "Jörg", "a b", "x$"] {
            assert!(judge(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("../../root/.ssh", NameError::Slash),
            ("bad/name", NameError::Slash),
            ("..", NameError::Dot),
            (".", NameError::Dot),
            (".hidden", NameError::Dot),
            ("", NameError::Bound(BoundError::Empty)),
            ("a\u{1b}[2Jb", NameError::Bound(BoundError::Control)),
            ("a\nb", NameError::Bound(BoundError::Control)),
            (" alice", NameError::Space),
            ("alice\u{a0}", NameError::Space),
            ("al\u{202e}ice", NameError::Invisible),
            ("al\u{200b}ice", NameError::Invisible),
            ("ftp", NameError::Anonymous),
        ] {
            assert_eq!(judge(bad), Err(why), "{bad:?}");
        }
    }
}
