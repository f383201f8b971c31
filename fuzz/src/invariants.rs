//! What must hold for every input, whatever a client sends. Each function takes bytes, and panics
//! when its invariant is broken. The fuzz targets call them with what the fuzzer makes up; the
//! bounded property tests (`worker/tests/properties.rs`, and `bounded` for those of the other
//! crates) call the same ones in every test run.

use ipc::account::Rights;
use worker::{
    files::{FileKind, Metadata},
    ftp::{
        argument, ascii,
        command::Command,
        glob,
        line::{Line, LineReader, MAX_LINE, READ_AHEAD},
        listing::{FactFormatter, FactSet, ListFormatter, Relation, append_name_line},
        path::{MAX_NAME, MAX_PATH, VirtualPath},
        reply::Reply,
        site,
    },
};

/// What could end a line, or begin another.
fn ends_line(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | b'\0')
}

/// Splits the input at a place the input itself names.
fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    let (at, rest) = data.split_first().unwrap_or((&0, &[]));
    rest.split_at(usize::from(*at) % (rest.len() + 1))
}

/// All lines of a stream that comes in pieces of a size.
fn lines(data: &[u8], piece: usize) -> Vec<Line> {
    let mut reader = LineReader::new();
    let mut lines = Vec::new();
    for chunk in data.chunks(piece.max(1)) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let taken = reader.feed(rest);
            assert!(taken > 0, "no room, and no line to be taken");
            rest = &rest[taken..];
            while let Some(line) = reader.next_line() {
                lines.push(line);
            }
            assert!(reader.room() > 0 && reader.room() <= READ_AHEAD);
        }
    }
    assert!(reader.take_pending().len() <= READ_AHEAD);
    lines
}

/// How the network cuts a stream says nothing; no line is too long or has a NUL or LF in it; what
/// follows an over-long line is read normally.
pub fn line_reader(data: &[u8]) {
    let whole = lines(data, READ_AHEAD);
    assert_eq!(whole, lines(data, 1));
    assert_eq!(whole, lines(data, usize::from(data.first().copied().unwrap_or(0)) + 1));
    for line in &whole {
        if let Line::Text(text) = line {
            assert!(text.len() <= MAX_LINE && !text.contains(&0) && !text.contains(&b'\n'));
        }
    }
    // 255 ends any Telnet command that was begun, LF any line.
    let mut after = data.to_vec();
    after.extend_from_slice(b"\xff\xf0\n\xff\xf0\nNOOP\n");
    let last = lines(&after, 512).pop();
    assert!(matches!(last, Some(Line::Text(text)) if text.ends_with(b"NOOP")));
}

/// Handing over the unread bytes at any line's end loses none and doubles none.
pub fn handover(data: &[u8]) {
    let data = &data[..data.len().min(READ_AHEAD)];
    let mut first = LineReader::new();
    first.feed(data);
    let mut seen: Vec<Line> = first.next_line().into_iter().collect();
    let mut second = LineReader::new();
    second.feed(&first.take_pending());
    while let Some(line) = second.next_line() {
        seen.push(line);
    }
    assert_eq!(seen, lines(data, READ_AHEAD));
}

/// The grammar answers every line with a command or with a reply of 4xx or 5xx, and every argument
/// parser with a value or a reply of 5xx.
pub fn grammar(data: &[u8]) {
    match Command::parse(data) {
        Ok(command) => {
            assert!(data.ends_with(&command.argument) || command.argument.is_empty());
        }
        Err(error) => assert!((400..600).contains(&Reply::command(error).code())),
    }
    let check = |error: Option<argument::ArgumentError>| {
        if let Some(error) = error {
            assert!(matches!(Reply::argument(error).code(), 501 | 504 | 522));
        }
    };
    check(argument::host_port(data).err());
    check(argument::extended_port(data).err());
    check(argument::extended_passive(data).err());
    check(argument::transfer_type(data).err());
    check(argument::structure(data).err());
    check(argument::mode(data).err());
    check(argument::offset(data).err());
    check(argument::allocation(data).err());
    check(argument::range(data).err());
    check(argument::options(data).err());
    check(argument::mechanism(data).err());
    check(argument::buffer_size(data).err());
    check(argument::protection_level(data).err());
    check(argument::host(data).err());
    check(argument::language(data).err());
    check(argument::sum(data).err());
    match argument::modify_facts(data) {
        Ok((facts, _)) => assert!(facts.unix_mode.unwrap_or(0) <= 0o777),
        error => check(error.err()),
    }
    match site::site(data) {
        Ok(site::Site::Chmod { mode, .. } | site::Site::Umask(Some(mode))) => {
            assert!(mode <= 0o777, "set-uid, set-gid or sticky");
        }
        result => check(result.err()),
    }
    check(argument::modify_time(data).err());
    match argument::listing(data) {
        Ok(listing) => assert!(data.ends_with(listing.path)),
        Err(error) => check(Some(error)),
    }
}

