//! An engine on a link, alone with the test, which crafts the frames that arrive and checks the frames that leave.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use smoltcp::wire::{EthernetAddress, IpCidr};
use xila_network_engine::engine::{Arrived, Config};
use xila_network_engine::event::Event;
use xila_network_engine::frame::{Frame, Transmitter};
use xila_network_engine::interface::{Link, Verification};
use xila_network_engine::ip::addresses::{Address, Origin};
use xila_network_engine::ip::output::Blocked;
use xila_network_engine::ip::routes::{Route, Target};
use xila_network_engine::link::groups::multicast_hardware;
use xila_network_engine::ports::PortLimits;
use xila_network_engine::random::Random;
use xila_network_engine::tcp::{self, ConnectionId, ListenerId, Progress};
use xila_network_engine::time::Instant;
use xila_network_engine::udp::{self, SocketId};
use xila_network_engine::{Engine, wire};

use super::bytes::Bytes;
use super::craft::{BROADCAST, Hardware, ethernet};
use super::sent::{DAY, Sent};

/// A device that accepts frames while it is not full.
#[derive(Default)]
pub(crate) struct Device {
    pub(crate) is_full: bool,
    frames: Vec<Vec<u8>>,
}

impl Transmitter for Device {
    fn transmit(&mut self, frame: Frame<'_>, write: &mut dyn FnMut(&mut [u8])) -> bool {
        if self.is_full {
            return false;
        }
        assert!(frame.segment == 0 && !frame.is_unchecked, "the device does nothing by itself");
        let mut bytes = vec![0xa5; frame.length];
        write(&mut bytes);
        frame.apart.iter().for_each(|slice| bytes.extend_from_slice(slice));
        self.frames.push(bytes);
        true
    }
}

/// See the [module](self).
pub(crate) struct Station {
    pub(crate) engine: Engine,
    pub(crate) device: Device,
    pub(crate) now: Instant,
    pub(crate) sent: Sent,
    /// The last frames that have left, oldest first.
    pub(crate) left: Vec<Vec<u8>>,
    /// The number of frames that have left.
    pub(crate) count: usize,
    /// The datagrams that were delivered since the list was last cleared.
    pub(crate) delivered: Vec<Vec<u8>>,
    pub(crate) sockets: Vec<SocketId>,
    pub(crate) connections: Vec<ConnectionId>,
    pub(crate) listeners: Vec<ListenerId>,
}

pub(crate) const OWN: Hardware = [2, 0, 0, 0, 0, 1];
pub(crate) const NEAR: Hardware = [2, 0, 0, 0, 0, 2];
pub(crate) const FAR: Hardware = [2, 0, 0, 0, 0, 3];
pub(crate) const ROUTER: Hardware = [2, 0, 0, 0, 0, 0xfe];

/// The first addresses of a station, of its neighbour and of its router.
pub(crate) const OWN_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const NEAR_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub(crate) const OWN_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
pub(crate) const NEAR_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
pub(crate) const ROUTER_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
pub(crate) const ROUTER_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe);

/// The limit of sockets, connections and listeners.
pub(crate) const MOST: usize = 24;

pub(crate) const V4: [Ipv4Addr; 18] = [
    NEAR_V4,
    ROUTER_V4,
    Ipv4Addr::new(192, 0, 2, 3),
    OWN_V4,
    Ipv4Addr::new(198, 51, 100, 7),
    Ipv4Addr::new(192, 0, 2, 255),
    Ipv4Addr::BROADCAST,
    Ipv4Addr::new(224, 0, 0, 1),
    Ipv4Addr::new(239, 1, 2, 3),
    Ipv4Addr::new(224, 0, 0, 22),
    Ipv4Addr::new(224, 0, 0, 251),
    Ipv4Addr::UNSPECIFIED,
    Ipv4Addr::LOCALHOST,
    Ipv4Addr::new(192, 0, 2, 0),
    Ipv4Addr::new(240, 0, 0, 1),
    Ipv4Addr::new(0, 1, 2, 3),
    Ipv4Addr::new(169, 254, 1, 1),
    Ipv4Addr::new(10, 0, 0, 9),
];
pub(crate) const V6: [Ipv6Addr; 18] = [
    NEAR_V6,
    ROUTER_V6,
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2),
    OWN_V6,
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 7),
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 1),
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb),
    Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0x1234),
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16),
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2),
    Ipv6Addr::UNSPECIFIED,
    Ipv6Addr::LOCALHOST,
    Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0202),
    Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 3),
    Ipv6Addr::new(0xff0e, 0, 0, 0, 0, 0, 0, 9),
];

