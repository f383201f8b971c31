//! Who runs what, and with what left: /proc of the running processes against the policy data
//! (invariants I3, I4, I12).

use bulkhead_tests::harness::{Process, Server, eventually, is_root, needs_root, test};
use libtest_mimic::Trial;
use policy::{Role, model::IdentityKind, policy_of};

pub fn tests() -> Vec<Trial> {
    vec![
        needs_root("identities::each_role_runs_under_its_own_uid", own_uids),
        test("identities::each_process_has_what_its_policy_says_and_no_more", as_the_policy_says),
        test("identities::what_runs_is_exactly_the_roles_of_the_design", exactly_these),
        needs_root("identities::a_session_has_exactly_the_groups_of_its_account", groups),
    ]
}

/// The numbers of the capabilities that occur in a policy (capabilities(7)).
const CAPABILITIES: [(&str, u32); 14] = [
    ("CHOWN", 0),
    ("DAC_OVERRIDE", 1),
    ("DAC_READ_SEARCH", 2),
    ("FOWNER", 3),
    ("FSETID", 4),
    ("KILL", 5),
    ("SETGID", 6),
    ("SETUID", 7),
    ("SETPCAP", 8),
    ("NET_BIND_SERVICE", 10),
    ("SYS_CHROOT", 18),
    ("SYS_RESOURCE", 24),
    ("AUDIT_WRITE", 29),
    ("AUDIT_CONTROL", 30),
];

fn mask(names: impl Iterator<Item = String>) -> u64 {
    names.fold(0, |mask, name| {
        let number = CAPABILITIES.iter().find(|(n, _)| *n == name);
        mask | 1 << number.unwrap_or_else(|| panic!("{name} has no number here")).1
    })
}

/// The one live process of a role.
fn process_of(server: &Server, role: Role) -> Process {
    let word = match role {
        Role::Supervisor => return Process::look(server.pid()).unwrap(),
        Role::Helper => "bulkhead-helper",
        Role::Gate => "gate",
        Role::Session => "session",
        Role::Keeper | Role::Authenticator | Role::PamAuthenticator | Role::Relay => {
            panic!("{role:?} is not live here")
        }
    };
    eventually(&format!("a {word}"), || server.processes_of(word).pop())
}

fn own_uids() {
    let server = Server::new().with_account("alice", &[]).with_account("bob", &[]).run();
    let _alice = server.log_in("alice");
    let _bob = server.log_in("bob");
    let mut seen = Vec::new();
    for role in [Role::Supervisor, Role::Helper, Role::Gate] {
        let uids = process_of(&server, role).ids("Uid");
        assert!(uids.windows(2).all(|pair| pair[0] == pair[1]), "{role:?}: {uids:?}");
        assert_eq!(uids[0] == 0, role == Role::Supervisor, "{role:?}: {uids:?}");
        seen.push(uids[0]);
    }
    for account in &server.accounts {
        let session = server
            .processes_of("session")
            .into_iter()
            .find(|process| process.command.contains(&account.name))
            .unwrap_or_else(|| panic!("no session of {}", account.name));
        assert_eq!(session.ids("Uid"), [account.uid; 4], "{session:?}");
        assert_eq!(session.ids("Gid"), [account.uid; 4], "{session:?}");
        seen.push(account.uid);
    }
    let different: std::collections::BTreeSet<u32> = seen.iter().copied().collect();
    assert_eq!(different.len(), seen.len(), "two roles share a uid: {seen:?}");
}

fn as_the_policy_says() {
    let server = Server::start();
    let _alice = server.log_in("alice");
    // A machine may have taken capabilities from root itself.
    let available = Process::look(std::process::id().try_into().unwrap()).unwrap();
    let available = available.capabilities("CapBnd");
    for role in [Role::Supervisor, Role::Helper, Role::Gate, Role::Session] {
        let policy = policy_of(role).unwrap();
        let process = process_of(&server, role);
        assert_eq!(process.field("Seccomp"), "2", "{role:?}");
        let no_new_privs = u8::from(policy.process.no_new_privs.is).to_string();
        assert_eq!(process.field("NoNewPrivs"), no_new_privs, "{role:?}");
        let held = policy.capabilities.iter().filter(|c| c.held).map(|c| c.name.clone());
        let held = if is_root() { mask(held) & available } else { 0 };
        // What only children use is permitted, and not in force.
        let bounding = mask(policy.capabilities.iter().map(|c| c.name.clone())) & available;
        let permitted = if is_root() { bounding } else { 0 };
        assert_eq!(process.capabilities("CapEff") & !held, 0, "{role:?}");
        assert_eq!(process.capabilities("CapPrm") & !permitted, 0, "{role:?}");
        assert_eq!(process.capabilities("CapInh"), 0, "{role:?}");
        assert_eq!(process.capabilities("CapAmb"), 0, "{role:?}");
        if is_root() {
            assert_eq!(process.capabilities("CapBnd"), bounding, "{role:?}");
            assert_eq!(process.capabilities("CapEff"), held, "{role:?}");
            assert_eq!(process.capabilities("CapPrm"), bounding, "{role:?}");
        }
        if policy.identity.is != IdentityKind::Root {
            assert_eq!(process.field("Groups"), "", "{role:?}");
        }
    }
}

fn exactly_these() {
    let server = Server::start();
    let _alice = server.log_in("alice");
    eventually("helper, session and ready gates, and nothing else", || {
        let processes = server.processes();
        let count = |word: &str| processes.iter().filter(|p| p.command.contains(word)).count();
        let (helper, gates, sessions) =
            (count("bulkhead-helper"), count(" gate"), count(" session"));
        let all = helper + gates + sessions;
        (helper == 1 && sessions == 1 && gates == 4 && processes.len() == all).then_some(())
    });
    // No process of the server has a child or a thread of its own, but the supervisor.
    for process in server.processes() {
        assert!(Process::children_of(process.pid).is_empty(), "{process:?}");
        assert_eq!(process.field("Threads"), "1", "{process:?}");
    }
}

fn groups() {
    let server = Server::new().with_account("alice", &["--uid", "20077", "--gid", "20078"]).run();
    let _alice = server.log_in("alice");
    let session = process_of(&server, Role::Session);
    assert_eq!(session.ids("Uid"), [20_077; 4]);
    assert_eq!(session.ids("Gid"), [20_078; 4]);
    assert_eq!(session.field("Groups"), "");
}
