//! Directives of ProFTPD that become keys.

use std::path::{Path, PathBuf};

use ipc::account::Rights;

use crate::commands::{
    console::escape,
    import::{
        directive::{Setting, flag},
        input::{self, Line, MAX_FILES, text_of},
        translation::{Fate, Translation},
    },
};

/// What several directives decide together.
#[derive(Debug, Default)]
pub struct Seen {
    tls: bool,
    certificate: Option<String>,
    key: Option<String>,
    require: Option<&'static str>,
    client_ca: bool,
    implicit: bool,
    port: Option<String>,
    no_ipv6: bool,
    inetd: bool,
    auth_pam: Option<bool>,
    auth_order: Option<bool>,
    ftpusers_off: bool,
    overwrite: bool,
    store_restart: bool,
    root_seen: bool,
    user_file: bool,
    /// Names that may not log in.
    pub denied: Vec<String>,
    /// Whether a group decides who of the system users may log in.
    pub system_users_only: bool,
    files: usize,
}

impl Seen {
    /// The lines of files that are included, in order.
    ///
    /// # Errors
    /// Why they are not read.
    pub fn included(&mut self, path: &str) -> Result<Vec<Line>, String> {
        if !path.starts_with('/') {
            return Err("its path is not absolute".into());
        }
        let mut all = Vec::new();
        for file in matching(Path::new(path))? {
            self.files = self.files.saturating_add(1);
            if self.files > MAX_FILES {
                return Err(format!("more than {MAX_FILES} files are included"));
            }
            let text = text_of(&file)
                .map_err(|_| format!("{} cannot be read", escape(&file.display().to_string())))?;
            all.extend(input::lines(&text, Some(&file)));
        }
        Ok(all)
    }

    /// Whether it is said already which clients may log in.
    pub fn says_networks(&self, into: &Translation) -> bool {
        into.has("access", "networks") || into.has("access", "deny_networks")
    }
}

/// The files of a path: itself, those of a directory, or those that a last part with `*` matches.
fn matching(path: &Path) -> Result<Vec<PathBuf>, String> {
    let shown = escape(&path.display().to_string());
    let pattern = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (directory, pattern) = match (path.is_dir(), path.parent()) {
        (true, _) => (path, "*"),
        (false, Some(parent)) if pattern.contains('*') => (parent, pattern),
        (false, _) => return Ok(vec![path.to_owned()]),
    };
    let entries = std::fs::read_dir(directory).map_err(|e| format!("{shown}: {e}"))?;
    let mut files = Vec::new();
    for entry in entries.take(MAX_FILES) {
        let entry = entry.map_err(|e| format!("{shown}: {e}"))?.path();
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if glob(pattern, &name) && !name.starts_with('.') {
            files.push(entry);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a name matches a pattern whose one special character is `*`.
fn glob(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).filter_map(|at| rest.get(at..)).any(|rest| glob(after, rest))
        }),
    }
}

/// Decides what several directives say together.
pub fn finish(seen: Seen, into: &mut Translation) {
    if !into.has("", "listen_address") && !seen.inetd {
        let all: &[&str] = if seen.no_ipv6 { &["0.0.0.0"] } else { &["0.0.0.0", "::"] };
        into.texts("", "listen_address", all);
    }
    let pam = seen.auth_order.unwrap_or(true) && seen.auth_pam != Some(false);
    if pam && !into.has("auth", "pam_service") {
        // What PAM's files say of the service decides who may log in.
        into.text("auth", "pam_service", "ftp");
    }
    if !seen.overwrite {
        into.forbid(Rights::OVERWRITE);
        into.record_default("AllowOverwrite off", Fate::Taken);
    }
    // APPE needs it as well as REST does.
    if !seen.store_restart {
        into.forbid(Rights::APPEND);
    }
    let mut denied = vec!["root".to_owned()];
    denied.extend(seen.denied.iter().cloned());
    if !seen.ftpusers_off {
        denied.extend(ftpusers(into));
    }
    if denied.len() > 1 {
        into.texts("auth", "deny_users", &denied);
    }
    if seen.system_users_only && seen.user_file {
        into.record_default(
            "AllowGroup and AuthUserFile",
            Fate::opens(
                "groups are asked for system users only; import those of AuthUserFile that \
                 are in the group",
            ),
        );
    }
    tls(&seen, into);
    into.finish_accounts(pam);
}

