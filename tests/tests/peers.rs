//! vsftpd, ProFTPD and Pure-FTPd of Debian's packages beside us: the same configuration, translated,
//! and the same requests to both. What the old server refused is refused here (findings D1 to D7).

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use bulkhead_tests::harness::{
    ControlConnection, Server, eventually, in_namespaces, is_root, test,
};
use libtest_mimic::Trial;

/// Where `cargo xtask test` has unpacked the packages of the other servers; it does so as root.
const PACKAGES: &str = "BULKHEAD_PEER_PACKAGES";

const VSFTPD: &str = "peers::d3_vsftpd_beside_us_refuses_no_more_than_we_do";
const PROFTPD: &str = "peers::d4_proftpd_beside_us_refuses_no_more_than_we_do";
const PURE_FTPD: &str = "peers::d7_pure_ftpd_beside_us_refuses_no_more_than_we_do";

pub fn tests() -> Vec<Trial> {
    let there = std::env::var_os(PACKAGES).is_some_and(|place| Path::new(&place).is_dir());
    [(VSFTPD, vsftpd as fn()), (PROFTPD, proftpd), (PURE_FTPD, pure_ftpd)]
        .into_iter()
        .map(|(name, run)| match there && is_root() {
            true if name == PROFTPD => test(name, run)
                .with_kind("skipped: a ProFTPD of one of its configurations is not reached yet")
                .with_ignored_flag(true),
            true => test(name, run),
            false => test(name, || ())
                .with_kind("skipped: needs root and a Debian mirror to fetch the packages")
                .with_ignored_flag(true),
        })
        .collect()
}

/// crypt(3) of "password".
const HASH: &str = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";
const USERS: [(&str, u32); 2] = [("peeralice", 21_001), ("peerbob", 21_002)];

/// /etc of its own in a mount namespace, with the users of the test and the services of PAM.
fn inside(name: &str) -> bool {
    let copy = "d=$(mktemp -d) && cp -a /etc/. \"$d\" && mount --bind \"$d\" /etc";
    in_namespaces(name, &["--mount"], copy)
}

struct World {
    scratch: tempfile::TempDir,
    packages: PathBuf,
}

