//! The other functions to read and write: skip, splice, writing zeroes, and those that block and flush.

use xila_network_programs::p2::*;

fn main() {
    each_family(skip);
    each_family(splice);
    each_family(splice_much);
    each_family(splice_ends);
    each_family(block_and_flush);
    each_family(zeroes);
}

fn skip(family: IpAddressFamily) {
    let (client, server) = connected(family);
    assert_eq!(server.input.skip(10).expect("an open stream"), 0, "nothing is there");
    write_all(&client.output, b"0123456789");
    let mut skipped = 0;
    while skipped < 4 {
        let more = server.input.blocking_skip(4 - skipped).expect("an open stream");
        assert!((1..=4 - skipped).contains(&more), "{more}");
        skipped += more;
    }
    assert_eq!(read_exact(&server.input, 3), b"456");
    let mut rest = 0;
    while rest < 3 {
        rest += server.input.skip(100).expect("an open stream");
    }
    assert_eq!(rest, 3);
    client.socket.shutdown(ShutdownType::Send).expect("a connection");
    assert_closed(server.input.blocking_skip(1));
    assert_closed(server.input.skip(1));
}

fn splice(family: IpAddressFamily) {
    let (source, from) = connected(family);
    let (to, sink) = connected(family);
    assert_eq!(to.output.splice(&from.input, 10).expect("open streams"), 0, "nothing is there");
    write_all(&source.output, b"0123456789");
    from.input.subscribe().block();
    assert_eq!(to.output.splice(&from.input, 0).expect("open streams"), 0);
    let mut spliced = 0;
    while spliced < 4 {
        let more = to.output.blocking_splice(&from.input, 4 - spliced).expect("open streams");
        assert!((1..=4 - spliced).contains(&more), "{more}");
        spliced += more;
    }
    assert_eq!(read_exact(&sink.input, 4), b"0123");
    assert_eq!(read_exact(&from.input, 2), b"45", "the rest is left where it was");
    assert_ne!(to.output.blocking_splice(&from.input, 1).expect("open streams"), 0);
    assert_eq!(read_exact(&sink.input, 1), b"6");
}

/// Splices more bytes than any buffer holds, through two connections.
fn splice_much(family: IpAddressFamily) {
    let (source, from) = connected(family);
    let (to, sink) = connected(family);
    let sent = pattern(4, 2 << 20);
    let mut received = Vec::new();
    let mut unsent = &sent[..];
    let (readable, writable, arrived) = (from.input.subscribe(), to.output.subscribe(), sink.input.subscribe());
    let room = source.output.subscribe();
    while received.len() < sent.len() {
        let permit = usize::try_from(source.output.check_write().expect("an open stream")).expect("a permit");
        let (now, later) = unsent.split_at(permit.min(unsent.len()));
        source.output.write(now).expect("what was permitted");
        unsent = later;
        to.output.splice(&from.input, u64::MAX).expect("open streams");
        received.extend(drain(&sink.input));
        // One of these is always going to be ready.
        let mut any = vec![&arrived];
        match readable.ready() {
            true => any.push(&writable),
            false => any.push(&readable),
        }
        if !unsent.is_empty() {
            any.push(&room);
        }
        if received.len() < sent.len() {
            poll(&any);
        }
    }
    assert_same(&received, &sent);
}

fn splice_ends(family: IpAddressFamily) {
    // The source has ended: splicing fails after all of its bytes.
    let (source, from) = connected(family);
    let (to, sink) = connected(family);
    write_all(&source.output, b"the last");
    source.socket.shutdown(ShutdownType::Send).expect("a connection");
    let mut spliced = 0;
    while spliced < 8 {
        spliced += to.output.blocking_splice(&from.input, 100).expect("open streams");
    }
    assert_closed(to.output.blocking_splice(&from.input, 100));
    assert_closed(to.output.splice(&from.input, 100));
    write_all(&to.output, b", and more");
    assert_eq!(read_exact(&sink.input, 18), b"the last, and more");

    // The sink is closed: no bytes are taken from the source.
    let (source, from) = connected(family);
    write_all(&source.output, b"kept");
    from.input.subscribe().block();
    to.socket.shutdown(ShutdownType::Send).expect("a connection");
    assert_closed(to.output.splice(&from.input, 100));
    assert_closed(to.output.blocking_splice(&from.input, 100));
    assert_eq!(read_exact(&from.input, 4), b"kept");
}

fn block_and_flush(family: IpAddressFamily) {
    let (client, server) = connected(family);
    for round in 0..20 {
        // The maximum that the function accepts.
        let sent = pattern(round, 4096);
        client.output.blocking_write_and_flush(&sent).expect("an open stream");
        let mut received = Vec::new();
        while received.len() < sent.len() {
            let more = server.input.blocking_read(3000).expect("an open stream");
            assert!((1..=3000).contains(&more.len()), "{}", more.len());
            received.extend(more);
        }
        assert_same(&received, &sent);
    }

    write_all(&client.output, b"flushed");
    client.output.flush().expect("an open stream");
    client.output.subscribe().block();
    assert_ne!(client.output.check_write().expect("an open stream"), 0, "flushed, and ready for more");
    client.output.blocking_flush().expect("an open stream");
    assert_ne!(client.output.check_write().expect("an open stream"), 0);
    assert_eq!(read_exact(&server.input, 7), b"flushed");

    client.socket.shutdown(ShutdownType::Send).expect("a connection");
    assert_closed(server.input.blocking_read(1));
    server.socket.shutdown(ShutdownType::Send).expect("a connection");
    assert_closed(server.output.blocking_write_and_flush(b"too late"));
    assert_closed(server.output.blocking_flush());
}

fn zeroes(family: IpAddressFamily) {
    let (client, server) = connected(family);
    client.output.blocking_write_zeroes_and_flush(4096).expect("an open stream");
    assert_same(&read_exact(&server.input, 4096), &[0; 4096]);
    assert!(client.output.check_write().expect("an open stream") >= 10);
    client.output.write_zeroes(10).expect("what was permitted");
    assert_eq!(read_exact(&server.input, 10), [0; 10]);
}
