//! The questions. A flag answers its question; without a terminal the default does.

use accounts::{
    name::{self, NameError},
    owner_to_write,
    record::TlsWord,
    settle,
};
use config::LogLevel;
use dialoguer::{Confirm, Input, Select};

use super::{Answers, Failure, FirstAccount, Setup, Tls, TlsChoice};

/// Asks whether to do something.
///
/// # Errors
/// When the terminal goes away.
pub fn confirm(question: &str, default: bool) -> Result<bool, Failure> {
    // With the end of the line, which would otherwise answer the next question.
    let confirm = Confirm::new().with_prompt(question).default(default).wait_for_newline(true);
    Ok(confirm.interact()?)
}

/// Answers all questions.
///
/// # Errors
/// When the terminal goes away, or flags contradict each other.
pub fn answer(setup: &Setup, asks: bool) -> Result<Answers, Failure> {
    let ask = Ask(asks);
    let root = ask.text("Directory to serve", setup.root.clone(), "/srv/ftp", |root| match root
        .as_str()
    {
        path if path.starts_with('/') => Ok(()),
        _ => Err("write an absolute path"),
    })?;
    let addresses = if setup.listen_address.is_empty() {
        let text = ask.text(
            "Address to listen on (127.0.0.1 = this host only, 0.0.0.0,:: = everywhere)",
            None,
            "127.0.0.1",
            |text| addresses(text).map(drop),
        )?;
        addresses(&text)?
    } else {
        setup.listen_address.clone()
    };
    let port = setup.port.map(|port| port.to_string());
    let port = ask.text("Port", port, "21", |port| {
        port.parse::<u16>().map(drop).map_err(|_| "write a number from 0 to 65535")
    })?;
    let read_only =
        ask.flag("Read-only, so that clients can change nothing", setup.read_only, false)?;
    let tls = tls(setup, &ask)?;
    let require = match (setup.require, &tls) {
        (Some(TlsWord(demand)), Tls::None) if demand != ipc::account::TlsDemand::None => {
            return Err("--require needs TLS; give --tls generate or --tls own with it".into());
        }
        (Some(TlsWord(demand)), _) => demand,
        (None, Tls::None) => ipc::account::TlsDemand::None,
        (None, Tls::Generate(_) | Tls::Own(..)) => ipc::account::TlsDemand::ControlAndData,
    };
    let account = account(setup, &ask, &root)?;
    let i2ftp = ask.flag("Serve I2FTP as well, with a new key", setup.i2ftp, false)?;
    let log_level = match setup.log_level {
        Some(level) => level,
        None => ask.choose(
            "Log",
            &[
                ("errors", LogLevel::Error),
                ("warnings", LogLevel::Warn),
                ("everything that happens", LogLevel::Info),
                ("also why", LogLevel::Debug),
            ],
            2,
        )?,
    };
    let port = port.parse().map_err(|_| format!("{port:?} is no port"))?;
    Ok(Answers { root, addresses, port, read_only, tls, require, account, i2ftp, log_level })
}

fn addresses(text: &str) -> Result<Vec<std::net::IpAddr>, &'static str> {
    text.split(',')
        .map(|one| one.trim().parse())
        .collect::<Result<_, _>>()
        .map_err(|_| "write IP addresses with commas between")
}

