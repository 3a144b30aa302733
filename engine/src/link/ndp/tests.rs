use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::*;
use crate::random::Random;

const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const OURS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const THEIRS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);
const HARDWARE: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const OTHER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
const NONE: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

fn message(header: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = header.to_vec();
    bytes.extend(parts.concat());
    bytes
}

fn read(source: Ipv6Addr, destination: Ipv6Addr, bytes: &[u8]) -> Result<Message<'_>, Invalid> {
    Message::read(&Received { source, destination, hop_limit: 255, fragmented: false, bytes }, false)
}

fn solicitation(target: Ipv6Addr, options: &[u8]) -> Vec<u8> {
    message(&[135, 0, 0, 0, 0, 0, 0, 0], &[&target.octets(), options])
}

fn advertisement(flags: u8, target: Ipv6Addr, options: &[u8]) -> Vec<u8> {
    message(&[136, 0, 0, 0, flags, 0, 0, 0], &[&target.octets(), options])
}

const SOURCE_HARDWARE: [u8; 8] = [1, 1, 2, 0, 0, 0, 0, 1];
const TARGET_HARDWARE: [u8; 8] = [2, 1, 2, 0, 0, 0, 0, 1];

#[test]
fn the_solicited_node_group_has_the_last_24_bits() {
    assert_eq!(solicited_node(THEIRS).to_string(), "ff02::1:ff12:3456");
}

#[test]
fn a_solicitation_is_written_as_in_the_rfc_and_parsed_again() {
    let question = Solicitation::question(OURS, HARDWARE, THEIRS);
    let mut bytes = Vec::new();
    question.write(&mut bytes);
    let mut expected = solicitation(THEIRS, &SOURCE_HARDWARE);
    expected[2..4].copy_from_slice(&bytes[2..4]);
    assert_eq!(bytes, expected);
    let mut received =
        Received { source: OURS, destination: question.destination, hop_limit: 255, fragmented: false, bytes: &bytes };
    assert_eq!(Message::read(&received, true), Ok(Message::Solicitation(question)));
    assert_eq!(question.destination, solicited_node(THEIRS));
    assert_eq!(Solicitation::check(OURS, HARDWARE, THEIRS).destination, THEIRS);
    received.source = ROUTER;
    assert_eq!(Message::read(&received, true), Err(Invalid::Checksum));
    let probe = Solicitation::probe(THEIRS, Some([1, 2, 3, 4, 5, 6]));
    let mut bytes = Vec::new();
    probe.write(&mut bytes);
    assert_eq!(bytes[24..], [14, 1, 1, 2, 3, 4, 5, 6], "a nonce, and no hardware address");
    assert_eq!(read(NONE, solicited_node(THEIRS), &bytes), Ok(Message::Solicitation(probe)));
}

