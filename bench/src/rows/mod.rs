//! What is measured.

mod growth;
mod load;

use std::{
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use xtask::command::Done;

use crate::{
    client::Client,
    servers::Running,
    tree::{LARGE, SMALL, SMALL_FILES, Tree},
};

/// One number of one server in one round.
pub struct Value {
    /// What it is: `CPU s/GiB`.
    pub unit: &'static str,
    /// The number; less is better.
    pub number: f64,
}

/// A row of the table (or several, when it gives several numbers).
pub struct Row {
    /// Its name.
    pub name: &'static str,
    run: fn(&Running, &Tree, Login) -> Done<Vec<Value>>,
    login: Login,
}

/// How a client connects: plain or TLS.
type Login = fn(&Running, &str) -> Done<Client>;

/// A GiB in bytes, as a number to divide by.
const GIB: f64 = (1u64 << 30) as f64;
/// Logins, NOOPs, idle sessions, parallel downloads.
const LOGINS: u32 = 100;
const NOOPS: usize = 5000;
const IDLE_SESSIONS: u32 = 100;
const PARALLEL: usize = 50;

/// All rows.
pub fn all() -> Vec<Row> {
    let plain = |name, run| Row { name, run, login: Client::log_in };
    let tls = |name, run| Row { name, run, login: Client::log_in_tls };
    vec![
        plain("RETR 1 GiB", retrieve_large),
        plain("STOR 1 GiB", store_large),
        plain("RETR 2000 x 4 KiB", retrieve_small),
        plain("STOR 2000 x 4 KiB", store_small),
        plain("2000 files of 4 KiB stored and fetched in one session", both_ways),
        plain("LIST 10 k", |running, _, login| listing(running, login, "LIST list10k")),
        plain("LIST 100 k", |running, _, login| listing(running, login, "LIST list100k")),
        plain("NLST 10 k", |running, _, login| listing(running, login, "NLST list10k")),
        plain("NLST 100 k", |running, _, login| listing(running, login, "NLST list100k")),
        plain("MLSD 10 k", |running, _, login| listing(running, login, "MLSD list10k")),
        plain("MLSD 100 k", |running, _, login| listing(running, login, "MLSD list100k")),
        plain("LIST 1 M", growth::million),
        plain("NOOP", noop),
        plain("anonymous login cycle", logins),
        plain("idle sessions", idle),
        plain("empty server", empty),
        plain("login beside idle sessions", growth::logins_beside_idle),
        plain("50 parallel RETR", parallel),
        plain("small RETR while four download", load::small_beside_four),
        tls("TLS RETR 1 GiB", retrieve_large),
        tls("TLS STOR 1 GiB", store_large),
        tls("TLS RETR 2000 x 4 KiB", retrieve_small),
        tls("TLS anonymous login cycle", logins),
        tls("TLS idle sessions", idle),
        tls("TLS handshake", load::handshakes),
    ]
}

/// Runs a row once against one server.
pub fn measure(row: &Row, running: &Running, tree: &Tree) -> Done<Vec<Value>> {
    let values = (row.run)(running, tree, row.login);
    tree.forget_uploads().map_err(|e| e.to_string())?;
    values
}

/// CPU seconds of the server while `work` runs, and the wall time of it.
fn cpu(running: &Running, work: impl FnOnce() -> Done<()>) -> Done<(f64, f64)> {
    let before = running.group.cpu_seconds()?;
    let start = Instant::now();
    work()?;
    let wall = start.elapsed().as_secs_f64();
    // What ends after the last reply belongs to the work too.
    thread::sleep(Duration::from_millis(100));
    Ok((running.group.cpu_seconds()? - before, wall))
}

fn client(running: &Running, login: Login) -> Done<Client> {
    let client = login(running, running.server.user)?;
    // The login's end (a process that exits, one that is made ready) is not the row's.
    thread::sleep(Duration::from_millis(100));
    Ok(client)
}

fn retrieve_large(running: &Running, _: &Tree, login: Login) -> Done<Vec<Value>> {
    let mut client = client(running, login)?;
    let mut buffer = vec![0; 1 << 20];
    let (cpu, wall) = cpu(running, || {
        let received = client.receive("RETR large", &mut buffer)?;
        if received.bytes == LARGE { Ok(()) } else { Err(format!("{} bytes", received.bytes)) }
    })?;
    Ok(vec![Value { unit: "CPU s/GiB", number: cpu }, Value { unit: "wall s/GiB", number: wall }])
}

fn store_large(running: &Running, tree: &Tree, login: Login) -> Done<Vec<Value>> {
    let mut client = client(running, login)?;
    let piece = vec![b'x'; 1 << 20];
    // The same work for the memory before each: pages that were touched once are cheaper.
    client.send("up/warm", &piece, LARGE)?;
    tree.forget_uploads().map_err(|e| e.to_string())?;
    let (cpu, wall) = cpu(running, || client.send("up/large", &piece, LARGE))?;
    Ok(vec![Value { unit: "CPU s/GiB", number: cpu }, Value { unit: "wall s/GiB", number: wall }])
}

fn retrieve_small(running: &Running, _: &Tree, login: Login) -> Done<Vec<Value>> {
    let mut client = client(running, login)?;
    let mut buffer = vec![0; 1 << 16];
    let (cpu, wall) = cpu(running, || {
        for n in 0..SMALL_FILES {
            client.receive(&format!("RETR small/f{n}"), &mut buffer)?;
        }
        Ok(())
    })?;
    Ok(per_file(cpu, wall))
}

fn store_small(running: &Running, _: &Tree, login: Login) -> Done<Vec<Value>> {
    let mut client = client(running, login)?;
    let piece = vec![b'x'; SMALL];
    let (cpu, wall) = cpu(running, || {
        for n in 0..SMALL_FILES {
            client.send(&format!("up/f{n}"), &piece, SMALL as u64)?;
        }
        Ok(())
    })?;
    Ok(per_file(cpu, wall))
}

/// The same client's whole visit, as a backup or a mirror makes it: what a limit on commands would hold
/// up shows here.
fn both_ways(running: &Running, _: &Tree, login: Login) -> Done<Vec<Value>> {
    let mut client = client(running, login)?;
    let piece = vec![b'x'; SMALL];
    let mut buffer = vec![0; 1 << 16];
    let (_, wall) = cpu(running, || {
        for n in 0..SMALL_FILES {
            client.send(&format!("up/f{n}"), &piece, SMALL as u64)?;
        }
        for n in 0..SMALL_FILES {
            client.receive(&format!("RETR up/f{n}"), &mut buffer)?;
        }
        Ok(())
    })?;
    Ok(vec![Value { unit: "wall s", number: wall }])
}

fn per_file(cpu: f64, wall: f64) -> Vec<Value> {
    let files = f64::from(SMALL_FILES);
    vec![
        Value { unit: "CPU us/file", number: cpu * 1e6 / files },
        Value { unit: "wall us/file", number: wall * 1e6 / files },
    ]
}

fn listing(running: &Running, login: Login, command: &str) -> Done<Vec<Value>> {
    let mut client = client(running, login)?;
    let mut buffer = vec![0; 1 << 20];
    let mut first = Duration::ZERO;
    let (cpu, wall) = cpu(running, || {
        first = client.receive(command, &mut buffer)?.first;
        Ok(())
    })?;
    Ok(vec![
        Value { unit: "CPU ms", number: cpu * 1e3 },
        Value { unit: "first byte ms", number: first.as_secs_f64() * 1e3 },
        Value { unit: "wall ms", number: wall * 1e3 },
    ])
}

fn noop(running: &Running, _: &Tree, login: Login) -> Done<Vec<Value>> {
    let mut client = client(running, login)?;
    let mut times = Vec::with_capacity(NOOPS);
    let (cpu, _) = cpu(running, || {
        for _ in 0..NOOPS {
            let start = Instant::now();
            client.ask("NOOP", 200)?;
            times.push(start.elapsed());
        }
        Ok(())
    })?;
    times.sort();
    let middle = times.get(NOOPS / 2).copied().unwrap_or_default();
    Ok(vec![
        Value { unit: "p50 us", number: middle.as_secs_f64() * 1e6 },
        Value { unit: "CPU us", number: cpu * 1e6 / NOOPS as f64 },
    ])
}

fn logins(running: &Running, _: &Tree, login: Login) -> Done<Vec<Value>> {
    let (cpu, wall) = cpu(running, || {
        for _ in 0..LOGINS {
            let mut client = login(running, "anonymous")?;
            client.ask("QUIT", 221)?;
        }
        thread::sleep(Duration::from_millis(200));
        Ok(())
    })?;
    Ok(vec![
        Value { unit: "CPU us", number: cpu * 1e6 / f64::from(LOGINS) },
        Value { unit: "wall us", number: (wall - 0.2) * 1e6 / f64::from(LOGINS) },
    ])
}

fn idle(running: &Running, _: &Tree, login: Login) -> Done<Vec<Value>> {
    thread::sleep(Duration::from_millis(300));
    let before = running.group.memory_kib();
    let mut sessions = Vec::new();
    for _ in 0..IDLE_SESSIONS {
        sessions.push(login(running, "anonymous")?);
    }
    thread::sleep(Duration::from_millis(500));
    let after = running.group.memory_kib();
    drop(sessions);
    thread::sleep(Duration::from_millis(500));
    let each = after.saturating_sub(before) as f64 / f64::from(IDLE_SESSIONS);
    Ok(vec![Value { unit: "PSS KiB", number: each }])
}

/// The server as it was before its first client.
fn empty(running: &Running, _: &Tree, _: Login) -> Done<Vec<Value>> {
    Ok(vec![Value { unit: "PSS MiB", number: running.empty_kib as f64 / 1024.0 }])
}

fn parallel(running: &Running, _: &Tree, login: Login) -> Done<Vec<Value>> {
    let clients: Vec<Client> =
        (0..PARALLEL).map(|_| login(running, "anonymous")).collect::<Done<_>>()?;
    thread::sleep(Duration::from_millis(300));
    let mut times: Vec<Duration> = Vec::new();
    let mut bytes = 0;
    let (cpu, wall) = cpu(running, || {
        // All of them ask at the same moment: a thread that is started late is no slow download.
        let begin = Arc::new(Barrier::new(clients.len()));
        let threads: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                let begin = begin.clone();
                thread::spawn(move || {
                    let mut buffer = vec![0; 1 << 16];
                    begin.wait();
                    let start = Instant::now();
                    let received = client.receive("RETR part", &mut buffer)?;
                    Ok::<_, String>((received.bytes, start.elapsed()))
                })
            })
            .collect();
        for thread in threads {
            let (received, time) = thread.join().map_err(|_| "a client failed".to_owned())??;
            bytes += received;
            times.push(time);
        }
        Ok(())
    })?;
    times.sort();
    let spread = match (times.first(), times.last()) {
        (Some(fastest), Some(slowest)) => slowest.as_secs_f64() / fastest.as_secs_f64(),
        _ => 1.0,
    };
    let gib = bytes as f64 / GIB;
    Ok(vec![
        Value { unit: "CPU s/GiB", number: cpu / gib },
        Value { unit: "wall s/GiB", number: wall / gib },
        Value { unit: "slowest/fastest", number: spread },
    ])
}
