//! The supervisor's end of a channel: never blocks, and never waits long for a child that does not
//! read.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    time::Duration,
};

use ipc::{Channel, ChannelError, Message, Received};
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

/// A channel on the supervisor's event loop.
#[derive(Debug)]
pub struct AsyncChannel<S, R> {
    channel: AsyncFd<Channel<S, R>>,
}

impl<S: Message, R: Message> AsyncChannel<S, R> {
    /// Puts a channel on the event loop.
    ///
    /// # Errors
    /// When the event loop takes no more descriptors.
    pub fn new(channel: Channel<S, R>) -> io::Result<Self> {
        fcntl(&channel, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(AsyncChannel { channel: on_event_loop(channel)? })
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
    /// # Errors
    /// As [`Channel::recv`].
    pub async fn recv(&self) -> Result<Received<R>, ChannelError> {
        loop {
            let mut ready = self.channel.readable().await?;
            match self.channel.get_ref().try_recv()? {
                Some(received) => return Ok(received),
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
