//! How long a gate or a session may go on, whatever it says itself (invariants I9, I13). Pure: the
//! caller brings the time.

use std::time::Duration;

use ipc::share::{Rate, Share};
use tokio::time::Instant;

/// What a gate's own timer may be late by.
const LOGIN_SLACK: Duration = Duration::from_secs(5);
/// How long a gate may outlive its client while nothing is judged: clients that are pipes close
/// before they have read.
const GATE_AFTER_HANG_UP: Duration = Duration::from_secs(5);
/// The same of a session, which may finish what it does; with what its end takes, a minute in all.
const SESSION_AFTER_HANG_UP: Duration = Duration::from_secs(55);
/// How long a process may take to end after it was told to.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long a session may take to end after a kick.
const AFTER_KICK: Duration = Duration::from_secs(3);

/// Why a gate or session is ended by the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// Nobody has logged in in time.
    Login,
    /// The client has hung up.
    HungUp,
    /// It was told to end and did not.
    Farewell,
}

/// A deadline and what has happened when it is past.
pub type Deadline = (Instant, Overdue);

/// The deadlines of a gate.
#[derive(Debug)]
pub struct GateDeadlines {
    login: Option<Instant>,
    /// When the gate was last answered, or got its client.
    answered: Instant,
    farewell: Option<Instant>,
}

impl GateDeadlines {
    /// Those of a gate that gets its client now. `login_timeout` in seconds; 0 = no limit.
    pub fn new(now: Instant, login_timeout: u64) -> GateDeadlines {
        let login = Duration::from_secs(login_timeout).saturating_add(LOGIN_SLACK);
        GateDeadlines {
            login: (login_timeout != 0).then(|| now.checked_add(login)).flatten(),
            answered: now,
            farewell: None,
        }
    }

    /// An attempt to log in has been judged.
    pub fn answered(&mut self, now: Instant) {
        self.answered = now;
    }

    /// The gate has been told to end. Nothing that it says is obeyed from now on.
    pub fn end(&mut self, now: Instant) {
        self.farewell.get_or_insert(now + FAREWELL);
    }

    /// Whether the gate has been told to end.
    pub fn is_ending(&self) -> bool {
        self.farewell.is_some()
    }

    /// The first deadline. `hung_up`: when the client hung up, if it has.
    pub fn first(&self, hung_up: Option<Instant>) -> Option<Deadline> {
        let hung_up = hung_up.map(|at| at.max(self.answered) + GATE_AFTER_HANG_UP);
        first([
            self.login.map(|at| (at, Overdue::Login)),
            hung_up.map(|at| (at, Overdue::HungUp)),
            self.farewell.map(|at| (at, Overdue::Farewell)),
        ])
    }
}

/// The deadlines of a session.
#[derive(Debug, Default)]
pub struct SessionDeadlines {
    farewell: Option<Instant>,
}

impl SessionDeadlines {
    /// The session has been kicked.
    pub fn kick(&mut self, now: Instant) {
        self.farewell.get_or_insert(now + AFTER_KICK);
    }

    /// The first deadline, as that of a gate.
    pub fn first(&self, hung_up: Option<Instant>) -> Option<Deadline> {
        first([
            hung_up.map(|at| (at + SESSION_AFTER_HANG_UP, Overdue::HungUp)),
            self.farewell.map(|at| (at, Overdue::Farewell)),
        ])
    }
}

fn first<const N: usize>(deadlines: [Option<Deadline>; N]) -> Option<Deadline> {
    deadlines.into_iter().flatten().min_by_key(|(at, _)| *at)
}

/// How often a helper or keeper is asked whether it still serves.
const PING_EVERY: Duration = Duration::from_secs(3);
/// How long it may take to answer.
const PONG_TIMEOUT: Duration = Duration::from_secs(5);
/// Sessions that a helper or keeper may accuse of a violation: more than there are attackers, and
/// fewer than a captured one would like to end.
const ACCUSATIONS: Rate = Rate::new(1, 100);

/// Why the supervisor no longer listens to a helper or keeper.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// Its channel has ended.
    #[error("{0}")]
    Ended(String),
    /// It did not answer a `Ping` in time.
    #[error("it has not answered for {} s", PONG_TIMEOUT.as_secs())]
    Silent,
    /// It had more sessions ended than there are attackers.
    #[error("it accuses more sessions than it may")]
    Accuses,
}

impl Gone {
    /// How long it may take to end by itself.
    pub fn patience(&self) -> Duration {
        match self {
            Gone::Ended(_) => Duration::from_millis(200),
            Gone::Silent | Gone::Accuses => Duration::ZERO,
        }
    }
}

