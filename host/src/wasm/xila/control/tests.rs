use wasmtime::component::ResourceTable;
use xila_network_commands::command::{decode, encode};
use xila_network_commands::commands::{
    AddAddress, AddDnsServer, AddRoute, GetMtu, RemoveAddress, RemoveDnsServer, RemoveRoute, SetDhcp,
    SetHardwareAddress, SetMtu,
};
use xila_network_commands::{Command, CommandId};

use super::*;
use crate::address::{Cidr, MacAddress, Route};
use crate::device::hub::{Hub, HubOptions};
use crate::device::loopback::Loopback;
use crate::interface::InterfaceConfig;
use crate::manager::Manager;
use crate::platform::CharacterDevice;
use crate::platform::simulated::Simulation;
use crate::wasm::NetworkCtx;
use crate::wasm::bindings::control::{HostNetworkInterface, State};
use crate::wasm::bindings::types::{ErrorCode, IpCidr};

/// A manager with `lo`, and with `eth0` and `eth1` on a hub, and a guest that has `lo` and `eth0`.
struct Bench {
    manager: Manager,
    ctx: NetworkCtx,
    table: ResourceTable,
    _simulation: Simulation,
}

impl Bench {
    fn new(access: Option<Access>) -> Self {
        let simulation = Simulation::new(1);
        let manager = Manager::new(simulation.platform());
        let hub = Hub::new(&simulation.platform(), HubOptions::default());
        for name in ["eth0", "eth1"] {
            manager.mount_interface(name, hub.port(), InterfaceConfig::default()).expect("an interface");
        }
        let network = manager.network_of(["lo", "eth0"]).expect("a network");
        let mut ctx = NetworkCtx::builder().network(network);
        if let Some(access) = access {
            ctx = ctx.control(&manager, access);
        }
        Self { manager, ctx: ctx.build(), table: ResourceTable::new(), _simulation: simulation }
    }

    fn view(&mut self) -> NetworkCtxView<'_> {
        NetworkCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }

    /// A new handle to `eth0`.
    fn eth0(&mut self) -> Resource<NetworkInterface> {
        self.open("eth0").unwrap_or_else(|error| panic!("{error:?}"))
    }

    fn open(&mut self, name: &str) -> Result<Resource<NetworkInterface>, NetworkError> {
        HostNetworkInterface::open(&mut self.view(), name.into())
    }

    fn device(&mut self, path: &str, access: Rights) -> Result<DeviceFile, ErrorCode> {
        let device = code(HostDevice::open(&mut self.view(), path.into(), access))?;
        Ok(self.table.get(&device).expect("the file").file.clone())
    }
}

fn code<T>(result: Result<T, NetworkError>) -> Result<T, ErrorCode> {
    result.map_err(|error| match error {
        NetworkError::Code(code) => code,
        NetworkError::Trap(trap) => panic!("{trap:?}"),
    })
}

fn denied<T>(result: Result<T, NetworkError>) -> bool {
    matches!(code(result), Err(ErrorCode::AccessDenied))
}

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

#[test]
fn nothing_is_allowed_by_default() {
    for access in [None, Some(Access::default())] {
        let mut bench = Bench::new(access);
        assert!(denied(bench.view().list()));
        for name in ["eth0", "eth1", "none"] {
            assert!(denied(bench.open(name)), "{name}");
            let path = format!("/devices/network/{name}");
            for rights in [Rights::READ, Rights::WRITE, Rights::empty()] {
                assert!(matches!(bench.device(&path, rights), Err(ErrorCode::AccessDenied)), "{path}");
            }
        }
    }
}

#[test]
fn a_guest_sees_its_own_interfaces_only() {
    let mut bench = Bench::new(Some(Access::READ_WRITE));
    assert_eq!(code(bench.view().list()).expect("names"), ["lo", "eth0"]);
    for name in ["eth1", "none", "", "../eth1"] {
        assert!(matches!(code(bench.open(name)), Err(ErrorCode::NotFound)), "{name}");
    }
    bench.eth0();

    struct Secret;
    impl CharacterDevice for Secret {
        fn control(&self, _: Access, _: CommandId, _: &[u8], _: &mut Vec<u8>) -> Result<()> {
            unreachable!("no guest gets here")
        }
    }
    let devices = bench.manager.devices().clone();
    devices.mount_character_device("/devices/network/secret", std::sync::Arc::new(Secret)).expect("a place");
    devices.mount_character_device("/devices/eth0", std::sync::Arc::new(Secret)).expect("a place");
    for path in [
        "/devices/network/eth1",
        "/devices/network/secret",
        "/devices/eth0",
        "/devices/network/",
        "/devices/network",
        "/devices/network/eth0/",
        "/devices/network//eth0",
        "/devices/network/../network/eth0",
        "devices/network/eth0",
        "/devices/networketh0",
        "eth0",
        "",
    ] {
        assert!(matches!(bench.device(path, Rights::READ), Err(ErrorCode::NotFound)), "{path}");
    }
    bench.device("/devices/network/eth0", Rights::READ | Rights::WRITE).expect("a file");
}

