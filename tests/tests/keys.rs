//! Keys of the configuration that no other topic shows the effect of. `tests/keys.list` names the test of
//! each key.

use std::net::{IpAddr, TcpStream};

use bulkhead_tests::harness::{ControlConnection, Server, test};
use libtest_mimic::Trial;

pub fn tests() -> Vec<Trial> {
    vec![
        test("keys::welcome_is_the_text_of_a_login", welcome),
        test("keys::only_listen_address_is_listened_on", listen_address),
        test("keys::passive_address_is_what_pasv_announces", passive_address),
        test("keys::max_attempts_ends_the_connection", max_attempts),
    ]
}

fn welcome() {
    let server = Server::new().with("welcome", "\"Come in.\"").with_account("alice", &[]).run();
    let mut control = ControlConnection::connect(server.address());
    control.expect(220);
    control.command("USER alice", 331);
    let reply = control.command(&format!("PASS {}", server.account("alice").password), 230);
    assert!(reply.text().contains("Come in."), "{:?}", reply.text());
}

fn listen_address() {
    let server = Server::new().with("listen_address", "\"127.0.0.2\"").run();
    assert_eq!(server.address().ip(), IpAddr::from([127, 0, 0, 2]));
    assert!(TcpStream::connect(("127.0.0.1", server.address().port())).is_err());
    ControlConnection::connect(server.address()).expect(220);
}

fn passive_address() {
    let server = Server::new().with("passive.address", "\"192.0.2.9\"");
    let server = server.with_account("alice", &[]).run();
    let reply = server.log_in("alice").command("PASV", 227);
    assert!(reply.text().contains("192,0,2,9,"), "{:?}", reply.text());
}

/// With two, a client may be wrong once and right the second time; with one, the first wrong password
/// is the last.
fn max_attempts() {
    for (most, second_chance) in [("2", true), ("1", false)] {
        let server = Server::new().with("auth.max_attempts", most).with_account("alice", &[]).run();
        let mut control = ControlConnection::connect(server.address());
        control.expect(220);
        control.command("USER alice", 331);
        control.send("PASS a wrong one");
        let refused = control.reply().unwrap();
        if second_chance {
            assert_eq!(refused.code, 530);
            control.command("USER alice", 331);
            control.command(&format!("PASS {}", server.account("alice").password), 230);
        } else {
            assert!([530, 421].contains(&refused.code), "{}", refused.code);
            let after = control.reply();
            assert!(after.is_err() || after.is_ok_and(|reply| reply.code == 421));
            control.expect_end();
        }
    }
}
