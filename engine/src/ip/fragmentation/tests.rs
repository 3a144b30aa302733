use std::collections::BTreeSet;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::buffer::Slice;
use crate::ip::headers::Packet;
use crate::ip::headers::tests::{ipv4, ipv6};
use crate::random::Random;
use crate::time::Instant;

fn pieces(packet: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    let cuts = Fragmentation::new(packet, packet.len(), mtu, 0x1111_4321).expect("it can be cut");
    let piece = |index| {
        let mut bytes = vec![0; cuts.length(index)];
        cuts.write(&packet.into(), index, &mut bytes);
        bytes
    };
    assert_eq!(cuts.length(cuts.count()), 0);
    assert_eq!(cuts.length(usize::MAX), 0);
    (0..cuts.count()).map(piece).collect()
}

fn fields(packet: &[u8]) -> (u32, usize, bool, bool) {
    let packet = Packet::parse(packet, true).expect("well-formed, and the checksum is right");
    let fragment = packet.fragment.expect("it is a fragment");
    (fragment.identification, fragment.offset, fragment.more, fragment.dont_fragment)
}

#[test]
fn options_are_copied_as_their_flag_says() {
    let options = [1, 7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0];
    let packet = ipv4(&options, 0x4000, &[9; 100]);
    let pieces = pieces(&packet, 75);
    let fields: Vec<_> = pieces.iter().map(|piece| fields(piece)).collect();
    assert_eq!(fields, [(0x4321, 0, true, false), (0x4321, 40, true, false), (0x4321, 88, false, false)]);
    let heads: Vec<&[u8]> = pieces.iter().map(|piece| &piece[20..usize::from(piece[0] & 0xf) * 4]).collect();
    assert_eq!(heads, [&options[..], &[148, 4, 0, 0], &[148, 4, 0, 0]]);
    assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [72, 72, 36]);
}

#[test]
fn a_fragment_can_be_fragmented_again() {
    let packet = ipv4(&[], 0x2000 + 10, &[9; 64]);
    let pieces: Vec<_> = pieces(&packet, 68).iter().map(|piece| fields(piece)).collect();
    assert_eq!(pieces, [(0x1234, 80, true, false), (0x1234, 128, true, false)]);
}

#[test]
fn headers_for_routers_are_in_every_ipv6_fragment() {
    let hop_by_hop = [60, 0, 5, 2, 0, 0, 1, 0];
    let (before, routing) = ([43, 0, 1, 4, 0, 0, 0, 0], [60, 0, 0, 0, 0, 0, 0, 0]);
    let chain = [hop_by_hop, before, routing, [17, 0, 1, 4, 0, 0, 0, 0]].concat();
    let packet = ipv6(0, &[&chain[..], &[9; 2000]].concat());
    let cut = pieces(&packet, 1280);
    assert_eq!(cut.len(), 2);
    for (piece, offset, more) in [(&cut[0], 0, true), (&cut[1], 1208, false)] {
        assert_eq!(fields(piece), (0x1111_4321, offset, more, true));
        assert_eq!((piece[6], &piece[40..56]), (0, &chain[..16]));
        assert_eq!((piece[56], &piece[57..64]), (44, &chain[17..24]));
        assert_eq!((piece[64], piece[65]), (60, 0), "what the Routing header named");
    }
    assert_eq!(cut[0][72..80], chain[24..32]);
    let plain = ipv6(17, &[9; 2000]);
    assert!(pieces(&plain, 1280).iter().all(|piece| piece[6] == 44 && piece[40] == 17));
}

#[test]
fn an_ipv6_packet_is_fragmented_only_if_its_headers_fit_the_first_fragment() {
    let options = [&[17, 3, 1, 28], &[0; 28][..]].concat();
    let packet = ipv6(60, &[&options[..], &[9; 100]].concat());
    let cut = |mtu| Fragmentation::new(&packet, packet.len(), mtu, 1).map(|cuts| cuts.count());
    assert_eq!(cut(48 + 39), Err(Uncut::Narrow));
    assert_eq!(cut(48 + 40), Ok(4));
    assert!(pieces(&packet, 48 + 40).iter().all(|piece| Packet::parse(piece, true).is_ok()));
}

#[test]
fn packets_that_fit_or_cannot_be_fragmented_are_refused() {
    let (four, six) = (ipv4(&[], 0, &[9; 100]), ipv6(17, &[9; 100]));
    let cut = |packet: &[u8], mtu| Fragmentation::new(packet, packet.len(), mtu, 1).map(|cuts| cuts.count());
    assert_eq!([cut(&four, 120), cut(&six, 140)], [Err(Uncut::Fits); 2]);
    assert_eq!([cut(&four, 27), cut(&six, 55), cut(&four, 0)], [Err(Uncut::Narrow); 3]);
    assert_eq!([cut(&four, 28), cut(&six, 56)], [Ok(13); 2]);
    assert_eq!(cut(&ipv6(44, &[9; 100]), 80), Err(Uncut::Fragment));
    assert_eq!(cut(&four[..119], 68), Err(Uncut::Malformed), "not of its length");
    assert_eq!(cut(&ipv4(&[7, 0, 0, 0], 0, &[9; 100]), 68), Err(Uncut::Malformed));
    assert_eq!(Fragmentation::new(&six[..40], 140, 80, 1).map(|cuts| cuts.count()), Ok(4), "data may be elsewhere");
}

