//! System users, on the wire and with real clients. The users and the PAM services exist only in a
//! copy of /etc that is mounted over the real one in a namespace of the test.

use std::{
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, chown},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use bulkhead_tests::{
    harness::{Process, Server, eventually, is_root, needs_program, needs_root},
    other_host::{self, OtherHost},
};
use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use totp_rs::{Builder, Secret};

pub fn tests() -> Vec<Trial> {
    let with_clients = match is_root() {
        true => needs_program(IDENTITIES, "lftp", || in_namespace(IDENTITIES, identities)),
        false => needs_root(IDENTITIES, || {}),
    };
    vec![
        with_clients,
        needs_root(RULES, || in_namespace(RULES, rules)),
        needs_root(HANGING, || in_namespace(HANGING, hanging)),
        needs_root(SESSIONS, || in_namespace(SESSIONS, sessions)),
        other_host::trial(needs_root(OLD_KERNEL, || in_namespace(OLD_KERNEL, old_kernel))),
    ]
}

const IDENTITIES: &str = "system_users::curl_and_lftp_sessions_have_exactly_the_ids_of_the_account";
const RULES: &str = "system_users::wrong_expired_and_forbidden_users_are_told_what_they_may_know";
const HANGING: &str = "system_users::a_module_that_hangs_holds_up_nobody_else";
const SESSIONS: &str = "system_users::pam_sessions_end_with_their_client_and_with_the_server";
const OLD_KERNEL: &str = "system_users::h2_file_and_pam_accounts_log_in_on_a_kernel_without_scopes";
/// Set in the copy of this program that runs in the namespace.
const INSIDE: &str = "BULKHEAD_TEST_INSIDE";

/// crypt(3) of "password".
const YESCRYPT: &str = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$tnSYvahCwPBHKZUspmcxMfb0.WiB9W.zEaKlOBL35rC";
const SHA512: &str = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";

/// Runs `test` in a mount namespace in which /etc is a copy.
fn in_namespace(name: &str, test: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let scratch = tempfile::tempdir().unwrap();
    let script = "cp -a /etc/. \"$1\" && mount --bind \"$1\" /etc && shift && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(scratch.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "in its namespace:\n{said}\n{complained}");
    assert!(said.contains("1 passed"), "it did not run there:\n{said}");
}

/// The system users of a test, and their homes.
struct Users {
    homes: tempfile::TempDir,
}

impl Users {
    /// None yet, and the service `bulkhead` with pam_unix.
    fn new() -> Users {
        let homes = tempfile::tempdir().unwrap();
        fs::set_permissions(homes.path(), PermissionsExt::from_mode(0o755)).unwrap();
        fs::write("/etc/shells", "/bin/sh\n").unwrap();
        fs::write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\n").unwrap();
        service("auth required pam_unix.so nodelay\naccount required pam_unix.so\n");
        Users { homes }
    }

    /// Adds a user with a home, a primary group one above his uid, and supplementary groups.
    fn add(&self, name: &str, uid: u32, hash: &str, ages: &str, groups: &[u32]) {
        let (home, gid) = (self.home(name), uid + 1);
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, PermissionsExt::from_mode(0o700)).unwrap();
        fs::write(home.join("file"), "at home").unwrap();
        fs::write(home.join("large"), vec![7; 1 << 20]).unwrap();
        for path in [home.clone(), home.join("file"), home.join("large")] {
            chown(path, Some(uid), Some(gid)).unwrap();
        }
        append("/etc/passwd", &format!("{name}:x:{uid}:{gid}::{}:/bin/sh\n", home.display()));
        append("/etc/shadow", &format!("{name}:{hash}:{ages}\n"));
        append("/etc/group", &format!("{name}:x:{gid}:\n"));
        for group in groups {
            append("/etc/group", &format!("{name}-{group}:x:{group}:{name}\n"));
        }
    }

    fn home(&self, name: &str) -> PathBuf {
        self.homes.path().join(name)
    }
}

const NO_AGES: &str = "19000:0:99999:7:::";

fn append(file: &str, line: &str) {
    fs::OpenOptions::new().append(true).open(file).unwrap().write_all(line.as_bytes()).unwrap();
}

fn service(stack: &str) {
    fs::write("/etc/pam.d/bulkhead", stack).unwrap();
}

fn script(path: &str, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o700)).unwrap();
}

fn server() -> Server {
    Server::new().with("auth.backends", "[\"file\", \"pam\"]")
}

