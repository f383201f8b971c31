//! The arguments of verbs, each read by one function from the bytes a client sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

use super::{calendar, digest::Algorithm, listing::FactSet};

/// Why an argument is none; the reply is [`super::reply::Reply::argument`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Not what the grammar says: 501 with what was expected.
    #[error("{0}")]
    Syntax(&'static str),
    /// Right by the grammar, but this server does not do it: 504.
    #[error("{0}")]
    NotImplemented(&'static str),
    /// A network protocol EPRT or EPSV cannot use here: 522 (RFC 2428 section 2).
    #[error("Network protocol not supported, use (1,2).")]
    Protocol,
}

use ArgumentError::{NotImplemented, Syntax};

/// The result of reading an argument.
pub type Argument<T> = Result<T, ArgumentError>;

/// Longest offset or size: what the kernel's signed 64 bits hold.
const MAX_OFFSET: u64 = i64::MAX.unsigned_abs();

/// A number of decimal digits, with nothing around them.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Words between spaces; doubled spaces say nothing.
pub(super) fn words(argument: &[u8]) -> impl Iterator<Item = &[u8]> {
    argument.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

/// The first word, and everything behind the one space that follows it.
pub(super) fn first_word(argument: &[u8]) -> (&[u8], &[u8]) {
    match argument.iter().position(|byte| *byte == b' ') {
        None => (argument, b""),
        Some(space) => (
            argument.get(..space).unwrap_or_default(),
            argument.get(space + 1..).unwrap_or_default(),
        ),
    }
}

/// PORT (RFC 959 section 4.1.2): six numbers below 256.
///
/// # Errors
/// `Syntax`.
pub fn host_port(argument: &[u8]) -> Argument<SocketAddrV4> {
    const ERROR: ArgumentError = Syntax("PORT needs h1,h2,h3,h4,p1,p2, each from 0 to 255.");
    let mut bytes = [0u8; 6];
    let mut fields = argument.trim_ascii().split(|byte| *byte == b',');
    for byte in &mut bytes {
        let field = fields.next().and_then(number).ok_or(ERROR)?;
        *byte = u8::try_from(field).map_err(|_| ERROR)?;
    }
    if fields.next().is_some() {
        return Err(ERROR);
    }
    let [a, b, c, d, high, low] = bytes;
    Ok(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])))
}

/// EPRT (RFC 2428 section 2): `|1|192.0.2.1|6275|` or `|2|2001:db8::1|5282|`.
///
/// # Errors
/// `Syntax`, or `Protocol` for a family other than 1 and 2.
pub fn extended_port(argument: &[u8]) -> Argument<SocketAddr> {
    const ERROR: ArgumentError =
        Syntax("EPRT needs |1|IPv4 address|port| or |2|IPv6 address|port|.");
    let argument = argument.trim_ascii();
    let delimiter = *argument.first().ok_or(ERROR)?;
    if !(33..=126).contains(&delimiter) {
        return Err(ERROR);
    }
    let mut fields = argument.split(|byte| *byte == delimiter);
    let parts = [fields.next(), fields.next(), fields.next(), fields.next(), fields.next()];
    let [Some(b""), Some(family), Some(address), Some(port), Some(b"")] = parts else {
        return Err(ERROR);
    };
    if fields.next().is_some() {
        return Err(ERROR);
    }
    let family = number(family).ok_or(ERROR)?;
    let address = std::str::from_utf8(address).map_err(|_| ERROR)?;
    let address = match family {
        1 => IpAddr::V4(address.parse::<Ipv4Addr>().map_err(|_| ERROR)?),
        2 => IpAddr::V6(address.parse::<Ipv6Addr>().map_err(|_| ERROR)?),
        _ => return Err(ArgumentError::Protocol),
    };
    let port = number(port).and_then(|port| u16::try_from(port).ok()).ok_or(ERROR)?;
    if port == 0 {
        return Err(ERROR);
    }
    Ok(SocketAddr::new(address, port))
}

/// What EPSV asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtendedPassive {
    /// A listener of the control connection's family.
    Any,
    /// A listener for IPv4.
    V4,
    /// A listener for IPv6.
    V6,
    /// No more PORT, PASV or EPRT on this connection.
    All,
}

