//! `bulkhead policy container`: what a container has to be started with, from the policies' data.

use std::{collections::BTreeSet, process::ExitCode};

use config::Config;
use ipc::authenticator::Backend;
use policy::{Role, policy_of};

use super::{super::Failure, say};

/// Prints the options of docker and podman.
///
/// # Errors
/// When a policy does not decode.
pub fn print(config: Option<&Config>) -> Result<ExitCode, Failure> {
    let mut options = vec!["--cap-drop=ALL".to_owned()];
    options.extend(capabilities(config)?.iter().map(|name| format!("--cap-add={name}")));
    options.extend(["--security-opt=no-new-privileges", "--read-only"].map(str::to_owned));
    say(options.join(" "));
    Ok(ExitCode::SUCCESS)
}

/// What the supervisor does not begin without, what the helper holds, and what this configuration
/// needs besides: PAM's modules, and the admin group, to which the control socket is given.
fn capabilities(config: Option<&Config>) -> Result<BTreeSet<String>, Failure> {
    let mut names = BTreeSet::new();
    let supervisor = policy_of(Role::Supervisor)?.capabilities;
    names.extend(supervisor.into_iter().filter(|c| c.needed).map(|c| c.name));
    names.extend(policy_of(Role::Helper)?.capabilities.into_iter().map(|c| c.name));
    let Some(config) = config else { return Ok(names) };
    if config.auth.backends.contains(&Backend::Pam) {
        names.extend(policy_of(Role::PamAuthenticator)?.capabilities.into_iter().map(|c| c.name));
    }
    if config.admin_group.is_some() {
        names.insert("CHOWN".to_owned());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_container_gets_what_its_configuration_needs() {
        let of = |text: &str| {
            let config = Config::parse(Path::new("bulkhead.toml"), text).unwrap();
            capabilities(Some(&config)).unwrap().into_iter().collect::<Vec<_>>().join(" ")
        };
        let least = "KILL NET_BIND_SERVICE SETGID SETPCAP SETUID SYS_CHROOT";
        assert_eq!(of(""), least);
        assert_eq!(of("admin_group = \"adm\"\n"), format!("CHOWN {least}"));
        let pam = of("[auth]\nbackends = [\"pam\"]\n");
        assert!(pam.starts_with("AUDIT_WRITE CHOWN DAC_OVERRIDE DAC_READ_SEARCH KILL"), "{pam}");
    }
}
