//! `bulkhead setup`: a wizard that writes the configuration, the first account and a certificate.
//! Every question is also a flag; without a terminal, or with `--yes`, the flags and the defaults
//! answer all of them.

mod plan;
mod questions;

use std::{io::IsTerminal, path::Path, process::ExitCode};

use accounts::record::TlsWord;
use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use config::{Config, I2ftp, LogLevel};
use ipc::account::TlsDemand;

use self::plan::Plan;
use super::{Failure, check::Severity, console, unit, user};

/// Write the configuration, the first account and a certificate.
#[derive(Args)]
pub struct Setup {
    /// The directory to serve; made when it is not there.
    #[arg(long, value_name = "DIR")]
    root: Option<String>,
    /// Address to listen on, or several.
    #[arg(long, value_name = "ADDRESS,…", value_delimiter = ',')]
    listen_address: Vec<std::net::IpAddr>,
    /// Port of the control connection.
    #[arg(long)]
    port: Option<u16>,
    /// Whether the first account may change anything.
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    read_only: Option<bool>,
    /// Where the TLS certificate comes from.
    #[arg(long, value_enum)]
    tls: Option<TlsChoice>,
    /// What must be TLS: none, control or control+data.
    #[arg(long, value_name = "DEMAND")]
    require: Option<TlsWord>,
    /// Names and addresses a generated certificate is for.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    names: Vec<String>,
    /// Certificate chain of your own.
    #[arg(long, value_name = "FILE")]
    certificate: Option<String>,
    /// Its private key.
    #[arg(long, value_name = "FILE")]
    private_key: Option<String>,
    /// Name of the first account; empty for none.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// System user, or uid, the first account has (the owner of the directory when left out).
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// Read its password from the first line of standard input.
    #[arg(long)]
    password_stdin: bool,
    /// Whether it needs a one-time code.
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    totp: Option<bool>,
    /// Whether I2FTP is served as well, with a new key.
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    i2ftp: Option<bool>,
    /// Least important level that is logged.
    #[arg(long, value_parser = log_level())]
    log_level: Option<LogLevel>,
    /// Ask nothing: what no flag says is the default.
    #[arg(long)]
    yes: bool,
    /// Replace a configuration that is there; the old one is kept beside it.
    #[arg(long)]
    overwrite: bool,
}

/// Where the certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TlsChoice {
    /// A self-signed one is made.
    Generate,
    /// The two files that are named.
    Own,
    /// No TLS.
    None,
}

fn log_level() -> impl TypedValueParser<Value = LogLevel> {
    let parse = |name: String| LogLevel::from_name(&name).ok_or("no level");
    PossibleValuesParser::new(LogLevel::ALL.map(LogLevel::name)).try_map(parse)
}

/// Everything the wizard has to know.
struct Answers {
    root: String,
    addresses: Vec<std::net::IpAddr>,
    port: u16,
    read_only: bool,
    tls: Tls,
    require: TlsDemand,
    account: Option<FirstAccount>,
    i2ftp: bool,
    log_level: LogLevel,
}

enum Tls {
    Generate(Vec<String>),
    Own(String, String),
    None,
}

struct FirstAccount {
    name: String,
    owner: Option<String>,
    totp: bool,
}

