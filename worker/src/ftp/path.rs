//! Paths as clients write them, and the one form everything else uses.

use std::fmt;

/// Longest path of the server in bytes, as the kernel has it (PATH_MAX with its NUL).
pub const MAX_PATH: usize = 4095;
/// Longest name in bytes (NAME_MAX).
pub const MAX_NAME: usize = 255;

/// Why a path cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No path at all.
    #[error("The path is empty")]
    Empty,
    /// A NUL byte: no file can have it in its name.
    #[error("The path contains a NUL byte")]
    Nul,
    /// Longer than [`MAX_PATH`].
    #[error("The path is longer than 4095 bytes")]
    TooLong,
    /// A component longer than [`MAX_NAME`].
    #[error("A name in the path is longer than 255 bytes")]
    NameTooLong,
}

/// A path within the account's root, normalized: begins with `/`, no empty, `.` or `..` component,
/// no `/` at its end (but for the root itself), no NUL, at most [`MAX_PATH`] bytes.
///
/// It is a name and not a right: what it leads to is decided by the kernel (openat2 beneath the
/// root's descriptor), for a component may be a symbolic link.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VirtualPath(Vec<u8>);

impl VirtualPath {
    /// The account's root, `/`.
    pub fn root() -> Self {
        VirtualPath(b"/".to_vec())
    }

    /// The path a client means by `path` while it is in this directory. Absolute ones begin with
    /// `/` (also `~`, alone or before a `/`: the root is every account's home). `..` never leads above the
    /// root; doubled and trailing slashes say nothing.
    ///
    /// # Errors
    /// [`PathError`], when no file can have that path.
    pub fn join(&self, path: &[u8]) -> Result<VirtualPath, PathError> {
        if path.is_empty() {
            return Err(PathError::Empty);
        }
        if path.contains(&0) {
            return Err(PathError::Nul);
        }
        let (mut joined, rest) = match path {
            [b'/', rest @ ..] | [b'~', b'/', rest @ ..] => (Vec::new(), rest),
            b"~" => return Ok(VirtualPath::root()),
            rest if self.is_root() => (Vec::new(), rest),
            rest => (self.0.clone(), rest),
        };
        for component in rest.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => {
                    let parent = joined.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                    joined.truncate(parent);
                }
                name => {
                    if name.len() > MAX_NAME {
                        return Err(PathError::NameTooLong);
                    }
                    joined.push(b'/');
                    joined.extend_from_slice(name);
                }
            }
        }
        if joined.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        if joined.is_empty() {
            joined.push(b'/');
        }
        Ok(VirtualPath(joined))
    }

    /// The path of an entry of this directory. The name is one the kernel gave.
    ///
    /// # Errors
    /// [`PathError`] as [`join`](Self::join).
    pub fn child(&self, name: &[u8]) -> Result<VirtualPath, PathError> {
        if name == b"~" {
            return self.join(b"./~");
        }
        self.join(name)
    }

    /// The directory above; the root's is the root.
    pub fn parent(&self) -> VirtualPath {
        match self.0.iter().rposition(|byte| *byte == b'/') {
            None | Some(0) => VirtualPath::root(),
            Some(slash) => VirtualPath(self.0.get(..slash).unwrap_or(b"/").to_vec()),
        }
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// The path without its leading slash, as the kernel wants it beneath the root's descriptor;
    /// `.` for the root.
    pub fn relative(&self) -> &[u8] {
        match self.0.get(1..) {
            None | Some([]) => b".",
            Some(rest) => rest,
        }
    }

    /// The directory part and the last component, both relative; `None` for the root, which has
    /// no name.
    pub fn split(&self) -> Option<(&[u8], &[u8])> {
        let relative = self.0.get(1..).filter(|rest| !rest.is_empty())?;
        match relative.iter().rposition(|byte| *byte == b'/') {
            None => Some((b".", relative)),
            Some(slash) => Some((relative.get(..slash)?, relative.get(slash + 1..)?)),
        }
    }

    /// Whether it is `/`.
    pub fn is_root(&self) -> bool {
        self.0.len() <= 1
    }

    /// Whether `other` is this path or lies beneath it.
    pub fn contains(&self, other: &VirtualPath) -> bool {
        self.is_root()
            || other
                .0
                .strip_prefix(self.0.as_slice())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// The bytes, beginning with `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for VirtualPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(cwd: &str, path: &str) -> String {
        let cwd = VirtualPath::root().join(cwd.as_bytes()).unwrap();
        String::from_utf8(cwd.join(path.as_bytes()).unwrap().as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn paths_are_normalized_and_stay_beneath_the_root() {
        for (cwd, path, expected) in [
            ("/", "a", "/a"),
            ("/a", "b", "/a/b"),
            ("/a", "/b", "/b"),
            ("/a/b", "..", "/a"),
            ("/a", "../../../etc/passwd", "/etc/passwd"),
            ("/a", "//b///c//", "/b/c"),
            ("/a", "./.", "/a"),
            ("/a", "...", "/a/..."),
            ("/a", "~", "/"),
            ("/a", "~/b", "/b"),
            ("/a", "~b", "/a/~b"),
            ("/a", "./~", "/a/~"),
            ("/a", " b ", "/a/ b "),
            ("/", "..", "/"),
        ] {
            assert_eq!(joined(cwd, path), expected, "{cwd} {path}");
        }
    }

    #[test]
    fn impossible_paths_are_refused() {
        let root = VirtualPath::root();
        assert_eq!(root.join(b""), Err(PathError::Empty));
        assert_eq!(root.join(b"a\0b"), Err(PathError::Nul));
        assert_eq!(root.join(&[b'x'; 256]), Err(PathError::NameTooLong));
        assert!(root.join(&[b'x'; 255]).is_ok());
        assert_eq!(root.join(&b"x/".repeat(2048)), Err(PathError::TooLong));
    }

    #[test]
    fn parts_fit_together() {
        let path = VirtualPath::root().join(b"a/b/c").unwrap();
        assert_eq!(path.parent().as_bytes(), b"/a/b");
        assert_eq!(path.name(), b"c");
        assert_eq!(path.split(), Some((b"a/b".as_slice(), b"c".as_slice())));
        let top = VirtualPath::root().join(b"a").unwrap();
        assert_eq!(top.split(), Some((b".".as_slice(), b"a".as_slice())));
        assert_eq!(top.parent(), VirtualPath::root());
        assert_eq!(VirtualPath::root().split(), None);
        assert_eq!(VirtualPath::root().relative(), b".");
        assert!(top.contains(&path) && !path.contains(&top));
        assert!(!top.contains(&VirtualPath::root().join(b"ab").unwrap()));
        assert_eq!(top.child(b"~").unwrap().as_bytes(), b"/a/~");
    }
}
