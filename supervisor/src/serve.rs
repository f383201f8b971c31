//! `bulkhead serve`: from the configuration to the running server, and to its end.

use std::{path::Path, process::ExitCode, rc::Rc, time::Duration};

use config::Config;
use config::fips;
use ipc::{gate::Service, process::Confinement};
use policy::{Features, LockedDown, Role};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::LocalSet,
};

use crate::{
    children::Children,
    helper, keeper,
    listen::{self, Listener},
    log, login,
    notify::Notifier,
    operator, passive_names, pool,
    programs::Programs,
    server::{Phase, Server},
};

/// What is told about a server that has begun to serve: where it listens, and the layers that are up.
pub type Ready = Box<dyn FnOnce(&[Listener], &[String])>;

/// What the caller wants to know or decide, besides the configuration.
#[derive(Default)]
pub struct Hooks {
    /// Where the configuration came from: read again on SIGHUP.
    pub source: Option<std::path::PathBuf>,
    /// Where systemd starts the helper; without it, the supervisor does.
    pub helper_socket: Option<std::path::PathBuf>,
    /// Called once the server accepts clients, with where it listens and the layers that are up.
    pub ready: Option<Ready>,
}

/// Runs the server until SIGTERM, SIGINT or a drain has ended it.
///
/// Exit code 0 after an orderly end; 1 when it could not start: a layer of the sandbox that cannot
/// be raised, a port that is taken, a missing program.
pub fn run(config: Config, hooks: Hooks) -> ExitCode {
    let ended = start(config, hooks);
    if let Err(reason) = &ended {
        log_event!(NotServing, "{reason}");
    }
    log::flush();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bulkhead: not serving: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn start(config: Config, hooks: Hooks) -> Result<(), String> {
    judge_fips(&config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("the event loop cannot be started: {e}"))?;
    let programs = Programs::open(hooks.helper_socket.clone())?;
    let children = Children::new().map_err(|e| format!("/dev/null cannot be opened: {e}"))?;
    let privileged = nix::unistd::geteuid().is_root();
    judge_capabilities(&config, privileged)?;
    let adopted = adopt_listeners(&config)?;
    let control = operator::open(&config)?;
    raise_descriptor_limit(config.maximum_clients);
    raise_locked_memory_limit();
    let _locked_down = lock_down(&config)?;
    log::run_writer()?;
    LocalSet::new().block_on(&runtime, async {
        let server = Server::new(config, programs, children, privileged)
            .map_err(|e| format!("the event loop cannot be started: {e}"))?;
        serve(server, adopted, control, hooks).await
    })
}

fn judge_fips(config: &Config) -> Result<(), String> {
    fips::objection(config, Path::new(fips::INDICATOR)).map_or(Ok(()), Err)
}

/// A server of root without a capability that its policy needs would leave layers out without a word.
/// What the configuration names may be missing, and is warned of at each start.
fn judge_capabilities(config: &Config, privileged: bool) -> Result<(), String> {
    if !privileged {
        return Ok(());
    }
    let policy = policy::policy_of(Role::Supervisor).map_err(|e| e.to_string())?;
    let (allowed, missing): (Vec<_>, Vec<_>) = policy::lacking(&policy)
        .into_iter()
        .partition(|lacking| config.without_capabilities.contains(lacking));
    if !missing.is_empty() {
        return Err(format!(
            "root lacks these capabilities here: {}. Grant them (systemd: CapabilityBoundingSet=; a \
             container: --cap-add), or name those it shall do without in `[sandbox] \
             without_capabilities`, which lists what is lost",
            missing.join(", ")
        ));
    }
    for capability in allowed {
        log_event!(MissingCapability, capability, "docs/configure.md says what is lost");
    }
    Ok(())
}

/// The supervisor keeps its identity: it has to start processes of every account.
fn lock_down(config: &Config) -> Result<LockedDown, String> {
    let confinement = Confinement { identity: None, landlock: config.landlock };
    policy::lockdown(Role::Supervisor, &confinement, Features::NONE, None).map_err(|failure| {
        format!("the supervisor's sandbox layer \"{}\": {}", failure.layer, failure.reason)
    })
}

/// Takes over what systemd listens for.
fn adopt_listeners(config: &Config) -> Result<Vec<Listener>, String> {
    let listeners = listen::adopt()?;
    for Listener { address, service, .. } in &listeners {
        if let Some(table) = missing_table(config, *service) {
            return Err(format!(
                "systemd listens on {address} for a service that is not configured; fill in {table}, \
                 or stop that socket unit"
            ));
        }
    }
    Ok(listeners)
}

/// What the configuration lacks for a service.
fn missing_table(config: &Config, service: Service) -> Option<&'static str> {
    let (configured, table) = match service {
        Service::Ftp => (true, ""),
        Service::FtpsImplicit => (config.tls.is_some(), "[tls]"),
        Service::I2ftp => (config.i2ftp.is_some(), "[i2ftp]"),
        Service::I2ftpTls => (config.i2ftp.is_some() && config.tls.is_some(), "[i2ftp] and [tls]"),
    };
    (!configured).then_some(table)
}

