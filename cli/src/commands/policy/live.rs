//! A live process held against the policy of its role, by what /proc says of it.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use ipc::operator::ProcessRow;
use policy::{
    Feature, Features, Role, compile,
    model::{IdentityKind, LimitedResource, Policy, RootDirectory},
    policy_of,
};

/// The features that hang on the configuration, not on an account.
const OF_CONFIGURATION: [Feature; 4] =
    [Feature::Tls, Feature::AtomicUploads, Feature::SyncUploads, Feature::I2ftp];

/// A layer that is not as the policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The layer.
    pub layer: &'static str,
    /// What was found instead of what.
    pub text: String,
}

/// What /proc says of a process.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The fields of /proc/PID/status.
    pub status: HashMap<String, String>,
    /// /proc/PID/limits.
    pub limits: String,
    /// Owner of /proc/PID/environ: root's for a process that is not dumpable.
    pub proc_owner: u32,
    /// Whether the environment is empty; `None` when it may not be read.
    pub environment_empty: Option<bool>,
    /// Where its descriptors lead; `None` when that may not be read.
    pub descriptors: Option<Vec<PathBuf>>,
    /// Its `/`; `None` when that may not be read.
    pub root: Option<PathBuf>,
    /// Its program; `None` when that may not be read.
    pub program: Option<PathBuf>,
    /// Its AppArmor label; `None` where AppArmor is off.
    pub apparmor: Option<String>,
}

/// Where the packages put the programs, which is what their AppArmor profiles are attached to.
const PACKAGED: [&str; 2] = ["/usr/bin/bulkhead", "/usr/libexec/bulkhead/"];

impl Evidence {
    /// Reads /proc. `None` if the process has ended.
    pub fn read(pid: u32) -> Option<Evidence> {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let text = fs::read_to_string(proc.join("status")).ok()?;
        let status = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| {
                (name.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" "))
            })
            .collect();
        let descriptors = fs::read_dir(proc.join("fd")).ok().map(|entries| {
            entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
        });
        Some(Evidence {
            status,
            limits: fs::read_to_string(proc.join("limits")).ok()?,
            proc_owner: fs::metadata(proc.join("environ")).ok()?.uid(),
            environment_empty: fs::read(proc.join("environ")).ok().map(|e| e.is_empty()),
            descriptors,
            root: fs::read_link(proc.join("root")).ok(),
            program: fs::read_link(proc.join("exe")).ok(),
            apparmor: label(&proc),
        })
    }

    /// Its AppArmor profiles, for a report.
    pub fn profile(&self) -> Option<&str> {
        self.apparmor.as_deref()
    }

    fn is_packaged(&self) -> bool {
        let program = self.program.as_deref().unwrap_or(Path::new("")).to_string_lossy();
        PACKAGED.iter().any(|place| program.starts_with(place))
    }

    fn field(&self, name: &str) -> &str {
        self.status.get(name).map_or("", String::as_str)
    }
}

/// The AppArmor label of a process; `None` where AppArmor is off, or the process has ended.
fn label(proc: &Path) -> Option<String> {
    let label = fs::read_to_string(proc.join("attr/apparmor/current")).ok()?;
    Some(label.trim_end_matches(['\n', '\0']).to_owned())
}

/// Everything about a process that is not as its policy says.
pub fn flaws(row: &ProcessRow, evidence: &Evidence, landlock_off: bool) -> Vec<Flaw> {
    let Some(role) = Role::from_name(&row.role) else {
        return vec![Flaw { layer: "role", text: format!("`{}` has no policy", row.role) }];
    };
    let policy = match policy_of(role) {
        Ok(policy) => policy,
        Err(e) => return vec![Flaw { layer: "policy", text: e.to_string() }],
    };
    let mut found = Judge { evidence, flaws: Vec::new() };
    found.identity(&policy, row);
    // A role that stays root has privilege if the server has.
    let root = policy.identity.is == IdentityKind::Root && evidence.field("Uid").starts_with("0 ");
    let privileged = root || row.identity.is_some();
    found.capabilities(&policy, privileged);
    found.filter(role, row);
    found.securebits(&policy, row, privileged);
    found.limits(&policy);
    found.process(&policy, privileged);
    found.descriptors(role);
    found.landlock(&policy, row, landlock_off);
    found.apparmor(role);
    found.flaws
}

struct Judge<'a> {
    evidence: &'a Evidence,
    flaws: Vec<Flaw>,
}

