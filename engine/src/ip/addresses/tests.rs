use core::time::Duration;
use std::string::{String, ToString};
use std::vec::Vec;

use super::*;
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

fn address(text: &str) -> Address {
    Address::new(cidr(text), Origin::Static)
}

fn deprecated(text: &str) -> Address {
    Address { preferred_until: Some(at(0)), ..address(text) }
}

fn with(list: &[Address]) -> Addresses {
    let mut addresses = Addresses::default();
    for address in list {
        assert_eq!(addresses.add(*address), Ok(Added::New), "{address:?}");
    }
    addresses
}

/// The source for an on-link destination, with the candidates in either order.
fn source(destination: &str, candidates: [Address; 2]) -> String {
    let [one, other] = candidates;
    let select = |list: &[Address]| with(list).select(ip(destination), ip("fe80::99"), at(1)).expect("a source");
    assert_eq!(select(&[one, other]), select(&[other, one]), "the rules decide, not the order");
    select(&[one, other]).to_string()
}

#[test]
fn selection_matches_the_examples_of_rfc_6724() {
    // The examples of section 10.1. The sixth is about home addresses, which this host does not have. The result printed
    // for the first is not among its candidates: 2001:db8:3::1 is meant.
    let there = "2001:db8:1::1";
    assert_eq!(source(there, [address("2001:db8:3::1/64"), address("fe80::1/64")]), "2001:db8:3::1");
    assert_eq!(source("ff05::1", [address("2001:db8:3::1/64"), address("fe80::1/64")]), "2001:db8:3::1");
    assert_eq!(source(there, [deprecated("2001:db8:1::1/64"), address("2001:db8:2::1/64")]), "2001:db8:1::1");
    assert_eq!(source("fe80::1", [deprecated("fe80::2/64"), address("2001:db8:1::1/64")]), "fe80::2");
    assert_eq!(source(there, [address("2001:db8:1::2/64"), address("2001:db8:3::2/64")]), "2001:db8:1::2");
    let own = "2002:c633:6401:0:d5e3:7953:13eb:22e8";
    let candidates = [address(&std::format!("{own}/64")), address("2001:db8:1::2/64")];
    assert_eq!(source("2002:c633:6401::1", candidates), own);
    let temporary = Address { temporary: true, ..address("2001:db8:1:0:d5e3:7953:13eb:22e8/64") };
    let candidates = [address("2001:db8:1::2/64"), temporary];
    assert_eq!(source("2001:db8:1:0:d5e3:0:0:1", candidates), "2001:db8:1:0:d5e3:7953:13eb:22e8");
}

#[test]
fn each_rule_decides_before_the_next_one() {
    let far = "2001:db8:ff::1";
    // Rule 2 before 3: an address of sufficient scope wins although it is deprecated. Among scopes that are too small
    // the larger one wins, among sufficient ones the smaller.
    assert_eq!(source(far, [deprecated("2001:db8:1::2/64"), address("fe80::1/64")]), "2001:db8:1::2");
    assert_eq!(source(far, [address("fec0::1/64"), address("fe80::1/64")]), "fec0::1");
    assert_eq!(source("fec0::9", [address("fec0::1/64"), address("2001:db8::1/64")]), "fec0::1");
    assert_eq!(source("ff02::1", [address("fe80::1/64"), address("2001:db8::1/64")]), "fe80::1");
    // Rule 3 before 8.
    assert_eq!(source(far, [deprecated("2001:db8:ff::2/64"), address("2001:db8:1::2/64")]), "2001:db8:1::2");
    // Rule 5.5 before 8: the next hop has advertised one of them.
    let advertised = |text: &str, router: &str| {
        let mut advertisers = Advertisers::default();
        let IpAddr::V6(router) = ip(router) else { panic!("IPv6") };
        advertisers.insert(router);
        Address { advertisers, origin: Origin::Router, ..address(text) }
    };
    let candidates = [advertised("2001:db8:1::2/64", "fe80::99"), advertised("2001:db8:ff::2/64", "fe80::98")];
    assert_eq!(source(far, candidates), "2001:db8:1::2");
    // An administrator's address suits every router.
    assert_eq!(
        source(far, [address("2001:db8:1::2/64"), advertised("2001:db8:ff::2/64", "fe80::98")]),
        "2001:db8:1::2"
    );
    // Rule 6 before 8.
    assert_eq!(source("fd12::1", [address("fd99::2/64"), address("2001:db8::1/64")]), "fd99::2");
    assert_eq!(source("2001:db8::1", [address("fd99::2/64"), address("2a00::1/64")]), "2a00::1");
}

