//! The configuration: what loads, and what is refused in which words.

use std::path::Path;

use super::{schema::KEYS, *};

/// A key of I2FTP that is long enough.
const KEY: &str = "00fF5566778899aabbccddeeff00112233445566778899aabbccddeeff001122";

fn load(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(Path::new("/etc/bulkhead/bulkhead.toml"), text)
}

fn errors(text: &str) -> Vec<String> {
    let errors = load(text).expect_err("the configuration must be refused");
    errors.iter().map(|e| format!("{}: {}; {}", e.line, e.what, e.remedy)).collect()
}

#[test]
fn c7_syntax_and_meaning_are_said_at_once() {
    let text = "listen_prot = 21\nlocal_umask = 077\nmax_clients = \"many\"\n\n[passive\nports = 3\n\n\
                [tls]\nrequire = yes\nrequire_session_reuse = 1\n[log]\nlevel = \"loud\"\n";
    let errors = Config::parse(Path::new("/x"), text).unwrap_err();
    let lines: Vec<usize> = errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [1, 2, 3, 5, 9, 10, 12], "{errors}");
    // Nothing is said of a key that a syntax error has hidden, or of one below a heading that is none.
    assert!(!errors.to_string().contains("ports"), "{errors}");
    // Whatever stands there, it ends.
    for text in ["[", "a = \"\"\"", "= = =\n".repeat(100).as_str(), "\u{0}", "a = [1,\n2,\n"] {
        assert!(Config::parse(Path::new("/x"), text).is_err(), "{text:?}");
    }
}

#[test]
fn c7_a_key_is_set_when_it_stands_in_the_file() {
    let config = Config::parse(Path::new("/x"), "listen_port = 21\n[passive]\nports = \"0-0\"\n");
    let config = config.unwrap();
    assert!(config.is_set(".listen_port") && config.is_set("passive.ports"));
    assert!(!config.is_set(".maximum_clients"));
}

#[test]
fn what_is_quoted_of_the_file_reaches_no_terminal_raw() {
    let errors = load("local_umask = \u{1b}\0").expect_err("that is no TOML");
    assert!(!errors.iter().any(|e| e.to_string().contains(char::is_control)), "{errors}");
}

#[test]
fn an_empty_file_gives_the_defaults_of_the_design() {
    let config = load("").unwrap();
    assert_eq!(config.listen_addresses, ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(
        (config.listen_port, config.maximum_clients, config.max_conns_per_ip),
        (21, 2000, 50)
    );
    let limits = &config.limits;
    assert_eq!((limits.accept_timeout, limits.connect_timeout), (600, 300));
    assert_eq!((limits.idle_ctrl_timeout, limits.idle_data_timeout), (300, 300));
    assert_eq!((limits.upload_rate, limits.download_rate), (0, 0));
    assert_eq!(config.umask, 0o77);
    assert_eq!(config.passive.ports, (50000, 51000));
    assert!(config.tls.is_none() && config.anonymous.is_none() && config.i2ftp.is_none());
}

#[test]
fn the_example_of_the_small_server_loads_unchanged() {
    let config = load(
        "idle_ctrl_timeout = 300\nidle_data_timeout = 20\nmax_upload_rate = 8192000\n\
         max_download_rate = 4096000\nmax_conns_per_ip = 2\nmaximum_clients = 3\n\
         accept_timeout = 30\nconnect_timeout = 3\n",
    )
    .unwrap();
    assert_eq!((config.max_conns_per_ip, config.maximum_clients), (2, 3));
    assert_eq!((config.limits.upload_rate, config.limits.connect_timeout), (8_192_000, 3));
}

#[test]
fn every_form_of_the_umask_means_octal() {
    for form in ["\"027\"", "\"27\"", "\"0o027\"", "0o027"] {
        assert_eq!(load(&format!("local_umask = {form}")).unwrap().umask, 0o27, "{form}");
    }
    let bare = errors("local_umask = 077");
    assert_eq!(bare.len(), 1, "{bare:?}");
    assert!(bare[0].starts_with("1: local_umask") && bare[0].contains("\"077\""), "{bare:?}");
    assert!(errors("local_umask = 77")[0].contains("decimal"));
    assert!(errors("local_umask = \"1777\"")[0].contains("777"));
    assert!(errors("local_umask = \"089\"")[0].contains("octal"));
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    assert!(errors("listen_prot = 21")[0].contains("did you mean `listen_port`?"));
    assert!(errors("[tsl]\nrequire = \"none\"")[0].contains("did you mean [tls]?"));
    assert!(errors("[passive]\nport = \"1-2\"")[0].contains("did you mean `ports`?"));
    assert!(errors("certificate = \"x\"")[0].contains("belongs below [tls]"));
}

#[test]
fn every_error_is_reported_at_once_with_its_line() {
    let found = errors(
        "listen_port = 99999\nlisten_address = \"here\"\nmax_upload_rate = -1\n\n[tls]\n\
         require = \"always\"\nfoo = 1\n[anonymous]\nenabled = true\n",
    );
    let lines: Vec<&str> = found.iter().filter_map(|e| e.split(':').next()).collect();
    assert_eq!(lines, ["1", "2", "3", "6", "7", "9"], "{found:#?}");
}

#[test]
fn a_word_without_quotes_is_explained() {
    let found = errors("listen_address = 127.0.0.1\nuploads = atomic\n");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("listen_address = \"127.0.0.1\""), "{found:#?}");
}

