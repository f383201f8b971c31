//! Files of others, by every form of path, and changes where none are allowed.

use std::ffi::CStr;

use libc::*;

use super::{Got, attempts};
use crate::{
    raw::{call, place, pointer},
    world::{World, c_path},
};

const CWD: u64 = AT_FDCWD as u64;
const SHADOW: &CStr = c"/etc/shadow";
const MODE: u64 = 0o600;

/// openat2 with `flags` and `resolve`.
fn openat2(directory: u64, path: &CStr, flags: i32, resolve: u64) -> Got {
    let makes = flags & O_CREAT != 0 || flags & O_TMPFILE == O_TMPFILE;
    let mode = if makes { MODE } else { 0 };
    let how = [flags as u64, mode, resolve];
    call(SYS_openat2, &[directory, pointer(path), pointer(&how), size_of_val(&how) as u64])
}

fn read_outside(world: &World, path: &CStr) -> Got {
    openat2(world.root_fd(), path, O_RDONLY, 0)
}

/// Takes a descriptor of a directory that a second process moves out of the root and in again, and
/// goes up from there while it is outside.
fn win_a_race(world: &World) -> Got {
    let swap = |_| openat2(world.root_fd(), c"deep/swap", O_PATH | O_DIRECTORY, 0).ok();
    let directory = (0..100_000).find_map(swap).ok_or(ENOENT)? as u64;
    let mut last = Err(ENOENT);
    for _ in 0..10_000 {
        last = openat2(directory, c"../other-account/readable", O_RDONLY, 0);
        if last.is_ok() {
            break;
        }
    }
    last
}

fn handle_of(path: &CStr, handle: &mut [u32; 34]) -> Got {
    handle[0] = 128;
    let mut mount = 0_i32;
    let (to, id) = (place(handle), place(&mut mount));
    call(SYS_name_to_handle_at, &[CWD, pointer(path), to, id, 0])
}

