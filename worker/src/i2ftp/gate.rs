//! The gate's part of the handshake: 16 bytes in, the nonce out, 64 bytes in. The gate judges
//! none of them: the authenticator has the key, the supervisor made the nonce. After that the
//! connection is the session's.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use i2ftp::dynkey::{KNOCK_BYTES, NONCE_BYTES, PROOF_BYTES};
use ipc::{
    ChannelError,
    bounded::Bytes,
    gate::{AuthResult, GateClosed, GateSettings, GateToSupervisor, Protection, SupervisorToGate},
    tls_facts::TlsFacts,
};
use policy::LockedDown;
use rustix::event::{PollFd, PollFlags};

use crate::{
    Fatal,
    control::Stream,
    gate::{SupervisorChannel, secure},
    rate::{deadline, earlier},
    tls::ControlTls,
    wait::poll_until,
};

/// How long the handshake may take, whatever the configuration allows for a login of people.
const PATIENCE: Duration = Duration::from_secs(10);

/// Does the handshake with a client without TLS, and hands over.
///
/// # Errors
/// When the channel to the supervisor fails, or poll(2) does.
pub fn serve(
    _locked: &LockedDown,
    channel: &SupervisorChannel,
    settings: &GateSettings,
    control: OwnedFd,
) -> Result<(), Fatal> {
    let mut stream = Stream::Plain(control);
    match shake(channel, &mut stream, None, until(settings))? {
        Ok(unread) => hand_over(channel, unread, Protection::Plain),
        Err(closed) => close(channel, closed),
    }
}

/// The same inside TLS; afterwards the gate is the relay.
///
/// # Errors
/// As [`serve`], and when the sandbox cannot be narrowed for the relay.
pub fn serve_tls(
    locked: &LockedDown,
    channel: &SupervisorChannel,
    settings: &GateSettings,
    tls: Option<ControlTls>,
    control: OwnedFd,
) -> Result<(), Fatal> {
    let Some(tls) = tls else {
        return close(channel, GateClosed::Tls("no certificate is loaded".into()));
    };
    let until = until(settings);
    let (stream, established) = match secure::shake_hands(&tls, control, channel, until)? {
        Ok(done) => done,
        Err(closed) => return close(channel, closed),
    };
    let mut stream = Stream::Tls(Box::new(stream));
    let facts = Some(established.facts);
    let unread = match shake(channel, &mut stream, facts, until)? {
        Ok(unread) => unread,
        Err(closed) => {
            stream.say_goodbye();
            return close(channel, closed);
        }
    };
    // There are no data connections that could resume anything.
    let (resumption, private_data, pbsz) = (Vec::new(), false, false);
    let protection = Protection::Tls { resumption, private_data, pbsz };
    hand_over(channel, unread, protection)?;
    drop(tls);
    match stream {
        Stream::Tls(client) => secure::become_relay(channel, locked, *client),
        Stream::Plain(_) => Ok(()),
    }
}

fn until(settings: &GateSettings) -> Option<Instant> {
    let now = Instant::now();
    earlier(deadline(now, settings.login_timeout), now.checked_add(PATIENCE))
}

fn hand_over(
    channel: &SupervisorChannel,
    unread: Vec<u8>,
    protection: Protection,
) -> Result<(), Fatal> {
    // What came behind the proof is the session's to read; an honest client waits.
    let unread = Bytes::try_from(unread).unwrap_or_default();
    Ok(channel.send(&GateToSupervisor::Handover { unread, protection }, &[])?)
}

fn close(channel: &SupervisorChannel, closed: GateClosed) -> Result<(), Fatal> {
    Ok(channel.send(&GateToSupervisor::Closed(closed), &[])?)
}

/// Does the handshake: what was read behind it, or why it ended.
fn shake(
    channel: &SupervisorChannel,
    stream: &mut Stream,
    tls: Option<TlsFacts>,
    until: Option<Instant>,
) -> Result<Result<Vec<u8>, GateClosed>, Fatal> {
    let mut handshake = Handshake { channel, stream, tls, until, input: Vec::new() };
    match handshake.run() {
        Ok(()) => Ok(Ok(handshake.input)),
        Err(Stop::Closed(closed)) => Ok(Err(closed)),
        Err(Stop::Broken(e)) => Err(e.into()),
    }
}

/// Why the handshake stopped.
enum Stop {
    Closed(GateClosed),
    Broken(ChannelError),
}

impl From<ChannelError> for Stop {
    fn from(e: ChannelError) -> Stop {
        Stop::Broken(e)
    }
}

