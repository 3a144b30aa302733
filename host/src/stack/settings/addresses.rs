//! Addresses.

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

    /// Those that are this host's: one that the link is still being asked about, or that another has, is not.
    fn assigned_addresses(&self) -> impl Iterator<Item = &addresses::Address> {
        self.engine().interface().addresses().iter().filter(|known| known.detection == Detection::Passed)
    }

    /// The addresses with all that is known of them.
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

    /// Whether an address means every host of a link.
    pub(crate) fn is_broadcast(&self, address: IpAddr) -> bool {
        self.engine().interface().addresses().is_broadcast(address)
    }

    /// Adds an address for good.
    ///
    /// # Errors
    /// [`ConfigureError::InvalidArgument`] for an address that no host can have; [`ConfigureError::AddressInUse`] for one
    /// that is there; [`ConfigureError::NoFreeSlot`].
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
    /// [`ConfigureError::AddressNotAvailable`] where it is not there.
    pub(crate) fn remove_address(&mut self, cidr: Cidr) -> Result<(), ConfigureError> {
        let known = self.engine().interface().addresses().find(cidr.address());
        if known.is_none_or(|known| known.cidr != to_wire(cidr)) {
            return Err(ConfigureError::AddressNotAvailable);
        }
        self.engage(|engine, _, now| engine.interface_mut().remove_address(cidr.address(), now).map(|_| ()));
        self.act();
        self.rouse();
        Ok(())
    }

    /// The address to speak to `destination` from (RFC 6724 section 5).
    pub(crate) fn source_address(&mut self, destination: IpAddr) -> Option<IpAddr> {
        // The unspecified address is no destination.
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
    fn what_the_engine_refuses_is_told_by_its_cause() {
        assert_eq!(ConfigureError::from(AddAddressError::Invalid), ConfigureError::InvalidArgument);
        assert_eq!(ConfigureError::from(AddAddressError::InUse), ConfigureError::AddressInUse);
        assert_eq!(ConfigureError::from(AddAddressError::Full), ConfigureError::NoFreeSlot);
    }
}
