//! The relay between a client under TLS and its session.

use super::*;

/// A relay in a thread, the session's end of it, and a client thread that does `work`.
fn relay<T: Send + 'static>(
    world: &World,
    work: impl FnOnce(&mut Client) -> T + Send + 'static,
) -> (std::os::unix::net::UnixStream, thread::JoinHandle<T>, thread::JoinHandle<()>) {
    let control = world.control();
    let (socket, server) = tcp_pair();
    let peer = client(&world.client(true, &[]), "localhost", socket, work);
    let (stream, _) = accept(control.accept(server).unwrap()).unwrap();
    let (session, plain) = std::os::unix::net::UnixStream::pair().unwrap();
    plain.set_nonblocking(true).unwrap();
    session.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let relay = thread::spawn(|| crate::relay::Relay::new(stream, plain.into()).run());
    (session, peer, relay)
}

#[test]
fn the_relay_hands_on_both_directions_and_both_ends() {
    let world = World::new();
    let (mut session, peer, relay) = relay(&world, |client| {
        client.write_all(b"NOOP\r\n").unwrap();
        let mut reply = [0; 5];
        client.read_exact(&mut reply).unwrap();
        close(client);
        // The client has ended its direction; the other one goes on.
        let mut rest = String::new();
        client.read_to_string(&mut rest).unwrap();
        rest
    });
    let mut line = [0; 6];
    session.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"NOOP\r\n");
    session.write_all(b"200 \n").unwrap();
    assert_eq!(session.read(&mut line).unwrap(), 0, "the client's end arrives");
    session.write_all(b"221 Goodbye.\r\n").unwrap();
    drop(session);
    assert_eq!(peer.join().unwrap(), "221 Goodbye.\r\n");
    relay.join().unwrap();
}

#[test]
fn the_relay_keeps_the_order_of_much_in_both_directions() {
    const MUCH: usize = 3 * 1024 * 1024;
    let world = World::new();
    let (mut session, peer, relay) = relay(&world, |client| {
        // Writes everything before it reads: the relay must not need both at once.
        client.write_all(&noise(200_000)).unwrap();
        let mut got = vec![0; MUCH];
        client.read_exact(&mut got).unwrap();
        close(client);
        got
    });
    let sender = session.try_clone().unwrap();
    let sending = thread::spawn(move || (&sender).write_all(&noise(MUCH)).unwrap());
    let mut got = Vec::new();
    session.read_to_end(&mut got).unwrap();
    assert!(got == noise(200_000));
    sending.join().unwrap();
    drop(session);
    assert!(peer.join().unwrap() == noise(MUCH));
    relay.join().unwrap();
}

#[test]
fn the_relay_stops_a_client_whose_session_does_not_read() {
    let world = World::new();
    let (session, peer, relay) = relay(&world, |client| {
        client.sock.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut sent = 0_usize;
        while sent < 64 << 20 {
            // rustls says that it took the bytes even when the socket did not.
            let began = std::time::Instant::now();
            match client.write(&[b'x'; 16384]) {
                Ok(_) if began.elapsed() >= Duration::from_millis(400) => break,
                Ok(written) => sent += written,
                Err(_) => break,
            }
        }
        sent
    });
    assert!(peer.join().unwrap() < 64 << 20, "the relay took more than its buffers hold");
    drop(session);
    relay.join().unwrap();
}

#[test]
fn the_relay_ends_when_the_session_dies_or_the_client_forges() {
    let world = World::new();
    let (session, peer, relay_thread) = relay(&world, |client| client.read(&mut [0; 9]).unwrap());
    drop(session);
    assert_eq!(peer.join().unwrap(), 0, "a clean end for the client");
    relay_thread.join().unwrap();
    let (mut session, peer, relay_thread) = relay(&world, |client| {
        client.sock.write_all(&[23, 3, 3, 0, 17]).unwrap();
        client.sock.write_all(&[0; 17]).unwrap();
        client.read(&mut [0; 16]).is_err()
    });
    assert_eq!(session.read(&mut [0; 9]).unwrap(), 0);
    assert!(peer.join().unwrap());
    relay_thread.join().unwrap();
}

