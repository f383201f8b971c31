//! `bulkhead try [DIR]`: serves a directory on the loopback interface with a made-up account, for
//! anybody, root or not. Everything it makes is in a scratch directory that goes with it.

use std::{
    fs,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use accounts::{
    password,
    record::Record,
    store::{Store, StoreError},
};
use clap::Args;
use config::{Config, I2ftp};
use ipc::{bounded::Secret, gate::Service};
use supervisor::listen::Listener;
use supervisor::log;
use supervisor::serve;

use super::{Failure, certificate};
use crate::write_access::WriteAccess;

/// Name of the made-up account.
const ACCOUNT: &str = "try";
/// The uid of the made-up account when root serves a directory of root, which Bulkhead never does
/// as root. Of the same reserved range as the stand-ins of `[identities]`.
const STAND_IN_ACCOUNT: u32 = 65524;
/// The newest version of I2FTP with which its client works as it is installed, and the release of
/// the client's transport that speaks it.
const TRY_WIRE_VERSION: &str = "2.1";
const TRY_TRANSPORT: &str = "1.13.14";
/// Letters and digits that nobody confuses when typing them.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Serve a directory on 127.0.0.1 with a made-up account.
#[derive(Args)]
pub struct Try {
    /// The directory to serve (the current one when left out).
    directory: Option<PathBuf>,
    /// Port of the control connection; 0 = any free one.
    #[arg(long, default_value_t = 2121)]
    port: u16,
    /// Allow nothing that changes anything.
    #[arg(long)]
    read_only: bool,
    /// Make no certificate and serve without TLS.
    #[arg(long)]
    no_tls: bool,
    /// Serve I2FTP as well, with a made-up key; 0 = any free port.
    #[arg(
        long,
        value_name = "PORT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "26842"
    )]
    i2ftp: Option<u16>,
    /// Show the log on standard error.
    #[arg(long)]
    log: bool,
}

/// Runs the command until it is interrupted.
///
/// # Errors
/// What cannot be served, and what to do instead.
pub fn run(options: &Try) -> Result<ExitCode, Failure> {
    let named = options.directory.as_deref().unwrap_or(Path::new("."));
    let directory = fs::canonicalize(named)
        .map_err(|e| format!("{} cannot be served: {e}; name a directory", named.display()))?;
    if !directory.is_dir() {
        return Err(format!("{} is a file; name a directory", directory.display()).into());
    }
    let scratch = tempfile::Builder::new().prefix("bulkhead-try-").tempdir()?;
    let mut config = Config::default_for_try(scratch.path())?;
    config.listen_addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    config.listen_port = options.port;
    let (record, notes, _write_access) = account(&directory, options.read_only)?;
    let typed = random_password()?;
    let record = Record { password: Some(password::hash(typed.as_bytes())?), ..record };
    Store::edit(&config.auth.users_file, |store| {
        store.accounts.insert(ACCOUNT.into(), record);
        Ok::<(), StoreError>(())
    })?;
    let certificate = if options.no_tls {
        None
    } else {
        let (tls, said) = certificate::in_a_child(scratch.path(), &["127.0.0.1", "localhost"])?;
        config.tls = Some(tls);
        Some((scratch.path().join(crate::certificate::CERTIFICATE), said))
    };
    let i2ftp_key = match options.i2ftp {
        Some(port) => {
            let (i2ftp, digits) = i2ftp(port)?;
            config.i2ftp = Some(i2ftp);
            Some(digits)
        }
        None => None,
    };
    log::start(log::Format::Text, if options.log { "info" } else { "error" }, None)?;
    let ready = move |listeners: &[Listener], layers: &[String]| {
        let guide = Guide { directory, password: typed, notes, certificate, i2ftp_key };
        // Nobody who closed the terminal misses the text.
        drop(guide.write(&mut io::stdout().lock(), listeners, layers));
    };
    let hooks = serve::Hooks { ready: Some(Box::new(ready)), ..serve::Hooks::default() };
    Ok(serve::run(config, hooks))
}

/// The made-up account, what to say about it, and write access that ends with the server.
fn account(
    directory: &Path,
    read_only: bool,
) -> Result<(Record, Vec<String>, Option<WriteAccess>), Failure> {
    let mut record = Record { root: directory.to_owned(), read_only, ..Record::default() };
    let owner = fs::metadata(directory)?;
    if !nix::unistd::geteuid().is_root() || owner.uid() != 0 {
        if owner.uid() != 0 && owner.gid() != 0 {
            (record.uid, record.gid) = (Some(owner.uid()), Some(owner.gid()));
        }
        return Ok((record, Vec::new(), None));
    }
    record.uid = Some(STAND_IN_ACCOUNT);
    record.gid = Some(STAND_IN_ACCOUNT);
    let mut notes = vec![format!(
        "The directory belongs to root. Nothing is ever served as root, so the account has the \
         spare uid {STAND_IN_ACCOUNT}, and what it uploads belongs to that uid."
    )];
    // Ancestors keep their modes: a root inside somebody's private directory is not opened up.
    if let Some(closed) = directory.ancestors().skip(1).find(|ancestor| !open_to_all(ancestor)) {
        return Err(format!(
            "{} is closed to everybody but its owner, so no account can reach {}; serve a directory \
             elsewhere, for instance beneath /srv or /tmp",
            closed.display(),
            directory.display()
        )
        .into());
    }
    // System directories hang directly below `/`; their permissions are nobody's to try things on.
    let is_system = directory.ancestors().count() <= 2;
    let access = if read_only || is_system {
        None
    } else {
        match WriteAccess::grant(directory, STAND_IN_ACCOUNT) {
            Ok(access) => Some(access),
            Err(e) => {
                notes.push(format!("Uploads will be refused: no ACL can be set there ({e})."));
                None
            }
        }
    };
    match &access {
        Some(_) => notes.push(
            "An ACL lets that uid write into the directory as long as this server runs.".into(),
        ),
        None if is_system => {
            notes.push("Uploads will be refused: this is a system directory.".into())
        }
        None => {}
    }
    Ok((record, notes, access))
}

