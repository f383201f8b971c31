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
        harness::test("unit: h4 the helper locks its securebits itself", h4_securebits),
        harness::test("unit: h5 the helper gets no variable that systemd has", h5_no_variable),
        harness::test("unit: h9 what needs /dev/shm is told, and can be left out", h9_no_dev_shm),
        harness::test("unit: h7 the keeper may lock its memory", h7_locked_memory),
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

/// The values of a directive, all lines of it together.
fn values(unit: &str, directive: &str) -> Vec<String> {
    let unit = fs::read_to_string(project("packaging/systemd").join(unit)).unwrap();
    let lines = unit.lines().filter_map(|line| line.strip_prefix(directive)?.strip_prefix('='));
    lines.flat_map(|values| values.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// systemd 257 starts no service of another user whose securebits it has locked. With SETPCAP the
/// helper goes the way it goes under the supervisor, on every systemd.
fn h4_securebits() {
    let helper = "bulkhead-helper@.service";
    assert_eq!(values(helper, "SecureBits"), [""; 0]);
    let needed = ["CAP_NET_BIND_SERVICE", "CAP_SETPCAP"];
    for directive in ["CapabilityBoundingSet", "AmbientCapabilities"] {
        assert_eq!(values(helper, directive), needed, "{directive}");
    }
}

/// Every variable that systemd.exec(5) of systemd 257 names for a service like the helper's, whatever
/// the unit says otherwise: those of directories, credentials and so on come with directives that it
/// has not.
fn h5_no_variable() {
    let unset = values("bulkhead-helper@.service", "UnsetEnvironment");
    for variable in [
        "PATH",
        "LANG",
        "LC_CTYPE",
        "USER",
        "LOGNAME",
        "HOME",
        "SHELL",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "SYSTEMD_EXEC_PID",
        "LOG_NAMESPACE",
        "MANAGERPID",
        "MANAGERPIDFDID",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_PIDFDID",
        "LISTEN_FDNAMES",
        "REMOTE_ADDR",
        "REMOTE_PORT",
        "SO_COOKIE",
        "MEMORY_PRESSURE_WATCH",
        "MEMORY_PRESSURE_WRITE",
        "TERM",
    ] {
        assert!(unset.iter().any(|unset| unset == variable), "{variable} is left to the helper");
    }
}

/// Without PrivateDevices=, which needs the directory, the device filter is what remains.
fn h9_no_dev_shm() {
    for unit in ["bulkhead.service", "bulkhead-helper@.service"] {
        assert_eq!(values(unit, "PrivateDevices"), ["yes"], "{unit}");
        assert_eq!(values(unit, "DevicePolicy"), ["closed"], "{unit}");
    }
    let page = fs::read_to_string(project("docs/install.md")).unwrap();
    for word in ["/dev/shm", "226/NAMESPACE", "[Service]\\nPrivateDevices=no\\n"] {
        assert!(page.contains(word), "{word}");
    }
}

fn h7_locked_memory() {
    let keeper = policy::policy_of(policy::Role::Keeper).unwrap();
    let is_memory =
        |limit: &&policy::model::Limit| limit.resource == policy::model::LimitedResource::Memlock;
    let wanted = keeper.limits.iter().find(is_memory).unwrap().at_most;
    assert_eq!(values("bulkhead.service", "LimitMEMLOCK"), [wanted.to_string()]);
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