/// Names of /etc/ftpusers, which ProFTPD denies by default.
fn ftpusers(into: &mut Translation) -> Vec<String> {
    const FILE: &str = "/etc/ftpusers";
    if !Path::new(FILE).exists() {
        return Vec::new();
    }
    let text = "UseFtpUsers on";
    let Ok(list) = text_of(Path::new(FILE)) else {
        let fate = into.close_pam(format!("{FILE} cannot be read"));
        into.record_default(text, fate);
        return Vec::new();
    };
    into.record_default(text, Fate::Taken);
    let names = list.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    names.filter(|name| !name.chars().any(char::is_control)).map(str::to_owned).collect()
}

fn tls(seen: &Seen, into: &mut Translation) {
    if !seen.tls {
        for key in ["client_ca", "require_client_certificate", "require_session_reuse"] {
            into.unset("tls", key);
        }
        into.unset("tls", "minimum_version");
        return;
    }
    if let Some(certificate) = &seen.certificate {
        into.text("tls", "certificate", certificate);
        into.text("tls", "private_key", seen.key.as_ref().unwrap_or(certificate));
    }
    let require = seen.require.unwrap_or("none");
    if seen.implicit {
        let port = seen.port.clone().unwrap_or_else(|| "21".into());
        into.limit("tls", "implicit_port", &port);
        into.set("", "listen_port", if port == "21" { "2121" } else { "21" });
        into.text("tls", "require", if require == "none" { "control" } else { require });
    } else {
        into.text("tls", "require", require);
    }
    if into.has("tls", "require_client_certificate") && !seen.client_ca {
        into.record_default(
            "TLSVerifyClient on",
            Fate::opens("no authority is named; set [tls] client_ca"),
        );
        into.unset("tls", "require_client_certificate");
    }
}

/// Whether a directive that stands where it is not applied may have refused something: what only sets
/// a text, a path or an address has not.
pub fn closes(setting: &Setting) -> bool {
    const OPEN: &[&str] = &[
        "port",
        "defaultaddress",
        "masqueradeaddress",
        "passiveports",
        "displayconnect",
        "serverident",
        "useipv6",
        "servertype",
        "hiddenstores",
        "tlsrsacertificatefile",
        "tlsrsacertificatekeyfile",
        "tlseccertificatefile",
        "tlseccertificatekeyfile",
        "allowall",
        "transferrate",
        "umask",
    ];
    let name = setting.name.to_ascii_lowercase();
    let allows = ["allowoverwrite", "allowstorerestart", "rootlogin"].contains(&name.as_str())
        && flag(&setting.value) == Some(true);
    !allows && !OPEN.contains(&name.as_str())
}

/// A flag that must be understood.
fn known_flag(setting: &Setting) -> Result<bool, Fate> {
    let first = setting.value.split_whitespace().next().unwrap_or_default();
    flag(first).ok_or_else(|| Fate::opens("it is neither on nor off, so that it is not understood"))
}

fn first(setting: &Setting) -> &str {
    setting.value.split_whitespace().next().unwrap_or_default().trim_matches('"')
}

fn unquoted(setting: &Setting) -> &str {
    setting.value.trim_matches('"')
}

/// Whether a directive has more than its one value: for some users, groups or classes only.
fn is_for_some(setting: &Setting, words: usize) -> bool {
    setting.value.split_whitespace().count() > words
}

pub(super) fn port(s: &Setting, seen: &mut Seen, into: &mut Translation) -> Fate {
    seen.port = Some(first(s).to_owned());
    if first(s) == "0" {
        return Fate::closed("the server does not listen by it; the default port is used");
    }
    into.number("", "listen_port", first(s))
}

