//! Echo requests and their replies.

use std::net::IpAddr;

use futures_util::future;
use xila_network_host::address::Family as Version;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::interface::State;
use xila_network_host::socket::{HopLimit, IcmpBinding, IcmpSocket};
use xila_network_host::{BindError, ReceiveError, SendError};
use xila_network_tests::link::{Bytes, Family, INTERFACE, Link};

use super::frames::{icmp, ip};
use super::router::{ROUTER, routed};
use super::{SOON, assert_silent, bind, next, reply, socket};

fn content(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    Bytes::new(size as u64).fill(&mut bytes);
    bytes
}

#[test]
fn a_reply_has_the_payload_of_its_request() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let socket = socket(&link.client.network, family);
            for (sequence, size) in [(0, 0), (1, 1), (2, 7), (3, 8), (4, 56), (5, 257), (65_535, 1400)] {
                socket.send_to(link.server.address(family), sequence, &content(size)).await.unwrap();
                let reply = reply(next(&link, &socket).await);
                assert_eq!((reply.source, reply.sequence), (link.server.address(family), sequence));
                assert_eq!((reply.data, reply.hop_limit), (content(size), 64), "{family:?} {size} bytes");
            }
        }
    });
    link.assert_empty();
}

/// Payloads of less than eight bytes, and replies of more than 256, have caused errors in other stacks.
#[test]
fn replies_have_payloads_of_every_small_size() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let socket = socket(&link.client.network, family);
            for size in (0..=16).chain([255, 256, 257, 258]) {
                socket.send_to(link.server.address(family), 9, &content(size)).await.unwrap();
                assert_eq!(reply(next(&link, &socket).await).data, content(size));
            }
        }
    });
}

#[test]
fn large_requests_and_their_replies_are_fragmented() {
    let link = Link::plain(1);
    link.block_on(async {
        for (family, longest) in [(Family::V4, 65_507), (Family::V6, 65_527)] {
            let socket = socket(&link.client.network, family);
            for size in [1452, 1453, 1472, 1473, 4000, 60 * 1024, longest] {
                socket.send_to(link.server.address(family), 1, &content(size)).await.unwrap();
                assert!(reply(next(&link, &socket).await).data == content(size), "{size} bytes over {family:?}");
            }
            let outcome = socket.send_to(link.server.address(family), 1, &content(longest + 1)).await;
            assert_eq!(outcome, Err(SendError::PacketTooLarge));
        }
    });
}

#[test]
fn the_hosts_own_addresses_answer_through_the_loopback() {
    let link = Link::plain(1);
    link.block_on(async {
        for (family, loopback) in [(Family::V4, "127.0.0.1"), (Family::V6, "::1")] {
            let before = link.client.interface().statistics().sent.packets;
            let socket = socket(&link.client.network, family);
            for remote in [loopback.parse().unwrap(), link.client.address(family)] {
                for size in [0, 56, 60 * 1024] {
                    socket.send_to(remote, 7, &content(size)).await.unwrap();
                    let reply = reply(next(&link, &socket).await);
                    assert_eq!((reply.source, reply.data == content(size)), (remote, true), "{size} bytes");
                }
            }
            assert_eq!(link.client.interface().statistics().sent.packets, before, "nothing left by the link");
        }
    });
    link.assert_empty();
}

