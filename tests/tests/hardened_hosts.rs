//! Hosts that forbid more than most: each restriction is put up in namespaces of the server's own, and
//! the server has to serve all the same.
//!
//! Not tested, because a test cannot put it up and take it down again: Yama's ptrace_scope 3, which
//! holds until the host starts anew (no process of the server traces another), and fapolicyd (nothing is
//! executed but the three programs; no memfd is made, which the policies forbid). A host without IPv6
//! is part of the tests of the packages, where the unit forbids the family.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use bulkhead_tests::harness::{Server, dist, needs_root};
use libtest_mimic::Trial;

pub fn tests() -> Vec<Trial> {
    vec![
        needs_root("hardened host: no user namespaces", no_user_namespaces),
        needs_root("hardened host: nothing executable on /tmp and /home (h10)", noexec),
        needs_root("hardened host: hidepid=2", hidepid),
        needs_root("hardened host: umask 077", umask),
        needs_root("hardened host: no /dev/shm", no_shared_memory),
        needs_root("hardened host: b10 root without its capabilities does not serve", b10_refuses),
        needs_root("hardened host: b10 what may be missing is named and told", b10_allowed),
        needs_root("hardened host: a container as `policy container` prints it", container),
    ]
}

/// A mount namespace of one's own.
const MOUNTS: [&str; 3] = ["unshare", "--mount", "--propagation=private"];

/// A user namespace with every uid of the host, in which there can be no other: the limit is one of
/// each user namespace. Its map is written from outside, by a subshell that stays there.
const OWN_USERS: &str = "me=$$; here=$(readlink /proc/self/ns/user); \
                         { until [ \"$(readlink /proc/$me/ns/user)\" != \"$here\" ]; do sleep 0.05; done; \
                         echo '0 0 65536' > /proc/$me/uid_map; \
                         echo '0 0 65536' > /proc/$me/gid_map; } & \
                         exec unshare --user \"$0\" \"$@\"";

fn no_user_namespaces() {
    // Root again only with the next program that is executed: hence the shell in the shell.
    let restrict = "until grep -q 65536 /proc/self/gid_map; do sleep 0.05; done; \
                    sh -c 'echo 0 > /proc/sys/user/max_user_namespaces'; \
                    if unshare --user true 2>/dev/null; then exit 1; fi";
    serves(&["sh", "-euc", OWN_USERS], restrict);
}