impl World {
    fn new() -> World {
        let scratch = tempfile::tempdir().unwrap();
        fs::set_permissions(scratch.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let append = |file: &str, line: String| {
            let text = fs::read_to_string(file).unwrap_or_default();
            fs::write(file, text + &line).unwrap();
        };
        fs::write("/etc/shells", "/bin/sh\n").unwrap();
        fs::write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\n").unwrap();
        for (name, uid) in USERS {
            let home = scratch.path().join(name);
            append("/etc/passwd", format!("{name}:x:{uid}:{uid}::{}:/bin/sh\n", home.display()));
            append("/etc/shadow", format!("{name}:{HASH}:19000:0:99999:7:::\n"));
            append("/etc/group", format!("{name}:x:{uid}:\n"));
        }
        append("/etc/group", "peerftp:x:21010:peeralice\n".into());
        if !fs::read_to_string("/etc/passwd").unwrap().contains("\nftp:") {
            append("/etc/passwd", "ftp:x:21020:21020::/nonexistent:/bin/false\n".into());
            append("/etc/group", "ftp:x:21020:\n".into());
        }
        for service in ["vsftpd", "proftpd", "pure-ftpd", "ftp", "bulkhead"] {
            let stack = "auth required pam_unix.so nodelay\naccount required pam_unix.so\nsession optional pam_permit.so\n";
            fs::write(format!("/etc/pam.d/{service}"), stack).unwrap();
        }
        World { scratch, packages: std::env::var_os(PACKAGES).unwrap().into() }
    }

    /// The homes as they are before a run.
    fn renew_homes(&self) {
        for (name, uid) in USERS {
            let home = self.scratch.path().join(name);
            fs::remove_dir_all(&home).unwrap_or_default();
            fs::create_dir_all(home.join("dir")).unwrap();
            fs::write(home.join("file"), "old").unwrap();
            fs::write(home.join("second"), "old").unwrap();
            for path in [home.clone(), home.join("dir"), home.join("file"), home.join("second")] {
                chown(path, Some(uid), Some(uid)).unwrap();
            }
        }
    }

    fn program(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.packages.join("usr/sbin").join(name));
        command.env("LD_LIBRARY_PATH", self.packages.join("usr/lib/x86_64-linux-gnu"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// The other server, until it is dropped.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().ok();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn wait_for(address: SocketAddr) {
    eventually(&format!("a server on {address}"), || std::net::TcpStream::connect(address).ok());
}

/// A passive data connection, by whichever command is allowed.
fn passive(control: &mut ControlConnection) -> Option<TcpStream> {
    control.send("PASV");
    let reply = control.reply().ok()?;
    let port = if reply.code == 227 {
        let numbers = reply.text().split_once('(')?.1.split(')').next()?.to_owned();
        let numbers: Vec<u16> =
            numbers.split(',').filter_map(|number| number.parse().ok()).collect();
        numbers.get(4)? * 256 + numbers.get(5)?
    } else {
        control.send("EPSV");
        let reply = control.reply().ok()?;
        reply.text().split("|||").nth(1)?.split('|').next()?.parse().ok()?
    };
    Some(ControlConnection::data(TcpStream::connect(("127.0.0.1", port)).ok()?))
}

/// Whether a transfer is allowed, and completes.
fn transfer(control: &mut ControlConnection, line: &str, upload: Option<&[u8]>) -> bool {
    let Some(mut data) = passive(control) else { return false };
    control.send(line);
    if control.reply().is_ok_and(|reply| reply.code >= 200) {
        return false;
    }
    match upload {
        Some(bytes) => data.write_all(bytes).unwrap(),
        None => drop(data.read_to_end(&mut Vec::new())),
    }
    drop(data);
    control.reply().is_ok_and(|reply| reply.code < 400)
}

/// What a request was answered with, or that there was no login.
type Answers = Vec<(&'static str, bool)>;

/// One login and what it is good for.
fn ask(address: SocketAddr, user: &str) -> Answers {
    let mut answers = Vec::new();
    let mut control = ControlConnection::connect(address);
    // Whom a server lets in from nowhere it need not greet.
    if !control.reply().is_ok_and(|reply| reply.code == 220) {
        return vec![("log in", false)];
    }
    let positive = |control: &mut ControlConnection, line: &str| {
        control.send(line);
        control.reply().is_ok_and(|reply| reply.code < 400)
    };
    positive(&mut control, &format!("USER {user}"));
    let logged_in = positive(&mut control, "PASS password");
    answers.push(("log in", logged_in));
    if !logged_in {
        return answers;
    }
    positive(&mut control, "TYPE I");
    for (what, line) in [("list", "LIST"), ("read", "RETR file")] {
        answers.push((what, transfer(&mut control, line, None)));
    }
    for (what, line) in
        [("write", "STOR new"), ("overwrite", "STOR second"), ("append", "APPE file")]
    {
        answers.push((what, transfer(&mut control, line, Some(b"new"))));
    }
    for (what, line) in
        [("chmod", "SITE CHMOD 600 file"), ("mkdir", "MKD made"), ("rmdir", "RMD dir")]
    {
        answers.push((what, positive(&mut control, line)));
    }
    let renamed = positive(&mut control, "RNFR file") && positive(&mut control, "RNTO renamed");
    answers.push(("rename", renamed));
    answers.push(("delete", positive(&mut control, "DELE second")));
    answers
}

/// Runs the other server and ours with its configuration, asks both, and compares.
fn compare(
    world: &World,
    format: &str,
    name: &str,
    text: &str,
    start: impl Fn(&Path, u16) -> Command,
) {
    let port = free_port();
    let old = world.scratch.path().join("old.conf");
    fs::write(&old, text.replace("PORT", &port.to_string())).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let theirs = {
        let _peer = Peer(start(&old, port).spawn().unwrap());
        wait_for(address);
        USERS.map(|(user, _)| {
            world.renew_homes();
            (user, ask(address, user))
        })
    };
    let anybody = theirs.iter().any(|(_, answers)| answers.first() == Some(&("log in", true)));
    let mut server = Server::new();
    let out = server.path("translated.toml");
    let arguments = [
        "import",
        format,
        old.to_str().unwrap(),
        "--output",
        out.to_str().unwrap(),
        "--accept-wider-access",
    ];
    let imported = server.bulkhead(&arguments);
    assert!(imported.status.success(), "{name}: {imported:?}");
    server.launch_with(&with_our_places(&server, &fs::read_to_string(&out).unwrap()));
    for (user, theirs) in &theirs {
        world.renew_homes();
        let ours = ask(server.address(), user);
        for (what, allowed) in &ours {
            let there = theirs.iter().find(|(other, _)| other == what).map(|(_, allowed)| *allowed);
            assert!(
                !allowed || there == Some(true),
                "{name}: {user} may {what} here, and not there: {theirs:?} {ours:?}"
            );
        }
        eprintln!("{name} {user}: there {theirs:?}\n    here {ours:?}");
    }
    assert!(
        anybody || name.contains("nobody"),
        "{name}: the other server let nobody in: {theirs:?}"
    );
}

/// A translation with ports, log and state of a server under test.
fn with_our_places(server: &Server, toml: &str) -> String {
    let tests = server.settings.text();
    let (mut tables, mut table) = (std::collections::BTreeMap::new(), String::new());
    for text in [toml, tests.as_str()] {
        table.clear();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            if let Some(name) =
                line.strip_prefix('[').filter(|_| line.ends_with(']') && !line.contains('='))
            {
                table = name.trim_end_matches(']').to_owned();
            } else if let Some((key, value)) = line.split_once(" = ") {
                tables.insert((table.clone(), key.to_owned()), value.to_owned());
            }
        }
    }
    tables.insert((String::new(), "listen_address".into()), "\"127.0.0.1\"".into());
    let (mut text, mut last) = (String::new(), String::new());
    for ((table, key), value) in tables {
        if table != last {
            text.push_str(&format!("\n[{table}]\n"));
            last = table;
        }
        text.push_str(&format!("{key} = {value}\n"));
    }
    text
}

fn vsftpd() {
    if !inside(VSFTPD) {
        return;
    }
    let world = World::new();
    let empty = world.scratch.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let list = world.scratch.path().join("list");
    fs::write(&list, "peerbob\n").unwrap();
    let base = format!(
        "listen=YES\nlisten_address=127.0.0.1\nlisten_port=PORT\nbackground=NO\nanonymous_enable=NO\n\
         local_enable=YES\nwrite_enable=YES\nchroot_local_user=YES\nallow_writeable_chroot=YES\n\
         pam_service_name=vsftpd\nsecure_chroot_dir={}\nxferlog_enable=NO\nseccomp_sandbox=NO\n",
        empty.display()
    );
    let list = list.display();
    for (name, more) in [
        ("plain", String::new()),
        ("read only", "write_enable=NO\n".into()),
        ("no downloads", "download_enable=NO\n".into()),
        ("no listings", "dirlist_enable=NO\n".into()),
        ("no chmod", "chmod_enable=NO\n".into()),
        ("denied commands", "cmds_denied=DELE,RMD,SITE,RNFR\n".into()),
        (
            "allowed commands",
            "cmds_allowed=USER,PASS,TYPE,PASV,RETR,LIST,QUIT,SIZE,STAT,NLST,MDTM\n".into(),
        ),
        ("denied users", format!("userlist_enable=YES\nuserlist_file={list}\n")),
        ("allowed users", format!("userlist_enable=YES\nuserlist_deny=NO\nuserlist_file={list}\n")),
        ("another root", "local_root=/usr/share\n".into()),
    ] {
        compare(&world, "vsftpd", name, &format!("{base}{more}"), |old, _| {
            world.program("vsftpd", &[old.to_str().unwrap()])
        });
    }
}

fn proftpd() {
    if !inside(PROFTPD) {
        return;
    }
    let world = World::new();
    let place = world.scratch.path();
    let base = format!(
        "ServerType standalone\nDefaultServer on\nDefaultAddress 127.0.0.1\nPort PORT\nUser nobody\n\
         Group nogroup\nUseReverseDNS off\nSystemLog none\nTransferLog none\nWtmpLog off\n\
         DelayEngine off\nAuthPAMConfig proftpd\nAuthOrder mod_auth_pam.c* mod_auth_unix.c\n\
         DefaultRoot ~\nUmask 022\nScoreboardFile {0}/scoreboard\nPidFile {0}/pid\n",
        place.display()
    );
    for (name, more) in [
        ("plain", ""),
        ("overwrite", "AllowOverwrite on\nAllowStoreRestart on\n"),
        ("no writes", "AllowOverwrite on\n<Limit WRITE>\n  DenyAll\n</Limit>\n"),
        ("no reads", "AllowOverwrite on\n<Limit RETR>\n  DenyAll\n</Limit>\n"),
        ("no chmod", "AllowOverwrite on\n<Limit SITE_CHMOD>\n  DenyAll\n</Limit>\n"),
        ("no deleting", "AllowOverwrite on\n<Limit DELE RMD XRMD>\n  DenyAll\n</Limit>\n"),
        ("a group", "<Limit LOGIN>\n  AllowGroup peerftp\n  DenyAll\n</Limit>\n"),
        ("users", "<Limit LOGIN>\n  AllowUser peerbob\n  DenyAll\n</Limit>\n"),
        ("a denied user", "<Limit LOGIN>\n  DenyUser peerbob\n</Limit>\n"),
        (
            "nobody from elsewhere",
            "<Limit LOGIN>\n  Order allow,deny\n  Allow from 10.0.0.0/8\n  Deny from all\n</Limit>\n",
        ),
        (
            "from here",
            "<Limit LOGIN>\n  Order allow,deny\n  Allow from 127.0.0.0/8\n  Deny from all\n</Limit>\n",
        ),
        ("nobody", "<Limit LOGIN>\n  DenyAll\n</Limit>\n"),
        ("another root", "DefaultRoot /usr/share\n"),
    ] {
        compare(&world, "proftpd", name, &format!("{base}{more}"), |old, _| {
            world.program("proftpd", &["-n", "-q", "-c", old.to_str().unwrap()])
        });
    }
}

fn pure_ftpd() {
    if !inside(PURE_FTPD) {
        return;
    }
    let world = World::new();
    let base = "ChrootEveryone yes\nNoAnonymous yes\nPAMAuthentication yes\nDontResolve yes\nDaemonize no\n\
        Bind 127.0.0.1,PORT\nMinUID 1000\nUmask 133:022\n";
    for (name, more) in [
        ("plain", ""),
        ("no chmod", "NoChmod yes\n"),
        ("no rename", "NoRename yes\n"),
        ("no truncating", "NoTruncate yes\n"),
        ("keep all files", "KeepAllFiles yes\n"),
        ("nobody below", "MinUID 30000\n"),
    ] {
        compare(&world, "pure-ftpd", name, &format!("{base}{more}"), |old, _| {
            world.program("pure-ftpd", &[old.to_str().unwrap()])
        });
    }
}
