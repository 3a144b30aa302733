use std::vec;
use std::vec::Vec;

use super::*;
use crate::ip::fragmentation::Fragmentation;
use crate::ip::headers::tests::{ipv4, ipv6};
use crate::random::Random;
use crate::wire::Ecn;

const START: Instant = Instant::ORIGIN;

fn reassembly() -> Reassembly {
    Reassembly::new(&Secret::new(&mut Random::new([1; 32])))
}

fn add(reassembly: &mut Reassembly, bytes: &[u8]) -> Outcome {
    add_at(reassembly, bytes, START)
}

fn add_at(reassembly: &mut Reassembly, bytes: &[u8], now: Instant) -> Outcome {
    let outcome = reassembly.add(&Packet::parse(bytes, true).expect("well-formed"), now);
    check(reassembly);
    outcome
}

/// Checks that the accounted memory equals the stored memory and is bounded.
fn check(reassembly: &Reassembly) {
    let cost: usize = reassembly.partial.values().map(|partial| partial.cost).sum();
    assert_eq!((reassembly.held(), reassembly.len()), (cost, reassembly.total.packets));
    assert_eq!(reassembly.order.len(), reassembly.len());
    assert!(cost <= CAPACITY && reassembly.len() <= PACKETS);
    assert_eq!(reassembly.sources.values().map(|holding| holding.bytes).sum::<usize>(), cost);
    assert_eq!(reassembly.sources.values().map(|holding| holding.packets).sum::<usize>(), reassembly.len());
    let within =
        |holding: &Holding| holding.bytes <= CAPACITY / SHARE && (1..=PACKETS / SHARE).contains(&holding.packets);
    assert!(reassembly.sources.values().all(within));
}

/// A fragment of either family; `offset` in bytes.
fn piece(is_ipv4: bool, identification: u16, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    if is_ipv4 {
        let mut packet = ipv4(&[], (offset / 8) | (u16::from(more) << 13), payload);
        packet[4..6].copy_from_slice(&identification.to_be_bytes());
        return rechecked(packet);
    }
    let (field, identification) = ((offset | u16::from(more)).to_be_bytes(), identification.to_be_bytes());
    let header = [17, 0, field[0], field[1], 0, 0, identification[0], identification[1]];
    ipv6(44, &[&header, payload].concat())
}

fn rechecked(mut packet: Vec<u8>) -> Vec<u8> {
    smoltcp::wire::Ipv4Packet::new_unchecked(&mut packet[..]).fill_checksum();
    packet
}

/// The same packet from another source.
fn from(mut packet: Vec<u8>, source: u16) -> Vec<u8> {
    let source = source.to_be_bytes();
    if packet[0] >> 4 == 4 {
        packet[13..15].copy_from_slice(&source);
        return rechecked(packet);
    }
    packet[12..14].copy_from_slice(&source);
    packet
}

fn payload_of(outcome: Outcome) -> Vec<u8> {
    let Outcome::Whole(bytes) = outcome else { panic!("{outcome:?}") };
    let packet = Packet::parse(&bytes, true).expect("well-formed");
    assert!(!packet.needs_reassembly() && packet.protocol == IpProtocol::Udp && packet.bytes == bytes);
    packet.payload().to_vec()
}

#[test]
fn fragments_in_any_order_make_the_packet() {
    for is_ipv4 in [true, false] {
        let mut reassembly = reassembly();
        assert_eq!(add(&mut reassembly, &piece(is_ipv4, 7, 16, false, b"end")), Outcome::Pending);
        assert_eq!(add(&mut reassembly, &piece(is_ipv4, 7, 8, true, b"89abcdef")), Outcome::Pending);
        assert_eq!(add(&mut reassembly, &piece(is_ipv4, 8, 0, true, b"another!")), Outcome::Pending);
        let whole = add(&mut reassembly, &piece(is_ipv4, 7, 0, true, b"01234567"));
        assert_eq!(payload_of(whole), b"0123456789abcdefend");
        assert_eq!((reassembly.len(), reassembly.counters().reassembled), (1, 1));
    }
}

