//! A hostile guest that writes to the device files of interfaces. A string of bytes determines the commands, their
//! payloads and what happens meanwhile.

use core::net::IpAddr;
use core::time::Duration;

use xila_network_commands::address::{Cidr, MacAddress, Route};
use xila_network_commands::command::{decode, encode};
use xila_network_commands::commands as standard;
use xila_network_commands::drivers::{hub, loopback, tap};
use xila_network_commands::event::Event;
use xila_network_commands::interface::DhcpState;
use xila_network_commands::{Command, CommandId, Direction};
use xila_network_host::device::hub::{Hub, HubOptions};
use xila_network_host::interface::Notice;
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::platform::{Access, DeviceFile};
use xila_network_host::{Error, Interface, InterfaceConfig, Manager};

use super::bytes::Bytes;
use super::{record, text};

/// The largest numbers of addresses, routes and DNS servers.
const MOST_ADDRESSES: usize = 64;
const MOST_ROUTES: usize = 256;
const MOST_SERVERS: usize = 8;

/// A command, the function that checks its input and output payloads, and the function that decodes bytes as either of
/// them.
type Checked = (CommandId, fn(&[u8], &[u8]), fn(&[u8]));

macro_rules! checks {
    ($($room:ident { $($command:ident)+ })+) => {
        &[$($(($room::$command::ID, check::<$room::$command>, read_as::<$room::$command>)),+),+]
    };
}

/// All commands.
const CHECKS: &[Checked] = checks! {
    standard {
        GetKind GetState SetState GetLink GetHardwareAddress SetHardwareAddress GetMtu SetMtu GetMaximumBurst
        GetEchoReply SetEchoReply ListAddresses AddAddress RemoveAddress ListRoutes AddRoute RemoveRoute
        ListDnsServers AddDnsServer RemoveDnsServer ListSearchDomains GetDhcp SetDhcp GetAutoconfiguration SetAutoconfiguration
        GetAutoconfigurationStatus GetStatistics ListNeighbours
    }
    hub { GetOptions GetStatistics GetPorts SetCable }
    tap { GetKernelName }
    loopback { GetQueueLength }
};

/// Checks that both payloads are complete, and that the output has only one encoding.
fn check<C: Command>(input: &[u8], output: &[u8]) {
    let is_whole = decode::<C::Input>(input).is_ok() && (size_of::<C::Input>() > 0 || input.is_empty());
    assert!(is_whole, "{} took what is no payload of it: {input:02x?}", C::NAME);
    let told = decode::<C::Output>(output).unwrap_or_else(|_| panic!("{} said {output:02x?}", C::NAME));
    assert_eq!(encode(&told), output, "{}", C::NAME);
}

xila_network_commands::define_command! {
    /// Not a real command: its payloads are types that occur elsewhere.
    Told = "told", Get, 0x900, 1, 1: Event => Cidr;
    /// As above.
    Led = "led", Get, 0x900, 2, 1: Route => MacAddress;
}

/// Decodes bytes as either payload of a command. A payload that decodes must encode and decode to the same payload.
fn read_as<C: Command>(bytes: &[u8]) {
    if let Ok(payload) = decode::<C::Input>(bytes) {
        let written = encode(&payload);
        assert!(decode::<C::Input>(&written).is_ok_and(|again| encode(&again) == written), "{}: {bytes:02x?}", C::NAME);
    }
    if let Ok(payload) = decode::<C::Output>(bytes) {
        let written = encode(&payload);
        assert!(
            decode::<C::Output>(&written).is_ok_and(|again| encode(&again) == written),
            "{}: {bytes:02x?}",
            C::NAME
        );
    }
}

struct World {
    simulation: Simulation,
    manager: Manager,
    interfaces: [Interface; 2],
}

