//! What an interface remembers from the previous run (hardware address, lease, IPv6 identifiers), as seen by its
//! network.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use smoltcp::wire::DhcpMessageType::{self, Discover, Release, Request};
use xila_network_host::address::MacAddress;
use xila_network_host::interface::{DhcpState, Link};
use xila_network_host::platform::Platform;
use xila_network_host::platform::memory::{Memory as _, Volatile};
use xila_network_host::{Interface, InterfaceConfig, Manager};

use super::World;
use super::server::Answer;
use super::world::cidr;

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 50);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 51);

/// A run of a host on the segment of a world. The run lasts until its manager is dropped.
struct Run {
    manager: Manager,
    interface: Interface,
}

/// A world whose own host sends nothing.
fn world() -> World {
    World::with(World::ipv4())
}

fn dhcp() -> InterfaceConfig {
    InterfaceConfig { dhcp: true, ..World::ipv4() }
}

impl Run {
    fn new(world: &World, memory: &Volatile, config: InterfaceConfig) -> Self {
        let platform = Platform { memory: Some(Arc::new(memory.clone())), ..world.simulation.platform() };
        let manager = Manager::without_loopback(platform);
        let interface = manager.mount_interface("eth0", world.hub.port(), config).unwrap();
        Self { manager, interface }
    }

    /// Like [`new`](Self::new), and then lets one second pass.
    fn begun(world: &World, memory: &Volatile, config: InterfaceConfig) -> Self {
        let run = Self::new(world, memory, config);
        world.advance(1);
        run
    }

    fn hardware_address(&self) -> MacAddress {
        self.interface.hardware_address().unwrap()
    }

    fn address(&self) -> Option<IpAddr> {
        self.interface.dhcp().lease.map(|lease| lease.address.address())
    }
}

/// The messages that the server has received: the type of each, and the requested address.
fn heard(world: &World) -> Vec<(DhcpMessageType, Option<Ipv4Addr>)> {
    world.server.heard().into_iter().map(|heard| (heard.kind, heard.requested)).collect()
}

#[test]
fn after_a_run_that_was_killed_the_next_verifies_its_lease_and_looks_for_no_other() {
    let (world, memory) = (world(), Volatile::default());
    let first = Run::begun(&world, &memory, dhcp());
    assert_eq!(heard(&world), [(Discover, None), (Request, Some(FIRST))]);
    let killed = memory.snapshot();
    let hardware_address = first.hardware_address();
    first.manager.unmount_interface("eth0").unwrap();
    world.advance(1);
    world.server.heard();
    let second = Run::begun(&world, &killed, dhcp());
    assert_eq!((second.hardware_address(), second.address()), (hardware_address, Some(FIRST.into())));
    assert_eq!(heard(&world), [(Request, Some(FIRST))]);
}

/// The next run must not try to verify the released lease: a server that does not know a lease may stay silent, and the
/// attempt would cost ten seconds.
#[test]
fn a_run_that_has_ended_has_given_its_lease_back_and_the_next_asks_for_the_same_address() {
    let (world, memory) = (world(), Volatile::default());
    let first = Run::begun(&world, &memory, dhcp());
    let hardware_address = first.hardware_address();
    drop(first);
    world.advance(1);
    assert_eq!(heard(&world).last(), Some(&(Release, None)));
    let second = Run::begun(&world, &memory, dhcp());
    assert_eq!((second.hardware_address(), second.address()), (hardware_address, Some(FIRST.into())));
    assert_eq!(heard(&world), [(Discover, Some(FIRST)), (Request, Some(FIRST))]);
}

#[test]
fn a_remembered_lease_that_the_server_refuses_leads_to_another() {
    let (world, memory) = (world(), Volatile::default());
    let killed = {
        let _first = Run::begun(&world, &memory, dhcp());
        memory.snapshot()
    };
    world.advance(1);
    world.server.heard();
    world.serve(|server| server.answer = Answer::Refuse);
    let second = Run::new(&world, &killed, dhcp());
    // There and back takes 2 ms.
    world.simulation.advance(Duration::from_millis(2));
    world.serve(|server| (server.answer, server.terms.address) = (Answer::Grant, SECOND));
    world.advance(1);
    assert_eq!(heard(&world), [(Request, Some(FIRST)), (Discover, None), (Request, Some(SECOND))]);
    assert_eq!(second.address(), Some(SECOND.into()));
    let third = killed.snapshot();
    drop(second);
    world.advance(1);
    world.server.heard();
    let third = Run::begun(&world, &third, dhcp());
    assert_eq!((heard(&world), third.address()), (vec![(Request, Some(SECOND))], Some(SECOND.into())));
}