/// EPSV (RFC 2428 section 3).
///
/// # Errors
/// `Syntax`, or `Protocol` for a family other than 1 and 2.
pub fn extended_passive(argument: &[u8]) -> Argument<ExtendedPassive> {
    match argument.trim_ascii() {
        b"" => Ok(ExtendedPassive::Any),
        b"1" => Ok(ExtendedPassive::V4),
        b"2" => Ok(ExtendedPassive::V6),
        all if all.eq_ignore_ascii_case(b"ALL") => Ok(ExtendedPassive::All),
        other if number(other).is_some() => Err(ArgumentError::Protocol),
        _ => Err(Syntax("EPSV needs nothing, 1, 2 or ALL.")),
    }
}

/// How data is represented on a data connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferType {
    /// Text: line ends travel as CR LF.
    Ascii,
    /// Bytes as they are.
    Binary,
}

/// TYPE (RFC 959 section 3.1.1).
///
/// # Errors
/// `NotImplemented` for E, A T, A C and L other than 8; `Syntax` for the rest.
pub fn transfer_type(argument: &[u8]) -> Argument<TransferType> {
    const ERROR: ArgumentError = Syntax("TYPE needs A, A N, I or L 8.");
    let mut words = words(argument);
    let kind = words.next().ok_or(ERROR)?;
    let form = words.next();
    if words.next().is_some() {
        return Err(ERROR);
    }
    match (kind, form) {
        (b"A" | b"a", None | Some(b"N" | b"n")) => Ok(TransferType::Ascii),
        (b"I" | b"i", None) => Ok(TransferType::Binary),
        (b"L" | b"l", Some(b"8")) | (b"L8" | b"l8", None) => Ok(TransferType::Binary),
        (b"L" | b"l", Some(size)) if number(size).is_some() => {
            Err(NotImplemented("Only L 8 is implemented."))
        }
        (b"A" | b"a" | b"E" | b"e", Some(b"T" | b"t" | b"C" | b"c"))
        | (b"E" | b"e", None | Some(b"N" | b"n")) => {
            Err(NotImplemented("Only TYPE A, A N, I and L 8 are implemented."))
        }
        _ => Err(ERROR),
    }
}

/// STRU (RFC 959 section 3.1.2): F only.
///
/// # Errors
/// `NotImplemented` for R and P; `Syntax` for the rest.
pub fn structure(argument: &[u8]) -> Argument<()> {
    match argument.trim_ascii() {
        b"F" | b"f" => Ok(()),
        b"R" | b"r" | b"P" | b"p" => Err(NotImplemented("Only STRU F is implemented.")),
        _ => Err(Syntax("STRU needs F.")),
    }
}

/// MODE (RFC 959 section 3.4): S only.
///
/// # Errors
/// `NotImplemented` for B, C and Z; `Syntax` for the rest.
pub fn mode(argument: &[u8]) -> Argument<()> {
    match argument.trim_ascii() {
        b"S" | b"s" => Ok(()),
        b"B" | b"b" | b"C" | b"c" | b"Z" | b"z" => {
            Err(NotImplemented("Only MODE S is implemented."))
        }
        _ => Err(Syntax("MODE needs S.")),
    }
}

/// REST (RFC 3659 section 5.3): an offset in bytes.
///
/// # Errors
/// `Syntax`.
pub fn offset(argument: &[u8]) -> Argument<u64> {
    number(argument.trim_ascii())
        .filter(|offset| *offset <= MAX_OFFSET)
        .ok_or(Syntax("REST needs an offset in bytes."))
}

/// ALLO (RFC 959 section 4.1.3): bytes, and a record size that says nothing here.
///
/// # Errors
/// `Syntax`.
pub fn allocation(argument: &[u8]) -> Argument<u64> {
    const ERROR: ArgumentError = Syntax("ALLO needs a number of bytes.");
    let mut words = words(argument);
    let bytes = words.next().and_then(number).filter(|size| *size <= MAX_OFFSET).ok_or(ERROR)?;
    match (words.next(), words.next(), words.next()) {
        (None, ..) => Ok(bytes),
        (Some(b"R" | b"r"), Some(size), None) if number(size).is_some() => Ok(bytes),
        _ => Err(ERROR),
    }
}

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

