//! The systemd units: each directive has a reason, and the exposure stays low.

use std::fs;

use libtest_mimic::Trial;

use super::{directory, harness, printed, project, run, text};

/// Exposure by systemd-analyze security(1), 0 to 10, times ten: no more than this.
const EXPOSURE: u32 = 25;

pub fn tests() -> Vec<Trial> {
    let analyze = "systemd-analyze";
    vec![
        harness::needs_program("unit: exposure is low", analyze, exposure_is_low),
        harness::needs_program("unit: systemd understands every line", analyze, verifies),
        harness::test("unit: each hardening directive has a reason", reasons),
    ]
}

fn exposure_is_low() {
    let unit = project("packaging/systemd/bulkhead.service");
    let report =
        printed("systemd-analyze", &["security", "--no-pager", "--offline=true", text(&unit)]);
    let overall = report.lines().find(|line| line.contains("Overall exposure level")).unwrap();
    println!("{overall}");
    let score = overall.split(": ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let (whole, tenth) = score.split_once('.').unwrap();
    let score = whole.parse::<u32>().unwrap() * 10 + tenth.parse::<u32>().unwrap();
    assert!(score <= EXPOSURE, "{overall}; {report}");
}

fn verifies() {
    let root = directory().join("root");
    let output = run(
        "systemd-analyze",
        &[
            "verify",
            "--man=no",
            text(&root.join("usr/lib/systemd/system/bulkhead.service")),
            text(&root.join("usr/lib/systemd/system/bulkhead.socket")),
        ],
    );
    let said = String::from_utf8_lossy(&output.stderr);
    // The programs are not installed on the machine that packs them; of other units it complains too;
    // and systemd before 253 does not know notify-reload, as the unit says.
    let about_us: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("bulkhead") && !line.contains("is not executable"))
        .filter(|line| !line.ends_with("ignoring: notify-reload"))
        .collect();
    assert!(about_us.is_empty(), "{about_us:?}");
}

/// A directive stands below a comment, or below a directive that stands below one.
fn reasons() {
    for name in ["bulkhead.service", "bulkhead.socket"] {
        let unit = fs::read_to_string(project("packaging/systemd").join(name)).unwrap();
        let mut explained = false;
        let mut checked = 0;
        let body = unit.split("[Service]").last().unwrap().split("[Install]").next().unwrap();
        for line in body.lines() {
            match line.chars().next() {
                None => explained = false,
                Some('#') => explained = true,
                Some(_) => {
                    // What a service is called and where its directories are needs no reason.
                    let plain =
                        ["Runtime", "State", "Configuration", "UMask", "Exec", "Listen", "["];
                    let is_plain = plain.iter().any(|start| line.starts_with(start));
                    let is_plain = is_plain || name == "bulkhead.socket";
                    assert!(explained || is_plain, "{name}: no reason above {line}");
                    checked += 1;
                }
            }
        }
        assert!(checked > 3, "{name}");
    }
}
