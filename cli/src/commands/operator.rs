//! `bulkhead status`, `sessions`, `kick`, `reload`, `drain` and `penalties`: questions to the running
//! server.

use std::{
    io::{self, Write},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Subcommand};
use ipc::{
    Channel,
    account::SessionId,
    operator::{Answer, KickTarget, PenaltyRow, ProcessRow, Request, SessionRow, Status},
};
use nix::sys::{
    socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt},
    time::TimeVal,
};
use supervisor::{log::printable, validity};

use super::console;

/// How long the server may take to answer; a reload waits for certificates.
const PATIENCE_SECONDS: i64 = 30;

/// Where the running server is asked. Nothing of the configuration matters but this path, so that an
/// error in it does not keep the operator from the server.
#[derive(Debug, Clone, Args)]
pub struct Reach {
    /// The control socket of the server; without it, the one that the configuration names
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

impl Reach {
    /// Opens the control socket. `config` is the configuration file.
    fn open(&self, config: &Path) -> Result<OperatorChannel, OperatorError> {
        match &self.socket {
            Some(socket) => open(socket),
            None => open(&config::control_socket(config)),
        }
    }
}

/// How an answer is printed.
#[derive(Debug, Clone, Args)]
pub struct Output {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Whom `bulkhead kick` ends.
#[derive(Debug, Args)]
pub struct Kick {
    /// Number of a session, or name of an account (see `bulkhead sessions`)
    #[arg(value_name = "SESSION|ACCOUNT")]
    pub whom: String,
    /// Take the argument as an account's name even if it is a number
    #[arg(long)]
    pub account: bool,
    #[command(flatten)]
    reach: Reach,
}

/// What `bulkhead penalties` does.
#[derive(Debug, Subcommand)]
pub enum PenaltiesCommand {
    /// List the address blocks with penalties
    List(Output),
    /// Forget the penalties of an address, or all
    Clear {
        /// An address or block; without it, all
        address: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
}

/// Why the server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// Nobody answers.
    #[error("no server answers at {0}: {1}; is it running, and is this its configuration?")]
    NoServer(String, io::Error),
    /// The socket refuses this user.
    #[error("{0} may be used by root and the admin group only; use sudo")]
    NotAllowed(String),
    /// The conversation failed.
    #[error("the server did not answer: {0}")]
    Channel(#[from] ipc::ChannelError),
    /// The server refused, and says why.
    #[error("{0}")]
    Refused(String),
    /// The answer cannot be printed.
    #[error("the answer cannot be printed: {0}")]
    Output(#[from] io::Error),
}

type OperatorChannel = Channel<Request, Answer>;

/// Opens the control socket of the running server.
///
/// # Errors
/// When no server runs, or this user may not ask it.
pub fn open(path: &Path) -> Result<OperatorChannel, OperatorError> {
    let attempt = || -> nix::Result<OperatorChannel> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE_SECONDS, 0))?;
        connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        Ok(Channel::from_fd(fd))
    };
    let shown = path.display().to_string();
    attempt().map_err(|e| match e {
        nix::Error::EACCES | nix::Error::EPERM => OperatorError::NotAllowed(shown),
        e => OperatorError::NoServer(shown, e.into()),
    })
}

fn ask(channel: &OperatorChannel, request: &Request) -> Result<Answer, OperatorError> {
    channel.send(request, &[])?;
    next(channel)
}

fn next(channel: &OperatorChannel) -> Result<Answer, OperatorError> {
    match channel.recv()?.message {
        Answer::Refused(why) => Err(OperatorError::Refused(why)),
        answer => Ok(answer),
    }
}

fn out_of_turn() -> OperatorError {
    OperatorError::Refused("the server answered something else; is it another version?".into())
}

/// Collects a table that comes in parts.
fn collect<T>(
    channel: &OperatorChannel,
    request: &Request,
    part: impl Fn(Answer) -> Option<(Vec<T>, bool)>,
) -> Result<Vec<T>, OperatorError> {
    let mut rows = Vec::new();
    let mut answer = ask(channel, request)?;
    loop {
        let (some, more) = part(answer).ok_or_else(out_of_turn)?;
        rows.extend(some);
        if !more {
            return Ok(rows);
        }
        answer = next(channel)?;
    }
}

/// The sessions of the running server.
///
/// # Errors
/// When the server does not answer.
pub fn session_rows(channel: &OperatorChannel) -> Result<Vec<SessionRow>, OperatorError> {
    collect(channel, &Request::Sessions, |answer| match answer {
        Answer::Sessions { rows, more } => Some((rows, more)),
        _ => None,
    })
}

/// The processes of the running server.
///
/// # Errors
/// When the server does not answer.
pub fn process_rows(channel: &OperatorChannel) -> Result<Vec<ProcessRow>, OperatorError> {
    collect(channel, &Request::Processes, |answer| match answer {
        Answer::Processes { rows, more } => Some((rows, more)),
        _ => None,
    })
}

/// Counters and state of the running server.
///
/// # Errors
/// When the server does not answer.
pub fn server_status(channel: &OperatorChannel) -> Result<Status, OperatorError> {
    match ask(channel, &Request::Status)? {
        Answer::Status(status) => Ok(*status),
        _ => Err(out_of_turn()),
    }
}

fn print_json(value: &impl serde::Serialize) -> Result<(), OperatorError> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

/// `bulkhead status`
///
/// # Errors
/// When the server does not answer.
pub fn status(config: &Path, output: &Output) -> Result<ExitCode, OperatorError> {
    let status = server_status(&output.reach.open(config)?)?;
    if output.json {
        print_json(&status)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = io::stdout().lock();
    let state = if status.draining { "draining" } else { "serving" };
    writeln!(out, "Bulkhead {}, {state}, pid {}", status.version, status.pid)?;
    writeln!(out, "  up           {}", duration(status.uptime))?;
    writeln!(out, "  listening    {}", status.listening.join(" "))?;
    writeln!(
        out,
        "  now          {} connections, {} of them logged in; {} ready gates",
        status.connections, status.sessions, status.ready_gates
    )?;
    writeln!(
        out,
        "  since start  {} connections ({} refused), {} logins ({} failed), {} violations or crashes",
        status.connections_total,
        status.refused_total,
        status.logins_total,
        status.failed_logins_total,
        status.violations_total
    )?;
    writeln!(
        out,
        "  moved        {} bytes down, {} bytes up",
        status.bytes_downloaded, status.bytes_uploaded
    )?;
    for row in &status.certificates {
        writeln!(
            out,
            "  certificate  {} for {}, until {} ({} days)",
            row.file,
            row.names.join(", "),
            row.not_after,
            row.days_left
        )?;
        if let Some(warning) = &row.warning {
            writeln!(out, "    WARNING: {warning}; {}", validity::RENEWAL)?;
        }
    }
    if status.log_lines_lost > 0 {
        writeln!(out, "  log          {} lines lost", status.log_lines_lost)?;
    }
    for layer in &status.layers {
        writeln!(out, "  {layer}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `bulkhead sessions`
///
/// # Errors
/// When the server does not answer.
pub fn sessions(config: &Path, output: &Output) -> Result<ExitCode, OperatorError> {
    let rows = session_rows(&output.reach.open(config)?)?;
    if output.json {
        print_json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    write_sessions(&mut io::stdout().lock(), &rows)?;
    Ok(ExitCode::SUCCESS)
}

/// The width of the session table, in characters: a common terminal.
const TABLE_WIDTH: usize = 120;

/// Writes the session table for people: no line is wider than a common terminal, and no name steers it.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_sessions(out: &mut impl Write, rows: &[SessionRow]) -> io::Result<()> {
    let clients: Vec<String> =
        rows.iter().map(|row| row.client.ip().to_canonical().to_string()).collect();
    let width = clients.iter().map(String::len).max().unwrap_or(0).max("CLIENT".len());
    let mut line = |cells: [&str; 9], last: &str| {
        let [session, stage, account, client, pid, age, tls, down, up] = cells;
        let head = format!(
            "{session:>7} {stage:<7} {account:<14} {client:<width$} {pid:>7} {age:>11} {tls:<3} \
             {down:>6} {up:>6} "
        );
        let room = TABLE_WIDTH.saturating_sub(head.chars().count());
        writeln!(out, "{head}{}", shortened(last, room))
    };
    let heads = ["SESSION", "STAGE", "ACCOUNT", "CLIENT", "PID", "CONNECTED", "TLS", "DOWN", "UP"];
    line(heads, "LAST")?;
    for (row, client) in rows.iter().zip(&clients) {
        let session = row.session.to_string();
        let cells: [&str; 9] = [
            &session,
            &row.stage,
            &shortened(&printable(row.account.as_deref().unwrap_or("-")), 14),
            client,
            &row.pid.to_string(),
            &duration(row.connected),
            if row.tls { "yes" } else { "no" },
            &amount(row.downloaded),
            &amount(row.uploaded),
        ];
        line(cells, &printable(&row.last))?;
    }
    Ok(())
}

/// Text of at most so many characters; the middle goes first, because the end of a path tells most.
fn shortened(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let begin = room / 3;
    let end = room.saturating_sub(begin);
    let head: String = text.chars().take(begin).collect();
    let tail: String = text.chars().skip(count.saturating_sub(end)).collect();
    format!("{head}…{tail}")
}

/// Bytes in at most six characters, such as `1.2G`.
fn amount(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let (mut whole, mut rest, mut unit) = (bytes, 0, 0);
    while whole >= 10_000 {
        (whole, rest, unit) = (whole / 1000, whole % 1000 / 100, unit + 1);
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if unit > 0 && whole < 100 { format!("{whole}.{rest}{name}") } else { format!("{whole}{name}") }
}

/// `bulkhead kick`
///
/// # Errors
/// When the server does not answer, or there is no such session.
pub fn kick(config: &Path, kick: &Kick) -> Result<ExitCode, OperatorError> {
    let target = match kick.whom.parse() {
        Ok(number) if !kick.account => KickTarget::Session(SessionId(number)),
        Ok(_) | Err(_) => KickTarget::Account(kick.whom.clone()),
    };
    done(&kick.reach.open(config)?, &Request::Kick(target), |count| {
        format!("{count} sessions told to end")
    })
}

/// `bulkhead reload`
///
/// # Errors
/// When the server does not answer, or the configuration is wrong.
pub fn reload(config: &Path, reach: &Reach) -> Result<ExitCode, OperatorError> {
    let Answer::Reloaded(keys) = ask(&reach.open(config)?, &Request::Reload)? else {
        return Err(out_of_turn());
    };
    let mut out = io::stdout().lock();
    if keys.is_empty() {
        writeln!(out, "the configuration was read again")?;
    } else {
        let keys = keys.join(", ");
        writeln!(out, "the configuration was read again; needs a restart: {keys}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `bulkhead drain`
///
/// # Errors
/// When the server does not answer.
pub fn drain(config: &Path, reach: &Reach) -> Result<ExitCode, OperatorError> {
    done(&reach.open(config)?, &Request::Drain, |count| {
        format!(
            "no new clients; the server ends when {} finished",
            match count {
                1 => "1 session has".to_owned(),
                count => format!("{count} sessions have"),
            }
        )
    })
}

/// `bulkhead penalties`
///
/// # Errors
/// When the server does not answer.
pub fn penalties(config: &Path, command: &PenaltiesCommand) -> Result<ExitCode, OperatorError> {
    match command {
        PenaltiesCommand::Clear { address, reach } => {
            done(&reach.open(config)?, &Request::ClearPenalties(address.clone()), |count| {
                format!(
                    "the penalties of {} are forgotten",
                    console::counted(count, "address block")
                )
            })
        }
        PenaltiesCommand::List(output) => {
            let channel = output.reach.open(config)?;
            let rows: Vec<PenaltyRow> =
                collect(&channel, &Request::Penalties, |answer| match answer {
                    Answer::Penalties { rows, more } => Some((rows, more)),
                    _ => None,
                })?;
            if output.json {
                print_json(&rows)?;
                return Ok(ExitCode::SUCCESS);
            }
            let mut out = io::stdout().lock();
            writeln!(out, "{:<43} {:>8} {:<9} LAST CAUSE", "BLOCK", "SECONDS", "IN FORCE")?;
            for row in rows {
                let in_force = if row.in_force { "yes" } else { "no" };
                writeln!(
                    out,
                    "{:<43} {:>8} {:<9} {}",
                    row.block, row.seconds, in_force, row.causes
                )?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A request whose answer is a count.
fn done(
    channel: &OperatorChannel,
    request: &Request,
    text: impl Fn(u64) -> String,
) -> Result<ExitCode, OperatorError> {
    match ask(channel, request)? {
        Answer::Done(count) => {
            writeln!(io::stdout().lock(), "{}", text(count))?;
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(out_of_turn()),
    }
}

/// A duration as `2d 03:04:05`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3600, rest % 3600 / 60, rest % 60);
    if days == 0 { clock } else { format!("{days}d {clock}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(account: &str, client: &str, last: &str) -> SessionRow {
        SessionRow {
            session: SessionId(123_456),
            client: client.parse().unwrap(),
            stage: "session".into(),
            account: Some(account.into()),
            pid: 4_194_304,
            connected: Duration::from_secs(99 * 86_400),
            tls: true,
            downloaded: u64::MAX,
            uploaded: 123_456_789,
            last: last.into(),
        }
    }

    #[test]
    fn e6_the_session_table_fits_a_terminal() {
        let long = format!("upload /{}/the-end", "x".repeat(4000));
        let rows = [
            row(
                "a-name-of-many-characters-and-more",
                "[2001:db8:1111:2222:3333:4444:5555:6666]:65535",
                &long,
            ),
            row("bob", "192.0.2.1:1", "download /\u{202e}gpj.exe\u{1b}[2J"),
        ];
        let mut out = Vec::new();
        write_sessions(&mut out, &rows).unwrap();
        let text = String::from_utf8(out).unwrap();
        for line in text.lines() {
            assert!(line.chars().count() <= TABLE_WIDTH, "{line}");
        }
        assert!(text.contains("the-end") && text.contains("6666"), "{text}");
        assert!(!text.contains('\u{202e}') && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn e6_amounts_are_short() {
        for (bytes, text) in [(0, "0"), (9_999, "9999"), (12_345, "12.3k"), (123_456_789, "123M")] {
            assert_eq!(amount(bytes), text);
        }
        assert!(amount(u64::MAX).len() <= 6);
        assert_eq!(shortened("abcdefghij", 5), "a…hij");
    }

    #[test]
    fn durations_are_readable() {
        assert_eq!(duration(Duration::from_secs(59)), "00:00:59");
        assert_eq!(duration(Duration::from_secs(2 * 86_400 + 3_661)), "2d 01:01:01");
    }
}
