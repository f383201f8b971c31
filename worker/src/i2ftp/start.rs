//! From the end of the gate's handshake to the first request: the version string, the mode, in
//! secured mode the session key, and the greeting. One deadline for all of it.

use std::time::{Duration, Instant};

use i2ftp::{
    WireVersion, message,
    packet::MAX_REQUEST,
    secured::{CIPHERTEXT_BYTES, Offer},
};
use ipc::session::I2ftpSettings;
use rustix::event::{PollFd, PollFlags};

use super::{
    connection::{Connection, Ended},
    supervisor::Supervisor,
};
use crate::wait::poll_until;

/// How long a client may take for its two bytes and its session key.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest wait for a client's decoder.
const MAX_CODER_PAUSE: Duration = Duration::from_secs(3);

/// The key pair of secured mode, made before the lockdown and before a client is there: the library
/// synchronizes threads we do not have by calls no policy allows.
///
/// # Errors
/// When the system gives no randomness.
pub fn prepare(settings: Option<&I2ftpSettings>) -> Result<Option<Offer>, std::io::Error> {
    let secured = settings.is_some_and(|settings| settings.secured);
    secured.then(Offer::generate).transpose().map_err(|_| no_randomness())
}

/// Brings the connection to its first request.
///
/// # Errors
/// [`Ended`], when the client is late or does something else.
pub fn begin(
    connection: &mut Connection,
    supervisor: &mut Supervisor,
    version: WireVersion,
    offer: Option<Offer>,
) -> Result<(), Ended> {
    let mut start = Start { connection, supervisor, deadline: Instant::now() + PATIENCE };
    // The client reads the version with one receive call: nothing may follow it before its answer.
    start.connection.send_raw(version.as_bytes());
    start.deliver()?;
    if start.raw(message::VERSION_OK.len())? != message::VERSION_OK.as_slice() {
        return Err(Ended::Start("something other than OK after the version"));
    }
    if let Some(offer) = offer {
        start.connection.set_limit(CIPHERTEXT_BYTES);
        start.send(offer.announcement().to_vec())?;
        let asked = Instant::now();
        let ciphertext = start.receive()?;
        let took = asked.elapsed();
        let coders = offer.coders(&ciphertext).map_err(|_| no_randomness())?;
        start.send(message::CODER_READY.to_vec())?;
        start.connection.set_coders(coders);
        start.pause(coder_pause(took))?;
    } else {
        start.send(message::PLAIN_MODE.to_vec())?;
    }
    start.connection.set_limit(MAX_REQUEST);
    start.send(message::GREETING.to_vec())
}

/// How long to wait for the client's decoder, of a client that took so long for its session key:
/// what kept it then (a busy machine) may keep it again.
fn coder_pause(took: Duration) -> Duration {
    let least = Duration::from_millis(message::CODER_PAUSE_MILLIS);
    took.saturating_mul(3).clamp(least, MAX_CODER_PAUSE)
}

struct Start<'a> {
    connection: &'a mut Connection,
    supervisor: &'a mut Supervisor,
    deadline: Instant,
}

impl Start<'_> {
    fn send(&mut self, message: Vec<u8>) -> Result<(), Ended> {
        self.connection.send(message).map_err(|_| Ended::Start("nothing"))?;
        self.deliver()
    }

    fn deliver(&mut self) -> Result<(), Ended> {
        loop {
            self.connection.flush(usize::MAX)?;
            if !self.connection.is_sending() {
                return Ok(());
            }
            self.wait(PollFlags::OUT)?;
        }
    }

    fn raw(&mut self, count: usize) -> Result<Vec<u8>, Ended> {
        loop {
            if let Some(bytes) = self.connection.raw(count) {
                return Ok(bytes.to_vec());
            }
            self.wait(PollFlags::IN)?;
            self.connection.fill_behind()?;
        }
    }

    fn receive(&mut self) -> Result<Vec<u8>, Ended> {
        while !self.connection.advance()? {
            self.wait(PollFlags::IN)?;
            self.connection.fill(usize::MAX)?;
        }
        Ok(self.connection.message().to_vec())
    }

    /// Waits for the connection; orders of the supervisor count meanwhile.
    fn wait(&mut self, flags: PollFlags) -> Result<(), Ended> {
        loop {
            let mut fds = [
                PollFd::new(&*self.connection, flags),
                PollFd::new(&*self.supervisor, PollFlags::IN),
            ];
            if poll_until(&mut fds, Some(self.deadline))? == 0 {
                return Err(Ended::Late);
            }
            let [connection, channel] = fds.map(|fd| !fd.revents().is_empty());
            if channel {
                self.supervisor.look()?;
                if self.supervisor.kicked {
                    return Err(Ended::Ordered);
                }
            }
            if connection {
                return Ok(());
            }
        }
    }

    fn pause(&mut self, pause: Duration) -> Result<(), Ended> {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            let mut fds = [PollFd::new(&*self.supervisor, PollFlags::IN)];
            if poll_until(&mut fds, Some(until))? > 0 {
                self.supervisor.look()?;
            }
        }
        Ok(())
    }
}

fn no_randomness() -> std::io::Error {
    std::io::Error::other("the system gives no randomness")
}
