//! proftpd.conf: directives and `<Section>`s. The server's own section is translated; what stands in
//! sections for one host, directory or command is named.

use super::{Translation, flag, lines, umask};

/// Directives that concern something Bulkhead always does, or never has to.
const NEEDLESS: &[&str] = &[
    "allowoverwrite",
    "allowretrieverestart",
    "allowstorerestart",
    "defaultroot",
    "defaultserver",
    "deferwelcome",
    "delayengine",
    "group",
    "identlookups",
    "listoptions",
    "multilinerfc2228",
    "quotaengine",
    "ratios",
    "rootlogin",
    "servername",
    "servertype",
    "showsymlinks",
    "systemlog",
    "transferlog",
    "user",
    "usereversedns",
    "controlsengine",
    "controlsmaxclients",
    "controlslog",
    "controlsinterval",
    "controlssocket",
    "admincontrolsengine",
    "denyfilter",
    "tlslog",
    "pidfile",
    "scoreboardfile",
    "wtmplog",
    "usesendfile",
    "timesgmt",
    "persistentpasswd",
    "serveradmin",
];

/// Translates.
pub(super) fn translate(text: &str, into: &mut Translation) {
    let mut sections: Vec<String> = Vec::new();
    let mut seen = Seen { ipv6: true, ..Seen::default() };
    for (number, line) in lines(text) {
        if line.starts_with("</") {
            sections.pop();
        } else if let Some(section) = line.strip_prefix('<') {
            let section = section.trim_end_matches('>').to_owned();
            if sections.is_empty() && !is_transparent(&section) {
                open(number, &section, into);
            }
            sections.push(section);
        } else if sections.iter().all(|section| is_transparent(section)) {
            let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            directive(number, name, value.trim(), &mut seen, into);
        } else {
            let section = sections.first().map_or("", String::as_str);
            into.leave(number, format!("{line}, inside <{section}>"));
        }
    }
    seen.finish(into);
}

/// What several directives decide together.
#[derive(Default)]
struct Seen {
    ipv6: bool,
    tls: bool,
    certificate: Option<String>,
    key: Option<String>,
    require: Option<&'static str>,
}

fn is_transparent(section: &str) -> bool {
    let name = section.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    ["ifmodule", "global", "ifdefine"].contains(&name.as_str())
}

/// A section that is not translated. An `<Anonymous>` may ask for a password or admit a few hosts
/// only, so none is opened to everybody here.
fn open(line: usize, section: &str, into: &mut Translation) {
    let name = section.split_whitespace().next().unwrap_or_default();
    if name.eq_ignore_ascii_case("anonymous") {
        into.leave(
            line,
            format!(
                "<{section}>: if everybody may read it, set `root` and `enabled = true` below \
                 [anonymous]"
            ),
        );
    } else {
        into.leave(line, format!("<{section}> and what stands in it"));
    }
}

