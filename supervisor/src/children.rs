//! Child processes: started here, reaped here, and nowhere else.
//!
//! A child is started by `posix_spawn` (no `pre_exec`, no change of identity on our side of exec),
//! because vfork+exec costs a third of what forking the supervisor does. It begins with the
//! supervisor's identity and locks itself down before it is given anything of a client: see
//! `policy::lockdown`.
//!
//! Programs are opened once, when the server starts, and executed through that descriptor. So a
//! package upgrade under a running server cannot mix processes of two versions.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs::File,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
    rc::Rc,
};

use ipc::{Channel, Message};
use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use tokio::sync::oneshot;

use crate::wire::AsyncChannel;

/// A program the supervisor starts, opened.
#[derive(Debug)]
pub struct Program {
    file: File,
}

impl Program {
    /// Opens a program for later execution.
    ///
    /// # Errors
    /// When it does not exist or cannot be read.
    pub fn open(path: &Path) -> io::Result<Program> {
        Ok(Program { file: File::open(path)? })
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With an exit status.
    Exited(i32),
    /// By a signal.
    Signaled(Signal),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Exited(status) => write!(f, "exit status {status}"),
            Ended::Signaled(signal) => write!(f, "{signal}"),
        }
    }
}

/// The children that have not been reaped. A process id stays reserved by the kernel until it is
/// reaped, and only [`Children::reap`] does that: so a signal never reaches a stranger.
#[derive(Debug, Default)]
pub struct Children {
    null: RefCell<Option<File>>,
    waiting: RefCell<HashMap<i32, oneshot::Sender<Ended>>>,
}

impl Children {
    /// Starts `program` with the words of `arguments`; `title` is what ps(1) shows first. The child
    /// gets one end of a new channel as its standard input and nothing else.
    ///
    /// # Errors
    /// When the process table, descriptors or memory are exhausted.
    pub fn start<S: Message, R: Message>(
        self: &Rc<Self>,
        program: &Program,
        title: &str,
        arguments: &[&str],
    ) -> io::Result<(Child, AsyncChannel<S, R>)> {
        let (ours, theirs) = Channel::<S, R>::pair()?;
        let null = self.null()?;
        let child = Command::new(format!("/proc/self/fd/{}", program.file.as_raw_fd()))
            .arg0(title)
            .args(arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs.into_fd()))
            .stdout(Stdio::from(null.try_clone()?))
            .stderr(Stdio::from(null))
            .spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let (tell, ended) = oneshot::channel();
        self.waiting.borrow_mut().insert(pid, tell);
        let child = Child { pid, ended, children: Rc::clone(self) };
        Ok((child, AsyncChannel::new(ours)?))
    }

    fn null(&self) -> io::Result<OwnedFd> {
        let mut null = self.null.borrow_mut();
        let file = match null.take() {
            Some(file) => file,
            None => File::options().read(true).write(true).open("/dev/null")?,
        };
        let copy = file.try_clone()?;
        *null = Some(file);
        Ok(copy.into())
    }

    /// Reaps every child that has ended. Called after each SIGCHLD.
    pub fn reap(&self) {
        loop {
            let (pid, ended) = match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) => (pid, Ended::Exited(status)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Ended::Signaled(signal)),
                Ok(
                    WaitStatus::StillAlive
                    | WaitStatus::Stopped(..)
                    | WaitStatus::Continued(_)
                    | WaitStatus::PtraceEvent(..)
                    | WaitStatus::PtraceSyscall(_),
                )
                | Err(_) => return,
            };
            if let Some(tell) = self.waiting.borrow_mut().remove(&pid.as_raw()) {
                // Nobody may be waiting any longer; the child is reaped all the same.
                tell.send(ended).ok();
            }
        }
    }

    /// Ends every child there still is, and reaps it: for the end of the server.
    pub async fn end_all(&self) {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let pids: Vec<i32> = self.waiting.borrow().keys().copied().collect();
            for pid in pids {
                self.signal(pid, signal);
            }
            for _ in 0..50 {
                self.reap();
                if self.waiting.borrow().is_empty() {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    }

    /// Sends a signal to a child that has not been reaped.
    fn signal(&self, pid: i32, signal: Signal) {
        if self.waiting.borrow().contains_key(&pid) {
            // It may just have ended; then there is nobody to signal, which is what was wanted.
            kill(Pid::from_raw(pid), signal).ok();
        }
    }
}

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    ended: oneshot::Receiver<Ended>,
    children: Rc<Children>,
}

impl Child {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> Ended {
        // The sender goes only when the child is reaped; a lost one would be a child lost.
        (&mut self.ended).await.unwrap_or(Ended::Signaled(Signal::SIGKILL))
    }

    /// How it ended, if it has.
    pub fn try_ended(&mut self) -> Option<Ended> {
        self.ended.try_recv().ok()
    }

    /// Ends it at once: it has been taken over, and holds its client's connection.
    pub fn kill(&self) {
        self.children.signal(self.pid, Signal::SIGKILL);
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        self.children.signal(self.pid, Signal::SIGTERM);
    }

    /// Waits a while for its end, then kills it.
    pub async fn wait_or_kill(&mut self, patience: std::time::Duration) -> Ended {
        if let Ok(ended) = tokio::time::timeout(patience, self.wait()).await {
            return ended;
        }
        self.terminate();
        if let Ok(ended) =
            tokio::time::timeout(std::time::Duration::from_millis(500), self.wait()).await
        {
            return ended;
        }
        self.children.signal(self.pid, Signal::SIGKILL);
        self.wait().await
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.children.signal(self.pid, Signal::SIGKILL);
    }
}
