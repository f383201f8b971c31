//! What a refused command is told: a permanent error is never a 4xx, which clients take as an order to
//! repeat it. The table from call and errno to reply is `worker/src/files/error.rs`; here it is tried
//! on the wire.

use std::{io::Read, os::unix::fs::symlink, process::Command};

#[cfg(target_arch = "x86_64")]
use bulkhead_tests::harness::Injection;
use bulkhead_tests::harness::{Account, Server, in_namespaces, needs_root, test};
use libtest_mimic::Trial;
#[cfg(target_arch = "x86_64")]
use nix::{errno::Errno, libc};

const MOUNTS: &str = "refusals::g3_mount_points_and_other_file_systems_are_a_550";

pub fn tests() -> Vec<Trial> {
    vec![
        test("refusals::g3_a_permanent_error_is_never_a_4xx", permanent),
        test("refusals::f1_a_directory_is_not_moved_into_itself", into_itself),
        test("refusals::g3_a_file_that_a_program_runs_from_is_a_450", running),
        needs_root(MOUNTS, mounts),
        traced("refusals::g3_every_errno_of_a_call_has_its_reply", every_errno),
    ]
}

/// A test that traces a session: for root, and where the harness knows the registers.
fn traced(name: &str, run: fn()) -> Trial {
    if cfg!(target_arch = "x86_64") {
        needs_root(name, run)
    } else {
        test(name, run).with_kind("skipped: needs x86-64").with_ignored_flag(true)
    }
}

/// Commands that a server refuses for good, with the files that the test has made.
const REFUSED_FOR_GOOD: &[&str] = &[
    "RMD /",
    "RMD .",
    "RMD full",
    "RMD file",
    "RMD gone",
    "RMD loop/x",
    "DELE /",
    "DELE .",
    "DELE d",
    "DELE gone",
    "DELE file/x",
    "MKD /",
    "MKD d",
    "MKD file",
    "MKD file/x",
    "MKD gone/x",
    "MKD loop/x",
    "CWD file",
    "CWD gone",
    "CWD loop",
    "CWD out",
    "RETR d",
    "RETR gone",
    "RETR loop",
    "RETR file/x",
    "RETR out/etc",
    "STOR d",
    "STOR loop",
    "STOR file/x",
    "APPE d",
    "SIZE d",
    "SIZE gone",
    "MDTM gone",
    "MLST gone",
    "LIST gone",
    "NLST gone",
    "MLSD gone",
    "STAT gone",
    "HASH d",
    "HASH gone",
    "XCRC gone",
    "RNFR gone",
    "RNFR file/x",
    "SITE CHMOD 644 gone",
    "SITE SYMLINK x file",
    "SITE SYMLINK x gone/x",
    "MFMT 20200102030405 gone",
    "AVBL gone",
];

fn permanent() {
    let server = Server::new().with_account("alice", &["--rights", Account::ALL_RIGHTS]).run();
    let alice = server.account("alice");
    alice.put("file", b"x");
    alice.put("other", b"x");
    for name in ["d", "full", "full/sub"] {
        alice.make_directory(name);
    }
    symlink("loop", alice.path("loop")).unwrap();
    symlink("../../..", alice.path("out")).unwrap();
    let long = "n".repeat(256);
    let deep = "d/".repeat(2047);
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    control.command("EPSV", 229);
    for line in REFUSED_FOR_GOOD {
        control.command(line, 550);
    }
    // What can only be known when the file is made.
    for line in ["STOR gone/x", "STOU gone/x", "APPE gone/x"] {
        let _data = control.passive();
        control.command(line, 550);
    }
    control.command("EPSV", 229);
    for verb in ["MKD", "STOR", "CWD", "RETR", "RNFR", "SIZE"] {
        control.command(&format!("{verb} {long}"), 553);
        control.command(&format!("{verb} {deep}"), 500 + if deep.len() > 4090 { 0 } else { 53 });
    }
    for (from, to) in [
        ("/", "new"),
        ("file", "/"),
        ("file", "d"),
        ("d", "file"),
        ("d", "full"),
        ("file", "gone/x"),
        ("file", "other/x"),
    ] {
        control.command(&format!("RNFR {from}"), 350);
        control.command(&format!("RNTO {to}"), 550);
    }
    // Nothing of it was done.
    assert_eq!(alice.read("file"), b"x");
    for name in ["d", "full", "full/sub", "other"] {
        assert!(alice.has(name), "{name}");
    }
}