#[test]
fn packets_are_told_apart_by_the_fields_of_the_rfcs() {
    let mut reassembly = reassembly();
    let (first, last) = (piece(true, 7, 0, true, &[0; 8]), piece(true, 7, 8, false, &[0; 8]));
    add(&mut reassembly, &first);
    let mut other = last.clone();
    other[9] = 1;
    assert_eq!(add(&mut reassembly, &rechecked(other)), Outcome::Pending, "another protocol, in IPv4");
    let mut other = last.clone();
    other[19] = 9;
    assert_eq!(add(&mut reassembly, &rechecked(other)), Outcome::Pending, "another destination");
    assert_eq!(add(&mut reassembly, &from(last.clone(), 9)), Outcome::Pending, "another source");
    payload_of(add(&mut reassembly, &last));
    add(&mut reassembly, &piece(false, 7, 0, true, &[0; 8]));
    let mut last = piece(false, 7, 8, false, &[0; 8]);
    last[40] = 1;
    payload_of(add(&mut reassembly, &last));
}

#[test]
fn the_headers_are_those_of_the_first_fragment() {
    let mut reassembly = reassembly();
    let first = ipv4(&[7, 3, 4, 0], 0x2000, b"01234567");
    add(&mut reassembly, &ipv4(&[], 1, b"89"));
    assert_eq!(add(&mut reassembly, &first), Outcome::Whole(ipv4(&[7, 3, 4, 0], 0, b"0123456789")));
    let (options, fragment) = ([44, 0, 1, 4, 0, 0, 0, 0], |more| [17, 0, 0, more, 0, 0, 0, 9]);
    let first = ipv6(60, &[&options, &fragment(1), &b"01234567"[..]].concat());
    add(&mut reassembly, &ipv6(44, &[&fragment(8), &b"89"[..]].concat()));
    let whole = ipv6(60, &[&[17, 0, 1, 4, 0, 0, 0, 0], &b"0123456789"[..]].concat());
    assert_eq!(add(&mut reassembly, &first), Outcome::Whole(whole));
}

#[test]
fn a_whole_packet_is_not_delayed_by_fragments_with_its_identification() {
    let mut reassembly = reassembly();
    add(&mut reassembly, &piece(false, 7, 0, true, &[0; 8]));
    let atomic = piece(false, 7, 0, false, b"by itself");
    assert_eq!(add(&mut reassembly, &atomic), Outcome::Whole(atomic));
    assert_eq!(reassembly.len(), 1);
}

#[test]
fn an_expired_packet_returns_its_first_fragment() {
    let lifetime = 60;
    for is_ipv4 in [true, false] {
        let mut reassembly = reassembly();
        let first = piece(is_ipv4, 7, 0, true, b"01234567");
        let end = START + Duration::from_secs(lifetime);
        add(&mut reassembly, &first);
        add_at(&mut reassembly, &piece(is_ipv4, 8, 8, false, b"8"), START + Duration::from_secs(1));
        add_at(&mut reassembly, &piece(is_ipv4, 7, 16, false, b"g"), START + Duration::from_secs(9));
        assert_eq!(reassembly.next_timeout(), Some(end), "from the first that has come");
        assert_eq!(reassembly.expire(START + Duration::from_millis(lifetime * 1000 - 1)), None);
        let expired = reassembly.expire(end).expect("its time is up");
        assert_eq!(expired.first, Some(first));
        assert_eq!(expired.source.is_ipv4(), is_ipv4);
        assert_eq!((reassembly.expire(end), reassembly.len()), (None, 1));
        let expired = reassembly.expire(end + Duration::from_secs(1)).expect("its time is up");
        assert_eq!((expired.first, reassembly.held(), reassembly.next_timeout()), (None, 0, None));
        assert_eq!(reassembly.counters().expired, 2);
    }
}

