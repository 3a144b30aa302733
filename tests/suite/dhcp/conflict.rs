//! Address conflicts: the DHCP server lends an address that another host already uses.

use std::net::Ipv4Addr;

use smoltcp::wire::DhcpMessageType::{Decline, Discover, Request};
use xila_network_host::interface::{Change, DhcpState, Origin};

use super::World;
use super::world::cidr;

/// The address that the server lends.
const LENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 50);

/// A host that asks for a lease on a segment where the station owns the `taken` addresses.
fn world(taken: impl IntoIterator<Item = Ipv4Addr>) -> World {
    let world = World::with(World::ipv4());
    world.serve(|server| server.taken = taken.into_iter().collect());
    world.changes();
    world.interface.set_dhcp(true).unwrap();
    world
}

/// RFC 2131 section 3.1 point 5.
#[test]
fn an_address_that_somebody_has_is_declined_and_nothing_of_its_lease_is_ever_used() {
    let world = world([LENT]);
    world.advance(9);
    let heard: Vec<_> = world.server.heard().into_iter().map(|heard| (heard.kind, heard.requested)).collect();
    assert_eq!(heard, [(Discover, None), (Request, Some(LENT)), (Decline, Some(LENT))]);
    let changes = world.changes();
    let [Change::Dhcp(DhcpState::Searching), Change::AddressConflict { address, by }] = &changes[..] else {
        panic!("{changes:?}")
    };
    assert_eq!((address.to_string(), by.to_string()), (LENT.to_string(), "02:00:00:00:00:66".to_owned()));
    assert_eq!(world.state(), DhcpState::Searching);
    world.assert_nothing_lent();
    world.serve(|server| server.terms.address = Ipv4Addr::new(10, 9, 0, 51));
    world.advance(2);
    assert_eq!((world.state(), world.addresses(Origin::Dhcp)[0].cidr), (DhcpState::Bound, cidr("10.9.0.51/24")));
}

/// RFC 5227 section 2.1.1: the first ten attempts are ten seconds apart, the later ones one minute.
#[test]
fn where_somebody_has_every_address_they_are_tried_ever_more_slowly() {
    let world = world([LENT]);
    world.advance(600);
    let heard = world.server.heard();
    let declined: Vec<u64> =
        heard.iter().filter(|heard| heard.kind == Decline).map(|heard| heard.at.since_origin().as_secs()).collect();
    let waits: Vec<u64> = declined.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits[..9].iter().all(|wait| (10..=11).contains(wait)), "{waits:?}");
    assert!(waits.len() > 14 && waits[9..].iter().all(|wait| (60..=61).contains(wait)), "{waits:?}");
    world.assert_nothing_lent();
    world.serve(|server| server.taken.clear());
    world.advance(61);
    assert_eq!(world.state(), DhcpState::Bound);
}

#[test]
fn a_lease_that_is_extended_is_not_asked_for_on_the_link_again() {
    let world = World::bound();
    // The address has been announced by then.
    world.advance(10);
    world.server.frames();
    world.advance(405);
    assert_eq!(world.changes(), [Change::Dhcp(DhcpState::Bound)]);
    assert_eq!(super::server::arp_requests(&world.server.frames(), LENT), 0);
}
