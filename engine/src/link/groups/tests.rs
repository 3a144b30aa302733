//! Tests of IGMP and MLD. Sent messages are decoded by an independent decoder, which shares no code with the emitter.

mod queries;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use super::*;

const MTU: usize = 1500;
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const HOST_V6: &str = "fe80::7";
const ROUTER_V6: &str = "fe80::1";
const ALERT: [u8; 6] = [5, 2, 0, 0, 1, 0];

/// A sent message without its headers, which were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sent {
    /// The message type, and the records: record type and group.
    Records(u8, Vec<(u8, String)>),
    /// The message type, the group, and the packet's destination.
    Older(u8, String, String),
}

/// The checksum of RFC 1071, by a straightforward implementation.
fn sum(parts: &[&[u8]]) -> u16 {
    let bytes: Vec<u8> = parts.concat();
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) * 256 + u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn v4(bytes: &[u8]) -> String {
    format!("{}.{}.{}.{}", bytes[0], bytes[1], bytes[2], bytes[3])
}

fn v6(bytes: &[u8]) -> String {
    Ipv6Addr::from(<[u8; 16]>::try_from(bytes).unwrap()).to_string()
}

/// Decodes a packet, and checks all fields that are always the same. Returns its source too.
fn decode(report: &Report) -> (String, Sent) {
    let packet = &report.packet[..];
    let number = |at: usize| usize::from(packet[at]) * 256 + usize::from(packet[at + 1]);
    if packet[0] == 0x46 {
        assert_eq!(packet[1], 0xc0, "internetwork control");
        assert_eq!((number(2), number(4), number(6)), (packet.len(), 0, 0x4000));
        assert_eq!((packet[8], packet[9]), (1, 2), "time to live and protocol");
        assert_eq!(packet[20..24], [0x94, 4, 0, 0], "router alert");
        assert_eq!((sum(&[&packet[..24]]), sum(&[&packet[24..]])), (0, 0));
        let (source, destination, message) = (v4(&packet[12..16]), v4(&packet[16..20]), &packet[24..]);
        assert_eq!(destination, report.destination.to_string());
        if message[0] != 0x22 {
            assert_eq!((message[1], message.len()), (0, 8));
            return (source, Sent::Older(message[0], v4(&message[4..8]), destination));
        }
        assert_eq!((message[1], &message[4..6], destination.as_str()), (0, &[0, 0][..], "224.0.0.22"));
        let records = message[8..].chunks(8).map(|record| {
            assert_eq!(record[1..4], [0; 3]);
            (record[0], v4(&record[4..]))
        });
        let records: Vec<_> = records.collect();
        assert_eq!(records.len(), usize::from(message[6]) * 256 + usize::from(message[7]));
        return (source, Sent::Records(0x22, records));
    }
    assert_eq!(packet[..4], [0x60, 0, 0, 0]);
    assert_eq!((number(4), packet[6], packet[7]), (packet.len() - 40, 0, 1), "length, hop-by-hop and hop limit");
    assert_eq!(packet[40..48], [58, 0, 5, 2, 0, 0, 1, 0], "router alert");
    let (source, destination, message) = (v6(&packet[8..24]), v6(&packet[24..40]), &packet[48..]);
    let pseudo = [0, 0, (message.len() / 256) as u8, message.len() as u8, 0, 0, 0, 58];
    assert_eq!(sum(&[&packet[8..40], &pseudo, message]), 0);
    assert_eq!(destination, report.destination.to_string());
    assert_eq!(message[1], 0);
    if message[0] != 143 {
        assert_eq!((&message[4..8], message.len()), (&[0; 4][..], 24));
        return (source, Sent::Older(message[0], v6(&message[8..24]), destination));
    }
    assert_eq!((&message[4..6], destination.as_str()), (&[0, 0][..], "ff02::16"));
    let records = message[8..].chunks(20).map(|record| {
        assert_eq!(record[1..4], [0; 3]);
        (record[0], v6(&record[4..]))
    });
    let records: Vec<_> = records.collect();
    assert_eq!(records.len(), usize::from(message[6]) * 256 + usize::from(message[7]));
    (source, Sent::Records(143, records))
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A host, its clock, and the messages that it has sent.
struct Host {
    groups: Groups,
    random: Random,
    now: Instant,
}

impl Host {
    fn seeded(seed: u8) -> Self {
        let mut random = Random::new([seed; 32]);
        let mut groups = Groups::new(DEFAULT_LIMIT, &mut random);
        let v6_link_local = Some(HOST_V6.parse().unwrap());
        groups.set_sources(Sources { v4: Some(HOST), v6_link_local }, Instant::ORIGIN);
        Self { groups, random, now: Instant::ORIGIN }
    }

    fn new() -> Self {
        Self::seeded(1)
    }

    fn join(&mut self, group: &str) -> bool {
        self.groups.join(group.parse().unwrap(), self.now).unwrap()
    }

    fn leave(&mut self, group: &str) -> bool {
        self.groups.leave(group.parse().unwrap(), self.now).unwrap()
    }

    fn packets(&mut self) -> Vec<Report> {
        core::iter::from_fn(|| self.groups.poll(self.now, MTU, &mut self.random)).collect()
    }

    /// The messages that are sent right now.
    fn sent(&mut self) -> Vec<Sent> {
        self.packets().iter().map(|packet| decode(packet).1).collect()
    }

    /// Advances the time as the timers require. Returns the sent messages with their times in seconds since the start
    /// of this call.
    fn run(&mut self, time: f64) -> Vec<(f64, Sent)> {
        let (start, end) = (self.now, self.now + seconds(time));
        let (mut all, mut rounds) = (Vec::new(), 0);
        loop {
            let at = (self.now - start).as_secs_f64();
            all.extend(self.sent().into_iter().map(|sent| (at, sent)));
            match self.groups.next_timeout() {
                Some(next) if next <= end => {
                    assert!(next > self.now, "nothing is due that was not sent");
                    self.now = next;
                }
                Some(_) | None => break,
            }
            rounds += 1;
            assert!(rounds < 100_000, "time goes on");
        }
        self.now = end;
        all
    }

    fn joined(groups: &[&str]) -> Self {
        let mut host = Self::new();
        groups.iter().for_each(|group| assert!(host.join(group)));
        host.run(60.0);
        host
    }

    fn hear(&mut self, received: &Received<'_>) {
        match received.source {
            IpAddr::V4(_) => self.groups.receive_igmp(received, self.now, &mut self.random),
            IpAddr::V6(_) => self.groups.receive_mld(received, self.now, &mut self.random),
        }
    }

    fn hear_igmp(&mut self, source: Ipv4Addr, destination: &str, message: &[u8]) {
        let message = igmp(message);
        self.hear(&Received {
            source: source.into(),
            destination: destination.parse().unwrap(),
            hop_limit: 1,
            hop_by_hop: &[],
            message: &message,
            verify: true,
        });
    }

    fn hear_mld(&mut self, source: &str, destination: &str, message: &[u8]) {
        let message = mld(source, destination, message);
        self.hear(&Received {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            hop_limit: 1,
            hop_by_hop: &ALERT,
            message: &message,
            verify: true,
        });
    }

    fn query_v3(&mut self, group: &str, code: u8, rest: [u8; 2]) {
        let group: Ipv4Addr = group.parse().unwrap();
        let destination = if group.is_unspecified() { "224.0.0.1".into() } else { group.to_string() };
        let message = [&[0x11, code, 0, 0][..], &group.octets(), &rest, &[0, 0]].concat();
        self.hear_igmp(ROUTER, &destination, &message);
    }

    fn query_v2(&mut self, group: &str, code: u8) {
        let group: Ipv4Addr = group.parse().unwrap();
        let destination = if group.is_unspecified() { "224.0.0.1".into() } else { group.to_string() };
        self.hear_igmp(ROUTER, &destination, &[&[0x11, code, 0, 0][..], &group.octets()].concat());
    }

    fn query_mld(&mut self, group: &str, code: u16, rest: &[u8]) {
        let group: Ipv6Addr = group.parse().unwrap();
        let destination = if group.is_unspecified() { "ff02::1".into() } else { group.to_string() };
        let message = [&[130, 0, 0, 0][..], &code.to_be_bytes(), &[0, 0], &group.octets(), rest].concat();
        self.hear_mld(ROUTER_V6, &destination, &message);
    }
}

fn igmp(message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    let checksum = sum(&[&message]).to_be_bytes();
    message[2..4].copy_from_slice(&checksum);
    message
}

fn mld(source: &str, destination: &str, message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    let address = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    let pseudo = [0, 0, 0, message.len() as u8, 0, 0, 0, 58];
    let checksum = sum(&[&address(source), &address(destination), &pseudo, &message]).to_be_bytes();
    message[2..4].copy_from_slice(&checksum);
    message
}

fn records(kind: u8, records: &[(u8, &str)]) -> Sent {
    Sent::Records(kind, records.iter().map(|(kind, group)| (*kind, (*group).to_string())).collect())
}

fn older(kind: u8, group: &str, destination: &str) -> Sent {
    Sent::Older(kind, group.into(), destination.into())
}

#[test]
fn rfc_3376_5_1_and_3810_6_1_a_first_join_and_a_last_leave_are_reported_twice() {
    for (group, kind) in [("239.1.2.3", 0x22), ("ff15::42", 143)] {
        let mut intervals = BTreeSet::new();
        for seed in 0..100 {
            let mut host = Host::seeded(seed);
            assert_eq!((host.join(group), host.join(group)), (true, false));
            let sent = host.run(5.0);
            let joined = records(kind, &[(4, group)]);
            assert_eq!(sent.iter().map(|(_, sent)| sent.clone()).collect::<Vec<_>>(), [joined.clone(), joined]);
            assert!(sent[0].0 == 0.0 && sent[1].0 > 0.0 && sent[1].0 <= 1.0, "{sent:?}");
            intervals.insert((sent[1].0 * 1000.0) as u64);
            assert!(!host.leave(group));
            assert_eq!(host.run(5.0), []);
            assert!(host.leave(group));
            let left = records(kind, &[(3, group)]);
            let sent = host.run(5.0);
            assert_eq!(sent.iter().map(|(_, sent)| sent.clone()).collect::<Vec<_>>(), [left.clone(), left]);
            assert_eq!(host.groups.leave(group.parse().unwrap(), host.now), Err(NotMember));
            assert_eq!((host.groups.next_timeout(), host.groups.len()), (None, 0));
        }
        assert!(intervals.len() > 60, "they are chosen at random");
        assert!(intervals.first() < Some(&100) && intervals.last() > Some(&900), "from all of the interval");
    }
}

#[test]
fn rfc_3376_8_1_changes_are_reported_as_often_as_the_robustness_of_the_querier_says() {
    let mut host = Host::new();
    host.query_v3("0.0.0.0", 100, [3, 125]);
    host.query_mld("::", 10_000, &[5, 125, 0, 0]);
    host.join("239.1.2.3");
    assert_eq!(host.run(9.0).len(), 3);
    host.join("ff15::42");
    assert_eq!(host.run(9.0).len(), 5);
    host.query_v3("0.0.0.0", 100, [0, 125]);
    host.run(11.0);
    host.leave("239.1.2.3");
    assert_eq!(host.run(9.0).len(), 2, "zero stands for the default");
}

#[test]
fn rfc_3376_5_1_a_change_while_another_is_being_reported_takes_its_place() {
    let mut host = Host::new();
    host.join("239.1.2.3");
    assert_eq!(host.sent(), [records(0x22, &[(4, "239.1.2.3")])]);
    host.now += seconds(0.0005);
    host.leave("239.1.2.3");
    let left = records(0x22, &[(3, "239.1.2.3")]);
    let sent = host.run(5.0);
    assert_eq!(sent.iter().map(|(_, sent)| sent.clone()).collect::<Vec<_>>(), [left.clone(), left]);
    assert!((0.009..0.01).contains(&sent[0].0), "changes are gathered: {sent:?}");
    // A group that was joined again before its leave was reported is a member.
    host.join("239.1.2.3");
    host.leave("239.1.2.3");
    host.join("239.1.2.3");
    let joined = records(0x22, &[(4, "239.1.2.3")]);
    assert_eq!(host.run(5.0).into_iter().map(|(_, sent)| sent).collect::<Vec<_>>(), [joined.clone(), joined]);
}

#[test]
fn changes_by_a_guest_in_a_loop_are_reported_at_a_bounded_rate() {
    let mut host = Host::new();
    let mut sent = 0;
    for _ in 0..10_000 {
        host.join("239.1.2.3");
        host.leave("239.1.2.3");
        sent += host.run(0.0001).len();
    }
    assert!((90..=110).contains(&sent), "one second at 10 milliseconds each: {sent}");
}

#[test]
fn rfc_3376_4_2_16_and_3810_5_2_15_reports_fill_packets_up_to_the_mtu() {
    let mut host = Host::new();
    for number in 0..400 {
        host.join(&format!("239.1.{}.{}", number / 200, number % 200));
        host.join(&format!("ff15::{number:x}"));
    }
    let mut seen = BTreeMap::<u8, Vec<usize>>::new();
    for report in host.packets() {
        assert!(report.packet.len() <= MTU);
        let Sent::Records(kind, records) = decode(&report).1 else { panic!("{report:?}") };
        seen.entry(kind).or_default().push(records.len());
    }
    // (1500 - 24 - 8) / 8 and (1500 - 48 - 8) / 20.
    assert_eq!(seen, BTreeMap::from([(0x22, vec![183, 183, 34]), (143, vec![72, 72, 72, 72, 72, 40])]));
    let repeated = host.run(2.0);
    assert_eq!(repeated.len(), 9, "what was sent together is repeated together");
    host.query_v3("0.0.0.0", 1, [2, 125]);
    assert_eq!(host.run(1.0).len(), 3);
    assert!(host.groups.poll(host.now, 0, &mut host.random).is_none());
    host.join("239.9.9.9");
    assert_eq!(host.groups.poll(host.now, 0, &mut host.random).map(|report| report.packet.len()), Some(40));
}

#[test]
fn rfc_3590_4_ipv6_reports_come_from_the_unspecified_address_until_there_is_one_and_are_repeated_then() {
    let mut host = Host::new();
    host.groups = Groups::new(DEFAULT_LIMIT, &mut host.random);
    host.join("239.1.2.3");
    host.join("ff02::1:ff00:7");
    let packets: Vec<_> = host.packets().iter().map(decode).collect();
    assert_eq!(packets, [("::".into(), records(143, &[(4, "ff02::1:ff00:7")]))], "IPv4 waits for an address");
    assert_eq!(host.run(5.0).len(), 1);
    host.query_v3("0.0.0.0", 10, [2, 125]);
    assert_eq!((host.run(5.0), host.groups.next_timeout()), (vec![], None));
    let sources = Sources { v4: Some(HOST), v6_link_local: Some(HOST_V6.parse().unwrap()) };
    host.groups.set_sources(sources, host.now);
    host.groups.set_sources(sources, host.now);
    let packets: Vec<_> = host.packets().iter().map(decode).collect();
    let expected = [
        ("192.0.2.7".into(), records(0x22, &[(4, "239.1.2.3")])),
        (HOST_V6.into(), records(143, &[(4, "ff02::1:ff00:7")])),
    ];
    assert_eq!(packets, expected);
    assert_eq!(host.run(5.0).len(), 2, "each once more");
    let other = Sources { v4: Some(ROUTER), v6_link_local: Some(ROUTER_V6.parse().unwrap()) };
    host.groups.set_sources(other, host.now);
    assert_eq!(host.run(5.0), [], "another address is not a new one");
    host.groups.set_sources(Sources::default(), host.now);
    host.leave("239.1.2.3");
    assert_eq!((host.run(5.0), host.groups.len()), (vec![], 1));
}

#[test]
fn all_groups_are_reported_again_when_the_link_comes_up() {
    let mut host = Host::joined(&["239.1.2.3", "ff15::42"]);
    host.query_v2("0.0.0.0", 100);
    host.join("239.1.2.4");
    host.groups.link_down(host.now);
    host.join("239.1.2.5");
    host.leave("239.1.2.3");
    assert_eq!((host.groups.next_timeout(), host.run(30.0)), (None, vec![]));
    host.groups.link_up(host.now);
    let sent = host.run(5.0);
    let all = |sent: &Sent| match sent {
        Sent::Records(_, records) => records.iter().cloned().collect::<BTreeSet<_>>(),
        Sent::Older(..) => panic!("the older querier was on another link"),
    };
    assert_eq!((sent.len(), sent[0].0, sent[1].0), (4, 0.0, 0.0));
    let expected = BTreeSet::from(["239.1.2.4", "239.1.2.5"].map(|group| (4, group.to_string())));
    assert_eq!(all(&sent[0].1), expected);
    assert_eq!(all(&sent[1].1), BTreeSet::from([(4, "ff15::42".to_string())]));
}

#[test]
fn memberships_are_bounded_and_so_are_remembered_leaves() {
    let mut random = Random::new([3; 32]);
    let mut groups = Groups::new(4, &mut random);
    groups.set_sources(Sources { v4: Some(HOST), v6_link_local: None }, Instant::ORIGIN);
    let group = |number: u8| IpAddr::V4(Ipv4Addr::new(239, 0, 0, number));
    assert_eq!(groups.join(HOST.into(), Instant::ORIGIN), Err(JoinError::NotAGroup));
    assert_eq!(groups.join("::ffff:239.1.2.3".parse().unwrap(), Instant::ORIGIN), Err(JoinError::NotAGroup));
    for number in 0..3 {
        assert_eq!(groups.join(group(number), Instant::ORIGIN), Ok(true));
    }
    assert_eq!(groups.join("ff02::2".parse().unwrap(), Instant::ORIGIN), Ok(true));
    assert_eq!(groups.join(group(3), Instant::ORIGIN), Err(JoinError::TooMany));
    assert_eq!(groups.join("ff02::3".parse().unwrap(), Instant::ORIGIN), Err(JoinError::TooMany));
    assert_eq!(groups.join(group(0), Instant::ORIGIN), Ok(false), "one more time is no more");
    assert_eq!((groups.len(), groups.iter().count()), (4, 4));
    assert_eq!(groups.leave(group(1), Instant::ORIGIN), Ok(true));
    let mut held = 0;
    for number in 4..=255 {
        assert_eq!(groups.join(group(number), Instant::ORIGIN), Ok(true));
        assert_eq!(groups.leave(group(number), Instant::ORIGIN), Ok(true));
        if number == 20 {
            held = groups.held();
        }
    }
    assert_eq!((groups.len(), groups.held()), (3, held));
    let sent: usize = core::iter::from_fn(|| groups.poll(Instant::ORIGIN, MTU, &mut random))
        .map(|report| match decode(&report).1 {
            Sent::Records(_, records) => records.len(),
            Sent::Older(..) => 0,
        })
        .sum();
    assert_eq!(sent, 3 + 4, "what has been left beyond the bound is not reported");
}

#[test]
fn a_storm_of_queries_is_answered_no_more_often_than_the_timers_allow() {
    let mut host = Host::joined(&["239.1.2.3", "239.1.2.4", "ff15::42"]);
    let (mut sent, mut slots) = (0, 0);
    for round in 0..100_000u32 {
        let code = [0, 1, 0xff][round as usize % 3];
        host.query_v3(["0.0.0.0", "239.1.2.3"][round as usize % 2], code, [2, 125]);
        host.query_mld(["::", "ff15::42"][round as usize % 2], 0, &[2, 125, 0, 0]);
        sent += host.run(0.0001).len();
        slots = slots.max(host.groups.held());
    }
    // In 10 seconds, at one answer per tenth of a second: two general answers, and two about groups.
    assert!((100..=404).contains(&sent), "{sent}");
    assert!(slots < 3000, "{slots}");
    let mut host = Host::joined(&["239.1.2.3", "239.1.2.4"]);
    let mut sent = 0;
    for _ in 0..100_000 {
        host.query_v2("0.0.0.0", 1);
        sent += host.run(0.0001).len();
    }
    assert!((100..=202).contains(&sent), "{sent}");
}

#[test]
fn arbitrary_bytes_do_no_harm() {
    let mut host = Host::joined(&["239.1.2.3", "ff15::42", "ff02::1:ff00:7"]);
    let mut random = Random::new([9; 32]);
    let group: Ipv6Addr = "ff15::42".parse().unwrap();
    let seeds = [
        vec![0x11, 100, 0, 0, 0, 0, 0, 0],
        vec![0x11, 0xff, 0, 0, 239, 1, 2, 3, 7, 0xff, 0, 1, 192, 0, 2, 1],
        vec![0x16, 0, 0, 0, 239, 1, 2, 3],
        [&[130, 0, 0, 0, 0xff, 0xff, 0, 0][..], &[0; 16], &[7, 0xff, 0xff, 0xff]].concat(),
        [&[130, 0, 0, 0, 0, 1, 0, 0][..], &group.octets()].concat(),
        [&[131, 0, 0, 0, 0, 0, 0, 0][..], &group.octets()].concat(),
    ];
    let destinations = ["224.0.0.1", "239.1.2.3", "ff02::1", "ff15::42", "fe80::7", "192.0.2.7"];
    let pick = |random: &mut Random, count: usize| random.below(count as u32) as usize;
    for round in 0..200_000 {
        let mut message = if round % 4 == 0 { Vec::new() } else { seeds[pick(&mut random, seeds.len())].clone() };
        let length = pick(&mut random, 40);
        if round % 4 < 2 {
            message.resize_with(length, || random.next_u32() as u8);
        }
        for _ in 0..pick(&mut random, 4) {
            let at = pick(&mut random, message.len().max(1));
            if let Some(byte) = message.get_mut(at) {
                *byte = random.next_u32() as u8;
            }
        }
        let options: Vec<u8> = (0..pick(&mut random, 10)).map(|_| random.below(6) as u8).collect();
        let received = Received {
            source: ["192.0.2.1", "fe80::1", "::", "0.0.0.0"][pick(&mut random, 4)].parse().unwrap(),
            destination: destinations[pick(&mut random, destinations.len())].parse().unwrap(),
            hop_limit: 1,
            hop_by_hop: if round % 2 == 0 { &ALERT } else { &options },
            message: &message,
            verify: random.below(4) == 0,
        };
        host.groups.receive_igmp(&received, host.now, &mut random);
        host.groups.receive_mld(&received, host.now, &mut random);
        if random.below(20) == 0 {
            host.run(f64::from(random.below(1000)) / 100.0);
        }
    }
    assert_eq!(host.groups.len(), 3);
}

#[test]
fn rfc_1112_6_4_and_2464_7_groups_have_hardware_addresses() {
    let hardware = |group: &str| multicast_hardware(group.parse().unwrap()).0;
    assert_eq!(hardware("224.0.0.251"), [0x01, 0x00, 0x5e, 0, 0, 251]);
    assert_eq!(hardware("239.255.129.2"), [0x01, 0x00, 0x5e, 0x7f, 129, 2]);
    assert_eq!(hardware("ff02::1:ff12:3456"), [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
}
