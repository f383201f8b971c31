//! The picture of the crates in docs/design.md, drawn out of what cargo says.

use std::fs;

use super::workspace::Workspace;
use crate::command::{Done, workspace};

/// The page, relative to the workspace.
const PAGE: &str = "docs/design.md";
const BEGIN: &str = "<!-- generated: crates -->\n";
const END: &str = "<!-- end -->";

/// The picture: an arrow for each use, as Mermaid and forges draw it.
fn picture(all: &Workspace) -> String {
    let mut out = String::from("```mermaid\nflowchart TD\n");
    for member in all.0.values() {
        if member.uses.is_empty() {
            out += &format!("    {}\n", member.folder);
        } else {
            let uses: Vec<&str> = member.uses.iter().map(String::as_str).collect();
            out += &format!("    {} --> {}\n", member.folder, uses.join(" & "));
        }
    }
    out + "```\n"
}

/// The page with the picture of today.
fn page(text: &str, all: &Workspace) -> Done<String> {
    let missing = || format!("{PAGE} has no `{}` with a `{END}` below it", BEGIN.trim_end());
    let (before, rest) = text.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}{}{END}{after}", picture(all)))
}

/// Draws the picture anew.
///
/// # Errors
/// When cargo fails or the page has no place for it.
pub fn renew() -> Done<()> {
    let file = workspace().join(PAGE);
    let failed = |e: std::io::Error| format!("{}: {e}", file.display());
    let text = fs::read_to_string(&file).map_err(failed)?;
    fs::write(&file, page(&text, &Workspace::read()?)?).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_of_the_crates_in_docs_design_md_is_what_cargo_says() {
        let text = fs::read_to_string(workspace().join(PAGE)).unwrap();
        let now = page(&text, &Workspace::read().unwrap()).unwrap();
        assert!(text == now, "{PAGE} is out of date: run `cargo xtask document`");
    }

    #[test]
    fn a_page_without_its_marks_is_an_error_and_the_rest_of_a_page_stays() {
        assert!(page("nothing", &Workspace::default()).unwrap_err().contains("generated: crates"));
        let text = format!("before\n{BEGIN}old\n{END}\nafter");
        let now = page(&text, &Workspace::default()).unwrap();
        assert!(now.starts_with("before\n") && now.ends_with("\nafter") && !now.contains("old"));
    }
}
