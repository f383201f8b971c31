//! Accounts of passwd-style files: htpasswd, ProFTPD's AuthUserFile, PureDB's text, /etc/shadow-like
//! pairs. One line is one account; what cannot be taken over is said, never guessed.

use std::path::{Path, PathBuf};

use super::{name, password, record::Record};

/// One account of a line.
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its record.
    pub record: Record,
    /// Fields that were left out, and why.
    pub left_out: Vec<String>,
}

/// Reads a line; `Ok(None)` for an empty one or a comment. `root` is the root of accounts that name
/// no home, with `{name}` in it replaced.
///
/// # Errors
/// Why the line cannot be taken over, and what to do instead.
pub fn read(line: &str, root: Option<&str>) -> Result<Option<Line>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let fields: Vec<&str> = line.split(':').collect();
    let field = |index: usize| fields.get(index).copied().filter(|text| !text.is_empty());
    let (Some(name), Some(hash)) = (field(0), field(1)) else {
        return Err("a line needs a name and a password hash, with a colon between".into());
    };
    name::judge(name).map_err(|e| format!("the name {name:?} cannot be used: {e}"))?;
    if !password::is_known(hash) {
        return Err(match hash {
            "x" => format!("the hash of {name} is in another file (shadow); import that one"),
            locked if locked.starts_with(['!', '*']) => format!("{name} is locked"),
            md5 if md5.starts_with("$1$") || md5.starts_with("$apr1$") => format!(
                "the hash of {name} is MD5, which is not accepted; set a new password with \
                 `bulkhead user add {name}`"
            ),
            _ => format!(
                "the hash of {name} is in no accepted format ($argon2id$, $2b$, $5$, $6$, $y$); set \
                 a new password with `bulkhead user add {name}`"
            ),
        });
    }
    let mut left_out = Vec::new();
    let mut record = Record { password: Some(hash.to_owned()), ..Record::default() };
    // A shadow line has nine fields, and the third is a day, not a uid.
    let is_shadow = fields.len() == 9 && field(5).is_none_or(|home| !home.starts_with('/'));
    if !is_shadow {
        record.uid = number(field(2), "uid", name)?;
        record.gid = number(field(3), "gid", name)?;
    }
    if record.uid == Some(0) || record.gid == Some(0) {
        return Err(format!("{name} has uid or gid 0, which no account may have"));
    }
    let home = field(5).filter(|home| !is_shadow && home.starts_with('/'));
    record.root = match (home, root) {
        // Everything before "/./" is the root; PureDB marks a chroot so.
        (Some(home), _) => PathBuf::from(home.split("/./").next().unwrap_or(home)),
        (None, Some(root)) => PathBuf::from(root.replace("{name}", name)),
        (None, None) => {
            return Err(format!("the line of {name} names no home; give --root DIR/{{name}}"));
        }
    };
    if !Path::new(&record.root).is_absolute() {
        return Err(format!("the root of {name} is not an absolute path"));
    }
    if fields.len() >= 18 {
        pure_db(&field, &mut record, &mut left_out);
    }
    Ok(Some(Line { name: name.to_owned(), record, left_out }))
}

fn number(field: Option<&str>, what: &str, name: &str) -> Result<Option<u32>, String> {
    let parse = |text: &str| {
        text.parse().map_err(|_| format!("the {what} of {name}, \"{text}\", is no number"))
    };
    field.map(parse).transpose()
}

/// The further fields of PureDB's text form: rates, ratios, connections, quotas, addresses, times.
fn pure_db<'a>(
    field: &impl Fn(usize) -> Option<&'a str>,
    record: &mut Record,
    left_out: &mut Vec<String>,
) {
    let number = |index| field(index).and_then(|text: &str| text.parse::<u64>().ok());
    record.upload_rate = number(6);
    record.download_rate = number(7);
    record.max_sessions = number(10).and_then(|most| u32::try_from(most).ok());
    match field(15).map(|text| text.split(',').map(str::trim).map(str::parse).collect()) {
        Some(Ok(networks)) => record.networks = networks,
        Some(Err::<_, String>(e)) => left_out.push(format!("allowed client addresses: {e}")),
        None => {}
    }
    if !left_out.is_empty() {
        record.disabled = true;
    }
    // What decided about who may log in, and is not to be had here, keeps him out until somebody has
    // looked at it.
    for (index, what, closes) in [
        (8, "upload ratio", false),
        (9, "download ratio", false),
        (11, "quota of files", false),
        (12, "quota of bytes", false),
        (13, "allowed local addresses", true),
        (14, "refused local addresses", true),
        (16, "refused client addresses", true),
        (17, "times of day", true),
    ] {
        if let Some(text) = field(index) {
            left_out.push(format!("{what} ({text})"));
            record.disabled |= closes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";

    fn one(line: &str, root: Option<&str>) -> Line {
        read(line, root).unwrap().unwrap()
    }

    #[test]
    fn a_pair_takes_the_root_that_is_given() {
        let line = one(&format!("alice:{HASH}\n"), Some("/srv/{name}/in"));
        assert_eq!(line.record.root, Path::new("/srv/alice/in"));
        assert_eq!(line.record.uid, None);
        let homeless = read(&format!("alice:{HASH}"), None).err().unwrap();
        assert!(homeless.contains("--root"), "{homeless}");
        let shadow = one(&format!("alice:{HASH}:19000:0:99999:7:::"), Some("/srv"));
        assert_eq!((shadow.record.uid, shadow.record.gid), (None, None));
    }

    #[test]
    fn a_passwd_line_brings_identity_and_home() {
        let line = one(&format!("bob:{HASH}:1005:1006:Bob:/home/bob:/bin/false"), Some("/srv"));
        assert_eq!((line.record.uid, line.record.gid), (Some(1005), Some(1006)));
        assert_eq!(line.record.root, Path::new("/home/bob"));
    }

    #[test]
    fn a_line_of_pure_ftpd_brings_rates_and_networks_and_names_the_rest() {
        let text =
            format!("joe:{HASH}:1:2::/home/joe/./:1000:2000:3::4:10::::10.0.0.0/8::0800-1800");
        let line = one(&text, None);
        let record = &line.record;
        assert_eq!(record.root, Path::new("/home/joe"));
        assert_eq!((record.upload_rate, record.download_rate), (Some(1000), Some(2000)));
        assert_eq!((record.max_sessions, record.networks.len()), (Some(4), 1));
        let left = line.left_out.join("; ");
        assert!(left.contains("upload ratio") && left.contains("times of day"), "{left}");
        assert!(record.disabled, "d7: what decided about who may log in keeps him out");
    }

    #[test]
    fn what_cannot_be_taken_over_is_said() {
        let refused = |line: &str| read(line, Some("/srv")).err().unwrap();
        assert!(refused("alice").contains("colon"));
        assert!(refused("alice:x:1:1::/h:").contains("shadow"));
        assert!(refused("alice:!$6$x").contains("locked"));
        assert!(refused("alice:$1$salt$hash").contains("MD5"));
        assert!(refused("alice:rqXexS6ZhobKA").contains("no accepted format"));
        assert!(refused(&format!("root:{HASH}:0:0::/root:")).contains("uid or gid 0"));
        assert!(refused(&format!("a:{HASH}:one:1::/root:")).contains("no number"));
        assert!(read("  # comment", None).unwrap().is_none());
    }
}
