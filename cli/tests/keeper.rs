//! The real keeper under its real policy: a system call that its work needs and its policy lacks
//! shows here, as does one key byte outside locked memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs::{self, File},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use ipc::{
    Channel, ChannelError,
    account::{Identity, SessionId},
    bounded::Bytes,
    keeper::{KeeperToSupervisor, KeyId, Sign, Signed, SupervisorToKeeper},
    last_words::LastWords,
    process::{Confinement, LandlockDemand},
};

type Supervisor = Channel<SupervisorToKeeper, KeeperToSupervisor>;

/// A uid that owns nothing, for tests as root.
const NOBODY: u32 = 65522;

struct Keeper {
    channel: Supervisor,
    process: Child,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Keeper {
    fn start() -> Keeper {
        let (channel, theirs) = Supervisor::pair().unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_bulkhead"))
            .arg("keeper")
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs.into_fd()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let keeper = Keeper { channel, process };
        let identity = Identity { uid: NOBODY, gid: NOBODY, groups: Vec::new() };
        let confinement = Confinement {
            identity: rustix::process::geteuid().is_root().then_some(identity),
            landlock: LandlockDemand::Off,
        };
        keeper.channel.send(&SupervisorToKeeper::Boot { confinement }, &[]).unwrap();
        let answer = keeper.receive();
        assert!(matches!(answer, KeeperToSupervisor::Ready { .. }), "{answer:?}");
        keeper
    }

    fn receive(&self) -> KeeperToSupervisor {
        match self.channel.recv() {
            Ok(received) => received.message,
            Err(ChannelError::LastWords(LastWords::Forbidden { syscall })) => {
                panic!("the keeper's policy lacks system call {syscall}")
            }
            Err(e) => panic!("{e}"),
        }
    }

    fn load(&self, key: KeyId, certificate: &Path, private_key: &Path) -> KeeperToSupervisor {
        let files = [File::open(certificate).unwrap(), File::open(private_key).unwrap()];
        let fds = [files[0].as_fd(), files[1].as_fd()];
        self.channel.send(&SupervisorToKeeper::Load { key }, &fds).unwrap();
        self.receive()
    }

    fn attach(&self) -> Channel<Sign, Signed> {
        let (client, theirs) = Channel::<Sign, Signed>::pair().unwrap();
        let attach =
            SupervisorToKeeper::Attach { session: SessionId(1), signatures: 100, tls12: true };
        let theirs: OwnedFd = theirs.into_fd();
        self.channel.send(&attach, &[theirs.as_fd()]).unwrap();
        client
    }

    fn status(&self, field: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line[field.len()..].trim_start_matches(':').trim().to_owned()
    }
}

/// A key made by openssl and a certificate for it.
fn pair(directory: &Path, name: &str, arguments: &[&str]) -> (PathBuf, PathBuf) {
    let key = directory.join(format!("{name}-key.pem"));
    let certificate = directory.join(format!("{name}.pem"));
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let (key_name, name) = (key.to_str().unwrap(), certificate.to_str().unwrap());
    openssl(&[&["genpkey", "-out", key_name], arguments].concat());
    openssl(&["req", "-x509", "-new", "-key", key_name, "-subj", "/CN=Test", "-out", name]);
    (certificate, key)
}

#[test]
fn the_real_keeper_loads_and_signs_under_its_policy() {
    let directory = tempfile::tempdir().unwrap();
    let locked_memory = nix::sys::resource::Resource::RLIMIT_MEMLOCK;
    // Root in a container may lack CAP_SYS_RESOURCE.
    let limit_raised = nix::sys::resource::setrlimit(locked_memory, 256 << 20, 256 << 20).is_ok();
    let keeper = Keeper::start();
    let kinds: [(&str, &[&str], u16); 4] = [
        ("rsa", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], 0x0804),
        ("p256", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], 0x0403),
        ("p384", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], 0x0503),
        ("ed25519", &["-algorithm", "ed25519"], 0x0807),
    ];
    for ((name, arguments, scheme), number) in kinds.into_iter().zip(1..) {
        let key = KeyId(number);
        let (certificate, private_key) = pair(directory.path(), name, arguments);
        let answer = keeper.load(key, &certificate, &private_key);
        assert!(matches!(answer, KeeperToSupervisor::Loaded { .. }), "{name}: {answer:?}");
        let client = keeper.attach();
        for _ in 0..20 {
            let input =
                [&[b' '; 64][..], b"TLS 1.3, server CertificateVerify\0", &[5; 32]].concat();
            let input = Bytes::try_from(input).unwrap();
            client.send(&Sign::Sign { key, scheme, tls13: true, input }, &[]).unwrap();
            let answer = client.recv().unwrap_or_else(|e| {
                panic!("{name}: {e}; the keeper says {:?}", keeper.channel.try_recv())
            });
            assert!(matches!(answer.message, Signed::Signature(_)), "{name}");
        }
    }
    let (certificate, _) = pair(directory.path(), "a", &["-algorithm", "ed25519"]);
    let (_, stranger) = pair(directory.path(), "b", &["-algorithm", "ed25519"]);
    let answer = keeper.load(KeyId(9), &certificate, &stranger);
    assert!(matches!(answer, KeeperToSupervisor::NotLoaded { .. }), "{answer:?}");
    assert_eq!(keeper.status("Seccomp"), "2");
    assert_eq!(keeper.status("NoNewPrivs"), "1");
    assert_eq!(keeper.status("CapEff"), "0000000000000000");
    if limit_raised {
        assert_ne!(keeper.status("VmLck"), "0 kB", "the keys can reach the swap space");
    }
    if rustix::process::geteuid().is_root() {
        assert_eq!(keeper.status("Uid"), format!("{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}"));
    }
}

#[test]
fn the_real_keeper_ends_cleanly_with_its_supervisor() {
    let mut keeper = Keeper::start();
    let (channel, _other) = Supervisor::pair().unwrap();
    drop(std::mem::replace(&mut keeper.channel, channel));
    assert!(keeper.process.wait().unwrap().success());
}
