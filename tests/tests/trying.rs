//! `bulkhead try`, as its own words say it is used: the lines it prints are pasted into a shell.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use bulkhead_tests::harness::{dist, eventually, is_root, needs_program, patterned};
use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// Nobody: who has no privilege at all.
const ORDINARY: u32 = 65_534;

pub fn tests() -> Vec<Trial> {
    let root = needs_program("trying::root_serves_a_directory_of_root", "curl", as_root);
    let root = if is_root() {
        root
    } else {
        root.with_kind("skipped: needs root").with_ignored_flag(true)
    };
    vec![
        needs_program("trying::an_ordinary_user_pastes_the_curl_lines", "curl", curl),
        needs_program("trying::an_ordinary_user_pastes_the_lftp_line", "lftp", lftp),
        root,
    ]
}

/// Sizes at which transfers go wrong.
const SIZES: [usize; 4] = [0, 1, 4096, (1 << 20) + 1];

/// A running `bulkhead try` and who uses it.
struct Trying {
    child: Child,
    /// What it printed, line by line.
    printed: Vec<String>,
    /// The directory that is served, and where the client stands.
    served: PathBuf,
    here: PathBuf,
    /// Where the server makes what it needs.
    temporary: PathBuf,
    /// Whose processes server and client are, when they are not ours.
    user: Option<u32>,
    _scratch: TempDir,
}

impl Trying {
    /// Starts the server on a directory of this user's.
    fn start(user: Option<u32>) -> Trying {
        let scratch = TempDir::with_prefix("bulkhead-trying-").unwrap();
        let place = scratch.path().to_owned();
        let make = |name: &str| {
            let directory = place.join(name);
            fs::create_dir(&directory).unwrap();
            chown(&directory, user, user).unwrap();
            directory
        };
        let (served, here, temporary) = (make("served"), make("here"), make("temporary"));
        let programs = make("programs");
        for directory in [&place, &programs] {
            fs::set_permissions(directory, PermissionsExt::from_mode(0o755)).unwrap();
        }
        // A checkout may be closed to others; the user gets programs of his own.
        for program in ["bulkhead", "bulkhead-worker", "bulkhead-helper"] {
            fs::copy(dist().join(program), programs.join(program)).unwrap();
        }
        let mut command = as_user(&programs.join("bulkhead"), user);
        command.args(["try", "--port", "0"]).arg(&served).env("TMPDIR", &temporary);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut printed = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            printed.push(line.unwrap());
            if printed.last().is_some_and(|line| line.starts_with("Ctrl-C ")) {
                break;
            }
        }
        assert!(printed.iter().any(|line| line.starts_with("Bulkhead serves ")), "{printed:?}");
        Trying { child, printed, served, here, temporary, user, _scratch: scratch }
    }

    /// A line of the instructions, as it is pasted.
    fn line(&self, what: &str) -> &str {
        let lines = self.printed.iter();
        let mut found = lines.filter_map(|line| line.trim_start().strip_prefix(what));
        found.next().unwrap_or_else(|| panic!("no {what} in {:?}", self.printed)).trim_start()
    }

    /// Pastes a line into a shell and types an input.
    fn paste(&self, line: &str, input: &str) -> Output {
        let mut shell = as_user(Path::new("/bin/sh"), self.user);
        shell.args(["-c", line]).current_dir(&self.here);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        output
    }

    /// Ctrl-C: it ends with 0 and leaves nothing behind.
    fn interrupt(mut self) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        let status = eventually("the server to end", || self.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
        let left: Vec<_> = fs::read_dir(&self.temporary).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

impl Drop for Trying {
    fn drop(&mut self) {
        // Long ended, in a test that passes.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn as_user(program: &Path, user: Option<u32>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", bulkhead_tests::harness::NO_HOME).env("LC_ALL", "C.UTF-8").current_dir("/");
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    command
}

/// The user of the tests that are for everybody.
fn ordinary() -> Option<u32> {
    is_root().then_some(ORDINARY)
}

/// Lists, uploads and downloads with the printed lines.
fn paste_curl_lines(trying: &Trying) {
    for size in SIZES {
        let name = format!("file-{size}");
        fs::write(trying.here.join(&name), patterned(size)).unwrap();
        let upload = trying.line("upload").replace("FILE ftp:", &format!("{name} ftp:"));
        trying.paste(&upload, "");
        assert!(fs::read(trying.served.join(&name)).unwrap() == patterned(size), "{name}");
        fs::remove_file(trying.here.join(&name)).unwrap();
        let download = trying.line("download").replace("/FILE", &format!("/{name}"));
        trying.paste(&download, "");
        assert!(fs::read(trying.here.join(&name)).unwrap() == patterned(size), "{name}");
    }
    let list = trying.paste(trying.line("list"), "").stdout;
    assert_eq!(String::from_utf8(list).unwrap().lines().count(), SIZES.len());
}

fn curl() {
    let trying = Trying::start(ordinary());
    let layers = trying.printed.iter().filter(|line| line.starts_with("  ")).count();
    assert!(layers > 6, "{:?}", trying.printed);
    paste_curl_lines(&trying);
    if let Some(user) = trying.user {
        assert_eq!(fs::metadata(trying.served.join("file-1")).unwrap().uid(), user);
    }
    trying.interrupt();
}

fn lftp() {
    let trying = Trying::start(ordinary());
    let mut typed = String::new();
    for size in SIZES {
        fs::write(trying.here.join(format!("up-{size}")), patterned(size)).unwrap();
        typed.push_str(&format!("put up-{size}\nget up-{size} -o down-{size}\n"));
    }
    typed.push_str("cls -1\nquit\n");
    let output = trying.paste(trying.line("browse"), &typed);
    for size in SIZES {
        let up = fs::read(trying.served.join(format!("up-{size}"))).unwrap();
        let down = fs::read(trying.here.join(format!("down-{size}"))).unwrap();
        assert!(up == patterned(size) && down == up, "{size}: {output:?}");
    }
    let listed = String::from_utf8(output.stdout).unwrap();
    assert!(listed.contains("up-4096"), "{listed}");
    trying.interrupt();
}

fn as_root() {
    let trying = Trying::start(None);
    paste_curl_lines(&trying);
    // Nothing is ever served as root: not even what root serves.
    assert_ne!(fs::metadata(trying.served.join("file-1")).unwrap().uid(), 0);
    trying.interrupt();
}
