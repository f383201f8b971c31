//! What is in the packages, and that the same sources make the same packages.

use std::fs;

use libtest_mimic::Trial;

use super::{directory, harness, package_in, printed, run, text};

pub fn tests() -> Vec<Trial> {
    vec![
        harness::needs_program("deb: holds what it should", "dpkg-deb", deb_holds_what_it_should),
        harness::needs_program("deb: lintian is content", "lintian", lintian_is_content),
        harness::needs_program("programs are hardened", "readelf", programs_are_hardened),
        harness::test("built twice, the packages are the same", built_twice_is_the_same),
        harness::test("the list of what is linked in names the lock file's", bill_names_packages),
        harness::needs_program("no package asks for a newer Rust", "cargo", oldest_rust_is_true),
    ]
}

/// Path and mode of what must be in both kinds of package.
pub const EVERYWHERE: [(&str, &str); 30] = [
    ("-rwxr-xr-x", "/usr/bin/bulkhead"),
    ("-rwxr-xr-x", "/usr/libexec/bulkhead/bulkhead-helper"),
    ("-rwxr-xr-x", "/usr/libexec/bulkhead/bulkhead-worker"),
    ("-rw-r--r--", "/etc/bulkhead/bulkhead.toml"),
    ("-rw-r--r--", "/etc/pam.d/bulkhead"),
    ("-rw-r--r--", "/etc/logrotate.d/bulkhead"),
    ("-rw-r--r--", "/usr/lib/systemd/system/bulkhead.service"),
    ("-rw-r--r--", "/usr/lib/systemd/system/bulkhead.socket"),
    ("-rw-r--r--", "/usr/lib/systemd/system/bulkhead-helper@.service"),
    ("-rw-r--r--", "/usr/lib/systemd/system/bulkhead-helper.socket"),
    ("-rw-r--r--", "/usr/lib/sysusers.d/bulkhead.conf"),
    ("-rw-r--r--", "/usr/lib/tmpfiles.d/bulkhead.conf"),
    ("-rw-r--r--", "/usr/lib/firewalld/services/bulkhead.xml"),
    ("-rw-r--r--", "/usr/share/bulkhead/fail2ban/bulkhead.conf"),
    ("-rw-r--r--", "/usr/share/bulkhead/policy/authenticator.toml"),
    ("-rw-r--r--", "/usr/share/bulkhead/policy/gate.toml"),
    ("-rw-r--r--", "/usr/share/bulkhead/policy/helper.toml"),
    ("-rw-r--r--", "/usr/share/bulkhead/policy/keeper.toml"),
    ("-rw-r--r--", "/usr/share/bulkhead/policy/session.toml"),
    ("-rw-r--r--", "/usr/share/bulkhead/policy/supervisor.toml"),
    ("-rw-r--r--", "/usr/share/bash-completion/completions/bulkhead"),
    ("-rw-r--r--", "/usr/share/fish/vendor_completions.d/bulkhead.fish"),
    ("-rw-r--r--", "/usr/share/man/man8/bulkhead.8.gz"),
    ("-rw-r--r--", "/usr/share/man/man5/bulkhead.toml.5.gz"),
    ("-rw-r--r--", "/usr/share/man/man8/bulkhead-user-add.8.gz"),
    ("-rw-r--r--", "/usr/share/bulkhead/selinux/bulkhead.te"),
    ("-rw-r--r--", "/usr/share/doc/bulkhead/operate.md"),
    ("-rw-r--r--", "/usr/share/doc/bulkhead/i2ftp.md"),
    ("-rw-r--r--", "/usr/share/doc/bulkhead/log.schema.json"),
    ("-rw-r--r--", "/usr/share/doc/bulkhead/decisions/002-relay.md"),
];

/// What else a package for Debian has.
const DEBIAN: [(&str, &str); 5] = [
    ("-rw-r--r--", "/etc/apparmor.d/bulkhead"),
    ("-rw-r--r--", "/usr/share/doc/bulkhead/changelog.Debian.gz"),
    ("-rw-r--r--", "/usr/share/doc/bulkhead/copyright"),
    ("-rw-r--r--", "/usr/share/doc/bulkhead/sbom.cdx.json"),
    ("-rw-r--r--", "/usr/share/zsh/vendor-completions/_bulkhead"),
];

