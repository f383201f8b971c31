//! The account file and the password hashes.

use std::{os::unix::fs::PermissionsExt, path::Path};

use ipc::account::Rights;
use time::macros::datetime;

use super::{password, record::Record, store::*};

const HASHES_OF_PASSWORD: [&str; 6] = [
    "$2b$06$abcdefghijklmnopqrstuuNBpXtlux7FnXJE0fnrtkSXNhdOGmWHu",
    "$2y$06$abcdefghijklmnopqrstuuNBpXtlux7FnXJE0fnrtkSXNhdOGmWHu",
    "$5$saltsalt$gOjOtoMpVhru2uyjeJSEc/JaLQWOXMNmlOnj6T4AtC.",
    "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/",
    "$6$rounds=7000$saltsaltsalt$lrRE4gi39iUCIIMg987TGCPp3KQb57a.YKwC5ajHMoY9MvNPvemPKYyRNOx.cRQdo9zBq4pZ3rwJZcIZINEUa/",
    "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$tnSYvahCwPBHKZUspmcxMfb0.WiB9W.zEaKlOBL35rC",
];

fn parse(text: &str) -> Result<Store, StoreError> {
    Store::parse(Path::new("/etc/bulkhead/users.toml"), text)
}

fn damage(text: &str) -> String {
    parse(text).err().expect("the file must be refused").to_string()
}

#[test]
fn a_hash_verifies_its_own_password_and_no_other() {
    let hash = password::hash(b"correct horse").unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    assert_eq!(password::verify(&hash, b"correct horse"), Ok(true));
    assert_eq!(password::verify(&hash, b"correct horse "), Ok(false));
    assert_eq!(password::verify(&hash, b""), Ok(false));
}

#[test]
fn the_dummy_has_the_parameters_of_a_new_hash() {
    let parameters = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
    let new = password::hash(b"x").unwrap();
    assert_eq!(parameters(password::DUMMY), parameters(&new));
    assert_eq!(password::DUMMY.len(), new.len(), "{new}");
    assert_eq!(password::verify(password::DUMMY, b"x"), Ok(false));
}

#[test]
fn hashes_of_other_programs_verify() {
    // Made with crypt(3) of libxcrypt from the password "password".
    for hash in HASHES_OF_PASSWORD {
        assert!(password::is_known(hash), "{hash}");
        assert_eq!(password::verify(hash, b"password"), Ok(true), "{hash}");
        assert_eq!(password::verify(hash, b"passwore"), Ok(false), "{hash}");
    }
    for bad in ["", "x", "*", "!", "$1$abcdefgh$Q7BSuYgGTnX2X1L3XJr0v.", "$6$", "plain"] {
        assert!(!password::is_known(bad), "{bad}");
        assert!(password::verify(bad, b"password").is_err(), "{bad}");
    }
    // A hash that lost or gained a letter is told from one that another password has.
    for hash in HASHES_OF_PASSWORD {
        for damaged in [&hash[..hash.len() - 1], &format!("{hash}x"), &hash.replace('$', "$$")] {
            assert!(!password::is_known(damaged), "{damaged}");
        }
    }
}

#[test]
fn every_field_survives_writing_and_reading() {
    let text = "[accounts.alice]\nroot = \"/srv/a\"\nstart = \"/in\"\nrights = [\"list\", \
        \"write\"]\nuid = 1000\ngid = 1001\ngroups = [5]\nupload_rate = 1\ndownload_rate = 2\n\
        max_sessions = 3\nnetworks = [\"10.0.0.0/8\"]\nexpires = \"2027-01-31\"\n\
        tls = \"control+data\"\nsecond_factor = true\nadministrator = true\ndisabled = true\n";
    let store = parse(text).unwrap();
    assert_eq!(toml::to_string(&store).unwrap(), text);
}