impl Judge<'_> {
    fn flaw(&mut self, layer: &'static str, text: impl Into<String>) {
        self.flaws.push(Flaw { layer, text: text.into() });
    }

    fn hold(&mut self, layer: &'static str, field: &str, expected: &str) {
        let found = self.evidence.field(field).to_owned();
        if found != expected {
            self.flaw(layer, format!("{field} is `{found}` instead of `{expected}`"));
        }
    }

    fn identity(&mut self, policy: &Policy, row: &ProcessRow) {
        let Some((uid, gid)) = row.identity else { return };
        if uid == 0 && policy.identity.is != IdentityKind::Root {
            self.flaw("identity", "it runs as root");
        }
        self.hold("identity", "Uid", &[uid.to_string().as_str(); 4].join(" "));
        self.hold("identity", "Gid", &[gid.to_string().as_str(); 4].join(" "));
    }

    fn capabilities(&mut self, policy: &Policy, privileged: bool) {
        let bits = |held_only: bool| {
            let all = policy.capabilities.iter().filter(|c| c.held || !held_only);
            all.filter_map(|c| policy::capability_bit(&c.name)).fold(0, |all, bit| all | bit)
        };
        let nothing = format!("{:016x}", 0);
        self.hold("capabilities", "CapInh", &nothing);
        self.hold("capabilities", "CapAmb", &nothing);
        let sets = if privileged {
            vec![("CapPrm", bits(false)), ("CapEff", bits(true)), ("CapBnd", bits(false))]
        } else {
            vec![("CapPrm", 0), ("CapEff", 0)]
        };
        for (set, allowed) in sets {
            let found = u64::from_str_radix(self.evidence.field(set), 16).unwrap_or(u64::MAX);
            // Less than the policy names is no flaw: a container may have taken it already.
            if found & !allowed != 0 {
                let layer = if set == "CapBnd" { "bounding set" } else { "capabilities" };
                self.flaw(layer, format!("{set} is {found:016x}, and {allowed:016x} is allowed"));
            }
        }
    }

    fn filter(&mut self, role: Role, row: &ProcessRow) {
        self.hold("no_new_privs", "NoNewPrivs", "1");
        self.hold("seccomp", "Seccomp", "2");
        let own = match role {
            // The gate's filter and its own.
            Role::Relay => 2,
            Role::Supervisor | Role::PamAuthenticator => 2,
            Role::Authenticator | Role::Keeper | Role::Helper | Role::Gate | Role::Session => 1,
        };
        let inherited = if role == Role::Supervisor { 0 } else { 2 };
        let there: u32 = self.evidence.field("Seccomp_filters").parse().unwrap_or(u32::MAX);
        if there < own + inherited {
            let expected = own + inherited;
            self.flaw("seccomp", format!("{there} filters are in force instead of {expected}"));
        }
        // What the account may do is the row's; what the configuration switches on is taken as on.
        let of_account = row.features.iter().filter_map(|name| Feature::from_name(name));
        let features: Features = of_account.chain(OF_CONFIGURATION).collect();
        // A relay has reported as the gate it was; that it is narrower shows in its filters.
        let reported = if role == Role::Relay { Role::Gate } else { role };
        if let (Some(report), Ok(policy)) = (&row.report, policy_of(reported)) {
            let expected = compile::allowed_names(&policy, features).len();
            if u32::try_from(expected).is_ok_and(|expected| report.system_calls > expected) {
                let said = report.system_calls;
                self.flaw("seccomp", format!("it allows {said} system calls, not {expected}"));
            }
        }
    }

    /// /proc does not show them: the process's own report stands, from before it had a client. Those
    /// that are locked cannot have changed since.
    fn securebits(&mut self, policy: &Policy, row: &ProcessRow, privileged: bool) {
        // Nobody reports to himself; and without privilege they cannot be set.
        if policy.role == Role::Supervisor || !privileged {
            return;
        }
        let expected = policy::securebits_of(policy.process.securebits.is);
        let reported = row.report.as_ref().map_or(0, |report| report.securebits);
        if reported & expected != expected {
            let text = format!("they are {reported:#x} instead of {expected:#x}");
            self.flaw("securebits", text);
        }
    }

    fn limits(&mut self, policy: &Policy) {
        for limit in &policy.limits {
            let name = match limit.resource {
                LimitedResource::Core => "Max core file size",
                LimitedResource::Nproc => "Max processes",
                LimitedResource::Nofile => "Max open files",
                LimitedResource::Memlock => "Max locked memory",
                LimitedResource::Msgqueue => "Max msgqueue size",
                LimitedResource::As => "Max address space",
            };
            let line = self.evidence.limits.lines().find_map(|line| line.strip_prefix(name));
            let hard = line.and_then(|line| line.split_whitespace().nth(1));
            let hard = hard.and_then(|hard| hard.parse::<u64>().ok());
            if hard.is_none_or(|hard| hard > limit.at_most) {
                let at_most = limit.at_most;
                self.flaw("limits", format!("{name} is {hard:?} instead of at most {at_most}"));
            }
        }
    }

    fn process(&mut self, policy: &Policy, privileged: bool) {
        let own_uid = self.evidence.field("Uid").split(' ').next().unwrap_or("").to_owned();
        if own_uid != "0" && self.evidence.proc_owner.to_string() == own_uid {
            self.flaw("dumpable", "others of its uid can read its memory");
        }
        self.hold("dumpable", "TracerPid", "0");
        if let Some(umask) = &policy.process.umask {
            self.hold("umask", "Umask", &format!("{:04o}", umask.is.bits()));
        }
        let changed = policy.process.root.is == RootDirectory::Account && privileged;
        if changed && self.evidence.root.as_deref() == Some(Path::new("/")) {
            self.flaw("chroot", "its / is the host's");
        }
        let worker = policy.identity.is != IdentityKind::Root;
        if worker && self.evidence.environment_empty == Some(false) {
            self.flaw("environment", "its environment is not empty");
        }
        if worker {
            self.hold("threads", "Threads", "1");
            self.signals();
        }
    }

    /// SIGTERM ends it: it is neither ignored nor blocked nor handled, and no policy allows to
    /// change that.
    fn signals(&mut self) {
        const SIGTERM: u64 = 1 << 14;
        for (field, what) in [("SigIgn", "ignored"), ("SigBlk", "blocked"), ("SigCgt", "handled")] {
            let found = u64::from_str_radix(self.evidence.field(field), 16);
            if found.is_ok_and(|found| found & SIGTERM != 0) {
                self.flaw("signals", format!("SIGTERM is {what}"));
            }
        }
    }

    /// No descriptor of a process that faces strangers, or holds their keys, leads to a file; a
    /// session's lead to nothing outside its root.
    fn descriptors(&mut self, role: Role) {
        // Rootless, a session's `/` is the host's, and only Landlock says where its root is.
        let root = self.evidence.root.as_deref().filter(|root| *root != Path::new("/"));
        let within = match role {
            Role::Keeper | Role::Helper | Role::Gate | Role::Relay => None,
            Role::Session if root.is_some() => root,
            Role::Session | Role::Supervisor | Role::Authenticator | Role::PamAuthenticator => {
                return;
            }
        };
        let allowed = |path: &Path| {
            path == Path::new("/dev/null") || within.is_some_and(|root| path.starts_with(root))
        };
        let outside: Vec<String> = self
            .evidence
            .descriptors
            .iter()
            .flatten()
            .filter(|path| path.starts_with("/") && !allowed(path))
            .map(|path| path.display().to_string())
            .collect();
        if !outside.is_empty() {
            self.flaw("descriptors", format!("it holds {}", outside.join(", ")));
        }
    }

    /// The packages' programs are held by the packages' profiles where AppArmor is on; those of
    /// another place have none.
    fn apparmor(&mut self, role: Role) {
        let Some(label) = self.evidence.apparmor.clone().filter(|_| self.evidence.is_packaged())
        else {
            return;
        };
        let wanted = policy::profile_of(role);
        if !policy::profiles(&label).any(|profile| profile == wanted) {
            self.flaw(
                "apparmor",
                format!(
                    "it runs as `{label}` instead of {wanted}: load /etc/apparmor.d/bulkhead and \
                     restart the server"
                ),
            );
        } else if !label.ends_with("(enforce)") {
            self.flaw("apparmor", format!("`{label}` forbids nothing: aa-enforce bulkhead"));
        }
    }

    fn landlock(&mut self, policy: &Policy, row: &ProcessRow, off: bool) {
        // What this kernel has nothing of cannot be missing; `policy check` names it.
        if off || !policy::probe().has_any_of(&policy.landlock) {
            return;
        }
        if row.report.as_ref().is_none_or(|report| report.landlock_abi == 0) {
            self.flaw("landlock", "it has reported no Landlock");
        }
    }
}

