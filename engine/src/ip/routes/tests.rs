use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BTreeSet;
use std::vec::Vec;

use smoltcp::wire::IpCidr;

use super::*;
use crate::ip::addresses::{Address, Detection};
use crate::random::Random;

fn cidr(text: &str) -> IpCidr {
    let (address, length) = text.split_once('/').expect("a length");
    IpCidr::new(ip(address).into(), length.parse().expect("a number"))
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

fn at(seconds: u64) -> Instant {
    Instant::from_origin(Duration::from_secs(seconds))
}

fn via(destination: &str, gateway: &str) -> Route {
    Route::new(cidr(destination), Target::Gateway { address: ip(gateway), onlink: false })
}

fn to(destination: &str, target: Target) -> Route {
    Route::new(cidr(destination), target)
}

fn addresses(list: &[&str]) -> Addresses {
    let mut addresses = Addresses::default();
    for text in list {
        addresses.add(Address::new(cidr(text), Origin::Static)).expect("room");
    }
    addresses
}

fn routes(list: &[Route]) -> Routes {
    let mut routes = Routes::default();
    for route in list {
        assert_eq!(routes.add(*route), Ok(None), "{route:?}");
    }
    routes
}

/// The next hop while nothing is known about routers.
fn hop(routes: &mut Routes, addresses: &Addresses, destination: &str) -> Result<IpAddr, NoRoute> {
    routes.lookup(ip(destination), addresses, |_| Reachability::Unknown).map(|next_hop| next_hop.hop)
}

#[test]
fn the_longest_prefix_wins_even_inside_on_link_networks() {
    let addresses = addresses(&["192.0.2.5/24", "2001:db8::5/64"]);
    let mut routes = routes(&[
        via("0.0.0.0/0", "192.0.2.1"),
        via("10.0.0.0/8", "192.0.2.2"),
        via("10.1.0.0/16", "192.0.2.3"),
        via("192.0.2.128/25", "192.0.2.4"),
        via("192.0.2.77/32", "192.0.2.9"),
        via("::/0", "fe80::1"),
        via("2001:db8::8000:0:0:0/65", "fe80::2"),
        via("169.254.169.254/32", "192.0.2.1"),
    ]);
    for (destination, expected) in [
        ("198.51.100.1", "192.0.2.1"),
        ("10.9.9.9", "192.0.2.2"),
        ("10.1.2.3", "192.0.2.3"),
        ("192.0.2.9", "192.0.2.9"),
        ("192.0.2.127", "192.0.2.127"),
        ("192.0.2.130", "192.0.2.4"),
        ("192.0.2.77", "192.0.2.9"),
        ("192.0.2.255", "192.0.2.255"),
        ("169.254.7.7", "169.254.7.7"),
        ("169.254.169.254", "192.0.2.1"),
        ("2001:db8::9", "2001:db8::9"),
        ("2001:db8::9000:0:0:1", "fe80::2"),
        ("2001:db8:1::1", "fe80::1"),
        ("fe80::77", "fe80::77"),
    ] {
        assert_eq!(hop(&mut routes, &addresses, destination), Ok(ip(expected)), "{destination}");
    }
    let next_hop = routes.lookup(ip("10.1.2.3"), &addresses, |_| Reachability::Unknown).expect("a route");
    assert_eq!((next_hop.prefix_length, next_hop.on_link), (16, false));
    assert!(routes.is_on_link(ip("192.0.2.9"), &addresses) && !routes.is_on_link(ip("192.0.2.130"), &addresses));
}

#[test]
fn an_address_without_a_network_reaches_its_router_only_with_onlink() {
    // The configuration `addr=192.0.2.5/32,gateway=192.0.2.1`, and a lease with the mask 255.255.255.255.
    let addresses = addresses(&["192.0.2.5/32"]);
    let default = via("0.0.0.0/0", "192.0.2.1");
    let mut without = routes(&[default]);
    assert_eq!(hop(&mut without, &addresses, "198.51.100.1"), Err(NoRoute::Missing));
    assert!(without.is_dormant(&default, &addresses));
    let onlink = Route { target: Target::Gateway { address: ip("192.0.2.1"), onlink: true }, ..default };
    assert_eq!(without.add(onlink), Ok(Some(default)), "it is the same route, changed");
    assert_eq!(hop(&mut without, &addresses, "198.51.100.1"), Ok(ip("192.0.2.1")));
    assert!(!without.is_dormant(&onlink, &addresses));
    // The alternative: an on-link route to the router itself.
    let mut by_link = routes(&[default, to("192.0.2.1/32", Target::Link)]);
    assert_eq!(hop(&mut by_link, &addresses, "198.51.100.1"), Ok(ip("192.0.2.1")));
}

#[test]
fn a_prefix_that_is_not_on_the_link_is_reached_through_the_router() {
    let mut addresses = Addresses::default();
    let formed = Address { on_link: false, ..Address::new(cidr("2001:db8::5/64"), Origin::Router) };
    addresses.add(formed).expect("room");
    let mut routes = routes(&[via("::/0", "fe80::1")]);
    assert_eq!(hop(&mut routes, &addresses, "2001:db8::6"), Ok(ip("fe80::1")));
    // A prefix that is on-link without an address in it (L=1, A=0).
    routes.add(Route { origin: Origin::Router, ..to("2001:db8:7::/64", Target::Link) }).expect("room");
    assert_eq!(hop(&mut routes, &addresses, "2001:db8:7::6"), Ok(ip("2001:db8:7::6")));
}

#[test]
fn a_route_is_dormant_until_its_gateway_is_on_the_link() {
    let mut addresses = Addresses::default();
    // A gateway that is reached through another gateway is never used.
    let mut routes =
        routes(&[via("0.0.0.0/0", "192.0.2.1"), via("10.0.0.0/8", "172.16.0.1"), via("172.16.0.0/12", "10.0.0.1")]);
    assert_eq!(hop(&mut routes, &addresses, "198.51.100.1"), Err(NoRoute::Missing));
    addresses.add(Address::new(cidr("192.0.2.5/24"), Origin::Static)).expect("room");
    for destination in ["198.51.100.1", "10.0.0.9", "172.16.0.9"] {
        assert_eq!(hop(&mut routes, &addresses, destination), Ok(ip("192.0.2.1")), "{destination}");
    }
    // The router's address now belongs to this host.
    addresses.add(Address::new(cidr("192.0.2.1/24"), Origin::Static)).expect("room");
    assert_eq!(hop(&mut routes, &addresses, "198.51.100.1"), Err(NoRoute::Missing));
    addresses.remove(ip("192.0.2.1"));
    addresses.remove(ip("192.0.2.5"));
    assert_eq!(hop(&mut routes, &addresses, "198.51.100.1"), Err(NoRoute::Missing));
    assert_eq!(routes.len(), 3, "it is still there");
}

#[test]
fn metric_is_compared_before_preference_and_preference_before_reachability() {
    let addresses = addresses(&["2001:db8::5/64"]);
    let low = Route { preference: Preference::Low, ..via("::/0", "fe80::1") };
    let high = Route { preference: Preference::High, ..via("::/0", "fe80::2") };
    let cheap = Route { preference: Preference::Low, metric: 1, ..via("::/0", "fe80::3") };
    let dear = Route { preference: Preference::High, metric: 2, ..via("::/0", "fe80::4") };
    assert_eq!(hop(&mut routes(&[low, via("::/0", "fe80::9"), high]), &addresses, "2a00::1"), Ok(ip("fe80::2")));
    assert_eq!(hop(&mut routes(&[dear, cheap]), &addresses, "2a00::1"), Ok(ip("fe80::3")));
    // An unknown router counts as reachable compared with lower preferences, but a reachable one goes before it among
    // equals.
    let known = |reachable: &'static str| {
        move |gateway: IpAddr| if gateway == ip(reachable) { Reachability::Reachable } else { Reachability::Unknown }
    };
    let mut both = routes(&[low, high]);
    assert_eq!(both.lookup(ip("2a00::1"), &addresses, known("fe80::1")).map(|it| it.hop), Ok(ip("fe80::2")));
    let mut equals = routes(&[via("::/0", "fe80::1"), via("::/0", "fe80::2")]);
    for _ in 0..4 {
        assert_eq!(equals.lookup(ip("2a00::1"), &addresses, known("fe80::2")).map(|it| it.hop), Ok(ip("fe80::2")));
    }
}