#[test]
fn ipv4_sources_are_of_the_network_of_the_next_hop() {
    let addresses = with(&[address("10.9.0.5/24"), address("192.168.1.5/24"), address("169.254.3.3/16")]);
    let select = |to: &str, hop: &str| addresses.select(ip(to), ip(hop), at(0)).expect("a source").to_string();
    assert_eq!(select("192.168.1.9", "192.168.1.9"), "192.168.1.5");
    assert_eq!(select("198.51.100.1", "10.9.0.1"), "10.9.0.5", "though another shares more bits with the destination");
    assert_eq!(select("169.254.7.7", "169.254.7.7"), "169.254.3.3");
    let twins = with(&[address("10.0.0.1/24"), address("10.0.0.9/24")]);
    assert_eq!(twins.select(ip("10.0.0.8"), ip("10.0.0.8"), at(0)), Some(ip("10.0.0.1")), "the first of equals");
    let permitted = twins.select_among(ip("10.0.0.8"), ip("10.0.0.8"), at(0), |it| it.address() == ip("10.0.0.9"));
    assert_eq!(permitted, Some(ip("10.0.0.9")));
}

#[test]
fn tentative_and_duplicated_addresses_are_neither_sources_nor_local() {
    let tentative = Address { detection: Detection::Running, ..address("2001:db8::1/64") };
    let (own, far) = (ip("2001:db8::1"), ip("2001:db8::2"));
    let mut addresses = with(&[tentative]);
    let revision = addresses.revision();
    assert_eq!((addresses.is_local(own), addresses.select(far, far, at(0))), (false, None));
    assert_eq!(addresses.find(own).map(|known| known.state(at(0))), Some(State::Tentative));
    assert!(addresses.is_connected(far), "the prefix is on the link all the same");
    assert!(addresses.assign(own) && !addresses.assign(own));
    assert_ne!(addresses.revision(), revision);
    assert_eq!((addresses.is_local(own), addresses.select(far, far, at(0))), (true, Some(own)));
    assert!(!addresses.mark_duplicated(own), "whoever claims an assigned address does not take it away");
    assert!(addresses.restart_detection(own) && addresses.mark_duplicated(own));
    assert_eq!(addresses.find(own).map(|known| known.state(at(0))), Some(State::Duplicated));
    assert_eq!((addresses.is_local(own), addresses.is_connected(far)), (false, false));
    assert_eq!(addresses.select(far, far, at(0)), None);
    assert_eq!(addresses.add(tentative).map(|added| added == Added::New), Ok(false));
    assert_eq!(addresses.find(own).map(|known| known.detection), Some(Detection::Failed), "an update heals nothing");
}

#[test]
fn a_lifetime_deprecates_and_then_removes() {
    let lent = Address { preferred_until: Some(at(10)), valid_until: Some(at(20)), ..address("10.0.0.5/24") };
    let mut addresses = with(&[lent, address("10.0.1.5/24")]);
    assert_eq!(addresses.next_timeout(), Some(at(20)));
    let state = |addresses: &Addresses, now| addresses.find(ip("10.0.0.5")).map(|known| known.state(now));
    assert_eq!(state(&addresses, at(9)), Some(State::Preferred));
    assert_eq!(state(&addresses, at(10)), Some(State::Deprecated));
    assert_eq!(addresses.select(ip("10.0.0.7"), ip("10.0.0.7"), at(9)), Some(ip("10.0.0.5")));
    assert_eq!(addresses.select(ip("10.0.0.7"), ip("10.0.0.7"), at(10)), Some(ip("10.0.1.5")));
    assert_eq!(addresses.expire(at(19)), []);
    let longer = Address { valid_until: Some(at(30)), ..lent };
    let revision = addresses.revision();
    assert_eq!(addresses.add(longer), Ok(Added::Updated(lent)));
    assert_eq!(addresses.revision(), revision, "routes need not be looked at anew for a lifetime");
    assert_eq!((addresses.expire(at(29)), addresses.next_timeout()), (Vec::new(), Some(at(30))));
    assert_eq!(addresses.expire(at(30)), [longer]);
    assert_eq!((addresses.is_local(ip("10.0.0.5")), addresses.next_timeout(), addresses.len()), (false, None, 1));
    assert!(addresses.is_local(ip("10.0.1.5")));
}

