//! Path MTU discovery, with a router whose next link has a small MTU.

use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::Duration;

use futures_util::future;
use xila_network_host::ReceiveError;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::socket::icmp::IcmpErrorKind;
use xila_network_host::socket::{IcmpBinding, ListenOptions, PingOptions, TcpStream, UdpSocket, ping};
use xila_network_tests::link::{Bytes, Family, Link, PORT, receive, send};

use super::frames::{Segment, icmp, udp};
use super::router::{ROUTER, Router, Rules, routed};
use super::{SOON, bind, next, report, socket};

const MIB: u64 = 1 << 20;

fn options() -> HubOptions {
    HubOptions { latency: Duration::from_millis(1), ..HubOptions::default() }
}

fn narrow(mtu: usize) -> Rules {
    Rules { mtu: Some(mtu), ..Rules::default() }
}

/// Transfers a mebibyte in each direction; returns how long it took.
fn transfer(link: &Link, family: Family) -> Duration {
    link.block_on(async {
        let (client, server) = link.pair(family).await;
        let way = async |from: &TcpStream, to: &TcpStream, seed| {
            let sending = async {
                send(from, seed, MIB).await.unwrap();
                from.shutdown(Shutdown::Write).unwrap();
            };
            let ((), received) = future::join(sending, receive(to, seed)).await;
            assert_eq!(received, Ok(MIB));
        };
        let both = future::join(way(&client, &server, 1), way(&server, &client, 2));
        let (_, took) = link.within(Duration::from_secs(300), both).await;
        took
    })
}

/// Asserts that every packet that the router has forwarded fits the MTU, and that there are at least `at_least`.
fn assert_passed(router: &Router, mtu: usize, at_least: usize) {
    let passed = router.passed();
    assert!(passed.len() >= at_least, "{} packets", passed.len());
    assert_eq!(passed.iter().map(Vec::len).filter(|length| *length > mtu).max(), None);
}

#[test]
fn a_mebibyte_goes_both_ways_through_a_narrow_path() {
    for (family, mtus) in [(Family::V4, [1400, 1000, 600, 552]), (Family::V6, [1400, 1300, 1281, 1280])] {
        for mtu in mtus {
            let (link, routers) = routed(1, options());
            routers.iter().for_each(|router| router.rule(narrow(mtu)));
            let took = transfer(&link, family);
            println!("{family:?} {mtu}: {took:?}");
            for router in &routers {
                assert_passed(router, mtu, usize::try_from(MIB).unwrap() / mtu);
                // Only packets of the first window are refused, until the first "packet too big" comes back.
                assert!((1..50).contains(&router.refused()), "{} were too big", router.refused());
            }
            assert!(took < Duration::from_secs(10), "one retransmission timeout, and no more: {took:?}");
            link.assert_empty();
        }
    }
}

/// RFC 1191 section 7.1: routers that implement only RFC 792 do not report their MTU.
#[test]
fn the_mtu_of_a_router_that_does_not_report_it_is_found() {
    let (link, routers) = routed(1, options());
    routers.iter().for_each(|router| router.rule(Rules { told: Some(0), ..narrow(1100) }));
    transfer(&link, Family::V4);
    routers.iter().for_each(|router| assert_passed(router, 1100, 900));
}

#[test]
fn a_narrow_path_works_if_the_link_is_full_and_loses_frames() {
    for family in Family::BOTH {
        let options = HubOptions { queue: 8, loss: 0.01, rate: Some(10_000_000), ..options() };
        let (link, routers) = routed(7, options);
        routers.iter().for_each(|router| router.rule(narrow(1300)));
        transfer(&link, family);
        routers.iter().for_each(|router| assert_passed(router, 1300, 700));
        link.simulation.advance(Duration::from_secs(300));
        link.assert_empty();
    }
}