/// MFMT (draft-somers-ftp-mfxx section 3.1): seconds since 1970 and a path.
///
/// # Errors
/// `Syntax`.
pub fn modify_time(argument: &[u8]) -> Argument<(i64, &[u8])> {
    const ERROR: ArgumentError = Syntax("MFMT needs YYYYMMDDHHMMSS and a path.");
    let (time, path) = first_word(argument);
    if path.is_empty() {
        return Err(ERROR);
    }
    Ok((calendar::parse(time).ok_or(ERROR)?, path))
}

/// What MFF sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FactChanges {
    /// Seconds since 1970.
    pub modify: Option<i64>,
    /// Permission bits, at most 0o777.
    pub unix_mode: Option<u32>,
}

/// MFF (draft-somers-ftp-mfxx section 5.1): `modify=…;UNIX.mode=…; path`.
///
/// # Errors
/// `NotImplemented` for other facts, `Syntax` for the rest.
pub fn modify_facts(argument: &[u8]) -> Argument<(FactChanges, &[u8])> {
    const ERROR: ArgumentError = Syntax("MFF needs fact=value; and a path.");
    let (facts, path) = first_word(argument);
    let facts = facts.strip_suffix(b";").filter(|_| !path.is_empty()).ok_or(ERROR)?;
    let mut changes = FactChanges::default();
    for fact in facts.split(|byte| *byte == b';') {
        let equals = fact.iter().position(|byte| *byte == b'=').ok_or(ERROR)?;
        let (name, value) = fact.split_at(equals);
        let value = value.get(1..).ok_or(ERROR)?;
        if name.eq_ignore_ascii_case(b"modify") {
            changes.modify = Some(calendar::parse(value).ok_or(ERROR)?);
        } else if name.eq_ignore_ascii_case(b"unix.mode") {
            changes.unix_mode = Some(mode_bits(value)?);
        } else {
            return Err(NotImplemented("MFF sets modify and UNIX.mode only."));
        }
    }
    Ok((changes, path))
}

/// Three or four octal digits.
///
/// # Errors
/// `NotImplemented` for set-uid, set-gid and sticky; `Syntax` for the rest.
pub fn mode_bits(digits: &[u8]) -> Argument<u32> {
    const ERROR: ArgumentError = Syntax("A mode is three octal digits, such as 644.");
    if !(1..=5).contains(&digits.len()) {
        return Err(ERROR);
    }
    let mode = digits.iter().try_fold(0u32, |mode, byte| match byte {
        b'0'..=b'7' => Ok(mode * 8 + u32::from(byte - b'0')),
        _ => Err(ERROR),
    })?;
    match mode {
        0..=0o777 => Ok(mode),
        0o1000..=0o7777 => Err(NotImplemented("The set-uid, set-gid and sticky bits are not set.")),
        _ => Err(ERROR),
    }
}

/// A range of bytes of a file, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
}

/// RANG (draft-bryan-ftp-range): first and last byte; `1 0` forgets the range (`None`).
///
/// # Errors
/// `Syntax`.
pub fn range(argument: &[u8]) -> Argument<Option<ByteRange>> {
    const ERROR: ArgumentError = Syntax("RANG needs the first and the last byte, or 1 0.");
    let mut words = words(argument);
    let (first, last) = (words.next().and_then(number), words.next().and_then(number));
    match (first, last, words.next()) {
        (Some(1), Some(0), None) => Ok(None),
        (Some(first), Some(last), None) if first <= last && last < MAX_OFFSET => {
            Ok(Some(ByteRange { first, last }))
        }
        _ => Err(ERROR),
    }
}

/// What an X-sum is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SumRequest<'a> {
    /// The file.
    pub path: &'a [u8],
    /// Its first byte.
    pub start: u64,
    /// Behind its last byte; `None`: to the end of the file.
    pub end: Option<u64>,
}

