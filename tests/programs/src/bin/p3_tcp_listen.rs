//! A listener returns each connection once, in order, and at most as many wait as its backlog allows. It exists for as
//! long as its socket or its stream exists.

use xila_network_programs::p3::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        implicitly_bound(place).await;
        in_order(place).await;
        backlog(place).await;
        lifetimes(place).await;
    }
}

async fn implicitly_bound(place: SocketAddr) {
    let listener = tcp(place);
    let mut incoming = listener.listen().unwrap();
    let address = std(listener.get_local_address().unwrap());
    assert!(address.ip().is_unspecified() && address.is_ipv4() == place.is_ipv4(), "{address}");
    assert_ne!(address.port(), 0);
    let address = wit(SocketAddr::new(place.ip(), address.port()));
    let (client, server) = connect_through(&mut incoming, place, address).await;
    assert_eq!(server.get_local_address(), Ok(address), "not the unspecified one");
    talks(&client, &server).await;
}

async fn in_order(place: SocketAddr) {
    let (_listener, mut incoming, address) = listening(place);
    let mut clients = Vec::new();
    for _ in 0..10 {
        let client = tcp(place);
        client.connect(address).await.unwrap();
        clients.push(client);
    }
    let mut servers = Vec::new();
    while servers.len() < 10 {
        let (result, more) = incoming.read(Vec::with_capacity(3)).await;
        assert_eq!(result, StreamResult::Complete(more.len()));
        servers.extend(more);
    }
    for (client, server) in clients.iter().zip(&servers) {
        assert_eq!(client.get_local_address(), server.get_remote_address());
        talks(client, server).await;
    }
}

async fn backlog(place: SocketAddr) {
    let listener = bound_tcp(place);
    assert_eq!(listener.set_listen_backlog_size(0), Err(ErrorCode::InvalidArgument));
    listener.set_listen_backlog_size(2).unwrap();
    let mut incoming = listener.listen().unwrap();
    assert_eq!(listener.set_listen_backlog_size(0), Err(ErrorCode::InvalidArgument));
    let address = listener.get_local_address().unwrap();
    let sockets = [tcp(place), tcp(place), tcp(place)];
    sockets[0].connect(address).await.unwrap();
    sockets[1].connect(address).await.unwrap();
    let mut third = Box::pin(sockets[2].connect(address));
    for _ in 0..20 {
        assert!(poll_once(&mut third).await.is_pending(), "a third connection for a backlog of two");
        yield_now().await;
    }
    // From now on there is room, and the SYN is retransmitted.
    listener.set_listen_backlog_size(u64::MAX).unwrap();
    third.await.unwrap();
    for socket in &sockets {
        let server = incoming.next().await.unwrap();
        assert_eq!(server.get_remote_address(), socket.get_local_address());
    }
}

async fn lifetimes(place: SocketAddr) {
    // The stream keeps the listener open, ...
    let (listener, mut incoming, address) = listening(place);
    drop(listener);
    let (client, server) = connect_through(&mut incoming, place, address).await;
    drop(incoming);
    assert_eq!(tcp(place).connect(address).await, Err(ErrorCode::ConnectionRefused));
    // ... and accepted connections work without both.
    talks(&client, &server).await;

    // The socket keeps it open too, though connections are no longer accepted.
    let (listener, incoming, address) = listening(place);
    drop(incoming);
    assert!(listener.get_is_listening());
    let client = tcp(place);
    client.connect(address).await.unwrap();
    drop(listener);
    assert_eq!(receive_all(&client).await, (Vec::new(), Err(ErrorCode::ConnectionReset)));
    bound_tcp(std(address));
}
