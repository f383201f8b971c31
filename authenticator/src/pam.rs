//! System users through PAM: the stack decides about the password, this module about the rest.
//!
//! Runs in the authenticator alone. PAM's modules are foreign code; the authenticator's policy
//! holds them, and the supervisor ends an attempt that takes too long. A PAM session, where `[auth]
//! pam_session` wants one, is opened by an authenticator of its own and closed by another when the
//! client has gone: no privileged process waits in between.

mod library;

use std::{
    ffi::{CString, OsStr},
    net::IpAddr,
    os::unix::ffi::OsStrExt,
};

use ipc::{
    account::{Account, Identity},
    authenticator::AuthSettings,
    bounded::UserName,
};
use nix::unistd::{Group, User, getgrouplist};

use self::library::{PamError, Transaction};

/// Why PAM, or the rules for its users, refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A stable word for the log.
    Reason(&'static str),
    /// The password is right and has expired.
    PasswordExpired,
    /// PAM itself failed.
    Broken(String),
}

/// Where a user logs in from, and by which rules.
pub struct Pam<'a> {
    /// What the configuration says.
    pub settings: &'a AuthSettings,
    /// The client, for `PAM_RHOST`.
    pub client: IpAddr,
}

/// A user whom the stack's `account` modules and the rules of `[auth]` admit.
pub struct Admitted {
    entry: User,
    name: UserName,
    identity: Identity,
}

impl Pam<'_> {
    /// A user whose password is right, by the stack's `auth` modules, and who is admitted.
    ///
    /// # Errors
    /// The reason why not.
    pub fn log_in(&self, user: &UserName, password: &[u8]) -> Result<Admitted, Refusal> {
        if password.is_empty() || password.contains(&0) {
            return Err(Refusal::Reason("wrong-password"));
        }
        let mut transaction = self.start(user, Some(password))?;
        transaction.authenticate().map_err(refusal)?;
        self.judge(transaction)
    }

    /// A user whose password was right a moment ago: what else the stack and the rules say, now.
    ///
    /// # Errors
    /// The reason why not.
    pub fn admit(&self, user: &UserName) -> Result<Admitted, Refusal> {
        self.judge(self.start(user, None)?)
    }

    fn judge(&self, mut transaction: Transaction) -> Result<Admitted, Refusal> {
        transaction.account_management().map_err(refusal)?;
        // The stack may know a user by several names, say with and without capitals. From here on
        // only the name of the user database counts, or a rule for one name would not hold for all.
        let named = transaction.user().map_err(refusal)?;
        let entry = User::from_name(&named)
            .map_err(|e| Refusal::Broken(format!("the user database cannot be read: {e}")))?
            .ok_or(Refusal::Reason("unknown-user"))?;
        let name = UserName::try_from(entry.name.clone())
            .map_err(|e| Refusal::Broken(format!("the user database has a name that is {e}")))?;
        let identity = self.identity(&entry)?;
        if !self.settings.pam_session && !has_home(&entry) {
            return Err(Refusal::Reason("no-home"));
        }
        Ok(Admitted { entry, name, identity })
    }

    /// Begins a session, which may make the home: it must be there afterwards. Modules have to keep
    /// what they need until the end in files, as pam_unix, pam_lastlog and pam_exec do.
    ///
    /// # Errors
    /// When the stack refuses it, or there is no home.
    pub fn open_session(&self, user: &UserName) -> Result<(), Refusal> {
        self.start(user, None)?.open_session().map_err(session_refusal)?;
        match User::from_name(user.as_str()) {
            Ok(Some(entry)) if has_home(&entry) => Ok(()),
            Ok(_) => Err(Refusal::Reason("no-home")),
            Err(e) => Err(Refusal::Broken(format!("the user database cannot be read: {e}"))),
        }
    }

    /// Ends the session that another process has opened, or was about to.
    ///
    /// # Errors
    /// What PAM says.
    pub fn close_session(&self, user: &UserName) -> Result<(), Refusal> {
        self.start(user, None)?.close_session().map_err(session_refusal)
    }

    fn identity(&self, entry: &User) -> Result<Identity, Refusal> {
        let (uid, gid) = (entry.uid.as_raw(), entry.gid.as_raw());
        if uid == 0 || gid == 0 {
            return Err(Refusal::Reason("superuser"));
        }
        if uid < self.settings.minimum_uid {
            return Err(Refusal::Reason("uid-below-minimum"));
        }
        if self.settings.valid_shell && !is_valid_shell(entry) {
            return Err(Refusal::Reason("invalid-shell"));
        }
        let groups = supplementary(entry)
            .map_err(|e| Refusal::Broken(format!("the groups cannot be read: {e}")))?;
        if groups.contains(&0) {
            return Err(Refusal::Reason("superuser-group"));
        }
        let allowed = &self.settings.allow_groups;
        let member = |name: &String| match Group::from_name(name) {
            Ok(Some(group)) => group.gid.as_raw() == gid || groups.contains(&group.gid.as_raw()),
            Ok(None) | Err(_) => false,
        };
        if !allowed.is_empty() && !allowed.iter().any(member) {
            return Err(Refusal::Reason("group-not-allowed"));
        }
        Ok(Identity { uid, gid, groups })
    }

    fn start(&self, user: &UserName, password: Option<&[u8]>) -> Result<Transaction, Refusal> {
        let mut transaction =
            Transaction::start(&self.settings.pam_service, user.as_str(), password)
                .map_err(refusal)?;
        let client = self.client.to_canonical().to_string();
        transaction.set_remote_host(&client).map_err(refusal)?;
        // Modules such as pam_access and pam_time want a terminal; this is what others say.
        transaction.set_terminal("ftp").map_err(refusal)?;
        Ok(transaction)
    }
}

