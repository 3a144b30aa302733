//! Datagrams for many: broadcast and multicast.

use std::net::{IpAddr, SocketAddr};

use xila_network_host::Error;
use xila_network_host::socket::UdpSocket;
use xila_network_tests::link::{Family, INTERFACE, Link};

use super::{PORT, assert_silent, bind, join, text};

fn group(family: Family) -> IpAddr {
    match family {
        Family::V4 => "239.1.2.3".parse().unwrap(),
        Family::V6 => "ff05::1:3".parse().unwrap(),
    }
}

#[test]
fn a_broadcast_needs_permission_and_reaches_every_host() {
    let link = Link::plain(1);
    let others = [join(&link, 3), join(&link, 4)];
    link.block_on(async {
        let client = bind(&link.client.network, Family::V4.unspecified(), 0);
        let server = bind(&link.server.network, Family::V4.unspecified(), PORT);
        let third = bind(&others[0].network(), "10.0.0.3".parse().unwrap(), PORT);
        let fourth = bind(&others[1].network(), Family::V4.unspecified(), PORT + 1);
        for address in ["255.255.255.255", "10.0.0.255"] {
            let remote = SocketAddr::new(address.parse().unwrap(), PORT);
            client.set_broadcast(false);
            assert_eq!(client.send_to(b"all", remote).await, Err(Error::AccessDenied), "{address}");
            client.set_broadcast(true);
            client.send_to(address.as_bytes(), remote).await.unwrap();
            for member in [&server, &third] {
                let (datagram, _) = link.within(super::SOON, member.recv_datagram()).await;
                let datagram = datagram.unwrap();
                assert_eq!(datagram.data, address.as_bytes());
                assert_eq!(datagram.local, remote, "the receiver sees that it was for all");
                assert_eq!(datagram.remote, link.client.at(Family::V4, client.local_addr().port()));
            }
            // Another port: nobody is told off for a broadcast either.
            assert_silent(&link, &fourth).await;
        }
    });
}

#[test]
fn a_broadcast_larger_than_the_mtu_arrives() {
    let link = Link::plain(1);
    link.block_on(async {
        let client = bind(&link.client.network, link.client.address(Family::V4), 0);
        let server = bind(&link.server.network, Family::V4.unspecified(), PORT);
        client.set_broadcast(true);
        client.send_to(&[7; 4000], "10.0.0.255:5000".parse().unwrap()).await.unwrap();
        let (datagram, _) = link.within(super::SOON, server.recv_datagram()).await;
        assert_eq!(datagram.unwrap().data, [7; 4000]);
        server.join_multicast(group(Family::V4), None).unwrap();
        client.send_to(&[8; 4000], SocketAddr::new(group(Family::V4), PORT)).await.unwrap();
        let (datagram, _) = link.within(super::SOON, server.recv_datagram()).await;
        assert_eq!(datagram.unwrap().data, [8; 4000]);
    });
}

#[test]
fn every_member_of_a_group_gets_a_copy_and_nobody_else() {
    let link = Link::plain(1);
    let others = [join(&link, 3), join(&link, 4)];
    link.block_on(async {
        for family in Family::BOTH {
            let group = group(family);
            let client = bind(&link.client.network, family.unspecified(), 0);
            let members = [
                bind(&link.server.network, family.unspecified(), PORT),
                bind(&others[0].network(), family.host(3), PORT),
            ];
            let stranger = bind(&others[1].network(), family.unspecified(), PORT);
            for member in &members {
                member.join_multicast(group, None).unwrap();
            }
            // Sending needs no membership.
            client.send_to(b"one", SocketAddr::new(group, PORT)).await.unwrap();
            for member in &members {
                let (datagram, _) = link.within(super::SOON, member.recv_datagram()).await;
                let datagram = datagram.unwrap();
                assert_eq!((datagram.data.as_slice(), datagram.local.ip()), (&b"one"[..], group));
            }
            assert_silent(&link, &stranger).await;

            members[0].leave_multicast(group, None).unwrap();
            client.send_to(b"two", SocketAddr::new(group, PORT)).await.unwrap();
            assert_eq!(text(&link, &members[1]).await, "two");
            assert_silent(&link, &members[0]).await;

            members[0].join_multicast(group, Some(INTERFACE)).unwrap();
            client.send_to(b"three", SocketAddr::new(group, PORT)).await.unwrap();
            assert_eq!(text(&link, &members[0]).await, "three");
            assert_eq!(text(&link, &members[1]).await, "three");
        }
    });
}