#[test]
fn only_networks_shorter_than_31_bits_have_a_broadcast_address() {
    let addresses = with(&[
        address("192.0.2.5/24"),
        address("198.51.100.5/30"),
        address("203.0.113.4/31"),
        address("203.0.113.9/32"),
        Address { detection: Detection::Running, ..address("10.0.0.5/24") },
    ]);
    for yes in ["255.255.255.255", "192.0.2.255", "198.51.100.7"] {
        assert!(addresses.is_broadcast(ip(yes)), "{yes}");
    }
    for no in
        ["192.0.2.0", "192.0.2.5", "203.0.113.5", "203.0.113.4", "203.0.113.9", "10.0.0.255", "0.0.0.0", "ff02::1"]
    {
        assert!(!addresses.is_broadcast(ip(no)), "{no}");
    }
    for (text, is_old) in [("192.0.2.0", true), ("198.51.100.4", true), ("203.0.113.4", false), ("192.0.2.255", false)]
    {
        assert_eq!(addresses.is_old_broadcast(ip(text)), is_old, "{text}");
    }
}

#[test]
fn a_prefix_without_the_flag_is_not_on_the_link() {
    let mut addresses = with(&[Address { on_link: false, origin: Origin::Router, ..address("2001:db8::5/64") }]);
    assert!(!addresses.is_connected(ip("2001:db8::6")));
    assert!(addresses.is_connected(ip("fe80::6")), "link-local is always on the link");
    assert!(!addresses.is_connected(ip("169.254.1.1")), "but not where there is no address of the family");
    let update = Address { origin: Origin::Router, ..address("2001:db8::5/64") };
    assert!(matches!(addresses.add(update), Ok(Added::Updated(_))));
    assert!(addresses.is_connected(ip("2001:db8::6")));
    assert!(!with(&[address("127.0.0.1/8"), address("::1/128")]).is_connected(ip("fe80::1")), "loopback has no link");
}

#[test]
fn addresses_that_no_host_can_have_are_not_added() {
    for text in [
        "0.0.0.0/0",
        "0.1.2.3/8",
        "224.0.0.1/24",
        "255.255.255.255/32",
        "192.0.2.255/24",
        "192.0.2.0/24",
        "::/64",
        "ff02::1/64",
        "::ffff:10.0.0.1/96",
    ] {
        assert_eq!(Addresses::default().add(address(text)), Err(AddAddressError::Invalid), "{text}");
    }
    for text in
        ["192.0.2.255/31", "192.0.2.0/32", "192.0.2.255/23", "127.0.0.1/8", "::1/128", "1.2.3.4/0", "240.0.0.1/4"]
    {
        assert_eq!(Addresses::default().add(address(text)), Ok(Added::New), "{text}");
    }
    let mut addresses = with(&[address("192.0.2.5/24")]);
    let lent = Address { origin: Origin::Dhcp, ..address("192.0.2.5/24") };
    assert_eq!(addresses.add(lent), Err(AddAddressError::InUse));
    assert_eq!(addresses.add(address("192.0.2.5/25")), Ok(Added::Updated(address("192.0.2.5/24"))));
    assert!(addresses.is_broadcast(ip("192.0.2.127")) && !addresses.is_broadcast(ip("192.0.2.255")));
}

#[test]
fn addresses_are_bounded_and_routers_cannot_displace_others() {
    let mut addresses = Addresses::new(8);
    let mut add = |origin: Origin, number: u16| {
        addresses.add(Address { origin, ..address(&std::format!("2001:db8:{number:x}::1/64")) })
    };
    assert_eq!([1, 2].map(|number| add(Origin::Router, number)), [Ok(Added::New); 2]);
    assert_eq!(add(Origin::Router, 3), Err(AddAddressError::Full));
    assert_eq!([4, 5, 6, 7, 8, 9].map(|number| add(Origin::Static, number)), [Ok(Added::New); 6]);
    assert_eq!(add(Origin::Static, 10), Err(AddAddressError::Full));
    assert!(add(Origin::Static, 9).is_ok(), "an update needs no room");
    assert_eq!(addresses.withdraw(Origin::Router).len(), 2);
    assert_eq!((addresses.len(), addresses.remove(ip("2001:db8:1::1"))), (6, None));
    assert!(addresses.remove(ip("2001:db8:4::1")).is_some() && !addresses.is_local(ip("2001:db8:4::1")));
    assert!(addresses.is_local(ip("2001:db8:9::1")));
}

