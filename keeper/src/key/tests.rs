use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use tempfile::TempDir;

use super::*;
use crate::test_certificate;

fn made() -> (TempDir, test_certificate::Created) {
    let directory = tempfile::tempdir().unwrap();
    let created = test_certificate::create(directory.path(), &["FTP.example", "127.0.0.1"]);
    (directory, created)
}

fn open(path: &Path) -> OwnedFd {
    fs::File::open(path).unwrap().into()
}

fn refused(certificate: &Path, key: &Path) -> Unusable {
    match load(open(certificate), open(key)) {
        Err(unusable) => unusable,
        Ok(_) => panic!("{} was loaded", key.display()),
    }
}

/// Makes a key with openssl in the wanted form, and a certificate for it.
fn with_openssl(
    directory: &Path,
    key_arguments: &[&str],
) -> (std::path::PathBuf, std::path::PathBuf) {
    let key = directory.join("key.pem");
    let certificate = directory.join("certificate.pem");
    let openssl = |arguments: &[&str]| {
        let output = std::process::Command::new("openssl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key_name = key.to_str().unwrap();
    let (verb, rest) = key_arguments.split_first().unwrap();
    openssl(&[&[*verb, "-out", key_name][..], rest].concat());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let name = certificate.to_str().unwrap();
    openssl(&["req", "-x509", "-new", "-key", key_name, "-subj", "/CN=Test", "-out", name]);
    (certificate, key)
}

#[test]
fn a_certificate_of_p256_loads_and_signs() {
    let (_directory, created) = made();
    let (public, key) = load(open(&created.certificate), open(&created.private_key)).unwrap();
    assert_eq!(public.names, ["ftp.example", "127.0.0.1"]);
    assert_eq!(public.fingerprint, created.fingerprint);
    assert_eq!(public.schemes, [0x0403]);
    assert!(key.sign(0x0403, true, b"text").is_some());
    assert!(key.sign(0x0503, true, b"text").is_none(), "the scheme of another curve");
    assert!(key.sign(0x0804, true, b"text").is_none(), "the scheme of another kind of key");
}

#[test]
fn keys_in_pkcs8_pkcs1_and_sec1_load() {
    let forms: [(&[&str], usize); 5] = [
        (&["genrsa", "-traditional", "2048"], 6),
        (&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], 6),
        (&["ecparam", "-genkey", "-name", "secp384r1", "-noout"], 1),
        (&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], 1),
        (&["genpkey", "-algorithm", "ed25519"], 1),
    ];
    for (arguments, schemes) in forms {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = with_openssl(directory.path(), arguments);
        let (public, private) = load(open(&certificate), open(&key))
            .unwrap_or_else(|unusable| panic!("{arguments:?}: {unusable:?}"));
        assert_eq!(public.schemes.len(), schemes, "{arguments:?}");
        assert_eq!(public.names, ["test"]);
        let best = public.schemes[0];
        assert!(private.sign(best, true, b"text").is_some(), "{arguments:?}");
    }
}

#[test]
fn rsa_signs_pkcs1_for_tls12_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = with_openssl(directory.path(), &["genrsa", "2048"]);
    let (_, private) = load(open(&certificate), open(&key)).unwrap();
    assert!(private.sign(0x0401, false, b"text").is_some());
    assert!(private.sign(0x0401, true, b"text").is_none());
}

#[test]
fn a_short_rsa_key_and_an_unusual_kind_are_refused() {
    for arguments in [&["genrsa", "1024"][..], &["genpkey", "-algorithm", "ed448"]] {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = with_openssl(directory.path(), arguments);
        let unusable = refused(&certificate, &key);
        assert_eq!(unusable.file, CertificateFile::PrivateKey, "{arguments:?}");
    }
}

#[test]
fn a_key_everybody_may_read_is_refused() {
    let (_directory, created) = made();
    for mode in [0o644, 0o604, 0o620, 0o601] {
        fs::set_permissions(&created.private_key, fs::Permissions::from_mode(mode)).unwrap();
        let unusable = refused(&created.certificate, &created.private_key);
        assert_eq!(unusable.file, CertificateFile::PrivateKey);
        assert!(unusable.reason.contains(&format!("{mode:04o}")), "{}", unusable.reason);
    }
    fs::set_permissions(&created.private_key, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(load(open(&created.certificate), open(&created.private_key)).is_ok());
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (_one, first) = made();
    let (_two, second) = made();
    let unusable = refused(&first.certificate, &second.private_key);
    assert_eq!(unusable.file, CertificateFile::PrivateKey);
    assert!(unusable.reason.contains("does not belong"));
}

#[test]
fn c4_a_certificate_that_has_ended_or_not_begun_is_loaded() {
    let directory = tempfile::tempdir().unwrap();
    for (from, to) in [(2020, 2021), (2098, 2099)] {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let place = |name: &str| directory.path().join(name);
        fs::write(place("chain"), params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(place("key"), key.serialize_pem()).unwrap();
        fs::set_permissions(place("key"), fs::Permissions::from_mode(0o600)).unwrap();
        let (public, _) = load(open(&place("chain")), open(&place("key"))).unwrap();
        assert_eq!(public.not_before, params.not_before.unix_timestamp());
        assert_eq!(public.not_after, params.not_after.unix_timestamp());
    }
}

#[test]
fn files_that_are_something_else_are_refused_by_name() {
    let (directory, created) = made();
    let junk = directory.path().join("junk");
    fs::write(&junk, "no PEM").unwrap();
    fs::set_permissions(&junk, fs::Permissions::from_mode(0o600)).unwrap();
    let as_certificate = refused(&junk, &created.private_key);
    assert_eq!(as_certificate.file, CertificateFile::Certificate);
    let as_key = refused(&created.certificate, &junk);
    assert_eq!(as_key.file, CertificateFile::PrivateKey);
    fs::write(&junk, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n").unwrap();
    let encrypted = refused(&created.certificate, &junk);
    assert!(encrypted.reason.contains("passphrase"), "{}", encrypted.reason);
    fs::write(&junk, vec![b'x'; MAX_FILE + 1]).unwrap();
    let long = refused(&created.certificate, &junk);
    assert!(long.reason.contains("longer"), "{}", long.reason);
    let directory = refused(&created.certificate, directory.path());
    assert!(directory.reason.contains("regular"), "{}", directory.reason);
    let swapped = refused(&created.private_key, &created.private_key);
    assert_eq!(swapped.file, CertificateFile::Certificate);
}
