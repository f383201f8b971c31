//! What every test needs: a running server, a client on the wire, a look at the processes.

mod account;
mod certificate;
mod control_connection;
mod i2ftp;
#[cfg(target_arch = "x86_64")]
mod injection;
mod log_schema;
mod namespace;
mod process;
mod second_factor;
mod server;
mod settings;
mod tls;
mod transcript;
mod trial;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

pub use account::Account;
pub use certificate::{Authority, KeyPair};
pub use control_connection::{ControlConnection, Reply, Transport, connect_from, knock_from};
pub use i2ftp::{
    I2ftpClient, I2ftpReply, I2ftpServer, KEY_HEX as I2FTP_KEY_HEX, key as i2ftp_key,
    now as i2ftp_now,
};
#[cfg(target_arch = "x86_64")]
pub use injection::Injection;
pub use namespace::in_namespaces;
pub use process::Process;
pub use second_factor::one_time_code;
pub use server::Server;
pub use settings::Settings;
pub use tls::{FtpsClient, TlsClient, TlsStream, TlsVersion};
pub use transcript::{Answered, Transcript, fits};
pub use trial::{has_ipv6, needing_program, needs_ipv6, needs_program, needs_root, test};

/// How long anything in these tests may take before it counts as failed. Far more than it takes,
/// because the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// A HOME that nobody can make, root included: clients keep their state in a home that they find.
pub const NO_HOME: &str = "/dev/null/home";

/// Whether this run is root's. Rootless runs skip what needs more than one uid.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Where the binaries are: `BULKHEAD_DIST`, as `cargo xtask test` sets it, or `target/dist-dev`.
pub fn dist() -> PathBuf {
    std::env::var_os("BULKHEAD_DIST").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/dist-dev"))
    })
}

/// Waits until `condition` gives a value.
///
/// # Panics
/// When it gives none within [`PATIENCE`].
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "gave up waiting: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Bytes that no two places of a file share by chance, and that are the same in every run.
pub fn patterned(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
