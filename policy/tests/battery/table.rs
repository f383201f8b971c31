//! The results as a Markdown table.

use std::{fs, io, path::Path};

use crate::{
    attempts::all,
    columns::{Column, Runner, harmless_as_root},
};

/// Runs everything and writes the table.
pub fn write(path: &Path) -> io::Result<()> {
    let columns: Vec<Column> = Column::ALL.into_iter().chain([Column::Naked]).collect();
    let runners =
        columns.iter().map(|column| Runner::new(*column)).collect::<Result<Vec<_>, _>>()?;
    let mut denied = vec![0_usize; columns.len()];
    let mut rows = String::new();
    for attempt in all() {
        rows.push_str(&format!("| {} |", attempt.name));
        for ((column, runner), denied) in columns.iter().zip(&runners).zip(&mut denied) {
            if *column == Column::Naked && !harmless_as_root(attempt.name) {
                rows.push_str(" not tried |");
                continue;
            }
            let outcome = runner.run(attempt.name)?;
            let stopped = match column {
                Column::Naked => !outcome.got_through(),
                _ => column.denies(attempt.name, &outcome),
            };
            *denied += usize::from(stopped);
            rows.push_str(&format!(" {} |", outcome.layer()));
        }
        rows.push('\n');
    }
    let mut table = String::from("| attempt |");
    for column in &columns {
        table.push_str(&format!(" {column} |"));
    }
    table.push_str(&format!(
        "\n|---|{}\n| **denied of {}** |",
        "---|".repeat(columns.len()),
        all().count()
    ));
    for denied in denied {
        table.push_str(&format!(" **{denied}** |"));
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let head = format!(
        "# The attack battery\n\nWhat became of each attempt, by role: the layer that denied it, or the error of the \
         kernel. Sessions are refused names by their change of root (ENOENT), by Landlock (EACCES) or \
         by the file system. The last column is root without any sandbox, on kernel {}: SUCCEEDED, or \
         the error of arguments that were chosen to do no harm. Written by the battery itself: see \
         [security.md](security.md).\n\n",
        release.trim()
    );
    fs::write(path, format!("{head}{table}\n{rows}"))
}

/// The table as it is published.
pub fn published() -> io::Result<String> {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/attack-battery.md"))
}