/// Runs the actions that the bytes describe.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    assert_eq!(CHECKS.len(), [standard::ALL, hub::ALL, tap::ALL, loopback::ALL].concat().len(), "every command");
    let world = World::new(bytes.byte());
    let mut watch = world.manager.watch();
    while !bytes.is_empty() {
        world.act(&mut bytes);
        for interface in &world.interfaces {
            check_bounds(interface);
        }
        let mut events = 0;
        while let Some(notice) = watch.try_next() {
            events += 1;
            assert!(events <= 1000, "events without end");
            if let Notice::Changed(event) = notice {
                assert_eq!(decode(&encode(&event)), Ok(event));
            }
        }
    }
    world.simulation.advance(Duration::from_secs(600));
    for name in ["eth0", "lo"] {
        drop(world.manager.unmount_interface(name));
    }
    super::dns::assert_ended(&world.simulation);
}

impl World {
    fn new(setting: u8) -> Self {
        let simulation = Simulation::new(setting.into());
        let manager = Manager::new(simulation.platform());
        let hub = Hub::new(&simulation.platform(), HubOptions::default());
        let addresses = ["10.0.0.1/24", "fd00::1/64"].map(|text| text.parse().expect("an address"));
        let config = InterfaceConfig {
            addresses: addresses.to_vec(),
            hardware_address: MacAddress::new([2, 0, 0, 0, 0, 1]).ok(),
            link_local: setting & 1 != 0,
            ..InterfaceConfig::default()
        };
        manager.mount_interface("eth0", hub.port(), config).expect("a name that is free");
        simulation.run_ready();
        let interfaces = ["eth0", "lo"].map(|name| manager.interface(name).expect("it is there"));
        Self { simulation, manager, interfaces }
    }

    fn act(&self, bytes: &mut Bytes<'_>) {
        match bytes.byte() % 16 {
            0..=10 => self.command(bytes),
            11 => self.simulation.advance(Duration::from_millis(bytes.pick(&[1, 1000, 10_000, 100_000, 4_000_000]))),
            12 => text::read(bytes),
            13 => {
                let length = bytes.below(80);
                read_any(bytes.take(length));
            }
            14 => record::remember(bytes),
            _ => {
                let length = bytes.below(40);
                let name = String::from_utf8_lossy(bytes.take(length)).into_owned();
                let prefix = bytes.pick(&["", "/", "/devices/network/", "/devices/network", "/devices/"]);
                let opened = self.manager.devices().open(&format!("{prefix}{name}"), Access::READ);
                assert!(
                    opened.is_err() || matches!(&*name, "eth0" | "lo") || prefix != "/devices/network/",
                    "{name:?}"
                );
            }
        }
    }

    fn command(&self, bytes: &mut Bytes<'_>) {
        let interface = &self.interfaces[usize::from(bytes.byte() % 4 == 3)];
        let access = match bytes.byte() {
            0..200 => Access::READ_WRITE,
            200..220 => Access::READ,
            220..240 => Access::WRITE,
            240.. => Access { non_blocking: true, ..Access::READ_WRITE },
        };
        let path = format!("/devices/network/{}", interface.name());
        let file = self.manager.devices().open(&path, access).expect("it is there");
        let id = match bytes.byte() {
            byte @ 0..230 => CHECKS[usize::from(byte) % CHECKS.len()].0,
            230..245 => CommandId::from_raw(CHECKS[bytes.below(CHECKS.len())].0.to_raw() ^ 1 << (bytes.byte() % 32)),
            245.. => CommandId::from_raw(bytes.long()),
        };
        let input = payload(id, interface, bytes);
        send(interface, &file, access, id, &input);
        if bytes.flag() {
            self.simulation.run_ready();
        }
    }
}

