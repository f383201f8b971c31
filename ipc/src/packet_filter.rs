//! Packet filters of sockets (classic BPF, socket(7)): which packets the kernel gives to a socket at
//! all. nix and rustix have no calls for these options, so they are set here and nowhere else.
//!
//! Two ways lead to a listener that only one client reaches. The first is a filter on the listener
//! itself ([`admit_only`]). Kernels since 2026 let only CAP_NET_ADMIN put one on a TCP socket, because
//! a program could read sequence numbers with it. The second way works there without privilege: two
//! listeners share the port, and a program chooses between them by the source of the SYN
//! ([`steer`]). Everybody but the client is given to the one that takes nobody ([`take_nobody`]).
#![allow(unsafe_code, reason = "setsockopt(2) takes the program by a pointer")]

use std::{
    io,
    net::IpAddr,
    os::fd::{AsRawFd, BorrowedFd},
};

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, IP_MINTTL, IPPROTO_IP, IPPROTO_IPV6,
    IPV6_MINHOPCOUNT, SKF_NET_OFF, SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF, SO_LOCK_FILTER,
    SO_REUSEPORT, SOL_SOCKET, c_int, c_void, sock_filter, sock_fprog, socklen_t,
};

/// Where the source address begins in an IPv4 header (RFC 791 section 3.1).
const IPV4_SOURCE: i32 = 12;
/// Where the source address begins in an IPv6 header (RFC 8200 section 3).
const IPV6_SOURCE: i32 = 8;
/// What a filter returns for a packet that is taken whole, and for one that is dropped.
const WHOLE: u32 = u32::MAX;
const DROP: u32 = 0;
/// Which listener of a port a program chooses: the one that listened first, or the second.
const FIRST: u32 = 0;
const SECOND: u32 = 1;
/// The largest time to live. No packet that a router has passed on has it, and no system sends with
/// it unless it is told to.
const LARGEST_TTL: c_int = 255;

/// Has the kernel drop every packet to a socket but those of `peer`, and locks that: nobody who has
/// the socket, or a connection that was accepted on it, can take the filter off or change it. Four
/// instructions for IPv4, ten for IPv6.
///
/// # Errors
/// As setsockopt(2): EPERM where the kernel wants CAP_NET_ADMIN for it. After any other error the
/// filter may be attached and not locked: the socket is to be closed.
pub fn admit_only(socket: BorrowedFd<'_>, peer: IpAddr) -> io::Result<()> {
    attach(socket, SO_ATTACH_FILTER, by_source(peer, WHOLE, DROP))?;
    lock(socket)
}

/// Has the port of a bound socket shared with another one of the same uid that is bound after this
/// call. Called after bind(2), so that the port was nobody's.
///
/// # Errors
/// As setsockopt(2).
pub fn share_port(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: c_int = 1;
    set_option(socket, SOL_SOCKET, SO_REUSEPORT, &on)
}

/// Has the kernel give connections of `peer` to the second listener of the port, and all others to
/// the first, which is this one.
///
/// # Errors
/// As setsockopt(2).
pub fn steer(socket: BorrowedFd<'_>, peer: IpAddr) -> io::Result<()> {
    attach(socket, SO_ATTACH_REUSEPORT_CBPF, by_source(peer, SECOND, FIRST))
}

/// Has the kernel drop what comes to a listener, without an answer: it demands the largest time to
/// live. Somebody on the same network who forges that is given a connection that nobody accepts.
///
/// # Errors
/// As setsockopt(2).
pub fn take_nobody(socket: BorrowedFd<'_>, is_ipv4: bool) -> io::Result<()> {
    let (level, option) =
        if is_ipv4 { (IPPROTO_IP, IP_MINTTL) } else { (IPPROTO_IPV6, IPV6_MINHOPCOUNT) };
    set_option(socket, level, option, &LARGEST_TTL)
}

/// Locks the programs of a socket: none can be attached to it any more.
///
/// # Errors
/// As setsockopt(2).
pub fn lock(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: c_int = 1;
    set_option(socket, SOL_SOCKET, SO_LOCK_FILTER, &on)
}

