//! The typed channel: one `SOCK_SEQPACKET` socket, one message per frame, descriptors beside it.

use std::{
    cell::RefCell,
    io,
    marker::PhantomData,
    ops::RangeInclusive,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroize;

use crate::{codec, fdpass, last_words::LastWords, share::Rate};

/// First byte of a frame that carries a message.
const FRAME_MESSAGE: u8 = 0;

/// A message type: one direction of one channel.
pub trait Message: Serialize + DeserializeOwned {
    /// The largest encoding the receiver accepts, in bytes. Checked before decoding.
    const MAX_BYTES: usize;

    /// How much work one sender may cause; one that is faster is left unread for a while.
    const RATE: Rate = Rate::new(1000, 2000);

    /// The work of this message, in units of [`Message::RATE`].
    fn cost(&self) -> u32 {
        1
    }

    /// How many descriptors travel with this message.
    fn descriptors(&self) -> RangeInclusive<usize> {
        0..=0
    }
}

/// A message and the descriptors that came with it.
#[derive(Debug)]
pub struct Received<M> {
    /// The message.
    pub message: M,
    /// Its descriptors, close-on-exec, as many as [`Message::descriptors`] allows.
    pub fds: Vec<OwnedFd>,
}

impl<M> Received<M> {
    /// Takes the only descriptor of a message that carries exactly one.
    pub fn into_one(mut self) -> Option<(M, OwnedFd)> {
        let fd = self.fds.pop()?;
        Some((self.message, fd))
    }
}

/// Why a message could not be sent or received. All but `System` and `Closed` are the peer's fault.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The peer closed its end, or died.
    #[error("the peer closed the channel")]
    Closed,
    /// The frame is longer than any message of this direction.
    #[error("a frame is longer than the {0} bytes its channel allows")]
    Oversize(usize),
    /// The frame does not decode to a message, or does not end where the message ends.
    #[error("a frame does not decode: {0}")]
    Garbage(String),
    /// The wrong number of descriptors came with a message, or more than fit.
    #[error("a message came with {got} descriptors instead of {want:?}")]
    Descriptors {
        /// How many came.
        got: usize,
        /// How many belong to the message.
        want: RangeInclusive<usize>,
    },
    /// The peer's sandbox stopped it, or it panicked; these are its last words.
    #[error("{0}")]
    LastWords(LastWords),
    /// A message of our own cannot be encoded.
    #[error("a message cannot be encoded: {0}")]
    Encode(String),
    /// The system call failed.
    #[error("the channel failed: {0}")]
    System(#[from] io::Error),
}

impl ChannelError {
    /// Whether the peer broke a rule of the channel (as opposed to having ended).
    pub fn is_violation(&self) -> bool {
        matches!(
            self,
            ChannelError::Oversize(_)
                | ChannelError::Garbage(_)
                | ChannelError::Descriptors { .. }
                | ChannelError::LastWords(LastWords::Forbidden { .. })
        )
    }

    /// Whether the peer broke a rule of the channel and is still there: after last words a process
    /// ends by itself.
    pub fn is_misbehaviour(&self) -> bool {
        self.is_violation() && !matches!(self, ChannelError::LastWords(_))
    }
}

thread_local! {
    /// Scratch space of this process for frames that go out. Wiped after each use, because a frame
    /// may carry a secret.
    static OUTGOING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// The same for frames that come in. It has room for the largest, is never made smaller, and
    /// is asked of the system as zeros: pages that no frame has reached take no memory.
    static INCOMING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One end of a channel: sends `S`, receives `R`.
#[derive(Debug)]
pub struct Channel<S, R> {
    fd: OwnedFd,
    types: PhantomData<fn(S) -> R>,
}

impl<S: Message, R: Message> Channel<S, R> {
    /// Makes a channel; the second end has the flipped type.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn pair() -> io::Result<(Channel<S, R>, Channel<R, S>)> {
        let (a, b) = fdpass::seqpacket_pair()?;
        Ok((Channel::from_fd(a), Channel::from_fd(b)))
    }

    /// Adopts a descriptor that came by inheritance or in a message.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Channel { fd, types: PhantomData }
    }

    /// Sends one message with its descriptors. Blocks when the peer does not read, unless the
    /// socket is non-blocking.
    ///
    /// # Errors
    /// [`ChannelError::Closed`] when the peer is gone; `System` for the rest.
    pub fn send(&self, message: &S, fds: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        self.transmit(message, fds, false)
    }

    /// Sends one message and never blocks: `System` with `WouldBlock` when the peer's queue is
    /// full, because it does not read.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub fn try_send(&self, message: &S, fds: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        self.transmit(message, fds, true)
    }

    fn transmit(
        &self,
        message: &S,
        fds: &[BorrowedFd<'_>],
        dont_wait: bool,
    ) -> Result<(), ChannelError> {
        let want = message.descriptors();
        if !want.contains(&fds.len()) {
            return Err(ChannelError::Descriptors { got: fds.len(), want });
        }
        OUTGOING.with_borrow_mut(|scratch| {
            scratch.clear();
            scratch.push(FRAME_MESSAGE);
            let sent = match codec::encode(message, scratch) {
                Err(e) => Err(ChannelError::Encode(e)),
                Ok(()) if scratch.len() > S::MAX_BYTES => Err(ChannelError::Oversize(S::MAX_BYTES)),
                Ok(()) => {
                    fdpass::send(self.fd.as_fd(), scratch, fds, dont_wait).map_err(|e| {
                        match e.kind() {
                            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                                ChannelError::Closed
                            }
                            _ => ChannelError::System(e),
                        }
                    })
                }
            };
            scratch.as_mut_slice().zeroize();
            sent
        })
    }

    /// Receives one message; blocks until there is one, unless the socket is non-blocking.
    ///
    /// # Errors
    /// Everything in [`ChannelError`].
    pub fn recv(&self) -> Result<Received<R>, ChannelError> {
        self.receive(false)?.ok_or(ChannelError::System(io::ErrorKind::WouldBlock.into()))
    }

    /// Receives one message if there is one, and never blocks.
    ///
    /// # Errors
    /// As [`Channel::recv`].
    pub fn try_recv(&self) -> Result<Option<Received<R>>, ChannelError> {
        self.receive(true)
    }

    /// Receives one message by read(2), which no descriptor passes: for a process whose policy has no
    /// recvmsg(2). Blocks until there is one, or as long as the socket's timeout says.
    ///
    /// # Errors
    /// As [`Channel::recv`]; a message that comes with descriptors is an error as well.
    pub fn recv_by_read(&self) -> Result<R, ChannelError> {
        INCOMING.with_borrow_mut(|scratch| {
            let room = R::MAX_BYTES.saturating_add(1);
            if scratch.len() < room {
                *scratch = vec![0; room];
            }
            let frame = scratch.get_mut(..room).unwrap_or_default();
            let read = loop {
                match nix::unistd::read(self.fd.as_fd(), frame) {
                    Ok(read) => break read,
                    Err(nix::Error::EINTR) => {}
                    Err(nix::Error::ECONNRESET) => return Err(ChannelError::Closed),
                    Err(e) => return Err(ChannelError::System(e.into())),
                }
            };
            let bytes = frame.get_mut(..read).unwrap_or_default();
            // What fills the room has more bytes than allowed, or may have.
            let message = Self::judge(bytes, false);
            bytes.zeroize();
            let message: R = message?;
            match message.descriptors() {
                want if want.contains(&0) => Ok(message),
                want => Err(ChannelError::Descriptors { got: 0, want }),
            }
        })
    }

    fn receive(&self, dont_wait: bool) -> Result<Option<Received<R>>, ChannelError> {
        INCOMING.with_borrow_mut(|scratch| {
            // One byte more than allowed tells "exactly the maximum" from "longer".
            let room = R::MAX_BYTES.saturating_add(1);
            if scratch.len() < room {
                *scratch = vec![0; room];
            }
            let frame = scratch.get_mut(..room).unwrap_or_default();
            let received = match fdpass::receive(self.fd.as_fd(), frame, dont_wait) {
                Ok(received) => received,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(ChannelError::Closed);
                }
                Err(e) => return Err(ChannelError::System(e)),
            };
            let bytes = frame.get_mut(..received.bytes).unwrap_or_default();
            let message = Self::judge(bytes, received.truncated);
            bytes.zeroize();
            let message: R = message?;
            let (got, want) = (received.fds.len(), message.descriptors());
            if received.fds_truncated || !want.contains(&got) {
                return Err(ChannelError::Descriptors { got, want });
            }
            Ok(Some(Received { message, fds: received.fds }))
        })
    }

    fn judge(frame: &[u8], truncated: bool) -> Result<R, ChannelError> {
        if truncated || frame.len() > R::MAX_BYTES {
            return Err(ChannelError::Oversize(R::MAX_BYTES));
        }
        match frame.split_first() {
            None => Err(ChannelError::Closed),
            Some((&FRAME_MESSAGE, body)) => codec::decode(body).map_err(ChannelError::Garbage),
            Some(_) => match LastWords::parse(frame) {
                Some(words) => Err(ChannelError::LastWords(words)),
                None => Err(ChannelError::Garbage("unknown kind of frame".into())),
            },
        }
    }

    /// Gives the descriptor up, for instance to pass the end on to another process.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