#[test]
fn an_identifier_is_held_by_one_socket_of_a_family_and_free_when_it_is_dropped() {
    let link = Link::plain(1);
    let network = &link.client.network;
    for binding in [IcmpBinding::Echo(7), IcmpBinding::UdpPort(7), IcmpBinding::TcpPort(7)] {
        for family in Family::BOTH {
            let first = bind(network, family, binding).unwrap();
            assert_eq!(first.binding(), binding);
            assert_eq!(bind(network, family, binding).unwrap_err(), BindError::AddressInUse);
            // A socket that is bound on one interface prevents a bind on all interfaces, and the failed bind leaves
            // nothing.
            let narrow = network.interface("lo").unwrap();
            assert_eq!(bind(&narrow, family, binding).unwrap_err(), BindError::AddressInUse);
            drop(first);
            let narrow = bind(&narrow, family, binding).unwrap();
            assert_eq!(bind(network, family, binding).unwrap_err(), BindError::AddressInUse);
            drop(narrow);
            bind(network, family, binding).unwrap();
        }
    }
    // The two families, and the three kinds of bindings, have separate identifiers and ports.
    let all: Vec<IcmpSocket> = Family::BOTH
        .into_iter()
        .flat_map(|family| {
            [IcmpBinding::Echo(7), IcmpBinding::UdpPort(7), IcmpBinding::TcpPort(7)]
                .map(|binding| bind(network, family, binding).unwrap())
        })
        .collect();
    assert_eq!(link.client.interface().statistics().icmp_sockets, 6);
    drop(all);
    for family in Family::BOTH {
        for port in [IcmpBinding::UdpPort(0), IcmpBinding::TcpPort(0)] {
            assert_eq!(bind(network, family, port).unwrap_err(), BindError::InvalidArgument);
        }
    }
    link.assert_empty();
}

#[test]
fn every_identifier_can_be_taken_and_then_none_is_left() {
    let link = Link::plain(1);
    let network = &link.client.network;
    let mut sockets: Vec<IcmpSocket> = (0..65_535).map(|_| socket(network, Family::V4)).collect();
    let mut identifiers: Vec<IcmpBinding> = sockets.iter().map(IcmpSocket::binding).collect();
    assert!(!identifiers.windows(3).all(|three| three[1..] == [three[0], three[0]]));
    assert_eq!(bind(network, Family::V4, IcmpBinding::Echo(0)).unwrap_err(), BindError::AddressInUse);
    let freed = sockets.swap_remove(1234).binding();
    assert_eq!(socket(network, Family::V4).binding(), freed);
    identifiers.sort_unstable_by_key(|binding| match binding {
        IcmpBinding::Echo(identifier) => *identifier,
        other => panic!("{other:?}"),
    });
    identifiers.dedup();
    assert_eq!(identifiers.len(), 65_535);
    assert!(!identifiers.contains(&IcmpBinding::Echo(0)));
}

#[test]
fn sockets_do_not_take_each_others_replies() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let sockets: Vec<IcmpSocket> = (0..5).map(|_| socket(&link.client.network, family)).collect();
            for (index, socket) in sockets.iter().enumerate() {
                socket.send_to(link.server.address(family), 1, &[index as u8]).await.unwrap();
            }
            for (index, socket) in sockets.iter().enumerate() {
                assert_eq!(reply(next(&link, socket).await).data, [index as u8]);
                assert_silent(&link, socket).await;
            }
        }
    });
}

#[test]
fn each_of_several_receivers_gets_a_message() {
    let link = Link::plain(1);
    link.block_on(async {
        let socket = socket(&link.client.network, Family::V4);
        let receiving = future::join_all((0..8).map(|_| socket.recv()));
        let sending = async {
            for sequence in 0..8 {
                socket.send_to(link.server.address(Family::V4), sequence, b"x").await.unwrap();
            }
        };
        let (received, ()) = future::join(receiving, sending).await;
        let mut sequences: Vec<u16> = received.into_iter().map(|message| reply(message.unwrap()).sequence).collect();
        sequences.sort_unstable();
        assert_eq!(sequences, (0..8).collect::<Vec<_>>());
    });
}

#[test]
fn an_unread_queue_is_bounded_and_dropped_messages_are_counted() {
    let (link, [router, _]) = routed(1, HubOptions::default());
    let socket = socket(&link.client.network, Family::V4);
    let IcmpBinding::Echo(identifier) = socket.binding() else { unreachable!() };
    let [high, low] = identifier.to_be_bytes();
    let (own, client) = (Family::V4.host(ROUTER), link.client.address(Family::V4));
    for sequence in 0..2000u16 {
        let [first, second] = sequence.to_be_bytes();
        router.inject(&icmp(own, client, [0, 0], [high, low, first, second], &[0; 1000]));
        link.simulation.run_ready();
    }
    let dropped = link.client.interface().statistics().datagram_drops;
    link.block_on(async {
        let mut received = 0;
        while let Some(message) = link.at_most(SOON, socket.recv()).await {
            assert_eq!(reply(message.unwrap()).sequence, received, "the oldest are kept, in order");
            received += 1;
        }
        assert!((100..300).contains(&received), "{received}");
        assert_eq!(u64::from(received) + dropped, 2000);
    });
}

