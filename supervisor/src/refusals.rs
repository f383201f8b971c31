//! Refused connections, counted by address block, reason and second: a stranger who connects as fast
//! as he can must not write the log as fast. Pure: the caller brings the lines to the log once a second.

use std::{collections::BTreeMap, net::IpAddr};

use ipc::network::Network;

/// Most lines a second; what is refused beyond is counted in one more.
const MOST_LINES: usize = 64;

/// Refusals of one block for one reason within one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The block.
    pub block: Network,
    /// The address of the first one.
    pub client: IpAddr,
    /// The reason, as the log writes it.
    pub reason: &'static str,
    /// How many there were.
    pub count: u64,
}

/// The refusals of this second.
#[derive(Debug, Default)]
pub struct Refusals {
    blocks: BTreeMap<(Network, &'static str), (IpAddr, u64)>,
    beyond: u64,
}

impl Refusals {
    /// Counts one. Says whether it is the first of a second, so that [`Refusals::take`] is due when
    /// that is over.
    pub fn count(&mut self, block: Network, client: IpAddr, reason: &'static str) -> bool {
        let first = self.blocks.is_empty() && self.beyond == 0;
        let full = self.blocks.len() >= MOST_LINES;
        match self.blocks.get_mut(&(block, reason)) {
            Some((_, count)) => *count = count.saturating_add(1),
            None if full => self.beyond = self.beyond.saturating_add(1),
            None => drop(self.blocks.insert((block, reason), (client, 1))),
        }
        first
    }

    /// Takes what was counted, and how many more there were of further blocks.
    pub fn take(&mut self) -> (Vec<Refused>, u64) {
        let rows = std::mem::take(&mut self.blocks).into_iter();
        let rows = rows
            .map(|((block, reason), (client, count))| Refused { block, client, reason, count })
            .collect();
        (rows, std::mem::take(&mut self.beyond))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(n: u8) -> (Network, IpAddr) {
        let address: IpAddr = [192, 0, 2, n].into();
        (Network::around(address, 32), address)
    }

    #[test]
    fn a7_a_block_that_is_refused_15000_times_a_second_is_one_line_for_each_reason() {
        let mut refusals = Refusals::default();
        let (stranger, address) = block(1);
        assert!(refusals.count(stranger, address, "penalty"));
        for _ in 1..15_000 {
            assert!(!refusals.count(stranger, address, "penalty"));
        }
        assert!(!refusals.count(stranger, address, "server-full"));
        let (rows, beyond) = refusals.take();
        let counts: Vec<_> = rows.iter().map(|row| (row.reason, row.count)).collect();
        assert_eq!(counts, [("penalty", 15_000), ("server-full", 1)]);
        assert_eq!(beyond, 0);
        assert!(refusals.count(stranger, address, "penalty"), "the next second begins anew");
    }

    #[test]
    fn a7_as_many_blocks_as_somebody_has_are_a_bounded_number_of_lines() {
        let mut refusals = Refusals::default();
        for n in 0..=255 {
            let (stranger, address) = block(n);
            refusals.count(stranger, address, "penalty");
        }
        let (rows, beyond) = refusals.take();
        assert_eq!((rows.len(), beyond), (MOST_LINES, 256 - MOST_LINES as u64));
        assert_eq!(refusals.take(), (Vec::new(), 0));
    }
}
