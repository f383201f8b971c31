//! Accounts of a table: comma-separated values with a line of names on top (RFC 4180).

use std::{collections::BTreeMap, str::FromStr};

use ipc::account::Rights;
use zeroize::Zeroizing;

use super::judge_name;
use accounts::{
    password,
    record::{Record, RightList, right},
};

/// The names of columns, in the order of the documentation.
pub const COLUMNS: [&str; 21] = [
    "name",
    "password",
    "password_hash",
    "root",
    "start",
    "rights",
    "read_only",
    "uid",
    "gid",
    "groups",
    "upload_rate",
    "download_rate",
    "max_sessions",
    "networks",
    "expires",
    "tls",
    "require_session_reuse",
    "second_factor",
    "administrator",
    "disabled",
    "comment",
];

/// An account of a line.
pub struct Row {
    /// The line.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// Its record; the password is not hashed yet.
    pub record: Record,
    /// Its password, where the table has one in the clear.
    pub password: Option<Zeroizing<String>>,
}

/// Reads a table.
///
/// # Errors
/// Everything that is wrong with it, with lines.
pub fn read(text: &str, root: Option<&str>) -> Result<Vec<Row>, Vec<String>> {
    let mut lines = split(text).map_err(|e| vec![e])?.into_iter();
    let (_, head) = lines.next().ok_or_else(|| vec!["it is empty".to_owned()])?;
    let mut problems = Vec::new();
    for (index, column) in head.iter().enumerate() {
        if !COLUMNS.contains(&column.as_str()) {
            let known = COLUMNS.join(", ");
            problems.push(format!("1: there is no column {column:?}; there are {known}"));
        } else if head.iter().take(index).any(|earlier| earlier == column) {
            problems.push(format!("1: the column {column} is there twice"));
        }
    }
    if !head.iter().any(|column| column.as_str() == "name") {
        problems.push("1: the first line names the columns, and one of them is `name`".into());
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut rows = Vec::new();
    for (line, cells) in lines {
        if cells.len() != head.len() {
            problems.push(format!("{line}: {} fields instead of {}", cells.len(), head.len()));
            continue;
        }
        let cells = head.iter().map(String::as_str).zip(cells);
        let cells: BTreeMap<&str, String> = cells.filter(|(_, cell)| !cell.is_empty()).collect();
        match row(line, &cells, root) {
            Ok(row) => rows.push(row),
            Err(why) => problems.push(format!("{line}: {why}")),
        }
    }
    if problems.is_empty() { Ok(rows) } else { Err(problems) }
}

fn row(line: usize, cells: &BTreeMap<&str, String>, root: Option<&str>) -> Result<Row, String> {
    let text = |name: &str| cells.get(name).map(String::as_str);
    let name = text("name").ok_or("it has no name")?;
    judge_name(name).map_err(|e| e.to_string())?;
    let hash = text("password_hash").map(str::to_owned);
    if hash.as_ref().is_some_and(|hash| !password::is_known(hash)) {
        return Err("password_hash is in no accepted format".into());
    }
    let password = text("password").map(|typed| Zeroizing::new(typed.to_owned()));
    if hash.is_some() && password.is_some() {
        return Err("it has a password and a password_hash".into());
    }
    let root = match (text("root"), root) {
        (Some(own), _) => own.to_owned(),
        (None, Some(root)) => root.replace("{name}", name),
        (None, None) => return Err("it has no root; give a column, or --root DIR/{name}".into()),
    };
    let record = Record {
        password: hash,
        root: root.into(),
        start: text("start").map(Into::into),
        rights: text("rights").map(rights).transpose()?,
        read_only: flag("read_only", text("read_only"))?,
        uid: number("uid", text("uid"))?,
        gid: number("gid", text("gid"))?,
        groups: list("groups", text("groups"))?,
        upload_rate: number("upload_rate", text("upload_rate"))?,
        download_rate: number("download_rate", text("download_rate"))?,
        max_sessions: number("max_sessions", text("max_sessions"))?,
        networks: list("networks", text("networks"))?,
        expires: number("expires", text("expires"))?,
        tls: number("tls", text("tls"))?,
        require_session_reuse: number("require_session_reuse", text("require_session_reuse"))?,
        second_factor: flag("second_factor", text("second_factor"))?,
        administrator: flag("administrator", text("administrator"))?,
        disabled: flag("disabled", text("disabled"))?,
    };
    Ok(Row { line, name: name.to_owned(), record, password })
}

fn rights(text: &str) -> Result<RightList, String> {
    words(text).map(right).try_fold(Rights::NONE, |all, one| Ok(all.with(one?))).map(RightList)
}

/// The words of one cell: with spaces or semicolons between, since commas part cells.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ';', ',']).filter(|word| !word.is_empty())
}

fn list<T: FromStr>(column: &str, text: Option<&str>) -> Result<Vec<T>, String> {
    let parse = |word: &str| word.parse().map_err(|_| format!("{column}: {word:?} cannot be used"));
    words(text.unwrap_or_default()).map(parse).collect()
}

