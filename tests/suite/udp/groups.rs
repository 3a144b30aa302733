//! Broadcast and multicast datagrams.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use xila_network_host::device::Device;
use xila_network_host::device::hub::HubPort;
use xila_network_host::socket::UdpSocket;
use xila_network_host::{InterfaceConfig, Manager, MembershipError, SendError};
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
        let third = bind(&others[0].network(), Family::V4.unspecified(), PORT);
        // A socket that is bound to one address does not receive broadcasts.
        let bound = bind(&others[1].network(), "10.0.0.4".parse().unwrap(), PORT);
        let fourth = bind(&others[1].network(), Family::V4.unspecified(), PORT + 1);
        for address in ["255.255.255.255", "10.0.0.255"] {
            let remote = SocketAddr::new(address.parse().unwrap(), PORT);
            client.set_broadcast(false);
            assert_eq!(client.send_to(b"all", remote).await, Err(SendError::AccessDenied), "{address}");
            client.set_broadcast(true);
            client.send_to(address.as_bytes(), remote).await.unwrap();
            for member in [&server, &third] {
                let (datagram, _) = link.within(super::SOON, member.recv_datagram()).await;
                let datagram = datagram.unwrap();
                assert_eq!(datagram.data, address.as_bytes());
                assert_eq!(datagram.local, remote, "the receiver sees that it was for all");
                assert_eq!(datagram.remote, link.client.at(Family::V4, client.local_addr().port()));
            }
            // Another port: a broadcast to a closed port causes no ICMP error.
            assert_silent(&link, &fourth).await;
            assert_silent(&link, &bound).await;
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
fn every_member_of_a_group_gets_a_copy_and_no_other_socket() {
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
            // A sender need not be a member.
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
fn several_sockets_of_one_host_have_separate_memberships() {
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
            // Two sockets on one port, with different addresses; one on another port; one on the first port that is not
            // a member.
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

            // If one socket leaves or is dropped, the others are still members.
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
fn invalid_memberships_are_refused() {
    let link = Link::plain(1);
    let network = &link.client.network;
    let socket = bind(network, Family::V4.unspecified(), PORT);
    let group = group(Family::V4);
    for bad in ["10.0.0.2", "0.0.0.0", "255.255.255.255", "ff05::1:3"] {
        let bad = bad.parse().unwrap();
        assert_eq!(socket.join_multicast(bad, None), Err(MembershipError::InvalidArgument), "{bad}");
        assert_eq!(socket.leave_multicast(bad, None), Err(MembershipError::InvalidArgument), "{bad}");
    }
    assert_eq!(socket.join_multicast(group, Some("eth7")), Err(MembershipError::NotFound));
    assert_eq!(socket.leave_multicast(group, None), Err(MembershipError::AddressNotAvailable));
    socket.join_multicast(group, None).unwrap();
    assert_eq!(socket.join_multicast(group, None), Err(MembershipError::AddressInUse));
    // A membership on another interface is a separate one.
    socket.join_multicast(group, Some("lo")).unwrap();
    socket.leave_multicast(group, Some("lo")).unwrap();
    socket.leave_multicast(group, None).unwrap();
    assert_eq!(socket.leave_multicast(group, None), Err(MembershipError::AddressNotAvailable));
}

#[test]
fn a_host_receives_its_own_datagrams_to_a_group_if_multicast_loop_is_on() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let [sender, member] = [0, PORT].map(|port| bind(&link.client.network, family.unspecified(), port));
            let away = bind(&link.server.network, family.unspecified(), PORT);
            for socket in [&member, &away] {
                socket.join_multicast(group(family), Some(INTERFACE)).unwrap();
            }
            let remote = SocketAddr::new(group(family), PORT);
            sender.send_to(b"for others", remote).await.unwrap();
            assert_eq!(text(&link, &away).await, "for others");
            assert_silent(&link, &member).await;
            sender.set_multicast_loop(true);
            sender.send_to(b"for all", remote).await.unwrap();
            assert_eq!([text(&link, &away).await, text(&link, &member).await], ["for all", "for all"]);
            assert_silent(&link, &member).await;
        }
    });
}

#[test]
fn the_table_of_groups_can_be_filled_and_emptied_again() {
    let link = Link::plain(1);
    let fill = |socket: &UdpSocket| {
        (0..=u16::MAX)
            .map(|number| number.to_be_bytes())
            .map(|[high, low]| socket.join_multicast([239, 9, high, low].into(), None))
            .take_while(|joined| match joined {
                Ok(()) => true,
                Err(error) => {
                    assert_eq!(*error, MembershipError::NoFreeSlot);
                    false
                }
            })
            .count()
    };
    let socket = bind(&link.client.network, Family::V4.unspecified(), PORT);
    let room = fill(&socket);
    // The groups of the interface's own IPv6 addresses also occupy entries.
    assert_eq!(room, 1023);
    drop(socket);
    // The entries are free after the reports of leaving have been sent.
    link.simulation.advance(super::SOON);
    let again = bind(&link.client.network, Family::V4.unspecified(), PORT);
    assert_eq!(fill(&again), room);
    drop(again);
    link.assert_empty();
}