#[test]
fn lengths_that_only_the_last_may_have_are_refused() {
    let mut reassembly = reassembly();
    let pointer = |pointer| Outcome::Refused(Refusal::Problem { pointer, problem: Problem::Field });
    assert_eq!(add(&mut reassembly, &piece(false, 7, 0, true, &[0; 9])), pointer(4));
    assert_eq!(add(&mut reassembly, &piece(false, 7, 65_528, false, &[0; 8])), pointer(42));
    assert_eq!(add(&mut reassembly, &piece(false, 7, 65_528, false, &[0; 7])), Outcome::Pending);
    let malformed = Outcome::Dropped(Reason::Malformed);
    assert_eq!(add(&mut reassembly, &piece(false, 7, 8, false, &[])), malformed);
    assert_eq!(add(&mut reassembly, &piece(true, 7, 0, true, &[0; 9])), malformed);
    assert_eq!(add(&mut reassembly, &piece(true, 7, 8, false, &[])), malformed);
    let long = Outcome::Dropped(Reason::TooLong);
    assert_eq!(add(&mut reassembly, &piece(true, 7, 65_512, false, &[0; 4])), long, "65,536 with the header");
    assert_eq!(add(&mut reassembly, &piece(true, 7, 65_512, false, &[0; 3])), Outcome::Pending);
    assert_eq!((reassembly.len(), reassembly.counters().dropped), (2, 6));
}

#[test]
fn a_last_fragment_with_short_headers_does_not_make_a_packet_too_long() {
    let mut reassembly = reassembly();
    add(&mut reassembly, &ipv4(&[], 1 + 0x2000, &vec![0; 65_504 - 8]));
    add(&mut reassembly, &ipv4(&[], 65_504 / 8, &[0; 8]));
    let outcome = add(&mut reassembly, &ipv4(&[1; 8], 0x2000, &[0; 8]));
    assert_eq!((outcome, reassembly.held()), (Outcome::Dropped(Reason::TooLong), 0));
}

#[test]
fn overlapping_fragments_abandon_their_packet() {
    let overlaps: [(u16, bool, &[u8]); 7] = [
        (8, true, b"89abcdef89abcdef"),
        (0, true, b"0123456701234567"),
        (8, true, b"different payloa"),
        (8, true, b"differen"),
        (8, false, b"89abcdef"),
        (24, false, b"beyond the end"),
        (24, true, b"beyond.."),
    ];
    for is_ipv4 in [true, false] {
        for (offset, more, payload) in overlaps {
            let mut reassembly = reassembly();
            add(&mut reassembly, &piece(is_ipv4, 7, 8, true, b"89abcdef"));
            add(&mut reassembly, &piece(is_ipv4, 7, 16, false, b"end"));
            let outcome = add(&mut reassembly, &piece(is_ipv4, 7, offset, more, payload));
            assert_eq!(outcome, Outcome::Dropped(Reason::Overlap), "{offset} {payload:?}");
            assert_eq!(reassembly.held(), RECORD);
            for (offset, more) in [(0, true), (8, true), (16, false)] {
                let outcome = add(&mut reassembly, &piece(is_ipv4, 7, offset, more, b"01234567"));
                assert_eq!(outcome, Outcome::Dropped(Reason::Abandoned));
            }
            let end = START + Duration::from_secs(60);
            assert_eq!((reassembly.expire(end), reassembly.len()), (None, 0), "no error is due");
            assert_eq!(reassembly.counters(), Counters { abandoned: 1, dropped: 4, ..Counters::default() });
            add_at(&mut reassembly, &piece(is_ipv4, 7, 0, true, b"01234567"), end);
            payload_of(add_at(&mut reassembly, &piece(is_ipv4, 7, 8, false, b"8"), end));
        }
    }
}

