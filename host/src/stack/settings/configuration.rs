//! The configuration of an interface by DHCP and IPv6 autoconfiguration, and its DNS servers and search domains.

use core::net::IpAddr;
use core::time::Duration;

use xila_network_commands::interface::{AutoconfigurationState, AutoconfigurationStatus, DhcpState, DhcpStatus, Lease};
use xila_network_engine::configure::dhcp::Remembered;
use xila_network_engine::configure::servers::AddServerError;
use xila_network_engine::ip::addresses::{Address, Detection, Origin};
use xila_network_engine::random::{Random, Secret};

use crate::address::from_wire;
use crate::error::ConfigureError;
use crate::stack::attachment::Attachment;
use crate::stack::identity::Lent;

/// The length of an infinite lease (RFC 2131 section 3.3: all ones stand for infinity).
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

impl Attachment {
    pub(crate) const fn autoconfiguration(&self) -> bool {
        self.engine().autoconfiguration()
    }

    /// The state of autoconfiguration. A router need not advertise a prefix, and other hosts may have every address
    /// that was formed from one: in both cases there is nothing more to wait for.
    pub(crate) fn autoconfiguration_status(&self) -> AutoconfigurationStatus {
        let discovery = self.engine().discovery().filter(|_| !self.is_gone());
        let Some(discovery) = discovery else { return AutoconfigurationStatus::default() };
        let formed = || self.engine().interface().addresses().iter().filter(|known| known.origin == Origin::Router);
        let is = |detection| move |known: &Address| known.detection == detection;
        let is_formed = formed().any(is(Detection::Passed)) || !formed().any(is(Detection::Running));
        let is_configured = discovery.has_heard() && is_formed;
        let state = match is_configured {
            true => AutoconfigurationState::Configured,
            false if discovery.is_unanswered() => AutoconfigurationState::NoRouter,
            false => AutoconfigurationState::Searching,
        };
        let parameters = discovery.parameters();
        AutoconfigurationStatus { state, managed: parameters.managed, other: parameters.other }
    }

    /// # Errors
    /// [`ConfigureError::NotSupported`] where the medium is not Ethernet.
    pub(crate) fn set_autoconfiguration(&mut self, enabled: bool) -> Result<(), ConfigureError> {
        if enabled && !self.is_ethernet() {
            return Err(ConfigureError::NotSupported);
        }
        self.engage(|engine, _, now| {
            if enabled {
                // Router solicitations are sent from the link-local address.
                engine.interface_mut().set_link_local(true, now);
            }
            engine.set_autoconfiguration(enabled, now);
        });
        self.act();
        Ok(())
    }

    /// Whether autoconfiguration makes temporary addresses too (RFC 8981).
    pub(crate) fn set_temporary_addresses(&mut self, wanted: bool) {
        self.engage(|engine, _, now| engine.set_temporary_addresses(wanted, now));
        self.act();
    }

    /// Sets the secret key of IPv6 interface identifiers (RFC 7217), before any address is made.
    pub(crate) fn set_identifier_secret(&mut self, key: [u8; 32]) {
        let secret = Secret::new(&mut Random::new(key));
        self.engage(|engine, _, _| engine.interface_mut().set_identifier_secret(secret));
    }

    /// Sets whether an Ethernet interface has a link-local IPv6 address. Autoconfiguration adds one too.
    pub(crate) fn set_link_local(&mut self, wanted: bool) {
        self.engage(|engine, _, now| engine.interface_mut().set_link_local(wanted, now));
        self.act();
    }

