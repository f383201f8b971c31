//! Every whole-program test, in one binary: each module is a topic.

mod accounts;
mod bad_input;
mod binaries;
mod clients;
mod commands;
mod documents;
mod example_configuration;
mod fairness;
mod first_light;
mod ftps_attacks;
mod ftps_clients;
mod ftps_keys;
mod hardened_hosts;
mod hostile_workers;
mod i2ftp;
mod i2ftp_before_login;
mod i2ftp_operator;
mod i2ftp_python;
mod identities;
mod imports;
mod keys;
mod limits;
mod live_processes;
mod log;
mod names;
mod operator_commands;
mod outside;
mod overdue;
mod peers;
mod penalties;
mod policy_commands;
mod redundancy;
mod refusals;
mod resilience;
mod root_paths;
mod secrets;
mod setup;
mod signals;
mod space;
mod system_users;
mod transcripts;
mod transfers;
mod trying;
mod unit;
mod user_commands;

use bulkhead_tests::{environment, hostile_worker, other_host};
use libtest_mimic::Arguments;

/// A copy of this program takes another one's place in the tests of idle rules, hostile peers and
/// other hosts; it never comes back from here.
fn replace_another_program() {
    if environment::is_cast() {
        environment::play();
    }
    if hostile_worker::is_cast() {
        hostile_worker::play();
    }
    if other_host::is_cast() {
        other_host::play();
    }
}

fn main() {
    replace_another_program();
    let arguments = Arguments::from_args();
    let tests = [
        accounts::tests(),
        bad_input::tests(),
        binaries::tests(),
        clients::tests(),
        commands::tests(),
        documents::tests(),
        example_configuration::tests(),
        fairness::tests(),
        first_light::tests(),
        hardened_hosts::tests(),
        ftps_attacks::tests(),
        ftps_clients::tests(),
        ftps_keys::tests(),
        hostile_workers::tests(),
        i2ftp::tests(),
        i2ftp_before_login::tests(),
        i2ftp_operator::tests(),
        i2ftp_python::tests(),
        identities::tests(),
        imports::tests(),
        keys::tests(),
        limits::tests(),
        live_processes::tests(),
        log::tests(),
        operator_commands::tests(),
        outside::tests(),
        names::tests(),
        peers::tests(),
        overdue::tests(),
        penalties::tests(),
        policy_commands::tests(),
        redundancy::tests(),
        refusals::tests(),
        root_paths::tests(),
        resilience::tests(),
        secrets::tests(),
        setup::tests(),
        signals::tests(),
        space::tests(),
        system_users::tests(),
        transcripts::tests(),
        transfers::tests(),
        trying::tests(),
        unit::tests(),
        user_commands::tests(),
    ];
    libtest_mimic::run(&arguments, tests.into_iter().flatten().collect()).exit();
}
