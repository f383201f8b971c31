//! What each live process was left with, thing by thing: descriptors, environment, directory, umask,
//! signals, limits, uids (invariants I3, I4, I12). What the policies' numbers say is in `identities`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use bulkhead_tests::harness::{Process, Server, eventually, is_root, needs_program, patterned};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use policy::{Role, model::LimitedResource, policy_of};

pub fn tests() -> Vec<Trial> {
    vec![
        needs_program("live_processes::each_has_what_it_must_have_and_no_more", "curl", all),
        needs_program("live_processes::none_outlives_its_supervisor", "curl", death),
        needs_program("live_processes::sigterm_ends_each_of_them", "curl", terminate),
    ]
}

/// A server with a live process of every role: a gate that waits, one that serves, a session with
/// its data connection, its relay, the keeper, the helper.
struct Live {
    server: Server,
    _greeted: bulkhead_tests::harness::ControlConnection,
    client: Child,
}

impl Live {
    fn start() -> Live {
        let server = Server::new().with_account("alice", &[]).with_certificate().run();
        let alice = server.account("alice");
        // More than the buffers of a connection hold.
        alice.put("large", &patterned(32 << 20));
        let client = Command::new("curl")
            .args(["--silent", "--insecure", "--ssl-reqd", "--limit-rate", "50k", "--output"])
            .args(["/dev/null", "--user", &format!("alice:{}", alice.password)])
            .arg(format!("ftp://{}/large", server.address()))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let greeted = server.connect();
        let live = Live { server, _greeted: greeted, client };
        eventually("a download to run", || {
            let sessions = live.of(Role::Session);
            let file = live.server.account("alice").path("large");
            let downloads = |p: &Process| descriptors(p).values().any(|to| *to == file);
            // Root alone sees what a session holds.
            let runs = !sessions.is_empty() && !live.of(Role::Relay).is_empty();
            (runs && (!is_root() || sessions.iter().any(downloads))).then_some(())
        });
        live
    }

    /// The processes of a role. A relay goes on as the gate it was.
    fn of(&self, role: Role) -> Vec<Process> {
        let filters = |process: &Process| process.field("Seccomp_filters") == "4";
        let is = |process: &Process| match role {
            Role::Session => process.command.contains(" session"),
            Role::Relay => process.command.contains(" gate") && filters(process),
            Role::Gate => process.command.contains(" gate") && !filters(process),
            Role::Keeper => process.command.contains(" keeper"),
            Role::Helper => process.command.contains("bulkhead-helper"),
            _ => false,
        };
        self.server.processes().into_iter().filter(is).collect()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.client.kill().ok();
        self.client.wait().ok();
    }
}

/// The roles that face clients, or hold the keys.
const ROLES: [Role; 5] = [Role::Keeper, Role::Helper, Role::Gate, Role::Relay, Role::Session];

/// Where the descriptors of a process lead.
fn descriptors(process: &Process) -> BTreeMap<u32, PathBuf> {
    let Ok(entries) = fs::read_dir(format!("/proc/{}/fd", process.pid)) else {
        return BTreeMap::new();
    };
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let number = path.file_name()?.to_str()?.parse().ok()?;
            Some((number, fs::read_link(path).ok()?))
        })
        .collect()
}

/// The kinds of a process's descriptors, sorted, without the three standard ones: `socket`, `root`,
/// `file`, …
fn kinds(server: &Server, process: &Process) -> Vec<String> {
    let root = &server.account("alice").root;
    let mut kinds = Vec::new();
    for (number, to) in descriptors(process) {
        let text = to.to_string_lossy();
        let kind = match text.split_once(':') {
            Some(("socket", _)) => "socket".to_owned(),
            Some(("pipe", _)) => "pipe".to_owned(),
            _ if to == Path::new("/dev/null") => "null".to_owned(),
            _ if to == *root => "root".to_owned(),
            _ if to.starts_with(root) => "file".to_owned(),
            _ => text.into_owned(),
        };
        match number {
            0 => assert_eq!(kind, "socket", "standard input is the channel to the supervisor"),
            1 | 2 => assert_eq!(kind, "null", "nobody's output leads anywhere: {process:?}"),
            _ => kinds.push(kind),
        }
    }
    kinds.sort();
    kinds
}

fn all() {
    let live = Live::start();
    for role in ROLES {
        let processes = live.of(role);
        assert!(!processes.is_empty(), "no live {role}");
        for process in processes {
            // Root alone may look into a process that cannot be traced.
            if is_root() {
                held(&live.server, role, &process);
            }
            left(role, &process);
        }
    }
}

