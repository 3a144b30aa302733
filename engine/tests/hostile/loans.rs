//! Fuzzes an engine with its DHCP client against hostile servers.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use smoltcp::wire::{IpCidr, Ipv4Cidr};
use xila_network_engine::configure::dhcp::Client;
use xila_network_engine::ip::addresses::{Address, Origin};

use super::bytes::Bytes;
use super::craft::{UDP, datagram, packet};
use super::dhcp::{NOTHING, check_lease};
use super::lender::{Asked, SERVERS, lent, reply};
use super::station::Station;

/// The destination of a default route.
const EVERYWHERE: IpCidr = IpCidr::Ipv4(Ipv4Cidr::new(Ipv4Addr::UNSPECIFIED, 0));

/// Runs the scenario that the bytes encode.
pub(crate) fn lend(bytes: &mut Bytes<'_>) {
    let mut station = Station::of(bytes.byte() & !1 | 32);
    while !bytes.is_empty() {
        station.borrow_address(bytes);
    }
    station.device.is_full = false;
    station.pass(Duration::from_secs(600));
    // DHCP is switched off, or the last request might still wait to resolve a server that has gone.
    let now = station.now;
    station.engine.set_dhcp(false, now, &mut station.device);
    station.rest();
    station.check_loan();
}

impl Station {
    fn borrow_address(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() % 16 {
            0..=6 => {
                let packet = self.lease(bytes);
                self.receive_packet(bytes, &packet);
            }
            7..=9 => {
                if let Some(due) = self.engine.next_timeout() {
                    self.pass((due - self.now).min(Duration::from_secs(3600)));
                }
            }
            10 | 11 => self.pass(Self::time(bytes)),
            12 => {
                let frame = self.strange_arp(bytes);
                self.receive(&frame);
            }
            13 => self.answer_last(bytes),
            14 => self.operate(bytes),
            _ => {
                let (now, enabled) = (self.now, !bytes.byte().is_multiple_of(4));
                self.engine.set_dhcp(enabled, now, &mut self.device);
                self.go_on();
            }
        }
        self.check_loan();
    }

    /// A server's answer to the client's last message.
    fn lease(&self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        let is_asked = |frame: &&Vec<u8>| frame.get(34..38) == Some(&[0, 68, 0, 67]);
        let asked = self.left.iter().rev().find(is_asked).map(|frame| Asked::read(&frame[42..]));
        let message = reply(&asked.unwrap_or(NOTHING), bytes);
        let to = if bytes.flag() { Ipv4Addr::BROADCAST } else { lent(&message) };
        let from = if bytes.byte() < 230 { SERVERS[0] } else { bytes.pick(&SERVERS) };
        packet(from.into(), to.into(), UDP, 64, &datagram(67, 68, &message))
    }

    /// Checks that the interface has from DHCP what the lease contains, and nothing else.
    fn check_loan(&self) {
        let lease = self.engine.dhcp().and_then(Client::lease);
        let interface = self.engine.interface();
        let mut addresses = interface.addresses().iter().filter(|known| known.origin == Origin::Dhcp);
        let address = addresses.next().map(Address::address);
        assert!(addresses.next().is_none(), "two addresses of one lease");
        assert!(address.is_none() || address == lease.map(|lease| lease.address.into()), "{address:?} is not lent");
        for route in interface.routes().iter().filter(|known| known.origin == Origin::Dhcp) {
            let to = (route.destination, route.gateway());
            let by = |router: &Ipv4Addr| Some(IpAddr::V4(*router));
            let is_said = lease.is_some_and(|lease| {
                let mut said =
                    lease.routes.iter().map(|route| (route.destination, route.gateway.as_ref().and_then(by)));
                let default = lease.routers.first().map(|router| (EVERYWHERE, by(router)));
                said.any(|said| said == to) || default == Some(to)
            });
            assert!(is_said, "{route:?} is of no lease");
        }
        lease.into_iter().for_each(check_lease);
    }
}
