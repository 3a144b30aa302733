//! Fuzzes IPv6 autoconfiguration: hostile routers advertise to a station. The input bytes determine the routers, their
//! messages and the passing of time.

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use smoltcp::wire::EthernetAddress;
use xila_network_engine::configure::router::{Discovery, Limits};
use xila_network_engine::ip::addresses::{Address, Detection, Origin};
use xila_network_engine::ip::routes::Target;

use super::bytes::Bytes;
use super::craft::{ICMPV6, message, packet, put_right};
use super::dhcp::is_name;
use super::station::{NEAR, OWN, ROUTER_V6, Station};

/// The multicast address of all nodes of a link.
const ALL_HOSTS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Lifetimes in seconds; the last one means infinity.
const LIFETIMES: [u32; 9] = [1800, 7200, 7201, 1, 30, 0, 86_400, u32::MAX - 1, u32::MAX];

/// Runs the scenario that the bytes encode.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    // The station is on an Ethernet and has a link-local address, the source of its router solicitations.
    let mut station = Station::of(bytes.byte() & 6 | 24);
    while !bytes.is_empty() {
        station.configure(&mut bytes);
        station.check_discovery();
    }
    station.rest();
    station.check_discovery();
    let now = station.now;
    station.engine.set_autoconfiguration(false, now);
    station.go_on();
    station.check_discovery();
}

impl Station {
    fn configure(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() % 16 {
            0..=6 => self.advertise(bytes.byte(), bytes),
            7 | 8 => {
                if let Some(due) = self.engine.next_timeout() {
                    self.pass((due - self.now).min(Duration::from_secs(86_400)));
                }
            }
            9 | 10 => self.pass(Self::time(bytes)),
            11 => {
                // A burst: many routers send the same, or one router sends much.
                let way = bytes.take(48);
                let (first, times) = (bytes.byte(), bytes.byte() % 64);
                for number in 0..times {
                    self.advertise(first.wrapping_add(number), &mut Bytes::new(way));
                }
            }
            12 => self.claim_same(bytes),
            13 => self.answer_last(bytes),
            14 => self.operate(bytes),
            _ => {
                let now = self.now;
                match bytes.byte() % 8 {
                    0 | 1 => self.engine.link_down(now),
                    2 | 3 => self.engine.link_up(now),
                    4 => self.engine.resume(now),
                    5 => self.engine.set_hardware(EthernetAddress(bytes.pick(&[OWN, NEAR])), now),
                    _ => self.engine.set_autoconfiguration(!bytes.byte().is_multiple_of(4), now),
                }
                self.go_on();
            }
        }
    }

