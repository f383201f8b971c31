//! Penalties for address blocks that misbehave, in the manner of OpenSSH's PerSourcePenalties.
//!
//! A pure table: the caller brings the time. Penalties of a block add up, up to a ceiling, and run
//! down with time. Once they reach the floor, the block is refused until they have run out. The
//! table is bounded: when it is full, the penalty that would end first makes room, so that a flood
//! of addresses cannot push out the worst offender.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use ipc::operator::PenaltyRow;

use ipc::network::Network;

/// What a penalty is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A failed login.
    FailedLogin,
    /// A connection that ended without an attempt to log in.
    NoLogin,
    /// Not logged in within the time there is for it.
    GraceExceeded,
    /// The process that served the client crashed or broke its sandbox.
    Violation,
}

impl Cause {
    /// All causes.
    pub const ALL: [Cause; 4] =
        [Cause::FailedLogin, Cause::NoLogin, Cause::GraceExceeded, Cause::Violation];

    /// Its name in logs and lists.
    pub fn name(self) -> &'static str {
        match self {
            Cause::FailedLogin => "failed-login",
            Cause::NoLogin => "no-login",
            Cause::GraceExceeded => "grace-exceeded",
            Cause::Violation => "violation",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Cause::FailedLogin => 1,
            Cause::NoLogin => 2,
            Cause::GraceExceeded => 4,
            Cause::Violation => 8,
        }
    }
}

/// Whether an address is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It is.
    Welcome,
    /// It is refused for so long.
    Refused(Duration),
}

/// The penalty of one block.
#[derive(Debug, Clone, Copy)]
struct Penalty {
    ends: Instant,
    in_force: bool,
    last: Cause,
    causes: u8,
    failed_logins: u32,
}

/// The penalties of all blocks.
#[derive(Debug)]
pub struct Penalties {
    settings: config::Penalties,
    blocks: BTreeMap<Network, Penalty>,
    /// The same blocks in the order in which their penalties end.
    order: BTreeSet<(Instant, Network)>,
}

impl Penalties {
    /// An empty table.
    pub fn new(settings: config::Penalties) -> Penalties {
        Penalties { settings, blocks: BTreeMap::new(), order: BTreeSet::new() }
    }

    /// Takes on new settings. Penalties in force stay.
    pub fn configure(&mut self, settings: config::Penalties) {
        self.settings = settings;
    }

    /// The block `address` is judged by.
    fn block(&self, address: IpAddr) -> Network {
        let prefix = match address.to_canonical() {
            IpAddr::V4(_) => self.settings.ipv4_prefix,
            IpAddr::V6(_) => self.settings.ipv6_prefix,
        };
        Network::around(address, prefix)
    }

    /// Whether `address` is served now.
    pub fn judge(&mut self, address: IpAddr, now: Instant) -> Judgement {
        self.expire(now);
        if !self.settings.enabled || self.is_exempt(address) {
            return Judgement::Welcome;
        }
        match self.blocks.get(&self.block(address)) {
            Some(penalty) if penalty.in_force => {
                Judgement::Refused(penalty.ends.saturating_duration_since(now))
            }
            Some(_) | None => Judgement::Welcome,
        }
    }

    /// Adds the penalty of `cause`. Says whether the block is refused from now on and was not
    /// before, which is worth a line in the log.
    pub fn add(&mut self, address: IpAddr, cause: Cause, now: Instant) -> bool {
        let settings = &self.settings;
        let seconds = match cause {
            Cause::FailedLogin => settings.failed_login,
            Cause::NoLogin => settings.no_login,
            Cause::GraceExceeded => settings.grace_exceeded,
            Cause::Violation => settings.violation,
        };
        if !settings.enabled || seconds == 0 || self.is_exempt(address) {
            return false;
        }
        let (floor, ceiling) = (settings.floor, settings.ceiling);
        self.expire(now);
        let block = self.block(address);
        let before = self.remove(block);
        let left = before.map_or(Duration::ZERO, |old| old.ends.saturating_duration_since(now));
        let left = left.saturating_add(Duration::from_secs(seconds));
        let left = left.min(Duration::from_secs(ceiling));
        let was_in_force = before.is_some_and(|old| old.in_force);
        let penalty = Penalty {
            // An instant that cannot be represented lies beyond the life of this server.
            ends: now.checked_add(left).unwrap_or(now),
            in_force: was_in_force || left >= Duration::from_secs(floor),
            last: cause,
            causes: before.map_or(0, |old| old.causes) | cause.bit(),
            failed_logins: before
                .map_or(0, |old| old.failed_logins)
                .saturating_add(u32::from(cause == Cause::FailedLogin)),
        };
        while self.blocks.len() >= self.settings.blocks {
            let Some((_, first)) = self.order.first().copied() else { break };
            self.remove(first);
        }
        self.order.insert((penalty.ends, block));
        self.blocks.insert(block, penalty);
        penalty.in_force && !was_in_force
    }