/// XCRC and its sisters: `file`, or `"file" start end`; a name without quotes is the whole rest.
///
/// # Errors
/// `Syntax`.
pub fn sum(argument: &[u8]) -> Argument<SumRequest<'_>> {
    const ERROR: ArgumentError = Syntax("A file is needed; with a range: \"file\" start end.");
    let Some(quoted) = argument.strip_prefix(b"\"") else {
        return if argument.is_empty() {
            Err(ERROR)
        } else {
            Ok(SumRequest { path: argument, start: 0, end: None })
        };
    };
    let close = quoted.iter().rposition(|byte| *byte == b'"').ok_or(ERROR)?;
    let (path, rest) = quoted.split_at(close);
    let rest = rest.get(1..).unwrap_or_default();
    if path.is_empty() || !(rest.is_empty() || rest.starts_with(b" ")) {
        return Err(ERROR);
    }
    let mut numbers =
        words(rest).map(|word| number(word).filter(|n| *n <= MAX_OFFSET).ok_or(ERROR));
    let start = numbers.next().transpose()?.unwrap_or(0);
    let end = numbers.next().transpose()?;
    if numbers.next().is_some() || end.is_some_and(|end| end < start) {
        return Err(ERROR);
    }
    Ok(SumRequest { path, start, end })
}

/// What OPTS sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Options {
    /// `UTF8 ON`: names are bytes here, and UTF-8 as RFC 2640 wants it wherever files have it.
    Utf8On,
    /// The facts MLST and MLSD give.
    Facts(FactSet),
    /// The algorithm of HASH; `None`: say which one is in force.
    Hash(Option<Algorithm>),
}

/// OPTS (RFC 2389 section 4, RFC 3659 section 7.9).
///
/// # Errors
/// `NotImplemented` for an option that cannot be set so; `Syntax` for the rest.
pub fn options(argument: &[u8]) -> Argument<Options> {
    let (name, value) = first_word(argument);
    let value = value.trim_ascii();
    if name.eq_ignore_ascii_case(b"UTF8") || name.eq_ignore_ascii_case(b"UTF-8") {
        return match value {
            b"" => Ok(Options::Utf8On),
            on if on.eq_ignore_ascii_case(b"ON") => Ok(Options::Utf8On),
            off if off.eq_ignore_ascii_case(b"OFF") => {
                Err(NotImplemented("UTF8 cannot be switched off."))
            }
            _ => Err(Syntax("OPTS UTF8 needs ON.")),
        };
    }
    if name.eq_ignore_ascii_case(b"MLST") {
        return Ok(Options::Facts(FactSet::from_names(value)));
    }
    if name.eq_ignore_ascii_case(b"HASH") {
        if value.is_empty() {
            return Ok(Options::Hash(None));
        }
        return Algorithm::from_name(value)
            .map(|algorithm| Options::Hash(Some(algorithm)))
            .ok_or(NotImplemented("HASH knows SHA-256, SHA-512, SHA-1, MD5 and CRC32."));
    }
    Err(Syntax("OPTS knows UTF8, MLST and HASH."))
}

/// What AUTH asks for: TLS, whatever it is called.
///
/// # Errors
/// `NotImplemented` for another mechanism (RFC 4217 section 4).
pub fn mechanism(argument: &[u8]) -> Argument<()> {
    let name = argument.trim_ascii();
    if [b"TLS".as_slice(), b"TLS-C", b"SSL", b"TLS-P"].iter().any(|n| n.eq_ignore_ascii_case(name))
    {
        Ok(())
    } else {
        Err(NotImplemented("Only AUTH TLS is implemented."))
    }
}

/// PBSZ (RFC 4217 section 8): for TLS the size is always 0, whatever was asked.
///
/// # Errors
/// `Syntax` unless it is a number of 32 bits.
pub fn buffer_size(argument: &[u8]) -> Argument<()> {
    number(argument.trim_ascii())
        .filter(|size| *size <= u64::from(u32::MAX))
        .map(|_| ())
        .ok_or(Syntax("PBSZ needs a number; with TLS it is 0."))
}

/// A level of PROT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtectionLevel {
    /// C: plain.
    Clear,
    /// P: TLS.
    Private,
    /// S or E, which TLS does not have: 536.
    NotSupported,
}