#[test]
fn tls_needs_as_many_keys_as_certificates_and_a_pair_to_be_demanded() {
    let tls =
        load("[tls]\ncertificate = [\"a\", \"/b\"]\nprivate_key = [\"c\", \"/d\"]\n").unwrap();
    let pairs = tls.tls.unwrap().pairs;
    assert_eq!(pairs[0].0, Path::new("/etc/bulkhead/a"));
    assert_eq!(pairs[1].1, Path::new("/d"));
    assert!(errors("[tls]\ncertificate = \"a\"")[0].contains("1 certificates and 0 private keys"));
    assert!(errors("[tls]\nrequire = \"control\"")[0].contains("without a certificate"));
}

#[test]
fn the_configuration_of_the_manual_of_i2ftp_loads() {
    let manual = include_str!("../../docs/i2ftp.md");
    let text = manual.split("```").find_map(|block| block.strip_prefix("toml\n")).unwrap();
    let config = load(&text.replace("<openssl rand -hex 32>", KEY)).unwrap();
    let i2ftp = config.i2ftp.unwrap();
    assert_eq!((i2ftp.listen_port, i2ftp.tls_port), (None, Some(26843)));
}

#[test]
fn i2ftp_needs_a_key_and_a_place() {
    let found = errors("[i2ftp]\nenabled = true\n");
    assert!(found[0].contains("no key"), "{found:?}");
    let found = errors(&format!("[i2ftp]\nenabled = true\nkey_hex = \"{KEY}\"\n"));
    assert!(found[0].contains("neither"), "{found:?}");
    let text = format!("[i2ftp]\nenabled = true\nkey_hex = \"{KEY}\"\nroot = \"/srv\"");
    assert_eq!(load(&text).unwrap().i2ftp.unwrap().key.expose()[..2], [0, 255]);
    assert!(errors("[i2ftp]\nkey_hex = \"00ff\"\n")[0].contains("unfit"));
    let short = KEY.get(..32).unwrap();
    let text = format!("[i2ftp]\nenabled = true\nkey_hex = \"{short}\"\nroot = \"/srv\"");
    assert!(load(&text).unwrap().notes.iter().any(|note| note.contains("fewer than 32 bytes")));
    let secret = errors("[i2ftp]\nkey_hex = \"012secret\"\n");
    assert!(!secret[0].contains("secret"), "a key must not reach an error: {secret:?}");
}

#[test]
fn every_key_has_a_text_and_an_example_that_loads() {
    for key in KEYS {
        assert!(key.doc.ends_with('.'), "{} has no sentence", key.name);
        let mut errors = Vec::new();
        let table = if key.table.is_empty() { String::new() } else { format!("[{}]\n", key.table) };
        let text = format!("{table}{} = {}", key.name, key.example);
        reader::read(Path::new("x"), &text, &mut errors);
        assert_eq!(errors, [], "{text}");
        let twins = KEYS.iter().filter(|k| (k.table, k.name) == (key.table, key.name)).count();
        assert_eq!(twins, 1, "{} stands twice", key.name);
    }
}

#[test]
fn the_roles_have_identities_of_their_own_and_never_root() {
    let identities = load("").unwrap().identities;
    let uids = [identities.helper.uid, identities.keeper.uid, identities.gate.uid];
    assert!(uids.iter().all(|uid| *uid != 0));
    assert!(uids[0] != uids[1] && uids[1] != uids[2] && uids[0] != uids[2]);
    assert!(errors("[identities]\ngate = \"root\"\n")[0].contains("uid or gid 0"));
}
