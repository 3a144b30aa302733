//! ICMP errors about this host's own packets: which are accepted, and their effects.

use core::net::{IpAddr, SocketAddr};
use std::vec;
use std::vec::Vec;

use super::bench::{FAMILIES, Host, PEER_PORT, PORT, Sent, seconds};
use super::write;
use crate::engine::Datagram;
use crate::icmp::{Binding, SocketId};
use crate::ip::icmp::ErrorKind;
use crate::ip::icmp::write::Reason;
use crate::ports::Owner;
use crate::tcp::{Cause, ConnectionId, Options, Places, TcpState};
use crate::udp::queue::PathError;

/// The address of a router on the path.
fn router(own: IpAddr) -> IpAddr {
    if own.is_ipv4() { [203, 0, 113, 1].into() } else { [0x2001, 0xdb8, 9, 0, 0, 0, 0, 1].into() }
}

fn longest(sent: &[Sent]) -> usize {
    sent.iter().map(|frame| frame.body().len()).max().unwrap_or_default()
}

/// Receives an error from a router about a packet of this host.
fn report(host: &mut Host, own: IpAddr, reason: Reason, about: &[u8]) {
    host.receive_packet(&write::error_about(router(own), own, reason, about));
}

#[test]
fn after_packet_too_big_the_next_datagrams_leave_in_smaller_fragments() {
    for (own, peer) in FAMILIES {
        let mut host = Host::acquainted();
        host.bind(own);
        assert_eq!(host.send(own, peer, &vec![1; 1400]), Ok(()));
        let first = host.sent();
        assert_eq!(first.len(), 1);
        report(&mut host, own, Reason::TooBig { mtu: 1300 }, first[0].body());
        assert_eq!(host.path_errors(), [(SocketAddr::new(peer, PEER_PORT), PathError::TooLarge { mtu: 1300 })]);
        assert_eq!(host.send(own, peer, &vec![1; 1400]), Ok(()));
        let sent = host.sent();
        assert_eq!(sent.len(), 2);
        assert!((1290..=1300).contains(&longest(&sent)));
        host.advance(seconds(601));
        host.meet();
        assert_eq!((host.send(own, peer, &vec![1; 1400]), host.sent().len()), (Ok(()), 1), "the path may be wider now");
    }
}

#[test]
fn packet_too_big_about_a_first_fragment_is_accepted() {
    for (own, peer) in FAMILIES {
        let mut host = Host::acquainted();
        host.bind(own);
        assert_eq!(host.send(own, peer, &vec![1; 4000]), Ok(()));
        let first = host.sent();
        report(&mut host, own, Reason::TooBig { mtu: 1300 }, first[0].body());
        assert_eq!(host.send(own, peer, &vec![1; 4000]), Ok(()));
        assert!((1290..=1300).contains(&longest(&host.sent())));
    }
}

#[test]
fn echo_replies_are_fragmented_to_the_path_mtu() {
    for (own, peer) in FAMILIES {
        let mut host = Host::acquainted();
        assert_eq!(host.send_echo(own, peer, &vec![1; 1400]), Ok(()));
        let first = host.sent();
        report(&mut host, own, Reason::TooBig { mtu: 1300 }, first[0].body());
        host.receive_packet(&write::ping(peer, own, 1, &vec![1; 1400]));
        let sent = host.sent();
        assert_eq!((sent.len(), longest(&sent) <= 1300), (2, true));
    }
}