/// PROT (RFC 4217 section 9).
///
/// # Errors
/// `NotImplemented` for a level no RFC has (504).
pub fn protection_level(argument: &[u8]) -> Argument<ProtectionLevel> {
    match argument.trim_ascii() {
        b"C" | b"c" => Ok(ProtectionLevel::Clear),
        b"P" | b"p" => Ok(ProtectionLevel::Private),
        b"S" | b"s" | b"E" | b"e" => Ok(ProtectionLevel::NotSupported),
        _ => Err(NotImplemented("PROT needs C or P.")),
    }
}

/// HOST (RFC 7151 section 3.2): a name, an IPv4 address, or an IPv6 address in brackets.
///
/// # Errors
/// `Syntax`.
pub fn host(argument: &[u8]) -> Argument<&str> {
    const ERROR: ArgumentError = Syntax("HOST needs a host name, or an IPv6 address in brackets.");
    let host = std::str::from_utf8(argument.trim_ascii()).map_err(|_| ERROR)?;
    if host.len() > 255 || host.is_empty() {
        return Err(ERROR);
    }
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').ok_or(ERROR)?;
        return address.parse::<Ipv6Addr>().map(|_| host).map_err(|_| ERROR);
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let labels = host.strip_suffix('.').unwrap_or(host);
    if labels.split('.').all(label) { Ok(host) } else { Err(ERROR) }
}

