//! State, hardware address, MTU and DNS servers of an interface.

use core::net::IpAddr;

use smoltcp::wire::{EthernetAddress, HardwareAddress};
use xila_network_commands::event::Change;
use xila_network_commands::interface::{Link, Origin, State, Statistics};

use super::{Core, MOST_NARROW, Stack, phy};
use crate::address::{MacAddress, is_unicast, is_v4_mapped, to_wire};
use crate::device::{Capabilities, Checksums, Device};
use crate::error::{Error, Result};

/// The most DNS servers of an interface.
const MOST_DNS_SERVERS: usize = 8;

impl Core {
    /// # Errors
    /// [`Error::NetworkDown`] where the interface is down or unmounted.
    pub(crate) fn check_up(&self) -> Result<()> {
        if self.state == State::Up && self.port.is_some() { Ok(()) } else { Err(Error::NetworkDown) }
    }

    /// # Errors
    /// [`Error::NetworkDown`] where the interface is unmounted.
    pub(crate) fn check_mounted(&self) -> Result<()> {
        if self.port.is_some() { Ok(()) } else { Err(Error::NetworkDown) }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.check_up().is_ok()
    }

    pub(crate) const fn state(&self) -> State {
        self.state
    }

    pub(crate) fn driver(&self) -> &'static str {
        self.port.as_ref().map_or("none", |port| port.device.driver())
    }

    pub(crate) fn loops_back(&self) -> bool {
        self.port.as_ref().is_some_and(|port| port.device.loops_back())
    }

    pub(crate) fn link(&self) -> Link {
        self.port.as_ref().map_or(Link::Down, |port| port.device.link())
    }

    pub(crate) const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    pub(crate) const fn hardware_address(&self) -> Option<MacAddress> {
        self.hardware_address
    }

    /// # Errors
    /// [`Error::NotSupported`] where the medium has no hardware addresses.
    pub(crate) fn set_hardware_address(&mut self, address: MacAddress) -> Result<()> {
        let known = self.hardware_address.ok_or(Error::NotSupported)?;
        if known != address {
            self.iface.set_hardware_addr(HardwareAddress::Ethernet(EthernetAddress(address.octets())));
            self.hardware_address = Some(address);
            self.announce(Change::HardwareAddress(address));
            self.dhcp_restart();
            self.autoconfiguration_restart();
        }
        Ok(())
    }

    /// The IP MTU in force.
    pub(crate) const fn mtu(&self) -> u32 {
        // Between 1280 and 65535.
        self.capabilities.mtu as u32
    }

    pub(crate) fn maximum_burst(&self) -> Option<u32> {
        self.capabilities.max_burst.and_then(|frames| u32::try_from(frames).ok())
    }

    /// Sets the IP MTU, at most the device's.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] outside 1280 (RFC 8200 section 5) to what the device takes;
    /// [`Error::NetworkDown`] where the interface is unmounted.
    pub(crate) fn set_mtu(&mut self, mtu: u32) -> Result<()> {
        self.apply_mtu(mtu)?;
        self.autoconfiguration_keep_mtu();
        Ok(())
    }

    pub(super) fn apply_mtu(&mut self, mtu: u32) -> Result<()> {
        let port = self.port.as_mut().ok_or(Error::NetworkDown)?;
        let mtu = usize::try_from(mtu).map_err(|_| Error::InvalidArgument)?;
        if !(MOST_NARROW..=port.device.capabilities().mtu).contains(&mtu) {
            return Err(Error::InvalidArgument);
        }
        if self.capabilities.mtu != mtu {
            self.capabilities.mtu = mtu;
            port.capabilities = phy::capabilities(&self.capabilities);
            self.rebuild();
            self.tcp_set_mtu(mtu);
            self.announce(Change::Mtu(self.mtu()));
        }
        Ok(())
    }

    /// Makes the engine anew: smoltcp asks a device for its MTU only then. Connections are not the engine's but their
    /// own; what it has is given to the new one, but for its neighbours, whom it finds again.
    pub(super) fn rebuild(&mut self) {
        self.stir();
        let hardware = match self.hardware_address {
            Some(address) => HardwareAddress::Ethernet(EthernetAddress(address.octets())),
            None => HardwareAddress::Ip,
        };
        let Some(port) = &mut self.port else { return };
        self.iface = super::engine(port, hardware, self.random, self.now);
        let addresses: Vec<_> = self.addresses.iter().map(|known| to_wire(known.cidr)).collect();
        self.iface.update_ip_addrs(|table| addresses.into_iter().for_each(|cidr| table.push(cidr).unwrap_or_default()));
        self.settle_routes();
        self.udp_rejoin();
        self.neighbours.forget();
        self.icmp.reports_pending = true;
    }

    pub(crate) fn dns_servers(&self) -> Vec<IpAddr> {
        self.dns_servers.iter().map(|(server, _)| *server).collect()
    }

    /// # Errors
    /// [`Error::InvalidArgument`] for an address that no host can have; [`Error::AddressInUse`] where it is known;
    /// [`Error::NoFreeSlot`].
    pub(crate) fn add_dns_server(&mut self, server: IpAddr) -> Result<()> {
        if !is_unicast(server) || is_v4_mapped(server) {
            return Err(Error::InvalidArgument);
        }
        if self.dns_servers.iter().any(|(known, _)| *known == server) {
            return Err(Error::AddressInUse);
        }
        self.push_dns_server(server, Origin::Static)
    }

    /// # Errors
    /// [`Error::AddressNotAvailable`] where it is not known.
    pub(crate) fn remove_dns_server(&mut self, server: IpAddr) -> Result<()> {
        let known = self.dns_servers.iter().position(|(known, _)| *known == server);
        self.dns_servers.remove(known.ok_or(Error::AddressNotAvailable)?);
        self.announce(Change::DnsServerRemoved(server));
        Ok(())
    }

    /// Replaces the servers of one origin. Those that are known from elsewhere stay as they are; those for which there is
    /// no room, or that no host can be, are left out.
    pub(crate) fn put_dns_servers(&mut self, origin: Origin, servers: &[IpAddr]) {
        let gone = |(known, from): &&(IpAddr, Origin)| *from == origin && !servers.contains(known);
        let gone: Vec<IpAddr> = self.dns_servers.iter().filter(gone).map(|(known, _)| *known).collect();
        gone.into_iter().for_each(|server| self.remove_dns_server(server).unwrap_or_default());
        for &server in servers {
            let known = self.dns_servers.iter().any(|(known, _)| *known == server);
            if !known
                && is_unicast(server)
                && !is_v4_mapped(server)
                && let Err(error) = self.push_dns_server(server, origin)
            {
                tracing::warn!(%server, %error, "a DNS server was left out");
            }
        }
    }

    fn push_dns_server(&mut self, server: IpAddr, origin: Origin) -> Result<()> {
        if self.dns_servers.len() >= MOST_DNS_SERVERS {
            return Err(Error::NoFreeSlot);
        }
        self.dns_servers.push((server, origin));
        self.announce(Change::DnsServerAdded(server));
        Ok(())
    }

    /// Whether checksums of what arrives are verified here.
    pub(super) fn verifies(&self) -> bool {
        self.capabilities.checksums == Checksums::Computed
    }

    pub(crate) const fn echo_reply(&self) -> bool {
        self.icmp.echo_reply
    }

    pub(crate) fn set_echo_reply(&mut self, enabled: bool) {
        self.icmp.echo_reply = enabled;
    }

    /// From now on changes are told: nobody hears of an interface before it is there.
    pub(crate) const fn speak(&mut self) {
        self.quiet = false;
    }

    /// Tells of a change.
    pub(super) fn announce(&mut self, change: Change) {
        if self.quiet {
            return;
        }
        let Some(name) = self.me.upgrade().map(|me| me.name.clone()) else { return };
        self.events.publish(&name, change, &mut self.wakes);
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let mut statistics = self.statistics;
        // What an interface that is unmounted has counted stays.
        if let Some(port) = &self.port {
            statistics.sent = port.sent;
            self.tcp.count(&mut statistics);
        }
        statistics.udp_sockets = self.udp.len() as u64;
        statistics.icmp_sockets = self.icmp.len() as u64;
        statistics
    }

    /// Changes the administrative state. Whoever waits learns it.
    pub(crate) fn set_state(&mut self, state: State) {
        if self.state == state {
            return;
        }
        self.state = state;
        self.rouse();
        match state {
            State::Up => {
                // The device is asked anew, and every timer that fell due meanwhile goes off now.
                self.unfinished = true;
                // While it was down nobody could be heard.
                self.tcp_restart();
                self.dhcp_ask();
                self.autoconfiguration_ask();
            }
            State::Down => {}
        }
        self.announce(Change::State(state));
    }

    /// A device's link may have gone up or down: flows that gave up on a neighbour try again.
    pub(super) fn link_changed(&mut self, link: Link) {
        if link == self.known_link {
            return;
        }
        self.known_link = link;
        if link == Link::Up {
            self.icmp.reports_pending = true;
            self.resolution_restart();
            self.unfinished |= !self.schedule.is_empty();
        }
        self.announce(Change::Link(link));
        self.dhcp_restart();
        self.autoconfiguration_restart();
        if link == Link::Up {
            // What that left due is done before the runner sleeps.
            self.unfinished |= self.dhcp_next().is_some() || self.autoconfiguration_next().is_some();
        }
    }

    /// Wakes everyone who waits for anything.
    fn rouse(&mut self) {
        self.tcp.rouse(&mut self.wakes);
        self.udp_rouse();
        self.icmp_rouse();
    }
}

impl Stack {
    /// Ends the stack: every operation fails with [`Error::NetworkDown`] from now on, and the device is returned.
    pub(crate) fn unmount(&self) -> Option<Box<dyn Device>> {
        self.with_mut(|core| {
            core.statistics = core.statistics();
            let device = core.port.take().map(|mut port| {
                // Whoever has it next may know of no offloads.
                port.device.set_offloads(false);
                port.device
            });
            core.dhcp_end();
            core.autoconfiguration = None;
            core.rouse();
            core.tcp_end();
            device
        })
    }
}
