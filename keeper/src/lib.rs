//! The keeper: holds the TLS private keys and signs with them.
//!
//! Run by the supervisor as `bulkhead keeper`, once, under its own uid, with its channel as
//! standard input. It holds the keys in locked memory that cannot be dumped, reads the two files of
//! each certificate from descriptors it is handed, and answers one verb, `Sign`, on the signing
//! channels of gates and sessions. It reads no byte of a client and can open nothing. Whatever a
//! captured gate asks for, it gets a signature only over what a TLS server of this host signs,
//! and no more of them than its channel may have.

mod form;
pub mod key;
#[cfg(test)]
mod test_certificate;

use std::{
    collections::BTreeMap,
    io,
    os::fd::OwnedFd,
    process::ExitCode,
    time::{Duration, Instant},
};

use ipc::{
    Channel, ChannelError,
    account::SessionId,
    bounded::Bytes,
    fdpass,
    keeper::{KeeperToSupervisor, KeyId, LOCKED_MEMORY, Sign, Signed, SupervisorToKeeper},
    last_words,
    share::{Rate, Share},
};
use policy::{Features, LockedDown, Role};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    mm::{MlockAllFlags, mlockall},
    process::{Resource, getrlimit},
};

use key::PrivateKey;

/// The keeper's side of its channel to the supervisor.
type Supervisor = Channel<KeeperToSupervisor, SupervisorToKeeper>;
/// The keeper's side of a signing channel.
type Client = Channel<Signed, Sign>;

/// Signatures a channel may have per second, and at once before it is slowed down.
const RATE: Rate = Rate::new(200, 64);
/// How long to wait before it is looked whether a channel that was slowed down may go on.
const EARN: Duration = Duration::from_millis(5);
/// Signatures of one turn of the loop: an RSA one takes a millisecond, and the supervisor waits
/// for a `Pong`.
const SIGNATURES_PER_TURN: usize = 64;
/// Most descriptors of a keeper: the limit of its policy.
const MOST_DESCRIPTORS: u64 = 8192;
/// Descriptors that are not signing channels: the channel to the supervisor, key files, spare ones.
const OTHER_DESCRIPTORS: u64 = 64;

/// Runs the keeper until the supervisor ends it. It ends with exit_group alone, which is all its
/// policy allows.
pub fn run() -> ExitCode {
    let ended = boot().and_then(|keeper| match keeper {
        Some(mut keeper) => keeper.serve(),
        None => Ok(()),
    });
    last_words::leave(i32::from(ended.is_err()))
}

/// Locks memory and process down; `None` when that failed and the supervisor has been told.
fn boot() -> Result<Option<Keeper>, ChannelError> {
    fdpass::close_from(3)?;
    last_words::install(0)?;
    let supervisor: Supervisor = Channel::from_fd(fdpass::inherited_channel()?);
    let SupervisorToKeeper::Boot { confinement } = supervisor.recv()?.message else {
        return Err(ChannelError::Garbage("the first message was not Boot".into()));
    };
    warm_up();
    let signing = reserve_room();
    let memory_locked = lock_memory();
    let locked = match policy::lockdown(Role::Keeper, &confinement, Features::NONE, None) {
        Ok(locked) => locked,
        Err(failure) => {
            supervisor.send(&KeeperToSupervisor::Failed(failure), &[])?;
            return Ok(None);
        }
    };
    let report = locked.report().clone();
    supervisor.send(&KeeperToSupervisor::Ready { report, memory_locked }, &[])?;
    Ok(Some(Keeper {
        supervisor,
        keys: BTreeMap::new(),
        signing,
        next: 0,
        retiring: false,
        _locked: Some(locked),
    }))
}

/// Room for every signing channel that this process can have descriptors for. The list never grows, so
/// that no number of clients leads to a system call that the policy does not allow.
fn reserve_room() -> Vec<Signing> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(MOST_DESCRIPTORS);
    let room = limit.min(MOST_DESCRIPTORS).saturating_sub(OTHER_DESCRIPTORS);
    Vec::with_capacity(usize::try_from(room).unwrap_or_default())
}

/// Has aws-lc set itself up: it looks at the processor, seeds its random generator, and wakes other
/// threads there might be with futex(2) after each of its tables is made. It can do none of this
/// under the policy.
fn warm_up() {
    let mut seed = [0; 32];
    // Whatever fails here fails again, and is told, when a key is loaded or used.
    aws_lc_rs::rand::fill(&mut seed).ok();
    key::warm_up();
}