#[test]
fn an_end_before_received_data_is_an_overlap() {
    let mut reassembly = reassembly();
    add(&mut reassembly, &piece(true, 7, 32, true, &[0; 8]));
    assert_eq!(add(&mut reassembly, &piece(true, 7, 8, false, &[0; 8])), Outcome::Dropped(Reason::Overlap));
}

#[test]
fn an_identical_fragment_is_ignored() {
    for is_ipv4 in [true, false] {
        let mut reassembly = reassembly();
        let (first, last) = (piece(is_ipv4, 7, 0, true, b"01234567"), piece(is_ipv4, 7, 16, false, b"end"));
        for bytes in [&first, &last] {
            add(&mut reassembly, bytes);
            let held = reassembly.held();
            assert_eq!(add(&mut reassembly, bytes), Outcome::Pending);
            assert_eq!(reassembly.held(), held);
        }
        assert_eq!(payload_of(add(&mut reassembly, &piece(is_ipv4, 7, 8, true, b"89abcdef"))), b"0123456789abcdefend");
    }
}

#[test]
fn tiny_fragments_of_tcp_are_dropped() {
    let mut reassembly = reassembly();
    let tcp = |offset, more, length| {
        let mut bytes = piece(true, 7, offset, more, &vec![0; length]);
        bytes[9] = 6;
        rechecked(bytes)
    };
    assert_eq!(add(&mut reassembly, &tcp(0, true, 8)), Outcome::Dropped(Reason::Tiny));
    assert_eq!(add(&mut reassembly, &tcp(8, true, 16)), Outcome::Dropped(Reason::Tiny));
    assert_eq!(add(&mut reassembly, &tcp(0, true, 16)), Outcome::Pending);
    assert_eq!(add(&mut reassembly, &piece(true, 7, 8, true, &[0; 8])), Outcome::Pending, "UDP has no flags");
}

#[test]
fn ce_marks_are_neither_lost_nor_set_on_packets_without_ecn() {
    use Ecn::{Capable0, Capable1, Congested, NotCapable};
    let cases = [
        ([Capable0, Congested], Some(Congested)),
        ([Congested, Capable1], Some(Congested)),
        ([Congested, Congested], Some(Congested)),
        ([Capable1, Capable1], Some(Capable1)),
        ([Capable0, Capable0], Some(Capable0)),
        ([Capable1, Capable0], Some(Capable1)),
        ([NotCapable, NotCapable], Some(NotCapable)),
        ([Capable0, NotCapable], Some(NotCapable)),
        ([NotCapable, Congested], None),
        ([Congested, NotCapable], None),
    ];
    for is_ipv4 in [true, false] {
        for (marks, expected) in cases {
            let mut reassembly = reassembly();
            let marked = |offset, more, ecn: Ecn| {
                let mut bytes = piece(is_ipv4, 7, offset, more, b"01234567");
                if is_ipv4 {
                    bytes[1] = 0x28 | ecn.bits();
                    return rechecked(bytes);
                }
                bytes[1] = bytes[1] & 0x0f | (8 | ecn.bits()) << 4;
                bytes
            };
            add(&mut reassembly, &marked(8, false, marks[1]));
            match (add(&mut reassembly, &marked(0, true, marks[0])), expected) {
                (Outcome::Whole(bytes), Some(expected)) => {
                    let packet = Packet::parse(&bytes, true).expect("well-formed");
                    assert_eq!((packet.ecn, packet.traffic_class), (expected, 0x28 | expected.bits()), "{marks:?}");
                }
                (outcome, None) => assert_eq!(outcome, Outcome::Dropped(Reason::Congestion)),
                (outcome, Some(_)) => panic!("{marks:?}: {outcome:?}"),
            }
            assert!(reassembly.is_empty());
        }
    }
}