pub(super) fn address(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    let words = s.words();
    if words.iter().all(|word| word.parse::<std::net::IpAddr>().is_ok()) && !words.is_empty() {
        return into.texts("", "listen_address", &words);
    }
    into.text("", "listen_address", "127.0.0.1");
    Fate::closed("it is a name; the translation listens on 127.0.0.1 until listen_address is set")
}

pub(super) fn masquerade(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    let host = first(s);
    let usable = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    let address = host.parse::<std::net::Ipv4Addr>();
    if !usable || address.is_ok_and(|v4| v4.is_unspecified() || v4.is_multicast()) {
        return Fate::impossible("no client could connect to it; the local address is announced");
    }
    into.text("passive", "address", host)
}

pub(super) fn passive_ports(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    match *s.words() {
        [from, to] if from.parse::<u16>().is_ok() && to.parse::<u16>().is_ok() => {
            into.text("passive", "ports", &format!("{from}-{to}"))
        }
        _ => Fate::impossible("it is no range of ports; the default range is used"),
    }
}

/// A limit: `NAME number ["message"]`, or `none`.
fn limit(table: &'static str, name: &'static str, s: &Setting, into: &mut Translation) -> Fate {
    match first(s) {
        none if none.eq_ignore_ascii_case("none") => Fate::needless("it changes nothing"),
        number => into.limit(table, name, number),
    }
}

pub(super) fn instances(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    limit("", "maximum_clients", s, into)
}

pub(super) fn per_host(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    limit("", "max_conns_per_ip", s, into)
}

pub(super) fn per_user(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    limit("limits", "max_sessions_per_account", s, into)
}

pub(super) fn attempts(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    limit("auth", "max_attempts", s, into)
}

pub(super) fn idle(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    limit("", "idle_ctrl_timeout", s, into)
}

pub(super) fn stalled(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    limit("", "idle_data_timeout", s, into)
}

pub(super) fn login_time(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    limit("limits", "login_timeout", s, into)
}

/// One mask for files, perhaps one for directories: what either takes away is taken away.
pub(super) fn umask(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    let masks: Result<Vec<u32>, _> =
        s.words().iter().map(|word| u32::from_str_radix(word, 8)).collect();
    match masks {
        Ok(masks) if !masks.is_empty() => {
            let mask = masks.iter().fold(0, |all, mask| all | mask);
            into.umask(&format!("{mask:03o}"))
        }
        Ok(_) | Err(_) => Fate::impossible("it is not octal; new files are private"),
    }
}

pub(super) fn banner(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    match s.value.split_once(char::is_whitespace) {
        Some((on, text)) if flag(on) == Some(true) => {
            into.text("", "banner", text.trim().trim_matches('"'))
        }
        _ => Fate::needless("the greeting says no more than its text"),
    }
}

pub(super) fn ipv6(s: &Setting, seen: &mut Seen, _: &mut Translation) -> Fate {
    seen.no_ipv6 = flag(first(s)) == Some(false);
    Fate::Taken
}

pub(super) fn server_type(s: &Setting, seen: &mut Seen, _: &mut Translation) -> Fate {
    seen.inetd = !first(s).eq_ignore_ascii_case("standalone");
    match seen.inetd {
        false => Fate::needless("it is always so here"),
        true => Fate::closed(
            "a super-server decides who may connect; the translation listens on 127.0.0.1 until \
             listen_address is set",
        ),
    }
}

pub(super) fn auth_pam(s: &Setting, seen: &mut Seen, _: &mut Translation) -> Fate {
    match known_flag(s) {
        Ok(on) => {
            seen.auth_pam = Some(on);
            Fate::Taken
        }
        Err(fate) => fate,
    }
}

pub(super) fn auth_order(s: &Setting, seen: &mut Seen, _: &mut Translation) -> Fate {
    let is_system = |word: &&str| {
        ["mod_auth_pam", "mod_auth_unix"].iter().any(|module| word.starts_with(module))
    };
    seen.auth_order = Some(s.words().iter().any(is_system));
    Fate::Taken
}

pub(super) fn pam_service(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    let name = first(s);
    let usable = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(usable) {
        return into.close_pam("it is no name of a PAM service");
    }
    into.text("auth", "pam_service", name)
}

