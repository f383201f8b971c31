//! The process's own state: identity, capabilities, limits, and the sandbox itself.

use libc::*;

use super::{Got, attempts};
use crate::raw::{call, place, pointer};

fn prctl(option: i32, value: u64) -> Got {
    call(SYS_prctl, &[option as u64, value, 0, 0, 0])
}

fn raise(resource: u64) -> Got {
    let all = [u64::MAX, u64::MAX];
    call(SYS_prlimit64, &[0, resource, pointer(&all), 0])
}

attempts! {
    "become root with setuid" => |_| call(SYS_setuid, &[0]),
    "become root with setreuid" => |_| call(SYS_setreuid, &[0, 0]),
    "become root with setresuid" => |_| call(SYS_setresuid, &[0, 0, 0]),
    "become root for files" => |_| call(SYS_setfsuid, &[0]),
    "become group root with setgid" => |_| call(SYS_setgid, &[0]),
    "become group root with setregid" => |_| call(SYS_setregid, &[0, 0]),
    "become group root with setresgid" => |_| call(SYS_setresgid, &[0, 0, 0]),
    "become group root for files" => |_| call(SYS_setfsgid, &[0]),
    "join groups" => |_| call(SYS_setgroups, &[1, pointer(&[0_u32])]),
    "take capabilities" => |_| {
        let header = [0x2008_0522_u64, 0];
        let all = [u32::MAX, u32::MAX, 0, 0x1ff, 0x1ff, 0];
        call(SYS_capset, &[pointer(&header), pointer(&all)])
    },
    "read capabilities" => |_| {
        call(SYS_capget, &[pointer(&[0x2008_0522_u64]), place(&mut [0_u32; 6])])
    },
    "raise an ambient capability" => |_| call(SYS_prctl, &[47, 2, 0, 0, 0]),
    "keep capabilities" => |_| prctl(PR_SET_KEEPCAPS, 1),
    "unlock the securebits" => |_| prctl(PR_SET_SECUREBITS, 0),
    "be dumpable" => |_| prctl(PR_SET_DUMPABLE, 1),
    "choose a tracer" => |_| prctl(PR_SET_PTRACER, u64::MAX),
    "outlive the supervisor" => |_| prctl(PR_SET_PDEATHSIG, 0),
    "take privileges from programs again" => |_| prctl(PR_SET_NO_NEW_PRIVS, 0),
    "take another name" => |_| prctl(PR_SET_NAME, pointer(c"sshd")),
    "change its memory map" => |_| prctl(PR_SET_MM, 0),
    "be the reaper of others" => |_| prctl(PR_SET_CHILD_SUBREAPER, 1),
    "read the clock by another way" => |_| prctl(PR_SET_TSC, 1),
    "change the speculation" => |_| call(SYS_prctl, &[52, 0, 0, 0, 0]),
    "raise another filter in the old way" => |_| prctl(PR_SET_SECCOMP, 2),
    "go into strict mode" => |_| call(SYS_seccomp, &[0, 1, 0]),
    "raise a filter that somebody answers" => |_| {
        let allow = [0x7fff_0000_u64 << 32 | 6];
        let program = [1_u64, pointer(&allow)];
        call(SYS_seccomp, &[1, 8, pointer(&program)])
    },
    "ask what filters can answer" => |_| call(SYS_seccomp, &[2, 0, pointer(&[0x7fff_0000_u32])]),
    "raise another Landlock" => |_| {
        let everything = [0x1fff_u64];
        call(SYS_landlock_create_ruleset, &[pointer(&everything), 8, 0])
    },
    "add a rule to a Landlock" => |_| call(SYS_landlock_add_rule, &[0, 1, 0, 0]),
    "enter a Landlock" => |_| call(SYS_landlock_restrict_self, &[u64::MAX, 0]),
    "ignore SIGSYS" => |_| {
        let ignore = [SIG_IGN as u64, 0, 0, 0];
        call(SYS_rt_sigaction, &[SIGSYS as u64, pointer(&ignore), 0, 8])
    },
    "ignore SIGTERM" => |_| {
        let ignore = [SIG_IGN as u64, 0, 0, 0];
        call(SYS_rt_sigaction, &[SIGTERM as u64, pointer(&ignore), 0, 8])
    },
    "block every signal" => |_| {
        call(SYS_rt_sigprocmask, &[SIG_BLOCK as u64, pointer(&u64::MAX), 0, 8])
    },
    "choose another signal stack" => |_| {
        call(SYS_sigaltstack, &[0, place(&mut [0_u64; 3])])
    },
    "take a signal from the queue" => |_| {
        call(SYS_rt_sigtimedwait, &[pointer(&u64::MAX), 0, pointer(&[0_u64; 2]), 8])
    },
    "raise the limit of processes" => |_| raise(RLIMIT_NPROC as u64),
    "raise the limit of descriptors" => |_| raise(RLIMIT_NOFILE as u64),
    "raise the limit of core dumps" => |_| raise(RLIMIT_CORE as u64),
    "raise a limit in the old way" => |_| {
        call(SYS_setrlimit, &[RLIMIT_CORE as u64, pointer(&[u64::MAX, u64::MAX])])
    },
    "lock memory" => |_| call(SYS_mlockall, &[1]),
    "be scheduled in real time" => |_| call(SYS_sched_setscheduler, &[0, 1, pointer(&[1_i32])]),
    "raise its priority" => |_| call(SYS_setpriority, &[0, 0, -20_i64 as u64]),
    "raise its I/O priority" => |_| call(SYS_ioprio_set, &[1, 0, 1 << 13]),
    "start a session of its own" => |_| call(SYS_setsid, &[]),
    "change its process group" => |_| call(SYS_setpgid, &[0, 0]),
    "change its umask" => |_| call(SYS_umask, &[0]),
    "set an alarm" => |_| call(SYS_alarm, &[0]),
    "make a timer" => |_| call(SYS_timer_create, &[0, 0, place(&mut [0_u64])]),
    "sleep" => |_| call(SYS_nanosleep, &[pointer(&[0_u64; 2]), 0]),
    "change the thread's base" => |_| call(SYS_arch_prctl, &[0x1003, place(&mut [0_u64])]),
    "close what it does not know" => |_| call(SYS_close_range, &[100, 200, 0]),
    "ask for the processor" => |_| call(SYS_getcpu, &[0, 0, 0]),
}