impl From<std::io::Error> for Stop {
    fn from(e: std::io::Error) -> Stop {
        Stop::Broken(ChannelError::System(e))
    }
}

struct Handshake<'a> {
    channel: &'a SupervisorChannel,
    stream: &'a mut Stream,
    tls: Option<TlsFacts>,
    until: Option<Instant>,
    input: Vec<u8>,
}

impl Handshake<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        let key: [u8; KNOCK_BYTES] = self.take()?;
        let nonce = match self.ask(&GateToSupervisor::I2ftpKnock { key })? {
            AuthResult::Welcome { nonce } if nonce.as_slice().len() == NONCE_BYTES => nonce,
            other => return Err(refused(other)),
        };
        self.deliver(nonce.as_slice())?;
        let proof: [u8; PROOF_BYTES] = self.take()?;
        let proof = Bytes::try_from(proof.to_vec()).unwrap_or_default();
        match self.ask(&GateToSupervisor::I2ftpProof { proof, tls: self.tls })? {
            AuthResult::Granted => Ok(()),
            other => Err(refused(other)),
        }
    }

    /// The next `N` bytes of the client.
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        loop {
            if let Some((bytes, rest)) = self.input.split_first_chunk::<N>() {
                let (bytes, rest) = (*bytes, rest.to_vec());
                self.input = rest;
                return Ok(bytes);
            }
            let mut buffer = [0u8; 256];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Stop::Closed(GateClosed::ClientClosed)),
                Ok(read) => self.input.extend_from_slice(buffer.get(..read).unwrap_or_default()),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => self.wait(PollFlags::IN)?,
                Err(_) => return Err(Stop::Closed(GateClosed::ClientClosed)),
            }
        }
    }

    fn deliver(&mut self, mut bytes: &[u8]) -> Result<(), Stop> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    self.wait(PollFlags::OUT)?
                }
                Err(_) => return Err(Stop::Closed(GateClosed::ClientClosed)),
            }
        }
        while self.stream.has_unsent() {
            self.stream.flush()?;
            if self.stream.has_unsent() {
                self.wait(PollFlags::OUT)?;
            }
        }
        Ok(())
    }

    /// Waits for the client; the supervisor may end the connection meanwhile.
    fn wait(&mut self, flags: PollFlags) -> Result<(), Stop> {
        loop {
            let mut fds =
                [PollFd::new(&*self.stream, flags), PollFd::new(self.channel, PollFlags::IN)];
            if poll_until(&mut fds, self.until)? == 0 {
                return Err(Stop::Closed(GateClosed::LoginTimeout));
            }
            let [client, channel] = fds.map(|fd| !fd.revents().is_empty());
            if channel {
                match self.channel.recv()?.message {
                    SupervisorToGate::End { .. } => return Err(Stop::Closed(GateClosed::Ended)),
                    SupervisorToGate::AuthResult(_)
                    | SupervisorToGate::Authenticator
                    | SupervisorToGate::Boot { .. }
                    | SupervisorToGate::Serve { .. }
                    | SupervisorToGate::BecomeRelay
                    | SupervisorToGate::KeeperChannel
                    | SupervisorToGate::NotAvailable => return Err(out_of_turn()),
                }
            }
            if client {
                return Ok(());
            }
        }
    }

    fn ask(&mut self, question: &GateToSupervisor) -> Result<AuthResult, Stop> {
        self.channel.send(question, &[])?;
        match self.channel.recv()?.message {
            SupervisorToGate::AuthResult(result) => Ok(result),
            SupervisorToGate::End { .. } => Err(Stop::Closed(GateClosed::Ended)),
            SupervisorToGate::Boot { .. }
            | SupervisorToGate::Serve { .. }
            | SupervisorToGate::Authenticator
            | SupervisorToGate::BecomeRelay
            | SupervisorToGate::KeeperChannel
            | SupervisorToGate::NotAvailable => Err(out_of_turn()),
        }
    }
}

/// The protocol has no words for a refusal: the connection closes.
fn refused(result: AuthResult) -> Stop {
    match result {
        AuthResult::Refused | AuthResult::Expired(_) | AuthResult::TlsDemanded => {
            Stop::Closed(GateClosed::TooManyFailures)
        }
        AuthResult::Unavailable(_) => Stop::Closed(GateClosed::Ended),
        AuthResult::Granted | AuthResult::NeedSecondFactor | AuthResult::Welcome { .. } => {
            out_of_turn()
        }
    }
}

fn out_of_turn() -> Stop {
    Stop::Broken(ChannelError::Garbage("a message out of turn".into()))
}