/// The programs lie where no checkout does, below /mnt: it may well be below /tmp or /home.
fn noexec() {
    let restrict = "mount -t tmpfs -o mode=755 tmpfs /mnt; cp \"${0%/*}\"/bulkhead* /mnt; \
                    program=/mnt/bulkhead; mount --bind /tmp /tmp; mount -o remount,bind,noexec,nosuid,nodev /tmp; \
                    mount -t tmpfs -o noexec,nosuid,nodev tmpfs /home; \
                    grep -q ' /tmp .*noexec' /proc/mounts; grep -q ' /home .*noexec' /proc/mounts";
    let elsewhere = tempfile::Builder::new().prefix("bulkhead-h10-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(elsewhere.path(), PermissionsExt::from_mode(0o755)).unwrap();
    for program in ["bulkhead", "bulkhead-worker", "bulkhead-helper"] {
        fs::copy(dist().join(program), elsewhere.path().join(program)).unwrap();
    }
    serves_with(elsewhere.path(), &MOUNTS, restrict);
}

fn hidepid() {
    let restrict = "mount -t proc -o hidepid=2 proc /proc; \
                    grep -q 'hidepid=\\(2\\|invisible\\)' /proc/self/mounts";
    serves(&MOUNTS, restrict);
}

fn umask() {
    serves(&["env"], "umask 077");
}

fn no_shared_memory() {
    let restrict = "mount -t tmpfs -o ro,mode=0,size=4k tmpfs /dev/shm; \
                    if touch /dev/shm/x 2>/dev/null; then exit 1; fi";
    serves(&MOUNTS, restrict);
}

/// Root with a few capabilities, as in a container.
const FEW: [&str; 3] =
    ["setpriv", "--bounding-set", "-all,+setuid,+setgid,+net_bind_service,+chown,+kill"];

fn b10_refuses() {
    let mut server = Server::new().with_account("alice", &[]);
    server.under = FEW.map(str::to_owned).to_vec();
    assert!(server.try_launch().is_err(), "it serves without chroot, bounding sets and securebits");
    let said = fs::read_to_string(server.path("stderr")).unwrap();
    assert!(said.contains("not serving: root lacks these capabilities here: SETPCAP, SYS_CHROOT"));
    assert!(said.contains("without_capabilities"), "{said}");
    // With one of them named, the other is missing still.
    let mut server = server.with("sandbox.without_capabilities", "[\"SETPCAP\"]");
    assert!(server.try_launch().is_err());
    let said = fs::read_to_string(server.path("stderr")).unwrap();
    assert!(said.contains("capabilities here: SYS_CHROOT."), "{said}");
}

fn b10_allowed() {
    let mut server = Server::new()
        .with_account("alice", &[])
        .with("sandbox.without_capabilities", "[\"SETPCAP\", \"SYS_CHROOT\"]");
    server.under = FEW.map(str::to_owned).to_vec();
    let server = server.run();
    server.log_in("alice").command("QUIT", 221);
    let warned: Vec<String> = server
        .events("missing-capability")
        .iter()
        .map(|event| format!("{} {}", event["level"], event["capability"]))
        .collect();
    assert_eq!(warned, ["\"WARN\" \"SETPCAP\"", "\"WARN\" \"SYS_CHROOT\""]);
    assert!(server.status()["layers"].to_string().contains("root lacks SETPCAP, SYS_CHROOT"));
    let checked = server.bulkhead(&["check"]);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(said.contains("the server begins although root lacks SETPCAP, SYS_CHROOT"), "{said}");
}

/// With the capabilities that the command names, and no way to more.
fn container() {
    let printed = Server::new().bulkhead(&["policy", "container"]);
    let printed = String::from_utf8(printed.stdout).unwrap();
    let added = printed.split_whitespace().filter_map(|word| word.strip_prefix("--cap-add="));
    let kept: String = added.map(|name| format!(",+{}", name.to_lowercase())).collect();
    assert!(printed.starts_with("--cap-drop=ALL ") && kept.contains(",+sys_chroot"), "{printed}");
    let bounding = format!("--bounding-set=-all{kept}");
    let namespaces: Vec<&str> = MOUNTS.into_iter().chain(["setpriv", "--no-new-privs"]).collect();
    let namespaces: Vec<&str> = namespaces.into_iter().chain([bounding.as_str()]).collect();
    serves(&namespaces, "[ \"$(id -u)\" = 0 ]; grep -q 'NoNewPrivs:.*1' /proc/self/status");
}

/// Starts a server behind `namespaces` and a shell that runs `restrict` first, and has a client log in,
/// list, upload and download.
fn serves(namespaces: &[&str], restrict: &str) {
    serves_with(&dist(), namespaces, restrict);
}

/// The same with the programs of a directory; `restrict` may choose others.
fn serves_with(programs: &Path, namespaces: &[&str], restrict: &str) {
    let script = format!("set -eu; program=$0; {restrict}; exec \"$program\" \"$@\"");
    let mut under: Vec<String> = namespaces.iter().map(|word| (*word).to_owned()).collect();
    under.extend(["sh".into(), "-c".into(), script]);
    let mut server = Server::new().with_account("alice", &[]);
    server.under = under;
    server.binaries = programs.to_owned();
    let server = server.run();
    let account = server.account("alice");
    let address = format!("ftp://{}/", server.address());
    let user = format!("{}:{}", account.name, account.password);
    let upload = server.path("upload");
    fs::write(&upload, "carried").unwrap();
    let curl = |arguments: &[&str]| {
        let common = ["--silent", "--show-error", "--user", &user];
        let output = Command::new("curl").args(common).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let remote = format!("{address}uploaded");
    curl(&["--upload-file", upload.to_str().unwrap(), &remote]);
    assert_eq!(curl(&[&remote]), "carried");
    assert!(curl(&[&address]).contains("uploaded"));
    assert!(server.events("violation").is_empty());
}