fn into_itself() {
    let server = Server::start();
    let alice = server.account("alice");
    alice.make_directory("d");
    alice.make_directory("d/sub");
    let mut control = server.log_in("alice");
    for to in ["d/new", "d/sub/new", "./d/new"] {
        control.command("RNFR d", 350);
        let reply = control.command(&format!("RNTO {to}"), 550);
        assert!(reply.text().ends_with("a directory cannot be moved into itself."), "{reply:?}");
    }
    assert!(alice.has("d/sub"));
}

fn running() {
    let server = Server::start();
    let alice = server.account("alice");
    alice.put("program", &std::fs::read("/bin/sleep").unwrap());
    Command::new("chmod").arg("755").arg(alice.path("program")).status().unwrap();
    let mut program = Command::new(alice.path("program")).arg("600").spawn().unwrap();
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    control.command("EPSV", 229);
    let reply = control.command("STOR program", 450);
    program.kill().unwrap();
    program.wait().unwrap();
    assert!(reply.text().contains("a program is running from this file"), "{reply:?}");
    // It was temporary, as the reply said.
    control.upload("STOR program", b"x");
}

fn mount(arguments: &[&str], account: &Account, name: &str) {
    let mounted = Command::new("mount").args(arguments).arg(account.path(name)).output().unwrap();
    assert!(mounted.status.success(), "{mounted:?}");
}

fn mounts() {
    if !in_namespaces(MOUNTS, &["--mount"], "true") {
        return;
    }
    let server = Server::new().with_account("alice", &["--rights", Account::ALL_RIGHTS]);
    let alice = server.account("alice").clone();
    alice.put("file", b"x");
    alice.make_directory("d");
    let owner = format!("size=1m,mode=755,uid={0},gid={0}", alice.uid);
    for name in ["m", "ro"] {
        alice.make_directory(name);
        mount(&["-t", "tmpfs", "-o", &owner, "tmpfs"], &alice, name);
        alice.put(&format!("{name}/inside"), b"x");
    }
    mount(&["-o", "remount,ro"], &alice, "ro");
    let server = server.run();
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    control.command("EPSV", 229);
    let mut refused = |lines: &[&str], why: &str| {
        let (last, before) = lines.split_last().unwrap();
        before.iter().for_each(|line| drop(control.command(line, 350)));
        let reply = control.command(last, 550);
        assert!(reply.text().contains(why), "{lines:?}: {reply:?}");
    };
    refused(&["RMD m"], "a file system is mounted there");
    refused(&["RNFR m", "RNTO n"], "a file system is mounted there");
    refused(&["RNFR d", "RNTO m"], "a file system is mounted there");
    refused(&["RNFR file", "RNTO m/file"], "not on the same file system");
    refused(&["RNFR m/inside", "RNTO inside"], "not on the same file system");
    for line in ["RMD ro/d", "DELE ro/inside", "MKD ro/d", "SITE SYMLINK x ro/l", "STOR ro/inside"]
    {
        let why = if line == "RMD ro/d" { "" } else { "read-only" };
        refused(&[line], why);
    }
    refused(&["SITE CHMOD 600 ro/inside"], "read-only");
    refused(&["RNFR ro/inside", "RNTO ro/other"], "read-only");
    control.command("MKD m/d", 257);
    control.upload("STOR m/new", b"x");
}

/// Errnos that any call on a path may give, and the codes of their replies.
#[cfg(target_arch = "x86_64")]
const OF_PATHS: &[(Errno, u16)] = &[
    (Errno::EACCES, 550),
    (Errno::EPERM, 550),
    (Errno::ENOENT, 550),
    (Errno::ENOTDIR, 550),
    (Errno::ELOOP, 550),
    (Errno::ENAMETOOLONG, 553),
    (Errno::EROFS, 550),
    (Errno::ENOSPC, 452),
    (Errno::EDQUOT, 552),
    (Errno::ENOMEM, 451),
    (Errno::EIO, 451),
    (Errno::ESTALE, 451),
    (Errno::EUCLEAN, 550),
];

