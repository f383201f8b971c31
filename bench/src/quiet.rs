//! Whether anybody else used the machine while something was measured.

use std::{fs, time::Instant};

/// The share of a core that others may use during a run that counts as quiet.
pub const QUIET: f64 = 0.05;
/// A tick of the kernel's clock for processes, in seconds (USER_HZ is 100 everywhere).
const TICK: f64 = 0.01;
/// Seconds that the ticks of three counters may be off in a short run.
const UNSURE: f64 = 0.04;

/// CPU seconds since the machine or the processes started.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spent {
    /// All processes of the machine.
    everybody: f64,
    /// The benchmark and its children that have ended.
    own: f64,
}

/// A watch over the time of one run.
pub struct Watch {
    begun: Instant,
    before: Option<Spent>,
    server: f64,
}

impl Watch {
    /// Begins; `server` is what the server under test has used so far, in CPU seconds.
    pub fn begin(server: f64) -> Watch {
        Watch { begun: Instant::now(), before: spent(), server }
    }

    /// The share of a core that others used since, if it is more than a quiet machine's.
    pub fn disturbance(&self, server: f64) -> Option<f64> {
        let (before, after) = (self.before?, spent()?);
        share(before, after, server - self.server, self.begun.elapsed().as_secs_f64())
    }
}

fn share(before: Spent, after: Spent, server: f64, wall: f64) -> Option<f64> {
    let others = after.everybody - before.everybody - (after.own - before.own) - server;
    let share = (others - UNSURE).max(0.0) / wall.max(TICK);
    (share > QUIET).then_some(share)
}

fn spent() -> Option<Spent> {
    let everybody = everybody(&fs::read_to_string("/proc/stat").ok()?)?;
    let own = own(&fs::read_to_string("/proc/self/stat").ok()?)?;
    Some(Spent { everybody, own })
}

/// User, nice and system time of all processors. Interrupts are left out: those of the measured
/// connections are nobody's.
fn everybody(stat: &str) -> Option<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<f64> =
        line.split_whitespace().take(3).filter_map(|field| field.parse().ok()).collect();
    (ticks.len() == 3).then(|| ticks.iter().sum::<f64>() * TICK)
}

/// User and system time of a process and of its children that have ended (proc_pid_stat(5), fields 14
/// to 17).
fn own(stat: &str) -> Option<f64> {
    // The name of the program, in parentheses, may have spaces and parentheses.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: Vec<f64> =
        fields.split(' ').skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    (ticks.len() == 4).then(|| ticks.iter().sum::<f64>() * TICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_of_proc_are_read() {
        let stat = "cpu  100 20 30 4000 5 6 7 0 0 0\ncpu0 1 2 3\n";
        assert!((everybody(stat).unwrap() - 1.5).abs() < 1e-9);
        let own_line = "77 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 22 1 2 0 20\n";
        assert!((own(own_line).unwrap() - 0.36).abs() < 1e-9, "{:?}", own(own_line));
        assert!(everybody("").is_none() && own("77 (a").is_none());
        assert!(spent().is_some());
    }

    #[test]
    fn a_run_is_not_quiet_while_others_use_more_than_a_twentieth_of_a_core() {
        let (before, after) =
            (Spent { everybody: 100.0, own: 10.0 }, Spent { everybody: 103.0, own: 11.0 });
        // Three seconds: one our own, two the server's, none anybody else's.
        assert_eq!(share(before, after, 2.0, 2.0), None);
        // A second was somebody else's: half a core.
        let disturbed = share(before, after, 1.0, 2.0).unwrap();
        assert!((0.4..0.5).contains(&disturbed), "{disturbed}");
        // A twentieth of a long run is quiet, a little more is not.
        assert_eq!(share(before, after, 1.9, 2.0), None);
        assert!(share(before, after, 1.8, 2.0).is_some());
    }
}