#[test]
fn messages_that_are_damaged_or_may_come_from_another_link_are_refused() {
    let router = message(&[134, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[]);
    let redirect = message(&[137, 0, 0, 0, 0, 0, 0, 0], &[&ROUTER.octets(), &THEIRS.octets()]);
    let all =
        [vec![133, 0, 0, 0, 0, 0, 0, 0], router, solicitation(OURS, &[]), advertisement(0, THEIRS, &[]), redirect];
    for bytes in &all {
        let number = bytes[0];
        let good = Received { source: ROUTER, destination: OURS, hop_limit: 255, fragmented: false, bytes };
        assert!(Message::read(&good, false).is_ok(), "{number}");
        assert_eq!(Message::read(&good, true), Err(Invalid::Checksum), "{number}");
        assert_eq!(Message::read(&Received { hop_limit: 254, ..good }, false), Err(Invalid::HopLimit), "{number}");
        assert_eq!(Message::read(&Received { fragmented: true, ..good }, false), Err(Invalid::Fragmented), "{number}");
        for source in [all_nodes(), Ipv6Addr::LOCALHOST] {
            assert_eq!(Message::read(&Received { source, ..good }, false), Err(Invalid::Source), "{number}");
        }
        let mut coded = bytes.clone();
        coded[1] = 1;
        assert_eq!(read(ROUTER, OURS, &coded), Err(Invalid::Code), "{number}");
        for length in 0..bytes.len() {
            assert_eq!(read(ROUTER, OURS, &bytes[..length]), Err(Invalid::Length), "{number} {length}");
        }
        for options in [&[1, 0, 0, 0, 0, 0, 0, 0][..], &[1, 2, 0, 0, 0, 0, 0, 0], &[1], &[99, 1, 0]] {
            let bytes = [bytes, options].concat();
            assert_eq!(read(ROUTER, OURS, &bytes), Err(Invalid::OptionLength), "{number} {options:?}");
        }
        let bytes = [&bytes[..], &[99, 1, 0, 0, 0, 0, 0, 0]].concat();
        assert!(read(ROUTER, OURS, &bytes).is_ok(), "{number}: an option that nobody knows");
    }
    assert_eq!(read(ROUTER, OURS, &[128, 0, 0, 0, 0, 0, 0, 0]), Err(Invalid::OtherType));
}

#[test]
fn a_solicitation_must_have_a_valid_target_and_sender() {
    let group = solicited_node(THEIRS);
    for target in [all_nodes(), NONE, Ipv6Addr::LOCALHOST] {
        assert_eq!(read(OURS, group, &solicitation(target, &[])), Err(Invalid::Target), "{target}");
    }
    let probe = solicitation(THEIRS, &[]);
    assert!(read(NONE, group, &probe).is_ok());
    for destination in [THEIRS, all_nodes()] {
        assert_eq!(read(NONE, destination, &probe), Err(Invalid::Destination), "{destination}");
    }
    for option in [SOURCE_HARDWARE, [1, 1, 1, 0, 0, 0, 0, 1]] {
        assert_eq!(read(NONE, group, &solicitation(THEIRS, &option)), Err(Invalid::HardwareAddress));
    }
    assert!(read(OURS, all_nodes(), &solicitation(THEIRS, &SOURCE_HARDWARE)).is_ok());
}

#[test]
fn the_sender_of_a_solicitation_is_learned_unless_it_is_a_probe_or_this_host() {
    let question = Solicitation::question(OURS, HARDWARE, THEIRS);
    assert_eq!(question.sender(|_| false), Some((OURS, HARDWARE)));
    assert_eq!(question.sender(|address| address == OURS), None);
    assert_eq!(Solicitation::probe(THEIRS, None).sender(|_| false), None);
    for hardware in [[1, 0, 0, 0, 0, 1], [0xff; 6], [0; 6]] {
        let option = [&[1, 1][..], &hardware].concat();
        let bytes = solicitation(THEIRS, &option);
        let Ok(Message::Solicitation(read)) = read(OURS, THEIRS, &bytes) else { panic!("valid") };
        assert_eq!(read.sender(|_| false), None, "{hardware:?} is not one host");
    }
}

#[test]
fn a_solicitation_is_answered_to_its_sender_and_a_probe_to_all_nodes() {
    let (destination, answer) = Solicitation::question(OURS, HARDWARE, THEIRS).answer(OTHER);
    assert_eq!((destination, answer.target, answer.hardware), (OURS, THEIRS, Some(OTHER)));
    let flags = |answer: Advertisement| (answer.router, answer.solicited, answer.overrides);
    assert_eq!(flags(answer), (false, true, true));
    let (destination, answer) = Solicitation::probe(THEIRS, None).answer(OTHER);
    assert_eq!((destination, flags(answer)), (all_nodes(), (false, false, true)));
}

#[test]
fn an_advertisement_is_written_as_in_the_rfc_and_parsed_again() {
    for flags in 0..8u8 {
        let [router, solicited, overrides] = [4, 2, 1].map(|bit| flags & bit != 0);
        let sent = Advertisement { target: THEIRS, hardware: Some(HARDWARE), router, solicited, overrides };
        let mut bytes = Vec::new();
        sent.write(&mut bytes, ROUTER, OURS);
        let mut expected = advertisement(flags << 5, THEIRS, &TARGET_HARDWARE);
        expected[2..4].copy_from_slice(&bytes[2..4]);
        assert_eq!(bytes, expected);
        let received = Received { source: ROUTER, destination: OURS, hop_limit: 255, fragmented: false, bytes: &bytes };
        assert_eq!(Message::read(&received, true), Ok(Message::Advertisement(sent)), "about its target");
        let to_all = read(ROUTER, all_nodes(), &bytes);
        assert_eq!(to_all.is_ok(), !solicited, "an answer is not for many");
    }
    assert_eq!(read(ROUTER, OURS, &advertisement(0, all_nodes(), &[])), Err(Invalid::Target));
    assert_eq!(read(NONE, OURS, &advertisement(0, THEIRS, &[])), Err(Invalid::Source));
    let announcement = Advertisement::announcement(OURS, HARDWARE);
    assert!(announcement.overrides && !announcement.solicited && !announcement.router);
}

#[test]
fn an_address_is_contested_by_probes_and_advertisements_of_others() {
    let nonce = [1, 2, 3, 4, 5, 6];
    let ours = |heard| heard == nonce;
    assert!(Solicitation::probe(THEIRS, None).contests(THEIRS, ours));
    assert!(Solicitation::probe(THEIRS, Some([9; 6])).contests(THEIRS, ours));
    assert!(!Solicitation::probe(THEIRS, Some(nonce)).contests(THEIRS, ours), "its own, come back");
    assert!(!Solicitation::probe(OURS, None).contests(THEIRS, ours));
    assert!(!Solicitation::question(OURS, HARDWARE, THEIRS).contests(THEIRS, ours), "it asks for a neighbour");
    assert!(Advertisement::announcement(THEIRS, OTHER).contests(THEIRS, HARDWARE));
    assert!(!Advertisement::announcement(THEIRS, HARDWARE).contests(THEIRS, HARDWARE), "its own, come back");
    assert!(!Advertisement::announcement(OURS, OTHER).contests(THEIRS, HARDWARE));
}

#[test]
fn a_router_solicitation_has_a_hardware_address_only_if_it_has_a_source() {
    let mut bytes = Vec::new();
    router_solicitation(&mut bytes, OURS, HARDWARE);
    assert_eq!((bytes[0], bytes[4..].to_vec()), (133, [&[0; 4][..], &SOURCE_HARDWARE].concat()));
    let received =
        Received { source: OURS, destination: all_routers(), hop_limit: 255, fragmented: false, bytes: &bytes };
    assert_eq!(Message::read(&received, true), Ok(Message::RouterSolicitation));
    assert_eq!(read(NONE, all_routers(), &bytes), Err(Invalid::HardwareAddress));
    let mut bytes = Vec::new();
    router_solicitation(&mut bytes, NONE, HARDWARE);
    assert_eq!(bytes.len(), 8);
    assert!(read(NONE, all_routers(), &bytes).is_ok());
}

#[rustfmt::skip]
const ADVERTISED: [&[u8]; 9] = [
    &[134, 0, 0, 0, 64, 0b1100_1000, 0x07, 0x08, 0, 0, 0x75, 0x30, 0, 0, 0x03, 0xe8],
    &SOURCE_HARDWARE,
    &[3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,
      0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9],
    &[5, 1, 0, 0, 0, 0, 5, 0xdc],
    &[24, 2, 48, 0b0001_1000, 0, 0, 0, 60, 0x20, 1, 0xd, 0xb8, 0, 7, 0, 9],
    &[24, 1, 0, 0, 0, 0, 0, 0],
    &[25, 3, 0, 0, 0, 0, 0, 60, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 53],
    &[31, 4, 0, 0, 0, 0, 0, 60, 3, b'l', b'a', b'n', 0, 7, b'e', b'x', b'a', b'm', b'p', b'l', b'e',
      3, b'o', b'r', b'g', 0, 0, 0, 0, 0, 0, 0],
    &[99, 1, 0, 0, 0, 0, 0, 0],
];

#[test]
fn a_router_advertisement_is_parsed_with_all_its_options() {
    let bytes = ADVERTISED.concat();
    let Ok(Message::RouterAdvertisement(advertisement)) = read(ROUTER, all_nodes(), &bytes) else { panic!("valid") };
    assert_eq!((advertisement.source, advertisement.hop_limit), (ROUTER, Some(64)));
    assert_eq!((advertisement.managed, advertisement.other), (true, true));
    assert_eq!((advertisement.preference, advertisement.lifetime), (Preference::High, Duration::from_secs(1800)));
    assert_eq!(advertisement.reachable_time, Some(Duration::from_secs(30)));
    assert_eq!(advertisement.retransmit_time, Some(Duration::from_secs(1)));
    let minute = Duration::from_secs(60);
    let options: Vec<NdpOption<'_>> = advertisement.options.collect();
    let [source, prefix, mtu, route, default, NdpOption::Servers(servers), NdpOption::Search(search)] = options[..]
    else {
        panic!("{options:?}");
    };
    assert_eq!((source, mtu), (NdpOption::SourceHardware(HARDWARE), NdpOption::Mtu(1500)));
    let network = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0);
    let (valid, preferred) = (Duration::from_secs(86_400), Duration::MAX);
    let expected = options::Prefix { prefix: network, length: 64, on_link: true, autonomous: true, valid, preferred };
    assert_eq!(prefix, NdpOption::Prefix(expected), "the bits behind it are 0");
    let prefix = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 0);
    let expected = options::Route { prefix, length: 48, preference: Preference::Low, lifetime: minute };
    assert_eq!(route, NdpOption::Route(expected));
    let expected = options::Route { prefix: NONE, length: 0, preference: Preference::Medium, lifetime: Duration::ZERO };
    assert_eq!(default, NdpOption::Route(expected));
    assert_eq!(servers.lifetime, minute);
    assert_eq!(servers.collect::<Vec<_>>(), [Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 53)]);
    assert_eq!((search.lifetime, search.collect::<Vec<String>>()), (minute, vec!["lan".into(), "example.org".into()]));
}

