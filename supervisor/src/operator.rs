//! The operator's socket: answers `bulkhead status`, `sessions`, `kick`, … of root and the admin
//! group. Who asks is known from the peer credentials of the socket (unix(7), SO_PEERCRED).

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use config::Config;
use ipc::{
    Channel, Message,
    operator::{Answer, KickTarget, Request},
    parts::parts,
};
use nix::{
    sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, getsockopt, listen,
        socket, sockopt,
    },
    unistd::{Gid, Group, chown},
};
use rustix::{io::Errno, net::SocketFlags};
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc::UnboundedSender, oneshot};

use crate::{
    log::printable,
    server::Server,
    wire::{AsyncChannel, on_event_loop},
};

/// Operators served at a time.
const MAX_OPERATORS: usize = 8;
/// How long an operator may stay silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// What only the main loop can do.
#[derive(Debug)]
pub enum Wish {
    /// Accept nobody else.
    Drain,
    /// Read the configuration again, and say how it went.
    Reload(oneshot::Sender<Result<Vec<&'static str>, String>>),
}

/// The open socket.
#[derive(Debug)]
pub struct Control {
    socket: OwnedFd,
    file: SocketFile,
    admin_group: Option<u32>,
}

/// The socket's file, which is removed when this value is dropped, unless another one has taken its
/// place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: FileIdentity,
}

/// Device, inode, and time of the last change of attributes: an inode's number is used again at once.
type FileIdentity = (u64, u64, i64, i64);

