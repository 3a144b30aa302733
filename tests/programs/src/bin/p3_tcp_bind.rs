//! The addresses to which a TCP socket can and cannot be bound. A failed bind may be repeated.

use xila_network_programs::p3::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        refused_addresses(place);
        conflicts(place).await;
        ephemeral(place);
        through_time_wait(place).await;
        one_family_only(place).await;
    }
}

/// The unspecified address of one family does not include the other family: peers of the other family are not accepted,
/// and a socket of the other family can have the same port.
async fn one_family_only(place: SocketAddr) {
    let other = either(place, "[::1]:0", "127.0.0.1:0").parse::<SocketAddr>().unwrap();
    let socket = tcp(place);
    socket.bind(at(either(place, "0.0.0.0:0", "[::]:0"))).unwrap();
    let _connections = socket.listen().unwrap();
    let port = std(socket.get_local_address().unwrap()).port();
    let refused = tcp(other).connect(wit(SocketAddr::new(other.ip(), port))).await;
    assert_eq!(refused, Err(ErrorCode::ConnectionRefused));
    tcp(other).bind(wit(SocketAddr::new(either(place, "::", "0.0.0.0").parse().unwrap(), port))).unwrap();
}

fn refused_addresses(place: SocketAddr) {
    let socket = tcp(place);
    let wrong: &[&str] = either(
        place,
        &["[::1]:0", "[::]:0", "224.0.0.1:0", "239.255.255.255:0", "255.255.255.255:0"],
        // IPv4-mapped and the deprecated IPv4-compatible addresses belong to neither family.
        &["127.0.0.1:0", "0.0.0.0:0", "[ff02::1]:0", "[ff0e::1]:0", "[::ffff:127.0.0.1]:0", "[::127.0.0.1]:0"],
    );
    for text in wrong {
        assert_eq!(socket.bind(at(text)), Err(ErrorCode::InvalidArgument), "{text}");
    }
    for text in either(place, ["192.0.2.1:0", "192.0.2.1:80"], ["[2001:db8::1]:0", "[2001:db8::1]:80"]) {
        assert_eq!(socket.bind(at(text)), Err(ErrorCode::AddressNotBindable), "{text}");
    }
    assert_eq!(socket.get_local_address(), Err(ErrorCode::InvalidState));
    socket.bind(wit(place)).expect("a bind that failed does not prevent another");
}

async fn conflicts(place: SocketAddr) {
    let first = bound_tcp(place);
    let taken = first.get_local_address().unwrap();
    let second = tcp(place);
    assert_eq!(second.bind(taken), Err(ErrorCode::AddressInUse));
    let mut everywhere = std(at(either(place, "0.0.0.0:0", "[::]:0")));
    everywhere.set_port(std(taken).port());
    assert_eq!(second.bind(wit(everywhere)), Err(ErrorCode::AddressInUse));

    // A socket that is only bound does not listen.
    assert_eq!(tcp(place).connect(taken).await, Err(ErrorCode::ConnectionRefused));

    drop(first);
    second.bind(taken).expect("the address is free again");
    assert_eq!(second.get_local_address(), Ok(taken));
}

fn ephemeral(place: SocketAddr) {
    let place = SocketAddr::new(place.ip(), 0);
    let sockets: Vec<TcpSocket> = (0..20).map(|_| bound_tcp(place)).collect();
    let mut ports: Vec<u16> = sockets.iter().map(|socket| std(socket.get_local_address().unwrap()).port()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 20, "{ports:?}");
    assert_ne!(ports[0], 0);
}

async fn through_time_wait(place: SocketAddr) {
    let (listener, mut incoming, address) = listening(place);
    let (client, server) = connect_through(&mut incoming, place, address).await;
    // The end that closes first enters TIME-WAIT.
    let (mut at_client, _end) = client.receive();
    assert_eq!(send_all(&server, b"bye".to_vec()).await, Ok(()));
    assert_eq!(read_exactly(&mut at_client, 3).await, b"bye");
    assert_eq!(send_all(&client, Vec::new()).await, Ok(()));
    drop((listener, incoming, at_client, client, server));

    let listener = tcp(place);
    listener.bind(address).expect("TIME-WAIT keeps nobody from an address");
    let mut incoming = listener.listen().unwrap();
    let (client, server) = connect_through(&mut incoming, place, address).await;
    talks(&client, &server).await;
}
