//! The remote and local addresses with which a TCP socket can connect. After a failed attempt the socket is unusable.

use xila_network_programs::p2::*;

fn main() {
    each_family(addresses_that_are_refused);
    each_family(nobody_there);
    each_family(from_any_port);
    each_family(from_a_port);
    each_family(from_every_address);
}

fn addresses_that_are_refused(family: IpAddressFamily) {
    let (_listener, there) = listener(family);
    let (_other_listener, of_other_family) = listener(other(family));
    let port = there.port();
    let mapped = format!("[::ffff:127.0.0.1]:{port}");
    let mut refused = vec![loopback(family, 0), any(family, port), of_other_family, mapped.parse().unwrap()];
    let groups: &[&str] = match family {
        IpAddressFamily::Ipv4 => &["224.0.0.1:80", "255.255.255.255:80"],
        IpAddressFamily::Ipv6 => &["[ff02::1]:80", "[ff0e::1:3]:80"],
    };
    refused.extend(groups.iter().map(|text| text.parse::<SocketAddr>().unwrap()));
    for remote in refused {
        for socket in [tcp_socket(family), bound_tcp(family).0] {
            eprintln!("{remote}");
            assert_error(connect(&socket, remote), ErrorCode::InvalidArgument);
            assert_error(socket.finish_connect(), ErrorCode::NotInProgress);
            assert_error(socket.remote_address(), ErrorCode::InvalidState);
            // By `TcpSocketOperationalSemantics.md` the socket is now closed; some hosts do not count this as an
            // attempt. Only these two results are allowed.
            match connect(&socket, there) {
                Ok(_streams) => assert_eq!(remote_address(&socket), there),
                Err(_) => assert_closed_for_good(&socket, there),
            }
        }
    }
}

fn nobody_there(family: IpAddressFamily) {
    let (_listener, there) = listener(family);
    // A socket that is bound does not listen.
    let (_bound, silent) = bound_tcp(family);
    for remote in [unused_tcp(family), silent] {
        let socket = tcp_socket(family);
        assert_error(connect(&socket, remote), ErrorCode::ConnectionRefused);
        assert_closed_for_good(&socket, there);
    }
    let nowhere = match family {
        IpAddressFamily::Ipv4 => "192.0.2.1:80",
        IpAddressFamily::Ipv6 => "[2001:db8::1]:80",
    };
    let socket = tcp_socket(family);
    assert_error(connect(&socket, nowhere.parse().unwrap()), ErrorCode::RemoteUnreachable);
    assert_closed_for_good(&socket, there);
}

fn from_any_port(family: IpAddressFamily) {
    let (listener, there) = listener(family);
    let socket = tcp_socket(family);
    let _streams = connect(&socket, there).expect("a connection");
    let local = local_address(&socket);
    assert_eq!(local.ip(), there.ip());
    assert_ne!(local.port(), 0);
    assert_eq!(remote_address(&socket), there);
    assert_eq!(remote_address(&accept(&listener).expect("a connection").socket), local);
}

fn from_a_port(family: IpAddressFamily) {
    let (listener, there) = listener(family);
    let (socket, local) = bound_tcp(family);
    let _streams = connect(&socket, there).expect("a connection");
    assert_eq!(local_address(&socket), local);
    assert_eq!(remote_address(&accept(&listener).expect("a connection").socket), local);

    // A connection occupies a pair of endpoints, not a port (as with SO_REUSEADDR, which the WIT package implies).
    let socket = tcp_socket(family);
    bind(&socket, local).expect("nobody listens there");
    assert_error(connect(&socket, there), ErrorCode::AddressInUse);
    drop(socket);
    let (_another_listener, elsewhere) = self::listener(family);
    let socket = tcp_socket(family);
    bind(&socket, local).expect("nobody listens there");
    let _more_streams = connect(&socket, elsewhere).expect("another pair of ends");
    assert_eq!(local_address(&socket), local);
}

fn from_every_address(family: IpAddressFamily) {
    let (listener, there) = listener(family);
    let socket = tcp_socket(family);
    bind(&socket, any(family, 0)).expect("a free port");
    let port = local_address(&socket).port();
    let _streams = connect(&socket, there).expect("a connection");
    let local = SocketAddr::new(there.ip(), port);
    assert_eq!(local_address(&socket), local, "the address that leads there");
    assert_eq!(remote_address(&accept(&listener).expect("a connection").socket), local);
}

/// Checks that after a failed attempt every operation of the socket fails.
#[track_caller]
fn assert_closed_for_good(socket: &TcpSocket, there: SocketAddr) {
    assert_error(socket.finish_connect(), ErrorCode::NotInProgress);
    assert_error(connect(socket, there), ErrorCode::InvalidState);
    assert_error(bind(socket, loopback(socket.address_family(), 0)), ErrorCode::InvalidState);
    assert_error(listen(socket), ErrorCode::InvalidState);
    assert_error(socket.local_address(), ErrorCode::InvalidState);
    assert!(socket.subscribe().ready());
}
