//! The judgement of one attempt to log in, in the authenticator process.
//!
//! An unknown name costs the same work as a wrong password: it is judged against a stored hash
//! whose result is thrown away, and every reason but success is given only after that work.
#![allow(
    clippy::result_large_err,
    reason = "a verdict is made once in the life of this process; `?` carries the refusals"
)]

use std::{cell::Cell, fs::File, io, net::IpAddr};

use accounts::{
    index::spread,
    last_good, password,
    record::Record,
    second_factor::{self, DIGITS, Judgement},
    store::{SecondFactor, Store},
};
use ipc::{
    account::{Account, TlsDemand},
    authenticator::{Attempt, AuthSettings, Backend, GUESSING, I2ftpAccount, Verdict},
    bounded::{Secret, UserName},
};
use time::OffsetDateTime;

/// Everything an attempt is judged by.
pub struct Circumstances<'a> {
    /// What the configuration says.
    pub settings: &'a AuthSettings,
    /// The account file, opened (or not) before the lockdown; taken by the first who reads it.
    pub account_file: Cell<Option<io::Result<File>>>,
    /// The client's address.
    pub client: IpAddr,
    /// Whether the control connection is TLS.
    pub tls: bool,
    /// Now.
    pub now: OffsetDateTime,
    /// Takes what an administrator has to repair, although the attempt goes on.
    pub warn: &'a dyn Fn(String),
}

/// Judges an attempt, by what was typed for it if the gate has passed anything on.
pub fn judge(
    circumstances: &Circumstances<'_>,
    attempt: &Attempt,
    typed: Option<&Secret>,
) -> Verdict {
    let typed = || typed.ok_or_else(|| broken("nothing was typed for it"));
    let judged = match attempt {
        Attempt::Password { user, client_name } => {
            let judged = typed().and_then(|typed| circumstances.password(user, typed));
            match client_name {
                Some(name) if name.as_slice() != user.as_str().as_bytes() => of_another(judged),
                Some(_) | None => judged,
            }
        }
        Attempt::SecondFactor { user, canonical } => {
            typed().and_then(|code| circumstances.second_factor(user, canonical, code))
        }
        Attempt::OpenSession { user } => circumstances.open_session(user),
        Attempt::CloseSession { user } => circumstances.close_session(user),
        Attempt::I2ftpKnock { psk, key } => circumstances.i2ftp_knock(psk, key),
        Attempt::I2ftpProof { psk, nonce, proof, account } => {
            let right = circumstances.i2ftp_proof(psk, nonce.as_slice(), proof.as_slice());
            right.and_then(|()| circumstances.i2ftp_account(account))
        }
        // It ends before anything is judged.
        Attempt::Rehearsal => Err(refused("rehearsal")),
    };
    judged.unwrap_or_else(|verdict| verdict)
}

fn refused(reason: impl Into<String>) -> Verdict {
    Verdict::Refused { reason: reason.into() }
}

/// The client's certificate names somebody else. Said after all the work of a login, and instead of
/// anything that would tell that the password was right.
fn of_another(judged: Result<Verdict, Verdict>) -> Result<Verdict, Verdict> {
    match judged {
        Err(refused @ (Verdict::Refused { .. } | Verdict::Broken(_))) => Err(refused),
        Ok(_) | Err(_) => Err(refused("certificate-of-another")),
    }
}

/// The second stage of a login is for whoever's password was right in the first one, and for nobody
/// else, whatever the account store has come to know meanwhile.
fn same_user(first: &UserName, now: &UserName) -> Result<(), Verdict> {
    if first == now { Ok(()) } else { Err(refused("another-user")) }
}

fn broken(error: impl std::fmt::Display) -> Verdict {
    Verdict::Broken(error.to_string())
}

#[cfg(feature = "pam")]
fn pam_verdict(refusal: crate::pam::Refusal) -> Verdict {
    match refusal {
        crate::pam::Refusal::Reason(reason) => refused(reason),
        crate::pam::Refusal::PasswordExpired => Verdict::Expired(
            "Your password has expired; change it on the host and log in again.".into(),
        ),
        crate::pam::Refusal::Broken(why) => broken(why),
    }
}

