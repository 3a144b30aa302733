//! Addresses of an interface: set by somebody, lent by DHCP, or configured from a router's advertisement.

use core::net::IpAddr;
use core::time::Duration;

use smoltcp::wire::IpCidr;
use xila_network_commands::event::Change;
use xila_network_commands::interface::{AddressInfo, Origin};

use super::Core;
use crate::address::preference::{Source, is_better_source};
use crate::address::{Cidr, is_unicast, is_v4_mapped, to_wire};
use crate::error::{Error, Result};
use crate::platform::Instant;

/// An address, and until when it is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) cidr: Cidr,
    pub(super) origin: Origin,
    pub(super) preferred: Option<Instant>,
    pub(super) valid: Option<Instant>,
}

impl Address {
    fn is_deprecated(&self, now: Instant) -> bool {
        self.preferred.is_some_and(|until| until <= now)
    }
}

impl Core {
    pub(crate) fn addresses(&self) -> Vec<Cidr> {
        self.addresses.iter().map(|address| address.cidr).collect()
    }

    /// The addresses with all that is known of them.
    pub(crate) fn address_list(&self) -> Vec<AddressInfo> {
        let left = |until: Option<Instant>| until.map(|until| until - self.now);
        let info = |&Address { cidr, origin, preferred, valid }: &Address| AddressInfo {
            cidr,
            origin,
            preferred: left(preferred),
            valid: left(valid),
        };
        self.addresses.iter().map(info).collect()
    }

    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|known| known.cidr.address() == address)
    }

    /// Adds an address for good.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an address that no host can have; [`Error::AddressInUse`] for one that is there;
    /// [`Error::NoFreeSlot`].
    pub(crate) fn add_address(&mut self, cidr: Cidr) -> Result<()> {
        if self.has_address(cidr.address()) {
            return Err(Error::AddressInUse);
        }
        self.put_address(cidr, Origin::Static, None, None)
    }

    /// Adds an address that a protocol gave, or sets anew until when one of its is preferred and valid.
    ///
    /// # Errors
    /// As [`add_address`](Self::add_address); an address that is there from elsewhere is in use.
    pub(super) fn put_address(
        &mut self,
        cidr: Cidr,
        origin: Origin,
        preferred: Option<Duration>,
        valid: Option<Duration>,
    ) -> Result<()> {
        if !is_unicast(cidr.address()) || is_v4_mapped(cidr.address()) {
            return Err(Error::InvalidArgument);
        }
        let until = |left: Option<Duration>| left.map(|left| self.now + left);
        let address = Address { cidr, origin, preferred: until(preferred), valid: until(valid) };
        if let Some(known) = self.addresses.iter_mut().find(|known| known.cidr.address() == cidr.address()) {
            if (known.cidr, known.origin) != (cidr, origin) {
                return Err(Error::AddressInUse);
            }
            *known = address;
            self.settle_lifetimes();
            return Ok(());
        }
        let mut pushed = Ok(());
        self.iface.update_ip_addrs(|addresses| {
            pushed = addresses.push(to_wire(cidr)).map_err(|_| Error::NoFreeSlot);
        });
        pushed?;
        self.neighbours.forget();
        self.addresses.push(address);
        self.settle_lifetimes();
        self.icmp.reports_pending = true;
        // smoltcp takes an IPv4 group as reported that was joined while there was no address to report it from.
        let first = self.addresses.iter().filter(|known| known.cidr.address().is_ipv4()).count() == 1;
        if cidr.address().is_ipv4() && first && self.udp_has_v4_groups() {
            self.rebuild();
        }
        self.tcp_resume_all();
        self.announce(Change::AddressAdded(cidr));
        Ok(())
    }

    /// Removes an address. Connections from it fail with [`Error::AddressNotAvailable`].
    ///
    /// # Errors
    /// [`Error::AddressNotAvailable`] where it is not there.
    pub(crate) fn remove_address(&mut self, cidr: Cidr) -> Result<()> {
        let index = self.addresses.iter().position(|known| known.cidr == cidr).ok_or(Error::AddressNotAvailable)?;
        self.addresses.remove(index);
        self.settle_lifetimes();
        let wire: IpCidr = to_wire(cidr);
        self.iface.update_ip_addrs(|addresses| addresses.retain(|address| *address != wire));
        self.neighbours.forget();
        self.icmp.reports_pending = true;
        self.tcp_address_removed(cidr.address());
        self.tcp.rouse_listeners(&mut self.wakes);
        self.udp_rouse();
        self.announce(Change::AddressRemoved(cidr));
        Ok(())
    }

    /// The address to speak to `destination` from (RFC 6724 section 5).
    pub(crate) fn source_address(&self, destination: IpAddr) -> Option<IpAddr> {
        // The unspecified address is no destination.
        if destination.is_unspecified() {
            return None;
        }
        let hop = self.next_hop(destination);
        let sources = self.addresses.iter().filter(|known| known.cidr.address().is_ipv4() == destination.is_ipv4());
        let sources = sources.map(|known| Source {
            address: known.cidr.address(),
            deprecated: known.is_deprecated(self.now),
            on_path: hop.is_some_and(|hop| known.cidr.contains(hop)),
        });
        // The first of several equals.
        sources
            .reduce(|best, next| if is_better_source(&next, &best, destination) { next } else { best })
            .map(|source| source.address)
    }
}
