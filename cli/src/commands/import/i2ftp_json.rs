//! The JSON of the Python I2FTP server: root, port, log_file, log_level, keychain, tls, read_only.

use serde_json::Value;

use super::{
    ImportError,
    input::{Input, Line, Place},
    translation::{Fate, Translation},
};

/// The settings there are.
const NAMES: [&str; 7] = ["root", "port", "log_file", "log_level", "keychain", "tls", "read_only"];

/// Translates.
///
/// # Errors
/// When the text is no JSON object of that server.
pub fn translate(input: &Input) -> Result<Translation, ImportError> {
    let object: serde_json::Map<String, Value> = serde_json::from_str(&input.text)
        .map_err(|e| input.other_file(format!("it is no JSON object: {e}")))?;
    let known = object.keys().filter(|name| NAMES.contains(&name.as_str())).count();
    if known.saturating_mul(2) < object.len() {
        return Err(input.other_file("most of its names are no settings of it"));
    }
    let mut into = Translation::default();
    into.set("i2ftp", "enabled", true);
    for (name, value) in &object {
        let needle = format!("\"{name}\"");
        let line = input.text.lines().position(|line| line.contains(&needle)).unwrap_or(0);
        let place = Place { file: None, line: line.saturating_add(1) };
        let fate = setting(name, value, &mut into);
        // The value is not repeated: it may be a key.
        into.record(Line { place, text: name.clone() }, fate);
    }
    Ok(into)
}

fn setting(name: &str, value: &Value, into: &mut Translation) -> Fate {
    match (name, value) {
        ("root", Value::String(root)) => into.text("i2ftp", "root", root),
        ("port", Value::Number(port)) => {
            into.number("i2ftp", "listen_port", &port.to_string());
            Fate::impossible(
                "the port is translated; it listened on every address: write `listen_address`",
            )
        }
        ("read_only", Value::Bool(flag)) => into.set("i2ftp", "read_only", flag),
        ("read_only", _) => {
            into.set("i2ftp", "read_only", true);
            Fate::impossible("it is neither true nor false; nothing may be changed")
        }
        ("tls", Value::Bool(flag)) => {
            into.set("i2ftp", "secured", flag);
            match flag {
                true => Fate::impossible(
                    "what is called `tls` there is I2FTP's secured mode, which is obfuscation (and \
                     is set); use `tls_port` for TLS",
                ),
                false => Fate::Taken,
            }
        }
        ("log_file", Value::String(file)) if !file.is_empty() => into.text("log", "file", file),
        ("log_level", Value::String(level)) => match level.to_ascii_lowercase().as_str() {
            "critical" | "error" => into.text("log", "level", "error"),
            "warning" | "warn" => into.text("log", "level", "warn"),
            "info" => into.text("log", "level", "info"),
            "debug" => into.text("log", "level", "debug"),
            _ => Fate::impossible("the level is not known"),
        },
        ("keychain", Value::String(key)) => match i2ftp::Psk::from_hex(key) {
            Ok(_) => into.text("i2ftp", "key_hex", key),
            Err(e) => {
                into.set("i2ftp", "enabled", false);
                Fate::closed(format!("{e}; then set `enabled = true`"))
            }
        },
        ("log_file" | "keychain", Value::Null | Value::String(_)) => Fate::needless("it is empty"),
        _ => Fate::opens("it is not known, and may have refused something"),
    }
}
