use alloc::vec;

use super::super::world::{ADDRESS, Message, SERVER};
use super::*;

const NOW: Instant = Instant::ORIGIN;

fn random() -> Random {
    Random::new([5; 32])
}

fn lent_from(source: Ipv4Addr, message: &Message) -> Result<Lease, Nonsense> {
    let bytes = message.bytes();
    read(&Reply::parse(&bytes).expect("well-formed"), source, NOW, &mut random())
}

fn lent(message: &Message) -> Result<Lease, Nonsense> {
    lent_from(SERVER, message)
}

fn ack() -> Message {
    Message::new(5, 1)
}

fn v4(octets: [u8; 4]) -> Ipv4Addr {
    octets.into()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn a_valid_lease_is_accepted_without_its_invalid_servers() {
    let message = ack()
        .with(6, [10, 9, 0, 1, 0, 0, 0, 0, 224, 0, 0, 1, 9, 9, 9, 9, 10, 9, 0, 1, 7])
        .with(42, [10, 9, 0, 3])
        .with(15, "Lan.example.")
        .with(119, b"\x03lan\x07example\0\x03dev\xc0\x04")
        .with(26, 1400u16.to_be_bytes());
    let expected = Lease {
        address: ADDRESS,
        prefix: 24,
        server: SERVER,
        routers: vec![SERVER],
        routes: vec![],
        dns_servers: vec![v4([10, 9, 0, 1]), v4([9, 9, 9, 9])],
        domain: Some("lan.example".into()),
        search: vec!["lan.example".into(), "dev.example".into()],
        mtu: Some(1400),
        ntp_servers: vec![v4([10, 9, 0, 3])],
        since: NOW,
        lifetime: Some(seconds(1000)),
        renewal: Some(seconds(400)),
        rebinding: Some(seconds(800)),
    };
    let lease = lent(&message).expect("it makes sense");
    assert_eq!(lease, expected);
    assert_eq!(lease.cidr(), IpCidr::new(ADDRESS.into(), 24));
    let times = [lease.renews(), lease.rebinds(), lease.expires()];
    assert_eq!(times, [400, 800, 1000].map(|time| Some(NOW + seconds(time))));
}

#[test]
fn a_lease_for_ever_has_no_times() {
    let lease = lent(&ack().with(51, [255; 4])).expect("it makes sense");
    assert_eq!((lease.lifetime, lease.renewal, lease.rebinding, lease.expires()), (None, None, None, None));
    assert_eq!(lent(&ack().without(51)).expect("two minutes").lifetime, Some(seconds(120)));
}

#[test]
fn the_smallest_networks_are_legal() {
    for (mask, address, prefix) in [([255, 255, 255, 254], [10, 9, 0, 2], 31), ([255; 4], [10, 9, 0, 255], 32)] {
        let lease = lent(&Message { address: address.into(), ..ack().with(1, mask) }).expect("it makes sense");
        assert_eq!((lease.prefix, lease.routers), (prefix, vec![SERVER]), "{mask:?}: a router outside is legal");
    }
}

#[test]
fn an_offer_may_leave_out_what_the_lease_must_say() {
    assert_eq!(lent(&ack().without(1)), Err(Nonsense::MaskMissing));
    assert!(lent(&ack().without(1).with(53, [2])).is_ok());
    assert!(lent(&ack().with(1, [255, 255, 255]).with(53, [2])).is_ok(), "as good as none");
}

#[test]
fn addresses_that_no_host_can_have_are_refused() {
    let networks = [[0, 0, 0, 0], [0, 0, 0, 1], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4], [240, 0, 0, 1]];
    for bad in networks.into_iter().chain([[10, 9, 0, 0], [10, 9, 0, 255]]) {
        let router_of_itself = ack().without(3);
        assert_eq!(lent(&Message { address: bad.into(), ..router_of_itself }), Err(Nonsense::Address), "{bad:?}");
        assert_eq!(lent(&ack().with(3, bad)), Err(Nonsense::Router), "{bad:?}");
    }
    assert_eq!(lent(&Message { address: SERVER, ..ack() }), Err(Nonsense::Address), "the server's own");
    assert_eq!(lent(&ack().with(3, ADDRESS.octets())), Err(Nonsense::Router), "itself");
    assert_eq!(lent(&ack().with(1, [0; 4])), Err(Nonsense::MaskEmpty));
    for bad in [[255, 0, 255, 0], [0, 0, 0, 255], [0, 255, 255, 255]] {
        assert_eq!(lent(&ack().with(1, bad)), Err(Nonsense::MaskHoles), "{bad:?}");
    }
    assert_eq!(lent(&ack().with(51, [0; 4])), Err(Nonsense::Lifetime));
    for server in [&[0; 4][..], &[255; 4], &[10, 9, 0]] {
        assert_eq!(lent(&ack().with(54, server)), Err(Nonsense::Server));
    }
    assert_eq!(lent(&ack().without(54)), Err(Nonsense::Server));
    assert_eq!(lent_from(Ipv4Addr::UNSPECIFIED, &ack()), Err(Nonsense::Source));
}

