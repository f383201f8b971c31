//! Paths as requests write them. What is allowed here is resolved beneath the root's descriptor
//! anyway; this refuses early what no honest client sends, with a text that helps.

/// Longest path, in bytes.
pub const MAX_PATH: usize = 4096;
/// Longest component, in bytes.
pub const MAX_COMPONENT: usize = 255;

/// Why a path is refused. The text is for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// Nothing.
    #[error("the path is empty; the root is called \".\"")]
    Empty,
    /// Begins with a slash.
    #[error("the path is absolute; paths are relative to the root")]
    Absolute,
    /// Has a `..` component.
    #[error("the path has a \"..\"; paths stay beneath the root")]
    Parent,
    /// Not UTF-8.
    #[error("the path is not UTF-8")]
    NotUtf8,
    /// A backslash: the client means a separator, the file system a letter.
    #[error("the path has a backslash; components are separated by \"/\"")]
    Backslash,
    /// A NUL or another control character.
    #[error("the path has a control character")]
    Control,
    /// Longer than [`MAX_PATH`], or a component longer than [`MAX_COMPONENT`].
    #[error("the path or one of its components is too long")]
    TooLong,
}

/// A path relative to the root: components joined by single slashes, none of them `.` or `..`; the
/// root itself has no component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelativePath(String);

impl RelativePath {
    /// Reads a path.
    ///
    /// # Errors
    /// [`BadPath`].
    pub fn parse(bytes: &[u8]) -> Result<RelativePath, BadPath> {
        let text = std::str::from_utf8(bytes).map_err(|_| BadPath::NotUtf8)?;
        if text.is_empty() {
            return Err(BadPath::Empty);
        }
        if text.len() > MAX_PATH {
            return Err(BadPath::TooLong);
        }
        if text.starts_with('/') {
            return Err(BadPath::Absolute);
        }
        if text.contains('\\') {
            return Err(BadPath::Backslash);
        }
        if text.chars().any(char::is_control) {
            return Err(BadPath::Control);
        }
        let mut joined = String::with_capacity(text.len());
        for component in text.split('/').filter(|component| !matches!(*component, "" | ".")) {
            if component == ".." {
                return Err(BadPath::Parent);
            }
            if component.len() > MAX_COMPONENT {
                return Err(BadPath::TooLong);
            }
            if !joined.is_empty() {
                joined.push('/');
            }
            joined.push_str(component);
        }
        Ok(RelativePath(joined))
    }

    /// Whether it is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components joined by slashes; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component; `.` for the root.
    pub fn name(&self) -> &str {
        match self.0.rsplit('/').next() {
            None | Some("") => ".",
            Some(name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, BadPath> {
        RelativePath::parse(text.as_bytes()).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn paths_are_brought_into_one_form() {
        assert_eq!(parsed("."), Ok(String::new()));
        assert_eq!(parsed("a"), Ok("a".into()));
        assert_eq!(parsed("./a//b/./c/"), Ok("a/b/c".into()));
        assert_eq!(parsed("..."), Ok("...".into()));
        assert_eq!(RelativePath::parse(b"d/e.txt").unwrap().name(), "e.txt");
        assert_eq!(RelativePath::parse(b".").unwrap().name(), ".");
    }

    #[test]
    fn paths_out_of_the_root_are_refused() {
        assert_eq!(parsed(""), Err(BadPath::Empty));
        assert_eq!(parsed("/etc"), Err(BadPath::Absolute));
        assert_eq!(parsed("//etc"), Err(BadPath::Absolute));
        for escape in ["..", "../x", "a/..", "a/../b", "./.."] {
            assert_eq!(parsed(escape), Err(BadPath::Parent), "{escape}");
        }
        assert_eq!(parsed("a\\..\\b"), Err(BadPath::Backslash));
        assert_eq!(parsed("a\0b"), Err(BadPath::Control));
        assert_eq!(parsed("a\nb"), Err(BadPath::Control));
        assert_eq!(parsed(&"x".repeat(256)), Err(BadPath::TooLong));
        assert_eq!(parsed(&"x/".repeat(2049)), Err(BadPath::TooLong));
        assert_eq!(RelativePath::parse(b"\xff"), Err(BadPath::NotUtf8));
    }
}
