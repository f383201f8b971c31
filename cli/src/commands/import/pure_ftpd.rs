//! Pure-FTPd: `Name value` in a file, or a directory with a file for each name.

mod table;

use ipc::account::Rights;

pub use self::table::TABLE;
use super::{
    ImportError,
    directive::{Setting, fate, find, flag},
    input::Input,
    translation::{Fate, Translation},
};

/// What several settings decide together.
#[derive(Debug, Default)]
pub struct Seen {
    pam: bool,
    /// Where accounts come from that `bulkhead user import` takes over.
    imports: bool,
    anonymous_only: bool,
    certificate: Option<(String, String)>,
    tls: Option<&'static str>,
    addresses: Option<&'static [&'static str]>,
}

/// Whether Pure-FTPd has a setting of this name, for its directory of files.
pub fn is_setting(name: &str) -> bool {
    TABLE.iter().any(|row| row.name == name)
}

/// Translates.
///
/// # Errors
/// When it is no file of Pure-FTPd.
pub fn translate(input: &Input) -> Result<Translation, ImportError> {
    let settings: Vec<Setting> = input
        .lines
        .iter()
        .map(|line| {
            let (name, value) =
                line.text.split_once(char::is_whitespace).unwrap_or((&line.text, ""));
            let value = value.trim().to_owned();
            Setting { place: line.place.clone(), name: name.to_owned(), value }
        })
        .collect();
    let known = settings.iter().filter(|setting| find(TABLE, &setting.name).is_some()).count();
    if known.saturating_mul(2) < settings.len() {
        return Err(input.other_file("most of its lines are no settings of Pure-FTPd"));
    }
    let mut into = Translation::default();
    let mut seen = Seen::default();
    for setting in &settings {
        let fate = fate(TABLE, setting, &mut seen, &mut into);
        into.record(setting, fate);
    }
    finish(seen, &mut into);
    Ok(into)
}

fn finish(seen: Seen, into: &mut Translation) {
    if !into.has("", "listen_address") {
        into.texts("", "listen_address", seen.addresses.unwrap_or(&["0.0.0.0", "::"]));
    }
    if seen.anonymous_only {
        into.without_pam = true;
    }
    if seen.imports && into.rights != Rights::READ_WRITE {
        let rights: Vec<&str> = into.rights.names().collect();
        into.record_default(
            "rights of the accounts that are imported",
            Fate::opens(format!(
                "pam_rights is for system users; take the others over with `bulkhead user import \
                 FILE --rights {}`",
                rights.join(",")
            )),
        );
    }
    into.finish_accounts(seen.pam);
    if let Some(require) = seen.tls {
        // Where pure-ftpd looks when nothing is said.
        let default = "/etc/ssl/private/pure-ftpd.pem";
        let (certificate, key) =
            seen.certificate.unwrap_or_else(|| (default.to_owned(), default.to_owned()));
        into.text("tls", "certificate", &certificate);
        into.text("tls", "private_key", &key);
        into.text("tls", "require", require);
    }
}

fn known_flag(setting: &Setting) -> Result<bool, Fate> {
    setting
        .flag()
        .ok_or_else(|| Fate::opens("it is neither yes nor no, so that it is not understood"))
}

/// Rights that a flag takes away when it is yes.
fn forbids(setting: &Setting, into: &mut Translation, rights: Rights) -> Fate {
    match known_flag(setting) {
        Ok(true) => into.forbid(rights),
        Ok(false) => Fate::needless("it changes nothing"),
        Err(fate) => {
            into.forbid(rights);
            fate
        }
    }
}

fn system_users(setting: &Setting, seen: &mut Seen, into: &mut Translation, pam: bool) -> Fate {
    match known_flag(setting) {
        Ok(true) => {
            seen.pam = true;
            if pam {
                into.text("auth", "pam_service", "pure-ftpd");
            }
            Fate::Taken
        }
        Ok(false) => Fate::Taken,
        Err(fate) => fate,
    }
}

/// Two masks or one, with `:` or space between: for files and for directories.
fn umask(setting: &Setting, into: &mut Translation) -> Fate {
    let masks: Result<Vec<u32>, _> = setting
        .value
        .split([':', ' '])
        .filter(|word| !word.is_empty())
        .map(|word| u32::from_str_radix(word, 8))
        .collect();
    match masks {
        // The first is for files, of which every bit beyond 666 says nothing.
        Ok(masks) if !masks.is_empty() => {
            let files = masks.first().copied().unwrap_or(0o077) & 0o666;
            let others = masks.get(1).copied().unwrap_or(files);
            into.umask(&format!("{:03o}", files | others))
        }
        Ok(_) | Err(_) => Fate::impossible("it is not octal; new files are private"),
    }
}

