//! The data connection, plain or protected.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{event::PollFlags, io::Errno};

use crate::{
    files::Moved,
    tls::{Buffers, Established, Handshake, Inbound, Progress, Stream, TlsError},
};

/// Bytes a protected connection reads at a time.
const RECEIVE: usize = 256 * 1024;

/// Bytes a protected connection collects before it sends them.
const SEND: usize = 64 * 1024;

/// A data connection. It never blocks.
#[derive(Debug)]
pub enum DataConnection {
    /// TCP without TLS.
    Plain(OwnedFd),
    /// TLS (PROT P).
    Tls(Box<Protected>),
}

/// A data connection under TLS.
#[derive(Debug)]
pub struct Protected {
    layer: Layer,
    /// What the handshake waits for.
    handshake_wants: PollFlags,
    failure: Option<TlsError>,
    /// FIN was sent.
    ended: bool,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one value at a time, boxed with its connection")]
enum Layer {
    Handshake(Handshake),
    Stream(Stream),
    /// The handshake failed.
    Nothing,
}

impl DataConnection {
    /// A connection whose handshake is about to begin.
    pub fn protected(handshake: Handshake) -> Self {
        DataConnection::Tls(Box::new(Protected {
            layer: Layer::Handshake(handshake),
            handshake_wants: PollFlags::IN,
            failure: None,
            ended: false,
        }))
    }

    /// Goes on with the handshake. [`Moved::End`]: there is nothing (more) to agree on.
    pub fn handshake(&mut self) -> Moved {
        match self {
            DataConnection::Plain(_) => Moved::End,
            DataConnection::Tls(protected) => protected.handshake(),
        }
    }

    /// Acknowledges at once what has come so far. The end of a handshake before an upload is
    /// answered by nothing, and the client's system, where Nagle's algorithm is on, would hold the
    /// file back until the acknowledgement, 40 ms later.
    pub fn acknowledge(&self) {
        if let Some(socket) = self.socket().filter(|_| self.is_tls()) {
            // If it fails, the file comes a little later.
            rustix::net::sockopt::set_tcp_quickack(socket, true).ok();
        }
    }

    /// Writes some of the bytes. [`Moved::Bytes`] says how many it took.
    pub fn write(&mut self, bytes: &[u8]) -> Moved {
        match self {
            DataConnection::Plain(fd) => moved(rustix::io::write(&*fd, bytes)),
            DataConnection::Tls(protected) => {
                protected.on_stream(|stream| {
                    if !stream.flush()? {
                        return Ok(Moved::WouldBlock);
                    }
                    stream.seal(bytes)?;
                    // A little is sent together with what follows, or with the end.
                    if stream.unsent() >= SEND {
                        stream.flush()?;
                    }
                    Ok(Moved::Bytes(bytes.len()))
                })
            }
        }
    }

    /// Sends what was written and not sent yet. [`Moved::End`]: there is nothing (more) to send.
    pub fn flush(&mut self) -> Moved {
        match self {
            DataConnection::Plain(_) => Moved::End,
            DataConnection::Tls(protected) => protected.on_stream(|stream| {
                Ok(if stream.flush()? { Moved::End } else { Moved::WouldBlock })
            }),
        }
    }

    /// Reads what is there. [`Moved::End`]: the client has sent everything.
    pub fn read(&mut self, buffer: &mut [u8]) -> Moved {
        match self {
            DataConnection::Plain(fd) => moved(rustix::io::read(&*fd, buffer)),
            DataConnection::Tls(protected) => protected.on_stream(|stream| {
                let inbound = stream.receive(buffer.len())?;
                Ok(received(inbound, || {
                    let mut plain = stream.plain();
                    let read = std::io::Read::read(&mut plain, buffer).unwrap_or_default();
                    stream.consume(read);
                    read
                }))
            }),
        }
    }

    /// Receives bytes into the connection's own buffer, where `take` gets all of them at once and
    /// says how many it took: for protected connections, without a copy. [`Moved::End`]: the client
    /// has sent everything.
    pub fn receive(&mut self, take: impl FnOnce(&[u8]) -> usize) -> Moved {
        match self {
            DataConnection::Plain(_) => Moved::WouldBlock,
            DataConnection::Tls(protected) => protected.on_stream(|stream| {
                let inbound = stream.receive(RECEIVE)?;
                Ok(received(inbound, || {
                    let taken = take(stream.plain());
                    stream.consume(taken);
                    taken
                }))
            }),
        }
    }

    /// Says that everything was sent. [`Moved::End`]: said.
    pub fn finish(&mut self) -> Moved {
        match self {
            // Closing a TCP connection says it.
            DataConnection::Plain(_) => Moved::End,
            DataConnection::Tls(protected) => protected.finish(),
        }
    }

    /// The socket, if the kernel may move bytes between it and a file.
    pub fn as_plain(&self) -> Option<BorrowedFd<'_>> {
        match self {
            DataConnection::Plain(fd) => Some(fd.as_fd()),
            DataConnection::Tls(_) => None,
        }
    }

