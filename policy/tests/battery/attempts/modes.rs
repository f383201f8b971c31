//! Set-uid, set-gid and sticky: programs that would run as the account for whoever starts them.

use std::ffi::CStr;

use libc::*;

use super::{Got, attempts};
use crate::{
    raw::{call, place, pointer},
    world::World,
};

const SET_UID: u64 = 0o4755;
const SET_GID: u64 = 0o2755;

/// Opens a file of the account's, which is there already.
fn own_file(world: &World) -> Got {
    let how = [O_RDONLY as u64, 0, 0];
    call(SYS_openat2, &[world.root_fd(), pointer(c"file"), pointer(&how), size_of_val(&how) as u64])
}

/// Makes a file of a mode; seccomp does not see the mode, which stands in memory.
fn make(world: &World, name: &CStr, mode: u64) -> Got {
    let how = [(O_RDWR | O_CREAT | O_EXCL) as u64, mode, 0];
    call(SYS_openat2, &[world.root_fd(), pointer(name), pointer(&how), size_of_val(&how) as u64])
}

/// Success if the file has contents and one of the bits all the same.
fn is_program(fd: i64) -> Got {
    let mut facts = [0_u64; 32];
    let mask = u64::from(STATX_MODE | STATX_SIZE);
    call(SYS_statx, &[fd as u64, pointer(c""), AT_EMPTY_PATH as u64, mask, place(&mut facts)])?;
    // struct statx: stx_mode at byte 28, stx_size at byte 40.
    let mode = (facts[3] >> 32) as u32 & 0xffff;
    if facts[5] > 0 && mode & (S_ISUID | S_ISGID) != 0 { Ok(0) } else { Err(EPERM) }
}

/// Makes a file of a mode and fills it.
fn make_program(world: &World, name: &CStr, mode: u64) -> Got {
    let fd = make(world, name, mode)?;
    call(SYS_pwrite64, &[fd as u64, pointer(b"#!/bin/sh"), 9, 0])?;
    is_program(fd)
}

attempts! {
    "make a file set-uid with chmod" => |w| {
        call(SYS_chmod, &[pointer(&*w.outside("writable")), SET_UID])
    },
    "make a file set-uid with fchmod" => |w| call(SYS_fchmod, &[own_file(w)? as u64, SET_UID]),
    "make a file set-gid with fchmod" => |w| call(SYS_fchmod, &[own_file(w)? as u64, SET_GID]),
    "make a directory sticky with fchmod" => |w| {
        let how = [(O_RDONLY | O_DIRECTORY) as u64, 0, 0];
        let size = size_of_val(&how) as u64;
        let fd = call(SYS_openat2, &[w.root_fd(), pointer(c"deep"), pointer(&how), size])?;
        call(SYS_fchmod, &[fd as u64, 0o1777])
    },
    "make a file set-uid with fchmodat" => |w| {
        call(SYS_fchmodat, &[w.root_fd(), pointer(c"file"), SET_UID])
    },
    "make a file set-gid with fchmodat" => |w| {
        call(SYS_fchmodat, &[w.root_fd(), pointer(c"file"), SET_GID])
    },
    "make a file set-uid with fchmodat2" => |w| {
        call(SYS_fchmodat2, &[w.root_fd(), pointer(c"file"), SET_UID, 0])
    },
    "make a file set-uid by its descriptor with fchmodat2" => |w| {
        let fd = own_file(w)? as u64;
        call(SYS_fchmodat2, &[fd, pointer(c""), SET_UID, AT_EMPTY_PATH as u64])
    },
    "make a set-uid directory with mkdirat" => |w| {
        call(SYS_mkdirat, &[w.root_fd(), pointer(c"set-uid"), 0o4777])
    },
    "make a set-gid directory with mkdirat" => |w| {
        call(SYS_mkdirat, &[w.root_fd(), pointer(c"set-gid"), 0o2777])
    },
    "make a sticky directory with mkdirat" => |w| {
        call(SYS_mkdirat, &[w.root_fd(), pointer(c"sticky"), 0o1777])
    },
    "make a set-uid program with mknodat" => |w| {
        call(SYS_mknodat, &[w.root_fd(), pointer(c"made"), u64::from(S_IFREG) | SET_UID, 0])
    },
    "make an empty set-uid file with openat2" => |w| make(w, c"empty-set-uid", SET_UID),
    "make a set-uid program with openat2" => |w| make_program(w, c"set-uid-program", SET_UID),
    "make a set-gid program with openat2" => |w| make_program(w, c"set-gid-program", SET_GID),
    "make a set-uid program through a mapping" => |w| {
        let fd = make(w, c"mapped-program", SET_UID)?;
        let access = (PROT_READ | PROT_WRITE) as u64;
        let at = call(SYS_mmap, &[0, 4096, access, MAP_SHARED as u64, fd as u64, 0])?;
        call(SYS_ftruncate, &[fd as u64, 4096])?;
        // The kernel writes into the mapping: the random bytes stand for a program.
        call(SYS_getrandom, &[at as u64, 16, 0])?;
        is_program(fd)
    },
    "make a set-uid program through a pipe" => |w| {
        let mut ends = [0_i32; 2];
        call(SYS_pipe2, &[place(&mut ends), 0])?;
        let [from, to] = ends.map(|end| end as u64);
        call(SYS_write, &[to, pointer(b"#!/bin/sh"), 9])?;
        let fd = make(w, c"piped-program", SET_UID)?;
        call(SYS_splice, &[from, 0, fd as u64, 0, 9, 0])?;
        is_program(fd)
    },
    "make a set-uid program by sending a file" => |w| {
        let (from, fd) = (own_file(w)?, make(w, c"sent-program", SET_UID)?);
        call(SYS_sendfile, &[fd as u64, from as u64, 0, 8])?;
        is_program(fd)
    },
}
