//! The supervisor's end of a channel: never blocks, and never waits long for a child that does not
//! read.

use std::{
    cell::RefCell,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    time::{Duration, Instant},
};

use ipc::{Channel, ChannelError, Message, Received, share::Share};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg},
};
use tokio::io::unix::AsyncFd;

/// How long a child may leave a message unread before it counts as broken.
const SEND_PATIENCE: Duration = Duration::from_secs(5);

/// Puts an owner of a descriptor on the event loop.
///
/// # Errors
/// When the event loop takes no more descriptors.
#[expect(
    deprecated,
    reason = "the successor is an unsafe fn whose contract (one descriptor, open as long as its \
              owner lives) every owner here fulfils by construction: OwnedFd, or a Channel of one"
)]
pub fn on_event_loop<T: AsFd + AsRawFd>(owner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::new(owner)
}

/// A channel on the supervisor's event loop. Its sender has a share of the loop's time.
#[derive(Debug)]
pub struct AsyncChannel<S, R> {
    channel: AsyncFd<Channel<S, R>>,
    share: RefCell<Share>,
}

impl<S: Message, R: Message> AsyncChannel<S, R> {
    /// Puts a channel on the event loop.
    ///
    /// # Errors
    /// When the event loop takes no more descriptors.
    pub fn new(channel: Channel<S, R>) -> io::Result<Self> {
        fcntl(&channel, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let share = RefCell::new(Share::new(R::RATE, Instant::now()));
        Ok(AsyncChannel { channel: on_event_loop(channel)?, share })
    }

    /// Sends one message.
    ///
    /// # Errors
    /// As [`Channel::send`]; `System` with `TimedOut` when the child does not read.
    pub async fn send(&self, message: &S, fds: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        let sending = async {
            loop {
                match self.try_send(message, fds) {
                    Err(ChannelError::System(e)) if e.kind() == io::ErrorKind::WouldBlock => {
                        self.channel.writable().await?.clear_ready();
                    }
                    done => return done,
                }
            }
        };
        tokio::time::timeout(SEND_PATIENCE, sending)
            .await
            .unwrap_or_else(|_| Err(ChannelError::System(io::ErrorKind::TimedOut.into())))
    }

    /// Sends one message if the child has room for it.
    ///
    /// # Errors
    /// As [`Channel::send`]; `System` with `WouldBlock` when there is no room.
    pub fn try_send(&self, message: &S, fds: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        self.channel.get_ref().send(message, fds)
    }

    /// Which process sent the message that comes next, as the kernel says. The message stays where
    /// it is. The socket must have had `SO_PASSCRED` (unix(7)) before the message was sent.
    ///
    /// # Errors
    /// When the channel has ended, or the kernel does not say.
    pub async fn next_sender(&self) -> io::Result<UnixCredentials> {
        loop {
            let mut ready = self.channel.readable().await?;
            let mut space = nix::cmsg_space!(UnixCredentials);
            let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<()>(self.as_raw_fd(), &mut [], Some(&mut space), flags) {
                Err(nix::Error::EAGAIN) => ready.clear_ready(),
                Err(e) => return Err(e.into()),
                Ok(got) => {
                    let of_sender = got.cmsgs()?.find_map(|message| match message {
                        ControlMessageOwned::ScmCredentials(credentials) => Some(credentials),
                        _ => None,
                    });
                    return of_sender.ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }

    /// Receives one message. Cancelling loses nothing.
    ///
    /// A sender that has used up its share ([`Message::RATE`]) is left unread for a while. And the
    /// task gives way to others after some messages: the readiness of a descriptor takes no part in
    /// tokio's budget, so a sender without pause would never let go of the loop.
    ///
    /// # Errors
    /// As [`Channel::recv`].
    pub async fn recv(&self) -> Result<Received<R>, ChannelError> {
        tokio::task::consume_budget().await;
        let wait = self.share.borrow().wait(Instant::now());
        if let Some(wait) = wait {
            tokio::time::sleep(wait).await;
        }
        loop {
            let mut ready = self.channel.readable().await?;
            match self.channel.get_ref().try_recv()? {
                Some(received) => {
                    self.share.borrow_mut().charge(received.message.cost(), Instant::now());
                    return Ok(received);
                }
                None => ready.clear_ready(),
            }
        }
    }
}

impl<S, R> AsRawFd for AsyncChannel<S, R> {
    fn as_raw_fd(&self) -> i32 {
        self.channel.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{ops::RangeInclusive, rc::Rc};

    use ipc::share::Rate;
    use serde::{Deserialize, Serialize};
    use tokio::task::LocalSet;

    use super::*;

    /// A message whose sender may send ten a second after a burst of ten.
    #[derive(Debug, Serialize, Deserialize)]
    struct Slow(u64);
    impl Message for Slow {
        const MAX_BYTES: usize = 64;
        const RATE: Rate = Rate::new(10, 10);
        fn descriptors(&self) -> RangeInclusive<usize> {
            0..=0
        }
    }

    /// A message whose sender may be as fast as it can.
    #[derive(Debug, Serialize, Deserialize)]
    struct Fast(u64);
    impl Message for Fast {
        const MAX_BYTES: usize = 64;
        const RATE: Rate = Rate::new(u32::MAX, u32::MAX);
    }

    /// A thread that sends without pause until the channel is closed.
    fn flood<M: Message + 'static>(make: impl Fn(u64) -> M + Send + 'static) -> AsyncChannel<M, M> {
        let (ours, theirs) = Channel::<M, M>::pair().unwrap();
        std::thread::spawn(move || (0..).try_for_each(|n| theirs.send(&make(n), &[])));
        AsyncChannel::new(ours).unwrap()
    }

    #[tokio::test]
    async fn a1_a_sender_beyond_its_share_is_left_unread_and_not_refused() {
        let channel = flood(Slow);
        let mut received = 0;
        let reading = async {
            loop {
                channel.recv().await.unwrap();
                received += 1;
            }
        };
        tokio::time::timeout(Duration::from_millis(500), reading).await.unwrap_err();
        assert!((11..=16).contains(&received), "{received} in half a second");
    }

    #[tokio::test]
    async fn a1_a_sender_without_pause_does_not_keep_the_loop() {
        let tasks = LocalSet::new();
        let channel = Rc::new(flood(Fast));
        tasks.spawn_local(async move { while channel.recv().await.is_ok() {} });
        let other = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        };
        let passed = tokio::time::timeout(Duration::from_secs(5), tasks.run_until(other)).await;
        assert!(passed.is_ok(), "the loop serves nobody but the sender");
    }
}
