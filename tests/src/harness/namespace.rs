//! A test alone in namespaces of its own, where it may mount and listen as it likes. What it made
//! goes with its processes, however they end.

use std::process::Command;

/// Set in the copy of the test program that runs in the namespaces: the name of its test.
const INSIDE: &str = "BULKHEAD_TEST_NAMESPACE";

/// Runs the test of this name once more, alone, in new namespaces (`unshare` has the flags) and
/// behind the commands of a shell. True in that copy, where the test does its work; false in the
/// one that everybody started, when it has passed there. For root only.
///
/// # Panics
/// When the test failed in the namespaces.
pub fn in_namespaces(test: &str, flags: &[&str], prepare: &str) -> bool {
    if std::env::var_os(INSIDE).is_some_and(|name| name == *test) {
        return true;
    }
    let script = format!("{prepare} && exec \"$@\"");
    let output = Command::new("unshare")
        .args(flags)
        .args(["sh", "-c", &script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(INSIDE, test)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "in its namespaces:\n{said}\n{failed}");
    // A test that was not found has not passed.
    assert!(said.contains(" 1 passed;"), "{test} was not run: {said}");
    false
}
