//! `bulkhead check` as an administrator runs it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{path::Path, process::Command};

fn check(directory: &Path, configuration: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let file = directory.join("bulkhead.toml");
    let base = "listen_port = 0\ncontrol_socket = \"control.sock\"\nstate_directory = \"state\"\n";
    std::fs::write(&file, format!("{base}{configuration}")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bulkhead"))
        .arg("--config")
        .arg(&file)
        .arg("check")
        .args(arguments)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn a_configuration_that_works_passes() {
    let directory = tempfile::tempdir().unwrap();
    let (code, text) = check(directory.path(), "[auth]\nusers_file = \"users.toml\"\n", &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("no account file yet") && text.contains("The server can start"),
        "{text}"
    );
}

#[test]
fn c7_what_the_server_cannot_make_is_found_before_it_starts() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    let long = format!("{}/s", "x".repeat(200));
    for (configuration, said) in [
        ("[log]\nfile = \"nowhere/log\"\n".to_owned(), "there is no directory"),
        ("[log]\nfile = \".\"\n".to_owned(), "is no regular file"),
    ] {
        let (code, text) = check(directory.path(), &configuration, &[]);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(said) && text.contains("bulkhead.toml:5"), "{text}");
    }
    let file = directory.path().join("bulkhead.toml");
    for (configuration, said) in [
        ("control_socket = \"file\"\n".to_owned(), "is no socket"),
        ("control_socket = \"file/below\"\n".to_owned(), "is no directory"),
        (format!("control_socket = {long:?}\n"), "at most 107"),
        ("state_directory = \"file\"\n".to_owned(), "is no directory"),
        ("state_directory = \"file/below\"\n".to_owned(), "is no directory"),
    ] {
        std::fs::write(&file, format!("listen_port = 0\n{configuration}")).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_bulkhead"))
            .arg("--config")
            .arg(&file)
            .arg("check")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("bulkhead.toml:2: ") && text.contains(said), "{said}: {text}");
    }
}

#[test]
fn c7_an_account_that_cannot_log_in_is_a_warning_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("closed")).unwrap();
    let closed = directory.path().join("closed");
    std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let accounts = format!(
        "[accounts.gone]\nroot = {:?}\nuid = 4000001\ngid = 4000001\n\
         [accounts.shut]\nroot = {closed:?}\nuid = 4000001\ngid = 4000001\n",
        directory.path().join("gone")
    );
    let users = directory.path().join("users.toml");
    std::fs::write(&users, accounts).unwrap();
    std::fs::set_permissions(&users, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (code, text) = check(directory.path(), "[auth]\nusers_file = \"users.toml\"\n", &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("warning: account gone: the root"), "{text}");
    assert!(text.contains("warning: account shut: its uid 4000001"), "{text}");
    assert!(text.contains("The server can start"), "{text}");
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("users.toml"), "").unwrap();
    std::fs::write(directory.path().join("c.pem"), "no certificate").unwrap();
    std::fs::write(directory.path().join("k.pem"), "no key").unwrap();
    let (code, text) = check(
        directory.path(),
        "admin_group = \"no-such-group\"\n[anonymous]\nenabled = true\nroot = \"nowhere\"\n\
         [passive]\nports = \"40000-40001\"\naddress = \"2001:db8::1\"\n\
         [auth]\nusers_file = \"users.toml\"\n[tls]\ncertificate = \"c.pem\"\nprivate_key = \
         \"k.pem\"\nimplicit_port = 40001\n",
        &[],
    );
    assert_eq!(code, Some(1), "{text}");
    for said in [
        "bulkhead.toml:4: there is no group no-such-group",
        "bulkhead.toml:7:",
        "has no IPv4 address",
        "port 40001 lies in the range",
        "chmod 600",
        "k.pem",
    ] {
        assert!(text.contains(said), "{said} is not in:\n{text}");
    }
    let errors = text.lines().filter(|line| line.starts_with("error: ")).count();
    assert!(text.contains(&format!("Errors: {errors}.")) && errors >= 6, "{text}");
}

#[test]
fn a_configuration_that_does_not_load_has_a_code_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let (code, text) = check(directory.path(), "[tls]\nfoo = 1\n", &["--json"]);
    assert_eq!(code, Some(2), "{text}");
    let findings: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(findings[0]["place"].as_str().unwrap().ends_with("bulkhead.toml:5"), "{text}");
    assert_eq!(findings[0]["severity"], "error");
}