#[test]
fn an_invalid_second_router_is_left_out() {
    let routers = lent(&ack().with(3, [10, 9, 0, 1, 0, 0, 0, 0, 10, 9, 0, 3, 10, 9, 0, 1])).expect("fine").routers;
    assert_eq!(routers, [SERVER, v4([10, 9, 0, 3])]);
    assert!(lent(&ack().without(3)).expect("a network without a router").routers.is_empty());
}

#[test]
fn the_routes_of_the_rfc_are_parsed_and_routers_ignored_beside_them() {
    // The descriptors of RFC 3442's table, each with its own router, and an on-link one.
    let option = [
        &[0, 10, 9, 0, 2][..],
        &[8, 10, 10, 9, 0, 3],
        &[24, 10, 0, 0, 10, 9, 0, 4],
        &[16, 10, 17, 10, 9, 0, 5],
        &[25, 10, 229, 0, 128, 10, 9, 0, 6],
        &[32, 10, 198, 122, 47, 10, 9, 0, 7],
        &[24, 192, 168, 0, 0, 0, 0, 0],
    ]
    .concat();
    let lease = lent(&ack().with(121, &option)).expect("it makes sense");
    let route = |destination: [u8; 4], prefix, gateway: u8| StaticRoute {
        destination: IpCidr::new(v4(destination).into(), prefix),
        gateway: (gateway != 0).then(|| v4([10, 9, 0, gateway])),
    };
    let expected = [
        route([0; 4], 0, 2),
        route([10, 0, 0, 0], 8, 3),
        route([10, 0, 0, 0], 24, 4),
        route([10, 17, 0, 0], 16, 5),
        route([10, 229, 0, 128], 25, 6),
        route([10, 198, 122, 47], 32, 7),
        route([192, 168, 0, 0], 24, 0),
    ];
    assert_eq!((lease.routes, lease.routers), (expected.to_vec(), vec![]));
    // This holds even if option 3 is invalid.
    assert!(lent(&ack().with(121, &option).with(3, [0; 4])).is_ok());
}

#[test]
fn invalid_routes_are_left_out_and_malformed_ones_leave_the_routers() {
    let routes = |option: &[u8]| {
        let lease = lent(&ack().with(121, option)).expect("it makes sense");
        (lease.routes, lease.routers.len())
    };
    let host_bits = routes(&[9, 10, 0xff, 10, 9, 0, 2]).0;
    assert_eq!(host_bits[0].destination, IpCidr::new(v4([10, 128, 0, 0]).into(), 9));
    let [a, b, c, d] = ADDRESS.octets();
    for leading_nowhere in [[8, 10, 224, 0, 0, 1], [8, 10, a, b, c, d], [8, 127, 10, 9, 0, 2], [4, 224, 10, 9, 0, 2]] {
        assert_eq!(routes(&leading_nowhere), (vec![], 0), "{leading_nowhere:?}");
    }
    for broken in [&[33, 1, 2, 3, 4, 5, 10, 9, 0, 2][..], &[24, 10, 0, 0, 10, 9, 0], &[0, 10, 9, 0, 2, 8], &[255]] {
        assert_eq!(routes(broken), (vec![], 1), "{broken:?}");
    }
    assert_eq!(routes(&[]), (vec![], 1));
}

