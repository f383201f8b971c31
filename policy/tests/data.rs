//! Promises about the policy data: what the design page says of each role, spelled out.

use ipc::account::Rights;
use policy::{
    Feature, Features, Role, compile,
    model::{IdentityKind, LimitedResource, Style},
    policy_of,
};

/// The widest session that may not write: TLS and I2FTP are on.
fn read_only() -> Features {
    Features::from_rights(Rights::READ_ONLY).with(Feature::Tls).with(Feature::I2ftp)
}

#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
fn calls(role: Role, features: Features) -> Vec<&'static str> {
    compile::allowed_names(&policy_of(role).unwrap(), features)
}

#[test]
fn every_policy_loads_and_compiles_with_and_without_its_features() {
    for role in Role::ALL {
        let policy = policy_of(role).unwrap();
        for features in [Features::NONE, read_only(), Features::all()] {
            for program in compile::programs(&policy, features).unwrap() {
                assert!(!program.is_empty() && program.len() < 4096, "{role}");
            }
        }
    }
}

#[test]
fn the_numbers_of_allowed_system_calls_stay_at_or_under_the_goals() {
    for (role, features, goal) in [
        (Role::Gate, Features::all(), 16),
        (Role::Relay, Features::all(), 11),
        (Role::Keeper, Features::all(), 12),
        (Role::Helper, Features::all(), 18),
        (Role::Authenticator, Features::all(), 19),
        (Role::Session, read_only(), 28),
        (Role::Session, Features::all(), 36),
    ] {
        let calls = calls(role, features);
        assert!(calls.len() <= goal, "{role}: {} of {goal}: {calls:?}", calls.len());
    }
}

#[test]
fn dangerous_calls_are_in_no_allow_list_but_the_helpers_own() {
    let dangerous = [
        "open",
        "openat",
        "socket",
        "connect",
        "bind",
        "listen",
        "execve",
        "execveat",
        "clone",
        "clone3",
        "fork",
        "vfork",
        "kill",
        "tgkill",
        "ptrace",
        "ioctl",
        "rt_sigaction",
        "rt_sigprocmask",
        "sigaltstack",
        "mprotect",
        "io_uring_setup",
        "bpf",
        "unshare",
        "setns",
        "mount",
        "setuid",
        "setresuid",
        "prlimit64",
        "memfd_create",
        "pidfd_getfd",
        "keyctl",
        "linkat",
        "mknodat",
        "fchown",
        "chroot",
        "socketpair",
        "rt_sigreturn",
    ];
    for role in [Role::Keeper, Role::Helper, Role::Gate, Role::Relay, Role::Session] {
        let calls = calls(role, Features::all());
        for name in dangerous {
            let own =
                role == Role::Helper && ["socket", "connect", "bind", "listen"].contains(&name);
            assert_eq!(calls.contains(&name), own, "{role}: {name}");
        }
    }
}

#[test]
fn the_roles_that_face_clients_name_what_is_allowed() {
    for role in Role::ALL {
        let policy = policy_of(role).unwrap();
        let trusted = matches!(role, Role::Supervisor | Role::PamAuthenticator);
        let root = trusted || role == Role::Authenticator;
        assert_eq!(policy.seccomp.style == Style::Deny, trusted, "{role}");
        assert_eq!(policy.identity.is == IdentityKind::Root, root, "{role}");
        assert!(policy.process.no_new_privs.is, "{role}");
        assert!(!policy.process.dumpable.is, "{role}");
        assert_eq!(policy.process.dies_with_parent.is, role != Role::Supervisor, "{role}");
    }
}

#[test]
fn a11_no_captured_process_takes_the_memory_of_the_host() {
    const MIB: u64 = 1 << 20;
    for (role, most) in [
        (Role::Gate, 64 * MIB),
        (Role::Relay, 64 * MIB),
        (Role::Session, 128 * MIB),
        (Role::Helper, 128 * MIB),
        (Role::Keeper, 512 * MIB),
        (Role::Authenticator, 2048 * MIB),
    ] {
        let limits = policy_of(role).unwrap().limits;
        let memory = limits.iter().find(|limit| limit.resource == LimitedResource::As).unwrap();
        assert!(memory.at_most <= most, "{role}: {}", memory.at_most);
    }
}

