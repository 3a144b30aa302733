//! Every command has the same result, or the same error, through the typed methods and through the character device.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use xila_network_commands::CommandId;
use xila_network_commands::commands::*;
use xila_network_host::Error;
use xila_network_host::address::{Cidr, Route};
use xila_network_host::interface::{AutoconfigurationState, DhcpStatus, Kind, Link, State};

use super::*;

/// Two identical hosts: one is controlled by methods, the other by bytes.
struct Twins {
    typed: World,
    raw: World,
    name: &'static str,
    asked: RefCell<BTreeSet<CommandId>>,
}

impl Twins {
    fn new(name: &'static str) -> Self {
        Self { typed: World::new(), raw: World::new(), name, asked: RefCell::default() }
    }

    /// Executes a command both ways; returns the result, which must be the same.
    fn ask<C: Command>(
        &self,
        input: &C::Input,
        typed: impl FnOnce(&Interface) -> Result<C::Output>,
    ) -> Result<C::Output>
    where
        C::Output: PartialEq + core::fmt::Debug,
    {
        self.asked.borrow_mut().insert(C::ID);
        let (one, other) = [&self.typed, &self.raw].map(|world| world.manager.interface(self.name).unwrap()).into();
        let (mut of_one, mut of_other) = (one.watch(), other.watch());
        let by_method = typed(&one);
        let by_bytes = self.raw.open(self.name, Access::READ_WRITE).control::<C>(input);
        assert_eq!(by_method, by_bytes, "{}", C::NAME);
        assert_eq!(snapshot(&one), snapshot(&other), "after {}", C::NAME);
        loop {
            let events = (of_one.try_next(), of_other.try_next());
            assert_eq!(events.0, events.1, "events of {}", C::NAME);
            if events.0.is_none() {
                return by_method;
            }
            assert!(by_method.is_ok(), "{} failed and changed something", C::NAME);
        }
    }
}

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn every_command_does_the_same_typed_and_by_bytes() {
    let twins = Twins::new("eth0");
    assert_eq!(twins.ask::<GetKind>(&(), |eth| Ok(eth.kind())), Ok(Kind::Ethernet));

    assert_eq!(twins.ask::<GetState>(&(), |eth| Ok(eth.state())), Ok(State::Up));
    for state in [State::Down, State::Down, State::Up] {
        let set = twins.ask::<SetState>(&state, |eth| {
            eth.set_state(state);
            Ok(())
        });
        assert_eq!((set, twins.raw.interface().state()), (Ok(()), state));
    }
    assert_eq!(twins.ask::<GetLink>(&(), |eth| Ok(eth.link())), Ok(Link::Up));

    let mac = "02:00:00:00:00:99".parse().unwrap();
    assert_eq!(twins.ask::<SetHardwareAddress>(&mac, |eth| Ok(eth.set_hardware_address(mac)?)), Ok(()));
    assert_eq!(twins.ask::<GetHardwareAddress>(&(), |eth| Ok(eth.hardware_address())), Ok(Some(mac)));

    for (mtu, expected) in [(1280, Ok(())), (1279, Err(Error::InvalidArgument)), (1501, Err(Error::InvalidArgument))] {
        assert_eq!(twins.ask::<SetMtu>(&mtu, |eth| Ok(eth.set_mtu(mtu)?)), expected, "{mtu}");
    }
    assert_eq!(twins.ask::<GetMtu>(&(), |eth| Ok(eth.mtu())), Ok(1280));
    assert_eq!(twins.ask::<GetMaximumBurst>(&(), |eth| Ok(eth.maximum_burst_size())), Ok(None));

    assert_eq!(twins.ask::<SetEchoReply>(&false, |eth| Ok(eth.set_echo_reply(false)?)), Ok(()));
    assert_eq!(twins.ask::<GetEchoReply>(&(), |eth| Ok(eth.echo_reply())), Ok(false));

    addresses(&twins);
    routes(&twins);
    dns_servers(&twins);

    assert_eq!(twins.ask::<ListSearchDomains>(&(), |eth| Ok(eth.search_domains())), Ok(Vec::new()));
    let off = twins.ask::<GetDhcp>(&(), |eth| Ok(eth.dhcp())).unwrap();
    assert_eq!(off, DhcpStatus::default());
    for enabled in [true, true, false, false] {
        assert_eq!(twins.ask::<SetDhcp>(&enabled, |eth| Ok(eth.set_dhcp(enabled)?)), Ok(()));
        assert_eq!(twins.ask::<SetAutoconfiguration>(&enabled, |eth| Ok(eth.set_autoconfiguration(enabled)?)), Ok(()));
        assert_eq!(twins.ask::<GetAutoconfiguration>(&(), |eth| Ok(eth.autoconfiguration())), Ok(enabled));
        let status = twins.ask::<GetAutoconfigurationStatus>(&(), |eth| Ok(eth.autoconfiguration_status())).unwrap();
        assert_eq!(status.state != AutoconfigurationState::Off, enabled);
    }

    assert!(twins.ask::<GetStatistics>(&(), |eth| Ok(eth.statistics())).is_ok());
    assert_eq!(twins.ask::<ListNeighbours>(&(), |eth| Ok(eth.neighbours())), Ok(Vec::new()));

    let asked = twins.asked.into_inner();
    let left: Vec<_> = ALL.iter().filter(|(id, _)| !asked.contains(id)).collect();
    assert!(left.is_empty(), "not asked: {left:?}");
    assert_eq!(asked.len(), COMMANDS);
}