impl<S, R> AsFd for Channel<S, R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl<S, R> AsRawFd for Channel<S, R> {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Small {
        Text(String),
        WithFd,
    }
    impl Message for Small {
        const MAX_BYTES: usize = 64;
        fn descriptors(&self) -> RangeInclusive<usize> {
            match self {
                Small::Text(_) => 0..=0,
                Small::WithFd => 1..=1,
            }
        }
    }

    fn pair() -> (Channel<Small, Small>, Channel<Small, Small>) {
        Channel::pair().unwrap()
    }

    #[test]
    fn a_message_and_its_descriptor_arrive() {
        let (a, b) = pair();
        a.send(&Small::Text("hello".into()), &[]).unwrap();
        a.send(&Small::WithFd, &[a.as_fd()]).unwrap();
        assert_eq!(b.recv().unwrap().message, Small::Text("hello".into()));
        let got = b.recv().unwrap();
        assert_eq!((got.message, got.fds.len()), (Small::WithFd, 1));
    }

    #[test]
    fn an_oversize_frame_is_refused_before_decoding() {
        let (a, b) = pair();
        fdpass::send(a.as_fd(), &[0u8; 65], &[], false).unwrap();
        assert!(matches!(b.recv(), Err(ChannelError::Oversize(64))));
        assert!(matches!(
            a.send(&Small::Text("x".repeat(64)), &[]),
            Err(ChannelError::Oversize(64))
        ));
    }