fn number<T: FromStr>(column: &str, text: Option<&str>) -> Result<Option<T>, String> {
    let parse = |text: &str| text.parse().map_err(|_| format!("{column}: {text:?} cannot be used"));
    text.map(parse).transpose()
}

fn flag(column: &str, text: Option<&str>) -> Result<bool, String> {
    match text.map(str::to_ascii_lowercase).as_deref() {
        None | Some("false" | "no" | "0") => Ok(false),
        Some("true" | "yes" | "1") => Ok(true),
        Some(other) => Err(format!("{column}: {other:?} is neither yes nor no")),
    }
}

/// The lines of a table and their cells. A cell in quotes may have commas, doubled quotes and ends of
/// lines in it.
fn split(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut rows, mut cells, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut first) = (1usize, 1usize);
    let (mut quoted, mut was_quoted) = (false, false);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match (c, quoted) {
            ('"', true) if characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            ('"', true) => quoted = false,
            ('"', false) if cell.is_empty() && !was_quoted => (quoted, was_quoted) = (true, true),
            ('"', false) => {
                return Err(format!("{line}: a quote inside of a field without quotes"));
            }
            (',', false) => {
                cells.push(std::mem::take(&mut cell));
                was_quoted = false;
            }
            ('\r', false) if characters.peek() == Some(&'\n') => {}
            ('\n', false) => {
                cells.push(std::mem::take(&mut cell));
                push(&mut rows, first, std::mem::take(&mut cells));
                line = line.saturating_add(1);
                (first, was_quoted) = (line, false);
            }
            (c, quoted) => {
                if was_quoted && !quoted {
                    return Err(format!("{line}: something stands behind a quote"));
                }
                line = line.saturating_add((c == '\n').into());
                cell.push(c);
            }
        }
    }
    if quoted {
        return Err(format!("{first}: a quote is not closed"));
    }
    cells.push(cell);
    push(&mut rows, first, cells);
    Ok(rows)
}

fn push(rows: &mut Vec<(usize, Vec<String>)>, line: usize, cells: Vec<String>) {
    let cells: Vec<String> = cells.into_iter().map(|cell| cell.trim().to_owned()).collect();
    if cells.iter().any(|cell| !cell.is_empty()) {
        rows.push((line, cells));
    }
}

/// Hashes the passwords of rows, on every processor: each hash is made to be slow.
///
/// # Errors
/// When one cannot be hashed.
pub fn hash_all(rows: &mut [Row]) -> Result<(), String> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = rows.len().div_ceil(processors).max(1);
    std::thread::scope(|scope| {
        let hash = |rows: &mut [Row]| -> Result<(), String> {
            for row in rows {
                if let Some(typed) = &row.password {
                    let hash = password::hash(typed.as_bytes()).map_err(|e| e.to_string())?;
                    row.record.password = Some(hash);
                }
            }
            Ok(())
        };
        let running: Vec<_> =
            rows.chunks_mut(share).map(|rows| scope.spawn(move || hash(rows))).collect();
        running
            .into_iter()
            .try_for_each(|one| one.join().map_err(|_| "a thread ended early".to_owned())?)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn e5_a_table_brings_every_field() {
        let text = "name,password,root,rights,uid,gid,networks,expires,comment\r\n\
            alice,\"a,\"\"b\",/srv/a,list read,4,5,10.0.0.0/8;192.0.2.1,2027-12-31,\"two\nlines\"\r\n\
            \r\nbob,,,,,,,,\n";
        let rows = read(text, Some("/srv/{name}")).unwrap();
        let [alice, bob] = rows.as_slice() else { panic!("{}", rows.len()) };
        assert_eq!(alice.password.as_ref().unwrap().as_str(), "a,\"b");
        assert_eq!((alice.record.uid, alice.record.gid), (Some(4), Some(5)));
        assert_eq!(alice.record.rights(), Rights::READ_ONLY);
        assert_eq!((alice.record.networks.len(), alice.line), (2, 2));
        assert_eq!((bob.record.root.as_path(), bob.line), (Path::new("/srv/bob"), 5));
    }

    #[test]
    fn e5_everything_that_is_wrong_with_a_table_is_said_at_once() {
        let wrong = |text: &str| read(text, Some("/srv/{name}")).err().unwrap().join("\n");
        let all = wrong("name,uid,rights\n../x,1,\na,one,\nb,1,fly\nc,1\n");
        for said in ["2: the name", "3: uid", "4: \"fly\" is no right", "5: 2 fields"] {
            assert!(all.contains(said), "{said}: {all}");
        }
        assert!(wrong("nom,uid\n").contains("no column \"nom\""));
        assert!(wrong("uid\n1\n").contains("`name`"));
        assert!(wrong("name,name\n").contains("twice"));
        assert!(wrong("name,root\nx,\"/srv\n").contains("not closed"));
        assert!(wrong("name,root\nx,\"/srv\"y\n").contains("behind a quote"));
        assert!(wrong("name,password_hash\nx,$1$abc$def\n").contains("no accepted format"));
        assert!(wrong("").contains("columns") || wrong("").contains("empty"));
        let hash = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";
        assert!(
            wrong(&format!("name,password,password_hash\nx,p,{hash}\n"))
                .contains("and a password_hash")
        );
    }
}
