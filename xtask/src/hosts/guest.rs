//! One guest: qemu without KVM, for so long at most, and what it told.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::image::Image;
use crate::command::{Done, output};

/// The first and the last line of a guest that came to its checks and to its end.
const STARTED: &str = "lab: started";
const DONE: &str = "lab: done";

/// The result of one check in a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It went well.
    Passed,
    /// It could not be made, and why.
    Skipped(String),
    /// It went wrong, and what was seen.
    Failed(Vec<String>),
}

/// A check of a guest and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Its name.
    pub name: String,
    /// Its result.
    pub outcome: Outcome,
}

/// Boots a guest with these kernel parameters, gives it the files of `place`, of which it runs `run`,
/// and waits until it has ended, for `limit` at most.
///
/// # Errors
/// When qemu does not start. A guest that hangs is a failed check.
pub fn boot(image: &Image, place: &Path, parameters: &str, limit: Duration) -> Done<Vec<Checked>> {
    let told = place.with_extension("told");
    let console = place.with_extension("console");
    let archive = place.with_extension("tar");
    output(Command::new("tar").arg("-C").arg(place).arg("-cf").arg(&archive).arg("."))?;
    let mut qemu = Qemu(start(image, &archive, &told, &console, parameters)?);
    let deadline = Instant::now() + limit;
    let ended = loop {
        if let Some(status) = qemu.0.try_wait().map_err(|e| format!("qemu: {e}"))? {
            break format!("qemu ended ({status})");
        }
        if Instant::now() > deadline {
            break format!("it had {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    drop(qemu);
    let read = |path: PathBuf| {
        let bytes = fs::read(path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    };
    Ok(checked(&read(told), &read(console), &ended))
}

/// A guest that runs; it ends with its owner.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn start(
    image: &Image,
    archive: &Path,
    told: &Path,
    console: &Path,
    parameters: &str,
) -> Done<Child> {
    let disk =
        |path: &Path, more: &str| format!("file={},if=virtio,format=raw,{more}", path.display());
    let line = format!("root=/dev/vda rw console=ttyS0 quiet net.ifnames=0 {parameters}");
    let mut qemu = Command::new("qemu-system-x86_64");
    // KVM is not asked for: there are hosts whose /dev/kvm boots no stock kernel.
    qemu.args(["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,la57=off,pku=off"]);
    qemu.args(["-smp", "2", "-m", "1024", "-nodefaults", "-nographic", "-no-reboot"]);
    qemu.arg("-kernel").arg(image.kernel()).arg("-initrd").arg(image.initrd());
    qemu.args(["-append", &line]);
    qemu.args(["-drive", &disk(&image.disk(), "cache=unsafe,snapshot=on")]);
    qemu.args(["-drive", &disk(archive, "readonly=on")]);
    qemu.args(["-device", "virtio-rng-pci", "-monitor", "none", "-display", "none"]);
    qemu.arg("-serial").arg(format!("file:{}", console.display()));
    qemu.arg("-serial").arg(format!("file:{}", told.display()));
    qemu.stdin(Stdio::null()).stdout(Stdio::null());
    qemu.spawn().map_err(|e| format!("qemu-system-x86_64: {e}"))
}

/// Reads what a guest told: `ok NAME`, `ok NAME # skipped: WHY`, or `not ok NAME` and lines with `# `.
fn checked(told: &str, console: &str, ended: &str) -> Vec<Checked> {
    let mut all: Vec<Checked> = Vec::new();
    for line in told.lines() {
        if let Some(name) = line.strip_prefix("not ok ") {
            all.push(Checked { name: name.to_owned(), outcome: Outcome::Failed(Vec::new()) });
        } else if let Some(name) = line.strip_prefix("ok ") {
            let (name, outcome) = match name.split_once(" # skipped: ") {
                Some((name, why)) => (name, Outcome::Skipped(why.to_owned())),
                None => (name, Outcome::Passed),
            };
            all.push(Checked { name: name.to_owned(), outcome });
        } else if let Some(seen) = line.strip_prefix("# ")
            && let Some(Checked { outcome: Outcome::Failed(lines), .. }) = all.last_mut()
        {
            lines.push(seen.to_owned());
        }
    }
    let failed = |name: &str, seen: &str| {
        let last = seen.lines().rev().take(15).collect::<Vec<_>>();
        let lines = [ended].into_iter().chain(last.into_iter().rev()).map(str::to_owned);
        Checked { name: name.to_owned(), outcome: Outcome::Failed(lines.collect()) }
    };
    if !told.lines().any(|line| line == STARTED) {
        all.push(failed("the guest boots", console));
    } else if !told.lines().any(|line| line == DONE) {
        all.push(failed("the guest comes to its end", told));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_tells_is_read() {
        let told =
            "lab: started\nok one\nnot ok two\n# seen\nok three # skipped: no disk\nlab: done\n";
        let results = checked(told, "", "");
        let named = |name: &str, outcome| Checked { name: name.to_owned(), outcome };
        let expected = [
            named("one", Outcome::Passed),
            named("two", Outcome::Failed(vec!["seen".to_owned()])),
            named("three", Outcome::Skipped("no disk".to_owned())),
        ];
        assert_eq!(results, expected);
    }

    #[test]
    fn a_guest_that_hangs_is_a_failed_check_with_what_was_seen_last() {
        let failed = |told, console| {
            let last = checked(told, console, "it had 5 s").pop().unwrap();
            let Outcome::Failed(lines) = last.outcome else { panic!("{}", last.name) };
            (last.name, lines)
        };
        let (name, lines) = failed("", "Kernel panic\n");
        assert_eq!(name, "the guest boots");
        assert_eq!(lines, ["it had 5 s", "Kernel panic"]);
        let (name, lines) = failed("lab: started\nok one\n", "");
        assert_eq!(name, "the guest comes to its end");
        assert_eq!(lines, ["it had 5 s", "lab: started", "ok one"]);
    }
}
