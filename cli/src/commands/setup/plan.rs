//! What the wizard writes, shown before it is written.

use std::{
    fmt, fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown},
    path::{Path, PathBuf},
};

use accounts::{judge_root, owner_to_write, password::random, settle};
use config::Config;
use ipc::account::TlsDemand;
use nix::unistd::{Uid, User};

use super::{Answers, Failure, FirstAccount, Tls};
use crate::{
    certificate,
    commands::{DEFAULT_CONFIGURATION, user::Add},
};

/// Everything that will be written.
pub struct Plan {
    file: PathBuf,
    text: String,
    root: PathBuf,
    /// Uid and gid of a root that has to be made, or of the account.
    owner: Option<(u32, u32)>,
    certificate: Option<(PathBuf, Vec<String>)>,
    account: Option<String>,
    read_only: bool,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.root.exists() {
            writeln!(f, "directory {}", self.root.display())?;
        }
        if let Some((directory, names)) = &self.certificate {
            let directory = directory.display();
            writeln!(f, "{directory}/certificate.pem, self-signed, for {}", names.join(", "))?;
            writeln!(f, "{directory}/private_key.pem, readable by its owner alone")?;
        }
        if let Some(account) = &self.account {
            writeln!(f, "account {account}")?;
        }
        writeln!(f, "{}:", self.file.display())?;
        for line in self.text.lines() {
            // The key of I2FTP is a secret that does not belong on a screen.
            let line = if line.starts_with("key_hex") { "key_hex = (a new key)" } else { line };
            writeln!(f, "    {line}")?;
        }
        Ok(())
    }
}

impl Plan {
    /// Makes the plan, and sees that its configuration would load.
    ///
    /// # Errors
    /// When a user does not exist, or the answers make a configuration that cannot work.
    pub fn make(file: &Path, answers: &Answers) -> Result<Plan, Failure> {
        let directory = file.parent().unwrap_or(Path::new("/")).to_owned();
        let certificate = match &answers.tls {
            Tls::Generate(names) => Some((directory.join("tls"), names.clone())),
            Tls::Own(..) | Tls::None => None,
        };
        let owner = answers.account.as_ref().and_then(|account| account.owner.as_deref());
        let plan = Plan {
            file: file.to_owned(),
            text: configuration(file, answers)?,
            root: PathBuf::from(&answers.root),
            owner: owner.map(identity).transpose()?,
            certificate,
            account: answers.account.as_ref().map(|account| account.name.clone()),
            read_only: answers.read_only,
        };
        Config::parse(file, &plan.text)?;
        plan.judge_owner()?;
        Ok(plan)
    }

    /// Sees that the account has an owner that is not root, before anything is written.
    fn judge_owner(&self) -> Result<(), Failure> {
        judge_root(&settle(&self.root).map_or_else(|_| self.root.clone(), |found| found.path))?;
        if self.account.is_none() || self.owner.is_some() {
            return Ok(());
        }
        if self.root.exists() {
            return Ok(owner_to_write(&settle(&self.root)?).map(drop)?);
        }
        if nix::unistd::geteuid().is_root() {
            return Err(
                "the new directory needs an owner that is not root; give --owner USER".into()
            );
        }
        Ok(())
    }

    /// Writes everything but the account. The configuration comes last: without it nothing that
    /// went before has an effect.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn write(&self, overwrite: bool) -> Result<(), Failure> {
        let failed = |path: &Path, e: std::io::Error| {
            format!("{} cannot be made: {e}; what was made before is left as it is", path.display())
        };
        if !self.root.exists() {
            fs::create_dir_all(&self.root).map_err(|e| failed(&self.root, e))?;
            if let Some((uid, gid)) = self.owner {
                chown(&self.root, Some(uid), Some(gid)).map_err(|e| failed(&self.root, e))?;
            }
        }
        let directory = self.file.parent().unwrap_or(Path::new("/"));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(directory)
            .map_err(|e| failed(directory, e))?;
        if let Some((directory, names)) = &self.certificate {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(|e| failed(directory, e))?;
            certificate::create(directory, names)?;
        }
        if overwrite && self.file.exists() {
            let mut kept = self.file.clone().into_os_string();
            kept.push(".old");
            fs::rename(&self.file, &kept).map_err(|e| failed(Path::new(&kept), e))?;
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(&self.file)
            .map_err(|e| failed(&self.file, e))?;
        file.write_all(self.text.as_bytes())?;
        Ok(file.sync_all()?)
    }

