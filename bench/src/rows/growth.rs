//! How cost grows: with the sessions that sit beside, and with the size of a directory.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use xtask::command::Done;

use super::{Login, Value, cpu};
use crate::{client::Client, servers::Running, tree::Tree};

/// Sessions that sit idle beside the logins that are measured.
pub const IDLE: [u32; 3] = [0, 1000, 4000];
/// Names of the numbers, in the same order.
const UNITS: [&str; 3] = ["CPU ms beside 0", "CPU ms beside 1000 idle", "CPU ms beside 4000 idle"];
/// Logins that are measured beside them.
const LOGINS: u32 = 50;
/// Clients that open the idle sessions at a time; some servers let a quick client wait.
const OPENING: usize = 8;
/// Memory of an idle session, in KiB, that a machine must have to spare: the largest of the peers'.
const KIB_A_SESSION: u64 = 2048;

/// The CPU time of a login, beside no other session and beside more and more of them.
pub fn logins_beside_idle(running: &Running, _: &Tree, login: Login) -> Done<Vec<Value>> {
    let most = u64::from(IDLE.into_iter().max().unwrap_or_default());
    let spare = available_kib().unwrap_or(u64::MAX);
    if spare < most * KIB_A_SESSION {
        return Err(format!("{most} sessions may need {} MiB", most * KIB_A_SESSION / 1024));
    }
    let mut sessions: Vec<Client> = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    for (idle, unit) in IDLE.into_iter().zip(UNITS) {
        if let Err(error) = open(running, login, &mut sessions, idle) {
            // Pure-FTPd takes no more than 1,000 clients, whatever it is told.
            eprintln!("{}: no {idle} idle sessions: {error}", running.server.name);
            break;
        }
        thread::sleep(Duration::from_millis(500));
        let (cpu, _) = cpu(running, || {
            for _ in 0..LOGINS {
                login(running, "anonymous")?.ask("QUIT", 221)?;
            }
            thread::sleep(Duration::from_millis(200));
            Ok(())
        })?;
        values.push(Value { unit, number: cpu * 1e3 / f64::from(LOGINS) });
    }
    if let [first, _, last] = &values[..] {
        let growth = last.number / first.number;
        values.push(Value { unit: "growth, 4000 to 0", number: growth });
    }
    drop(sessions);
    // The ends of so many sessions are not the next row's.
    thread::sleep(Duration::from_secs(3));
    Ok(values)
}

/// Opens sessions until there are so many.
fn open(running: &Running, login: Login, sessions: &mut Vec<Client>, wanted: u32) -> Done<()> {
    let missing = wanted.saturating_sub(u32::try_from(sessions.len()).unwrap_or(u32::MAX));
    let (left, opened) = (AtomicU32::new(missing), Mutex::new(Vec::new()));
    let one = || -> Done<()> {
        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
        {
            let client = login(running, "anonymous")?;
            opened.lock().map_err(|e| e.to_string())?.push(client);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..OPENING).map(|_| scope.spawn(one)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a client failed".to_owned())?)
    })?;
    sessions.extend(opened.into_inner().map_err(|e| e.to_string())?);
    Ok(())
}

/// Memory that is free or can be freed, in KiB.
fn available_kib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A directory of a million entries: time to the first byte, and what the server needs for it. Its
/// memory is looked at with the first byte, when a server that collects before it sends has collected,
/// and again some megabytes later.
pub fn million(running: &Running, tree: &Tree, login: Login) -> Done<Vec<Value>> {
    tree.make_million().map_err(|e| format!("a million files: {e}"))?;
    let mut client = super::client(running, login)?;
    let before = running.group.memory_kib();
    let mut buffer = vec![0; 1 << 20];
    let (mut first, mut most, mut looked) = (Duration::ZERO, before, 0);
    let (cpu, wall) = cpu(running, || {
        let mut look = |bytes: u64| {
            if bytes >= looked {
                looked = if looked == 0 { 16 << 20 } else { u64::MAX };
                most = most.max(running.group.memory_kib());
            }
        };
        first = client.receive_watched("LIST list1m", &mut buffer, &mut look)?.first;
        Ok(())
    })?;
    Ok(vec![
        Value { unit: "CPU s", number: cpu },
        Value { unit: "first byte ms", number: first.as_secs_f64() * 1e3 },
        Value { unit: "wall s", number: wall },
        Value { unit: "PSS MiB more", number: most.saturating_sub(before) as f64 / 1024.0 },
    ])
}
