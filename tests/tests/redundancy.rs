//! No rule is in a policy that nothing needs (I12): each rule of each list of allowed calls is taken
//! out of the program in turn, and what a server does must then end at exactly that call. The
//! programs are the shipped ones; see `bulkhead_tests::reduced_policy`.

use std::{
    fs,
    io::{Read, Write},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use bulkhead_tests::{
    environment,
    harness::{Account, ControlConnection, Server, has_ipv6, is_root, needs_ipv6, patterned, test},
    other_host::{self, OtherHost},
    reduced_policy::Embedded,
};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use policy::{Role, model::Syscall, syscalls};

/// The roles with a list of what is allowed.
const ROLES: [Role; 6] =
    [Role::Keeper, Role::Authenticator, Role::Helper, Role::Gate, Role::Relay, Role::Session];

pub fn tests() -> Vec<Trial> {
    let missing = Some("curl").filter(|program| !installed(program));
    let trials: [(&str, fn()); 9] = [
        ("redundancy::with_every_rule_nothing_is_stopped", || nothing_is_stopped(None)),
        ("redundancy::h3_without_the_vdso_nothing_is_stopped", || {
            nothing_is_stopped(Some(OtherHost::WithoutVdso));
        }),
        (
            "redundancy::h2_where_no_authenticator_can_start_nothing_is_served",
            nothing_is_served_without_authenticators,
        ),
        ("redundancy::each_rule_of_the_keeper_is_needed", || all_needed(Role::Keeper)),
        ("redundancy::each_rule_of_the_authenticator_is_needed", || {
            all_needed(Role::Authenticator);
        }),
        ("redundancy::each_rule_of_the_helper_is_needed", || all_needed(Role::Helper)),
        ("redundancy::each_rule_of_the_gate_is_needed", || all_needed(Role::Gate)),
        ("redundancy::each_rule_of_the_relay_is_needed", || all_needed(Role::Relay)),
        ("redundancy::each_rule_of_the_session_is_needed", || all_needed(Role::Session)),
    ];
    let skipped = |trial: Trial, why: &str| trial.with_kind(why).with_ignored_flag(true);
    trials
        .into_iter()
        .map(|(name, run)| match missing {
            _ if !is_root() => skipped(test(name, run), "skipped: needs root"),
            Some(program) => skipped(test(name, run), &format!("skipped: needs {program}")),
            None if name.contains("vdso") => other_host::trial(test(name, run)),
            // It opens sockets of both families.
            None if name.contains("helper") => needs_ipv6(test(name, run)),
            None => test(name, run),
        })
        .collect()
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Rules whose call this test cannot bring about, and why they stay.
const RESERVE: [(Role, &str, &str); 13] = [
    (Role::Gate, "getrandom", "seeds its generator again where the processor has no RDRAND"),
    (Role::Authenticator, "exit_group", "nobody asks how it ends once it has given its verdict"),
    (
        Role::Authenticator,
        "mremap",
        "a buffer grows with an account file of many thousand accounts",
    ),
    (Role::Keeper, "brk", "its heap grows with the channels of hundreds of clients"),
    (Role::Keeper, "mmap", "as brk"),
    (Role::Keeper, "munmap", "as brk"),
    (Role::Keeper, "exit_group", "how it ended shows only when it dies while it serves"),
    (Role::Keeper, "getrandom", "seeds its generator again after some 4000 signatures"),
    (
        Role::Relay,
        "brk",
        "a TLS record that comes in pieces takes a larger buffer; no client here cuts",
    ),
    (Role::Relay, "mmap", "as brk"),
    (Role::Relay, "munmap", "as brk"),
    (Role::Relay, "mremap", "as brk"),
    (Role::Session, "getrandom", "seeds its generator again after some 600 transfers over TLS"),
];

/// Calls that depend on what the heap looks like: the process runs with a C library that asks the
/// kernel for every small piece, or for every large one.
const SMALL_PIECES: (&[&str], &str) =
    (&["brk"], "GLIBC_TUNABLES=glibc.malloc.top_pad=0:glibc.malloc.trim_threshold=64\n");
const LARGE_PIECES: (&[&str], &str) = (
    &["mmap", "munmap", "mremap"],
    "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=1024:glibc.malloc.top_pad=0:\
     glibc.malloc.trim_threshold=64\n",
);

/// Calls that a process needs to say its last words, and to end with the status that tells of them.
const LAST_WORDS: [&str; 2] = ["sendmsg", "exit_group"];

/// A server that does not run yet, with everything the steps need.
fn prepared() -> Server {
    let server = Server::new()
        .with_account("alice", &["--rights", Account::ALL_RIGHTS])
        .with_account("carol", &["--read-only"]);
    let enrolled = server.bulkhead(&["user", "totp", "carol"]);
    assert!(enrolled.status.success(), "{enrolled:?}");
    let said = String::from_utf8(enrolled.stdout).unwrap();
    let secret = said.lines().find_map(|line| line.trim().strip_prefix("secret")).unwrap();
    fs::write(server.path("secret"), secret.trim()).unwrap();
    let server = server.with_certificate();
    let certificate = server.path("tls/certificate.pem");
    // More than the keeper's heap has room for from the start.
    let one = fs::read_to_string(&certificate).unwrap();
    fs::write(&certificate, format!("{one}{}", format!("{:<70}\n", "#").repeat(800))).unwrap();
    let alice = server.account("alice");
    alice.make_directory("full");
    // A listing of them outgrows every buffer that is there from the start.
    for number in 0..1500 {
        alice.put(&format!("full/a-file-with-a-rather-long-name-{number:04}"), b"");
    }
    // More than the buffers of a connection hold.
    alice.put("large", &patterned(24 << 20));
    fs::write(server.path("upload"), patterned(2 << 20)).unwrap();
    let addresses = if has_ipv6() { "[\"127.0.0.1\", \"::1\"]" } else { "\"127.0.0.1\"" };
    server
        .with("listen_address", addresses)
        .with("sync_uploads", "true")
        .with("limits.ready_gates", "1")
}

/// Something that is done with a server, and its name.
type Step = (&'static str, fn(&Server) -> bool);

/// What is done with a server: everything that its processes can be asked for. Each step says
/// whether it went well, and panics at nothing, because most of them are meant to fail.
const STEPS: [Step; 15] = [
    ("log in with a code", code),
    ("log in and list", |server| curl(server, &[], "")),
    ("log in over TLS and list", |server| curl(server, &["--ssl-reqd"], "full/")),
    ("download", |server| curl(server, &["--continue-at", "1000"], "file")),
    ("download over TLS", |server| curl(server, &["--ssl-reqd"], "file")),
    ("upload", |server| upload(server, &[])),
    ("upload over TLS", |server| upload(server, &["--ssl-reqd"])),
    ("change", change),
    ("list much", |server| curl(server, &[], "full/")),
    ("a long reply over TLS", |server| curl(server, &["--ssl-reqd", "--quote", "STAT full"], "")),
    ("many clients", many_clients),
    ("active data connection", |server| curl(server, &["--ftp-port", "127.0.0.1"], "file")),
    ("download over IPv6", |server| over_ipv6(server).unwrap_or(!has_ipv6())),
    ("abort", |server| abort(server).is_some()),
    ("reload", |server| server.bulkhead(&["reload"]).status.success()),
];

/// A passive connection of the other family; nothing without an address of it.
fn over_ipv6(server: &Server) -> Option<bool> {
    let serving = server.events("serving");
    let mut listening = serving.last()?.get("listening")?.as_str()?.split_whitespace();
    let address = listening.find(|address| address.starts_with("[::1]"))?;
    Some(curl_at(server, address.trim_end_matches(','), &[], "file"))
}

fn curl(server: &Server, arguments: &[&str], path: &str) -> bool {
    curl_at(server, &server.address().to_string(), arguments, path)
}

fn curl_at(server: &Server, address: &str, arguments: &[&str], path: &str) -> bool {
    let account = server.account("alice");
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--insecure", "--max-time", "20", "--user"])
        .arg(format!("alice:{}", account.password))
        .args(arguments)
        .arg(format!("ftp://{address}/{path}"))
        .stdin(Stdio::null())
        .output();
    output.unwrap().status.success()
}

fn upload(server: &Server, arguments: &[&str]) -> bool {
    server.account("alice").put("file", &patterned(3 << 20));
    let file = server.path("upload");
    let file = file.to_str().unwrap();
    curl(server, &[arguments, &["--upload-file", file]].concat(), "uploaded")
        && curl(server, &[arguments, &["--append", "--upload-file", file]].concat(), "uploaded")
}

fn change(server: &Server) -> bool {
    let alice = server.account("alice");
    // Whatever a step that was stopped left behind.
    for left in ["renamed", "link"] {
        fs::remove_file(alice.path(left)).ok();
    }
    fs::remove_dir(alice.path("directory")).ok();
    alice.put("old", b"contents");
    let commands = [
        "TYPE I",
        "MKD directory",
        "RMD directory",
        "RNFR old",
        "RNTO renamed",
        "SITE CHMOD 640 renamed",
        "MFMT 20200202020202 renamed",
        "SITE SYMLINK file link",
        "SIZE renamed",
        "AVBL",
        "HASH renamed",
        "DELE renamed",
    ];
    let quotes: Vec<&str> = commands.into_iter().flat_map(|command| ["--quote", command]).collect();
    curl(server, &quotes, "")
}

/// A login with a second factor. What codes were used is forgotten, so that the next server takes
/// the same one; and so is the copy of the account file, so that a new one is made.
fn code(server: &Server) -> bool {
    fs::remove_dir_all(server.path("state/second-factor")).ok();
    fs::remove_file(server.path("state/accounts.toml")).ok();
    let secret = fs::read_to_string(server.path("secret")).unwrap();
    let secret = totp_rs::Secret::try_from_base32(&secret).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let code = totp_rs::Builder::new().with_secret(secret).build().unwrap();
    let code = code.generate(now.as_secs()).to_string();
    let carol = server.account("carol");
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "20", "--ftp-account", &code, "--user"])
        .arg(format!("carol:{}", carol.password))
        .arg(format!("ftp://{}/", server.address()))
        .stdin(Stdio::null())
        .output();
    output.unwrap().status.success()
}

/// More clients than there is room for in what the processes took at their start.
fn many_clients(server: &Server) -> bool {
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let mut control = ControlConnection::connect(server.address());
            let greeted = control.reply().is_ok();
            (control, greeted)
        })
        .collect();
    clients.iter().all(|(_, greeted)| *greeted)
}

