//! If `stream` is called while there is a pair of streams, that pair becomes inoperable; the new pair works.

use xila_network_programs::p2::*;

fn main() {
    each_family(|family| {
        let (socket, here) = bound_udp(family);
        let (peer, there) = bound_udp(family);
        let theirs = stream(&peer, None).expect("streams");

        let mut former = stream(&socket, None).expect("streams");
        for remote in [Some(there), Some(there), None, None] {
            let waiting = former.incoming.subscribe();
            assert!(!waiting.ready());
            assert_ne!(former.outgoing.check_send().expect("a permit"), 0);
            let latest = stream(&socket, remote).expect("streams");
            assert_eq!(socket.remote_address().map(from_wit).ok(), remote);

            send_one(&theirs.outgoing, b"for the latest", Some(here)).expect("sent");
            assert_error(former.incoming.receive(1), ErrorCode::InvalidState);
            assert_error(former.incoming.receive(0), ErrorCode::InvalidState);
            assert_error(former.outgoing.send(&[datagram(b"x", Some(there))]), ErrorCode::InvalidState);
            assert_error(former.outgoing.check_send(), ErrorCode::InvalidState);
            // A pollable of the old streams becomes ready.
            assert!(waiting.ready());
            assert!(former.outgoing.subscribe().ready());

            assert_eq!(await_datagrams(&latest.incoming, 1), Ok(vec![(b"for the latest".to_vec(), there)]));
            send_one(&latest.outgoing, b"from the latest", Some(there)).expect("sent");
            assert_eq!(await_datagrams(&theirs.incoming, 10), Ok(vec![(b"from the latest".to_vec(), here)]));
            drop(waiting);
            former = latest;
        }

        // A call that fails changes nothing.
        assert_error(stream(&socket, Some(loopback(family, 0))), ErrorCode::InvalidArgument);
        send_one(&former.outgoing, b"still there", Some(there)).expect("sent");
        assert_eq!(await_datagrams(&theirs.incoming, 10), Ok(vec![(b"still there".to_vec(), here)]));
    });
}
