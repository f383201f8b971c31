//! A helper that systemd starts, in a unit of its own, for whoever connects to its socket
//! (bulkhead-helper.socket, `Accept=yes`). The network is then that unit's alone: the supervisor and
//! everything below it live in a network namespace with nothing in it.

use std::{io, path::Path};

use ipc::{
    Channel,
    helper::{HelperToSupervisor, SupervisorToHelper},
};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt,
};

use super::HelperChannel;
use crate::{
    boot::{BOOT_PATIENCE, BootError},
    wire::AsyncChannel,
};

/// Connects, and tells the helper its first message. Gives its process id as the kernel says it, the
/// channel, and its answer. `expected` is the uid it has to have.
///
/// # Errors
/// When systemd does not listen, the helper does not get ready, or somebody else answers.
pub async fn boot(
    path: &Path,
    expected: Option<u32>,
    first: SupervisorToHelper,
) -> Result<(u32, HelperChannel, HelperToSupervisor), BootError> {
    let failed = |reason: &dyn std::fmt::Display| BootError::start("helper", reason);
    let channel = open(path).map_err(|e| {
        failed(&format!(
            "the socket {} cannot be connected to: {e}; start bulkhead-helper.socket, or leave \
             --helper-socket out",
            path.display()
        ))
    })?;
    let answered = async {
        channel.send(&first, &[]).await.map_err(|e| failed(&e))?;
        // The first answer is looked at before it is taken.
        let sender = channel.next_sender().await.map_err(|e| failed(&e))?;
        let answer = channel.recv().await.map_err(|e| failed(&e))?;
        Ok((sender, answer.message))
    };
    let (sender, answer) = tokio::time::timeout(BOOT_PATIENCE, answered)
        .await
        .map_err(|_| failed(&"it did not get ready in time"))??;
    if expected.is_some_and(|expected| expected != sender.uid()) {
        let (uid, expected) = (sender.uid(), expected.unwrap_or_default());
        return Err(failed(&format!(
            "the process at {} has uid {uid} instead of {expected}, which [identities] helper names; \
             make User= of bulkhead-helper@.service the same",
            path.display()
        )));
    }
    Ok((sender.pid().unsigned_abs(), channel, answer))
}

fn open(path: &Path) -> io::Result<HelperChannel> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    // systemd has made the other end, so only the messages themselves tell who sends them.
    sockopt::set_socket_passcred(&socket, true)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    AsyncChannel::new(Channel::from_fd(socket))
}

#[cfg(test)]
mod tests {
    use std::thread::JoinHandle;

    use ipc::process::{Confinement, LandlockDemand, SandboxReport};
    use rustix::net::{accept, bind, listen};

    use super::*;

    /// Answers one Boot at `path`, as a process of this uid.
    fn answer_at(path: &Path) -> JoinHandle<()> {
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
        listen(&socket, 1).unwrap();
        std::thread::spawn(move || {
            let channel: Channel<HelperToSupervisor, SupervisorToHelper> =
                Channel::from_fd(accept(&socket).unwrap());
            channel.recv().unwrap();
            let report = SandboxReport {
                landlock_abi: 7,
                landlock_missing: Vec::new(),
                system_calls: 1,
                securebits: 0,
            };
            channel.send(&HelperToSupervisor::Ready { report, low_ports: false }, &[]).unwrap();
        })
    }

    async fn booted(path: &Path, expected: Option<u32>) -> Result<u32, String> {
        let confinement = Confinement { identity: None, landlock: LandlockDemand::Required };
        let first = SupervisorToHelper::Boot { confinement, from_port_20: false };
        match boot(path, expected, first).await {
            Ok((pid, _, HelperToSupervisor::Ready { .. })) => Ok(pid),
            Ok((_, _, answer)) => panic!("{answer:?}"),
            Err(e) => Err(e.to_string()),
        }
    }

    #[tokio::test]
    async fn the_kernel_says_who_answers() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("socket");
        let uid = rustix::process::geteuid().as_raw();
        for expected in [None, Some(uid)] {
            let answering = answer_at(&path);
            assert_eq!(booted(&path, expected).await, Ok(std::process::id()));
            answering.join().unwrap();
            std::fs::remove_file(&path).unwrap();
        }
        let answering = answer_at(&path);
        let refused = booted(&path, Some(uid + 1)).await.unwrap_err();
        assert!(refused.contains(&format!("has uid {uid} instead of {}", uid + 1)), "{refused}");
        answering.join().unwrap();
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_named_with_what_to_do() {
        let refused = booted(Path::new("/nonexistent/socket"), None).await.unwrap_err();
        assert!(refused.contains("/nonexistent/socket"), "{refused}");
        assert!(refused.contains("bulkhead-helper.socket"), "{refused}");
    }
}
