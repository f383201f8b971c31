//! The JSON of the Python I2FTP server: root, port, log_file, log_level, keychain, tls, read_only.

use serde_json::Value;

use super::Translation;
use crate::commands::Failure;

/// Translates.
///
/// # Errors
/// When the text is no JSON object.
pub(super) fn translate(text: &str, into: &mut Translation) -> Result<(), Failure> {
    let object: serde_json::Map<String, Value> = serde_json::from_str(text)
        .map_err(|e| format!("this is not the JSON of an I2FTP server: {e}"))?;
    into.set("i2ftp", "enabled", true);
    for (name, value) in &object {
        let needle = format!("\"{name}\"");
        let line = text.lines().position(|line| line.contains(&needle)).unwrap_or(0);
        setting(line.saturating_add(1), name, value, into);
    }
    Ok(())
}

fn setting(line: usize, name: &str, value: &Value, into: &mut Translation) {
    let text = value.as_str().unwrap_or_default();
    match (name, value) {
        ("root", Value::String(root)) => into.text("i2ftp", "root", root),
        ("port", Value::Number(port)) => {
            into.number(line, "i2ftp", "listen_port", &port.to_string());
            into.leave(line, "listening on every address: write `listen_address`");
        }
        ("read_only", Value::Bool(flag)) => into.set("i2ftp", "read_only", flag),
        ("tls", Value::Bool(flag)) => {
            into.set("i2ftp", "secured", flag);
            if *flag {
                into.leave(
                    line,
                    "encryption: what is called `tls` there is I2FTP's secured mode, which is \
                     obfuscation (and is set); use `tls_port` for TLS",
                );
            }
        }
        ("log_file", Value::String(file)) if !file.is_empty() => into.text("log", "file", file),
        ("log_level", Value::String(level)) => match level.to_ascii_lowercase().as_str() {
            "critical" | "error" => into.text("log", "level", "error"),
            "warning" | "warn" => into.text("log", "level", "warn"),
            "info" => into.text("log", "level", "info"),
            "debug" => into.text("log", "level", "debug"),
            _ => into.leave(line, format!("log_level \"{text}\" is not known")),
        },
        ("keychain", Value::String(key)) => match i2ftp::Psk::from_hex(key) {
            Ok(_) => into.text("i2ftp", "key_hex", key),
            Err(e) => {
                into.set("i2ftp", "enabled", false);
                into.leave(line, format!("keychain: {e}; then set `enabled = true`"));
            }
        },
        ("log_file" | "keychain", Value::Null | Value::String(_)) => {}
        // The value is not repeated: it may be a key.
        _ => into.leave(line, format!("{name}: it has no meaning here")),
    }
}