#[test]
fn data_may_lie_in_slices() {
    let packet = ipv4(&[], 0, &(0..200).collect::<Vec<u8>>());
    let slices = [Slice::from(&packet[30..77]), Slice::from(&packet[77..])];
    let cuts = Fragmentation::new(&packet[..20], packet.len(), 68, 0x4321).expect("it is long");
    for (index, expected) in pieces(&packet, 68).into_iter().enumerate() {
        let mut bytes = vec![0; cuts.length(index)];
        cuts.write(&Payload::new(&packet[..30], &slices), index, &mut bytes);
        assert_eq!(bytes, expected);
    }
}

#[test]
fn arbitrary_input_does_not_panic() {
    let mut random = Random::new([4; 32]);
    let good =
        [ipv4(&[148, 4, 0, 0], 0, &[9; 100]), ipv6(0, &[&[43, 0, 1, 4, 0, 0, 0, 0, 17, 0], &[0; 90][..]].concat())];
    for round in 0..100_000 {
        let mut bytes = good[round % 2].clone();
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len() as u32) as usize;
            bytes[at] = random.next_u32() as u8;
        }
        let (length, mtu) = (bytes.len(), random.below(160) as usize);
        let head = random.below(length as u32 + 1) as usize;
        if let Ok(cuts) = Fragmentation::new(&bytes[..head], length, mtu, 1) {
            for index in 0..cuts.count() {
                let mut piece = vec![0; cuts.length(index)];
                cuts.write(&bytes[..].into(), index, &mut piece);
                assert!(piece.len() <= mtu && !piece.is_empty());
            }
        }
    }
}

#[test]
fn identifications_between_two_addresses_do_not_repeat_soon() {
    let mut random = Random::new([9; 32]);
    let mut identifications = Identifications::new(&mut random);
    let v4 = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
    let v6 = [[0xfd00, 0, 0, 0, 0, 0, 0, 1].into(), [0xfd00, 0, 0, 0, 0, 0, 0, 2].into()];
    for [source, destination] in [v4, v6] {
        let mut draw = || identifications.next(source, destination, IpProtocol::Udp, Instant::ORIGIN, &mut random);
        let drawn: BTreeSet<u32> = (0..65_536).map(|_| draw()).collect();
        assert_eq!(drawn.len(), 65_536);
        assert_eq!(drawn.last().is_some_and(|last| *last > 0xffff), source.is_ipv6());
    }
}

#[test]
fn identifications_do_not_reveal_those_of_others() {
    let mut random = Random::new([9; 32]);
    let mut identifications = Identifications::new(&mut random);
    let source = [10, 0, 0, 1].into();
    let mut now = Instant::ORIGIN;
    let mut steps = BTreeSet::new();
    let mut draw =
        |host: u8, protocol, now| identifications.next(source, [10, 0, 0, host].into(), protocol, now, &mut random);
    let mut before = draw(2, IpProtocol::Udp, now);
    for _ in 0..100 {
        now += core::time::Duration::from_secs(1);
        let next = draw(2, IpProtocol::Udp, now);
        steps.insert(next.wrapping_sub(before) & 0xffff);
        before = next;
    }
    assert!(steps.len() > 80 && steps.iter().all(|step| (1..=1000).contains(step)), "after some time, a random step");
    let hosts: BTreeSet<u32> = (0..100).map(|host| draw(host, IpProtocol::Udp, now)).collect();
    assert!(hosts.len() > 95 && hosts.last().zip(hosts.first()).is_some_and(|(last, first)| last - first > 40_000));
    assert_ne!(draw(2, IpProtocol::Icmp, now), draw(2, IpProtocol::Udp, now).wrapping_sub(1));
}

#[test]
fn identifications_of_one_counter_lie_apart() {
    let mut random = Random::new([9; 32]);
    let mut identifications = Identifications::new(&mut random);
    let mut draw = |host| {
        let destination = [0xfd00, 0, 0, 0, 0, 0, 0, host].into();
        identifications.next(destination, destination, IpProtocol::Udp, Instant::ORIGIN, &mut random)
    };
    let mut drawn: Vec<u32> = (0..4096).map(&mut draw).collect();
    drawn.sort_unstable();
    let near = drawn.windows(2).filter(|two| two[1] - two[0] < 64).count();
    assert!(near < 4, "{near}: four hosts share each counter, but not the place where their numbers begin");
}
