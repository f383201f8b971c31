//! vsftpd.conf(5): `name=value`, one per line; of two lines with one name the last counts.

mod table;

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use ipc::account::Rights;

pub use self::table::TABLE;
use super::{
    ImportError,
    directive::{Setting, fate, find},
    input::{Input, Place, text_of},
    translation::{Fate, Translation},
};

/// What several settings decide together: all of them, by name.
#[derive(Debug, Default)]
pub struct Seen {
    all: BTreeMap<String, Setting>,
    /// Names that alone may log in, by `userlist_deny=NO`.
    allowed: Option<Vec<String>>,
    /// Why anonymous clients are refused.
    without_anonymous: bool,
    minimum_tls: Option<&'static str>,
}

impl Seen {
    /// A flag; vsftpd's own default where no line sets it. What is neither yes nor no is no flag.
    fn flag(&self, name: &str, default: bool) -> bool {
        self.all.get(name).map_or(Some(default), Setting::flag).unwrap_or(default)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.all.get(name).map(|setting| setting.value.as_str()).filter(|value| !value.is_empty())
    }

    fn place(&self, name: &str) -> Option<Place> {
        self.all.get(name).map(|setting| setting.place.clone())
    }
}

/// Translates.
///
/// # Errors
/// When it is no file of vsftpd.
pub fn translate(input: &Input) -> Result<Translation, ImportError> {
    let mut settings = Vec::new();
    let mut broken = Vec::new();
    for line in &input.lines {
        match line.text.split_once('=') {
            Some((name, value)) => settings.push(Setting {
                place: line.place.clone(),
                name: name.trim().to_owned(),
                value: value.trim().to_owned(),
            }),
            None => broken.push(line),
        }
    }
    let known = settings.iter().filter(|setting| find(TABLE, &setting.name).is_some()).count();
    if !input.lines.is_empty() && known.saturating_mul(2) < input.lines.len() {
        return Err(input.other_file("most of its lines are no settings of vsftpd.conf(5)"));
    }
    let mut into = Translation::default();
    let mut seen = Seen::default();
    for line in broken {
        into.record(line.clone(), Fate::opens("there is no `=`, so that it is not understood"));
    }
    for setting in settings {
        if let Some(earlier) = seen.all.insert(setting.name.clone(), setting) {
            into.record(&earlier, Fate::needless("a later line replaces it"));
        }
    }
    let all: Vec<Setting> = seen.all.values().cloned().collect();
    for setting in &all {
        let fate = match (setting.value.is_empty(), find(TABLE, &setting.name)) {
            (true, Some(_)) => Fate::needless("it is empty"),
            _ => fate(TABLE, setting, &mut seen, &mut into),
        };
        into.record(setting, fate);
    }
    finish(&mut seen, &mut into);
    Ok(into)
}

fn finish(seen: &mut Seen, into: &mut Translation) {
    listen(seen, into);
    passive(seen, into);
    tls(seen, into);
    accounts(seen, into);
    anonymous(seen, into);
}

/// Without `listen` it runs under a super-server, which decides about addresses, ports and clients.
fn listen(seen: &Seen, into: &mut Translation) {
    let (ipv4, ipv6) = (seen.flag("listen", false), seen.flag("listen_ipv6", false));
    if into.has("", "listen_address") {
        return;
    }
    match (ipv4, ipv6) {
        (_, true) => drop(into.texts("", "listen_address", &["0.0.0.0", "::"])),
        (true, false) => drop(into.text("", "listen_address", "0.0.0.0")),
        (false, false) => into.record_default(
            "listen=NO",
            Fate::closed(
                "a super-server (inetd, xinetd, systemd) decides who may connect; the translation \
                 listens on 127.0.0.1 until listen_address is set",
            ),
        ),
    }
}

fn passive(seen: &Seen, into: &mut Translation) {
    let port = |name| seen.value(name).map(str::parse::<u16>);
    match (port("pasv_min_port"), port("pasv_max_port")) {
        (None, None) => {}
        (Some(Ok(first)), Some(Ok(last))) if first != 0 && first <= last => {
            into.text("passive", "ports", &format!("{first}-{last}"));
        }
        (first, last) => {
            let why = "a range needs a first and a last port; the default range is used";
            for (name, port) in [("pasv_min_port", first), ("pasv_max_port", last)] {
                if let (Some(place), Some(_)) = (seen.place(name), port) {
                    into.change(&place, Fate::impossible(why));
                }
            }
        }
    }
}

