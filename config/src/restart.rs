//! What a reload cannot put in force: keys that are read once, when the server starts.

use super::Config;

/// The keys that differ between two configurations and need a restart, as the configuration writes
/// them.
pub fn keys(running: &Config, read: &Config) -> Vec<&'static str> {
    let implicit = |config: &Config| config.tls.as_ref().and_then(|tls| tls.implicit_port);
    let i2ftp = |config: &Config| config.i2ftp.as_ref().and_then(|i2ftp| i2ftp.listen_port);
    let i2ftp_tls = |config: &Config| config.i2ftp.as_ref().and_then(|i2ftp| i2ftp.tls_port);
    let authenticators = |config: &Config| config.attempts.max_authenticators;
    [
        ("listen_address", running.listen_addresses != read.listen_addresses),
        ("listen_port", running.listen_port != read.listen_port),
        ("tls.implicit_port", implicit(running) != implicit(read)),
        ("i2ftp.listen_port", i2ftp(running) != i2ftp(read)),
        ("i2ftp.tls_port", i2ftp_tls(running) != i2ftp_tls(read)),
        ("active_from_port_20", running.active_from_port_20 != read.active_from_port_20),
        ("control_socket", running.control_socket != read.control_socket),
        ("admin_group", running.admin_group != read.admin_group),
        ("log.format", running.log.format != read.log.format),
        ("log.level", running.log.level != read.log.level),
        ("log.file", running.log.file != read.log.file),
        ("auth.max_authenticators", authenticators(running) != authenticators(read)),
        ("identities.helper", running.identities.helper != read.identities.helper),
        ("identities.keeper", running.identities.keeper != read.identities.keeper),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::schema;

    fn parsed(text: &str) -> Config {
        Config::parse(Path::new("/etc/bulkhead/bulkhead.toml"), text).unwrap()
    }

    #[test]
    fn c3_keys_that_need_a_restart_are_named_and_no_others() {
        let running = parsed("");
        let read = parsed(
            "listen_port = 2121\nmax_conns_per_ip = 7\ncontrol_socket = \"/run/other.sock\"\n\
             [log]\nformat = \"json\"\nfile = \"/var/log/bulkhead\"\n[limits]\nlogin_timeout = 5",
        );
        assert_eq!(keys(&running, &running), Vec::<&str>::new());
        let expected = ["listen_port", "control_socket", "log.format", "log.file"];
        assert_eq!(keys(&running, &read), expected);
    }

    #[test]
    fn c3_every_key_that_is_named_is_a_key_of_the_configuration() {
        let mut read =
            parsed("listen_address = \"::1\"\nlisten_port = 1\n[log]\nlevel = \"debug\"");
        read.active_from_port_20 = !read.active_from_port_20;
        read.admin_group = Some("wheel".into());
        for key in keys(&parsed(""), &read) {
            let (table, name) = key.split_once('.').unwrap_or(("", key));
            assert!(schema::find(table, name).is_some(), "{key}");
        }
    }
}