/// A download that the client gives up while it is stuck.
fn abort(server: &Server) -> Option<()> {
    let account = server.account("alice");
    let mut control = ControlConnection::connect(server.address());
    let mut say = |line: &str| {
        if !line.is_empty() {
            control.stream().write_all(format!("{line}\r\n").as_bytes()).ok()?;
        }
        control.reply().ok()
    };
    say("")?;
    say("USER alice")?;
    say(&format!("PASS {}", account.password))?;
    say("TYPE I")?;
    let port = say("EPSV")?.text().split('|').nth(3)?.parse().ok()?;
    let address = (server.address().ip(), port);
    let mut data = std::net::TcpStream::connect(address).ok()?;
    say("RETR large")?;
    data.read_exact(&mut [0; 1000]).ok()?;
    let reply = say("ABOR")?;
    say("")?;
    say("QUIT")?;
    (reply.code == 426).then_some(())
}

/// What the log says of processes that were stopped, from its line `from` on.
fn stopped(server: &Server, from: usize) -> Vec<String> {
    let mut text = fs::read_to_string(server.path("log")).unwrap_or_default();
    // What a server that refuses to serve says.
    text.push_str(&fs::read_to_string(server.path("stderr")).unwrap_or_default());
    let signs = [
        "the system call ",
        "at system call ",
        "SIGSYS",
        "exit status 159",
        "could not be started",
    ];
    text.lines()
        .skip(from)
        .filter(|line| signs.iter().any(|sign| line.contains(sign)))
        .map(str::to_owned)
        .collect()
}