fn tls(seen: &Seen, into: &mut Translation) {
    if !seen.flag("ssl_enable", false) {
        for key in ["client_ca", "require_client_certificate", "require_session_reuse"] {
            into.unset("tls", key);
        }
        for (name, setting) in &seen.all {
            let concerns_tls = name.contains("ssl") || name.starts_with("rsa_");
            if name != "ssl_enable" && (concerns_tls || name.contains("cert")) {
                into.change(&setting.place, Fate::needless("ssl_enable is NO"));
            }
        }
        return;
    }
    // Where vsftpd looks when nothing is said.
    let certificate =
        seen.value("rsa_cert_file").unwrap_or("/usr/share/ssl/certs/vsftpd.pem").to_owned();
    let key = seen.value("rsa_private_key_file").unwrap_or(&certificate).to_owned();
    into.text("tls", "certificate", &certificate);
    into.text("tls", "private_key", &key);
    if let Some(version) = seen.minimum_tls {
        into.text("tls", "minimum_version", version);
    }
    let implicit = seen.flag("implicit_ssl", false);
    let anonymous = seen.flag("anonymous_enable", true);
    let logins = implicit
        || seen.flag("force_local_logins_ssl", true)
        || (anonymous && seen.flag("force_anon_logins_ssl", false));
    let data = seen.flag("force_local_data_ssl", true)
        || (anonymous && seen.flag("force_anon_data_ssl", false));
    let require = match (logins, data) {
        (_, true) => "control+data",
        (true, false) => "control",
        (false, false) => "none",
    };
    into.text("tls", "require", require);
    if implicit {
        let port = seen.value("listen_port").unwrap_or("21").to_owned();
        into.limit("tls", "implicit_port", &port);
        let plain = if port == "21" { "2121" } else { "21" };
        into.set("", "listen_port", plain);
    }
}

fn accounts(seen: &mut Seen, into: &mut Translation) {
    let local = seen.flag("local_enable", false);
    if local && !seen.flag("write_enable", false) {
        into.rights = Rights::READ_ONLY.without(Rights::READ_ONLY.without(into.rights));
    }
    if local && seen.value("pam_service_name").is_none() {
        // What PAM's files say of the service decides who may log in.
        into.text("auth", "pam_service", "ftp");
    }
    if let Some(allowed) = &seen.allowed {
        if allowed.is_empty() {
            into.without_pam = true;
            seen.without_anonymous = true;
        } else {
            into.texts("auth", "allow_users", allowed);
            seen.without_anonymous |= !allowed.iter().any(|name| accounts::is_anonymous(name));
        }
    }
    into.finish_accounts(local);
}

/// Anonymous clients: none where the old server had a rule for them that there is not here.
fn anonymous(seen: &Seen, into: &mut Translation) {
    let Some(setting) = seen.all.get("anonymous_enable") else { return };
    if setting.flag() != Some(true) {
        return;
    }
    let root = seen.value("anon_root").filter(|root| root.starts_with('/')).map(str::to_owned);
    let Some(root) = root.filter(|_| !seen.without_anonymous) else {
        into.unset("anonymous", "root");
        let why = if seen.without_anonymous {
            "another line restricts them in a way that is not to be had here; nobody logs in \
             anonymously"
        } else {
            "anon_root is not set; set `root` and `enabled = true` below [anonymous]"
        };
        into.change(&setting.place, Fate::closed(why));
        return;
    };
    into.set("anonymous", "enabled", true);
    into.text("anonymous", "root", &root);
    if seen.flag("anon_world_readable_only", true) && !belongs_to_root(Path::new(&root)) {
        into.record_default(
            "anon_world_readable_only=YES",
            Fate::opens(format!(
                "anonymous clients read as the owner of {} what is not for everybody; give it to root",
                crate::commands::console::escape(&root)
            )),
        );
    }
}

/// Anonymous clients of a directory of root are nobody, who reads what everybody may.
fn belongs_to_root(root: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(root).is_ok_and(|metadata| metadata.uid() == 0)
}

