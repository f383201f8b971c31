//! The supervisor's side of the keeper: start it, let it load the keys, attach gates and sessions to
//! it, and start another one when it dies. The supervisor opens the key files and never reads them.

mod files;

use std::{
    cell::{Cell, RefCell},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    rc::Rc,
};

use config::Config;
use ipc::{
    Channel,
    account::SessionId,
    bounded::Bytes,
    gate::{Certificate, GateTls},
    keeper::{
        CertificateFile, KeeperToSupervisor, KeyId, MAX_CHAIN, Sign, Signed, SupervisorToKeeper,
    },
    operator::CertificateRow,
    process::{Confinement, SandboxReport},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tokio::{sync::Notify, time::Instant};

use crate::{
    boot::{BOOT_PATIENCE, Beginner, BootError, Booted, Dead, Pauses, boot, next_process, replace},
    children::{Child, Ended},
    deadlines::{Beat, Gone, Watch},
    server::Server,
    validity::{self, Concern, Validity},
    wire::AsyncChannel,
};

pub use files::watch as watch_files;
use files::{Opened, Version};

/// Signatures a gate may have: one handshake, that of the control connection.
const SIGNATURES_OF_GATE: u32 = 1;
/// Signatures a session may have: one for each data connection of a client that resumes nothing. The
/// keeper limits the rate as well.
const SIGNATURES_OF_SESSION: u32 = 1_000_000;
type KeeperChannel = AsyncChannel<SupervisorToKeeper, KeeperToSupervisor>;

/// A keeper and what it has loaded. A session that may still need a signature holds the keeper it
/// began with, whose key it was told of; when the last one has let go, the keeper retires.
#[derive(Debug)]
pub struct Keeper {
    channel: Rc<KeeperChannel>,
    pid: u32,
    report: SandboxReport,
    alive: Cell<bool>,
    certificates: Vec<Certificate>,
    /// Files and validities of the certificates, in the same order.
    facts: Vec<Facts>,
    client_ca: Vec<Bytes<MAX_CHAIN>>,
    tls12: bool,
}

/// What an operator wants to know of a certificate.
#[derive(Debug, Clone)]
struct Facts {
    file: PathBuf,
    validity: Validity,
}

impl Keeper {
    fn attach(&self, session: SessionId, signatures: u32) -> Option<OwnedFd> {
        let (for_worker, for_keeper) = Channel::<Sign, Signed>::pair().ok()?;
        let tls12 = self.tls12;
        let attach = SupervisorToKeeper::Attach { session, signatures, tls12 };
        self.channel.try_send(&attach, &[for_keeper.as_fd()]).ok()?;
        Some(for_worker.into_fd())
    }

    /// Whether gates are told the same of it as of the other one.
    fn offers_what(&self, other: &Keeper) -> bool {
        self.certificates == other.certificates
            && self.client_ca == other.client_ca
            && self.tls12 == other.tls12
    }

    /// Whether it has every key that the other one had.
    fn succeeds(&self, other: &Keeper) -> bool {
        let has = |key: KeyId| self.certificates.iter().any(|own| own.key == key);
        other.certificates.iter().all(|certificate| has(certificate.key))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // It ends with its last signing channel. One that is gone has nothing to retire from.
        drop(self.channel.try_send(&SupervisorToKeeper::Retire, &[]));
    }
}

/// The keeper that is attached to new connections, and the files it has its keys from.
#[derive(Debug, Default)]
pub struct KeeperLink {
    current: RefCell<Option<Rc<Keeper>>>,
    /// Every file of certificates and keys as it was when it was opened.
    loaded: RefCell<Vec<Version>>,
    /// The key of each pair of files: the same files make the same key, so that sessions of a
    /// keeper that has died can go on with the next one.
    keys: RefCell<Vec<([Version; 2], KeyId)>>,
    next_key: Cell<u32>,
    pauses: Pauses,
    /// Told when a keeper has become ready.
    arrived: Notify,
}

impl KeeperLink {
    /// A signing channel for a gate; `None` when TLS is off or no keeper runs.
    pub fn attach(&self, session: SessionId) -> Option<OwnedFd> {
        self.current()?.attach(session, SIGNATURES_OF_GATE)
    }

    /// As [`KeeperLink::attach`]; where no keeper runs, the next one is waited for, a moment.
    pub async fn attach_soon(&self, session: SessionId) -> Option<OwnedFd> {
        next_process(&self.arrived, || self.attach(session)).await
    }

    /// A signing channel for a session that began with this keeper, or from the one that took its
    /// place and has the same keys; where no keeper runs, that one is waited for, a moment.
    pub async fn attach_session_soon(&self, session: SessionId, own: &Keeper) -> Option<OwnedFd> {
        let attach = |keeper: &Keeper| keeper.attach(session, SIGNATURES_OF_SESSION);
        let next = || attach(self.current().filter(|current| current.succeeds(own))?.as_ref());
        next_process(&self.arrived, || attach(own).or_else(next)).await
    }

    /// The keeper of new connections. It may have died a moment ago.
    pub fn current(&self) -> Option<Rc<Keeper>> {
        self.current.borrow().clone()
    }

    /// Lets the keeper retire: TLS is off.
    pub fn let_go(&self) {
        self.current.borrow_mut().take();
        self.loaded.borrow_mut().clear();
    }

    /// What gates and sessions are told about TLS; `None` when TLS is off or no key is loaded.
    pub fn gate_tls(&self, config: &Config) -> Option<GateTls> {
        let tls = config.tls.as_ref()?;
        let keeper = self.current()?;
        (!keeper.certificates.is_empty())
            .then(|| tls.for_gate(keeper.certificates.clone(), keeper.client_ca.clone()))
    }

    /// Process id and report, when it runs.
    pub fn process(&self) -> Option<(u32, SandboxReport)> {
        let keeper = self.current().filter(|keeper| keeper.alive.get())?;
        Some((keeper.pid, keeper.report.clone()))
    }

    /// The certificates that are served, for the operator.
    pub fn certificates(&self) -> Vec<CertificateRow> {
        let Some(keeper) = self.current() else { return Vec::new() };
        let now = validity::now();
        let row = |(certificate, facts): (&Certificate, &Facts)| CertificateRow {
            file: facts.file.display().to_string(),
            names: certificate.names.clone(),
            not_before: validity::date(facts.validity.not_before),
            not_after: validity::date(facts.validity.not_after),
            days_left: facts.validity.days_left(now),
            warning: facts.validity.judge(now).map(|(_, text)| text),
        };
        keeper.certificates.iter().zip(&keeper.facts).map(row).collect()
    }

    /// Says in the log which certificates have ended or will soon.
    fn warn_of_ends(&self) {
        let Some(keeper) = self.current() else { return };
        let now = validity::now();
        for Facts { file, validity } in &keeper.facts {
            let Some((concern, text)) = validity.judge(now) else { continue };
            let (file, not_after) = (file.display(), validity::date(validity.not_after));
            let remedy = validity::RENEWAL;
            match concern {
                Concern::EndsSoon => log_event!(
                    CertificateEndsSoon,
                    %file,
                    not_after,
                    "{text}; {remedy}"
                ),
                Concern::NotValid => log_event!(
                    CertificateNotValid,
                    %file,
                    not_after,
                    "{text}; {remedy}"
                ),
            }
        }
    }

    fn is_current(&self, channel: &Rc<KeeperChannel>) -> bool {
        self.current.borrow().as_ref().is_some_and(|keeper| Rc::ptr_eq(&keeper.channel, channel))
    }

    /// The key of two files, which is a new one unless they are what they were.
    fn key_of(&self, pair: &[Version; 2]) -> KeyId {
        if let Some((_, key)) = self.keys.borrow().iter().find(|(known, _)| known == pair) {
            return *key;
        }
        let key = KeyId(self.next_key.get());
        self.next_key.set(key.0.wrapping_add(1));
        key
    }
}

/// A keeper that has loaded every key of a configuration, and is not in force yet. Dropped, it ends,
/// and nothing has changed.
#[derive(Debug)]
pub struct Prepared {
    child: Child,
    keeper: Keeper,
    loaded: Vec<Version>,
    keys: Vec<([Version; 2], KeyId)>,
}

impl Prepared {
    /// Puts it in force for new connections. The caller renews the gates.
    pub fn install(self, server: &Rc<Server>) {
        let Prepared { child, keeper, loaded, keys } = self;
        let link = &server.keeper;
        *link.loaded.borrow_mut() = loaded;
        *link.keys.borrow_mut() = keys;
        let channel = Rc::clone(&keeper.channel);
        let former = link.current.borrow_mut().replace(Rc::new(keeper));
        drop(former);
        link.arrived.notify_waiters();
        link.warn_of_ends();
        tokio::task::spawn_local(watch(Rc::clone(server), child, channel));
    }
}

/// Starts a keeper, and has it load every certificate of `config`. Nothing that is in force changes.
///
/// # Errors
/// When it cannot be started or cannot raise its sandbox, or when a key cannot be loaded.
pub async fn prepare(server: &Rc<Server>, config: &Config) -> Result<Prepared, BootError> {
    let failed = |reason: &dyn std::fmt::Display| BootError::start("keeper", reason);
    let (child, channel, report) = start(server, config).await?;
    let Some(tls) = &config.tls else { return Err(failed(&"TLS is off")) };
    let (mut certificates, mut facts) = (Vec::new(), Vec::new());
    let (mut keys, mut loaded) = (Vec::new(), Vec::new());
    for (certificate, private_key) in &tls.pairs {
        let pair = [certificate, private_key].map(|path| Opened::new(path));
        let [certificate, private_key] = pair;
        let pair = [certificate.map_err(|e| failed(&e))?, private_key.map_err(|e| failed(&e))?];
        let versions = pair.each_ref().map(|opened| opened.version.clone());
        let key = server.keeper.key_of(&versions);
        let (certificate, fact) = load(&channel, key, &pair).await.map_err(|e| failed(&e))?;
        certificates.push(certificate);
        facts.push(fact);
        loaded.extend_from_slice(&versions);
        keys.push((versions, key));
    }
    let mut client_ca = Vec::new();
    if let Some(path) = &tls.client_ca {
        loaded.push(Opened::new(path).map_err(|e| failed(&e))?.version);
        client_ca = read_authorities(path).map_err(|e| failed(&e))?;
    }
    let keeper = Keeper {
        channel: Rc::new(channel),
        pid: child.pid(),
        report,
        alive: Cell::new(true),
        certificates,
        facts,
        client_ca,
        tls12: !tls.only_tls13,
    };
    Ok(Prepared { child, keeper, loaded, keys })
}

/// Starts a keeper that has locked itself down and knows no key yet.
async fn start(
    server: &Rc<Server>,
    config: &Config,
) -> Result<(Child, KeeperChannel, SandboxReport), BootError> {
    let beginner = Beginner {
        role: "keeper",
        program: &server.programs.own,
        title: "bulkhead",
        arguments: &["keeper"],
    };
    let identity = server.privileged.then(|| config.identities.keeper.clone());
    let confinement = Confinement { identity, landlock: config.landlock };
    let first = SupervisorToKeeper::Boot { confinement };
    let Booted { child, channel, answer } = boot(&server.children, beginner, first).await?;
    match answer {
        KeeperToSupervisor::Ready { report, memory_locked } => {
            if !memory_locked {
                log_event!(
                    MemoryNotLocked,
                    role = "keeper",
                    "the private keys may reach the swap space: set LimitMEMLOCK=256M (systemd) or \
                     `ulimit -l 262144`, or encrypt the swap space"
                );
            }
            Ok((child, channel, report))
        }
        KeeperToSupervisor::Failed(failure) => Err(BootError::Lockdown { role: "keeper", failure }),
        KeeperToSupervisor::Loaded { .. }
        | KeeperToSupervisor::NotLoaded { .. }
        | KeeperToSupervisor::Violation { .. }
        | KeeperToSupervisor::Pong => Err(BootError::out_of_turn("keeper")),
    }
}

async fn receive(channel: &KeeperChannel) -> Result<KeeperToSupervisor, String> {
    tokio::time::timeout(BOOT_PATIENCE, channel.recv())
        .await
        .map_err(|_| "it did not answer in time".to_owned())?
        .map(|received| received.message)
        .map_err(|e| e.to_string())
}

async fn load(
    channel: &KeeperChannel,
    key: KeyId,
    [certificate, private_key]: &[Opened; 2],
) -> Result<(Certificate, Facts), String> {
    let load = SupervisorToKeeper::Load { key };
    let files = [certificate.file.as_fd(), private_key.file.as_fd()];
    channel.send(&load, &files).await.map_err(|e| e.to_string())?;
    let (chain_file, private_key) = (certificate.path(), private_key.path());
    match receive(channel).await? {
        KeeperToSupervisor::Loaded {
            key,
            chain,
            schemes,
            names,
            not_before,
            not_after,
            fingerprint,
        } => {
            log_event!(
                Certificate,
                file = %chain_file.display(),
                names = names.join(" "),
                not_after = validity::date(not_after),
                sha256 = fingerprint.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            );
            let validity = Validity { not_before, not_after };
            let facts = Facts { file: chain_file.to_owned(), validity };
            Ok((Certificate { key, chain, schemes, names }, facts))
        }
        KeeperToSupervisor::NotLoaded { file, reason, .. } => Err(match file {
            CertificateFile::Certificate => {
                format!("[tls] certificate: {}: {reason}", chain_file.display())
            }
            CertificateFile::PrivateKey => {
                format!("[tls] private_key: {}: {reason}", private_key.display())
            }
        }),
        KeeperToSupervisor::Ready { .. }
        | KeeperToSupervisor::Failed(_)
        | KeeperToSupervisor::Violation { .. }
        | KeeperToSupervisor::Pong => Err("it spoke out of turn".into()),
    }
}

/// The authorities of client certificates: public, so they are read here.
fn read_authorities(path: &Path) -> Result<Vec<Bytes<MAX_CHAIN>>, String> {
    let place = || format!("[tls] client_ca: {}", path.display());
    let text = std::fs::read(path).map_err(|e| format!("{}: cannot be read: {e}", place()))?;
    let mut authorities = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let der = certificate.map_err(|e| format!("{}: is damaged PEM: {e}", place()))?;
        let der = Bytes::try_from(der.as_ref().to_vec())
            .map_err(|e| format!("{}: has a certificate that is {e}", place()))?;
        authorities.push(der);
    }
    let total: usize = authorities.iter().map(|der| der.as_slice().len()).sum();
    if authorities.is_empty() {
        return Err(format!("{}: has no certificate in it", place()));
    }
    if total > MAX_CHAIN {
        return Err(format!(
            "{}: has more than {MAX_CHAIN} bytes of certificates: name only those that sign \
             clients",
            place()
        ));
    }
    Ok(authorities)
}

