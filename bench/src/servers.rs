//! The servers that are compared: how each is configured, started and ended.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    cgroup::Group,
    tree::{NOBODY, Tree},
};
use xtask::command::{Done, make_directory, output, run, target};

/// The packages of the other servers, and of the libraries that a small system lacks.
const PACKAGES: [&str; 10] = [
    "vsftpd",
    "proftpd-core",
    "proftpd-mod-crypto",
    "pure-ftpd",
    "libwrap0",
    "libhiredis0.14",
    "libmemcached11",
    "libmemcachedutil2",
    "libhashkit2",
    "libpcre2-posix3",
];

/// A server that can be started.
pub struct Server {
    /// Its name in the table.
    pub name: &'static str,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// The directory with the files, as a client names it.
    pub base: &'static str,
    /// Who uploads; downloads and listings are made by the same.
    pub user: &'static str,
    /// A line for `sh` that becomes the server.
    start: String,
}

/// A server that runs.
pub struct Running {
    /// Which.
    pub server: Server,
    /// Its processes.
    pub group: Group,
    /// Memory of all its processes before the first client logged in, in KiB.
    pub empty_kib: u64,
    child: Child,
}

/// How long a server may take to settle after its start.
const SETTLED: Duration = Duration::from_millis(1500);

/// What Bulkhead's configuration says that its default does not, besides what every host sets: its
/// addresses, places, certificate, and that anonymous clients are let in.
const NOT_AS_SHIPPED: [(&str, &str, &str); 3] = [
    ("max_conns_per_ip", "0", "all clients come from one address"),
    ("maximum_clients", "6000", "one row has 4,000 sessions idle"),
    ("local_umask", "\"022\"", "as the others have it"),
];

/// A line that says how the servers are configured.
pub fn configurations() -> String {
    let set: Vec<String> =
        NOT_AS_SHIPPED.iter().map(|(key, value, why)| format!("{key} = {value} ({why})")).collect();
    format!(
        "Bulkhead as shipped, with its addresses, places and certificate, anonymous clients, and {}. \
         The others likewise, without their logs.",
        set.join(", ")
    )
}

impl Running {
    /// Starts a server in a control group of its own, and waits until it greets.
    pub fn start(server: Server) -> Done<Running> {
        let group = Group::make(server.name)?;
        let line = format!("echo $$ > {}; exec {}", group.members_file().display(), server.start);
        // A mount namespace of its own: the user `ftp`, which the others need, exists in there.
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", &line])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| format!("unshare: {e}"))?;
        let mut running = Running { server, group, empty_kib: 0, child };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(running.address()).is_err() {
            if Instant::now() > deadline {
                return Err(format!("{} does not listen after 20 s", running.server.name));
            }
            thread::sleep(Duration::from_millis(50));
        }
        if running.group.processes().is_empty() {
            return Err(format!("{} has ended; its output is above", running.server.name));
        }
        thread::sleep(SETTLED);
        running.empty_kib = running.group.memory_kib();
        Ok(running)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.server.port))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.group.end();
        drop(self.child.wait());
    }
}

/// The servers whose names are wanted, Bulkhead first.
pub fn all(tree: &Tree, binaries: &Path, wanted: impl Fn(&str) -> bool) -> Done<Vec<Server>> {
    let peers = provide_peers()?;
    let passwd = write_passwd(tree)?;
    let libraries = peers.join("usr/lib/x86_64-linux-gnu");
    let peer = |program: &str, arguments: &str| {
        format!(
            "env LD_LIBRARY_PATH={} sh -c 'mount --bind {} /etc/passwd && exec {}/usr/sbin/{program} \
             {arguments}'",
            libraries.display(),
            passwd.display(),
            peers.display(),
        )
    };
    let ports = [free_port()?, free_port()?, free_port()?];
    let vsftpd = write(tree, "vsftpd.conf", &vsftpd(tree, ports[0]))?;
    let proftpd = write(tree, "proftpd.conf", &proftpd(tree, &peers, ports[1]))?;
    let mut servers = vec![
        Server {
            name: "vsftpd",
            port: ports[0],
            base: "/pub",
            user: "anonymous",
            start: peer("vsftpd", &vsftpd.display().to_string()),
        },
        Server {
            name: "proftpd",
            port: ports[1],
            base: "/pub",
            user: "anonymous",
            start: peer("proftpd", &format!("-n -q -c {}", proftpd.display())),
        },
        Server {
            name: "pure-ftpd",
            port: ports[2],
            base: "/pub",
            user: "anonymous",
            start: peer("pure-ftpd", &pure_ftpd(tree, ports[2])),
        },
    ];
    servers.retain(|server| wanted(server.name));
    if wanted("bulkhead") {
        servers.insert(0, bulkhead(tree, binaries)?);
    }
    Ok(servers)
}

/// A port nobody listens on, so that two benchmarks do not measure each other's servers.
pub fn free_port() -> Done<u16> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    free.map(|address| address.port()).map_err(|e| format!("no free port: {e}"))
}

