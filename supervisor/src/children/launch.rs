//! The start of a program: clone(2), close_range(2), execve(2), and nothing between them that
//! allocates, locks or opens.
//!
//! The child shares our memory and our table of descriptors until it has a table of its own, into
//! which only the few lowest descriptors are copied. So a start costs the same however many clients
//! are connected: fork(2) and posix_spawn(3) copy the whole table, five entries a client.
#![allow(unsafe_code, reason = "the one place where a process is made")]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_uint, c_void},
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use nix::{
    libc,
    sys::signal::{SigSet, SigmaskHow, sigprocmask},
};

/// Stack of a child between clone(2) and execve(2), in bytes: a handful of system calls.
const STACK: usize = 64 * 1024;
/// Exit status of a child that could not execute its program; nobody sees it.
const NOT_EXECUTED: c_int = 127;

/// What every start needs, made once and early: while the server has few descriptors open, theirs are
/// low ones.
#[derive(Debug)]
pub struct Launcher {
    null: OwnedFd,
    /// Number under which a child finds its channel; a second descriptor of /dev/null meanwhile.
    slot: OwnedFd,
    stack: Vec<u8>,
}

/// A process that has been started.
#[derive(Debug)]
pub struct Launched {
    /// Its process id.
    pub pid: u32,
    /// Its pidfd: whatever becomes of the number, this names the process.
    pub pidfd: OwnedFd,
}

impl Launcher {
    /// A launcher.
    ///
    /// # Errors
    /// When /dev/null cannot be opened.
    pub fn new() -> io::Result<Launcher> {
        let null = OwnedFd::from(File::options().read(true).write(true).open("/dev/null")?);
        let slot = null.try_clone()?;
        Ok(Launcher { null, slot, stack: vec![0; STACK] })
    }

    /// Starts the program behind a descriptor. It begins with `channel` as its standard input,
    /// /dev/null as the other two, no environment, no signal blocked or ignored, and no other
    /// descriptor of ours.
    ///
    /// # Errors
    /// As clone(2) and execve(2).
    pub fn launch(
        &mut self,
        program: BorrowedFd<'_>,
        arguments: &[CString],
        channel: BorrowedFd<'_>,
    ) -> io::Result<Launched> {
        let path = CString::new(format!("/proc/self/fd/{}", program.as_raw_fd()))?;
        let argv: Vec<*const c_char> =
            arguments.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect();
        rustix::io::dup3(channel, &mut self.slot, rustix::io::DupFlags::CLOEXEC)?;
        let highest = program.as_raw_fd().max(self.slot.as_raw_fd()).max(self.null.as_raw_fd());
        let mut plan = Plan {
            channel: self.slot.as_raw_fd(),
            null: self.null.as_raw_fd(),
            first_foreign: c_uint::try_from(highest).unwrap_or(c_uint::MAX).saturating_add(1),
            path: path.as_ptr(),
            argv: argv.as_ptr(),
            error: 0,
        };
        let launched = self.clone_process(&mut plan);
        // The child has its own copy; ours must not keep the channel open.
        rustix::io::dup3(self.null.as_fd(), &mut self.slot, rustix::io::DupFlags::CLOEXEC)?;
        let launched = launched?;
        match plan.error {
            0 => Ok(launched),
            error => {
                super::reap(launched.pidfd.as_fd())?;
                Err(io::Error::from_raw_os_error(error))
            }
        }
    }

    fn clone_process(&mut self, plan: &mut Plan) -> io::Result<Launched> {
        // Handlers of ours must not run in the child, which shares our memory.
        let mut mask = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut mask))?;
        let flags = libc::CLONE_VM
            | libc::CLONE_VFORK
            | libc::CLONE_FILES
            | libc::CLONE_PIDFD
            | libc::SIGCHLD;
        // The stack grows down, and the ABI wants it aligned to 16.
        let top = self.stack.as_mut_ptr_range().end;
        let top = top.wrapping_sub(top.addr() % 16);
        let mut pidfd: RawFd = -1;
        let plan: *mut Plan = plan;
        // SAFETY: the child runs `begin` on a stack that nobody else uses, in our memory. CLONE_VFORK
        // suspends this thread until the child has executed its program or ended, so everything that
        // `plan` points to outlives its use, and this function does not return before. Other threads
        // (the writer of the log) go on; `begin` takes no lock of theirs and allocates nothing.
        let pid = unsafe {
            libc::clone(begin, top.cast::<c_void>(), flags, plan.cast::<c_void>(), &mut pidfd)
        };
        let error = io::Error::last_os_error();
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&mask), None)?;
        let pid = u32::try_from(pid).map_err(|_| error)?;
        // SAFETY: CLONE_PIDFD has just stored a descriptor of this process there, close-on-exec, that
        // nobody else knows of.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        Ok(Launched { pid, pidfd })
    }
}