#[cfg(test)]
mod tests {
    use ipc::process::SandboxReport;
    use policy::model::Securebits;

    use super::*;

    const SESSION: &str = "Uid:1000 1000 1000 1000|Gid:1000 1000 1000 1000|NoNewPrivs:1|Seccomp:2|\
        Seccomp_filters:3|CapInh:0000000000000000|CapPrm:0000000000000000|CapEff:0000000000000000|\
        CapBnd:0000000000000000|CapAmb:0000000000000000|TracerPid:0|Threads:1|Umask:0000";

    fn row() -> ProcessRow {
        let features = ["list", "read"].map(str::to_owned).to_vec();
        let policy = policy_of(Role::Session).unwrap();
        let names = features.iter().filter_map(|f| Feature::from_name(f));
        let names: Features = names.chain(OF_CONFIGURATION).collect();
        let calls = compile::allowed_names(&policy, names).len();
        ProcessRow {
            role: "session".into(),
            pid: 1,
            session: None,
            identity: Some((1000, 1000)),
            report: Some(SandboxReport {
                landlock_abi: 7,
                landlock_missing: Vec::new(),
                system_calls: u32::try_from(calls).unwrap(),
                securebits: policy::securebits_of(Securebits::Locked),
            }),
            features,
        }
    }

    fn evidence() -> Evidence {
        let mut limits = String::new();
        for name in ["core file size", "processes", "locked memory", "msgqueue size"] {
            limits.push_str(&format!("Max {name}  0  0  bytes\n"));
        }
        limits.push_str("Max open files 64 64 files\n");
        limits.push_str("Max address space 134217728 134217728 bytes\n");
        Evidence {
            status: SESSION
                .split('|')
                .filter_map(|field| field.split_once(':'))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            limits,
            proc_owner: 0,
            environment_empty: Some(true),
            descriptors: Some(Vec::new()),
            root: Some("/srv/files".into()),
            program: Some("/usr/libexec/bulkhead/bulkhead-worker".into()),
            apparmor: Some("bulkhead//&bulkhead//session//&bulkhead//worker (enforce)".into()),
        }
    }