/// Lets the helper listen where the configuration says, but for what systemd listens for already.
async fn open_listeners(server: &Server, adopted: &[Listener]) -> Result<Vec<Listener>, String> {
    let (mut opened, mut reasons) = (Vec::new(), Vec::new());
    for (address, service) in server.config().listeners() {
        if adopted.iter().any(|listener| listener.service == service) {
            continue;
        }
        match listen::open(&server.helper, address, service).await {
            Ok(listener) => opened.push(listener),
            Err(reason) => reasons.push(reason),
        }
    }
    if reasons.is_empty() { Ok(opened) } else { Err(reasons.join("; ")) }
}

/// Section 8 of the protocol's description says what it protects: little.
fn warn_of_bare_i2ftp(listeners: &[Listener]) {
    for listener in listeners {
        if listener.service == Service::I2ftp && !listener.address.ip().is_loopback() {
            log_event!(
                UnprotectedI2ftp,
                address = %listener.address,
                "I2FTP without TLS protects neither names nor contents, in no mode; offer it in a \
                 network you trust, or inside TLS ([i2ftp] tls_port)"
            );
        }
    }
}

/// The keeper locks all of its memory, and has no capability that would let it pass the limit.
fn raise_locked_memory_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let wanted = ipc::keeper::LOCKED_MEMORY;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_MEMLOCK)
        && soft < wanted
    {
        // Not allowed rootless; the keeper then says that its memory is not locked.
        setrlimit(Resource::RLIMIT_MEMLOCK, wanted, wanted.max(hard)).ok();
    }
}

/// Descriptors of the supervisor that one client may take: connection, the copy of it that is watched,
/// two channels, two processes, and a relay's or a signing channel's ends on their way.
const DESCRIPTORS_PER_CLIENT: u64 = 8;

/// Raises the limit of descriptors to what the clients may take.
fn raise_descriptor_limit(maximum_clients: u64) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let wanted = maximum_clients.saturating_mul(DESCRIPTORS_PER_CLIENT).saturating_add(200);
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard).is_err() {
            log_event!(DescriptorLimit, soft, wanted, "the limit stays");
        }
        if hard < wanted {
            log_event!(
                DescriptorLimit,
                hard,
                wanted,
                "fewer clients than maximum_clients fit; raise LimitNOFILE, or lower maximum_clients"
            );
        }
    }
}

/// The signals the server answers.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn catch() -> Result<Signals, String> {
        let catch = |kind| signal(kind).map_err(|e| format!("signals cannot be caught: {e}"));
        Ok(Signals {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            reload: catch(SignalKind::hangup())?,
        })
    }
}

async fn serve(
    server: Rc<Server>,
    mut listeners: Vec<Listener>,
    control: operator::Control,
    mut hooks: Hooks,
) -> Result<(), String> {
    let signals = Signals::catch()?;
    let notifier = Notifier::from_environment();
    let source = hooks.source.take();
    tokio::task::spawn_local(Rc::clone(&server.hang_ups).tell());
    let for_names = Rc::clone(&server);
    tokio::task::spawn_local(async move {
        let reconfigured = async || for_names.reconfigured().await;
        passive_names::keep(&for_names.passive_names, || for_names.config(), reconfigured).await;
    });
    listeners.extend(start_helper(&server, &listeners).await?);
    warn_of_bare_i2ftp(&listeners);
    start_processes(&server).await?;
    // Only now, or a process that ends while the server starts would begin to fill the pool twice.
    tokio::task::spawn_local(sweep_pool(Rc::clone(&server)));
    passive_names::first_lookup(&server.passive_names, &server.config()).await;
    let addresses: Vec<String> = listeners.iter().map(|l| l.address.to_string()).collect();
    server.set_listening(addresses.clone());
    for layer in server.layers() {
        log_event!(Layer, "{layer}");
    }
    if let Some(ready) = hooks.ready.take() {
        ready(&listeners, &server.layers());
    }
    let listening = addresses.join(" ");
    log_event!(Serving, listening, version = env!("CARGO_PKG_VERSION"));
    tokio::task::spawn_local(keeper::watch_files(Rc::clone(&server)));
    for listener in listeners {
        tokio::task::spawn_local(listen::accept_clients(Rc::clone(&server), listener));
    }
    let (wishes, mut wished) = tokio::sync::mpsc::unbounded_channel();
    let _control = control.answer(Rc::clone(&server), wishes);
    let (mut terminate, mut interrupt, mut reload) =
        (signals.terminate, signals.interrupt, signals.reload);
    notifier.ready();
    let watchdog = notifier.feed_watchdog();
    tokio::pin!(watchdog);
    let mut watched = true;
    let reason = loop {
        tokio::select! {
            () = &mut watchdog, if watched => watched = false,
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            _ = reload.recv() => {
                notifier.reloading();
                reread(&server, source.as_deref()).await.unwrap_or_default();
                crate::log::reopen();
                notifier.ready();
            }
            Some(wish) = wished.recv() => match wish {
                operator::Wish::Drain => {
                    server.enter_phase(Phase::Draining);
                    log_event!(Draining);
                    tokio::task::spawn_local(finish_drained(Rc::clone(&server)));
                }
                operator::Wish::Reload(answer) => {
                    let done = reread(&server, source.as_deref()).await;
                    crate::log::reopen();
                    // An operator who no longer listens has the log.
                    answer.send(done).ok();
                }
            },
            () = drained(&server) => break "drained",
        }
    };
    notifier.stopping();
    log_event!(Ending, reason);
    end(&server).await;
    server.log_refusals();
    log_event!(Ended);
    Ok(())
}