    /// The failed logins of the block of `address` for which it still has a penalty.
    pub fn failed_logins(&mut self, address: IpAddr, now: Instant) -> u32 {
        self.expire(now);
        self.blocks.get(&self.block(address)).map_or(0, |penalty| penalty.failed_logins)
    }

    /// The penalties, those that end last first.
    pub fn rows(&mut self, now: Instant) -> Vec<PenaltyRow> {
        self.expire(now);
        let row = |(ends, block): &(Instant, Network)| {
            let penalty = self.blocks.get(block)?;
            let others = Cause::ALL.into_iter().filter(|cause| *cause != penalty.last);
            let causes: Vec<&str> = std::iter::once(penalty.last)
                .chain(others.filter(|cause| penalty.causes & cause.bit() != 0))
                .map(Cause::name)
                .collect();
            Some(PenaltyRow {
                block: block.to_string(),
                seconds: ends.saturating_duration_since(now).as_secs(),
                in_force: penalty.in_force,
                causes: causes.join(", "),
            })
        };
        self.order.iter().rev().filter_map(row).collect()
    }

    /// Forgets the penalties of a block or of the block of an address, or all; says how many.
    ///
    /// # Errors
    /// When `which` is neither an address nor a block.
    pub fn clear(&mut self, which: Option<&str>) -> Result<u64, String> {
        let before = self.blocks.len();
        match which {
            None => {
                self.blocks.clear();
                self.order.clear();
            }
            Some(text) => {
                let block = match text.parse::<IpAddr>() {
                    Ok(address) => self.block(address),
                    Err(_) => text.parse::<Network>()?,
                };
                self.remove(block);
            }
        }
        Ok(u64::try_from(before.saturating_sub(self.blocks.len())).unwrap_or(u64::MAX))
    }

    fn is_exempt(&self, address: IpAddr) -> bool {
        self.settings.exempt.iter().any(|network| network.contains(address))
    }

    fn remove(&mut self, block: Network) -> Option<Penalty> {
        let penalty = self.blocks.remove(&block)?;
        self.order.remove(&(penalty.ends, block));
        Some(penalty)
    }

