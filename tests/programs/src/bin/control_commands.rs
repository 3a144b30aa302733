//! Every command does the same, and fails with the same error, whether it is called as a method or executed on the
//! device.
//!
//! It runs on `lo`, or on the interface that is given as the argument.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use xila_network_programs::control::command::{decode, encode};
use xila_network_programs::control::commands::*;
use xila_network_programs::control::{
    Access, AutoconfigurationStatus, Cidr, Command, CommandId, DeviceFile, DhcpState, Direction, Interface, Kind,
    MacAddress, Route, State,
};
use xila_network_programs::raw::control::{NetworkInterface, Route as RawRoute};
use xila_network_programs::raw::{ErrorCode, IpAddress, IpCidr};
use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    let name = std::env::args().nth(1).unwrap_or_else(|| "lo".to_owned());
    let bench = Bench::new(&name);
    let kind = bench.look::<GetKind>(Interface::kind).await;
    assert_eq!(kind == Kind::Loopback, name == "lo", "{kind:?}");
    properties(&bench, kind).await;
    addresses(&bench).await;
    routes(&bench).await;
    dns_servers(&bench).await;
    protocols(&bench, kind).await;
    bench.look::<GetStatistics>(Interface::statistics).await;
    bench.look::<ListNeighbours>(Interface::neighbours).await;

    let known: BTreeSet<u32> = ALL.iter().map(|(id, _)| id.to_raw()).collect();
    assert_eq!(*bench.tried.borrow(), known, "a command was not tried");

    unknown_commands(&bench).await;
    rights(&name).await;
}

async fn properties(bench: &Bench, kind: Kind) {
    bench.look::<GetLink>(Interface::link).await;
    bench.look::<GetMaximumBurst>(Interface::maximum_burst_size).await;

    let mtu = bench.look::<GetMtu>(Interface::mtu).await;
    bench.set::<SetMtu>(1400, Interface::set_mtu, |on| on.mtu() == Ok(1400), |on| on.set_mtu(mtu)).await;
    for bad in [0, 1279, mtu + 1, u32::MAX] {
        bench.fail::<SetMtu>(bad, Interface::set_mtu, Error::InvalidArgument).await;
    }
    assert_eq!(bench.look::<GetMtu>(Interface::mtu).await, mtu);

    assert!(bench.look::<GetEchoReply>(Interface::echo_reply).await);
    let silent = |on: &Interface| on.echo_reply() == Ok(false);
    bench.set::<SetEchoReply>(false, Interface::set_echo_reply, silent, |on| on.set_echo_reply(true)).await;
    bench.refuse_bytes::<SetEchoReply>(&[2]).await;

    assert_eq!(bench.look::<GetState>(Interface::state).await, State::Up);
    let down = |on: &Interface| on.state() == Ok(State::Down);
    bench.set::<SetState>(State::Down, Interface::set_state, down, |on| on.set_state(State::Up)).await;
    bench.refuse_bytes::<SetState>(&[2]).await;

    let before = bench.look::<GetHardwareAddress>(Interface::hardware_address).await;
    let other: MacAddress = "02:00:5e:00:53:01".parse().unwrap();
    if let Some(before) = before {
        assert_eq!(kind, Kind::Ethernet);
        let is_other = |on: &Interface| on.hardware_address() == Ok(Some(other));
        let undo = |on: &Interface| on.set_hardware_address(before);
        bench.set::<SetHardwareAddress>(other, Interface::set_hardware_address, is_other, undo).await;
    } else {
        bench.fail::<SetHardwareAddress>(other, Interface::set_hardware_address, Error::NotSupported).await;
    }
    // A group address and the zero address: values that the crate's types do not allow.
    for bad in [[1, 0, 0, 0, 0, 1], [0; 6]] {
        let refused = bench.raw.set_hardware_address(bad.into());
        assert!(matches!(refused, Err(ErrorCode::InvalidArgument)), "{refused:?}");
        bench.refuse_bytes::<SetHardwareAddress>(&encode(&bad)).await;
    }
}