#[test]
fn lists_are_bounded() {
    let many: Vec<u8> = (1..=200).flat_map(|host| [10, 9, 1, host]).collect();
    let routes: Vec<u8> = (1..=200).flat_map(|net| [16, 10, net, 10, 9, 0, 2]).collect();
    let lease = lent(&ack().with(3, &many).with(6, &many).with(42, &many)).expect("it makes sense");
    assert_eq!([lease.routers.len(), lease.dns_servers.len(), lease.ntp_servers.len()], [MOST; 3]);
    assert_eq!(lent(&ack().with(121, &routes)).expect("it makes sense").routes.len(), MOST);
}

#[test]
fn an_mtu_below_the_minimum_is_ignored() {
    let mtu = |mtu: &[u8]| lent(&ack().with(26, mtu)).expect("it makes sense").mtu;
    assert_eq!((mtu(&[0, 67]), mtu(&[0, 68]), mtu(&[9, 0, 0])), (None, Some(68), None));
}

#[test]
fn times_out_of_order_are_half_and_seven_eighths_with_fuzz() {
    let mut random = random();
    let day = seconds(86_400);
    let mut chosen = |renewal: Option<u64>, rebinding: Option<u64>| {
        let (renewal, rebinding) = times(day, renewal.map(seconds), rebinding.map(seconds), &mut random);
        assert!(!renewal.is_zero() && renewal < rebinding && rebinding < day);
        (renewal.as_secs(), rebinding.as_secs())
    };
    assert_eq!(chosen(Some(1), Some(86_399)), (1, 86_399));
    let (half, late) = (40_500..=43_200, 70_875..=75_600);
    let mut halves = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let (renewal, rebinding) = chosen(None, None);
        assert!(half.contains(&renewal) && late.contains(&rebinding), "{renewal} {rebinding}");
        halves.insert(renewal);
    }
    assert!(halves.len() > 150, "clients differ");
    for (renewal, rebinding) in [(0, 0), (90_000, 90_000), (86_400, 86_400), (80_000, 90_000)] {
        let (renewal, rebinding) = chosen(Some(renewal), Some(rebinding));
        assert!(half.contains(&renewal) && late.contains(&rebinding), "{renewal} {rebinding}");
    }
    assert_eq!(chosen(Some(500), Some(100)), (50, 100));
    assert_eq!(chosen(None, Some(100)), (50, 100));
}

#[test]
fn what_is_read_holds_what_it_says() {
    let mut random = random();
    let whole = ack().with(119, b"\x03lan\0").with(121, [8, 10, 10, 9, 0, 2, 0, 10, 9, 0, 1]).bytes();
    let mut taken = 0;
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..random.below(4) {
            let at = 240 + random.below(bytes.len() as u32 - 240) as usize;
            bytes[at] = random.next_u32() as u8;
        }
        let Some(reply) = Reply::parse(&bytes) else { continue };
        let Ok(lease) = read(&reply, SERVER, NOW, &mut random) else { continue };
        taken += 1;
        assert!((1..=32).contains(&lease.prefix) && is_host(lease.address) && is_host(lease.server));
        assert!(lease.renewal < lease.rebinding || lease.lifetime.is_none());
        assert!(lease.rebinding < lease.lifetime || lease.lifetime.is_none());
        assert!(lease.routes.len() <= MOST && lease.routers.len() <= MOST && lease.search.len() <= MOST);
        assert!(lease.routers.is_empty() || lease.routes.is_empty());
    }
    assert!(taken > 1000, "{taken}");
}
