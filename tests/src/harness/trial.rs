//! Tests that can say at run time that they are skipped, and why.

use libtest_mimic::{Failed, Trial};

use super::is_root;

/// A test for every user.
pub fn test(name: &str, run: fn()) -> Trial {
    Trial::test(name, move || -> Result<(), Failed> {
        run();
        Ok(())
    })
}

/// A test that needs root, mostly for more than one uid; it is ignored, and says so, without.
pub fn needs_root(name: &str, run: fn()) -> Trial {
    let trial = test(name, run);
    if is_root() { trial } else { trial.with_kind("skipped: needs root").with_ignored_flag(true) }
}

/// A test that needs a client program; it is ignored, and says so, where that is not installed.
pub fn needs_program(name: &str, program: &str, run: fn()) -> Trial {
    needing_program(test(name, run), program)
}

/// The same of a test that is made already.
pub fn needing_program(trial: Trial, program: &str) -> Trial {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|directory| directory.join(program).is_file()) {
        trial
    } else {
        trial.with_kind(format!("skipped: needs {program}")).with_ignored_flag(true)
    }
}

/// A test that needs IPv6 on the loopback interface; it is ignored, and says so, without.
pub fn needs_ipv6(trial: Trial) -> Trial {
    if has_ipv6() { trial } else { trial.with_kind("skipped: needs IPv6").with_ignored_flag(true) }
}

/// Whether there is IPv6 on the loopback interface.
pub fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}
