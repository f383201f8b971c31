//! mini_ftpd.conf: `key = value` without quotes. Its keys are our flat ones.

use super::{Translation, lines, umask};
use config::schema::{self, Kind};

/// Translates.
pub(super) fn translate(text: &str, into: &mut Translation) {
    for (line, content) in lines(text) {
        let Some((name, value)) = content.split_once('=') else {
            into.leave(line, format!("{content}: there is no `=`"));
            continue;
        };
        let (name, value) = (name.trim(), value.trim().trim_matches('"'));
        match schema::find("", name) {
            Some(key) if key.kind == Kind::Umask => umask(line, value, into),
            Some(key) if key.kind == Kind::Addresses => into.text("", key.name, value),
            Some(key) => into.number(line, "", key.name, value),
            None => into.leave(line, format!("{content}: there is no such setting")),
        }
    }
}
