//! vsftpd.conf(5): `name=value`, one per line.

use super::{Translation, flag, lines, umask};

/// Settings that concern something Bulkhead always does, or never has to.
const NEEDLESS: &[&str] = &[
    "ascii_download_enable",
    "ascii_upload_enable",
    "async_abor_enable",
    "background",
    "chroot_local_user",
    "hide_ids",
    "ls_recurse_enable",
    "nopriv_user",
    "one_process_model",
    "passwd_chroot_enable",
    "port_enable",
    "pasv_enable",
    "run_as_launching_user",
    "seccomp_sandbox",
    "secure_chroot_dir",
    "session_support",
    "setproctitle_enable",
    "ssl_sslv2",
    "ssl_sslv3",
    "ssl_ciphers",
    "ssl_tlsv1",
    "ssl_tlsv1_1",
    "tcp_wrappers",
    "text_userdb_names",
    "tilde_user_enable",
    "use_sendfile",
    "xferlog_enable",
    "dual_log_enable",
    "syslog_enable",
    "log_ftp_protocol",
    "trans_chunk_size",
    "local_enable",
    "check_shell",
    "dsa_cert_file",
    "dsa_private_key_file",
    "ssl_request_cert",
    "allow_anon_ssl",
    "validate_cert",
];

/// Translates.
pub(super) fn translate(text: &str, into: &mut Translation) {
    let mut seen = Seen::default();
    for (number, line) in lines(text) {
        match line.split_once('=') {
            Some((name, value)) => setting(number, name.trim(), value.trim(), &mut seen, into),
            None => into.leave(number, format!("{line}: there is no `=`")),
        }
    }
    seen.finish(into);
}

/// What several settings decide together.
#[derive(Default)]
struct Seen {
    local: bool,
    writes: bool,
    ipv4: bool,
    ipv6: bool,
    ssl: bool,
    logins_ssl: Option<bool>,
    data_ssl: Option<bool>,
    certificate: Option<String>,
    key: Option<String>,
    ports: (Option<String>, Option<String>),
    implicit: bool,
}

fn setting(line: usize, name: &str, value: &str, seen: &mut Seen, into: &mut Translation) {
    let on = flag(value).unwrap_or(false);
    match name {
        "listen" => seen.ipv4 = on,
        "listen_ipv6" => seen.ipv6 = on,
        "listen_address" | "listen_address6" => into.text("", "listen_address", value),
        "listen_port" => into.number(line, "", "listen_port", value),
        "max_clients" => into.number(line, "", "maximum_clients", value),
        "max_per_ip" => into.number(line, "", "max_conns_per_ip", value),
        "accept_timeout" => into.number(line, "", "accept_timeout", value),
        "connect_timeout" => into.number(line, "", "connect_timeout", value),
        "idle_session_timeout" => into.number(line, "", "idle_ctrl_timeout", value),
        "data_connection_timeout" => into.number(line, "", "idle_data_timeout", value),
        "local_max_rate" => {
            into.number(line, "", "max_upload_rate", value);
            into.number(line, "", "max_download_rate", value);
        }
        "local_umask" => umask(line, value, into),
        "ftpd_banner" => into.text("", "banner", value),
        "connect_from_port_20" => into.set("", "active_from_port_20", on),
        "pasv_min_port" => seen.ports.0 = Some(value.to_owned()),
        "pasv_max_port" => seen.ports.1 = Some(value.to_owned()),
        "pasv_address" => into.text("passive", "address", value),
        "anonymous_enable" => into.set("anonymous", "enabled", on),
        "anon_root" => into.text("anonymous", "root", value),
        "pam_service_name" => into.text("auth", "pam_service", value),
        "local_enable" if on => seen.local = true,
        "write_enable" => seen.writes = on,
        "max_login_fails" => into.number(line, "auth", "max_attempts", value),
        "delay_failed_login" => {
            into.number(line, "auth", "failure_delay", &format!("{value}000"));
        }
        "ssl_enable" => seen.ssl = on,
        "rsa_cert_file" => seen.certificate = Some(value.to_owned()),
        "rsa_private_key_file" => seen.key = Some(value.to_owned()),
        "force_local_logins_ssl" => seen.logins_ssl = Some(on),
        "force_local_data_ssl" => seen.data_ssl = Some(on),
        "require_ssl_reuse" => into.set("tls", "require_session_reuse", on),
        "ca_certs_file" => into.text("tls", "client_ca", value),
        "require_cert" if on => into.set("tls", "require_client_certificate", true),
        "implicit_ssl" => seen.implicit = on,
        "ssl_tlsv1_2" if !on => into.text("tls", "minimum_version", "1.3"),
        "ssl_tlsv1_2" | "require_cert" => {}
        "anon_upload_enable" | "anon_mkdir_write_enable" | "anon_other_write_enable" if on => {
            into.leave(line, format!("{name}: anonymous clients can only read"));
        }
        "anon_upload_enable" | "anon_mkdir_write_enable" | "anon_other_write_enable" => {}
        needless if NEEDLESS.contains(&needless) => {}
        other => into.leave(line, format!("{other}={value}: there is no such setting")),
    }
}

impl Seen {
    fn finish(self, into: &mut Translation) {
        if !into.has("", "listen_address") {
            match (self.ipv4, self.ipv6) {
                (_, true) => into.texts("", "listen_address", &["0.0.0.0", "::"]),
                (_, false) => into.text("", "listen_address", "0.0.0.0"),
            }
        }
        if self.local {
            into.texts("auth", "backends", &["file", "pam"]);
            if !self.writes {
                into.texts("auth", "pam_rights", &["list", "read"]);
            }
        }
        if let (Some(first), Some(last)) = (&self.ports.0, &self.ports.1) {
            let all = if first == "0" { "0-0".to_owned() } else { format!("{first}-{last}") };
            into.text("passive", "ports", &all);
        }
        if let (true, Some(certificate)) = (self.ssl, &self.certificate) {
            into.text("tls", "certificate", certificate);
            into.text("tls", "private_key", self.key.as_ref().unwrap_or(certificate));
            // Both are on in vsftpd once ssl_enable is.
            let require = match (self.logins_ssl.unwrap_or(true), self.data_ssl.unwrap_or(true)) {
                (true, true) => "control+data",
                (true, false) => "control",
                (false, _) => "none",
            };
            into.text("tls", "require", require);
            if self.implicit {
                into.set("tls", "implicit_port", 990);
            }
        }
    }
}
