//! Shutting down one direction or both: it takes effect at once here, the peer sees it after all data, and it may be
//! repeated.

use xila_network_programs::p2::*;

fn main() {
    each_family(sending);
    each_family(sending_with_much_in_flight);
    each_family(receiving);
    each_family(both);
    each_family(between_permit_and_write);
}

fn sending(family: IpAddressFamily) {
    let (client, server) = connected(family);
    write_all(&client.output, b"the last");
    let pollable = client.output.subscribe();
    for _ in 0..2 {
        client.socket.shutdown(ShutdownType::Send).expect("a connection");
        assert_closed(client.output.check_write());
        assert!(pollable.ready(), "a closed stream is ready");
        assert_closed(client.output.flush());
    }
    assert_eq!(read_to_end(&server.input), b"the last");
    wait_closed(&server.input);

    // The other direction still works.
    let sent = pattern(3, 300_000);
    for piece in sent.chunks(50_000) {
        write_all(&server.output, piece);
        assert_same(&read_exact(&client.input, piece.len()), piece);
    }
    server.socket.shutdown(ShutdownType::Send).expect("a connection");
    wait_closed(&client.input);
}

/// The end of the stream comes after all written bytes, however many they are.
fn sending_with_much_in_flight(family: IpAddressFamily) {
    let (client, server) = connected(family);
    let mut sent = Vec::new();
    fill(&client.output, |permit| {
        let piece = pattern(sent.len() as u64, permit);
        sent.extend(&piece);
        piece
    });
    client.socket.shutdown(ShutdownType::Send).expect("a connection");
    assert_closed(client.output.check_write());
    assert_same(&read_to_end(&server.input), &sent);
}

fn receiving(family: IpAddressFamily) {
    let (client, server) = connected(family);
    let pollable = server.input.subscribe();
    assert!(!pollable.ready(), "nothing was sent");
    server.socket.shutdown(ShutdownType::Receive).expect("a connection");
    assert!(pollable.ready(), "a closed stream is ready");
    assert_closed(server.input.read(1));
    drop(pollable);

    // Bytes that have already arrived are discarded.
    let (late, early) = connected(family);
    write_all(&late.output, b"unread");
    early.input.subscribe().block();
    for _ in 0..2 {
        early.socket.shutdown(ShutdownType::Receive).expect("a connection");
        assert_closed(early.input.read(10));
        assert_closed(early.input.skip(10));
        assert_closed(early.input.blocking_read(10));
    }

    // The other direction still works, and data from the peer does no harm.
    for (ours, theirs) in [(&server, &client), (&early, &late)] {
        for round in 0..3 {
            write_all(&theirs.output, b"to nobody");
            let sent = pattern(round, 40_000);
            write_all(&ours.output, &sent);
            assert_same(&read_exact(&theirs.input, sent.len()), &sent);
        }
    }
}

fn both(family: IpAddressFamily) {
    let (client, server) = connected(family);
    write_all(&client.output, b"goodbye");
    client.socket.shutdown(ShutdownType::Both).expect("a connection");
    assert_closed(client.output.check_write());
    assert_closed(client.input.read(1));
    assert_eq!(read_to_end(&server.input), b"goodbye");
    for how in [ShutdownType::Both, ShutdownType::Send, ShutdownType::Receive] {
        client.socket.shutdown(how).expect("as often as one likes");
    }
}

/// After a shutdown, a write fails even if it was permitted before.
fn between_permit_and_write(family: IpAddressFamily) {
    let (client, server) = connected(family);
    assert_ne!(client.output.check_write().expect("an open stream"), 0);
    client.socket.shutdown(ShutdownType::Send).expect("a connection");
    assert_closed(client.output.write(b"too late"));
    wait_closed(&server.input);
}