#[test]
fn without_a_network_there_is_no_interface() {
    let mut bench = Bench::new(None);
    bench.ctx = NetworkCtx::builder().control(&bench.manager, Access::READ_WRITE).build();
    assert_eq!(code(bench.view().list()).expect("names"), Vec::<String>::new());
    assert!(matches!(code(bench.open("lo")), Err(ErrorCode::NotFound)));
    assert!(matches!(bench.device("/devices/network/lo", Rights::READ), Err(ErrorCode::NotFound)));
}

#[test]
fn a_guest_that_may_only_read_changes_nothing() {
    let mut bench = Bench::new(Some(Access::READ));
    let eth0 = bench.eth0();
    let handle = || Resource::new_own(eth0.rep());
    let before = bench.manager.interface("eth0").expect("eth0").address_list();
    assert!(denied(bench.view().set_state(handle(), State::Down)));
    assert!(denied(bench.view().set_mtu(handle(), 1400)));
    assert!(denied(bench.view().add_address(handle(), cidr("10.0.0.1/24").into())));
    // It does not learn either that a value is invalid.
    let bad = IpCidr { prefix_length: 99, ..cidr("10.0.0.1/24").into() };
    assert!(denied(bench.view().add_address(handle(), bad)));
    assert!(denied(bench.view().set_hardware_address(handle(), (1, 0, 0, 0, 0, 0))));
    let interface = bench.manager.interface("eth0").expect("eth0");
    assert_eq!((interface.mtu(), interface.address_list()), (1500, before));
    assert_eq!(interface.state(), crate::interface::State::Up);
    assert_eq!(code(bench.view().mtu(handle())), Ok(1500));

    assert!(matches!(bench.device("/devices/network/eth0", Rights::WRITE), Err(ErrorCode::AccessDenied)));
    assert!(matches!(bench.device("/devices/network/eth0", Rights::empty()), Err(ErrorCode::InvalidArgument)));
    let file = bench.device("/devices/network/eth0", Rights::READ | Rights::NON_BLOCKING).expect("a file");
    let mut output = Vec::new();
    file.control(GetMtu::ID.to_raw(), &[], &mut output).expect("the MTU");
    assert_eq!(decode::<u32>(&output), Ok(1500));
    assert_eq!(file.control(SetMtu::ID.to_raw(), &encode(&1400u32), &mut output), Err(Error::AccessDenied));
}

#[test]
fn a_guest_that_may_only_write_reads_nothing() {
    let mut bench = Bench::new(Some(Access::WRITE));
    assert!(denied(bench.view().list()));
    let eth0 = bench.eth0();
    assert!(denied(bench.view().mtu(Resource::new_own(eth0.rep()))));
    code(bench.view().set_mtu(Resource::new_own(eth0.rep()), 1400)).expect("a change");
    assert_eq!(bench.manager.interface("eth0").expect("eth0").mtu(), 1400);
}

#[test]
fn a_handle_finds_its_interface_by_name() {
    let mut bench = Bench::new(Some(Access::READ_WRITE));
    let eth0 = bench.eth0();
    let handle = || Resource::new_own(eth0.rep());
    let file = bench.device("/devices/network/eth0", Rights::READ).expect("a file");
    bench.manager.unmount_interface("eth0").expect("eth0");
    assert!(matches!(code(bench.view().kind(handle())), Err(ErrorCode::NotFound)));
    assert!(matches!(code(bench.view().set_state(handle(), State::Up)), Err(ErrorCode::NotFound)));
    assert!(matches!(code(bench.open("eth0")), Err(ErrorCode::NotFound)));
    assert_eq!(file.control(GetMtu::ID.to_raw(), &[], &mut Vec::new()), Err(Error::NotFound));
    assert_eq!(bench.view().name(handle()).expect("the name"), "eth0");

    bench.manager.mount_interface("eth0", Loopback::new(), InterfaceConfig::default()).expect("another eth0");
    code(bench.view().kind(handle())).expect("the new one");
    // An open device stays the device that was opened.
    assert_eq!(file.control(GetMtu::ID.to_raw(), &[], &mut Vec::new()), Err(Error::NotFound));
    HostNetworkInterface::drop(&mut bench.view(), eth0).expect("a handle");
    assert!(bench.view().name(Resource::new_own(0)).is_err());
}

