//! The device of a user with a second factor.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use totp_rs::{Builder, Secret};

/// The code of a secret now, at least ten seconds before it changes.
pub fn one_time_code(secret: &str) -> String {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    while now() % 30 > 20 {
        std::thread::sleep(Duration::from_millis(200));
    }
    let secret = Secret::try_from_base32(secret).unwrap();
    Builder::new().with_secret(secret).build().unwrap().generate(now()).to_string()
}
