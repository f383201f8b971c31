//! Which clients have hung up: the supervisor's own look at the control connections (epoll(7),
//! EPOLLRDHUP), for which it reads no byte. Gates and sessions notice the same by themselves, unless
//! they have been taken over or stopped.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    os::fd::{AsFd, OwnedFd},
    rc::{Rc, Weak},
};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tokio::{io::unix::AsyncFd, sync::Notify, time::Instant};

use crate::wire::on_event_loop;

/// Hang-ups taken from the kernel at once.
const BATCH: usize = 64;

/// All control connections that are watched. They have an epoll instance of their own, because that
/// of the event loop would tell of every command a client sends.
#[derive(Debug)]
pub struct HangUps {
    epoll: AsyncFd<EpollFd>,
    watched: RefCell<HashMap<u64, Weak<State>>>,
    next: Cell<u64>,
}

/// An epoll instance as the event loop wants its descriptors.
#[derive(Debug)]
struct EpollFd(Epoll);

impl AsFd for EpollFd {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

impl std::os::fd::AsRawFd for EpollFd {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.0.as_raw_fd()
    }
}

/// What is known of one client.
#[derive(Debug, Default)]
struct State {
    hung_up: Cell<Option<Instant>>,
    told: Notify,
}

impl HangUps {
    /// Watches nobody yet.
    ///
    /// # Errors
    /// As epoll_create(2).
    pub fn new() -> io::Result<Rc<HangUps>> {
        let epoll = EpollFd(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        Ok(Rc::new(HangUps {
            epoll: on_event_loop(epoll)?,
            watched: RefCell::default(),
            next: Cell::new(0),
        }))
    }

    /// Tells of hang-ups as long as the server lives.
    pub async fn tell(self: Rc<Self>) {
        let mut events = [EpollEvent::empty(); BATCH];
        while let Ok(mut ready) = self.epoll.readable().await {
            match self.epoll.get_ref().0.wait(&mut events, EpollTimeout::ZERO) {
                Ok(0) => ready.clear_ready(),
                Ok(count) => {
                    for event in events.iter().take(count) {
                        self.note(event.data());
                    }
                }
                Err(nix::Error::EINTR) => {}
                Err(error) => {
                    log_event!(HangUpsLost, "{error}");
                    return;
                }
            }
            tokio::task::consume_budget().await;
        }
    }

    fn note(&self, number: u64) {
        let state = self.watched.borrow().get(&number).and_then(Weak::upgrade);
        if let Some(state) = state {
            state.hung_up.set(Some(Instant::now()));
            state.told.notify_waiters();
        }
    }

    /// Watches a control connection; keeps a copy of its descriptor until the watch is dropped.
    ///
    /// # Errors
    /// When descriptors or watches have run out.
    pub fn watch(self: &Rc<Self>, control: &OwnedFd) -> io::Result<HangUp> {
        let control = control.try_clone()?;
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let flags = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLONESHOT;
        self.epoll.get_ref().0.add(&control, EpollEvent::new(flags, number))?;
        let state = Rc::new(State::default());
        self.watched.borrow_mut().insert(number, Rc::downgrade(&state));
        Ok(HangUp { all: Rc::clone(self), number, control, state })
    }
}

/// The watch over one client.
#[derive(Debug)]
pub struct HangUp {
    all: Rc<HangUps>,
    number: u64,
    control: OwnedFd,
    state: Rc<State>,
}

impl HangUp {
    /// When the client hung up, if it has.
    pub fn at(&self) -> Option<Instant> {
        self.state.hung_up.get()
    }

    /// Waits for it. Ready at once when it has happened; for one who asks again, never: see
    /// [`HangUp::at`] first.
    pub async fn happened(&self) {
        self.state.told.notified().await;
    }
}

impl Drop for HangUp {
    fn drop(&mut self) {
        self.all.watched.borrow_mut().remove(&self.number);
        // The watch belongs to the connection and not to our descriptor: others have it open still.
        self.all.epoll.get_ref().0.delete(&self.control).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        net::{TcpListener, TcpStream},
        time::Duration,
    };

    use tokio::task::LocalSet;

    use super::*;

    fn connected() -> (TcpStream, OwnedFd) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0.into())
    }

    #[tokio::test]
    async fn a4_a_client_that_hangs_up_is_noticed_behind_bytes_that_nobody_has_read() {
        let watching = async {
            let all = HangUps::new().unwrap();
            tokio::task::spawn_local(Rc::clone(&all).tell());
            let (mut one, server) = connected();
            let (_other, other_server) = connected();
            let (watch, other_watch) =
                (all.watch(&server).unwrap(), all.watch(&other_server).unwrap());
            one.write_all(b"USER alice\r\n").unwrap();
            tokio::time::timeout(Duration::from_millis(50), watch.happened()).await.unwrap_err();
            assert_eq!(watch.at(), None, "a command is no hang-up");
            one.shutdown(std::net::Shutdown::Write).unwrap();
            tokio::time::timeout(Duration::from_secs(5), watch.happened()).await.unwrap();
            assert!(watch.at().is_some());
            assert_eq!(other_watch.at(), None);
            drop((watch, other_watch));
            assert!(all.watched.borrow().is_empty());
        };
        LocalSet::new().run_until(watching).await;
    }
}