/// Descriptors, environment and directory.
fn held(server: &Server, role: Role, process: &Process) {
    let kinds = kinds(server, process);
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    let expected: &[&[&str]] = match role {
        // Its own channel, and a signing channel for each client that has been greeted.
        Role::Keeper => &[&["socket"; 2], &["socket"; 3]],
        // epoll; its own channel, the session's, and the listener it keeps for that; where the kernel
        // lets nobody filter at a listener, a second one for everybody but the client.
        Role::Helper => &[
            &["anon_inode:[eventpoll]", "socket", "socket", "socket"],
            &["anon_inode:[eventpoll]", "socket", "socket", "socket", "socket"],
        ],
        // Its own channel, with TLS twice: for the loop and for asking for another keeper in the middle
        // of a handshake; then its client and the keeper's channel.
        Role::Gate => &[&["socket"], &["socket"; 2], &["socket"; 4]],
        // Its own channel, the client, the session's side, and the keeper's channel of the gate.
        Role::Relay => &[&["socket"; 3], &["socket"; 4]],
        // Its own channel, the relay, the helper's channel, a listener and the data connection; the
        // root, and one file.
        _ => &[&["file", "root", "socket", "socket", "socket", "socket", "socket"]],
    };
    assert!(expected.contains(&kinds.as_slice()), "the {role} {} holds {kinds:?}", process.pid);
    let proc = PathBuf::from(format!("/proc/{}", process.pid));
    let environment = fs::read(proc.join("environ")).unwrap();
    assert!(environment.is_empty(), "the {role} has an environment: {environment:?}");
    let expected = match role {
        Role::Session => server.account("alice").root.clone(),
        _ => PathBuf::from("/"),
    };
    for place in ["cwd", "root"] {
        assert_eq!(fs::read_link(proc.join(place)).unwrap(), expected, "{place} of the {role}");
    }
}

/// Limits, signals, uids and capabilities.
fn left(role: Role, process: &Process) {
    let text = fs::read_to_string(format!("/proc/{}/limits", process.pid)).unwrap();
    for limit in policy_of(role).unwrap().limits {
        let name = match limit.resource {
            LimitedResource::Core => "Max core file size",
            LimitedResource::Nproc => "Max processes",
            LimitedResource::Nofile => "Max open files",
            LimitedResource::Memlock => "Max locked memory",
            LimitedResource::Msgqueue => "Max msgqueue size",
            LimitedResource::As => "Max address space",
        };
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let values: Vec<u64> =
            line.split_whitespace().take(2).map(|v| v.parse().unwrap()).collect();
        // Soft and hard, so that it cannot be raised.
        assert!(values.iter().all(|value| *value <= limit.at_most), "{role}: {name} {values:?}");
        assert_eq!(values[0], values[1], "{role}: {name}");
    }
    let signals = |field: &str| u64::from_str_radix(process.field(field), 16).unwrap();
    let bit = |signal: Signal| 1_u64 << (signal as i32 - 1);
    let end = bit(Signal::SIGTERM) | bit(Signal::SIGINT) | bit(Signal::SIGHUP);
    for field in ["SigIgn", "SigBlk", "SigCgt"] {
        assert_eq!(signals(field) & end, 0, "the {role} is not ended by a signal: {field}");
    }
    assert_ne!(signals("SigCgt") & bit(Signal::SIGSYS), 0, "the {role} has no last words");
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(process.capabilities(set), 0, "{set} of the {role}");
    }
    let held = if role == Role::Helper && is_root() { 1 << 10 } else { 0 };
    for set in ["CapPrm", "CapEff"] {
        assert_eq!(process.capabilities(set) & !held, 0, "{set} of the {role}");
    }
    if is_root() {
        assert_eq!(process.capabilities("CapBnd") & !held, 0, "the bounding set of the {role}");
        let uids = process.ids("Uid");
        assert!(uids[0] != 0 && uids.iter().all(|uid| *uid == uids[0]), "{role}: {uids:?}");
        assert_eq!(process.field("Groups"), "", "the groups of the {role}");
    }
    assert_eq!(process.field("NoNewPrivs"), "1", "{role}");
    assert_eq!(process.field("Threads"), "1", "{role}");
    let umask = policy_of(role).unwrap().process.umask.unwrap().is;
    assert_eq!(process.field("Umask"), format!("{:04o}", umask.bits()), "{role}");
    // Others of its uid may not look into it; what it shows of itself belongs to root then.
    use std::os::unix::fs::MetadataExt;
    let owner = fs::metadata(format!("/proc/{}/environ", process.pid)).unwrap().uid();
    let own = process.ids("Uid")[0];
    assert!(owner == 0 && own != 0 || !is_root() && owner != own, "the {role} is dumpable");
}

/// Ends all processes of a live server by what `end` does to each, and waits until none is left.
fn ended_by(end: impl Fn(&Live, &[Process])) {
    let mut live = Live::start();
    let processes: Vec<Process> = ROLES.into_iter().flat_map(|role| live.of(role)).collect();
    end(&live, &processes);
    for process in processes {
        eventually(&format!("{process:?} to end"), || (!process.is_alive()).then_some(()));
    }
    live.server.signal(Signal::SIGKILL);
    live.server.wait();
}

/// PR_SET_PDEATHSIG, in every role.
fn death() {
    ended_by(|live, _| live.server.signal(Signal::SIGKILL));
}

fn terminate() {
    ended_by(|_, processes| processes.iter().for_each(|process| process.signal(Signal::SIGTERM)));
}