#[test]
fn a_packet_full_of_gaps_is_abandoned() {
    let mut reassembly = reassembly();
    for gap in 0..64 {
        assert_eq!(add(&mut reassembly, &piece(true, 7, gap * 16, true, &[0; 8])), Outcome::Pending);
    }
    assert_eq!(add(&mut reassembly, &piece(true, 7, 2000, true, &[0; 8])), Outcome::Dropped(Reason::Gaps));
    assert_eq!(reassembly.held(), RECORD);
    for backwards in (0..1000).rev() {
        let outcome = add(&mut reassembly, &piece(true, 8, backwards * 8, backwards < 999, &[0; 8]));
        assert!(matches!(outcome, Outcome::Pending | Outcome::Whole(_)), "there is one gap only");
    }
    assert_eq!(reassembly.counters().reassembled, 1);
}

#[test]
fn only_received_bytes_take_memory() {
    let mut reassembly = reassembly();
    add(&mut reassembly, &piece(true, 7, 65_504, false, &[0; 8]));
    assert!(reassembly.held() < 1024);
}

#[test]
fn one_source_does_not_evict_others() {
    for is_ipv4 in [true, false] {
        let mut reassembly = reassembly();
        let honest = piece(is_ipv4, 7, 0, true, b"01234567");
        add(&mut reassembly, &honest);
        for identification in 0..1000 {
            let mut flood = from(piece(is_ipv4, identification, 0, true, &[0; 1400]), 9);
            if !is_ipv4 {
                flood[16..24].copy_from_slice(&u64::from(identification).to_be_bytes());
            }
            add(&mut reassembly, &flood);
        }
        assert_eq!((reassembly.len(), reassembly.counters().evicted), (65, 936), "of the same network, the oldest go");
        for identification in 0..1000 {
            let large = from(piece(is_ipv4, identification, 8, true, &[0; 60_000]), 9);
            add(&mut reassembly, &large);
        }
        assert!(reassembly.len() < 20, "bytes count too");
        assert_eq!(payload_of(add(&mut reassembly, &piece(is_ipv4, 7, 8, false, b"8"))), b"012345678");
    }
}

#[test]
fn many_sources_make_room_for_one_another() {
    let mut reassembly = reassembly();
    for source in 0..5 {
        for identification in 0..16 {
            add(&mut reassembly, &from(piece(true, identification, 8, true, &[0; 60_000]), source));
        }
    }
    assert!(reassembly.held() > CAPACITY - 61_000);
    let small = from(piece(true, 1, 0, true, &[0; 8]), 99);
    add(&mut reassembly, &small);
    for source in 100..2000 {
        add(&mut reassembly, &from(piece(true, 1, 0, true, &[0; 8]), source));
    }
    assert_eq!(reassembly.len(), PACKETS);
    let last = |source| from(piece(true, 1, 8, false, b"8"), source);
    payload_of(add(&mut reassembly, &last(1990)));
    assert_eq!(add(&mut reassembly, &last(1000)), Outcome::Pending, "the oldest went first");
}