async fn addresses(bench: &Bench) {
    let before = bench.look::<ListAddresses>(Interface::addresses).await;
    let known = before[0].cidr;
    for text in ["192.0.2.1/24", "2001:db8::1/64", "192.0.2.1/32", "192.0.2.1/0"] {
        let cidr: Cidr = text.parse().unwrap();
        let is_there =
            move |on: &Interface| on.addresses().is_ok_and(|infos| infos.iter().any(|info| info.cidr == cidr));
        let remove = move |on: &Interface| on.remove_address(cidr);
        bench.set::<AddAddress>(cidr, Interface::add_address, is_there, remove).await;

        bench.interface.add_address(cidr).unwrap();
        bench.look::<ListAddresses>(Interface::addresses).await;
        let is_gone = move |on: &Interface| !is_there(on);
        let add = move |on: &Interface| on.add_address(cidr);
        bench.set::<RemoveAddress>(cidr, Interface::remove_address, is_gone, add).await;
        bench.interface.remove_address(cidr).unwrap();
        bench.fail::<RemoveAddress>(cidr, Interface::remove_address, Error::AddressNotAvailable).await;
    }
    bench.fail::<AddAddress>(known, Interface::add_address, Error::AddressInUse).await;
    for bad in ["224.0.0.1/4", "0.0.0.0/0", "255.255.255.255/32", "::/0", "ff02::1/64"] {
        bench.fail::<AddAddress>(bad.parse().unwrap(), Interface::add_address, Error::InvalidArgument).await;
    }
    // Prefixes that are longer than the address.
    for (bad, prefix) in [(IpAddr::from([192, 0, 2, 1]), 33), ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(), 129)] {
        let cidr = IpCidr { address: to_wit(bad), prefix_length: prefix };
        for refused in [bench.raw.add_address(cidr), bench.raw.remove_address(cidr)] {
            assert!(matches!(refused, Err(ErrorCode::InvalidArgument)), "{refused:?}");
        }
        bench.refuse_bytes::<AddAddress>(&encode(&(bad, prefix))).await;
        bench.refuse_bytes::<RemoveAddress>(&encode(&(bad, prefix))).await;
    }
    assert_eq!(bench.look::<ListAddresses>(Interface::addresses).await, before);
}

async fn routes(bench: &Bench) {
    let before = bench.look::<ListRoutes>(Interface::routes).await;
    let gateway = IpAddr::from([192, 0, 2, 254]);
    let network = Route::new("198.51.100.0/24".parse().unwrap(), gateway).unwrap();
    let v6 = Route::default_via([0xfe80, 0, 0, 0, 0, 0, 0, 1].into()).unwrap();
    for route in [network, network.with_metric(7), v6.with_metric(u32::MAX)] {
        let is_there =
            move |on: &Interface| on.routes().is_ok_and(|infos| infos.iter().any(|info| info.route == route));
        let remove = move |on: &Interface| on.remove_route(route);
        bench.set::<AddRoute>(route, Interface::add_route, is_there, remove).await;

        bench.interface.add_route(route).unwrap();
        bench.look::<ListRoutes>(Interface::routes).await;
        let is_gone = move |on: &Interface| !is_there(on);
        let add = move |on: &Interface| on.add_route(route);
        bench.set::<RemoveRoute>(route, Interface::remove_route, is_gone, add).await;
        bench.interface.remove_route(route).unwrap();
        bench.fail::<RemoveRoute>(route, Interface::remove_route, Error::RemoteUnreachable).await;
    }
    // A route with a lifetime is listed with the lifetime with which it was added, and is removed whatever its
    // lifetime.
    let brief = network.with_lifetime(Duration::from_secs(3600));
    bench.interface.add_route(brief).unwrap();
    let told = bench.interface.routes().unwrap();
    assert!(told.iter().any(|info| info.route == brief && info.valid <= brief.lifetime()), "{told:?}");
    bench.interface.remove_route(network).unwrap();

    // Gateways of another family, or that no host can have: values that the crate's types do not allow.
    let any = IpAddr::from([0, 0, 0, 0]);
    for bad in [IpAddr::from([0u16, 0, 0, 0, 0, 0, 0, 1]), any, [224, 0, 0, 1].into(), [255; 4].into()] {
        let route = || RawRoute {
            destination: IpCidr { address: to_wit(any), prefix_length: 0 },
            gateway: to_wit(bad),
            metric: 0,
            lifetime: None,
        };
        for refused in [bench.raw.add_route(route()), bench.raw.remove_route(route())] {
            assert!(matches!(refused, Err(ErrorCode::InvalidArgument)), "{refused:?}");
        }
        let bytes = encode(&((any, 0u8), bad, 0u32, None::<Duration>));
        bench.refuse_bytes::<AddRoute>(&bytes).await;
        bench.refuse_bytes::<RemoveRoute>(&bytes).await;
    }
    assert_eq!(bench.look::<ListRoutes>(Interface::routes).await, before);
}

