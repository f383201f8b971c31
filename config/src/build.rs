//! From checked values to [`Config`], and the rules that concern more than one key.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use ipc::{
    account::{Limits, Rights, TlsDemand, Uploads},
    authenticator::{AuthSettings, Backend},
    bounded::Secret,
    network::Network,
    process::LandlockDemand,
};

use super::{
    error::ConfigError,
    identity,
    model::{
        Access, Anonymous, AttemptLimits, Config, I2ftp, Identities, Log, LogFormat, LogLevel,
        Passive, PassiveAddress, Penalties, Tls,
    },
    reader::{Values, full_name},
    schema::KEYS,
    value::Value,
};

/// Builds the configuration. With errors, what it returns must not be used.
pub(super) fn config(file: &Path, values: &Values, errors: &mut Vec<ConfigError>) -> Config {
    let mut b = Builder { file, values, errors };
    let mut notes = Vec::new();
    let mut config = Config {
        file: Some(file.to_owned()),
        listen_addresses: b.addresses("", "listen_address"),
        listen_port: b.port("", "listen_port"),
        maximum_clients: b.number("", "maximum_clients"),
        max_conns_per_ip: b.number("", "max_conns_per_ip"),
        limits: b.limits(),
        login_timeout: b.number("limits", "login_timeout"),
        max_sessions_per_account: b.small("limits", "max_sessions_per_account"),
        ready_gates: b.size("limits", "ready_gates"),
        shutdown_grace: b.number("", "shutdown_grace"),
        umask: b.small("", "local_umask"),
        banner: b.text("", "banner"),
        welcome: b.text("", "welcome"),
        uploads: if b.text("", "uploads") == "atomic" { Uploads::Atomic } else { Uploads::InPlace },
        sync_uploads: b.flag("", "sync_uploads"),
        active_from_port_20: b.flag("", "active_from_port_20"),
        control_socket: b.path("", "control_socket").unwrap_or_default(),
        admin_group: b.optional_text("", "admin_group"),
        passive: b.passive(),
        auth: b.auth(),
        attempts: b.attempts(),
        anonymous: b.anonymous(),
        tls: b.tls(),
        i2ftp: b.i2ftp(),
        access: b.access(),
        penalties: b.penalties(),
        log: b.log(),
        landlock: match b.text("sandbox", "landlock").as_str() {
            "strict" => LandlockDemand::Strict,
            "off" => LandlockDemand::Off,
            _ => LandlockDemand::Required,
        },
        without_capabilities: b.texts("sandbox", "without_capabilities"),
        identities: b.identities(&mut notes),
        notes: Vec::new(),
        lines: b.lines(),
    };
    b.rules(&config);
    if let Some(i2ftp) = &config.i2ftp {
        if i2ftp.secured {
            notes.push(
                "the secured mode of I2FTP is obfuscation, not encryption; use [i2ftp] tls_port"
                    .into(),
            );
        }
        if i2ftp::Psk::judge(i2ftp.key.expose()) == Ok(i2ftp::psk::KeyStrength::Short) {
            notes.push(
                "the key of I2FTP has fewer than 32 bytes; make one with `openssl rand -hex 32`"
                    .into(),
            );
        }
    }
    config.notes = notes;
    config
}

struct Builder<'a> {
    file: &'a Path,
    values: &'a Values,
    errors: &'a mut Vec<ConfigError>,
}

