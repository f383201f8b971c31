//! Accounts on the command line: findings E5 and E6, the keys that say who may come at all, and an
//! account file of many.

use std::{fs, os::unix::fs::PermissionsExt, time::Instant};

use bulkhead_tests::harness::{ControlConnection, Server, needs_root, test};
use libtest_mimic::Trial;
use serde_json::Value;

pub fn tests() -> Vec<Trial> {
    vec![
        test("user_commands::e5_an_account_is_shown_changed_disabled_and_renamed", changes),
        test("user_commands::e5_five_hundred_accounts_come_from_a_table_at_once", table),
        test("user_commands::e5_a_table_with_a_mistake_brings_nobody", mistaken_table),
        test("user_commands::e6_the_list_says_what_matters_in_120_columns", list),
        needs_root(
            "user_commands::d7_what_is_refused_there_is_imported_disabled",
            refused_addresses,
        ),
        test("user_commands::only_allowed_users_log_in", allowed_users),
        test("user_commands::only_clients_of_allowed_networks_connect", networks),
        test("user_commands::check_says_why_an_account_cannot_log_in_or_write", why),
        test("user_commands::one_of_many_accounts_is_read_and_a_change_counts_at_once", many),
    ]
}

const HASH: &str = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";

fn run(server: &Server, arguments: &[&str]) -> (Option<i32>, String) {
    let done = server.bulkhead(arguments);
    let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    (done.status.code(), said)
}

fn done(server: &Server, arguments: &[&str]) -> String {
    let (code, said) = run(server, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {said}");
    said
}

/// The code of the answer to the password.
fn log_in(server: &Server, name: &str, password: &str) -> u16 {
    let mut control = server.connect();
    control.command(&format!("USER {name}"), 331);
    control.send(&format!("PASS {password}"));
    control.reply().unwrap().code
}

fn changes() {
    let server = Server::new().with_account("alice", &[]).run();
    let password = server.account("alice").password.clone();
    let file = server.path("users.toml");
    let commented =
        format!("# Of the accounting.\n{}# The end.\n", fs::read_to_string(&file).unwrap());
    fs::write(&file, commented).unwrap();
    done(
        &server,
        &[
            "user",
            "set",
            "alice",
            "--rights",
            "list,read",
            "--max-sessions",
            "2",
            "--expires",
            "2099-12-31",
            "--networks",
            "127.0.0.0/8,10.0.0.0/8",
            "--download-rate",
            "5000",
        ],
    );
    let shown: Value =
        serde_json::from_str(&done(&server, &["user", "show", "alice", "--json"])).unwrap();
    assert_eq!(shown["rights"], serde_json::json!(["list", "read"]));
    assert_eq!((&shown["max_sessions"], &shown["download_rate"]), (&2.into(), &5000.into()));
    assert_eq!(shown["expires"], "2099-12-31");
    assert!(!shown.to_string().contains('$'), "no hash is shown: {shown}");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("# Of the accounting.") && text.contains("# The end."), "{text}");
    let mut control = server.log_in("alice");
    control.command("MKD new", 550);
    done(&server, &["user", "set", "alice", "--clear", "rights,networks,expires,max-sessions"]);
    let shown = done(&server, &["user", "show", "alice"]);
    assert!(shown.contains("rmdir chmod") && !shown.contains("2099"), "{shown}");
    done(&server, &["user", "disable", "alice"]);
    assert_eq!(log_in(&server, "alice", &password), 530);
    done(&server, &["user", "enable", "alice"]);
    assert_eq!(log_in(&server, "alice", &password), 230);
    done(&server, &["user", "rename", "alice", "alicia"]);
    assert_eq!(log_in(&server, "alice", &password), 530);
    assert_eq!(log_in(&server, "alicia", &password), 230);
    refuses_changes(&server);
}

