//! `cargo xtask structure`: what holds the floor plan. No circle of modules in a crate, no `#[path]`
//! that leaves its crate, no function above 60 lines, only the dependencies that DESIGN.md, section 10
//! draws, and a test for each key of the configuration. Known faults stand in `xtask/structure.known`, which may only become shorter.

mod dependencies;
mod functions;
mod keys;
mod known;
mod modules;
mod picture;
mod tokens;
mod workspace;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use clap::Args;

use crate::command::{Done, output, say, workspace};
use functions::LONGEST;
pub use picture::renew as renew_picture;
use workspace::Workspace;

/// How to check.
#[derive(Args)]
pub struct Options {
    /// Write the list of known faults anew, for code that has moved; it never becomes longer
    #[arg(long)]
    renew: bool,
}

/// What a fault breaks; the first word of its entry in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    /// A file on a circle of modules.
    Circle,
    /// A `#[path]` that leaves its crate.
    Path,
    /// A function of more than 60 lines.
    Function,
    /// A crate that uses another one of ours that it may not use.
    Arrow,
    /// A package from outside that is linked where it may not be.
    Links,
    /// A key of the configuration without a test that shows its effect.
    Key,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::Circle => "circle",
            Rule::Path => "path",
            Rule::Function => "function",
            Rule::Arrow => "arrow",
            Rule::Links => "links",
            Rule::Key => "key",
        })
    }
}

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    rule: Rule,
    /// Where: what stands behind the rule in the list.
    place: String,
    /// What is wrong, and how to mend it.
    message: String,
}

impl Fault {
    /// The line of the list that knows it.
    fn entry(&self) -> String {
        format!("{} {}", self.rule, self.place)
    }
}

/// Runs all checks.
///
/// # Errors
/// When there is a fault that is not listed, or an entry whose fault is gone.
pub fn run(options: &Options) -> Done<()> {
    let faults = faults(&Workspace::read()?)?;
    let file = workspace().join("xtask/structure.known");
    let list = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    if options.renew {
        let renewed = known::renewed(&faults, &list)?;
        fs::write(&file, renewed).map_err(|e| format!("{}: {e}", file.display()))?;
        return say(&format!("{} written", file.display()));
    }
    let known::Verdict { new, gone, known } = known::judge(&faults, &list);
    for line in new.iter().chain(&gone) {
        say(line)?;
    }
    if new.is_empty() && gone.is_empty() {
        return say(&format!("structure: in order, but for {known} known faults"));
    }
    Err(format!(
        "structure: {} new faults, {} entries of xtask/structure.known whose fault is gone (code that \
         has only moved: cargo xtask structure --renew)",
        new.len(),
        gone.len()
    ))
}

fn faults(all: &Workspace) -> Done<Vec<Fault>> {
    let mut faults = circles(all)?;
    faults.extend(in_files(&workspace())?);
    faults.extend(dependencies::faults(all));
    faults.extend(keys::faults(&workspace())?);
    Ok(faults)
}

fn circles(all: &Workspace) -> Done<Vec<Fault>> {
    let top = workspace();
    let read =
        |path: &Path| fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
    let short = |path: &Path| path.strip_prefix(&top).unwrap_or(path).display().to_string();
    let mut faults = Vec::new();
    for root in all.roots() {
        let arrows = modules::arrows(&root, &read)?;
        for circle in modules::circles(&arrows) {
            for file in &circle {
                let out = arrows.get(file).into_iter().flat_map(|to| to.values());
                let inside = out.filter(|arrow| circle.contains(&arrow.to));
                let names: Vec<String> = inside
                    .map(|arrow| {
                        format!("{} (line {}: {})", short(&arrow.to), arrow.line, arrow.path)
                    })
                    .collect();
                faults.push(Fault {
                    rule: Rule::Circle,
                    place: short(file),
                    message: format!(
                        "on a circle of {} files; it uses {}. Move what both need to a module below",
                        circle.len(),
                        names.join(", ")
                    ),
                });
            }
        }
    }
    faults.sort_by(|a, b| a.place.cmp(&b.place));
    faults.dedup_by(|a, b| a.place == b.place);
    Ok(faults)
}

/// What is wrong in single files: long functions, and paths that leave their crate.
fn in_files(top: &Path) -> Done<Vec<Fault>> {
    let mut faults = Vec::new();
    for file in rust_files(top)? {
        let path = top.join(&file);
        // A file that is deleted and not yet committed is listed all the same.
        let Ok(source) = fs::read_to_string(&path) else { continue };
        let all = tokens::tokens(&source);
        for function in functions::functions(&all) {
            if function.lines > LONGEST {
                faults.push(Fault {
                    rule: Rule::Function,
                    place: format!("{} {}", file.display(), function.name),
                    message: format!(
                        "line {}: {} lines, at most {LONGEST} are allowed: cut it by what it does",
                        function.line, function.lines
                    ),
                });
            }
        }
        for leaving in leaving_paths(&file, &all) {
            faults.push(Fault {
                rule: Rule::Path,
                place: format!("{} {leaving}", file.display()),
                message:
                    "a #[path] into another crate compiles its code twice: depend on the crate"
                        .to_owned(),
            });
        }
    }
    Ok(faults)
}

/// The `#[path]` of a file, named relative to the workspace, that lead out of its crate's folder.
fn leaving_paths(file: &Path, all: &[tokens::Token<'_>]) -> Vec<String> {
    let own = file.components().next();
    let folder = file.parent().unwrap_or(file);
    let paths = (0..all.len()).filter_map(|at| modules::path_attribute(all, at));
    paths.filter(|path| flattened(&folder.join(path)).components().next() != own).collect()
}

/// A path without `..`.
fn flattened(path: &Path) -> PathBuf {
    let mut flat = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(flat.pop()),
            other => flat.push(other),
        }
    }
    flat
}

/// The Rust files that git knows or does not ignore, relative to the workspace.
fn rust_files(top: &Path) -> Done<Vec<PathBuf>> {
    let mut git = std::process::Command::new("git");
    git.current_dir(top).args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"]);
    Ok(output(&mut git)?.lines().map(PathBuf::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leaves_its_crate_is_found_and_one_that_stays_is_not() {
        let found =
            |source: &str| leaving_paths(Path::new("one/src/a/b.rs"), &tokens::tokens(source));
        let leaving = "#[path = \"../../../two/src/x.rs\"]\nmod x;";
        assert_eq!(found(leaving), ["../../../two/src/x.rs"]);
        assert!(found("#[path = \"../../tests/x.rs\"] mod x; // #[path = \"/two\"]").is_empty());
    }
}
