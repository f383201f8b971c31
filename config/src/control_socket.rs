//! The one key that a question to the running server needs.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::schema;

/// The control socket that a configuration file names, whatever else is wrong with the file; the
/// default when it names none or cannot be read.
pub fn control_socket(file: &Path) -> PathBuf {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let directory = file.parent().unwrap_or(Path::new("/"));
    let path = directory.join(named(&text).unwrap_or_else(default));
    std::path::absolute(&path).unwrap_or(path)
}

/// What `control_socket` is in a text that may not be TOML in other places.
fn named(text: &str) -> Option<String> {
    let (table, _) = DeTable::parse_recoverable(text);
    match table.get_ref().get("control_socket")?.get_ref() {
        DeValue::String(path) if !path.is_empty() => Some(path.as_ref().to_owned()),
        _ => None,
    }
}

fn default() -> String {
    let key = schema::find("", "control_socket").and_then(|key| key.default);
    key.map(|path| path.trim_matches('"').to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c5_the_socket_is_found_in_a_configuration_that_is_wrong_elsewhere() {
        let own = |text: &str| named(text).unwrap_or_else(default);
        let default = "/run/bulkhead/control.sock";
        assert_eq!(own(""), default);
        for wrong in ["listen_prot = 21", "listen_port = ", "[tls", "local_umask = 077", "x = \"a"]
        {
            let text = format!("{wrong}\ncontrol_socket = \"/x/y\"\n{wrong}\n");
            let expected = if wrong == "[tls" { default } else { "/x/y" };
            assert_eq!(own(&text), expected, "{wrong}");
            let text = format!("control_socket = \"/x/y\"\n{wrong}\n");
            assert_eq!(own(&text), "/x/y", "{wrong}");
        }
        assert_eq!(own("control_socket = 3"), default);
        assert_eq!(
            own("[log]\ncontrol_socket = \"/x/y\"\n"),
            default,
            "in a table it is another key"
        );
    }

    #[test]
    fn c5_a_relative_socket_counts_from_the_configuration() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("bulkhead.toml");
        std::fs::write(&file, "control_socket = \"control.sock\"\nlisten_prot = 3\n").unwrap();
        assert_eq!(control_socket(&file), place.path().join("control.sock"));
        assert_eq!(
            control_socket(Path::new("/nonexistent/x")),
            Path::new("/run/bulkhead/control.sock")
        );
    }
}
