//! The configuration as the supervisor uses it: resolved types, defaults applied.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use ipc::{
    account::{Identity, Limits, TlsDemand, Uploads},
    authenticator::AuthSettings,
    bounded::Secret,
    network::Network,
    process::LandlockDemand,
};

use super::{
    build,
    error::{ConfigError, ConfigErrors},
    reader,
};

/// The whole configuration. Times are in seconds, rates in bytes per second, 0 means no limit,
/// unless a field says otherwise.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from; none for `bulkhead try`.
    pub file: Option<PathBuf>,
    /// What an administrator should know, for the log at the start.
    pub notes: Vec<String>,
    /// Addresses to listen on.
    pub listen_addresses: Vec<IpAddr>,
    /// Port of the control connection; 0 = the system chooses.
    pub listen_port: u16,
    /// Most connections at a time.
    pub maximum_clients: u64,
    /// Most connections at a time from one address (IPv6: /64).
    pub max_conns_per_ip: u64,
    /// Limits of every session, before those of its account.
    pub limits: Limits,
    /// Time to log in.
    pub login_timeout: u64,
    /// Most sessions of an account that says nothing else.
    pub max_sessions_per_account: u32,
    /// Gates kept ready.
    pub ready_gates: usize,
    /// Time transfers get when the server stops.
    pub shutdown_grace: u64,
    /// Mode bits new files do not get.
    pub umask: u32,
    /// Text of the greeting.
    pub banner: String,
    /// Text of the reply to a login.
    pub welcome: String,
    /// How uploads reach their place.
    pub uploads: Uploads,
    /// Whether uploads are synced before they are complete.
    pub sync_uploads: bool,
    /// Whether active data connections come from port 20.
    pub active_from_port_20: bool,
    /// Socket of the operator commands.
    pub control_socket: PathBuf,
    /// Group that may use it besides root.
    pub admin_group: Option<String>,
    /// Passive data connections.
    pub passive: Passive,
    /// By what rules attempts to log in are judged.
    pub auth: AuthSettings,
    /// How many there may be.
    pub attempts: AttemptLimits,
    /// Anonymous login, if it is enabled.
    pub anonymous: Option<Anonymous>,
    /// TLS, if a certificate is configured.
    pub tls: Option<Tls>,
    /// I2FTP, if it is enabled.
    pub i2ftp: Option<I2ftp>,
    /// Which clients may connect.
    pub access: Access,
    /// Penalties.
    pub penalties: Penalties,
    /// The log.
    pub log: Log,
    /// How much Landlock must be there.
    pub landlock: LandlockDemand,
    /// Capabilities that a server started as root may lack.
    pub without_capabilities: Vec<String>,
    /// Who helper, keeper and gate are, when the server runs as root.
    pub identities: Identities,
    /// Where the keys stood, for errors that are found later.
    pub(super) lines: Vec<(String, usize)>,
}

/// `[passive]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passive {
    /// First and last port; (0, 0) = the system chooses.
    pub ports: (u16, u16),
    /// What PASV announces; empty: the local address.
    pub addresses: Vec<PassiveAddress>,
}

/// What PASV announces to the clients of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassiveAddress {
    /// The clients it is for; none: all.
    pub clients: Option<Network>,
    /// An address or a host name.
    pub host: String,
}

/// `[auth]`: how many attempts to log in there may be. By what rules each is judged is in
/// [`AuthSettings`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptLimits {
    /// Failures until a connection is closed.
    pub max_attempts: u32,
    /// Milliseconds until a failure is answered.
    pub failure_delay: u64,
    /// Most attempts judged at the same time.
    pub max_authenticators: usize,
    /// Seconds one attempt may take.
    pub timeout: u64,
}

/// `[anonymous]`, enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anonymous {
    /// The directory anonymous clients see as `/`.
    pub root: PathBuf,
}

/// `[tls]`, with a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chain and private key files; the first pair is the default.
    pub pairs: Vec<(PathBuf, PathBuf)>,
    /// What must be TLS.
    pub require: TlsDemand,
    /// Whether data connections must resume the control connection's session.
    pub require_session_reuse: bool,
    /// Networks whose clients' data connections need not resume anything.
    pub session_reuse_exempt: Vec<Network>,
    /// Whether an upload must end by close_notify.
    pub require_close_notify: bool,
    /// Whether TLS 1.2 is refused.
    pub only_tls13: bool,
    /// Whether TLS 1.2 without the extended master secret is refused.
    pub require_extended_master_secret: bool,
    /// Server names a client may ask for; empty: any.
    pub names: Vec<String>,
    /// Authorities of client certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether clients need a certificate.
    pub require_client_certificate: bool,
    /// Whether a client's certificate must have the name of the account.
    pub client_certificate_names_account: bool,
    /// Port of implicit TLS.
    pub implicit_port: Option<u16>,
}

/// `[i2ftp]`, enabled.
#[derive(Debug, Clone)]
pub struct I2ftp {
    /// Its port without TLS, unless that is off; 0 = the system chooses.
    pub listen_port: Option<u16>,
    /// Port of I2FTP inside TLS.
    pub tls_port: Option<u16>,
    /// `2.1` or `2.2`.
    pub wire_version: String,
    /// The pre-shared key.
    pub key: Secret,
    /// Its root, unless the account's is used.
    pub root: Option<PathBuf>,
    /// Account of the account file.
    pub account: Option<String>,
    /// Whether nothing may be changed.
    pub read_only: bool,
    /// Secured mode.
    pub secured: bool,
    /// Whether `PULF,path,hash` is understood.
    pub pulf_hash: bool,
    /// Most clients before login, in all; 0 = no limit.
    pub max_unauthenticated: u64,
    /// Most clients before login of one address block; 0 = no limit.
    pub max_unauthenticated_per_ip: u64,
    /// Whether PCTL is answered.
    pub allow_pctl: bool,
}

