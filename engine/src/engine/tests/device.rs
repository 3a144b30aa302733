//! A device without space: what waits, in which order, and what is reported.

use core::net::{IpAddr, SocketAddr};
use std::vec;
use std::vec::Vec;

use super::bench::{FAMILIES, Host, OWN, PEER, PEER_PORT, Sent, exchange, peer};
use super::write;
use crate::event::Event;
use crate::interface::SendError;
use crate::ip::icmp::Message;
use crate::ports::Owner;
use crate::tcp::TcpState;

/// Gives the device space again. Returns the frames that leave.
fn open(host: &mut Host) -> Vec<Sent> {
    host.wire.room = usize::MAX;
    host.with(|engine, now, wire| assert!(engine.transmit(now, wire)));
    host.sent()
}

/// The sequence numbers of the echo replies that were sent.
fn replies(sent: &[Sent]) -> Vec<u16> {
    let reply = |frame: &Sent| match frame.icmp() {
        Some(Message::EchoReply(echo)) => Some(echo.sequence),
        _ => None,
    };
    sent.iter().filter_map(reply).collect()
}

#[test]
fn a_datagram_without_space_on_the_device_stays_with_its_sender() {
    for (own, remote) in FAMILIES {
        let mut host = Host::acquainted();
        host.wire.room = 0;
        assert_eq!(host.send(own, remote, b"data"), Err(SendError::Full));
        assert_eq!(host.send(own, remote, &vec![1; 4000]), Err(SendError::Full));
        assert_eq!(open(&mut host), []);
        assert_eq!(host.dropped(), (0, 0));
    }
}

#[test]
fn fragments_after_the_first_wait_and_nothing_overtakes_them() {
    for (own, remote) in FAMILIES {
        let (mut host, mut other) = (Host::acquainted(), peer());
        other.engine.bind_udp(SocketAddr::new(remote, PEER_PORT), Owner(1)).expect("free");
        host.wire.room = 1;
        assert_eq!(host.send(own, remote, &vec![1; 4000]), Ok(()));
        assert_eq!((host.sent().len(), host.engine.owes()), (1, true));
        assert_eq!(host.send(own, remote, b"later"), Err(SendError::Full));
        host.wire.room = 1;
        let connection = host.connect(own, remote);
        let sent = host.sent();
        assert_eq!((sent.len(), sent[0].packet().and_then(|packet| packet.fragment).is_some()), (1, true));
        assert_eq!(u8::from(sent[0].packet().expect("a packet").protocol), 17, "and no segment");
        host.receive_packet(&write::ping(remote, own, 1, b"x"));
        assert_eq!(host.sent(), []);
        let sent = open(&mut host);
        assert_eq!((sent[0].packet().and_then(|packet| packet.fragment).map(|fragment| fragment.more)), Some(false));
        assert_eq!(replies(&sent[1..2]), [1]);
        assert_eq!(u8::from(sent[2].packet().expect("a SYN").protocol), 6);
        assert_eq!((host.engine.tcp().state(connection), sent.len()), (TcpState::SynSent, 3));
        assert_eq!(host.dropped(), (0, 0));
    }
}

#[test]
fn every_fragment_arrives_however_little_room_there_is() {
    for (own, remote) in FAMILIES {
        let (mut host, mut other) = (Host::acquainted(), peer());
        other.engine.bind_udp(SocketAddr::new(remote, PEER_PORT), Owner(1)).expect("free");
        let payload: Vec<u8> = (0..60_000u32).map(|at| (at % 251) as u8).collect();
        host.wire.room = 1;
        assert_eq!(host.send(own, remote, &payload), Ok(()));
        for _ in 0..100 {
            host.sent().iter().for_each(|frame| other.receive(&frame.bytes));
            host.wire.room = 1;
            host.with(|engine, now, wire| engine.transmit(now, wire));
        }
        assert_eq!((other.delivered(), host.dropped()), (vec![payload], (0, 0)));
    }
}

#[test]
fn answers_wait_for_the_device_in_order_and_too_many_are_counted() {
    for (own, remote) in FAMILIES {
        let mut host = Host::acquainted();
        host.wire.room = 0;
        (0..300).for_each(|number| host.receive_packet(&write::ping(remote, own, number, b"x")));
        assert_eq!((host.sent(), host.dropped()), (Vec::new(), (0, 300 - 256)));
        assert_eq!(replies(&open(&mut host)), (0..256).collect::<Vec<u16>>());
    }
}

#[test]
fn a_fragmented_answer_waits_for_the_device_like_a_short_one() {
    for (own, remote) in FAMILIES {
        let (mut host, mut other) = (Host::acquainted(), peer());
        other.engine.bind_icmp(own.is_ipv4(), crate::icmp::Binding::Echo(7), Owner(1)).expect("free");
        assert_eq!(other.send_echo(remote, own, &vec![1; 3000]), Ok(()));
        exchange(&mut host, &mut other);
        other.events.clear();
        assert_eq!(other.send_echo(remote, own, &vec![1; 3000]), Ok(()));
        let asked = other.sent();
        host.wire.room = 0;
        asked.iter().for_each(|frame| host.receive(&frame.bytes));
        assert_eq!(host.sent(), []);
        let sent = open(&mut host);
        sent.iter().for_each(|frame| other.receive(&frame.bytes));
        let answered = other.events.iter().filter(|event| matches!(event, Event::EchoReply(_))).count();
        assert_eq!((sent.len(), answered, host.dropped()), (3, 1, (0, 0)));
    }
}

