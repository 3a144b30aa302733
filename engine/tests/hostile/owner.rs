//! The operations of a station's owner: sends, binds, joins, connects, and changes settings.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use smoltcp::wire::{EthernetAddress, IpCidr};
use xila_network_engine::engine::{Datagram, EchoRequest};
use xila_network_engine::icmp::Binding;
use xila_network_engine::interface::Verification;
use xila_network_engine::ip::addresses::{Address, Origin};
use xila_network_engine::ip::routes::{Route, Target};
use xila_network_engine::ports::Owner;
use xila_network_engine::tcp::{Attempt, Options, Places};
use xila_network_engine::udp::SocketId;

use super::bytes::Bytes;
use super::station::{MOST, OWN, Station, V4, V6};

const OWNER: Owner = Owner(1);

impl Station {
    /// The owner performs an operation.
    pub(crate) fn operate(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() % 8 {
            0 | 1 => self.send(bytes),
            2 | 3 => self.use_sockets(bytes),
            4 => self.use_streams(bytes),
            5 => self.change_addresses(bytes),
            6 => self.change_routes(bytes),
            _ => self.change_link(bytes),
        }
        self.go_on();
    }

    /// A destination that packets may be sent to.
    fn destination(bytes: &mut Bytes<'_>) -> IpAddr {
        let is_v4 = bytes.flag();
        match bytes.byte() {
            byte @ 0..200 => {
                let others = [0, 1, 2, 4, 16, 17, 8, if is_v4 { 6 } else { 5 }];
                let place = others[usize::from(byte) % others.len()];
                if is_v4 { V4[place].into() } else { V6[place].into() }
            }
            byte if is_v4 => Ipv4Addr::new(192, 0, 2, byte).into(),
            byte => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, byte.into()).into(),
        }
    }

    pub(crate) fn send(&mut self, bytes: &mut Bytes<'_>) {
        let to = Self::destination(bytes);
        let length = bytes.pick(&[0, 8, 100, 1400, 1472, 1500, 3000, 9000, 20_000, 65_507]);
        let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
        let now = self.now;
        let interface = self.engine.interface_mut();
        let is_here = interface.is_local(to);
        let Some(from) = interface.source_for(to, now).filter(|from| interface.is_local(*from) && !is_here) else {
            return;
        };
        let hop_limit = bytes.pick(&[64, 1, 255]);
        let port = bytes.pick(&[7, 1000, 53]);
        let _sent = if bytes.flag() {
            let (source, destination) = (SocketAddr::new(from, port), SocketAddr::new(to, 0));
            let request = EchoRequest { owner: OWNER, source, destination, hop_limit, sequence: 1, payload: &payload };
            self.engine.send_echo(&request, now, &mut self.device)
        } else {
            let (source, destination) = (SocketAddr::new(from, port), SocketAddr::new(to, 9));
            let datagram = Datagram {
                owner: OWNER,
                source,
                destination,
                hop_limit,
                whole: bytes.flag(),
                loops_back: bytes.flag(),
                payload: &payload,
            };
            self.engine.send_datagram(&datagram, now, &mut self.device)
        };
    }

    fn use_sockets(&mut self, bytes: &mut Bytes<'_>) {
        let now = self.now;
        let is_v4 = bytes.flag();
        match bytes.byte() % 8 {
            0 | 1 if self.sockets.len() < MOST => {
                let any = if is_v4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
                let port = bytes.pick(&[7, 1000, 0, 68]);
                self.sockets.extend(self.engine.bind_udp(SocketAddr::new(any, port), OWNER));
            }
            2 if !self.sockets.is_empty() => {
                let id = self.sockets.swap_remove(bytes.below(self.sockets.len()));
                self.engine.unbind_udp(id, now);
            }
            3 => {
                let number = bytes.pick(&[7, 1000]);
                if bytes.flag() {
                    if let Some(id) = self.engine.icmp().of_identifier(is_v4, number) {
                        self.engine.unbind_icmp(id);
                    }
                } else {
                    for binding in [Binding::Echo(number), Binding::UdpPort(number), Binding::TcpPort(number)] {
                        // It may be bound already.
                        let _bound = self.engine.bind_icmp(is_v4, binding, OWNER);
                    }
                }
            }
            4..=6 if !self.sockets.is_empty() => {
                let id = self.sockets[bytes.below(self.sockets.len())];
                self.change_membership(bytes, id, is_v4);
            }
            _ => {
                let enabled = !bytes.byte().is_multiple_of(4);
                self.engine.set_echo_reply(enabled);
            }
        }
    }

    /// A socket joins or leaves a group.
    pub(crate) fn change_membership(&mut self, bytes: &mut Bytes<'_>, id: SocketId, is_v4: bool) {
        let number = bytes.byte();
        let group: IpAddr = match number {
            0..16 => self.address(bytes, is_v4),
            _ if is_v4 => Ipv4Addr::new(239, 0, 0, number % 32).into(),
            _ => Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, u16::from(number % 32)).into(),
        };
        if bytes.byte().is_multiple_of(3) {
            let _left = self.engine.leave(id, group, self.now);
        } else {
            let _joined = self.engine.join(id, group, self.now);
        }
    }

    fn use_streams(&mut self, bytes: &mut Bytes<'_>) {
        let now = self.now;
        let options =
            Options { receive_buffer: 20_000, window_limit: 60_000, send_buffer: 20_000, ..Options::default() };
        match bytes.byte() % 8 {
            0 | 1 if self.connections.len() < MOST => {
                let to = Self::destination(bytes);
                let interface = self.engine.interface_mut();
                // A connection to such an address is refused.
                let is_here = interface.is_local(to) || to.is_multicast() || interface.addresses().is_broadcast(to);
                let Some(from) = interface.source_for(to, now).filter(|from| interface.is_local(*from) && !is_here)
                else {
                    return;
                };
                let (local, remote) = (SocketAddr::new(from, 0), SocketAddr::new(to, 80));
                let limit = Duration::from_secs(60);
                let attempt = Attempt::new(OWNER, local, remote, limit);
                let connected = self.engine.tcp_mut().connect(&attempt, options, now);
                self.connections.extend(connected);
            }
            2 if self.listeners.len() < MOST => {
                let any = if bytes.flag() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
                if let Ok(id) = self.engine.tcp_mut().bind(any, 80, OWNER) {
                    self.engine.tcp_mut().listen(id, Places::new(4), options);
                    self.listeners.push(id);
                }
            }
            3 if !self.listeners.is_empty() => {
                let id = self.listeners.swap_remove(bytes.below(self.listeners.len()));
                self.engine.unbind_tcp(id, now, &mut self.device);
            }
            operation if !self.connections.is_empty() => {
                let at = bytes.below(self.connections.len());
                let (id, tcp) = (self.connections[at], self.engine.tcp_mut());
                match operation {
                    4 => drop(tcp.read(id, &mut [0; 30_000], now)),
                    5 => drop(tcp.write(id, &[7; 5000], now)),
                    6 => drop(tcp.shutdown_write(id, now)),
                    _ => {
                        tcp.release(id, now);
                        self.connections.swap_remove(at);
                    }
                }
            }
            _ => {}
        }
    }

    pub(crate) fn change_addresses(&mut self, bytes: &mut Bytes<'_>) {
        let (now, is_v4) = (self.now, bytes.flag());
        let address = self.address(bytes, is_v4);
        if !can_be_added(address) {
            return;
        }
        match bytes.byte() % 4 {
            0 => {
                let interface = self.engine.interface_mut();
                interface.remove_address(address, now);
            }
            verification => {
                let longest = if is_v4 { 32 } else { 128 };
                let length = bytes.pick(&[24, 64, 32, 0, 31, 128, 8]).min(longest);
                let mut added = Address::new(IpCidr::new(address.into(), length), Origin::Static);
                if bytes.byte().is_multiple_of(4) {
                    added.valid_until = Some(now + Self::time(bytes));
                }
                let verification = if verification == 1 { Verification::None } else { Verification::First };
                let _added = self.engine.interface_mut().add_address(added, verification, now);
                // The address may be removed again at once.
                self.sent.note(self.engine.interface());
            }
        }
    }

    fn change_routes(&mut self, bytes: &mut Bytes<'_>) {
        let is_v4 = bytes.flag();
        let (network, router) = (self.address(bytes, is_v4), self.address(bytes, is_v4));
        let length = bytes.pick(&[0, 24, 32, 64, 128]).min(if is_v4 { 32 } else { 128 });
        let target = match bytes.byte() % 6 {
            0 => Target::Link,
            1 => Target::Blackhole,
            2 => Target::Unreachable,
            3 => Target::Prohibit,
            kind => Target::Gateway { address: router, onlink: kind == 4 },
        };
        let route =
            Route { metric: u32::from(bytes.byte() % 3), ..Route::new(IpCidr::new(network.into(), length), target) };
        match bytes.byte() % 4 {
            0 => drop(self.engine.interface_mut().remove_route(&route)),
            1 => drop(self.engine.interface_mut().replace_route(route)),
            _ => drop(self.engine.interface_mut().add_route(route)),
        }
    }

    fn change_link(&mut self, bytes: &mut Bytes<'_>) {
        let now = self.now;
        match bytes.byte() % 12 {
            0 => self.engine.link_down(now),
            1 | 2 => self.engine.link_up(now),
            3 => self.engine.resume(now),
            4 if self.engine.interface().link().hardware.is_some() => {
                self.engine.set_hardware(EthernetAddress(bytes.pick(&[OWN, [2, 0, 0, 0, 1, 1]])), now);
            }
            5 => self.engine.set_autoconfiguration(bytes.flag(), now),
            6 => self.engine.set_dhcp(bytes.flag(), now, &mut self.device),
            7 => self.engine.interface_mut().set_link_local(bytes.flag(), now),
            8 => self.engine.set_mtu(bytes.pick(&[1500, 1280, 9000])),
            9 => self.device.is_full = true,
            _ => self.device.is_full = false,
        }
    }
}

/// Whether a sensible administrator would add an address. The engine accepts all of them.
fn can_be_added(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback() && address.octets()[0] < 240,
        IpAddr::V6(address) => !address.is_loopback(),
    }
}
