//! Streams, listeners and datagram streams outlive an interface that is down. Nothing is ready meanwhile that a call
//! would not answer with something new, so that a program which polls does not spin.
//!
//! The host must keep the loopback down as long as port 9 of 127.0.0.1 is taken for UDP.

use wasip2::clocks::monotonic_clock::subscribe_duration;
use xila_network_programs::p2::*;

fn main() {
    each_family(connection);
    each_family(listening);
    each_family(datagrams);
}

/// The loopback is down while this exists.
struct Outage(UdpSocket);

impl Outage {
    fn begin() -> Self {
        let place = loopback(IpAddressFamily::Ipv4, 9);
        let sign = udp_socket(IpAddressFamily::Ipv4);
        // The host takes the port for a moment when it looks whether this program has it.
        wait_until(|| bind_udp(&sign, place).is_ok());
        wait_until(is_down);
        Self(sign)
    }

    fn end(self) {
        drop(self.0);
        wait_until(|| !is_down());
    }
}

fn is_down() -> bool {
    let (socket, local) = bound_udp(IpAddressFamily::Ipv4);
    let streams = stream(&socket, None).expect("streams");
    send_one(&streams.outgoing, b"probe", Some(local)) == Err(ErrorCode::RemoteUnreachable)
}

fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        subscribe_duration(1_000_000).block();
    }
}

fn connection(family: IpAddressFamily) {
    let (client, server) = connected(family);
    let pollable = server.input.subscribe();
    write_all(&client.output, b"early");
    pollable.block();
    let outage = Outage::begin();
    assert_eq!(read_exact(&server.input, 5), b"early", "what has arrived can be read");
    assert!(!pollable.ready());
    assert_eq!(server.input.read(10).expect("an open stream"), b"");

    // What is written is queued, until nothing fits.
    let sent = pattern(1, 64 << 20);
    let mut written = 0;
    let length = fill(&client.output, |permit| {
        let piece = sent[written..written + permit].to_vec();
        written += permit;
        piece
    });
    assert_ne!(length, 0, "there was room");
    assert!(!client.output.subscribe().ready());
    assert!(!pollable.ready());

    outage.end();
    assert_same(&read_exact(&server.input, written), &sent[..written]);
    write_all(&server.output, b"back");
    assert_eq!(read_exact(&client.input, 4), b"back");

    // A shutdown while the interface is down is done later, too.
    let outage = Outage::begin();
    write_all(&client.output, b"last");
    client.socket.shutdown(ShutdownType::Send).expect("a connection");
    assert!(!pollable.ready());
    outage.end();
    assert_eq!(read_to_end(&server.input), b"last");
}

fn listening(family: IpAddressFamily) {
    let (listener, local) = listener(family);
    let pollable = listener.subscribe();
    let outage = Outage::begin();
    for _ in 0..3 {
        assert!(!pollable.ready());
        assert_error(listener.accept(), ErrorCode::WouldBlock);
    }
    assert_error(connect(&tcp_socket(family), local), ErrorCode::RemoteUnreachable);
    outage.end();
    assert!(!pollable.ready());
    let _client = client(local);
    accept(&listener).expect("a connection");
}

fn datagrams(family: IpAddressFamily) {
    let (socket, local) = bound_udp(family);
    let streams = stream(&socket, None).expect("streams");
    let pollable = streams.incoming.subscribe();
    let outage = Outage::begin();
    for _ in 0..3 {
        assert!(!pollable.ready());
        assert_eq!(streams.incoming.receive(1).expect("an open stream").len(), 0);
        assert_error(send_one(&streams.outgoing, b"lost", Some(local)), ErrorCode::RemoteUnreachable);
    }
    outage.end();
    assert!(!pollable.ready());
    send_one(&streams.outgoing, b"here", Some(local)).expect("sent");
    assert_eq!(await_datagrams(&streams.incoming, 1).expect("one"), [(b"here".to_vec(), local)]);
}
