//! Today's clients, each doing what it is mostly used for, by every way a data connection can come
//! up: IPv4 and IPv6, active and passive. A client that is not installed is skipped and counted.

mod curl;
mod ftplib;
mod lftp;
mod ncftp;
mod node;
mod php;
mod rclone;
mod tnftp;
mod wget;

use std::process::{Command, Output};

use bulkhead_tests::harness::{Account, Server, needing_program, needs_ipv6, needs_program};
use libtest_mimic::{Failed, Trial};

pub fn tests() -> Vec<Trial> {
    let matrix = [
        both("clients::curl_by_every_method", "curl", curl::methods),
        both("clients::curl_ranges_resumes_appends_and_quotes", "curl", curl::rest),
        both("clients::lftp_mirrors_both_ways", "lftp", lftp::mirror),
        both("clients::lftp_splits_resumes_and_changes_modes", "lftp", lftp::rest),
        both("clients::wget_fetches_a_tree", "wget", wget::tree),
        both("clients::ftplib_in_both_types", "python3", ftplib::session),
        both("clients::tnftp_gets_and_puts", "tnftp", tnftp::get_and_put),
    ];
    let mut tests: Vec<Trial> = matrix.into_iter().flatten().collect();
    // It has no IPv6.
    tests.push(needs_program("clients::ncftp_gets_puts_and_lists", "ncftpget", ncftp::trees));
    tests.extend([
        over_ipv4("clients::rclone_copies_checks_and_purges", "rclone", rclone::tree),
        over_ipv4("clients::rclone_finds_out_what_is_documented", "rclone", rclone::info),
        needs_program("clients::rclone_over_tls", "rclone", rclone::tls),
        node_client("clients::node_plain_and_over_tls", node::every_protection),
        over_ipv4("clients::php_by_its_ftp_functions", "php", php::functions),
    ]);
    tests
}

/// A test over IPv4 and one over IPv6, where there is IPv6. Each goes through active and passive
/// connections.
fn both(name: &str, program: &str, run: fn(&Server)) -> [Trial; 2] {
    ["127.0.0.1", "::1"].map(|address| {
        let family = if address == "::1" { "ipv6" } else { "ipv4" };
        let trial = Trial::test(format!("{name}_over_{family}"), move || -> Result<(), Failed> {
            run(&server(address));
            Ok(())
        });
        let trial = needing_program(trial, program);
        if address == "::1" { needs_ipv6(trial) } else { trial }
    })
}

/// A test that needs basic-ftp, which xtask installs where npm is.
fn node_client(name: &str, run: fn()) -> Trial {
    let trial = needs_program(name, "node", run);
    if node::modules().join("basic-ftp").exists() {
        return trial;
    }
    trial.with_kind("skipped: needs npm and its registry").with_ignored_flag(true)
}

/// A test over IPv4 only.
fn over_ipv4(name: &str, program: &str, run: fn(&Server)) -> Trial {
    let trial = Trial::test(name, move || -> Result<(), Failed> {
        run(&server("127.0.0.1"));
        Ok(())
    });
    needing_program(trial, program)
}

/// A server on this address, with the account `alice`.
fn server(address: &str) -> Server {
    let address = format!("\"{address}\"");
    Server::new().with("listen_address", &address).with_account("alice", &[]).run()
}

fn output(command: &mut Command) -> Output {
    let path = std::env::var_os("PATH").unwrap_or_default();
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", bulkhead_tests::harness::NO_HOME)
        .env("LC_ALL", "C.UTF-8");
    command.output().unwrap()
}

/// Runs a client and expects success.
fn run(command: &mut Command) -> Vec<u8> {
    let output = output(command);
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout
}

fn url(server: &Server, account: &Account, path: &str) -> String {
    format!("ftp://{}:{}@{}/{path}", account.name, account.password, server.address())
}

/// Mode bits of a file of an account.
fn mode(account: &Account, name: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(account.path(name)).unwrap().permissions().mode() & 0o777
}