fn addresses(twins: &Twins) {
    let add = |text: &str| twins.ask::<AddAddress>(&cidr(text), |eth| Ok(eth.add_address(cidr(text))?));
    let remove = |text: &str| twins.ask::<RemoveAddress>(&cidr(text), |eth| Ok(eth.remove_address(cidr(text))?));
    assert_eq!(add("10.0.0.9/24"), Ok(()));
    assert_eq!(add("10.0.0.9/24"), Err(Error::AddressInUse));
    assert_eq!(add("10.0.0.9/8"), Err(Error::AddressInUse), "whatever the prefix");
    for group in ["224.0.0.1/4", "ff02::1/128", "0.0.0.0/0", "255.255.255.255/32", "::/0", "::ffff:10.0.0.1/96"] {
        assert_eq!(add(group), Err(Error::InvalidArgument), "{group}");
    }
    assert_eq!(remove("10.0.0.9/8"), Err(Error::AddressNotAvailable), "by its whole value");
    assert_eq!(remove("10.0.0.9/24"), Ok(()));
    assert_eq!(remove("10.0.0.9/24"), Err(Error::AddressNotAvailable));
    for host in 10..72 {
        assert_eq!(add(&format!("10.0.0.{host}/24")), Ok(()));
    }
    assert_eq!(add("10.0.0.72/24"), Err(Error::NoFreeSlot));
    let listed = twins.ask::<ListAddresses>(&(), |eth| Ok(eth.address_list())).unwrap();
    assert_eq!(listed.len(), 64);
    assert!(listed.iter().all(|address| address.valid.is_none()));
}

fn routes(twins: &Twins) {
    let add = |route| twins.ask::<AddRoute>(&route, |eth| Ok(eth.add_route(route)?));
    let remove = |route| twins.ask::<RemoveRoute>(&route, |eth| Ok(eth.remove_route(route)?));
    let route = |text: &str, gateway: &str| Route::new(cidr(text), ip(gateway)).unwrap();
    let first = route("192.0.2.0/24", "10.0.0.254").with_lifetime(Duration::from_secs(60));
    assert_eq!(add(first), Ok(()));
    assert_eq!(add(route("192.0.2.0/24", "10.0.0.253")), Ok(()), "replaces");
    assert_eq!(remove(first), Err(Error::RemoteUnreachable));
    assert_eq!(add(route("192.0.2.0/24", "10.0.0.252").with_metric(5)), Ok(()), "stands beside");
    for number in 0..254 {
        assert_eq!(add(route(&format!("10.{number}.128.0/17"), "10.0.0.254")), Ok(()));
    }
    assert_eq!(add(route("198.51.100.0/24", "10.0.0.254")), Err(Error::NoFreeSlot));
    assert_eq!(add(route("fd01::/64", "::ffff:10.0.0.1")), Err(Error::InvalidArgument));
    assert_eq!(add(route("::ffff:0:0/96", "fd00::2")), Err(Error::InvalidArgument));
    assert_eq!(remove(route("192.0.2.0/24", "10.0.0.253")), Ok(()));
    assert_eq!(twins.ask::<ListRoutes>(&(), |eth| Ok(eth.route_list())).unwrap().len(), 255);
}