/// What is due in the watch over a helper or keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// To send a `Ping`.
    Ask,
    /// To replace it: the last `Ping` has no answer.
    Silent,
}

/// The watch over a helper or keeper: whether it answers, and how many sessions it has ended.
#[derive(Debug)]
pub struct Watch {
    due: Instant,
    asked: bool,
    accusations: Share,
}

impl Watch {
    /// Over a process that has just become ready.
    pub fn new(now: Instant) -> Watch {
        let accusations = Share::new(ACCUSATIONS, now.into_std());
        Watch { due: now + PING_EVERY, asked: false, accusations }
    }

    /// Waits until something is due. Cancelling loses nothing.
    pub async fn beat(&mut self) -> Beat {
        tokio::time::sleep_until(self.due).await;
        self.next(Instant::now())
    }

    fn next(&mut self, now: Instant) -> Beat {
        if self.asked {
            return Beat::Silent;
        }
        self.asked = true;
        self.due = now + PONG_TIMEOUT;
        Beat::Ask
    }

    /// It has answered.
    pub fn answered(&mut self, now: Instant) {
        self.asked = false;
        self.due = now + PING_EVERY;
    }

    /// Counts a session that it wants ended; whether it may.
    pub fn may_accuse(&mut self, now: std::time::Instant) -> bool {
        self.accusations.charge(1, now);
        self.accusations.wait(now).is_none()
    }
}

/// Waits for a deadline; for ever when there is none.
pub async fn past(deadline: Option<Deadline>) -> Overdue {
    match deadline {
        Some((at, overdue)) => {
            tokio::time::sleep_until(at).await;
            overdue
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a4_a_gate_has_its_time_to_log_in_whatever_it_says() {
        let now = Instant::now();
        let mut gate = GateDeadlines::new(now, 60);
        gate.answered(now + 59 * SECOND);
        assert_eq!(gate.first(None), Some((now + 65 * SECOND, Overdue::Login)));
        assert_eq!(GateDeadlines::new(now, 0).first(None), None);
    }

    #[test]
    fn a4_a_gate_outlives_its_client_by_five_seconds_behind_the_last_answer() {
        let now = Instant::now();
        let mut gate = GateDeadlines::new(now, 60);
        let hung_up = Some(now + SECOND);
        assert_eq!(gate.first(hung_up), Some((now + 6 * SECOND, Overdue::HungUp)));
        gate.answered(now + 3 * SECOND);
        assert_eq!(gate.first(hung_up), Some((now + 8 * SECOND, Overdue::HungUp)));
    }

    #[test]
    fn a4_a_gate_that_was_told_to_end_gets_no_more_time_by_being_told_again() {
        let now = Instant::now();
        let mut gate = GateDeadlines::new(now, 60);
        assert!(!gate.is_ending());
        gate.end(now);
        gate.end(now + SECOND);
        assert!(gate.is_ending());
        assert_eq!(gate.first(None), Some((now + 2 * SECOND, Overdue::Farewell)));
    }

    #[test]
    fn a16_a_session_is_over_a_minute_after_its_client() {
        let now = Instant::now();
        let mut session = SessionDeadlines::default();
        assert_eq!(session.first(None), None);
        let (at, overdue) = session.first(Some(now)).unwrap();
        assert_eq!(overdue, Overdue::HungUp);
        assert!(at + 2 * SECOND <= now + 60 * SECOND);
        session.kick(now);
        assert_eq!(session.first(Some(now)), Some((now + 3 * SECOND, Overdue::Farewell)));
    }

    #[test]
    fn i9_who_does_not_answer_a_ping_in_time_is_silent_and_who_does_is_asked_again() {
        let now = Instant::now();
        let mut watch = Watch::new(now);
        assert_eq!(watch.next(watch.due), Beat::Ask);
        assert_eq!(watch.due, now + PING_EVERY + PONG_TIMEOUT);
        watch.answered(now + 4 * SECOND);
        assert_eq!(watch.next(watch.due), Beat::Ask);
        assert_eq!(watch.next(watch.due), Beat::Silent);
    }

    #[test]
    fn a10_a_captured_helper_cannot_end_every_session() {
        let now = std::time::Instant::now();
        let mut watch = Watch::new(Instant::now());
        let accused = (0..10_000).take_while(|_| watch.may_accuse(now)).count();
        assert!((50..=200).contains(&accused), "{accused}");
    }
}
