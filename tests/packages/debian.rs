//! A Debian of its own: its files out of debootstrap (kept, so that it is fetched once), in namespaces of
//! its own, with its own systemd as process 1.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Fetching a Debian may take a while on a busy machine.
const BOOT_PATIENCE: Duration = Duration::from_secs(60);

/// What debootstrap has to bring besides the smallest Debian.
const PACKAGES: &str = "systemd,systemd-sysv,curl";

/// A running Debian. Dropped, it and everything in it ends.
pub struct Debian {
    scratch: TempDir,
    outside: Child,
    first: String,
    group: Option<PathBuf>,
}

impl Debian {
    /// Unpacks and boots one.
    pub fn boot() -> Debian {
        let scratch = TempDir::with_prefix("bulkhead-debian-").unwrap();
        let root = scratch.path().join("root");
        fs::create_dir(&root).unwrap();
        succeed(Command::new("tar").arg("-C").arg(&root).arg("-xzpf").arg(archive()));
        let group = make_group();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net"]);
        command.args(["--cgroup", "sh", "-euc", BOOT]);
        command.env("ROOT", &root).env("GROUP", group.as_deref().unwrap_or(Path::new("")));
        command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        let outside = command.spawn().unwrap();
        let mut debian = Debian { scratch, outside, first: String::new(), group };
        debian.wait_for_boot();
        debian
    }

    fn wait_for_boot(&mut self) {
        let deadline = Instant::now() + BOOT_PATIENCE;
        let children = format!("/proc/{0}/task/{0}/children", self.outside.id());
        loop {
            assert!(Instant::now() < deadline, "systemd did not come up");
            assert!(self.outside.try_wait().unwrap().is_none(), "systemd did not start");
            std::thread::sleep(Duration::from_millis(100));
            self.first = fs::read_to_string(&children).unwrap_or_default().trim().to_owned();
            if self.first.is_empty() || !self.path("run/systemd/private").exists() {
                continue;
            }
            let state = self.run("systemctl is-system-running");
            let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
            if state == "running" || state == "degraded" {
                return;
            }
        }
    }

    /// A path of the Debian, as seen from outside.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.first)).join(inside.trim_start_matches('/'))
    }

    /// A shell command inside, not started yet.
    pub fn command(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.first, "--all", "--root", "--wdns=/", "--"]);
        command.args(["/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
        command.args([
            "DEBIAN_FRONTEND=noninteractive",
            "SYSTEMD_PAGER=",
            "/bin/sh",
            "-euc",
            script,
        ]);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a shell command inside.
    pub fn run(&self, script: &str) -> Output {
        self.command(script).output().unwrap()
    }

    /// Runs a shell command inside, expects success and gives what it printed.
    pub fn sh(&self, script: &str) -> String {
        let output = self.run(script);
        if !output.status.success() {
            let journal =
                self.run("journalctl --no-pager --lines 40; systemctl --no-pager --failed");
            panic!("{script}: {output:?}\n{}", String::from_utf8_lossy(&journal.stdout));
        }
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A property of a unit, as systemctl(1) shows it.
    pub fn property(&self, unit: &str, property: &str) -> String {
        self.sh(&format!("systemctl show --property {property} --value {unit}"))
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        // With its process 1 everything in the process namespace ends.
        if let Ok(first) = self.first.parse::<i32>() {
            let first = nix::unistd::Pid::from_raw(first);
            nix::sys::signal::kill(first, nix::sys::signal::Signal::SIGKILL).ok();
        }
        self.outside.kill().ok();
        self.outside.wait().ok();
        if let Some(group) = &self.group {
            remove_group(group);
        }
        let _kept_until_here = &self.scratch;
    }
}

/// Mounts what systemd expects to find, then becomes it. A container's systemd leaves devices and the
/// kernel's settings alone.
const BOOT: &str = r#"
if [ -n "$GROUP" ]; then echo 0 > "$GROUP/cgroup.procs"; fi
exec unshare --cgroup sh -euc '
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t sysfs -o ro sysfs "$ROOT/sys"
mount -t cgroup2 cgroup2 "$ROOT/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$ROOT/run"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/tmp"
mount -t tmpfs -o mode=755 tmpfs "$ROOT/dev"
for device in null zero full random urandom tty; do
    : > "$ROOT/dev/$device"
    mount --bind "/dev/$device" "$ROOT/dev/$device"
done
mkdir "$ROOT/dev/shm" "$ROOT/dev/pts"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$ROOT/dev/pts"
ln -s pts/ptmx "$ROOT/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/dev/shm"
ln -s /proc/self/fd "$ROOT/dev/fd"
cd "$ROOT"
pivot_root . mnt
exec chroot . /usr/bin/env -i container=bulkhead-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    sh -euc "umount --lazy /mnt; exec /lib/systemd/systemd --log-target=journal"
'
"#;

/// Whether there is what a Debian of one's own takes; otherwise what is missing.
pub fn missing() -> Option<&'static str> {
    let there = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
    };
    if !bulkhead_tests::harness::is_root() {
        return Some("root");
    }
    if !there("unshare") || !there("nsenter") {
        return Some("unshare and nsenter");
    }
    if cached().exists() || there("debootstrap") { None } else { Some("debootstrap") }
}

fn cached() -> PathBuf {
    super::directory().join("../debian-12.tar.gz")
}

/// The files of a Debian 12 with systemd and curl, from the mirror that this machine installs from.
fn archive() -> PathBuf {
    let cached = cached();
    if cached.exists() {
        return cached;
    }
    let scratch = TempDir::with_prefix("bulkhead-debootstrap-").unwrap();
    let root = scratch.path().join("root");
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", &format!("--include={PACKAGES}"), "bookworm"]);
    debootstrap.arg(&root).args(mirror()).stdout(Stdio::null());
    succeed(&mut debootstrap);
    let new = cached.with_extension("new");
    succeed(
        Command::new("tar").arg("-C").arg(&root).args(["-I", "gzip -1", "-cpf"]).arg(&new).arg("."),
    );
    fs::rename(&new, &cached).unwrap();
    cached
}

/// The first mirror of the machine's own apt configuration.
fn mirror() -> Option<String> {
    let format = "--format=$(REPO_URI) $(CODENAME)";
    let output = Command::new("apt-get").args(["indextargets", format]).output().ok()?;
    let targets = String::from_utf8(output.stdout).ok()?;
    let debian = targets.lines().find_map(|line| line.strip_suffix(" bookworm"))?;
    Some(debian.to_owned())
}

/// A control group for the Debian's systemd, where the unified hierarchy is; without one it stays in
/// ours.
fn make_group() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let unified = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let place = words.nth(1)?;
        (words.next()? == "cgroup2").then(|| PathBuf::from(place))
    })?;
    let group = unified.join(format!("bulkhead-test-{}", std::process::id()));
    fs::create_dir(&group).ok()?;
    Some(group)
}

/// Removes a control group and those below it, once their processes are gone.
fn remove_group(group: &Path) {
    for _ in 0..50 {
        let below: Vec<PathBuf> = fs::read_dir(group)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        for directory in below.iter().filter(|path| path.is_dir()) {
            remove_group(directory);
        }
        if fs::remove_dir(group).is_ok() || !group.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn succeed(command: &mut Command) {
    let status = command.status().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(status.success(), "{command:?}: {status}");
}
