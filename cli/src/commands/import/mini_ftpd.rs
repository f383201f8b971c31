//! mini_ftpd.conf: `key = value` without quotes. Its keys are our flat ones.

use super::{
    ImportError,
    directive::Setting,
    input::Input,
    translation::{Fate, Translation},
};
use config::schema::{self, Kind};

/// Translates.
///
/// # Errors
/// When it is no file of that server.
pub fn translate(input: &Input) -> Result<Translation, ImportError> {
    let mut into = Translation::default();
    let mut known = 0usize;
    for line in &input.lines {
        let Some((name, value)) = line.text.split_once('=') else {
            into.record(line.clone(), Fate::opens("there is no `=`, so that it is not understood"));
            continue;
        };
        let value = value.trim().trim_matches('"').to_owned();
        let setting = Setting { place: line.place.clone(), name: name.trim().to_owned(), value };
        let fate = match schema::find("", &setting.name) {
            Some(key) if key.kind == Kind::Umask => into.umask(&setting.value),
            Some(key) if key.kind == Kind::Addresses => into.text("", key.name, &setting.value),
            Some(key) => into.limit("", key.name, &setting.value),
            None => Fate::opens("it is not known, and may have refused something"),
        };
        known = known.saturating_add(schema::find("", &setting.name).is_some().into());
        into.record(&setting, fate);
    }
    if known.saturating_mul(2) < input.lines.len() {
        return Err(input.other_file("most of its lines are no settings of it"));
    }
    Ok(into)
}