pub(super) fn user_file(_: &Setting, seen: &mut Seen, _: &mut Translation) -> Fate {
    seen.user_file = true;
    Fate::impossible("take its accounts over with `bulkhead user import FILE`")
}

pub(super) fn valid_shell(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    match known_flag(s) {
        Ok(on) => into.set("auth", "valid_shell", on),
        Err(_) => Fate::needless("it is neither on nor off; a valid shell is demanded"),
    }
}

pub(super) fn use_ftpusers(s: &Setting, seen: &mut Seen, _: &mut Translation) -> Fate {
    seen.ftpusers_off = flag(first(s)) == Some(false);
    Fate::Taken
}

pub(super) fn overwrite(s: &Setting, seen: &mut Seen, _: &mut Translation) -> Fate {
    seen.overwrite = flag(first(s)) == Some(true) && !is_for_some(s, 1);
    Fate::Taken
}

pub(super) fn store_restart(s: &Setting, seen: &mut Seen, into: &mut Translation) -> Fate {
    seen.store_restart = flag(first(s)) == Some(true);
    if seen.store_restart { Fate::Taken } else { into.forbid(Rights::APPEND) }
}

/// `DefaultRoot ~` is what is always so here. Another directory is not the root of system users here,
/// who would reach their homes instead.
pub(super) fn default_root(s: &Setting, seen: &mut Seen, into: &mut Translation) -> Fate {
    let first_of_several = !std::mem::replace(&mut seen.root_seen, true);
    match first(s) {
        "~" | "~/" if first_of_several || is_for_some(s, 1) => {
            Fate::needless("every account is confined to its root")
        }
        "~" | "~/" => Fate::needless("every account is confined to its root"),
        _ => into.close_pam(
            "a system user's root is his home here; make accounts with that root (bulkhead user add \
             --root)",
        ),
    }
}

pub(super) fn engine(s: &Setting, seen: &mut Seen, _: &mut Translation) -> Fate {
    match known_flag(s) {
        Ok(on) => {
            seen.tls = on;
            Fate::Taken
        }
        Err(fate) => fate,
    }
}

pub(super) fn certificate(s: &Setting, seen: &mut Seen, _: &mut Translation) -> Fate {
    seen.certificate.get_or_insert_with(|| unquoted(s).to_owned());
    Fate::Taken
}

pub(super) fn key(s: &Setting, seen: &mut Seen, _: &mut Translation) -> Fate {
    seen.key.get_or_insert_with(|| unquoted(s).to_owned());
    Fate::Taken
}

/// mod_tls.html, TLSRequired. What is not understood demands everything.
pub(super) fn required(s: &Setting, seen: &mut Seen, _: &mut Translation) -> Fate {
    seen.require = Some(match first(s).to_ascii_lowercase().as_str() {
        "off" | "no" | "false" | "0" | "!data" => "none",
        "ctrl" | "control" | "auth" | "ctrl+!data" | "auth+!data" => "control",
        _ => "control+data",
    });
    Fate::Taken
}

pub(super) fn client_ca(s: &Setting, seen: &mut Seen, into: &mut Translation) -> Fate {
    seen.client_ca = true;
    into.text("tls", "client_ca", unquoted(s))
}

pub(super) fn verify_client(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    match first(s).to_ascii_lowercase().as_str() {
        "off" | "no" | "optional" => Fate::needless("a certificate is checked and not demanded"),
        _ => into.set("tls", "require_client_certificate", true),
    }
}

/// Options of mod_tls that close nothing.
const TLS_OPTIONS: &[&str] = &[
    "AllowClientRenegotiation",
    "AllowClientRenegotiations",
    "AllowDotLogin",
    "AllowPerUser",
    "AllowWeakDH",
    "AllowWeakSecurity",
    "EnableDiags",
    "ExportCertData",
    "IgnoreSNI",
    "NoAutoECDH",
    "NoCertRequest",
    "NoEmptyFragments",
    "StdEnvVars",
];