    fn layers(row: &ProcessRow, evidence: &Evidence) -> Vec<&'static str> {
        flaws(row, evidence, false).iter().map(|flaw| flaw.layer).collect()
    }

    #[test]
    fn a_session_as_its_policy_says_has_no_flaw() {
        assert_eq!(flaws(&row(), &evidence(), false), []);
    }

    #[test]
    fn a_process_without_its_profile_is_named_where_apparmor_is_on() {
        let with = |label: Option<&str>, program: &str| {
            let apparmor = label.map(str::to_owned);
            let evidence = Evidence { apparmor, program: Some(program.into()), ..evidence() };
            layers(&row(), &evidence)
        };
        let packaged = "/usr/libexec/bulkhead/bulkhead-worker (deleted)";
        for missing in [
            "unconfined",
            "bulkhead//&bulkhead//worker (enforce)",
            "bulkhead//&bulkhead//gate//&bulkhead//worker (enforce)",
            "bulkhead//&bulkhead//session//&bulkhead//worker (complain)",
            "bulkhead//&bulkhead//session//&bulkhead//worker (mixed)",
        ] {
            assert_eq!(with(Some(missing), packaged), ["apparmor"], "{missing}");
            assert_eq!(with(Some(missing), "/home/me/dist/bulkhead-worker"), [""; 0]);
        }
        assert_eq!(with(None, packaged), [""; 0]);
    }

    #[test]
    fn each_layer_that_is_taken_away_is_named() {
        for (field, value, layer) in [
            ("Uid", "1000 0 0 0", "identity"),
            ("Gid", "1000 1000 0 1000", "identity"),
            ("NoNewPrivs", "0", "no_new_privs"),
            ("Seccomp", "0", "seccomp"),
            ("Seccomp_filters", "2", "seccomp"),
            ("CapEff", "0000000000000400", "capabilities"),
            ("CapPrm", "0000000000000001", "capabilities"),
            ("CapInh", "0000000000000001", "capabilities"),
            ("CapAmb", "0000000000000001", "capabilities"),
            ("CapBnd", "000001ffffffffff", "bounding set"),
            ("TracerPid", "12", "dumpable"),
            ("Threads", "2", "threads"),
            ("Umask", "0022", "umask"),
            ("SigIgn", "0000000000005000", "signals"),
            ("SigBlk", "0000000000004000", "signals"),
        ] {
            let mut without = evidence();
            without.status.insert(field.into(), value.into());
            assert_eq!(layers(&row(), &without), [layer], "{field}");
        }
        let dumpable = Evidence { proc_owner: 1000, ..evidence() };
        assert_eq!(layers(&row(), &dumpable), ["dumpable"]);
        let unlimited = evidence().limits.replace("open files 64 64", "open files 1024 4096");
        assert_eq!(layers(&row(), &Evidence { limits: unlimited, ..evidence() }), ["limits"]);
        let host = Evidence { root: Some("/".into()), ..evidence() };
        assert_eq!(layers(&row(), &host), ["chroot"]);
        let environment = Evidence { environment_empty: Some(false), ..evidence() };
        assert_eq!(layers(&row(), &environment), ["environment"]);
    }

    #[test]
    fn what_the_process_reported_counts_too() {
        let mut without = row();
        without.report.as_mut().unwrap().landlock_abi = 0;
        assert_eq!(layers(&without, &evidence()), ["landlock"]);
        let mut unlocked = row();
        unlocked.report.as_mut().unwrap().securebits &= !2;
        assert_eq!(layers(&unlocked, &evidence()), ["securebits"]);
        assert_eq!(flaws(&without, &evidence(), true), []);
        let mut wide = row();
        wide.report.as_mut().unwrap().system_calls = 300;
        assert_eq!(layers(&wide, &evidence()), ["seccomp"]);
    }

    #[test]
    fn a_supervisor_has_the_capabilities_of_its_policy_as_root_and_none_rootless() {
        let row = ProcessRow { role: "supervisor".into(), identity: None, report: None, ..row() };
        let mut root = evidence();
        for (field, value) in [
            ("Uid", "0 0 0 0"),
            ("Seccomp_filters", "2"),
            ("CapEff", "00000000000401e5"),
            ("CapPrm", "00000000200405e7"),
            ("CapBnd", "00000000200405e7"),
        ] {
            root.status.insert(field.into(), value.into());
        }
        assert_eq!(flaws(&row, &root, false), []);
        root.status.insert("CapEff".into(), "000001ffffffffff".into());
        assert_eq!(layers(&row, &root), ["capabilities"]);
        let mut rootless = root;
        rootless.status.insert("Uid".into(), "1000 1000 1000 1000".into());
        rootless.status.insert("CapEff".into(), "0000000000000400".into());
        rootless.status.insert("CapPrm".into(), "0000000000000000".into());
        assert_eq!(layers(&row, &rootless), ["capabilities"]);
    }

    #[test]
    fn a_session_that_holds_a_file_outside_its_root_is_flawed() {
        let holding = |path: &str| Evidence { descriptors: Some(vec![path.into()]), ..evidence() };
        assert_eq!(layers(&row(), &holding("/srv/files/below")), [""; 0]);
        assert_eq!(layers(&row(), &holding("/dev/null")), [""; 0]);
        assert_eq!(layers(&row(), &holding("/srv/files-of-another")), ["descriptors"]);
        assert_eq!(layers(&row(), &holding("/var/log/bulkhead")), ["descriptors"]);
    }

    #[test]
    fn a_relay_is_held_against_what_it_reported_as_a_gate() {
        let gate = policy_of(Role::Gate).unwrap();
        let calls = compile::allowed_names(&gate, Features::all()).len();
        let report =
            SandboxReport { system_calls: u32::try_from(calls).unwrap(), ..row().report.unwrap() };
        let relay = ProcessRow {
            role: "relay".into(),
            report: Some(report),
            features: Vec::new(),
            ..row()
        };
        let limits = evidence().limits.replace("64 64", "32 32");
        let limits = limits.replace("134217728 134217728", "67108864 67108864");
        // It keeps the profile of the gate that it was.
        let label = "bulkhead//&bulkhead//gate//&bulkhead//worker (enforce)";
        let mut narrowed =
            Evidence { limits, root: Some("/".into()), apparmor: Some(label.into()), ..evidence() };
        narrowed.status.insert("Umask".into(), "0077".into());
        narrowed.status.insert("Seccomp_filters".into(), "4".into());
        assert_eq!(layers(&relay, &narrowed), [""; 0]);
        narrowed.status.insert("Seccomp_filters".into(), "3".into());
        assert_eq!(layers(&relay, &narrowed), ["seccomp"]);
    }

    #[test]
    fn a_gate_that_holds_a_file_is_flawed() {
        let gate = ProcessRow { role: "gate".into(), features: Vec::new(), ..row() };
        let limits = evidence().limits.replace("64 64", "32 32");
        let descriptors = Some(vec!["/dev/null".into(), "/etc/shadow".into()]);
        let holding = Evidence { limits, descriptors, ..evidence() };
        assert!(layers(&gate, &holding).contains(&"descriptors"));
    }
}
