//! `bulkhead import`: configurations of other servers, and whether their translations load.
//! Findings D1 to D9; what each line becomes is in cli/src/commands/import/tests.rs.

use std::{
    collections::BTreeSet,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use bulkhead_tests::harness::{ControlConnection, Server, test};
use libtest_mimic::Trial;

/// Where `cargo xtask test` has unpacked the packages of the other servers; it does so as root.
const PACKAGES: &str = "BULKHEAD_PEER_PACKAGES";

pub fn tests() -> Vec<Trial> {
    let there = std::env::var_os(PACKAGES).is_some_and(|place| Path::new(&place).is_dir());
    let with_packages = |name, run| {
        let trial = test(name, run);
        match there {
            true => trial,
            false => trial
                .with_kind("skipped: needs root and a Debian mirror to fetch the packages")
                .with_ignored_flag(true),
        }
    };
    vec![
        test("imports::settings_of_every_format_translate_and_load", fixtures),
        with_packages("imports::what_the_debian_packages_ship_translates", packages),
        with_packages("imports::every_setting_the_other_servers_know_is_known", known),
        test("imports::d1_to_d7_what_opens_access_ends_with_3_and_a_closed_translation", opens),
        test("imports::d8_what_is_no_configuration_of_that_server_ends_with_2", other_files),
        test("imports::d9_a_hostile_file_and_name_reach_no_terminal", hostile),
        test("imports::what_the_document_says_of_each_line_is_so", document),
        test("imports::a_translation_that_opens_access_refuses_every_client", closed),
    ]
}

/// What a translation said, and the configuration it wrote.
struct Imported {
    server: Server,
    toml: String,
    said: String,
    /// Whether it opens access.
    opens: bool,
}

/// Runs the command, without an output file.
fn run(format: &str, file: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let server = Server::new();
    let arguments = [&["import", format, file.to_str().unwrap()], more].concat();
    let done = server.bulkhead(&arguments);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (done.status.code(), text(done.stdout), text(done.stderr))
}

fn import(format: &str, file: &Path) -> Imported {
    let server = Server::new();
    let out = server.path("bulkhead.toml");
    let out = out.to_str().unwrap();
    let (code, closed, first) = run(format, file, &[]);
    let opens = code == Some(3);
    assert!(opens || code == Some(0), "{}: {code:?} {first}", file.display());
    assert_eq!(opens, first.contains("OPENS ACCESS"), "{first}");
    assert_eq!(opens, closed.contains("deny_networks = [\"0.0.0.0/0\", \"::/0\"]"), "{closed}");
    if opens {
        let (code, _, _) = run(format, file, &["--output", out]);
        assert!(
            code == Some(3) && !Path::new(out).exists(),
            "nothing is written before it is read"
        );
    }
    let arguments =
        ["import", format, file.to_str().unwrap(), "--output", out, "--accept-wider-access"];
    let done = server.bulkhead(&arguments);
    let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    assert!(done.status.success(), "{}: {said}", file.display());
    let toml = std::fs::read_to_string(out).unwrap();
    // What is there is never overwritten.
    assert!(!server.bulkhead(&arguments).status.success());
    assert_eq!(std::fs::read_to_string(out).unwrap(), toml);
    Imported { server, toml, said, opens }
}

impl Imported {
    /// The numbers of the lines under a heading, which the translation names as well.
    fn under(&self, heading: &str) -> Vec<usize> {
        let inside = |text: &str| -> Vec<usize> {
            let text = text.replace("\n#   line ", "\n  line ").replace("\n# ", "\n");
            let lines = text.lines().skip_while(|line| !line.starts_with(heading)).skip(1);
            lines
                .take_while(|line| line.starts_with("  "))
                .filter_map(|line| {
                    line.trim().strip_prefix("line ")?.split(':').next()?.parse().ok()
                })
                .collect()
        };
        let said = inside(&self.said);
        assert_eq!(inside(&self.toml), said, "{heading}\n{}\n{}", self.toml, self.said);
        said
    }

    /// Every line that is named under a heading, and the number of those that are translated: each
    /// line of the file once.
    fn accounts_for(&self, lines: usize) {
        let mut named = Vec::new();
        for heading in ["OPENS ACCESS", "NOT POSSIBLE", "NOT NEEDED"] {
            named.extend(self.under(heading));
        }
        let once: BTreeSet<usize> = named.iter().copied().collect();
        assert_eq!(once.len(), named.len(), "a line is named twice: {}", self.said);
        let taken = format!("Translated: {} of {lines} lines.", lines - named.len());
        assert!(self.said.contains(&taken), "{taken}: {}", self.said);
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
    let cases: [(&str, &str, bool, &[&str]); 5] = [
        (
            "vsftpd",
            include_str!("../fixtures/import/vsftpd.conf"),
            false,
            &["maximum_clients = 200", "ports = \"50000-60000\"", "pam_service = \"vsftpd\""],
        ),
        (
            "proftpd",
            include_str!("../fixtures/import/proftpd.conf"),
            true,
            &["maximum_clients = 30", "idle_ctrl_timeout = 1200", "local_umask = \"022\""],
        ),
        (
            "pure-ftpd",
            include_str!("../fixtures/import/pure-ftpd.conf"),
            true,
            &["maximum_clients = 50", "idle_ctrl_timeout = 900", "listing_entries = 10000"],
        ),
        (
            "mini-ftpd",
            include_str!("../fixtures/import/mini_ftpd.conf"),
            false,
            &["max_upload_rate = 8192000", "maximum_clients = 3", "local_umask = \"077\""],
        ),
        (
            "i2ftp",
            include_str!("../fixtures/import/i2ftp.json"),
            false,
            &["root = \"/srv/i2ftp\"", "listen_port = 26842", "read_only = true", "enabled = true"],
        ),
    ];
    for (format, text, opens, wanted) in cases {
        let file = scratch.path().join(format);
        std::fs::write(&file, text).unwrap();
        let imported = import(format, &file);
        if format != "i2ftp" {
            // What the host includes is read as well.
            let includes = Path::new("/etc/proftpd").exists() && format == "proftpd";
            if !includes {
                assert_eq!(imported.opens, opens, "{format}: {}", imported.said);
                imported.accounts_for(directives(&file).len());
            }
        }
        for text in wanted {
            assert!(imported.toml.contains(text), "{format}: no {text} in\n{}", imported.toml);
        }
        imported.loads();
    }
}

/// Every configuration and example of the three packages: it translates, the translation loads, and
/// each line is accounted for. What the main file of each says about clients, times and logins is held
/// against its own text.
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
        imported.accounts_for(directives.len());
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

/// The settings that a server's own package names.
fn known() {
    let place = PathBuf::from(std::env::var_os(PACKAGES).unwrap());
    for (format, names, filler) in [
        ("vsftpd", vsftpd_settings(&place), "listen=YES\n"),
        ("proftpd", proftpd_directives(&place), "Port 21\n"),
        ("pure-ftpd", pure_ftpd_settings(&place), "NoAnonymous yes\n"),
    ] {
        let least = if format == "proftpd" { 400 } else { 60 };
        assert!(names.len() > least, "{format}: {names:?}");
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("old.conf");
        let separator = if format == "vsftpd" { "=" } else { " " };
        let mut text = filler.repeat(2);
        for name in &names {
            text.push_str(&format!("{name}{separator}x\n"));
        }
        std::fs::write(&file, text).unwrap();
        let (_, _, said) = run(format, &file, &[]);
        let unknown: Vec<&str> =
            said.lines().filter(|line| line.contains("it is not known")).collect();
        assert!(unknown.is_empty(), "{format} knows what the table does not: {unknown:#?}");
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}

/// `.TP` and `.B name` in vsftpd.conf(5).
fn vsftpd_settings(place: &Path) -> BTreeSet<String> {
    let page = place.join("usr/share/man/man5/vsftpd.conf.5.gz");
    let unpacked = std::process::Command::new("gzip").arg("-dc").arg(page).output().unwrap();
    let page = String::from_utf8_lossy(&unpacked.stdout).into_owned();
    let lines: Vec<&str> = page.lines().collect();
    let named = lines.windows(2).filter(|two| two[0] == ".TP").filter_map(|two| {
        let name = two[1].strip_prefix(".B ")?.trim();
        let is_setting =
            name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        (is_setting && !name.is_empty()).then(|| name.to_owned())
    });
    named.collect()
}

/// The headings of the pages of proftpd-doc that are directives.
fn proftpd_directives(place: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in ["modules", "contrib"] {
        let folder = place.join("usr/share/doc/proftpd-doc").join(folder);
        for page in std::fs::read_dir(folder).unwrap() {
            let page = read(&page.unwrap().path());
            for part in page.split("<h3><a name=\"").skip(1) {
                let heading = part.split_once('>').unwrap().1.split('<').next().unwrap().trim();
                let mut letters = heading.chars();
                let is_name = letters.next().is_some_and(|c| c.is_ascii_uppercase())
                    && letters.all(|c| c.is_ascii_alphanumeric());
                if is_name && heading != "Include" {
                    names.insert(heading.to_owned());
                }
            }
        }
    }
    names
}

/// The settings of Debian's wrapper, and those that the file of the package explains.
fn pure_ftpd_settings(place: &Path) -> BTreeSet<String> {
    let wrapper = read(&place.join("usr/sbin/pure-ftpd-wrapper"));
    let quoted = wrapper.lines().filter_map(|line| {
        let (name, rest) =
            line.trim().rsplit_once("' ").or_else(|| line.trim().rsplit_once("', "))?;
        let name = name.rsplit('\'').next()?;
        (rest.contains("=> [") && name.starts_with(|c: char| c.is_ascii_uppercase()))
            .then(|| name.to_owned())
    });
    let mut names: BTreeSet<String> = quoted.collect();
    let file = read(&place.join("etc/pure-ftpd/pure-ftpd.conf"));
    for line in file.lines() {
        // A setting has its value far to the right, also where it is commented out.
        let line = line.trim_start_matches('#').trim();
        if let Some((name, rest)) = line.split_once("   ")
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && !rest.trim().is_empty()
        {
            names.insert(name.to_owned());
        }
    }
    names
}

/// Writes a file, and returns its place.
fn file(scratch: &tempfile::TempDir, text: impl AsRef<[u8]>) -> PathBuf {
    let file = scratch.path().join("old.conf");
    std::fs::write(&file, text).unwrap();
    file
}

/// What findings D1 to D7 say was opened in silence.
fn opens() {
    let scratch = tempfile::tempdir().unwrap();
    for (format, text) in [
        ("vsftpd", "listen=YES\nlocal_enable=YES\ntcp_wrappers=YES\n"),
        ("vsftpd", "listen=YES\nlocal_enable=YES\nport_enable=NO\n"),
        ("vsftpd", "listen=YES\nlocal_enable=YES\nunheard_of=YES\n"),
        ("proftpd", "Port 21\nUmask 022\nDenyFilter \\.exe$\n"),
        ("proftpd", "Port 21\n<Limit LOGIN>\nAllowClass lan\nDenyAll\n</Limit>\n"),
        ("proftpd", "Port 21\n<IfDefine X>\nMaxLoginAttempts 1\n</IfDefine>\n"),
        ("pure-ftpd", "PureDB /etc/x.pdb\nNoChmod yes\n"),
        ("mini-ftpd", "listen_port = 21\nlocal_umask = 077\nfoo = 1\n"),
    ] {
        let old = file(&scratch, text);
        let (code, toml, said) = run(format, &old, &[]);
        assert_eq!(code, Some(3), "{text}: {said}");
        assert!(said.starts_with("OPENS ACCESS"), "it is named first: {said}");
        assert!(toml.contains("deny_networks = "), "{toml}");
        let (code, toml, said) = run(format, &old, &["--accept-wider-access"]);
        assert_eq!(code, Some(0), "{text}: {said}");
        assert!(!toml.contains("deny_networks = ") && said.contains("OPENS ACCESS"), "{toml}");
    }
    // What is as strict as it was ends with 0.
    for (format, text) in [
        (
            "proftpd",
            "Port 21\nTLSEngine on\nTLSRSACertificateFile /c\nTLSRSACertificateKeyFile /k\nTLSRequired yes\n",
        ),
        (
            "vsftpd",
            "listen=YES\nlocal_enable=YES\nguest_enable=YES\nlocal_root=/home/vsftpd/$USER\n",
        ),
        ("proftpd", "Port 21\nDefaultRoot /srv/ftp/%u\n<Limit WRITE>\nDenyAll\n</Limit>\n"),
    ] {
        let (code, toml, said) = run(format, &file(&scratch, text), &[]);
        assert_eq!(code, Some(0), "{text}: {said}");
        assert!(!toml.contains("\"pam\"") || toml.contains("require = \"control+data\""), "{toml}");
    }
}

fn other_files() {
    let scratch = tempfile::tempdir().unwrap();
    let vsftpd = "listen=YES\nlocal_enable=YES\nwrite_enable=YES\n";
    let directory = scratch.path().join("secrets");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("shadow"), "root:$6$salt$hash").unwrap();
    let fifo = scratch.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let large = scratch.path().join("large");
    std::fs::write(&large, "listen=YES\n".repeat(1_000_000)).unwrap();
    let old = file(&scratch, vsftpd);
    let ansible = scratch.path().join("vsftpd.conf.j2");
    std::fs::write(&ansible, format!("{vsftpd}max_clients={{{{ vsftpd_max_clients }}}}\n"))
        .unwrap();
    for format in ["vsftpd", "proftpd", "pure-ftpd", "mini-ftpd", "i2ftp"] {
        for path in [Path::new("/bin/ls"), &directory, &fifo, &large] {
            let (code, out, said) = run(format, path, &[]);
            assert_eq!(code, Some(2), "{format} {}: {said}", path.display());
            assert!(said.contains(&format!("this is not a {format} file")), "{said}");
            assert!(out.is_empty() && !said.contains("$6$"), "nothing of it is printed: {said}");
        }
        if format != "vsftpd" {
            assert_eq!(run(format, &old, &[]).0, Some(2), "{format}");
        }
        assert_eq!(run(format, Path::new("/nowhere"), &[]).0, Some(1));
    }
    let (code, out, said) = run("vsftpd", &ansible, &[]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{said}");
    assert!(said.contains(":4: this is a template") && said.contains("render it first"), "{said}");
    // Pure-FTPd's own directory is one.
    let conf = scratch.path().join("conf");
    std::fs::create_dir(&conf).unwrap();
    std::fs::write(conf.join("NoAnonymous"), "yes\n").unwrap();
    assert_eq!(run("pure-ftpd", &conf, &[]).0, Some(0));
}

fn hostile() {
    let scratch = tempfile::tempdir().unwrap();
    let name = scratch.path().join("x\nlisten_port = 1\n#\u{1b}[2J\u{202e}");
    std::fs::write(
        &name,
        "listen=YES\nftpd_banner=\u{1b}]0;x\u{7}\nco\u{202e}l\u{1b}=1\nlocal_root=/\u{1b}[2J\n",
    )
    .unwrap();
    std::fs::set_permissions(&name, PermissionsExt::from_mode(0o600)).unwrap();
    for more in [&[][..], &["--accept-wider-access"]] {
        let (_, toml, said) = run("vsftpd", &name, more);
        assert!(!toml.contains("\nlisten_port = 1"), "{toml}");
        for text in [toml, said] {
            let shown = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
            assert_eq!(shown, None, "{text:?}");
        }
    }
    // Bytes of Latin-1 and a line without an end.
    let latin = file(&scratch, b"listen=YES\nftpd_banner=Gr\xfc\xdfe\n# J\xf6rg\nmax_clients=5");
    let (code, toml, said) = run("vsftpd", &latin, &[]);
    assert!(code == Some(0) && toml.contains("maximum_clients = 5"), "{said}");
}

/// The closed form of a translation, with our own ports and files.
fn closed() {
    let scratch = tempfile::tempdir().unwrap();
    let old = file(&scratch, "listen=YES\ntcp_wrappers=YES\nlocal_enable=NO\n");
    let (code, toml, _) = run("vsftpd", &old, &[]);
    assert_eq!(code, Some(3));
    let denies = toml.lines().find_map(|line| line.strip_prefix("deny_networks = ")).unwrap();
    let server =
        Server::new().with("access.deny_networks", denies).with_account("alice", &[]).run();
    let mut control = ControlConnection::connect(server.address());
    control.expect(421);
    let event = server.expect_event("refused", |_| true);
    assert_eq!(event["reason"], "network");
}

/// The tables of docs/migrate.md: each line, imported in a small file, becomes what stands beside it.
fn document() {
    let text = include_str!("../../docs/migrate.md");
    let scratch = tempfile::tempdir().unwrap();
    let mut lines = 0;
    for (heading, format, base) in [
        ("## From vsftpd", "vsftpd", "listen=YES\nlocal_enable=YES\nwrite_enable=YES\n"),
        ("## From ProFTPD", "proftpd", "UseFtpUsers off\nUmask 022\n"),
        ("## From Pure-FTPd", "pure-ftpd", "NoAnonymous yes\nDontResolve yes\n"),
    ] {
        let section = text.split_once(heading).unwrap().1.split("\n## ").next().unwrap();
        for row in section.lines().filter_map(|line| line.strip_prefix("| `")) {
            let (line, becomes) = row.split_once("` | ").unwrap();
            let becomes = becomes.trim_end_matches(" |");
            let old = file(&scratch, format!("{base}{line}\n"));
            let (code, toml, said) = run(format, &old, &[]);
            match becomes.strip_prefix('`') {
                Some(key) => {
                    let key = key.trim_end_matches('`');
                    assert!(toml.lines().any(|line| line == key), "{line}: no {key} in\n{toml}");
                    assert_eq!(code, Some(0), "{line}: {said}");
                }
                None => {
                    let under = said.split_once(becomes).map_or("", |(_, rest)| rest);
                    let under = under.lines().skip(1).take_while(|line| line.starts_with("  "));
                    let here = under
                        .filter(|said| said.starts_with("  line"))
                        .any(|said| said.contains("line 4:") || said.contains("line 3:"));
                    assert!(here, "{line} is not under {becomes}:\n{said}");
                    assert_eq!(code == Some(3), becomes == "OPENS ACCESS", "{line}: {said}");
                }
            }
            lines += 1;
        }
    }
    assert!(lines > 45, "{lines}");
    for said in ["the exit code is 3", "`--accept-wider-access`", "The exit code is 2", "1 MiB"] {
        assert!(text.contains(said), "{said}");
    }
}