fn tls(setup: &Setup, ask: &Ask) -> Result<Tls, Failure> {
    let own = setup.certificate.is_some() || setup.private_key.is_some();
    let choice = match setup.tls {
        Some(choice) => choice,
        None if own => TlsChoice::Own,
        None => ask.choose(
            "TLS",
            &[
                ("make a self-signed certificate", TlsChoice::Generate),
                ("use a certificate of my own", TlsChoice::Own),
                ("none: passwords and files in the clear", TlsChoice::None),
            ],
            0,
        )?,
    };
    Ok(match choice {
        TlsChoice::None => Tls::None,
        TlsChoice::Own => {
            let readable = |file: &String| match std::fs::File::open(file) {
                Ok(_) => Ok(()),
                Err(_) => Err("that file cannot be read"),
            };
            let certificate = setup.certificate.clone();
            let key = setup.private_key.clone();
            Tls::Own(
                ask.text("Certificate chain (PEM)", certificate, "", readable)?,
                ask.text("Its private key (PEM)", key, "", readable)?,
            )
        }
        TlsChoice::Generate if setup.names.is_empty() => {
            let system = rustix::system::uname();
            let host = system.nodename().to_string_lossy().into_owned();
            let names = ask.text("Names the certificate is for", None, &host, |_| Ok(()))?;
            Tls::Generate(names.split(',').map(|name| name.trim().to_owned()).collect())
        }
        TlsChoice::Generate => Tls::Generate(setup.names.clone()),
    })
}

fn account(setup: &Setup, ask: &Ask, root: &str) -> Result<Option<FirstAccount>, Failure> {
    let usable = |name: &String| match name::judge(name) {
        Ok(_) => Ok(()),
        Err(NameError::Anonymous) => Err("that name is for anonymous login"),
        Err(_) => Err("write a name of 1 to 255 bytes without slash, first dot and control \
                characters"),
    };
    let name = match &setup.account {
        Some(name) if name.is_empty() => return Ok(None),
        given => ask.text("Name of the first account", given.clone(), "files", usable)?,
    };
    let owner = match &setup.owner {
        Some(owner) => Some(owner.clone()),
        // Only root can give the account another uid, and only where the directory has no owner
        // that could be it.
        None if !nix::unistd::geteuid().is_root()
            || settle(root.as_ref()).is_ok_and(|found| owner_to_write(&found).is_ok()) =>
        {
            None
        }
        None => Some(ask.text(
            "System user whose files they are (never root)",
            None,
            "bulkhead-files",
            |owner| {
                super::plan::identity(owner).map(drop).map_err(|_| {
                    "there is no such user, or it is root or nobody (useradd --system NAME \
                     makes one)"
                })
            },
        )?),
    };
    let totp = ask.flag("Demand a one-time code of it", setup.totp, false)?;
    Ok(Some(FirstAccount { name, owner, totp }))
}

/// Whether there is somebody to ask.
struct Ask(bool);

impl Ask {
    fn text<F>(
        &self,
        question: &str,
        given: Option<String>,
        default: &str,
        valid: F,
    ) -> Result<String, Failure>
    where
        F: Fn(&String) -> Result<(), &'static str>,
    {
        let answer = match given {
            Some(answer) => answer,
            None if self.0 => {
                let mut input = Input::<String>::new().with_prompt(question);
                if !default.is_empty() {
                    input = input.default(default.to_owned());
                }
                return Ok(input.validate_with(&valid).interact_text()?);
            }
            None if default.is_empty() => {
                return Err(
                    format!("\"{question}\" has no answer; see `bulkhead setup --help`").into()
                );
            }
            None => default.to_owned(),
        };
        match valid(&answer) {
            Ok(()) => Ok(answer),
            Err(what) => Err(format!("{question}: {answer:?}: {what}").into()),
        }
    }

    fn flag(&self, question: &str, given: Option<bool>, default: bool) -> Result<bool, Failure> {
        match given {
            Some(answer) => Ok(answer),
            None if self.0 => confirm(question, default),
            None => Ok(default),
        }
    }

    fn choose<T: Copy>(
        &self,
        question: &str,
        choices: &[(&str, T)],
        default: usize,
    ) -> Result<T, Failure> {
        let index = if self.0 {
            let names = choices.iter().map(|(name, _)| *name);
            Select::new().with_prompt(question).items(names).default(default).interact()?
        } else {
            default
        };
        choices.get(index).map(|(_, choice)| *choice).ok_or_else(|| "nothing was chosen".into())
    }
}
