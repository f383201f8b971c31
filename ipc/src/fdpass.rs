//! The descriptor receipt: the one place where descriptors come out of the kernel.
//!
//! Descriptors are close-on-exec from the kernel's hand (`MSG_CMSG_CLOEXEC`) and owned before
//! anything else looks at them. sendfd 0.4 would return raw, inheritable descriptors and hide
//! truncation, so `sendmsg`/`recvmsg` are used through nix.
#![allow(unsafe_code, reason = "descriptors from the kernel become OwnedFd here and only here")]

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    sync::atomic::{AtomicBool, Ordering},
};

use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};

/// The most descriptors one frame can carry on Linux (`SCM_MAX_FD`). Room for all of them means
/// that none is dropped by the kernel behind our back; how many belong there is the channel's rule.
const SCM_MAX_FD: usize = 253;

/// What one `recvmsg` brought.
pub struct Receipt {
    /// How many bytes are in the buffer.
    pub bytes: usize,
    /// The frame was longer than the buffer.
    pub truncated: bool,
    /// The kernel dropped descriptors: this process has none left.
    pub fds_truncated: bool,
    /// The descriptors, close-on-exec.
    pub fds: Vec<OwnedFd>,
}

/// A connected pair of `SOCK_SEQPACKET` sockets, close-on-exec.
///
/// # Errors
/// As socketpair(2).
pub fn seqpacket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Sends one frame with descriptors, never raising SIGPIPE; with `dont_wait` it never blocks.
///
/// # Errors
/// As sendmsg(2); interrupted calls are repeated.
pub fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    dont_wait: bool,
) -> io::Result<()> {
    let mut flags = MsgFlags::MSG_NOSIGNAL;
    flags.set(MsgFlags::MSG_DONTWAIT, dont_wait);
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    loop {
        let sent = sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None);
        match sent {
            Ok(_) => return Ok(()),
            Err(nix::Error::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Receives one frame. A length of 0 means that the peer has closed.
///
/// # Errors
/// As recvmsg(2); interrupted calls are repeated.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], dont_wait: bool) -> io::Result<Receipt> {
    let mut flags = MsgFlags::MSG_CMSG_CLOEXEC;
    flags.set(MsgFlags::MSG_DONTWAIT, dont_wait);
    let mut control = nix::cmsg_space!([RawFd; SCM_MAX_FD]);
    loop {
        let mut parts = [IoSliceMut::new(buffer)];
        let got = match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
            Ok(got) => got,
            Err(nix::Error::EINTR) => continue,
            Err(e) => return Err(e.into()),
        };
        let mut fds = Vec::new();
        if let Ok(messages) = got.cmsgs() {
            for message in messages {
                if let ControlMessageOwned::ScmRights(raw) = message {
                    // SAFETY: the kernel has just installed these descriptors for this process in
                    // this very call, and nobody else knows their numbers.
                    fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
                }
            }
        }
        return Ok(Receipt {
            bytes: got.bytes,
            truncated: got.flags.contains(MsgFlags::MSG_TRUNC),
            fds_truncated: got.flags.contains(MsgFlags::MSG_CTRUNC),
            fds,
        });
    }
}

/// Closes every descriptor from `first` on. For the start of `main`, before anything was opened:
/// whatever a careless parent left open does not get into the sandbox.
///
/// # Errors
/// As close_range(2).
pub fn close_from(first: RawFd) -> io::Result<()> {
    let first =
        libc::c_uint::try_from(first).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: called first thing in main, when no Rust object owns a descriptor >= `first`.
    let result = unsafe { libc::close_range(first, libc::c_uint::MAX, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The first of the descriptors that systemd passes (`SD_LISTEN_FDS_START`, sd_listen_fds(3)).
const FIRST_PASSED: RawFd = 3;
/// Whether [`take_passed`] has given them an owner.
static PASSED_ARE_TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes the descriptors that systemd has opened for this process, each with its name; none when it
/// has not. They are close-on-exec from here on: no child gets a listening socket.
///
/// # Errors
/// When a descriptor that the environment promises is not open.
pub fn take_passed() -> io::Result<Vec<(String, OwnedFd)>> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    // Without our process id they are somebody else's: of a parent that did not clear its environment.
    let ours = variable("LISTEN_PID") == std::process::id().to_string();
    let count: RawFd = variable("LISTEN_FDS").parse().unwrap_or_default();
    if !ours || count <= 0 || PASSED_ARE_TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    let names = variable("LISTEN_FDNAMES");
    let mut names = names.split(':');
    let mut passed = Vec::new();
    for fd in FIRST_PASSED..FIRST_PASSED.saturating_add(count) {
        // SAFETY: fcntl(2) with F_SETFD reads and writes no memory of ours.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is open, as fcntl has just said. It was opened before this program
        // began (LISTEN_PID names us), so nothing in it owns the number, and the flag above lets
        // nobody take it twice.
        let owned = unsafe { OwnedFd::from_raw_fd(fd) };
        passed.push((names.next().unwrap_or_default().to_owned(), owned));
    }
    Ok(passed)
}

/// The channel a child of the supervisor is started with: its standard input.
///
/// # Errors
/// When standard input is closed.
pub fn inherited_channel() -> io::Result<OwnedFd> {
    std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned()
}
