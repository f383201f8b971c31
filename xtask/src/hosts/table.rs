//! The table of docs/hosts.md.

use super::{
    boot::Ran,
    guest::{Checked, Outcome},
};
use crate::{
    command::{Done, workspace},
    package::replace_part,
};

/// Writes the results into the page.
///
/// # Errors
/// When the page is not there, or has no place for them.
pub fn write(ran: &[Ran]) -> Done<()> {
    replace_part(&workspace().join("docs/hosts.md"), "hosts", &table(ran))
}

fn table(ran: &[Ran]) -> String {
    let mut text =
        String::from("| host | kernel's command line | check | result |\n|---|---|---|---|\n");
    for Ran { boot, checked } in ran {
        let head = format!("| {} | `{}` |", boot.release.name(), boot.parameters);
        for Checked { name, outcome } in checked {
            let result = match outcome {
                Outcome::Passed => "passed".to_owned(),
                Outcome::Failed(_) => "FAILED".to_owned(),
                Outcome::Skipped(why) => format!("skipped: {}", why.replace(['|', '\n'], " ")),
            };
            text.push_str(&format!("{head} {name} | {result} |\n"));
        }
    }
    text
}