/// What cannot be changed, and why; nothing is then.
fn refuses_changes(server: &Server) {
    let file = server.path("users.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("# Of the accounting.\n") && !text.contains("accounts.alice"), "{text}");
    for (arguments, said) in [
        (&["user", "set", "alicia"][..], "nothing to set"),
        (&["user", "set", "nobody", "--max-sessions", "1"], "there is no account"),
        (&["user", "rename", "alicia", "../x"], "cannot be used"),
        (&["user", "rename", "nobody", "x"], "there is no account"),
        (&["user", "show", "nobody"], "there is no account"),
        (&["user", "set", "alicia", "--root", "/proc"], "the kernel's"),
        (&["user", "set", "alicia", "--clear", "uid"], "invalid value"),
    ] {
        let (code, text) = run(server, arguments);
        assert!(code != Some(0) && text.contains(said), "{arguments:?}: {text}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), text, "what fails changes nothing");
}

fn table() {
    let server = Server::new();
    server.write_configuration();
    let root = server.path("srv");
    fs::create_dir(&root).unwrap();
    let mut text = "name,password,root,uid,gid,rights\n".to_owned();
    for number in 0..500 {
        let hash = if number == 0 { "a \"\"b\"\"" } else { "word" };
        text.push_str(&format!(
            "user{number},\"{hash}{number}\",{},20001,20001,list read\n",
            root.display()
        ));
    }
    let from = server.path("accounts.csv");
    fs::write(&from, text).unwrap();
    let began = Instant::now();
    let said = done(&server, &["user", "import", "--csv", from.to_str().unwrap()]);
    eprintln!("500 accounts took {:?}", began.elapsed());
    assert!(said.contains("Took over 500 accounts."), "{said}");
    let server = server.run();
    assert_eq!(log_in(&server, "user0", "a \"b\"0"), 230);
    assert_eq!(log_in(&server, "user499", "word499"), 230);
    assert_eq!(log_in(&server, "user499", "word498"), 530);
}

fn mistaken_table() {
    let server = Server::new();
    server.write_configuration();
    let from = server.path("accounts.csv");
    let before = fs::read_to_string(server.path("users.toml")).unwrap_or_default();
    for (text, said) in [
        ("name,uid,gid,root\n../x,1,1,/srv\nbob,one,1,/srv\n", "accounts.csv:3: uid"),
        ("name,uid,gid,root\na,1,1,/srv\na,1,1,/srv\n", "accounts.csv:3: a exists already"),
        ("name,colour\na,red\n", "no column \"colour\""),
        ("name,uid,gid,root\nr,0,0,/srv\n", "uid or gid 0"),
        ("name,uid,gid,root\nr,1,1,/proc/1\n", "the kernel's"),
    ] {
        fs::write(&from, text).unwrap();
        let (code, text) = run(&server, &["user", "import", "--csv", from.to_str().unwrap()]);
        assert!(code == Some(1) && text.contains(said), "{said}: {text}");
        assert!(text.contains("nothing was taken over"), "{text}");
        let now = fs::read_to_string(server.path("users.toml")).unwrap_or_default();
        assert_eq!(now, before);
    }
}

fn list() {
    let server =
        Server::new().with_account("alice", &["--tls", "control", "--expires", "2099-01-01"]);
    let server = server.with_account("bob", &["--read-only"]);
    let long = server.path("users.toml");
    let mut text = fs::read_to_string(&long).unwrap();
    text.push_str(&format!(
        "[accounts.\"{}\"]\nroot = \"/{}\"\n",
        "n".repeat(100),
        "r".repeat(200)
    ));
    fs::write(&long, text).unwrap();
    let said = done(&server, &["user", "list"]);
    for line in said.lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
    for word in ["TLS control", "until 2099-01-01", "lr---------", "lrwaodnmxc-", "no password"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let rows: Value = serde_json::from_str(&done(&server, &["user", "list", "--json"])).unwrap();
    let alice = &rows.as_array().unwrap()[0];
    for key in ["name", "uid", "rights", "tls", "expires", "networks", "disabled", "second_factor"]
    {
        assert!(alice.get(key).is_some(), "{key}: {alice}");
    }
}

/// Refused addresses and hours of Pure-FTPd.
fn refused_addresses() {
    let server = Server::new();
    server.write_configuration();
    let from = server.path("pureftpd.passwd");
    let lines = format!(
        "free:{HASH}:5:5::/srv/./::::::::::::\nhours:{HASH}:5:5::/srv/./::::::::::::0800-1800\n\
         refused:{HASH}:5:5::/srv/./:::::::::::192.0.2.0/24:\n"
    );
    fs::write(&from, lines).unwrap();
    let (code, said) =
        run(&server, &["user", "import", from.to_str().unwrap(), "--rights", "list"]);
    assert_eq!(code, Some(1), "what is left out is a failure: {said}");
    for (name, disabled) in [("free", false), ("hours", true), ("refused", true)] {
        let shown: Value =
            serde_json::from_str(&done(&server, &["user", "show", name, "--json"])).unwrap();
        assert_eq!(shown["disabled"], disabled, "{name}");
        assert_eq!(shown["rights"], serde_json::json!(["list"]));
        assert_eq!(said.contains(&format!("{name}: disabled")), disabled, "{said}");
    }
}

fn allowed_users() {
    let server = Server::new()
        .with("auth.allow_users", "[\"alice\", \"both\"]")
        .with("auth.deny_users", "[\"root\", \"both\"]");
    let server =
        server.with_account("alice", &[]).with_account("bob", &[]).with_account("both", &[]);
    let server = server.run();
    for (name, code) in [("alice", 230), ("bob", 530), ("both", 530)] {
        let password = server.account(name).password.clone();
        assert_eq!(log_in(&server, name, &password), code, "{name}");
    }
    server.expect_event("login-failed", |event| event["reason"] == "denied");
}

fn networks() {
    let server = Server::new()
        .with("access.networks", "[\"127.0.0.0/24\"]")
        .with("access.deny_networks", "[\"127.0.0.7\"]")
        .with_account("alice", &[])
        .run();
    for (own, code) in [("127.0.0.1", 220), ("127.0.0.7", 421), ("127.0.1.1", 421)] {
        let mut control = ControlConnection::connect_from(own.parse().unwrap(), server.address());
        control.expect(code);
    }
    let refused = server.expect_event("refused", |_| true);
    assert_eq!(refused["reason"], "network");
}

fn why() {
    let server = Server::new()
        .with("auth.deny_users", "[\"root\", \"denied\"]")
        .with_account("alice", &["--rights", "list,read,write"]);
    let server = server.with_account("gone", &[]).with_account("denied", &[]);
    let check = |arguments: &[&str]| run(&server, &[&["check", "--account"], arguments].concat());
    let (code, said) = check(&["alice"]);
    assert!(code == Some(0) && said.contains("alice can log in"), "{said}");
    fs::write(server.account("alice").path("locked"), "x").unwrap();
    fs::set_permissions(server.account("alice").path("locked"), PermissionsExt::from_mode(0o444))
        .unwrap();
    let (code, said) = check(&["alice", "--may", "write", "/new"]);
    assert!(code == Some(0) && said.contains("may write /new"), "{said}");
    let (code, said) = check(&["alice", "--may", "delete", "/new"]);
    assert!(code == Some(1) && said.contains("right delete"), "{said}");
    let (code, said) = check(&["alice", "--may", "write", "/none/new"]);
    assert!(code == Some(1) && said.contains("No such file"), "{said}");
    let (code, said) = check(&["alice", "--may", "write", "/../../etc/x"]);
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = check(&["denied"]);
    assert!(code == Some(1) && said.contains("deny_users"), "{said}");
    let (code, said) = check(&["nobody-such"]);
    assert!(code == Some(1) && said.contains("no account"), "{said}");
    done(&server, &["user", "disable", "gone"]);
    let (code, said) = check(&["gone"]);
    assert!(code == Some(1) && said.contains("disabled"), "{said}");
    done(&server, &["user", "enable", "gone"]);
    fs::remove_dir(server.account("gone").path("")).unwrap();
    let (code, said) = check(&["gone"]);
    assert!(code == Some(1) && said.contains("root"), "{said}");
    let (code, said) = check(&["alice", "--from", "192.0.2.1"]);
    assert_eq!(code, Some(0), "{said}");
    done(&server, &["user", "set", "alice", "--networks", "10.0.0.0/8"]);
    let (code, said) = check(&["alice", "--from", "192.0.2.1"]);
    assert!(code == Some(1) && said.contains("192.0.2.1"), "{said}");
}

/// The index is written by a command, read by the authenticator, and never believed after a change.
fn many() {
    let server = Server::new().with_account("alice", &[]);
    let password = server.account("alice").password.clone();
    let file = server.path("users.toml");
    let mut text = fs::read_to_string(&file).unwrap();
    for number in 0..2_000 {
        text.push_str(&format!(
            "[accounts.user{number}]\npassword = \"{HASH}\"\nroot = \"/srv\"\nuid = 5\ngid = 5\n"
        ));
    }
    fs::write(&file, &text).unwrap();
    done(&server, &["user", "disable", "user7"]);
    let index = server.path("state").join("accounts.index");
    assert_eq!(fs::metadata(&index).unwrap().permissions().mode() & 0o777, 0o600);
    let server = server.run();
    assert_eq!(log_in(&server, "alice", &password), 230);
    assert_eq!(log_in(&server, "user7", "password"), 530);
    server.expect_event("login-failed", |event| event["reason"] == "disabled");
    assert_eq!(log_in(&server, "stranger", "password"), 530);
    // A change by hand counts at once, whatever the index says.
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[accounts.alice]", "[accounts.alicia]")).unwrap();
    assert_eq!(log_in(&server, "alice", &password), 530);
    assert_eq!(log_in(&server, "alicia", &password), 230);
    // A damaged index is none.
    let mut bytes = fs::read(&index).unwrap();
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    fs::write(&index, bytes).unwrap();
    done(&server, &["user", "disable", "alicia"]);
    assert_eq!(log_in(&server, "alicia", &password), 530);
}
