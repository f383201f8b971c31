//! Every event of the log: its name, its level, its fields, and what it means. The table in
//! docs/operate.md, the schema of a line in docs/log.schema.json and the priorities of the journal are
//! made from this and tested against it; `log_event!` takes no other name.

use tracing::Level;

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $level:ident, [$($field:ident),* $(,)?];)+) => {
        /// An event of the log.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Event {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Event {
            /// Every event, in the order of the reference.
            pub const ALL: &[Event] = &[$(Event::$variant,)+];

            /// Its name: the field `event` of its lines.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Event::$variant => $name,)+
                }
            }

            /// How important it is.
            pub const fn level(self) -> Level {
                match self {
                    $(Event::$variant => Level::$level,)+
                }
            }

            /// The fields a line of it may have besides `event` and a message in words.
            pub const fn fields(self) -> &'static [&'static str] {
                match self {
                    $(Event::$variant => &[$(stringify!($field),)*],)+
                }
            }

            /// What has happened.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Event::$variant => concat!($($doc),+),)+
                }
            }
        }
    };
}

events! {
    /// The server accepts clients.
    Serving = "serving", INFO, [listening, version];
    /// The server does not start, and why.
    NotServing = "not-serving", ERROR, [];
    /// One line at the start for each layer of the sandbox that is up.
    Layer = "layer", INFO, [];
    /// Something in the configuration that an administrator should know.
    Note = "note", WARN, [];
    /// Nobody else is accepted; the server ends with the last session.
    Draining = "draining", INFO, [];
    /// The server was told to end; running transfers get `shutdown_grace`.
    Ending = "ending", INFO, [reason];
    /// `shutdown_grace` is over, and sessions that still run are ended.
    GraceOver = "grace-over", WARN, [sessions];
    /// The last line of a server.
    Ended = "ended", INFO, [];
    /// The configuration, or the files of a certificate, were read again and are in force.
    Reloaded = "reloaded", INFO, [];
    /// These keys have changed with a reload and are not in force before a restart.
    RestartNeeded = "restart-needed", WARN, [restart];
    /// They were not: everything is as it was, and why.
    NotReloaded = "not-reloaded", ERROR, [];
    /// The log file was opened anew, as logrotate wants it.
    LogReopened = "log-reopened", INFO, [file];
    /// The log file cannot be opened anew: lines go on into the old one.
    LogNotReopened = "log-not-reopened", ERROR, [file];
    /// Lines are missing before this one: nobody read the log, or it had no room.
    LogLinesLost = "log-lines-lost", WARN, [lines];
    /// A certificate was loaded.
    Certificate = "certificate", INFO, [file, names, not_after, sha256];
    /// A certificate ends within 30 days. At the start, and once a day.
    CertificateEndsSoon = "certificate-ends-soon", WARN, [file, not_after];
    /// A certificate has ended or begins only later; it is served all the same.
    CertificateNotValid = "certificate-not-valid", ERROR, [file, not_after];
    /// The private keys may reach the swap space.
    MemoryNotLocked = "memory-not-locked", WARN, [role];
    /// Fewer clients fit than `maximum_clients` says.
    DescriptorLimit = "descriptor-limit", WARN, [soft, hard, wanted];
    /// I2FTP is offered without TLS to more than this host.
    UnprotectedI2ftp = "unprotected-i2ftp", WARN, [address];
    /// Active data connections cannot come from port 20.
    NoPort20 = "no-port-20", WARN, [];
    /// Root lacks a capability here, as `[sandbox] without_capabilities` allows.
    MissingCapability = "missing-capability", WARN, [capability];
    /// A name in `[passive] address` cannot be looked up; what is announced meanwhile.
    PassiveAddress = "passive-address", WARN, [host, announced];
    /// A listening socket cannot be used any longer.
    ListenerFailed = "listener-failed", ERROR, [address];
    /// Descriptors or memory have run out; clients wait in the kernel's queue.
    AcceptFailed = "accept-failed", ERROR, [address];
    /// Clients that hang up are no longer noticed by the supervisor: a fault of this host.
    HangUpsLost = "hang-ups-lost", ERROR, [];
    /// systemd cannot be told what the server does.
    NotifyFailed = "notify-failed", WARN, [];
    /// A client was accepted.
    Connected = "connected", INFO, [session, client, port, service];
    /// Clients were turned away before anything was started for them: `penalty`, `server-full`,
    /// `address-full` or places of I2FTP. One line for a block, a reason and a second, with their
    /// number; of many blocks at once the rest is one line.
    Refused = "refused", WARN, [client, block, reason, count];
    /// An address block is refused from now on, for this cause.
    Penalty = "penalty", WARN, [client, cause];
    /// A client logged in.
    Login = "login", INFO, [session, client, account, uid, tls, tls_version, tls_cipher, tls_group, extended_master_secret];
    /// A name, password, code or key was wrong, or may not log in, and why; what fail2ban matches.
    LoginFailed = "login-failed", WARN, [session, client, user, reason];
    /// Somebody who has the password guesses at the code; no code of the account is judged for a
    /// while.
    SecondFactorGuessing = "second-factor-guessing", WARN, [session, client, account, reason];
    /// A login that was right was refused: `session-limit`, `tls-demanded`.
    LoginRefused = "login-refused", WARN, [session, client, account, reason];
    /// A login could not be judged: a fault of this host.
    LoginImpossible = "login-impossible", ERROR, [session, client, user];
    /// The account file has a fault; the last good one is used.
    Accounts = "accounts", ERROR, [];
    /// The session of an account cannot start: its root or its uid.
    SessionFailed = "session-failed", ERROR, [session, client, account];
    /// A PAM session could not be closed.
    PamSessionOpen = "pam-session-open", ERROR, [session, client, account, pid];
    /// A connection is over, after how long, and why.
    Disconnected = "disconnected", INFO, [session, client, seconds, reason];
    /// A file or a listing has moved, or why not to the end.
    Transfer = "transfer", INFO,
        [session, client, account, kind, path, bytes, seconds, rate, complete, reason, tls];
    /// Something was done to a file, or why not.
    File = "file", INFO, [session, client, account, operation, path, to, done, reason];
    /// A command was refused before anything was done.
    CommandRefused = "command-refused", INFO, [session, client, account, command, path, reason];
    /// An odd thing that a session has met.
    Notice = "notice", INFO, [session, client, account, text];
    /// A process did what it must not: its role, and the system call if it was one.
    Violation = "violation", ERROR, [role, pid, session, client, account, how, what];
    /// A gate or session was killed: its client has hung up, or has not logged in in time, and it
    /// did not end by itself.
    ProcessOverdue = "process-overdue", WARN, [role, pid, session, client, account, reason, how];
    /// A process ended that should not have.
    ProcessDied = "process-died", ERROR, [role, pid, session, client, account, how, cause, what];
    /// A child that ended cannot be waited for: a fault of this host.
    NotReaped = "not-reaped", ERROR, [pid];
    /// A process that must always run cannot be started; it is tried again.
    ProcessFailed = "process-failed", ERROR, [role];
    /// Another helper or keeper has taken the place of one that died.
    ProcessStarted = "process-started", INFO, [role, pid];
    /// An operator did something that changes something.
    Operator = "operator", INFO, [uid, command, target];
    /// Somebody without the right, or without words, was at the control socket.
    OperatorRefused = "operator-refused", WARN, [];
}

/// Writes a line of the log: an [`Event`], its fields, and perhaps words.
#[macro_export]
macro_rules! log_event {
    ($variant:ident $(, $($rest:tt)*)?) => {
        ::tracing::event!(
            $crate::log::Event::$variant.level(),
            event = $crate::log::Event::$variant.name()
            $(, $($rest)*)?
        )
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e4_every_name_is_plain_and_its_own() {
        let mut names: Vec<&str> = Event::ALL.iter().map(|event| event.name()).collect();
        for name in &names {
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(name.bytes().all(plain), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Event::ALL.len());
    }
}