/// A command whose last line makes a system call, and what that call may give besides.
#[cfg(target_arch = "x86_64")]
type Row = (&'static [&'static str], i64, &'static [(Errno, u16)], &'static [(Errno, u16)]);

/// Commands that move data end with `RETR`; the others are answered on the control connection.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const CALLS: &[Row] = &[
    (&["MKD new"], libc::SYS_mkdirat, OF_PATHS,
        &[(Errno::EEXIST, 550), (Errno::EMLINK, 550), (Errno::EINVAL, 553)]),
    (&["RMD d"], libc::SYS_unlinkat, OF_PATHS,
        &[(Errno::EBUSY, 550), (Errno::ENOTEMPTY, 550), (Errno::EEXIST, 550), (Errno::EINVAL, 550)]),
    (&["DELE f"], libc::SYS_unlinkat, OF_PATHS, &[(Errno::EBUSY, 550), (Errno::EISDIR, 550)]),
    (&["RNFR f", "RNTO g"], libc::SYS_renameat2, OF_PATHS,
        &[(Errno::EBUSY, 550), (Errno::EINVAL, 550), (Errno::EXDEV, 550), (Errno::ENOTEMPTY, 550),
          (Errno::EMLINK, 550), (Errno::EISDIR, 550)]),
    (&["SIZE f"], libc::SYS_openat2, OF_PATHS,
        &[(Errno::EXDEV, 550), (Errno::EMFILE, 451), (Errno::ENFILE, 451), (Errno::EINVAL, 553)]),
    (&["MDTM f"], libc::SYS_statx, OF_PATHS, &[]),
    (&["CWD d"], libc::SYS_statx, OF_PATHS, &[]),
    (&["HASH f"], libc::SYS_pread64, &[], &[(Errno::EIO, 451), (Errno::EISDIR, 550)]),
    (&["STAT /"], libc::SYS_getdents64, &[], &[(Errno::EIO, 451), (Errno::ENOTDIR, 550)]),
    (&["SITE CHMOD 640 f"], libc::SYS_fchmod, OF_PATHS, &[(Errno::EOPNOTSUPP, 550)]),
    (&["MFMT 20200102030405 f"], libc::SYS_utimensat, OF_PATHS, &[(Errno::ENOSYS, 550)]),
    (&["SITE SYMLINK f new"], libc::SYS_symlinkat, OF_PATHS,
        &[(Errno::EEXIST, 550), (Errno::EINVAL, 553)]),
    (&["AVBL"], libc::SYS_fstatfs, OF_PATHS, &[(Errno::ENOSYS, 550)]),
    (&["EPSV", "RETR f"], libc::SYS_sendfile, &[],
        &[(Errno::EIO, 451), (Errno::ENOMEM, 451), (Errno::EOVERFLOW, 552), (Errno::EINVAL, 550)]),
];

#[cfg(not(target_arch = "x86_64"))]
fn every_errno() {}

#[cfg(target_arch = "x86_64")]
fn every_errno() {
    let server = Server::new().with_account("alice", &["--rights", Account::ALL_RIGHTS]).run();
    let alice = server.account("alice");
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    let session = server.processes_of("session").first().expect("a session").pid;
    for (lines, call, of_paths, others) in CALLS {
        for (errno, code) in of_paths.iter().chain(*others) {
            // The call is made though its result is replaced.
            std::fs::remove_dir(alice.path("new")).ok();
            std::fs::remove_file(alice.path("new")).ok();
            std::fs::remove_file(alice.path("g")).ok();
            alice.put("f", b"contents");
            if !alice.has("d") {
                alice.make_directory("d");
            }
            let (last, before) = lines.split_last().unwrap();
            let mut data = None;
            for line in before {
                match *line {
                    "EPSV" => data = Some(control.passive()),
                    line => drop(control.command(line, 350)),
                }
            }
            let injection = Injection::into(session, *call, *errno);
            control.send(last);
            let mut reply = control.reply().unwrap();
            if reply.code == 150 {
                reply = control.reply().unwrap();
            }
            injection.done();
            assert_eq!(reply.code, *code, "{lines:?} with {errno}: {reply:?}");
            if let Some(mut data) = data {
                data.read_to_end(&mut Vec::new()).ok();
            }
            control.command("CWD /", 250);
        }
    }
}
