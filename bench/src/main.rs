//! `cargo xtask bench`: Bulkhead and the three servers of Debian, one after the other in every
//! round, on tmpfs and loopback. What counts is the ratio within one run: the machine's mood is in
//! all of its columns.
#![forbid(unsafe_code)]

mod cgroup;
mod chart;
mod client;
mod i2ftp;
mod logins;
mod quiet;
mod report;
mod rows;
mod servers;
mod stream;
mod tree;

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use clap::{Parser, ValueEnum};

use xtask::{
    command::{Done, is_root, output, workspace},
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
    /// Draw charts of this run into docs/charts
    #[arg(long)]
    charts: bool,
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
    compare(options, &binaries)
}

/// Compares the servers, row by row.
#[allow(clippy::print_stdout, reason = "the table is what the command is for")]
fn compare(options: &Options, binaries: &Path) -> Done<()> {
    raise_descriptors()?;
    println!("{}\n", servers::configurations());
    let tree = tree::Tree::make()?;
    let wanted = |name: &str| options.only.is_empty() || options.only.split(',').any(|n| n == name);
    let servers = servers::all(&tree, binaries, wanted)?;
    let servers: Vec<_> = servers.into_iter().map(servers::Running::start).collect::<Done<_>>()?;
    let mut report = report::Report::new(servers.iter().map(|s| s.server.name).collect());
    let rows = rows::all();
    report.print_head();
    for row in rows.iter().filter(|row| row.name.contains(options.row.as_str())) {
        for round in 0..options.rounds {
            // Another one begins in every round.
            for turn in 0..servers.len() {
                let which = (turn + round as usize) % servers.len();
                let group = &servers[which].group;
                let watch = quiet::Watch::begin(group.cpu_seconds()?);
                match rows::measure(row, &servers[which], &tree) {
                    Ok(values) => report.add(row, which, values),
                    Err(error) => eprintln!("{} {}: {error}", servers[which].server.name, row.name),
                }
                if let Some(share) = watch.disturbance(group.cpu_seconds()?) {
                    report.note_disturbance(share);
                }
            }
        }
        report.print();
    }
    report.print_end();
    if options.charts {
        chart::draw(&report, &workspace().join("docs/charts"), &note(options.rounds)?)?;
    }
    Ok(())
}

/// What a chart is of: commit, processor, rounds.
fn note(rounds: u32) -> Done<String> {
    let mut git = Command::new("git");
    git.current_dir(workspace()).args(["log", "-1", "--format=%h of %cs"]);
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(format!(
        "commit {}, {cores} cores of {}, medians of {rounds} rounds and their spread; each row has a \
         scale of its own",
        output(&mut git)?.trim(),
        model.trim_start_matches([' ', '\t', ':'])
    ))
}

/// Raises our own limit of descriptors, which the servers inherit: one row has 4,000 connections.
fn raise_descriptors() -> Done<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: Some(maximum.unwrap_or(65_536).min(65_536)), maximum };
    setrlimit(Resource::Nofile, wanted).map_err(|e| format!("the limit of descriptors: {e}"))
}