#[test]
fn a_client_that_never_pauses_does_not_hold_up_what_the_session_answers() {
    const BLOCK: usize = 64 * 1024;
    const BLOCKS: usize = 200;
    let world = World::new();
    let (mut session, peer, relay) = relay(&world, |client| {
        // Ahead of its answers by as much as a bulk upload is, and never waiting in between.
        let block = noise(BLOCK);
        let mut answers = 0;
        for sent in 0..BLOCKS {
            client.write_all(&block).unwrap();
            if sent >= 40 {
                client.read_exact(&mut [0; 8]).unwrap();
                answers += 1;
            }
        }
        while answers < BLOCKS {
            client.read_exact(&mut [0; 8]).unwrap();
            answers += 1;
        }
        close(client);
    });
    let mut got = vec![0; BLOCK];
    for _ in 0..BLOCKS {
        session.read_exact(&mut got).unwrap();
        assert!(got == noise(BLOCK));
        session.write_all(b"received").unwrap();
    }
    assert_eq!(session.read(&mut got).unwrap(), 0);
    drop(session);
    peer.join().unwrap();
    relay.join().unwrap();
}

#[test]
fn a_full_duplex_flood_arrives_whole_both_ways() {
    const MUCH: usize = 24 << 20;
    let world = World::new();
    // The session echoes with small buffers: both directions are blocked again and again.
    let (session, peer, relay) = relay(&world, |client| {
        let (mut sent, mut got) = (0, Vec::new());
        let all = noise(MUCH);
        while got.len() < MUCH {
            // A client that reads and writes as the sockets allow, in one thread.
            if sent < MUCH && sent - got.len() < 1 << 20 {
                let end = (sent + 30_000).min(MUCH);
                client.write_all(&all[sent..end]).unwrap();
                sent = end;
            } else {
                let mut piece = vec![0; 50_000];
                let read = client.read(&mut piece).unwrap();
                got.extend_from_slice(&piece[..read]);
            }
        }
        assert!(got == all);
        close(client);
    });
    let mut writer = session.try_clone().unwrap();
    let mut reader = session;
    let echo = thread::spawn(move || {
        let mut piece = [0; 3_000];
        loop {
            match reader.read(&mut piece).unwrap() {
                0 => break,
                read => writer.write_all(&piece[..read]).unwrap(),
            }
        }
    });
    peer.join().unwrap();
    echo.join().unwrap();
    relay.join().unwrap();
}

#[test]
fn a_client_that_floods_a_session_that_has_ended_is_not_listened_to_for_ever() {
    let world = World::new();
    let (session, peer, relay) = relay(&world, |client| {
        let began = std::time::Instant::now();
        while client.write_all(&[b'x'; 16_384]).is_ok() {
            assert!(began.elapsed() < Duration::from_secs(60), "the relay still listens");
        }
    });
    drop(session);
    relay.join().unwrap();
    peer.join().unwrap();
}

#[test]
fn a_ticket_goes_before_the_reply_that_ends_a_transfer_and_before_no_other() {
    let world = World::new();
    let (mut session, peer, relay) = relay(&world, |client| {
        let mut tickets = Vec::new();
        for _ in 0..6 {
            let mut reply = [0; 8];
            client.read_exact(&mut reply).unwrap();
            tickets.push(client.conn.tls13_tickets_received() - 4);
        }
        close(client);
        tickets
    });
    for reply in
        ["200 ok\r\n", "150 ok\r\n", "226 ok\r\n", "200 ok\r\n", "150 ok\r\n", "426 ok\r\n"]
    {
        session.write_all(reply.as_bytes()).unwrap();
        // Each in a piece of its own.
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(session.read(&mut [0; 9]).unwrap(), 0);
    drop(session);
    assert_eq!(peer.join().unwrap(), [0, 0, 1, 1, 1, 2]);
    relay.join().unwrap();
}
