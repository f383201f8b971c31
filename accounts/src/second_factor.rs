//! The second factor: one-time codes (RFC 6238) and recovery codes, each accepted once.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::{constant_time, digest};
use rustix::fs::{FlockOperation, flock};
use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

use super::{
    guesses::{Guesses, GuessesFile},
    store::SecondFactor,
};

/// Digits of a code.
pub const DIGITS: usize = 6;
/// Seconds of one step.
const STEP: u64 = 30;
/// Steps a code may be early or late.
const SKEW: u16 = 1;
/// Steps that are looked through to tell a wrong clock from a wrong code: one hour and a bit.
const CLOCK_SKEW: u16 = 125;

/// What a code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Right, and now used.
    Right,
    /// Wrong.
    Wrong,
    /// It was right once.
    Used,
    /// Right for another time, so many seconds away: a clock is off.
    ClockOff(i64),
    /// Right now, but one of so many seconds ahead has been accepted: the clock was set back.
    ClockSetBack(u64),
    /// Somebody guesses: not judged, or wrong and the last one that is for a while.
    Guessing {
        /// Wrong codes since the last right one.
        wrong: u32,
        /// Seconds until a code is judged again.
        wait: u64,
    },
}

/// Why a second factor cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum SecondFactorError {
    /// The stored secret is damaged.
    #[error("the secret of the second factor is damaged; enrol anew with `bulkhead user totp`")]
    Secret,
    /// Used codes cannot be remembered, so that none can be accepted.
    #[error("used codes cannot be remembered in {}: {error}", path.display())]
    Memory {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// The generator of a stored secret.
///
/// # Errors
/// When the secret is damaged.
pub fn generator(factor: &SecondFactor, skew: u16) -> Result<Totp, SecondFactorError> {
    let secret =
        Secret::try_from_base32(factor.secret.expose()).map_err(|_| SecondFactorError::Secret)?;
    Builder::new()
        .with_secret(secret)
        .with_skew(skew)
        .with_step_duration(STEP)
        .build()
        .map_err(|_| SecondFactorError::Secret)
}

/// Judges a code of `name` at `now` (Unix time) and, when it is right, marks it as used, so that of
/// two simultaneous logins with one code exactly one wins, and none after a restart. Wrong ones are
/// counted; after a handful no code is judged for a while, right or wrong.
///
/// # Errors
/// When the secret is damaged, or used or wrong codes cannot be remembered.
pub fn judge(
    state_directory: &Path,
    name: &str,
    factor: &SecondFactor,
    code: &[u8],
    now: u64,
) -> Result<Judgement, SecondFactorError> {
    counted(&memory_path(state_directory, name).with_extension("guesses"), now, || {
        judge_code(state_directory, name, factor, code, now)
    })
}

/// Has a code judged, unless there were too many wrong ones, and counts it if it is wrong.
fn counted(
    path: &Path,
    now: u64,
    judge: impl FnOnce() -> Result<Judgement, SecondFactorError>,
) -> Result<Judgement, SecondFactorError> {
    let failed = |error| SecondFactorError::Memory { path: path.to_owned(), error };
    let mut file = GuessesFile::open(path).map_err(failed)?;
    let Guesses { wrong, .. } = file.guesses;
    if let Some(wait) = file.guesses.wait(now) {
        return Ok(Judgement::Guessing { wrong, wait });
    }
    let judgement = judge()?;
    match judgement {
        Judgement::Right => file.write(Guesses::default()).map_err(failed)?,
        Judgement::Wrong | Judgement::ClockOff(_) => {
            let guesses = file.guesses.with_wrong(now);
            file.write(guesses).map_err(failed)?;
            if let Some(wait) = guesses.wait(now) {
                return Ok(Judgement::Guessing { wrong: guesses.wrong, wait });
            }
        }
        Judgement::Used | Judgement::ClockSetBack(_) | Judgement::Guessing { .. } => {}
    }
    Ok(judgement)
}

fn judge_code(
    state_directory: &Path,
    name: &str,
    factor: &SecondFactor,
    code: &[u8],
    now: u64,
) -> Result<Judgement, SecondFactorError> {
    let code = plain(code);
    if code.len() != DIGITS || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return judge_recovery(state_directory, name, factor, &code);
    }
    let this_step = now / STEP;
    let right = generator(factor, SKEW)?.check(&code, now);
    let Some(step) = right.or(generator(factor, CLOCK_SKEW)?.check(&code, now)) else {
        return Ok(Judgement::Wrong);
    };
    let mut memory = Memory::open(state_directory, name)?;
    // An older code than the last one is a replay too (RFC 6238 section 5.2).
    if let Some(last) = memory.last_step.filter(|last| step <= *last) {
        let ahead = last.saturating_sub(this_step);
        return Ok(match ahead > u64::from(SKEW) {
            true => Judgement::ClockSetBack(ahead.saturating_mul(STEP)),
            false => Judgement::Used,
        });
    }
    if right.is_none() {
        let seconds = i64::try_from(step.abs_diff(this_step).saturating_mul(STEP));
        let seconds = seconds.unwrap_or(i64::MAX);
        return Ok(Judgement::ClockOff(if step < this_step { -seconds } else { seconds }));
    }
    memory.last_step = Some(step);
    memory.write()?;
    Ok(Judgement::Right)
}