/// No path leads above the root, however often it goes up, and what is normalized stays as it is.
pub fn path(data: &[u8]) {
    let (first, second) = halves(data);
    let Ok(directory) = VirtualPath::root().join(first) else { return };
    let Ok(path) = directory.join(second) else { return };
    for path in [&directory, &path] {
        let bytes = path.as_bytes();
        assert!(bytes.starts_with(b"/") && bytes.len() <= MAX_PATH && !bytes.contains(&0));
        assert!(path.is_root() || !bytes.ends_with(b"/"));
        if !path.is_root() {
            for component in path.relative().split(|byte| *byte == b'/') {
                assert!(!matches!(component, b"" | b"." | b".."));
                assert!(component.len() <= MAX_NAME);
            }
            let (parent, name) = path.split().expect("it has a name");
            assert_eq!(name, path.name());
            assert_eq!(parent, path.parent().relative());
            assert_eq!(&path.parent().child(name).expect("it was one before"), path);
        }
        assert_eq!(VirtualPath::root().join(bytes).as_ref(), Ok(path));
        assert!(VirtualPath::root().contains(path) && path.parent().contains(path));
    }
}

/// A pattern matches what the simplest (slow) matcher matches.
pub fn glob(data: &[u8]) {
    fn simple(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|skip| simple(rest, &name[skip..])),
            Some((b'?', rest)) => name.split_first().is_some_and(|(_, name)| simple(rest, name)),
            Some((byte, rest)) => {
                name.split_first().is_some_and(|(first, name)| first == byte && simple(rest, name))
            }
        }
    }
    // A small alphabet, so that patterns and names have something in common; ASCII, because `?` is
    // a character and the simple matcher knows bytes only.
    let letter = |byte: &u8| b"ab*?"[usize::from(byte % 4)];
    let (pattern, name) = halves(&data[..data.len().min(24)]);
    let pattern: Vec<u8> = pattern.iter().map(letter).collect();
    let name: Vec<u8> = name.iter().map(|byte| b"ab"[usize::from(byte % 2)]).collect();
    assert_eq!(glob::matches(&pattern, &name), simple(&pattern, &name), "{pattern:?} {name:?}");
    let (pattern, name) = halves(data);
    glob::matches(pattern, name);
}

/// A name makes exactly one line of each listing, and the line is found by its one line end.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "any number will do"
)]
pub fn listing(data: &[u8]) {
    let mut numbers = data
        .chunks(8)
        .map(|chunk| chunk.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte)));
    let mut number = || numbers.next().unwrap_or(0);
    let kinds = [FileKind::Regular, FileKind::Directory, FileKind::Symlink, FileKind::Fifo];
    let facts = Metadata {
        kind: kinds[(number() % 4) as usize],
        mode: (number() % 0o10000) as u32,
        links: number() as u32,
        uid: number() as u32,
        gid: number() as u32,
        size: number(),
        modified: number() as i64,
        modified_nanoseconds: number() as u32,
        device: (number() as u32, number() as u32),
        inode: number(),
    };
    let (name, target) = halves(data);
    let one_line = |line: &[u8]| {
        assert!(line.ends_with(b"\r\n"));
        let inner = &line[..line.len() - 2];
        assert!(!inner.iter().any(|byte| ends_line(*byte)), "{}", line.escape_ascii());
    };
    let mut out = Vec::new();
    let mut formatter = ListFormatter::new(number() as i64);
    formatter.append(&mut out, name, &facts, target);
    one_line(&out);
    let first = std::mem::take(&mut out);
    formatter.append(&mut out, name, &facts, target);
    assert_eq!(first, out, "what is kept differs from what is made anew");
    out.clear();
    append_name_line(&mut out, name);
    one_line(&out);
    assert_eq!(out.len(), name.len() + 2, "a listing cuts no name");
    out.clear();
    let rights = Rights::READ_ONLY;
    let mut formatter = FactFormatter::new(FactSet::default(), rights, 1000, vec![100], &facts);
    formatter.append_line(&mut out, name, &facts, Relation::Child);
    one_line(&out);
    let permissions = out.split(|byte| *byte == b';').find(|fact| fact.starts_with(b"perm="));
    let permissions = &permissions.expect("perm is in force")[5..];
    assert!(permissions.iter().all(|letter| b"elr".contains(letter)), "a reader may write");
}

