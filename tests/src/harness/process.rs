//! A look at the server's processes from outside, as an operator has it: /proc.

use std::{collections::BTreeMap, fs};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A process, as /proc/PID/status and /proc/PID/cmdline show it.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its command line, words separated by spaces.
    pub command: String,
    status: BTreeMap<String, String>,
}

impl Process {
    /// Looks at one process; `None` when it is gone or a zombie.
    pub fn look(pid: i32) -> Option<Process> {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let status: BTreeMap<String, String> = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
            .collect();
        let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let command = String::from_utf8_lossy(&words).trim_end_matches('\0').replace('\0', " ");
        let process = Process { pid, command, status };
        (!process.field("State").starts_with(['Z', 'X'])).then_some(process)
    }

    /// How often it has waited by now, as the kernel counts it.
    pub fn waits(&self) -> u64 {
        let now = Process::look(self.pid).unwrap_or_else(|| panic!("{} has ended", self.command));
        now.field("voluntary_ctxt_switches").parse().unwrap()
    }

    /// The children of a process.
    pub fn children_of(parent: i32) -> Vec<Process> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(Process::look)
            .filter(|process| process.field("PPid") == parent.to_string())
            .collect()
    }

    /// A line of /proc/PID/status.
    pub fn field(&self, key: &str) -> &str {
        self.status.get(key).map(String::as_str).unwrap_or_default()
    }

    /// Real, effective, saved and file-system uid, or gid.
    pub fn ids(&self, key: &str) -> Vec<u32> {
        self.field(key).split_whitespace().filter_map(|id| id.parse().ok()).collect()
    }

    /// A capability set, such as `CapEff`.
    pub fn capabilities(&self, key: &str) -> u64 {
        u64::from_str_radix(self.field(key), 16).unwrap()
    }

    /// Sends a signal. One that has just ended, because another one did, needs none.
    pub fn signal(&self, signal: Signal) {
        match kill(Pid::from_raw(self.pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => panic!("{signal} to {}: {errno}", self.pid),
        }
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        Process::look(self.pid).is_some()
    }
}
