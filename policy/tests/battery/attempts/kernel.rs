//! The kernel: what it is configured by, and the parts with a long list of holes. As root and
//! without a sandbox these calls reach the kernel; their arguments are chosen so that nothing
//! changes on the host.

use libc::*;

use super::{Got, attempts};
use crate::raw::{call, place, pointer};

fn unshare(flag: i32) -> Got {
    call(SYS_unshare, &[flag as u32 as u64])
}

attempts! {
    "make a user namespace" => |_| unshare(CLONE_NEWUSER),
    "make a mount namespace" => |_| unshare(CLONE_NEWNS),
    "make a network namespace" => |_| unshare(CLONE_NEWNET),
    "make a process namespace" => |_| unshare(CLONE_NEWPID),
    "make an IPC namespace" => |_| unshare(CLONE_NEWIPC),
    "make a UTS namespace" => |_| unshare(CLONE_NEWUTS),
    "make a cgroup namespace" => |_| unshare(CLONE_NEWCGROUP),
    "make a time namespace" => |_| unshare(0x80),
    "unshare descriptors" => |_| unshare(CLONE_FILES),
    "enter a namespace" => |_| call(SYS_setns, &[0, CLONE_NEWNET as u64]),
    "mount" => |_| {
        let kind = pointer(c"no-such-file-system");
        call(SYS_mount, &[pointer(c"none"), pointer(c"/"), kind, 0, 0])
    },
    "mount with the new calls" => |_| call(SYS_fsopen, &[pointer(c"tmpfs"), 0]),
    "configure a file system" => |_| call(SYS_fsconfig, &[0, 0, 0, 0, 0]),
    "make a mount" => |_| call(SYS_fsmount, &[0, 0, 0]),
    "pick a file system" => |_| call(SYS_fspick, &[u64::MAX, pointer(c"/nowhere"), 0]),
    "copy a mount" => |_| call(SYS_open_tree, &[AT_FDCWD as u64, pointer(c"/"), 1]),
    "move a mount" => |_| {
        call(SYS_move_mount, &[u64::MAX, pointer(c""), u64::MAX, pointer(c""), 0])
    },
    "change a mount" => |_| call(SYS_mount_setattr, &[u64::MAX, pointer(c""), 0, 0, 0]),
    "unmount" => |_| call(SYS_umount2, &[pointer(c"/nowhere"), 0]),
    "change the root mount" => |_| {
        call(SYS_pivot_root, &[pointer(c"/nowhere"), pointer(c"/nowhere")])
    },
    "load a module" => |_| call(SYS_init_module, &[0, 0, pointer(c"")]),
    "load a module by descriptor" => |_| call(SYS_finit_module, &[u64::MAX, pointer(c""), 0]),
    "unload a module" => |_| call(SYS_delete_module, &[pointer(c"no-such-module"), 0]),
    "load another kernel" => |_| call(SYS_kexec_load, &[0, 0, 0, 0xffff]),
    "load another kernel by descriptor" => |_| {
        call(SYS_kexec_file_load, &[u64::MAX, u64::MAX, 0, 0, 0xffff])
    },
    "halt the host" => |_| call(SYS_reboot, &[0, 0, 0, 0]),
    "run a program in the kernel" => |_| call(SYS_bpf, &[11, pointer(&[0_u64; 2]), 16]),
    "watch performance events" => |_| {
        let mut event = [0_u64; 16];
        event[0] = 1 | 128 << 32;
        call(SYS_perf_event_open, &[pointer(&event), 0, u64::MAX, u64::MAX, 0])
    },
    "handle page faults" => |_| call(SYS_userfaultfd, &[1]),
    "make an io_uring" => |_| call(SYS_io_uring_setup, &[1, place(&mut [0_u64; 15])]),
    "enter an io_uring" => |_| call(SYS_io_uring_enter, &[0, 0, 0, 0, 0, 0]),
    "register with an io_uring" => |_| call(SYS_io_uring_register, &[0, 0, 0, 0]),
    "start asynchronous I/O" => |_| call(SYS_io_setup, &[1, place(&mut [0_u64])]),
    "submit asynchronous I/O" => |_| call(SYS_io_submit, &[0, 0, 0]),
    "add a key" => |_| {
        let (kind, name) = (pointer(c"user"), pointer(c"bulkhead-battery"));
        call(SYS_add_key, &[kind, name, pointer(c"x"), 1, -2_i64 as u64])
    },
    "request a key" => |_| {
        call(SYS_request_key, &[pointer(c"user"), pointer(c"bulkhead-none"), 0, 0])
    },
    "find a keyring" => |_| call(SYS_keyctl, &[0, -2_i64 as u64, 1]),
    "set the clock" => |_| call(SYS_settimeofday, &[0, 0]),
    "set a clock" => |_| call(SYS_clock_settime, &[0, 0]),
    "adjust the clock" => |_| call(SYS_adjtimex, &[0]),
    "adjust a clock" => |_| call(SYS_clock_adjtime, &[0, 0]),
    "rename the host" => |_| call(SYS_sethostname, &[pointer(c"x"), 1000]),
    "rename the domain" => |_| call(SYS_setdomainname, &[pointer(c"x"), 1000]),
    "swap on" => |_| call(SYS_swapon, &[pointer(c"/nowhere"), 0]),
    "swap off" => |_| call(SYS_swapoff, &[pointer(c"/nowhere")]),
    "account processes" => |_| call(SYS_acct, &[pointer(c"/nowhere")]),
    "reach the ports of devices" => |_| call(SYS_ioperm, &[0, 0, 0]),
    "raise the I/O privilege" => |_| call(SYS_iopl, &[0]),
    "change the local descriptor table" => |_| {
        call(SYS_modify_ldt, &[0, place(&mut [0_u64; 2]), 16])
    },
    "switch off randomisation" => |_| call(SYS_personality, &[0x0004_0000]),
    "read the kernel's log" => |_| call(SYS_syslog, &[3, place(&mut [0_u8; 16]), 16]),
    "hang up the terminal" => |_| call(SYS_vhangup, &[]),
    "make a message queue" => |_| call(SYS_mq_open, &[pointer(c"none"), 0, 0, 0]),
    "open a message queue of System V" => |_| call(SYS_msgget, &[0x0bad_0bad, 0]),
    "open shared memory" => |_| call(SYS_shmget, &[0x0bad_0bad, 1, 0]),
    "open a semaphore" => |_| call(SYS_semget, &[0x0bad_0bad, 1, 0]),
    "attach shared memory" => |_| call(SYS_shmat, &[u64::MAX, 0, 0]),
    "set a memory policy" => |_| call(SYS_set_mempolicy, &[0, 0, 0]),
    "issue a barrier everywhere" => |_| call(SYS_membarrier, &[0, 0, 0]),
    "set up restartable sequences" => |_| call(SYS_rseq, &[0, 0, 0, 0]),
    "ask for the system's state" => |_| call(SYS_sysinfo, &[place(&mut [0_u64; 16])]),
    "ask for the system's name" => |_| call(SYS_uname, &[place(&mut [0_u8; 400])]),
    "read another mount table" => |_| {
        call(457, &[pointer(&[24_u64, 0, 0]), place(&mut [0_u64; 64]), 512, 0])
    },
}