/// The two ways to read what was typed: as the password, or as the password with a code glued
/// behind it.
struct Typed<'a> {
    whole: &'a [u8],
    glued: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> Typed<'a> {
    fn new(whole: &'a [u8]) -> Typed<'a> {
        let glued = whole
            .len()
            .checked_sub(DIGITS)
            .filter(|before| *before > 0)
            .and_then(|before| whole.split_at_checked(before))
            .filter(|(_, code)| code.iter().all(u8::is_ascii_digit));
        Typed { whole, glued }
    }
}

/// Which reading of what was typed is right.
enum Reading<'a> {
    Whole,
    Glued(&'a [u8]),
}

impl Circumstances<'_> {
    fn password(&self, user: &UserName, typed: &Secret) -> Result<Verdict, Verdict> {
        let name = user.as_str();
        let typed = Typed::new(typed.expose());
        let store = self.store(name)?;
        let denied = self.is_denied(name);
        let record = store.accounts.get(name).filter(|_| self.has(Backend::File));
        let factor = store.second_factors.get(name);
        if record.is_none() && self.has(Backend::Pam) && !denied {
            return self.pam_password(user, &typed, &store);
        }
        let stored = record.and_then(|record| record.password.as_deref());
        let hash = stored.unwrap_or_else(|| decoy(&store, name));
        // The gate passes no empty one on; and whoever has taken a gate over gains nothing by an
        // imported account whose password is empty.
        let reading = read(hash, &typed)?.filter(|_| !typed.whole.is_empty());
        // After the work of a login, so that its time does not tell; before what is known of the
        // name, so that the log says why.
        if denied {
            return Err(refused("denied"));
        }
        let Some(record) = record else { return Err(refused("unknown-user")) };
        let reading = reading.ok_or_else(|| refused("wrong-password"))?;
        if stored.is_none() {
            return Err(refused("no-password"));
        }
        let account = self.admit(user, record)?;
        match (factor, reading) {
            (None, Reading::Glued(_)) => Err(refused("wrong-password")),
            (None, Reading::Whole) if record.second_factor => Err(refused("no-second-factor")),
            (None, Reading::Whole) => Ok(Verdict::Granted(account)),
            (Some(_), Reading::Whole) => Ok(Verdict::NeedSecondFactor { canonical: account.name }),
            (Some(factor), Reading::Glued(code)) => {
                self.code(name, factor, code).map(|()| Verdict::Granted(account))
            }
        }
    }

    fn second_factor(
        &self,
        user: &UserName,
        canonical: &UserName,
        code: &Secret,
    ) -> Result<Verdict, Verdict> {
        let name = user.as_str();
        let store = self.store(name)?;
        let Some(record) = store.accounts.get(name).filter(|_| self.has(Backend::File)) else {
            return self.pam_second_factor(user, canonical, code, &store);
        };
        let factor = store.second_factors.get(name).ok_or_else(|| refused("no-second-factor"))?;
        let account = self.admit(user, record)?;
        same_user(canonical, &account.name)?;
        self.code(name, factor, code.expose())?;
        Ok(Verdict::Granted(account))
    }

    fn is_denied(&self, name: &str) -> bool {
        !self.settings.admits(name)
    }

    fn code(&self, name: &str, factor: &SecondFactor, code: &[u8]) -> Result<(), Verdict> {
        let now = self.unix_seconds();
        let directory = &self.settings.state_directory;
        match second_factor::judge(directory, name, factor, code, now).map_err(broken)? {
            Judgement::Right => Ok(()),
            Judgement::Wrong => Err(refused("wrong-code")),
            Judgement::Used => Err(refused("used-code")),
            Judgement::Guessing { wrong, wait } => Err(refused(format!(
                "{GUESSING}: {wrong} wrong codes; codes of this account are judged again in {wait} s"
            ))),
            Judgement::ClockSetBack(seconds) => Err(refused(format!(
                "used-code: the last one was accepted {seconds} s ahead of the clock of this server, \
                 which has been set back; codes are accepted when it gets there, or after a new \
                 `bulkhead user totp`"
            ))),
            Judgement::ClockOff(seconds) => Err(refused(format!(
                "wrong-code: it would be right {} s {} now; compare the clocks of server and user",
                seconds.unsigned_abs(),
                if seconds < 0 { "before" } else { "after" }
            ))),
        }
    }

    /// An account of the account file whose password is right.
    fn admit(&self, user: &UserName, record: &Record) -> Result<Account, Verdict> {
        if let Some(reason) = record.refusal(self.client, self.now) {
            return Err(refused(reason));
        }
        if !self.tls && record.tls.is_some_and(|word| word.0 != TlsDemand::None) {
            return Err(Verdict::TlsDemanded);
        }
        record.account(user).map_err(|e| refused(format!("unusable-account: {e}")))
    }

    #[cfg(feature = "pam")]
    fn pam(&self) -> crate::pam::Pam<'_> {
        crate::pam::Pam { settings: self.settings, client: self.client }
    }

    /// A PAM user. A code glued behind is told by being right, so that PAM is asked once and counts
    /// one failure at most.
    #[cfg(feature = "pam")]
    fn pam_password(
        &self,
        user: &UserName,
        typed: &Typed<'_>,
        store: &Store,
    ) -> Result<Verdict, Verdict> {
        let (now, directory) = (self.unix_seconds(), &self.settings.state_directory);
        let glued = match (store.second_factors.get(user.as_str()), typed.glued) {
            (Some(factor), Some((before, code)))
                if second_factor::is_right(directory, user.as_str(), factor, code, now)
                    .map_err(broken)? =>
            {
                Some((before, code))
            }
            (Some(_) | None, Some(_) | None) => None,
        };
        let password = glued.map_or(typed.whole, |(before, _)| before);
        let admitted = self.pam().log_in(user, password).map_err(pam_verdict)?;
        let store = &self.with_name_of(store, user, &admitted)?;
        match (self.pam_factor(user, &admitted, store)?, glued) {
            (None, _) => Ok(self.grant(admitted)),
            (Some(_), None) => Ok(Verdict::NeedSecondFactor { canonical: admitted.name().clone() }),
            (Some((name, factor)), Some((_, code))) => {
                self.code(&name, factor, code)?;
                Ok(self.grant(admitted))
            }
        }
    }

    #[cfg(feature = "pam")]
    fn pam_second_factor(
        &self,
        user: &UserName,
        canonical: &UserName,
        code: &Secret,
        store: &Store,
    ) -> Result<Verdict, Verdict> {
        if !self.has(Backend::Pam) {
            return Err(refused("unknown-user"));
        }
        // By the name that the first stage has come to: a module may map names only while it
        // authenticates, and then the typed one is somebody else here.
        let admitted = self.pam().admit(canonical).map_err(pam_verdict)?;
        same_user(canonical, admitted.name())?;
        let store = &self.with_name_of(store, user, &admitted)?;
        let factor = self.pam_factor(user, &admitted, store)?;
        let (name, factor) = factor.ok_or_else(|| refused("no-second-factor"))?;
        self.code(&name, factor, code.expose())?;
        Ok(self.grant(admitted))
    }

    /// What the account file says of the typed name and of that of the user database.
    #[cfg(feature = "pam")]
    fn with_name_of(
        &self,
        store: &Store,
        user: &UserName,
        admitted: &super::pam::Admitted,
    ) -> Result<Store, Verdict> {
        let mut both = store.clone();
        if admitted.name() != user {
            let other = self.store(admitted.name().as_str())?;
            both.accounts.extend(other.accounts);
            both.second_factors.extend(other.second_factors);
        }
        Ok(both)
    }

    /// The second factor of a PAM user, by the name of the user database first. Whoever is known by
    /// several names must not get past `deny_users`, a second factor or an account of the account
    /// file by choosing another one.
    #[cfg(feature = "pam")]
    fn pam_factor<'a>(
        &self,
        user: &UserName,
        admitted: &crate::pam::Admitted,
        store: &'a Store,
    ) -> Result<Option<(String, &'a SecondFactor)>, Verdict> {
        let name = admitted.name().as_str();
        if self.is_denied(name) {
            return Err(refused("denied"));
        }
        if self.has(Backend::File) && store.accounts.contains_key(name) {
            return Err(refused("known-by-another-name"));
        }
        let factor = |name: &str| Some((name.to_owned(), store.second_factors.get(name)?));
        Ok(factor(name).or_else(|| factor(user.as_str())))
    }

    #[cfg(feature = "pam")]
    fn grant(&self, admitted: crate::pam::Admitted) -> Verdict {
        let account = admitted.into_account(self.settings);
        match self.settings.pam_session {
            true => Verdict::GrantedInSession(account),
            false => Verdict::Granted(account),
        }
    }

    #[cfg(feature = "pam")]
    fn open_session(&self, user: &UserName) -> Result<Verdict, Verdict> {
        self.pam().open_session(user).map(|()| Verdict::SessionOpened).map_err(pam_verdict)
    }

    #[cfg(feature = "pam")]
    fn close_session(&self, user: &UserName) -> Result<Verdict, Verdict> {
        self.pam().close_session(user).map(|()| Verdict::SessionClosed).map_err(pam_verdict)
    }

    #[cfg(not(feature = "pam"))]
    fn pam_password(
        &self,
        _user: &UserName,
        _typed: &Typed<'_>,
        _store: &Store,
    ) -> Result<Verdict, Verdict> {
        Err(broken("this build of bulkhead has no PAM; take \"pam\" out of [auth] backends"))
    }

    #[cfg(not(feature = "pam"))]
    fn pam_second_factor(
        &self,
        _user: &UserName,
        _canonical: &UserName,
        _code: &Secret,
        _store: &Store,
    ) -> Result<Verdict, Verdict> {
        Err(refused("unknown-user"))
    }

    #[cfg(not(feature = "pam"))]
    fn open_session(&self, _user: &UserName) -> Result<Verdict, Verdict> {
        Err(broken("this build of bulkhead has no PAM, and so no session to open"))
    }

    #[cfg(not(feature = "pam"))]
    fn close_session(&self, _user: &UserName) -> Result<Verdict, Verdict> {
        Err(broken("this build of bulkhead has no PAM, and so no session to close"))
    }

    fn i2ftp_knock(&self, psk: &Secret, key: &[u8; 16]) -> Result<Verdict, Verdict> {
        let psk = i2ftp::Psk::new(psk.expose());
        let right = i2ftp::dynkey::knock_is_right(&psk, key, self.unix_time());
        if right { Ok(Verdict::I2ftpRight) } else { Err(refused("wrong-i2ftp-key")) }
    }

    /// The account that a right proof is for. Only here is the account file read for it, with the
    /// hashes and secrets in it.
    fn i2ftp_account(&self, account: &I2ftpAccount) -> Result<Verdict, Verdict> {
        let store = match &account.account {
            Some(name) => self.store(name)?,
            None => Store::default(),
        };
        accounts::of_i2ftp(account, store).map(Verdict::Granted).map_err(broken)
    }

    fn i2ftp_proof(&self, psk: &Secret, nonce: &[u8], proof: &[u8]) -> Result<(), Verdict> {
        let (Ok(nonce), Ok(proof)) = (nonce.try_into(), proof.try_into()) else {
            return Err(refused("malformed-i2ftp-proof"));
        };
        let psk = i2ftp::Psk::new(psk.expose());
        let right = i2ftp::dynkey::proof_is_right(&psk, nonce, proof, self.unix_time());
        if right { Ok(()) } else { Err(refused("wrong-i2ftp-proof")) }
    }

    #[expect(clippy::cast_precision_loss, reason = "the protocol counts time in doubles")]
    fn unix_time(&self) -> f64 {
        self.now.unix_timestamp_nanos() as f64 / 1e9
    }

    fn unix_seconds(&self) -> u64 {
        u64::try_from(self.now.unix_timestamp()).unwrap_or(0)
    }

    fn has(&self, backend: Backend) -> bool {
        self.settings.backends.contains(&backend)
    }

    /// What the account file says of a name. One that is not there yet is an empty one: with PAM there
    /// need be none.
    fn store(&self, name: &str) -> Result<Store, Verdict> {
        let AuthSettings { users_file, state_directory, .. } = self.settings;
        let opened = self.account_file.take().unwrap_or_else(|| File::open(users_file));
        let (store, warning) =
            last_good::load_one(users_file, opened, state_directory, name).map_err(broken)?;
        if let Some(warning) = warning {
            (self.warn)(warning);
        }
        Ok(store)
    }
}

