//! New sockets, and the sockets a process has turned to something else.

use libc::*;

use super::{Got, attempts};
use crate::{
    raw::{call, place, pointer},
    world::World,
};

fn socket(family: i32, kind: i32, protocol: i32) -> Got {
    call(SYS_socket, &[family as u64, (kind | SOCK_CLOEXEC) as u64, protocol as u64])
}

/// 127.0.0.1, port 9, as the kernel reads it.
fn address() -> [u8; 16] {
    let mut address = [0; 16];
    address[0] = AF_INET as u8;
    address[3] = 9;
    address[4] = 127;
    address[7] = 1;
    address
}

fn set(socket: u64, level: i32, option: i32, value: i32) -> Got {
    call(SYS_setsockopt, &[socket, level as u64, option as u64, pointer(&value), 4])
}

/// A message of one byte for sendmsg, with an address.
fn send(world: &World, flags: i32) -> Got {
    let byte = [0_u8];
    let part = [pointer(&byte), 1];
    let to = address();
    let message = [pointer(&to), 16, pointer(&part), 1, 0, 0, 0];
    call(SYS_sendmsg, &[world.control, pointer(&message), flags as u64])
}

fn change(fd: u64, command: i32, value: u64) -> Got {
    call(SYS_fcntl, &[fd, command as u64, value])
}

fn control(fd: u64, request: u64) -> Got {
    call(SYS_ioctl, &[fd, request, place(&mut [0_u64; 8])])
}

