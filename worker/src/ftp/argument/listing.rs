//! What LIST, NLST and STAT are asked to list.

use super::first_word;

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

/// LIST, NLST, STAT: clients put options of `ls` before the path. Words of a dash and letters are
/// options; `--` ends them. A name that looks like options is listed as `./-name` or `-- -name`.
pub fn listing(argument: &[u8]) -> Listing<'_> {
    let mut listing = Listing { all: false, directory_itself: false, path: argument };
    loop {
        let rest = listing.path;
        let (word, behind) = first_word(rest);
        match word {
            b"" if !rest.is_empty() => listing.path = behind,
            b"--" => {
                listing.path = behind;
                return listing;
            }
            [b'-', options @ ..]
                if !options.is_empty()
                    && options.iter().all(|byte| b"aAlLFRrtSnogh1CdTxkp".contains(byte)) =>
            {
                listing.all |= options.iter().any(|byte| matches!(byte, b'a' | b'A'));
                listing.directory_itself |= options.contains(&b'd');
                listing.path = behind;
            }
            _ => return listing,
        }
        if listing.path.is_empty() {
            return listing;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listing_options_are_told_from_names() {
        let cases: [(&str, bool, &str); 9] = [
            ("", false, ""),
            ("-la", true, ""),
            ("-la dir", true, "dir"),
            ("-l -a my dir", true, "my dir"),
            ("-a -- -b", true, "-b"),
            ("-zzz", false, "-zzz"),
            ("./-la", false, "./-la"),
            ("-", false, "-"),
            ("dir -la", false, "dir -la"),
        ];
        for (text, all, path) in cases {
            let listing = listing(text.as_bytes());
            assert_eq!((listing.all, listing.path), (all, path.as_bytes()), "{text}");
        }
        assert!(listing(b"-ld x").directory_itself);
    }
}
