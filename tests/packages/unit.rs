//! The systemd units: each directive has a reason, and the exposure stays low.

use std::fs;

use libtest_mimic::Trial;

use super::{directory, harness, printed, project, run, text};

/// Exposure by systemd-analyze security(1), 0 to 10, times ten: no more than this.
const EXPOSURE: u32 = 20;

pub fn tests() -> Vec<Trial> {
    let analyze = "systemd-analyze";
    vec![
        harness::needs_program("unit: exposure is low", analyze, exposure_is_low),
        harness::needs_program("unit: systemd understands every line", analyze, verifies),
        harness::test("unit: each hardening directive has a reason", reasons),
    ]
}

/// The units of the package.
const UNITS: [&str; 4] =
    ["bulkhead.service", "bulkhead.socket", "bulkhead-helper@.service", "bulkhead-helper.socket"];

fn exposure_is_low() {
    for unit in UNITS.iter().filter(|unit| unit.ends_with(".service")) {
        exposure_of(unit);
    }
}

fn exposure_of(unit: &str) {
    let unit = project("packaging/systemd").join(unit);
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
    let place = directory().join("root/usr/lib/systemd/system");
    let units = UNITS.map(|unit| place.join(unit));
    let mut arguments = vec!["verify", "--man=no"];
    arguments.extend(units.iter().map(|unit| text(unit)));
    let output = run("systemd-analyze", &arguments);
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
    for name in UNITS {
        let unit = fs::read_to_string(project("packaging/systemd").join(name)).unwrap();
        let mut explained = false;
        let mut checked = 0;
        let is_socket = name.ends_with(".socket");
        let section = if is_socket { "[Socket]" } else { "[Service]" };
        let body = unit.split(section).last().unwrap().split("[Install]").next().unwrap();
        for line in body.lines() {
            match line.chars().next() {
                None => explained = false,
                Some('#') => explained = true,
                Some(_) => {
                    // What a service is called and where its directories are needs no reason.
                    let plain =
                        ["Runtime", "State", "Configuration", "UMask", "Exec", "Listen", "["];
                    let is_plain = plain.iter().any(|start| line.starts_with(start));
                    let is_plain = is_plain || is_socket;
                    assert!(explained || is_plain, "{name}: no reason above {line}");
                    checked += 1;
                }
            }
        }
        assert!(checked > 3, "{name}");
    }
}