fn log_length(server: &Server) -> usize {
    fs::read_to_string(server.path("log")).unwrap_or_default().lines().count()
}

/// Does everything until a process is stopped; gives the steps that failed and what the log says.
fn run(server: &Server, from: usize) -> (Vec<&'static str>, Vec<String>) {
    let mut failed = Vec::new();
    for (name, step) in STEPS {
        if !step(server) {
            failed.push(name);
            // The process that was stopped is reaped and told of in a moment.
            wait_for(Duration::from_secs(15), || !stopped(server, from).is_empty());
        }
        let signs = stopped(server, from);
        if !signs.is_empty() || !failed.is_empty() {
            return (failed, signs);
        }
    }
    (failed, stopped(server, from))
}

fn wait_for(patience: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition() && Instant::now() < deadline {
        sleep(Duration::from_millis(20));
    }
}

fn nothing_is_stopped(host: Option<OtherHost>) {
    let mut server = prepared();
    server.under = host.map_or(Vec::new(), |host| host.under(server.scratch.path()));
    server.launch();
    server.account("alice").put("file", &patterned(3 << 20));
    let (failed, signs) = run(&server, 0);
    assert!(failed.is_empty() && signs.is_empty(), "{failed:?} {signs:?}");
}

/// The authenticator cannot say that it is ready, as one that cannot raise a layer.
fn nothing_is_served_without_authenticators() {
    let mut server = prepared();
    let embedded = Embedded::find(&server.binaries, Role::Authenticator);
    let ready = embedded.policy().syscalls.iter().position(|rule| rule.name == "sendmsg");
    let place = server.path("reduced");
    embedded.without(&[ready.unwrap()], &place);
    server.binaries = place;
    assert!(server.try_launch().is_err(), "it serves, and nobody can log in");
    let said = fs::read_to_string(server.path("stderr")).unwrap();
    assert!(said.contains("not serving: the authenticator could not be started"), "{said}");
}

