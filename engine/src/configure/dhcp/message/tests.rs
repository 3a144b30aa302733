use alloc::string::String;

use super::super::world::{ADDRESS, HARDWARE, Heard, Message, SERVER, encoded};
use super::*;
use crate::random::Random;

fn discover() -> Request<'static> {
    Request {
        kind: Kind::Discover,
        transaction: 0x1234_5678,
        secs: 0x0102,
        broadcast: true,
        hardware: HARDWARE,
        client: Ipv4Addr::UNSPECIFIED,
        requested: Some(ADDRESS),
        server: None,
        host_name: Some("xila"),
        longest: 1472,
    }
}

#[test]
fn a_message_has_the_layout_of_the_rfc() {
    let payload = discover().emit();
    let mut expected = Vec::from([1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78, 1, 2, 0x80, 0, 0, 0, 0, 0]);
    expected.resize(28, 0);
    expected.extend([2, 0, 0, 0, 0, 7]);
    expected.resize(236, 0);
    expected.extend([99, 130, 83, 99, 53, 1, 1, 61, 7, 1, 2, 0, 0, 0, 0, 7, 50, 4, 10, 9, 0, 50, 57, 2, 5, 192]);
    expected.extend(*b"\x0c\x04xila");
    expected.extend([55, 12, 1, 121, 3, 6, 15, 26, 42, 51, 54, 58, 59, 119, 255]);
    expected.resize(300, 0);
    assert_eq!(payload, expected);
}

#[test]
fn release_and_decline_contain_only_permitted_options() {
    for kind in [Kind::Release, Kind::Decline] {
        let heard = Heard::read(&Request { kind, server: Some(SERVER), ..discover() }.emit());
        assert!(heard.options.keys().copied().eq([50, 53, 54, 61]), "table 5 of RFC 2131");
    }
}

#[test]
fn the_longest_host_name_makes_the_message_longer() {
    let name: String = core::iter::repeat_n('a', 255).collect();
    let payload = Request { host_name: Some(&name), ..discover() }.emit();
    assert_eq!(Heard::read(&payload).options[&12], name.as_bytes());
    assert!(payload.len() > 500 && payload.ends_with(&[255]));
}

#[test]
fn the_header_is_parsed_and_checked() {
    let bytes = Message::new(5, 0xdead_beef).bytes();
    let reply = Reply::parse(&bytes).expect("well-formed");
    assert_eq!((reply.transaction, reply.hardware, reply.address), (0xdead_beef, HARDWARE, ADDRESS));
    assert_eq!(reply.kind(), Some(Kind::Ack));
    for length in 0..240 {
        assert!(Reply::parse(&bytes[..length]).is_none(), "{length}");
    }
    // A request, other hardware types, another magic cookie.
    for (at, value) in [(0, 1), (0, 0), (1, 6), (2, 16), (2, 0), (236, 98), (239, 0)] {
        let mut wrong = bytes.clone();
        wrong[at] = value;
        assert!(Reply::parse(&wrong).is_none(), "{at}");
    }
}

#[test]
fn message_types_that_servers_do_not_send_are_refused() {
    for (kind, expected) in [(2, Some(Kind::Offer)), (5, Some(Kind::Ack)), (6, Some(Kind::Nak))] {
        assert_eq!(Reply::parse(&Message::new(kind, 1).bytes()).expect("well-formed").kind(), expected);
    }
    for kind in [0, 1, 3, 4, 7, 8, 255] {
        assert_eq!(Reply::parse(&Message::new(kind, 1).bytes()).expect("well-formed").kind(), None);
    }
    for data in [&[][..], &[5, 5]] {
        let bytes = Message::new(5, 1).with(53, data).bytes();
        assert_eq!(Reply::parse(&bytes).expect("well-formed").kind(), None);
    }
}

