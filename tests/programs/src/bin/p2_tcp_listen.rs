//! Listening: only a bound socket can listen, it is ready when a connection waits, and its backlog has the requested
//! length.

use xila_network_programs::p2::*;

fn main() {
    each_family(only_bound);
    each_family(ready_when_somebody_is_there);
    each_family(in_the_order_of_arrival);
    each_family(the_backlog_is_as_long_as_asked);
    each_family(gone_before_accepted);
    each_family(a_listener_goes);
}

fn only_bound(family: IpAddressFamily) {
    let socket = tcp_socket(family);
    assert_error(listen(&socket), ErrorCode::InvalidState);
    bind(&socket, loopback(family, 0)).expect("it was not closed by that");
    assert!(!socket.is_listening());
    listen(&socket).expect("a listener");
    assert!(socket.is_listening());
}

fn ready_when_somebody_is_there(family: IpAddressFamily) {
    let (listener, local) = listener(family);
    let pollable = listener.subscribe();
    for _ in 0..3 {
        assert_error(listener.accept(), ErrorCode::WouldBlock);
        assert!(!pollable.ready());
        let client = client(local);
        pollable.block();
        assert!(pollable.ready(), "ready until it is taken");
        let (socket, _input, _output) = listener.accept().expect("what it is ready for");
        assert_eq!(remote_address(&socket), local_address(&client.socket));
    }
}

fn in_the_order_of_arrival(family: IpAddressFamily) {
    let (listener, local) = listener(family);
    let clients: Vec<End> = (0..5).map(|_| client(local)).collect();
    for client in &clients {
        let server = accept(&listener).expect("a connection");
        assert_eq!(remote_address(&server.socket), local_address(&client.socket));
    }
    assert_error(listener.accept(), ErrorCode::WouldBlock);
}

fn the_backlog_is_as_long_as_asked(family: IpAddressFamily) {
    let (listener, local) = bound_tcp(family);
    listener.set_listen_backlog_size(2).expect("any size but 0");
    listen(&listener).expect("a listener");
    let _waiting = [client(local), client(local)];

    let third = tcp_socket(family);
    third.start_connect(&instance_network(), to_wit(local)).expect("a start");
    assert_error(third.finish_connect(), ErrorCode::WouldBlock);

    listener.set_listen_backlog_size(3).expect("it may grow while it listens");
    third.subscribe().block();
    third.finish_connect().expect("a place");
    for _ in 0..3 {
        accept(&listener).expect("a connection");
    }
}

/// A connection that has sent data and a FIN before it is accepted can still be accepted and read.
fn gone_before_accepted(family: IpAddressFamily) {
    let (listener, local) = listener(family);
    let client = client(local);
    write_all(&client.output, b"in a hurry");
    drop(client);
    let server = accept(&listener).expect("a connection");
    assert_eq!(read_to_end(&server.input), b"in a hurry");
}

/// When a listener is dropped, waiting connections are reset and new ones are refused; accepted connections stay.
fn a_listener_goes(family: IpAddressFamily) {
    let (listener, local) = listener(family);
    let accepted = client(local);
    let server = accept(&listener).expect("a connection");
    let waiting = client(local);
    drop(listener);

    let error = assert_failed(waiting.input.blocking_read(1));
    assert_eq!(network_error_code(&error), Some(ErrorCode::ConnectionReset));
    assert_error(connect(&tcp_socket(family), local), ErrorCode::ConnectionRefused);
    write_all(&accepted.output, b"still here");
    assert_eq!(read_exact(&server.input, 10), b"still here");
}