fn deb_holds_what_it_should() {
    let deb = package_in(&directory(), "deb");
    let listing = printed("dpkg-deb", &["--contents", text(&deb)]);
    for (mode, path) in EVERYWHERE.iter().chain(&DEBIAN) {
        let entry = listing.lines().find(|line| line.ends_with(&format!(" .{path}")));
        let entry = entry.unwrap_or_else(|| panic!("{path} is missing:\n{listing}"));
        let is_roots = entry.contains(" root/root ") || entry.contains(" 0/0 ");
        assert!(entry.starts_with(mode) && is_roots, "{entry}");
    }
    let conffiles = printed("dpkg-deb", &["--info", text(&deb), "conffiles"]);
    for line in listing.lines().filter(|line| !line.starts_with('d')) {
        let path = line.rsplit(" .").next().unwrap();
        let is_conffile = conffiles.lines().any(|conffile| conffile == path);
        assert_eq!(is_conffile, path.starts_with("/etc/"), "{path}: {conffiles}");
        assert!(!line.contains("rws") && !line.contains("/usr/local"), "{line}");
    }
    let field = |name: &str| printed("dpkg-deb", &["--field", text(&deb), name]);
    assert_eq!(field("Package").trim(), "bulkhead");
    let depends = field("Depends");
    assert!(depends.contains("libc6") && depends.contains("libpam0g"), "{depends}");
}

/// Packing has not undone what the linker did.
fn programs_are_hardened() {
    for program in
        ["bin/bulkhead", "libexec/bulkhead/bulkhead-worker", "libexec/bulkhead/bulkhead-helper"]
    {
        let program = directory().join("root/usr").join(program);
        let headers = printed("readelf", &["--program-headers", "--wide", text(&program)]);
        for sign in ["DYN (Position-Independent Executable", "GNU_RELRO"] {
            assert!(headers.contains(sign), "{}: {sign}: {headers}", program.display());
        }
        let stack = headers.lines().find(|line| line.contains("GNU_STACK")).unwrap();
        assert!(!stack.contains(" RWE "), "{}: {stack}", program.display());
        let sections = printed("readelf", &["--sections", "--wide", text(&program)]);
        assert!(!sections.contains(".symtab"), "{} is not stripped", program.display());
    }
}

fn lintian_is_content() {
    let deb = package_in(&directory(), "deb");
    let arguments = ["--allow-root", "--no-cfg", "--fail-on", "error,warning", text(&deb)];
    let output = run("lintian", &arguments);
    let said = String::from_utf8_lossy(&output.stdout);
    println!("lintian {said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn built_twice_is_the_same() {
    for kind in ["deb", "rpm"] {
        let once = package_in(&directory(), kind);
        let again = package_in(&directory().join("again"), kind);
        let same = fs::read(&once).unwrap() == fs::read(&again).unwrap();
        assert!(same, "{} and {} differ", once.display(), again.display());
    }
}

fn bill_names_packages() {
    let path = directory().join("root/usr/share/doc/bulkhead/sbom.cdx.json");
    let bill: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let components = bill["components"].as_array().unwrap();
    let named = |name: &str| components.iter().any(|component| component["name"] == name);
    for name in ["bulkhead", "bulkhead-worker", "bulkhead-helper", "rustls", "seccompiler"] {
        assert!(named(name), "{name}");
    }
    // What only the tests use is in no program.
    assert!(!named("libtest-mimic"));
    let foreign = |component: &&serde_json::Value| component["purl"].is_string();
    for component in components.iter().filter(foreign) {
        assert!(component["hashes"][0]["content"].is_string(), "{component}");
        assert_ne!(component["licenses"][0]["expression"], "", "{component}");
    }
}

/// What the workspace says of the oldest Rust holds for everything in the lock file; of our own code
/// clippy sees to it (`incompatible_msrv`).
fn oldest_rust_is_true() {
    let manifest = super::project("Cargo.toml");
    let arguments = ["metadata", "--locked", "--format-version=1", "--manifest-path"];
    let arguments: Vec<&str> = arguments.into_iter().chain([text(&manifest)]).collect();
    let metadata: serde_json::Value = serde_json::from_str(&printed("cargo", &arguments)).unwrap();
    let minor = |version: &str| version.split('.').nth(1).unwrap().parse::<u32>().unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours = packages.iter().find(|package| package["name"] == "bulkhead").unwrap();
    let stated = minor(ours["rust_version"].as_str().unwrap());
    for package in packages {
        if let Some(version) = package["rust_version"].as_str() {
            assert!(minor(version) <= stated, "{} needs Rust {version}", package["id"]);
        }
    }
}