#[test]
fn unknown_routers_are_tried_in_turn() {
    let addresses = addresses(&["2001:db8::5/64"]);
    let mut routes = routes(&[via("::/0", "fe80::1"), via("::/0", "fe80::2"), via("::/0", "fe80::3")]);
    let tried: Vec<_> = (0..6).map(|_| hop(&mut routes, &addresses, "2a00::1").expect("a route")).collect();
    assert_eq!(tried.iter().collect::<BTreeSet<_>>().len(), 3);
    assert_eq!(tried[..3], tried[3..]);
    // If no router answers, they take turns as well, and none is chosen twice in a row.
    let dead: Vec<_> = (0..3)
        .map(|_| routes.lookup(ip("2a00::1"), &addresses, |_| Reachability::Unreachable).expect("a route").hop)
        .collect();
    assert_eq!(dead.iter().collect::<BTreeSet<_>>().len(), 3);
}

#[test]
fn unreachable_routers_are_skipped_as_in_the_example_of_rfc_4191() {
    // Section 3.6.
    let addresses = addresses(&["2001:db8:ffff::5/64"]);
    let (w, y, z) = (ip("fe80::a"), ip("fe80::c"), ip("fe80::d"));
    let mut routes = routes(&[
        via("::/0", "fe80::a"),
        via("2002::/16", "fe80::b"),
        Route { preference: Preference::High, ..via("2001:db8::/32", "fe80::c") },
        Route { preference: Preference::Low, ..via("2001:db8::/32", "fe80::d") },
    ]);
    let mut with_dead = |dead: &[IpAddr]| {
        let reachability = |gateway: IpAddr| match dead.contains(&gateway) {
            true => Reachability::Unreachable,
            false => Reachability::Reachable,
        };
        let next_hop = routes.lookup(ip("2001:db8::1"), &addresses, reachability).expect("a route");
        (next_hop.hop, next_hop.avoided)
    };
    assert_eq!(with_dead(&[]), (y, None));
    assert_eq!(with_dead(&[y]), (z, Some(y)));
    let avoided: BTreeSet<_> = [with_dead(&[y, z]), with_dead(&[y, z])].into_iter().collect();
    assert_eq!(avoided, [(w, Some(y)), (w, Some(z))].into_iter().collect(), "each is probed");
    let avoided: BTreeSet<_> = [with_dead(&[w, y, z]), with_dead(&[w, y, z])].into_iter().collect();
    assert_eq!(avoided, [(y, Some(w)), (y, Some(z))].into_iter().collect(), "the best is used");
}

