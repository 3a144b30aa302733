//! The addresses to which a TCP socket can be bound. A failed bind may be repeated.

use xila_network_programs::p2::*;

fn main() {
    each_family(addresses_that_are_refused);
    each_family(addresses_that_are_taken);
    each_family(free_ports);
    each_family(through_time_wait);
    each_family(one_family_only);
}

/// The unspecified address of one family does not include the other family: both can have the port, and each gets its
/// own connections.
fn one_family_only(family: IpAddressFamily) {
    let socket = tcp_socket(family);
    bind(&socket, any(family, 0)).expect("a free port");
    listen(&socket).expect("bound");
    let port = local_address(&socket).port();
    let stranger = tcp_socket(other(family));
    assert_error(connect(&stranger, loopback(other(family), port)), ErrorCode::ConnectionRefused);
    let beside = tcp_socket(other(family));
    bind(&beside, any(other(family), port)).expect("free in the other family");
    listen(&beside).expect("bound");
    let end = client(loopback(other(family), port));
    assert_error(socket.accept(), ErrorCode::WouldBlock);
    drop((accept(&beside).expect("a connection"), end));
}

fn addresses_that_are_refused(family: IpAddressFamily) {
    let socket = tcp_socket(family);
    let groups: &[&str] = match family {
        IpAddressFamily::Ipv4 => &["224.0.0.1:0", "239.1.2.3:80", "255.255.255.255:0", "[::ffff:127.0.0.1]:0"],
        IpAddressFamily::Ipv6 => &["[ff02::1]:0", "[ff05::1:3]:80", "[::ffff:127.0.0.1]:0", "[::ffff:0.0.0.0]:0"],
    };
    for text in groups {
        assert_error(bind(&socket, text.parse().unwrap()), ErrorCode::InvalidArgument);
    }
    for wrong in [loopback(other(family), 0), any(other(family), 0)] {
        assert_error(bind(&socket, wrong), ErrorCode::InvalidArgument);
    }
    let elsewhere = match family {
        IpAddressFamily::Ipv4 => "192.0.2.1:0",
        IpAddressFamily::Ipv6 => "[2001:db8::1]:0",
    };
    assert_error(bind(&socket, elsewhere.parse().unwrap()), ErrorCode::AddressNotBindable);
    assert_error(socket.local_address(), ErrorCode::InvalidState);
    assert_error(socket.finish_bind(), ErrorCode::NotInProgress);

    bind(&socket, loopback(family, 0)).expect("all others have failed");
    assert_error(bind(&socket, loopback(family, 0)), ErrorCode::InvalidState);
}

fn addresses_that_are_taken(family: IpAddressFamily) {
    let (bound, taken) = bound_tcp(family);
    let socket = tcp_socket(family);
    assert_error(bind(&socket, taken), ErrorCode::AddressInUse);
    assert_error(bind(&socket, any(family, taken.port())), ErrorCode::AddressInUse);
    listen(&bound).expect("a listener");
    assert_error(bind(&socket, taken), ErrorCode::AddressInUse);

    // The same port in the other family is separate.
    bind(&tcp_socket(other(family)), loopback(other(family), taken.port())).expect("another family");

    drop(bound);
    bind(&socket, taken).expect("it is free again");
    assert_eq!(local_address(&socket), taken);
}

fn free_ports(family: IpAddressFamily) {
    let (_first, first) = bound_tcp(family);
    let (_second, second) = bound_tcp(family);
    for local in [first, second] {
        assert_eq!(local.ip(), loopback(family, 0).ip());
        assert_ne!(local.port(), 0);
    }
    assert_ne!(first, second);

    let everywhere = tcp_socket(family);
    bind(&everywhere, any(family, 0)).expect("every address");
    let local = local_address(&everywhere);
    assert!(local.ip().is_unspecified(), "{local}");
    assert_ne!(local.port(), 0);
    listen(&everywhere).expect("a listener");
    let client = client(loopback(family, local.port()));
    let server = accept(&everywhere).expect("a connection to one of its addresses");
    assert_eq!(local_address(&server.socket), remote_address(&client.socket));
}

/// A listener's port is free as soon as the listener is gone, even if its connections are in TIME-WAIT.
fn through_time_wait(family: IpAddressFamily) {
    let (first, local) = listener(family);
    let early = client(local);
    let server = accept(&first).expect("a connection");
    // The end that closes first enters TIME-WAIT.
    drop(server);
    wait_closed(&early.input);
    drop(early);
    drop(first);

    let socket = tcp_socket(family);
    bind(&socket, local).expect("TIME-WAIT is no hindrance");
    listen(&socket).expect("a listener");
    let late = client(local);
    let server = accept(&socket).expect("a connection");
    write_all(&late.output, b"again");
    assert_eq!(read_exact(&server.input, 5), b"again");
}
