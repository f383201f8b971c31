//! What LIST, NLST and STAT are asked to list.

use super::{
    Argument,
    ArgumentError::{self, NotImplemented},
    first_word,
};

/// What LIST, NLST and STAT are asked to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing<'a> {
    /// `-a` or `-A`: names that begin with a dot as well.
    pub all: bool,
    /// `-d`: the directory itself and not what is in it.
    pub directory_itself: bool,
    /// The path, empty for the working directory. May have `*` and `?` in its last name.
    pub path: &'a [u8],
}

/// `-R`: one listing of a whole tree has no bound, and most clients could not read it.
const RECURSIVE: ArgumentError =
    NotImplemented("-R is not done here: list each directory by itself.");

/// LIST, NLST, STAT: clients put options of `ls` before the path. Words of a dash and letters are
/// options; `--` ends them. A name that looks like options is listed as `./-name` or `-- -name`.
/// Behind the one space that follows the last option, every byte belongs to the path.
///
/// # Errors
/// `NotImplemented` for `-R`.
pub fn listing(argument: &[u8]) -> Argument<Listing<'_>> {
    let mut listing = Listing { all: false, directory_itself: false, path: argument };
    loop {
        let rest = listing.path;
        let (word, behind) = first_word(rest);
        match word {
            b"--" => {
                listing.path = behind;
                return Ok(listing);
            }
            [b'-', options @ ..]
                if !options.is_empty()
                    && options.iter().all(|byte| b"aAlLFRrtSnogh1CdTxkp".contains(byte)) =>
            {
                if options.contains(&b'R') {
                    return Err(RECURSIVE);
                }
                listing.all |= options.iter().any(|byte| matches!(byte, b'a' | b'A'));
                listing.directory_itself |= options.contains(&b'd');
                listing.path = behind;
            }
            _ => return Ok(listing),
        }
        if listing.path.is_empty() {
            return Ok(listing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listing_options_are_told_from_names() {
        let cases: [(&str, bool, &str); 13] = [
            ("", false, ""),
            ("-la", true, ""),
            ("-la dir", true, "dir"),
            ("-l -a my dir", true, "my dir"),
            ("-a -- -b", true, "-b"),
            ("-zzz", false, "-zzz"),
            ("./-la", false, "./-la"),
            ("-", false, "-"),
            ("dir -la", false, "dir -la"),
            ("  two spaces", false, "  two spaces"),
            ("-a  one space", true, " one space"),
            ("--  -a", false, " -a"),
            ("trailing ", false, "trailing "),
        ];
        for (text, all, path) in cases {
            let listing = listing(text.as_bytes()).unwrap();
            assert_eq!((listing.all, listing.path), (all, path.as_bytes()), "{text}");
        }
        assert!(listing(b"-ld x").unwrap().directory_itself);
    }

    #[test]
    fn g11_a_recursive_listing_is_refused_and_not_ignored() {
        for text in ["-R", "-lR", "-aRl dir", "-l -R"] {
            assert_eq!(listing(text.as_bytes()), Err(RECURSIVE), "{text}");
        }
        // Names, and no options.
        for text in ["./-R", "-- -R", "R", "a -R"] {
            assert!(listing(text.as_bytes()).is_ok(), "{text}");
        }
    }
}