attempts! {
    "open /etc/shadow with open" => |_| call(SYS_open, &[pointer(SHADOW), 0]),
    "open /etc/shadow with openat" => |_| call(SYS_openat, &[CWD, pointer(SHADOW), 0]),
    "open /etc/shadow with openat2" => |_| openat2(CWD, SHADOW, O_RDONLY, 0),
    "open /etc/passwd with openat2" => |_| openat2(CWD, c"/etc/passwd", O_RDONLY, 0),
    "make a file with creat" => |w| call(SYS_creat, &[pointer(&*w.outside("created")), MODE]),
    "open another account's file, absolute" => |w| {
        let path = w.outside("readable");
        read_outside(w, &path)
    },
    "open another account's file by .." => |w| read_outside(w, c"../other-account/readable"),
    "open another account's file by many .." => |w| {
        let up = format!("{}{}", "../".repeat(40), w.outside("readable").to_string_lossy());
        read_outside(w, &c_path(up.as_ref()))
    },
    "open through an absolute link" => |w| read_outside(w, c"absolute-link"),
    "open through a relative link" => |w| read_outside(w, c"relative-link"),
    "open through a directory link" => |w| read_outside(w, c"directory-link/readable"),
    "open through a magic link" => |w| read_outside(w, c"magic-link"),
    "open /proc/self/root/etc/passwd" => |w| read_outside(w, c"/proc/self/root/etc/passwd"),
    "open /proc/1/root/etc/passwd" => |w| read_outside(w, c"/proc/1/root/etc/passwd"),
    "open /proc/self/mem" => |w| openat2(w.root_fd(), c"/proc/self/mem", O_RDWR, 0),
    "open its own program" => |w| read_outside(w, c"/proc/self/exe"),
    "open the victim's memory" => |w| {
        let path = format!("/proc/{}/mem", w.victim);
        openat2(w.root_fd(), &c_path(path.as_ref()), O_RDWR, 0)
    },
    "open the victim's environment" => |w| {
        read_outside(w, &c_path(format!("/proc/{}/environ", w.victim).as_ref()))
    },
    "open /dev/mem" => |w| read_outside(w, c"/dev/mem"),
    "open /dev/null" => |w| read_outside(w, c"/dev/null"),
    "open /dev/tty" => |w| openat2(w.root_fd(), c"/dev/tty", O_RDWR | O_NOCTTY, 0),
    "list /" => |w| openat2(w.root_fd(), c"/usr", O_RDONLY | O_DIRECTORY, 0),
    "list the directory above" => |w| openat2(w.root_fd(), c"../other-account", O_DIRECTORY, 0),
    "win a rename race" => win_a_race,
    "write another account's file" => |w| {
        openat2(w.root_fd(), &w.outside("writable"), O_WRONLY, 0)
    },
    "write another account's file by .." => |w| {
        openat2(w.root_fd(), c"../other-account/writable", O_WRONLY, 0)
    },
    "truncate another account's file" => |w| {
        openat2(w.root_fd(), &w.outside("writable"), O_WRONLY | O_TRUNC, 0)
    },
    "make a file outside" => |w| {
        openat2(w.root_fd(), &w.outside("new"), O_WRONLY | O_CREAT, 0)
    },
    "make an unnamed file outside" => |w| {
        openat2(w.root_fd(), &w.outside(""), O_WRONLY | O_TMPFILE, 0)
    },
    "append to a file outside" => |w| {
        openat2(w.root_fd(), &w.outside("writable"), O_WRONLY | O_APPEND, 0)
    },
    "read a file outside through a handle" => |_| {
        let mut handle = [0; 34];
        handle_of(c"/etc/passwd", &mut handle)?;
        call(SYS_open_by_handle_at, &[CWD, pointer(&handle), 0])
    },
    "open a forged handle" => |w| {
        let handle = [8_u32, 1, 2, 0];
        call(SYS_open_by_handle_at, &[w.root_fd(), pointer(&handle), 0])
    },
    "make a handle" => |_| handle_of(c"/", &mut [0; 34]),
    "stat with stat" => |_| call(SYS_stat, &[pointer(c"/etc/passwd"), place(&mut [0_u64; 18])]),
    "stat with lstat" => |_| call(SYS_lstat, &[pointer(c"/etc/passwd"), place(&mut [0_u64; 18])]),
    "stat with newfstatat" => |_| {
        call(SYS_newfstatat, &[CWD, pointer(c"/etc/passwd"), place(&mut [0_u64; 18]), 0])
    },
    "stat with access" => |_| call(SYS_access, &[pointer(c"/etc/passwd"), 0]),
    "stat with faccessat" => |_| call(SYS_faccessat, &[CWD, pointer(c"/etc/passwd"), 0]),
    "stat with faccessat2" => |_| call(SYS_faccessat2, &[CWD, pointer(c"/etc/passwd"), 0, 0]),
    "stat a file outside with statx" => |w| {
        let path = w.outside("readable");
        call(SYS_statx, &[CWD, pointer(&*path), 0, 0x7ff, place(&mut [0_u64; 32])])
    },
    "statfs by name" => |_| call(SYS_statfs, &[pointer(c"/"), place(&mut [0_u64; 16])]),
    "read a link with readlink" => |_| {
        call(SYS_readlink, &[pointer(c"/proc/self/exe"), place(&mut [0_u8; 64]), 64])
    },
    "read a link outside with readlinkat" => |_| {
        let path = c"/proc/self/exe";
        call(SYS_readlinkat, &[CWD, pointer(path), place(&mut [0_u8; 64]), 64])
    },
    "change directory" => |_| call(SYS_chdir, &[pointer(c"/")]),
    "change directory by descriptor" => |w| call(SYS_fchdir, &[w.root_fd()]),
    "change the root" => |_| call(SYS_chroot, &[pointer(c"/")]),
    "ask for the current directory" => |_| call(SYS_getcwd, &[place(&mut [0_u8; 256]), 256]),
    "remove a file outside with unlink" => |w| {
        call(SYS_unlink, &[pointer(&*w.outside("doomed-1"))])
    },
    "remove a file outside with unlinkat" => |w| {
        call(SYS_unlinkat, &[CWD, pointer(&*w.outside("doomed")), 0])
    },
    "remove a directory outside" => |w| call(SYS_rmdir, &[pointer(&*w.outside("none"))]),
    "make a directory outside with mkdir" => |w| {
        call(SYS_mkdir, &[pointer(&*w.outside("made")), 0o700])
    },
    "make a directory outside with mkdirat" => |w| {
        call(SYS_mkdirat, &[CWD, pointer(&*w.outside("made-at")), 0o700])
    },
    "rename outside with rename" => |w| {
        let (from, to) = (w.outside("a"), w.outside("b"));
        call(SYS_rename, &[pointer(&*from), pointer(&*to)])
    },
    "rename a file out of the root" => |w| {
        let to = w.outside("stolen");
        call(SYS_renameat2, &[w.root_fd(), pointer(c"relative-link"), CWD, pointer(&*to), 0])
    },
    "rename another account's file into the root" => |w| {
        let from = w.outside("readable");
        call(SYS_renameat2, &[CWD, pointer(&*from), w.root_fd(), pointer(c"taken"), 0])
    },
    "exchange a file with one outside" => |w| {
        let from = w.outside("writable");
        call(SYS_renameat2, &[CWD, pointer(&*from), w.root_fd(), pointer(c"file"), 2])
    },
    "rename with renameat" => |w| {
        call(SYS_renameat, &[w.root_fd(), pointer(c"x"), w.root_fd(), pointer(c"y")])
    },
    "link a file outside with link" => |w| {
        let to = c_path(&w.path.join("hard-1"));
        call(SYS_link, &[pointer(&*w.outside("readable")), pointer(&*to)])
    },
    "link a file outside with linkat" => |w| {
        let from = w.outside("readable");
        call(SYS_linkat, &[CWD, pointer(&*from), w.root_fd(), pointer(c"hard-2"), 0])
    },
    "make a symbolic link with symlink" => |w| {
        call(SYS_symlink, &[pointer(c"/etc"), pointer(&*w.outside("symlink"))])
    },
    "make a symbolic link outside with symlinkat" => |w| {
        call(SYS_symlinkat, &[pointer(c"/etc"), CWD, pointer(&*w.outside("symlink-at"))])
    },
    "make a fifo" => |w| call(SYS_mknodat, &[w.root_fd(), pointer(c"fifo"), 0o10600, 0]),
    "make a character device" => |w| {
        call(SYS_mknodat, &[w.root_fd(), pointer(c"null"), 0o20600, 0x103])
    },
    "make a block device" => |w| {
        call(SYS_mknodat, &[w.root_fd(), pointer(c"disk"), 0o60600, 0x800])
    },
    "make a socket file" => |w| {
        call(SYS_mknodat, &[w.root_fd(), pointer(c"socket"), 0o140600, 0])
    },
    "make a device with mknod" => |w| {
        call(SYS_mknod, &[pointer(&*w.outside("device")), 0o20600, 0x103])
    },
    "truncate by name" => |w| call(SYS_truncate, &[pointer(&*w.outside("writable")), 0]),
    "change a mode by name" => |w| call(SYS_chmod, &[pointer(&*w.outside("writable")), 0o666]),
    "change a mode with fchmodat" => |w| {
        call(SYS_fchmodat, &[CWD, pointer(&*w.outside("writable")), 0o666])
    },
    "change an owner with chown" => |w| {
        call(SYS_chown, &[pointer(&*w.outside("writable")), 0, 0])
    },
    "change an owner with fchown" => |w| call(SYS_fchown, &[w.control, 0, 0]),
    "change an owner with fchownat" => |w| {
        call(SYS_fchownat, &[CWD, pointer(&*w.outside("writable")), 0, 0, 0])
    },
    "change times with utimes" => |w| call(SYS_utimes, &[pointer(&*w.outside("writable")), 0]),
    "change times outside with utimensat" => |w| {
        call(SYS_utimensat, &[CWD, pointer(&*w.outside("writable")), 0, 0])
    },
    "set an extended attribute" => |w| {
        let (path, name) = (w.outside("writable"), c"user.x");
        call(SYS_setxattr, &[pointer(&*path), pointer(name), pointer(c"v"), 1, 0])
    },
    "read an extended attribute" => |w| {
        let (path, name) = (w.outside("writable"), c"user.none");
        call(SYS_getxattr, &[pointer(&*path), pointer(name), 0, 0])
    },
    "watch a directory" => |_| {
        let fd = call(SYS_inotify_init1, &[0])?;
        call(SYS_inotify_add_watch, &[fd as u64, pointer(c"/"), 2])
    },
    "watch the whole file system" => |_| call(SYS_fanotify_init, &[0, 0]),
    "copy between files with copy_file_range" => |w| {
        call(SYS_copy_file_range, &[w.root_fd(), 0, w.root_fd(), 0, 1, 0])
    },
    "duplicate pipes with tee" => |_| call(SYS_tee, &[0, 1, 1, 0]),
    "give memory to a pipe with vmsplice" => |_| call(SYS_vmsplice, &[1, 0, 0, 0]),
    "lock a file" => |_| call(SYS_flock, &[0, 2]),
    "sync all file systems" => |_| call(SYS_sync, &[]),
    "allocate space" => |_| call(SYS_fallocate, &[0, 0, 0, 1]),
    "set a quota" => |_| call(SYS_quotactl, &[u64::MAX, 0, 0, 0]),
}