#[test]
fn invalid_requests_are_refused() {
    let link = Link::plain(1);
    link.block_on(async {
        for (family, bad) in [
            (Family::V4, ["0.0.0.0", "fd00::2"].as_slice()),
            (Family::V6, ["::", "10.0.0.2", "::ffff:10.0.0.2"].as_slice()),
        ] {
            let socket = socket(&link.client.network, family);
            for bad in bad.iter().map(|bad| bad.parse::<IpAddr>().unwrap()) {
                assert_eq!(socket.send_to(bad, 0, b"").await, Err(SendError::InvalidArgument), "{bad}");
            }
            assert_eq!(socket.hop_limit(), HopLimit::DEFAULT);
            let nowhere: IpAddr = if family == Family::V4 { "192.0.2.1" } else { "2001:db8::1" }.parse().unwrap();
            assert_eq!(socket.send_to(nowhere, 0, b"").await, Err(SendError::RemoteUnreachable));
            let watcher = bind(&link.client.network, family, IcmpBinding::UdpPort(9)).unwrap();
            assert_eq!(watcher.send_to(link.server.address(family), 0, b"").await, Err(SendError::InvalidState));
        }
        let four = socket(&link.client.network, Family::V4);
        for broadcast in ["255.255.255.255", "10.0.0.255"] {
            assert_eq!(
                four.send_to(broadcast.parse().unwrap(), 0, b"").await,
                Err(SendError::AccessDenied),
                "{broadcast}"
            );
        }
    });
    let alone = xila_network_host::Manager::new(link.simulation.platform());
    alone.unmount_interface("lo").unwrap();
    let outcome = IcmpSocket::bind(&alone.network(), Version::V4, IcmpBinding::Echo(0));
    assert_eq!(outcome.unwrap_err(), BindError::NotFound);
}

#[test]
fn the_hop_limit_is_the_one_that_was_set() {
    let (link, [router, _]) = routed(1, HubOptions::default());
    link.block_on(async {
        for (family, at) in [(Family::V4, 8), (Family::V6, 7)] {
            let socket = socket(&link.client.network, family);
            for hop_limit in [1, 17, 255] {
                socket.set_hop_limit(HopLimit::new(hop_limit).unwrap());
                socket.send_to(link.server.address(family), 1, b"x").await.unwrap();
                reply(next(&link, &socket).await);
                assert_eq!(router.passed().pop().unwrap()[at], hop_limit);
            }
        }
    });
}

#[test]
fn every_member_of_a_group_may_answer_a_request() {
    let (link, [router, _]) = routed(1, HubOptions::default());
    link.block_on(async {
        for (family, group) in [(Family::V4, "224.0.0.1"), (Family::V6, "ff02::1")] {
            let socket = socket(&link.client.network, family);
            let IcmpBinding::Echo(identifier) = socket.binding() else { unreachable!() };
            let [high, low] = identifier.to_be_bytes();
            router.passed();
            socket.send_to(group.parse().unwrap(), 3, b"who?").await.unwrap();
            assert_eq!(router.passed().len(), 1);
            // The replies of other members of the group are injected.
            let kind = if family == Family::V4 { [0, 0] } else { [129, 0] };
            for number in [20, 21] {
                router.inject(&icmp(family.host(number), link.client.address(family), kind, [high, low, 0, 3], b"me"));
                assert_eq!(reply(next(&link, &socket).await).source, family.host(number));
            }
        }
    });
}