/// LANG (RFC 2640 section 4): English, or nothing for the default.
///
/// # Errors
/// `NotImplemented` for another language.
pub fn language(argument: &[u8]) -> Argument<()> {
    let tag = argument.trim_ascii();
    let primary = tag.split(|byte| *byte == b'-').next().unwrap_or_default();
    if tag.is_empty() || primary.eq_ignore_ascii_case(b"EN") {
        Ok(())
    } else {
        Err(NotImplemented("Replies are in English (EN) only."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syntax<T: std::fmt::Debug>(result: Argument<T>) -> bool {
        matches!(result, Err(Syntax(_)))
    }

    #[test]
    fn port_takes_six_numbers_below_256() {
        assert_eq!(host_port(b"127,0,0,1,4,1"), Ok("127.0.0.1:1025".parse().unwrap()));
        for wrong in
            ["", "1,2,3,4,5", "1,2,3,4,5,6,7", "256,0,0,1,4,1", "a,0,0,1,4,1", "1,,3,4,5,6"]
        {
            assert!(syntax(host_port(wrong.as_bytes())), "{wrong}");
        }
    }

    #[test]
    fn eprt_takes_both_families_and_any_delimiter() {
        assert_eq!(extended_port(b"|1|127.0.0.1|1025|"), Ok("127.0.0.1:1025".parse().unwrap()));
        assert_eq!(extended_port(b"!2!::1!1025!"), Ok("[::1]:1025".parse().unwrap()));
        assert_eq!(extended_port(b"|3|::1|1025|"), Err(ArgumentError::Protocol));
        for wrong in
            ["", "|", "|1|::1|1025|", "|1|127.0.0.1|0|", "|1|127.0.0.1|65536|", "|1|127.0.0.1|1"]
        {
            assert!(syntax(extended_port(wrong.as_bytes())), "{wrong}");
        }
    }

    #[test]
    fn epsv_type_mode_and_structure_tell_wrong_from_not_implemented() {
        assert_eq!(extended_passive(b"all"), Ok(ExtendedPassive::All));
        assert_eq!(extended_passive(b""), Ok(ExtendedPassive::Any));
        assert_eq!(extended_passive(b"3"), Err(ArgumentError::Protocol));
        assert!(syntax(extended_passive(b"x")));
        for (text, expected) in [
            ("A", TransferType::Ascii),
            ("a n", TransferType::Ascii),
            ("I", TransferType::Binary),
            ("L 8", TransferType::Binary),
        ] {
            assert_eq!(transfer_type(text.as_bytes()), Ok(expected), "{text}");
        }
        for text in ["E", "A T", "L 7", "A C"] {
            assert!(matches!(transfer_type(text.as_bytes()), Err(NotImplemented(_))), "{text}");
        }
        assert!(syntax(transfer_type(b"X")) && syntax(transfer_type(b"I N")));
        assert!(matches!(structure(b"R"), Err(NotImplemented(_))) && syntax(structure(b"X")));
        assert!(matches!(mode(b"Z"), Err(NotImplemented(_))) && mode(b"s").is_ok());
    }

    #[test]
    fn numbers_stay_within_what_a_file_can_be() {
        assert_eq!(offset(b"9223372036854775807"), Ok(MAX_OFFSET));
        for wrong in ["9223372036854775808", "99999999999999999999", "-1", "", "1 2", "0x1"] {
            assert!(syntax(offset(wrong.as_bytes())), "{wrong}");
        }
        assert_eq!(allocation(b"10 R 5"), Ok(10));
        assert!(syntax(allocation(b"10 5")));
        assert_eq!(range(b"1 0"), Ok(None));
        assert_eq!(range(b"5 5"), Ok(Some(ByteRange { first: 5, last: 5 })));
        assert!(syntax(range(b"6 5")) && syntax(range(b"6")));
    }

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

    #[test]
    fn times_facts_and_modes() {
        assert_eq!(modify_time(b"20000229000000 a b"), Ok((951_782_400, b"a b".as_slice())));
        assert!(syntax(modify_time(b"20000229000000")) && syntax(modify_time(b"2000 a")));
        let (changes, path) = modify_facts(b"Modify=20000229000000;UNIX.mode=0644; f").unwrap();
        assert_eq!((changes.modify, changes.unix_mode), (Some(951_782_400), Some(0o644)));
        assert_eq!(path, b"f");
        assert!(matches!(modify_facts(b"create=20000229000000; f"), Err(NotImplemented(_))));
        assert!(syntax(modify_facts(b"modify=20000229000000 f")));
        assert_eq!(mode_bits(b"0755"), Ok(0o755));
        assert!(matches!(mode_bits(b"4755"), Err(NotImplemented(_))));
        assert!(syntax(mode_bits(b"888")) && syntax(mode_bits(b"")) && syntax(mode_bits(b"u+x")));
    }

    #[test]
    fn sums_are_asked_for_with_and_without_range() {
        let request = |path, start, end| Ok(SumRequest { path, start, end });
        assert_eq!(sum(b"a b 1 2"), request(b"a b 1 2", 0, None));
        assert_eq!(sum(b"\"a \"b\" 1 2"), request(b"a \"b", 1, Some(2)));
        assert_eq!(sum(b"\"a\" 7"), request(b"a", 7, None));
        assert!(syntax(sum(b"\"a")) && syntax(sum(b"\"a\" 3 2")) && syntax(sum(b"\"a\"x")));
    }

    #[test]
    fn options_hosts_and_protection() {
        assert_eq!(options(b"utf8 on"), Ok(Options::Utf8On));
        assert!(matches!(options(b"UTF8 OFF"), Err(NotImplemented(_))));
        assert_eq!(options(b"HASH md5"), Ok(Options::Hash(Some(Algorithm::Md5))));
        assert!(matches!(options(b"HASH x"), Err(NotImplemented(_))) && syntax(options(b"X")));
        let Ok(Options::Facts(facts)) = options(b"MLST size;Type;bogus;") else {
            panic!("no facts");
        };
        assert_eq!(facts.names(), "type;size;");
        assert_eq!(host(b"ftp.example.org"), Ok("ftp.example.org"));
        assert_eq!(host(b"[::1]"), Ok("[::1]"));
        assert!(syntax(host(b"[::1")) && syntax(host(b"a b")) && syntax(host(b"a..b")));
        assert_eq!(protection_level(b"p"), Ok(ProtectionLevel::Private));
        assert_eq!(protection_level(b"S"), Ok(ProtectionLevel::NotSupported));
        assert!(matches!(protection_level(b"X"), Err(NotImplemented(_))));
        assert!(mechanism(b"tls").is_ok() && mechanism(b"GSSAPI").is_err());
        assert!(language(b"en-GB").is_ok() && language(b"de").is_err());
        assert!(buffer_size(b"0").is_ok() && syntax(buffer_size(b"4294967296")));
    }
}
