//! `bulkhead user totp`: enrols an account for one-time codes, with a QR code in the terminal.

use std::{
    io::{self, IsTerminal},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use accounts::{
    password::random,
    second_factor,
    store::{SecondFactor, Store},
};
use clap::Args;
use config::Config;
use qrcode::{QrCode, render::unicode::Dense1x2};
use totp_rs::Secret;
use zeroize::Zeroizing;

use super::{Failure, console};

/// How many recovery codes there are.
const RECOVERY_CODES: usize = 8;
/// How often a code may be mistyped while enrolling.
const TRIES: usize = 3;

/// The second factor of an account.
#[derive(Args)]
pub struct Totp {
    /// The account, of whichever backend.
    name: String,
    /// Take the second factor away.
    #[arg(long)]
    remove: bool,
}

/// Runs the command.
///
/// # Errors
/// What cannot be done, and what to do instead.
pub fn run(config: &Config, totp: &Totp) -> Result<(), Failure> {
    if totp.remove {
        return remove(config, &totp.name);
    }
    let store = Store::load_or_empty(&config.auth.users_file)?;
    let here = store.accounts.contains_key(&totp.name);
    let pam = config.auth.backends.contains(&ipc::authenticator::Backend::Pam)
        && nix::unistd::User::from_name(&totp.name)?.is_some();
    if !here && !pam {
        return Err(format!(
            "there is no account {:?}; `bulkhead user list` shows those there are",
            totp.name
        )
        .into());
    }
    enrol(config, &totp.name)
}

fn remove(config: &Config, name: &str) -> Result<(), Failure> {
    Store::edit(&config.auth.users_file, |store| -> Result<(), Failure> {
        if let Some(record) = store.accounts.get_mut(name) {
            record.second_factor = false;
        }
        let removed = store.second_factors.remove(name);
        removed.map(drop).ok_or_else(|| format!("{name:?} has no second factor").into())
    })?;
    second_factor::forget(&config.auth.state_directory, name)?;
    console::say(format_args!("{name} logs in with the password alone again."));
    Ok(())
}

/// Enrols `name`: shows the secret, asks for a first code where there is somebody to ask, and only
/// then makes the recovery codes and writes everything down.
///
/// # Errors
/// When the code stays wrong, or nothing can be written.
pub fn enrol(config: &Config, name: &str) -> Result<(), Failure> {
    let secret = Zeroizing::new(Secret::from(random::<20>()?).to_base32());
    let secret = secret.trim_end_matches('=').to_owned();
    let mut factor = SecondFactor { secret: secret.into(), recovery: Vec::new() };
    show(name, &factor)?;
    if io::stdin().is_terminal() {
        confirm(&factor)?;
    }
    let codes = recovery_codes()?;
    factor.recovery = codes.iter().map(|code| second_factor::recovery_hash(&plain(code))).collect();
    write(config, name, factor)?;
    console::say(format_args!(
        "\n{name} now needs a code to log in: after the password (ACCT), or right behind it.\n\
         Recovery codes, each good for one login without the device; keep them safe:\n"
    ));
    for code in &codes {
        console::say(format_args!("  {code}"));
    }
    Ok(())
}

fn write(config: &Config, name: &str, factor: SecondFactor) -> Result<(), Failure> {
    // First the memory of the old secret: a crash in between leaves the old secret with no code
    // remembered, for half a minute at most; the other way round a new code could be refused.
    second_factor::forget(&config.auth.state_directory, name)?;
    let file: &Path = &config.auth.users_file;
    Store::edit(file, |store| -> Result<(), Failure> {
        if let Some(record) = store.accounts.get_mut(name) {
            record.second_factor = true;
        }
        store.second_factors.insert(name.to_owned(), factor);
        Ok(())
    })
}

fn show(name: &str, factor: &SecondFactor) -> Result<(), Failure> {
    let secret = factor.secret.expose();
    let uri = Zeroizing::new(uri(name, secret));
    if io::stdout().is_terminal() {
        let code = QrCode::new(uri.as_bytes())?;
        let picture = code
            .render::<Dense1x2>()
            .dark_color(Dense1x2::Light)
            .light_color(Dense1x2::Dark)
            .build();
        console::say(picture);
    }
    console::say(format_args!("Scan the code, or enter the secret in an authenticator app:"));
    console::say(format_args!("  secret  {secret}\n  address {}", uri.as_str()));
    Ok(())
}

/// The address an authenticator app reads (the key URI format of Google Authenticator).
fn uri(name: &str, secret: &str) -> String {
    let label: String = name
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    format!("otpauth://totp/Bulkhead:{label}?secret={secret}&issuer=Bulkhead")
}

fn confirm(factor: &SecondFactor) -> Result<(), Failure> {
    let generator = second_factor::generator(factor, 1)?;
    for _ in 0..TRIES {
        let code: String =
            dialoguer::Input::new().with_prompt("The code it shows").interact_text()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        if generator.check(code.trim(), now).is_some() {
            return Ok(());
        }
        console::say("That is not the code of this moment; look again.");
    }
    Err("the code was wrong each time, so nothing was changed; compare the clock of the device with \
         `date` on this host"
        .into())
}

/// Codes of 80 random bits in groups of four letters.
fn recovery_codes() -> Result<Vec<String>, Failure> {
    let one = || -> Result<String, Failure> {
        let text = Secret::from(random::<10>()?).to_base32().to_ascii_lowercase();
        let groups: Vec<String> = text
            .as_bytes()
            .chunks(4)
            .map(|group| String::from_utf8_lossy(group).into_owned())
            .collect();
        Ok(groups.join("-"))
    };
    (0..RECOVERY_CODES).map(|_| one()).collect()
}

/// A recovery code as it is hashed: what stands between the groups is not part of it.
fn plain(code: &str) -> String {
    code.replace('-', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_the_address() {
        assert_eq!(
            uri("a b&issuer=x/ü", "ABC"),
            "otpauth://totp/Bulkhead:a%20b%26issuer%3Dx%2F%C3%BC?secret=ABC&issuer=Bulkhead"
        );
    }

    #[test]
    fn recovery_codes_differ_and_can_be_typed() {
        let codes = recovery_codes().unwrap();
        let unique: std::collections::BTreeSet<_> = codes.iter().collect();
        assert_eq!(unique.len(), RECOVERY_CODES);
        assert!(codes.iter().all(|code| code.len() == 19 && plain(code).len() == 16), "{codes:?}");
    }
}
