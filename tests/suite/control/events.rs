//! Watchers get each change once and in order; a watcher that does not read delays nothing else.

use std::time::Duration;

use xila_network_host::address::Route;
use xila_network_host::interface::{Change, Event, Link, Notice, State, Watch};
use xila_network_host::socket::UdpSocket;

use super::*;

fn drain(watch: &mut Watch) -> Vec<Change> {
    std::iter::from_fn(|| watch.try_next())
        .map(|notice| match notice {
            Notice::Changed(Event { interface, change }) => {
                assert_eq!(interface, "eth0");
                change
            }
            Notice::Lost(lost) => panic!("{lost} events were lost"),
        })
        .collect()
}

#[test]
fn every_change_is_reported_once_and_in_order() {
    let world = World::new();
    let eth0 = world.interface();
    let mut watch = eth0.watch();
    let cidr = "10.0.0.9/24".parse().unwrap();
    let route = Route::default_via("10.0.0.254".parse().unwrap()).unwrap();
    let better = Route::default_via("10.0.0.253".parse().unwrap()).unwrap();
    let server = "10.0.0.53".parse().unwrap();
    let mac = "02:00:00:00:00:99".parse().unwrap();
    eth0.add_address(cidr).unwrap();
    eth0.add_route(route).unwrap();
    eth0.add_route(better).unwrap();
    eth0.add_dns_server(server).unwrap();
    eth0.set_mtu(1400).unwrap();
    eth0.set_hardware_address(mac).unwrap();
    eth0.set_state(State::Down);
    eth0.set_state(State::Up);
    eth0.remove_dns_server(server).unwrap();
    eth0.remove_route(better).unwrap();
    eth0.remove_address(cidr).unwrap();
    let expected = [
        Change::AddressAdded(cidr),
        Change::RouteAdded(route),
        Change::RouteRemoved(route),
        Change::RouteAdded(better),
        Change::DnsServerAdded(server),
        Change::Mtu(1400),
        Change::HardwareAddress(mac),
        Change::State(State::Down),
        Change::State(State::Up),
        Change::DnsServerRemoved(server),
        Change::RouteRemoved(better),
        Change::AddressRemoved(cidr),
    ];
    assert_eq!(drain(&mut watch), expected);
}

#[test]
fn commands_that_change_nothing_emit_no_event() {
    let world = World::new();
    let eth0 = world.interface();
    let mut watch = eth0.watch();
    eth0.set_mtu(1500).unwrap();
    eth0.set_state(State::Up);
    eth0.set_hardware_address(eth0.hardware_address().unwrap()).unwrap();
    eth0.add_address("10.0.0.1/24".parse().unwrap()).unwrap_err();
    eth0.remove_address("10.0.0.2/24".parse().unwrap()).unwrap_err();
    eth0.set_mtu(1).unwrap_err();
    assert_eq!(drain(&mut watch), []);
}

#[test]
fn mounting_and_unmounting_are_reported_to_watchers_of_the_manager() {
    let world = World::new();
    let (mut all, mut other) = (world.manager.watch(), world.manager.network_of(["lo"]).unwrap().watch());
    world.manager.mount_interface("eth1", world.hub.port(), InterfaceConfig::default()).unwrap();
    world.manager.unmount_interface("eth1").unwrap();
    let told: Vec<_> = std::iter::from_fn(|| all.try_next()).collect();
    let event = |change| Notice::Changed(Event { interface: "eth1".into(), change });
    assert_eq!(told, [event(Change::Mounted), event(Change::Unmounted)]);
    assert_eq!(other.try_next(), None, "another interface's changes");
}

#[test]
fn a_failed_mount_emits_no_event() {
    let world = World::new();
    let mut watch = world.manager.watch();
    let twice = vec!["10.9.0.1/24".parse().unwrap(), "10.9.0.1/24".parse().unwrap()];
    let config = InterfaceConfig { addresses: twice, ..InterfaceConfig::default() };
    world.manager.mount_interface("eth1", world.hub.port(), config).unwrap_err();
    assert_eq!(watch.try_next(), None);
}

#[test]
fn a_watcher_waits_without_polling_and_is_woken() {
    let world = World::new();
    let mut watch = world.interface().watch();
    let cable = world.file();
    world.simulation.block_on(async {
        let pulled = async {
            world.simulation.sleep(Duration::from_secs(5)).await;
            cable.control::<xila_network_commands::drivers::hub::SetCable>(&Link::Down).unwrap();
        };
        let (notice, ()) = futures_util::future::join(watch.next(), pulled).await;
        let event = Event { interface: "eth0".into(), change: Change::Link(Link::Down) };
        assert_eq!(notice, Notice::Changed(event));
        assert_eq!(world.simulation.now().since_origin(), Duration::from_secs(5));
    });
}

/// One watcher reads ten thousand changes and another does not: the queue of the latter stays bounded, and it is told
/// how many events it has lost, and then gets the latest.
#[test]
fn a_watcher_that_does_not_read_loses_the_oldest_events_and_is_told() {
    let world = World::new();
    let eth0 = world.interface();
    let (mut reads, mut sleeps) = (eth0.watch(), eth0.watch());
    for round in 0..5_000 {
        let mtu = 1300 + round % 100;
        eth0.set_mtu(mtu).unwrap();
        let told = reads.try_next();
        assert_eq!(told, Some(Notice::Changed(Event { interface: "eth0".into(), change: Change::Mtu(mtu) })));
    }
    let Some(Notice::Lost(lost)) = sleeps.try_next() else { panic!("it was not told") };
    let kept = drain(&mut sleeps);
    assert_eq!(lost + kept.len() as u64, 5_000);
    assert_eq!((kept.len(), kept.last()), (256, Some(&Change::Mtu(1399))));
    // The loss is reported once, and later events are delivered.
    eth0.set_mtu(1500).unwrap();
    assert_eq!(drain(&mut sleeps), [Change::Mtu(1500)]);
}

/// Traffic does not wait for watchers: the same datagrams take the same virtual time with a thousand watchers.
#[test]
fn watchers_that_do_not_read_never_slow_the_stack() {
    let time = |watchers: usize| {
        let world = World::new();
        let _watching: Vec<Watch> = (0..watchers).map(|_| world.manager.watch()).collect();
        let network = world.manager.network();
        let [one, other] = [0, 0].map(|port| UdpSocket::bind(&network, ([10, 0, 0, 1], port).into()).unwrap());
        world.simulation.block_on(async {
            for round in 0..500u32 {
                world.interface().set_mtu(1300 + round % 2).unwrap();
                one.send_to(&round.to_be_bytes(), other.local_addr()).await.unwrap();
                let mut buffer = [0; 4];
                other.recv_from(&mut buffer).await.unwrap();
                assert_eq!(u32::from_be_bytes(buffer), round);
            }
        });
        world.simulation.now()
    };
    assert_eq!(time(0), time(1000));
}
