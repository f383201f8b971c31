//! The operator's socket: answers `bulkhead status`, `sessions`, `kick`, … of root and the admin
//! group. Who asks is known from the peer credentials of the socket (unix(7), SO_PEERCRED).

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::fs::{FileTypeExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use ipc::{
    Channel,
    operator::{Answer, Request},
};
use nix::{
    sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, getsockopt, listen, socket,
        sockopt,
    },
    unistd::{Gid, Group, chown},
};
use rustix::{io::Errno, net::SocketFlags};
use tokio::sync::{Semaphore, mpsc::UnboundedSender, oneshot};

use crate::{
    config::Config,
    server::Server,
    wire::{AsyncChannel, on_event_loop},
};

/// Operators served at a time.
const MAX_OPERATORS: usize = 8;
/// Rows of a table in one message.
const ROWS_PER_MESSAGE: usize = 100;
/// How long an operator may stay silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// What only the main loop can do.
#[derive(Debug)]
pub enum Wish {
    /// Accept nobody else.
    Drain,
    /// Read the configuration again, and say how it went.
    Reload(oneshot::Sender<Result<(), String>>),
}

/// The open socket.
#[derive(Debug)]
pub struct Control {
    socket: OwnedFd,
    path: PathBuf,
    admin_group: Option<u32>,
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
        .map(|socket| Control { socket, path: path.clone(), admin_group })
        .map_err(|e| {
            format!(
                "cannot open the control socket {}: {e}; see that its directory exists and is \
                 writable, or change control_socket",
                path.display()
            )
        })
}

fn open_socket(path: &Path, admin_group: Option<u32>) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    // Left behind by a server that was killed. Nothing but a socket is ever removed.
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &UnixAddr::new(path)?)?;
    let mode = if admin_group.is_some() { 0o660 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    if let Some(gid) = admin_group {
        chown(path, None, Some(Gid::from_raw(gid)))?;
    }
    listen(&socket, Backlog::new(16)?)?;
    Ok(socket)
}

impl Control {
    /// Answers operators until the returned value is dropped; the socket file goes with it.
    pub fn answer(self, server: Rc<Server>, wishes: UnboundedSender<Wish>) -> Answering {
        let path = self.path.clone();
        let task = tokio::task::spawn_local(accept_operators(self, server, wishes));
        Answering { task, path }
    }
}

/// The task that answers operators.
#[derive(Debug)]
pub struct Answering {
    task: tokio::task::JoinHandle<()>,
    path: PathBuf,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.task.abort();
        // A socket file that somebody else removed needs no removing.
        drop(fs::remove_file(&self.path));
    }
}

async fn accept_operators(control: Control, server: Rc<Server>, wishes: UnboundedSender<Wish>) {
    let Control { socket, admin_group, .. } = control;
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
                tracing::warn!(event = "operator-refused", "{reason}");
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
        if !matches!(
            received.message,
            Request::Status | Request::Sessions | Request::Penalties | Request::Processes
        ) {
            tracing::info!(event = "operator", uid = peer.uid(), request = ?received.message);
        }
        for answer in answers(server, wishes, received.message).await {
            channel.send(&answer, &[]).await.map_err(|e| e.to_string())?;
        }
    }
    Ok(())
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
                Ok(Ok(())) => Answer::Done(1),
                Ok(Err(e)) => Answer::Refused(format!("the old settings stay: {e}")),
                Err(_) => Answer::Refused("the server is going down".into()),
            }]
        }
    }
}

/// A table in as many messages as it needs, at least one.
fn in_parts<T>(rows: Vec<T>, message: impl Fn(Vec<T>, bool) -> Answer) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut rows = rows.into_iter().peekable();
    loop {
        let part: Vec<T> = rows.by_ref().take(ROWS_PER_MESSAGE).collect();
        let more = rows.peek().is_some();
        answers.push(message(part, more));
        if !more {
            return answers;
        }
    }
}