#[test]
fn unspecified_fields_of_a_router_advertisement_have_no_values() {
    let bytes = [134, 0, 0, 0, 0, 0b0001_0000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let Ok(Message::RouterAdvertisement(advertised)) = read(ROUTER, OURS, &bytes) else { panic!("valid") };
    assert_eq!((advertised.hop_limit, advertised.reachable_time, advertised.retransmit_time), (None, None, None));
    assert_eq!(
        (advertised.lifetime, advertised.preference),
        (Duration::ZERO, Preference::Medium),
        "a reserved one is medium"
    );
    for source in [THEIRS, NONE] {
        assert_eq!(read(source, OURS, &bytes), Err(Invalid::Source), "{source} is not link-local");
    }
    let low = [134, 0, 0, 0, 0, 0b0001_1000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let Ok(Message::RouterAdvertisement(advertised)) = read(ROUTER, OURS, &low) else { panic!("valid") };
    assert_eq!(advertised.preference, Preference::Medium, "it is no default router");
}

#[test]
fn invalid_options_are_skipped() {
    let header = ADVERTISED[0];
    let prefix = |length: u8| [&[3, 4, length][..], &[0; 29]].concat();
    let cases: [Vec<u8>; 9] = [
        prefix(129),
        [&[3, 3, 64][..], &[0; 21]].concat(),
        [&[5, 2][..], &[0; 14]].concat(),
        vec![24, 1, 1, 0, 0, 0, 0, 0],
        [&[24, 2, 65][..], &[0; 13]].concat(),
        [&[24, 3, 64, 0b0001_0000][..], &[0; 20]].concat(),
        [&[25, 2][..], &[0; 14]].concat(),
        vec![25, 1, 0, 0, 0, 0, 0, 0],
        vec![31, 1, 0, 0, 0, 0, 0, 0],
    ];
    for option in cases {
        let bytes = [header, &option, ADVERTISED[3]].concat();
        let Ok(Message::RouterAdvertisement(advertisement)) = read(ROUTER, OURS, &bytes) else { panic!("valid") };
        let options: Vec<NdpOption<'_>> = advertisement.options.collect();
        assert_eq!(options, [NdpOption::Mtu(1500)], "{option:?}");
    }
    assert!(read(ROUTER, OURS, &[header, &prefix(128)].concat()).is_ok());
    for names in
        [[3, b'l', b'a', b'.', 0, 0, 0, 0], [9, b'l', b'a', b'n', 0, 0, 0, 0], [0xc0, 0, 0, 0, 0, 0, 0, 0], [7; 8]]
    {
        let bytes = [header, &[31, 2, 0, 0, 0, 0, 0, 60], &names].concat();
        let Ok(Message::RouterAdvertisement(mut advertisement)) = read(ROUTER, OURS, &bytes) else { panic!("valid") };
        let Some(NdpOption::Search(mut search)) = advertisement.options.next() else { panic!("there is one") };
        assert_eq!((search.next(), search.next()), (None, None), "{names:?}");
    }
}

/// RFC 1035 section 2.3.4: 255 bytes on the wire are 253 of text.
#[test]
fn a_domain_is_no_longer_than_names_are() {
    for (last, length) in [(61, Some(253)), (62, None), (63, None)] {
        let labels = [63, 63, 63, last].map(|length: u8| [vec![length], vec![b'a'; length.into()]].concat());
        let mut option = [&[31, 0, 0, 0, 0, 0, 0, 60][..], &labels.concat(), &[0]].concat();
        option.resize(option.len().next_multiple_of(8), 0);
        option[1] = (option.len() / 8) as u8;
        let bytes = [ADVERTISED[0], &option].concat();
        let Ok(Message::RouterAdvertisement(mut advertisement)) = read(ROUTER, OURS, &bytes) else { panic!("valid") };
        let Some(NdpOption::Search(mut search)) = advertisement.options.next() else { panic!("there is one") };
        assert_eq!(search.next().map(|name| name.len()), length, "{last}");
    }
}

#[test]
fn a_redirect_leads_to_a_router_or_to_the_destination_itself() {
    let redirect = |target: Ipv6Addr, destination: Ipv6Addr| {
        message(&[137, 0, 0, 0, 0, 0, 0, 0], &[&target.octets(), &destination.octets(), &TARGET_HARDWARE])
    };
    let bytes = redirect(OURS, THEIRS);
    let Ok(Message::Redirect(redirected)) = read(ROUTER, OURS, &bytes) else { panic!("valid") };
    assert_eq!((redirected.target, redirected.destination, redirected.hardware), (OURS, THEIRS, Some(HARDWARE)));
    assert!(read(ROUTER, OURS, &redirect(THEIRS, THEIRS)).is_ok());
    let global = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
    assert_eq!(read(ROUTER, OURS, &redirect(global, THEIRS)), Err(Invalid::Target));
    assert_eq!(read(ROUTER, OURS, &redirect(OURS, all_nodes())), Err(Invalid::Destination));
    assert_eq!(read(global, OURS, &bytes), Err(Invalid::Source));
}

#[test]
fn arbitrary_bytes_do_not_panic() {
    let mut random = Random::new([9; 32]);
    let whole = ADVERTISED.concat();
    for round in 0..50_000u32 {
        let mut bytes = if round % 3 == 0 { solicitation(THEIRS, &whole[16..]) } else { whole.clone() };
        for _ in 0..1 + random.below(6) {
            let index = random.below(bytes.len() as u32) as usize;
            bytes[index] = random.next_u32() as u8;
        }
        bytes[0] = if round % 3 == 0 { 133 + random.below(5) as u8 } else { 134 };
        bytes[1] = 0;
        if round % 4 == 0 {
            bytes.truncate(random.below(bytes.len() as u32 + 1) as usize);
        }
        let Ok(message) = read(ROUTER, OURS, &bytes) else { continue };
        let options = match message {
            Message::RouterAdvertisement(advertisement) => advertisement.options,
            Message::Redirect(redirect) => redirect.options,
            Message::RouterSolicitation | Message::Solicitation(_) | Message::Advertisement(_) => continue,
        };
        for option in options {
            match option {
                NdpOption::Servers(servers) => assert!(servers.count() <= 128),
                NdpOption::Search(search) => assert!(search.count() <= 1024),
                _ => {}
            }
        }
    }
}