pub(super) fn tls_options(s: &Setting, seen: &mut Seen, into: &mut Translation) -> Fate {
    let mut unknown = Vec::new();
    for word in s.words() {
        match word {
            "NoSessionReuseRequired" => {
                into.set("tls", "require_session_reuse", false);
            }
            "UseImplicitSSL" => seen.implicit = true,
            known if TLS_OPTIONS.contains(&known) => {}
            other => unknown.push(escape(other)),
        }
    }
    match unknown.is_empty() {
        true => Fate::Taken,
        false => Fate::opens(format!("not to be had here: {}", unknown.join(" "))),
    }
}

pub(super) fn protocol(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    let words = s.words();
    match words.as_slice() {
        [only] if only.eq_ignore_ascii_case("TLSv1.3") => {
            into.text("tls", "minimum_version", "1.3")
        }
        all if all.iter().any(|word| word.contains("1.2") || word.eq_ignore_ascii_case("all")) => {
            Fate::needless("TLS 1.2 and 1.3 are spoken")
        }
        _ => Fate::impossible("TLS 1.2 and 1.3 are spoken, and nothing older"),
    }
}

/// `MaxStoreFileSize 5 Gb [user …]`.
pub(super) fn store_size(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    let words = s.words();
    let unit = |word: &str| match word.to_ascii_lowercase().as_str() {
        "gb" => Some(1u64 << 30),
        "mb" => Some(1 << 20),
        "kb" => Some(1 << 10),
        "b" => Some(1),
        _ => None,
    };
    match words.as_slice() {
        ["*", ..] | ["none"] => Fate::needless("it changes nothing"),
        [number, suffix] => match (number.parse::<u64>(), unit(suffix)) {
            (Ok(number), Some(unit)) => {
                into.set("limits", "file_size", number.saturating_mul(unit))
            }
            _ => Fate::opens("it is no size"),
        },
        _ => Fate::opens("the size for some users only cannot be limited"),
    }
}

/// `TransferRate RETR,STOR 2.5[:free-bytes]`, in KiB per second. With more words it is for some users.
pub(super) fn rate(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    let [commands, rate] = *s.words() else {
        return Fate::impossible("it is for some users: give their accounts a rate");
    };
    // Kept in whole bytes: two decimals of KiB are exact enough for a limit.
    let kib = rate.split(':').next().unwrap_or_default();
    let (whole, part) = kib.split_once('.').unwrap_or((kib, ""));
    let hundredths = format!("{part:0<2}").chars().take(2).collect::<String>();
    let (Ok(whole), Ok(hundredths)) = (whole.parse::<u64>(), hundredths.parse::<u64>()) else {
        return Fate::impossible("it is no rate");
    };
    let bytes = whole.saturating_mul(1024).saturating_add(hundredths.saturating_mul(1024) / 100);
    for command in commands.split(',') {
        match command.to_ascii_uppercase().as_str() {
            "RETR" => into.set("", "max_download_rate", bytes),
            "STOR" | "APPE" | "STOU" => into.set("", "max_upload_rate", bytes),
            _ => return Fate::impossible("only downloads and uploads have a rate"),
        };
    }
    Fate::Taken
}

pub(super) fn hidden_stores(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    match flag(first(s)) {
        Some(false) => Fate::needless("it is so here"),
        Some(true) | None => into.text("", "uploads", "atomic"),
    }
}

/// The filter that Debian ships, against listings of many directories at once.
pub(super) fn deny_filter(s: &Setting, _: &mut Seen, _: &mut Translation) -> Fate {
    match s.value.as_str() {
        "\\*.*/" => Fate::needless("what one listing costs is bounded"),
        _ => Fate::opens("arguments are not matched with expressions"),
    }
}

/// `Protocols ftp ftps`: what else there is besides FTP is not to be had here.
pub(super) fn protocols(s: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    let has = |name: &str| s.words().iter().any(|word| word.eq_ignore_ascii_case(name));
    match (has("ftp"), has("ftps")) {
        (true, _) => Fate::needless("FTP is served"),
        (false, true) => into.text("tls", "require", "control"),
        (false, false) => Fate::opens("FTP cannot be switched off"),
    }
}
