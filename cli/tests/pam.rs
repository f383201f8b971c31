//! System users through the real PAM of this machine, in a mount namespace of the test's own: users,
//! shadow entries and services are made in a copy of /etc that nobody else sees. Needs root.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![cfg(feature = "pam")]

use std::{
    fs,
    net::IpAddr,
    os::{fd::AsFd, unix::fs::PermissionsExt},
    process::{Command, Stdio},
    sync::Once,
};

use ipc::{
    Channel,
    account::Rights,
    authenticator::{
        Attempt, AuthSettings, AuthenticatorToSupervisor, Backend, SupervisorToAuthenticator,
        Verdict,
    },
    bounded::{Secret, UserName},
    process::{Confinement, LandlockDemand},
    typed::{AuthenticatorToGate, GateToAuthenticator},
};

/// Set in the copy of this program that runs in the namespace.
const INSIDE: &str = "BULKHEAD_TEST_INSIDE";
/// The users of the scratch /etc: name, uid, shell, shadow hash and last change of the password.
/// The password of all is "password"; hashes by crypt(3).
const USERS: [(&str, u32, &str, &str); 7] = [
    ("yes", 4100, "/bin/sh", YESCRYPT),
    ("sha", 4101, "/bin/sh", SHA512),
    ("low", 500, "/bin/sh", SHA512),
    ("shell", 4103, "/usr/sbin/nologin", SHA512),
    ("stale", 4104, "/bin/sh", SHA512),
    ("gone", 4105, "/bin/sh", SHA512),
    ("homeless", 4106, "/bin/sh", SHA512),
];
const YESCRYPT: &str = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$tnSYvahCwPBHKZUspmcxMfb0.WiB9W.zEaKlOBL35rC";
const SHA512: &str = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";

