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
    fs::write(path, format!("{table}\n{rows}"))
}
