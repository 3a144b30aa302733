use xila_network_engine::link::ndp::write::router_solicitation;
use xila_network_engine::link::ndp::{NdpOption, RouterAdvertisement};

use super::*;

const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const HOST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7);
const SERVER: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1);

fn config() -> Config {
    let prefix = Prefix::new("fd00:1::/64".parse().expect("a prefix")).expect("of IPv6");
    let hardware = MacAddress::new([2, 0, 0, 0, 0, 1]).expect("a unicast address");
    Config {
        prefixes: vec![prefix],
        mtu: Some(1400),
        dns_servers: vec![SERVER],
        search: vec!["corp.example".into(), "lab.example".into()],
        ..Config::new(ROUTER, hardware)
    }
}

fn advertiser(seed: u8) -> Advertiser {
    Advertiser::new(config(), at(0), Random::new([seed; 32])).expect("a configuration")
}

fn at(milliseconds: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(milliseconds))
}

/// What a host reads in an advertisement, after all of its checks.
fn read(advertisement: &Advertisement, look: impl FnOnce(&RouterAdvertisement<'_>)) {
    let packet = Packet::parse(&advertisement.packet, true).expect("a packet");
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source, packet.destination) else {
        panic!("not IPv6");
    };
    assert_eq!(destination, advertisement.destination);
    let bytes = packet.payload();
    let received = Received { source, destination, hop_limit: packet.hop_limit, fragmented: false, bytes };
    match Message::read(&received, true) {
        Ok(Message::RouterAdvertisement(message)) => look(&message),
        other => panic!("{other:?}"),
    }
}

/// A solicitation as a packet.
fn solicitation(source: Ipv6Addr, hop_limit: u8) -> Vec<u8> {
    let mut message = Vec::new();
    let hardware = smoltcp::wire::EthernetAddress([2, 0, 0, 0, 0, 7]);
    router_solicitation(&mut message, source, hardware);
    let mut packet = vec![0x60, 0, 0, 0, 0, u8::try_from(message.len()).expect("a short message"), 58, hop_limit];
    packet.extend(source.octets());
    packet.extend("ff02::2".parse::<Ipv6Addr>().expect("an address").octets());
    packet.extend(message);
    packet
}

#[test]
fn an_advertisement_has_everything_that_is_configured() {
    let advertisement = advertiser(1).poll(at(0)).expect("the first one");
    read(&advertisement, |message| {
        assert_eq!((message.source, message.hop_limit), (ROUTER, Some(64)));
        assert_eq!((message.lifetime, message.managed, message.other), (Duration::from_secs(1800), false, false));
        assert_eq!((message.reachable_time, message.retransmit_time), (None, None));
        let options: Vec<NdpOption<'_>> = message.options.collect();
        let [
            NdpOption::SourceHardware(hardware),
            NdpOption::Mtu(1400),
            NdpOption::Prefix(prefix),
            NdpOption::Servers(servers),
            NdpOption::Search(search),
        ] = options[..]
        else {
            panic!("{options:?}");
        };
        assert_eq!(hardware.0, [2, 0, 0, 0, 0, 1]);
        assert_eq!((prefix.prefix, prefix.length), (Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 0), 64));
        assert!(prefix.on_link && prefix.autonomous);
        assert_eq!((prefix.valid.as_secs(), prefix.preferred.as_secs()), (2_592_000, 604_800));
        assert_eq!((servers.lifetime.as_secs(), search.lifetime.as_secs()), (1800, 1800));
        assert_eq!(servers.collect::<Vec<_>>(), [SERVER]);
        assert_eq!(search.collect::<Vec<_>>(), ["corp.example", "lab.example"]);
    });
}

