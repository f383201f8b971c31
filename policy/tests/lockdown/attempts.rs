//! The table of attempts: one allowed and some forbidden ones per role.

use libtest_mimic::Trial;
use nix::errno::Errno as N;
use policy::Role;

use crate::{
    Outcome::{self, Done, Errno, Trapped},
    PROBE_UID, expect, state,
};

const READ_ONLY: &str = "list,read";
const WRITING: &str = "list,read,write,append,overwrite,delete,rename,mkdir,rmdir,chmod";
const ACCES: Outcome = Errno(N::EACCES as i32);
const PERM: Outcome = Errno(N::EPERM as i32);

/// Collects the trials of this host.
struct Table {
    uid: Option<u32>,
    trials: Vec<Trial>,
}

impl Table {
    /// An attempt under the identity of the role.
    fn add(&mut self, role: Role, features: &'static str, attempt: &'static str, outcome: Outcome) {
        self.push(role, self.uid, features, attempt, outcome);
    }

    /// An attempt by a role that stays root.
    fn add_as_root(
        &mut self,
        role: Role,
        features: &'static str,
        attempt: &'static str,
        outcome: Outcome,
    ) {
        self.push(role, None, features, attempt, outcome);
    }

    fn push(
        &mut self,
        role: Role,
        uid: Option<u32>,
        features: &'static str,
        attempt: &'static str,
        outcome: Outcome,
    ) {
        let name = format!("{role} with {features}: {attempt} ends with {outcome:?}");
        let trial = Trial::test(name, move || expect(role, uid, features, attempt, &outcome));
        self.trials.push(trial);
    }
}

/// All trials.
pub fn trials() -> Vec<Trial> {
    let is_root = nix::unistd::geteuid().is_root();
    let mut table = Table { uid: is_root.then_some(PROBE_UID), trials: Vec::new() };
    confined(&mut table);
    trusted(&mut table);
    session(&mut table, is_root);
    relay(&mut table);
    if !is_root {
        let name = "the change of uid, gid, groups and bounding set";
        table.trials.push(Trial::test(name, || Ok(())).with_ignored_flag(true));
    }
    table.trials
}

/// What holds for every role with a list of allowed calls.
fn confined(table: &mut Table) {
    for role in [Role::Gate, Role::Relay, Role::Keeper, Role::Helper, Role::Session] {
        table.add(role, READ_ONLY, "nothing", Done);
        let uid = table.uid;
        let name =
            format!("{role}: /proc shows the identity, capabilities and layers of its policy");
        table.trials.push(Trial::test(name, move || state::check(role, uid)));
        table.add(role, READ_ONLY, "send", Done);
        table.add(role, READ_ONLY, "openat", Trapped("openat"));
        table.add(role, READ_ONLY, "kill", Trapped("kill"));
        table.add(role, READ_ONLY, "setresuid", Trapped("setresuid"));
        table.add(role, READ_ONLY, "map executable", Trapped("mmap"));
        table.add(role, READ_ONLY, "send with MSG_FASTOPEN", Trapped("sendmsg"));
        table.add(role, READ_ONLY, "spawn", Trapped("rt_sigprocmask"));
        let tcp = if role == Role::Helper { Done } else { Trapped("socket") };
        table.add(role, READ_ONLY, "socket inet", tcp);
        table.add(role, READ_ONLY, "socket unix", Trapped("socket"));
    }
}

/// Roles with a list of forbidden calls.
fn trusted(table: &mut Table) {
    for role in [Role::Supervisor, Role::PamAuthenticator] {
        table.add_as_root(role, "pam", "openat", Done);
        table.add_as_root(role, "pam", "spawn", Done);
        table.add_as_root(role, "pam", "unshare", PERM);
        table.add_as_root(role, "pam", "mount", PERM);
        table.add_as_root(role, "pam", "ptrace others", PERM);
    }
    let role = Role::Authenticator;
    table.add_as_root(role, "", "spawn", Trapped("rt_sigprocmask"));
    table.add_as_root(role, "", "socket inet", Trapped("socket"));
    table.add_as_root(role, "", "map executable", Trapped("mmap"));
    table.add_as_root(role, "", "kill", Trapped("kill"));
}

/// Landlock and the rights of an account.
fn session(table: &mut Table, is_root: bool) {
    let role = Role::Session;
    table.add(role, READ_ONLY, "read the file", Done);
    table.add(role, READ_ONLY, "list the root", Done);
    table.add(role, "read", "list the root", ACCES);
    table.add(role, "list", "read the file", ACCES);
    table.add(role, READ_ONLY, "open for writing", ACCES);
    table.add(role, READ_ONLY, "create", ACCES);
    table.add(role, READ_ONLY, "unlink", Trapped("unlinkat"));
    table.add(role, READ_ONLY, "mkdir", Trapped("mkdirat"));
    table.add(role, READ_ONLY, "mkfifo", Trapped("mknodat"));
    table.add(role, WRITING, "open for writing", Done);
    table.add(role, WRITING, "create", Done);
    table.add(role, WRITING, "unlink", Done);
    table.add(role, WRITING, "mkdir", Done);
    table.add(role, WRITING, "mkfifo", Trapped("mknodat"));
    // By chroot there is no such name; without privilege it is Landlock that says no.
    let outside = if is_root { Errno(N::ENOENT as i32) } else { ACCES };
    table.add(role, WRITING, "open /etc/passwd", outside.clone());
    table.add(role, WRITING, "open the neighbour", outside.clone());
}

/// The second filter of a gate.
fn relay(table: &mut Table) {
    table.add(Role::Gate, "tls", "narrow, then send", Done);
    table.add(Role::Gate, "tls", "narrow, then receive", Trapped("recvmsg"));
    table.add(Role::Gate, "list", "narrow, then send", Trapped("prctl"));
}