/// Otherwise both runs would be the same host to their network.
#[test]
fn of_two_runs_at_once_the_second_is_another_host_and_leaves_the_record_alone() {
    let (world, memory) = (world(), Volatile::default());
    let first = Run::begun(&world, &memory, dhcp());
    let stored = memory.stored("eth0");
    world.serve(|server| server.terms.address = SECOND);
    let second = Run::begun(&world, &memory, dhcp());
    assert_ne!(second.hardware_address(), first.hardware_address());
    assert_eq!((first.address(), second.address()), (Some(FIRST.into()), Some(SECOND.into())));
    drop(second);
    world.advance(1);
    assert_eq!(memory.stored("eth0"), stored);
    let hardware_address = first.hardware_address();
    drop(first);
    assert_eq!(Run::new(&world, &memory, dhcp()).hardware_address(), hardware_address);
}

#[test]
fn ipv6_addresses_are_the_same_in_the_next_run_where_it_is_remembered() {
    let (world, memory) = (world(), Volatile::default());
    let link_local = |memory: &Volatile| {
        let run = Run::new(&world, memory, InterfaceConfig::default());
        world.advance(5);
        let addresses = run.interface.addresses();
        let [address] = &addresses[..] else { panic!("{addresses:?}") };
        *address
    };
    let first = link_local(&memory);
    assert_eq!(link_local(&memory), first);
    assert_ne!(link_local(&Volatile::default()), first);
}

/// The key that the interface identifiers are derived from is remembered too, whatever the hardware address is.
#[test]
fn ipv6_addresses_are_the_same_where_somebody_sets_the_hardware_address() {
    let (world, memory) = (world(), Volatile::default());
    let set: MacAddress = "02:00:00:00:00:17".parse().unwrap();
    let link_local = |memory: &Volatile| {
        let config = InterfaceConfig { hardware_address: Some(set), ..InterfaceConfig::default() };
        let run = Run::new(&world, memory, config);
        world.advance(5);
        assert_eq!(run.hardware_address(), set);
        run.interface.addresses()
    };
    let first = link_local(&memory);
    assert_eq!((link_local(&memory), first.len()), (first.clone(), 1));
    assert_ne!(link_local(&Volatile::default()), first);
}

/// A lease belongs to the hardware address: a server refuses it to a client with another one.
#[test]
fn a_hardware_address_that_somebody_sets_is_not_remembered_and_has_no_other_ones_lease() {
    let (world, memory) = (world(), Volatile::default());
    let drawn = Run::begun(&world, &memory, dhcp()).hardware_address();
    world.advance(1);
    world.server.heard();
    let set: MacAddress = "02:00:00:00:00:17".parse().unwrap();
    let run = Run::begun(&world, &memory, InterfaceConfig { hardware_address: Some(set), ..dhcp() });
    assert_eq!(run.hardware_address(), set);
    assert_eq!(heard(&world), [(Discover, None), (Request, Some(FIRST))]);
    drop(run);
    world.advance(1);
    let run = Run::begun(&world, &memory, dhcp());
    assert_eq!(run.hardware_address(), drawn);
}

#[test]
fn nothing_is_remembered_of_an_interface_that_does_not_want_it() {
    let (world, memory) = (world(), Volatile::default());
    let config = || InterfaceConfig { remembered: false, ..dhcp() };
    let first = Run::begun(&world, &memory, config()).hardware_address();
    assert_ne!(Run::begun(&world, &memory, config()).hardware_address(), first);
    assert_eq!(memory.stored("eth0"), None);
    assert!(memory.open("eth0").unwrap().is_some(), "it was never taken");
}

#[test]
fn a_record_that_is_damaged_is_as_none() {
    let (world, memory) = (world(), Volatile::default());
    memory
        .open("eth0")
        .unwrap()
        .unwrap()
        .store(b"xila-network interface 1\nhardware-address 01:00:5e:00:00:01\n")
        .unwrap();
    let first = Run::begun(&world, &memory, dhcp());
    assert_eq!((first.interface.dhcp().state, first.address()), (DhcpState::Bound, Some(FIRST.into())));
    assert!(first.hardware_address().octets()[0] & 1 == 0 && first.interface.link() == Link::Up);
    let hardware_address = first.hardware_address();
    drop(first);
    world.advance(1);
    assert_eq!(Run::begun(&world, &memory, dhcp()).hardware_address(), hardware_address);
}

/// As soon as an interface name is free again it can be mounted, also within the same process.
#[test]
fn an_interface_that_is_mounted_again_is_the_same_host_although_somebody_has_a_handle_to_the_old_one() {
    let (world, memory) = (world(), Volatile::default());
    let run = Run::begun(&world, &memory, dhcp());
    let hardware_address = run.hardware_address();
    run.manager.unmount_interface("eth0").unwrap();
    let again = run.manager.mount_interface("eth0", world.hub.port(), dhcp()).unwrap();
    assert_eq!(again.hardware_address(), Some(hardware_address));
    assert_eq!(run.interface.name(), again.name());
    world.advance(1);
    let lease = again.dhcp().lease.unwrap();
    assert_eq!(lease.address, cidr("10.9.0.50/24"));
}