#[test]
fn what_is_not_configured_is_not_advertised() {
    let hardware = MacAddress::new([2, 0, 0, 0, 0, 1]).expect("a unicast address");
    let mut config = Config { lifetime: Duration::ZERO, hop_limit: 0, ..Config::new(ROUTER, hardware) };
    let prefix = Prefix::new("fd00:1::/48".parse().expect("a prefix")).expect("of IPv6");
    config.prefixes = vec![Prefix { valid: Duration::MAX, ..prefix }];
    let mut advertiser = Advertiser::new(config, at(0), Random::new([1; 32])).expect("a configuration");
    read(&advertiser.poll(at(0)).expect("the first one"), |message| {
        assert_eq!((message.lifetime, message.hop_limit), (Duration::ZERO, None));
        let options: Vec<NdpOption<'_>> = message.options.collect();
        let [NdpOption::SourceHardware(_), NdpOption::Prefix(prefix)] = options[..] else { panic!("{options:?}") };
        assert!(!prefix.autonomous, "no addresses are formed from 48 bits");
        assert_eq!(prefix.valid, Duration::MAX);
    });
}

#[test]
fn the_first_three_are_close_together_and_the_others_between_the_shortest_and_the_longest_interval() {
    let mut advertiser = advertiser(2);
    let mut times = Vec::new();
    while times.len() < 40 {
        let next = advertiser.next_timeout().expect("another one");
        if let Some(before) = next.millis().checked_sub(1) {
            assert_eq!(advertiser.poll(at(before)), None, "it is not due");
        }
        assert!(advertiser.poll(next).is_some());
        times.push(next);
    }
    let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1].saturating_duration_since(pair[0])).collect();
    assert_eq!(gaps[..2], [INITIAL_INTERVAL; 2]);
    let range = Duration::from_secs(200)..=Duration::from_secs(600);
    assert!(gaps[2..].iter().all(|gap| range.contains(gap)), "{gaps:?}");
    assert!(gaps[2..].iter().any(|gap| *gap > Duration::from_secs(450)), "they are spread: {gaps:?}");
    assert!(gaps[2..].iter().any(|gap| *gap < Duration::from_secs(350)), "they are spread: {gaps:?}");
}

#[test]
fn a_solicitation_is_answered_soon_but_not_within_three_seconds_of_the_last_answer() {
    let mut delays = Vec::new();
    for seed in 0..20 {
        let mut advertiser = advertiser(seed);
        advertiser.poll(at(0)).expect("the first one");
        assert!(advertiser.handle_solicitation(at(5000), &solicitation(HOST, 255)));
        let answer = advertiser.next_timeout().expect("an answer");
        assert!((at(5000)..=at(5500)).contains(&answer), "{answer:?}");
        delays.push(answer);
        advertiser.poll(answer).expect("the answer");
        assert!(advertiser.handle_solicitation(at(6000), &solicitation(Ipv6Addr::UNSPECIFIED, 255)));
        assert_eq!(advertiser.next_timeout(), Some(answer + Duration::from_secs(3)));
        // One answer is for everybody who has asked since.
        assert!(advertiser.handle_solicitation(at(7000), &solicitation(HOST, 255)));
        assert_eq!(advertiser.next_timeout(), Some(answer + Duration::from_secs(3)));
    }
    delays.sort_unstable();
    delays.dedup();
    assert!(delays.len() > 15, "the delays are random: {delays:?}");
}

#[test]
fn a_solicitation_does_not_delay_what_is_due_sooner() {
    let mut advertiser = advertiser(3);
    advertiser.poll(at(0)).expect("the first one");
    let due = advertiser.next_timeout().expect("the second one");
    assert!(advertiser.handle_solicitation(at(15_999), &solicitation(HOST, 255)));
    assert!(advertiser.next_timeout() <= Some(due));
}

#[test]
fn what_is_no_solicitation_of_a_neighbour_is_ignored() {
    let mut advertiser = advertiser(4);
    advertiser.poll(at(0)).expect("the first one");
    let due = advertiser.next_timeout();
    let good = solicitation(HOST, 255);
    let mut broken = good.clone();
    broken[44] ^= 1;
    let mut other = good.clone();
    other[6] = 17;
    for packet in [&solicitation(HOST, 254)[..], &good[..47], &broken, &other, &[], &[0x45; 20]] {
        assert!(!advertiser.handle_solicitation(at(5000), packet), "{packet:?}");
    }
    let mut random = Random::new([9; 32]);
    for _ in 0..5000 {
        let mut packet = good.clone();
        let place = random.below(packet.len() as u32) as usize;
        packet[place] ^= 1 << random.below(8);
        packet.truncate(packet.len() - random.below(3) as usize);
        // One flipped bit of a checked field makes it invalid; the traffic class and the flow label are not checked.
        let is_checked = !matches!(place, 0..4);
        assert!(!(is_checked && advertiser.handle_solicitation(at(5000), &packet)), "byte {place}: {packet:?}");
    }
    assert_eq!(advertiser.next_timeout(), due);
}