/// A program that returns one value for packets whose source is `peer`, and another for the rest. An
/// IPv4 address in IPv6 notation is taken for what it is: its packets are IPv4.
fn by_source(peer: IpAddr, of_peer: u32, of_others: u32) -> Vec<sock_filter> {
    let (offset, words) = match peer.to_canonical() {
        IpAddr::V4(peer) => (IPV4_SOURCE, vec![peer.to_bits()]),
        IpAddr::V6(peer) => {
            let [a, b, c, d, e, f, g, h] = peer.segments();
            let word = |high, low| u32::from(high) << 16 | u32::from(low);
            (IPV6_SOURCE, vec![word(a, b), word(c, d), word(e, f), word(g, h)])
        }
    };
    let mut program = Vec::with_capacity(10);
    let mut left = words.len();
    for (at, word) in (offset..).step_by(4).zip(words) {
        left = left.saturating_sub(1);
        // What follows: the comparisons that are left, two instructions each, and one `return`.
        let to_others = u8::try_from(left * 2 + 1).unwrap_or(u8::MAX);
        program.push(instruction(BPF_LD | BPF_W | BPF_ABS, 0, (SKF_NET_OFF + at).cast_unsigned()));
        program.push(instruction(BPF_JMP | BPF_JEQ | BPF_K, to_others, word));
    }
    program.push(instruction(BPF_RET | BPF_K, 0, of_peer));
    program.push(instruction(BPF_RET | BPF_K, 0, of_others));
    program
}

fn attach(
    socket: BorrowedFd<'_>,
    option: c_int,
    mut instructions: Vec<sock_filter>,
) -> io::Result<()> {
    let program = sock_fprog {
        len: u16::try_from(instructions.len()).map_err(io::Error::other)?,
        filter: instructions.as_mut_ptr(),
    };
    set_option(socket, SOL_SOCKET, option, &program)
}

fn instruction(code: u32, jump_if_false: u8, k: u32) -> sock_filter {
    // Every code of classic BPF fits into 16 bits.
    sock_filter { code: u16::try_from(code).unwrap_or(u16::MAX), jt: 0, jf: jump_if_false, k }
}

fn set_option<T>(socket: BorrowedFd<'_>, level: c_int, option: c_int, value: &T) -> io::Result<()> {
    let size = socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: `value` is a live reference to `size` bytes, which the kernel only reads. A
    // `sock_fprog` points to as many instructions as it says, which its owner holds until the call
    // has returned; the kernel copies them.
    let result = unsafe {
        let value = std::ptr::from_ref(value).cast::<c_void>();
        libc::setsockopt(socket.as_raw_fd(), level, option, value, size)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    /// Runs a program on the header of a packet, as the kernel would.
    fn takes(filter: &[sock_filter], header: &[u8]) -> bool {
        let mut word = 0;
        let mut at = 0;
        loop {
            let step = filter[at];
            at += 1;
            match u32::from(step.code) {
                code if code == BPF_LD | BPF_W | BPF_ABS => {
                    let start = usize::try_from(step.k.cast_signed() - SKF_NET_OFF).unwrap();
                    word = u32::from_be_bytes(header[start..start + 4].try_into().unwrap());
                }
                code if code == BPF_JMP | BPF_JEQ | BPF_K => {
                    at += usize::from(if word == step.k { step.jt } else { step.jf });
                }
                _ => return step.k == WHOLE,
            }
        }
    }

    fn ipv4(source: Ipv4Addr) -> Vec<u8> {
        [&[0; 12][..], &source.octets(), &[0; 4]].concat()
    }

    fn ipv6(source: Ipv6Addr) -> Vec<u8> {
        [&[0; 8][..], &source.octets(), &[0; 16]].concat()
    }

    #[test]
    fn b6_the_filter_of_an_ipv4_client_has_four_instructions_and_takes_that_client_only() {
        let filter = by_source("192.0.2.7".parse().unwrap(), WHOLE, DROP);
        assert_eq!(filter.len(), 4);
        assert!(takes(&filter, &ipv4(Ipv4Addr::new(192, 0, 2, 7))));
        assert!(!takes(&filter, &ipv4(Ipv4Addr::new(192, 0, 2, 8))));
        assert!(!takes(&filter, &ipv4(Ipv4Addr::new(7, 2, 0, 192))));
    }

    #[test]
    fn b6_a_mapped_client_is_filtered_as_the_ipv4_client_it_is() {
        let mapped = by_source("::ffff:192.0.2.7".parse().unwrap(), WHOLE, DROP);
        assert_eq!(mapped.len(), 4);
        assert!(takes(&mapped, &ipv4(Ipv4Addr::new(192, 0, 2, 7))));
        assert!(!takes(&mapped, &ipv4(Ipv4Addr::new(192, 0, 2, 8))));
    }

    #[test]
    fn b6_every_word_of_an_ipv6_address_is_compared() {
        let client: Ipv6Addr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        let filter = by_source(client.into(), WHOLE, DROP);
        assert!(takes(&filter, &ipv6(client)));
        for octet in 0..16 {
            let mut other = client.octets();
            other[octet] ^= 1;
            assert!(!takes(&filter, &ipv6(other.into())), "octet {octet} is not compared");
        }
    }
}
