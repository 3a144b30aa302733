//! Temporary addresses (RFC 8981).

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;
use std::vec::Vec;

use super::bench::{Host, OTHER, OWN, PEER, PEER_LOCAL, Sent, seconds};
use super::write::{self, prefix, router_advertisement};
use crate::ip::addresses::{Address, Detection, Origin, State};
use crate::link::ndp::Solicitation;

const DAY: u64 = 86_400;
const NETWORK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 0);
const BEYOND: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 1);

/// A host that listens to routers and wants temporary addresses.
fn private() -> Host {
    let mut host = Host::bare();
    host.with(|engine, now, _| {
        engine.interface_mut().set_link_local(true, now);
        engine.set_temporary_addresses(true, now);
        engine.set_autoconfiguration(true, now);
    });
    host.act();
    host.settle();
    host
}

/// The option of a prefix with these lifetimes in seconds.
fn lasting(network: Ipv6Addr, valid: u32, preferred: u32) -> Vec<u8> {
    let mut option = prefix(network);
    option[4..8].copy_from_slice(&valid.to_be_bytes());
    option[8..12].copy_from_slice(&preferred.to_be_bytes());
    option
}

fn advertise(host: &mut Host, options: &[u8]) {
    host.receive(&router_advertisement(PEER, PEER_LOCAL, 0, 1800, options));
}

fn temporary(host: &Host) -> Vec<Address> {
    host.engine.interface().addresses().iter().filter(|known| known.temporary).copied().collect()
}

fn stable(host: &Host) -> Vec<Address> {
    let addresses = host.engine.interface().addresses().iter();
    addresses.filter(|known| known.origin == Origin::Router && !known.temporary).copied().collect()
}

fn preferred(host: &Host) -> Vec<Address> {
    temporary(host).into_iter().filter(|known| known.state(host.now) == State::Preferred).collect()
}

fn v6(address: &Address) -> Ipv6Addr {
    let IpAddr::V6(address) = address.address() else { panic!("{address:?}") };
    address
}

/// What lasts from now on.
fn left(host: &Host, until: Option<crate::time::Instant>) -> Duration {
    until.expect("an end") - host.now
}

#[test]
fn there_are_none_unless_it_is_said() {
    let mut host = Host::bare();
    host.with(|engine, now, _| {
        engine.interface_mut().set_link_local(true, now);
        engine.set_autoconfiguration(true, now);
    });
    host.settle();
    advertise(&mut host, &prefix(NETWORK));
    host.advance(seconds(3));
    assert_eq!((temporary(&host).len(), stable(&host).len()), (0, 1));
    host.with(|engine, now, _| engine.set_temporary_addresses(true, now));
    host.act();
    host.advance(seconds(3));
    assert_eq!((preferred(&host).len(), stable(&host).len()), (1, 1));
    host.with(|engine, now, _| engine.set_temporary_addresses(false, now));
    host.act();
    assert_eq!((temporary(&host).len(), stable(&host).len()), (0, 1));
}

#[test]
fn a_random_address_is_made_beside_the_stable_one_probed_for_and_spoken_from() {
    let mut host = private();
    advertise(&mut host, &prefix(NETWORK));
    let ([temporary], [stable]) = (&temporary(&host)[..], &stable(&host)[..]) else { panic!() };
    assert_eq!((temporary.detection, temporary.on_link), (Detection::Running, false));
    assert_eq!(v6(temporary).segments()[..4], NETWORK.segments()[..4]);
    assert_ne!(temporary.address(), stable.address());
    host.advance(seconds(3));
    let sent = host.sent();
    let probes: Vec<Ipv6Addr> = sent.iter().filter_map(Sent::solicitation).map(|probe| probe.target).collect();
    assert!(probes.contains(&v6(temporary)) && probes.contains(&v6(stable)), "{probes:?}");
    assert!(host.has(temporary.address()));
    let now = host.now;
    let source = host.engine.interface_mut().source_for(BEYOND.into(), now);
    assert_eq!(source, Some(temporary.address()), "RFC 6724 rule 7");
    // In the same network it is not known again, but by who knows its stable address.
    host.with(|engine, now, _| engine.set_temporary_addresses(false, now));
    host.with(|engine, now, _| engine.set_temporary_addresses(true, now));
    host.act();
    assert_ne!(self::temporary(&host)[0].address(), temporary.address());
    assert_eq!(self::stable(&host)[0].address(), stable.address());
}

