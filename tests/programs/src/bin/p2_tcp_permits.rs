//! All bytes that `check-write` permits are taken; there is no permit while the buffer is full; readiness announces the
//! next permit.

use xila_network_programs::p2::*;

fn main() {
    each_family(until_nothing_fits);
    each_family(less_than_permitted);
}

fn until_nothing_fits(family: IpAddressFamily) {
    let (client, server) = connected(family);
    let pollable = client.output.subscribe();
    assert!(pollable.ready(), "an empty buffer has room");

    let sent = pattern(2, 64 << 20);
    let mut written = 0;
    let mut received = Vec::new();
    for _ in 0..3 {
        let more = fill(&client.output, |permit| {
            let piece = sent[written..written + permit].to_vec();
            written += permit;
            piece
        });
        assert_ne!(more, 0, "there was room");
        // A write of zero bytes is allowed by a permit of zero.
        client.output.write(b"").expect("an open stream");

        while !pollable.ready() {
            let some = server.input.read(10_000).expect("an open stream");
            if some.is_empty() {
                // All bytes may have been read before the sender's permit is updated.
                poll(&[&pollable, &server.input.subscribe()]);
            }
            received.extend(some);
        }
        assert_ne!(client.output.check_write().expect("an open stream"), 0, "ready without room");
    }

    client.socket.shutdown(ShutdownType::Send).expect("a connection");
    received.extend(read_to_end(&server.input));
    assert_same(&received, &sent[..written]);
}

fn less_than_permitted(family: IpAddressFamily) {
    let (client, server) = connected(family);
    let permit = client.output.check_write().expect("an open stream");
    assert!(permit > 10, "{permit}");
    assert_eq!(client.output.check_write().expect("an open stream"), permit, "asking takes nothing");
    client.output.write(b"a little").expect("what was permitted");
    assert_ne!(client.output.check_write().expect("an open stream"), 0);
    client.output.write(b", more").expect("what was permitted");
    assert_ne!(client.output.check_write().expect("an open stream"), 0);
    client.output.write_zeroes(3).expect("what was permitted");
    assert_eq!(read_exact(&server.input, 17), b"a little, more\0\0\0");
}