    /// What to poll for when `handshake`, `write`, `read` or `finish` would block, where `plain` is
    /// what a socket without a layer would wait for.
    pub fn interest(&self, plain: PollFlags) -> PollFlags {
        match self {
            DataConnection::Plain(_) => plain,
            DataConnection::Tls(protected) => match &protected.layer {
                Layer::Handshake(_) | Layer::Nothing => protected.handshake_wants,
                Layer::Stream(stream) if stream.wants_write() => plain | PollFlags::OUT,
                Layer::Stream(_) => plain,
            },
        }
    }

    /// Whether it is protected.
    pub fn is_tls(&self) -> bool {
        match self {
            DataConnection::Plain(_) => false,
            DataConnection::Tls(_) => true,
        }
    }

    /// What went wrong with the protection, if that is why the connection is gone.
    pub fn failure(&self) -> Option<&TlsError> {
        match self {
            DataConnection::Plain(_) => None,
            DataConnection::Tls(protected) => protected.failure.as_ref(),
        }
    }

    /// What is left of a connection that was finished: its socket, which goes when the client has
    /// had the time to close as well, and the buffers for the next one.
    pub fn into_parts(self) -> Option<(OwnedFd, Buffers)> {
        match self {
            DataConnection::Plain(_) => None,
            DataConnection::Tls(protected) => match protected.layer {
                Layer::Stream(stream) => Some(stream.into_parts()),
                Layer::Handshake(_) | Layer::Nothing => None,
            },
        }
    }

    /// Closes it with a reset, so that the client does not take what it has for all there is.
    pub fn reset(self) {
        let Some(fd) = self.socket() else { return };
        // If it fails, the client sees an orderly end, and the reply says what it was.
        rustix::net::sockopt::set_socket_linger(fd, Some(std::time::Duration::ZERO)).ok();
    }

    /// The socket; `None` when it was closed because the handshake failed.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        match self {
            DataConnection::Plain(fd) => Some(fd.as_fd()),
            DataConnection::Tls(protected) => match &protected.layer {
                Layer::Handshake(handshake) => Some(handshake.as_fd()),
                Layer::Stream(stream) => Some(stream.as_fd()),
                Layer::Nothing => None,
            },
        }
    }
}

impl Protected {
    fn handshake(&mut self) -> Moved {
        let Layer::Handshake(handshake) = &mut self.layer else { return Moved::Gone };
        match handshake.advance() {
            Ok(Progress::WantsRead) => self.handshake_wants = PollFlags::IN,
            Ok(Progress::WantsWrite) => self.handshake_wants = PollFlags::OUT,
            Ok(Progress::Done) => {
                let done = match std::mem::replace(&mut self.layer, Layer::Nothing) {
                    Layer::Handshake(handshake) => handshake.into_stream(),
                    Layer::Stream(_) | Layer::Nothing => Err(TlsError::HandshakeClosed),
                };
                match done {
                    Ok((stream, Established { .. })) => self.layer = Layer::Stream(stream),
                    Err(error) => return self.failed(error),
                }
                return Moved::End;
            }
            Err(error) => {
                // FIN behind the alert, so that the client reads it before the connection goes.
                rustix::net::shutdown(&*handshake, rustix::net::Shutdown::Write).ok();
                return self.failed(error);
            }
        }
        Moved::WouldBlock
    }

    /// close_notify, then FIN. The client's own end is not waited for: see `drain`.
    fn finish(&mut self) -> Moved {
        let ended = self.ended;
        let moved = self.on_stream(|stream| {
            if ended {
                return Ok(Moved::End);
            }
            let client_ended = stream.peer_has_closed();
            let said = stream.close().and_then(|()| {
                if !stream.flush()? {
                    return Ok(Moved::WouldBlock);
                }
                stream.shutdown()?;
                Ok(Moved::End)
            });
            match said {
                // A client that has sent everything and closed needs no farewell.
                Err(_) if client_ended => Ok(Moved::End),
                said => said,
            }
        });
        self.ended |= moved == Moved::End;
        moved
    }

    fn on_stream(&mut self, work: impl FnOnce(&mut Stream) -> Result<Moved, TlsError>) -> Moved {
        let Layer::Stream(stream) = &mut self.layer else { return Moved::Gone };
        match work(stream) {
            Ok(moved) => moved,
            Err(error) => self.failed(error),
        }
    }

    fn failed(&mut self, error: TlsError) -> Moved {
        self.failure = Some(error);
        Moved::Gone
    }
}

fn received(inbound: Inbound, take: impl FnOnce() -> usize) -> Moved {
    match inbound {
        Inbound::Data => Moved::Bytes(take()),
        Inbound::Nothing => Moved::WouldBlock,
        Inbound::Closed => Moved::End,
    }
}

/// Sorts what a socket call answered. Whatever went wrong, the connection is gone.
fn moved(result: Result<usize, Errno>) -> Moved {
    match result {
        Ok(0) => Moved::End,
        Ok(bytes) => Moved::Bytes(bytes),
        Err(Errno::AGAIN | Errno::INTR) => Moved::WouldBlock,
        Err(_) => Moved::Gone,
    }
}
