//! A connected UDP socket receives only from its peer, sends only to it, and is told when the peer's port is closed.

use xila_network_programs::p3::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let ((socket, here), (peer, there)) = (bound_udp(place), bound_udp(SocketAddr::new(place.ip(), 0)));
        let (stranger, elsewhere) = bound_udp(SocketAddr::new(place.ip(), 0));

        socket.connect(there).unwrap();
        stranger.send(b"stranger".to_vec(), Some(here)).await.unwrap();
        peer.send(b"peer".to_vec(), Some(here)).await.unwrap();
        assert_eq!(socket.receive().await, Ok((b"peer".to_vec(), there)));

        // A send may give the peer's address or none, but no other address.
        socket.send(b"one".to_vec(), None).await.unwrap();
        socket.send(b"two".to_vec(), Some(there)).await.unwrap();
        let other = socket.send(b"three".to_vec(), Some(elsewhere)).await;
        assert_eq!(other, Err(ErrorCode::InvalidArgument));
        assert_eq!(peer.receive().await, Ok((b"one".to_vec(), here)));
        assert_eq!(peer.receive().await, Ok((b"two".to_vec(), here)));
        if let IpSocketAddress::Ipv6(there) = there {
            let labelled = IpSocketAddress::Ipv6(Ipv6SocketAddress { flow_info: 7, ..there });
            socket.send(b"flow".to_vec(), Some(labelled)).await.expect("the same address");
            assert_eq!(peer.receive().await, Ok((b"flow".to_vec(), here)));
        }

        // Connect to another peer, then disconnect.
        socket.connect(elsewhere).unwrap();
        peer.send(b"not any more".to_vec(), Some(here)).await.unwrap();
        stranger.send(b"now".to_vec(), Some(here)).await.unwrap();
        assert_eq!(socket.receive().await, Ok((b"now".to_vec(), elsewhere)));
        socket.disconnect().unwrap();
        peer.send(b"anybody".to_vec(), Some(here)).await.unwrap();
        assert_eq!(socket.receive().await, Ok((b"anybody".to_vec(), there)));
        socket.send(b"somebody".to_vec(), Some(elsewhere)).await.unwrap();
        assert_eq!(stranger.receive().await, Ok((b"somebody".to_vec(), here)));

        // A closed port is reported to a waiting receive, and to a send.
        socket.connect(there).unwrap();
        drop(peer);
        let (heard, sent) = join(socket.receive(), socket.send(b"anybody?".to_vec(), None)).await;
        assert_eq!((heard, sent), (Err(ErrorCode::ConnectionRefused), Ok(())));
        socket.send(b"still nobody?".to_vec(), None).await.unwrap();
        assert_eq!(socket.send(b"?".to_vec(), None).await, Err(ErrorCode::ConnectionRefused));
    }
}