/// `[access]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Blocks whose clients alone may connect; empty: all.
    pub networks: Vec<Network>,
    /// Blocks whose clients may not.
    pub deny_networks: Vec<Network>,
}

impl Access {
    /// Whether a client of this address may connect. What is denied is denied, wherever else it is.
    pub fn admits(&self, client: IpAddr) -> bool {
        let is_in = |list: &[Network]| list.iter().any(|network| network.contains(client));
        !is_in(&self.deny_networks) && (self.networks.is_empty() || is_in(&self.networks))
    }
}

/// `[penalties]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Penalties {
    /// Whether there are any.
    pub enabled: bool,
    /// Seconds for a failed login.
    pub failed_login: u64,
    /// Seconds for a connection without an attempt.
    pub no_login: u64,
    /// Seconds for exceeding the time to log in.
    pub grace_exceeded: u64,
    /// Seconds for a crash or violation.
    pub violation: u64,
    /// Seconds they must add up to before they act.
    pub floor: u64,
    /// Seconds they never exceed.
    pub ceiling: u64,
    /// Bits of an IPv4 block.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 block.
    pub ipv6_prefix: u8,
    /// Most blocks remembered.
    pub blocks: usize,
    /// Blocks without penalties.
    pub exempt: Vec<Network>,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Form of a line.
    pub format: LogFormat,
    /// Least important level.
    pub level: LogLevel,
    /// The file; none: standard error.
    pub file: Option<PathBuf>,
}

/// Form of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Importance of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is wrong.
    Warn,
    /// What happens.
    Info,
    /// Why it happens.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// Every level, most important first.
    pub const ALL: [LogLevel; 5] =
        [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];

    /// The level that the configuration writes as `name`.
    pub fn from_name(name: &str) -> Option<LogLevel> {
        LogLevel::ALL.into_iter().find(|level| level.name() == name)
    }

    /// The word of the configuration.
    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// `[identities]`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identities {
    /// Of the helper.
    pub helper: Identity,
    /// Of the keeper.
    pub keeper: Identity,
    /// Of gates and relays.
    pub gate: Identity,
}

impl Tls {
    /// The defaults of `[tls]`, with one certificate.
    pub fn with_pair(certificate: PathBuf, private_key: PathBuf) -> Tls {
        Tls {
            pairs: vec![(certificate, private_key)],
            require: TlsDemand::None,
            require_session_reuse: true,
            session_reuse_exempt: Vec::new(),
            require_close_notify: true,
            only_tls13: false,
            require_extended_master_secret: false,
            names: Vec::new(),
            client_ca: None,
            require_client_certificate: false,
            client_certificate_names_account: false,
            implicit_port: None,
        }
    }
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            let remedy = if e.kind() == std::io::ErrorKind::NotFound {
                "`bulkhead setup` writes one, `--config FILE` names another, `bulkhead try` needs \
                 none"
            } else {
                "see that it is a readable UTF-8 text file"
            };
            ConfigErrors::one(ConfigError {
                file: path.to_owned(),
                line: 0,
                what: format!("the configuration cannot be read: {e}"),
                remedy: remedy.into(),
            })
        })?;
        Config::parse(path, &text)
    }

    /// Whether a key (`table.name`, or `.name` for a flat one) stands in the file.
    pub fn is_set(&self, key: &str) -> bool {
        self.lines.iter().any(|(name, _)| name == key)
    }

    /// Reads the text of a configuration file; relative paths count from the directory of `path`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigErrors> {
        let mut errors = Vec::new();
        let (values, complete) = reader::read(path, text, &mut errors);
        // Rules about several keys would blame those that a syntax error has hidden.
        let mut of_rules = Vec::new();
        let config = build::config(path, &values, &mut of_rules);
        if complete {
            errors.append(&mut of_rules);
        }
        ConfigErrors::or_ok(errors)?;
        Ok(config)
    }

    /// The configuration of `bulkhead try`: the defaults, on 127.0.0.1:2121, with accounts, state
    /// and control socket in `scratch`. The caller makes the account that owns a root.
    ///
    /// # Errors
    /// When a system user of `[identities]` cannot be used.
    pub fn default_for_try(scratch: &Path) -> Result<Config, ConfigErrors> {
        let mut config = Config::parse(&scratch.join("bulkhead.toml"), "")?;
        config.file = None;
        config.listen_port = 2121;
        config.control_socket = scratch.join("control.sock");
        config.auth.state_directory = scratch.join("state");
        config.auth.users_file = scratch.join("users.toml");
        config.active_from_port_20 = false;
        // Everybody comes from 127.0.0.1 there, and would lock out himself.
        config.penalties.enabled = false;
        Ok(config)
    }

    /// An error about `key` (written `table.name`), with the line where it stood.
    pub fn error_at(&self, key: &str, what: String, remedy: String) -> ConfigError {
        let line = self.lines.iter().find(|(name, _)| name == key).map_or(0, |(_, line)| *line);
        ConfigError { file: self.file.clone().unwrap_or_default(), line, what, remedy }
    }
}
