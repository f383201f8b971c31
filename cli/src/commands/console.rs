//! What the command line prints and asks. A reader that goes away (`bulkhead user list | head`)
//! is no error.

use std::{
    error::Error,
    fmt,
    io::{self, BufRead, IsTerminal, Write},
};

use zeroize::Zeroizing;

use super::Failure;

/// Prints a line.
pub fn say(line: impl fmt::Display) {
    // Standard output that cannot be written has no one to tell.
    writeln!(io::stdout().lock(), "{line}").unwrap_or_default();
}

/// Prints a line to standard error, where it does not get into what is piped on.
pub fn warn(line: impl fmt::Display) {
    writeln!(io::stderr().lock(), "{line}").unwrap_or_default();
}

/// A number and what it counts, in the right number: `1 account`, `2 accounts`.
pub fn counted<N: TryInto<u64>>(number: N, what: &str) -> String {
    // None counts above this.
    let number = number.try_into().unwrap_or(u64::MAX);
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// A text of a file with what a terminal would obey, or not show, written out.
pub fn escape(text: &str) -> String {
    ipc::printable::printable(text)
}

/// Prints an error with its causes, each once.
pub fn complain(error: &dyn Error) {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let message = next.to_string();
        if !text.ends_with(&message) {
            text = format!("{text}: {message}");
        }
        cause = next.source();
    }
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let mut out = io::stderr().lock();
    writeln!(out, "bulkhead: {first}").unwrap_or_default();
    for line in lines {
        writeln!(out, "bulkhead: {line}").unwrap_or_default();
    }
}

/// A new password: the first line of standard input, or typed twice without echo.
///
/// # Errors
/// When there is none, or it cannot be used.
pub fn new_password(from_stdin: bool) -> Result<Zeroizing<String>, Failure> {
    let password = if from_stdin {
        let mut line = Zeroizing::new(String::new());
        io::stdin().lock().read_line(&mut line)?;
        Zeroizing::new(line.trim_end_matches(['\n', '\r']).to_owned())
    } else if io::stdin().is_terminal() {
        let typed = dialoguer::Password::new()
            .with_prompt("Password")
            .with_confirmation("The same again", "The two are not the same; try again.")
            .interact()?;
        Zeroizing::new(typed)
    } else {
        return Err("standard input is no terminal; write the password to it and give \
                    --password-stdin"
            .into());
    };
    if password.is_empty() {
        return Err("the password is empty; an account needs one".into());
    }
    if password.len() > ipc::bounded::Secret::MAX {
        return Err(format!(
            "the password is longer than {} bytes, which no client can send",
            ipc::bounded::Secret::MAX
        )
        .into());
    }
    if password.chars().any(char::is_control) {
        return Err(
            "the password contains a control character, which no FTP client can send".into()
        );
    }
    Ok(password)
}
