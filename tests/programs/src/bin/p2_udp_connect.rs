//! Streams with a peer receive only from that peer and need no destination; streams without a peer need one.

use xila_network_programs::p2::*;

fn main() {
    each_family(one_peer);
    each_family(bad_peers);
    each_family(nobody_there);
    each_family(from_every_address);
}

fn one_peer(family: IpAddressFamily) {
    let (socket, here) = bound_udp(family);
    let ((peer, there), (stranger, elsewhere)) = (bound_udp(family), bound_udp(family));
    let (peer, stranger) = (stream(&peer, None).expect("streams"), stream(&stranger, None).expect("streams"));
    let to = |from: &Association, data: &[u8]| send_one(&from.outgoing, data, Some(here)).expect("sent");

    let streams = stream(&socket, Some(there)).expect("streams");
    assert_eq!(socket.remote_address().map(from_wit), Ok(there));
    to(&stranger, b"from a stranger");
    assert!(!streams.incoming.subscribe().ready(), "strangers are not heard");
    assert_eq!(streams.incoming.receive(10).map(|list| list.len()), Ok(0));
    to(&peer, b"from the peer");
    assert_eq!(await_datagrams(&streams.incoming, 10), Ok(vec![(b"from the peer".to_vec(), there)]));

    for remote in [None, Some(there)] {
        send_one(&streams.outgoing, b"to the peer", remote).expect("sent");
        assert_eq!(await_datagrams(&peer.incoming, 10), Ok(vec![(b"to the peer".to_vec(), here)]));
    }
    let wrong_port = SocketAddr::new(there.ip(), elsewhere.port());
    for remote in [elsewhere, wrong_port, any(family, there.port()), loopback(other(family), there.port())] {
        assert_error(send_one(&streams.outgoing, b"x", Some(remote)), ErrorCode::InvalidArgument);
    }

    // With another peer, and without a peer: the previous streams are dropped first.
    drop(streams);
    let streams = stream(&socket, Some(elsewhere)).expect("streams");
    assert_eq!(socket.remote_address().map(from_wit), Ok(elsewhere));
    to(&peer, b"a stranger by now");
    to(&stranger, b"a peer by now");
    assert_eq!(await_datagrams(&streams.incoming, 10), Ok(vec![(b"a peer by now".to_vec(), elsewhere)]));
    drop(streams);
    let streams = stream(&socket, None).expect("streams");
    assert_error(socket.remote_address(), ErrorCode::InvalidState);
    assert_error(send_one(&streams.outgoing, b"x", None), ErrorCode::InvalidArgument);
    for from in [&peer, &stranger] {
        to(from, b"anybody");
        assert_eq!(await_datagrams(&streams.incoming, 10).expect("one")[0].0, b"anybody");
    }
}

fn bad_peers(family: IpAddressFamily) {
    let (socket, _) = bound_udp(family);
    let (_peer, there) = bound_udp(family);
    drop(stream(&socket, Some(there)).expect("streams"));
    let mapped = format!("[::ffff:127.0.0.1]:{}", there.port()).parse().unwrap();
    for bad in [loopback(family, 0), any(family, there.port()), loopback(other(family), there.port()), mapped] {
        assert_error(stream(&socket, Some(bad)), ErrorCode::InvalidArgument);
    }
    drop(stream(&socket, Some(there)).expect("a bad one before does no harm"));
}

/// A closed port of the peer is reported, and the socket continues to work.
fn nobody_there(family: IpAddressFamily) {
    let (socket, here) = bound_udp(family);
    let (peer, gone) = bound_udp(family);
    drop(peer);
    let streams = stream(&socket, Some(gone)).expect("streams");
    send_one(&streams.outgoing, b"anybody?", None).expect("nothing is known yet");
    assert_error(await_datagrams(&streams.incoming, 10), ErrorCode::ConnectionRefused);
    assert_eq!(streams.incoming.receive(10).map(|list| list.len()), Ok(0), "told once");
    // A send also reports it.
    send_one(&streams.outgoing, b"anybody?", None).expect("nothing is known yet");
    streams.incoming.subscribe().block();
    let refused = send_one(&streams.outgoing, b"anybody?", None);
    assert_error(refused, ErrorCode::ConnectionRefused);

    let peer = udp_socket(family);
    bind_udp(&peer, gone).expect("a free port");
    let theirs = stream(&peer, None).expect("streams");
    send_one(&theirs.outgoing, b"here I am", Some(here)).expect("sent");
    assert_eq!(await_datagrams(&streams.incoming, 10), Ok(vec![(b"here I am".to_vec(), gone)]));
}

/// If a socket is bound to the unspecified address and has a peer, its datagrams have the local address that the route
/// to the peer selects.
fn from_every_address(family: IpAddressFamily) {
    let socket = udp_socket(family);
    bind_udp(&socket, any(family, 0)).expect("a free port");
    let port = from_wit(socket.local_address().expect("a bound socket")).port();
    let (peer, there) = bound_udp(family);
    let theirs = stream(&peer, None).expect("streams");
    let streams = stream(&socket, Some(there)).expect("streams");
    assert_eq!(from_wit(socket.local_address().expect("a bound socket")).port(), port);
    send_one(&streams.outgoing, b"hello", None).expect("sent");
    let here = loopback(family, port);
    assert_eq!(await_datagrams(&theirs.incoming, 1), Ok(vec![(b"hello".to_vec(), here)]));
    send_one(&theirs.outgoing, b"hello to you", Some(here)).expect("sent");
    assert_eq!(await_datagrams(&streams.incoming, 1), Ok(vec![(b"hello to you".to_vec(), there)]));
}
