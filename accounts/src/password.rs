//! Password hashes: argon2id for new ones, and the crypt(3) formats that imported files bring.

use argon2::{
    Argon2,
    password_hash::{Error, PasswordHasher, PasswordVerifier, phc},
};
use sha_crypt::ShaCrypt;
use yescrypt::Yescrypt;

/// A hash of nothing anybody knows, with the parameters of [`hash`]: what an unknown name is judged
/// against while no account has a password.
pub const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$B1D8Sr9taeVWv90NlKmg3Q$bulkheadbulkheadbulkheadbulkheadbulkheadbuA";

/// A stored hash is in no format this program knows, or is damaged.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "the password hash is in no known format ($argon2id$, $2b$, $5$, $6$ or $y$); set the password \
     anew with `bulkhead user passwd`"
)]
pub struct UnknownHash;

/// The password cannot be hashed.
#[derive(Debug, thiserror::Error)]
#[error("the password cannot be hashed: {0}")]
pub struct HashFailure(String);

/// Hashes a new password with argon2id (19 MiB, two passes, one lane: RFC 9106 and OWASP) and a
/// random salt.
///
/// # Errors
/// When the system has no random numbers or memory.
pub fn hash(password: &[u8]) -> Result<String, HashFailure> {
    let salt = random::<16>().map_err(|e| HashFailure(e.to_string()))?;
    let hash: phc::PasswordHash = Argon2::default()
        .hash_password_with_salt(password, &salt)
        .map_err(|e| HashFailure(e.to_string()))?;
    Ok(hash.to_string())
}

/// Random bytes from the kernel.
///
/// # Errors
/// As getrandom(2).
pub fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0u8; N];
    let mut rest = bytes.as_mut_slice();
    while !rest.is_empty() {
        let got = rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty())?;
        rest = rest.get_mut(got..).unwrap_or_default();
    }
    Ok(bytes)
}

/// Whether `password` is the one that `hash` was made of.
///
/// # Errors
/// [`UnknownHash`] when the hash cannot be read.
pub fn verify(hash: &str, password: &[u8]) -> Result<bool, UnknownHash> {
    if hash.starts_with("$argon2") {
        let parsed = phc::PasswordHash::new(hash).map_err(|_| UnknownHash)?;
        judged(Argon2::default().verify_password(password, &parsed))
    } else if hash.starts_with("$2") {
        // bcrypt reads 72 bytes of a password; every program that made such a hash cut it there.
        bcrypt::verify(password, hash).map_err(|_| UnknownHash)
    } else if hash.starts_with("$5$") || hash.starts_with("$6$") {
        judged(ShaCrypt::default().verify_password(password, hash))
    } else if hash.starts_with("$y$") {
        judged(Yescrypt::default().verify_password(password, hash))
    } else {
        Err(UnknownHash)
    }
}

/// Whether [`verify`] can read the hash: a damaged one is found when the account file is read, not
/// when somebody logs in.
pub fn is_known(hash: &str) -> bool {
    let fields: Vec<&str> = hash.split('$').collect();
    match fields.as_slice() {
        ["", "argon2id" | "argon2i" | "argon2d", ..] => phc::PasswordHash::new(hash).is_ok(),
        ["", "2a" | "2b" | "2x" | "2y", ..] => hash.parse::<bcrypt::HashParts>().is_ok(),
        ["", "5", middle @ .., sum] => is_sha_crypt(middle) && is_sum(sum, 43),
        ["", "6", middle @ .., sum] => is_sha_crypt(middle) && is_sum(sum, 86),
        ["", "y", parameters, salt, sum] => {
            parameters.parse::<yescrypt::Params>().is_ok() && is_crypt_text(salt) && is_sum(sum, 43)
        }
        _ => false,
    }
}

/// What stands between the method and the sum: perhaps the rounds, and the salt.
fn is_sha_crypt(middle: &[&str]) -> bool {
    match middle {
        [salt] => is_crypt_text(salt),
        [rounds, salt] => rounds.parse::<sha_crypt::Params>().is_ok() && is_crypt_text(salt),
        _ => false,
    }
}

fn is_sum(sum: &str, length: usize) -> bool {
    sum.len() == length && is_crypt_text(sum)
}

/// The letters that a salt or a sum may have.
fn is_crypt_text(text: &str) -> bool {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"./+=,-".contains(&byte);
    !text.is_empty() && text.bytes().all(may)
}

fn judged(result: Result<(), Error>) -> Result<bool, UnknownHash> {
    match result {
        Ok(()) => Ok(true),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(_) => Err(UnknownHash),
    }
}