/// Runs the command.
///
/// # Errors
/// What cannot be written, and what to do instead; then nothing is. The exit code is 1 when
/// everything is written and the server still could not start.
pub fn run(file: &Path, setup: &Setup) -> Result<ExitCode, Failure> {
    let file = std::path::absolute(file)?;
    let asks = !setup.yes && std::io::stdin().is_terminal();
    let overwrite = may_replace(&file, setup, asks)?;
    let answers = questions::answer(setup, asks)?;
    let plan = Plan::make(&file, &answers)?;
    plan.judge_account()?;
    console::say(format_args!("\nThis will be written:\n\n{plan}"));
    if asks && !questions::confirm("Write it?", true)? {
        return Err("nothing was written".into());
    }
    let password = match &answers.account {
        Some(_) => Some(console::new_password(setup.password_stdin)?),
        None => None,
    };
    let made = plan.write(overwrite)?;
    let config = Config::load(&file)?;
    if let (Some(account), Some(password)) = (&answers.account, password) {
        let add = plan.first_account(account);
        user::create(&config, add, &password)?;
    }
    made.keep();
    finish(&file, &config, &answers);
    let failed = |finding: &super::check::Finding| finding.severity == Severity::Error;
    if super::check::findings(&config).iter().any(failed) {
        return Ok(super::EXIT_FAILURE.into());
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a configuration that is there may be replaced; an error when it is there and may not.
fn may_replace(file: &Path, setup: &Setup, asks: bool) -> Result<bool, Failure> {
    if !file.exists() || setup.overwrite {
        return Ok(setup.overwrite);
    }
    let question =
        format!("{} is there already. Replace it (the old one is kept)?", file.display());
    if asks && questions::confirm(&question, false)? {
        return Ok(true);
    }
    Err(format!(
        "{} is there already; give --overwrite to replace it, or --config with another name",
        file.display()
    )
    .into())
}

/// What is still wrong, how to start the server, and what a client would type.
fn finish(file: &Path, config: &Config, answers: &Answers) {
    for finding in super::check::findings(config) {
        if finding.severity != super::check::Severity::Note {
            let super::check::Finding { severity, place, what, remedy } = finding;
            console::say(format_args!("{severity}: {place}: {what}; {remedy}"));
        }
    }
    let is_default = file == Path::new(super::DEFAULT_CONFIGURATION);
    let file = file.display();
    let start = match is_default {
        true if unit::is_managed(config) => {
            let (written, before) = match unit::write(config) {
                Ok(path) => (path.display().to_string(), ""),
                Err(e) => (format!("not written: {e}"), "bulkhead unit --write\n  "),
            };
            console::say(format_args!("Directories for systemd's unit: {written}"));
            // Restarted, if it ran: what it may write to is fixed when it starts.
            format!("{before}systemctl restart bulkhead")
        }
        true => "bulkhead serve".to_owned(),
        false => format!("bulkhead --config {file} serve"),
    };
    console::say(format_args!("\nStart the server:\n  {start}"));
    let address = match answers.addresses.first() {
        Some(address) if address.is_unspecified() => "HOST".to_owned(),
        Some(std::net::IpAddr::V6(v6)) => format!("[{v6}]"),
        Some(v4) => v4.to_string(),
        None => "HOST".to_owned(),
    };
    if let Some(account) = &answers.account {
        let tls = match answers.tls {
            Tls::Generate(_) => "--ssl-reqd --insecure ",
            Tls::Own(..) => "--ssl-reqd ",
            Tls::None => "",
        };
        let (name, port) = (&account.name, answers.port);
        console::say(format_args!(
            "Then a client lists the files with:\n  curl {tls}--user {name} ftp://{address}:{port}/"
        ));
    }
    if let Some(i2ftp) = &config.i2ftp {
        console::say(format_args!("{}", for_clients_of_i2ftp(i2ftp, &address, &file.to_string())));
    }
}

/// What a client of I2FTP has to be told. Not the key itself: it does not belong on a screen.
fn for_clients_of_i2ftp(i2ftp: &I2ftp, address: &str, file: &str) -> String {
    let mut text = "A client of I2FTP connects to:\n".to_owned();
    if let Some(port) = i2ftp.tls_port {
        text.push_str(&format!(
            "  {address}:{port}, inside TLS: through stunnel; /usr/share/doc/bulkhead/i2ftp.md has the \
             lines\n"
        ));
    }
    if let Some(port) = i2ftp.listen_port {
        text.push_str(&format!(
            "  {address}:{port}, without TLS: names and contents in the clear\n"
        ));
    }
    text.push_str(&format!(
        "with the key that is key_hex in {file}, and speaks version {} of the wire format.",
        i2ftp.wire_version
    ));
    text
}
