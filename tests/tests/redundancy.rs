//! No system call is allowed that nothing needs (I12): everything a server does is done under
//! strace(1), and what a role's list allows and nobody called is a rule too many. A call that is
//! needed and not listed ends its process, which the other tests would show.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use bulkhead_tests::harness::{Server, is_root, patterned, test};
use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use policy::{Features, Role, compile, policy_of};

pub fn tests() -> Vec<Trial> {
    let trial = test("redundancy::every_allowed_call_is_needed", needed);
    let missing = ["strace", "curl", "openssl"].into_iter().find(|program| !installed(program));
    vec![match missing {
        Some(program) => {
            trial.with_kind(format!("skipped: needs {program}")).with_ignored_flag(true)
        }
        None if !is_root() => trial.with_kind("skipped: needs root").with_ignored_flag(true),
        None => trial,
    }]
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Calls that this test cannot bring about, and what does.
const RESERVE: [(&str, &str); 8] = [
    ("sendmsg", "a relay speaks to the supervisor only when its sandbox stops it"),
    ("brk", "the heap grows when it is full, which depends on what came before"),
    ("mmap", "as brk, for large pieces"),
    ("munmap", "as mmap"),
    ("mremap", "as mmap, when a large buffer grows"),
    ("clock_gettime", "made by the vDSO without a system call on most hosts"),
    ("getrandom", "the generators of TLS are seeded before the lockdown and again after a while"),
    ("exit_group", "the helper and the keeper are ended by a signal when a server ends"),
];

/// strace on all processes of a server, and on those to come.
struct Trace {
    strace: Child,
    file: std::path::PathBuf,
}

impl Trace {
    fn of(server: &Server) -> Trace {
        let file = server.path("trace");
        let mut command = Command::new("strace");
        command.args(["-f", "-s", "64", "-o"]).arg(&file);
        let pids: Vec<i32> = server.processes().iter().map(|process| process.pid).collect();
        for pid in pids.iter().chain([&server.pid()]).collect::<BTreeSet<_>>() {
            command.args(["-p", &pid.to_string()]);
        }
        let mut strace = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(strace.stderr.take().unwrap()).lines();
        for _ in 0..=pids.len() {
            let line = lines.next().unwrap().unwrap();
            if !line.contains("attached") {
                panic!("strace: {line}");
            }
        }
        // It goes on telling of processes that come; nobody reads it, and the pipe is large enough.
        std::mem::forget(lines);
        Trace { strace, file }
    }

    /// Ends it and gives the calls each role made after its lockdown.
    fn end(mut self, roles: &BTreeMap<i32, Role>) -> BTreeMap<&'static str, BTreeSet<String>> {
        let pid = Pid::from_raw(i32::try_from(self.strace.id()).unwrap());
        kill(pid, Signal::SIGINT).unwrap();
        self.strace.wait().unwrap();
        let mut now: BTreeMap<i32, Option<Role>> =
            roles.iter().map(|(pid, role)| (*pid, Some(*role))).collect();
        let mut starting: BTreeMap<i32, Role> = BTreeMap::new();
        let mut calls: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
        for line in fs::read_to_string(&self.file).unwrap().lines() {
            let Some((pid, rest)) = line.split_once(' ') else { continue };
            let (pid, rest) = (pid.parse().unwrap_or(0), rest.trim_start());
            if rest.starts_with("execve(") {
                let role =
                    [("gate", Role::Gate), ("session", Role::Session), ("keeper", Role::Keeper)];
                let role = role.iter().find(|(word, _)| rest.contains(&format!("\"{word}\"]")));
                now.insert(pid, None);
                starting.extend(role.map(|(_, role)| (pid, *role)));
                continue;
            }
            let Some(call) = rest.split('(').next().filter(|name| is_name(name)) else { continue };
            let role = now.get(&pid).copied().flatten();
            if let Some(role) = role {
                calls.entry(role.name()).or_default().insert(call.to_owned());
            }
            if call == "seccomp" {
                let next = if role == Some(Role::Gate) {
                    Role::Relay
                } else {
                    starting.get(&pid).copied().unwrap_or(Role::Authenticator)
                };
                now.insert(pid, Some(next));
            }
        }
        calls
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn curl(server: &Server, arguments: &[&str], path: &str) {
    let account = server.account("alice");
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--insecure", "--max-time", "30", "--user"])
        .arg(format!("alice:{}", account.password))
        .args(arguments)
        .arg(format!("ftp://{}/{path}", server.address()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {arguments:?} {path}: {said}");
}

fn needed() {
    let server = Server::new().with_account("alice", &["--rights", ALL_RIGHTS]);
    let (certificate, key) = (server.path("cert.pem"), server.path("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"])
        .args(["-days", "2", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output();
    assert!(made.unwrap().status.success());
    let server = server
        .with("tls.certificate", &format!("{certificate:?}"))
        .with("tls.private_key", &format!("{key:?}"))
        .with("sync_uploads", "true")
        .run();
    server.account("alice").put("file", &patterned(3 << 20));
    // More than the buffers of a connection hold.
    server.account("alice").put("large", &patterned(64 << 20));
    let roles: BTreeMap<i32, Role> = server
        .processes()
        .iter()
        .filter_map(|process| {
            let role = [("helper", Role::Helper), ("keeper", Role::Keeper), ("gate", Role::Gate)]
                .into_iter()
                .find(|(word, _)| process.command.contains(word));
            role.map(|(_, role)| (process.pid, role))
        })
        .collect();
    let trace = Trace::of(&server);
    everything(&server);
    let calls = trace.end(&roles);
    let mut idle = Vec::new();
    for role in [Role::Keeper, Role::Helper, Role::Gate, Role::Relay, Role::Session] {
        let mut made = calls.get(role.name()).cloned().unwrap_or_default();
        if role == Role::Gate {
            // A relay can do only what the gate that it was could do too.
            made.extend(calls.get(Role::Relay.name()).cloned().unwrap_or_default());
        }
        for name in compile::allowed_names(&policy_of(role).unwrap(), Features::all()) {
            let reserve = RESERVE.iter().any(|(call, _)| *call == name);
            if !made.contains(name) && !reserve {
                idle.push(format!("{role}: {name}"));
            }
        }
    }
    assert!(idle.is_empty(), "nothing needs {}; made: {calls:?}", idle.join(", "));
}

const ALL_RIGHTS: &str = "list,read,write,append,overwrite,delete,rename,mkdir,rmdir,chmod,symlink";

/// Everything a session can be asked for, in clear and by TLS.
fn everything(server: &Server) {
    let upload = server.path("upload");
    fs::write(&upload, patterned(2 << 20)).unwrap();
    let upload = upload.to_str().unwrap();
    let out = server.path("out");
    let out = out.to_str().unwrap();
    // The keeper reads the keys once more.
    assert!(server.bulkhead(&["reload"]).status.success());
    for tls in [&["--ssl-reqd"][..], &[]] {
        let with = |more: &[&'static str]| [tls, more].concat();
        curl(server, &with(&[]), "");
        curl(server, &[&with(&["--output"])[..], &[out]].concat(), "file");
        curl(server, &[&with(&["--upload-file"])[..], &[upload]].concat(), "uploaded");
        curl(server, &[&with(&["--append", "--upload-file"])[..], &[upload]].concat(), "uploaded");
        curl(server, &[&with(&["--continue-at", "1000", "--output"])[..], &[out]].concat(), "file");
    }
    let mut control = server.log_in("alice");
    for (line, code) in [
        ("TYPE I", 200),
        ("MKD directory", 257),
        ("RMD directory", 250),
        ("RNFR uploaded", 350),
        ("RNTO renamed", 250),
        ("SITE CHMOD 640 renamed", 200),
        ("MFMT 20200202020202 renamed", 213),
        ("SITE SYMLINK file link", 200),
        ("SIZE renamed", 213),
        ("AVBL", 213),
        ("HASH renamed", 213),
    ] {
        control.command(line, code);
    }
    control.download("LIST");
    control.upload("STOR renamed", b"shorter");
    control.command("DELE renamed", 250);
    let listener = control.active();
    control.send("NLST");
    drop(listener.accept().unwrap());
    control.expect(150);
    control.expect(226);
    let aborted: TcpStream = control.passive();
    control.command("RETR large", 150);
    control.command("ABOR", 426);
    control.expect(226);
    drop(aborted);
    control.command("QUIT", 221);
    control.expect_end();
    // The last words of the processes that end are part of it.
    sleep(Duration::from_millis(500));
}
