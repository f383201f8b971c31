//! The configuration of a server under test.

use std::{collections::BTreeMap, path::Path};

/// Keys and values of a configuration, by table; the flat keys are in the table with no name.
#[derive(Debug, Clone, Default)]
pub struct Settings(BTreeMap<String, BTreeMap<String, String>>);

impl Settings {
    /// What every server under test has: ports the system chooses, everything it writes in
    /// `scratch`, no penalties (all clients are 127.0.0.1), no long delays.
    pub fn for_tests(scratch: &Path) -> Settings {
        let place = |name: &str| format!("{:?}", scratch.join(name));
        let mut settings = Settings::default();
        for (key, value) in [
            ("listen_port", "0".to_owned()),
            ("max_conns_per_ip", "0".to_owned()),
            ("control_socket", place("control.sock")),
            ("state_directory", place("state")),
            ("shutdown_grace", "2".to_owned()),
            ("passive.ports", "\"0-0\"".to_owned()),
            ("auth.users_file", place("users.toml")),
            ("auth.failure_delay", "100".to_owned()),
            ("penalties.enabled", "false".to_owned()),
            ("log.format", "\"json\"".to_owned()),
            ("log.level", "\"debug\"".to_owned()),
            ("log.file", place("log")),
        ] {
            settings.set(key, &value);
        }
        settings
    }

    /// Sets `key` or `table.key` to a value written as TOML.
    pub fn set(&mut self, key: &str, value: &str) {
        let (table, key) = key.split_once('.').unwrap_or(("", key));
        self.0.entry(table.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
    }

    /// Leaves a key out, so that its default holds.
    pub fn unset(&mut self, key: &str) {
        let (table, key) = key.split_once('.').unwrap_or(("", key));
        if let Some(keys) = self.0.get_mut(table) {
            keys.remove(key);
        }
    }

    /// The configuration file. The table with no name sorts first, as TOML wants it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (table, keys) in &self.0 {
            if !table.is_empty() {
                text.push_str(&format!("\n[{table}]\n"));
            }
            for (key, value) in keys {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        text
    }
}
