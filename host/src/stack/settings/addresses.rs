//! The IP addresses of an interface, and source address selection.

use core::net::IpAddr;

use xila_network_commands::interface::AddressInfo;
use xila_network_engine::interface::Verification;
use xila_network_engine::ip::addresses::{self, AddAddressError, Added, Detection};

use super::origin;
use crate::address::{Cidr, from_wire, to_wire};
use crate::error::ConfigureError;
use crate::platform::Instant;
use crate::stack::attachment::Attachment;

impl Attachment {
    pub(crate) fn addresses(&self) -> Vec<Cidr> {
        self.assigned_addresses().filter_map(|known| from_wire(known.cidr)).collect()
    }

    /// The addresses that are assigned: not those that are still tentative, nor those that another host has (duplicate
    /// address detection).
    fn assigned_addresses(&self) -> impl Iterator<Item = &addresses::Address> {
        self.engine().interface().addresses().iter().filter(|known| known.detection == Detection::Passed)
    }

    /// The assigned addresses with their origins and lifetimes.
    pub(crate) fn address_list(&self) -> Vec<AddressInfo> {
        let left = |until: Option<Instant>| until.map(|until| until - self.now());
        let info = |known: &addresses::Address| {
            Some(AddressInfo {
                cidr: from_wire(known.cidr)?,
                origin: origin(known.origin),
                preferred: left(known.preferred_until),
                valid: left(known.valid_until),
            })
        };
        self.assigned_addresses().filter_map(info).collect()
    }

    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        self.engine().interface().addresses().is_local(address)
    }

    /// Whether sockets may have an address because of this interface: the interface has the address, or it is the
    /// loopback and the address is a loopback address.
    pub(crate) fn is_home_of(&self, address: IpAddr) -> bool {
        self.has_address(address) || (address.is_loopback() && self.loops_back())
    }

    /// Whether an address is a broadcast address.
    pub(crate) fn is_broadcast(&self, address: IpAddr) -> bool {
        self.engine().interface().addresses().is_broadcast(address)
    }

    /// Adds a static address, without a lifetime.
    ///
    /// # Errors
    /// [`ConfigureError::InvalidArgument`] for an address that no host can have; [`ConfigureError::AddressInUse`] if
    /// the interface has it already; [`ConfigureError::NoFreeSlot`].
    pub(crate) fn add_address(&mut self, cidr: Cidr) -> Result<(), ConfigureError> {
        if self.engine().interface().addresses().find(cidr.address()).is_some() {
            return Err(ConfigureError::AddressInUse);
        }
        let address = addresses::Address::new(to_wire(cidr), addresses::Origin::Static);
        self.engage(|engine, _, now| {
            let added = engine.interface_mut().add_address(address, Verification::None, now);
            added.map(|_: Added| ()).map_err(ConfigureError::from)
        })?;
        self.act();
        Ok(())
    }

    /// Removes an address. Connections from it fail with `AddressNotAvailable`.
    ///
    /// # Errors
    /// [`ConfigureError::AddressNotAvailable`] if the interface does not have it.
    pub(crate) fn remove_address(&mut self, cidr: Cidr) -> Result<(), ConfigureError> {
        let known = self.engine().interface().addresses().find(cidr.address());
        if known.is_none_or(|known| known.cidr != to_wire(cidr)) {
            return Err(ConfigureError::AddressNotAvailable);
        }
        self.engage(|engine, _, now| engine.interface_mut().remove_address(cidr.address(), now).map(|_| ()));
        self.act();
        self.request_wake_all();
        Ok(())
    }

    /// The source address for packets to `destination` (RFC 6724 section 5).
    pub(crate) fn source_address(&mut self, destination: IpAddr) -> Option<IpAddr> {
        // The unspecified address is not a destination.
        if destination.is_unspecified() {
            return None;
        }
        self.engage(|engine, _, now| engine.interface_mut().source_for(destination, now))
    }
}

impl From<AddAddressError> for ConfigureError {
    fn from(error: AddAddressError) -> Self {
        match error {
            AddAddressError::Invalid => Self::InvalidArgument,
            AddAddressError::InUse => Self::AddressInUse,
            AddAddressError::Full => Self::NoFreeSlot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_the_engine_becomes_the_matching_error() {
        assert_eq!(ConfigureError::from(AddAddressError::Invalid), ConfigureError::InvalidArgument);
        assert_eq!(ConfigureError::from(AddAddressError::InUse), ConfigureError::AddressInUse);
        assert_eq!(ConfigureError::from(AddAddressError::Full), ConfigureError::NoFreeSlot);
    }
}