#[test]
fn a_lowered_path_mtu_lasts_for_ten_minutes() {
    let (link, [router, _]) = routed(1, options());
    router.rule(narrow(1300));
    link.block_on(async {
        let client = UdpSocket::bind(&link.client.network, link.client.at(Family::V6, 0)).unwrap();
        let remote = link.server.at(Family::V6, 5000);
        let server = UdpSocket::bind(&link.server.network, remote).unwrap();
        // The length of the longest packet in which a datagram of this size is sent.
        let longest = async |size: usize| {
            router.passed();
            client.send_to(&vec![0; size], remote).await.unwrap();
            link.sleep(SOON).await;
            let arrived = server.try_recv_datagram().map(|datagram| datagram.data.len());
            // Shorter packets belong to neighbour discovery.
            let lengths = router.passed().iter().map(Vec::len).filter(|length| *length > 100).max();
            (lengths.unwrap_or(0), arrived)
        };
        assert_eq!(longest(1400).await, (0, Err(ReceiveError::WouldBlock)), "this one was too large");
        assert_eq!(longest(1252).await, (1300, Ok(1252)));
        let (packet, arrived) = longest(1253).await;
        assert!(packet <= 1300 && arrived == Ok(1253), "{packet} {arrived:?}");
        router.rule(Rules::default());
        // Ten minutes after the report.
        link.sleep(Duration::from_secs(590)).await;
        assert!(longest(1400).await.0 <= 1300);
        link.sleep(Duration::from_secs(15)).await;
        assert_eq!(longest(1400).await, (1448, Ok(1400)), "the interface's own");
    });
}

#[test]
fn datagrams_over_v4_go_in_fragments_that_fit_the_path() {
    let (link, [router, _]) = routed(1, options());
    router.rule(narrow(1000));
    link.block_on(async {
        let client = UdpSocket::bind(&link.client.network, link.client.at(Family::V4, 0)).unwrap();
        let server = UdpSocket::bind(&link.server.network, link.server.at(Family::V4, 5000)).unwrap();
        client.send_to(&[0; 1400], server.local_addr()).await.unwrap();
        link.sleep(SOON).await;
        assert_eq!(router.refused(), 1);
        router.passed();
        // 1472 bytes would fit the interface's MTU; 9000 are fragmented there, and the fragments must be smaller.
        for size in [972, 973, 1400, 1472, 1473, 9000, 65_507] {
            let mut content = vec![0; size];
            Bytes::new(size as u64).fill(&mut content);
            client.send_to(&content, server.local_addr()).await.unwrap();
            let (datagram, _) = link.within(SOON, server.recv_datagram()).await;
            assert!(datagram.unwrap().data == content, "{size} bytes");
        }
        assert_eq!(router.refused(), 1);
        assert_passed(&router, 1000, 80);
        // Echo requests use the same output path.
        let pinger = socket(&link.client.network, Family::V4);
        for size in [1400, 4000, 60_000] {
            pinger.send_to(server.local_addr().ip(), 1, &vec![7; size]).await.unwrap();
            assert_eq!(super::reply(next(&link, &pinger).await).data.len(), size);
        }
        assert_eq!(router.refused(), 1);
    });
}

/// A packet is fragmented although the device has room for only a part of the fragments: the rest waits.
#[test]
fn no_piece_is_lost_if_the_device_is_full() {
    let (link, [router, _]) = routed(1, HubOptions { queue: 2, rate: Some(1_000_000), ..options() });
    router.rule(narrow(600));
    link.block_on(async {
        let client = UdpSocket::bind(&link.client.network, link.client.at(Family::V4, 0)).unwrap();
        let server = UdpSocket::bind(&link.server.network, link.server.at(Family::V4, 5000)).unwrap();
        client.send_to(&[0; 1400], server.local_addr()).await.unwrap();
        link.sleep(SOON).await;
        for index in 0..100 {
            client.send_to(&[index; 1400], server.local_addr()).await.unwrap();
        }
        for index in 0..100 {
            let (datagram, _) = link.within(Duration::from_secs(5), server.recv_datagram()).await;
            assert_eq!(datagram.unwrap().data, [index; 1400]);
        }
        assert_eq!(router.refused(), 1);
    });
    assert_eq!(link.client.interface().statistics().sent.dropped, 0);
}

/// The same, but with no other work, so that only room on the device can wake the stack.
#[test]
fn the_rest_of_a_segment_leaves_as_soon_as_there_is_room() {
    let (link, [router, _]) = routed(1, HubOptions { queue: 1, rate: Some(10_000_000), ..options() });
    router.rule(narrow(1280));
    link.block_on(async {
        let (client, server) = link.pair(Family::V6).await;
        let exchange = async || {
            client.write_all(&[7; 1400]).await.unwrap();
            let mut count = 0;
            while count < 1400 {
                count += server.read(&mut [0; 1400]).await.unwrap();
            }
        };
        exchange().await;
        link.sleep(Duration::from_secs(1)).await;
        let (refused, _) = (router.refused(), router.passed());
        let ((), took) = link.within(SOON, exchange()).await;
        assert_eq!((router.refused(), router.passed().len()), (refused, 2));
        // About 1.2 ms of transmission and 1 ms of delay; the acknowledgement of the first piece would come after 10
        // ms.
        assert!(took < Duration::from_millis(5), "{took:?}");
    });
}

