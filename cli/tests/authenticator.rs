//! The authenticator as the supervisor runs it: the real process under its real policy.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    io::Write,
    net::IpAddr,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    process::{Child, Command, Stdio},
};

use ipc::{
    Channel,
    authenticator::{
        Attempt, AuthSettings, AuthenticatorToSupervisor, Backend, I2ftpAccount,
        SupervisorToAuthenticator, Verdict,
    },
    bounded::{Secret, UserName},
    process::{Confinement, LandlockDemand},
    typed::{AuthenticatorToGate, GateToAuthenticator},
};
use tempfile::TempDir;

/// The channel over which a gate passes on what was typed.
type Typed = Channel<GateToAuthenticator, AuthenticatorToGate>;

const BULKHEAD: &str = env!("CARGO_BIN_EXE_bulkhead");

struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(
            directory.path().join("bulkhead.toml"),
            "state_directory = \"state\"\n[auth]\nusers_file = \"users.toml\"\n",
        )
        .unwrap();
        std::fs::create_dir(directory.path().join("files")).unwrap();
        Place { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn bulkhead(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let mut child = Command::new(BULKHEAD)
            .arg("--config")
            .arg(self.path().join("bulkhead.toml"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that fails before it reads leaves a broken pipe behind, which is no news.
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        let output = child.wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    fn add(&self, name: &str, password: &str, more: &[&str]) {
        let root = self.path().join("files");
        let mut arguments = vec!["user", "add", name, "--root", root.to_str().unwrap()];
        arguments.extend(["--uid", "4242", "--gid", "4343", "--password-stdin"]);
        arguments.extend(more);
        let (done, text) = self.bulkhead(&arguments, &format!("{password}\n"));
        assert!(done, "{text}");
    }

    fn settings(&self) -> AuthSettings {
        AuthSettings {
            backends: vec![Backend::File],
            users_file: self.path().join("users.toml"),
            state_directory: self.path().join("state"),
            pam_service: "bulkhead".into(),
            allow_groups: Vec::new(),
            allow_users: Vec::new(),
            deny_users: vec!["root".into()],
            minimum_uid: 1000,
            valid_shell: true,
            pam_rights: ipc::account::Rights::READ_WRITE,
            pam_session: false,
        }
    }

    fn judge(&self, attempt: Attempt, typed: &str) -> Verdict {
        self.judge_over(attempt, typed, "127.0.0.1".parse().unwrap(), false)
    }

    fn password(&self, user: &str, password: &str) -> Verdict {
        self.judge(Attempt::Password { user: name(user), client_name: None }, password)
    }

    fn judge_over(&self, attempt: Attempt, typed: &str, client: IpAddr, tls: bool) -> Verdict {
        let (gate, from_gate) = Typed::pair().unwrap();
        gate.send(&GateToAuthenticator::Typed(secret(typed)), &[]).unwrap();
        self.judge_with(attempt, from_gate.into_fd(), client, tls)
    }

    fn judge_with(&self, attempt: Attempt, typed: OwnedFd, client: IpAddr, tls: bool) -> Verdict {
        let (supervisor, mut child) = start();
        let confinement = Confinement { identity: None, landlock: LandlockDemand::Required };
        let settings = self.settings();
        let fds = if attempt.is_typed() { vec![typed.as_fd()] } else { Vec::new() };
        let message =
            SupervisorToAuthenticator::Attempt { confinement, settings, client, tls, attempt };
        supervisor.send(&message, &fds).unwrap();
        drop(typed);
        match supervisor.recv().unwrap().message {
            AuthenticatorToSupervisor::Ready(report) => assert!(report.system_calls > 0),
            other => panic!("no sandbox: {other:?}"),
        }
        let verdict = match supervisor.recv().unwrap().message {
            AuthenticatorToSupervisor::Verdict(verdict) => verdict,
            other => panic!("no verdict: {other:?}"),
        };
        assert!(child.wait().unwrap().success());
        verdict
    }
}

fn start() -> (Channel<SupervisorToAuthenticator, AuthenticatorToSupervisor>, Child) {
    let (ours, theirs) = Channel::pair().unwrap();
    let child = Command::new(BULKHEAD)
        .arg("authenticator")
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(theirs.into_fd()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (ours, child)
}

fn name(text: &str) -> UserName {
    UserName::try_from(text.to_owned()).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::try_from(text.as_bytes().to_vec()).unwrap()
}

fn reason(verdict: Verdict) -> String {
    match verdict {
        Verdict::Refused { reason } => reason,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn the_right_password_gives_the_account_and_a_wrong_one_nothing() {
    let place = Place::new();
    place.add("alice", "wonder land", &["--read-only"]);
    let Verdict::Granted(account) = place.password("alice", "wonder land") else {
        panic!("alice cannot log in");
    };
    assert_eq!((account.identity.uid, account.identity.gid), (4242, 4343));
    assert!(!account.rights.any_write());
    assert_eq!(reason(place.password("alice", "wonder")), "wrong-password");
    assert_eq!(reason(place.password("alice", "wonder land123456")), "wrong-password");
    assert_eq!(reason(place.password("bob", "wonder land")), "unknown-user");
    // A name that the configuration refuses (`[auth] deny_users`); the client is told no more than that
    // the login failed.
    assert_eq!(reason(place.password("root", "x")), "denied");
}

#[test]
fn an_account_may_be_bound_to_networks_and_tls_and_days() {
    let place = Place::new();
    place.add("net", "pw", &["--networks", "192.0.2.0/24"]);
    place.add("tls", "pw", &["--tls", "control"]);
    place.add("old", "pw", &["--expires", "2020-01-01"]);
    assert_eq!(reason(place.password("net", "pw")), "network");
    assert_eq!(place.password("tls", "pw"), Verdict::TlsDemanded);
    assert_eq!(reason(place.password("tls", "wrong")), "wrong-password");
    assert_eq!(reason(place.password("old", "pw")), "expired");
    let over_tls = Attempt::Password { user: name("tls"), client_name: None };
    let client = "::1".parse().unwrap();
    assert!(matches!(place.judge_over(over_tls, "pw", client, true), Verdict::Granted(_)));
}

#[test]
fn i7_a_gate_that_passes_nothing_on_or_breaks_the_rules_has_no_verdict_of_its_own() {
    let place = Place::new();
    place.add("alice", "pw", &[]);
    let attempt = || Attempt::Password { user: name("alice"), client_name: None };
    let client = "127.0.0.1".parse().unwrap();
    let silent = Typed::pair().unwrap();
    let began = std::time::Instant::now();
    let verdict = place.judge_with(attempt(), silent.1.into_fd(), client, false);
    assert!(matches!(&verdict, Verdict::Broken(why) if why.contains("gate")), "{verdict:?}");
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    let frames: [&[u8]; 3] = [b"", b"\0\xff\xff", &[0; 5000]];
    for frame in frames {
        let (gate, from_gate) = Typed::pair().unwrap();
        rustix::io::write(&gate, frame).unwrap();
        drop(gate);
        let verdict = place.judge_with(attempt(), from_gate.into_fd(), client, false);
        assert!(matches!(verdict, Verdict::Broken(_)), "{verdict:?}");
    }
    assert!(matches!(place.password("alice", "pw"), Verdict::Granted(_)));
}

/// The secret and the recovery codes `user add --totp` has printed.
fn enrolled(text: &str) -> (String, Vec<String>) {
    let secret = text.lines().find_map(|line| line.trim().strip_prefix("secret")).unwrap();
    let codes = text.lines().map(str::trim).filter(|line| line.split('-').count() == 4);
    (secret.trim().to_owned(), codes.map(str::to_owned).collect())
}

/// The code of a secret, so many steps from now.
fn code(secret: &str, steps: i64) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    let generator = totp_rs::Builder::new().with_secret(secret).build().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    generator.generate(now.as_secs().checked_add_signed(steps * 30).unwrap()).to_string()
}

impl Place {
    fn add_with_totp(&self, name: &str, password: &str) -> (String, Vec<String>) {
        let root = self.path().join("files");
        let arguments = ["user", "add", name, "--root", root.to_str().unwrap(), "--totp"];
        let identity = ["--uid", "4242", "--gid", "4343", "--password-stdin"];
        let (done, text) =
            self.bulkhead(&[&arguments[..], &identity[..]].concat(), &format!("{password}\n"));
        assert!(done, "{text}");
        enrolled(&text)
    }

    fn code(&self, user: &str, code: &str) -> Verdict {
        self.code_of(user, user, code)
    }

    /// A code for a login whose first stage has come to another name.
    fn code_of(&self, user: &str, canonical: &str, code: &str) -> Verdict {
        let (user, canonical) = (name(user), name(canonical));
        self.judge(Attempt::SecondFactor { user, canonical }, code)
    }
}

#[test]
fn b9_a_code_is_for_nobody_but_whoevers_password_was_right() {
    let place = Place::new();
    let (secret, _) = place.add_with_totp("alice", "pw");
    let right = code(&secret, 0);
    assert_eq!(reason(place.code_of("alice", "bob", &right)), "another-user");
    assert!(matches!(place.code_of("alice", "alice", &right), Verdict::Granted(_)));
}

#[test]
fn b7_the_sixth_wrong_code_in_a_row_is_not_judged_and_a_right_one_begins_anew() {
    let place = Place::new();
    let (secret, _) = place.add_with_totp("alice", "pw");
    for _ in 0..4 {
        assert_eq!(reason(place.code("alice", "abcdef")), "wrong-code");
    }
    assert!(matches!(place.code("alice", &code(&secret, 0)), Verdict::Granted(_)));
    for _ in 0..4 {
        assert_eq!(reason(place.code("alice", "abcdef")), "wrong-code");
    }
    let fifth = reason(place.code("alice", "abcdef"));
    assert!(fifth.starts_with("second-factor-guessing: 5 wrong codes"), "{fifth}");
    let sixth = reason(place.code("alice", &code(&secret, 1)));
    assert!(sixth.starts_with("second-factor-guessing: 5 wrong codes"), "{sixth}");
}

#[test]
fn a_code_is_asked_for_and_accepted_once() {
    let place = Place::new();
    let (secret, _) = place.add_with_totp("alice", "pw");
    let awaited = Verdict::NeedSecondFactor { canonical: name("alice") };
    assert_eq!(place.password("alice", "pw"), awaited);
    assert_eq!(reason(place.password("alice", "wrong")), "wrong-password");
    assert_eq!(reason(place.code("alice", "abcdef")), "wrong-code");
    for (steps, said) in [(-120, "3600 s before now"), (120, "3600 s after now")] {
        let off = reason(place.code("alice", &code(&secret, steps)));
        assert!(off.contains(said) && off.contains("compare the clocks"), "{off}");
    }
    let right = code(&secret, 0);
    assert!(matches!(place.code("alice", &right), Verdict::Granted(_)));
    // Every authenticator is a new process, so this is also a restart of the server.
    assert_eq!(reason(place.code("alice", &right)), "used-code");
    for steps in [-1, -2, -60] {
        assert_eq!(reason(place.code("alice", &code(&secret, steps))), "used-code");
    }
}

#[test]
fn a_clock_that_was_set_back_is_named_and_damaged_memory_lets_nobody_in() {
    let place = Place::new();
    let (secret, _) = place.add_with_totp("alice", "pw");
    assert!(matches!(place.code("alice", &code(&secret, 0)), Verdict::Granted(_)));
    let directory = place.path().join("state/second-factor");
    let memory = std::fs::read_dir(directory).unwrap().next().unwrap().unwrap().path();
    let step: u64 = std::fs::read_to_string(&memory).unwrap()[5..].trim().parse().unwrap();
    std::fs::write(&memory, format!("step {}\n", step + 120)).unwrap();
    let back = reason(place.code("alice", &code(&secret, 1)));
    assert!(back.starts_with("used-code") && back.contains("set back"), "{back}");
    std::fs::write(&memory, "step soon\n").unwrap();
    let Verdict::Broken(why) = place.code("alice", &code(&secret, 1)) else {
        panic!("a memory that cannot be read must not count as none");
    };
    assert!(why.contains("damaged"), "{why}");
}

#[test]
fn an_empty_password_is_refused_even_where_it_is_right() {
    let place = Place::new();
    place.add("alice", "pw", &[]);
    let file = place.path().join("users.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let hash = text.lines().find_map(|line| line.strip_prefix("password = ")).unwrap();
    // crypt(3) of nothing.
    let empty = "\"$5$saltsalt$09agN5RZ2meWdEdnEusqsq5G7RwwghB8jCKoWWADxW/\"";
    std::fs::write(&file, text.replace(hash, empty)).unwrap();
    assert_eq!(reason(place.password("alice", "")), "wrong-password");
    assert_eq!(reason(place.password("nobody", "")), "unknown-user");
}

#[test]
fn a_code_may_be_glued_behind_the_password() {
    let place = Place::new();
    let (secret, _) = place.add_with_totp("alice", "pw");
    let glued = format!("pw{}", code(&secret, 0));
    assert!(reason(place.password("alice", "pw000000")).starts_with("wrong-code"));
    assert!(matches!(place.password("alice", &glued), Verdict::Granted(_)));
    assert_eq!(reason(place.password("alice", &glued)), "used-code");
    assert_eq!(reason(place.password("bob", &glued)), "unknown-user");
}

#[test]
fn of_simultaneous_logins_with_one_code_exactly_one_wins() {
    let place = Place::new();
    let (secret, _) = place.add_with_totp("alice", "pw");
    let right = code(&secret, 0);
    let verdicts: Vec<Verdict> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..6).map(|_| scope.spawn(|| place.code("alice", &right))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let granted = verdicts.iter().filter(|v| matches!(v, Verdict::Granted(_))).count();
    assert_eq!(granted, 1, "{verdicts:?}");
}

#[test]
fn a_recovery_code_works_once() {
    let place = Place::new();
    let (_, codes) = place.add_with_totp("alice", "pw");
    assert_eq!(codes.len(), 8);
    assert!(matches!(place.code("alice", &codes[0]), Verdict::Granted(_)));
    assert_eq!(reason(place.code("alice", &codes[0])), "used-code");
    assert!(matches!(place.code("alice", &codes[1].to_uppercase()), Verdict::Granted(_)));
    let (done, text) = place.bulkhead(&["user", "totp", "alice", "--remove"], "");
    assert!(done, "{text}");
    assert!(matches!(place.password("alice", "pw"), Verdict::Granted(_)));
}

#[test]
fn an_account_that_must_have_a_second_factor_cannot_do_without() {
    let place = Place::new();
    place.add("alice", "pw", &[]);
    let file = place.path().join("users.toml");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str("second_factor = true\n");
    std::fs::write(&file, text).unwrap();
    assert_eq!(reason(place.password("alice", "pw")), "no-second-factor");
    assert_eq!(reason(place.code("alice", "123456")), "no-second-factor");
}

#[test]
fn a_damaged_or_open_account_file_is_named() {
    let place = Place::new();
    place.add("alice", "pw", &[]);
    let file = place.path().join("users.toml");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str("colour = \"red\"\n");
    std::fs::write(&file, text).unwrap();
    let Verdict::Broken(why) = place.password("alice", "pw") else { panic!("not broken") };
    assert!(why.contains("users.toml:") && why.contains("colour"), "{why}");
}

#[test]
fn accounts_are_listed_changed_and_removed() {
    let place = Place::new();
    place.add("alice", "one", &[]);
    let (done, text) = place.bulkhead(&["user", "passwd", "alice", "--password-stdin"], "two\n");
    assert!(done, "{text}");
    assert!(matches!(place.password("alice", "two"), Verdict::Granted(_)));
    assert_eq!(reason(place.password("alice", "one")), "wrong-password");
    let (_, text) = place.bulkhead(&["user", "list"], "");
    assert!(text.contains("alice") && text.contains("4242:4343"), "{text}");
    assert!(!text.contains("argon2"), "{text}");
    let (done, _) = place.bulkhead(&["user", "remove", "alice"], "");
    assert!(done);
    assert_eq!(reason(place.password("alice", "two")), "unknown-user");
    let (done, text) = place.bulkhead(&["user", "remove", "alice"], "");
    assert!(!done && text.contains("no account"), "{text}");
}

#[test]
fn imported_accounts_log_in_and_the_rest_is_named() {
    let place = Place::new();
    let list = place.path().join("passwd");
    let files = place.path().join("files");
    let crypted = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";
    let text = format!(
        "# old accounts\nold:{crypted}:4001:4002::{}:/bin/false\nweak:$1$salt$hash\n",
        files.display()
    );
    std::fs::write(&list, text).unwrap();
    let (done, text) = place.bulkhead(&["user", "import", list.to_str().unwrap()], "");
    assert!(!done && text.contains("Took over 1 account") && text.contains("passwd:3:"), "{text}");
    let Verdict::Granted(account) = place.password("old", "password") else {
        panic!("an imported account cannot log in");
    };
    assert_eq!((account.identity.uid, account.identity.gid), (4001, 4002));
    assert_eq!(reason(place.password("old", "passwore")), "wrong-password");
    assert_eq!(reason(place.password("stranger", "x")), "unknown-user");
}

#[test]
fn names_passwords_and_identities_that_cannot_work_are_refused() {
    let place = Place::new();
    let root = place.path().join("files");
    let root = root.to_str().unwrap();
    let refused = |arguments: &[&str], input: &str, word: &str| {
        let (done, text) = place.bulkhead(arguments, input);
        assert!(!done && text.contains(word), "{arguments:?}: {text}");
    };
    let base = ["user", "add", "bob", "--root", root, "--password-stdin"];
    let with = |more: &[&'static str]| [&base[..], more].concat();
    refused(&with(&["--uid", "7", "--gid", "7"]), "\n", "empty");
    refused(&with(&["--uid", "0"]), "pw\n", "0 is not in 1..");
    refused(&with(&["--rights", "fly"]), "pw\n", "overwrite");
    refused(&with(&["--uid", "7", "--gid", "7"]), &"x".repeat(2000), "longer than 1024");
    refused(&with(&["--uid", "7", "--gid", "7"]), "a\0b\n", "control character");
    refused(&["user", "add", "bob", "--root", "/nonexistent"], "", "/nonexistent");
    refused(&["user", "add", "ftp", "--root", root], "", "anonymous");
    if std::fs::metadata("/proc/1").is_ok() && rustix::process::geteuid().is_root() {
        refused(&base, "pw\n", "uid or gid 0");
    }
    assert!(!place.path().join("users.toml").exists());
}

#[test]
fn a_configuration_that_cannot_work_ends_with_code_two() {
    let place = Place::new();
    std::fs::write(place.path().join("bulkhead.toml"), "listen_prot = 1\nfoo = 2\n").unwrap();
    let output = Command::new(BULKHEAD)
        .arg("--config")
        .arg(place.path().join("bulkhead.toml"))
        .args(["user", "list"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("bulkhead.toml:1:") && text.contains("bulkhead.toml:2:"), "{text}");
}

#[test]
fn garbage_on_the_channel_ends_the_authenticator_without_an_answer() {
    let (supervisor, mut child) = start();
    let fd = supervisor.into_fd();
    rustix::net::send(&fd, &[0, 200, 1, 2], rustix::net::SendFlags::empty()).unwrap();
    assert!(!child.wait().unwrap().success());
}

#[test]
fn b11_the_verdict_of_a_right_proof_carries_the_account() {
    use i2ftp::{Psk, dynkey};
    let place = Place::new();
    place.add("alice", "pw", &[]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let (psk, nonce) = ([7; 32], [9; 64]);
    let unit = dynkey::proof_unit(now.as_secs_f64());
    let proof = dynkey::proof(&Psk::new(&psk), &nonce, unit);
    let attempt = |account: &str, proof: [u8; 64]| Attempt::I2ftpProof {
        psk: Secret::try_from(psk.to_vec()).unwrap(),
        nonce: nonce.to_vec().try_into().unwrap(),
        proof: proof.to_vec().try_into().unwrap(),
        account: I2ftpAccount { account: Some(account.into()), root: None, read_only: true },
    };
    let Verdict::Granted(account) = place.judge(attempt("alice", proof), "") else { panic!() };
    assert_eq!(account.name, name("alice"));
    assert!(!account.rights.any_write(), "read_only narrows what the account says");
    assert_eq!(reason(place.judge(attempt("alice", [0; 64]), "")), "wrong-i2ftp-proof");
    let unknown = place.judge(attempt("nobody", proof), "");
    assert!(matches!(&unknown, Verdict::Broken(why) if why.contains("nobody")), "{unknown:?}");
}