    #[test]
    fn trailing_bytes_and_garbage_are_refused() {
        let (a, b) = pair();
        fdpass::send(a.as_fd(), &[0, 1, 0], &[], false).unwrap();
        assert!(matches!(b.recv(), Err(ChannelError::Garbage(_))));
        fdpass::send(a.as_fd(), &[0, 9], &[], false).unwrap();
        assert!(matches!(b.recv(), Err(ChannelError::Garbage(_))));
        fdpass::send(a.as_fd(), &[77, 1], &[], false).unwrap();
        assert!(matches!(b.recv(), Err(ChannelError::Garbage(_))));
    }

    #[test]
    fn the_descriptor_count_is_exact() {
        let (a, b) = pair();
        fdpass::send(a.as_fd(), &[0, 1], &[], false).unwrap();
        assert!(matches!(b.recv(), Err(ChannelError::Descriptors { got: 0, .. })));
        fdpass::send(a.as_fd(), &[0, 1], &[a.as_fd(), a.as_fd()], false).unwrap();
        assert!(matches!(b.recv(), Err(ChannelError::Descriptors { got: 2, .. })));
        let many = [a.as_fd(); 12];
        fdpass::send(a.as_fd(), &[0, 1], &many, false).unwrap();
        assert!(matches!(b.recv(), Err(ChannelError::Descriptors { .. })));
    }

    #[test]
    fn a_closed_peer_is_told_from_an_empty_queue() {
        let (a, b) = pair();
        assert!(b.try_recv().unwrap().is_none());
        drop(a);
        assert!(matches!(b.recv(), Err(ChannelError::Closed)));
        assert!(matches!(b.send(&Small::WithFd, &[b.as_fd()]), Err(ChannelError::Closed)));
    }

    #[test]
    fn try_send_does_not_wait_for_a_peer_that_does_not_read() {
        let (a, b) = pair();
        let full = loop {
            if let Err(e) = a.try_send(&Small::Text("hello".into()), &[]) {
                break e;
            }
        };
        assert!(matches!(full, ChannelError::System(e) if e.kind() == io::ErrorKind::WouldBlock));
        assert!(b.recv().is_ok());
    }
}
