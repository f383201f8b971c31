//! How many clients there are: in all and per address block, counted before anything is started for
//! one. A [`Place`] is one client; whatever way it ends, dropping it uncounts it.

use std::{cell::RefCell, collections::BTreeMap, net::IpAddr, rc::Rc};

use ipc::network::Network;

/// The address block in which a client is counted and penalised: IPv4 /32 and IPv6 /64 by default,
/// because one IPv6 customer has at least a /64.
pub fn block_of(address: IpAddr, ipv4_prefix: u8, ipv6_prefix: u8) -> Network {
    let address = address.to_canonical();
    Network::around(address, if address.is_ipv4() { ipv4_prefix } else { ipv6_prefix })
}

/// Which limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// `maximum_clients`.
    Server,
    /// `max_conns_per_ip`.
    Address,
}

/// The counts.
#[derive(Debug, Default)]
pub struct Census {
    total: RefCell<u64>,
    blocks: RefCell<BTreeMap<Network, u64>>,
}

impl Census {
    /// Counts a client in, unless a limit is reached. 0 means no limit.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn admit(
        self: &Rc<Self>,
        block: Network,
        maximum_clients: u64,
        max_conns_per_ip: u64,
    ) -> Result<Place, Full> {
        let mut total = self.total.borrow_mut();
        let mut blocks = self.blocks.borrow_mut();
        let here = blocks.get(&block).copied().unwrap_or(0);
        if maximum_clients != 0 && *total >= maximum_clients {
            return Err(Full::Server);
        }
        if max_conns_per_ip != 0 && here >= max_conns_per_ip {
            return Err(Full::Address);
        }
        *total = total.saturating_add(1);
        blocks.insert(block, here.saturating_add(1));
        Ok(Place { census: Rc::clone(self), block })
    }

    /// Clients now.
    pub fn total(&self) -> u64 {
        *self.total.borrow()
    }

    /// Address blocks with at least one client now.
    #[cfg(test)]
    fn blocks(&self) -> usize {
        self.blocks.borrow().len()
    }
}

/// One client that has been counted in.
#[derive(Debug)]
pub struct Place {
    census: Rc<Census>,
    block: Network,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut total = self.census.total.borrow_mut();
        *total = total.saturating_sub(1);
        let mut blocks = self.census.blocks.borrow_mut();
        if let Some(count) = blocks.get_mut(&self.block) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                blocks.remove(&self.block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(address: &str) -> Network {
        block_of(address.parse().unwrap(), 32, 64)
    }

    #[test]
    fn an_ipv6_customer_is_one_block_and_mapped_ipv4_is_ipv4() {
        assert_eq!(block("2001:db8::1"), block("2001:db8::ffff:2"));
        assert_ne!(block("2001:db8::1"), block("2001:db8:0:1::1"));
        assert_eq!(block("::ffff:192.0.2.1"), block("192.0.2.1"));
        assert_eq!(block("2001:db8::1").to_string(), "2001:db8::/64");
    }

    #[test]
    fn limits_hold_and_a_dropped_place_is_free_again() {
        let census = Rc::new(Census::default());
        let (a, b) = (block("192.0.2.1"), block("192.0.2.2"));
        let first = census.admit(a, 3, 2).unwrap();
        let _second = census.admit(a, 3, 2).unwrap();
        assert_eq!(census.admit(a, 3, 2).err(), Some(Full::Address));
        let _third = census.admit(b, 3, 2).unwrap();
        assert_eq!(census.admit(b, 3, 2).err(), Some(Full::Server));
        drop(first);
        assert_eq!((census.total(), census.blocks()), (2, 2));
        assert!(census.admit(a, 3, 2).is_ok());
    }

    #[test]
    fn nothing_is_left_when_all_are_gone() {
        let census = Rc::new(Census::default());
        drop((0..10).map(|_| census.admit(block("::1"), 0, 0)).collect::<Vec<_>>());
        assert_eq!((census.total(), census.blocks()), (0, 0));
    }
}