fn all_needed(role: Role) {
    assert!(ROLES.contains(&role));
    let mut server = prepared();
    if role == Role::Authenticator {
        many_accounts(&server);
    }
    let embedded = Embedded::find(&server.binaries, role);
    let mut idle = Vec::new();
    for (index, rule) in embedded.policy().syscalls.iter().enumerate() {
        if RESERVE.iter().any(|(of, name, _)| *of == role && *name == rule.name) {
            continue;
        }
        let needed = if LAST_WORDS.contains(&rule.name.as_str()) {
            says_last_words(&mut server, &embedded, index)
        } else {
            let signs = without(&mut server, &embedded, &[index]);
            names(&signs, rule) || is_silent_end(&signs, role)
        };
        if !needed {
            let log = fs::read_to_string(server.path("log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(3).collect();
            idle.push(format!("{} ({}); the log ends {last:?}", rule.name, rule.why));
        }
    }
    assert!(idle.is_empty(), "the {role} needs none of these: {}", idle.join(", "));
}

/// An account file that outgrows the first buffers of whoever reads it.
fn many_accounts(server: &Server) {
    let mut text = fs::read_to_string(server.path("users.toml")).unwrap();
    for number in 0..1500 {
        text.push_str(&format!("\n[accounts.somebody-{number:04}]\nroot = \"/srv/{number:04}\"\n"));
    }
    fs::write(server.path("users.toml"), text).unwrap();
}

/// Whether the log names the rule's call.
fn names(signs: &[String], rule: &Syscall) -> bool {
    let number = syscalls::number(&rule.name).unwrap();
    let by_name = format!("the system call {} (", rule.name);
    let by_number = format!("at system call {number}");
    signs.iter().any(|sign| {
        let numbered = sign.split_once(&by_number);
        // 5 is not 57.
        sign.contains(&by_name)
            || numbered.is_some_and(|(_, rest)| !rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

/// Whether a process of the role was stopped before anybody listened to its last words.
fn is_silent_end(signs: &[String], role: Role) -> bool {
    // A gate that is to become a relay may be called either.
    let names: &[&str] = match role {
        Role::Gate | Role::Relay => &["gate", "relay"],
        _ => &[role.name()],
    };
    names.iter().any(|name| {
        signs.iter().any(|sign| {
            let died = sign.contains(&format!("\"role\":\"{name}\""));
            died && sign.contains("exit status 159")
                || sign.contains(&format!("the {name} could not be started"))
        })
    })
}

/// Whether a violation is told of only with this rule: its policy lacks the rule and a second one,
/// that of a call which every process of the role makes.
fn says_last_words(server: &mut Server, embedded: &Embedded, index: usize) -> bool {
    let syscalls = &embedded.policy().syscalls;
    let second = match embedded.policy().role {
        Role::Keeper => "read",
        Role::Authenticator => "openat",
        // Not of its start: what it says then, nobody asks how it ended.
        Role::Helper => "getrandom",
        _ => "ppoll",
    };
    let second = syscalls.iter().position(|rule| rule.name == second).unwrap();
    let told = |signs: &[String]| {
        names(signs, &syscalls[second]) && signs.iter().any(|sign| !sign.contains("SIGSYS"))
    };
    let with = without(server, embedded, &[second]);
    let killed = |signs: &[String]| signs.iter().any(|sign| sign.contains("SIGSYS"));
    let lacking = without(server, embedded, &[second, index]);
    assert!(told(&with) && !killed(&with), "{with:?}");
    !told(&lacking) || killed(&lacking)
}

/// What the log says of a server whose programs lack these rules.
fn without(server: &mut Server, embedded: &Embedded, rules: &[usize]) -> Vec<String> {
    let dist = server.binaries.clone();
    let place = server.path("reduced");
    embedded.without(rules, &place);
    let name = embedded.policy().syscalls[rules[0]].name.as_str();
    if embedded.program() != "bulkhead" {
        for (calls, variables) in [SMALL_PIECES, LARGE_PIECES] {
            if calls.contains(&name) {
                environment::set(&place, embedded.program(), variables);
            }
        }
    }
    // With the vDSO, nobody needs the call.
    server.under = match name {
        "clock_gettime" => OtherHost::WithoutVdso.under(&place),
        _ => Vec::new(),
    };
    server.account("alice").put("file", &patterned(3 << 20));
    let from = log_length(server);
    server.binaries.clone_from(&place);
    let started = server.try_launch().is_ok();
    let (failed, mut signs) = if started { run(server, from) } else { (vec![], vec![]) };
    if started {
        // The end of a process may still be on its way into the log.
        if signs.is_empty() && failed.is_empty() {
            wait_for(Duration::from_secs(1), || !stopped(server, from).is_empty());
            signs = stopped(server, from);
        }
        server.signal(Signal::SIGKILL);
        server.wait();
    } else {
        signs = stopped(server, from);
    }
    fs::remove_dir_all(&place).unwrap();
    server.binaries = dist;
    signs
}
