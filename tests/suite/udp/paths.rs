//! The paths of datagrams: neighbours, routes, the loopback, and interfaces that go down or are unmounted.

use std::net::SocketAddr;
use std::time::Duration;

use xila_network_host::interface::State;
use xila_network_host::{ReceiveError, SendError};
use xila_network_tests::link::{Family, INTERFACE, Link};

use super::{PORT, SOON, assert_silent, bind, ends_with, join, sockets, text};

#[test]
fn a_neighbour_that_does_not_answer_does_not_delay_others() {
    let link = Link::plain(1);
    let others: Vec<_> = (10..30).map(|number| join(&link, number)).collect();
    link.block_on(async {
        for family in Family::BOTH {
            let client = bind(&link.client.network, link.client.address(family), 0);
            let nobody = SocketAddr::new(family.host(77), PORT);
            client.send_to(b"nobody", nobody).await.unwrap();
            for (index, other) in others.iter().enumerate() {
                let number = 10 + u8::try_from(index).unwrap();
                let server = bind(&other.network(), family.host(number), PORT);
                client.send_to(b"nobody", nobody).await.unwrap();
                client.send_to(b"hello", server.local_addr()).await.unwrap();
                // A solicitation, its answer, and then the datagram, at 1 ms each.
                let (datagram, took) = link.within(SOON, server.recv_datagram()).await;
                assert_eq!(datagram.unwrap().data, b"hello");
                assert!(took <= Duration::from_millis(5), "{took:?} to host {number}");
            }
        }
    });
}

#[test]
fn an_unreachable_neighbour_is_reported_to_the_connected_socket() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let client = bind(&link.client.network, link.client.address(family), 0);
            client.connect(SocketAddr::new(family.host(77), PORT)).unwrap();
            client.send(b"nobody").await.unwrap();
            let (outcome, took) = link.within(Duration::from_secs(10), client.recv(&mut [0; 8])).await;
            assert_eq!(outcome, Err(ReceiveError::RemoteUnreachable));
            assert!(took >= Duration::from_secs(2), "asked three times, a second apart: {took:?}");
        }
    });
    assert_eq!(link.client.interface().statistics().datagram_drops, 2);
}

#[test]
fn datagrams_that_wait_for_a_neighbour_are_sent_when_it_answers_late() {
    let link = Link::plain(1);
    link.block_on(async {
        let client = bind(&link.client.network, link.client.address(Family::V4), 0);
        let remote = SocketAddr::new(Family::V4.host(9), PORT);
        client.send_to(b"one", remote).await.unwrap();
        client.send_to(b"two", remote).await.unwrap();
        link.sleep(Duration::from_millis(1500)).await;
        let late = join(&link, 9);
        let server = bind(&late.network(), Family::V4.host(9), PORT);
        let (first, _) = link.within(Duration::from_secs(2), server.recv_datagram()).await;
        assert_eq!(first.unwrap().data, b"one");
        assert_eq!(text(&link, &server).await, "two");
    });
}

#[test]
fn the_memory_of_datagrams_for_silent_neighbours_is_bounded() {
    let link = Link::plain(1);
    link.block_on(async {
        let (client, server) = sockets(&link, Family::V4);
        for number in 0..=u16::MAX {
            let [high, low] = number.to_be_bytes();
            let remote = SocketAddr::new([10, 0, 0, 100 + low % 100].into(), 1000 + u16::from(high));
            client.send_to(&[0; 1400], remote).await.unwrap();
        }
        client.send_to(b"hello", server.local_addr()).await.unwrap();
        assert_eq!(text(&link, &server).await, "hello");
        let drops = link.client.interface().statistics().datagram_drops;
        // About a thousand datagrams still wait.
        assert!(drops > 64_000, "{drops}");
    });
}

#[test]
fn without_a_route_the_remote_is_unreachable() {
    let link = Link::plain(1);
    link.block_on(async {
        let (four, _) = sockets(&link, Family::V4);
        let (six, _) = sockets(&link, Family::V6);
        assert_eq!(four.send_to(b"x", "192.0.2.1:9".parse().unwrap()).await, Err(SendError::RemoteUnreachable));
        assert_eq!(six.send_to(b"x", "[2001:db8::1]:9".parse().unwrap()).await, Err(SendError::RemoteUnreachable));
    });
}

#[test]
fn the_hosts_own_addresses_are_reached_through_the_loopback() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let server = bind(&link.client.network, link.client.address(family), PORT);
            let client = bind(&link.client.network, family.unspecified(), 0);
            let before = link.client.interface().statistics().sent.packets;
            client.send_to(b"myself", server.local_addr()).await.unwrap();
            let datagram = server.recv_datagram().await.unwrap();
            assert_eq!(datagram.data, b"myself");
            assert_eq!(datagram.remote.ip(), link.client.address(family));
            server.send_to(b"and back", datagram.remote).await.unwrap();
            assert_eq!(text(&link, &client).await, "and back");
            assert_eq!(link.client.interface().statistics().sent.packets, before, "nothing left by the link");
        }
    });
}