#[test]
fn a_blackhole_or_reject_route_ends_the_search() {
    let addresses = addresses(&["192.0.2.5/24"]);
    let mut routes = routes(&[
        via("0.0.0.0/0", "192.0.2.1"),
        to("10.1.0.0/16", Target::Blackhole),
        to("10.2.0.0/16", Target::Unreachable),
        to("10.3.0.0/16", Target::Prohibit),
        via("10.4.0.0/16", "192.0.2.2"),
        Route { metric: 9, ..to("10.4.0.0/16", Target::Blackhole) },
    ]);
    assert_eq!(hop(&mut routes, &addresses, "10.1.0.1"), Err(NoRoute::Blackhole));
    assert_eq!(hop(&mut routes, &addresses, "10.2.0.1"), Err(NoRoute::Unreachable));
    assert_eq!(hop(&mut routes, &addresses, "10.3.0.1"), Err(NoRoute::Prohibited));
    assert_eq!(hop(&mut routes, &addresses, "10.4.0.1"), Ok(ip("192.0.2.2")));
    let dead = routes.lookup(ip("10.4.0.1"), &addresses, |_| Reachability::Unreachable);
    assert_eq!(dead, Err(NoRoute::Blackhole), "it does not go to the default router");
}

#[test]
fn groups_and_broadcast_addresses_are_on_the_link_without_a_route() {
    let nothing = Addresses::default();
    let mut routes = routes(&[to("::/0", Target::Unreachable), to("0.0.0.0/0", Target::Unreachable)]);
    for text in ["255.255.255.255", "224.0.0.251", "ff02::1", "ff0e::1"] {
        let next_hop = routes.lookup(ip(text), &nothing, |_| Reachability::Unknown).expect(text);
        assert_eq!((next_hop.hop, next_hop.on_link, next_hop.prefix_length), (ip(text), true, 0), "{text}");
    }
    let own = addresses(&["192.0.2.5/24"]);
    let source = Some(ip("192.0.2.5"));
    routes.add(Route { source, ..to("239.0.0.0/8", Target::Link) }).expect("room");
    routes.add(to("239.9.0.0/16", Target::Prohibit)).expect("room");
    let next_hop = routes.lookup(ip("239.1.1.1"), &own, |_| Reachability::Unknown).expect("on the link");
    assert_eq!((next_hop.prefix_length, next_hop.source), (8, source));
    assert_eq!(hop(&mut routes, &own, "239.9.1.1"), Err(NoRoute::Prohibited));
}