#[test]
fn an_authenticator_of_the_account_file_can_do_nothing_but_judge() {
    let calls = calls(Role::Authenticator, Features::all());
    for name in ["recvmsg", "socket", "connect", "execve", "clone", "kill", "ptrace", "setuid"] {
        assert!(!calls.contains(&name), "{name}");
    }
    let policy = policy_of(Role::Authenticator).unwrap();
    assert!(policy.landlock.files.is && policy.landlock.network.is && policy.landlock.scopes.is);
    assert!(!policy.landlock.allowed.iter().any(|allowed| allowed.right == "execute"));
}

#[test]
fn capabilities_are_those_of_the_design() {
    let held = |role| -> Vec<String> {
        let policy = policy_of(role).unwrap();
        policy.capabilities.into_iter().map(|c| c.name).collect()
    };
    for role in [Role::Keeper, Role::Authenticator, Role::Gate, Role::Relay, Role::Session] {
        assert!(held(role).is_empty(), "{role}");
    }
    assert_eq!(held(Role::Helper), ["NET_BIND_SERVICE"]);
    for never in ["SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN", "SYS_MODULE", "MKNOD", "SYS_RAWIO"] {
        for role in Role::ALL {
            assert!(!held(role).contains(&never.to_owned()), "{role}: {never}");
        }
    }
}

#[test]
fn landlock_takes_everything_from_roles_without_files() {
    for role in [Role::Keeper, Role::Helper, Role::Gate, Role::Relay] {
        let landlock = policy_of(role).unwrap().landlock;
        assert!(landlock.files.is && landlock.scopes.is, "{role}");
        assert!(landlock.allowed.is_empty(), "{role}");
        assert_eq!(landlock.network.is, role != Role::Helper, "{role}");
    }
}

/// Each right by itself: a review sees here what an account's right opens in the kernel.
#[test]
fn each_right_of_an_account_opens_exactly_these_landlock_rights() {
    let landlock = policy_of(Role::Session).unwrap().landlock;
    assert!(landlock.files.is && landlock.network.is && landlock.scopes.is);
    let opened = |features: Features| -> Vec<String> {
        let rights = landlock.allowed.iter().filter(|a| a.applies(features));
        let mut names: Vec<_> = rights.map(|a| a.right.clone()).collect();
        names.sort();
        names
    };
    let right = |name| Features::from_rights(Rights::from_name(name).unwrap());
    assert_eq!(opened(Features::NONE), [""; 0]);
    assert_eq!(opened(right("list")), ["read_dir"]);
    assert_eq!(opened(right("read")), ["read_file"]);
    assert_eq!(opened(right("write")), ["make_reg", "write_file"]);
    assert_eq!(opened(right("append")), ["truncate", "write_file"]);
    assert_eq!(opened(right("overwrite")), ["truncate", "write_file"]);
    assert_eq!(opened(right("delete")), ["remove_file"]);
    assert_eq!(
        opened(right("rename")),
        ["make_dir", "make_reg", "refer", "remove_dir", "remove_file"]
    );
    assert_eq!(opened(right("mkdir")), ["make_dir"]);
    assert_eq!(opened(right("rmdir")), ["remove_dir"]);
    assert_eq!(opened(right("chmod")), [""; 0]);
    assert_eq!(opened(right("symlink")), ["make_sym"]);
    assert_eq!(opened(read_only()), ["read_dir", "read_file"]);
    let never = ["execute", "make_char", "make_block", "make_sock", "make_fifo", "ioctl_dev"];
    assert!(!opened(Features::all()).iter().any(|r| never.contains(&r.as_str())));
}

#[test]
fn a_read_only_session_has_no_call_that_changes_anything() {
    // Nor if uploads, of which it can make none, are atomic and synced.
    let features = read_only().with(Feature::AtomicUploads).with(Feature::SyncUploads);
    let calls = calls(Role::Session, features);
    for name in [
        "unlinkat",
        "renameat2",
        "mkdirat",
        "fchmod",
        "utimensat",
        "symlinkat",
        "ftruncate",
        "splice",
        "fsync",
        "pwrite64",
        "fallocate",
        "copy_file_range",
    ] {
        assert!(!calls.contains(&name), "{name}");
    }
}

#[test]
fn a_feature_that_is_off_takes_its_calls_with_it() {
    assert!(calls(Role::Gate, Features::all()).contains(&"seccomp"));
    assert!(!calls(Role::Gate, Features::NONE).contains(&"seccomp"));
    assert!(!calls(Role::Gate, Features::NONE).contains(&"prctl"));
}

#[test]
fn a_filter_without_rules_is_none_and_does_not_compile() {
    let mut policy = policy_of(Role::Gate).unwrap();
    policy.syscalls.clear();
    assert!(compile::programs(&policy, Features::all()).is_err());
}
