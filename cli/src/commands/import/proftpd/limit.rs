//! `<Limit COMMANDS>` of the whole server: rights that are taken away, and who may log in.
//!
//! Only forms whose meaning is certain are translated. Everything else opens access.

use ipc::account::Rights;

use super::{
    directives::Seen,
    table::TABLE,
    tree::{Node, Section},
};
use crate::commands::import::{
    directive::{Setting, find},
    translation::{Fate, Translation},
};

/// Commands and groups of commands, and the rights that are gone without them. (mod_core.html, Limit.)
const COMMANDS: &[(&str, Rights)] = &[
    ("LIST", Rights::LIST),
    ("NLST", Rights::LIST),
    ("MLSD", Rights::LIST),
    ("MLST", Rights::LIST),
    ("STAT", Rights::LIST),
    ("SIZE", Rights::LIST),
    ("MDTM", Rights::LIST),
    ("DIRS", Rights::LIST),
    ("RETR", Rights::READ),
    ("READ", Rights::READ),
    ("STOR", Rights::WRITE.with(Rights::OVERWRITE).with(Rights::APPEND)),
    ("STOU", Rights::WRITE),
    ("APPE", Rights::APPEND),
    ("DELE", Rights::DELETE),
    ("RNFR", Rights::RENAME),
    ("RNTO", Rights::RENAME),
    ("MKD", Rights::MKDIR),
    ("XMKD", Rights::MKDIR),
    ("RMD", Rights::RMDIR),
    ("XRMD", Rights::RMDIR),
    ("SITE_CHMOD", Rights::CHMOD),
    ("SITE_CHGRP", Rights::NONE),
    ("MFF", Rights::CHMOD),
    ("MFMT", Rights::CHMOD),
    ("SITE_MKDIR", Rights::MKDIR),
    ("SITE_RMDIR", Rights::RMDIR),
    ("SITE_SYMLINK", Rights::SYMLINK),
    ("SITE_UTIME", Rights::CHMOD),
    ("SITE_CPFR", Rights::NONE),
    ("SITE_CPTO", Rights::NONE),
    ("WRITE", Rights::READ_WRITE.without(Rights::READ_ONLY)),
    ("ALL", Rights::READ_WRITE),
];

/// A `<Limit>` of the whole server.
pub struct Limit;

/// What the lines of one `<Limit>` say.
#[derive(Default)]
struct Said {
    deny_all: bool,
    allow_all: bool,
    /// `Order deny,allow`: who is not allowed is denied.
    denies_others: bool,
    allow_users: Vec<String>,
    deny_users: Vec<String>,
    allow_groups: Vec<String>,
    allow_from: Vec<String>,
    deny_from: Vec<String>,
    /// Something that is not one of these.
    other: bool,
}

impl Limit {
    /// Translates it, with all of its lines.
    pub fn translate(section: &Section, seen: &mut Seen, into: &mut Translation) {
        let commands: Vec<String> =
            section.arguments.split_whitespace().map(str::to_ascii_uppercase).collect();
        let said = Said::of(&section.nodes);
        let fate = if commands == ["LOGIN"] {
            said.login(seen, into)
        } else {
            said.commands(&commands, into)
        };
        let inner = match &fate {
            Fate::Opens(why) => Fate::opens(format!("inside {}: {why}", section.title())),
            other => other.clone(),
        };
        section.record(into, fate);
        record_all(&section.nodes, &inner, into);
    }
}

fn record_all(nodes: &[Node], fate: &Fate, into: &mut Translation) {
    for node in nodes {
        match node {
            Node::Setting(setting) => into.record(setting, fate.clone()),
            Node::Section(section) => {
                section.record(into, fate.clone());
                record_all(&section.nodes, fate, into);
            }
            Node::Stray(line) => into.record(line.clone(), fate.clone()),
        }
    }
}

impl Said {
    fn of(nodes: &[Node]) -> Said {
        let mut said = Said::default();
        for node in nodes {
            match node {
                Node::Setting(setting) if find(TABLE, &setting.name).is_some() => {
                    said.line(setting)
                }
                Node::Setting(_) | Node::Section(_) | Node::Stray(_) => said.other = true,
            }
        }
        said
    }

    fn line(&mut self, setting: &Setting) {
        let words: Vec<String> = setting
            .value
            .split([',', ' ', '\t'])
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        let is_plain = |word: &String| {
            !word.starts_with(['!', '~', '*']) && !["OR", "AND", "regex"].contains(&word.as_str())
        };
        let plain = words.iter().all(is_plain);
        match setting.name.to_ascii_lowercase().as_str() {
            "denyall" => self.deny_all = true,
            "allowall" => self.allow_all = true,
            "order" => match setting.value.replace(' ', "").to_ascii_lowercase().as_str() {
                "deny,allow" => self.denies_others = true,
                "allow,deny" => {}
                _ => self.other = true,
            },
            "allowuser" if plain => self.allow_users.extend(words),
            "denyuser" if plain => self.deny_users.extend(words),
            // Several groups of one line must all be the user's; one must be.
            "allowgroup" if plain && words.len() == 1 => self.allow_groups.extend(words),
            "allow" | "deny" => {
                let all = words.iter().skip_while(|word| word.eq_ignore_ascii_case("from"));
                let list: Vec<String> = all.cloned().collect();
                match setting.name.eq_ignore_ascii_case("allow") {
                    true => self.allow_from.extend(list),
                    false => self.deny_from.extend(list),
                }
            }
            _ => self.other = true,
        }
    }

