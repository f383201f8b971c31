//! pure-ftpd.conf: `Directive value`, one per line; a directory with a file per directive is read as
//! the same.

use super::{Translation, flag, lines, umask};

/// Directives that concern something Bulkhead always does, or never has to.
const NEEDLESS: &[&str] = &[
    "AllowAnonymousFXP",
    "AllowUserFXP",
    "AnonymousCanCreateDirs",
    "AnonymousCantUpload",
    "AntiWarez",
    "BrokenClientsCompatibility",
    "ChrootEveryone",
    "CustomerProof",
    "Daemonize",
    "DontResolve",
    "FSCharset",
    "IPV4Only",
    "IPV6Only",
    "LogPID",
    "NoTruncate",
    "PIDFile",
    "SyslogFacility",
    "TLSCipherSuite",
    "VerboseLog",
];

/// Translates.
pub(super) fn translate(text: &str, into: &mut Translation) {
    let mut seen = Seen::default();
    for (number, line) in lines(text) {
        let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        directive(number, name, value.trim(), &mut seen, into);
    }
    seen.finish(into);
}

/// What several directives decide together.
#[derive(Default)]
struct Seen {
    pam: bool,
    forbidden: Vec<&'static str>,
    certificate: Option<(String, String)>,
    tls: Option<&'static str>,
}

fn directive(line: usize, name: &str, value: &str, seen: &mut Seen, into: &mut Translation) {
    let words: Vec<&str> = value.split_whitespace().map(|word| word.trim_matches('"')).collect();
    let first = words.first().copied().unwrap_or_default();
    let on = flag(first).unwrap_or(false);
    match name {
        "MaxClientsNumber" => into.number(line, "", "maximum_clients", first),
        "MaxClientsPerIP" => into.number(line, "", "max_conns_per_ip", first),
        "MaxIdleTime" => match first.parse::<u64>() {
            Ok(minutes) => into.set("", "idle_ctrl_timeout", minutes.saturating_mul(60)),
            Err(_) => into.leave(line, format!("MaxIdleTime {value} is no number")),
        },
        "LimitRecursion" => into.number(line, "limits", "listing_entries", first),
        "PassivePortRange" => match words.as_slice() {
            [first, last, ..] => into.text("passive", "ports", &format!("{first}-{last}")),
            _ => into.leave(line, "PassivePortRange without two ports"),
        },
        "ForcePassiveIP" => into.text("passive", "address", first),
        "Bind" => {
            let (address, port) = first.split_once(',').unwrap_or((first, ""));
            if !address.is_empty() {
                into.text("", "listen_address", address);
            }
            if !port.is_empty() {
                into.number(line, "", "listen_port", port);
            }
        }
        "UserBandwidth" => bandwidth(line, first, into),
        "Umask" => {
            let (files, directories) = first.split_once(':').unwrap_or((first, first));
            umask(line, directories, into);
            if files != directories {
                into.leave(
                    line,
                    format!("Umask {files} of files: files and directories share {directories}"),
                );
            }
        }
        "MinUID" => into.number(line, "auth", "minimum_uid", first),
        "PAMAuthentication" | "UnixAuthentication" => seen.pam |= on,
        "PureDB" => into.leave(
            line,
            "PureDB: take its accounts over with `bulkhead user import /etc/pure-ftpd/pureftpd.passwd`",
        ),
        "PerUserLimits" => {
            let most = first.split(':').next().unwrap_or_default();
            into.number(line, "limits", "max_sessions_per_account", most);
        }
        "NoChmod" if on => seen.forbidden.push("chmod"),
        "NoRename" if on => seen.forbidden.push("rename"),
        "KeepAllFiles" if on => seen.forbidden.extend(["delete", "overwrite", "rename", "rmdir"]),
        "TLS" => {
            seen.tls = match first {
                "1" => Some("none"),
                "2" => Some("control"),
                "3" => Some("control+data"),
                _ => None,
            };
        }
        "CertFile" => seen.certificate = Some((first.to_owned(), first.to_owned())),
        "CertFileAndKey" => match words.as_slice() {
            [certificate, key, ..] => {
                seen.certificate = Some(((*certificate).to_owned(), (*key).to_owned()));
            }
            _ => into.leave(line, "CertFileAndKey without two files"),
        },
        "NoAnonymous" | "AnonymousOnly" if on == (name == "AnonymousOnly") => into.leave(
            line,
            format!("{name} {value}: name a directory with `root` below [anonymous] and enable it"),
        ),
        "NoAnonymous" | "AnonymousOnly" | "NoChmod" | "NoRename" | "KeepAllFiles" => {}
        needless if NEEDLESS.contains(&needless) => {}
        _ => into.leave(line, format!("{name} {value}: there is no such setting")),
    }
}

/// `UserBandwidth 8`, `8:16` or `:16`, upload:download in kilobytes per second.
fn bandwidth(line: usize, text: &str, into: &mut Translation) {
    let (upload, download) = text.split_once(':').unwrap_or((text, text));
    for (rate, key) in [(upload, "max_upload_rate"), (download, "max_download_rate")] {
        match rate.parse::<u64>() {
            Ok(kilobytes) => into.set("", key, kilobytes.saturating_mul(1024)),
            Err(_) if rate.is_empty() => {}
            Err(_) => into.leave(line, format!("UserBandwidth {text} is no rate")),
        }
    }
}

impl Seen {
    fn finish(self, into: &mut Translation) {
        if !into.has("", "listen_address") {
            into.texts("", "listen_address", &["0.0.0.0", "::"]);
        }
        let all: &[&str] = if self.pam { &["file", "pam"] } else { &["file"] };
        into.texts("auth", "backends", all);
        if !self.forbidden.is_empty() {
            let rights: Vec<&str> = ipc::account::Rights::READ_WRITE
                .names()
                .filter(|right| !self.forbidden.contains(right))
                .collect();
            into.texts("auth", "pam_rights", &rights);
        }
        if let Some(require) = self.tls {
            // Where pure-ftpd looks when nothing is said.
            let default = "/etc/ssl/private/pure-ftpd.pem";
            let (certificate, key) =
                self.certificate.unwrap_or_else(|| (default.to_owned(), default.to_owned()));
            into.text("tls", "certificate", &certificate);
            into.text("tls", "private_key", &key);
            into.text("tls", "require", require);
        }
    }
}