/// A reply is its own lines and no other: the last begins with the code and a space, those before
/// with the code and a dash or with a space, and no byte can be taken for a Telnet command.
pub fn reply(data: &[u8]) {
    let (one, other) = halves(data);
    let replies = [
        Reply::path(one, "made."),
        Reply::file_error(worker::files::FileError::NotFound, one),
        Reply::lines(250, "Facts", vec![one.to_vec(), other.to_vec()], "End"),
        Reply::opening(one, Some(7)),
        Reply::help(one),
        Reply::site_help(one),
        Reply::logged_in(&String::from_utf8_lossy(data)),
        Reply::from_line(&String::from_utf8_lossy(data)),
    ];
    for reply in replies {
        let bytes = reply.to_bytes();
        let code = reply.code().to_string().into_bytes();
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        for (index, line) in lines.iter().enumerate() {
            assert!(line.ends_with(b"\r\n"));
            let text = &line[..line.len() - 2];
            assert!(!text.iter().any(|byte| ends_line(*byte)));
            let (first, last) = (index == 0, index + 1 == lines.len());
            let begins = |byte| text.starts_with(&code) && text.get(3) == Some(&byte);
            assert!(if last {
                begins(b' ')
            } else if first {
                begins(b'-')
            } else {
                text[0] == b' '
            });
            let mut rest = text;
            while let Some(at) = rest.iter().position(|byte| *byte == 0xFF) {
                assert_eq!(rest.get(at + 1), Some(&0xFF), "an IAC that is not doubled");
                rest = &rest[at + 2..];
            }
        }
    }
}

/// Text goes to the wire and comes back as it was, however it is cut; nothing else is touched.
pub fn ascii_conversion(data: &[u8]) {
    let to_wire = |chunks: &mut dyn Iterator<Item = &[u8]>| {
        let (mut converter, mut out) = (ascii::ToWire::new(), Vec::new());
        chunks.for_each(|chunk| converter.convert(chunk, &mut out));
        out
    };
    let from_wire = |chunks: &mut dyn Iterator<Item = &[u8]>| {
        let (mut converter, mut out) = (ascii::FromWire::new(), Vec::new());
        chunks.for_each(|chunk| converter.convert(chunk, &mut out));
        converter.finish(&mut out);
        out
    };
    let wire = to_wire(&mut std::iter::once(data));
    assert_eq!(wire, to_wire(&mut data.chunks(1)));
    assert_eq!(wire, to_wire(&mut data.chunks(3)));
    let file = from_wire(&mut std::iter::once(data));
    assert_eq!(file, from_wire(&mut data.chunks(1)));
    assert_eq!(file, from_wire(&mut data.chunks(3)));
    let without =
        |bytes: &[u8]| -> Vec<u8> { bytes.iter().copied().filter(|byte| *byte != b'\r').collect() };
    assert_eq!(without(&wire), without(data));
    assert_eq!(without(&file), without(data));
    if !data.windows(2).any(|pair| pair == b"\r\n") {
        assert_eq!(from_wire(&mut std::iter::once(wire.as_slice())), data);
    }
}

/// The name of a fuzz target, and its invariant.
pub type Named = (&'static str, fn(&[u8]));

/// Every invariant by the name of its fuzz target.
pub const ALL: [Named; 8] = [
    ("line_reader", line_reader),
    ("handover", handover),
    ("grammar", grammar),
    ("path", path),
    ("glob", glob),
    ("listing", listing),
    ("reply", reply),
    ("ascii_conversion", ascii_conversion),
];