#[test]
fn an_error_about_a_packet_that_was_not_sent_is_ignored() {
    for (own, peer) in FAMILIES {
        let mut host = Host::acquainted();
        host.bind(own);
        let (local, remote) = (SocketAddr::new(own, PORT), SocketAddr::new(peer, PEER_PORT));
        let large = vec![1; 1400];
        let guesses = [
            write::udp(local, remote, &large),
            write::udp(SocketAddr::new(own, PORT + 1), remote, &large),
            write::ping(own, peer, 1, &large),
            write::ip(own, peer, 6, &[&write::segment(local, remote, 0x10, 1, 1)[..], &large].concat()),
            write::ip(own, peer, 200, &large),
        ];
        for guess in &guesses {
            report(&mut host, own, Reason::TooBig { mtu: 1300 }, guess);
        }
        assert_eq!((host.send(own, peer, &large), host.sent().len()), (Ok(()), 1), "RFC 5927 section 7.2");
        // Nor an error about a packet of another host, or addressed to another host.
        let host_of_its_own = write::udp(remote, local, &large);
        report(&mut host, own, Reason::TooBig { mtu: 1300 }, &host_of_its_own);
        let about = write::udp(local, remote, &large);
        let many = if own.is_ipv4() { IpAddr::V4([224, 0, 0, 1].into()) } else { crate::link::ndp::all_nodes().into() };
        host.receive_packet(&write::error_about(router(own), many, Reason::TooBig { mtu: 1300 }, &about));
        // Nor an error with an MTU that the packet did not exceed.
        report(&mut host, own, Reason::TooBig { mtu: 1490 }, &about);
        assert_eq!((host.send(own, peer, &large), host.sent().len()), (Ok(()), 1));
    }
}

#[test]
fn packet_too_big_is_believed_whatever_other_owners_send() {
    for (own, peer) in FAMILIES {
        let mut host = Host::acquainted();
        let other = Owner(2);
        let flooding = host.engine.bind_udp(SocketAddr::new(own, PORT + 1), other).expect("free");
        host.engine.bind_icmp(own.is_ipv4(), Binding::Echo(8), other).expect("free");
        let payload = &[1; 1400];
        let flood = |host: &mut Host| {
            for port in 1..2000 {
                let (source, destination) = (SocketAddr::new(own, PORT + 1), SocketAddr::new(peer, port));
                let (owner, whole, loops_back) = (other, false, false);
                let datagram = Datagram { owner, source, destination, hop_limit: 64, whole, loops_back, payload };
                assert_eq!(host.with(|engine, now, wire| engine.send_datagram(&datagram, now, wire)), Ok(()));
            }
            host.sent();
        };
        host.bind(own);
        assert_eq!(host.send(own, peer, payload), Ok(()));
        let datagram = host.sent();
        assert_eq!(host.send_echo(own, peer, payload), Ok(()));
        let echo = host.sent();
        flood(&mut host);
        report(&mut host, own, Reason::TooBig { mtu: 1400 }, datagram[0].body());
        assert_eq!(host.engine.interface().mtu_to(peer, host.now), 1400);
        flood(&mut host);
        report(&mut host, own, Reason::TooBig { mtu: 1300 }, echo[0].body());
        assert_eq!(host.engine.interface().mtu_to(peer, host.now), 1300);

        let last = write::udp(SocketAddr::new(own, PORT + 1), SocketAddr::new(peer, 1999), payload);
        host.with(|engine, now, _| engine.unbind_udp(flooding, now));
        host.engine.bind_udp(SocketAddr::new(own, PORT + 1), Owner(3)).expect("free");
        report(&mut host, own, Reason::TooBig { mtu: 1290 }, &last);
        assert_eq!(host.engine.interface().mtu_to(peer, host.now), 1300, "the later owner of the port did not send it");
    }
}

#[test]
fn an_error_goes_to_the_address_that_the_packet_came_from() {
    for (own, peer) in FAMILIES {
        let mut host = Host::acquainted();
        host.bind(own);
        let second: IpAddr =
            if own.is_ipv4() { [192, 0, 2, 7].into() } else { [0x2001, 0xdb8, 0, 0, 0, 0, 0, 7].into() };
        host.add(second, if own.is_ipv4() { 24 } else { 64 });
        host.sent();
        assert_eq!(host.send(own, peer, &vec![1; 1400]), Ok(()));
        let about = host.sent();
        host.receive_packet(&write::error_about(router(own), second, Reason::PortUnreachable, about[0].body()));
        host.receive_packet(&write::error_about(router(own), second, Reason::TooBig { mtu: 1300 }, about[0].body()));
        assert_eq!((host.path_errors(), host.engine.interface().mtu_to(peer, host.now)), (Vec::new(), 1500));
    }
}

