//! For each key of the configuration a test that shows its effect: the keys that nothing tested were the
//! ones that did nothing.

use std::{collections::BTreeMap, path::Path};

use super::{Fault, Rule};
use crate::command::{Done, output};

/// The list, relative to the workspace.
const LIST: &str = "tests/keys.list";
/// The reference of all keys, which is made of their declarations.
const REFERENCE: &str = "docs/configure.md";

/// The faults of the workspace at `top`.
///
/// # Errors
/// When a file cannot be read.
pub fn faults(top: &Path) -> Done<Vec<Fault>> {
    let read =
        |path: &str| std::fs::read_to_string(top.join(path)).map_err(|e| format!("{path}: {e}"));
    let mut git = std::process::Command::new("git");
    git.current_dir(top).args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"]);
    let sources = output(&mut git)?.lines().filter_map(|file| read(file).ok()).collect::<String>();
    Ok(compare(&keys(&read(REFERENCE)?), &read(LIST)?, &sources))
}

/// The keys of the reference, with their tables: `limits.login_timeout`.
fn keys(reference: &str) -> Vec<String> {
    let mut table = String::new();
    let mut all = Vec::new();
    for line in reference.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let name =
                heading.trim_matches('`').strip_prefix('[').and_then(|n| n.strip_suffix(']'));
            table = name.map_or(String::new(), |name| format!("{name}."));
        } else if let Some(rest) = line.strip_prefix("| `") {
            let name = rest.split('`').next().unwrap_or_default();
            all.push(format!("{table}{name}"));
        }
    }
    all
}

/// Holds the list against the keys and the tests there are.
fn compare(keys: &[String], list: &str, sources: &str) -> Vec<Fault> {
    let mut named: BTreeMap<&str, &str> = BTreeMap::new();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        if let Some((key, test)) = line.split_once(' ') {
            named.insert(key, test.trim());
        }
    }
    let fault = |key: &str, message: String| Fault { rule: Rule::Key, place: key.into(), message };
    let mut faults = Vec::new();
    for key in keys {
        match named.remove(key.as_str()) {
            None => faults.push(fault(
                key,
                format!("no test shows what it does: write one, and name it in {LIST}"),
            )),
            Some(test) if !is_there(test, sources) => {
                faults
                    .push(fault(key, format!("{LIST} names `{test}`, and there is no such test")));
            }
            Some(_) => {}
        }
    }
    faults.extend(named.into_keys().map(|key| {
        fault(key, format!("{LIST} has a line for it, and {REFERENCE} has no such key"))
    }));
    faults
}

/// Whether a source declares the test: by its name as text, or as a function.
fn is_there(test: &str, sources: &str) -> bool {
    sources.contains(&format!("\"{test}\"")) || sources.contains(&format!("fn {test}("))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE_TEXT: &str = "## Keys outside a table\n| key | default |\n|---|---|\n\
                                  | `banner` | `\"x\"` | A. |\n## `[limits]`\n\
                                  | `file_size` | `0` | B. |\n";

    #[test]
    fn keys_have_the_name_of_their_table() {
        assert_eq!(keys(REFERENCE_TEXT), ["banner", "limits.file_size"]);
    }

    #[test]
    fn a_key_without_a_test_a_test_that_is_gone_and_a_key_that_is_gone_are_faults() {
        let keys = keys(REFERENCE_TEXT);
        let sources = "test(\"a::greets\", f); fn a_unit_test() {}";
        let of = |list: &str| -> Vec<String> {
            let faults = compare(&keys, list, sources);
            faults.iter().map(|f| format!("{}: {}", f.entry(), f.message)).collect()
        };
        assert!(of("# head\nbanner  a::greets\nlimits.file_size a_unit_test\n").is_empty());
        let missing = of("banner a::greets\n");
        assert!(missing[0].starts_with("key limits.file_size: no test shows"), "{missing:?}");
        let gone = of("banner a::greeted\nlimits.file_size a_unit_test\nold a::greets\n");
        assert!(gone[0].contains("`a::greeted`") && gone[1].starts_with("key old:"), "{gone:?}");
    }
}