/// KiB per second, for uploads and downloads: `8`, `8:16`, `8:`.
fn bandwidth(setting: &Setting, into: &mut Translation) -> Fate {
    let text = setting.value.replace(' ', ":");
    let (up, down) = text.split_once(':').unwrap_or((&text, &text));
    for (name, rate) in [("max_upload_rate", up), ("max_download_rate", down)] {
        match rate.parse::<u64>() {
            Ok(rate) => drop(into.set("", name, rate.saturating_mul(1024))),
            Err(_) if rate.is_empty() => {}
            Err(_) => return Fate::impossible("it is no rate"),
        }
    }
    Fate::Taken
}

/// `Bind 192.0.2.1,21`: address, or port, or both.
fn bind(setting: &Setting, into: &mut Translation) -> Fate {
    let (address, port) = setting.value.split_once([',', ' ']).unwrap_or((&setting.value, ""));
    if !port.is_empty()
        && let Fate::Impossible(why) = into.number("", "listen_port", port.trim())
    {
        return Fate::Impossible(why);
    }
    match address.parse::<std::net::IpAddr>() {
        Ok(_) => into.text("", "listen_address", address),
        Err(_) if address.is_empty() => Fate::Taken,
        Err(_) => {
            into.text("", "listen_address", "127.0.0.1");
            Fate::closed(
                "it is a name; the translation listens on 127.0.0.1 until listen_address \
                 is set",
            )
        }
    }
}

/// `0` to `3`: off, allowed, demanded for the control connection, demanded for both.
fn tls(setting: &Setting, seen: &mut Seen) -> Fate {
    seen.tls = match setting.value.as_str() {
        "0" => None,
        "1" => Some("none"),
        "2" => Some("control"),
        _ => Some("control+data"),
    };
    Fate::Taken
}

fn certificate(setting: &Setting, seen: &mut Seen) -> Fate {
    let names: Vec<String> =
        setting.value.split([' ', ',']).map(|w| w.trim_matches('"').to_owned()).collect();
    let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
    seen.certificate = match names.as_slice() {
        [both] => Some((both.clone(), both.clone())),
        [certificate, key] => Some((certificate.clone(), key.clone())),
        _ => return Fate::impossible("it needs one file or two"),
    };
    Fate::Taken
}

/// `entries depth`.
fn recursion(setting: &Setting, into: &mut Translation) -> Fate {
    let text = setting.value.replace(':', " ");
    into.limit("limits", "listing_entries", text.split_whitespace().next().unwrap_or_default())
}

fn idle(setting: &Setting, into: &mut Translation) -> Fate {
    match setting.value.parse::<u64>() {
        Ok(minutes) => into.set("", "idle_ctrl_timeout", minutes.saturating_mul(60)),
        Err(_) => Fate::opens("it is no number of minutes"),
    }
}

/// `sessions of a user:anonymous sessions`.
fn per_user(setting: &Setting, into: &mut Translation) -> Fate {
    let text = setting.value.replace(':', " ");
    into.limit(
        "limits",
        "max_sessions_per_account",
        text.split_whitespace().next().unwrap_or_default(),
    )
}

fn ports(setting: &Setting, into: &mut Translation) -> Fate {
    let text = setting.value.replace(':', " ");
    let words: Vec<&str> = text.split_whitespace().collect();
    match *words {
        [first, last] if first.parse::<u16>().is_ok() && last.parse::<u16>().is_ok() => {
            into.text("passive", "ports", &format!("{first}-{last}"))
        }
        _ => Fate::impossible("it is no range of ports; the default range is used"),
    }
}

fn passive_address(setting: &Setting, into: &mut Translation) -> Fate {
    let host = setting.value.as_str();
    let usable = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    if host.is_empty() || !usable || host == "0.0.0.0" {
        return Fate::impossible("no client could connect to it; the local address is announced");
    }
    into.text("passive", "address", host)
}

fn is_on(setting: &Setting) -> bool {
    flag(&setting.value).unwrap_or(true)
}