/// Keeps everything this process has and will have in memory out of the swap space, and says
/// whether it could. The limit must hold all of the program; a lower one would let the first larger
/// allocation fail, so then the keeper does without.
fn lock_memory() -> bool {
    getrlimit(Resource::Memlock).current.is_none_or(|limit| limit >= LOCKED_MEMORY)
        && mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE).is_ok()
}

/// Everything the keeper knows: the keys, and who may use them.
struct Keeper {
    supervisor: Supervisor,
    keys: BTreeMap<KeyId, PrivateKey>,
    /// Signing channels, one per session; within the room that was reserved.
    signing: Vec<Signing>,
    /// The channel whose turn is next: each turn of the loop answers a bounded number.
    next: usize,
    /// Another keeper has taken over; this one ends with its last signing channel.
    retiring: bool,
    /// Proof that the sandbox is up; tests serve without one.
    _locked: Option<LockedDown>,
}

/// A signing channel and what is left to it.
struct Signing {
    session: SessionId,
    channel: Client,
    /// Signatures it may still have.
    left: u32,
    /// Whether TLS 1.2 signatures are made for it.
    tls12: bool,
    share: Share,
    /// Whether it is to be let go.
    over: bool,
}

/// Why a signing channel ends.
enum End {
    /// The gate or session is gone, or needs no more signatures.
    Closed,
    /// It asked for what it may not have.
    Violation(String),
}