#[test]
fn destinations_that_are_never_on_a_link_have_no_route() {
    let own = addresses(&["192.0.2.5/24", "2001:db8::5/64"]);
    let mut routes = routes(&[via("0.0.0.0/0", "192.0.2.1"), via("::/0", "fe80::1")]);
    for text in ["0.0.0.0", "::", "127.0.0.1", "::1", "::ffff:192.0.2.9"] {
        assert_eq!(hop(&mut routes, &own, text), Err(NoRoute::Missing), "{text}");
    }
    let loopback = addresses(&["127.0.0.1/8", "::1/128"]);
    for text in ["127.1.2.3", "::1"] {
        assert_eq!(hop(&mut Routes::default(), &loopback, text), Ok(ip(text)), "{text}");
    }
}

#[test]
fn a_next_hop_carries_the_metric_and_source_of_its_route() {
    let mut own = addresses(&["192.0.2.5/24", "192.0.2.6/24"]);
    let route = Route { source: Some(ip("192.0.2.6")), metric: 7, ..via("10.0.0.0/8", "192.0.2.1") };
    let link = Route { source: Some(ip("192.0.2.6")), ..to("192.0.2.0/24", Target::Link) };
    let mut routes = routes(&[route, link]);
    let next_hop = routes.lookup(ip("10.0.0.1"), &own, |_| Reachability::Reachable).expect("a route");
    assert_eq!((next_hop.source, next_hop.metric), (route.source, 7));
    let next_hop = routes.lookup(ip("192.0.2.9"), &own, |_| Reachability::Reachable).expect("a route");
    assert_eq!((next_hop.hop, next_hop.source, next_hop.on_link), (ip("192.0.2.9"), link.source, true));
    own.remove(ip("192.0.2.6"));
    let next_hop = routes.lookup(ip("10.0.0.1"), &own, |_| Reachability::Reachable).expect("a route");
    assert_eq!(next_hop.source, None, "this host does not have it any more");
}

#[test]
fn invalid_routes_are_not_added() {
    let mut routes = Routes::default();
    for gateway in ["::1", "fe80::1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "127.0.0.1"] {
        assert_eq!(routes.add(via("0.0.0.0/0", gateway)), Err(AddRouteError::InvalidGateway), "{gateway}");
    }
    assert_eq!(routes.add(via("::/0", "::ffff:10.0.0.1")), Err(AddRouteError::InvalidGateway));
    assert_eq!(routes.add(via("::ffff:0:0/96", "fe80::1")), Err(AddRouteError::InvalidDestination));
    let source = Some(ip("2001:db8::1"));
    assert_eq!(routes.add(Route { source, ..via("10.0.0.0/8", "192.0.2.1") }), Err(AddRouteError::InvalidSource));
    assert!(routes.is_empty());
}

