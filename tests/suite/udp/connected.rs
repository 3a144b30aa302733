//! Connected sockets, which have one peer and get errors about it.

use xila_network_host::{NotConnected, PeerError, ReceiveError, SendError};
use xila_network_tests::link::{Family, Link};

use super::{PORT, SOON, assert_silent, bind, sockets, text};

#[test]
fn a_connected_socket_receives_only_from_its_peer_until_it_disconnects() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let (client, server) = sockets(&link, family);
            let stranger = bind(&link.client.network, link.client.address(family), 0);
            stranger.send_to(b"before", server.local_addr()).await.unwrap();
            link.sleep(SOON).await;
            server.connect(client.local_addr()).unwrap();
            assert_eq!(server.peer_addr(), Some(client.local_addr()));
            stranger.send_to(b"stranger", server.local_addr()).await.unwrap();
            client.send_to(b"peer", server.local_addr()).await.unwrap();
            assert_eq!(text(&link, &server).await, "peer");
            assert_silent(&link, &server).await;

            server.send(b"answer").await.unwrap();
            assert_eq!(text(&link, &client).await, "answer");
            assert_eq!(server.send_to(b"x", stranger.local_addr()).await, Err(SendError::InvalidState));

            server.disconnect().unwrap();
            assert_eq!(server.peer_addr(), None);
            assert_eq!(server.disconnect(), Err(NotConnected));
            assert_eq!(server.send(b"x").await, Err(SendError::InvalidState));
            stranger.send_to(b"stranger", server.local_addr()).await.unwrap();
            assert_eq!(text(&link, &server).await, "stranger");
        }
    });
}

#[test]
fn a_datagram_of_a_stranger_to_a_connected_socket_is_answered_with_port_unreachable() {
    let link = Link::plain(1);
    link.block_on(async {
        let (client, server) = sockets(&link, Family::V4);
        server.connect(client.local_addr()).unwrap();
        let stranger = bind(&link.client.network, link.client.address(Family::V4), 0);
        stranger.connect(server.local_addr()).unwrap();
        stranger.send(b"let me in").await.unwrap();
        let (refused, _) = link.within(SOON, stranger.recv(&mut [0; 8])).await;
        assert_eq!(refused, Err(ReceiveError::ConnectionRefused));
    });
}

#[test]
fn a_closed_port_is_reported_once_by_the_next_operation() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let client = bind(&link.client.network, link.client.address(family), 0);
            client.connect(link.server.at(family, PORT)).unwrap();
            // An operation that already waits.
            client.send(b"anybody?").await.unwrap();
            let (refused, _) = link.within(SOON, client.recv(&mut [0; 8])).await;
            assert_eq!(refused, Err(ReceiveError::ConnectionRefused), "{family:?}");
            // The next operation, which may be a send.
            client.send(b"anybody?").await.unwrap();
            link.sleep(SOON).await;
            assert_eq!(client.send(b"anybody?").await, Err(SendError::ConnectionRefused));
            // The error is reported once, and the socket still works.
            let server = bind(&link.server.network, link.server.address(family), PORT);
            client.send(b"now?").await.unwrap();
            assert_eq!(text(&link, &server).await, "now?");
        }
    });
}

#[test]
fn a_socket_without_a_peer_is_not_told_of_refusals() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let (client, server) = sockets(&link, family);
            client.send_to(b"anybody?", link.server.at(family, 9)).await.unwrap();
            link.sleep(SOON).await;
            client.send_to(b"fine", server.local_addr()).await.unwrap();
            assert_eq!(text(&link, &server).await, "fine");
            assert_silent(&link, &client).await;
        }
    });
}

#[test]
fn refusals_on_the_loopback_are_reported_too() {
    let link = Link::plain(1);
    link.block_on(async {
        for address in ["127.0.0.1", "::1"] {
            let socket = bind(&link.client.network, address.parse().unwrap(), 0);
            socket
                .connect(format!("{}", std::net::SocketAddr::new(address.parse().unwrap(), 9)).parse().unwrap())
                .unwrap();
            socket.send(b"anybody?").await.unwrap();
            let (refused, _) = link.within(SOON, socket.recv(&mut [0; 8])).await;
            assert_eq!(refused, Err(ReceiveError::ConnectionRefused), "{address}");
        }
    });
}

#[test]
fn invalid_remote_addresses_are_refused() {
    let link = Link::plain(1);
    link.block_on(async {
        let four = bind(&link.client.network, link.client.address(Family::V4), 0);
        let six = bind(&link.client.network, link.client.address(Family::V6), 0);
        for remote in ["10.0.0.2:0", "0.0.0.0:9", "[fd00::2]:9"] {
            let remote = remote.parse().unwrap();
            assert_eq!(four.connect(remote), Err(PeerError::InvalidArgument), "{remote}");
            assert_eq!(four.send_to(b"x", remote).await, Err(SendError::InvalidArgument), "{remote}");
        }
        for remote in ["10.0.0.2:9", "[::]:9", "[fd00::2]:0", "[::ffff:10.0.0.2]:9"] {
            let remote = remote.parse().unwrap();
            assert_eq!(six.connect(remote), Err(PeerError::InvalidArgument), "{remote}");
            assert_eq!(six.send_to(b"x", remote).await, Err(SendError::InvalidArgument), "{remote}");
        }
    });
}