attempts! {
    "make a TCP socket over IPv4" => |_| socket(AF_INET, SOCK_STREAM, 0),
    "make a TCP socket over IPv6" => |_| socket(AF_INET6, SOCK_STREAM, 0),
    "make a UDP socket" => |_| socket(AF_INET, SOCK_DGRAM, 0),
    "make a UDP socket over IPv6" => |_| socket(AF_INET6, SOCK_DGRAM, 0),
    "make a raw socket" => |_| socket(AF_INET, SOCK_RAW, IPPROTO_ICMP),
    "make a packet socket" => |_| socket(AF_PACKET, SOCK_RAW, 0),
    "make a Unix stream socket" => |_| socket(AF_UNIX, SOCK_STREAM, 0),
    "make a Unix datagram socket" => |_| socket(AF_UNIX, SOCK_DGRAM, 0),
    "make a Unix sequenced socket" => |_| socket(AF_UNIX, SOCK_SEQPACKET, 0),
    "make a netlink socket" => |_| socket(AF_NETLINK, SOCK_RAW, 0),
    "make a netlink audit socket" => |_| socket(AF_NETLINK, SOCK_RAW, 9),
    "make a netlink netfilter socket" => |_| socket(AF_NETLINK, SOCK_RAW, 12),
    "make a vsock socket" => |_| socket(AF_VSOCK, SOCK_STREAM, 0),
    "make a crypto socket" => |_| socket(AF_ALG, SOCK_SEQPACKET, 0),
    "make a Bluetooth socket" => |_| socket(AF_BLUETOOTH, SOCK_RAW, 1),
    "make a CAN socket" => |_| socket(AF_CAN, SOCK_RAW, 1),
    "make an XDP socket" => |_| socket(AF_XDP, SOCK_RAW, 0),
    "make an MPTCP socket" => |_| socket(AF_INET, SOCK_STREAM, 262),
    "make an MPTCP socket with the helper's flags" => |_| {
        socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 262)
    },
    "make an SCTP socket with the helper's flags" => |_| {
        socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 132)
    },
    "make an SCTP socket" => |_| socket(AF_INET, SOCK_SEQPACKET, 132),
    "make a pair of sockets" => |_| {
        call(SYS_socketpair, &[AF_UNIX as u64, SOCK_STREAM as u64, 0, place(&mut [0_i32; 2])])
    },
    "disconnect the control connection" => |w| {
        call(SYS_connect, &[w.control, pointer(&[0_u8; 16]), 16])
    },
    "disconnect and connect elsewhere" => |w| {
        call(SYS_connect, &[w.control, pointer(&[0_u8; 16]), 16])?;
        call(SYS_connect, &[w.control, pointer(&address()), 16])
    },
    "connect the control connection elsewhere" => |w| {
        call(SYS_connect, &[w.control, pointer(&address()), 16])
    },
    "connect the listener elsewhere" => |w| {
        call(SYS_connect, &[w.listener, pointer(&address()), 16])
    },
    "bind the control connection" => |w| call(SYS_bind, &[w.control, pointer(&address()), 16]),
    "listen on the control connection" => |w| call(SYS_listen, &[w.control, 1]),
    "listen longer on the listener" => |w| call(SYS_listen, &[w.listener, 1000]),
    "accept with accept" => |w| call(SYS_accept, &[w.listener, 0, 0]),
    "open fast with sendmsg" => |w| send(w, MSG_FASTOPEN),
    "open fast with sendto" => |w| {
        let (byte, to) = ([0_u8], address());
        let flags = MSG_FASTOPEN as u64;
        call(SYS_sendto, &[w.control, pointer(&byte), 1, flags, pointer(&to), 16])
    },
    "send out of band" => |w| send(w, MSG_OOB | MSG_NOSIGNAL),
    "send many" => |w| call(SYS_sendmmsg, &[w.control, 0, 0, 0]),
    "receive many" => |w| call(SYS_recvmmsg, &[w.control, 0, 0, 0, 0]),
    "attach a filter to a socket" => |w| {
        let step = [0x0000_0006_u64 | 0xffff << 32];
        let program = [1_u64, pointer(&step)];
        let (level, option) = (SOL_SOCKET as u64, SO_ATTACH_FILTER as u64);
        call(SYS_setsockopt, &[w.control, level, option, pointer(&program), 16])
    },
    "detach the filter of the listener" => |w| set(w.listener, SOL_SOCKET, SO_DETACH_FILTER, 0),
    "replace the filter of the listener" => |w| {
        let step = [0x0000_0006_u64 | 0xffff << 32];
        let program = [1_u64, pointer(&step)];
        let (level, option) = (SOL_SOCKET as u64, SO_ATTACH_FILTER as u64);
        call(SYS_setsockopt, &[w.listener, level, option, pointer(&program), 16])
    },
    "detach the program of the listener's port" => |w| {
        set(w.listener, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)
    },
    "unlock the filter of the listener" => |w| set(w.listener, SOL_SOCKET, SO_LOCK_FILTER, 0),
    "bind a socket to a device" => |w| set(w.control, SOL_SOCKET, SO_BINDTODEVICE, 0),
    "mark packets" => |w| set(w.control, SOL_SOCKET, SO_MARK, 1),
    "send with a higher priority" => |w| set(w.control, SOL_SOCKET, SO_PRIORITY, 6),
    "force a large buffer" => |w| set(w.control, SOL_SOCKET, SO_RCVBUFFORCE, 1 << 20),
    "share the port" => |w| set(w.control, SOL_SOCKET, SO_REUSEPORT, 1),
    "debug a socket" => |w| set(w.control, SOL_SOCKET, SO_DEBUG, 1),
    "repair a TCP connection" => |w| set(w.control, IPPROTO_TCP, TCP_REPAIR, 1),
    "load a TCP protocol above" => |w| {
        let name = pointer(c"tls");
        call(SYS_setsockopt, &[w.control, IPPROTO_TCP as u64, TCP_ULP as u64, name, 3])
    },
    "change the congestion control" => |w| {
        let name = pointer(c"reno");
        call(SYS_setsockopt, &[w.control, IPPROTO_TCP as u64, TCP_CONGESTION as u64, name, 4])
    },
    "be a transparent proxy" => |w| set(w.control, IPPROTO_IP, IP_TRANSPARENT, 1),
    "set IP options" => |w| {
        let routing = pointer(&[0_u8; 4]);
        call(SYS_setsockopt, &[w.control, IPPROTO_IP as u64, IP_OPTIONS as u64, routing, 4])
    },
    "let the kernel signal an owner" => |w| change(w.control, F_SETOWN, 1),
    "let the kernel signal an owner with a signal" => |w| change(w.control, 10, 9),
    "make a descriptor asynchronous" => |w| change(w.control, F_SETFL, O_ASYNC as u64),
    "duplicate a descriptor with fcntl" => |w| change(w.control, F_DUPFD, 50),
    "let a descriptor survive exec" => |w| change(w.control, F_SETFD, 0),
    "take a lease" => |w| change(w.control, F_SETLEASE, F_RDLCK as u64),
    "watch a directory with fcntl" => |w| change(w.control, F_NOTIFY, 1),
    "lock with fcntl" => |w| change(w.control, F_SETLK, pointer(&[0_u64; 4])),
    "seal a file" => |w| change(w.control, F_ADD_SEALS, 0),
    "duplicate a descriptor with dup" => |w| call(SYS_dup, &[w.control]),
    "replace a descriptor with dup2" => |w| call(SYS_dup2, &[w.control, 60]),
    "replace a descriptor with dup3" => |w| call(SYS_dup3, &[w.control, 60, 0]),
    "type into a terminal" => |w| control(w.control, 0x5412),
    "control a console" => |w| control(w.control, 0x541c),
    "list network interfaces" => |w| control(w.control, 0x8912),
    "make a descriptor asynchronous with ioctl" => |w| control(w.control, 0x5452),
    "set an owner with ioctl" => |w| control(w.control, 0x8902),
    "make a pipe with pipe" => |_| call(SYS_pipe, &[place(&mut [0_i32; 2])]),
    "make an event descriptor" => |_| call(SYS_eventfd2, &[0, 0]),
    "make a signal descriptor" => |_| call(SYS_signalfd4, &[u64::MAX, pointer(&[0_u64]), 8, 0]),
    "make a timer descriptor" => |_| call(SYS_timerfd_create, &[1, 0]),
    "make another epoll" => |_| call(SYS_epoll_create1, &[0]),
}