#[test]
fn a_route_is_identified_by_its_destination_target_metric_and_origin() {
    let first = via("10.1.2.3/16", "192.0.2.1");
    let mut routes = routes(&[first]);
    assert_eq!(routes.iter().next().map(|route| route.destination), Some(cidr("10.1.0.0/16")));
    let later = Route { valid_until: Some(at(5)), ..first };
    let before = routes.add(later).expect("room").expect("it was there");
    assert_eq!((before.valid_until, routes.len(), routes.next_timeout()), (None, 1, Some(at(5))));
    let other = via("10.1.0.0/16", "192.0.2.2");
    assert_eq!(routes.add(other), Ok(None));
    assert_eq!(routes.add(Route { origin: Origin::Dhcp, ..other }), Ok(None));
    let third = via("10.1.0.0/16", "192.0.2.3");
    let replaced = routes.replace(third).expect("room");
    assert_eq!(replaced.iter().map(Route::gateway).collect::<Vec<_>>(), [first.gateway(), other.gateway()]);
    assert_eq!(routes.len(), 2);
    assert_eq!(routes.remove(&Route { valid_until: Some(at(9)), ..third }), Some(third));
    assert_eq!((routes.remove(&third), routes.withdraw(Origin::Dhcp).len(), routes.len()), (None, 1, 0));
}

#[test]
fn a_route_expires_when_its_lifetime_ends() {
    let own = addresses(&["192.0.2.5/24"]);
    let lent = Route { valid_until: Some(at(10)), ..via("10.0.0.0/8", "192.0.2.1") };
    let mut routes = routes(&[lent, via("0.0.0.0/0", "192.0.2.2")]);
    assert_eq!((routes.next_timeout(), routes.expire(at(9))), (Some(at(10)), Vec::new()));
    assert_eq!(hop(&mut routes, &own, "10.0.0.1"), Ok(ip("192.0.2.1")));
    assert_eq!((routes.expire(at(10)), routes.next_timeout()), (Vec::from([lent]), None));
    assert_eq!(hop(&mut routes, &own, "10.0.0.1"), Ok(ip("192.0.2.2")));
}

#[test]
fn routes_are_bounded_and_routers_cannot_displace_others() {
    let mut routes = Routes::new(4);
    let numbered =
        |origin: Origin, number: u8| Route { origin, ..via(&std::format!("10.{number}.0.0/16"), "192.0.2.1") };
    assert_eq!([1, 2].map(|number| routes.add(numbered(Origin::Router, number))), [Ok(None); 2]);
    assert_eq!(routes.add(numbered(Origin::Router, 3)), Err(AddRouteError::Full));
    assert_eq!([3, 4].map(|number| routes.add(numbered(Origin::Static, number))), [Ok(None); 2]);
    let before: Vec<Route> = routes.iter().copied().collect();
    assert_eq!(routes.add(numbered(Origin::Static, 5)), Err(AddRouteError::Full));
    assert_eq!(routes.replace(numbered(Origin::Static, 5)), Err(AddRouteError::Full));
    assert!(routes.iter().eq(&before), "the table is as it was");
    assert_eq!(routes.add(numbered(Origin::Router, 1)), Ok(Some(numbered(Origin::Router, 1))), "it is there already");
}

/// The result of a lookup if every router is reachable, by a linear search through all routes and networks.
fn reference(list: &[Route], own: &[Address], destination: IpAddr) -> Result<IpAddr, NoRoute> {
    let holds = |prefix: &IpCidr, address: IpAddr| prefix.contains_addr(&address.into());
    let is_own = |gateway: IpAddr| own.iter().any(|it| it.address() == gateway);
    let connected: Vec<IpCidr> = own.iter().map(|it| it.cidr).collect();
    let is_active = |route: &&Route| match route.target {
        Target::Gateway { address, onlink } => {
            let on_link = connected.iter().any(|prefix| holds(prefix, address))
                || list.iter().any(|it| it.target == Target::Link && holds(&it.destination, address));
            !is_own(address) && (onlink || on_link)
        }
        _ => true,
    };
    let of_routes = list.iter().filter(is_active).filter(|route| holds(&route.destination, destination)).map(|route| {
        let hop = match route.target {
            Target::Link => Ok(destination),
            Target::Gateway { address, .. } => Ok(address),
            Target::Blackhole => Err(NoRoute::Blackhole),
            Target::Unreachable => Err(NoRoute::Unreachable),
            Target::Prohibit => Err(NoRoute::Prohibited),
        };
        let key = (Reverse(route.destination.prefix_len()), 1, route.metric, Reverse(route.preference));
        (key, u8::from(route.gateway().is_some()), hop)
    });
    let of_links = connected
        .iter()
        .filter(|prefix| holds(prefix, destination))
        .map(|prefix| ((Reverse(prefix.prefix_len()), 0, 0, Reverse(Preference::Medium)), 0, Ok(destination)));
    of_links
        .chain(of_routes)
        .min_by_key(|(key, kind, _)| (*key, *kind))
        .map_or(Err(NoRoute::Missing), |(_, _, hop)| hop)
}