    fn names_anybody(&self) -> bool {
        !(self.allow_users.is_empty()
            && self.deny_users.is_empty()
            && self.allow_groups.is_empty()
            && self.allow_from.is_empty()
            && self.deny_from.is_empty())
    }

    /// Commands that are denied, or may be denied to somebody: whoever is named, nobody has the right.
    fn commands(&self, commands: &[String], into: &mut Translation) -> Fate {
        let grants_only = self.allow_all && !self.deny_all && !self.other && !self.names_anybody();
        if grants_only {
            return Fate::needless("it is allowed here, unless another line forbids it");
        }
        let mut unknown = Vec::new();
        let mut rights = Rights::NONE;
        for command in commands {
            let without_x = command.strip_prefix('X').unwrap_or(command);
            match COMMANDS.iter().find(|(name, _)| *name == command || *name == without_x) {
                Some((_, right)) => rights = rights.with(*right),
                None => unknown.push(command.as_str()),
            }
        }
        into.forbid(rights);
        if commands.iter().any(|command| command == "ALL") {
            into.without_pam = true;
        }
        if commands.is_empty() || !unknown.is_empty() {
            let unknown = crate::commands::console::escape(&unknown.join(" "));
            return Fate::opens(format!(
                "commands that are no right here cannot be refused ({unknown})"
            ));
        }
        if self.deny_all && !self.other && !self.names_anybody() {
            return Fate::Taken;
        }
        Fate::impossible(
            "nobody may do it here: give the right to the accounts that are meant \
             (bulkhead user add --rights)",
        )
    }

    /// Who may log in.
    fn login(&self, seen: &mut Seen, into: &mut Translation) -> Fate {
        let users = !self.allow_users.is_empty() || !self.deny_users.is_empty();
        let from = !self.allow_from.is_empty() || !self.deny_from.is_empty();
        let groups = !self.allow_groups.is_empty();
        let kinds = usize::from(users).saturating_add(from.into()).saturating_add(groups.into());
        let is_all = |word: &String| word.eq_ignore_ascii_case("all");
        // What is denied first is denied, whatever is allowed after it.
        let nobody = self.denies_others && (self.deny_all || self.deny_from.iter().any(is_all));
        if self.other || kinds > 1 || (self.deny_all && self.allow_all) || nobody {
            return Fate::opens("who may log in by it is not certain");
        }
        let others_denied = self.deny_all || self.denies_others;
        match (users, groups, from) {
            (false, false, false) if self.deny_all => into.close_pam("nobody may log in by it"),
            (false, false, false) => Fate::needless("everybody may log in by it"),
            (true, ..) => self.login_users(others_denied, seen, into),
            (_, true, _) if others_denied => {
                seen.system_users_only = true;
                into.texts("auth", "allow_groups", &self.allow_groups)
            }
            (_, true, _) => Fate::needless("everybody else may log in by it, too"),
            (.., true) => self.login_from(seen, into),
        }
    }

    fn login_users(&self, others_denied: bool, seen: &mut Seen, into: &mut Translation) -> Fate {
        match (self.allow_users.is_empty(), self.deny_users.is_empty()) {
            (false, true) if others_denied => into.texts("auth", "allow_users", &self.allow_users),
            (false, true) => Fate::needless("everybody else may log in by it, too"),
            (true, false) if !others_denied => {
                seen.denied.extend(self.deny_users.iter().cloned());
                Fate::Taken
            }
            _ => Fate::opens("who may log in by it is not certain"),
        }
    }

    /// Addresses. `Order allow,deny`: who is allowed may, then who is denied may not, others may.
    /// `Order deny,allow`: who is denied may not, then who is allowed may, others may not.
    fn login_from(&self, seen: &Seen, into: &mut Translation) -> Fate {
        let is_all = |list: &[String]| list.iter().any(|word| word.eq_ignore_ascii_case("all"));
        let networks = |list: &[String]| -> Option<Vec<String>> {
            list.iter().map(|word| network(word)).collect()
        };
        let (Some(allow), deny) = (networks(&self.allow_from), networks(&self.deny_from)) else {
            return Fate::opens("it has names or classes of clients; write [access] networks");
        };
        if seen.says_networks(into) {
            return Fate::opens("several lines say which clients may log in");
        }
        let denies_all = self.deny_all || self.denies_others || is_all(&self.deny_from);
        match (allow.is_empty(), deny) {
            (false, _)
                if denies_all && self.deny_from.iter().all(|w| w.eq_ignore_ascii_case("all")) =>
            {
                into.texts("access", "networks", &allow)
            }
            (true, Some(deny)) if !self.deny_all && !self.denies_others => {
                into.texts("access", "deny_networks", &deny)
            }
            _ => Fate::opens("which clients may log in by it is not certain"),
        }
    }
}

/// An address, or a block of them, as we write it: `10.`, `10.0.0.0/8`, `10.1.2.3`.
fn network(word: &str) -> Option<String> {
    let prefix = word.strip_suffix('.').map(|word| word.split('.').collect::<Vec<_>>());
    if let Some(parts) = prefix
        && (1..=3).contains(&parts.len())
    {
        let mut all: Vec<&str> = parts.clone();
        all.resize(4, "0");
        let bits = parts.len().checked_mul(8)?;
        return network(&format!("{}/{bits}", all.join(".")));
    }
    word.parse::<ipc::network::Network>().ok().map(|network| network.to_string())
}
