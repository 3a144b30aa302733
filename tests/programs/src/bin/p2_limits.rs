//! One socket more than allowed is refused; when one is dropped, there is room again. A connection that waits to be
//! accepted continues to wait.
//!
//! Argument: the number of allowed sockets.

use xila_network_programs::p2::*;

fn main() {
    let most: usize = std::env::args().nth(1).expect("how many").parse().expect("a number");
    assert!(most >= 3, "for a listener and two ends");
    each_family(|family| mixed(family, most));
    each_family(|family| accepting(family, most));
}

fn mixed(family: IpAddressFamily, most: usize) {
    let mut tcp = Vec::new();
    let mut udp = Vec::new();
    for i in 0..most {
        match i % 2 {
            0 => tcp.push(tcp_socket(family)),
            _ => udp.push(udp_socket(family)),
        }
    }
    for _ in 0..3 {
        assert_error(create_tcp_socket(family), ErrorCode::NewSocketLimit);
        assert_error(create_udp_socket(family), ErrorCode::NewSocketLimit);
    }
    drop(tcp.pop());
    udp.push(udp_socket(family));
    assert_error(create_tcp_socket(family), ErrorCode::NewSocketLimit);
    drop(udp.pop());
    tcp.push(tcp_socket(family));
    assert_error(create_udp_socket(family), ErrorCode::NewSocketLimit);

    // A socket gives its place back once, when it is dropped, in whatever state it is.
    let socket = tcp.pop().expect("one");
    assert_error(connect(&socket, loopback(family, 1)), ErrorCode::ConnectionRefused);
    drop(socket);
    tcp.push(tcp_socket(family));
    assert_error(create_tcp_socket(family), ErrorCode::NewSocketLimit);
}

fn accepting(family: IpAddressFamily, most: usize) {
    let (listener, local) = listener(family);
    let others: Vec<UdpSocket> = (1..most).map(|_| udp_socket(family)).collect();
    assert_error(listener.accept(), ErrorCode::WouldBlock);
    drop(others);
    let client = client(local);
    let others: Vec<UdpSocket> = (2..most).map(|_| udp_socket(family)).collect();
    let pollable = listener.subscribe();
    for _ in 0..3 {
        assert_error(listener.accept(), ErrorCode::NewSocketLimit);
        assert!(pollable.ready(), "it is still there");
    }
    drop(others);
    let server = accept(&listener).expect("there is room now");
    assert_eq!(remote_address(&server.socket), local_address(&client.socket));

    // The streams of a socket keep its place after the socket is dropped.
    let others: Vec<UdpSocket> = (3..most).map(|_| udp_socket(family)).collect();
    let End { input, output, socket } = server;
    drop(socket);
    assert_error(create_tcp_socket(family), ErrorCode::NewSocketLimit);
    drop(output);
    assert_error(create_tcp_socket(family), ErrorCode::NewSocketLimit);
    drop(input);
    drop(tcp_socket(family));
    drop(others);
}