impl SocketFile {
    fn identity(path: &Path) -> io::Result<FileIdentity> {
        let facts = fs::symlink_metadata(path)?;
        Ok((facts.dev(), facts.ino(), facts.ctime(), facts.ctime_nsec()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if SocketFile::identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // A file that somebody else removed meanwhile needs no removing.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Opens the socket.
///
/// # Errors
/// A sentence that names the path and what to do.
pub fn open(config: &Config) -> Result<Control, String> {
    let path = &config.control_socket;
    let admin_group = match &config.admin_group {
        None => None,
        Some(name) => match Group::from_name(name) {
            Ok(Some(group)) => Some(group.gid.as_raw()),
            Ok(None) | Err(_) => {
                return Err(format!(
                    "admin_group = \"{name}\": this host has no such group; make it with \
                     `groupadd --system {name}`, or take the line out"
                ));
            }
        },
    };
    open_socket(path, admin_group)
        .map(|(socket, file)| Control { socket, file, admin_group })
        .map_err(|e| {
            format!(
                "cannot open the control socket {}: {e}; {}",
                path.display(),
                match e.kind() {
                    io::ErrorKind::AddrInUse =>
                        "stop that server, or give this one a control_socket of its own",
                    _ => "see that its directory exists and is writable, or change control_socket",
                }
            )
        })
}

fn open_socket(path: &Path, admin_group: Option<u32>) -> io::Result<(OwnedFd, SocketFile)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    remove_stale(path)?;
    bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &UnixAddr::new(path)?)?;
    let mut file = SocketFile { path: path.to_owned(), identity: SocketFile::identity(path)? };
    let mode = if admin_group.is_some() { 0o660 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    if let Some(gid) = admin_group {
        chown(path, None, Some(Gid::from_raw(gid)))?;
    }
    file.identity = SocketFile::identity(path)?;
    listen(&socket, Backlog::new(16)?)?;
    Ok((socket, file))
}

/// Removes the socket of a server that was killed. Only one that nobody listens on is removed, and
/// nothing but a socket.
fn remove_stale(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        return Ok(());
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    let in_use = |what: &str| io::Error::new(io::ErrorKind::AddrInUse, what.to_owned());
    match connect(std::os::fd::AsRawFd::as_raw_fd(&probe), &UnixAddr::new(path)?) {
        Err(nix::Error::ECONNREFUSED) => fs::remove_file(path),
        // EAGAIN: the queue of a server that is busy is full.
        Ok(()) | Err(nix::Error::EAGAIN) => Err(in_use("a running server answers there")),
        Err(nix::Error::EPROTOTYPE) => Err(in_use("another program listens there")),
        Err(e) => Err(e.into()),
    }
}

impl Control {
    /// Answers operators until the returned value is dropped; the socket file goes with it.
    pub fn answer(self, server: Rc<Server>, wishes: UnboundedSender<Wish>) -> Answering {
        let Control { socket, file, admin_group } = self;
        let task = accept_operators(socket, admin_group, server, wishes);
        Answering { task: tokio::task::spawn_local(task), _file: file }
    }
}

/// The task that answers operators.
#[derive(Debug)]
pub struct Answering {
    task: tokio::task::JoinHandle<()>,
    _file: SocketFile,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept_operators(
    socket: OwnedFd,
    admin_group: Option<u32>,
    server: Rc<Server>,
    wishes: UnboundedSender<Wish>,
) {
    let Ok(socket) = on_event_loop(socket) else { return };
    let places = Arc::new(Semaphore::new(MAX_OPERATORS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let operator = loop {
            let Ok(mut ready) = socket.readable().await else { return };
            match rustix::net::accept_with(socket.get_ref(), SocketFlags::CLOEXEC) {
                Ok(operator) => break operator,
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        let (server, wishes) = (Rc::clone(&server), wishes.clone());
        tokio::task::spawn_local(async move {
            if let Err(reason) = talk(&server, &wishes, operator, admin_group).await {
                log_event!(OperatorRefused, "{reason}");
            }
            drop(place);
        });
    }
}

async fn talk(
    server: &Rc<Server>,
    wishes: &UnboundedSender<Wish>,
    operator: OwnedFd,
    admin_group: Option<u32>,
) -> Result<(), String> {
    let peer = getsockopt(&operator, sockopt::PeerCredentials).map_err(|e| e.to_string())?;
    let own = nix::unistd::geteuid().as_raw();
    let channel: AsyncChannel<Answer, Request> =
        AsyncChannel::new(Channel::from_fd(operator)).map_err(|e| e.to_string())?;
    // The mode of the socket file keeps strangers out; this is the second lock on the same door.
    if peer.uid() != 0 && peer.uid() != own && Some(peer.gid()) != admin_group {
        // Supplementary groups are judged by the file mode alone: SO_PEERCRED has only the first.
        if admin_group.is_none() {
            let text = "only root may ask this server; use sudo";
            channel.send(&Answer::Refused(text.into()), &[]).await.map_err(|e| e.to_string())?;
            return Err(format!("uid {} has no right to the control socket", peer.uid()));
        }
    }
    while let Ok(Ok(received)) = tokio::time::timeout(PATIENCE, channel.recv()).await {
        if let Some((command, target)) = change(&received.message) {
            log_event!(Operator, uid = peer.uid(), command, target);
        }
        for answer in answers(server, wishes, received.message).await {
            channel.send(&answer, &[]).await.map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

/// What a request that changes something is called in the log, and what it is about.
fn change(request: &Request) -> Option<(&'static str, Option<String>)> {
    Some(match request {
        Request::Status | Request::Sessions | Request::Penalties | Request::Processes => {
            return None;
        }
        Request::Kick(KickTarget::Session(session)) => ("kick", Some(session.to_string())),
        Request::Kick(KickTarget::Account(name)) => ("kick", Some(printable(name))),
        Request::Reload => ("reload", None),
        Request::Drain => ("drain", None),
        Request::ClearPenalties(which) => ("clear-penalties", which.as_deref().map(printable)),
    })
}

async fn answers(
    server: &Rc<Server>,
    wishes: &UnboundedSender<Wish>,
    request: Request,
) -> Vec<Answer> {
    match request {
        Request::Status => vec![Answer::Status(Box::new(server.status()))],
        Request::Sessions => {
            in_parts(server.sessions.rows(), |rows, more| Answer::Sessions { rows, more })
        }
        Request::Processes => {
            in_parts(server.process_rows(), |rows, more| Answer::Processes { rows, more })
        }
        Request::Penalties => in_parts(server.penalties().rows(Instant::now()), |rows, more| {
            Answer::Penalties { rows, more }
        }),
        Request::ClearPenalties(which) => {
            let cleared = server.penalties().clear(which.as_deref());
            vec![cleared.map_or_else(Answer::Refused, Answer::Done)]
        }
        Request::Kick(target) => {
            vec![match server.sessions.kick(&target, "421 Ended by the administrator.") {
                0 => Answer::Refused("there is no such session; see `bulkhead sessions`".into()),
                count => Answer::Done(count),
            }]
        }
        Request::Drain => {
            wishes.send(Wish::Drain).ok();
            vec![Answer::Done(u64::try_from(server.sessions.logged_in()).unwrap_or(u64::MAX))]
        }
        Request::Reload => {
            let (tell, told) = oneshot::channel();
            wishes.send(Wish::Reload(tell)).ok();
            vec![match told.await {
                Ok(Ok(keys)) => Answer::Reloaded(keys.into_iter().map(str::to_owned).collect()),
                Ok(Err(e)) => Answer::Refused(format!("the old settings stay: {e}")),
                Err(_) => Answer::Refused("the server is going down".into()),
            }]
        }
    }
}

/// A table in as many messages as it needs, at least one.
fn in_parts<T: Serialize>(rows: Vec<T>, message: impl Fn(Vec<T>, bool) -> Answer) -> Vec<Answer> {
    let mut parts = parts(rows, Answer::MAX_BYTES).into_iter().peekable();
    let mut answers = Vec::new();
    while let Some(part) = parts.next() {
        answers.push(message(part, parts.peek().is_some()));
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(path: &Path, kind: SockType) -> OwnedFd {
        let socket = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &UnixAddr::new(path).unwrap()).unwrap();
        listen(&socket, Backlog::new(1).unwrap()).unwrap();
        socket
    }

    #[test]
    fn c6_only_a_socket_that_nobody_listens_on_is_taken_over() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("control.sock");
        for kind in [SockType::SeqPacket, SockType::Stream] {
            let alive = listening(&path, kind);
            let refused = open_socket(&path, None).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AddrInUse, "{refused}");
            assert!(path.exists());
            drop(alive);
            let (socket, file) = open_socket(&path, None).unwrap();
            drop((socket, file));
            assert!(!path.exists(), "its own file is removed");
        }
    }

    #[test]
    fn c6_the_file_of_another_server_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("control.sock");
        let (socket, file) = open_socket(&path, None).unwrap();
        drop(socket);
        fs::remove_file(&path).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let _other = listening(&path, SockType::SeqPacket);
        drop(file);
        assert!(path.exists());
        fs::write(place.path().join("file"), "").unwrap();
        assert!(open_socket(&place.path().join("file"), None).is_err(), "not a socket");
        assert!(place.path().join("file").exists());
    }
}