/// Random cuts of a payload. There are few enough pieces for the limit on gaps not to matter.
fn cut(random: &mut Random, length: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = (0..random.below(60)).map(|_| random.below(length as u32) as usize & !7).collect();
    cuts.extend([0, length]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

#[test]
fn any_split_in_any_order_with_duplicates_is_reassembled() {
    let mut random = Random::new([5; 32]);
    let mut reassembly = reassembly();
    for round in 0u16..2000 {
        let is_ipv4 = round.is_multiple_of(2);
        let length = 17 + random.below(if round.is_multiple_of(50) { 65_000 } else { 3000 }) as usize;
        let payload: Vec<u8> = (0..length).map(|_| random.next_u32() as u8).collect();
        let cuts = cut(&mut random, length);
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        for range in cuts.windows(2) {
            let (start, end) = (range[0], range[1]);
            pieces.push(piece(is_ipv4, round, start as u16, end < length, &payload[start..end]));
        }
        if pieces.len() == 1 {
            continue;
        }
        // Each fragment arrives at least once, and the last one of all exactly once: a duplicate after completion would
        // begin a new packet.
        for index in (1..pieces.len()).rev() {
            pieces.swap(index, random.below(index as u32 + 1) as usize);
        }
        let last = pieces.pop().expect("there are two");
        for _ in 0..random.below(8) {
            let copy = pieces[random.below(pieces.len() as u32) as usize].clone();
            pieces.insert(random.below(pieces.len() as u32 + 1) as usize, copy);
        }
        for bytes in &pieces {
            assert_eq!(add(&mut reassembly, bytes), Outcome::Pending);
        }
        assert!(payload_of(add(&mut reassembly, &last)) == payload, "{round}");
        assert!(reassembly.is_empty() && reassembly.sources.is_empty());
    }
}

#[test]
fn fragmented_packets_are_reassembled() {
    let mut random = Random::new([6; 32]);
    let mut reassembly = reassembly();
    for (round, mtu) in (0u16..).zip([68, 100, 552, 1280, 1281, 1492, 1500, 4352, 8999, 9000].repeat(40)) {
        let payload: Vec<u8> = (0..9000 + random.below(56_000)).map(|_| random.next_u32() as u8).collect();
        let packet = match round % 3 {
            0 => ipv4(&[], 0, &payload),
            1 => ipv4(&[148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0], 0x4000, &payload),
            _ => ipv6(0, &[&[60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0], &payload[..]].concat()),
        };
        let Ok(cuts) = Fragmentation::new(&packet, packet.len(), mtu, round.into()) else {
            assert!(mtu < 100, "there is room in {mtu}");
            continue;
        };
        for index in 0..cuts.count() {
            let mut bytes = vec![0; cuts.length(index)];
            cuts.write(&packet[..].into(), index, &mut bytes);
            assert!(bytes.len() <= mtu);
            // The accounting is checked in the other tests.
            let outcome = reassembly.add(&Packet::parse(&bytes, true).expect("well-formed"), START);
            if index + 1 < cuts.count() {
                assert_eq!(outcome, Outcome::Pending);
                continue;
            }
            let Outcome::Whole(whole) = outcome else { panic!("{outcome:?}") };
            let mut expected = packet.clone();
            if round % 3 != 2 {
                expected[4..6].copy_from_slice(&round.to_be_bytes());
                expected[6] = 0;
                expected = rechecked(expected);
            }
            assert!(whole == expected, "{round}");
        }
        check(&reassembly);
    }
    assert!(reassembly.is_empty() && reassembly.counters().reassembled > 300);
}

#[test]
fn arbitrary_fragments_keep_the_accounting_correct() {
    let mut random = Random::new([8; 32]);
    let mut reassembly = reassembly();
    let mut now = START;
    for _ in 0..20_000 {
        now += Duration::from_millis(random.below(200).into());
        let is_ipv4 = random.below(2) == 0;
        let (identification, offset) = (random.below(9) as u16, random.below(4) as u16 * 8);
        let payload = vec![u8::from(random.below(16) == 0); 8 + random.below(9) as usize / 8 * 8];
        let bytes = from(piece(is_ipv4, identification, offset, random.below(4) > 0, &payload), random.below(4) as u16);
        if let Ok(packet) = Packet::parse(&bytes, true) {
            reassembly.add(&packet, now);
        }
        if random.below(20) == 0 {
            while reassembly.expire(now).is_some() {}
        }
        check(&reassembly);
    }
    let Counters { reassembled, expired, evicted: _, abandoned, dropped } = reassembly.counters();
    let counts = [reassembled, expired, abandoned, dropped];
    assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
    while reassembly.expire(now + Duration::from_secs(60)).is_some() {}
    assert!(reassembly.is_empty() && reassembly.held() == 0 && reassembly.sources.is_empty());
}
