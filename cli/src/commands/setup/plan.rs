//! What the wizard writes, shown before it is written.

use std::{
    fmt, fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use accounts::{judge_root, owner_to_write, password::random, settle, store::Store};
use config::Config;
use ipc::account::TlsDemand;
use nix::unistd::{Uid, User};
use rustix::fs::OFlags;

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
        if self.root.exists() && !self.root.is_dir() {
            return Err(format!("{} is there and no directory", self.root.display()).into());
        }
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
    /// went before has an effect. What is made is gone again unless the caller keeps it.
    ///
    /// # Errors
    /// What cannot be written; then nothing is.
    pub fn write(&self, overwrite: bool) -> Result<Made, Failure> {
        let failed = |path: &Path, e: std::io::Error| {
            format!("{} cannot be made: {e}; nothing was written", path.display())
        };
        let mut made = Made::default();
        if !self.root.exists() {
            made.directory(&self.root, 0o755).map_err(|e| failed(&self.root, e))?;
            if let Some((uid, gid)) = self.owner {
                give(&self.root, uid, gid).map_err(|e| failed(&self.root, e))?;
            }
        }
        let directory = self.file.parent().unwrap_or(Path::new("/"));
        made.directory(directory, 0o755).map_err(|e| failed(directory, e))?;
        if let Some((directory, names)) = &self.certificate {
            made.directory(directory, 0o700).map_err(|e| failed(directory, e))?;
            let there = ["certificate.pem", "private_key.pem"].map(|name| directory.join(name));
            for file in there.iter().filter(|file| file.exists()) {
                made.aside(file).map_err(|e| failed(file, e))?;
            }
            made.files.extend(there);
            certificate::create(directory, names)?;
        }
        if overwrite && self.file.exists() {
            made.aside(&self.file).map_err(|e| failed(&self.file, e))?;
        }
        made.files.push(self.file.clone());
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(&self.file)
            .map_err(|e| failed(&self.file, e))?;
        file.write_all(self.text.as_bytes())?;
        file.sync_all()?;
        Ok(made)
    }

    /// That there is no account of the first one's name yet, in the account file that the new
    /// configuration names.
    ///
    /// # Errors
    /// When there is one, or the file cannot be read.
    pub fn judge_account(&self) -> Result<(), Failure> {
        let Some(name) = &self.account else { return Ok(()) };
        let config = Config::parse(&self.file, &self.text)?;
        let users = &config.auth.users_file;
        if Store::load_or_empty(users)?.accounts.contains_key(name) {
            return Err(format!(
                "{} has an account {name} already; give --account with another name, or with none",
                users.display()
            )
            .into());
        }
        Ok(())
    }

    /// The first account, as `bulkhead user add` would make it.
    pub fn first_account(&self, account: &FirstAccount) -> Add {
        let mut add = Add::new(account.name.clone(), self.root.clone());
        add.fields.uid = self.owner.map(|(uid, _)| uid);
        add.fields.gid = self.owner.map(|(_, gid)| gid);
        add.fields.read_only = Some(self.read_only);
        add.totp = account.totp;
        add
    }
}

/// What was made so far: it is taken away again when this is dropped, unless it is kept.
#[derive(Debug, Default)]
pub struct Made {
    directories: Vec<PathBuf>,
    files: Vec<PathBuf>,
    /// Files that were there, and their names meanwhile.
    aside: Vec<(PathBuf, PathBuf)>,
}

impl Made {
    /// Makes a directory and those above it that are not there.
    fn directory(&mut self, directory: &Path, mode: u32) -> std::io::Result<()> {
        let missing: Vec<PathBuf> = directory
            .ancestors()
            .take_while(|ancestor| !ancestor.exists())
            .map(Path::to_owned)
            .collect();
        for directory in missing.into_iter().rev() {
            fs::DirBuilder::new().mode(mode).create(&directory)?;
            self.directories.push(directory);
        }
        Ok(())
    }

    /// Renames a file that is there to a name with `.old` behind it.
    fn aside(&mut self, file: &Path) -> std::io::Result<()> {
        let mut kept = file.as_os_str().to_owned();
        kept.push(".old");
        fs::rename(file, &kept)?;
        self.aside.push((file.to_owned(), kept.into()));
        Ok(())
    }

    /// Leaves everything as it is.
    pub fn keep(mut self) {
        self.directories.clear();
        self.files.clear();
        self.aside.clear();
    }
}

impl Drop for Made {
    /// What cannot be taken away stays; there is nobody to tell but whoever looks.
    fn drop(&mut self) {
        for file in &self.files {
            fs::remove_file(file).unwrap_or_default();
        }
        for (file, kept) in self.aside.iter().rev() {
            fs::rename(kept, file).unwrap_or_default();
        }
        for directory in self.directories.iter().rev() {
            fs::remove_dir(directory).unwrap_or_default();
        }
    }
}

/// Gives a directory that was just made to somebody: the directory itself, whatever its path leads to
/// by then.
fn give(directory: &Path, uid: u32, gid: u32) -> std::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, rustix::fs::Mode::empty())?;
    Ok(rustix::fs::fchown(
        &opened,
        Some(rustix::fs::Uid::from_raw(uid)),
        Some(rustix::fs::Gid::from_raw(gid)),
    )?)
}

/// The uid of nobody, the same on every Linux.
const NOBODY: u32 = 65_534;

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
    if identity.0 == NOBODY {
        return Err(format!(
            "{owner} is whom daemons without a user of their own run as: they would reach the files; \
             make a user (useradd --system bulkhead-files) and name that one"
        )
        .into());
    }
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