impl Builder<'_> {
    fn limits(&mut self) -> Limits {
        Limits {
            upload_rate: self.number("", "max_upload_rate"),
            download_rate: self.number("", "max_download_rate"),
            idle_ctrl_timeout: self.number("", "idle_ctrl_timeout"),
            idle_data_timeout: self.number("", "idle_data_timeout"),
            accept_timeout: self.number("", "accept_timeout"),
            connect_timeout: self.number("", "connect_timeout"),
            commands_per_second: self.small("limits", "commands_per_second"),
            listing_entries: self.number("limits", "listing_entries"),
            file_size: self.number("limits", "file_size"),
        }
    }

    fn passive(&mut self) -> Passive {
        let ports = match self.value("passive", "ports") {
            Some(Value::Ports(first, last)) => (first, last),
            _ => (0, 0),
        };
        let addresses = match self.value("passive", "address") {
            Some(Value::PerNetwork(all)) => {
                all.into_iter().map(|(clients, host)| PassiveAddress { clients, host }).collect()
            }
            _ => Vec::new(),
        };
        Passive { ports, addresses }
    }

    fn auth(&mut self) -> AuthSettings {
        let backend = |word: &String| match word.as_str() {
            "pam" => Backend::Pam,
            _ => Backend::File,
        };
        let backends = self.texts("auth", "backends").iter().map(backend).collect::<Vec<_>>();
        if backends.contains(&Backend::Pam) && !cfg!(feature = "pam") {
            self.error(
                ("auth", "backends"),
                "this build of bulkhead has no PAM",
                "take \"pam\" out of the list, or build with the feature `pam`",
            );
        }
        let rights = self.texts("auth", "pam_rights");
        let rights = rights.iter().filter_map(|word| Rights::from_name(word));
        AuthSettings {
            backends,
            users_file: self.path("auth", "users_file").unwrap_or_default(),
            state_directory: self.path("", "state_directory").unwrap_or_default(),
            pam_service: self.text("auth", "pam_service"),
            allow_groups: self.texts("auth", "allow_groups"),
            allow_users: self.texts("auth", "allow_users"),
            deny_users: self.texts("auth", "deny_users"),
            minimum_uid: self.small("auth", "minimum_uid"),
            valid_shell: self.flag("auth", "valid_shell"),
            pam_session: self.flag("auth", "pam_session"),
            pam_rights: rights.fold(Rights::NONE, Rights::with),
        }
    }

    fn attempts(&mut self) -> AttemptLimits {
        AttemptLimits {
            max_attempts: self.small("auth", "max_attempts"),
            failure_delay: self.number("auth", "failure_delay"),
            max_authenticators: self.size("auth", "max_authenticators"),
            timeout: self.number("auth", "timeout"),
        }
    }

    fn anonymous(&mut self) -> Option<Anonymous> {
        let root = self.path("anonymous", "root");
        if !self.flag("anonymous", "enabled") {
            return None;
        }
        if root.is_none() {
            self.error(
                ("anonymous", "enabled"),
                "anonymous login is enabled and has no directory",
                "add `root = \"/srv/ftp\"` below [anonymous], or disable it",
            );
        }
        root.map(|root| Anonymous { root })
    }

    fn tls(&mut self) -> Option<Tls> {
        let certificates = self.paths("tls", "certificate");
        let keys = self.paths("tls", "private_key");
        let require =
            TlsDemand::from_word(&self.text("tls", "require")).unwrap_or(TlsDemand::ControlAndData);
        let tls = Tls {
            require,
            require_session_reuse: self.flag("tls", "require_session_reuse"),
            session_reuse_exempt: self.networks("tls", "session_reuse_exempt"),
            require_close_notify: self.flag("tls", "require_close_notify"),
            only_tls13: self.text("tls", "minimum_version") == "1.3",
            require_extended_master_secret: self.flag("tls", "require_extended_master_secret"),
            names: self.texts("tls", "names"),
            client_ca: self.path("tls", "client_ca"),
            require_client_certificate: self.flag("tls", "require_client_certificate"),
            client_certificate_names_account: self.flag("tls", "client_certificate_names_account"),
            implicit_port: self.port_or_off("tls", "implicit_port"),
            pairs: Vec::new(),
        };
        if certificates.len() != keys.len() {
            self.error(
                ("tls", if certificates.is_empty() { "private_key" } else { "certificate" }),
                format!("{} certificates and {} private keys", certificates.len(), keys.len()),
                "name as many `private_key` files as `certificate` files, in the same order",
            );
        }
        for (key, set) in [
            ("require_client_certificate", tls.require_client_certificate),
            ("client_certificate_names_account", tls.client_certificate_names_account),
        ] {
            if set && tls.client_ca.is_none() {
                self.error(
                    ("tls", key),
                    "client certificates matter here and no authority is named",
                    "add `client_ca = \"FILE\"` below [tls]",
                );
            }
        }
        if certificates.is_empty() {
            const REMEDY: &str = "add `certificate` and `private_key` below [tls] (`bulkhead \
                setup` makes a pair)";
            if require != TlsDemand::None {
                self.error(("tls", "require"), "TLS is demanded without a certificate", REMEDY);
            }
            if tls.implicit_port.is_some() {
                self.error(("tls", "implicit_port"), "TLS without a certificate", REMEDY);
            }
            return None;
        }
        Some(Tls { pairs: certificates.into_iter().zip(keys).collect(), ..tls })
    }

    fn i2ftp(&mut self) -> Option<I2ftp> {
        let root = self.path("i2ftp", "root");
        let account = self.optional_text("i2ftp", "account");
        let key = match self.value("i2ftp", "key_hex") {
            Some(Value::Key(bytes)) => Secret::try_from(bytes).ok(),
            _ => None,
        };
        if let Some(Err(e)) = key.as_ref().map(|key| i2ftp::Psk::judge(key.expose())) {
            self.error(("i2ftp", "key_hex"), "the key is unfit", &e.to_string());
        }
        let plain = self.flag("i2ftp", "plain");
        let settings = I2ftp {
            listen_port: plain.then(|| self.port("i2ftp", "listen_port")),
            tls_port: self.port_or_off("i2ftp", "tls_port"),
            wire_version: self.text("i2ftp", "wire_version"),
            key: key?,
            root,
            account,
            read_only: self.flag("i2ftp", "read_only"),
            secured: self.flag("i2ftp", "secured"),
            pulf_hash: self.flag("i2ftp", "pulf_hash"),
            max_unauthenticated: self.number("i2ftp", "max_unauthenticated"),
            max_unauthenticated_per_ip: self.number("i2ftp", "max_unauthenticated_per_ip"),
            allow_pctl: self.flag("i2ftp", "allow_pctl"),
        };
        self.flag("i2ftp", "enabled").then_some(settings)
    }

    fn access(&mut self) -> Access {
        let networks = |name| match self.value("access", name) {
            Some(Value::Networks(all)) => all,
            _ => Vec::new(),
        };
        Access { networks: networks("networks"), deny_networks: networks("deny_networks") }
    }

    fn penalties(&mut self) -> Penalties {
        Penalties {
            enabled: self.flag("penalties", "enabled"),
            failed_login: self.number("penalties", "failed_login"),
            no_login: self.number("penalties", "no_login"),
            grace_exceeded: self.number("penalties", "grace_exceeded"),
            violation: self.number("penalties", "violation"),
            floor: self.number("penalties", "floor"),
            ceiling: self.number("penalties", "ceiling"),
            ipv4_prefix: u8::try_from(self.number("penalties", "ipv4_prefix")).unwrap_or(32),
            ipv6_prefix: u8::try_from(self.number("penalties", "ipv6_prefix")).unwrap_or(64),
            blocks: self.size("penalties", "blocks"),
            exempt: self.networks("penalties", "exempt"),
        }
    }

    fn networks(&mut self, table: &'static str, key: &'static str) -> Vec<Network> {
        match self.value(table, key) {
            Some(Value::Networks(all)) => all,
            _ => Vec::new(),
        }
    }

    fn log(&mut self) -> Log {
        Log {
            format: match self.text("log", "format").as_str() {
                "json" => LogFormat::Json,
                _ => LogFormat::Text,
            },
            level: match self.text("log", "level").as_str() {
                "error" => LogLevel::Error,
                "warn" => LogLevel::Warn,
                "debug" => LogLevel::Debug,
                "trace" => LogLevel::Trace,
                _ => LogLevel::Info,
            },
            file: self.path("log", "file"),
        }
    }

    fn identities(&mut self, notes: &mut Vec<String>) -> Identities {
        let mut of = |role: &'static str, stand_in| {
            let name = self.text("identities", role);
            let resolved = identity::resolve(role, &name, stand_in, notes);
            resolved.unwrap_or_else(|what| {
                self.error(("identities", role), what, "name an unprivileged system user");
                ipc::account::Identity { uid: stand_in, gid: stand_in, groups: Vec::new() }
            })
        };
        Identities {
            helper: of("helper", identity::STAND_IN_HELPER),
            keeper: of("keeper", identity::STAND_IN_KEEPER),
            gate: of("gate", identity::STAND_IN_GATE),
        }
    }

    /// Rules that concern several tables.
    fn rules(&mut self, config: &Config) {
        let i2ftp_enabled = self.flag("i2ftp", "enabled");
        let enabled = ("i2ftp", "enabled");
        match &config.i2ftp {
            None if i2ftp_enabled => {
                self.error(
                    enabled,
                    "I2FTP is enabled and has no key",
                    "add `key_hex` below [i2ftp]",
                );
            }
            Some(i2ftp) if i2ftp.root.is_none() && i2ftp.account.is_none() => {
                self.error(
                    enabled,
                    "I2FTP is enabled and has neither a directory nor an account",
                    "add `root` or `account` below [i2ftp]",
                );
            }
            Some(_) | None => {}
        }
        if let (Some(i2ftp), None) = (&config.i2ftp, &config.tls)
            && i2ftp.tls_port.is_some()
        {
            self.error(
                ("i2ftp", "tls_port"),
                "I2FTP inside TLS needs a certificate",
                "add `certificate` and `private_key` below [tls]",
            );
        }
        if let (Some(i2ftp), Some(tls)) = (&config.i2ftp, &config.tls)
            && tls.require != TlsDemand::None
            && i2ftp.listen_port.is_some()
        {
            self.error(
                enabled,
                "[tls] require forbids plain connections, which I2FTP's own port is",
                "set `plain = false` and a `tls_port` below [i2ftp], or relax [tls] require",
            );
        }
        if config.auth.backends.is_empty() && config.anonymous.is_none() && config.i2ftp.is_none() {
            self.error(
                ("auth", "backends"),
                "nobody can log in: no backend, no anonymous login",
                "write `backends = [\"file\"]`",
            );
        }
        if config.penalties.floor > config.penalties.ceiling {
            self.error(
                ("penalties", "floor"),
                "the floor is above the ceiling, so that no penalty would ever act",
                "lower `floor` or raise `ceiling`",
            );
        }
        let identities = &config.identities;
        let uids = [identities.helper.uid, identities.keeper.uid, identities.gate.uid];
        let [helper, keeper, gate] = uids;
        if helper == keeper || keeper == gate || helper == gate {
            self.error(
                ("identities", "helper"),
                "two of helper, keeper and gate are the same user",
                "give each a user of its own: one could otherwise trace the other",
            );
        }
    }

    fn lines(&self) -> Vec<(String, usize)> {
        let line = |table, name| self.values.find(table, name).map_or(0, |entry| entry.line);
        KEYS.iter()
            .map(|key| (format!("{}.{}", key.table, key.name), line(key.table, key.name)))
            .filter(|(_, line)| *line > 0)
            .collect()
    }

    fn value(&self, table: &str, name: &str) -> Option<Value> {
        self.values.find(table, name).map(|entry| entry.value.clone())
    }

    fn number(&mut self, table: &'static str, name: &'static str) -> u64 {
        match self.value(table, name) {
            Some(Value::Number(number)) => number,
            other => self.mismatch(table, name, other).unwrap_or(0),
        }
    }

    fn small(&mut self, table: &'static str, name: &'static str) -> u32 {
        u32::try_from(self.number(table, name)).unwrap_or(u32::MAX)
    }

    fn size(&mut self, table: &'static str, name: &'static str) -> usize {
        usize::try_from(self.number(table, name)).unwrap_or(usize::MAX)
    }

    fn port(&mut self, table: &'static str, name: &'static str) -> u16 {
        u16::try_from(self.number(table, name)).unwrap_or(u16::MAX)
    }

    fn port_or_off(&mut self, table: &'static str, name: &'static str) -> Option<u16> {
        Some(self.port(table, name)).filter(|port| *port != 0)
    }

    fn flag(&mut self, table: &'static str, name: &'static str) -> bool {
        match self.value(table, name) {
            Some(Value::Flag(flag)) => flag,
            other => self.mismatch(table, name, other).unwrap_or(false),
        }
    }

    fn text(&mut self, table: &'static str, name: &'static str) -> String {
        match self.value(table, name) {
            Some(Value::Text(text)) => text,
            other => self.mismatch(table, name, other).unwrap_or_default(),
        }
    }

    fn texts(&mut self, table: &'static str, name: &'static str) -> Vec<String> {
        match self.value(table, name) {
            Some(Value::Texts(texts)) => texts,
            other => self.mismatch(table, name, other).unwrap_or_default(),
        }
    }

    fn optional_text(&mut self, table: &'static str, name: &'static str) -> Option<String> {
        self.value(table, name).is_some().then(|| self.text(table, name))
    }

    fn addresses(&mut self, table: &'static str, name: &'static str) -> Vec<IpAddr> {
        match self.value(table, name) {
            Some(Value::Addresses(addresses)) => addresses,
            other => self.mismatch(table, name, other).unwrap_or_default(),
        }
    }

    fn path(&mut self, table: &'static str, name: &'static str) -> Option<PathBuf> {
        let text = self.optional_text(table, name)?;
        if text.is_empty() {
            self.error((table, name), "the path is empty", "write a path, or remove the line");
        }
        Some(self.absolute(&text))
    }

    fn paths(&mut self, table: &'static str, name: &'static str) -> Vec<PathBuf> {
        if self.value(table, name).is_none() {
            return Vec::new();
        }
        let texts = self.texts(table, name);
        texts.iter().map(|text| self.absolute(text)).collect()
    }

    fn absolute(&self, text: &str) -> PathBuf {
        let directory = self.file.parent().unwrap_or(Path::new("/"));
        let path = directory.join(text);
        std::path::absolute(&path).unwrap_or(path)
    }

    /// A key whose kind in the schema is not the one it is read as here. Every test that loads a
    /// configuration sees it, so that it cannot reach a user.
    fn mismatch<T>(&mut self, table: &str, name: &str, found: Option<Value>) -> Option<T> {
        let found = if found.is_some() { "another kind" } else { "nothing" };
        self.errors.push(ConfigError {
            file: self.file.to_owned(),
            line: 0,
            what: format!("{} has {found} in the schema", full_name(table, name)),
            remedy: "this is a defect of Bulkhead: please report it".into(),
        });
        None
    }

    fn error(&mut self, key: (&str, &str), what: impl Into<String>, remedy: &str) {
        let (table, name) = key;
        let line = self.values.find(table, name).map_or(0, |entry| entry.line);
        let what = format!("{}: {}", full_name(table, name), what.into());
        self.errors.push(ConfigError {
            file: self.file.to_owned(),
            line,
            what,
            remedy: remedy.to_owned(),
        });
    }
}