impl Keeper {
    /// Serves until the supervisor closes its channel.
    fn serve(&mut self) -> Result<(), ChannelError> {
        while !(self.retiring && self.signing.is_empty()) {
            let (supervisor, ready) = self.wait()?;
            self.answer_signing(&ready);
            if supervisor {
                match self.supervisor.try_recv() {
                    Ok(Some(received)) => self.dispatch(received.message, received.fds)?,
                    Ok(None) => {}
                    Err(ChannelError::Closed) => return Ok(()),
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(())
    }

    /// Waits; says whether the supervisor has sent something, and which signing channels have. A
    /// channel without allowance is not looked at until it has earned some.
    fn wait(&mut self) -> io::Result<(bool, Vec<bool>)> {
        let now = Instant::now();
        let slow = |signing: &Signing| signing.share.wait(now).is_some();
        let slowed = self.signing.iter().any(slow);
        let mut fds = Vec::with_capacity(self.signing.len().saturating_add(1));
        fds.push(PollFd::new(&self.supervisor, PollFlags::IN));
        for signing in &self.signing {
            let wanted = if slow(signing) { PollFlags::empty() } else { PollFlags::IN };
            fds.push(PollFd::new(&signing.channel, wanted));
        }
        let timeout = slowed.then(|| Timespec { tv_sec: 0, tv_nsec: EARN.subsec_nanos().into() });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let supervisor = ready.next().unwrap_or_default();
        Ok((supervisor, ready.collect()))
    }

    /// The one place that decides what a message of the supervisor means.
    fn dispatch(
        &mut self,
        message: SupervisorToKeeper,
        fds: Vec<OwnedFd>,
    ) -> Result<(), ChannelError> {
        match message {
            SupervisorToKeeper::Boot { .. } => {
                Err(ChannelError::Garbage("Boot came a second time".into()))
            }
            SupervisorToKeeper::Load { key } => self.answer_load(key, fds),
            SupervisorToKeeper::Forget { key } => {
                self.keys.remove(&key);
                Ok(())
            }
            SupervisorToKeeper::Ping => {
                // Never waits; a supervisor that does not read asks again.
                drop(self.supervisor.try_send(&KeeperToSupervisor::Pong, &[]));
                Ok(())
            }
            SupervisorToKeeper::Retire => {
                self.retiring = true;
                Ok(())
            }
            SupervisorToKeeper::Attach { session, signatures, tls12 } => {
                self.attach(session, signatures, tls12, fds);
                Ok(())
            }
        }
    }

    fn answer_load(&mut self, key: KeyId, fds: Vec<OwnedFd>) -> Result<(), ChannelError> {
        let Ok([certificate, private_key]) = <[OwnedFd; 2]>::try_from(fds) else {
            return Err(ChannelError::Garbage("Load came without its two files".into()));
        };
        let answer = match key::load(certificate, private_key) {
            Ok((public, private)) => {
                self.keys.insert(key, private);
                KeeperToSupervisor::Loaded {
                    key,
                    chain: public.chain,
                    schemes: public.schemes,
                    names: public.names,
                    not_before: public.not_before,
                    not_after: public.not_after,
                    fingerprint: public.fingerprint,
                }
            }
            Err(unusable) => {
                KeeperToSupervisor::NotLoaded { key, file: unusable.file, reason: unusable.reason }
            }
        };
        self.supervisor.send(&answer, &[])
    }

    fn attach(&mut self, session: SessionId, signatures: u32, tls12: bool, fds: Vec<OwnedFd>) {
        // A session has one channel: its gate's is not needed any longer, an older one is dead.
        self.signing.retain(|signing| signing.session != session);
        for fd in fds {
            if self.signing.len() == self.signing.capacity() {
                // The dropped end tells the gate or session that there is none.
                return;
            }
            self.signing.push(Signing {
                session,
                channel: Channel::from_fd(fd),
                left: signatures,
                tls12,
                share: Share::new(RATE, Instant::now()),
                over: false,
            });
        }
    }

    /// Answers one request of each ready channel, so that a busy one cannot starve the others, and
    /// lets go of those that end. Of many ready channels a bounded number has its turn at a time, so
    /// that the supervisor is heard between them.
    fn answer_signing(&mut self, ready: &[bool]) {
        let Keeper { supervisor, keys, signing, next, .. } = self;
        let all = signing.len();
        let start = (*next).min(all);
        let is_ready = |at: &usize| ready.get(*at).copied().unwrap_or_default();
        let turn: Vec<usize> =
            (start..all).chain(0..start).filter(is_ready).take(SIGNATURES_PER_TURN).collect();
        *next = turn.last().map_or(0, |last| last.saturating_add(1));
        for at in turn {
            let Some(signing) = signing.get_mut(at) else { continue };
            let Err(end) = signing.answer(keys) else { continue };
            signing.over = true;
            if let End::Violation(what) = end {
                let session = signing.session;
                // Never waits: a supervisor that does not read must not stop the signing. The report
                // is for the log; the channel is closed either way.
                drop(supervisor.try_send(&KeeperToSupervisor::Violation { session, what }, &[]));
            }
        }
        signing.retain(|signing| !signing.over);
    }
}

impl Signing {
    /// Receives one request and answers it.
    fn answer(&mut self, keys: &BTreeMap<KeyId, PrivateKey>) -> Result<(), End> {
        let request = match self.channel.try_recv() {
            Ok(Some(received)) => received.message,
            Ok(None) => return Ok(()),
            Err(ChannelError::Closed | ChannelError::System(_)) => return Err(End::Closed),
            Err(e) => return Err(End::Violation(e.to_string())),
        };
        self.share.charge(1, Instant::now());
        let answer = self.answer_sign(request, keys);
        let message = match &answer {
            Ok(signature) => Signed::Signature(signature.clone()),
            Err(_) => Signed::Refused,
        };
        if self.channel.try_send(&message, &[]).is_err() {
            return Err(End::Closed);
        }
        answer.map(drop).map_err(End::Violation)
    }

    fn answer_sign(
        &mut self,
        request: Sign,
        keys: &BTreeMap<KeyId, PrivateKey>,
    ) -> Result<Bytes<1024>, String> {
        let Sign::Sign { key, scheme, tls13, input } = request;
        let Some(left) = self.left.checked_sub(1) else {
            return Err("asked for more signatures than its channel may have".into());
        };
        let input = input.as_slice();
        if tls13 && !form::is_certificate_verify(input) {
            return Err("asked for a signature over what is no TLS 1.3 CertificateVerify".into());
        }
        let tls12 = self.tls12 && form::is_server_key_exchange(input);
        if !(tls13 || tls12) {
            return Err("asked for a signature over what is no TLS 1.2 ServerKeyExchange".into());
        }
        let Some(key) = keys.get(&key) else {
            return Err(format!("asked for a signature with key {}, which is not there", key.0));
        };
        let signature = key
            .sign(scheme, tls13, input)
            .and_then(|signature| Bytes::try_from(signature).ok())
            .ok_or_else(|| format!("asked for scheme {scheme:#06x}, which its key cannot make"))?;
        self.left = left;
        Ok(signature)
    }
}

#[cfg(test)]
mod tests;
