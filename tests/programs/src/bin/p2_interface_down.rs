//! Streams, listeners and datagram streams outlive an interface that is down. Nothing is ready meanwhile that a call
//! would not answer with something new, so that a program which polls does not spin.
//!
//! The program sets the loopback down and up itself.

use xila_network_programs::control::{Interface, State};
use xila_network_programs::p2::*;

fn main() {
    let lo = Interface::open("lo").expect("the right to control it");
    each_family(|family| connection(&lo, family));
    each_family(|family| listening(&lo, family));
    each_family(|family| datagrams(&lo, family));
}

fn set(lo: &Interface, state: State) {
    lo.set_state(state).expect("the right to control it");
}

fn connection(lo: &Interface, family: IpAddressFamily) {
    let (client, server) = connected(family);
    let pollable = server.input.subscribe();
    write_all(&client.output, b"early");
    pollable.block();
    set(lo, State::Down);
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

    set(lo, State::Up);
    assert_same(&read_exact(&server.input, written), &sent[..written]);
    write_all(&server.output, b"back");
    assert_eq!(read_exact(&client.input, 4), b"back");

    // A shutdown while the interface is down is done later, too.
    set(lo, State::Down);
    write_all(&client.output, b"last");
    client.socket.shutdown(ShutdownType::Send).expect("a connection");
    assert!(!pollable.ready());
    set(lo, State::Up);
    assert_eq!(read_to_end(&server.input), b"last");
}

fn listening(lo: &Interface, family: IpAddressFamily) {
    let (listener, local) = listener(family);
    let pollable = listener.subscribe();
    set(lo, State::Down);
    for _ in 0..3 {
        assert!(!pollable.ready());
        assert_error(listener.accept(), ErrorCode::WouldBlock);
    }
    assert_error(connect(&tcp_socket(family), local), ErrorCode::RemoteUnreachable);
    set(lo, State::Up);
    assert!(!pollable.ready());
    let _client = client(local);
    accept(&listener).expect("a connection");
}

fn datagrams(lo: &Interface, family: IpAddressFamily) {
    let (socket, local) = bound_udp(family);
    let streams = stream(&socket, None).expect("streams");
    let pollable = streams.incoming.subscribe();
    set(lo, State::Down);
    for _ in 0..3 {
        assert!(!pollable.ready());
        assert_eq!(streams.incoming.receive(1).expect("an open stream").len(), 0);
        assert_error(send_one(&streams.outgoing, b"lost", Some(local)), ErrorCode::RemoteUnreachable);
    }
    set(lo, State::Up);
    assert!(!pollable.ready());
    send_one(&streams.outgoing, b"here", Some(local)).expect("sent");
    assert_eq!(await_datagrams(&streams.incoming, 1).expect("one"), [(b"here".to_vec(), local)]);
}
