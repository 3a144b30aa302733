//! Conflicts: other hosts that use this host's addresses.

use core::time::Duration;
use std::vec::Vec;

use super::bench::{Host, OWN, PEER, PEER_V4, Sent, V4, V6, seconds};
use super::write;
use crate::interface::{Change, Conflict};
use crate::link::arp::Arp;
use crate::link::ndp::{Advertisement, all_nodes};

fn conflicts(host: &Host) -> Vec<Conflict> {
    let conflict = |change| if let Change::AddressConflict(conflict) = change { Some(conflict) } else { None };
    host.changes().into_iter().filter_map(conflict).collect()
}

fn announcements(sent: &[Sent]) -> usize {
    sent.iter().filter(|frame| frame.arp() == Some(Arp::announcement(OWN, V4))).count()
}

#[test]
fn a_static_address_that_another_host_claims_is_defended_reported_and_kept() {
    let mut host = Host::acquainted();
    let claims = [Arp::announcement(PEER, V4), Arp::request(PEER, V4, PEER_V4), Arp::request(OWN, V4, V4).reply(PEER)];
    for claim in claims {
        host.receive(&write::arp(&claim));
    }
    assert_eq!(announcements(&host.sent()), 1, "RFC 5227 section 2.4 (c)");
    assert_eq!(conflicts(&host), [Conflict { address: V4.into(), hardware: PEER, is_lost: false }]);
    host.advance(seconds(10));
    host.sent();
    host.receive(&write::arp(&claims[0]));
    assert_eq!((announcements(&host.sent()), conflicts(&host).len()), (1, 2), "DEFEND_INTERVAL later");
    for _ in 0..100 {
        host.advance(Duration::from_millis(100));
        host.receive(&write::arp(&claims[1]));
    }
    assert!(host.has(V4.into()));
    assert_eq!(host.neighbour(V4.into()), None);
}

#[test]
fn another_host_that_advertises_an_address_of_this_host_is_reported() {
    let mut host = Host::acquainted();
    let claim = Advertisement::announcement(V6, PEER);
    let expected = [Conflict { address: V6.into(), hardware: PEER, is_lost: false }];
    host.receive(&write::advertisement((OWN, PEER), V6, all_nodes(), &claim));
    assert_eq!(conflicts(&host), expected);
    let from_elsewhere = core::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    host.receive(&write::advertisement((OWN, PEER), from_elsewhere, all_nodes(), &claim));
    assert_eq!(conflicts(&host), expected, "told of once in a while");
    host.advance(seconds(10));
    host.receive(&write::advertisement((OWN, PEER), from_elsewhere, all_nodes(), &claim));
    assert_eq!(conflicts(&host).len(), 2);
    assert!(host.has(V6.into()));
    assert_eq!(host.neighbour(V6.into()), None);
}

#[test]
fn messages_of_this_host_itself_are_no_conflict() {
    let mut host = Host::new();
    host.receive(&write::arp(&Arp::announcement(OWN, V4)));
    let own = Advertisement::announcement(V6, OWN);
    let elsewhere = core::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    host.receive(&write::advertisement((OWN, OWN), elsewhere, all_nodes(), &own));
    assert_eq!((host.sent(), conflicts(&host)), (Vec::new(), Vec::new()));
}

#[test]
fn a_static_address_is_kept_even_if_another_host_speaks_first() {
    let mut host = Host::bare();
    let address = crate::ip::addresses::Address::new(
        smoltcp::wire::IpCidr::new(V4.into(), 24),
        crate::ip::addresses::Origin::Static,
    );
    let now = host.now;
    let interface = host.engine.interface_mut();
    interface.add_address(address, crate::interface::Verification::None, now).expect("room");
    host.receive(&write::arp(&Arp::announcement(PEER, V4)));
    host.receive(&write::arp(&Arp::probe(PEER, V4)));
    assert!(host.has(V4.into()));
    host.settle();
    host.engine.link_down(host.now);
    host.engine.link_up(host.now);
    host.receive(&write::arp(&Arp::probe(PEER, V4)));
    host.receive(&write::arp(&Arp::announcement(PEER, V4)));
    assert!(host.has(V4.into()));
}