/// Starts the helper, and gives the listening sockets it has opened.
async fn start_helper(server: &Rc<Server>, adopted: &[Listener]) -> Result<Vec<Listener>, String> {
    let helper = helper::start(server).await.map_err(|e| e.to_string())?;
    let opened = open_listeners(server, adopted).await?;
    tokio::task::spawn_local(helper::watch(Rc::clone(server), helper));
    if server.config().active_from_port_20 && !server.helper.low_ports() {
        log_event!(
            NoPort20,
            "active connections come from a random port: ports below 1024 need root or \
             CAP_NET_BIND_SERVICE"
        );
    }
    Ok(opened)
}

/// Keeper, an authenticator and one gate must have got ready before anybody is served, as the helper
/// has by now (I11).
async fn start_processes(server: &Rc<Server>) -> Result<(), String> {
    let config = server.config();
    if config.tls.is_some() {
        keeper::prepare(server, &config).await.map_err(|e| e.to_string())?.install(server);
    }
    let report = login::rehearse(server, &server.config()).await.map_err(|e| e.to_string())?;
    server.set_authenticator(report);
    let gate = pool::start(server).await.map_err(|e| e.to_string())?;
    server.pool.put(gate);
    server.pool.refill(server);
    Ok(())
}

/// Replaces gates that die while they wait.
async fn sweep_pool(server: Rc<Server>) {
    loop {
        server.children.one_has_ended().await;
        server.pool.sweep(&server);
    }
}

/// Reads the configuration again. What is wrong with it is logged, and the old one stays.
///
/// Gives the keys that have changed and need a restart.
async fn reread(server: &Rc<Server>, source: Option<&Path>) -> Result<Vec<&'static str>, String> {
    let result = async {
        let source = source.ok_or("this server has no configuration file")?;
        let config = Config::load(source).map_err(|e| e.to_string())?;
        judge_fips(&config)?;
        // All that can fail comes before anything changes.
        let keeper = match config.tls {
            Some(_) => Some(keeper::prepare(server, &config).await.map_err(|e| e.to_string())?),
            None => None,
        };
        let restart = config::restart::keys(&server.config(), &config);
        raise_descriptor_limit(config.maximum_clients);
        server.reconfigure(config, keeper);
        Ok(restart)
    }
    .await;
    match &result {
        Ok(keys) => {
            log_event!(Reloaded);
            if !keys.is_empty() {
                let restart = keys.join(" ");
                log_event!(RestartNeeded, restart, "all other changes are in force");
            }
        }
        Err(e) => log_event!(NotReloaded, "the old settings stay: {e}"),
    }
    result
}

/// Resolves when a draining server has nobody left.
async fn drained(server: &Rc<Server>) {
    loop {
        if server.phase() == Phase::Draining && server.sessions.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn finish_drained(server: Rc<Server>) {
    server.finish_all();
}

/// Sessions finish their transfers, as long as the grace period lasts; then everything ends.
async fn end(server: &Rc<Server>) {
    server.enter_phase(Phase::Draining);
    server.finish_all();
    let grace = Duration::from_secs(server.config().shutdown_grace);
    let empty = async {
        while !server.sessions.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(grace, empty).await.is_err() {
        log_event!(GraceOver, sessions = server.sessions.rows().len());
        server
            .sessions
            .order_all(&crate::sessions::Order::Kick("421 The server is going down.".into()));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    server.enter_phase(Phase::Ending);
    server.pool.empty();
    let patience = Duration::from_secs(server.config().attempts.timeout);
    server.pam_sessions.closed(patience).await;
    server.children.end_all().await;
    if !server.pam_sessions.is_empty() {
        // Their processes have just been ended; let the connections notice.
        let ended = async {
            while !server.sessions.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(2), ended).await.unwrap_or_default();
        server.pam_sessions.closed(patience).await;
        server.children.end_all().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_for_what_is_not_configured_names_the_table() {
        let config = Config::parse(Path::new("bulkhead.toml"), "").unwrap();
        let missing = |service| missing_table(&config, service);
        assert_eq!(missing(Service::Ftp), None);
        assert_eq!(missing(Service::FtpsImplicit), Some("[tls]"));
        assert_eq!(missing(Service::I2ftp), Some("[i2ftp]"));
        assert_eq!(missing(Service::I2ftpTls), Some("[i2ftp] and [tls]"));
    }
}