#[test]
fn an_answer_is_dropped_whole_if_not_all_of_its_fragments_can_wait() {
    for (own, remote) in FAMILIES {
        let mut host = Host::acquainted();
        host.wire.room = 0;
        (0..255).for_each(|number| host.receive_packet(&write::ping(remote, own, number, b"x")));
        host.receive_fragments(remote, own);
        let sent = open(&mut host);
        assert_eq!((sent.len(), replies(&sent).len(), host.dropped().1), (255, 255, 1));
    }
}

impl Host {
    /// Receives an echo request of 3000 bytes in fragments.
    fn receive_fragments(&mut self, remote: IpAddr, own: IpAddr) {
        let packet = write::ping(remote, own, 999, &vec![1; 3000]);
        let cut = crate::ip::fragmentation::Fragmentation::new(&packet, packet.len(), 1500, 77).expect("long");
        for index in 0..cut.count() {
            let mut fragment = vec![0; cut.length(index)];
            cut.write(&crate::buffer::Payload::from(&packet[..]), index, &mut fragment);
            self.receive(&write::framed(OWN, PEER, &fragment));
        }
    }
}

#[test]
fn packets_that_waited_for_a_neighbour_wait_for_the_device_too() {
    for (own, remote) in FAMILIES {
        let mut host = Host::new();
        (0..5).for_each(|number| assert_eq!(host.send(own, remote, &[number]), Ok(())));
        host.sent();
        host.wire.room = 2;
        // For IPv6, the answer to the solicitation takes one of the places.
        host.receive(&write::arp(
            &crate::link::arp::Arp::request(OWN, super::bench::V4, super::bench::PEER_V4).reply(PEER),
        ));
        host.receive(&write::solicitation(
            (OWN, PEER),
            &crate::link::ndp::Solicitation::question(super::bench::PEER_V6, PEER, super::bench::V6),
        ));
        let mut sent = host.sent();
        assert_eq!(sent.len(), 2);
        sent.extend(open(&mut host));
        let order: Vec<u8> = sent.iter().filter_map(|frame| frame.datagram()).map(|data| data[0]).collect();
        assert_eq!(order, [0, 1, 2, 3, 4]);
    }
}

#[test]
fn a_stream_arrives_whole_through_a_device_that_is_often_full_and_a_path_that_becomes_narrow() {
    for (own, remote) in FAMILIES {
        let (mut host, mut other) = (Host::new(), peer());
        let listener = other.engine.tcp_mut().bind(remote, PEER_PORT, Owner::HOST).expect("free");
        other.engine.tcp_mut().listen(listener, crate::tcp::Places::new(4), crate::tcp::Options::default());
        let connection = host.connect(own, remote);
        let data: Vec<u8> = (0..300_000u32).map(|at| (at % 251) as u8).collect();
        let (mut written, mut read, mut accepted, mut narrow) = (0, Vec::new(), None, None);
        for round in 0..20_000 {
            if read.len() == data.len() {
                break;
            }
            host.wire.room = [0, 1, 3, 50][round % 4];
            let (from, now) = (written, host.now);
            if let Ok(count) = host.with(|engine, _, _| engine.tcp_mut().write(connection, &data[from..], now)) {
                written += count;
            }
            for frame in host.sent() {
                // From the middle of the stream on, a router's next link takes only 1300 bytes.
                if frame.body().len() > 1300 && read.len() > 100_000 {
                    narrow.get_or_insert(round);
                    let reason = crate::ip::icmp::write::Reason::TooBig { mtu: 1300 };
                    let error = write::error_about(remote, own, reason, frame.body());
                    host.receive_packet(&error);
                } else {
                    other.receive(&frame.bytes);
                }
            }
            accepted = accepted.or_else(|| other.engine.tcp_mut().accept(listener).map(|accepted| accepted.id));
            if let Some(id) = accepted {
                let mut buffer = vec![0; 10_000];
                let now = other.now;
                while let Ok(count @ 1..) = other.with(|engine, _, _| engine.tcp_mut().read(id, &mut buffer, now)) {
                    read.extend_from_slice(&buffer[..count]);
                }
            }
            other.sent().iter().for_each(|frame| host.receive(&frame.bytes));
            host.advance(super::bench::millis(5));
            other.advance(super::bench::millis(5));
        }
        assert!(read == data, "{} of {}", read.len(), data.len());
        assert!(narrow.is_some());
        assert_eq!(host.engine.interface().mtu_to(remote, host.now), 1300);
    }
}
