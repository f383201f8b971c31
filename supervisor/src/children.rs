//! Child processes: started here, reaped here, and nowhere else.
//!
//! A child is started without a change of identity on our side of exec: it begins with the
//! supervisor's identity and locks itself down before it is given anything of a client (see
//! `policy::lockdown`).
//!
//! Each child is known by its pidfd (pidfd_open(2)). It is waited for and signalled through that, so a
//! signal never reaches a stranger who has its number by then, and a login costs the same however
//! many other children there are.
//!
//! Programs are opened once, when the server starts, and executed through that descriptor. So a
//! package upgrade under a running server cannot mix processes of two versions.

mod launch;

use std::{
    cell::RefCell,
    collections::HashMap,
    ffi::CString,
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    rc::Rc,
    time::Duration,
};

use ipc::{Channel, Message};
use nix::sys::signal::Signal;
use rustix::process::{WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use tokio::{
    io::unix::AsyncFd,
    sync::{Notify, oneshot},
};

use self::launch::{Launched, Launcher};
use crate::wire::{AsyncChannel, on_event_loop};

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
    /// By a signal, of which only the number is sure: real-time signals have no name (signal(7)).
    Signaled(i32),
}

impl Ended {
    /// Whether this is the process's own doing: an exit, or a signal that the kernel sends for what
    /// a process does itself. Everything else somebody has sent: an administrator, or the kernel for
    /// lack of memory.
    pub fn is_own_doing(self) -> bool {
        match self {
            Ended::Exited(_) => true,
            Ended::Signaled(signal) => matches!(
                Signal::try_from(signal),
                Ok(Signal::SIGILL
                    | Signal::SIGTRAP
                    | Signal::SIGABRT
                    | Signal::SIGBUS
                    | Signal::SIGFPE
                    | Signal::SIGSEGV
                    | Signal::SIGSYS
                    | Signal::SIGXCPU
                    | Signal::SIGXFSZ)
            ),
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Exited(status) => write!(f, "exit status {status}"),
            Ended::Signaled(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "{signal}"),
                Err(_) => write!(f, "signal {number}"),
            },
        }
    }
}

/// Reaps a child that has ended; `None`: it has not.
fn reap(pidfd: BorrowedFd<'_>) -> io::Result<Option<Ended>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let Some(status) = waitid(WaitId::PidFd(pidfd), options)? else { return Ok(None) };
    let by_signal = status.terminating_signal().map(Ended::Signaled);
    Ok(by_signal.or(status.exit_status().map(Ended::Exited)))
}

/// A child's pidfd on the event loop: readable once it has ended.
type PidFd = Rc<AsyncFd<OwnedFd>>;

/// Sends a signal to a child that may have ended; then there is nobody to signal, which is what was
/// wanted.
fn signal(pidfd: &PidFd, signal: rustix::process::Signal) {
    pidfd_send_signal(pidfd.get_ref(), signal).ok();
}

/// The children that have not been reaped.
#[derive(Debug)]
pub struct Children {
    launcher: RefCell<Launcher>,
    running: RefCell<HashMap<u32, PidFd>>,
    ended: Notify,
}

