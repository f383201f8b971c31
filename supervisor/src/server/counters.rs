//! What the server has done since its start, for the operator.

use std::cell::Cell;

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) connections: Cell<u64>,
    pub(super) refused: Cell<u64>,
    pub(super) logins: Cell<u64>,
    pub(super) failed_logins: Cell<u64>,
    pub(super) violations: Cell<u64>,
    pub(super) downloaded: Cell<u64>,
    pub(super) uploaded: Cell<u64>,
}

fn add(counter: &Cell<u64>, amount: u64) {
    counter.set(counter.get().saturating_add(amount));
}

impl Counters {
    /// A client was accepted.
    pub fn connection(&self) {
        add(&self.connections, 1);
    }
    /// A client got 421.
    pub fn refused(&self) {
        add(&self.refused, 1);
    }
    /// A login succeeded.
    pub fn login(&self) {
        add(&self.logins, 1);
    }
    /// A login failed.
    pub fn failed_login(&self) {
        add(&self.failed_logins, 1);
    }
    /// A process broke the rules or crashed.
    pub fn violation(&self) {
        add(&self.violations, 1);
    }
    /// Bytes were moved.
    pub fn moved(&self, downloaded: u64, uploaded: u64) {
        add(&self.downloaded, downloaded);
        add(&self.uploaded, uploaded);
    }
}