/// I2FTP for the made-up account, and its key in hexadecimal digits.
fn i2ftp(port: u16) -> Result<(I2ftp, String), Failure> {
    let key = password::random::<32>()?;
    let digits = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let i2ftp = I2ftp {
        listen_port: Some(port),
        tls_port: None,
        wire_version: TRY_WIRE_VERSION.into(),
        key: Secret::try_from(key.to_vec())?,
        root: None,
        account: Some(ACCOUNT.into()),
        read_only: false,
        secured: false,
        pulf_hash: false,
        max_unauthenticated: 0,
        max_unauthenticated_per_ip: 0,
        allow_pctl: false,
    };
    Ok((i2ftp, digits))
}

fn open_to_all(directory: &Path) -> bool {
    fs::metadata(directory).is_ok_and(|metadata| metadata.mode() & 0o001 != 0)
}

fn random_password() -> io::Result<String> {
    let random = password::random::<16>()?;
    let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or(b'x');
    Ok(random.iter().map(letter).map(char::from).collect())
}

/// What is printed once the server accepts clients.
struct Guide {
    directory: PathBuf,
    password: String,
    notes: Vec<String>,
    /// The certificate's file, and what was said when it was made.
    certificate: Option<(PathBuf, String)>,
    /// The key of I2FTP, if that is served.
    i2ftp_key: Option<String>,
}

impl Guide {
    fn write(
        &self,
        out: &mut impl Write,
        listeners: &[Listener],
        layers: &[String],
    ) -> io::Result<()> {
        let ftp = listeners.iter().find(|listener| listener.service == Service::Ftp);
        let address = ftp.map_or(SocketAddr::from(([127, 0, 0, 1], 21)), |ftp| ftp.address);
        let password = &self.password;
        writeln!(out, "Bulkhead serves {} on {address}", self.directory.display())?;
        writeln!(out)?;
        writeln!(out, "  account   {ACCOUNT}")?;
        writeln!(out, "  password  {password}")?;
        writeln!(out)?;
        let (curl, lftp) = match &self.certificate {
            None => (String::new(), "set ftp:ssl-allow no".to_owned()),
            Some((file, _)) => (
                format!("--ssl-reqd --cacert {} ", file.display()),
                format!("set ssl:ca-file {}", file.display()),
            ),
        };
        let curl = format!("curl {curl}-u {ACCOUNT}:{password}");
        writeln!(out, "  list      {curl} ftp://{address}/")?;
        writeln!(out, "  download  {curl} -O ftp://{address}/FILE")?;
        writeln!(out, "  upload    {curl} -T FILE ftp://{address}/")?;
        writeln!(out, "  browse    lftp -e '{lftp}' -u {ACCOUNT},{password} ftp://{address}")?;
        writeln!(out)?;
        if let Some((_, said)) = &self.certificate {
            writeln!(
                out,
                "TLS with a certificate made for this run; plain FTP is served as well."
            )?;
            for line in said.lines() {
                writeln!(out, "  {line}")?;
            }
            writeln!(out)?;
        }
        self.write_i2ftp(out, listeners)?;
        for note in &self.notes {
            writeln!(out, "{note}")?;
        }
        writeln!(out, "Sandbox:")?;
        for layer in layers {
            writeln!(out, "  {layer}")?;
        }
        writeln!(out, "Ctrl-C ends it and leaves nothing behind.")?;
        out.flush()
    }

    fn write_i2ftp(&self, out: &mut impl Write, listeners: &[Listener]) -> io::Result<()> {
        let listener = listeners.iter().find(|listener| listener.service == Service::I2ftp);
        let (Some(key), Some(listener)) = (&self.i2ftp_key, listener) else { return Ok(()) };
        let (ip, port) = (listener.address.ip(), listener.address.port());
        writeln!(out, "I2FTP on {}, without TLS:", listener.address)?;
        writeln!(out, "  key       {key}")?;
        writeln!(out, "  install   pip install i2ftps==0.3.9 i2cylib=={TRY_TRANSPORT}")?;
        writeln!(out, "  list      python3 -c 'from i2ftps.client import I2ftpClient")?;
        writeln!(
            out,
            "            client = I2ftpClient(\"{ip}\", bytes.fromhex(\"{key}\"), {port})"
        )?;
        writeln!(out, "            print(client.connect(), client.list(\".\"))'")?;
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_and_differ() {
        let (a, b) = (random_password().unwrap(), random_password().unwrap());
        assert_eq!(a.len(), 16);
        assert_ne!(a, b);
        assert!(a.bytes().all(|byte| ALPHABET.contains(&byte)));
    }
}