fn bulkhead(tree: &Tree, binaries: &Path) -> Done<Server> {
    let port = free_port()?;
    let state = tree.scratch.join("bulkhead");
    make_directory(&state)?;
    let public = tree.public();
    let set: String =
        NOT_AS_SHIPPED.iter().map(|(key, value, _)| format!("{key} = {value}\n")).collect();
    let text = format!(
        "listen_port = {port}\n{set}control_socket = {:?}\nstate_directory = {:?}\n\
         [passive]\nports = \"40000-41999\"\n[auth]\nusers_file = {:?}\n\
         [anonymous]\nenabled = true\nroot = {public:?}\n\
         [tls]\ncertificate = {:?}\nprivate_key = {:?}\n[log]\nfile = {:?}\n",
        state.join("control.sock"),
        state,
        state.join("users.toml"),
        tree.certificate(),
        tree.key(),
        state.join("log"),
    );
    let configuration = write(tree, "bulkhead.toml", &text)?;
    let program = binaries.join("bulkhead");
    let line = format!(
        "printf secret | {} --config {} user add bench --root {} --uid {NOBODY} --gid {NOBODY} \
         --password-stdin",
        program.display(),
        configuration.display(),
        public.display(),
    );
    output(Command::new("sh").args(["-c", &line]))?;
    Ok(Server {
        name: "bulkhead",
        port,
        base: "/",
        user: "bench",
        start: format!("{} --config {} serve", program.display(), configuration.display()),
    })
}

fn vsftpd(tree: &Tree, port: u16) -> String {
    format!(
        "listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\n\
         anonymous_enable=YES\nno_anon_password=YES\nftp_username=ftp\nnopriv_user=nobody\n\
         anon_root={}\nwrite_enable=YES\nanon_upload_enable=YES\nanon_other_write_enable=YES\n\
         anon_world_readable_only=NO\nanon_umask=022\nlocal_enable=NO\nxferlog_enable=NO\n\
         secure_chroot_dir={}\npasv_min_port=44000\npasv_max_port=45999\nseccomp_sandbox=NO\n\
         max_clients=0\nmax_per_ip=0\n\
         ssl_enable=YES\nallow_anon_ssl=YES\nforce_anon_logins_ssl=NO\nforce_anon_data_ssl=NO\n\
         ssl_tlsv1=YES\nssl_ciphers=HIGH\nrsa_cert_file={certificate}\nrsa_private_key_file={key}\n",
        tree.root().display(),
        tree.scratch.join("state").display(),
        certificate = tree.certificate().display(),
        key = tree.key().display(),
    )
}

fn proftpd(tree: &Tree, peers: &Path, port: u16) -> String {
    let state = tree.scratch.join("state");
    format!(
        "ModulePath {}\nLoadModule mod_tls.c\nTLSEngine on\nTLSRequired off\n\
         TLSECCertificateFile {}\nTLSECCertificateKeyFile {}\n\
         ServerType standalone\nDefaultServer on\nDefaultAddress 127.0.0.1\nPort {port}\n\
         User nobody\nGroup nogroup\nUseReverseDNS off\nMaxInstances 6000\nSystemLog none\n\
         TransferLog none\nWtmpLog off\nRequireValidShell off\nAllowOverwrite on\nDelayEngine off\n\
         PassivePorts 46000 47999\nUmask 022\nScoreboardFile {}\nPidFile {}\n\
         <Anonymous {}>\nUser nobody\nGroup nogroup\nUserAlias anonymous nobody\n\
         RequireValidShell off\n</Anonymous>\n",
        peers.join("usr/lib/proftpd").display(),
        tree.certificate().display(),
        tree.key().display(),
        state.join("scoreboard").display(),
        state.join("proftpd.pid").display(),
        tree.root().display(),
    )
}

fn pure_ftpd(tree: &Tree, port: u16) -> String {
    format!(
        "-S 127.0.0.1,{port} -e -H -c 6000 -C 6000 -M -p 42000:43999 -k 99 -L 200000:10 -Y 1 -2 {},{}",
        tree.certificate().display(),
        tree.key().display(),
    )
}

/// /etc/passwd with a user `ftp`, for the mount namespaces of the other servers.
fn write_passwd(tree: &Tree) -> Done<PathBuf> {
    let own = fs::read_to_string("/etc/passwd").map_err(|e| format!("/etc/passwd: {e}"))?;
    let without = own.lines().filter(|line| !line.starts_with("ftp:"));
    let mut text: String = without.map(|line| format!("{line}\n")).collect();
    text += &format!("ftp:x:65534:65534::{}:/bin/sh\n", tree.root().display());
    write(tree, "passwd", &text)
}

fn write(tree: &Tree, name: &str, text: &str) -> Done<PathBuf> {
    let file = tree.scratch.join(name);
    fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(file)
}

/// Downloads the other servers from the system's Debian archive and unpacks them below `target`;
/// nothing is installed.
fn provide_peers() -> Done<PathBuf> {
    let directory = target().join("bench-peers");
    let complete = directory.join("complete");
    if complete.exists() {
        return Ok(directory);
    }
    let packages = directory.join("packages");
    make_directory(&packages)?;
    run(Command::new("apt-get").arg("-q").arg("download").args(PACKAGES).current_dir(&packages))?;
    for entry in fs::read_dir(&packages).map_err(|e| e.to_string())? {
        let package = entry.map_err(|e| e.to_string())?.path();
        run(Command::new("dpkg").arg("-x").arg(&package).arg(&directory))?;
    }
    fs::write(&complete, "").map_err(|e| e.to_string())?;
    Ok(directory)
}
