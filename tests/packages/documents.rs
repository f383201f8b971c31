//! The documents: examples that load, keys that exist, pages that man(1) renders.

use std::{collections::BTreeSet, fs, path::PathBuf};

use libtest_mimic::Trial;

use super::{directory, harness, project, run, text};

pub fn tests() -> Vec<Trial> {
    vec![
        harness::test("documents: every example loads", examples_load),
        harness::test("documents: every key of the reference loads", keys_load),
        harness::test("documents: every link leads somewhere", links_lead_somewhere),
        harness::needs_program("man pages render without a warning", "man", pages_render),
        harness::test("there is a man page for every command", pages_are_complete),
    ]
}

/// Every page of Markdown that is written by hand.
fn pages() -> Vec<PathBuf> {
    let markdown = |path: &PathBuf| path.extension().is_some_and(|e| e == "md");
    let mut pages = Vec::new();
    for directory in ["", "docs", "docs/decisions"] {
        let entries = fs::read_dir(project(directory)).unwrap();
        pages.extend(entries.map(|entry| entry.unwrap().path()).filter(markdown));
    }
    pages.sort();
    assert!(pages.len() > 8, "{pages:?}");
    pages
}

/// The fenced blocks of a language, each with the line it begins on.
fn blocks(page: &str, language: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match &mut open {
            Some(_) if line.trim_end() == "```" => blocks.extend(open.take()),
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
            None if line.trim_end() == format!("```{language}") => {
                open = Some((number + 1, String::new()));
            }
            None => {}
        }
    }
    blocks
}

/// `bulkhead check` on a configuration: exit code 2 and an error is a configuration that cannot work;
/// files and addresses that this machine lacks are none.
fn check(configuration: &str) -> Result<(), String> {
    let scratch = tempfile::TempDir::with_prefix("bulkhead-example-").unwrap();
    let path = scratch.path().join("bulkhead.toml");
    fs::write(&path, configuration).unwrap();
    let bulkhead = harness::dist().join("bulkhead");
    let output = run(text(&bulkhead), &["--config", text(&path), "check"]);
    match output.status.code() {
        Some(0 | 1) => Ok(()),
        _ => Err(String::from_utf8_lossy(&output.stdout).into_owned()),
    }
}

fn examples_load() {
    assert!(check("listen_prot = 3").is_err(), "a wrong key must be found");
    let mut checked = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (line, example) in blocks(&text, "toml") {
            // An account file shows accounts, not settings.
            if example.contains("[accounts.") {
                continue;
            }
            // Nobody's key stands in a page, to be used by everybody who copies it.
            let example = example.replace("<openssl rand -hex 32>", &"00ff".repeat(16));
            if let Err(said) = check(&example) {
                panic!("{}:{line}: {said}\n{example}", page.display());
            }
            checked += 1;
        }
    }
    assert!(checked >= 5, "{checked} examples");
}

/// Each row of docs/configure.md is `| key | default | meaning | example |`.
fn keys_load() {
    let reference = fs::read_to_string(project("docs/configure.md")).unwrap();
    let mut table = String::new();
    let mut checked = 0;
    for line in reference.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            table = heading.trim_matches('`').to_owned();
        }
        let Some(rest) = line.strip_prefix("| `") else { continue };
        let key = rest.split('`').next().unwrap();
        let example = rest.trim_end_matches(" |").rsplit("| ").next().unwrap().trim_matches('`');
        let head = if table.starts_with('[') { format!("{table}\n") } else { String::new() };
        let needed: String = needed(&table)
            .iter()
            .filter(|(other, _)| *other != key)
            .map(|(other, value)| format!("{other} = \"{value}\"\n"))
            .collect();
        let configuration = format!("{head}{needed}{key} = {example}\n");
        if let Err(said) = check(&configuration) {
            panic!("{configuration}{said}");
        }
        checked += 1;
    }
    assert!(checked > 50, "{checked} keys");
}

/// What keys of a table need beside them.
fn needed(table: &str) -> Vec<(&'static str, String)> {
    match table {
        "[tls]" => ["certificate", "private_key", "client_ca"]
            .map(|key| (key, format!("/etc/bulkhead/tls/{key}.pem")))
            .to_vec(),
        "[anonymous]" => vec![("root", "/srv/ftp".into())],
        "[i2ftp]" => vec![("key_hex", "00ff".repeat(32)), ("root", "/srv/i2ftp".into())],
        _ => Vec::new(),
    }
}

fn links_lead_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let place = page.parent().unwrap().join(target);
            assert!(place.exists(), "{}: no {target}", page.display());
        }
    }
}

fn man_pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for section in ["man5", "man8"] {
        let entries = fs::read_dir(directory().join("root/usr/share/man").join(section)).unwrap();
        pages.extend(entries.map(|entry| entry.unwrap().path()));
    }
    pages
}

fn pages_render() {
    for page in man_pages() {
        let mut man = std::process::Command::new("man");
        man.args(["--warnings", "--encoding=utf8", "--local-file"]).arg(&page);
        let output = man.env("MANROFFSEQ", "").env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8");
        let output = output.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{}: {said}", page.display());
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.contains("NAME"), "{}: {shown}", page.display());
    }
}

fn pages_are_complete() {
    let pages: BTreeSet<String> = man_pages()
        .iter()
        .map(|page| page.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let bulkhead = harness::dist().join("bulkhead");
    let help = super::printed(text(&bulkhead), &["--help"]);
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let names: Vec<&str> = commands
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.contains(&"serve") && names.contains(&"policy"), "{help}");
    for name in names {
        assert!(pages.contains(&format!("bulkhead-{name}.8.gz")), "{name}: {pages:?}");
    }
}