async fn dns_servers(bench: &Bench) {
    let before = bench.look::<ListDnsServers>(Interface::dns_servers).await;
    for server in [IpAddr::from([192, 0, 2, 53]), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53].into()] {
        let is_there = move |on: &Interface| on.dns_servers().is_ok_and(|servers| servers.contains(&server));
        let remove = move |on: &Interface| on.remove_dns_server(server);
        bench.set::<AddDnsServer>(server, Interface::add_dns_server, is_there, remove).await;

        bench.interface.add_dns_server(server).unwrap();
        bench.look::<ListDnsServers>(Interface::dns_servers).await;
        bench.fail::<AddDnsServer>(server, Interface::add_dns_server, Error::AddressInUse).await;
        let is_gone = move |on: &Interface| !is_there(on);
        let add = move |on: &Interface| on.add_dns_server(server);
        bench.set::<RemoveDnsServer>(server, Interface::remove_dns_server, is_gone, add).await;
        bench.interface.remove_dns_server(server).unwrap();
        bench.fail::<RemoveDnsServer>(server, Interface::remove_dns_server, Error::AddressNotAvailable).await;
    }
    for bad in [IpAddr::from([0, 0, 0, 0]), [224, 0, 0, 1].into(), [0u16; 8].into()] {
        bench.fail::<AddDnsServer>(bad, Interface::add_dns_server, Error::InvalidArgument).await;
    }
    assert_eq!(bench.look::<ListDnsServers>(Interface::dns_servers).await, before);
}

/// DHCP and autoconfiguration are off at the beginning, and are only for Ethernet.
async fn protocols(bench: &Bench, kind: Kind) {
    assert_eq!(bench.look::<GetDhcp>(Interface::dhcp).await.state, DhcpState::Off);
    assert!(!bench.look::<GetAutoconfiguration>(Interface::autoconfiguration).await);
    assert_eq!(bench.look::<ListSearchDomains>(Interface::search_domains).await, [] as [String; 0]);
    let status = bench.look::<GetAutoconfigurationStatus>(Interface::autoconfiguration_status).await;
    assert_eq!(status, AutoconfigurationStatus::default());
    if kind == Kind::Ethernet {
        let searches = |on: &Interface| on.dhcp().is_ok_and(|status| status.state == DhcpState::Searching);
        bench.set::<SetDhcp>(true, Interface::set_dhcp, searches, |on| on.set_dhcp(false)).await;
        let is_on = |on: &Interface| on.autoconfiguration() == Ok(true);
        let switch_off = |on: &Interface| on.set_autoconfiguration(false);
        bench.set::<SetAutoconfiguration>(true, Interface::set_autoconfiguration, is_on, switch_off).await;
    } else {
        bench.fail::<SetDhcp>(true, Interface::set_dhcp, Error::NotSupported).await;
        bench.fail::<SetAutoconfiguration>(true, Interface::set_autoconfiguration, Error::NotSupported).await;
    }
    bench.refuse_bytes::<SetDhcp>(&[2]).await;
    bench.refuse_bytes::<SetAutoconfiguration>(&[2]).await;
    assert_eq!(bench.look::<GetDhcp>(Interface::dhcp).await.state, DhcpState::Off);
    assert!(!bench.look::<GetAutoconfiguration>(Interface::autoconfiguration).await);
}

/// Identifiers that belong to no command, in the stack's groups and in the drivers' groups, are refused.
async fn unknown_commands(bench: &Bench) {
    for direction in [Direction::Get, Direction::Set] {
        for group in [0, 1, 2, 0x7ff, CommandId::FIRST_DRIVER_GROUP, 0xfff] {
            let id = CommandId::new(direction, 1, group, 0xfff);
            assert_eq!(bench.file.control_raw(id.to_raw(), &[]).await, Err(Error::NotSupported), "{id}");
        }
    }
    // Identifiers with another version, and without a direction.
    for id in [GetMtu::ID.to_raw() ^ 3 << 24, GetMtu::ID.to_raw() ^ 3 << 28 ^ 1 << 31, 0, u32::MAX] {
        assert_eq!(bench.file.control_raw(id, &[]).await, Err(Error::NotSupported), "{id:#x}");
    }
}

/// A file executes only the commands for which it was opened.
async fn rights(name: &str) {
    let to_read = DeviceFile::of_interface(name, Access::READ).unwrap();
    let to_write = DeviceFile::of_interface(name, Access::WRITE).unwrap();
    for (id, title) in ALL {
        let (right, wrong) = match id.direction() {
            Some(Direction::Get) => (&to_read, &to_write),
            Some(Direction::Set) => (&to_write, &to_read),
            None => panic!("{title} has no direction"),
        };
        assert_eq!(wrong.control_raw(id.to_raw(), &[]).await, Err(Error::AccessDenied), "{title}");
        // Without an input, a setter fails, but not with `AccessDenied`.
        let expected = if id.direction() == Some(Direction::Get) { None } else { Some(Error::InvalidArgument) };
        assert_eq!(right.control_raw(id.to_raw(), &[]).await.err(), expected, "{title}");
    }
    // The stack is not busy, so a command on a non-blocking file succeeds.
    let hasty = DeviceFile::of_interface(name, Access { non_blocking: true, ..Access::READ_WRITE }).unwrap();
    hasty.control::<GetMtu>(()).await.unwrap();
}