    fn expire(&mut self, now: Instant) {
        while let Some((ends, block)) = self.order.first().copied() {
            if ends > now {
                break;
            }
            self.remove(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(change: impl FnOnce(&mut config::Penalties)) -> Penalties {
        let mut settings = config::Config::parse(std::path::Path::new("/x"), "").unwrap().penalties;
        change(&mut settings);
        Penalties::new(settings)
    }

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn penalties_add_up_act_above_the_floor_and_run_out() {
        let (mut table, start) = (table(|_| ()), Instant::now());
        assert!(!table.add(HERE, Cause::FailedLogin, start));
        assert!(!table.add(HERE, Cause::FailedLogin, start));
        assert_eq!(table.judge(HERE, start), Judgement::Welcome);
        assert!(table.add(HERE, Cause::FailedLogin, start), "15 seconds reach the floor");
        assert_eq!(table.judge(HERE, start), Judgement::Refused(Duration::from_secs(15)));
        assert!(!table.add(HERE, Cause::NoLogin, start), "it is in force already");
        // In force it stays until it has run out, not until it is below the floor.
        assert_eq!(table.judge(HERE, at(start, 15)), Judgement::Refused(Duration::from_secs(1)));
        assert_eq!(table.judge(HERE, at(start, 16)), Judgement::Welcome);
        assert!(table.rows(at(start, 16)).is_empty());
    }

    #[test]
    fn slow_failures_never_add_up() {
        let (mut table, start) = (table(|_| ()), Instant::now());
        for i in 0..100 {
            assert!(!table.add(HERE, Cause::FailedLogin, at(start, i * 5)));
            assert_eq!(table.failed_logins(HERE, at(start, i * 5)), 1);
        }
    }

    #[test]
    fn failed_logins_of_a_block_are_counted_until_its_penalty_ends() {
        let (mut table, start) = (table(|_| ()), Instant::now());
        table.add(HERE, Cause::FailedLogin, start);
        table.add(HERE, Cause::NoLogin, start);
        table.add(HERE, Cause::FailedLogin, start);
        assert_eq!(table.failed_logins(HERE, start), 2);
        assert_eq!(table.failed_logins("192.0.2.2".parse().unwrap(), start), 0);
        assert_eq!(table.failed_logins(HERE, at(start, 11)), 0);
    }

    #[test]
    fn the_ceiling_holds() {
        let (mut table, start) = (table(|_| ()), Instant::now());
        for _ in 0..100 {
            table.add(HERE, Cause::Violation, start);
        }
        assert_eq!(table.judge(HERE, start), Judgement::Refused(Duration::from_secs(600)));
    }

    #[test]
    fn a_block_is_judged_as_one_and_others_not() {
        let (mut table, start) = (table(|_| ()), Instant::now());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        table.add(address("2001:db8:0:1::1"), Cause::Violation, start);
        table.add(address("::ffff:192.0.2.7"), Cause::Violation, start);
        assert_ne!(table.judge(address("2001:db8:0:1:ffff::2"), start), Judgement::Welcome);
        assert_ne!(table.judge(address("192.0.2.7"), start), Judgement::Welcome);
        assert_eq!(table.judge(address("2001:db8:0:2::1"), start), Judgement::Welcome);
        assert_eq!(table.judge(address("192.0.2.8"), start), Judgement::Welcome);
    }

    #[test]
    fn exempt_networks_and_a_table_that_is_off_punish_nobody() {
        let start = Instant::now();
        let mut exempt = table(|s| s.exempt = vec!["192.0.2.0/24".parse().unwrap()]);
        assert!(!exempt.add(HERE, Cause::Violation, start));
        let mut off = table(|s| s.enabled = false);
        assert!(!off.add(HERE, Cause::Violation, start));
        assert!(exempt.rows(start).is_empty() && off.rows(start).is_empty());
    }

    #[test]
    fn a_full_table_keeps_the_worst() {
        let (mut table, start) = (table(|s| s.blocks = 10), Instant::now());
        table.add(HERE, Cause::Violation, start);
        for i in 0..1000u32 {
            let address = IpAddr::V4((0x0a00_0000 + i).into());
            table.add(address, Cause::NoLogin, start);
            assert!(table.blocks.len() <= 10 && table.order.len() == table.blocks.len());
        }
        assert_ne!(table.judge(HERE, start), Judgement::Welcome);
    }

    #[test]
    fn a_list_names_the_causes_and_clearing_forgets() {
        let (mut table, start) = (table(|_| ()), Instant::now());
        table.add(HERE, Cause::FailedLogin, start);
        table.add(HERE, Cause::Violation, start);
        table.add("2001:db8::1".parse().unwrap(), Cause::NoLogin, start);
        let rows = table.rows(start);
        assert_eq!(rows[0].block, "192.0.2.1/32");
        assert_eq!(rows[0].causes, "violation, failed-login");
        assert!(rows[0].in_force && !rows[1].in_force);
        assert_eq!(table.clear(Some("192.0.2.1")), Ok(1));
        assert_eq!(table.clear(Some("2001:db8::/64")), Ok(1));
        assert_eq!(table.clear(None), Ok(0));
        assert!(table.clear(Some("everybody")).is_err());
        assert_eq!(table.judge(HERE, start), Judgement::Welcome);
    }
}