/// A flag that must be understood.
fn known_flag(setting: &Setting) -> Result<bool, Fate> {
    setting
        .flag()
        .ok_or_else(|| Fate::opens("it is neither YES nor NO, so that it is not understood"))
}

/// A right that a flag takes away when it is NO.
fn right(setting: &Setting, into: &mut Translation, right: Rights) -> Fate {
    match known_flag(setting) {
        Ok(true) => Fate::needless("it is on here unless an account is told otherwise"),
        Ok(false) => into.forbid(right),
        Err(fate) => fate,
    }
}

fn userlist(setting: &Setting, seen: &mut Seen, into: &mut Translation) -> Fate {
    match known_flag(setting) {
        Ok(false) => return Fate::needless("the list is not used"),
        Ok(true) => {}
        Err(fate) => return fate,
    }
    let denies = seen.flag("userlist_deny", true);
    let file = seen.value("userlist_file").unwrap_or("/etc/vsftpd.user_list").to_owned();
    let Ok(text) = text_of(Path::new(&file)) else {
        seen.without_anonymous = true;
        let file = crate::commands::console::escape(&file);
        return into.close_pam(format!("{file} cannot be read; import where it is"));
    };
    let names: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    if names.iter().any(|name| name.chars().any(char::is_control)) {
        seen.without_anonymous = true;
        return into.close_pam("the list has names with control characters");
    }
    if !denies {
        seen.allowed = Some(names);
        return Fate::Taken;
    }
    seen.without_anonymous |= names.iter().any(|name| accounts::is_anonymous(name));
    let mut all = vec!["root".to_owned()];
    all.extend(names);
    into.texts("auth", "deny_users", &all)
}

fn pam_service(setting: &Setting, _: &mut Seen, into: &mut Translation) -> Fate {
    let usable = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if setting.value.starts_with('.') || !setting.value.bytes().all(usable) {
        return into.close_pam("it is no name of a PAM service");
    }
    into.text("auth", "pam_service", &setting.value)
}

fn pasv_address(setting: &Setting, seen: &mut Seen, into: &mut Translation) -> Fate {
    match setting.value.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) if !v4.is_unspecified() && !v4.is_multicast() && !v4.is_broadcast() => {
            into.text("passive", "address", &setting.value)
        }
        Ok(_) => Fate::impossible("no client could connect to it; the local address is announced"),
        Err(_) if seen.flag("pasv_addr_resolve", false) && is_host(&setting.value) => {
            into.text("passive", "address", &setting.value)
        }
        Err(_) => Fate::impossible("it is no address; the local one is announced"),
    }
}

fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
}

/// Commands by the right they need. A right stays where each command that uses it is allowed.
const COMMANDS: &[(Rights, &[&str])] = &[
    (Rights::LIST, &["LIST", "NLST", "STAT", "SIZE", "MDTM"]),
    (Rights::READ, &["RETR"]),
    (Rights::WRITE, &["STOR"]),
    (Rights::OVERWRITE, &["STOR"]),
    (Rights::APPEND, &["APPE", "STOR", "REST"]),
    (Rights::DELETE, &["DELE"]),
    (Rights::RENAME, &["RNFR", "RNTO"]),
    (Rights::MKDIR, &["MKD", "XMKD"]),
    (Rights::RMDIR, &["RMD", "XRMD"]),
    (Rights::CHMOD, &["SITE", "MDTM"]),
];

fn commands(setting: &Setting, into: &mut Translation, allowed: bool) -> Fate {
    let listed: Vec<String> =
        setting.value.split(',').map(|word| word.trim().to_ascii_uppercase()).collect();
    let may = |command: &str| listed.iter().any(|word| word == command) == allowed;
    for (right, commands) in COMMANDS {
        // Old forms of a command's name need not be listed with it.
        let needed = commands.iter().filter(|command| !command.starts_with('X') || !allowed);
        if !needed.copied().all(may) {
            into.forbid(*right);
        }
    }
    if ["PORT", "EPRT", "PASV", "EPSV"].into_iter().all(may) {
        return Fate::Taken;
    }
    Fate::opens(
        "the rights are cut as it says; but PORT, EPRT, PASV and EPSV, some of which are refused \
         there, cannot be refused here",
    )
}
