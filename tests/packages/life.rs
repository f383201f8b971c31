//! The life of the .deb on a Debian 12 of its own, under systemd: installed, an account, served,
//! upgraded under a running download, removed, purged.

use std::{fs, path::Path};

use libtest_mimic::{Failed, Trial};

use super::{debian::Debian, directory, package_in};
use crate::{debian, harness::eventually};

pub fn tests() -> Vec<Trial> {
    vec![trial(
        "deb: a whole life on a Debian of its own, of which h8 purge leaves nothing",
        whole_life,
    )]
}

fn trial(name: &str, run: fn()) -> Trial {
    let trial = Trial::test(name, move || -> Result<(), Failed> {
        run();
        Ok(())
    });
    match debian::missing() {
        None => trial,
        Some(what) => trial.with_kind(format!("skipped: needs {what}")).with_ignored_flag(true),
    }
}

/// Bytes of the download that an upgrade meets, and how fast it may go: long enough for dpkg.
const LARGE: usize = 24 << 20;
const PER_SECOND: usize = 1 << 20;

const CURL: &str = "curl --silent --show-error --user alice:wonderland";

fn whole_life() {
    let debian = Debian::boot();
    install(&debian);
    make_an_account(&debian);
    serves(&debian);
    reloads(&debian);
    serves_without_ipv6(&debian);
    is_activated_by_its_socket(&debian);
    upgrades_under_a_download(&debian);
    is_removed(&debian);
    is_purged(&debian);
}

fn copy_in(debian: &Debian, from: &Path, inside: &str) {
    fs::copy(from, debian.path(inside)).unwrap();
}

fn install(debian: &Debian) {
    copy_in(debian, &package_in(&directory(), "deb"), "/root/bulkhead.deb");
    debian.sh("dpkg --install /root/bulkhead.deb");
    assert_eq!(debian.sh("bulkhead --version").split(' ').next(), Some("bulkhead"));
    for user in ["bulkhead-gate", "bulkhead-helper", "bulkhead-keeper"] {
        debian.sh(&format!("getent passwd {user}"));
    }
    assert_eq!(debian.sh("stat --format '%a %U' /var/lib/bulkhead"), "700 root");
    // Nothing is started, and nothing can be: there is no account.
    assert_eq!(debian.run("systemctl is-enabled bulkhead.service").status.code(), Some(1));
    debian.sh("systemctl start bulkhead.service");
    assert_eq!(debian.property("bulkhead.service", "ActiveState"), "inactive");
    assert_eq!(debian.property("bulkhead.service", "ConditionResult"), "no");
    // The configuration is as it was packed, and loads.
    debian.sh("bulkhead unit >/dev/null");
}

fn make_an_account(debian: &Debian) {
    debian.sh("mkdir -p /srv/alice && chown 20001:20001 /srv/alice");
    debian.sh(
        "printf wonderland | bulkhead user add alice --root /srv/alice --uid 20001 --gid 20001 \
         --password-stdin",
    );
    // What `bulkhead unit` says of itself.
    debian.sh("mkdir -p /etc/systemd/system/bulkhead.service.d");
    debian.sh("bulkhead unit > /etc/systemd/system/bulkhead.service.d/directories.conf");
    debian.sh("systemctl daemon-reload");
    debian.sh(&format!("head -c {LARGE} /dev/urandom > /srv/alice/large"));
    debian.sh("echo hello > /srv/alice/small && chown 20001:20001 /srv/alice/*");
}

fn serves(debian: &Debian) {
    debian.sh("systemctl start bulkhead.service");
    let state = debian.property("bulkhead.service", "ActiveState");
    assert_eq!(state, "active", "{}", debian.sh("journalctl --no-pager --unit bulkhead.service"));
    assert_eq!(debian.sh(&format!("{CURL} ftp://127.0.0.1/small")), "hello");
    debian.sh(&format!("{CURL} --upload-file /etc/os-release ftp://127.0.0.1/uploaded"));
    debian.sh("cmp /etc/os-release /srv/alice/uploaded");
    assert_eq!(debian.sh("stat --format %u /srv/alice/uploaded"), "20001");
    // The unit's hardening is in force, and our own sandbox rose under it.
    let pid = debian.property("bulkhead.service", "MainPID");
    let status = debian.sh(&format!("cat /proc/{pid}/status"));
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
    let verified = debian.sh("bulkhead policy verify");
    assert!(verified.contains(" 0 failed"), "{verified}");
    has_no_network(debian, &pid);
    assert_ne!(debian.property("bulkhead.service", "WatchdogTimestampMonotonic"), "0");
}