#[test]
fn a_syn_is_too_large_for_no_link() {
    for (family, kind) in [(Family::V4, [3, 4]), (Family::V6, [2, 0])] {
        let (link, [router, _]) = routed(1, options());
        let listener = link.server.listen(family, PORT, ListenOptions::default()).unwrap();
        link.block_on(async {
            // The neighbours are resolved.
            let remote = link.server.address(family);
            ping(&link.client.network, remote, &PingOptions::default()).await.unwrap();
            router.rule(Rules { mtu: Some(20), silent: true, ..Rules::default() });
            let connecting = TcpStream::connect(&link.client.network, listener.local_addr());
            let lying = async {
                link.sleep(Duration::from_millis(10)).await;
                let syn = router.dropped().pop().unwrap();
                let (own, client) = (family.host(ROUTER), link.client.address(family));
                router.inject(&icmp(own, client, kind, 1300u32.to_be_bytes(), &syn));
                link.sleep(Duration::from_millis(10)).await;
                router.rule(Rules::default());
            };
            let (connected, ()) = future::join(connecting, lying).await;
            connected.unwrap();
        });
    }
}

#[test]
fn a_sender_gets_the_mtu_of_packet_too_big() {
    let (link, [router, _]) = routed(1, options());
    router.rule(narrow(1300));
    link.block_on(async {
        for family in Family::BOTH {
            let client = UdpSocket::bind(&link.client.network, link.client.at(family, 0)).unwrap();
            let port = client.local_addr().port();
            let watcher = bind(&link.client.network, family, IcmpBinding::UdpPort(port)).unwrap();
            client.connect(link.server.at(family, 5000)).unwrap();
            client.send(&[0; 1400]).await.unwrap();
            let report = report(next(&link, &watcher).await);
            assert_eq!((report.kind, report.mtu), (IcmpErrorKind::PacketTooBig, Some(1300)));
            assert_eq!((report.source, report.destination), (family.host(ROUTER), link.server.at(family, 5000)));
            assert_eq!(client.try_recv_datagram().unwrap_err(), ReceiveError::PacketTooLarge);
        }
    });
}

/// Whether a datagram of 1400 bytes to the server is sent without fragmentation.
async fn goes_whole(link: &Link, router: &Router, socket: &UdpSocket) -> bool {
    // Let the stack process injected packets first.
    link.sleep(Duration::from_millis(1)).await;
    router.passed();
    let sent = socket
        .send_to(&[0; 1400], link.server.at(if socket.local_addr().is_ipv4() { Family::V4 } else { Family::V6 }, 5000))
        .await;
    link.sleep(Duration::from_millis(10)).await;
    sent.is_ok() && router.passed().iter().any(|packet| packet.len() >= 1428)
}

#[test]
fn forged_messages_about_datagrams_change_nothing() {
    for (family, kind) in [(Family::V4, [3, 4]), (Family::V6, [2, 0])] {
        let (link, [router, _]) = routed(1, options());
        link.block_on(async {
            let (own, client) = (family.host(ROUTER), link.client.address(family));
            let remote = link.server.at(family, 5000);
            let socket = UdpSocket::bind(&link.client.network, link.client.at(family, 6000)).unwrap();
            let _server = UdpSocket::bind(&link.server.network, remote).unwrap();
            let other = UdpSocket::bind(&link.client.network, link.client.at(family, 6001)).unwrap();
            assert!(goes_whole(&link, &router, &socket).await);
            let quote = |from: u16, to: SocketAddr, size: usize| udp(SocketAddr::new(client, from), to, &vec![0; size]);
            let forge = |mtu: u32, quoted: &[u8]| router.inject(&icmp(own, client, kind, mtu.to_be_bytes(), quoted));
            // An unused port, a port that has sent nothing, another destination, a packet that is too small, and one
            // that is too large.
            forge(1300, &quote(6002, remote, 1400));
            forge(1300, &quote(other.local_addr().port(), remote, 1400));
            forge(1300, &quote(6000, SocketAddr::new(remote.ip(), 5001), 1400));
            forge(1300, &quote(6000, SocketAddr::new(family.host(9), 5000), 1400));
            forge(1300, &quote(6000, remote, 1000));
            forge(1300, &quote(6000, remote, 3000));
            forge(1300, &quote(6000, remote, 1400)[..if family == Family::V4 { 27 } else { 47 }]);
            for mtu in [1448, 1500, 65_535, u32::MAX] {
                forge(mtu, &quote(6000, remote, 1400)[..100]);
            }
            if family == Family::V6 {
                for mtu in [0, 68, 1279] {
                    forge(mtu, &quote(6000, remote, 1400)[..100]);
                }
            }
            assert!(goes_whole(&link, &router, &socket).await);
            // The correct quotation lowers the path MTU, and no message raises it again.
            forge(1300, &quote(6000, remote, 1400)[..100]);
            assert!(!goes_whole(&link, &router, &socket).await);
            for mtu in [1400, 1500, u32::MAX] {
                forge(mtu, &quote(6000, remote, 1400)[..100]);
            }
            assert!(!goes_whole(&link, &router, &socket).await);
            if family == Family::V4 {
                // However small the reported MTU is, packets do not become tiny.
                forge(68, &quote(6000, remote, 1400)[..100]);
                assert!(!goes_whole(&link, &router, &socket).await);
                router.passed();
                socket.send_to(&[0; 1400], remote).await.unwrap();
                let lengths: Vec<usize> = router.passed().iter().map(Vec::len).collect();
                assert_eq!(lengths, [548, 548, 1408 - 2 * 528 + 20]);
            }
        });
    }
}

