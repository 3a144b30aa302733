//! Tests with many advertisements, and with implausible or random ones.

use super::*;

#[test]
fn a_storm_takes_its_share_and_no_more() {
    let mut interface = Interface::new();
    for number in 0..500u16 {
        let name = |part: u16| std::format!("2001:{number:x}:{part:x}::");
        let prefixes = (0..20).map(|part| prefix(&(name(part) + "/64"), ON_LINK | AUTONOMOUS, HOUR, HOUR));
        let routes = (0..20).map(|part| route(&(name(part) + "/48"), 0, FOREVER));
        let names = [servers(600, &[v6(&name(1)), v6(&name(2))]), search(600, &[&std::format!("d{number}")])];
        let options: Vec<Vec<u8>> = prefixes.chain(routes).chain(names).collect();
        let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, number);
        interface.receive(source, 0, router(1800), &options);
    }
    let count = |is: &dyn Fn(&Route) -> bool| interface.routes.iter().filter(|route| is(route)).count();
    let is_default = |route: &Route| route.destination.prefix_len() == 0;
    let is_link = |route: &Route| route.target == Target::Link;
    assert_eq!((count(&is_default), count(&is_link), interface.routes.len()), (8, 16, 8 + 16 + 32));
    // One of them is the interface's own.
    assert_eq!(interface.addresses.len(), 16 + 1);
    assert_eq!((interface.discovery.servers().count(), interface.discovery.domains().count()), (4, 8));
    let all = 500 * (1 + 20 + 20 + 20 + 2 + 1);
    assert_eq!(interface.discovery.left_out(), all - (8 + 16 + 32 + 16 + 4 + 8), "each that has no place is counted");
    // Advertisements of known entries are still processed.
    let first = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, 0);
    assert!(matches!(interface.receive(first, 1, router(0), &[])[..], [Effect::RouteRemoved(_)]));
    assert!(matches!(interface.receive(ROUTER, 1, router(60), &[])[..], [Effect::RouteAdded(_)]));
}

#[test]
fn conflicts_over_every_prefix_are_remembered_for_as_many_as_there_are() {
    let mut interface = Interface::new();
    for number in 0..200u64 {
        let name = std::format!("2001:db8:{number:x}::");
        let effects =
            interface.receive(ROUTER, number * 10, router(0), &[prefix(&(name.clone() + "/64"), AUTONOMOUS, 5, 5)]);
        assert!(matches!(effects[..], [Effect::AddressAdded(_)]), "{effects:?}");
        assert!(interface.conflict(interface.candidate(&name, 0)).is_some());
        assert_eq!(interface.addresses.expire(at(number * 10 + 5)).len(), 1);
        assert!(interface.discovery.formation.len() <= 1);
    }
}

/// Checks the invariants that hold whatever was received.
fn check(interface: &Interface) {
    let from_routers = |known: &&Address| known.origin == Origin::Router;
    let mut prefixes = Vec::new();
    for known in interface.addresses.iter().filter(from_routers) {
        let IpAddr::V6(address) = known.address() else { panic!("{known:?}") };
        assert_eq!(known.cidr.prefix_len(), 64);
        assert!(!address.is_multicast() && !address.is_unicast_link_local() && address.octets()[0] != 0, "{address}");
        assert!(!known.on_link);
        prefixes.push(address.to_bits() >> 64);
    }
    let count = prefixes.len();
    prefixes.sort_unstable();
    prefixes.dedup();
    assert!(prefixes.len() == count && count <= 16, "one address for each prefix: {count}");
    assert!(interface.routes.len() <= 8 + 16 + 32);
    for route in interface.routes.iter() {
        assert!(matches!((route.target, route.metric), (Target::Link, 256) | (Target::Gateway { .. }, 1024)));
        assert_eq!(route.origin, Origin::Router);
    }
    let discovery = &interface.discovery;
    assert!(discovery.servers().count() <= 4 && discovery.domains().count() <= 8);
    assert!(discovery.parameters().mtu.is_none_or(|mtu| (1280..=1500).contains(&mtu)));
    assert!(discovery.formation.len() <= count);
}

