//! The authenticator: judges one attempt to log in, answers, and ends.
//!
//! Run by the supervisor as `bulkhead authenticator`, one process per attempt, with its channel as
//! standard input. It holds one attempt's secret and reads the account file or asks PAM. The bytes
//! of a client reach it only as the bounded values of one decoded message, and it locks itself down
//! before it looks at them.

use std::process::ExitCode;

use ipc::{
    Channel, ChannelError,
    authenticator::{AuthenticatorToSupervisor, Backend, SupervisorToAuthenticator, Verdict},
    fdpass, last_words,
};
use policy::{Feature, Features, Role};
use time::OffsetDateTime;

use crate::account::judge::{Circumstances, judge};

type Supervisor = Channel<AuthenticatorToSupervisor, SupervisorToAuthenticator>;

/// Runs the authenticator; its exit code says whether an answer was given.
pub fn run() -> ExitCode {
    // Standard error is /dev/null here: what failed shows in the exit code alone, and the
    // supervisor logs an attempt without an answer.
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> Result<(), ChannelError> {
    fdpass::close_from(3)?;
    last_words::install(0)?;
    let supervisor: Supervisor = Channel::from_fd(fdpass::inherited_channel()?);
    let SupervisorToAuthenticator::Attempt { confinement, settings, client, tls, attempt } =
        supervisor.recv()?.message;
    let pam = settings.backends.contains(&Backend::Pam);
    let features = Features::NONE.with_if(pam, Feature::Pam);
    let locked = match policy::lockdown(Role::Authenticator, &confinement, features, None) {
        Ok(locked) => locked,
        Err(failure) => {
            return supervisor.send(&AuthenticatorToSupervisor::Failed(failure), &[]);
        }
    };
    supervisor.send(&AuthenticatorToSupervisor::Ready(locked.report().clone()), &[])?;
    let now = OffsetDateTime::now_utc();
    // A warning that cannot be sent is followed by a verdict that cannot be sent.
    let warn = |text| drop(supervisor.send(&AuthenticatorToSupervisor::Warning(text), &[]));
    let circumstances = Circumstances { settings: &settings, client, tls, now, warn: &warn };
    let verdict: Verdict = judge(&circumstances, &attempt);
    supervisor.send(&AuthenticatorToSupervisor::Verdict(verdict), &[])
}
