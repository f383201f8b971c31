//! Errors of the kernel where no file system gives them: a session is traced, and what one of its
//! system calls returns is replaced. The call itself is made, for the session's filter must let it.

use std::{
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Instant,
};

use nix::{
    errno::Errno,
    libc,
    sys::{
        ptrace::{self, Options},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use super::PATIENCE;

/// What the kernel shows in a traced process's result while a call has not been made yet.
const NOT_MADE: u64 = (-(libc::ENOSYS as i64)) as u64;

/// An error that waits for its system call.
pub struct Injection(JoinHandle<Result<(), String>>);

impl Injection {
    /// The next call of this number that the process makes fails with `errno`. For root only.
    pub fn into(process: i32, call: i64, errno: Errno) -> Injection {
        let (attached, wait) = mpsc::channel();
        let thread = thread::spawn(move || {
            let tracee = Pid::from_raw(process);
            let attach = || {
                ptrace::seize(tracee, Options::PTRACE_O_TRACESYSGOOD)?;
                ptrace::interrupt(tracee)
            };
            attach().map_err(|e| format!("cannot trace {process}: {e}"))?;
            stopped(tracee)?;
            ptrace::syscall(tracee, None).map_err(|e| format!("cannot resume: {e}"))?;
            attached.send(()).map_err(|e| e.to_string())?;
            let injected = replace(tracee, call, errno);
            let released = ptrace::detach(tracee, None);
            injected.and(released.map_err(|e| format!("cannot let go: {e}")))
        });
        // Nothing comes when the thread has failed; `done` says why.
        wait.recv().ok();
        Injection(thread)
    }

    /// Waits until the call was made.
    ///
    /// # Panics
    /// When it was not.
    pub fn done(self) {
        self.0.join().unwrap().unwrap_or_else(|why| panic!("{why}"));
    }
}

/// Waits for the process to stop.
fn stopped(tracee: Pid) -> Result<WaitStatus, String> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        match waitpid(tracee, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => thread::sleep(std::time::Duration::from_millis(1)),
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => {
                return Err("the traced process has ended".to_owned());
            }
            Ok(status) => return Ok(status),
            Err(e) => return Err(format!("cannot wait for the traced process: {e}")),
        }
    }
    ptrace::interrupt(tracee).ok();
    Err("the system call was not made".to_owned())
}

/// Lets the process go on to the call, and replaces what it returns.
fn replace(tracee: Pid, call: i64, errno: Errno) -> Result<(), String> {
    loop {
        if let WaitStatus::PtraceSyscall(_) = stopped(tracee)? {
            let mut registers = ptrace::getregs(tracee).map_err(|e| e.to_string())?;
            if registers.orig_rax == call as u64 && registers.rax != NOT_MADE {
                registers.rax = (-i64::from(errno as i32)) as u64;
                return ptrace::setregs(tracee, registers).map_err(|e| e.to_string());
            }
        }
        ptrace::syscall(tracee, None).map_err(|e| format!("cannot resume: {e}"))?;
    }
}
