//! The C constants that conditions of policy files may name.

/// Constants by name, as the C type `int` holds them.
#[allow(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    clippy::unnecessary_cast,
    reason = "the kernel reads these arguments as 32 bits, whatever C type a header gives them"
)]
const CONSTANTS: &[(&str, u32)] = &[
    ("F_GETFL", libc::F_GETFL as u32),
    ("F_SETFL", libc::F_SETFL as u32),
    ("F_GETFD", libc::F_GETFD as u32),
    ("F_SETFD", libc::F_SETFD as u32),
    ("F_OFD_SETLK", libc::F_OFD_SETLK as u32),
    ("F_SETPIPE_SZ", libc::F_SETPIPE_SZ as u32),
    ("F_DUPFD_CLOEXEC", libc::F_DUPFD_CLOEXEC as u32),
    ("O_NONBLOCK", libc::O_NONBLOCK as u32),
    ("O_RDWR", libc::O_RDWR as u32),
    ("O_WRONLY", libc::O_WRONLY as u32),
    ("O_APPEND", libc::O_APPEND as u32),
    ("O_LARGEFILE", libc::O_LARGEFILE as u32),
    ("PROT_EXEC", libc::PROT_EXEC as u32),
    ("PROT_READ", libc::PROT_READ as u32),
    ("PROT_WRITE", libc::PROT_WRITE as u32),
    ("MAP_SHARED", libc::MAP_SHARED as u32),
    ("MSG_NOSIGNAL", libc::MSG_NOSIGNAL as u32),
    ("MSG_DONTWAIT", libc::MSG_DONTWAIT as u32),
    ("MSG_CMSG_CLOEXEC", libc::MSG_CMSG_CLOEXEC as u32),
    ("MSG_PEEK", libc::MSG_PEEK as u32),
    ("MSG_MORE", libc::MSG_MORE as u32),
    ("MSG_OOB", libc::MSG_OOB as u32),
    ("SOL_SOCKET", libc::SOL_SOCKET as u32),
    ("SO_ERROR", libc::SO_ERROR as u32),
    ("SO_LINGER", libc::SO_LINGER as u32),
    ("SO_KEEPALIVE", libc::SO_KEEPALIVE as u32),
    ("SO_REUSEADDR", libc::SO_REUSEADDR as u32),
    ("SO_ATTACH_FILTER", libc::SO_ATTACH_FILTER as u32),
    ("SO_ATTACH_REUSEPORT_CBPF", libc::SO_ATTACH_REUSEPORT_CBPF as u32),
    ("SO_REUSEPORT", libc::SO_REUSEPORT as u32),
    ("IP_MINTTL", libc::IP_MINTTL as u32),
    ("IPV6_MINHOPCOUNT", libc::IPV6_MINHOPCOUNT as u32),
    ("SO_LOCK_FILTER", libc::SO_LOCK_FILTER as u32),
    ("SO_SNDBUF", libc::SO_SNDBUF as u32),
    ("SO_RCVBUF", libc::SO_RCVBUF as u32),
    ("SO_OOBINLINE", libc::SO_OOBINLINE as u32),
    ("SO_MAX_PACING_RATE", libc::SO_MAX_PACING_RATE as u32),
    ("SO_PEERCRED", libc::SO_PEERCRED as u32),
    ("SO_DOMAIN", libc::SO_DOMAIN as u32),
    ("SO_TYPE", libc::SO_TYPE as u32),
    ("SO_PROTOCOL", libc::SO_PROTOCOL as u32),
    ("IPPROTO_TCP", libc::IPPROTO_TCP as u32),
    ("TCP_NODELAY", libc::TCP_NODELAY as u32),
    ("TCP_CORK", libc::TCP_CORK as u32),
    ("TCP_QUICKACK", libc::TCP_QUICKACK as u32),
    ("TCP_INFO", libc::TCP_INFO as u32),
    ("TCP_KEEPIDLE", libc::TCP_KEEPIDLE as u32),
    ("TCP_KEEPINTVL", libc::TCP_KEEPINTVL as u32),
    ("TCP_KEEPCNT", libc::TCP_KEEPCNT as u32),
    ("TCP_USER_TIMEOUT", libc::TCP_USER_TIMEOUT as u32),
    ("IPPROTO_IP", libc::IPPROTO_IP as u32),
    ("IPPROTO_IPV6", libc::IPPROTO_IPV6 as u32),
    ("IPV6_V6ONLY", libc::IPV6_V6ONLY as u32),
    ("IP_FREEBIND", libc::IP_FREEBIND as u32),
    ("IP_TOS", libc::IP_TOS as u32),
    ("IPV6_TCLASS", libc::IPV6_TCLASS as u32),
    ("AF_UNIX", libc::AF_UNIX as u32),
    ("AF_INET", libc::AF_INET as u32),
    ("AF_INET6", libc::AF_INET6 as u32),
    ("AF_NETLINK", libc::AF_NETLINK as u32),
    ("SOCK_STREAM", libc::SOCK_STREAM as u32),
    ("SOCK_DGRAM", libc::SOCK_DGRAM as u32),
    ("SOCK_CLOEXEC", libc::SOCK_CLOEXEC as u32),
    ("SOCK_NONBLOCK", libc::SOCK_NONBLOCK as u32),
    ("AT_REMOVEDIR", libc::AT_REMOVEDIR as u32),
    ("AT_SYMLINK_NOFOLLOW", libc::AT_SYMLINK_NOFOLLOW as u32),
    ("AT_EMPTY_PATH", libc::AT_EMPTY_PATH as u32),
    ("AT_FDCWD", libc::AT_FDCWD as u32),
    ("RENAME_NOREPLACE", libc::RENAME_NOREPLACE as u32),
    ("O_CLOEXEC", libc::O_CLOEXEC as u32),
    ("PR_SET_NO_NEW_PRIVS", libc::PR_SET_NO_NEW_PRIVS as u32),
    ("PR_SET_NAME", libc::PR_SET_NAME as u32),
    ("PR_SET_VMA", libc::PR_SET_VMA as u32),
    ("SECCOMP_SET_MODE_FILTER", libc::SECCOMP_SET_MODE_FILTER as u32),
    ("MADV_DONTNEED", libc::MADV_DONTNEED as u32),
    ("MADV_FREE", libc::MADV_FREE as u32),
    ("EPOLL_CTL_ADD", libc::EPOLL_CTL_ADD as u32),
    ("EPOLL_CTL_DEL", libc::EPOLL_CTL_DEL as u32),
    ("EPOLL_CTL_MOD", libc::EPOLL_CTL_MOD as u32),
    ("SHUT_RD", libc::SHUT_RD as u32),
    ("SHUT_WR", libc::SHUT_WR as u32),
    ("SHUT_RDWR", libc::SHUT_RDWR as u32),
    ("SPLICE_F_MOVE", libc::SPLICE_F_MOVE as u32),
    ("SPLICE_F_NONBLOCK", libc::SPLICE_F_NONBLOCK as u32),
    ("SPLICE_F_MORE", libc::SPLICE_F_MORE as u32),
    ("FALLOC_FL_KEEP_SIZE", libc::FALLOC_FL_KEEP_SIZE as u32),
    ("SEEK_SET", libc::SEEK_SET as u32),
    ("SEEK_CUR", libc::SEEK_CUR as u32),
    ("SEEK_END", libc::SEEK_END as u32),
    ("SEEK_DATA", libc::SEEK_DATA as u32),
    ("SEEK_HOLE", libc::SEEK_HOLE as u32),
    ("GRND_NONBLOCK", libc::GRND_NONBLOCK as u32),
    ("GRND_INSECURE", libc::GRND_INSECURE as u32),
    ("CLONE_NEWNS", libc::CLONE_NEWNS as u32),
    ("CLONE_NEWCGROUP", libc::CLONE_NEWCGROUP as u32),
    ("CLONE_NEWUTS", libc::CLONE_NEWUTS as u32),
    ("CLONE_NEWIPC", libc::CLONE_NEWIPC as u32),
    ("CLONE_NEWUSER", libc::CLONE_NEWUSER as u32),
    ("CLONE_NEWPID", libc::CLONE_NEWPID as u32),
    ("CLONE_NEWNET", libc::CLONE_NEWNET as u32),
    ("CLONE_NEWTIME", libc::CLONE_NEWTIME as u32),
    ("CLONE_PTRACE", libc::CLONE_PTRACE as u32),
    ("TIOCSTI", libc::TIOCSTI as u32),
    ("TIOCLINUX", libc::TIOCLINUX as u32),
    ("FUTEX_WAKE", libc::FUTEX_WAKE as u32),
    ("FUTEX_WAIT", libc::FUTEX_WAIT as u32),
    ("FUTEX_PRIVATE_FLAG", libc::FUTEX_PRIVATE_FLAG as u32),
    ("S_ISUID", libc::S_ISUID as u32),
    ("S_ISGID", libc::S_ISGID as u32),
    ("S_ISVTX", libc::S_ISVTX as u32),
    ("S_IFIFO", libc::S_IFIFO as u32),
    ("S_IFREG", libc::S_IFREG as u32),
    ("MFD_CLOEXEC", libc::MFD_CLOEXEC as u32),
    ("RLIMIT_NOFILE", libc::RLIMIT_NOFILE as u32),
];

/// The value of a constant's name or a number written in digits (decimal, or hexadecimal behind
/// `0x`); several may be joined by `|`.
///
/// # Errors
/// Names the part that is neither.
pub fn value(text: &str) -> Result<u64, String> {
    text.split('|').map(str::trim).try_fold(0, |value, part| {
        let single = single(part).ok_or_else(|| format!("`{part}` is no constant known here"))?;
        Ok(value | single)
    })
}

fn single(text: &str) -> Option<u64> {
    if let Some((_, value)) = CONSTANTS.iter().find(|(name, _)| *name == text) {
        return Some(u64::from(*value));
    }
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn names_and_numbers_are_joined() {
        assert_eq!(value("PROT_READ | PROT_WRITE"), Ok(3));
        assert_eq!(value("0x10|1"), Ok(0x11));
        assert!(value("PROT_RAED").unwrap_err().contains("PROT_RAED"));
        assert!(value("").is_err());
    }
}
