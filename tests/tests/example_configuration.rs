//! The example file of the small server this project grew from: it loads unchanged, and its limits
//! are kept.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

use bulkhead_tests::harness::{
    Account, ControlConnection, Server, eventually, in_namespaces, is_root, patterned, test,
};
use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// The file as it is: `key = value`, and nothing else.
const EXAMPLE: &str = "\
# /etc/mini_ftpd.conf
idle_ctrl_timeout = 300
idle_data_timeout = 20
max_upload_rate = 8192000
max_download_rate = 4096000
max_conns_per_ip = 2
maximum_clients = 3
accept_timeout = 30
connect_timeout = 3
";

const UNCHANGED: &str = "example_configuration::the_file_alone_is_a_configuration";

pub fn tests() -> Vec<Trial> {
    let alone = test(UNCHANGED, alone);
    // Its ports and directories are the system's own: only in namespaces are they ours to take.
    let ip = ["/bin/ip", "/sbin/ip", "/usr/sbin/ip"].iter().any(|ip| Path::new(ip).exists());
    let alone = match (is_root(), ip) {
        (true, true) => alone,
        (false, _) => alone.with_kind("skipped: needs root").with_ignored_flag(true),
        (true, false) => alone.with_kind("skipped: needs ip").with_ignored_flag(true),
    };
    vec![alone, test("example_configuration::its_limits_are_kept", limits)]
}

/// Connects from an address of the loopback network, and says what the server said first.
fn greeting(last: u8, server: SocketAddr) -> (ControlConnection, u16) {
    let own = Ipv4Addr::new(127, 0, 0, last);
    let mut control = ControlConnection::connect_from(own.into(), server);
    let code = control.reply().unwrap().code;
    (control, code)
}

/// The third connection of one address and the fourth in all are refused; a place that is left is
/// given again.
fn expect_counting(server: SocketAddr) {
    let (first, code) = greeting(1, server);
    assert_eq!(code, 220);
    let (_second, code) = greeting(1, server);
    assert_eq!(code, 220);
    let (mut refused, code) = greeting(1, server);
    assert_eq!(code, 421, "the third of one address");
    refused.expect_end();
    let (mut other, code) = greeting(2, server);
    assert_eq!(code, 220, "the third in all");
    let (mut refused, code) = greeting(3, server);
    assert_eq!(code, 421, "the fourth in all");
    refused.expect_end();
    other.command("NOOP", 200);
    drop(first);
    eventually("the place to be given again", || (greeting(3, server).1 == 220).then_some(()));
}

/// The times and rates of the example are those of a session.
fn expect_limits(control: &mut ControlConnection, account: &Account) {
    let idle = control.command("SITE IDLE", 200);
    assert!(idle.text().contains(" 300 seconds "), "{idle:?}");
    control.command("TYPE I", 200);
    let started = Instant::now();
    control.upload("STOR file", &patterned(12_288_000));
    let took = started.elapsed().as_secs_f64();
    assert!(took >= 1.3, "12 MB at 8.192 MB/s took {took} s");
    let started = Instant::now();
    assert!(control.download("RETR file") == patterned(12_288_000));
    let took = started.elapsed().as_secs_f64();
    assert!(took >= 2.8, "12 MB at 4.096 MB/s took {took} s");
    assert_eq!(account.read("file").len(), 12_288_000);
}

fn limits() {
    // The tests' own settings go behind the example's, and take none of them back.
    let server = Server::new().with_account("alice", &[]);
    let mut ours = String::new();
    for line in server.settings.text().lines() {
        let key = line.split(' ').next().unwrap_or_default();
        if !EXAMPLE.lines().any(|example| example.split(' ').next() == Some(key)) {
            ours.push_str(&format!("{line}\n"));
        }
    }
    let mut server = server;
    server.launch_with(&format!("{EXAMPLE}{ours}"));
    expect_counting(server.address());
    server.expect_idle();
    expect_limits(&mut server.log_in("alice"), server.account("alice"));
}

fn alone() {
    const PREPARE: &str = "ip link set lo up && mount -t tmpfs tmpfs /run && \
         mount -t tmpfs tmpfs /var/lib && mkdir /run/etc && cp -a /etc/. /run/etc && \
         mount --bind /run/etc /etc && mkdir -p /etc/bulkhead";
    if !in_namespaces(UNCHANGED, &["--mount", "--net"], PREPARE) {
        return;
    }
    let file = Path::new("/etc/mini_ftpd.conf");
    fs::write(file, EXAMPLE).unwrap();
    let scratch = Server::new();
    let account = Account::make(scratch.scratch.path(), "alice", 20_001);
    let program = || {
        let mut program = Command::new(scratch.binaries.join("bulkhead"));
        program.arg("--config").arg(file);
        program
    };
    let root = account.root.to_str().unwrap();
    let mut adding = program()
        .args(["user", "add", "alice", "--root", root, "--password-stdin"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    adding.stdin.take().unwrap().write_all(account.password.as_bytes()).unwrap();
    assert!(adding.wait().unwrap().success());
    let mut server = Running(program().arg("serve").spawn().unwrap());
    let address = SocketAddr::from(([127, 0, 0, 1], 21));
    let mut expect_idle = || {
        eventually("nobody to be connected", || {
            assert!(server.0.try_wait().unwrap().is_none(), "the server has ended");
            let said = program().args(["status", "--json"]).output().unwrap();
            let status: Value = serde_json::from_slice(&said.stdout).ok()?;
            (status.get("connections")? == 0).then_some(())
        });
    };
    expect_idle();
    expect_counting(address);
    expect_idle();
    expect_limits(&mut ControlConnection::log_in(address, &account), &account);
}

/// A server that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.0.id()) {
            kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
        }
        self.0.wait().ok();
    }
}