/// Somebody who logs in, and what his session must run as.
struct Login {
    name: &'static str,
    password: String,
    /// The secret of his second factor.
    secret: Option<String>,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

impl Login {
    /// A code that has not been used: of this half minute, or of the next one, which counts already.
    fn code(&self, steps_ahead: u64) -> Option<String> {
        let secret = Secret::try_from_base32(self.secret.as_ref()?).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let generator = Builder::new().with_secret(secret).build().unwrap();
        Some(generator.generate(now + 30 * steps_ahead).to_string())
    }
}

fn enrol(server: &Server, name: &str) -> String {
    let output = server.bulkhead(&["user", "totp", name]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let secret = text.lines().find_map(|line| line.trim().strip_prefix("secret")).unwrap();
    secret.trim().to_owned()
}

/// Every kind of account with both clients; while each transfer runs, the session's process is
/// looked at from outside.
fn identities() {
    let users = Users::new();
    users.add("yes", 4801, YESCRYPT, NO_AGES, &[4851, 4852]);
    users.add("sha", 4811, SHA512, NO_AGES, &[]);
    users.add("yescode", 4821, YESCRYPT, NO_AGES, &[4861]);
    let public = users.home("public");
    fs::create_dir(&public).unwrap();
    fs::write(public.join("large"), vec![7; 1 << 20]).unwrap();
    chown(&public, Some(20_777), Some(20_778)).unwrap();
    let identity = ["--uid", "20041", "--gid", "20042", "--groups", "20090,20091"];
    let server = server()
        .with("max_download_rate", "30000")
        .with("anonymous.enabled", "true")
        .with("anonymous.root", &format!("{public:?}"))
        .with_account("carol", &identity)
        .with_account("dave", &identity)
        .run();
    for name in ["carol", "dave"] {
        let account = server.account(name);
        account.put("large", &vec![7; 1 << 20]);
        chown(&account.root, Some(20_041), Some(20_042)).unwrap();
        chown(account.path("large"), Some(20_041), Some(20_042)).unwrap();
    }
    let of_file = |name: &'static str, secret| Login {
        name,
        password: server.account(name).password.clone(),
        secret,
        uid: 20_041,
        gid: 20_042,
        groups: vec![20_090, 20_091],
    };
    let of_system = |name, secret, uid, groups| Login {
        name,
        password: "password".to_owned(),
        secret,
        uid,
        gid: uid + 1,
        groups,
    };
    let logins = [
        of_file("carol", None),
        of_file("dave", Some(enrol(&server, "dave"))),
        of_system("yes", None, 4801, vec![4851, 4852]),
        of_system("sha", None, 4811, vec![]),
        of_system("yescode", Some(enrol(&server, "yescode")), 4821, vec![4861]),
        Login {
            name: "anonymous",
            password: "me@example.net".to_owned(),
            secret: None,
            uid: 20_777,
            gid: 20_778,
            groups: vec![],
        },
    ];
    for login in &logins {
        looked_at(&server, login, "curl", curl(&server, login));
        looked_at(&server, login, "lftp", lftp(&server, login));
    }
    // Without its code, none of the two gets in.
    for login in logins.iter().filter(|login| login.secret.is_some()) {
        let mut control = server.connect();
        control.command(&format!("USER {}", login.name), 331);
        control.command(&format!("PASS {}", login.password), 332);
        control.command("ACCT 000000", 530);
    }
}

/// A download that takes as long as the test needs it to.
fn curl(server: &Server, login: &Login) -> Child {
    let mut command = Command::new("curl");
    command.args(["--silent", "--output", "/dev/null", "--max-time", "60"]);
    command.args(["--user", &format!("{}:{}", login.name, login.password)]);
    if let Some(code) = login.code(0) {
        command.args(["--ftp-account", &code]);
    }
    command.arg(format!("ftp://{}/large", server.address()));
    command.stdin(Stdio::null()).spawn().unwrap()
}

fn lftp(server: &Server, login: &Login) -> Child {
    // lftp knows no ACCT: the code stands behind the password.
    let password = format!("{}{}", login.password, login.code(1).unwrap_or_default());
    let port = server.address().port();
    let script = format!(
        "set ftp:ssl-allow no; set net:max-retries 1; open -u {},{password} -p {port} 127.0.0.1; \
         cat large >/dev/null",
        login.name
    );
    Command::new("lftp").args(["-c", &script]).stdin(Stdio::null()).spawn().unwrap()
}

/// Looks at the session of a client that is at work, then ends the client.
fn looked_at(server: &Server, login: &Login, client: &str, mut child: Child) {
    let title = format!("bulkhead-worker: {} session", login.name);
    let session: Process = eventually(&format!("{client} as {}", login.name), || {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("{client} as {} ended with {status}", login.name);
        }
        // Before its filter is up it is still on the way to its identity.
        let up = |process: &Process| process.command == title && process.field("Seccomp") == "2";
        server.processes().into_iter().find(up)
    });
    let what = format!("{client} as {}", login.name);
    assert_eq!(session.ids("Uid"), [login.uid; 4], "{what}");
    assert_eq!(session.ids("Gid"), [login.gid; 4], "{what}");
    assert_eq!(session.ids("Groups"), login.groups, "{what}");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(session.capabilities(set), 0, "{what}: {set}");
    }
    assert!(child.try_wait().unwrap().is_none(), "{what} is over before it was looked at");
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the session to end", || (!session.is_alive()).then_some(()));
}

