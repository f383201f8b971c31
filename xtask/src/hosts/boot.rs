//! Which guests there are.

use std::time::Duration;

use super::{guest::Checked, image::Release};

/// What a guest may take in emulation, on a busy machine.
const LIFE_LIMIT: Duration = Duration::from_secs(660);
const BOOT_LIMIT: Duration = Duration::from_secs(300);

/// Keeps the clock in the vDSO, as on most hosts: emulation has no reliable one otherwise.
const USUAL_CLOCK: &str = "tsc=reliable clocksource=tsc";

/// One boot of a guest.
#[derive(Debug, Clone, Copy)]
pub struct Boot {
    /// Which Debian.
    pub release: Release,
    /// What is tried.
    pub what: &'static str,
    /// The kernel's command line.
    pub parameters: &'static str,
    /// The script of tests/hosts.
    pub script: &'static str,
    /// The word that the script finds in `EXPECT`.
    pub expect: &'static str,
    /// How long it may take.
    pub limit: Duration,
}

impl Boot {
    /// Its name, which a filter is held against.
    pub fn name(&self) -> String {
        format!("{}: {}", self.release.name(), self.what)
    }
}

const fn life(release: Release) -> Boot {
    let (what, parameters) = ("a whole life, AppArmor enforcing", USUAL_CLOCK);
    Boot { release, what, parameters, script: "life.sh", expect: "", limit: LIFE_LIMIT }
}

const fn short(what: &'static str, parameters: &'static str, expect: &'static str) -> Boot {
    let (release, script) = (Release::Debian12, "boot.sh");
    Boot { release, what, parameters, script, expect, limit: BOOT_LIMIT }
}

/// The boot of `.ci/run`.
pub const FIRST: [Boot; 1] = [life(Release::Debian12)];

/// All boots.
pub const ALL: [Boot; 7] = [
    life(Release::Debian12),
    life(Release::Debian13),
    short("vdso=0, clock acpi_pm", "vdso=0 clocksource=acpi_pm tsc=unstable", "slow-clock"),
    short(
        "lsm= without landlock",
        "lsm=lockdown,capability,yama,apparmor tsc=reliable clocksource=tsc",
        "no-landlock",
    ),
    short("fips=1", "fips=1 tsc=reliable clocksource=tsc", "fips"),
    short(
        "lockdown=confidentiality",
        "lockdown=confidentiality tsc=reliable clocksource=tsc",
        "lockdown",
    ),
    short("ipv6.disable=1", "ipv6.disable=1 tsc=reliable clocksource=tsc", "no-ipv6"),
];

/// A boot and what came of it.
#[derive(Debug)]
pub struct Ran {
    /// Which.
    pub boot: Boot,
    /// Its checks.
    pub checked: Vec<Checked>,
}
