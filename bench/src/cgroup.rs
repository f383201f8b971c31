//! CPU time and memory of a server with all its processes, those that have exited included.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use xtask::command::{Done, make_directory};

/// A control group of our own; removed when dropped.
pub struct Group {
    directory: PathBuf,
    /// Version 1 has a hierarchy for CPU time alone; version 2 has one for everything.
    version_1: bool,
}

impl Group {
    /// Makes one.
    pub fn make(name: &str) -> Done<Group> {
        let version_1 = Path::new("/sys/fs/cgroup/cpuacct/cpuacct.usage").exists();
        let parent = if version_1 { "/sys/fs/cgroup/cpuacct" } else { "/sys/fs/cgroup" };
        let name = format!("bulkhead-bench-{}-{name}", std::process::id());
        let directory = Path::new(parent).join(name);
        make_directory(&directory)?;
        Ok(Group { directory, version_1 })
    }

    /// The file that takes in a process whose number is written to it.
    pub fn members_file(&self) -> PathBuf {
        self.directory.join("cgroup.procs")
    }

    /// CPU seconds since the group was made.
    pub fn cpu_seconds(&self) -> Done<f64> {
        let file = self.directory.join(if self.version_1 { "cpuacct.usage" } else { "cpu.stat" });
        let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let (digits, unit) = match text.strip_prefix("usage_usec ") {
            Some(rest) => (rest.lines().next().unwrap_or(""), 1e-6),
            None => (text.trim(), 1e-9),
        };
        let number: f64 = digits.parse().map_err(|e| format!("{}: {e}", file.display()))?;
        Ok(number * unit)
    }

    /// The processes in it.
    pub fn processes(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.members_file()).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Memory of all processes in KiB, what several share divided by their number (PSS).
    pub fn memory_kib(&self) -> u64 {
        let pss = |pid: u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            let line = text.lines().find(|line| line.starts_with("Pss:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        self.processes().into_iter().filter_map(pss).sum()
    }

    /// Ends every process in it, and waits until they are gone.
    pub fn end(&self) {
        for signal in ["-TERM", "-KILL"] {
            for _ in 0..30 {
                let processes = self.processes();
                if processes.is_empty() {
                    return;
                }
                let numbers = processes.iter().map(u32::to_string);
                // One that is gone already is no error.
                drop(Command::new("kill").arg(signal).args(numbers).output());
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
        drop(fs::remove_dir(&self.directory));
    }
}
