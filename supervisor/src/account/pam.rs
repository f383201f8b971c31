//! System users through PAM: the stack decides about the password, this module about the rest.
//!
//! Runs in the authenticator alone. PAM's modules are foreign code; the authenticator's policy
//! holds them, and the supervisor ends an attempt that takes too long. Whatever a module asks that
//! is not the password fails: FTP has no words for it. A PAM session is not opened, because it would
//! have to be closed by a privileged process that outlives the attempt.

use std::{
    ffi::{CString, OsStr, OsString},
    net::IpAddr,
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use ipc::{
    account::{Account, Identity},
    authenticator::AuthSettings,
    bounded::UserName,
};
use nix::unistd::{Group, User, getgrouplist};
use nonstick::{
    AuthnFlags, ConversationAdapter, ErrorCode, LibPamTransaction, PamShared, Result as PamResult,
    Transaction, TransactionBuilder, items::ItemsMut,
};
use zeroize::Zeroize;

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

impl Pam<'_> {
    /// Whether the password is right, by the stack's `auth` modules.
    ///
    /// # Errors
    /// The reason why not.
    pub fn password(&self, user: &UserName, password: &[u8]) -> Result<(), Refusal> {
        if password.is_empty() || password.contains(&0) {
            return Err(Refusal::Reason("wrong-password"));
        }
        let mut transaction = self.start(user, password)?;
        let flags = AuthnFlags::DISALLOW_NULL_AUTHTOK | AuthnFlags::SILENT;
        transaction.authenticate(flags).map_err(refusal)
    }

    /// The account of a user whose password is right, if the stack's `account` modules and the
    /// rules of `[auth]` admit him.
    ///
    /// # Errors
    /// The reason why not.
    pub fn account(&self, user: &UserName) -> Result<Account, Refusal> {
        let mut transaction = self.start(user, &[])?;
        transaction.account_management(AuthnFlags::SILENT).map_err(refusal)?;
        let entry = User::from_name(user.as_str())
            .map_err(|e| Refusal::Broken(format!("the user database cannot be read: {e}")))?
            .ok_or(Refusal::Reason("unknown-user"))?;
        let identity = self.identity(&entry)?;
        if !entry.dir.is_absolute() || !entry.dir.is_dir() {
            return Err(Refusal::Reason("no-home"));
        }
        Ok(Account {
            name: user.clone(),
            identity,
            root: entry.dir,
            start: "/".into(),
            rights: self.settings.pam_rights,
            upload_rate: None,
            download_rate: None,
            max_sessions: 0,
            tls: None,
            administrator: false,
            anonymous: false,
        })
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

    fn start(
        &self,
        user: &UserName,
        password: &[u8],
    ) -> Result<LibPamTransaction<impl nonstick::Conversation + use<>>, Refusal> {
        let answers = Answers(password.to_vec());
        let mut transaction = TransactionBuilder::new_with_service(&self.settings.pam_service)
            .username(user.as_str())
            .build(answers.into_conversation())
            .map_err(refusal)?;
        {
            let mut items = transaction.items_mut();
            let client = self.client.to_canonical().to_string();
            items.set_remote_host(Some(OsStr::new(&client))).map_err(refusal)?;
            // Modules such as pam_access and pam_time want a terminal; this is what others say.
            items.set_tty_name(Some(OsStr::new("ftp"))).map_err(refusal)?;
        }
        Ok(transaction)
    }
}

/// Answers the one question FTP can answer.
struct Answers(Vec<u8>);

impl ConversationAdapter for Answers {
    fn prompt(&self, _request: impl AsRef<OsStr>) -> PamResult<OsString> {
        Err(ErrorCode::ConversationError)
    }

    fn masked_prompt(&self, _request: impl AsRef<OsStr>) -> PamResult<OsString> {
        Ok(OsString::from_vec(self.0.clone()))
    }

    fn error_msg(&self, _message: impl AsRef<OsStr>) {}

    fn info_msg(&self, _message: impl AsRef<OsStr>) {}
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

fn refusal(error: ErrorCode) -> Refusal {
    match error {
        ErrorCode::UserUnknown => Refusal::Reason("unknown-user"),
        ErrorCode::AuthenticationError | ErrorCode::CredentialsInsufficient => {
            Refusal::Reason("wrong-password")
        }
        ErrorCode::MaxTries => Refusal::Reason("locked"),
        ErrorCode::AccountExpired => Refusal::Reason("expired"),
        ErrorCode::PermissionDenied => Refusal::Reason("denied-by-pam"),
        ErrorCode::NewAuthTokRequired
        | ErrorCode::AuthTokExpired
        | ErrorCode::CredentialsExpired => Refusal::PasswordExpired,
        // What pam_exec says when its program says no.
        ErrorCode::SystemError => Refusal::Reason("refused-by-pam"),
        ErrorCode::ConversationError => Refusal::Reason("pam-asks-more-than-a-password"),
        other => Refusal::Broken(format!("PAM failed: {other}; its modules say more in syslog")),
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
