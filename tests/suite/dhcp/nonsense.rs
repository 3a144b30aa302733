//! Leases that make no sense, and messages that are not leases.

use std::net::Ipv4Addr;

use proptest::collection::vec;
use proptest::prelude::*;
use smoltcp::wire::EthernetAddress;
use xila_network_host::interface::DhcpState;

use super::World;
use super::server::{Terms, datagram};

/// Asserts that a bad lease is refused: it is counted, never applied, and the client asks again but not at once; a good
/// lease is accepted afterwards.
fn assert_refused(what: &str, change: impl FnOnce(&mut Terms)) {
    let world = World::with(World::ipv4());
    world.serve(|server| change(&mut server.terms));
    world.changes();
    world.interface.set_dhcp(true).unwrap();
    world.advance(60);
    let status = world.interface.dhcp();
    assert_eq!((status.state, world.changes().len()), (DhcpState::Searching, 1), "{what}");
    assert!((1..=6).contains(&status.refused), "{what}: {} times", status.refused);
    world.assert_nothing_lent();
    world.serve(|server| server.terms = Terms::default());
    world.advance(120);
    assert_eq!(world.state(), DhcpState::Bound, "{what}");
}

#[test]
fn a_lease_with_nonsense_is_refused() {
    let bad = [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [255, 255, 255, 255], [240, 0, 0, 1], [10, 9, 0, 255]];
    for bad in bad.map(Ipv4Addr::from) {
        assert_refused(&format!("address {bad}"), |terms| terms.address = bad);
        assert_refused(&format!("router {bad}"), |terms| terms.routers = vec![bad]);
    }
    assert_refused("its own server", |terms| {
        terms.address = terms.server;
        terms.routers.clear();
    });
    assert_refused("its own router", |terms| terms.routers = vec![terms.address]);
    for mask in [[0, 0, 0, 0], [255, 0, 255, 0], [0, 255, 255, 255]].map(Ipv4Addr::from) {
        assert_refused(&format!("mask {mask}"), |terms| terms.mask = Some(mask));
    }
    assert_refused("no mask", |terms| terms.mask = None);
    assert_refused("no time", |terms| terms.times = [Some(0), None, None]);
    assert_refused("no server", |terms| terms.server = Ipv4Addr::UNSPECIFIED);
}

#[test]
fn a_renewal_with_nonsense_is_refused_and_the_lease_stays_until_it_runs_out() {
    let world = World::bound();
    world.serve(|server| server.terms.routers = vec![Ipv4Addr::UNSPECIFIED]);
    world.advance(990);
    assert_eq!((world.changes(), world.state()), (vec![], DhcpState::Bound));
    assert!(world.interface.dhcp().refused > 0);
    world.advance(10);
    assert_eq!(world.state(), DhcpState::Searching);
    world.assert_nothing_lent();
}

#[test]
fn garbage_to_the_client_is_dropped() {
    for world in [World::bound(), World::with(xila_network_host::InterfaceConfig::default())] {
        let hardware = EthernetAddress(world.interface.hardware_address().unwrap().octets());
        let state = world.state();
        let dropped = world.interface.statistics().received.dropped;
        for length in [0, 1, 8, 235, 236, 240, 300, 1400] {
            for to in [Ipv4Addr::BROADCAST, [10, 9, 0, 50].into()] {
                world.server.send(&datagram(hardware, ([10, 9, 0, 1].into(), 67), (to, 68), &vec![0xa5; length]));
                world.advance(1);
            }
        }
        assert_eq!((world.state(), world.interface.dhcp().refused), (state, 0));
        if state == DhcpState::Bound {
            assert_eq!(world.interface.statistics().received.dropped - dropped, 16);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// The client survives any answer of the servers, and then accepts a good lease.
    #[test]
    fn no_answer_ends_the_client(
        changes in vec((0..330usize, any::<u8>()), 1..6),
        tail in vec(any::<u8>(), 0..64),
        cut in 0..500usize,
        times in any::<[Option<u32>; 3]>(),
    ) {
        let world = World::with(xila_network_host::InterfaceConfig::default());
        world.serve(|server| {
            server.terms.times = times;
            server.mangler = Some(Box::new(move |payload| {
                for (at, value) in &changes {
                    if let Some(byte) = payload.get_mut(*at) {
                        *byte = *value;
                    }
                }
                payload.extend(&tail);
                payload.truncate(cut.max(100));
            }));
        });
        world.interface.set_dhcp(true).unwrap();
        world.advance(300);
        if let Some(lease) = world.interface.dhcp().lease {
            prop_assert!(!lease.address.address().is_multicast() && lease.address.prefix() > 0);
        }
        world.interface.set_dhcp(false).unwrap();
        world.serve(|server| (server.terms, server.mangler) = (Terms::default(), None));
        world.interface.set_dhcp(true).unwrap();
        world.advance(120);
        prop_assert_eq!(world.state(), DhcpState::Bound);
    }
}
