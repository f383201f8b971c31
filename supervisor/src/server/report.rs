//! What the server says of itself: its processes, its counters, its sandbox layers.

use std::time::Duration;

use ipc::{
    account::{Identity, SessionId},
    authenticator::Backend,
    operator::{ProcessRow, Status},
    process::{LandlockDemand, SandboxReport},
};

use super::{Phase, Server};

impl Server {
    /// Every process of the server, for `bulkhead policy verify`.
    pub fn process_rows(&self) -> Vec<ProcessRow> {
        let config = self.config();
        let own = |role: &str, pid, identity: Option<&Identity>, report| ProcessRow {
            role: role.into(),
            pid,
            session: None,
            identity: identity.filter(|_| self.privileged).map(|i| (i.uid, i.gid)),
            report,
            features: Vec::new(),
        };
        let mut rows = vec![own("supervisor", std::process::id(), None, None)];
        if let Some((pid, report)) = self.helper.process() {
            rows.push(own("helper", pid, Some(&config.identities.helper), Some(report)));
        }
        if let Some((pid, report)) = self.keeper.process() {
            rows.push(own("keeper", pid, Some(&config.identities.keeper), Some(report)));
        }
        for (pid, report) in self.pool.reports() {
            rows.push(self.gate_row(pid, None, report));
        }
        rows.extend(self.processes.rows());
        rows
    }

    /// A gate, for `bulkhead policy verify`.
    pub fn gate_row(
        &self,
        pid: u32,
        session: Option<SessionId>,
        report: SandboxReport,
    ) -> ProcessRow {
        let gate = &self.config().identities.gate;
        ProcessRow {
            role: "gate".into(),
            pid,
            session,
            identity: self.privileged.then_some((gate.uid, gate.gid)),
            report: Some(report),
            features: Vec::new(),
        }
    }

    /// Counters and state, for the operator.
    pub fn status(&self) -> Status {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            uptime: Duration::from_secs(self.started.elapsed().as_secs()),
            listening: self.listening.borrow().clone(),
            draining: self.phase() != Phase::Serving,
            connections: self.census.total(),
            sessions: count(self.sessions.logged_in()),
            ready_gates: count(self.pool.ready()),
            connections_total: self.counters.connections.get(),
            refused_total: self.counters.refused.get(),
            logins_total: self.counters.logins.get(),
            failed_logins_total: self.counters.failed_logins.get(),
            violations_total: self.counters.violations.get(),
            bytes_downloaded: self.counters.downloaded.get(),
            bytes_uploaded: self.counters.uploaded.get(),
            layers: self.layers(),
            certificates: self.keeper.certificates(),
            log_lines_lost: crate::log::lost(),
        }
    }

    /// The sandbox layers, a line each, as a ready gate has raised them.
    pub fn layers(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.push(if self.privileged {
            "identity: every role and account runs under its own uid".into()
        } else {
            "identity: unprivileged, every process runs under the same uid".into()
        });
        if let Some((_, report)) = self.helper.process() {
            lines.push(match report.landlock_abi {
                0 => "landlock: off by configuration".to_owned(),
                abi if report.landlock_missing.is_empty() => {
                    format!("landlock: ABI {abi}, every right")
                }
                abi => {
                    format!("landlock: ABI {abi}, without {}", report.landlock_missing.join(", "))
                }
            });
            lines.push(format!(
                "seccomp: on; the helper may make {} system calls",
                report.system_calls
            ));
        }
        lines.extend(self.layer_of_pam());
        lines.extend(self.missing_capabilities());
        lines
    }

    fn missing_capabilities(&self) -> Option<String> {
        let policy = policy::policy_of(policy::Role::Supervisor).ok()?;
        let lacking = policy::lacking(&policy);
        (self.privileged && !lacking.is_empty())
            .then(|| format!("capabilities: root lacks {}, as configured", lacking.join(", ")))
    }

    /// PAM's modules need files and the network, so the scopes are all that Landlock holds them by.
    fn layer_of_pam(&self) -> Option<String> {
        let config = self.config();
        let pam = config.auth.backends.contains(&Backend::Pam);
        let on = config.landlock != LandlockDemand::Off;
        let nothing = self.authenticator.borrow().as_ref()?.landlock_abi == 0;
        (pam && on && nothing).then(|| {
            "landlock: nothing holds PAM's modules, for which it has the scopes alone; the kernel has \
             none (6.12 and later do)"
                .to_owned()
        })
    }
}
