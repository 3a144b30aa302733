//! A connected socket receives only from its peer, and sends to it without a given address.

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let (socket, peer) = socket_pair(place);
        let stranger = UdpSocket::bind((place.ip(), 0)).unwrap();
        let here = socket.local_addr();
        let mut buffer = [0; 64];

        assert_eq!(socket.peer_addr(), None);
        assert_eq!(socket.send(b"whither?").await.unwrap_err(), Error::InvalidState);
        assert_eq!(socket.disconnect().unwrap_err(), Error::InvalidState);

        // A datagram that a stranger sent before the connect is dropped.
        stranger.send_to(b"early", here).await.unwrap();
        socket.connect(peer.local_addr()).await.unwrap();
        assert_eq!(socket.peer_addr(), Some(peer.local_addr()));
        stranger.send_to(b"stranger", here).await.unwrap();
        peer.send_to(b"peer", here).await.unwrap();
        assert_eq!(socket.recv_from(&mut buffer).await.unwrap(), (4, peer.local_addr()));

        socket.send(b"to the peer").await.unwrap();
        assert_eq!(peer.recv_from(&mut buffer).await.unwrap(), (11, here));
        let elsewhere = socket.send_to(b"elsewhere", stranger.local_addr()).await;
        assert_eq!(elsewhere.unwrap_err(), Error::InvalidState);

        // A closed port is reported.
        let gone = peer.local_addr();
        drop(peer);
        socket.send(b"anybody?").await.unwrap();
        assert_eq!(socket.recv(&mut buffer).await.unwrap_err(), Error::ConnectionRefused);

        socket.disconnect().unwrap();
        assert_eq!(socket.peer_addr(), None);
        stranger.send_to(b"again", here).await.unwrap();
        assert_eq!(socket.recv_from(&mut buffer).await.unwrap(), (5, stranger.local_addr()));

        let nowhere = SocketAddr::new(gone.ip(), 0);
        assert_eq!(socket.connect(nowhere).await.unwrap_err(), Error::InvalidArgument);
    }
}
