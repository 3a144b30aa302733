//! Each operation in each state of a TCP socket: operations that are possible in the state work, and all others return
//! the right error and change nothing.
//!
//! The states are those of `TcpSocketOperationalSemantics.md` of `wasi:sockets` 0.2.

use xila_network_programs::p2::*;

fn main() {
    each_family(unbound);
    each_family(bind_in_progress);
    each_family(bound);
    each_family(listen_in_progress);
    each_family(listening);
    each_family(connect_in_progress);
    each_family(connected_either_way);
    each_family(closed);
}

fn unbound(family: IpAddressFamily) {
    let socket = tcp_socket(family);
    assert_nothing_in_progress(&socket);
    assert_error(socket.start_listen(), ErrorCode::InvalidState);
    assert_no_local_address(&socket);
    assert_not_listening(&socket);
    assert_not_connected(&socket);
    assert!(socket.subscribe().ready());
    assert_eq!(socket.address_family(), family);

    bind(&socket, loopback(family, 0)).expect("it is still unbound");
}

fn bind_in_progress(family: IpAddressFamily) {
    let socket = tcp_socket(family);
    socket.start_bind(&instance_network(), to_wit(loopback(family, 0))).expect("a start");
    assert_cannot_start(&socket, ErrorCode::ConcurrencyConflict);
    assert_error(socket.finish_connect(), ErrorCode::NotInProgress);
    assert_error(socket.finish_listen(), ErrorCode::NotInProgress);
    assert_no_local_address(&socket);
    assert_not_listening(&socket);
    assert_not_connected(&socket);

    let pollable = socket.subscribe();
    while let Err(error) = socket.finish_bind() {
        assert_eq!(error, ErrorCode::WouldBlock);
        pollable.block();
    }
    assert_ne!(local_address(&socket).port(), 0);
    assert_nothing_in_progress(&socket);
}

fn bound(family: IpAddressFamily) {
    let (socket, local) = bound_tcp(family);
    assert_error(start_bind(&socket), ErrorCode::InvalidState);
    assert_nothing_in_progress(&socket);
    assert_not_listening(&socket);
    assert_not_connected(&socket);
    assert!(socket.subscribe().ready());
    assert_eq!(local_address(&socket), local);

    listen(&socket).expect("it is still bound");
}

fn listen_in_progress(family: IpAddressFamily) {
    let (socket, local) = bound_tcp(family);
    socket.start_listen().expect("a start");
    assert_cannot_start(&socket, ErrorCode::ConcurrencyConflict);
    assert_error(socket.finish_bind(), ErrorCode::NotInProgress);
    assert_error(socket.finish_connect(), ErrorCode::NotInProgress);
    assert_not_listening(&socket);
    assert_not_connected(&socket);
    assert_eq!(local_address(&socket), local);

    let pollable = socket.subscribe();
    while let Err(error) = socket.finish_listen() {
        assert_eq!(error, ErrorCode::WouldBlock);
        pollable.block();
    }
    assert!(socket.is_listening());
    assert_nothing_in_progress(&socket);
}

fn listening(family: IpAddressFamily) {
    let (socket, local) = listener(family);
    assert_cannot_start(&socket, ErrorCode::InvalidState);
    assert_nothing_in_progress(&socket);
    assert_not_connected(&socket);
    assert!(socket.is_listening());
    assert_error(socket.accept(), ErrorCode::WouldBlock);
    assert!(!socket.subscribe().ready(), "nobody is there to be accepted");
    assert_eq!(local_address(&socket), local);

    let _client = client(local);
    accept(&socket).expect("it still listens");
}

fn connect_in_progress(family: IpAddressFamily) {
    // A connection attempt is not answered while the backlog is full.
    let (listener, local) = bound_tcp(family);
    listener.set_listen_backlog_size(1).expect("any size but 0");
    listen(&listener).expect("a listener");
    let _first = client(local);

    let socket = tcp_socket(family);
    socket.start_connect(&instance_network(), to_wit(local)).expect("a start");
    let pollable = socket.subscribe();
    assert_error(socket.finish_connect(), ErrorCode::WouldBlock);
    assert!(!pollable.ready(), "the other side has not answered");
    assert_connecting(&socket);

    accept(&listener).expect("the first connection");
    pollable.block();
    // Whether connected or not, the socket stays in this state until `finish-connect` is called.
    assert_connecting(&socket);
    assert!(pollable.ready(), "ready until asked");
    socket.finish_connect().expect("there is a place now");
    assert_eq!(remote_address(&socket), local);
    assert_nothing_in_progress(&socket);
}

fn connected_either_way(family: IpAddressFamily) {
    let (client, server) = connected(family);
    for (here, there) in [(&client, &server), (&server, &client)] {
        assert_cannot_start(&here.socket, ErrorCode::InvalidState);
        assert_nothing_in_progress(&here.socket);
        assert_not_listening(&here.socket);
        assert_error(here.socket.set_listen_backlog_size(1), ErrorCode::InvalidState);
        assert!(here.socket.subscribe().ready(), "its streams wait, not the socket");
        assert_eq!(remote_address(&here.socket), local_address(&there.socket));
        write_all(&here.output, b"still connected");
        assert_eq!(read_exact(&there.input, 15), b"still connected");
    }
}

fn closed(family: IpAddressFamily) {
    let socket = refused(family);
    assert_cannot_start(&socket, ErrorCode::InvalidState);
    assert_nothing_in_progress(&socket);
    assert_no_local_address(&socket);
    assert_not_listening(&socket);
    assert_not_connected(&socket);
    assert!(socket.subscribe().ready());
    assert_eq!(socket.address_family(), family);
}

fn assert_connecting(socket: &TcpSocket) {
    assert_cannot_start(socket, ErrorCode::ConcurrencyConflict);
    assert_error(socket.finish_bind(), ErrorCode::NotInProgress);
    assert_error(socket.finish_listen(), ErrorCode::NotInProgress);
    assert_error(socket.set_listen_backlog_size(1), ErrorCode::InvalidState);
    assert_not_listening(socket);
    assert_not_connected(socket);
    assert_ne!(local_address(socket).port(), 0, "it is bound by now");
}

#[track_caller]
fn assert_cannot_start(socket: &TcpSocket, code: ErrorCode) {
    let (_listener, there) = listener(socket.address_family());
    assert_error(start_bind(socket), code);
    assert_error(socket.start_connect(&instance_network(), to_wit(there)), code);
    assert_error(socket.start_listen(), code);
}

#[track_caller]
fn assert_nothing_in_progress(socket: &TcpSocket) {
    assert_error(socket.finish_bind(), ErrorCode::NotInProgress);
    assert_error(socket.finish_connect(), ErrorCode::NotInProgress);
    assert_error(socket.finish_listen(), ErrorCode::NotInProgress);
}

#[track_caller]
fn assert_no_local_address(socket: &TcpSocket) {
    assert_error(socket.local_address(), ErrorCode::InvalidState);
}

#[track_caller]
fn assert_not_listening(socket: &TcpSocket) {
    assert!(!socket.is_listening());
    assert_error(socket.accept(), ErrorCode::InvalidState);
}

#[track_caller]
fn assert_not_connected(socket: &TcpSocket) {
    assert_error(socket.remote_address(), ErrorCode::InvalidState);
    for how in [ShutdownType::Receive, ShutdownType::Send, ShutdownType::Both] {
        assert_error(socket.shutdown(how), ErrorCode::InvalidState);
    }
}

fn start_bind(socket: &TcpSocket) -> Result<(), ErrorCode> {
    socket.start_bind(&instance_network(), to_wit(loopback(socket.address_family(), 0)))
}