    pub(crate) fn dhcp_status(&self) -> DhcpStatus {
        // An unmounted interface no longer uses DHCP.
        let client = self.engine().dhcp().filter(|_| !self.is_gone());
        let Some(client) = client else { return DhcpStatus::default() };
        let lease = self.engine().lease().and_then(|lease| {
            Some(Lease {
                address: from_wire(lease.cidr())?,
                router: lease.routers.first().copied(),
                dns_servers: lease.dns_servers.clone(),
                domain: lease.domain.clone(),
                search_domains: lease.search.clone(),
                ntp_servers: lease.ntp_servers.clone(),
                server: lease.server,
                valid: lease.expires().map_or(FOR_EVER, |until| until - self.now()),
            })
        });
        let state = if lease.is_some() { DhcpState::Bound } else { DhcpState::Searching };
        DhcpStatus { state, lease, refused: client.refused() }
    }

    /// # Errors
    /// [`ConfigureError::NotSupported`] where the medium is not Ethernet.
    pub(crate) fn set_dhcp(&mut self, enabled: bool) -> Result<(), ConfigureError> {
        if enabled && !self.is_ethernet() {
            return Err(ConfigureError::NotSupported);
        }
        self.engage(|engine, port, now| engine.set_dhcp(enabled, now, port));
        self.act();
        Ok(())
    }

    /// The last lease, and the hardware address that it was given to; `None` if the lease was refused or another host
    /// has the address.
    pub(crate) fn lent(&self) -> Option<Lent> {
        Some(Lent { to: self.hardware_address()?, remembered: self.engine().remembered_lease()? })
    }

    /// Lets DHCP ask for the address of an earlier lease, once it is switched on.
    pub(crate) fn remember_lease(&mut self, remembered: Option<Remembered>) {
        self.engage(|engine, _, _| engine.remember_lease(remembered));
    }

    pub(crate) fn dns_servers(&self) -> Vec<IpAddr> {
        self.engine().servers().collect()
    }

    /// # Errors
    /// [`ConfigureError::InvalidArgument`] for an address that no host can have; [`ConfigureError::AddressInUse`] if
    /// the server is in the list already; [`ConfigureError::NoFreeSlot`].
    pub(crate) fn add_dns_server(&mut self, server: IpAddr) -> Result<(), ConfigureError> {
        self.engage(|engine, _, _| engine.add_server(server).map_err(ConfigureError::from))?;
        self.act();
        Ok(())
    }

    /// # Errors
    /// [`ConfigureError::AddressNotAvailable`] if the server is not in the list.
    pub(crate) fn remove_dns_server(&mut self, server: IpAddr) -> Result<(), ConfigureError> {
        if !self.engage(|engine, _, _| engine.remove_server(server)) {
            return Err(ConfigureError::AddressNotAvailable);
        }
        self.act();
        Ok(())
    }

    /// Replaces the manually set servers. Servers for which there is no room, and addresses that no host can have, are
    /// left out.
    pub(crate) fn set_dns_servers(&mut self, servers: &[IpAddr]) {
        self.engage(|engine, _, _| engine.set_servers(servers));
        self.act();
    }

    /// The search domains for names: those that were set manually, then those from DHCP servers and routers.
    pub(crate) fn search_domains(&self) -> Vec<String> {
        let mut domains = self.search_domains.clone();
        for told in self.engine().search_domains() {
            if !domains.iter().any(|known| known == told) {
                domains.push(told.to_owned());
            }
        }
        domains
    }

    /// Replaces the manually set search domains.
    pub(crate) fn set_search_domains(&mut self, domains: &[String]) {
        self.search_domains = domains.to_vec();
    }
}

impl From<AddServerError> for ConfigureError {
    fn from(error: AddServerError) -> Self {
        match error {
            AddServerError::Invalid => Self::InvalidArgument,
            AddServerError::Known => Self::AddressInUse,
            AddServerError::Full => Self::NoFreeSlot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_refuses_is_told_by_its_cause() {
        assert_eq!(ConfigureError::from(AddServerError::Invalid), ConfigureError::InvalidArgument);
        assert_eq!(ConfigureError::from(AddServerError::Known), ConfigureError::AddressInUse);
        assert_eq!(ConfigureError::from(AddServerError::Full), ConfigureError::NoFreeSlot);
    }
}