    /// A router sends an advertisement. If no bytes are left, it has no prefix.
    fn advertise(&mut self, router: u8, bytes: &mut Bytes<'_>) {
        let source = match router % 64 {
            0 => ROUTER_V6,
            number => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, number.into()),
        };
        let source = if bytes.byte() < 245 { source } else { v6(self.address(bytes, false)) };
        let [high, low] = bytes.pick(&[1800u16, 0, 1, 9000, 65_535]).to_be_bytes();
        let word = [bytes.pick(&[0, 64, 1, 255]), bytes.byte(), high, low];
        let times = [0, 1, 1000, 30_000, 3_600_000, 3_600_001, u32::MAX];
        let (reachable, retransmit) = (bytes.pick(&times), bytes.pick(&times));
        let mut rest = [reachable.to_be_bytes(), retransmit.to_be_bytes()].concat();
        for _ in 0..bytes.byte() % 24 {
            let option = self.advertised(router, bytes);
            if rest.len() + option.len() < 1400 {
                rest.extend(option);
            }
        }
        let hop_limit = if bytes.byte() < 250 { 255 } else { 64 };
        let code = u8::from(bytes.byte() > 250);
        let destination = if bytes.byte() < 230 { ALL_HOSTS } else { v6(self.address(bytes, false)) };
        let body = message([134, code], word, &rest);
        let mut packet = packet(source.into(), destination.into(), ICMPV6, hop_limit, &body);
        if bytes.byte() > 240 {
            for _ in 0..1 + bytes.byte() % 4 {
                let at = bytes.below(packet.len());
                packet[at] = bytes.byte();
            }
            put_right(&mut packet);
        }
        self.receive_packet(bytes, &packet);
    }

    /// An option of an advertisement (RFC 4861 section 4.6, RFC 4191, RFC 8106).
    fn advertised(&self, router: u8, bytes: &mut Bytes<'_>) -> Vec<u8> {
        let lifetime = |bytes: &mut Bytes<'_>| match bytes.byte() {
            byte @ 0..240 => LIFETIMES[usize::from(byte) % LIFETIMES.len()],
            240.. => bytes.long(),
        };
        let prefix = |bytes: &mut Bytes<'_>| match bytes.byte() {
            byte @ 0..160 => Ipv6Addr::new(0x2001, 0xdb8, u16::from(byte % 48), 0, 0, 0, 0, 0),
            160..190 => Ipv6Addr::new(0x2001, 0xdb8, 0x100 + u16::from(router), 0, 0, 0, 0, 0),
            190..220 => Ipv6Addr::new(0xfe80, 0, 0, bytes.byte().into(), 0, 0, 0, 0),
            220.. => v6(self.address(bytes, false)),
        };
        match bytes.byte() % 12 {
            0..=2 => {
                let length = if bytes.byte() < 220 { 64 } else { bytes.byte() };
                let flags = if bytes.byte() < 200 { 0xc0 } else { bytes.byte() };
                let valid = lifetime(bytes);
                let preferred = if bytes.byte() < 128 { valid } else { lifetime(bytes) };
                let prefix = prefix(bytes).octets();
                [&[3, 4, length, flags][..], &valid.to_be_bytes(), &preferred.to_be_bytes(), &[0; 4], &prefix].concat()
            }
            3 | 4 => {
                let (length, preference) =
                    (bytes.pick(&[0, 48, 64, 128, 129, 1, 56]), bytes.pick(&[0, 8, 24, 16, 255]));
                let units = if bytes.byte() < 230 { 3 } else { 1 + bytes.byte() % 3 };
                let (lifetime, prefix) = (lifetime(bytes).to_be_bytes(), prefix(bytes).octets());
                let prefix = &prefix[..usize::from(units - 1) * 8];
                [&[24, units, length, preference][..], &lifetime, prefix].concat()
            }
            5 | 6 => {
                let count = bytes.byte() % 12;
                let mut option = [&[25, 1 + count * 2, 0, 0][..], &lifetime(bytes).to_be_bytes()].concat();
                for _ in 0..count {
                    option.extend(match bytes.byte() {
                        byte @ 0..200 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x53, byte.into()).octets(),
                        200.. => v6(self.address(bytes, false)).octets(),
                    });
                }
                option
            }
            7 | 8 => {
                let mut option = [&[31, 0, 0, 0][..], &lifetime(bytes).to_be_bytes(), &domains(bytes)].concat();
                option.resize(option.len().next_multiple_of(8).min(1024), 0);
                option[1] = (option.len() / 8) as u8;
                option
            }
            9 => {
                let mtus = [1500, 1280, 0, 1279, 1400, 9000, u32::MAX];
                [&[5, 1, 0, 0][..], &bytes.pick(&mtus).to_be_bytes()].concat()
            }
            10 => [&[bytes.pick(&[1, 2]), 1][..], &self.hardware(bytes)].concat(),
            _ => {
                let (number, length) = (bytes.byte(), bytes.byte() % 8);
                let mut option = vec![number, length];
                option.resize(usize::from(length).max(1) * 8, bytes.byte());
                option
            }
        }
    }

    /// Another host claims an address that the station verifies or has.
    fn claim_same(&mut self, bytes: &mut Bytes<'_>) {
        let is_tentative = |known: &&Address| known.detection == Detection::Running && known.address().is_ipv6();
        let tentative = self.engine.interface().addresses().iter().find(is_tentative).map(|known| v6(known.address()));
        let target = tentative.filter(|_| bytes.byte() < 230).unwrap_or_else(|| v6(self.address(bytes, false)));
        let rest = [&target.octets()[..], &[2, 1], &NEAR].concat();
        let body = message([136, 0], [bytes.pick(&[0x20, 0, 0x60]), 0, 0, 0], &rest);
        let packet = packet(target.into(), ALL_HOSTS.into(), ICMPV6, 255, &body);
        self.receive_packet(bytes, &packet);
    }

    /// Checks that the information from routers is bounded, valid and not expired.
    fn check_discovery(&self) {
        let (engine, interface, now) = (&self.engine, self.engine.interface(), self.now);
        let Limits { routers, prefixes, routes, servers, domains } = Limits::default();
        let mut kinds = [0; 3];
        for route in interface.routes().iter().filter(|known| known.origin == Origin::Router) {
            assert!(route.valid_until.is_none_or(|until| until > now), "{route:?} is over");
            let kind = match route.target {
                Target::Link => 2,
                Target::Gateway { address: IpAddr::V6(address), .. } => {
                    assert!(address.is_unicast_link_local(), "{route:?}");
                    usize::from(route.destination.prefix_len() > 0)
                }
                _ => panic!("{route:?} of a router"),
            };
            kinds[kind] += 1;
        }
        assert!(kinds[0] <= routers && kinds[1] <= routes && kinds[2] <= prefixes, "{kinds:?}");
        let mut formed = 0;
        for known in interface.addresses().iter().filter(|known| known.origin == Origin::Router) {
            formed += 1;
            let (address, length) = (v6(known.address()), known.cidr.prefix_len());
            assert!(length == 64 && !address.is_multicast() && !address.is_unicast_link_local(), "{address}");
            let (valid, preferred) = (known.valid_until, known.preferred_until);
            assert!(valid.is_none_or(|until| until > now), "{address} is over");
            let is_ordered = valid.is_none_or(|valid| preferred.is_some_and(|preferred| preferred <= valid));
            assert!(is_ordered, "{address} is preferred for longer than it is valid: {preferred:?} {valid:?}");
        }
        let told: Vec<IpAddr> = engine.discovery().into_iter().flat_map(Discovery::servers).collect();
        assert!(told.len() <= servers && told.iter().all(|server| is_server(*server)), "{told:?}");
        let told: Vec<&str> = engine.discovery().into_iter().flat_map(Discovery::domains).collect();
        assert!(told.len() <= domains && told.iter().all(|name| is_name(name)), "{told:?}");
        assert!((1..told.len()).all(|place| !told[..place].contains(&told[place])), "twice: {told:?}");
        let mtu = engine.discovery().and_then(|discovery| discovery.parameters().mtu);
        assert!(mtu.is_none_or(|mtu| mtu >= 1280) && interface.link().mtu >= 1280);
        if !engine.autoconfiguration() {
            assert_eq!((kinds, formed), ([0; 3], 0), "something of routers that nobody listens to");
        }
    }
}

/// Whether an address can be that of a server.
fn is_server(address: IpAddr) -> bool {
    let address = v6(address);
    !address.is_unspecified() && !address.is_multicast() && !address.is_loopback() && address.to_ipv4_mapped().is_none()
}

/// Encodes domain names without compression pointers.
fn domains(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut names = Vec::new();
    for _ in 0..bytes.byte() % 16 {
        for _ in 0..bytes.byte() % 6 {
            let length = match bytes.byte() {
                byte @ 0..128 => 1 + byte % 4,
                byte @ 128..240 => byte % 65,
                byte => byte,
            };
            let letter = if bytes.byte() < 240 { b'A' + bytes.byte() % 58 } else { bytes.byte() };
            names.push(length);
            names.resize(names.len() + usize::from(length), letter);
        }
        names.push(0);
    }
    names
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V6(address) => address,
        IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED,
    }
}
