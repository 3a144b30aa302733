//! `std::net`: a connected UDP socket receives only from its peer, and is told when the peer's port is closed.

use std::io::ErrorKind;
use std::net::UdpSocket;

use xila_network_programs::std_net::each_family;

fn main() {
    each_family(|host| {
        let bind = || UdpSocket::bind((host, 0)).expect("a socket");
        let address = |socket: &UdpSocket| socket.local_addr().expect("an address");
        let (socket, peer, other) = (bind(), bind(), bind());
        let here = address(&socket);
        assert_eq!(socket.peer_addr().expect_err("not connected").kind(), ErrorKind::NotConnected);
        assert!(socket.send(b"to whom?").is_err(), "sent to nobody");

        socket.connect(address(&peer)).expect("connected");
        assert_eq!(socket.peer_addr().expect("a peer"), address(&peer));
        assert_eq!(address(&socket), here);

        assert_eq!(socket.send(b"hello").expect("sent"), 5);
        let mut buffer = [0; 100];
        assert_eq!(peer.recv_from(&mut buffer).expect("received"), (5, here));
        assert_eq!(&buffer[..5], b"hello");

        other.send_to(b"from a stranger", here).expect("sent");
        peer.send_to(b"from the peer", here).expect("sent");
        assert_eq!(socket.recv(&mut buffer).expect("received"), 13);
        assert_eq!(&buffer[..13], b"from the peer");

        // Connected to another peer, it receives from the new peer and no longer from the old one.
        socket.connect(address(&other)).expect("connected");
        peer.send_to(b"no longer the peer", here).expect("sent");
        other.send_to(b"the new peer", here).expect("sent");
        assert_eq!(socket.recv_from(&mut buffer).expect("received"), (12, address(&other)));
        assert_eq!(&buffer[..12], b"the new peer");

        // The ICMP error comes after the first datagram was sent, so a receive reports it.
        let nobody = address(&bind());
        socket.connect(nobody).expect("connected");
        assert_eq!(socket.send(b"anybody?").expect("sent"), 8);
        let error = socket.recv(&mut buffer).expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
        // The error is reported once, and the socket still works.
        socket.connect(address(&peer)).expect("connected");
        assert_eq!(socket.send(b"again").expect("sent"), 5);
        assert_eq!(peer.recv_from(&mut buffer).expect("received"), (5, here));
    });
}