#[test]
fn whatever_is_advertised_what_is_kept_makes_sense() {
    let mut random = Random::new([7; 32]);
    let mut valid = 0;
    for _ in 0..40 {
        let mut interface = Interface::new();
        let mut now = at(0);
        interface.discovery.solicit(now);
        for _ in 0..150 {
            let pick = |random: &mut Random, all: &[u32]| all[random.below(all.len() as u32) as usize];
            let lifetimes = [0, 1, 60, 7200, 7201, 90_000, FOREVER - 1, FOREVER];
            let names = ["2001:db8:1::/64", "2001:db8:2::/64", "2001:db8::/32", "fe80::/64", "::/0", "ff02::/16"];
            let mut options = Vec::new();
            for _ in 0..random.below(6) {
                let text = names[random.below(6) as usize];
                let (long, short) = (pick(&mut random, &lifetimes), pick(&mut random, &lifetimes));
                let flags = random.next_u32() as u8;
                options.push(match random.below(5) {
                    0 => prefix(text, flags, long, short),
                    1 => route(text, flags, long),
                    2 => mtu(pick(&mut random, &[0, 1279, 1280, 1400, 1500, 1501, FOREVER])),
                    3 => servers(long, &[Ipv6Addr::from_bits(u128::from(random.below(5)) << 120 | 9)]),
                    _ => search(long, &["lan", "example.org"]),
                });
            }
            let flags = random.next_u32() as u8;
            let mut bytes = Header { flags, ..router(random.next_u32() as u16) }.message(&options);
            for _ in 0..random.below(4) {
                let place = random.below(bytes.len() as u32 - 4) as usize + 4;
                bytes[place] = random.next_u32() as u8;
            }
            if random.below(20) == 0 {
                bytes.truncate(random.below(bytes.len() as u32) as usize);
            }
            let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, random.below(12) as u16);
            let effects = interface.receive_bytes(source, now, &bytes);
            valid += usize::from(effects.is_some());
            for effect in effects.into_iter().flatten() {
                assert_ne!(effect, Effect::Solicit, "nobody asks because of an advertisement");
                let Effect::AddressAdded(address) = effect else { continue };
                if let IpAddr::V6(address) = address.address()
                    && random.below(2) == 0
                {
                    interface.conflict(address);
                }
            }
            check(&interface);
            now += Duration::from_secs(pick(&mut random, &[0, 1, 60, 4000]).into());
            interface.addresses.expire(now);
            interface.routes.expire(now);
            while interface.discovery.poll(now, &mut random).is_some() {}
            assert!(interface.discovery.next_timeout().is_none_or(|next| next > now));
        }
        interface.discovery.withdraw(&mut interface.addresses, &mut interface.routes);
        assert_eq!((interface.addresses.len(), interface.routes.len()), (1, 0));
        assert_eq!(interface.discovery.next_timeout(), None);
    }
    assert!(valid > 3000, "{valid}");
}

#[test]
fn no_bytes_make_it_panic() {
    let mut random = Random::new([8; 32]);
    let mut interface = Interface::new();
    for round in 0..20_000 {
        let length = 16 + 8 * random.below(20) as usize;
        let mut bytes: Vec<u8> = (0..length).map(|_| random.next_u32() as u8).collect();
        bytes[..4].copy_from_slice(&[134, 0, 0, 0]);
        // Options of known types and lengths, so that some are valid.
        let mut place = 16;
        while place < length {
            let left = (length - place) / 8;
            let units = (1 + random.below(4) as usize).min(left);
            bytes[place] = [1, 3, 5, 24, 25, 31][random.below(6) as usize];
            bytes[place + 1] = units as u8;
            place += 8 * units;
        }
        assert!(interface.receive_bytes(ROUTER, at(round), &bytes).is_some());
        check(&interface);
    }
}
