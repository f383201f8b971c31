//! The addresses of the names in `[passive] address`: looked up once a minute, never while somebody
//! logs in. The last good answer stays, whatever becomes of the resolver.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, ToSocketAddrs},
    rc::Rc,
    time::Duration,
};

use config::Config;
use tokio::sync::Notify;

/// How often the names are looked up.
const EVERY: Duration = Duration::from_secs(60);
/// How long the start of the server waits for the first lookup.
const FIRST_TIMEOUT: Duration = Duration::from_secs(2);

/// What is known of the names.
#[derive(Debug, Default)]
pub struct PassiveNames {
    known: RefCell<BTreeMap<String, Ipv4Addr>>,
    /// Whether every name was looked up once.
    complete: Cell<bool>,
    looked_up: Notify,
}

impl PassiveNames {
    /// The address of a host that is an address or a name; `None`: a name of which none is known yet.
    pub fn address(&self, host: &str) -> Option<Ipv4Addr> {
        host.parse().ok().or_else(|| self.known.borrow().get(host).copied())
    }

    /// Takes what a lookup has found. Of a name without an answer the last one stays.
    fn learn(&self, name: &str, found: Option<Ipv4Addr>) {
        let before = self.known.borrow().get(name).copied();
        match found {
            Some(address) if before != Some(address) => {
                self.known.borrow_mut().insert(name.to_owned(), address);
            }
            Some(_) => {}
            None => {
                let announced = before.map_or("the local address".to_owned(), |a| a.to_string());
                log_event!(
                    PassiveAddress,
                    host = name,
                    announced,
                    "the name has no IPv4 address now, or nobody answers; see [passive] address"
                );
            }
        }
    }
}

/// The names of a configuration that have to be looked up.
fn names(config: &Config) -> Vec<String> {
    let hosts = config.passive.addresses.iter().map(|entry| &entry.host);
    hosts.filter(|host| host.parse::<IpAddr>().is_err()).cloned().collect()
}

/// Looks the names up as long as the server lives. A lookup may take as long as it likes: it is in a
/// thread of its own, one at a time, and nothing waits for it.
///
/// `configuration` gives the one in force, and `reconfigured` returns when another one is.
pub async fn keep(
    known: &PassiveNames,
    configuration: impl Fn() -> Rc<Config>,
    reconfigured: impl AsyncFn(),
) {
    loop {
        for name in names(&configuration()) {
            let found = look_up_in_thread(name.clone()).await;
            known.learn(&name, found);
        }
        known.complete.set(true);
        known.looked_up.notify_waiters();
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = reconfigured() => {}
        }
    }
}

/// Waits for the first lookup of all names, a moment: whoever logs in to a server that has just started
/// is told the right address then, wherever somebody answers.
pub async fn first_lookup(known: &PassiveNames, configuration: &Config) {
    if !known.complete.get() && !names(configuration).is_empty() {
        let first = known.looked_up.notified();
        tokio::time::timeout(FIRST_TIMEOUT, first).await.ok();
    }
}

/// Looks a name up in a thread that nobody waits for: neither the event loop nor the end of the server.
async fn look_up_in_thread(name: String) -> Option<Ipv4Addr> {
    let (tell, told) = tokio::sync::oneshot::channel();
    // A server that has ended meanwhile wants no answer.
    let look = move || tell.send(look_up(&name)).unwrap_or_default();
    std::thread::Builder::new().name("resolver".into()).spawn(look).ok()?;
    told.await.ok().flatten()
}

/// The first IPv4 address of a name. Blocks as long as the resolver of the host does.
fn look_up(name: &str) -> Option<Ipv4Addr> {
    let mut addresses = (name, 0).to_socket_addrs().ok()?;
    addresses.find_map(|address| match address.ip() {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a3_the_last_good_answer_stays_and_an_address_needs_no_lookup() {
        let names = PassiveNames::default();
        assert_eq!(names.address("192.0.2.1"), Some([192, 0, 2, 1].into()));
        assert_eq!(names.address("ftp.example.org"), None);
        names.learn("ftp.example.org", None);
        assert_eq!(names.address("ftp.example.org"), None);
        names.learn("ftp.example.org", Some([192, 0, 2, 2].into()));
        names.learn("ftp.example.org", None);
        assert_eq!(names.address("ftp.example.org"), Some([192, 0, 2, 2].into()));
        names.learn("ftp.example.org", Some([192, 0, 2, 3].into()));
        assert_eq!(names.address("ftp.example.org"), Some([192, 0, 2, 3].into()));
    }
}
