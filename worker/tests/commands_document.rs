//! docs/commands.md is what the verb table says. To write it anew after a change of the table:
//! `BULKHEAD_WRITE_DOCS=1 cargo test -p bulkhead-worker --test commands_document`

use std::{fs, path::Path};

use ipc::account::Rights;
use worker::ftp::verb::{Feature, Need, Phase, Row, SITE_TABLE, TABLE};

fn right_names(rights: Rights) -> String {
    rights.names().collect::<Vec<_>>().join(", ")
}

fn need_text(need: Need) -> String {
    match need {
        Need::Nothing => String::new(),
        Need::One(right) => right_names(right),
        Need::Either(one, other) => format!("{} or {}", right_names(one), right_names(other)),
    }
}

/// A text in a table's cell, where a bar would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn row_text(row: &Row) -> String {
    let phase = match row.phase {
        Phase::BeforeLogin => "before login",
        Phase::Any => "any time",
        Phase::AfterLogin => "after login",
    };
    let at_once = if row.during_transfer { ", also during a transfer" } else { "" };
    let feature = match row.feature {
        None => "",
        Some(Feature::Always(_) | Feature::Facts | Feature::Algorithms) => "yes",
        Some(Feature::Tls(_)) => "with TLS",
    };
    let syntax = format!("{} {}", row.name, row.syntax);
    format!(
        "| `{}` | {} | {} | {phase}{at_once} | {} | {feature} |\n",
        cell(syntax.trim_end()),
        cell(row.what),
        row.source,
        need_text(row.need)
    )
}

fn document() -> String {
    let mut text = String::from(
        "# The commands\n\n\
         Made from the verb table of the worker (`worker/src/ftp/verb.rs`); a test fails when they \
         differ.\n\n\
         A command that waits for a transfer to end is answered in its turn. Where two rights are \
         named, the path decides: `STOR` of a new file needs write, of one that exists overwrite. \
         Before login every command but those for \"before login\" and \"any time\" is answered \
         with 530. An account without the right gets 550, and the kernel (Landlock) would refuse \
         the same.\n\n\
         | command | what it does | where it is defined | when | right | in FEAT |\n\
         |---|---|---|---|---|---|\n",
    );
    TABLE.iter().for_each(|row| text.push_str(&row_text(row)));
    text.push_str("\n## SITE\n\n| command | what it does | right |\n|---|---|---|\n");
    for row in SITE_TABLE {
        let need = if row.administrator { "administrator".into() } else { need_text(row.need) };
        let syntax = format!("SITE {} {}", row.name, row.syntax);
        text += &format!("| `{}` | {} | {need} |\n", syntax.trim_end(), cell(row.what));
    }
    // What `tests/tests/commands.rs` compares with the server.
    text + include_str!("other_servers.md")
}

#[test]
fn the_document_of_the_commands_is_what_the_table_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
    if std::env::var_os("BULKHEAD_WRITE_DOCS").is_some() {
        fs::write(&file, document()).expect("docs/ is there");
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == document(),
        "docs/commands.md differs from worker/src/ftp/verb.rs; write it anew with \
         BULKHEAD_WRITE_DOCS=1 cargo test -p bulkhead-worker --test commands_document"
    );
}