impl Children {
    /// No children yet. To be called while few descriptors are open: see [`Launcher`].
    ///
    /// # Errors
    /// When /dev/null cannot be opened.
    pub fn new() -> io::Result<Rc<Children>> {
        Ok(Rc::new(Children {
            launcher: RefCell::new(Launcher::new()?),
            running: RefCell::default(),
            ended: Notify::new(),
        }))
    }

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
        let words = [title].into_iter().chain(arguments.iter().copied());
        let words: Vec<CString> = words.map(CString::new).collect::<Result<_, _>>()?;
        let Launched { pid, pidfd } =
            self.launcher.borrow_mut().launch(program.file.as_fd(), &words, theirs.as_fd())?;
        let pidfd = Rc::new(on_event_loop(pidfd)?);
        let (tell, ended) = oneshot::channel();
        self.running.borrow_mut().insert(pid, Rc::clone(&pidfd));
        tokio::task::spawn_local(await_end(Rc::clone(self), pid, Rc::clone(&pidfd), tell));
        Ok((Child { pid, pidfd, ended }, AsyncChannel::new(ours)?))
    }

    /// Waits until a child has ended and been reaped.
    pub async fn one_has_ended(&self) {
        self.ended.notified().await;
    }

    /// Ends every child there still is, and waits until it is reaped: for the end of the server.
    pub async fn end_all(&self) {
        for word in [rustix::process::Signal::TERM, rustix::process::Signal::KILL] {
            let running: Vec<PidFd> = self.running.borrow().values().cloned().collect();
            for pidfd in &running {
                signal(pidfd, word);
            }
            let all = async {
                while !self.running.borrow().is_empty() {
                    self.one_has_ended().await;
                }
            };
            if tokio::time::timeout(Duration::from_secs(1), all).await.is_ok() {
                return;
            }
        }
    }
}

/// Reaps a child when it ends, whoever waits for it.
async fn await_end(children: Rc<Children>, pid: u32, pidfd: PidFd, tell: oneshot::Sender<Ended>) {
    let ended = loop {
        let Ok(mut ready) = pidfd.readable().await else { break None };
        match reap(pidfd.get_ref().as_fd()) {
            Ok(Some(ended)) => break Some(ended),
            Ok(None) => ready.clear_ready(),
            Err(error) => {
                log_event!(NotReaped, pid, "{error}");
                break None;
            }
        }
    };
    children.running.borrow_mut().remove(&pid);
    if let Some(ended) = ended {
        // Nobody may be waiting any longer; the child is reaped all the same.
        tell.send(ended).ok();
    }
    if std::process::id() == 1 {
        children.reap_strangers();
    }
    children.ended.notify_waiters();
}

impl Children {
    /// Reaps processes that are not ours: the first process of a container inherits those whose
    /// parents have ended, such as what a PAM module has left behind.
    fn reap_strangers(&self) {
        use nix::sys::wait::{Id, WaitPidFlag, waitid};
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Some(pid) = waitid(Id::All, look).ok().and_then(|status| status.pid()) {
            let ours = self.running.borrow().contains_key(&pid.as_raw().unsigned_abs());
            let Some(pid) = rustix::process::Pid::from_raw(pid.as_raw()).filter(|_| !ours) else {
                return;
            };
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            if rustix::process::waitid(WaitId::Pid(pid), options).is_err() {
                return;
            }
        }
    }
}

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    pid: u32,
    pidfd: PidFd,
    ended: oneshot::Receiver<Ended>,
}

impl Child {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> Ended {
        // The sender goes only when the child is reaped; a lost one would be a child lost.
        (&mut self.ended).await.unwrap_or(Ended::Signaled(Signal::SIGKILL as i32))
    }

    /// How it ended, if it has.
    pub fn try_ended(&mut self) -> Option<Ended> {
        self.ended.try_recv().ok()
    }

    /// Ends it at once: it has been taken over, and holds its client's connection.
    pub fn kill(&self) {
        signal(&self.pidfd, rustix::process::Signal::KILL);
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        signal(&self.pidfd, rustix::process::Signal::TERM);
    }

