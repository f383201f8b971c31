//! Which ports: a random free one for a listener, 20 for an active connection.

/// The server's port of active connections (RFC 959 section 3.2).
pub const FTP_DATA: u16 = 20;

/// The ports that belong to nobody (RFC 6335 section 6): where the configuration leaves the choice.
const DYNAMIC: (u16, u16) = (49_152, 65_535);

/// Every port of a range once, from a random place on, in steps that jump about the range, so that
/// neither a neighbour nor the last port tells an attacker the next one.
pub struct RandomOrder {
    low: u32,
    size: u32,
    next: u32,
    step: u32,
    left: u32,
}

impl RandomOrder {
    /// An order of the ports from `range.0` to `range.1`, both included, out of 8 random bytes. A
    /// range whose ends are swapped is empty; `0-0` stands for the dynamic ports.
    pub fn new(range: (u16, u16), random: [u8; 8]) -> RandomOrder {
        let range = if range == (0, 0) { DYNAMIC } else { range };
        let [a, b, c, d, e, f, g, h] = random;
        let (low, high) = (u32::from(range.0), u32::from(range.1));
        let size = (high + 1).saturating_sub(low);
        let divisor = size.max(1);
        let start = u32::from_le_bytes([a, b, c, d]) % divisor;
        let mut step = u32::from_le_bytes([e, f, g, h]) % divisor;
        // A step without a common divisor with the size visits every port.
        while greatest_common_divisor(step, divisor) != 1 {
            step = (step + 1) % divisor.max(2);
        }
        RandomOrder { low, size, next: start, step, left: size }
    }
}

impl Iterator for RandomOrder {
    type Item = u16;
    fn next(&mut self) -> Option<u16> {
        self.left = self.left.checked_sub(1)?;
        let port = self.low + self.next;
        self.next = (self.next + self.step) % self.size;
        u16::try_from(port).ok()
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_port_of_the_range_comes_exactly_once() {
        for (range, seed) in
            [((50_000, 51_000), 7u8), ((1, 1), 0), ((1024, 65_535), 255), ((40_000, 40_005), 3)]
        {
            let ports: Vec<u16> = RandomOrder::new(range, [seed; 8]).collect();
            let distinct: BTreeSet<u16> = ports.iter().copied().collect();
            assert_eq!(ports.len(), usize::from(range.1 - range.0) + 1, "{range:?}");
            assert_eq!(distinct.len(), ports.len(), "{range:?}");
            assert!(distinct.iter().all(|port| (range.0..=range.1).contains(port)));
        }
    }

    #[test]
    fn a_swapped_range_is_empty() {
        assert_eq!(RandomOrder::new((2, 1), [1; 8]).count(), 0);
    }

    #[test]
    fn zero_to_zero_leaves_the_choice_to_us() {
        assert_eq!(RandomOrder::new((0, 0), [1; 8]).count(), 16_384);
        assert!(RandomOrder::new((0, 0), [1; 8]).all(|port| port >= 49_152));
    }

    #[test]
    fn the_first_port_follows_the_random_bytes() {
        let first = |seed: u8| RandomOrder::new((50_000, 51_000), [seed; 8]).next();
        assert_ne!(first(1), first(2));
    }
}