/// Of two equal interfaces one is changed by the typed functions, the other through its device. Every invalid change is
/// refused with the same error, and after valid changes both are equal again.
#[test]
fn typed_and_raw_do_the_same_and_fail_the_same() {
    let (mut typed, mut raw) = (Bench::new(Some(Access::READ_WRITE)), Bench::new(Some(Access::READ_WRITE)));
    let eth0 = typed.eth0();
    let handle = || Resource::new_own(eth0.rep());
    let file = raw.device("/devices/network/eth0", Rights::READ | Rights::WRITE).expect("a file");
    fn set<C: Command<Output = ()>>(file: &DeviceFile, input: &C::Input) -> Result<(), ErrorCode> {
        let mut output = Vec::new();
        let result = file.control(C::ID.to_raw(), &encode(input), &mut output);
        assert!(output.is_empty());
        result.map_err(Into::into)
    }
    let same = |typed: Result<(), NetworkError>, raw: Result<(), ErrorCode>| assert_eq!(code(typed), raw);

    for text in ["10.0.0.1/24", "10.0.0.1/24", "fd00::1/64", "224.0.0.1/4", "0.0.0.0/0", "::ffff:10.0.0.1/96"] {
        let value = cidr(text);
        same(typed.view().add_address(handle(), value.into()), set::<AddAddress>(&file, &value));
    }
    for text in ["10.0.0.1/24", "10.0.0.1/24"] {
        let value = cidr(text);
        same(typed.view().remove_address(handle(), value.into()), set::<RemoveAddress>(&file, &value));
    }
    let route = Route::default_via("fd00::2".parse().expect("an address")).expect("a route").with_metric(5);
    same(typed.view().add_route(handle(), route.into()), set::<AddRoute>(&file, &route));
    for _ in 0..2 {
        let untimed = route.with_lifetime(core::time::Duration::from_secs(9));
        same(typed.view().remove_route(handle(), untimed.into()), set::<RemoveRoute>(&file, &untimed));
    }
    for text in ["10.0.0.53", "10.0.0.53", "224.0.0.1", "::", "::ffff:10.0.0.1"] {
        let server: core::net::IpAddr = text.parse().expect("an address");
        same(typed.view().add_dns_server(handle(), server.into()), set::<AddDnsServer>(&file, &server));
    }
    for text in ["10.0.0.53", "10.0.0.53"] {
        let server: core::net::IpAddr = text.parse().expect("an address");
        same(typed.view().remove_dns_server(handle(), server.into()), set::<RemoveDnsServer>(&file, &server));
    }
    for mtu in [1280, 1279, 0, u32::MAX] {
        same(typed.view().set_mtu(handle(), mtu), set::<SetMtu>(&file, &mtu));
    }
    let address = MacAddress::new([2, 0, 0, 0, 0, 9]).expect("a unicast address");
    same(
        typed.view().set_hardware_address(handle(), address.octets().into()),
        set::<SetHardwareAddress>(&file, &address),
    );
    same(typed.view().set_dhcp(handle(), false), set::<SetDhcp>(&file, &false));
    // An invalid value is refused in the same way by the typed functions and by the device's decoder.
    let octets = [1u8, 0, 0, 0, 0, 9];
    let refused = file.control(SetHardwareAddress::ID.to_raw(), &encode(&octets), &mut Vec::new());
    same(typed.view().set_hardware_address(handle(), octets.into()), refused.map_err(Into::into));
    let bad = IpCidr { prefix_length: 33, ..cidr("10.0.0.1/24").into() };
    let refused =
        file.control(AddAddress::ID.to_raw(), &encode(&(cidr("10.0.0.1/24").address(), 33u8)), &mut Vec::new());
    same(typed.view().add_address(handle(), bad), refused.map_err(Into::into));

    let after = |bench: &Bench| {
        let eth0 = bench.manager.interface("eth0").expect("eth0");
        (eth0.addresses(), eth0.routes(), eth0.dns_servers(), eth0.mtu(), eth0.hardware_address(), eth0.state())
    };
    assert_eq!(after(&typed), after(&raw));
    assert_eq!(after(&typed).0, [cidr("fd00::1/64")]);
}