#[test]
fn each_is_used_for_a_day_and_the_next_one_is_there_before_that_is_over() {
    let mut host = private();
    advertise(&mut host, &lasting(NETWORK, u32::MAX, u32::MAX));
    host.advance(seconds(3));
    let (mut seen, mut most) = (Vec::new(), 0);
    for _ in 0..20 * 24 {
        let current = preferred(&host);
        let [address] = current[..] else { panic!("{current:?}") };
        let (used, valid) = (left(&host, address.preferred_until), left(&host, address.valid_until));
        assert!(used <= seconds(DAY) && valid <= seconds(2 * DAY), "RFC 8981 section 3.8");
        if seen.last() != Some(&address.address()) {
            // As long as it is deprecated it is valid, for what goes on from it: a day, and what it was used shorter.
            assert!(valid - used >= seconds(DAY) && used >= seconds(DAY * 6 / 10 - 3600), "{used:?}");
            seen.push(address.address());
        }
        most = most.max(temporary(&host).len());
        host.advance(seconds(3600));
    }
    assert!((21..=33).contains(&seen.len()), "{}", seen.len());
    assert!((2..=4).contains(&most), "{most}");
    let mut all = seen.clone();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), seen.len(), "none comes again");
    assert!(!host.has(seen[0]) && stable(&host).len() == 1);
}

#[test]
fn none_is_without_one_that_is_preferred_for_a_moment() {
    let mut host = private();
    advertise(&mut host, &lasting(NETWORK, u32::MAX, u32::MAX));
    host.advance(seconds(3));
    let first = preferred(&host)[0];
    host.advance(left(&host, first.preferred_until) - seconds(1));
    for _ in 0..4 {
        assert!(!preferred(&host).is_empty());
        host.advance(seconds(1) / 2);
    }
    assert_eq!(preferred(&host).len(), 1);
    assert_ne!(preferred(&host)[0].address(), first.address());
}

#[test]
fn they_last_no_longer_than_their_prefix_and_as_long_as_it_is_advertised() {
    let mut host = private();
    advertise(&mut host, &lasting(NETWORK, 10_000, 100));
    host.advance(seconds(3));
    let first = preferred(&host)[0];
    assert_eq!((left(&host, first.preferred_until), left(&host, first.valid_until)), (seconds(97), seconds(9997)));
    host.advance(seconds(90));
    advertise(&mut host, &lasting(NETWORK, 10_000, 100));
    assert_eq!(temporary(&host).len(), 1);
    assert_eq!(left(&host, temporary(&host)[0].preferred_until), seconds(100), "it is the same for longer");
    host.advance(seconds(200));
    assert_eq!((temporary(&host).len(), preferred(&host).len()), (1, 0), "no other is made of a deprecated prefix");
    host.advance(seconds(9801));
    assert_eq!((temporary(&host).len(), stable(&host).len()), (0, 0));
    // One that would be deprecated at once is not made.
    advertise(&mut host, &lasting(NETWORK, 10_000, 5));
    assert_eq!((temporary(&host).len(), stable(&host).len()), (0, 1));
    advertise(&mut host, &lasting(NETWORK, 10_000, 100));
    assert_eq!(temporary(&host).len(), 1);
}

#[test]
fn another_is_tried_where_somebody_has_it_and_after_three_none() {
    let mut host = private();
    advertise(&mut host, &prefix(NETWORK));
    let mut tried = Vec::new();
    for _ in 0..6 {
        if let Some(tentative) = temporary(&host).first().filter(|known| known.detection == Detection::Running) {
            tried.push(tentative.address());
            host.receive(&write::solicitation((OWN, OTHER), &Solicitation::probe(v6(tentative), None)));
        }
    }
    assert_eq!((tried.len(), temporary(&host).len()), (3, 0), "RFC 8981 section 3.4 point 6");
    host.advance(seconds(2 * DAY));
    advertise(&mut host, &prefix(NETWORK));
    assert_eq!((temporary(&host).len(), stable(&host).len()), (0, 1));
    // In another network it is tried again.
    let other = Ipv6Addr::new(0x2001, 0xdb8, 8, 0, 0, 0, 0, 0);
    advertise(&mut host, &prefix(other));
    host.advance(seconds(3));
    assert_eq!(preferred(&host).len(), 1);
}

#[test]
fn one_that_was_used_and_is_found_to_be_anothers_is_replaced() {
    let mut host = private();
    advertise(&mut host, &prefix(NETWORK));
    host.advance(seconds(3));
    let used = preferred(&host)[0];
    host.with(|engine, now, _| engine.resume(now));
    host.act();
    host.receive(&write::solicitation((OWN, OTHER), &Solicitation::probe(v6(&used), None)));
    host.advance(seconds(3));
    assert!(!host.has(used.address()));
    assert_eq!(preferred(&host).len(), 1);
}

#[test]
fn they_go_with_the_network_and_are_bounded() {
    let mut host = private();
    for number in 0..40 {
        let network = Ipv6Addr::new(0x2001, 0xdb8, 100 + number, 0, 0, 0, 0, 0);
        advertise(&mut host, &lasting(network, u32::MAX, u32::MAX));
    }
    host.advance(seconds(10 * DAY));
    assert_eq!((temporary(&host).len(), stable(&host).len()), (8, 8));
    host.with(|engine, now, _| engine.set_autoconfiguration(false, now));
    host.act();
    assert_eq!((temporary(&host).len(), stable(&host).len()), (0, 0));
    assert_eq!(host.engine.interface().addresses().len(), 1);
}