impl Station {
    /// A station with an address of each family and a default router, on an Ethernet link with this hardware address,
    /// or on a link without hardware addresses.
    pub(crate) fn new(hardware: Option<Hardware>, mtu: usize, addresses: [IpAddr; 2]) -> Self {
        let link = Link {
            hardware: hardware.map(EthernetAddress),
            mtu,
            loops_back: false,
            checksums: true,
            completes_checksums: false,
            segmentation: 0,
            datagram_segmentation: false,
        };
        let tcp = tcp::Config {
            most_half_open: 16,
            most_time_wait: 16,
            ..tcp::Config::new(tcp::Link { mtu, lossless: false, checksums: true })
        };
        // A small range, because the table visits every port of it when it is made, which is slow under a fuzzer.
        let ports = PortLimits { range: 50_000..=50_399, ..PortLimits::default() };
        let udp = udp::Limits { ports, ..udp::Limits::default() };
        let config = Config { link, tcp, udp, echo_reply: true };
        let now = Instant::ORIGIN + Duration::from_secs(1000);
        let seed = hardware.map_or(1, |hardware| hardware[5]);
        let mut engine = Engine::new(config, Random::new([seed; 32]));
        for address in addresses {
            let length = if address.is_ipv4() { 24 } else { 64 };
            let address = Address::new(IpCidr::new(address.into(), length), Origin::Static);
            engine.interface_mut().add_address(address, Verification::None, now).expect("there is room");
        }
        let ways: [(IpAddr, IpAddr); 2] =
            [(Ipv4Addr::UNSPECIFIED.into(), ROUTER_V4.into()), (Ipv6Addr::UNSPECIFIED.into(), ROUTER_V6.into())];
        for (network, router) in ways {
            let target = Target::Gateway { address: router, onlink: true };
            engine
                .interface_mut()
                .add_route(Route::new(IpCidr::new(network.into(), 0), target))
                .expect("there is room");
        }
        let mut station = Self {
            engine,
            device: Device::default(),
            now,
            sent: Sent::new(now),
            left: Vec::new(),
            count: 0,
            delivered: Vec::new(),
            sockets: Vec::new(),
            connections: Vec::new(),
            listeners: Vec::new(),
        };
        station.go_on();
        station
    }

    /// The station of most fuzz targets, configured by one byte.
    pub(crate) fn of(setting: u8) -> Self {
        let hardware = (setting & 1 == 0).then_some(OWN);
        let mtu = [1500, 1280, 9000, 1400][usize::from(setting >> 1 & 3)];
        let mut station = Self::new(hardware, mtu, [OWN_V4.into(), OWN_V6.into()]);
        if setting & 8 != 0 {
            station.engine.interface_mut().set_link_local(true, station.now);
        }
        if setting & 16 != 0 {
            station.engine.set_autoconfiguration(true, station.now);
        }
        if setting & 32 != 0 {
            station.engine.set_dhcp(true, station.now, &mut station.device);
        }
        station.go_on();
        station
    }

    /// Receives a frame.
    pub(crate) fn receive(&mut self, frame: &[u8]) {
        self.sent.hears(frame, self.engine.interface());
        self.engine.receive(
            Arrived { head: frame, apart: &[], is_verified: false, segment: 0 },
            self.now,
            &mut self.device,
        );
        self.go_on();
        self.sent.hears_no_more();
    }

    /// Receives a packet in a frame that is correct most of the time.
    pub(crate) fn receive_packet(&mut self, bytes: &mut Bytes<'_>, packet: &[u8]) {
        let frame = self.frame(bytes, packet);
        self.receive(&frame);
    }

