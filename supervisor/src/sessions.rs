//! The session table: who is connected, since when, and what has been moved. Every fact in it comes
//! from the supervisor itself, but for the byte counts, which a session reports of itself.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use ipc::{
    account::{Account, Limits, SessionId},
    operator::{KickTarget, SessionRow},
};
use tokio::sync::mpsc;

/// Longest text of a row's last operation, in characters.
const MAX_LAST: usize = 200;

/// What the server wants of one connection.
#[derive(Debug, Clone)]
pub enum Order {
    /// End now, with this reply line.
    Kick(String),
    /// End when no transfer is under way, with this reply line.
    Finish(String),
    /// New limits after a reload.
    NewLimits(Box<Limits>),
}

/// One row of the table.
#[derive(Debug)]
struct Row {
    client: SocketAddr,
    account: Option<Account>,
    pid: u32,
    since: Instant,
    tls: bool,
    downloaded: u64,
    uploaded: u64,
    last: String,
    orders: mpsc::UnboundedSender<Order>,
}

impl Row {
    fn name(&self) -> Option<&str> {
        self.account.as_ref().map(|account| account.name.as_str())
    }
}

/// All connections.
#[derive(Debug, Default)]
pub struct SessionTable {
    rows: RefCell<BTreeMap<SessionId, Row>>,
}

impl SessionTable {
    /// Enters a connection; it leaves the table when the entry is dropped.
    pub fn enter(
        self: &Rc<Self>,
        session: SessionId,
        client: SocketAddr,
    ) -> (Entry, mpsc::UnboundedReceiver<Order>) {
        let (orders, inbox) = mpsc::unbounded_channel();
        let row = Row {
            client,
            account: None,
            pid: 0,
            since: Instant::now(),
            tls: false,
            downloaded: 0,
            uploaded: 0,
            last: String::new(),
            orders,
        };
        self.rows.borrow_mut().insert(session, row);
        (Entry { table: Rc::clone(self), session }, inbox)
    }

    /// Connections that are past their login.
    pub fn logged_in(&self) -> usize {
        self.rows.borrow().values().filter(|row| row.account.is_some()).count()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.rows.borrow().is_empty()
    }

    /// Gives an order to every connection.
    pub fn order_all(&self, order: &Order) {
        for row in self.rows.borrow().values() {
            // A connection that is just ending needs no order.
            row.orders.send(order.clone()).ok();
        }
    }

    /// Gives `reply` as the last line to the connections that are meant. Returns how many.
    pub fn kick(&self, target: &KickTarget, reply: &str) -> u64 {
        let mut count: u64 = 0;
        for (session, row) in self.rows.borrow().iter() {
            let meant = match target {
                KickTarget::Session(wanted) => session == wanted,
                KickTarget::Account(name) => row.name() == Some(name.as_str()),
            };
            if meant && row.orders.send(Order::Kick(reply.to_owned())).is_ok() {
                count = count.saturating_add(1);
            }
        }
        count
    }

    /// Sends every session the limits its account has now.
    pub fn send_limits(&self, limits_of: impl Fn(&Account) -> Limits) {
        for row in self.rows.borrow().values() {
            if let Some(account) = &row.account {
                row.orders.send(Order::NewLimits(Box::new(limits_of(account)))).ok();
            }
        }
    }

    /// The table for the operator.
    pub fn rows(&self) -> Vec<SessionRow> {
        let rows = self.rows.borrow();
        rows.iter()
            .map(|(session, row)| SessionRow {
                session: *session,
                client: row.client,
                stage: if row.account.is_some() { "session" } else { "gate" }.into(),
                account: row.name().map(str::to_owned),
                pid: row.pid,
                connected: row.since.elapsed(),
                tls: row.tls,
                downloaded: row.downloaded,
                uploaded: row.uploaded,
                last: row.last.clone(),
            })
            .collect()
    }

    /// The accounts that are logged in, with their client's address: for SITE WHO.
    pub fn who(&self) -> Vec<String> {
        let rows = self.rows.borrow();
        rows.iter()
            .filter_map(|(session, row)| {
                let account = row.name()?;
                let seconds = row.since.elapsed().as_secs();
                Some(format!("{session} {account} from {} for {seconds} s", row.client.ip()))
            })
            .collect()
    }
}

