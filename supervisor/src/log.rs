//! The log: text for people, JSON lines for machines. Every line about a client carries the
//! supervisor's own word on session, address and account.

#[macro_use]
mod events;
mod queue;

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use ipc::{ChannelError, last_words::LastWords};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{JsonFields, Writer},
    },
    registry::LookupSpan,
};

use self::queue::{LogQueue, Sink};

pub use events::Event;
pub use ipc::printable;

/// The log of this process.
static QUEUE: OnceLock<LogQueue> = OnceLock::new();
/// How long the end of the server waits for the last lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log. Without a file it goes to standard error; where that is the journal, each line
/// begins with its priority (sd-daemon(3)) and has no time of its own.
///
/// # Errors
/// A sentence that names the file.
pub fn start(format: Format, level: &str, file: Option<&Path>) -> Result<(), String> {
    let journal = file.is_none() && goes_to_journal();
    let sink: Sink = match file {
        // A descriptor of its own: the lock of the standard library's would be held by the thread
        // that writes, for as long as nobody reads.
        None => {
            let stderr = io::stderr().as_fd().try_clone_to_owned();
            Box::new(File::from(stderr.map_err(|e| format!("cannot log to standard error: {e}"))?))
        }
        Some(path) => {
            let file = LogFile { path: path.to_owned(), file: Mutex::new(open(path)?) };
            Box::new(FILE.get_or_init(|| file))
        }
    };
    install(format, level, journal, LogQueue::new(sink))
}

/// Has the log written by a thread of its own from now on, so that whoever does not read it holds up
/// nobody. To be called once the sandbox is up, which the thread inherits.
///
/// # Errors
/// When there can be no thread.
pub fn run_writer() -> Result<(), String> {
    let run = |queue: &LogQueue| queue.run();
    QUEUE.get().map_or(Ok(()), run).map_err(|e| format!("the log's thread cannot be started: {e}"))
}

/// Waits a moment until every line is written.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(FLUSH_TIMEOUT);
    }
}

/// Lines lost since the start because the log was not read, or had no room.
pub fn lost() -> u64 {
    QUEUE.get().map_or(0, LogQueue::lost)
}

/// The file that the log goes to, if it does.
static FILE: OnceLock<LogFile> = OnceLock::new();

/// A log file that can be opened anew.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: Mutex<File>,
}

impl Write for &LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(path: &Path) -> Result<File, String> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o640)
        .open(path)
        .map_err(|e| format!("cannot open the log file {}: {e}", path.display()))
}

/// Opens the log file anew, if the log goes to one: logrotate has given the old one another name.
pub fn reopen() {
    let Some(log) = FILE.get() else { return };
    let file = log.path.display();
    match open(&log.path) {
        Ok(new) => {
            // By the writer, behind the lines that wait: they belong into the old file, and nobody
            // waits for a disk here.
            let change = move || *log.file.lock().unwrap_or_else(PoisonError::into_inner) = new;
            if let Some(queue) = QUEUE.get() {
                queue.between_lines(change);
            }
            log_event!(LogReopened, %file);
        }
        Err(e) => log_event!(LogNotReopened, %file, "{e}; lines go on into the old file"),
    }
}

/// Whether standard error is the journal's socket (systemd.exec(5), `$JOURNAL_STREAM`).
fn goes_to_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let Ok(stderr) = rustix::fs::fstat(std::io::stderr()) else { return false };
    stream == format!("{}:{}", stderr.st_dev, stderr.st_ino)
}

/// Lines for the journal: each begins with its priority.
struct Prioritized<F>(F);

impl<S, N, F> FormatEvent<S, N> for Prioritized<F>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// The priority of syslog(3) for a level.
fn priority(level: tracing::Level) -> u8 {
    match level {
        tracing::Level::ERROR => 3,
        tracing::Level::WARN => 4,
        tracing::Level::INFO => 6,
        _ => 7,
    }
}

fn install(format: Format, level: &str, journal: bool, queue: LogQueue) -> Result<(), String> {
    let filter = EnvFilter::try_new(format!("supervisor={level},config={level},bulkhead={level}"))
        .map_err(|e| format!("[log] level = \"{level}\": {e}"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(queue.clone());
    let text = tracing_subscriber::fmt::format().with_target(false).with_ansi(false);
    let json = tracing_subscriber::fmt::format().json().flatten_event(true).with_target(false);
    let installed = match (format, journal) {
        (Format::Text, false) => log.event_format(text).try_init(),
        (Format::Text, true) => log.event_format(Prioritized(text.without_time())).try_init(),
        (Format::Json, false) => log.fmt_fields(JsonFields::new()).event_format(json).try_init(),
        (Format::Json, true) => {
            log.fmt_fields(JsonFields::new()).event_format(Prioritized(json)).try_init()
        }
    };
    installed.map_err(|e| format!("cannot start the log: {e}"))?;
    // Installed once, as the line above has said.
    QUEUE.set(queue).ok();
    Ok(())
}

/// An error of a channel, with the name of a forbidden system call instead of its number.
pub fn describe(error: &ChannelError) -> String {
    if let ChannelError::LastWords(LastWords::Forbidden { syscall }) = error {
        let name = policy::syscalls::name((*syscall).into()).unwrap_or("unknown");
        return format!("its sandbox stopped it at the system call {name} ({syscall})");
    }
    printable(&error.to_string())
}