#[test]
fn a_path_mtu_has_a_minimum() {
    for (own, peer) in FAMILIES {
        let mut host = Host::acquainted();
        host.bind(own);
        assert_eq!(host.send(own, peer, &vec![1; 1400]), Ok(()));
        let first = host.sent();
        report(&mut host, own, Reason::TooBig { mtu: 68 }, first[0].body());
        assert_eq!(host.send(own, peer, &vec![1; 1400]), Ok(()));
        let sent = host.sent();
        if own.is_ipv4() {
            assert!((545..=552).contains(&longest(&sent)));
        } else {
            assert_eq!(sent.len(), 1, "RFC 8201 section 4: it is ignored");
        }
    }
}

#[test]
fn port_unreachable_is_reported_to_the_socket_that_sent() {
    for (own, peer) in FAMILIES {
        let mut host = Host::acquainted();
        host.bind(own);
        let watch = host.engine.bind_icmp(own.is_ipv4(), Binding::UdpPort(PORT), Owner(1)).expect("free");
        assert_eq!(host.send(own, peer, b"data"), Ok(()));
        let about = host.sent();
        host.receive_packet(&write::error_about(peer, own, Reason::PortUnreachable, about[0].body()));
        let remote = SocketAddr::new(peer, PEER_PORT);
        assert_eq!(host.path_errors(), [(remote, PathError::PortUnreachable)]);
        let reports = host.reports();
        assert_eq!(reports.len(), 1);
        assert_eq!((reports[0].source, reports[0].kind), (peer, ErrorKind::PortUnreachable));
        assert_eq!((reports[0].destination, reports[0].to), (remote, watch));
        host.receive_packet(&write::error_about(router(own), own, Reason::NoRoute, about[0].body()));
        assert_eq!(host.path_errors()[1], (remote, PathError::Unreachable));
    }
}

#[test]
fn an_error_about_a_datagram_is_reported_only_to_the_watch_of_its_sender() {
    for (own, peer) in FAMILIES {
        let mut host = Host::acquainted();
        let sender = host.bind(own);
        let [watch, others] = [Owner(1), Owner(2)].map(|owner| {
            host.engine.bind_icmp(own.is_ipv4(), Binding::UdpPort(PORT), owner).expect("a watch of its own")
        });
        assert_eq!(host.send(own, peer, b"data"), Ok(()));
        let about = host.sent();
        let heard = |host: &mut Host| -> Vec<SocketId> {
            host.events.clear();
            host.receive_packet(&write::error_about(peer, own, Reason::PortUnreachable, about[0].body()));
            host.reports().iter().map(|report| report.to).collect()
        };
        assert_eq!(heard(&mut host), [watch]);
        host.with(|engine, now, _| engine.unbind_udp(sender, now));
        assert_eq!(heard(&mut host), [], "nobody has the port any more");
        let (source, destination) = (SocketAddr::new(own, PORT), SocketAddr::new(peer, PEER_PORT));
        host.engine.bind_udp(source, Owner(2)).expect("free");
        assert_eq!(heard(&mut host), [], "the later owner of the port did not send it");
        let (owner, payload) = (Owner(2), b"data");
        let datagram = Datagram { owner, source, destination, hop_limit: 64, whole: false, loops_back: false, payload };
        assert_eq!(host.with(|engine, now, wire| engine.send_datagram(&datagram, now, wire)), Ok(()));
        assert_eq!(heard(&mut host), [others], "now it has sent such a datagram");
    }
}