fn dns_servers(twins: &Twins) {
    let add = |text: &str| twins.ask::<AddDnsServer>(&ip(text), |eth| Ok(eth.add_dns_server(ip(text))?));
    let remove = |text: &str| twins.ask::<RemoveDnsServer>(&ip(text), |eth| Ok(eth.remove_dns_server(ip(text))?));
    for number in 1..=8 {
        assert_eq!(add(&format!("192.0.2.{number}")), Ok(()));
    }
    assert_eq!(add("192.0.2.8"), Err(Error::AddressInUse));
    assert_eq!(add("fd00::53"), Err(Error::NoFreeSlot));
    for bad in ["0.0.0.0", "224.0.0.53", "::", "::ffff:192.0.2.1"] {
        assert_eq!(add(bad), Err(Error::InvalidArgument), "{bad}");
    }
    assert_eq!(remove("192.0.2.1"), Ok(()));
    assert_eq!(remove("192.0.2.1"), Err(Error::AddressNotAvailable));
    assert_eq!(twins.ask::<ListDnsServers>(&(), |eth| Ok(eth.dns_servers())).unwrap().len(), 7);
}

/// Properties that an IP medium does not have, unlike Ethernet, are `None` or an error, and never a panic.
#[test]
fn an_ip_medium_has_no_hardware_address_and_no_dhcp() {
    let twins = Twins::new("lo");
    let mac = "02:00:00:00:00:99".parse().unwrap();
    assert_eq!(twins.ask::<GetKind>(&(), |lo| Ok(lo.kind())), Ok(Kind::Loopback));
    assert_eq!(twins.ask::<GetHardwareAddress>(&(), |lo| Ok(lo.hardware_address())), Ok(None));
    let set = twins.ask::<SetHardwareAddress>(&mac, |lo| Ok(lo.set_hardware_address(mac)?));
    assert_eq!(set, Err(Error::NotSupported));
    assert_eq!(twins.ask::<SetDhcp>(&true, |lo| Ok(lo.set_dhcp(true)?)), Err(Error::NotSupported));
    assert_eq!(twins.ask::<SetDhcp>(&false, |lo| Ok(lo.set_dhcp(false)?)), Ok(()));
    let set = twins.ask::<SetAutoconfiguration>(&true, |lo| Ok(lo.set_autoconfiguration(true)?));
    assert_eq!(set, Err(Error::NotSupported));
    assert_eq!(twins.ask::<GetMtu>(&(), |lo| Ok(lo.mtu())), Ok(65535));
    assert_eq!(twins.ask::<ListNeighbours>(&(), |lo| Ok(lo.neighbours())), Ok(Vec::new()));
}

#[test]
fn the_mtu_is_that_of_ip_and_every_interface_has_a_hardware_address_of_its_own() {
    let world = World::new();
    let other = world.manager.mount_interface("eth1", world.hub.port(), InterfaceConfig::default()).unwrap();
    let another = world.manager.mount_interface("eth2", world.hub.port(), InterfaceConfig::default()).unwrap();
    assert_eq!((other.mtu(), another.mtu()), (1500, 1500));
    let [first, second] = [&other, &another].map(|interface| interface.hardware_address().unwrap().octets());
    assert_ne!(first, second);
    assert_eq!(first[0] & 0b11, 0b10, "locally administered, one host's");
}