/// What a child does before it executes its program. Plain numbers and pointers, made beforehand.
struct Plan {
    channel: RawFd,
    null: RawFd,
    /// Descriptors from here on are not for the child.
    first_foreign: c_uint,
    path: *const c_char,
    argv: *const *const c_char,
    /// errno of what failed.
    error: c_int,
}

/// The highest number of a signal (signal(7)).
const LAST_SIGNAL: c_int = 64;
/// Bytes of the kernel's set of signals, as rt_sigaction(2) wants them said.
const SIGNAL_SET_BYTES: usize = 8;

/// The child's way to its program. It runs in our memory: system calls only.
extern "C" fn begin(plan: *mut c_void) -> c_int {
    // SAFETY: `clone_process` passes a Plan that lives until this process has executed or ended.
    let plan = unsafe { &mut *plan.cast::<Plan>() };
    if let Err(error) = become_program(plan) {
        plan.error = error;
    }
    // SAFETY: _exit(2) ends this process without running anything of the parent's.
    unsafe { libc::_exit(NOT_EXECUTED) }
}

/// Executes the program; gives errno when it cannot.
fn become_program(plan: &Plan) -> Result<(), c_int> {
    const ROOT: &CStr = c"/";
    let no_environment: [*const c_char; 1] = [ptr::null()];
    // The kernel's own form of a sigaction: handler (SIG_DFL is 0), flags, restorer, mask.
    let default = [0_u64; 4];
    for signal in 1..=LAST_SIGNAL {
        // Not by sigaction(3), which refuses the C library's own two, 32 and 33: posix_spawn(3) of
        // whoever started the server leaves them ignored. SIGKILL and SIGSTOP cannot be set.
        // SAFETY: rt_sigaction(2) reads a structure that lives here and writes none. The table of
        // signal handlers is the child's own (no CLONE_SIGHAND), so ours stay.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                ptr::null_mut::<libc::c_void>(),
                SIGNAL_SET_BYTES,
            );
        }
    }
    // SAFETY: close_range(2) with CLOSE_RANGE_UNSHARE gives this process a table of its own, without
    // the descriptors of the range, and touches no table of the parent's. From here on dup2(2)
    // changes the child's table alone. The descriptors are open: the parent owns them and waits.
    unsafe {
        let unshare = libc::CLOSE_RANGE_UNSHARE;
        check(libc::syscall(libc::SYS_close_range, plan.first_foreign, c_uint::MAX, unshare))?;
        // Of those below, none survives execve(2) but the three that dup2(2) makes.
        let on_exec = libc::CLOSE_RANGE_CLOEXEC;
        check(libc::syscall(libc::SYS_close_range, 3, plan.first_foreign, on_exec))?;
        check(libc::dup2(plan.channel, libc::STDIN_FILENO).into())?;
        check(libc::dup2(plan.null, libc::STDOUT_FILENO).into())?;
        check(libc::dup2(plan.null, libc::STDERR_FILENO).into())?;
        check(libc::chdir(ROOT.as_ptr()).into())?;
    }
    // SAFETY: the mask is a local; path, words and environment are strings that the parent keeps.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
        check(libc::execve(plan.path, plan.argv, no_environment.as_ptr()).into())
    }
}

fn check(result: libc::c_long) -> Result<(), c_int> {
    if result >= 0 {
        return Ok(());
    }
    // SAFETY: the C library's errno of this thread, which the suspended parent does not use.
    Err(unsafe { *libc::__errno_location() })
}
