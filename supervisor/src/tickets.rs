//! The tickets of I2FTP: a session id that one connection obtained stands for a path, and another
//! connection of the same account redeems it. The table holds no file: the redeeming session opens
//! the path in its own sandbox.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use ipc::{
    account::SessionId,
    bounded::Bytes,
    session::{MAX_PATH, Publish, TicketAnswer},
};

/// Most tickets at a time, as the reference server has.
const MAX_TICKETS: usize = 500;
/// Most tickets one connection may have made and not closed.
const MAX_PER_SESSION: usize = 100;
/// A ticket that has not been used for so long is closed.
const MAX_IDLE: Duration = Duration::from_secs(120);

#[derive(Debug)]
struct Ticket {
    maker: SessionId,
    account: String,
    purpose: Purpose,
    /// Whether nobody has redeemed it.
    fresh: bool,
    used: Instant,
}

/// What a ticket stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose {
    /// Path beneath the root.
    pub path: Bytes<MAX_PATH>,
    /// Upload or download.
    pub upload: bool,
    /// Size at GETF.
    pub size: u64,
    /// An upload that gets its name when its hash is right.
    pub publish: Option<Publish>,
}

/// The table.
#[derive(Debug, Default)]
pub struct Tickets {
    tickets: HashMap<[u8; 16], Ticket>,
}

impl Tickets {
    /// Makes a ticket with an id nobody can guess. A new upload takes the place of an older one to
    /// the same path: a file has one writer, and an interrupted client can start anew at once.
    pub fn issue(
        &mut self,
        maker: SessionId,
        account: &str,
        purpose: Purpose,
        now: Instant,
    ) -> TicketAnswer {
        self.tickets.retain(|_, ticket| {
            let superseded = purpose.upload
                && ticket.purpose.upload
                && ticket.account == account
                && ticket.purpose.path == purpose.path;
            !superseded && now.duration_since(ticket.used) < MAX_IDLE
        });
        let own = self.tickets.values().filter(|ticket| ticket.maker == maker).count();
        if self.tickets.len() >= MAX_TICKETS || own >= MAX_PER_SESSION {
            return TicketAnswer::Refused;
        }
        let mut id = [0; 16];
        match rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty()) {
            Ok(16) => {}
            Ok(_) | Err(_) => return TicketAnswer::Refused,
        }
        let account = account.to_owned();
        self.tickets.insert(id, Ticket { maker, account, purpose, fresh: true, used: now });
        TicketAnswer::Issued { id }
    }

    /// What a ticket of this account stands for.
    pub fn redeem(&mut self, account: &str, id: [u8; 16], now: Instant) -> TicketAnswer {
        match self.tickets.get_mut(&id) {
            Some(ticket)
                if ticket.account == account && now.duration_since(ticket.used) < MAX_IDLE =>
            {
                ticket.used = now;
                let fresh = std::mem::replace(&mut ticket.fresh, false);
                let Purpose { path, upload, size, publish } = ticket.purpose.clone();
                TicketAnswer::Redeemed { path, upload, size, publish, fresh }
            }
            Some(_) | None => TicketAnswer::Refused,
        }
    }

    /// Closes a ticket of this account.
    pub fn close(&mut self, account: &str, id: [u8; 16], now: Instant) -> TicketAnswer {
        match self.redeem(account, id, now) {
            TicketAnswer::Redeemed { .. } => {
                self.tickets.remove(&id);
                TicketAnswer::Closed
            }
            TicketAnswer::Issued { .. } | TicketAnswer::Closed | TicketAnswer::Refused => {
                TicketAnswer::Refused
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(tickets: &mut Tickets, now: Instant) -> [u8; 16] {
        issue_for(tickets, "a/b", false, now)
    }

    fn purpose(path: &str, upload: bool) -> Purpose {
        Purpose { path: Bytes::cut(path.into()), upload, size: 7, publish: None }
    }

    fn issue_for(tickets: &mut Tickets, path: &str, upload: bool, now: Instant) -> [u8; 16] {
        match tickets.issue(SessionId(1), "alice", purpose(path, upload), now) {
            TicketAnswer::Issued { id } => id,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn another_account_redeems_nothing() {
        let (mut tickets, now) = (Tickets::default(), Instant::now());
        let id = issue(&mut tickets, now);
        assert_eq!(tickets.redeem("bob", id, now), TicketAnswer::Refused);
        assert_eq!(tickets.close("bob", id, now), TicketAnswer::Refused);
        assert!(matches!(
            tickets.redeem("alice", id, now),
            TicketAnswer::Redeemed { size: 7, upload: false, .. }
        ));
    }

    #[test]
    fn a_closed_or_expired_ticket_stands_for_nothing() {
        let (mut tickets, now) = (Tickets::default(), Instant::now());
        let id = issue(&mut tickets, now);
        assert_eq!(tickets.close("alice", id, now), TicketAnswer::Closed);
        assert_eq!(tickets.redeem("alice", id, now), TicketAnswer::Refused);
        let id = issue(&mut tickets, now);
        assert_eq!(tickets.redeem("alice", id, now + MAX_IDLE), TicketAnswer::Refused);
    }

    #[test]
    fn one_connection_cannot_fill_the_table() {
        let (mut tickets, now) = (Tickets::default(), Instant::now());
        for _ in 0..MAX_PER_SESSION {
            issue(&mut tickets, now);
        }
        let one_more = tickets.issue(SessionId(1), "alice", purpose("", false), now);
        assert_eq!(one_more, TicketAnswer::Refused);
        let other = tickets.issue(SessionId(2), "alice", purpose("", false), now);
        assert!(matches!(other, TicketAnswer::Issued { .. }));
    }

    #[test]
    fn only_the_first_use_is_fresh() {
        let (mut tickets, now) = (Tickets::default(), Instant::now());
        let id = issue_for(&mut tickets, "a", true, now);
        for want in [true, false, false] {
            let answer = tickets.redeem("alice", id, now);
            assert!(matches!(answer, TicketAnswer::Redeemed { fresh, .. } if fresh == want));
        }
    }

    #[test]
    fn a_file_has_one_writer() {
        let (mut tickets, now) = (Tickets::default(), Instant::now());
        let old = issue_for(&mut tickets, "a", true, now);
        let other = issue_for(&mut tickets, "b", true, now);
        let reader = issue_for(&mut tickets, "a", false, now);
        let new = issue_for(&mut tickets, "a", true, now);
        assert_eq!(tickets.redeem("alice", old, now), TicketAnswer::Refused);
        for id in [other, reader, new] {
            let answer = tickets.redeem("alice", id, now);
            assert!(matches!(answer, TicketAnswer::Redeemed { .. }));
        }
    }
}