/// Executes a command and checks its result.
fn send(interface: &Interface, file: &DeviceFile, access: Access, id: CommandId, input: &[u8]) {
    let (before, mut output) = (snapshot(interface), vec![7]);
    let result = file.control(id.to_raw(), input, &mut output);
    let check = CHECKS.iter().find(|(known, ..)| *known == id).map(|(_, check, _)| *check);
    match result {
        Ok(()) => {
            let is_allowed = match id.direction() {
                Some(Direction::Get) => access.read,
                Some(Direction::Set) => access.write,
                None => false,
            };
            assert!(is_allowed, "{id} is not for this file");
            check.unwrap_or_else(|| panic!("{id} is no command"))(input, &output[1..]);
            if id.direction() == Some(Direction::Get) {
                assert_eq!(snapshot(interface), before, "{id} only looks");
            }
            check_set(interface, id, input);
        }
        Err(error) => {
            assert_eq!((snapshot(interface), &output[..]), (before, &[7][..]), "{id}: {error}");
            let is_known = check.is_some_and(|_| id.group() < CommandId::FIRST_DRIVER_GROUP);
            assert!(is_known || matches!(error, Error::NotSupported | Error::AccessDenied | Error::InvalidArgument));
        }
    }
}

/// Checks that a setting has taken effect.
fn check_set(interface: &Interface, id: CommandId, input: &[u8]) {
    fn read<C: Command>(_: C, input: &[u8]) -> C::Input {
        decode(input).expect("it was taken")
    }
    match id {
        standard::SetState::ID => assert_eq!(interface.state(), read(standard::SetState, input)),
        standard::SetMtu::ID => {
            let mtu = read(standard::SetMtu, input);
            assert!(interface.mtu() == mtu && mtu >= 1280);
        }
        standard::SetHardwareAddress::ID => {
            assert_eq!(interface.hardware_address(), Some(read(standard::SetHardwareAddress, input)));
        }
        standard::SetEchoReply::ID => assert_eq!(interface.echo_reply(), read(standard::SetEchoReply, input)),
        standard::AddAddress::ID => assert!(interface.addresses().contains(&read(standard::AddAddress, input))),
        standard::RemoveAddress::ID => {
            assert!(!interface.addresses().contains(&read(standard::RemoveAddress, input)));
        }
        standard::AddRoute::ID => {
            let route = read(standard::AddRoute, input);
            // A route with a lifetime of zero is removed.
            let is_short = route.lifetime().is_some_and(|time| time.is_zero());
            assert!(is_short || interface.routes().iter().any(|known| known.is_same(&route)), "{route}");
        }
        standard::RemoveRoute::ID => {
            let route = read(standard::RemoveRoute, input);
            assert!(!interface.routes().iter().any(|known| known.is_same(&route)), "{route}");
        }
        standard::AddDnsServer::ID => {
            assert!(interface.dns_servers().contains(&read(standard::AddDnsServer, input)));
        }
        standard::RemoveDnsServer::ID => {
            assert!(!interface.dns_servers().contains(&read(standard::RemoveDnsServer, input)));
        }
        standard::SetDhcp::ID => {
            assert_eq!(interface.dhcp().state != DhcpState::Off, read(standard::SetDhcp, input));
        }
        standard::SetAutoconfiguration::ID => {
            assert_eq!(interface.autoconfiguration(), read(standard::SetAutoconfiguration, input));
        }
        _ => {}
    }
}

/// The input payload of a command, which is valid most of the time.
fn payload(id: CommandId, interface: &Interface, bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut input = match bytes.byte() {
        0..210 => natural(id, interface, bytes),
        210..230 => {
            let other = CHECKS[bytes.below(CHECKS.len())].0;
            natural(other, interface, bytes)
        }
        230..245 => {
            let length = bytes.below(24);
            bytes.take(length).iter().map(|byte| byte % 4).collect()
        }
        245.. => {
            let length = bytes.below(60);
            bytes.take(length).to_vec()
        }
    };
    match bytes.byte() {
        0..230 => {}
        230..240 => input.push(bytes.byte()),
        240..248 => input.truncate(bytes.below(input.len() + 1)),
        248.. => {
            if !input.is_empty() {
                let at = bytes.below(input.len());
                input[at] = bytes.byte();
            }
        }
    }
    input
}