/// Which reading of what was typed the hash accepts. A code glued behind doubles the work, for
/// every name alike.
fn read<'a>(hash: &str, typed: &Typed<'a>) -> Result<Option<Reading<'a>>, Verdict> {
    let whole = password::verify(hash, typed.whole).map_err(broken)?;
    let glued = match typed.glued {
        Some((before, code)) => {
            Some(code).filter(|_| password::verify(hash, before).unwrap_or(false))
        }
        None => None,
    };
    Ok(if whole { Some(Reading::Whole) } else { glued.map(Reading::Glued) })
}

/// The hash an unknown name is judged against: one of the stored ones, always the same for the same
/// name, so that the times of unknown names are spread like those of known ones, whatever formats
/// an import has brought.
fn decoy<'a>(store: &'a Store, name: &str) -> &'a str {
    let hashes: Vec<&str> =
        store.accounts.values().filter_map(|record| record.password.as_deref()).collect();
    let index = spread(name).checked_rem(hashes.len() as u64);
    let hash = index.and_then(|index| hashes.get(usize::try_from(index).ok()?));
    hash.copied().unwrap_or(password::DUMMY)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That it is as much work is what `cargo xtask bench logins` measures.
    #[test]
    fn an_unknown_name_is_judged_against_a_stored_hash_and_always_the_same() {
        let mut store = Store::default();
        assert_eq!(decoy(&store, "anybody"), password::DUMMY);
        for name in ["a", "b", "c"] {
            let password = Some(format!("hash of {name}"));
            store.accounts.insert(name.to_owned(), Record { password, ..Record::default() });
        }
        store.accounts.insert("without".to_owned(), Record::default());
        let of = |name: &str| decoy(&store, name).to_owned();
        let all: std::collections::BTreeSet<String> = (0..50).map(|i| of(&i.to_string())).collect();
        assert_eq!(all.len(), 3, "every stored hash is some stranger's");
        assert_eq!(of("stranger"), of("stranger"));
    }

    #[test]
    fn b9_the_second_stage_is_for_whoevers_password_was_right() {
        let name = |name: &str| UserName::try_from(name.to_owned()).unwrap();
        assert_eq!(same_user(&name("sha"), &name("sha")), Ok(()));
        assert_eq!(same_user(&name("sha"), &name("SHA")), Err(refused("another-user")));
    }

    /// A directory may know `sha` as `SHA`, too; what holds for the one must hold for the other.
    #[test]
    #[cfg(feature = "pam")]
    fn another_name_for_a_system_user_gets_past_nothing() {
        let settings = AuthSettings {
            backends: vec![Backend::File, Backend::Pam],
            users_file: "/x".into(),
            state_directory: "/x".into(),
            pam_service: "x".into(),
            allow_groups: Vec::new(),
            allow_users: Vec::new(),
            deny_users: vec!["denied".into()],
            minimum_uid: 1000,
            valid_shell: false,
            pam_session: false,
            pam_rights: ipc::account::Rights::READ_ONLY,
        };
        let circumstances = Circumstances {
            account_file: Cell::new(None),
            settings: &settings,
            client: std::net::Ipv4Addr::LOCALHOST.into(),
            tls: false,
            now: OffsetDateTime::UNIX_EPOCH,
            warn: &|_| (),
        };
        let mut store = Store::default();
        store.accounts.insert("infile".to_owned(), Record::default());
        store.second_factors.insert("sha".to_owned(), SecondFactor::default());
        let of = |typed: &str, name: &str| {
            let typed = UserName::try_from(typed.to_owned()).unwrap();
            let admitted = crate::pam::Admitted::for_test(name);
            circumstances.pam_factor(&typed, &admitted, &store).map(|f| f.map(|(name, _)| name))
        };
        assert_eq!(of("SHA", "sha"), Ok(Some("sha".to_owned())));
        assert_eq!(of("sha", "sha"), Ok(Some("sha".to_owned())));
        assert_eq!(of("yes", "yes"), Ok(None));
        assert_eq!(of("DENIED", "denied"), Err(refused("denied")));
        assert_eq!(of("INFILE", "infile"), Err(refused("known-by-another-name")));
    }
}
