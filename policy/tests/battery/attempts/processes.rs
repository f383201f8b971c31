//! Other processes: signals, memory, descriptors.

use libc::*;

use super::{Got, attempts};
use crate::{
    raw::{call, place, pointer},
    world::World,
};

fn pidfd(world: &World) -> Result<u64, i32> {
    Ok(call(SYS_pidfd_open, &[world.victim, 0])? as u64)
}

/// Two vectors for process_vm_readv and process_vm_writev.
fn transfer(number: c_long, world: &World) -> Got {
    let buffer = [0_u8; 8];
    let (local, remote) = ([pointer(&buffer), 8], [0x1000_u64, 8]);
    call(number, &[world.victim, pointer(&local), 1, pointer(&remote), 1, 0])
}

attempts! {
    "signal the victim" => |w| call(SYS_kill, &[w.victim, 0]),
    "signal process 1" => |_| call(SYS_kill, &[1, 0]),
    "signal everybody" => |_| call(SYS_kill, &[-1_i64 as u64, 0]),
    "signal its group" => |_| call(SYS_kill, &[0, 0]),
    "signal a thread with tgkill" => |w| call(SYS_tgkill, &[w.victim, w.victim, 0]),
    "signal a thread with tkill" => |w| call(SYS_tkill, &[w.victim, 0]),
    "queue a signal" => |w| {
        let mut info = [0_u64; 16];
        info[1] = (-1_i32) as u32 as u64;
        call(SYS_rt_sigqueueinfo, &[w.victim, 0, pointer(&info)])
    },
    "queue a signal for a thread" => |w| {
        let mut info = [0_u64; 16];
        info[1] = (-1_i32) as u32 as u64;
        call(SYS_rt_tgsigqueueinfo, &[w.victim, w.victim, 0, pointer(&info)])
    },
    "open the victim" => |w| call(SYS_pidfd_open, &[w.victim, 0]),
    "signal the victim by descriptor" => |w| {
        let victim = pidfd(w)?;
        call(SYS_pidfd_send_signal, &[victim, 0, 0, 0])
    },
    "signal by a descriptor it has" => |_| call(SYS_pidfd_send_signal, &[0, 0, 0, 0]),
    "take a descriptor of the victim" => |w| {
        let victim = pidfd(w)?;
        call(SYS_pidfd_getfd, &[victim, 0, 0])
    },
    "take a descriptor directly" => |_| call(SYS_pidfd_getfd, &[0, 0, 0]),
    "trace the victim" => |w| call(SYS_ptrace, &[PTRACE_SEIZE as u64, w.victim, 0, 0]),
    "trace process 1" => |_| call(SYS_ptrace, &[PTRACE_PEEKUSER as u64, 1, 0, 0]),
    "be traced" => |_| call(SYS_ptrace, &[PTRACE_TRACEME as u64, 0, 0, 0]),
    "read the victim's memory" => |w| transfer(SYS_process_vm_readv, w),
    "write the victim's memory" => |w| transfer(SYS_process_vm_writev, w),
    "advise on the victim's memory" => |w| {
        let (victim, part) = (pidfd(w)?, [0x1000_u64, 4096]);
        call(SYS_process_madvise, &[victim, pointer(&part), 1, MADV_COLD as u64, 0])
    },
    "release the victim's memory" => |w| {
        let victim = pidfd(w)?;
        call(SYS_process_mrelease, &[victim, 0])
    },
    "compare with the victim" => |w| call(SYS_kcmp, &[w.victim, w.victim, 0, 0, 0]),
    "move the victim's memory" => |w| call(SYS_migrate_pages, &[w.victim, 0, 0, 0]),
    "look for the victim's memory" => |w| call(SYS_move_pages, &[w.victim, 0, 0, 0, 0, 0]),
    "limit the victim" => |w| {
        call(SYS_prlimit64, &[w.victim, RLIMIT_NOFILE as u64, 0, place(&mut [0_u64; 2])])
    },
    "change the victim's priority" => |w| call(SYS_setpriority, &[0, w.victim, 19]),
    "schedule the victim" => |w| call(SYS_sched_setscheduler, &[w.victim, 0, pointer(&[0_i32])]),
    "pin the victim" => |w| call(SYS_sched_setaffinity, &[w.victim, 8, pointer(&[u64::MAX])]),
    "change the victim's group" => |w| call(SYS_getpgid, &[w.victim]),
    "wait for others" => |_| call(SYS_wait4, &[u64::MAX, 0, WNOHANG as u64, 0]),
    "wait for others with waitid" => |_| {
        call(SYS_waitid, &[P_ALL as u64, 0, 0, (WNOHANG | WEXITED) as u64, 0])
    },
    "wait on an address" => |_| {
        call(SYS_futex, &[pointer(&1_u32), FUTEX_WAKE as u64, 1, 0, 0, 0])
    },
    "find its parent" => |_| call(SYS_getppid, &[]),
}
