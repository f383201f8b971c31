//! What test programs print, read: results by name and their sum.

use std::collections::BTreeSet;

/// What a run counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests that could not run here.
    pub skipped: u64,
}

impl Count {
    /// Adds another run.
    pub fn add(&mut self, other: Count) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Reads `test result: ok. 7 passed; 0 failed; 1 ignored; …`.
    fn parse(line: &str) -> Option<Count> {
        let rest = line.strip_prefix("test result: ")?;
        let number = |what: &str| {
            let before = rest.split(what).next()?;
            before.trim_end().rsplit(' ').next()?.parse().ok()
        };
        Some(Count {
            passed: number("passed;")?,
            failed: number("failed;")?,
            skipped: number("ignored;")?,
        })
    }
}

/// The results of one test program.
#[derive(Debug, Default)]
pub struct Results {
    /// Their sum.
    pub count: Count,
    /// Names of the tests that passed.
    passed: BTreeSet<String>,
    /// Names of the tests that were skipped because they need root.
    need_root: BTreeSet<String>,
}

impl Results {
    /// Takes in a line of the program.
    pub fn read(&mut self, line: &str) {
        self.count.add(Count::parse(line).unwrap_or_default());
        let Some((name, result)) =
            line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "))
        else {
            return;
        };
        // What kind of test it is stands before the name, in brackets.
        let (kind, name) = match name.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            Some((kind, name)) => (kind, name),
            None => ("", name),
        };
        // Names are padded to a column.
        let name = name.trim_end().to_owned();
        match result.trim() {
            "ok" => drop(self.passed.insert(name)),
            "ignored" if kind == "skipped: needs root" => drop(self.need_root.insert(name)),
            _ => {}
        }
    }

    /// How many of these tests were skipped because they need root, and have passed as root.
    fn passed_above(&self, root: &Results) -> u64 {
        self.need_root.intersection(&root.passed).map(|_| 1).sum()
    }
}

/// The sentence on both runs of the suite, as root and as an ordinary user, and their sum. A test that
/// needs root and has passed as root is not skipped.
pub fn both(root: &Results, ordinary: &Results) -> (String, Count) {
    let above = ordinary.passed_above(root);
    let mut sum = root.count;
    sum.add(ordinary.count);
    sum.skipped -= above.min(sum.skipped);
    let sentence = format!(
        "as root: {} passed; as nobody: {} passed, {above} need root (passed above)",
        root.count.passed, ordinary.count.passed
    );
    (sentence, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Results {
        let mut results = Results::default();
        lines.lines().for_each(|line| results.read(line));
        results
    }

    #[test]
    fn results_are_read_from_the_summary_line_only() {
        let line = "test result: FAILED. 7 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out";
        assert_eq!(Count::parse(line), Some(Count { passed: 7, failed: 2, skipped: 1 }));
        assert_eq!(Count::parse("test passed; 1 failed; 2 ignored; ... ok"), None);
    }

    #[test]
    fn what_needs_root_and_has_passed_as_root_is_not_skipped() {
        let root = read(
            "test one two          ... ok\ntest [skipped: needs curl] three ... ignored\n\
             test four             ... FAILED\ntest six ... ok\n\
             test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out",
        );
        let ordinary = read(
            "test [skipped: needs root] one two ... ignored\n\
             test [skipped: needs root] four    ... ignored\n\
             test [skipped: needs curl] three   ... ignored\ntest six ... ok\n\
             test result: ok. 1 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out",
        );
        let (sentence, sum) = both(&root, &ordinary);
        assert_eq!(sentence, "as root: 2 passed; as nobody: 1 passed, 1 need root (passed above)");
        // `four` failed as root, so nobody has seen it pass.
        assert_eq!(sum, Count { passed: 3, failed: 1, skipped: 3 });
    }
}