/// Starts a new keeper with the certificates of now and lets it take over. The old one goes when
/// nobody may need a signature of it any more, or with the server.
///
/// # Errors
/// As [`prepare`]; the old keeper then stays.
pub async fn renew(server: &Rc<Server>) -> Result<(), BootError> {
    let config = server.config();
    let prepared = prepare(server, &config).await?;
    // A reload that was quicker has brought a keeper of its own, or has switched TLS off.
    if Rc::ptr_eq(&config, &server.config()) {
        // Gates that wait know the keys by their numbers, and the next keeper of the same files has
        // the same ones: nobody has to wait for other gates because a keeper died.
        let former = server.keeper.current();
        let same = former.is_some_and(|former| prepared.keeper.offers_what(&former));
        prepared.install(server);
        if !same {
            server.renew_gates();
        }
    }
    Ok(())
}

/// Listens to a keeper, and replaces it when it dies, until the server ends or another keeper has
/// taken over.
async fn watch(server: Rc<Server>, mut child: Child, channel: Rc<KeeperChannel>) {
    let gone = listen(&server, &channel).await;
    let how = child.wait_or_kill(gone.patience()).await;
    let cause = gone.to_string();
    if server.ending() {
        return;
    }
    if !server.keeper.is_current(&channel) {
        // It has retired, unless it did not end by itself.
        if how != Ended::Exited(0) {
            let pid = child.pid();
            log_event!(ProcessDied, role = "keeper", pid, how = %how, cause);
            server.counters.violation();
        }
        return;
    }
    let dead = Dead { role: "keeper", pid: child.pid(), how: how.to_string(), cause };
    if let Some(keeper) = server.keeper.current() {
        keeper.alive.set(false);
    }
    let start_again = async || {
        // A reload may have been quicker, or have switched TLS off.
        if server.keeper.is_current(&channel) {
            renew_boxed(Rc::clone(&server)).await?;
        }
        Ok(((), server.keeper.process().map_or(0, |(pid, _)| pid)))
    };
    replace(&server, dead, &server.keeper.pauses, start_again).await;
}

