//! What systemd is told (sd_notify(3)): ready, reloading, stopping, still alive. Without systemd
//! (no `NOTIFY_SOCKET`) nothing is said.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

/// The way to systemd.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// The way that the environment names. One that cannot be used is as good as none: systemd will
    /// say that the service did not start in time.
    pub fn from_environment() -> Notifier {
        let open = |name: &[u8]| -> io::Result<(UnixDatagram, SocketAddr)> {
            let address = match name.split_first() {
                Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
                _ => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
            };
            Ok((UnixDatagram::unbound()?, address))
        };
        let socket = env::var_os("NOTIFY_SOCKET").and_then(|name| open(name.as_bytes()).ok());
        let for_us =
            env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
        let watchdog = env::var("WATCHDOG_USEC")
            .ok()
            .filter(|_| for_us)
            .and_then(|micros| micros.parse().ok())
            .filter(|micros| *micros > 0)
            .map(Duration::from_micros);
        Notifier { socket, watchdog }
    }

    /// The server accepts clients, or the reload is done.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// The configuration is being read anew.
    pub fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The server ends.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// Tells the watchdog, twice as often as it wants, that the event loop goes round.
    pub async fn feed_watchdog(&self) {
        let Some(interval) = self.watchdog else { return };
        loop {
            self.say("WATCHDOG=1");
            tokio::time::sleep(interval / 2).await;
        }
    }

    fn say(&self, what: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(e) = socket.send_to_addr(what.as_bytes(), address)
        {
            log_event!(NotifyFailed, "systemd cannot be told {what:?}: {e}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_arrives() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        let socket = UnixDatagram::unbound().unwrap();
        let address = SocketAddr::from_pathname(&path).unwrap();
        let notifier = Notifier { socket: Some((socket, address)), watchdog: None };
        let heard = || {
            let mut buffer = [0; 100];
            let length = systemd.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        notifier.ready();
        assert_eq!(heard(), "READY=1");
        notifier.reloading();
        let reloading = heard();
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(micros.parse::<u64>().unwrap() > 0);
    }
}