#[test]
fn the_last_four_advertisers_are_remembered() {
    let mut advertisers = Advertisers::default();
    let router = |number| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number);
    for number in [1, 2, 2, 3, 4, 5] {
        advertisers.insert(router(number));
    }
    assert_eq!([1, 2, 3, 4, 5].map(|number| advertisers.contains(router(number))), [false, true, true, true, true]);
    let advertised = |advertisers| Address { advertisers, origin: Origin::Router, ..address("2001:db8::1/64") };
    let mut other = Advertisers::default();
    other.insert(router(6));
    let mut addresses = with(&[advertised(advertisers)]);
    assert!(matches!(addresses.add(advertised(other)), Ok(Added::Updated(_))));
    let known = addresses.find(ip("2001:db8::1")).expect("there").advertisers;
    assert!(known.contains(router(6)) && known.contains(router(5)) && !known.contains(router(2)));
}

#[test]
fn a_solicited_node_group_has_the_last_24_bits() {
    let IpAddr::V6(own) = ip("2001:db8::1:8012:3456") else { panic!("IPv6") };
    assert_eq!(IpAddr::V6(solicited_node(own)), ip("ff02::1:ff12:3456"));
}

#[test]
fn scopes_match_the_rfc() {
    for (text, scope) in [
        ("ff02::1", Scope::LINK_LOCAL),
        ("ff05::1", Scope::SITE_LOCAL),
        ("ff0e::1", Scope::GLOBAL),
        ("fe80::1", Scope::LINK_LOCAL),
        ("::1", Scope::LINK_LOCAL),
        ("fec0::1", Scope::SITE_LOCAL),
        ("fd00::1", Scope::GLOBAL),
        ("127.0.0.1", Scope::LINK_LOCAL),
        ("169.254.0.1", Scope::LINK_LOCAL),
        ("10.0.0.1", Scope::GLOBAL),
        ("100.64.0.1", Scope::GLOBAL),
    ] {
        assert_eq!(Scope::of(ip(text)), scope, "{text}");
    }
}

#[test]
fn lookups_agree_with_a_linear_search() {
    let mut random = Random::new([3; 32]);
    let (mut addresses, mut model) = (Addresses::default(), Vec::<Address>::new());
    for _ in 0..5000 {
        let text = std::format!("10.0.{}.{}", random.below(3), random.below(20) + 1);
        let length = u8::try_from(24 + random.below(9)).expect("small");
        let new = Address {
            valid_until: Some(at(random.below(100).into())),
            ..Address::new(IpCidr::new(ip(&text).into(), length), Origin::Dhcp)
        };
        match random.below(3) {
            0 => {
                assert_eq!(addresses.remove(ip(&text)).is_some(), model.iter().any(|it| it.address() == ip(&text)));
                model.retain(|known| known.address() != ip(&text));
            }
            1 | 2 => match addresses.add(new) {
                Ok(Added::New) => model.push(new),
                Ok(Added::Updated(before)) => {
                    *model.iter_mut().find(|known| **known == before).expect("it was there") = new;
                }
                Err(error) => assert!(error == AddAddressError::Invalid || model.len() == DEFAULT_LIMIT),
            },
            _ => unreachable!(),
        }
        assert!(addresses.iter().eq(&model));
        assert_eq!(addresses.next_timeout(), model.iter().filter_map(|known| known.valid_until).min());
        let probe = ip(&std::format!("10.0.{}.{}", random.below(3), random.below(34)));
        assert_eq!(addresses.is_local(probe), model.iter().any(|known| known.address() == probe));
        let is_last = |known: &Address| {
            let IpCidr::Ipv4(cidr) = known.cidr else { return false };
            cidr.broadcast().is_some_and(|last| IpAddr::V4(last) == probe)
        };
        assert_eq!(addresses.is_broadcast(probe), model.iter().any(is_last), "{probe}");
    }
}
