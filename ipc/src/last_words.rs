//! What a process that ends against its will can still say: which system call its policy refused,
//! or where it panicked.
//!
//! A policy answers a forbidden system call with `SECCOMP_RET_TRAP`. The kernel raises SIGSYS, whose
//! handler writes one small frame to the channel and ends the process. No policy allows
//! rt_sigaction, sigprocmask or sigaltstack after lockdown, and the handler reads nothing but what
//! the kernel gives it, so a process that has been taken over cannot turn the answer off: without a
//! usable stack the kernel kills it, with one the handler does.
#![allow(unsafe_code, reason = "a signal handler can be installed and ended in no safe way")]

use std::{
    fmt, io,
    sync::atomic::{AtomicI32, Ordering},
};

/// First byte of a frame that names a forbidden system call; its number follows, little endian.
const FRAME_FORBIDDEN: u8 = 1;
/// First byte of a frame that carries the place and text of a panic.
const FRAME_PANICKED: u8 = 2;
/// Exit status of a process that made a forbidden system call: 128 + SIGSYS, as a shell shows it.
pub const EXIT_FORBIDDEN: i32 = 128 + libc::SIGSYS;
/// Exit status of a process that panicked: 128 + SIGABRT, as a shell shows it.
pub const EXIT_PANICKED: i32 = 128 + libc::SIGABRT;
/// Longest text of a panic.
const MAX_TEXT: usize = 200;

/// The channel the words go to. Standard input of every child of the supervisor.
static CHANNEL: AtomicI32 = AtomicI32::new(0);

/// Why a process ended against its will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastWords {
    /// It made a system call that its policy forbids.
    Forbidden {
        /// Number of the call on this architecture.
        syscall: u32,
    },
    /// It panicked.
    Panicked(String),
}

impl fmt::Display for LastWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LastWords::Forbidden { syscall } => {
                write!(f, "the sandbox stopped the process at system call {syscall}")
            }
            LastWords::Panicked(text) => write!(f, "the process panicked: {text}"),
        }
    }
}

impl LastWords {
    /// Reads a frame that is no message. Its text is made printable: it comes from a process that
    /// may have been taken over.
    pub fn parse(frame: &[u8]) -> Option<LastWords> {
        match frame.split_first()? {
            (&FRAME_FORBIDDEN, rest) => {
                let syscall = u32::from_le_bytes(rest.try_into().ok()?);
                Some(LastWords::Forbidden { syscall })
            }
            (&FRAME_PANICKED, rest) if rest.len() <= MAX_TEXT => {
                let text = String::from_utf8_lossy(rest);
                let printable = |c: char| if c.is_control() { ' ' } else { c };
                Some(LastWords::Panicked(text.chars().map(printable).collect()))
            }
            _ => None,
        }
    }
}

/// Installs the SIGSYS handler and the panic hook. `channel` must stay open as long as the process
/// lives. Call it before lockdown: afterwards no policy allows rt_sigaction.
///
/// # Errors
/// As sigaction(2).
pub fn install(channel: i32) -> io::Result<()> {
    CHANNEL.store(channel, Ordering::Relaxed);
    std::panic::set_hook(Box::new(|panic| {
        let mut frame = vec![FRAME_PANICKED];
        frame.extend_from_slice(panic.to_string().as_bytes());
        frame.truncate(MAX_TEXT);
        // SAFETY: sendmsg only reads `frame`, which is alive and as long as it says.
        unsafe { send_frame(&mut frame) };
        // What abort() does is forbidden by every policy and would be reported as a second cause.
        leave(EXIT_PANICKED);
    }));
    // SAFETY: an all-zero sigaction is a valid value of the C structure; the fields that matter are
    // set below. The handler is async-signal-safe: it makes two system calls and never returns.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_sigsys as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGSYS, &action, std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Ends the process at once, with exit_group(2) and nothing else. Returning from `main` and
/// `std::process::exit` make calls that no policy allows (sigaltstack, among others).
pub fn leave(status: i32) -> ! {
    // SAFETY: _exit never returns and runs no code of this process.
    unsafe { libc::_exit(status) }
}

extern "C" fn on_sigsys(
    _signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // siginfo of SIGSYS (sigaction(2)): si_call_addr, then si_syscall (int) at byte 24 on 64-bit.
    const SI_SYSCALL: usize = 24;
    // SAFETY: the kernel hands a siginfo_t of 128 bytes; byte 24..28 is si_syscall for SIGSYS.
    // send_frame reads the five bytes of this stack frame; _exit does not return. Should sendmsg
    // itself be forbidden, the kernel kills the process: SIGSYS is blocked while it is handled.
    unsafe {
        let syscall = info.cast::<u8>().add(SI_SYSCALL).cast::<u32>().read_unaligned();
        let number = syscall.to_le_bytes();
        let mut frame = [FRAME_FORBIDDEN, number[0], number[1], number[2], number[3]];
        send_frame(&mut frame);
        libc::_exit(EXIT_FORBIDDEN);
    }
}

/// Sends one frame with sendmsg(2), the call that every policy allows: each role has a channel.
///
/// # Safety
/// Async-signal-safe. `frame` must be readable, which a reference always is.
unsafe fn send_frame(frame: &mut [u8]) {
    let mut part = libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() };
    // SAFETY: an all-zero msghdr is a valid value of the C structure; `part` outlives the call.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        libc::sendmsg(
            CHANNEL.load(Ordering::Relaxed),
            &raw const message,
            libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
        );
    }
}