    /// Waits a while for its end, then kills it.
    pub async fn wait_or_kill(&mut self, patience: Duration) -> Ended {
        if let Ok(ended) = tokio::time::timeout(patience, self.wait()).await {
            return ended;
        }
        self.terminate();
        if let Ok(ended) = tokio::time::timeout(Duration::from_millis(500), self.wait()).await {
            return ended;
        }
        self.kill();
        self.wait().await
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use tokio::task::LocalSet;

    use super::*;

    /// A message, of which none is sent here.
    #[derive(Debug, Serialize, Deserialize)]
    struct Nothing;
    impl Message for Nothing {
        const MAX_BYTES: usize = 16;
    }

    async fn start(children: &Rc<Children>, program: &str, arguments: &[&str]) -> Child {
        let program = Program::open(Path::new(program)).unwrap();
        let (child, channel) =
            children.start::<Nothing, Nothing>(&program, "it", arguments).unwrap();
        // Its standard input stays open as long as it lives.
        tokio::task::spawn_local(async move {
            std::future::pending::<()>().await;
            drop(channel);
        });
        child
    }

    #[tokio::test]
    async fn a2_every_signal_that_ends_a_child_is_told_and_the_child_is_reaped() {
        let tasks = LocalSet::new();
        let stops = [Signal::SIGSTOP, Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];
        let ignored = [Signal::SIGCHLD, Signal::SIGCONT, Signal::SIGURG, Signal::SIGWINCH];
        let all = async {
            let children = Children::new().unwrap();
            for number in 1..=64 {
                let named = Signal::try_from(number).ok();
                if named.is_some_and(|signal| stops.contains(&signal) || ignored.contains(&signal))
                {
                    continue;
                }
                let mut child = start(&children, "/bin/sleep", &["60"]).await;
                // The numbers 32 and 33 are the C library's own, which its kill(3) still sends.
                let killed = std::process::Command::new("/bin/kill")
                    .args([format!("-{number}"), child.pid().to_string()])
                    .status()
                    .unwrap();
                assert!(killed.success(), "{number}");
                let ended = tokio::time::timeout(Duration::from_secs(10), child.wait()).await;
                assert_eq!(ended, Ok(Ended::Signaled(number)));
            }
            while !children.running.borrow().is_empty() {
                children.one_has_ended().await;
            }
        };
        tasks.run_until(all).await;
    }

    #[tokio::test]
    async fn a_child_begins_with_its_channel_and_nothing_else_of_ours() {
        let tasks = LocalSet::new();
        let look = async {
            let children = Children::new().unwrap();
            // Descriptors that nobody closes on exec, as a careless parent has them.
            let open: Vec<File> = (0..200).map(|_| File::open("/dev/null").unwrap()).collect();
            for file in &open {
                rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty()).unwrap();
            }
            let script = "n=3; while [ $n -lt 300 ]; do
                              [ -e /proc/self/fd/$n ] && exit 9; n=$((n+1)); done
                          [ \"$(pwd)\" = / ] || exit 8
                          [ -z \"$HOME\" ] || exit 7
                          /bin/grep -q 'SigBlk:.0000000000000000' /proc/self/status || exit 6
                          /bin/grep -q 'SigIgn:.0000000000000000' /proc/self/status || exit 5";
            let mut child = start(&children, "/bin/sh", &["-c", script]).await;
            drop(open);
            assert_eq!(child.wait().await, Ended::Exited(0));
        };
        tasks.run_until(look).await;
    }

    #[tokio::test]
    async fn what_is_no_program_is_an_error_and_leaves_nothing() {
        let tasks = LocalSet::new();
        let attempt = async {
            let children = Children::new().unwrap();
            let program = Program::open(Path::new("/dev/null")).unwrap();
            let refused = children.start::<Nothing, Nothing>(&program, "it", &[]).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
            assert!(children.running.borrow().is_empty());
        };
        tasks.run_until(attempt).await;
    }

    #[test]
    fn a12_only_signals_of_its_own_doing_are_held_against_a_process() {
        for signal in [Signal::SIGSEGV, Signal::SIGSYS, Signal::SIGABRT] {
            assert!(Ended::Signaled(signal as i32).is_own_doing(), "{signal}");
        }
        for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
            assert!(!Ended::Signaled(signal as i32).is_own_doing(), "{signal}");
        }
        assert!(!Ended::Signaled(34).is_own_doing(), "real-time signals are sent by somebody");
        assert!(Ended::Exited(1).is_own_doing());
    }
}