/// A code as it is compared: blanks and dashes, which people type between groups, are no part of it.
fn plain(code: &[u8]) -> Zeroizing<String> {
    let mut plain = Zeroizing::new(String::with_capacity(code.len()));
    plain.extend(
        code.iter()
            .filter(|byte| !byte.is_ascii_whitespace() && **byte != b'-')
            .map(|byte| char::from(byte.to_ascii_lowercase())),
    );
    plain
}

/// Whether a code that stands behind a password is one of this moment; used or not, and without using
/// it. Whether the password before it is right is not known here, so the wrong ones have a count of
/// their own: after a handful of them no code behind a password is looked at for a while.
///
/// # Errors
/// When the secret is damaged, or wrong codes cannot be remembered.
pub fn is_right(
    state_directory: &Path,
    name: &str,
    factor: &SecondFactor,
    code: &[u8],
    now: u64,
) -> Result<bool, SecondFactorError> {
    let path = memory_path(state_directory, name).with_extension("glued");
    let judge = || {
        let right = generator(factor, SKEW)?.check(&plain(code), now).is_some();
        Ok(if right { Judgement::Right } else { Judgement::Wrong })
    };
    Ok(counted(&path, now, judge)? == Judgement::Right)
}

fn judge_recovery(
    state_directory: &Path,
    name: &str,
    factor: &SecondFactor,
    code: &str,
) -> Result<Judgement, SecondFactorError> {
    let hash = recovery_hash(code);
    let known = |all: &[String]| {
        all.iter().any(|one| {
            constant_time::verify_slices_are_equal(one.as_bytes(), hash.as_bytes()).is_ok()
        })
    };
    if !known(&factor.recovery) {
        return Ok(Judgement::Wrong);
    }
    let mut memory = Memory::open(state_directory, name)?;
    if known(&memory.recovery) {
        return Ok(Judgement::Used);
    }
    memory.recovery.push(hash);
    memory.write()?;
    Ok(Judgement::Right)
}

/// The stored form of a recovery code. Eighty random bits need no slow hash.
pub fn recovery_hash(code: &str) -> String {
    hex(digest::digest(&digest::SHA256, code.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Forgets which codes of `name` were used; for a new secret.
///
/// # Errors
/// When the file is there and cannot be removed.
pub fn forget(state_directory: &Path, name: &str) -> Result<(), SecondFactorError> {
    let used = memory_path(state_directory, name);
    for path in [used.with_extension("guesses"), used.with_extension("glued"), used] {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(SecondFactorError::Memory { path, error });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Remembers the used codes of an account under its new name.
///
/// # Errors
/// When the file is there and cannot be renamed.
pub fn rename(state_directory: &Path, name: &str, new: &str) -> Result<(), SecondFactorError> {
    let (path, to) = (memory_path(state_directory, name), memory_path(state_directory, new));
    match std::fs::rename(&path, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(SecondFactorError::Memory { path, error })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The file name is a hash, so that no name of an account means anything to the file system.
fn memory_path(state_directory: &Path, name: &str) -> PathBuf {
    let hash = hex(digest::digest(&digest::SHA256, name.as_bytes()).as_ref());
    state_directory.join("second-factor").join(hash)
}

fn damaged() -> io::Error {
    let what = "the file is damaged; enrol anew with `bulkhead user totp`";
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// What was used by one account: a file under an exclusive lock for as long as this lives.
struct Memory {
    path: PathBuf,
    file: File,
    last_step: Option<u64>,
    recovery: Vec<String>,
}

impl Memory {
    fn open(state_directory: &Path, name: &str) -> Result<Memory, SecondFactorError> {
        let path = memory_path(state_directory, name);
        Self::open_at(&path).map_err(|error| SecondFactorError::Memory { path, error })
    }

    fn open_at(path: &Path) -> io::Result<Memory> {
        if let Some(directory) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let mut memory =
            Memory { path: path.to_owned(), file, last_step: None, recovery: Vec::new() };
        for line in text.lines() {
            match line.split_once(' ') {
                // A step that cannot be read must not count as none, or a code would work twice.
                Some(("step", step)) => {
                    memory.last_step = Some(step.parse().map_err(|_| damaged())?);
                }
                Some(("recovery", hash)) => memory.recovery.push(hash.to_owned()),
                Some(_) | None => return Err(damaged()),
            }
        }
        Ok(memory)
    }

    fn write(&mut self) -> Result<(), SecondFactorError> {
        let mut text = String::new();
        if let Some(step) = self.last_step {
            text.push_str(&format!("step {step}\n"));
        }
        for hash in &self.recovery {
            text.push_str(&format!("recovery {hash}\n"));
        }
        let written = self.overwrite(&text);
        written.map_err(|error| SecondFactorError::Memory { path: self.path.clone(), error })
    }

    fn overwrite(&mut self, text: &str) -> io::Result<()> {
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())?;
        self.file.set_len(u64::try_from(text.len()).unwrap_or(u64::MAX))?;
        self.file.sync_data()
    }
}