fn rules() {
    let users = Users::new();
    users.add("sha", 4811, SHA512, NO_AGES, &[4851]);
    // The password must be changed (last change 0); the account expired on 2 January 1970.
    users.add("stale", 4821, SHA512, "0:0:99999:7:::", &[4851]);
    users.add("gone", 4831, SHA512, "19000:0:99999:7::1:", &[4851]);
    users.add("other", 4841, SHA512, NO_AGES, &[]);
    users.add("denied", 4871, SHA512, NO_AGES, &[4851]);
    let groups = "[\"sha-4851\", \"stale-4851\", \"gone-4851\"]";
    let server = server()
        .with("auth.allow_groups", groups)
        .with("auth.deny_users", "[\"root\", \"denied\"]")
        .run();
    let refused = |name: &str, password: &str| {
        let mut control = server.connect();
        control.command(&format!("USER {name}"), 331);
        let reply = control.command(&format!("PASS {password}"), 530);
        reply.text().to_owned()
    };
    let wrong = refused("sha", "passwore");
    for (name, reason) in [
        ("gone", "expired"),
        ("other", "group-not-allowed"),
        ("denied", "denied"),
        ("nobody-here", "unknown-user"),
        ("root", "denied"),
    ] {
        assert_eq!(refused(name, "password"), wrong, "{name}");
        server.expect_event("login-failed", |event| {
            event["user"] == name && event["reason"] == reason
        });
    }
    let stale = refused("stale", "password");
    assert!(stale.contains("expired") && stale != wrong, "{stale}");
    assert_eq!(refused("stale", "passwore"), wrong, "only who knows the password learns that");
    let mut control = server.connect();
    control.command("USER sha", 331);
    control.command("PASS password", 230);
    control.command("TYPE I", 200);
    assert_eq!(control.download("RETR file"), b"at home");
}

/// Linux 6.1 has ABI 2 of Landlock, as in Debian 12. What it has nothing of is left out, and told by
/// `check`, `status` and `policy verify` alike.
fn old_kernel() {
    let users = Users::new();
    users.add("sha", 4811, SHA512, NO_AGES, &[]);
    let mut server = server().with_account("alice", &[]);
    server.under = OtherHost::WithLandlock(2).under(server.scratch.path());
    server.launch();
    let alice = server.account("alice").password.clone();
    for (name, password) in [("alice", alice.as_str()), ("sha", "password")] {
        let mut control = server.connect();
        control.command(&format!("USER {name}"), 331);
        control.command(&format!("PASS {password}"), 230);
        control.command("QUIT", 221);
    }
    assert_eq!(server.events("login-impossible"), Vec::<serde_json::Value>::new());
    let layers = server.status()["layers"].to_string();
    assert!(layers.contains("ABI 2, without truncate"), "{layers}");
    assert!(layers.contains("nothing holds PAM's modules"), "{layers}");
    let on_that_kernel = |arguments: &[&str]| {
        let (first, words) = server.under.split_first().unwrap();
        let mut command = Command::new(first);
        command.args(words).arg(server.binaries.join("bulkhead"));
        command.arg("--config").arg(server.path("bulkhead.toml")).args(arguments);
        String::from_utf8(command.stdin(Stdio::null()).output().unwrap().stdout).unwrap()
    };
    let verified = on_that_kernel(&["policy", "verify"]);
    let flaws: Vec<&str> = verified.lines().filter(|line| line.contains(" layer ")).collect();
    // The processes of the running server are traced, which is what makes the other kernel.
    let live = verified.lines().filter(|line| line.contains(" pid ")).count();
    assert!(live > 2 && flaws.len() == live, "{verified}");
    assert!(flaws.iter().all(|flaw| flaw.contains("TracerPid")), "{verified}");
    for command in [["check"].as_slice(), &["policy", "check"]] {
        let said = on_that_kernel(command);
        assert!(said.contains("scope_signal") && said.contains("with PAM"), "{said}");
    }
}

