//! The test programs of the workspace, built at once.

use std::{path::PathBuf, process::Stdio};

use serde_json::Value;

use crate::command::{Done, cargo, output};

/// The package of the whole-program tests.
const WHOLE: &str = "tests";

/// A test program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestProgram {
    /// The folder of its package, which its tests expect to be in.
    pub directory: PathBuf,
    /// Its name as cargo knows it: that of a library, a program or a file of tests.
    pub name: String,
    /// Where it is.
    pub executable: PathBuf,
}

impl TestProgram {
    /// What it is called in the log: `worker: properties`.
    pub fn title(&self) -> String {
        let package = self.directory.file_name().unwrap_or_default().display();
        format!("{package}: {}", self.name)
    }

    /// Whether it needs more than cargo gives it: `suite` and `packages`.
    pub fn is_whole(&self) -> bool {
        self.directory.ends_with(WHOLE) && ["suite", "packages"].contains(&self.name.as_str())
    }
}

/// Builds all of them, or those of one name, in one build of the whole workspace: a package by itself has
/// other features, and what it is made of would be built once more for them.
///
/// # Errors
/// When cargo fails.
pub fn build(only: Option<&str>) -> Done<Vec<TestProgram>> {
    let mut command = cargo();
    command.args(["test", "--locked", "--workspace", "--no-run"]);
    if let Some(name) = only {
        command.args(["--test", name]);
    }
    command.args(["--message-format", "json-render-diagnostics"]);
    Ok(named(&output(command.stderr(Stdio::inherit()))?))
}

/// The program of this name of the whole-program tests.
///
/// # Errors
/// When there is none.
pub fn whole<'a>(all: &'a [TestProgram], name: &str) -> Done<&'a TestProgram> {
    let mut found = all.iter().filter(|program| program.is_whole() && program.name == name);
    found.next().ok_or_else(|| format!("cargo names no executable for {name}"))
}

/// The test programs that cargo's messages name, one JSON object a line.
fn named(messages: &str) -> Vec<TestProgram> {
    let program = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_test = message.get("profile")?.get("test")?.as_bool()?;
        let executable = message.get("executable")?.as_str().filter(|_| is_test)?;
        let manifest = PathBuf::from(message.get("manifest_path")?.as_str()?);
        Some(TestProgram {
            directory: manifest.parent()?.to_owned(),
            name: message.get("target")?.get("name")?.as_str()?.to_owned(),
            executable: executable.into(),
        })
    };
    messages.lines().filter_map(program).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_those_with_an_executable_built_for_tests() {
        let line = |folder: &str, name: &str, test: bool, executable: &str| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"manifest_path\":\"/w/{folder}/Cargo.toml\",\
                 \"target\":{{\"name\":\"{name}\"}},\"profile\":{{\"test\":{test}}},\
                 \"executable\":{executable}}}"
            )
        };
        let messages = [
            line("worker", "properties", true, "\"/w/target/p-1\""),
            line("worker", "worker", false, "null"),
            line("cli", "bulkhead", false, "\"/w/target/bulkhead\""),
            line("tests", "suite", true, "\"/w/target/suite-2\""),
            "{\"reason\":\"build-finished\",\"success\":true}".into(),
        ];
        let all = named(&messages.join("\n"));
        let titles: Vec<String> = all.iter().map(TestProgram::title).collect();
        assert_eq!(titles, ["worker: properties", "tests: suite"]);
        assert_eq!(all[0].directory, PathBuf::from("/w/worker"));
        assert_eq!(all.iter().filter(|program| program.is_whole()).count(), 1);
        assert!(whole(&all, "suite").is_ok() && whole(&all, "packages").is_err());
    }
}
