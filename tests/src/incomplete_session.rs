//! A session that leaves one layer of its sandbox out and says so: proof that `bulkhead policy
//! verify` would see it. The test program takes the worker's place; no shipped program can do this.
//! Everything but the layer that is left out is raised here by hand, by the policy's data.

use std::{os::unix::process::CommandExt, process::Command, time::Duration};

use ipc::{
    Channel,
    process::{LandlockDemand, SandboxReport},
    session::{SessionBoot, SessionToSupervisor, SupervisorToSession},
};
use landlock::{ABI, Access, AccessFs, Ruleset, RulesetAttr};
use nix::{
    sys::resource::{Resource, setrlimit},
    unistd::{Gid, Uid, chdir, chroot, setgroups, setresgid, setresuid},
};
use policy::{
    Features, Role, compile,
    model::{LimitedResource, Securebits},
    policy_of, securebits_of,
};
use rustix::{
    fs::Mode,
    process::{DumpableBehavior, set_dumpable_behavior, umask},
    thread::{
        CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capabilities_secure_bits,
        remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits,
        set_keep_capabilities,
    },
};

/// The layers that can be left out, by the names that `verify` gives them.
pub const LAYERS: [&str; 13] = [
    "identity",
    "capabilities",
    "bounding set",
    "securebits",
    "umask",
    "chroot",
    "limits",
    "dumpable",
    "landlock",
    "seccomp",
    "environment",
    "threads",
    "descriptors",
];

/// The session without `layer` (with all of them, if it is none of [`LAYERS`]). Stays until it is
/// killed.
pub fn play(layer: &str) -> ! {
    if layer == "environment" && std::env::vars_os().next().is_none() {
        let own = std::env::current_exe().unwrap();
        let error = Command::new(own).arg("session").env("LEFT", "over").exec();
        panic!("{error}");
    }
    let inherited = ipc::fdpass::inherited_channel().unwrap();
    let channel: Channel<SessionToSupervisor, SupervisorToSession> = Channel::from_fd(inherited);
    let SupervisorToSession::Boot(boot) = channel.recv().unwrap().message else { panic!() };
    let report = lock_down_but(layer, &boot);
    channel.send(&SessionToSupervisor::Ready(report), &[]).unwrap();
    // Control: with it the session is listed.
    drop(channel.recv());
    loop {
        // The one wait that the policy allows.
        let wait = rustix::event::Timespec { tv_sec: 3600, tv_nsec: 0 };
        rustix::event::poll(&mut [], Some(&wait)).ok();
    }
}

fn lock_down_but(layer: &str, boot: &SessionBoot) -> SandboxReport {
    let policy = policy_of(Role::Session).unwrap();
    // What every account of these tests may do at least.
    let features = Features::NONE;
    let identity = boot.confinement.identity.as_ref().unwrap();
    if layer == "threads" {
        std::thread::spawn(|| std::thread::sleep(Duration::from_secs(3600)));
    }
    if layer == "descriptors" {
        std::mem::forget(std::fs::File::open("/etc/hostname").unwrap());
    }
    if layer != "bounding set" {
        for bit in 0..=40 {
            // Newer kernels know more of them than this build, older ones fewer.
            let capability = CapabilitySet::from_bits_retain(1 << bit);
            remove_capability_from_bounding_set(capability).ok();
        }
    }
    if layer != "chroot" {
        chroot(&boot.account.root).unwrap();
        chdir("/").unwrap();
    }
    setgroups(&[]).unwrap();
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    setresgid(gid, gid, gid).unwrap();
    set_keep_capabilities(true).unwrap();
    if layer != "securebits" {
        let Securebits::Locked = policy.process.securebits.is else { panic!() };
        let bits = CapabilitiesSecureBits::from_bits_retain(securebits_of(Securebits::Locked));
        set_capabilities_secure_bits(bits).unwrap();
    }
    if layer != "umask" {
        umask(Mode::empty());
    }
    let saved = if layer == "identity" { Uid::from_raw(0) } else { uid };
    setresuid(uid, uid, saved).unwrap();
    let held = match layer {
        "capabilities" => CapabilitySet::NET_BIND_SERVICE,
        _ => CapabilitySet::empty(),
    };
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: held, permitted: held, inheritable })
        .unwrap();
    if layer != "limits" {
        for limit in &policy.limits {
            let resource = match limit.resource {
                LimitedResource::Core => Resource::RLIMIT_CORE,
                LimitedResource::Nproc => Resource::RLIMIT_NPROC,
                LimitedResource::Nofile => Resource::RLIMIT_NOFILE,
                LimitedResource::Memlock => Resource::RLIMIT_MEMLOCK,
                LimitedResource::Msgqueue => Resource::RLIMIT_MSGQUEUE,
                LimitedResource::As => Resource::RLIMIT_AS,
            };
            setrlimit(resource, limit.at_most, limit.at_most).unwrap();
        }
    }
    let dumpable = match layer {
        "dumpable" => DumpableBehavior::Dumpable,
        _ => DumpableBehavior::NotDumpable,
    };
    set_dumpable_behavior(dumpable).unwrap();
    let demanded = boot.confinement.landlock != LandlockDemand::Off;
    let landlock = demanded && layer != "landlock";
    if landlock {
        let rights = AccessFs::from_all(ABI::V1);
        let ruleset = Ruleset::default().handle_access(rights).unwrap().create().unwrap();
        ruleset.restrict_self().unwrap();
    }
    let securebits = capabilities_secure_bits().unwrap().bits();
    if layer != "seccomp" {
        for program in compile::programs(&policy, features).unwrap() {
            seccompiler::apply_filter(&program).unwrap();
        }
    }
    let calls = compile::allowed_names(&policy, features).len();
    SandboxReport {
        landlock_abi: u32::from(landlock),
        landlock_missing: Vec::new(),
        system_calls: calls.try_into().unwrap(),
        securebits,
    }
}