/// Process ids of the helpers that run.
fn helpers(debian: &Debian) -> Vec<String> {
    let named =
        debian.sh("grep --files-with-matches --line-regexp bulkhead-helper /proc/[0-9]*/comm || :");
    named.lines().filter_map(|path| Some(path.split('/').nth(2)?.to_owned())).collect()
}

/// Of the server, the helper alone is in the host's network, in a unit and under a uid of its own.
fn has_no_network(debian: &Debian, supervisor: &str) {
    let network = |pid: &str| debian.sh(&format!("readlink /proc/{pid}/ns/net"));
    let helper = helpers(debian).pop().unwrap();
    assert_eq!(network(&helper), network("1"));
    assert_ne!(network(supervisor), network("1"));
    let status = debian.sh(&format!("cat /proc/{helper}/status"));
    let uid = debian.sh("id --user bulkhead-helper");
    let bound = format!("CapBnd:\t{:016x}", 1 << 10);
    assert!(status.contains(&format!("Uid:\t{uid}\t")) && status.contains(&bound), "{status}");
    assert_eq!(debian.sh(&format!("tr -d '\\0' < /proc/{helper}/environ")), "");
    let interfaces = debian.sh(&format!("nsenter --target {supervisor} --net cat /proc/net/dev"));
    assert_eq!(interfaces.lines().count(), 3, "{interfaces}");
    // Killed, it comes back, and the server goes on.
    debian.sh(&format!("kill -KILL {helper}"));
    eventually("another helper", || (helpers(debian).pop()? != helper).then_some(()));
    assert_eq!(debian.sh(&format!("{CURL} ftp://127.0.0.1/small")), "hello");
}

fn reloads(debian: &Debian) {
    debian.sh("sed -i 's/^#banner = .*/banner = \"changed\"/' /etc/bulkhead/bulkhead.toml");
    debian.sh("systemctl reload bulkhead.service");
    let greeting = debian.sh(&format!("{CURL} --verbose ftp://127.0.0.1/small 2>&1"));
    assert!(greeting.contains("changed"), "{greeting}");
    // What cannot work is refused, and the old settings stay.
    debian.sh("echo 'listen_prot = 3' >> /etc/bulkhead/bulkhead.toml");
    assert!(!debian.run("systemctl reload bulkhead.service").status.success());
    assert_eq!(debian.sh(&format!("{CURL} ftp://127.0.0.1/small")), "hello");
    debian.sh("sed -i '/^listen_prot/d' /etc/bulkhead/bulkhead.toml");
}

/// As on a kernel without the family.
fn serves_without_ipv6(debian: &Debian) {
    let drop_in = "/etc/systemd/system/bulkhead-helper@.service.d";
    debian.sh(&format!(
        "mkdir {drop_in}
         printf '[Service]\\nRestrictAddressFamilies=\\nRestrictAddressFamilies=AF_INET\\n' \
         > {drop_in}/no-ipv6.conf; systemctl daemon-reload; systemctl restart bulkhead.service"
    ));
    assert_eq!(debian.sh(&format!("{CURL} ftp://127.0.0.1/small")), "hello");
    debian.sh(&format!("rm -r {drop_in}; systemctl daemon-reload"));
}

