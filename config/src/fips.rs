//! The host's FIPS mode, and the one thing we serve that it forbids: I2FTP, whose login and packets
//! rest on MD5, with or without TLS around them.

use std::{fs, path::Path};

use crate::Config;

/// Where the kernel says whether it is in FIPS mode. Kernels that know no such mode lack the file.
pub const INDICATOR: &str = "/proc/sys/crypto/fips_enabled";

/// Why this configuration is not served on a host whose kernel has this indicator.
pub fn objection(config: &Config, indicator: &Path) -> Option<String> {
    if config.i2ftp.is_none() || !is_on(indicator) {
        return None;
    }
    Some(format!(
        "I2FTP rests on MD5, which the FIPS mode of this host forbids ({} says 1); write \
         `enabled = false` below [i2ftp]",
        indicator.display()
    ))
}

fn is_on(indicator: &Path) -> bool {
    match fs::read_to_string(indicator) {
        Ok(text) => text.trim() != "0",
        Err(e) => e.kind() != std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const I2FTP: &str = "[i2ftp]\nenabled = true\nroot = \"/srv\"\n\
         key_hex = \"00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff\"\n";

    fn objection_to(configuration: &str, indicator: Option<&str>) -> Option<String> {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("fips_enabled");
        if let Some(says) = indicator {
            fs::write(&file, says).unwrap();
        }
        let config = Config::parse(Path::new("bulkhead.toml"), configuration).unwrap();
        objection(&config, &file)
    }

    #[test]
    fn i2ftp_is_not_served_in_fips_mode() {
        assert!(objection_to(I2FTP, Some("1\n")).unwrap().contains("MD5"));
        assert_eq!(objection_to(I2FTP, Some("0\n")), None);
        assert_eq!(objection_to(I2FTP, None), None);
        assert_eq!(objection_to("", Some("1\n")), None);
    }

    #[test]
    fn an_indicator_that_cannot_be_read_counts_as_on() {
        // A directory in its place is there and cannot be read.
        let scratch = tempfile::tempdir().unwrap();
        assert!(is_on(scratch.path()));
    }
}