    /// The first account, as `bulkhead user add` would make it.
    pub fn first_account(&self, account: &FirstAccount) -> Add {
        let mut add = Add::new(account.name.clone(), self.root.clone());
        add.uid = self.owner.map(|(uid, _)| uid);
        add.gid = self.owner.map(|(_, gid)| gid);
        add.read_only = self.read_only;
        add.totp = account.totp;
        add
    }
}

/// Uid and gid of a system user, by name or uid.
///
/// # Errors
/// When there is none, or it is root.
pub fn identity(owner: &str) -> Result<(u32, u32), Failure> {
    let identity = match owner.parse::<u32>() {
        Ok(uid) => {
            let gid = User::from_uid(Uid::from_raw(uid))?.map_or(uid, |user| user.gid.as_raw());
            (uid, gid)
        }
        Err(_) => {
            let user = User::from_name(owner)?.ok_or_else(|| {
                format!("there is no system user {owner:?}; make one, or name another")
            })?;
            (user.uid.as_raw(), user.gid.as_raw())
        }
    };
    if identity.0 == 0 || identity.1 == 0 {
        return Err(format!("{owner} has uid or gid 0, which no account may have").into());
    }
    Ok(identity)
}

fn configuration(file: &Path, answers: &Answers) -> Result<String, Failure> {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let addresses: Vec<String> =
        answers.addresses.iter().map(|address| quoted(&address.to_string())).collect();
    let mut text = format!(
        "# Written by `bulkhead setup`. `bulkhead check --keys` explains every key there is.\n\n\
         listen_address = [{}]\nlisten_port = {}\n",
        addresses.join(", "),
        answers.port
    );
    if file != Path::new(DEFAULT_CONFIGURATION) {
        // Beside the configuration, so that servers with files of their own do not meet.
        text.push_str("control_socket = \"control.sock\"\nstate_directory = \"state\"\n");
    }
    text.push_str("\n[auth]\nbackends = [\"file\"]\nusers_file = \"users.toml\"\n");
    let pair = match &answers.tls {
        Tls::Generate(_) => Some(("tls/certificate.pem".into(), "tls/private_key.pem".into())),
        Tls::Own(certificate, key) => {
            let absolute = |path: &str| -> Result<String, Failure> {
                Ok(std::path::absolute(path)?.display().to_string())
            };
            Some((absolute(certificate)?, absolute(key)?))
        }
        Tls::None => None,
    };
    if let Some((certificate, key)) = &pair {
        text.push_str(&format!(
            "\n[tls]\ncertificate = {}\nprivate_key = {}\nrequire = {}\n",
            quoted(certificate),
            quoted(key),
            quoted(answers.require.word())
        ));
    }
    if answers.i2ftp {
        text.push_str(&i2ftp(answers, pair.is_some())?);
    }
    text.push_str(&format!("\n[log]\nlevel = {}\n", quoted(answers.log_level.name())));
    Ok(text)
}

fn i2ftp(answers: &Answers, tls: bool) -> Result<String, Failure> {
    let key: String = random::<32>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut text = format!("\n[i2ftp]\nenabled = true\nkey_hex = \"{key}\"\n");
    match &answers.account {
        Some(account) => {
            text.push_str(&format!("account = {}\n", toml::Value::String(account.name.clone())));
        }
        None => text.push_str(&format!("root = {}\n", toml::Value::String(answers.root.clone()))),
    }
    if answers.read_only {
        text.push_str("read_only = true\n");
    }
    if tls {
        text.push_str("tls_port = 26843\n");
        if answers.require != TlsDemand::None {
            text.push_str("plain = false\n");
        }
    }
    Ok(text)
}