#[test]
fn the_last_one_says_that_the_router_is_gone() {
    let mut advertiser = advertiser(5);
    advertiser.poll(at(0)).expect("the first one");
    read(&advertiser.end().expect("the last one"), |message| {
        assert_eq!(message.lifetime, Duration::ZERO);
        for option in message.options {
            match option {
                NdpOption::Servers(servers) => assert_eq!(servers.lifetime, Duration::ZERO),
                NdpOption::Search(search) => assert_eq!(search.lifetime, Duration::ZERO),
                NdpOption::Prefix(prefix) => assert_eq!(prefix.valid.as_secs(), 2_592_000, "the addresses stay"),
                _ => {}
            }
        }
    });
    assert!(advertiser.handle_solicitation(at(5000), &solicitation(HOST, 255)));
    assert_eq!((advertiser.next_timeout(), advertiser.poll(at(10_000)), advertiser.end()), (None, None, None));
    let mut silent = self::advertiser(6);
    assert_eq!(silent.end(), None, "nobody has heard of it");
}

#[test]
fn what_cannot_be_advertised_is_refused() {
    let good = config();
    let prefix = good.prefixes[0];
    let network = |text: &str, length| Prefix { prefix: text.parse().expect("a prefix"), length, ..prefix };
    let seconds = Duration::from_secs;
    let cases = [
        (Config { address: SERVER, ..good.clone() }, InvalidConfig::Address),
        (Config { prefixes: vec![prefix; 9], ..good.clone() }, InvalidConfig::Prefixes),
        (Config { prefixes: vec![network("fe80::", 64)], ..good.clone() }, InvalidConfig::Prefixes),
        (Config { prefixes: vec![network("fd00:1::1", 64)], ..good.clone() }, InvalidConfig::Prefixes),
        (Config { prefixes: vec![network("fd00:1::", 129)], ..good.clone() }, InvalidConfig::Prefixes),
        (Config { prefixes: vec![network("::", 0)], ..good.clone() }, InvalidConfig::Prefixes),
        (
            Config { prefixes: vec![Prefix { preferred: Duration::MAX, ..prefix }], ..good.clone() },
            InvalidConfig::Prefixes,
        ),
        (Config { interval: seconds(3), ..good.clone() }, InvalidConfig::Times),
        (Config { interval: seconds(1801), ..good.clone() }, InvalidConfig::Times),
        (Config { lifetime: seconds(599), ..good.clone() }, InvalidConfig::Times),
        (Config { lifetime: seconds(9001), ..good.clone() }, InvalidConfig::Times),
        (Config { mtu: Some(1279), ..good.clone() }, InvalidConfig::Mtu),
        (Config { dns_servers: vec![SERVER; 9], ..good.clone() }, InvalidConfig::Servers),
        (Config { dns_servers: vec![Ipv6Addr::UNSPECIFIED], ..good.clone() }, InvalidConfig::Servers),
        (Config { search: vec!["a..b".into()], ..good.clone() }, InvalidConfig::Domains),
        (Config { search: vec!["a".repeat(60) + ".example"; 4], ..good.clone() }, InvalidConfig::Domains),
    ];
    for (config, problem) in cases {
        assert_eq!(config.validate(), Err(problem), "{config:?}");
    }
    let most =
        Config { prefixes: vec![prefix; 8], dns_servers: vec![SERVER; 8], search: vec!["a".repeat(60); 4], ..good };
    let mut advertiser = Advertiser::new(most, at(0), Random::new([1; 32])).expect("as much as fits");
    assert!(advertiser.poll(at(0)).expect("the first one").packet.len() <= 1280);
}