/// One connection's place in the table.
#[derive(Debug)]
pub struct Entry {
    table: Rc<SessionTable>,
    session: SessionId,
}

impl Entry {
    fn edit(&self, change: impl FnOnce(&mut Row)) {
        if let Some(row) = self.table.rows.borrow_mut().get_mut(&self.session) {
            change(row);
        }
    }

    /// The process that serves the connection now.
    pub fn served_by(&self, pid: u32) {
        self.edit(|row| row.pid = pid);
    }

    /// Notes the login, unless the account already has `max_sessions` (0 = no limit). Returns
    /// whether there was room.
    pub fn log_in(&self, account: &Account, tls: bool, max_sessions: u32) -> bool {
        let taken = {
            let rows = self.table.rows.borrow();
            rows.values().filter(|row| row.name() == Some(account.name.as_str())).count()
        };
        if max_sessions != 0 && u32::try_from(taken).is_ok_and(|taken| taken >= max_sessions) {
            return false;
        }
        self.edit(|row| {
            row.account = Some(account.clone());
            row.tls = tls;
        });
        true
    }

    /// Whether the gate said that the control connection is TLS when it logged in.
    pub fn is_tls(&self) -> bool {
        self.table.rows.borrow().get(&self.session).is_some_and(|row| row.tls)
    }

    /// Notes a transfer or operation.
    pub fn note(&self, downloaded: u64, uploaded: u64, mut last: String) {
        ipc::bounded::cut_characters(&mut last, MAX_LAST);
        self.edit(|row| {
            row.downloaded = row.downloaded.saturating_add(downloaded);
            row.uploaded = row.uploaded.saturating_add(uploaded);
            row.last = last;
        });
    }

    /// How long the connection has lasted.
    pub fn age(&self) -> Duration {
        self.table
            .rows
            .borrow()
            .get(&self.session)
            .map_or(Duration::ZERO, |row| row.since.elapsed())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.table.rows.borrow_mut().remove(&self.session);
    }
}

#[cfg(test)]
mod tests {
    use ipc::account::{Identity, Rights};

    use super::*;

    fn enter(table: &Rc<SessionTable>, id: u64) -> (Entry, mpsc::UnboundedReceiver<Order>) {
        table.enter(SessionId(id), "127.0.0.1:4000".parse().unwrap())
    }

    fn alice() -> Account {
        Account {
            name: "alice".to_owned().try_into().unwrap(),
            identity: Identity { uid: 1000, gid: 1000, groups: Vec::new() },
            root: "/srv".into(),
            start: "/".into(),
            rights: Rights::READ_ONLY,
            upload_rate: None,
            download_rate: None,
            max_sessions: 0,
            tls: None,
            session_reuse: None,
            administrator: false,
            anonymous: false,
        }
    }

    #[test]
    fn an_account_has_no_more_sessions_than_it_may() {
        let table = Rc::new(SessionTable::default());
        let (a, _a) = enter(&table, 1);
        let (b, _b) = enter(&table, 2);
        assert!(a.log_in(&alice(), false, 1));
        assert!(!b.log_in(&alice(), false, 1));
        drop(a);
        assert!(b.log_in(&alice(), false, 1));
        assert_eq!(table.logged_in(), 1);
    }

    #[test]
    fn a_kick_reaches_whom_it_names_and_nobody_else() {
        let table = Rc::new(SessionTable::default());
        let (a, mut inbox_a) = enter(&table, 1);
        let (_b, mut inbox_b) = enter(&table, 2);
        assert!(a.log_in(&alice(), false, 0));
        assert_eq!(table.kick(&KickTarget::Account("alice".into()), "421 Bye."), 1);
        assert!(matches!(inbox_a.try_recv(), Ok(Order::Kick(_))));
        assert!(inbox_b.try_recv().is_err());
        assert_eq!(table.kick(&KickTarget::Session(SessionId(9)), "421 Bye."), 0);
    }
}