#[test]
fn damage_is_named_with_its_line() {
    assert!(damage("[accounts.a]\nroot = \"/x\"\nrihgts = []\n").contains(":3:"));
    let right = damage("[accounts.a]\nroot = \"/x\"\nrights = [\"fly\"]\n");
    assert!(right.contains(":3:") && right.contains("overwrite"), "{right}");
    assert!(damage("[accounts.a]\nroot = \"x\"\n").contains(":1:"));
    assert!(damage("\n[accounts.a]\nroot = \"/x\"\nuid = 0\n").contains("uid or gid 0"));
    assert!(damage("[accounts.a]\nroot = \"/x\"\nexpires = \"soon\"\n").contains("2027-12-31"));
    let hash = damage("[accounts.a]\nroot = \"/x\"\npassword = \"hunter2\"\n");
    assert!(hash.contains("no known format") && !hash.contains("hunter2"), "{hash}");
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ/c2FsdA$aGFzaGhhc2g";
    let code = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    for secret in [hash, code] {
        for (line, text) in [
            (2, format!("[accounts.a]\n\"{secret}\" = 1\n")),
            (2, format!("[accounts.a]\n\"`, expected {secret}\" = 1\n")),
            (2, format!("[accounts.a]\nuid = \"{secret}\"\n")),
            (2, format!("[accounts.a]\nrights = [\"{secret}\"]\n")),
            (2, format!("[accounts.a]\nnetworks = [\"{secret}\"]\n")),
            (2, format!("[accounts.a]\nexpires = \"{secret}\"\n")),
            (2, format!("[accounts.a]\ntls = \"{secret}\"\n")),
            (2, format!("[accounts]\n\"{secret}\" = {{ root = \"/x\", rihgts = [] }}\n")),
            (1, format!("[accounts.\"{secret}\"]\nroot = \"x\"\n")),
            (1, format!("[\"{secret}\"]\n")),
            (1, format!("second_factors.a = {{ \"{secret}\" = \"x\" }}\n")),
        ] {
            let said = damage(&text);
            assert!(said.contains(&format!(":{line}: ")), "{said}");
            assert!(!said.contains(&secret[..20]), "{said}");
        }
    }
    // What is no secret is repeated, and what belongs there is said in both cases.
    assert!(damage("[accounts.a]\nrihgts = []\n").contains("`rihgts`, expected one of"));
    let hidden = damage(&format!("[accounts.a]\n\"{hash}\" = 1\n"));
    assert!(hidden.contains("not repeated, expected one of `password`"), "{hidden}");
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("users.toml");
    Store::edit(&path, |_| Ok::<_, StoreError>(())).unwrap();
    assert!(Store::load(&path).is_ok());
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let refused = Store::load(&path).err().unwrap();
    assert!(refused.to_string().contains("chmod 600"), "{refused}");
}

#[test]
fn a_change_that_fails_changes_nothing_and_simultaneous_changes_all_arrive() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("users.toml");
    std::thread::scope(|scope| {
        for i in 0..8 {
            let path = &path;
            scope.spawn(move || {
                Store::edit(path, |store| {
                    let record = Record { root: "/srv".into(), ..Record::default() };
                    store.accounts.insert(format!("user{i}"), record);
                    Ok::<_, StoreError>(())
                })
                .unwrap();
            });
        }
    });
    let failed = Store::edit(&path, |store| {
        store.accounts.clear();
        let error = std::io::Error::other("no");
        Err::<(), _>(StoreError::Write { path: path.clone(), error })
    });
    assert!(failed.is_err());
    assert_eq!(Store::load(&path).unwrap().accounts.len(), 8);
}

#[test]
fn read_only_takes_away_what_changes_anything() {
    let mut record = Record { read_only: true, ..Record::default() };
    assert_eq!(record.rights(), Rights::READ_ONLY);
    record.rights = Some(super::record::RightList(Rights::LIST.with(Rights::WRITE)));
    assert_eq!(record.rights(), Rights::LIST);
    record.read_only = false;
    assert!(record.rights().contains(Rights::WRITE));
}

#[test]
fn an_account_is_refused_when_disabled_expired_or_elsewhere() {
    let here = "10.0.0.1".parse().unwrap();
    let now = datetime!(2027-02-01 00:00 UTC);
    let of = |text: &str| parse(text).unwrap().accounts.remove("a").unwrap();
    let base = "[accounts.a]\nroot = \"/x\"\n";
    assert_eq!(of(base).refusal(here, now), None);
    let record = of(&format!("{base}expires = \"2027-01-31\"\n"));
    assert_eq!(record.refusal(here, now), Some("expired"));
    assert_eq!(record.refusal(here, datetime!(2027-01-31 23:59 UTC)), None);
    let record = of(&format!("{base}networks = [\"192.0.2.0/24\"]\n"));
    assert_eq!(record.refusal(here, now), Some("network"));
    assert_eq!(record.refusal("192.0.2.9".parse().unwrap(), now), None);
    assert_eq!(of(&format!("{base}disabled = true\n")).refusal(here, now), Some("disabled"));
}