/// Runs `test` in a mount namespace with a scratch /etc. Says so and passes where that cannot be.
fn in_namespace(name: &str, test: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: {name} needs root for a mount namespace");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let script = "cp -a /etc/. \"$1\" && mount --bind \"$1\" /etc && shift && exec \"$@\"";
    let status = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(scratch.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{name} failed in its namespace");
}

static SET_UP: Once = Once::new();

fn set_up() {
    SET_UP.call_once(|| {
        let homes = std::env::temp_dir().join(format!("bulkhead-homes-{}", std::process::id()));
        let (mut passwd, mut shadow, mut group) = (
            fs::read_to_string("/etc/passwd").unwrap(),
            fs::read_to_string("/etc/shadow").unwrap(),
            fs::read_to_string("/etc/group").unwrap(),
        );
        for (name, uid, shell, hash) in USERS {
            let home = homes.join(name);
            if name != "homeless" {
                fs::create_dir_all(&home).unwrap();
                std::os::unix::fs::chown(&home, Some(uid), Some(uid)).unwrap();
                fs::set_permissions(&home, PermissionsExt::from_mode(0o700)).unwrap();
            }
            passwd += &format!("{name}:x:{uid}:{uid}::{}:{shell}\n", home.display());
            // "stale" must change its password (last change 0), "gone" expired on 2 January 1970.
            let rest = match name {
                "stale" => "0:0:99999:7:::",
                "gone" => "19000:0:99999:7::1:",
                _ => "19000:0:99999:7:::",
            };
            shadow += &format!("{name}:{hash}:{rest}\n");
            group += &format!("{name}:x:{uid}:\n");
        }
        group += "filetransfer:x:4200:sha\nothers:x:4201:sha,yes\n";
        fs::write("/etc/passwd", passwd).unwrap();
        fs::write("/etc/shadow", shadow).unwrap();
        fs::write("/etc/group", group).unwrap();
        fs::write("/etc/shells", "/bin/sh\n").unwrap();
        fs::write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\n").unwrap();
        service("bulkhead", "auth required pam_unix.so nodelay\naccount required pam_unix.so\n");
    });
}

fn service(name: &str, stack: &str) {
    fs::write(format!("/etc/pam.d/{name}"), stack).unwrap();
}

fn settings() -> AuthSettings {
    AuthSettings {
        backends: vec![Backend::File, Backend::Pam],
        users_file: "/etc/bulkhead-test-users.toml".into(),
        state_directory: "/etc/bulkhead-test-state".into(),
        pam_service: "bulkhead".into(),
        allow_groups: Vec::new(),
        allow_users: Vec::new(),
        deny_users: vec!["root".into()],
        minimum_uid: 1000,
        valid_shell: true,
        pam_rights: Rights::READ_ONLY,
        pam_session: false,
    }
}

/// An attempt, and what its gate passes on.
struct Tried {
    attempt: Attempt,
    typed: Option<Secret>,
}

impl From<Attempt> for Tried {
    fn from(attempt: Attempt) -> Tried {
        Tried { attempt, typed: None }
    }
}

fn judge(settings: AuthSettings, client: &str, tried: Tried) -> Verdict {
    let Tried { attempt, typed } = tried;
    let (gate, from_gate) = Channel::<GateToAuthenticator, AuthenticatorToGate>::pair().unwrap();
    let from_gate = typed.map(|typed| {
        gate.send(&GateToAuthenticator::Typed(typed), &[]).unwrap();
        from_gate.into_fd()
    });
    let (supervisor, theirs) =
        Channel::<SupervisorToAuthenticator, AuthenticatorToSupervisor>::pair().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_bulkhead"))
        .arg("authenticator")
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(theirs.into_fd()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let client: IpAddr = client.parse().unwrap();
    let confinement = Confinement { identity: None, landlock: LandlockDemand::Required };
    let message =
        SupervisorToAuthenticator::Attempt { confinement, settings, client, tls: false, attempt };
    let fds: Vec<_> = from_gate.iter().map(AsFd::as_fd).collect();
    supervisor.send(&message, &fds).unwrap();
    // Only against a test that never ends.
    let timeout = rustix::net::sockopt::Timeout::Recv;
    let patience = Some(std::time::Duration::from_secs(60));
    rustix::net::sockopt::set_socket_timeout(&supervisor, timeout, patience).unwrap();
    let ready = supervisor.recv().unwrap().message;
    assert!(matches!(ready, AuthenticatorToSupervisor::Ready(_)), "{ready:?}");
    let AuthenticatorToSupervisor::Verdict(verdict) = supervisor.recv().unwrap().message else {
        panic!("no verdict");
    };
    assert!(child.wait().unwrap().success());
    verdict
}

fn attempt(user: &str, password: &str) -> Tried {
    let user = UserName::try_from(user.to_owned()).unwrap();
    let typed = Some(Secret::try_from(password.as_bytes().to_vec()).unwrap());
    Tried { attempt: Attempt::Password { user, client_name: None }, typed }
}

fn password(user: &str, password: &str) -> Verdict {
    judge(settings(), "127.0.0.1", attempt(user, password))
}

fn reason(verdict: Verdict) -> String {
    match verdict {
        Verdict::Refused { reason } => reason,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn shadow_entries_of_both_formats_log_in_with_exact_groups() {
    in_namespace("shadow_entries_of_both_formats_log_in_with_exact_groups", || {
        set_up();
        for (user, uid, groups) in [("yes", 4100, vec![4201]), ("sha", 4101, vec![4200, 4201])] {
            let Verdict::Granted(account) = password(user, "password") else {
                panic!("{user} cannot log in");
            };
            assert_eq!((account.identity.uid, account.identity.gid), (uid, uid));
            assert_eq!(account.identity.groups, groups);
            assert!(account.root.ends_with(user) && account.rights == Rights::READ_ONLY);
            assert_eq!(reason(password(user, "passwore")), "wrong-password");
            assert_eq!(reason(password(user, "")), "wrong-password");
        }
        assert!(
            ["unknown-user", "wrong-password"]
                .contains(&reason(password("nobody-here", "password")).as_str())
        );
    });
}

#[test]
fn the_rules_for_system_users_hold() {
    in_namespace("the_rules_for_system_users_hold", || {
        set_up();
        assert_eq!(reason(password("low", "password")), "uid-below-minimum");
        assert_eq!(reason(password("shell", "password")), "invalid-shell");
        assert_eq!(reason(password("gone", "password")), "expired");
        assert_eq!(reason(password("homeless", "password")), "no-home");
        assert!(matches!(password("stale", "password"), Verdict::Expired(_)));
        assert_eq!(reason(password("stale", "wrong")), "wrong-password");
        let group = AuthSettings { allow_groups: vec!["filetransfer".into()], ..settings() };
        let of = |user| judge(group.clone(), "127.0.0.1", attempt(user, "password"));
        assert!(matches!(of("sha"), Verdict::Granted(_)));
        assert_eq!(reason(of("yes")), "group-not-allowed");
        let denied = AuthSettings { deny_users: vec!["sha".into()], ..settings() };
        let verdict = judge(denied, "127.0.0.1", attempt("sha", "password"));
        assert!(matches!(verdict, Verdict::Refused { .. }), "{verdict:?}");
    });
}

#[test]
fn modules_see_the_numeric_address_and_may_start_programs() {
    in_namespace("modules_see_the_numeric_address_and_may_start_programs", || {
        set_up();
        fs::write("/etc/judge.sh", "#!/bin/sh\nread -r secret\n[ \"$PAM_RHOST\" = 2001:db8::7 ] && [ \"$secret\" = open ]\n").unwrap();
        fs::set_permissions("/etc/judge.sh", PermissionsExt::from_mode(0o700)).unwrap();
        service(
            "scratch",
            "auth required pam_exec.so expose_authtok quiet /etc/judge.sh\naccount required pam_permit.so\n",
        );
        let scratch = AuthSettings { pam_service: "scratch".into(), ..settings() };
        let of = |client, secret| judge(scratch.clone(), client, attempt("sha", secret));
        let granted = of("2001:db8::7", "open");
        assert!(matches!(granted, Verdict::Granted(_)), "{granted:?}");
        assert!(matches!(of("2001:db8::8", "open"), Verdict::Refused { .. }));
        assert!(matches!(of("2001:db8::7", "shut"), Verdict::Refused { .. }));
    });
}

#[test]
fn a_system_user_may_have_a_second_factor() {
    in_namespace("a_system_user_may_have_a_second_factor", || {
        set_up();
        const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
        let file = "/etc/bulkhead-test-users.toml";
        fs::write(file, format!("[second_factors.sha]\nsecret = \"{SECRET}\"\n")).unwrap();
        fs::set_permissions(file, PermissionsExt::from_mode(0o600)).unwrap();
        let secret = totp_rs::Secret::try_from_base32(SECRET).unwrap();
        let code = totp_rs::Builder::new().with_secret(secret).build().unwrap().generate_current();
        let code = code.to_string();
        let user = UserName::try_from("sha".to_owned()).unwrap();
        let awaited = Verdict::NeedSecondFactor { canonical: user.clone() };
        assert_eq!(password("sha", "password"), awaited);
        let glued = format!("password{code}");
        assert!(matches!(password("sha", &glued), Verdict::Granted(_)));
        assert_eq!(reason(password("sha", &glued)), "used-code");
        let canonical = user.clone();
        let typed = Some(Secret::try_from(code.into_bytes()).unwrap());
        let again = Tried { attempt: Attempt::SecondFactor { user, canonical }, typed };
        let again = judge(settings(), "127.0.0.1", again);
        assert_eq!(reason(again), "used-code");
    });
}

#[test]
fn no_pause_of_a_module_holds_the_authenticator() {
    in_namespace("no_pause_of_a_module_holds_the_authenticator", || {
        set_up();
        let stack = "auth optional pam_faildelay.so delay=600000000\n\
                     auth required pam_unix.so nodelay\naccount required pam_unix.so\n";
        service("late", stack);
        let late = AuthSettings { pam_service: "late".into(), ..settings() };
        let of = |secret| judge(late.clone(), "127.0.0.1", attempt("sha", secret));
        // With the pause, ten minutes would pass before this is answered.
        assert_eq!(reason(of("wrong")), "wrong-password");
        assert!(matches!(of("password"), Verdict::Granted(_)));
    });
}

#[test]
fn a_session_is_opened_and_closed_and_may_make_the_home() {
    in_namespace("a_session_is_opened_and_closed_and_may_make_the_home", || {
        set_up();
        let script = "#!/bin/sh\necho \"$PAM_TYPE $PAM_USER $PAM_RHOST $PAM_TTY\" >>/etc/sessions\n\
                      [ \"$PAM_TYPE\" = open_session ] || exit 0\n\
                      mkdir ~homeless && chown 4106 ~homeless\n";
        fs::write("/etc/session.sh", script).unwrap();
        fs::set_permissions("/etc/session.sh", PermissionsExt::from_mode(0o700)).unwrap();
        service(
            "sessions",
            "auth required pam_unix.so nodelay\naccount required pam_unix.so\n\
             session required pam_exec.so quiet /etc/session.sh\n",
        );
        let with = AuthSettings { pam_service: "sessions".into(), pam_session: true, ..settings() };
        let of = |attempt| judge(with.clone(), "2001:db8::7", attempt);
        let Verdict::GrantedInSession(account) = of(attempt("homeless", "password")) else {
            panic!("the home need not be there before the session is");
        };
        let user = account.name;
        assert_eq!(of(Attempt::OpenSession { user: user.clone() }.into()), Verdict::SessionOpened);
        let home = fs::metadata(&account.root).unwrap();
        assert!(home.is_dir() && std::os::unix::fs::MetadataExt::uid(&home) == 4106);
        assert_eq!(of(Attempt::CloseSession { user }.into()), Verdict::SessionClosed);
        let seen = fs::read_to_string("/etc/sessions").unwrap();
        let line = "session homeless 2001:db8::7 ftp\n";
        assert_eq!(seen, format!("open_{line}close_{line}"));

        service(
            "shut",
            "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_deny.so\n",
        );
        let shut = AuthSettings { pam_service: "shut".into(), ..with };
        let user = UserName::try_from("sha".to_owned()).unwrap();
        let refused = judge(shut, "127.0.0.1", Attempt::OpenSession { user }.into());
        assert_eq!(reason(refused), "session-refused-by-pam");
    });
}
