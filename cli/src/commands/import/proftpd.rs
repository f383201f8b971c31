//! proftpd.conf: directives and `<Section>`s. What holds for the whole server is translated; what
//! stands in a section for some hosts, directories, users or conditions is accounted for line by line.

mod directives;
mod limit;
mod table;
mod tree;

use self::{
    directives::Seen,
    limit::Limit,
    table::TABLE,
    tree::{Node, Section},
};
use super::{
    ImportError,
    directive::{Setting, fate, fate_unapplied, find},
    input::Input,
    translation::{Fate, Translation},
};

/// Sections whose content holds for the whole server.
const TRANSPARENT: &[&str] = &["global"];

/// Translates.
///
/// # Errors
/// When it is no file of ProFTPD.
pub fn translate(input: &Input) -> Result<Translation, ImportError> {
    let nodes = tree::parse(&input.lines);
    let mut counted = (0usize, 0usize);
    count(&nodes, &mut counted);
    if counted.1.saturating_mul(2) < counted.0 {
        return Err(input.other_file("most of its lines are no directives of ProFTPD"));
    }
    let mut into = Translation::default();
    let mut seen = Seen::default();
    walk(&nodes, &mut seen, &mut into);
    directives::finish(seen, &mut into);
    Ok(into)
}

/// How many lines there are, and how many are known.
fn count(nodes: &[Node], (all, known): &mut (usize, usize)) {
    for node in nodes {
        *all = all.saturating_add(1);
        match node {
            Node::Setting(setting) if find(TABLE, &setting.name).is_none() => {}
            Node::Setting(_) => *known = known.saturating_add(1),
            Node::Section(section) => {
                if SECTIONS.iter().any(|name| section.is(name)) {
                    *known = known.saturating_add(1);
                }
                let mut inner = (0, 0);
                count(&section.nodes, &mut inner);
                (*all, *known) = (all.saturating_add(inner.0), known.saturating_add(inner.1));
            }
            Node::Stray(_) => {}
        }
    }
}

/// The sections there are.
const SECTIONS: &[&str] = &[
    "anonymous",
    "class",
    "directory",
    "global",
    "ifauthenticated",
    "ifclass",
    "ifdefine",
    "ifgroup",
    "ifmodule",
    "ifuser",
    "ifversion",
    "limit",
    "virtualhost",
];

/// What holds for the whole server.
fn walk(nodes: &[Node], seen: &mut Seen, into: &mut Translation) {
    for node in nodes {
        match node {
            Node::Setting(setting) if setting.name.eq_ignore_ascii_case("include") => {
                include(setting, seen, into);
            }
            Node::Setting(setting) => {
                let fate = fate(TABLE, setting, seen, into);
                into.record(setting, fate);
            }
            Node::Section(section) => self::section(section, seen, into),
            Node::Stray(line) => into.record(line.clone(), Fate::opens("it closes no section")),
        }
    }
}

fn section(section: &Section, seen: &mut Seen, into: &mut Translation) {
    let applied = TRANSPARENT.iter().any(|name| section.is(name))
        || (section.is("ifmodule") && is_there(&section.arguments))
        || (section.is("directory") && is_everything(&section.arguments));
    if section.is("limit") {
        return Limit::translate(section, seen, into);
    }
    if applied {
        section.record(into, Fate::Taken);
        return walk(&section.nodes, seen, into);
    }
    let whence = format!("inside {}", section.title());
    let fate = match section.name.as_str() {
        "virtualhost" => Fate::closed("it is not served: a configuration and a service for each"),
        "anonymous" => Fate::closed(
            "nobody logs in anonymously: set `root` and `enabled = true` below [anonymous] if \
             everybody may read it",
        ),
        _ => Fate::impossible("what stands in it is not applied"),
    };
    // Whoever reaches nothing through it is refused nothing either.
    let closed = matches!(fate, Fate::Closed(_));
    section.record(into, fate);
    unapplied(&section.nodes, &whence, closed, into);
}

/// Accounts for lines that are not applied.
fn unapplied(nodes: &[Node], whence: &str, closed: bool, into: &mut Translation) {
    for node in nodes {
        match node {
            Node::Setting(setting) => {
                let fate = if closed {
                    Fate::impossible(whence)
                } else {
                    fate_unapplied(TABLE, setting, directives::closes(setting), whence)
                };
                into.record(setting, fate);
            }
            Node::Section(section) => {
                section.record(into, Fate::impossible(whence));
                unapplied(&section.nodes, whence, closed, into);
            }
            Node::Stray(line) => into.record(line.clone(), Fate::impossible(whence)),
        }
    }
}

/// Whether `<IfModule mod_x.c>` holds: a module that ProFTPD knows is there, and one that may not be
/// there (`!mod_x.c`) or is not known is no reason to apply anything.
fn is_there(module: &str) -> bool {
    let module = module.trim().trim_end_matches(".c");
    table::MODULES.contains(&module)
}

/// Whether a `<Directory>` is everything a client reaches.
fn is_everything(path: &str) -> bool {
    ["/", "/*", "~", "~/", "~/*", "/*/*"].contains(&path.trim().trim_matches('"'))
}

fn include(setting: &Setting, seen: &mut Seen, into: &mut Translation) {
    let path = setting.value.trim_matches('"').to_owned();
    match seen.included(&path) {
        Ok(lines) => {
            into.record(setting, Fate::Taken);
            walk(&tree::parse(&lines), seen, into);
        }
        Err(why) => into.record(setting, Fate::opens(format!("it is not read: {why}"))),
    }
}
