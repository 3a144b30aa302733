use std::vec::Vec;

use super::*;
use crate::random::Random;

const OURS: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const THEIRS: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// A request from NEIGHBOUR to ADDRESS, field by field as in RFC 826.
#[rustfmt::skip]
const REQUEST: [u8; LENGTH] = [
    0, 1, 8, 0, 6, 4, 0, 1,
    2, 0, 0, 0, 0, 2, 192, 0, 2, 2,
    0, 0, 0, 0, 0, 0, 192, 0, 2, 1,
];

fn own(address: Ipv4Addr) -> bool {
    address == ADDRESS
}

fn with(offset: usize, bytes: &[u8]) -> Option<Arp> {
    let mut message = REQUEST;
    message[offset..offset + bytes.len()].copy_from_slice(bytes);
    Arp::read(&message)
}

#[test]
fn a_request_is_parsed_and_answered_and_its_sender_learned() {
    let arp = Arp::read(&REQUEST).expect("well-formed");
    assert_eq!(arp, Arp::request(THEIRS, NEIGHBOUR, ADDRESS));
    assert_eq!(arp.bytes(), REQUEST);
    let Judgement { answer, evidence, conflict } = arp.judge(OURS, own);
    #[rustfmt::skip]
    let reply = [
        0, 1, 8, 0, 6, 4, 0, 2,
        2, 0, 0, 0, 0, 1, 192, 0, 2, 1,
        2, 0, 0, 0, 0, 2, 192, 0, 2, 2,
    ];
    assert_eq!(answer.map(|answer| answer.bytes()), Some(reply));
    let asked = Evidence { address: NEIGHBOUR, hardware: THEIRS, kind: EvidenceKind::Asked };
    assert_eq!((evidence, conflict), (Some(asked), None));
}

#[test]
fn a_request_is_answered_whatever_network_its_sender_is_in() {
    let arp = with(14, &[10, 9, 8, 7]).expect("well-formed");
    let answer = arp.judge(OURS, own).answer.expect("an answer");
    assert_eq!((answer.target, answer.target_hardware), (Ipv4Addr::new(10, 9, 8, 7), THEIRS));
}

#[test]
fn every_field_with_a_fixed_value_is_checked() {
    for (offset, value) in [(1, 6), (2, 0x86), (3, 6), (4, 8), (5, 16), (6, 1), (7, 0), (7, 3), (7, 8)] {
        assert_eq!(with(offset, &[value]), None, "byte {offset} is {value}");
    }
    for length in 0..LENGTH {
        assert_eq!(Arp::read(&REQUEST[..length]), None, "{length}");
    }
    let padded = [&REQUEST[..], &[0; 18]].concat();
    assert_eq!(Arp::read(&padded), Arp::read(&REQUEST));
}

#[test]
fn a_sender_that_is_not_one_host_is_refused() {
    for hardware in [[0; 6], [0xff; 6], [1, 0, 0x5e, 0, 0, 1]] {
        assert_eq!(with(8, &hardware), None, "{hardware:?}");
    }
    for address in [[127, 0, 0, 1], [224, 0, 0, 1], [240, 0, 0, 1], [255; 4], [0, 0, 0, 1]] {
        assert_eq!(with(14, &address), None, "{address:?}");
    }
}

#[test]
fn a_probe_is_answered_but_nothing_is_learned() {
    let arp = with(14, &[0; 4]).expect("well-formed");
    assert!(arp.is_probe() && arp.contests(ADDRESS, OURS) && !arp.contests(NEIGHBOUR, OURS));
    let Judgement { answer, evidence, conflict } = arp.judge(OURS, own);
    assert_eq!(answer.map(|answer| (answer.sender, answer.target)), Some((ADDRESS, Ipv4Addr::UNSPECIFIED)));
    assert_eq!((evidence, conflict), (None, None));
}

#[test]
fn messages_for_other_hosts_only_update_existing_entries() {
    let overheard = Some(EvidenceKind::Overheard);
    let kind = |arp: Arp| {
        let judgement = arp.judge(OURS, own);
        assert_eq!((judgement.answer, judgement.conflict), (None, None));
        judgement.evidence.map(|evidence| evidence.kind)
    };
    assert_eq!(kind(Arp::announcement(THEIRS, NEIGHBOUR)), overheard);
    assert_eq!(kind(Arp { operation: Operation::Reply, ..Arp::announcement(THEIRS, NEIGHBOUR) }), overheard);
    assert_eq!(kind(Arp::request(THEIRS, NEIGHBOUR, Ipv4Addr::new(192, 0, 2, 9))), overheard);
    assert_eq!(kind(Arp::request(OURS, ADDRESS, NEIGHBOUR).reply(THEIRS)), Some(EvidenceKind::Answered));
    assert_eq!(kind(Arp::request(OURS, NEIGHBOUR, ADDRESS)), None, "its own, come back");
}

#[test]
fn another_user_of_an_address_of_this_host_is_a_conflict_and_gets_no_answer() {
    let reply = Arp::request(OURS, NEIGHBOUR, ADDRESS).reply(THEIRS);
    for arp in [Arp::announcement(THEIRS, ADDRESS), reply, Arp::request(THEIRS, ADDRESS, NEIGHBOUR)] {
        let conflict = Judgement { conflict: Some(ADDRESS), ..Judgement::default() };
        assert_eq!(arp.judge(OURS, own), conflict);
        assert!(arp.contests(ADDRESS, OURS));
        assert!(!arp.contests(ADDRESS, THEIRS), "its own, come back");
    }
}

#[test]
fn arbitrary_bytes_do_not_panic_and_parsed_messages_are_written_unchanged() {
    let mut random = Random::new([3; 32]);
    for round in 0..20_000 {
        let mut bytes: Vec<u8> = REQUEST.to_vec();
        for _ in 0..1 + random.below(4) {
            let index = random.below(LENGTH as u32) as usize;
            bytes[index] = random.next_u32() as u8;
        }
        bytes.truncate(if round % 4 == 0 { random.below(29) as usize } else { LENGTH });
        if let Some(arp) = Arp::read(&bytes) {
            assert_eq!(arp.bytes()[..], bytes[..]);
            let judgement = arp.judge(OURS, own);
            assert!(judgement.evidence.is_none_or(|evidence| !own(evidence.address)));
        }
    }
}