/// An interface: as the guest crate's type, as the WIT package's resource, and as its device.
struct Bench {
    interface: Interface,
    raw: NetworkInterface,
    file: DeviceFile,
    tried: RefCell<BTreeSet<u32>>,
}

impl Bench {
    fn new(name: &str) -> Self {
        let interface = Interface::open(name).unwrap();
        assert_eq!(interface.name(), name);
        Self {
            interface,
            raw: NetworkInterface::open(name).unwrap(),
            file: DeviceFile::of_interface(name, Access::READ_WRITE).unwrap(),
            tried: RefCell::default(),
        }
    }

    /// Queries a property in both ways, which must give the same result.
    async fn look<C: Command<Input = ()>>(&self, typed: impl Fn(&Interface) -> Result<C::Output>) -> C::Output
    where
        C::Output: Debug + PartialEq,
    {
        self.tried.borrow_mut().insert(C::ID.to_raw());
        self.refuse_bytes::<C>(&[0]).await;
        // Counters and ages may change between two queries, but two equal results must come soon.
        let mut seen = None;
        for _ in 0..100 {
            let typed = typed(&self.interface).unwrap();
            let device = self.file.control::<C>(()).await.unwrap();
            let bytes = self.file.control_raw(C::ID.to_raw(), &[]).await.unwrap();
            let raw = decode::<C::Output>(&bytes).unwrap();
            if typed == device && device == raw {
                return typed;
            }
            seen = Some((typed, device, raw));
        }
        panic!("{}: {seen:?}", C::NAME);
    }

    /// Sets a property in each way, checks the effect, and reverts it.
    async fn set<C: Command<Output = ()>>(
        &self,
        value: C::Input,
        typed: impl Fn(&Interface, C::Input) -> Result<()>,
        is_so: impl Fn(&Interface) -> bool,
        undo: impl Fn(&Interface) -> Result<()>,
    ) where
        C::Input: Copy + Debug,
    {
        self.tried.borrow_mut().insert(C::ID.to_raw());
        let bytes = encode(&value);
        self.refuse_bytes::<C>(&bytes[..bytes.len() - 1]).await;
        self.refuse_bytes::<C>(&[&bytes[..], &[0]].concat()).await;
        let ways: [(&str, LocalBoxFuture<'_, Result<()>>); 3] = [
            ("typed", Box::pin(async { typed(&self.interface, value) })),
            ("as a command", Box::pin(self.file.control::<C>(value))),
            (
                "as bytes",
                Box::pin(async {
                    self.file.control_raw(C::ID.to_raw(), &bytes).await.map(|answer| assert_eq!(answer, [0u8; 0]))
                }),
            ),
        ];
        for (way, setting) in ways {
            assert!(!is_so(&self.interface), "{} {value:?} {way}: it is so already", C::NAME);
            assert_eq!(setting.await, Ok(()), "{} {value:?} {way}", C::NAME);
            assert!(is_so(&self.interface), "{} {value:?} {way}: it has no effect", C::NAME);
            undo(&self.interface).unwrap_or_else(|error| panic!("{} {value:?} {way}: {error:?}", C::NAME));
        }
    }

    /// Calls a command in each way, which must fail with the same error.
    async fn fail<C: Command<Output = ()>>(
        &self,
        value: C::Input,
        typed: impl Fn(&Interface, C::Input) -> Result<()>,
        error: Error,
    ) where
        C::Input: Copy + Debug,
    {
        self.tried.borrow_mut().insert(C::ID.to_raw());
        assert_eq!(typed(&self.interface, value), Err(error), "{} {value:?}", C::NAME);
        assert_eq!(self.file.control::<C>(value).await, Err(error), "{} {value:?}", C::NAME);
        let raw = self.file.control_raw(C::ID.to_raw(), &encode(&value)).await;
        assert_eq!(raw, Err(error), "{} {value:?}", C::NAME);
    }

    /// Checks that bytes that are not an input of the command are refused.
    async fn refuse_bytes<C: Command>(&self, bytes: &[u8]) {
        let refused = self.file.control_raw(C::ID.to_raw(), bytes).await;
        assert_eq!(refused, Err(Error::InvalidArgument), "{} {bytes:?}", C::NAME);
    }
}

fn to_wit(address: IpAddr) -> IpAddress {
    match address {
        IpAddr::V4(address) => IpAddress::Ipv4(address.octets().into()),
        IpAddr::V6(address) => IpAddress::Ipv6(address.segments().into()),
    }
}