#[test]
fn an_error_about_a_segment_is_reported_only_to_the_watch_of_its_connection_or_listener() {
    for (own, peer) in FAMILIES {
        let mut host = Host::acquainted();
        // The first is the owner of the bench's connections.
        let (connecting, listening, stranger) = (Owner(1), Owner(2), Owner(3));
        let connection = establish(&mut host, own, peer);
        let port = host.engine.tcp().tuple(connection).expect("it is there").local().port();
        let listener = host.engine.tcp_mut().bind(own, PORT, listening).expect("free");
        host.engine.tcp_mut().listen(listener, Places::new(16), Options::default());
        let (remote, local) = (SocketAddr::new(peer, 9), SocketAddr::new(own, PORT));
        host.receive_packet(&write::ip(peer, own, 6, &write::segment(remote, local, 2, 1, 0)));
        let mut watches = Vec::new();
        for owner in [connecting, listening, stranger] {
            for port in [port, PORT] {
                let binding = Binding::TcpPort(port);
                let to = host.engine.bind_icmp(own.is_ipv4(), binding, owner).expect("a watch of its own");
                watches.push((to, owner, port));
            }
        }
        let heard = |host: &mut Host, from: u16, to: u16| -> Vec<(Owner, u16)> {
            host.events.clear();
            let segment = write::segment((own, from).into(), (peer, to).into(), 0x10, 1, 1);
            let about = write::ip(own, peer, 6, &segment);
            host.receive_packet(&write::error_about(router(own), own, Reason::NoRoute, &about));
            let of = |id| watches.iter().find(|(to, ..)| *to == id).expect("a watch");
            host.reports().iter().map(|report| of(report.to)).map(|&(_, owner, port)| (owner, port)).collect()
        };
        assert_eq!(heard(&mut host, port, PEER_PORT), [(connecting, port)]);
        assert_eq!(heard(&mut host, PORT, 9), [(listening, PORT)], "a handshake under way");
        assert_eq!(heard(&mut host, port, 9), [], "no connection has these ends");
        assert_eq!(heard(&mut host, PORT, 10), [], "a segment of the listener's port, but of no handshake");
    }
}

/// Establishes a connection.
fn establish(host: &mut Host, own: IpAddr, peer: IpAddr) -> ConnectionId {
    let connection = host.connect(own, peer);
    let sent = host.sent();
    let syn = sent[0].packet().expect("a SYN");
    let number = |at: usize| u32::from_be_bytes(*syn.payload()[at..].first_chunk().expect("a header"));
    let port = u16::from_be_bytes([syn.payload()[0], syn.payload()[1]]);
    let (remote, local) = (SocketAddr::new(peer, PEER_PORT), SocketAddr::new(own, port));
    // Adds an MSS option of 1460.
    let mut answer = write::segment(remote, local, 0x12, 500, number(4).wrapping_add(1));
    answer[12] = 0x60;
    answer[16..18].fill(0);
    answer.extend([2, 4, 0x05, 0xb4]);
    let sum = crate::wire::tcp_checksum(peer, own, answer.len(), core::iter::once(&answer[..])).to_be_bytes();
    answer[16..18].copy_from_slice(&sum);
    host.receive_packet(&write::ip(peer, own, 6, &answer));
    assert_eq!(host.outcome(connection), Some(Ok(())));
    host.sent();
    connection
}

/// An established connection, and a segment of 1400 bytes of it that is not acknowledged.
fn established(own: IpAddr, peer: IpAddr) -> (Host, ConnectionId, Vec<u8>) {
    let mut host = Host::acquainted();
    let connection = establish(&mut host, own, peer);
    host.with(|engine, now, _| engine.tcp_mut().write(connection, &[7; 1400], now).expect("room"));
    let sent = host.sent();
    assert_eq!(sent.len(), 1);
    (host, connection, sent[0].body().to_vec())
}

#[test]
fn a_segment_that_was_too_big_is_sent_again_in_shorter_ones() {
    for (own, peer) in FAMILIES {
        let (mut host, connection, segment) = established(own, peer);
        let mut other_number = segment.clone();
        let at = segment.len() - 1400 - 20 + 4;
        other_number[at] ^= 0x40;
        report(&mut host, own, Reason::TooBig { mtu: 1300 }, &other_number);
        assert_eq!(host.engine.interface().mtu_to(peer, host.now), 1500, "not in flight (RFC 5927 section 7.2)");
        report(&mut host, own, Reason::TooBig { mtu: 1300 }, &segment);
        assert_eq!(host.engine.interface().mtu_to(peer, host.now), 1300);
        host.advance(seconds(3));
        let sent: Vec<_> = host.sent();
        let segments: Vec<_> =
            sent.iter().filter(|frame| frame.packet().is_some_and(|packet| u8::from(packet.protocol) == 6)).collect();
        assert!(!segments.is_empty() && segments.iter().all(|frame| frame.body().len() <= 1300), "{segments:?}");
        assert_eq!(host.engine.tcp().state(connection), TcpState::Established);
    }
}