/// `watch` and `renew` call each other; the box ends the recursion of their types.
fn renew_boxed(
    server: Rc<Server>,
) -> std::pin::Pin<Box<dyn Future<Output = Result<(), BootError>>>> {
    Box::pin(async move { renew(&server).await })
}

/// Handles the keeper's messages until its channel ends or it is silent; returns why.
async fn listen(server: &Rc<Server>, channel: &KeeperChannel) -> Gone {
    let mut watch = Watch::new(Instant::now());
    loop {
        let received = tokio::select! {
            biased;
            received = channel.recv() => received,
            beat = watch.beat() => match beat {
                // One that has no room for a question does not answer it either.
                Beat::Ask => {
                    channel.try_send(&SupervisorToKeeper::Ping, &[]).ok();
                    continue;
                }
                Beat::Silent => return Gone::Silent,
            },
        };
        match received.map(|received| received.message) {
            Ok(KeeperToSupervisor::Pong) => watch.answered(Instant::now()),
            Ok(KeeperToSupervisor::Violation { session, what }) => {
                if !watch.may_accuse(std::time::Instant::now()) {
                    return Gone::Accuses;
                }
                log_event!(
                    Violation,
                    session = session.0,
                    what = crate::log::printable(&what),
                    "a signing channel asked for what it may not have"
                );
                server.counters.violation();
                server.end_session(session, "421 The session broke the rules of its channel.");
            }
            Ok(
                KeeperToSupervisor::Ready { .. }
                | KeeperToSupervisor::Failed(_)
                | KeeperToSupervisor::Loaded { .. }
                | KeeperToSupervisor::NotLoaded { .. },
            ) => return Gone::Ended("it spoke out of turn".into()),
            Err(e) => return Gone::Ended(e.to_string()),
        }
    }
}