fn natural(id: CommandId, interface: &Interface, bytes: &mut Bytes<'_>) -> Vec<u8> {
    match id {
        standard::SetState::ID | hub::SetCable::ID => vec![bytes.byte() % 3],
        standard::SetMtu::ID => encode(&bytes.pick(&[1500u32, 1280, 1279, 1400, 65_535, 65_536, 0, u32::MAX, 9000])),
        standard::SetHardwareAddress::ID => {
            encode(&bytes.pick(&[[2u8, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 9], [1, 0, 0x5e, 0, 0, 1], [0; 6], [0xff; 6]]))
        }
        standard::SetEchoReply::ID | standard::SetDhcp::ID | standard::SetAutoconfiguration::ID => {
            vec![bytes.byte() % 3]
        }
        standard::AddAddress::ID | standard::RemoveAddress::ID => {
            let known = interface.addresses();
            match bytes.byte() {
                byte @ 0..100 if !known.is_empty() => encode(&known[usize::from(byte) % known.len()]),
                _ => encode(&(address(bytes), bytes.pick(&[24u8, 64, 0, 32, 128, 31, 129, 33, 8]))),
            }
        }
        standard::AddRoute::ID | standard::RemoveRoute::ID => {
            let known = interface.routes();
            match bytes.byte() {
                byte @ 0..100 if !known.is_empty() => encode(&known[usize::from(byte) % known.len()]),
                _ => {
                    let destination = (address(bytes), bytes.pick(&[0u8, 24, 64, 32, 128, 129]));
                    let metric = bytes.pick(&[0u32, 1, 100, u32::MAX]);
                    let lifetime = bytes.pick(&[
                        None,
                        Some(Duration::ZERO),
                        Some(Duration::from_secs(5)),
                        Some(Duration::MAX),
                        Some(Duration::from_nanos(1)),
                    ]);
                    encode(&(destination, address(bytes), metric, lifetime))
                }
            }
        }
        standard::AddDnsServer::ID | standard::RemoveDnsServer::ID => encode(&address(bytes)),
        _ => Vec::new(),
    }
}

fn address(bytes: &mut Bytes<'_>) -> IpAddr {
    match bytes.byte() {
        byte @ 0..90 => [10, 0, 0, byte].into(),
        byte @ 90..160 => [0xfd00, 0, 0, 0, 0, 0, 0, u16::from(byte)].into(),
        160..200 => bytes.pick(&[
            [0, 0, 0, 0].into(),
            [255; 4].into(),
            [224, 0, 0, 1].into(),
            [127, 0, 0, 1].into(),
            [169, 254, 0, 1].into(),
            [0u16; 8].into(),
            [0xff02, 0, 0, 0, 0, 0, 0, 1].into(),
            [0, 0, 0, 0, 0, 0xffff, 0x0a00, 1].into(),
        ]),
        200..230 => bytes.long().to_be_bytes().into(),
        230.. => core::array::from_fn::<u8, 16, _>(|_| bytes.byte()).into(),
    }
}

/// Decodes bytes as each type of payload of a device file.
fn read_any(bytes: &[u8]) {
    read_as::<Told>(bytes);
    read_as::<Led>(bytes);
    CHECKS.iter().for_each(|(_, _, read)| read(bytes));
}

/// The whole readable state of an interface, encoded.
fn snapshot(interface: &Interface) -> Vec<Vec<u8>> {
    vec![
        encode(&interface.address_list()),
        encode(&interface.route_list()),
        encode(&interface.state()),
        encode(&interface.link()),
        encode(&interface.hardware_address()),
        encode(&interface.mtu()),
        encode(&interface.echo_reply()),
        encode(&interface.dns_servers()),
        encode(&interface.dhcp()),
        encode(&interface.autoconfiguration_status()),
        encode(&interface.search_domains()),
        encode(&interface.neighbours()),
        encode(&interface.statistics()),
    ]
}

fn check_bounds(interface: &Interface) {
    assert!(interface.address_list().len() <= MOST_ADDRESSES && interface.route_list().len() <= MOST_ROUTES);
    assert!(interface.dns_servers().len() <= MOST_SERVERS && interface.mtu() >= 1280);
    for route in interface.routes() {
        let shown = route.to_string();
        assert!(!shown.is_empty() && shown.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{shown:?}");
    }
}
