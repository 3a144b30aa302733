//! Addresses that other hosts have already (RFC 4862 section 5.4).

use super::*;

#[test]
fn an_address_that_somebody_has_is_not_taken() {
    // Another world with the same seed forms the same address.
    let first = made(&settled(), LINK);
    let target = v6(first);
    let answer = NdiscRepr::NeighborAdvert { flags: NdiscNeighborFlags::OVERRIDE, target_addr: target, lladdr: None };
    let rival = NdiscRepr::NeighborSolicit { target_addr: target, lladdr: None };
    for frame in [ndisc(target, answer), ndisc(Ipv6Addr::UNSPECIFIED, rival)] {
        let world = host();
        world.server.send(&frame);
        world.advance(5);
        // The host tries another identifier (RFC 7217 section 6).
        assert_eq!(networks(&world), [LINK]);
        assert_ne!(own(&world), [first]);
        assert!(matches!(world.changes()[1], Change::AddressConflict { address, .. } if address == first.address()));
    }
    // These messages are no conflicts: solicitations by another host for the address's owner, about another target, or
    // to all nodes.
    let other = NdiscRepr::NeighborSolicit { target_addr: "fe80::1".parse().unwrap(), lladdr: None };
    let mut to_all = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &target.octets()].concat();
    to_all = frame(Ipv6Addr::UNSPECIFIED, ALL_NODES, 255, &to_all);
    for frame in [ndisc(Ipv6Addr::UNSPECIFIED, other), ndisc(ROUTER, rival), to_all] {
        let world = host();
        world.server.send(&frame);
        world.advance(5);
        assert_eq!(own(&world), [first]);
    }
}

/// RFC 7527: detection of looped-back probes.
#[test]
fn a_probe_that_comes_back_takes_nothing_away() {
    let world = host();
    world.simulation.advance(Duration::from_millis(1200));
    let probes = discovery(&world);
    let [(SOLICITATION, probe)] = &probes[..] else { panic!("{probes:?}") };
    world.server.send(probe);
    world.advance(5);
    assert_eq!(own(&world), [made(&settled(), LINK)]);
    assert!(!world.changes().iter().any(|change| matches!(change, Change::AddressConflict { .. })));
}

#[test]
fn where_somebody_has_all_that_is_tried_there_is_none_until_the_link_is_back() {
    let world = host();
    let mut tried = Vec::new();
    for _ in 0..200 {
        world.simulation.advance(Duration::from_millis(100));
        for (kind, frame) in discovery(&world) {
            assert_eq!(kind, SOLICITATION, "nobody is asked in another's name");
            // The target address follows the Ethernet and IPv6 headers and eight octets of the message.
            let target = Ipv6Addr::from_octets(frame[14 + 40 + 8..][..16].try_into().unwrap());
            tried.push(target);
            let answer =
                NdiscRepr::NeighborAdvert { flags: NdiscNeighborFlags::OVERRIDE, target_addr: target, lladdr: None };
            world.server.send(&ndisc(target, answer));
        }
    }
    assert_eq!((tried.len(), own(&world)), (4, vec![]));
    world.cable.set_link(Link::Down);
    world.advance(1);
    world.cable.set_link(Link::Up);
    world.advance(5);
    assert_eq!(own(&world).iter().map(|cidr| v6(*cidr)).collect::<Vec<_>>(), [tried[0]]);
    assert!(router_solicitations(&world) > 0);
}
