//! Every operation of a UDP socket in every state, and the addresses to which it can be bound.

use xila_network_programs::p3::*;

xila_network::main!(run);

const INVALID: ErrorCode = ErrorCode::InvalidState;

async fn run() {
    for place in places() {
        unbound(place).await;
        binding(place);
        implicitly(place).await;
        is_connected(place).await;
        options(&udp(place));
        options(&bound_udp(place).0);
    }
}

async fn unbound(place: SocketAddr) {
    let socket = udp(place);
    assert_eq!(socket.get_address_family(), family(place));
    assert_eq!(socket.get_local_address(), Err(INVALID));
    assert_eq!(socket.get_remote_address(), Err(INVALID));
    assert_eq!(socket.disconnect(), Err(INVALID));
    assert_eq!(socket.receive().await, Err(INVALID));
    // A send that fails does not bind the socket.
    assert_eq!(socket.send(b"whither?".to_vec(), None).await, Err(ErrorCode::InvalidArgument));
    for text in wrong_remotes(place) {
        assert_eq!(socket.connect(at(text)), Err(ErrorCode::InvalidArgument), "{text}");
        assert_eq!(socket.send(b"x".to_vec(), Some(at(text))).await, Err(ErrorCode::InvalidArgument), "{text}");
    }
    assert_eq!(socket.get_local_address(), Err(INVALID));
}

fn wrong_remotes(place: SocketAddr) -> &'static [&'static str] {
    either(
        place,
        &["127.0.0.1:0", "0.0.0.0:80", "[::1]:80"],
        &["[::1]:0", "[::]:80", "127.0.0.1:80", "[::ffff:127.0.0.1]:80", "[::127.0.0.1]:80"],
    )
}

fn binding(place: SocketAddr) {
    let (first, taken) = bound_udp(place);
    assert_eq!(std(taken).ip(), place.ip());
    assert_ne!(std(taken).port(), 0);
    assert_eq!(first.bind(wit(place)), Err(INVALID));
    assert_eq!(first.get_local_address(), Ok(taken));
    assert_eq!(first.get_remote_address(), Err(INVALID));
    assert_eq!(first.disconnect(), Err(INVALID));

    let second = udp(place);
    assert_eq!(second.bind(taken), Err(ErrorCode::AddressInUse));
    for text in either(place, ["[::1]:0", "[::]:0"], ["127.0.0.1:0", "[::ffff:127.0.0.1]:0"]) {
        assert_eq!(second.bind(at(text)), Err(ErrorCode::InvalidArgument), "{text}");
    }
    let far = at(either(place, "192.0.2.1:0", "[2001:db8::1]:0"));
    assert_eq!(second.bind(far), Err(ErrorCode::AddressNotBindable));
    drop(first);
    second.bind(taken).expect("free again, and a bind that failed does not prevent another");
}

async fn implicitly(place: SocketAddr) {
    let (peer, address) = bound_udp(place);
    for connect in [false, true] {
        let socket = udp(place);
        if connect {
            socket.connect(address).unwrap();
        } else {
            socket.send(b"bind me".to_vec(), Some(address)).await.unwrap();
        }
        let local = std(socket.get_local_address().expect("bound"));
        assert_ne!(local.port(), 0);
        assert_eq!(socket.bind(wit(place)), Err(INVALID));
        socket.send(b"hello".to_vec(), Some(address)).await.unwrap();
        loop {
            let (data, from) = peer.receive().await.unwrap();
            assert_eq!(std(from), SocketAddr::new(place.ip(), local.port()));
            if data == b"hello" {
                break;
            }
        }
    }
}

async fn is_connected(place: SocketAddr) {
    let ((socket, _), (_one, first), (_two, second)) = (bound_udp(place), bound_udp(place), bound_udp(place));
    socket.connect(first).unwrap();
    assert_eq!(socket.get_remote_address(), Ok(first));
    for text in wrong_remotes(place) {
        assert_eq!(socket.connect(at(text)), Err(ErrorCode::InvalidArgument), "{text}");
    }
    assert_eq!(socket.get_remote_address(), Ok(first), "what failed has changed nothing");
    socket.connect(second).expect("the last one counts");
    assert_eq!(socket.get_remote_address(), Ok(second));
    socket.disconnect().unwrap();
    assert_eq!(socket.get_remote_address(), Err(INVALID));
    assert_eq!(socket.disconnect(), Err(INVALID));
    socket.get_local_address().expect("still bound");
    assert_eq!(socket.send(b"whither?".to_vec(), None).await, Err(ErrorCode::InvalidArgument));
}

fn options(socket: &UdpSocket) {
    const ZERO: Result<(), ErrorCode> = Err(ErrorCode::InvalidArgument);
    assert_eq!(socket.set_unicast_hop_limit(0), ZERO);
    assert_eq!(socket.set_receive_buffer_size(0), ZERO);
    assert_eq!(socket.set_send_buffer_size(0), ZERO);
    assert!(socket.get_unicast_hop_limit().unwrap() > 0);
    assert!(socket.get_receive_buffer_size().unwrap() > 0);
    assert!(socket.get_send_buffer_size().unwrap() > 0);
    socket.set_unicast_hop_limit(9).unwrap();
    socket.set_receive_buffer_size(99_000).unwrap();
    socket.set_send_buffer_size(88_000).unwrap();
    assert_eq!(socket.get_unicast_hop_limit(), Ok(9));
    assert_eq!(socket.get_receive_buffer_size(), Ok(99_000));
    assert_eq!(socket.get_send_buffer_size(), Ok(88_000));
    for huge in [1 << 40, u64::MAX] {
        socket.set_receive_buffer_size(huge).expect("taken, whatever becomes of it");
        socket.set_send_buffer_size(huge).expect("taken, whatever becomes of it");
    }
}