#[test]
fn forged_messages_about_segments_change_nothing() {
    for (family, kind) in [(Family::V4, [3, 4]), (Family::V6, [2, 0])] {
        let (link, [router, _]) = routed(1, options());
        link.block_on(async {
            let (own, address): (IpAddr, IpAddr) = (family.host(ROUTER), link.client.address(family));
            let (client, server) = link.pair(family).await;
            let exchange = async || {
                router.passed();
                client.write_all(&[7; 4000]).await.unwrap();
                let mut count = 0;
                while count < 4000 {
                    count += server.read(&mut [0; 4000]).await.unwrap();
                }
                link.sleep(SOON).await;
                router.passed()
            };
            let longest = |packets: &[Vec<u8>]| packets.iter().map(Vec::len).max().unwrap();
            let sent = exchange().await;
            assert_eq!(longest(&sent), 1500);
            let whole = sent.iter().find(|packet| packet.len() == 1500).unwrap().clone();
            let at = if family == Family::V4 { 20 } else { 40 };
            let sequence = u32::from_be_bytes(whole[at + 4..at + 8].try_into().unwrap());
            // Sequence numbers that were acknowledged long ago, are not sent yet, or never will be.
            for offset in [0, 1, 3999, 4000, 4001, 100_000, 0x8000_0000, u32::MAX] {
                let mut quoted = whole.clone();
                quoted[at + 4..at + 8].copy_from_slice(&sequence.wrapping_add(offset).to_be_bytes());
                router.inject(&icmp(own, address, kind, 1300u32.to_be_bytes(), &quoted[..100]));
            }
            // A quotation of another connection.
            let stranger = SocketAddr::new(address, client.local_addr().port() ^ 1);
            let mut quoted = Segment::new(stranger, server.local_addr(), 16);
            quoted.payload = vec![0; 1400];
            router.inject(&icmp(own, address, kind, 1300u32.to_be_bytes(), &quoted.packet()[..100]));
            link.sleep(Duration::from_millis(10)).await;
            assert_eq!(longest(&exchange().await), 1500);
            // A quotation of a segment in flight, first with invalid MTUs, then with a valid one.
            for (mtu, expected) in [(1500, 1500), (9000, 1500), (1300, 1300)] {
                router.rule(Rules { mtu: Some(1400), silent: true, ..Rules::default() });
                client.write_all(&[7; 1400]).await.unwrap();
                link.sleep(Duration::from_millis(10)).await;
                let mut quoted = whole.clone();
                // `whole` begins with the first byte of the connection.
                let place = u32::try_from(client.statistics().bytes_sent - 1400).unwrap();
                quoted[at + 4..at + 8].copy_from_slice(&sequence.wrapping_add(place).to_be_bytes());
                router.inject(&icmp(own, address, kind, u32::to_be_bytes(mtu), &quoted[..100]));
                link.sleep(Duration::from_millis(10)).await;
                router.rule(Rules::default());
                let mut count = 0;
                while count < 1400 {
                    count += server.read(&mut [0; 4000]).await.unwrap();
                }
                assert_eq!(longest(&exchange().await), expected, "{mtu}");
            }
        });
    }
}