#[test]
fn several_sockets_of_one_host_are_members_each_for_itself() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let group = group(family);
            let network = &link.server.network;
            let second = match family {
                Family::V4 => "10.0.0.12/24",
                Family::V6 => "fd00::12/64",
            };
            let second: xila_network_host::address::Cidr = second.parse().unwrap();
            link.server.interface().add_address(second).unwrap();
            let client = bind(&link.client.network, family.unspecified(), 0);
            // Two at one port, by different addresses; one at another port; one at the port that is no member.
            let one = bind(network, link.server.address(family), PORT);
            let two = bind(network, second.address(), PORT);
            let other_port = bind(network, family.unspecified(), PORT + 1);
            for member in [&one, &two, &other_port] {
                member.join_multicast(group, None).unwrap();
            }
            client.send_to(b"both", SocketAddr::new(group, PORT)).await.unwrap();
            assert_eq!(text(&link, &one).await, "both");
            assert_eq!(text(&link, &two).await, "both");
            assert_silent(&link, &other_port).await;
            client.send_to(b"other", SocketAddr::new(group, PORT + 1)).await.unwrap();
            assert_eq!(text(&link, &other_port).await, "other");
            assert_silent(&link, &one).await;

            // One that leaves, or is dropped, does not take the others' membership away.
            one.leave_multicast(group, None).unwrap();
            drop(other_port);
            client.send_to(b"two", SocketAddr::new(group, PORT)).await.unwrap();
            assert_eq!(text(&link, &two).await, "two");
            assert_silent(&link, &one).await;
        }
    });
    link.assert_empty();
}

#[test]
fn memberships_that_cannot_be_are_refused() {
    let link = Link::plain(1);
    let network = &link.client.network;
    let socket = bind(network, Family::V4.unspecified(), PORT);
    let group = group(Family::V4);
    for bad in ["10.0.0.2", "0.0.0.0", "255.255.255.255", "ff05::1:3"] {
        let bad = bad.parse().unwrap();
        assert_eq!(socket.join_multicast(bad, None), Err(Error::InvalidArgument), "{bad}");
        assert_eq!(socket.leave_multicast(bad, None), Err(Error::InvalidArgument), "{bad}");
    }
    assert_eq!(socket.join_multicast(group, Some("eth7")), Err(Error::NotFound));
    assert_eq!(socket.leave_multicast(group, None), Err(Error::AddressNotAvailable));
    socket.join_multicast(group, None).unwrap();
    assert_eq!(socket.join_multicast(group, None), Err(Error::AddressInUse));
    // Another interface is another membership.
    socket.join_multicast(group, Some("lo")).unwrap();
    socket.leave_multicast(group, Some("lo")).unwrap();
    socket.leave_multicast(group, None).unwrap();
    assert_eq!(socket.leave_multicast(group, None), Err(Error::AddressNotAvailable));
}

#[test]
fn the_table_of_groups_can_be_full_and_empties_again() {
    let link = Link::plain(1);
    let fill = |socket: &UdpSocket| {
        (0..=u8::MAX)
            .map(|number| socket.join_multicast([239, 9, 9, number].into(), None))
            .take_while(|joined| match joined {
                Ok(()) => true,
                Err(error) => {
                    assert_eq!(*error, Error::NoFreeSlot);
                    false
                }
            })
            .count()
    };
    let socket = bind(&link.client.network, Family::V4.unspecified(), PORT);
    let room = fill(&socket);
    assert!((16..=32).contains(&room), "{room}");
    drop(socket);
    // The reports of leaving have to go out before the places are free.
    link.simulation.advance(super::SOON);
    let again = bind(&link.client.network, Family::V4.unspecified(), PORT);
    assert_eq!(fill(&again), room);
    drop(again);
    link.assert_empty();
}
