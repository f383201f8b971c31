//! `bulkhead import`: configurations of other servers, and whether their translations load.

use std::path::{Path, PathBuf};

use bulkhead_tests::harness::{Server, test};
use libtest_mimic::Trial;

/// Where `cargo xtask test` has unpacked the packages of the other servers; it does so as root.
const PACKAGES: &str = "BULKHEAD_PEER_PACKAGES";

pub fn tests() -> Vec<Trial> {
    let packages = test("imports::what_the_debian_packages_ship_translates", packages);
    let there = std::env::var_os(PACKAGES).is_some_and(|place| Path::new(&place).is_dir());
    let packages = match there {
        true => packages,
        false => packages
            .with_kind("skipped: needs root and a Debian mirror to fetch the packages")
            .with_ignored_flag(true),
    };
    vec![test("imports::settings_of_every_format_translate_and_load", fixtures), packages]
}

/// What a translation said, and the configuration it wrote.
struct Imported {
    server: Server,
    toml: String,
    said: String,
}

fn import(format: &str, file: &Path) -> Imported {
    let server = Server::new();
    let out = server.path("bulkhead.toml");
    let arguments = ["import", format, file.to_str().unwrap(), "--output", out.to_str().unwrap()];
    let done = server.bulkhead(&arguments);
    let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    assert!(done.status.success(), "{}: {said}", file.display());
    let toml = std::fs::read_to_string(&out).unwrap();
    // What is there is never overwritten.
    assert!(!server.bulkhead(&arguments).status.success());
    assert_eq!(std::fs::read_to_string(&out).unwrap(), toml);
    Imported { server, toml, said }
}

impl Imported {
    /// The numbers of the lines that were left out, which the translation names as well.
    fn left_out(&self) -> Vec<usize> {
        let numbers: Vec<usize> = self
            .said
            .lines()
            .filter_map(|line| line.split_once(": left out: ")?.0.rsplit(':').next()?.parse().ok())
            .collect();
        for number in &numbers {
            assert!(self.toml.contains(&format!("#   line {number}: ")), "{}", self.toml);
        }
        numbers
    }

    /// That the server would load it: 2 is the exit code of a configuration that cannot work.
    fn loads(&self) {
        let check = self.server.bulkhead(&["check"]);
        assert_ne!(check.status.code(), Some(2), "{}\n{check:?}", self.toml);
    }
}

/// The lines of a file that say something.
fn directives(file: &Path) -> Vec<(usize, String)> {
    let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
    let lines = (1..).zip(text.lines().map(|line| line.trim().to_owned()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect()
}

fn fixtures() {
    let scratch = tempfile::tempdir().unwrap();
    let cases: [(&str, &str, &[usize], &[&str]); 5] = [
        (
            "vsftpd",
            include_str!("../fixtures/import/vsftpd.conf"),
            &[6, 7, 23],
            &["maximum_clients = 200", "ports = \"50000-60000\"", "pam_service = \"vsftpd\""],
        ),
        (
            "proftpd",
            include_str!("../fixtures/import/proftpd.conf"),
            &[2, 12, 15, 16, 40],
            &["maximum_clients = 30", "idle_ctrl_timeout = 1200", "local_umask = \"022\""],
        ),
        (
            "pure-ftpd",
            include_str!("../fixtures/import/pure-ftpd.conf"),
            &[8, 10, 16, 18, 22, 23, 24, 26],
            &["maximum_clients = 50", "idle_ctrl_timeout = 900", "listing_entries = 10000"],
        ),
        (
            "mini-ftpd",
            include_str!("../fixtures/import/mini_ftpd.conf"),
            &[],
            &["max_upload_rate = 8192000", "maximum_clients = 3", "local_umask = \"077\""],
        ),
        (
            "i2ftp",
            include_str!("../fixtures/import/i2ftp.json"),
            &[3],
            &["root = \"/srv/i2ftp\"", "listen_port = 26842", "read_only = true", "enabled = true"],
        ),
    ];
    for (format, text, left_out, wanted) in cases {
        let file = scratch.path().join(format);
        std::fs::write(&file, text).unwrap();
        let imported = import(format, &file);
        assert_eq!(imported.left_out(), left_out, "{format}: {}", imported.said);
        for text in wanted {
            assert!(imported.toml.contains(text), "{format}: no {text} in\n{}", imported.toml);
        }
        imported.loads();
    }
}

/// Every configuration and example of the three packages: it translates, the translation loads, and
/// what is named as left out is there. What the main file of each says about clients, times and
/// logins is held against its own text.
fn packages() {
    let place = PathBuf::from(std::env::var_os(PACKAGES).unwrap());
    let documents = place.join("usr/share/doc");
    let examples = documents.join("proftpd-core/sample-configurations");
    let files = [
        ("vsftpd", place.join("etc/vsftpd.conf")),
        ("vsftpd", documents.join("vsftpd/examples/INTERNET_SITE/vsftpd.conf")),
        ("vsftpd", documents.join("vsftpd/examples/INTERNET_SITE_NOINETD/vsftpd.conf")),
        ("vsftpd", documents.join("vsftpd/examples/VIRTUAL_USERS/vsftpd.conf")),
        ("proftpd", place.join("usr/share/proftpd/templates/proftpd.conf")),
        ("proftpd", place.join("usr/share/proftpd/templates/tls.conf")),
        ("proftpd", place.join("usr/share/proftpd/templates/virtuals.conf")),
        ("proftpd", place.join("usr/share/proftpd/templates/modules.conf")),
        ("proftpd", examples.join("basic.conf")),
        ("proftpd", examples.join("anonymous.conf")),
        ("proftpd", examples.join("virtual.conf")),
        ("pure-ftpd", place.join("etc/pure-ftpd/pure-ftpd.conf")),
        ("pure-ftpd", place.join("etc/pure-ftpd/conf")),
    ];
    for (format, file) in &files {
        let imported = import(format, file);
        imported.loads();
        if file.is_dir() {
            continue;
        }
        let directives = directives(file);
        for number in imported.left_out() {
            assert!(directives.iter().any(|(n, _)| *n == number), "{}:{number}", file.display());
        }
        // What Bulkhead has a key for has become that key.
        for (theirs, ours) in [
            ("max_clients=", "maximum_clients = "),
            ("max_per_ip=", "max_conns_per_ip = "),
            ("idle_session_timeout=", "idle_ctrl_timeout = "),
            ("MaxClientsNumber ", "maximum_clients = "),
            ("MaxClientsPerIP ", "max_conns_per_ip = "),
            ("MinUID ", "minimum_uid = "),
            ("TimeoutStalled ", "idle_data_timeout = "),
            ("MaxInstances ", "maximum_clients = "),
        ] {
            let value = directives.iter().find_map(|(_, line)| line.strip_prefix(theirs));
            if let Some(value) = value {
                let key = format!("{ours}{}", value.trim());
                assert!(imported.toml.contains(&key), "{}: no {key}", file.display());
            }
        }
    }
}
