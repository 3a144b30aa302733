//! Polling several sockets and streams at once, and using one pollable of a socket in all of its states.

use wasip2::clocks::monotonic_clock::subscribe_duration;
use xila_network_programs::p2::*;

fn main() {
    each_family(one_for_the_whole_life);
    each_family(one_for_connecting);
    each_family(several_at_once);
    each_family(several_of_one_stream);
}

fn one_for_the_whole_life(family: IpAddressFamily) {
    let socket = tcp_socket(family);
    let pollable = socket.subscribe();
    assert!(pollable.ready());
    socket.start_bind(&instance_network(), to_wit(loopback(family, 0))).expect("a start");
    pollable.block();
    socket.finish_bind().expect("it is ready");
    assert!(pollable.ready());
    socket.start_listen().expect("a start");
    pollable.block();
    socket.finish_listen().expect("it is ready");
    for _ in 0..2 {
        assert!(!pollable.ready(), "nobody is there");
        let _client = client(local_address(&socket));
        assert_eq!(poll(&[&pollable]), [0]);
        let (accepted, input, output) = socket.accept().expect("it is ready");
        // A host may require this order of dropping.
        drop((output, input, accepted));
    }
}

fn one_for_connecting(family: IpAddressFamily) {
    let (_listener, there) = listener(family);
    for (remote, outcome) in [(there, None), (unused_tcp(family), Some(ErrorCode::ConnectionRefused))] {
        let socket = tcp_socket(family);
        let pollable = socket.subscribe();
        socket.start_connect(&instance_network(), to_wit(remote)).expect("a start");
        pollable.block();
        // The streams are kept alive while the pollable is checked once more.
        let streams = socket.finish_connect();
        assert_eq!(streams.as_ref().err().copied(), outcome);
        assert!(pollable.ready(), "connected or closed: both are ready");
    }
}

fn several_at_once(family: IpAddressFamily) {
    let (listener, local) = listener(family);
    let (client_a, server_a) = connected(family);
    let (client_b, server_b) = connected(family);
    let (udp, at) = bound_udp(family);
    let datagrams = stream(&udp, None).expect("streams");
    let never = subscribe_duration(3_600_000_000_000);
    let pollables = [
        &listener.subscribe(),
        &server_a.input.subscribe(),
        &server_b.input.subscribe(),
        &datagrams.incoming.subscribe(),
        &never,
    ];
    assert!(pollables.iter().all(|pollable| !pollable.ready()), "nothing has happened");

    write_all(&client_b.output, b"b");
    assert_eq!(poll(&pollables), [2]);
    write_all(&client_a.output, b"a");
    assert_ready(&pollables, &[1, 2]);
    assert_eq!(read_exact(&server_b.input, 1), b"b");
    assert_ready(&pollables, &[1]);
    let _another = client(local);
    assert_ready(&pollables, &[0, 1]);
    send_one(&datagrams.outgoing, b"c", Some(at)).expect("sent");
    assert_ready(&pollables, &[0, 1, 3]);
    accept(&listener).expect("a connection");
    assert_eq!(read_exact(&server_a.input, 1), b"a");
    await_datagrams(&datagrams.incoming, 1).expect("one");
    client_b.socket.shutdown(ShutdownType::Send).expect("a connection");
    assert_eq!(poll(&pollables), [2], "the end of a stream is something, too");
    // A pollable that is given twice counts twice.
    assert_eq!(poll(&[pollables[2], pollables[4], pollables[2]]), [0, 2]);

    // If nothing is ready, `poll` waits.
    let soon = subscribe_duration(1_000_000);
    assert_eq!(poll(&[pollables[0], &soon, pollables[1]]), [1]);
    drop(client_a);
}

/// Several pollables of one stream are all woken.
fn several_of_one_stream(family: IpAddressFamily) {
    let (client, server) = connected(family);
    let pollables: Vec<Pollable> = (0..100).map(|_| server.input.subscribe()).collect();
    let all: Vec<&Pollable> = pollables.iter().collect();
    let writable = client.output.subscribe();
    assert_eq!(poll(&[&pollables[7], &writable]), [1]);
    write_all(&client.output, b"!");
    assert_ready(&all, &(0..100).collect::<Vec<u32>>());
}

/// Waits until these pollables are ready, and checks that the others are not.
#[track_caller]
fn assert_ready(pollables: &[&Pollable], expected: &[u32]) {
    for index in expected {
        pollables[*index as usize].block();
    }
    let mut ready = poll(pollables);
    ready.sort_unstable();
    assert_eq!(ready, expected);
}
