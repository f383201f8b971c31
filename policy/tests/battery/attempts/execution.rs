//! Foreign code: programs, processes, executable memory.

use libc::*;

use super::{Got, attempts};
use crate::raw::{call, call_by_32_bit_entry, call_that_forks, pointer};

const CWD: u64 = AT_FDCWD as u64;

/// The arguments of every program: this one, started by an attempt that should have failed, ends at
/// once and does not run the battery again.
fn arguments() -> [u64; 3] {
    [pointer(c"true"), pointer(crate::END_AT_ONCE), 0]
}

fn execute(path: &std::ffi::CStr) -> Got {
    let arguments = arguments();
    call(SYS_execve, &[pointer(path), pointer(&arguments), pointer(&arguments[2])])
}

fn map(protection: i32) -> Got {
    let flags = (MAP_PRIVATE | MAP_ANONYMOUS) as u64;
    call(SYS_mmap, &[0, 4096, protection as u64, flags, u64::MAX, 0])
}

fn fork_with(flags: i32) -> Got {
    call_that_forks(SYS_clone, &[(flags | SIGCHLD) as u32 as u64, 0, 0, 0, 0])
}

attempts! {
    "execute a program" => |_| execute(c"/bin/true"),
    "execute a shell" => |_| {
        let arguments = [pointer(c"sh"), pointer(c"-c"), pointer(c"exit 0"), 0];
        call(SYS_execve, &[pointer(c"/bin/sh"), pointer(&arguments), pointer(&arguments[3])])
    },
    "execute through ld.so" => |_| {
        let arguments = [pointer(c"ld.so"), pointer(c"/bin/true"), 0];
        let loader = c"/lib64/ld-linux-x86-64.so.2";
        call(SYS_execve, &[pointer(loader), pointer(&arguments), pointer(&arguments[2])])
    },
    "execute itself anew" => |_| execute(c"/proc/self/exe"),
    "execute with execveat" => |_| {
        let arguments = arguments();
        let (path, none) = (pointer(c"/bin/true"), pointer(&arguments[2]));
        call(SYS_execveat, &[CWD, path, pointer(&arguments), none, 0])
    },
    "execute a descriptor" => |_| {
        let arguments = arguments();
        let none = pointer(&arguments[2]);
        call(SYS_execveat, &[0, pointer(c""), pointer(&arguments), none, AT_EMPTY_PATH as u64])
    },
    "make an unnamed program file" => |_| call(SYS_memfd_create, &[pointer(c"x"), 0]),
    "make secret memory" => |_| call(SYS_memfd_secret, &[0]),
    "map executable memory" => |_| map(PROT_READ | PROT_EXEC),
    "map writable and executable memory" => |_| map(PROT_READ | PROT_WRITE | PROT_EXEC),
    "make memory executable" => |_| {
        let page = map(PROT_READ | PROT_WRITE)? as u64;
        call(SYS_mprotect, &[page, 4096, (PROT_READ | PROT_EXEC) as u64])
    },
    "make code writable" => |_| {
        let code = fork_with as *const () as u64 & !4095;
        let all = (PROT_READ | PROT_WRITE | PROT_EXEC) as u64;
        call(SYS_mprotect, &[code, 4096, all])
    },
    "make memory executable with a key" => |_| {
        let page = map(PROT_READ | PROT_WRITE)? as u64;
        call(SYS_pkey_mprotect, &[page, 4096, (PROT_READ | PROT_EXEC) as u64, u64::MAX])
    },
    "rearrange file mappings" => |_| call(SYS_remap_file_pages, &[0, 0, 0, 0, 0]),
    "load a library" => |_| call(SYS_uselib, &[pointer(c"/lib/libc.so.6")]),
    "fork" => |_| call_that_forks(SYS_fork, &[]),
    "fork with clone" => |_| fork_with(0),
    "fork with clone3" => |_| {
        let mut request = [0_u64; 8];
        request[4] = SIGCHLD as u64;
        call_that_forks(SYS_clone3, &[pointer(&request), 64])
    },
    "start a thread" => |_| {
        // Without a stack of its own the kernel refuses CLONE_THREAD with CLONE_VM left out.
        call(SYS_clone, &[(CLONE_THREAD | CLONE_SIGHAND) as u64, 0, 0, 0, 0])
    },
    "make a user namespace with clone" => |_| fork_with(CLONE_NEWUSER),
    "make a mount namespace with clone" => |_| fork_with(CLONE_NEWNS),
    "make a process namespace with clone" => |_| fork_with(CLONE_NEWPID),
    "make a network namespace with clone" => |_| fork_with(CLONE_NEWNET),
    "call getpid through the x32 table" => |_| call(SYS_getpid | 0x4000_0000, &[]),
    "call execve through the x32 table" => |_| {
        let arguments = arguments();
        let none = pointer(&arguments[2]);
        call(520 | 0x4000_0000, &[pointer(c"/bin/true"), pointer(&arguments), none])
    },
    "call getpid through the 32-bit entry" => |_| call_by_32_bit_entry(),
    "call a number that does not exist" => |_| call(1_000_000, &[]),
    "call a negative number" => |_| call(-2, &[]),
}
