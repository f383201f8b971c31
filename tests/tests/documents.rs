//! The commands in docs/, as they are written: those of Bulkhead are accepted by its command line, recipes
//! run, rulesets load. What needs a certificate authority, a cloud or another host is listed with its reason.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use bulkhead_tests::harness::{Server, dist, needs_program, patterned, test};
use libtest_mimic::Trial;

pub fn tests() -> Vec<Trial> {
    vec![
        test("documents::every_command_of_bulkhead_is_one", commands_are_accepted),
        test("documents::every_other_command_is_run_or_listed", others_are_listed),
        needs_program("documents::the_recipes_for_the_log_run", "jq", recipes),
        needs_program("documents::the_ruleset_for_nftables_loads", "nft", ruleset),
        test("documents::every_script_is_one", scripts_parse),
    ]
}

/// First words of commands that no test runs here, and why.
const NOT_RUN: [(&str, &str); 18] = [
    ("apt", "installs: the packages' tests install with dpkg"),
    ("cargo", "builds; .ci/run does"),
    ("cd", "belongs to the line after it"),
    ("certbot", "needs a certificate authority"),
    ("chown", "needs a system user of that name"),
    ("cp", "copies what the packages install; their tests look at it"),
    ("dnf", "needs a Fedora"),
    ("docker", "needs an image and a daemon"),
    ("for", "a loop of a developer"),
    ("ls", "shows what was built"),
    ("podman", "needs an image and a container runtime"),
    ("make", "needs the development files of SELinux"),
    ("mkdir", "makes a directory of an account"),
    ("restorecon", "needs a kernel with SELinux"),
    ("rustup", "needs the network"),
    ("semodule", "needs a kernel with SELinux"),
    ("systemctl", "needs systemd: the life of the package runs it"),
    ("ufw", "changes the host's firewall"),
];

fn pages() -> Vec<(PathBuf, String)> {
    let docs = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"));
    let mut files: Vec<PathBuf> =
        fs::read_dir(docs).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.push(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")));
    files.push(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.zh-CN.md")));
    files.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

/// The commands of all console blocks, without what stands behind them as a comment.
fn commands() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (path, text) in pages() {
        for block in blocks(&text, "console") {
            let joined = block.replace("\\\n", " ");
            for line in joined.lines() {
                let command = line.strip_prefix("# ").or_else(|| line.strip_prefix("$ "));
                let Some(command) = command else { continue };
                let command = command.split("  #").next().unwrap_or_default().trim();
                for one in command.split("&&") {
                    found.push((path.display().to_string(), one.trim().to_owned()));
                }
            }
        }
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

fn is_bulkhead(command: &str) -> bool {
    command.split_whitespace().next() == Some("bulkhead")
}

fn shell(line: &str, place: &std::path::Path) -> Output {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command.args(["-o", "pipefail", "-c", line]).current_dir(place);
    command.env("PATH", format!("{}:{path}", dist().display())).output().unwrap()
}

/// Each with `--help` behind it: a command, an option or a value that is none is an error before.
fn commands_are_accepted() {
    let place = tempfile::tempdir().unwrap();
    for (page, command) in commands().into_iter().filter(|(_, command)| is_bulkhead(command)) {
        let words = command.split(['>', '|', '<']).next().unwrap_or_default();
        let output = shell(&format!("{words} --help"), place.path());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{page}: {command}: {said}");
    }
}

fn others_are_listed() {
    for (page, command) in commands().into_iter().filter(|(_, command)| !is_bulkhead(command)) {
        let first = command.split_whitespace().find(|word| *word != "sudo" && !word.contains('='));
        let first = first.unwrap_or_default();
        let listed = NOT_RUN.iter().any(|(word, _)| *word == first);
        assert!(listed, "{page}: {command}: run it in a test, or list it with the reason why not");
    }
}

/// Every recipe of docs/log.md, on the log of a server that has something to tell.
fn recipes() {
    let server = Server::start();
    let mut client = server.connect();
    client.command("USER alice", 331);
    client.command("PASS wrong", 530);
    let mut client = server.log_in("alice");
    client.command("TYPE I", 200);
    client.upload("STOR file", &patterned(1000));
    client.passive();
    client.command("RETR nowhere", 550);
    let mut data = client.passive();
    client.command("STOR cut", 150);
    std::io::Write::write_all(&mut data, b"some").unwrap();
    client.command("ABOR", 426);
    client.expect(226);
    server.expect_event("transfer", |event| event["path"] == "/cut");
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/log.md")).unwrap();
    let recipes = blocks(&page, "sh");
    assert!(recipes.len() >= 4);
    for recipe in &recipes {
        let output = shell(recipe, server.scratch.path());
        let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat())
            .into_owned();
        assert!(output.status.success() && !output.stdout.is_empty(), "{recipe}: {said}");
    }
    let told = shell(&recipes[0], server.scratch.path()).stdout;
    assert!(String::from_utf8_lossy(&told).contains("alice\t/cut\tclient-aborted"), "{told:?}");
}

fn ruleset() {
    let place = tempfile::tempdir().unwrap();
    for (page, text) in pages() {
        for block in blocks(&text, "nft") {
            let file = place.path().join("rules");
            fs::write(&file, block).unwrap();
            let output = Command::new("unshare")
                .args(["--user", "--map-root-user", "--net", "nft", "--check", "--file"])
                .arg(&file)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            // A kernel without nftables, or without user namespaces, still has the grammar judged.
            let able = !said.contains("Operation not supported")
                && !said.contains("Operation not permitted")
                && !said.contains("Unable to initialize");
            assert!(output.status.success() || !able, "{}: {said}", page.display());
            assert!(!said.contains("syntax error"), "{}: {said}", page.display());
        }
    }
}

fn scripts_parse() {
    for (page, text) in pages() {
        for block in blocks(&text, "sh") {
            let output = Command::new("bash").args(["-n", "-c", &block]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{}: {block}: {said}", page.display());
        }
    }
}