/// The frames that a bystander's port has received.
fn overheard(link: &Link, port: &mut HubPort) -> Vec<Vec<u8>> {
    // Wait for the delay of the link.
    link.simulation.advance(super::SOON);
    let now = link.simulation.now();
    std::iter::from_fn(|| port.receive(now).unwrap()).map(|frame| frame.to_vec()).collect()
}

/// RFC 3810 section 6.1: a snooping switch treats a report to include no sources as a leave.
#[test]
fn an_ipv6_group_is_joined_with_no_excluded_and_left_with_no_included_sources() {
    let link = Link::plain(1);
    let mut port = link.hub.port();
    let socket = bind(&link.server.network, Family::V6.unspecified(), PORT);
    let IpAddr::V6(group) = group(Family::V6) else { unreachable!("of IPv6") };
    // The type and record type of the reports about the group, whose checksums must be correct.
    let mut reports = || -> Vec<u8> {
        let about = |frame: &&Vec<u8>| frame.get(62) == Some(&143) && frame[74..90] == group.octets();
        let check = |frame: &Vec<u8>| {
            let pseudo = [&frame[22..54], &u32::try_from(frame.len() - 62).unwrap().to_be_bytes(), &[0, 0, 0, 58]];
            let sum = pseudo.into_iter().flatten().chain(&frame[62..]).copied().collect::<Vec<u8>>();
            let sum = sum.chunks(2).fold(0u32, |sum, pair| sum + u32::from(u16::from_be_bytes([pair[0], pair[1]])));
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "the checksum");
            frame[70]
        };
        let mut told: Vec<u8> = overheard(&link, &mut port).iter().filter(about).map(check).collect();
        // Each report is sent twice, in case one is lost (RFC 3810 section 9.1).
        told.dedup();
        told
    };
    socket.join_multicast(group.into(), Some(INTERFACE)).unwrap();
    assert_eq!(reports(), [4]);
    socket.leave_multicast(group.into(), Some(INTERFACE)).unwrap();
    assert_eq!(reports(), [3]);
}

/// A query is answered within its response time, even if the member only receives.
#[test]
fn a_query_for_members_is_answered_though_nothing_else_is_sent() {
    let link = Link::plain(1);
    let mut port = link.hub.port();
    let socket = bind(&link.server.network, Family::V4.unspecified(), PORT);
    socket.join_multicast(group(Family::V4), Some(INTERFACE)).unwrap();
    overheard(&link, &mut port);
    // A general query from 10.0.0.99 to all hosts, with ten seconds to respond (RFC 2236), with a router alert.
    let mut query = vec![0x01, 0, 0x5e, 0, 0, 1, 2, 0, 0, 0, 0, 0x99, 8, 0];
    query.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 1, 2, 0xcf, 0x7c, 10, 0, 0, 99, 224, 0, 0, 1]);
    query.extend([0x11, 100, 0xee, 0x9b, 0, 0, 0, 0]);
    let mut frame = port.allocate(link.simulation.now(), query.len()).unwrap();
    frame.copy_from_slice(&query);
    port.transmit(link.simulation.now(), frame).unwrap();
    link.simulation.advance(Duration::from_secs(10));
    let reports = overheard(&link, &mut port);
    // The report has the querier's version, 2, and a router alert (RFC 2236 section 2).
    let reports: Vec<_> = reports.iter().filter(|frame| frame[12..14] == [8, 0] && frame[38] == 0x16).collect();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0][42..46], [239, 1, 2, 3]);
    let sent = link.server.interface().statistics().sent.packets;
    link.simulation.advance(Duration::from_secs(600));
    assert_eq!(link.server.interface().statistics().sent.packets, sent, "and that is all");
}

/// If a group is joined before the interface has an address, as with DHCP, it is reported with the first address.
#[test]
fn a_group_that_was_joined_without_an_address_is_reported_with_the_first() {
    let link = Link::plain(1);
    let mut port = link.hub.port();
    let host = Manager::new(link.simulation.platform());
    let eth0 = host.mount_interface(INTERFACE, link.hub.port(), InterfaceConfig::default()).unwrap();
    let socket = bind(&host.network(), Family::V4.unspecified(), PORT);
    socket.join_multicast(group(Family::V4), Some(INTERFACE)).unwrap();
    // The report has version 3 and a router alert (RFC 3376 section 4.2).
    let reports = |frames: Vec<Vec<u8>>| frames.iter().filter(|it| it[12..14] == [8, 0] && it[38] == 0x22).count();
    assert_eq!(reports(overheard(&link, &mut port)), 0, "from no address");
    eth0.add_address("10.0.0.9/24".parse().unwrap()).unwrap();
    assert!(reports(overheard(&link, &mut port)) >= 1);
}