#[test]
fn truncated_options_make_a_message_invalid_but_a_missing_end_does_not() {
    let mut bytes = Message::new(5, 1).bytes();
    bytes.pop();
    assert!(Reply::parse(&bytes).is_some(), "no end");
    let padded = [&bytes[..], &[0, 0, 0]].concat();
    assert!(Reply::parse(&padded).is_some(), "pads alone");
    for broken in [&[6][..], &[6, 4, 1, 2, 3], &[0, 0, 6, 255]] {
        assert!(Reply::parse(&[&bytes[..], broken].concat()).is_none(), "{broken:?}");
    }
    let behind = [&bytes[..], &[255, 6, 4, 1]].concat();
    assert!(Reply::parse(&behind).is_some(), "what is behind the end is not looked at");
}

#[test]
fn options_continue_in_file_and_then_in_sname() {
    let part = |code: u8, data: &[u8]| [encoded(&[(code, data.to_vec())]), Vec::from([255])].concat();
    let message = |overload: u8| {
        let message = Message::new(5, 1).with(6, [1, 1, 1, 1]).with(52, [overload]);
        let bytes = Message { file: part(6, &[2, 2, 2, 2]), sname: part(6, &[3, 3, 3, 3]), ..message }.bytes();
        Reply::parse(&bytes).map(|reply| reply.joined(code::DNS_SERVERS))
    };
    assert_eq!(message(1).as_deref(), Some(&[1, 1, 1, 1, 2, 2, 2, 2][..]));
    assert_eq!(message(2).as_deref(), Some(&[1, 1, 1, 1, 3, 3, 3, 3][..]));
    assert_eq!(message(3).as_deref(), Some(&[1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3][..]));
    assert_eq!((message(0), message(4)), (None, None));
    // If the fields contain names and not options, they are not parsed.
    let plain = Message { sname: b"boot.example".to_vec(), ..Message::new(5, 1) };
    assert!(Reply::parse(&plain.bytes()).is_some());
    assert!(Reply::parse(&plain.with(52, [2]).bytes()).is_none());
    // An overload option within an overloaded field is ignored.
    let nested = Message { file: part(52, &[2]), ..Message::new(5, 1).with(52, [1]) };
    assert!(Reply::parse(&nested.bytes()).is_some());
}

#[test]
fn split_options_are_concatenated_and_fixed_ones_count_once() {
    let long: Vec<u8> = (0..600).map(|at| at as u8).collect();
    let bytes = Message::new(5, 1).with(121, &long).bytes();
    assert_eq!(Reply::parse(&bytes).expect("well-formed").joined(code::ROUTES), long);
    let mut twice = Message::new(5, 1);
    twice.options.push((51, Vec::from([0, 0, 0, 9])));
    let bytes = twice.bytes();
    assert_eq!(Reply::parse(&bytes).expect("well-formed").fixed(code::LIFETIME), Some([0, 0, 3, 232]));
    let bytes = Message::new(5, 1).with(51, [0, 0, 9]).bytes();
    assert_eq!(Reply::parse(&bytes).expect("well-formed").fixed::<4>(code::LIFETIME), None);
}

#[test]
fn arbitrary_bytes_do_not_panic() {
    let mut random = Random::new([9; 32]);
    let whole = Message::new(5, 1).with(52, [3]).with(119, b"\x03lan\0").with(121, [8, 10, 10, 9, 0, 2]).bytes();
    let mut taken = 0;
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..random.below(5) {
            let at = random.below(bytes.len() as u32) as usize;
            bytes[at] = random.next_u32() as u8;
        }
        bytes.truncate(bytes.len().saturating_sub(random.below(60) as usize));
        if random.below(4) == 0 {
            let from = random.below(241) as usize;
            bytes.truncate(from);
            bytes.extend((0..random.below(100)).map(|_| random.next_u32() as u8));
        }
        if let Some(reply) = Reply::parse(&bytes) {
            taken += 1;
            for code in 0..=255 {
                assert!(reply.joined(code).len() <= bytes.len());
            }
            let _ = (reply.kind(), reply.fixed::<4>(code::MASK));
        }
    }
    assert!(taken > 1000, "{taken}");
}