#[test]
fn lookups_agree_with_a_linear_search() {
    let mut random = Random::new([5; 32]);
    let mut found = [0usize; 3];
    for _ in 0..150 {
        let (mut routes, mut addresses) = (Routes::new(40), Addresses::new(6));
        for _ in 0..150 {
            let octets = |random: &mut Random| [10, 0, random.below(4) as u8, random.below(64) as u8 * 4 + 1];
            let (one, other) = (octets(&mut random), octets(&mut random));
            let length = 20 + random.below(13) as u8;
            let prefix = IpCidr::new(IpAddr::from(one).into(), length);
            match random.below(12) {
                0 => drop(addresses.add(Address::new(prefix, Origin::Static))),
                1 => drop(addresses.remove(one.into())),
                2 => {
                    let first = routes.iter().next().copied();
                    assert_eq!(first.and_then(|route| routes.remove(&route)), first);
                }
                choice => {
                    let target = match choice {
                        3 => Target::Link,
                        4 => [Target::Blackhole, Target::Unreachable, Target::Prohibit][random.below(3) as usize],
                        _ => Target::Gateway { address: other.into(), onlink: random.below(4) == 0 },
                    };
                    let preference = [Preference::Low, Preference::Medium, Preference::High][random.below(3) as usize];
                    let route = Route { metric: random.below(3), preference, ..Route::new(prefix, target) };
                    let is_known = routes.iter().any(|known| known.is_same(&route.masked()));
                    let is_full = routes.len() == 40 && !is_known;
                    assert_eq!(routes.add(route).err(), is_full.then_some(AddRouteError::Full));
                }
            }
            let destination = IpAddr::from([10, 0, random.below(4) as u8, random.below(255) as u8]);
            if addresses.is_broadcast(destination) {
                continue;
            }
            let (list, own): (Vec<Route>, Vec<Address>) =
                (routes.iter().copied().collect(), addresses.iter().copied().collect());
            // Gateways that are broadcast addresses are not routers. The reference does not handle them.
            let is_broadcast = |route: &Route| route.gateway().is_some_and(|gateway| addresses.is_broadcast(gateway));
            let list: Vec<Route> = list.into_iter().filter(|route| !is_broadcast(route)).collect();
            let next_hop = routes.lookup(destination, &addresses, |_| Reachability::Reachable);
            assert_eq!(
                next_hop.map(|it| it.hop),
                reference(&list, &own, destination),
                "{destination} {list:?} {own:?}"
            );
            found[next_hop.map_or(2, |it| usize::from(it.on_link))] += 1;
        }
    }
    assert!(found.iter().all(|count| *count > 500), "{found:?}");
}

#[test]
fn a_duplicated_address_makes_no_prefix_on_link() {
    let mut addresses = Addresses::default();
    let tentative = Address { detection: Detection::Running, ..Address::new(cidr("2001:db8::5/64"), Origin::Static) };
    addresses.add(tentative).expect("room");
    let mut routes = Routes::default();
    assert_eq!(hop(&mut routes, &addresses, "2001:db8::6"), Ok(ip("2001:db8::6")));
    assert!(addresses.mark_duplicated(ip("2001:db8::5")));
    assert_eq!(hop(&mut routes, &addresses, "2001:db8::6"), Err(NoRoute::Missing));
}