fn directive(line: usize, name: &str, value: &str, seen: &mut Seen, into: &mut Translation) {
    let words: Vec<&str> = value.split_whitespace().collect();
    let first = words.first().copied().unwrap_or_default();
    let unquoted = value.trim_matches('"');
    let on = flag(first).unwrap_or(false);
    match name.to_ascii_lowercase().as_str() {
        "port" => into.number(line, "", "listen_port", first),
        "defaultaddress" => into.text("", "listen_address", first),
        "useipv6" => seen.ipv6 = on,
        "maxinstances" | "maxclients" if first != "none" => {
            into.number(line, "", "maximum_clients", first);
        }
        "maxclientsperhost" if first != "none" => into.number(line, "", "max_conns_per_ip", first),
        "maxclientsperuser" if first != "none" => {
            into.number(line, "limits", "max_sessions_per_account", first);
        }
        "timeoutidle" => into.number(line, "", "idle_ctrl_timeout", first),
        "timeoutstalled" => into.number(line, "", "idle_data_timeout", first),
        "timeoutlogin" => into.number(line, "limits", "login_timeout", first),
        "maxloginattempts" => into.number(line, "auth", "max_attempts", first),
        "umask" => umask(line, first, into),
        "serverident" if on => match value.split_once('"') {
            Some((_, text)) => into.text("", "banner", text.trim_end_matches('"')),
            None => into.leave(line, "ServerIdent without a text"),
        },
        "hiddenstores" if on => into.text("", "uploads", "atomic"),
        "passiveports" => match words.as_slice() {
            [first, last, ..] => into.text("passive", "ports", &format!("{first}-{last}")),
            _ => into.leave(line, "PassivePorts without two ports"),
        },
        "masqueradeaddress" => into.text("passive", "address", first),
        "requirevalidshell" => into.set("auth", "valid_shell", on),
        "authorder" => {
            let pam = words
                .iter()
                .any(|word| word.starts_with("mod_auth_pam") || *word == "mod_auth_unix.c");
            let all: &[&str] = if pam { &["file", "pam"] } else { &["file"] };
            into.texts("auth", "backends", all);
        }
        "authuserfile" => into.leave(
            line,
            format!("AuthUserFile: take its accounts over with `bulkhead user import {unquoted}`"),
        ),
        "authgroupfile" => into.leave(line, "AuthGroupFile: accounts name their groups themselves"),
        "transferrate" => rate(line, &words, into),
        "tlsengine" => seen.tls = on,
        "tlsrsacertificatefile" | "tlseccertificatefile" => {
            seen.certificate = Some(unquoted.to_owned());
        }
        "tlsrsacertificatekeyfile" | "tlseccertificatekeyfile" => {
            seen.key = Some(unquoted.to_owned());
        }
        "tlsrequired" => {
            seen.require = match first.to_ascii_lowercase().as_str() {
                "on" | "auth+data" => Some("control+data"),
                "ctrl" | "auth" => Some("control"),
                _ => Some("none"),
            };
        }
        "tlsprotocol" if words == ["TLSv1.3"] => into.text("tls", "minimum_version", "1.3"),
        "tlsprotocol" => into.text("tls", "minimum_version", "1.2"),
        "tlscacertificatefile" => into.text("tls", "client_ca", unquoted),
        "tlsverifyclient" => into.set("tls", "require_client_certificate", on),
        "tlsoptions" if words.contains(&"NoSessionReuseRequired") => {
            into.set("tls", "require_session_reuse", false);
        }
        needless if NEEDLESS.contains(&needless) => {}
        "serverident" | "hiddenstores" | "maxinstances" | "maxclients" | "maxclientsperhost"
        | "maxclientsperuser" => {}
        "include" => into.leave(line, format!("Include {value}: translate that file as well")),
        _ => into.leave(line, format!("{name} {value}: there is no such setting")),
    }
}

/// `TransferRate RETR,STOR 512` in kilobytes per second.
fn rate(line: usize, words: &[&str], into: &mut Translation) {
    let (commands, rate) = match words {
        [commands, rate, ..] => (*commands, rate.split(':').next().unwrap_or_default()),
        _ => ("", ""),
    };
    let Some(bytes) = rate.parse::<f64>().ok().filter(|rate| (0.0..1e9).contains(rate)) else {
        return into.leave(line, "TransferRate without a rate");
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked"
    )]
    let bytes = (bytes * 1024.0) as u64;
    for (verbs, key) in [(["STOR", "APPE"], "max_upload_rate"), (["RETR", ""], "max_download_rate")]
    {
        if commands.split(',').any(|verb| !verb.is_empty() && verbs.contains(&verb)) {
            into.set("", key, bytes);
        }
    }
    if words.len() > 2 {
        into.leave(line, "TransferRate: its classes; the rate now is everybody's");
    }
}

impl Seen {
    fn finish(self, into: &mut Translation) {
        if !into.has("", "listen_address") {
            let all: &[&str] = if self.ipv6 { &["0.0.0.0", "::"] } else { &["0.0.0.0"] };
            into.texts("", "listen_address", all);
        }
        if !into.has("auth", "backends") {
            into.texts("auth", "backends", &["file", "pam"]);
        }
        if let (true, Some(certificate)) = (self.tls, &self.certificate) {
            into.text("tls", "certificate", certificate);
            into.text("tls", "private_key", self.key.as_ref().unwrap_or(certificate));
            into.text("tls", "require", self.require.unwrap_or("none"));
        }
    }
}
