//! What the children are told of the configuration.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipc::{
    account::{Account, Limits, TlsDemand},
    bounded::Bytes,
    gate::{Certificate, GateSettings, GateTls, Service},
    keeper::MAX_CHAIN,
    session::{FtpSettings, I2ftpSettings},
};

use crate::{Config, Tls};

impl Config {
    /// Every socket address to listen on, and what clients speak there.
    pub fn listeners(&self) -> Vec<(SocketAddr, Service)> {
        let ports = [
            (Some(self.listen_port), Service::Ftp),
            (self.tls.as_ref().and_then(|tls| tls.implicit_port), Service::FtpsImplicit),
            (self.i2ftp.as_ref().and_then(|i2ftp| i2ftp.listen_port), Service::I2ftp),
            (self.i2ftp.as_ref().and_then(|i2ftp| i2ftp.tls_port), Service::I2ftpTls),
        ];
        let mut listeners = Vec::new();
        for (port, service) in ports {
            let Some(port) = port else { continue };
            let here = |address: &IpAddr| (SocketAddr::new(*address, port), service);
            listeners.extend(self.listen_addresses.iter().map(here));
        }
        listeners
    }

    /// The limits of a session: the server's, unless the account has its own.
    pub fn limits_of(&self, account: &Account) -> Limits {
        let mut limits = self.limits.clone();
        limits.upload_rate = account.upload_rate.unwrap_or(limits.upload_rate);
        limits.download_rate = account.download_rate.unwrap_or(limits.download_rate);
        limits
    }

    /// Most sessions of an account at a time; 0 = no limit.
    pub fn max_sessions_of(&self, account: &Account) -> u32 {
        match account.max_sessions {
            0 => self.max_sessions_per_account,
            own => own,
        }
    }

    /// When TLS is demanded of everybody.
    pub fn tls_demand(&self) -> TlsDemand {
        self.tls.as_ref().map_or(TlsDemand::None, |tls| tls.require)
    }

    /// What every gate is told, before it has a client.
    pub fn gate_settings(&self, tls: Option<GateTls>) -> GateSettings {
        GateSettings {
            banner: self.banner.clone(),
            idle_ctrl_timeout: self.limits.idle_ctrl_timeout,
            login_timeout: self.login_timeout,
            commands_per_second: self.limits.commands_per_second,
            tls,
        }
    }

    /// What a session is told about FTP.
    pub fn ftp_settings(&self, passive_address: Option<Ipv4Addr>) -> FtpSettings {
        FtpSettings {
            uploads: self.uploads,
            sync_uploads: self.sync_uploads,
            passive_address,
            welcome: self.welcome.clone(),
        }
    }

    /// What PASV announces to a client: the host of the first entry of `[passive] address` that is for
    /// its network, an address or a name; `None`: the local address.
    pub fn passive_host(&self, client: IpAddr) -> Option<&str> {
        let meant = |entry: &&crate::PassiveAddress| {
            entry.clients.is_none_or(|network| network.contains(client))
        };
        self.passive.addresses.iter().find(meant).map(|entry| entry.host.as_str())
    }

    /// What a session of I2FTP is told.
    pub fn i2ftp_settings(&self) -> Option<I2ftpSettings> {
        let i2ftp = self.i2ftp.as_ref()?;
        Some(I2ftpSettings {
            key: i2ftp.key.clone(),
            wire_version: i2ftp.wire_version.clone(),
            secured: i2ftp.secured,
            pulf_hash: i2ftp.pulf_hash,
            pctl: i2ftp.allow_pctl.then(std::process::id),
        })
    }
}

impl Tls {
    /// Whether data connections of this account, from this client, must resume the control
    /// connection's session: as the account says, or else the client's network, or else the server.
    pub fn requires_session_reuse(&self, account: &Account, client: IpAddr) -> bool {
        let exempt = self.session_reuse_exempt.iter().any(|network| network.contains(client));
        account.session_reuse.unwrap_or(self.require_session_reuse && !exempt)
    }

    /// What gates and sessions are told about TLS.
    pub fn for_gate(
        &self,
        certificates: Vec<Certificate>,
        client_ca: Vec<Bytes<MAX_CHAIN>>,
    ) -> GateTls {
        GateTls {
            certificates,
            demand: self.require,
            only_tls13: self.only_tls13,
            require_extended_master_secret: self.require_extended_master_secret,
            names: self.names.clone(),
            client_ca,
            client_certificate_required: self.require_client_certificate,
        }
    }
}
