//! `cargo xtask bench`: Bulkhead and the three servers of Debian, one after the other in every
//! round, on tmpfs and loopback. What counts is the ratio within one run: the machine's mood is in
//! all of its columns.
#![forbid(unsafe_code)]

mod cgroup;
mod client;
mod i2ftp;
mod logins;
mod report;
mod rows;
mod servers;
mod stream;
mod tree;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use xtask::{
    command::{Done, is_root},
    dist,
};

/// Compares speed, CPU time and memory with the FTP servers of Debian.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Options {
    /// Measure this instead of FTP
    #[arg(value_enum)]
    what: Option<What>,
    /// Rounds; each server is measured once per round and the median is printed
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Only rows whose name contains this text
    #[arg(long, default_value = "")]
    row: String,
    /// Only these servers, by name, separated by commas
    #[arg(long, default_value = "")]
    only: String,
    /// Measure the binaries in target/dist as they are, without building them first
    #[arg(long)]
    no_build: bool,
}

/// What else there is to measure.
#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// I2FTP, with the Python server of that protocol
    I2ftp,
    /// Whether the time of a refusal tells an unknown name from a wrong password
    Logins,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the benchmark and prints the table.
///
/// # Errors
/// When we are not root (the CPU time of a server and all its processes is counted by a control
/// group, and the other servers change their uid), or a server cannot be started.
fn run(options: &Options) -> Done<()> {
    if !is_root()? {
        return Err(
            "the benchmark needs root: it counts CPU time with control groups, and starts \
                    servers that change their uid"
                .to_owned(),
        );
    }
    let binaries = if options.no_build {
        dist::Flavour::Release.directory()
    } else {
        dist::build(dist::Flavour::Release)?
    };
    match options.what {
        Some(What::I2ftp) => return i2ftp::run(&binaries, options.rounds, &options.row),
        Some(What::Logins) => return logins::run(&binaries),
        None => {}
    }
    let tree = tree::Tree::make()?;
    let wanted = |name: &str| options.only.is_empty() || options.only.split(',').any(|n| n == name);
    let servers = servers::all(&tree, &binaries, wanted)?;
    let servers: Vec<_> = servers.into_iter().map(servers::Running::start).collect::<Done<_>>()?;
    let mut report = report::Report::new(servers.iter().map(|s| s.server.name).collect());
    let rows = rows::all();
    report.print_head();
    for row in rows.iter().filter(|row| row.name.contains(options.row.as_str())) {
        for round in 0..options.rounds {
            // Another one begins in every round.
            for turn in 0..servers.len() {
                let which = (turn + round as usize) % servers.len();
                match rows::measure(row, &servers[which], &tree) {
                    Ok(values) => report.add(row, which, values),
                    Err(error) => eprintln!("{} {}: {error}", servers[which].server.name, row.name),
                }
            }
        }
        report.print();
    }
    Ok(())
}
