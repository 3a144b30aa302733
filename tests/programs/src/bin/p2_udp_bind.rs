//! The addresses to which a UDP socket can be bound. A failed bind may be repeated.

use xila_network_programs::p2::*;

fn main() {
    each_family(|family| {
        let socket = udp_socket(family);
        for wrong in [loopback(other(family), 0), any(other(family), 0), "[::ffff:127.0.0.1]:0".parse().unwrap()] {
            assert_error(bind_udp(&socket, wrong), ErrorCode::InvalidArgument);
        }
        let elsewhere = match family {
            IpAddressFamily::Ipv4 => "192.0.2.1:0",
            IpAddressFamily::Ipv6 => "[2001:db8::1]:0",
        };
        assert_error(bind_udp(&socket, elsewhere.parse().unwrap()), ErrorCode::AddressNotBindable);

        let (first, taken) = bound_udp(family);
        let (_second, another) = bound_udp(family);
        assert_ne!(taken.port(), 0);
        assert_ne!(taken, another);
        assert_error(bind_udp(&socket, taken), ErrorCode::AddressInUse);
        assert_error(bind_udp(&socket, any(family, taken.port())), ErrorCode::AddressInUse);
        assert_error(socket.local_address(), ErrorCode::InvalidState);
        bind_udp(&udp_socket(other(family)), loopback(other(family), taken.port())).expect("another family");
        // UDP ports and TCP ports are separate.
        bind(&tcp_socket(family), taken).expect("another protocol");

        drop(first);
        bind_udp(&socket, taken).expect("it is free again");
        assert_eq!(socket.local_address().map(from_wit), Ok(taken));

        // The unspecified address, and port 0.
        let everywhere = udp_socket(family);
        bind_udp(&everywhere, any(family, 0)).expect("every address");
        let local = from_wit(everywhere.local_address().expect("a bound socket"));
        assert!(local.ip().is_unspecified(), "{local}");
        let there = loopback(family, local.port());
        let (mine, theirs) = (stream(&socket, None).expect("streams"), stream(&everywhere, None).expect("streams"));
        send_one(&mine.outgoing, b"hello", Some(there)).expect("sent");
        assert_eq!(await_datagrams(&theirs.incoming, 1), Ok(vec![(b"hello".to_vec(), taken)]));
        send_one(&theirs.outgoing, b"hello to you", Some(taken)).expect("sent");
        assert_eq!(await_datagrams(&mine.incoming, 1), Ok(vec![(b"hello to you".to_vec(), there)]));
    });
}
