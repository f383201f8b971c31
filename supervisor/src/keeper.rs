//! The supervisor's side of the keeper: start it, let it load the keys, attach gates and sessions to
//! it, and start another one when it dies. The supervisor opens the key files and never reads them.

use std::{
    cell::{Cell, RefCell},
    fs::File,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    rc::Rc,
    time::Duration,
};

use ipc::{
    Channel,
    account::SessionId,
    bounded::Bytes,
    gate::{Certificate, GateTls},
    keeper::{
        CertificateFile, KeeperToSupervisor, KeyId, MAX_CHAIN, Sign, Signed, SupervisorToKeeper,
    },
    process::SandboxReport,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::{
    boot::{BOOT_PATIENCE, Beginner, BootError, Booted, Dead, Pauses, boot, replace},
    children::Child,
    config::Config,
    server::Server,
    wire::AsyncChannel,
};

/// Signatures one channel may have: one handshake of the control connection, and as many of data
/// connections as a session without resumption needs. The keeper limits the rate as well.
const SIGNATURES_PER_CHANNEL: u32 = 10_000;

type KeeperChannel = AsyncChannel<SupervisorToKeeper, KeeperToSupervisor>;

/// The keeper that runs now, if one does.
#[derive(Debug, Default)]
pub struct KeeperLink {
    channel: RefCell<Option<Rc<KeeperChannel>>>,
    pid: Cell<u32>,
    report: RefCell<Option<SandboxReport>>,
    certificates: RefCell<Vec<Certificate>>,
    client_ca: RefCell<Vec<Bytes<MAX_CHAIN>>>,
    next_key: Cell<u32>,
}

impl KeeperLink {
    /// A signing channel for a gate or session; `None` when TLS is off or no keeper runs.
    pub fn attach(&self, config: &Config, session: SessionId) -> Option<OwnedFd> {
        let tls12 = !config.tls.as_ref()?.only_tls13;
        let channel = self.channel.borrow().clone()?;
        let (for_worker, for_keeper) = Channel::<Sign, Signed>::pair().ok()?;
        let attach =
            SupervisorToKeeper::Attach { session, signatures: SIGNATURES_PER_CHANNEL, tls12 };
        channel.try_send(&attach, &[for_keeper.as_fd()]).ok()?;
        Some(for_worker.into_fd())
    }

    /// What gates and sessions are told about TLS; `None` when TLS is off or no key is loaded.
    pub fn gate_tls(&self, config: &Config) -> Option<GateTls> {
        let certificates = self.certificates.borrow().clone();
        let tls = config.tls.as_ref()?;
        (!certificates.is_empty())
            .then(|| tls.for_gate(certificates, self.client_ca.borrow().clone()))
    }

    /// Process id and report, when it runs.
    pub fn process(&self) -> Option<(u32, SandboxReport)> {
        self.report.borrow().clone().map(|report| (self.pid.get(), report))
    }
}

/// Starts a keeper, and has it load every certificate of the configuration.
///
/// # Errors
/// When it cannot be started or cannot raise its sandbox, or when a key cannot be loaded.
pub async fn start(server: &Rc<Server>) -> Result<Child, BootError> {
    let failed = |reason: &dyn std::fmt::Display| BootError::start("keeper", reason);
    let beginner = Beginner {
        role: "keeper",
        program: &server.programs.own,
        title: "bulkhead",
        arguments: &["keeper"],
    };
    let first = SupervisorToKeeper::Boot {
        confinement: server.confinement(&server.config().identities.keeper),
    };
    let Booted { child, channel, answer } = boot(&server.children, beginner, first).await?;
    let report = match answer {
        KeeperToSupervisor::Ready { report, memory_locked } => {
            if !memory_locked {
                tracing::warn!(
                    event = "memory-not-locked",
                    role = "keeper",
                    "the private keys may reach the swap space: set LimitMEMLOCK=256M (systemd) or \
                     `ulimit -l 262144`, or encrypt the swap space"
                );
            }
            report
        }
        KeeperToSupervisor::Failed(failure) => {
            return Err(BootError::Lockdown { role: "keeper", failure });
        }
        KeeperToSupervisor::Loaded { .. }
        | KeeperToSupervisor::NotLoaded { .. }
        | KeeperToSupervisor::Violation { .. } => return Err(BootError::out_of_turn("keeper")),
    };
    let certificates = load_all(server, &channel).await.map_err(|e| failed(&e))?;
    let client_ca = match server.config().tls.as_ref().and_then(|tls| tls.client_ca.as_deref()) {
        Some(path) => read_authorities(path).map_err(|e| failed(&e))?,
        None => Vec::new(),
    };
    let link = &server.keeper;
    link.pid.set(child.pid());
    *link.report.borrow_mut() = Some(report);
    *link.certificates.borrow_mut() = certificates;
    *link.client_ca.borrow_mut() = client_ca;
    *link.channel.borrow_mut() = Some(Rc::new(channel));
    Ok(child)
}

async fn receive(channel: &KeeperChannel) -> Result<KeeperToSupervisor, String> {
    tokio::time::timeout(BOOT_PATIENCE, channel.recv())
        .await
        .map_err(|_| "it did not answer in time".to_owned())?
        .map(|received| received.message)
        .map_err(|e| e.to_string())
}

async fn load_all(
    server: &Rc<Server>,
    channel: &KeeperChannel,
) -> Result<Vec<Certificate>, String> {
    let config = server.config();
    let Some(tls) = &config.tls else { return Ok(Vec::new()) };
    let mut certificates = Vec::new();
    for (certificate, private_key) in &tls.pairs {
        let key = KeyId(server.keeper.next_key.get());
        server.keeper.next_key.set(key.0.wrapping_add(1));
        certificates.push(load(channel, key, certificate, private_key).await?);
    }
    Ok(certificates)
}

async fn load(
    channel: &KeeperChannel,
    key: KeyId,
    certificate: &Path,
    private_key: &Path,
) -> Result<Certificate, String> {
    let open =
        |path: &Path| File::open(path).map_err(|e| format!("cannot open {}: {e}", path.display()));
    let files = [open(certificate)?, open(private_key)?];
    let load = SupervisorToKeeper::Load { key };
    channel.send(&load, &[files[0].as_fd(), files[1].as_fd()]).await.map_err(|e| e.to_string())?;
    match receive(channel).await? {
        KeeperToSupervisor::Loaded { key, chain, schemes, names, not_after, fingerprint } => {
            tracing::info!(
                event = "certificate",
                file = %certificate.display(),
                names = names.join(" "),
                not_after,
                sha256 = fingerprint.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            );
            Ok(Certificate { key, chain, schemes, names })
        }
        KeeperToSupervisor::NotLoaded { file, reason, .. } => Err(match file {
            CertificateFile::Certificate => {
                format!("[tls] certificate: {}: {reason}", certificate.display())
            }
            CertificateFile::PrivateKey => {
                format!("[tls] private_key: {}: {reason}", private_key.display())
            }
        }),
        KeeperToSupervisor::Ready { .. }
        | KeeperToSupervisor::Failed(_)
        | KeeperToSupervisor::Violation { .. } => Err("it spoke out of turn".into()),
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

/// Starts a new keeper with the certificates of now and lets it take over. The old one goes when its
/// last signing channel does, or with the server.
///
/// # Errors
/// As [`start`]; the old keeper then stays.
pub async fn renew(server: &Rc<Server>) -> Result<(), BootError> {
    let old = server.keeper.channel.borrow().clone();
    let child = start(server).await?;
    if let Some(old) = old {
        // A keeper that is gone has nothing to retire from.
        drop(old.try_send(&SupervisorToKeeper::Retire, &[]));
    }
    server.renew_gates();
    tokio::task::spawn_local(watch(Rc::clone(server), child));
    Ok(())
}

/// Listens to a keeper, and replaces it when it dies, until the server ends or another keeper has
/// taken over.
pub async fn watch(server: Rc<Server>, mut child: Child) {
    let channel = server.keeper.channel.borrow().clone();
    let Some(channel) = channel else { return };
    let cause = listen(&server, &channel).await;
    let how = child.wait_or_kill(Duration::from_millis(200)).await;
    let current = server.keeper.channel.borrow().clone();
    if server.ending() || !current.is_some_and(|current| Rc::ptr_eq(&current, &channel)) {
        return;
    }
    *server.keeper.channel.borrow_mut() = None;
    *server.keeper.report.borrow_mut() = None;
    let dead = Dead { role: "keeper", pid: child.pid(), how, cause };
    let start_again = async || {
        renew_boxed(Rc::clone(&server)).await?;
        Ok(((), server.keeper.pid.get()))
    };
    replace(&server, dead, &mut Pauses::new(), start_again).await;
}

/// `watch` and `renew` call each other; the box ends the recursion of their types.
fn renew_boxed(
    server: Rc<Server>,
) -> std::pin::Pin<Box<dyn Future<Output = Result<(), BootError>>>> {
    Box::pin(async move { renew(&server).await })
}

/// Handles the keeper's messages until its channel ends; returns why it did.
async fn listen(server: &Rc<Server>, channel: &KeeperChannel) -> String {
    loop {
        match channel.recv().await.map(|received| received.message) {
            Ok(KeeperToSupervisor::Violation { session, what }) => {
                tracing::warn!(
                    event = "violation",
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
            ) => return "it spoke out of turn".into(),
            Err(e) => return e.to_string(),
        }
    }
}