impl Admitted {
    /// His name as the user database writes it.
    pub fn name(&self) -> &UserName {
        &self.name
    }

    /// Somebody of this name, as if a stack had admitted him.
    #[cfg(test)]
    pub fn for_test(name: &str) -> Admitted {
        use nix::unistd::{Gid, Uid};
        let entry = User {
            name: name.to_owned(),
            passwd: CString::default(),
            uid: Uid::from_raw(4000),
            gid: Gid::from_raw(4000),
            gecos: CString::default(),
            dir: "/".into(),
            shell: "/bin/sh".into(),
        };
        let identity = Identity { uid: 4000, gid: 4000, groups: Vec::new() };
        Admitted { entry, name: UserName::try_from(name.to_owned()).unwrap(), identity }
    }

    /// His account.
    pub fn into_account(self, settings: &AuthSettings) -> Account {
        Account {
            name: self.name,
            identity: self.identity,
            root: self.entry.dir,
            start: "/".into(),
            rights: settings.pam_rights,
            upload_rate: None,
            download_rate: None,
            max_sessions: 0,
            tls: None,
            session_reuse: None,
            administrator: false,
            anonymous: false,
        }
    }
}

fn has_home(entry: &User) -> bool {
    entry.dir.is_absolute() && entry.dir.is_dir()
}

fn refusal(error: PamError) -> Refusal {
    use libpam_sys as pam;
    match error.code {
        pam::PAM_USER_UNKNOWN => Refusal::Reason("unknown-user"),
        pam::PAM_AUTH_ERR | pam::PAM_CRED_INSUFFICIENT => Refusal::Reason("wrong-password"),
        pam::PAM_MAXTRIES => Refusal::Reason("locked"),
        pam::PAM_ACCT_EXPIRED => Refusal::Reason("expired"),
        pam::PAM_PERM_DENIED => Refusal::Reason("denied-by-pam"),
        pam::PAM_NEW_AUTHTOK_REQD | pam::PAM_AUTHTOK_EXPIRED | pam::PAM_CRED_EXPIRED => {
            Refusal::PasswordExpired
        }
        // What pam_exec says when its program says no.
        pam::PAM_SYSTEM_ERR => Refusal::Reason("refused-by-pam"),
        pam::PAM_CONV_ERR => Refusal::Reason("pam-asks-more-than-a-password"),
        _ => Refusal::Broken(format!("PAM failed: {error}; its modules say more in syslog")),
    }
}

/// A session is refused by a stack that does not want one, or by a module that fails at it.
fn session_refusal(error: PamError) -> Refusal {
    use libpam_sys as pam;
    match error.code {
        pam::PAM_SESSION_ERR | pam::PAM_PERM_DENIED | pam::PAM_SYSTEM_ERR => {
            Refusal::Reason("session-refused-by-pam")
        }
        _ => Refusal::Broken(format!(
            "PAM failed at the session: {error}; its modules say more in syslog"
        )),
    }
}

/// The supplementary groups, without the primary one.
fn supplementary(entry: &User) -> nix::Result<Vec<u32>> {
    let name = CString::new(entry.name.as_bytes()).map_err(|_| nix::Error::EINVAL)?;
    let all = getgrouplist(&name, entry.gid)?;
    Ok(all.into_iter().filter(|gid| *gid != entry.gid).map(nix::unistd::Gid::as_raw).collect())
}

/// Whether the shell is listed in /etc/shells; an empty one means /bin/sh (passwd(5)).
fn is_valid_shell(entry: &User) -> bool {
    let shell = match entry.shell.as_os_str() {
        empty if empty.is_empty() => OsStr::new("/bin/sh"),
        shell => shell,
    };
    let Ok(shells) = std::fs::read("/etc/shells") else { return false };
    shells.split(|byte| *byte == b'\n').any(|line| line.trim_ascii() == shell.as_bytes())
}