    fn frame(&self, bytes: &mut Bytes<'_>, packet: &[u8]) -> Vec<u8> {
        let Some(own) = self.engine.interface().link().hardware else { return packet.to_vec() };
        let natural = match wire::destination(packet) {
            Some(address) if address.is_multicast() => multicast_hardware(address).0,
            Some(address) if self.engine.interface().addresses().is_broadcast(address) => BROADCAST,
            Some(_) | None => own.0,
        };
        let to = match bytes.byte() % 16 {
            0..=11 => natural,
            12 => BROADCAST,
            13 => own.0,
            14 => [0x33, 0x33, 0, 0, 0, 1],
            _ => self.hardware(bytes),
        };
        let from = if bytes.flag() { self.hardware(bytes) } else { NEAR };
        ethernet(to, from, packet)
    }

    /// Does what is due, and sends. Only a few rounds may be due at once.
    pub(crate) fn go_on(&mut self) {
        for round in 0.. {
            self.transmit();
            self.look();
            let due = self.engine.next_timeout().is_some_and(|due| due <= self.now);
            if !due {
                break;
            }
            assert!(round < 20, "something is due without end");
            self.engine.handle_timeout(self.now, &mut self.device);
        }
        self.check();
    }

    fn transmit(&mut self) {
        self.engine.act(self.now, &mut self.device);
        if self.engine.owes() && !self.engine.transmit(self.now, &mut self.device) {
            return;
        }
        let mut turns = 0;
        while let Some(id) = self.engine.tcp_mut().next_pending() {
            let sent = self.engine.transmit_connection(id, 16 << 10, self.now, &mut self.device);
            if sent.progress == Progress::Blocked(Blocked::Full) {
                return;
            }
            turns += 1;
            assert!(turns < 1000, "connections that are never done");
        }
    }

    /// Checks the frames that have left and the events.
    fn look(&mut self) {
        let frames = core::mem::take(&mut self.device.frames);
        for frame in frames {
            self.sent.look(&frame, self.engine.interface(), self.now);
            self.left.push(frame);
            self.count += 1;
        }
        if self.left.len() > 64 {
            self.left.drain(..self.left.len() - 32);
        }
        let mut events = 0;
        while let Some(event) = self.engine.poll_event() {
            events += 1;
            match event {
                Event::Removed(id) => self.connections.retain(|known| *known != id),
                Event::Datagram { datagram, .. } => self.delivered.push(datagram.content.into_vec()),
                Event::Acceptable(id) => {
                    while self.connections.len() < MOST
                        && let Some(accepted) = self.engine.tcp_mut().accept(id)
                    {
                        self.connections.push(accepted.id);
                    }
                }
                Event::Readable(_)
                | Event::Writable(_)
                | Event::PathError { .. }
                | Event::EchoReply(_)
                | Event::Report(_)
                | Event::Uncrowded
                | Event::Changed(_) => {}
            }
        }
        assert!(events < 5000, "{events} events at once");
        if self.delivered.len() > 64 {
            self.delivered.clear();
        }
    }

    /// Checks that memory stays within its limits.
    fn check(&mut self) {
        self.sent.note(self.engine.interface());
        self.sent.check(self.now);
        let (engine, now) = (&self.engine, self.now);
        let interface = engine.interface();
        // The limits: packets that wait for neighbours, frames that wait for the device, and the tables.
        let most = (4 << 20) + 256 * (self.sent.widest + 100) + (1 << 20);
        assert!(interface.held() <= most, "{} bytes of the interface", interface.held());
        let connections = engine.tcp().connection_count() + 1;
        let tcp = engine.tcp().held();
        assert!(tcp <= connections * 700_000, "{tcp} bytes of {connections} connections");
        assert!(engine.held() <= (16 << 20) + tcp, "{} bytes in all", engine.held());
        assert!(engine.tcp().half_open_count() <= 16 && engine.tcp().time_wait_count() <= 16);
        assert!(interface.addresses().len() <= 64 && interface.routes().len() <= 256);
        let mut neighbours = 0;
        for neighbour in interface.neighbours(now) {
            neighbours += 1;
            if let Some(hardware) = neighbour.hardware {
                assert!(hardware.is_unicast() && hardware.0 != [0; 6], "nobody has the address {hardware}");
            }
            assert!(!neighbour.hop.is_multicast() && !neighbour.hop.is_unspecified());
        }
        assert!(neighbours <= 1024);
        for destination in [IpAddr::V4(NEAR_V4), V4[4].into(), NEAR_V6.into(), V6[4].into()] {
            let (mtu, least) = (interface.mtu_to(destination, now), if destination.is_ipv4() { 552 } else { 1280 });
            assert!((least..=interface.link().mtu).contains(&mtu), "{mtu} bytes to {destination}");
        }
    }

