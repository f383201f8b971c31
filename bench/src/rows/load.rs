//! What a client waits for: a small file beside large ones, and handshakes.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use xtask::command::Done;

use super::{Login, Value};
use crate::{client::Client, servers::Running, tree::Tree};

/// Clients that download a large file without pause.
const DOWNLOADING: usize = 4;
/// Small downloads that are measured beside them.
const SMALL_ONES: usize = 300;
/// Handshakes of each kind.
const HANDSHAKES: usize = 100;

/// How long a file of one byte takes while four others download as fast as they can.
pub fn small_beside_four(running: &Running, _: &Tree, login: Login) -> Done<Vec<Value>> {
    let mut client = super::client(running, login)?;
    let stop = AtomicBool::new(false);
    let times = thread::scope(|scope| {
        for _ in 0..DOWNLOADING {
            scope.spawn(|| -> Done<()> {
                let mut client = login(running, running.server.user)?;
                let mut buffer = vec![0; 1 << 18];
                while !stop.load(Ordering::Relaxed) {
                    client.receive("RETR part", &mut buffer)?;
                }
                Ok(())
            });
        }
        thread::sleep(Duration::from_millis(300));
        let mut buffer = [0; 16];
        let mut one = || -> Done<Duration> {
            let start = Instant::now();
            client.receive("RETR one", &mut buffer)?;
            Ok(start.elapsed())
        };
        let times = (0..SMALL_ONES).map(|_| one()).collect::<Done<Vec<_>>>();
        stop.store(true, Ordering::Relaxed);
        times
    })?;
    Ok(vec![
        Value { unit: "p50 ms", number: part(&times, 50) },
        Value { unit: "p99 ms", number: part(&times, 99) },
    ])
}

/// The time of a full handshake, of control connections, and of a resumed one, of data connections. Every
/// connection logs in and says QUIT: one that does not would be an attack to some servers. A thousand
/// divided by the number is handshakes per second of one client.
pub fn handshakes(running: &Running, _: &Tree, login: Login) -> Done<Vec<Value>> {
    let mut full = Vec::with_capacity(HANDSHAKES);
    for _ in 0..HANDSHAKES {
        let mut client = login(running, "anonymous")?;
        full.extend(client.handshake);
        client.ask("QUIT", 221)?;
    }
    let mut client: Client = super::client(running, login)?;
    let mut resumed = Vec::with_capacity(HANDSHAKES);
    let mut buffer = [0; 16];
    for _ in 0..HANDSHAKES {
        client.receive("RETR one", &mut buffer)?;
        resumed.extend(client.handshake);
    }
    Ok(vec![
        Value { unit: "full, wall ms", number: part(&full, 50) },
        Value { unit: "resumed, wall ms", number: part(&resumed, 50) },
    ])
}

/// The time below which so many of a hundred are, in milliseconds.
fn part(times: &[Duration], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort();
    let at = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_hundred_is_picked_in_order() {
        let times: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!((part(&times, 50), part(&times, 99)), (50.0, 99.0));
        assert!(part(&[], 50).is_nan());
    }
}