fn is_activated_by_its_socket(debian: &Debian) {
    debian.sh("systemctl stop bulkhead.service");
    assert!(!debian.run(&format!("{CURL} ftp://127.0.0.1/small")).status.success());
    debian.sh("systemctl start bulkhead.socket");
    assert_eq!(debian.property("bulkhead.service", "ActiveState"), "inactive");
    assert_eq!(debian.sh(&format!("{CURL} ftp://127.0.0.1/small")), "hello");
    assert_eq!(debian.property("bulkhead.service", "ActiveState"), "active");
    // No child has the listening socket.
    let pid = debian.property("bulkhead.service", "MainPID");
    let inode = debian.sh(&format!("readlink /proc/{pid}/fd/3"));
    assert!(inode.starts_with("socket:"), "{inode}");
    let held = debian.sh("ls -l /proc/[0-9]*/fd 2>/dev/null || true");
    assert_eq!(held.matches(&inode).count(), 2, "the supervisor and systemd alone hold {inode}");
    debian
        .sh("systemctl stop bulkhead.socket bulkhead.service && systemctl start bulkhead.service");
}

fn upgrades_under_a_download(debian: &Debian) {
    copy_in(debian, &package_in(&directory().join("newer"), "deb"), "/root/newer.deb");
    let before = debian.property("bulkhead.service", "MainPID");
    let slow = format!("{CURL} --limit-rate {PER_SECOND} ftp://127.0.0.1/large --output /root/got");
    let mut download = debian.command(&slow).spawn().unwrap();
    eventually("the download to move", || {
        let got = fs::metadata(debian.path("/root/got")).ok()?.len();
        (got > 0).then_some(())
    });
    debian.sh("dpkg --install /root/newer.deb");
    assert!(debian.sh("dpkg-query --show bulkhead").ends_with("-2"));
    assert!(download.wait().unwrap().success(), "the upgrade ended the download");
    debian.sh("cmp /srv/alice/large /root/got");
    let after = debian.property("bulkhead.service", "MainPID");
    assert_ne!(before, after, "the new version does not run");
    assert_eq!(debian.sh(&format!("{CURL} ftp://127.0.0.1/small")), "hello");
    // The configuration that was changed is still there.
    debian.sh("grep -q '^banner = \"changed\"' /etc/bulkhead/bulkhead.toml");
}

fn is_removed(debian: &Debian) {
    debian.sh("systemctl enable bulkhead.service bulkhead.socket");
    debian.sh("dpkg --remove bulkhead");
    assert!(!debian.path("/usr/bin/bulkhead").exists());
    assert!(!debian.run(&format!("{CURL} ftp://127.0.0.1/small")).status.success());
    let wanted = debian.sh("find /etc/systemd -name 'bulkhead.service' -o -name 'bulkhead.socket'");
    assert_eq!(wanted, "", "links to units that are gone");
    assert!(!debian.path("/run/bulkhead-helper.socket").exists());
    // Settings, accounts and files stay.
    for path in ["/etc/bulkhead/bulkhead.toml", "/etc/bulkhead/users.toml", "/srv/alice/large"] {
        assert!(debian.path(path).exists(), "{path}");
    }
}

fn is_purged(debian: &Debian) {
    // What `bulkhead setup` makes.
    debian.sh("mkdir -p /etc/bulkhead/tls /var/cache/apparmor/0123abcd.0");
    debian.sh("touch /etc/bulkhead/tls/private_key.pem /etc/bulkhead/bulkhead.toml.old \
         /var/log/bulkhead.log /var/cache/apparmor/0123abcd.0/bulkhead");
    debian.sh("dpkg --purge bulkhead");
    for user in ["bulkhead-gate", "bulkhead-helper", "bulkhead-keeper"] {
        assert!(!debian.run(&format!("getent passwd {user}")).status.success(), "{user}");
    }
    // The drop-in is the administrator's own.
    debian.sh("rm -r /etc/systemd/system/bulkhead.service.d");
    let left = debian.sh(
        "find / -xdev \\( -path /proc -o -path /sys -o -path /root -o -path /var/log/journal \\) \
         -prune -o -name '*bulkhead*' -print",
    );
    assert_eq!(left, "", "left behind");
    debian.sh("[ -s /srv/alice/large ] && [ -s /srv/alice/uploaded ]");
}