    /// Advances the time.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0;
        while let Some(due) = self.engine.next_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.engine.handle_timeout(self.now, &mut self.device);
            self.go_on();
            steps += 1;
            assert!(steps < 20_000, "timers that never rest");
        }
        self.now = end;
        self.go_on();
    }

    /// Advances the time by ten minutes without traffic, after which nothing may wait any more.
    pub(crate) fn rest(&mut self) {
        self.device.is_full = false;
        self.pass(Duration::from_secs(600));
        assert!(!self.engine.owes(), "something waits for a device that has room");
        if self.engine.tcp().connection_count() == 0 && self.engine.tcp().half_open_count() == 0 {
            let waiting: usize = self.engine.interface().neighbours(self.now).map(|neighbour| neighbour.waiting).sum();
            assert_eq!(waiting, 0, "packets wait for neighbours that were long found or given up");
        }
        let kept = self.engine.held() - self.engine.tcp().held() - self.engine.interface().held();
        assert_eq!(kept, 0, "fragments are kept for ever");
    }

    pub(crate) fn time(bytes: &mut Bytes<'_>) -> Duration {
        const MILLIS: [u64; 14] = [0, 1, 10, 100, 250, 500, 1000, 1100, 2000, 5000, 10_000, 31_000, 61_000, 400_000];
        match bytes.byte() {
            255 => DAY / 4,
            byte => Duration::from_millis(MILLIS[usize::from(byte) % MILLIS.len()]),
        }
    }

    /// An address of a family: one of the station's own, a special one, or an arbitrary one.
    pub(crate) fn address(&self, bytes: &mut Bytes<'_>, is_v4: bool) -> IpAddr {
        let own: Vec<IpAddr> = self.engine.interface().addresses().iter().map(Address::address).collect();
        let own: Vec<IpAddr> = own.into_iter().filter(|address| address.is_ipv4() == is_v4).collect();
        let byte = bytes.byte();
        let place = usize::from(byte & 63);
        match byte {
            0..64 if !own.is_empty() => own[place % own.len()],
            0..240 if is_v4 => V4[place % V4.len()].into(),
            0..240 => V6[place % V6.len()].into(),
            240.. if is_v4 => Ipv4Addr::from(bytes.long()).into(),
            240.. => Ipv6Addr::from(core::array::from_fn::<u8, 16, _>(|_| bytes.byte())).into(),
        }
    }

    /// Two addresses of one family: usually another host's and the station's.
    pub(crate) fn ends(&self, bytes: &mut Bytes<'_>, is_v4: bool) -> (IpAddr, IpAddr) {
        let near = if is_v4 { NEAR_V4.into() } else { IpAddr::V6(NEAR_V6) };
        let source = if bytes.flag() { self.address(bytes, is_v4) } else { near };
        (source, self.address(bytes, is_v4))
    }

    pub(crate) fn hardware(&self, bytes: &mut Bytes<'_>) -> Hardware {
        let own = self.engine.interface().link().hardware.map_or(OWN, |own| own.0);
        let known = [NEAR, FAR, ROUTER, own, BROADCAST, [0; 6], [1, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0xff, 0, 0, 1]];
        match bytes.byte() {
            byte @ 0..240 => known[usize::from(byte) % known.len()],
            240.. => core::array::from_fn(|_| bytes.byte()),
        }
    }
}
