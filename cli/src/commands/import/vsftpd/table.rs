//! Every setting of vsftpd.conf(5), and what it means here.

use ipc::account::Rights;

use super::{Seen, commands, known_flag, pam_service, pasv_address, right, userlist};
use crate::{
    commands::import::{
        directive::{
            NEVER, OFF, ON, Row,
            Rule::{Closes, Lacks, Needless, Translated},
        },
        translation::Fate,
    },
    import_rows,
};

const COMPANION: &str = "it says more of another line, which is accounted for";
const LOG: &str =
    "transfers and logins are lines of one log; `[log] format = \"json\"` for programs";
const PRIVILEGE: &str = "who runs what is fixed here, and stricter";
const ALWAYS: &str = "it is always so here";
const ACTIVE: &str = "active and passive data connections cannot be switched off";

/// The table.
#[rustfmt::skip]
pub const TABLE: &[Row<Seen>] = import_rows! {
    Translated(|s, _, into| match known_flag(s) { Ok(_) => Fate::Taken, Err(fate) => { into.without_pam = true; fate } }) =>
        "listen" "listen_ipv6" "local_enable" "write_enable" "anonymous_enable" "userlist_deny";
    Translated(|s, _, into| into.text("", "listen_address", &s.value)) => "listen_address" "listen_address6";
    Translated(|s, _, into| into.number("", "listen_port", &s.value)) => "listen_port";
    Translated(|s, _, into| into.limit("", "maximum_clients", &s.value)) => "max_clients";
    Translated(|s, _, into| into.limit("", "max_conns_per_ip", &s.value)) => "max_per_ip";
    Translated(|s, _, into| into.limit("", "accept_timeout", &s.value)) => "accept_timeout";
    Translated(|s, _, into| into.limit("", "connect_timeout", &s.value)) => "connect_timeout";
    Translated(|s, _, into| into.limit("", "idle_ctrl_timeout", &s.value)) => "idle_session_timeout";
    Translated(|s, _, into| into.limit("", "idle_data_timeout", &s.value)) => "data_connection_timeout";
    Translated(|s, _, into| { into.limit("", "max_download_rate", &s.value); into.limit("", "max_upload_rate", &s.value) }) => "local_max_rate";
    Translated(|s, _, into| into.umask(&s.value)) => "local_umask";
    Translated(|s, _, into| into.text("", "banner", &s.value)) => "ftpd_banner";
    Translated(|s, _, into| match known_flag(s) { Ok(on) => into.set("", "active_from_port_20", on), Err(fate) => fate }) => "connect_from_port_20";
    Translated(|_, _, _| Fate::Taken) => "pasv_min_port" "pasv_max_port" "anon_root" "rsa_cert_file" "rsa_private_key_file";
    Translated(pasv_address) => "pasv_address";
    Translated(pam_service) => "pam_service_name";
    Translated(userlist) => "userlist_enable";
    Translated(|s, _, into| into.limit("auth", "max_attempts", &s.value)) => "max_login_fails";
    Translated(|s, _, into| match s.value.parse::<u64>() {
        Ok(seconds) => into.set("auth", "failure_delay", seconds.saturating_mul(1000).min(60_000)),
        Err(_) => Fate::opens("it is no number of seconds"),
    }) => "delay_failed_login";
    Translated(|s, _, into| match known_flag(s) { Ok(on) => into.set("auth", "pam_session", on), Err(fate) => fate }) => "session_support";
    Translated(|s, _, into| right(s, into, Rights::READ)) => "download_enable";
    Translated(|s, _, into| right(s, into, Rights::LIST)) => "dirlist_enable";
    Translated(|s, _, into| right(s, into, Rights::CHMOD)) => "chmod_enable" "mdtm_write";
    Translated(|s, _, into| commands(s, into, true)) => "cmds_allowed";
    Translated(|s, _, into| commands(s, into, false)) => "cmds_denied";
    Translated(|s, _, _| match u32::from_str_radix(&s.value, 8) {
        Ok(0o666 | 0o777) => Fate::needless("it is so here"),
        Ok(_) | Err(_) => Fate::opens("new files get their mode from local_umask alone; put what it takes away there"),
    }) => "file_open_mode";
    Translated(|s, _, _| match known_flag(s) { Ok(_) => Fate::Taken, Err(_) => Fate::opens("it is neither YES nor NO; TLS is off") }) => "ssl_enable";
    Translated(|s, _, _| match known_flag(s) { Ok(_) => Fate::Taken, Err(_) => Fate::needless("it is neither YES nor NO; TLS is demanded") }) =>
        "force_local_logins_ssl" "force_local_data_ssl";
    Translated(|s, _, _| match known_flag(s) { Ok(_) => Fate::Taken, Err(fate) => fate }) => "force_anon_logins_ssl" "force_anon_data_ssl";
    Translated(|s, _, into| match known_flag(s) { Ok(on) => into.set("tls", "require_session_reuse", on), Err(_) => Fate::needless("it is neither YES nor NO; reuse is demanded") }) => "require_ssl_reuse";
    Translated(|s, _, into| into.text("tls", "client_ca", &s.value)) => "ca_certs_file";
    Translated(|s, seen, into| match known_flag(s) {
        Ok(false) => Fate::needless("it changes nothing"),
        Ok(true) if seen.value("ca_certs_file").is_some() => into.set("tls", "require_client_certificate", true),
        Ok(true) => Fate::opens("a client certificate of any authority is demanded; name yours in [tls] client_ca and set require_client_certificate"),
        Err(fate) => fate,
    }) => "require_cert";
    Translated(|s, _, _| match known_flag(s) {
        Ok(_) => Fate::needless("a certificate that is shown is always checked against [tls] client_ca"),
        Err(fate) => fate,
    }) => "validate_cert";
    Translated(|s, _, _| match known_flag(s) {
        Ok(false) => Fate::needless("it changes nothing"),
        Ok(true) => Fate::impossible("TLS from the first byte has that port; FTP with AUTH TLS is served as well, on listen_port, and TLS is demanded there"),
        Err(_) => Fate::opens("it is neither YES nor NO"),
    }) => "implicit_ssl";
    Translated(|s, seen, _| { if s.flag() == Some(false) { seen.minimum_tls = Some("1.3"); } Fate::Taken }) => "ssl_tlsv1_2";
    Translated(|s, _, into| match known_flag(s) {
        Ok(false) => Fate::needless("it changes nothing"),
        Ok(true) | Err(_) => into.close_pam("virtual users are not system users: make an account for each (bulkhead user add --uid, or user import)"),
    }) => "guest_enable";
    Translated(|_, _, into| into.close_pam("a system user's root is his home here; make accounts with that root (bulkhead user add --root)")) => "local_root";
    Translated(|_, _, into| into.close_pam("its files, one for each user, are not read; make accounts with what they say")) => "user_config_dir";
    Translated(|s, seen, _| match s.flag() {
        Some(false) => Fate::needless("it changes nothing"),
        Some(true) | None => { seen.without_anonymous = true; Fate::closed("anonymous clients are left out, whose addresses or passwords it judges") }
    }) => "deny_email_enable" "secure_email_list_enable";
    Closes(OFF, "hosts.allow and hosts.deny are not read; write [access] networks and deny_networks") => "tcp_wrappers";
    Closes(ON, ACTIVE) => "port_enable" "pasv_enable";
    Closes(NEVER, "file names are not matched with patterns") => "deny_file" "hide_file" "download_file" "upload_file";
    Closes(OFF, "listings show the numbers of owner and group") => "hide_ids";
    Closes(ON, "FTP itself cannot be switched off") => "ftp_enable";
    Lacks(OFF, "anonymous clients can only read") => "anon_upload_enable" "anon_mkdir_write_enable" "anon_other_write_enable" "chown_uploads";
    Lacks(OFF, "a data connection belongs to the client of its control connection") => "pasv_promiscuous" "port_promiscuous";
    Lacks(OFF, "TLS before 1.2 is not spoken") => "ssl_sslv2" "ssl_sslv3" "ssl_tlsv1" "ssl_tlsv1_1";
    Lacks(OFF, "there is no such text") => "dirmessage_enable";
    Lacks(NEVER, "there is no text from a file; `banner` is one line") => "banner_file" "message_file";
    Lacks(NEVER, "there is no rate of anonymous clients alone; max_download_rate is for everybody") => "anon_max_rate";
    Lacks(OFF, "times of listings are UTC, as MDTM's are") => "use_localtime";
    Lacks(OFF, "`~` is a file name here") => "tilde_user_enable";
    Lacks(OFF, "LIST -R is not answered with everything beneath") => "ls_recurse_enable";
    Lacks(OFF, "an upload that failed stays, and is reported as failed; uploads = \"atomic\" leaves none") => "delete_failed_uploads";
    Lacks(&["0", "1"], "a login that succeeds is answered at once") => "delay_successful_login";
    Lacks(&["20"], "active data connections come from port 20 or from a random one") => "ftp_data_port";
    Lacks(NEVER, "a key of RSA or ECDSA is needed") => "dsa_cert_file" "dsa_private_key_file";
    Lacks(OFF, "there is no HTTP") => "http_enable";
    Needless("every account is confined to its root, and one that is writable is no danger here") =>
        "chroot_local_user" "chroot_list_enable" "chroot_list_file" "allow_writeable_chroot" "passwd_chroot_enable";
    Needless(COMPANION) => "userlist_file" "guest_username" "user_sub_token" "virtual_use_local_privs" "email_password_file"
        "banned_email_file" "chown_username" "chown_upload_mode" "pasv_addr_resolve" "anon_world_readable_only" "anon_umask" "ftp_username";
    Needless("PAM decides, and [auth] valid_shell wants a shell of /etc/shells besides") => "check_shell";
    Needless("anonymous clients are never asked for a real password") => "no_anon_password";
    Needless("only cipher suites with forward secrecy and AEAD are spoken") => "ssl_ciphers";
    Needless("whoever must use TLS must as anonymous client, too") => "allow_anon_ssl";
    Needless("[tls] client_ca decides whether one is asked for") => "ssl_request_cert";
    Needless(ALWAYS) => "async_abor_enable" "strict_ssl_read_eof" "strict_ssl_write_shutdown" "utf8_filesystem" "lock_upload_files" "use_sendfile" "force_dot_files";
    Needless("a client that asks for ASCII transfers gets them") => "ascii_download_enable" "ascii_upload_enable";
    Needless(PRIVILEGE) => "nopriv_user" "one_process_model" "run_as_launching_user" "secure_chroot_dir" "seccomp_sandbox" "ptrace_sandbox"
        "isolate" "isolate_network" "background" "setproctitle_enable" "trans_chunk_size";
    Needless(LOG) => "xferlog_enable" "xferlog_std_format" "xferlog_file" "vsftpd_log_file" "dual_log_enable" "syslog_enable"
        "log_ftp_protocol" "no_log_lock" "debug_ssl" "text_userdb_names";
};