#[test]
fn errors_end_a_connection_attempt_but_not_an_established_connection() {
    for (own, peer) in FAMILIES {
        let (mut host, connection, segment) = established(own, peer);
        for reason in [Reason::PortUnreachable, Reason::NoRoute, Reason::Prohibited, Reason::HopLimitExceeded] {
            report(&mut host, own, reason, &segment);
        }
        assert_eq!(host.engine.tcp().state(connection), TcpState::Established, "RFC 5927 section 4");
        for (reason, cause) in [(Reason::PortUnreachable, Cause::Refused), (Reason::NoRoute, Cause::Unreachable)] {
            let mut host = Host::acquainted();
            let connection = host.connect(own, peer);
            let syn = host.sent()[0].body().to_vec();
            let mut guess = syn.clone();
            let at = if own.is_ipv4() { 24 } else { 44 };
            guess[at] ^= 1;
            report(&mut host, own, reason, &guess);
            report(&mut host, own, Reason::TooBig { mtu: 1300 }, &syn);
            assert_eq!(host.outcome(connection), None);
            report(&mut host, own, reason, &syn);
            assert_eq!(host.outcome(connection), Some(Err(cause)));
        }
    }
}

#[test]
fn a_new_route_resumes_only_connections_that_had_none() {
    for (own, peer) in FAMILIES {
        let mut host = Host::acquainted();
        let beyond: IpAddr =
            if own.is_ipv4() { [203, 0, 113, 1].into() } else { [0x2001, 0xdb8, 9, 0, 0, 0, 0, 1].into() };
        let network = if own.is_ipv4() { "203.0.113.0/24" } else { "2001:db8:9::/64" };
        host.route(network, peer);
        let stranded = establish(&mut host, own, beyond);
        let other = establish(&mut host, own, peer);
        let route = *host.engine.interface().routes().iter().next().expect("the route");
        host.with(|engine, _, _| engine.interface_mut().remove_route(&route).expect("it is there"));
        for connection in [stranded, other] {
            host.with(|engine, now, _| engine.tcp_mut().write(connection, b"data", now).expect("room"));
        }
        assert_eq!(host.sent().len(), 1, "to the peer");
        host.engine.interface_mut().add_route(route).expect("room");
        host.engine.act(host.now, &mut host.wire);
        let pending: Vec<_> = core::iter::from_fn(|| host.engine.tcp_mut().next_pending()).collect();
        assert_eq!(pending, [stranded]);
        host.with(|engine, _, _| engine.tcp_mut().resume(stranded));
        assert_eq!(host.sent()[0].packet().expect("a segment").destination, beyond);
    }
}

#[test]
fn a_connection_that_waits_for_a_router_continues_through_another() {
    for (own, peer) in FAMILIES {
        let mut host = Host::acquainted();
        let (network, silent, beyond): (&str, IpAddr, IpAddr) = if own.is_ipv4() {
            ("203.0.113.0/24", [192, 0, 2, 99].into(), [203, 0, 113, 1].into())
        } else {
            ("2001:db8:9::/64", [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x99].into(), [0x2001, 0xdb8, 9, 0, 0, 0, 0, 1].into())
        };
        host.route(network, silent);
        let connection = host.connect(own, beyond);
        let is_syn = |frame: &Sent| frame.packet().is_some_and(|packet| packet.destination == beyond);
        assert!(!host.sent().iter().any(is_syn), "the router is asked for");
        let route = *host.engine.interface().routes().iter().next().expect("the route");
        host.with(|engine, _, _| engine.interface_mut().remove_route(&route).expect("it is there"));
        host.route(network, peer);
        assert!(host.sent().iter().any(is_syn), "at once");
        assert_eq!(host.outcome(connection), None);
    }
}