#[test]
fn damaged_foreign_and_unsolicited_replies_are_dropped() {
    let (link, [router, _]) = routed(1, HubOptions::default());
    link.block_on(async {
        for (family, kind) in [(Family::V4, [0, 0]), (Family::V6, [129, 0])] {
            let socket = bind(&link.client.network, family, IcmpBinding::Echo(0x1234)).unwrap();
            let (own, client) = (family.host(ROUTER), link.client.address(family));
            let good = icmp(own, client, kind, [0x12, 0x34, 0, 1], b"good");
            let mut damaged = good.clone();
            *damaged.last_mut().unwrap() ^= 1;
            let loopback: IpAddr = if family == Family::V4 { "127.0.0.1" } else { "::1" }.parse().unwrap();
            let group: IpAddr = if family == Family::V4 { "224.0.0.1" } else { "ff02::1" }.parse().unwrap();
            let header = if family == Family::V4 { 20 } else { 40 };
            for bad in [
                damaged,
                icmp(own, client, kind, [0x12, 0x35, 0, 1], b"another's"),
                icmp(own, client, [kind[0], 1], [0x12, 0x34, 0, 1], b"a code"),
                icmp(own, family.host(77), kind, [0x12, 0x34, 0, 1], b"not here"),
                icmp(own, group, kind, [0x12, 0x34, 0, 1], b"for many"),
                icmp(loopback, client, kind, [0x12, 0x34, 0, 1], b"from within"),
                good[..header + 6].to_vec(),
                // The ICMP protocol number of the other family.
                ip(own, client, if family == Family::V4 { 58 } else { 1 }, &good[header..]),
            ] {
                router.inject(&bad);
            }
            assert_silent(&link, &socket).await;
            router.inject(&good);
            assert_eq!(reply(next(&link, &socket).await).data, b"good");
        }
    });
}

#[test]
fn requests_are_not_answered_while_echo_replies_are_off() {
    let link = Link::plain(1);
    link.block_on(async {
        let server = link.server.interface();
        for family in Family::BOTH {
            let socket = socket(&link.client.network, family);
            let ask = async || socket.send_to(link.server.address(family), 1, b"x").await.unwrap();
            server.set_echo_reply(false).unwrap();
            let before = server.statistics().received.dropped;
            ask().await;
            assert_silent(&link, &socket).await;
            assert_eq!(server.statistics().received.dropped, before + 1);
            server.set_echo_reply(true).unwrap();
            ask().await;
            reply(next(&link, &socket).await);
        }
    });
}

#[test]
fn operations_fail_while_the_interface_is_down_and_work_when_it_is_up_again() {
    let link = Link::plain(1);
    let network = link.client.manager.network_of([INTERFACE]).unwrap();
    link.block_on(async {
        for family in Family::BOTH {
            let socket = socket(&network, family);
            let receiving = link.within(2 * SOON, socket.recv());
            let event = async {
                link.sleep(SOON).await;
                link.client.interface().set_state(State::Down);
            };
            let ((outcome, took), ()) = future::join(receiving, event).await;
            assert_eq!((outcome.unwrap_err(), took), (ReceiveError::NetworkDown, SOON));
            assert_eq!(socket.send_to(link.server.address(family), 1, b"x").await, Err(SendError::NetworkDown));
            link.client.interface().set_state(State::Up);
            socket.send_to(link.server.address(family), 1, b"x").await.unwrap();
            reply(next(&link, &socket).await);
        }
        // After unmounting, the socket is served by the interface that is mounted next.
        let four = socket(&network, Family::V4);
        let config = link.client.config();
        let device = link.client.manager.unmount_interface(INTERFACE).unwrap();
        assert_eq!(four.recv().await.unwrap_err(), ReceiveError::NetworkDown);
        link.client.manager.mount_interface(INTERFACE, device, config).unwrap();
        four.send_to(link.server.address(Family::V4), 2, b"x").await.unwrap();
        assert_eq!(reply(next(&link, &four).await).sequence, 2);
    });
    link.assert_empty();
}

#[test]
fn a_request_waits_for_its_neighbour_and_is_reported_if_there_is_none() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let socket = socket(&link.client.network, family);
            socket.send_to(family.host(77), 5, b"anybody?").await.unwrap();
            socket.send_to(link.server.address(family), 6, b"you?").await.unwrap();
            assert_eq!(reply(next(&link, &socket).await).sequence, 6, "one that is silent holds nobody back");
            let (message, took) = link.within(SOON * 100, socket.recv()).await;
            let report = super::report(message.unwrap());
            assert_eq!((report.destination.ip(), report.sequence), (family.host(77), Some(5)));
            assert_eq!(report.source, link.client.address(family), "who reports it is this host");
            assert!(took >= SOON * 20, "asked three times, a second apart: {took:?}");
        }
    });
}