/// The script hangs for one user; more of him try than may be judged at a time.
fn hanging() {
    let users = Users::new();
    users.add("hanger", 4811, SHA512, NO_AGES, &[]);
    script(
        "/etc/hang.sh",
        "#!/bin/sh\n[ \"$PAM_USER\" = hanger ] || exit 0\necho $$ >>/etc/hung\nexec sleep 600\n",
    );
    service(
        "auth required pam_exec.so quiet /etc/hang.sh\nauth required pam_unix.so nodelay\n\
         account required pam_unix.so\n",
    );
    users.add("sha", 4821, SHA512, NO_AGES, &[]);
    let server = server()
        .with("auth.max_authenticators", "1")
        .with("auth.timeout", "22")
        .with("limits.login_timeout", "120")
        .with_account("alice", &[])
        .run();
    let mut stuck: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for control in &mut stuck {
        control.command("USER hanger", 331);
        control.send("PASS password");
    }
    // One authenticator may run, and it hangs; the time limit is longer than anybody waits here.
    eventually("an authenticator that hangs", || {
        (!server.processes_of("authenticator").is_empty()).then_some(())
    });
    drop(server.log_in("alice"));
    let mut control = server.connect();
    control.command("USER sha", 331);
    control.command("PASS password", 230);
    assert!(
        server.events("login-impossible").is_empty(),
        "the others were let in while the attempts still hung"
    );
    let event = server.expect_event("login-impossible", |_| true).to_string();
    assert!(event.contains("a PAM module may hang"), "{event}");
    for control in &mut stuck {
        control.expect(421);
        control.expect_end();
    }
    // What a module has started is not the server's to end.
    for pid in fs::read_to_string("/etc/hung").unwrap().lines() {
        kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
    }
    eventually("the authenticators to be gone", || {
        server.processes_of("authenticator").is_empty().then_some(())
    });
}

fn sessions() {
    let users = Users::new();
    users.add("sha", 4811, SHA512, NO_AGES, &[]);
    script(
        "/etc/session.sh",
        "#!/bin/sh\necho \"$PAM_TYPE $PAM_USER $PAM_RHOST\" >>/etc/sessions\n\
         grep CapEff /proc/self/status >/etc/capabilities\n",
    );
    service(
        "auth required pam_unix.so nodelay\naccount required pam_unix.so\n\
         session required pam_exec.so quiet /etc/session.sh\n",
    );
    let mut server = server().with("auth.pam_session", "true").with_account("alice", &[]).run();
    let seen = || fs::read_to_string("/etc/sessions").unwrap_or_default();
    let expect = |lines: &[&str]| {
        let wanted: String = lines.iter().map(|l| format!("{l}_session sha 127.0.0.1\n")).collect();
        eventually(&format!("the sessions {lines:?}"), || (seen() == wanted).then_some(()));
    };
    let log_in = |server: &Server| {
        let mut control = server.connect();
        control.command("USER sha", 331);
        control.command("PASS password", 230);
        control
    };
    // Accounts of the account file have none, and a wrong password opens none.
    drop(server.log_in("alice"));
    let mut wrong = server.connect();
    wrong.command("USER sha", 331);
    wrong.command("PASS passwore", 530);
    let control = log_in(&server);
    expect(&["open"]);
    // PAM's modules have the capabilities they may need, and no other.
    let policy = policy::policy_of(policy::Role::PamAuthenticator).unwrap();
    let named = policy.capabilities.iter().map(|c| policy::capability_bit(&c.name).unwrap());
    let named = named.fold(0, |all, bit| all | bit);
    let ours = Process::look(std::process::id().cast_signed()).unwrap().capabilities("CapBnd");
    let found = fs::read_to_string("/etc/capabilities").unwrap();
    assert_eq!(found, format!("CapEff:\t{:016x}\n", named & ours));
    drop(control);
    expect(&["open", "close"]);
    // A session whose process is killed ends like any other.
    let control = log_in(&server);
    expect(&["open", "close", "open"]);
    let session = server.processes_of("sha session").pop().unwrap();
    session.signal(Signal::SIGKILL);
    expect(&["open", "close", "open", "close"]);
    drop(control);
    // The end of the server is the end of every session.
    let _control = log_in(&server);
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
    expect(&["open", "close", "open", "close", "open", "close"]);
}