#[test]
fn a_loopback_address_does_not_leave_by_a_link() {
    let link = Link::plain(1);
    link.block_on(async {
        for (family, local) in [(Family::V4, "127.0.0.1"), (Family::V6, "::1")] {
            let client = bind(&link.client.network, local.parse().unwrap(), 0);
            let before = link.client.interface().statistics().sent.packets;
            let outcome = client.send_to(b"x", link.server.at(family, PORT)).await;
            assert_eq!(outcome, Err(SendError::InvalidArgument), "from {local}");
            assert_eq!(link.client.interface().statistics().sent.packets, before);
        }
    });
}

#[test]
fn operations_fail_while_the_interface_is_down_and_work_when_it_is_up_again() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let (client, server) = sockets(&link, family);
            client.send_to(b"hello", server.local_addr()).await.unwrap();
            assert_eq!(text(&link, &server).await, "hello");
            let mut buffer = [0; 8];
            let down = || link.server.interface().set_state(State::Down);
            assert_eq!(ends_with(&link, server.recv(&mut buffer), down).await, Err(ReceiveError::NetworkDown));
            assert_eq!(server.recv(&mut [0; 8]).await, Err(ReceiveError::NetworkDown));
            assert_eq!(server.send_to(b"x", client.local_addr()).await, Err(SendError::NetworkDown));
            // Datagrams that arrive meanwhile are lost.
            client.send_to(b"lost", server.local_addr()).await.unwrap();
            link.sleep(SOON).await;
            link.server.interface().set_state(State::Up);
            assert_silent(&link, &server).await;
            client.send_to(b"hello", server.local_addr()).await.unwrap();
            assert_eq!(text(&link, &server).await, "hello");
            server.send_to(b"welcome", client.local_addr()).await.unwrap();
            assert_eq!(text(&link, &client).await, "welcome");
        }
    });
    link.assert_empty();
}

#[test]
fn a_wildcard_socket_works_while_one_of_its_interfaces_is_up() {
    let link = Link::plain(1);
    link.block_on(async {
        let network = &link.server.network;
        let server = bind(network, Family::V4.unspecified(), PORT);
        link.server.interface().set_state(State::Down);
        assert_silent(&link, &server).await;
        let local = bind(network, "127.0.0.1".parse().unwrap(), 0);
        local.send_to(b"local", "127.0.0.1:5000".parse().unwrap()).await.unwrap();
        assert_eq!(text(&link, &server).await, "local");
        link.server.manager.interface("lo").unwrap().set_state(State::Down);
        assert_eq!(server.recv(&mut [0; 8]).await, Err(ReceiveError::NetworkDown));
    });
}

#[test]
fn unmounting_fails_all_operations_for_good() {
    let link = Link::plain(1);
    link.block_on(async {
        let (client, server) = sockets(&link, Family::V4);
        let config = link.server.config();
        let mut device = None;
        let mut buffer = [0; 8];
        let unmount = || device = Some(link.server.manager.unmount_interface(INTERFACE).unwrap());
        assert_eq!(ends_with(&link, server.recv(&mut buffer), unmount).await, Err(ReceiveError::NetworkDown));
        assert_eq!(server.recv(&mut [0; 8]).await, Err(ReceiveError::NetworkDown));
        let error = server.send_to(b"x", client.local_addr()).await.unwrap_err();
        assert!(matches!(error, SendError::NetworkDown | SendError::AddressNotAvailable), "{error}");

        // An interface that is mounted on the same device is a new one: the old socket still fails.
        link.server.manager.mount_interface(INTERFACE, device.unwrap(), config).unwrap();
        assert_eq!(server.recv(&mut [0; 8]).await, Err(ReceiveError::NetworkDown));
        drop(server);
        let server = bind(&link.server.network, link.server.address(Family::V4), PORT);
        client.send_to(b"hello", server.local_addr()).await.unwrap();
        assert_eq!(text(&link, &server).await, "hello");
    });
    link.assert_empty();
}

#[test]
fn a_socket_whose_address_is_removed_fails() {
    let link = Link::plain(1);
    link.block_on(async {
        let (client, server) = sockets(&link, Family::V4);
        let address = link.server.interface().addresses()[0];
        assert_eq!(address.address(), server.local_addr().ip());
        let mut buffer = [0; 8];
        let remove = || link.server.interface().remove_address(address).unwrap();
        let outcome = ends_with(&link, server.recv(&mut buffer), remove).await;
        assert_eq!(outcome, Err(ReceiveError::AddressNotAvailable));
        let outcome = server.send_to(b"x", client.local_addr()).await;
        assert_eq!(outcome, Err(SendError::AddressNotAvailable));
        link.server.interface().add_address(address).unwrap();
        client.send_to(b"hello", server.local_addr()).await.unwrap();
        assert_eq!(text(&link, &server).await, "hello");
    });
}
