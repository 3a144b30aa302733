//! Each operation in each state of a UDP socket.

use xila_network_programs::p2::*;

fn main() {
    each_family(|family| {
        let socket = udp_socket(family);
        assert_eq!(socket.address_family(), family);
        assert_error(socket.finish_bind(), ErrorCode::NotInProgress);
        assert_error(socket.local_address(), ErrorCode::InvalidState);
        assert_error(socket.remote_address(), ErrorCode::InvalidState);
        assert_error(socket.stream(None), ErrorCode::InvalidState);
        assert_error(socket.stream(Some(to_wit(loopback(family, 9)))), ErrorCode::InvalidState);
        assert!(socket.subscribe().ready());

        socket.start_bind(&instance_network(), to_wit(loopback(family, 0))).expect("a start");
        assert_error(start_bind(&socket), ErrorCode::ConcurrencyConflict);
        assert_error(socket.local_address(), ErrorCode::InvalidState);
        assert_error(socket.remote_address(), ErrorCode::InvalidState);
        let early = socket.stream(None).expect_err("it is not bound");
        assert!(matches!(early, ErrorCode::InvalidState | ErrorCode::ConcurrencyConflict), "{early:?}");
        let pollable = socket.subscribe();
        while let Err(error) = socket.finish_bind() {
            assert_eq!(error, ErrorCode::WouldBlock);
            pollable.block();
        }
        drop(pollable);

        let local = from_wit(socket.local_address().expect("a bound socket"));
        assert_eq!(local.ip(), loopback(family, 0).ip());
        assert_error(start_bind(&socket), ErrorCode::InvalidState);
        assert_error(socket.finish_bind(), ErrorCode::NotInProgress);
        assert_error(socket.remote_address(), ErrorCode::InvalidState);
        assert!(socket.subscribe().ready());

        // Streams without a peer, with a peer, and without a peer again.
        let (_peer, there) = bound_udp(family);
        for remote in [None, Some(there), None] {
            let streams = stream(&socket, remote).expect("streams");
            match remote {
                None => assert_error(socket.remote_address(), ErrorCode::InvalidState),
                Some(there) => assert_eq!(socket.remote_address().map(from_wit), Ok(there)),
            }
            assert_eq!(socket.local_address().map(from_wit), Ok(local));
            assert_error(start_bind(&socket), ErrorCode::InvalidState);
            assert_error(socket.finish_bind(), ErrorCode::NotInProgress);
            drop(streams);
        }

        // The socket's handle may be dropped at any time, and its streams continue to work.
        let half_way = udp_socket(family);
        start_bind(&half_way).expect("a start");
        drop(half_way);
        let Association { incoming, outgoing } = stream(&socket, None).expect("streams");
        drop(socket);
        send_one(&outgoing, b"to itself", Some(local)).expect("sent");
        assert_eq!(await_datagrams(&incoming, 1), Ok(vec![(b"to itself".to_vec(), local)]));
        drop(outgoing);
        drop(incoming);
        let again = udp_socket(family);
        bind_udp(&again, local).expect("all handles are gone");
    });
}

fn start_bind(socket: &UdpSocket) -> Result<(), ErrorCode> {
    socket.start_bind(&instance_network(), to_wit(loopback(socket.address_family(), 0)))
}
