//! What a policy file says. Every entry has a `why`, and an unknown key is an error, so that a rule
//! without a reason does not load.

use serde::{Deserialize, Serialize};

use crate::role::{Feature, Features, Role};

/// The policy of one role.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Whose policy it is.
    pub role: Role,
    /// What the process is for, in one sentence.
    pub about: String,
    /// Whose uid and gid the process takes on.
    pub identity: Setting<IdentityKind>,
    /// The state of the process: dumpable, death signal and so on.
    pub process: Process,
    /// Capabilities that stay. Without any, all sets are empty.
    #[serde(default, rename = "capability")]
    pub capabilities: Vec<Capability>,
    /// Resource limits.
    #[serde(default, rename = "limit")]
    pub limits: Vec<Limit>,
    /// Landlock.
    pub landlock: Landlock,
    /// How the system-call filter answers.
    pub seccomp: Seccomp,
    /// The system calls: allowed ones, or forbidden ones if `seccomp.style` is `deny`.
    #[serde(rename = "syscall")]
    pub syscalls: Vec<Syscall>,
}

/// A value and the reason for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting<T> {
    /// The value.
    pub is: T,
    /// The reason.
    pub why: String,
}

/// Whose uid and gid a process takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityKind {
    /// It stays root (or the user who started a rootless server).
    Root,
    /// A system user of its role.
    Own,
    /// The account that logged in.
    Account,
}

/// The state of the process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Whether exec can never again add privilege.
    pub no_new_privs: Setting<bool>,
    /// Whether others of the same uid may trace it and read its memory, and whether it dumps core.
    pub dumpable: Setting<bool>,
    /// Whether the kernel kills it when the supervisor dies.
    pub dies_with_parent: Setting<bool>,
    /// How the securebits are set.
    pub securebits: Setting<Securebits>,
    /// Mode bits that no file it makes can have. None: as its parent's.
    #[serde(default)]
    pub umask: Option<Setting<Umask>>,
    /// Where `/` leads afterwards, if the process has the privilege to change it.
    pub root: Setting<RootDirectory>,
}

/// How the securebits are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Securebits {
    /// uid 0 means nothing, capabilities are not kept across a change of uid, no ambient
    /// capability; all of it for ever.
    Locked,
    /// Ambient capabilities are off for ever; children that are root keep what root has.
    NoAmbient,
}

/// Mode bits that are taken off, in three octal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Umask(u32);

impl Umask {
    /// The bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl TryFrom<String> for Umask {
    type Error = String;

    fn try_from(text: String) -> Result<Umask, String> {
        let three = text.len() == 3 && !text.starts_with('+');
        match u32::from_str_radix(&text, 8) {
            Ok(bits) if three => Ok(Umask(bits)),
            Ok(_) | Err(_) => Err(format!("`{text}` is not a umask of three octal digits")),
        }
    }
}

impl From<Umask> for String {
    fn from(mask: Umask) -> String {
        format!("{:03o}", mask.0)
    }
}

/// Where `/` leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootDirectory {
    /// Unchanged.
    Host,
    /// To the account's root (chroot).
    Account,
}

/// A capability that stays.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capability {
    /// Its name without `CAP_`.
    pub name: String,
    /// Whether it is in force; otherwise the process is permitted it, for its children.
    #[serde(default = "yes")]
    pub held: bool,
    /// Whether a root process without it does not begin, unless the configuration names it
    /// (`[sandbox] without_capabilities`).
    #[serde(default)]
    pub needed: bool,
    /// The reason.
    pub why: String,
}

fn yes() -> bool {
    true
}

/// A resource limit: soft and hard are equal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Which resource.
    pub resource: LimitedResource,
    /// The limit. Where the process started with less, the smaller one stays.
    pub at_most: u64,
    /// The reason.
    pub why: String,
}

/// The resources that policies limit (`RLIMIT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitedResource {
    /// Size of a core dump.
    Core,
    /// Processes of this uid.
    Nproc,
    /// Open descriptors.
    Nofile,
    /// Locked memory.
    Memlock,
    /// POSIX message queues.
    Msgqueue,
    /// Address space, in bytes: everything that is mapped, shared memory too.
    As,
}

/// Landlock: which classes of rights are taken away, and which rights remain beneath the root.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Landlock {
    /// Every right on files.
    pub files: Setting<bool>,
    /// TCP bind and connect.
    pub network: Setting<bool>,
    /// Signals and abstract Unix sockets beyond the sandbox.
    pub scopes: Setting<bool>,
    /// Rights on files that remain beneath the root that the process was given.
    #[serde(default, rename = "allow")]
    pub allowed: Vec<FileRight>,
}

/// A Landlock right that remains beneath the root: an account's, or the state directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRight {
    /// Its name, as linux/landlock.h writes it behind `LANDLOCK_ACCESS_FS_`, in small letters.
    pub right: String,
    /// It remains if any of these features is on. None: always; a session's right has one.
    #[serde(default)]
    pub needs: Vec<Feature>,
    /// The reason.
    pub why: String,
}

/// How the system-call filter answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seccomp {
    /// Whether the list names what is allowed or what is forbidden.
    pub style: Style,
    /// The answer to a forbidden call.
    pub answer: Answer,
    /// The reason for both.
    pub why: String,
}

/// Whether a list names what is allowed or what is forbidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// What is not listed is forbidden.
    Allow,
    /// What is listed is forbidden.
    Deny,
}

/// The answer to a forbidden system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Answer {
    /// SIGSYS: the process names the call to the supervisor and ends.
    #[serde(rename = "trap")]
    Trap,
    /// The call fails with EPERM.
    #[serde(rename = "EPERM")]
    Eperm,
    /// The call fails with ENOSYS, so that libraries fall back to an older one.
    #[serde(rename = "ENOSYS")]
    Enosys,
}

/// A rule for a system call. A call may have several rules if each has a condition; it then matches
/// if any of them does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Syscall {
    /// Its name.
    pub name: String,
    /// Conditions on its arguments, all of which must hold. None: any arguments.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// The rule is there if any of these features is on. None: always.
    #[serde(default)]
    pub needs: Vec<Feature>,
    /// The rule is not there if any of these features is on.
    #[serde(default)]
    pub unless: Vec<Feature>,
    /// Deny lists: another answer than the list's.
    #[serde(default)]
    pub answer: Option<Answer>,
    /// The reason.
    pub why: String,
}

impl Syscall {
    /// Whether the rule is there with these features.
    pub fn applies(&self, features: Features) -> bool {
        (self.needs.is_empty() || self.needs.iter().any(|f| features.has(*f)))
            && !self.unless.iter().any(|f| features.has(*f))
    }
}

impl FileRight {
    /// Whether the right remains with these features.
    pub fn applies(&self, features: Features) -> bool {
        self.needs.is_empty() || self.needs.iter().any(|f| features.has(*f))
    }
}

/// A condition on one argument. Exactly one of `is`, `only`, `without` and `has` is given. Values
/// are names of C constants joined by `|`, or numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Which argument, counted from 0.
    pub arg: u8,
    /// The argument is one of these.
    #[serde(default)]
    pub is: Vec<String>,
    /// The argument has no other bits than these.
    #[serde(default)]
    pub only: Option<String>,
    /// The argument has none of these bits.
    #[serde(default)]
    pub without: Option<String>,
    /// The argument has at least one of these bits (each one named by itself).
    #[serde(default)]
    pub has: Vec<String>,
    /// Whether the argument is compared as 64 bits (pointers) instead of 32.
    #[serde(default)]
    pub wide: bool,
}
