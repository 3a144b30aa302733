//! Inspection and configuration of the interfaces of the app's network.
//!
//! An app that uses this module imports `xila:network/control`. A host permits it separately from sockets, and permits
//! reading separately from changing. Every operation exists in two forms: as a method of [`Interface`], and as a
//! command to the interface's character device, a [`DeviceFile`]. Both do the same and fail with the same errors. The
//! types are those of the crate `xila-network-commands`, which the host uses too.

mod convert;
mod device;

pub use device::{Access, DeviceFile};
pub use xila_network_commands::address::{Cidr, InvalidValue, MacAddress, Route};
pub use xila_network_commands::event::{Change, Event};
pub use xila_network_commands::interface::{
    AddressInfo, AutoconfigurationState, AutoconfigurationStatus, Counters, DhcpState, DhcpStatus, Kind, Lease, Link,
    Neighbour, Origin, RouteInfo, State, Statistics,
};
pub use xila_network_commands::{Command, CommandId, Direction, command, commands, define_command};

use std::fmt;
use std::net::IpAddr;

use wit_bindgen::StreamReader;

use crate::Result;
use crate::address::{ip_from_wit, ip_to_wit};
use crate::bindings::control;

/// A network interface. It may be unmounted while this handle is held; methods then fail with
/// [`NotFound`](crate::Error::NotFound).
///
/// Every method fails with [`AccessDenied`](crate::Error::AccessDenied) if the host does not permit it.
pub struct Interface(control::NetworkInterface);

impl Interface {
    /// The names of the interfaces that the app may use, in the order in which they were mounted.
    pub fn list() -> Result<Vec<String>> {
        Ok(control::list()?)
    }

    /// Opens an interface by its name.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the app may use no interface of that name.
    pub fn open(name: &str) -> Result<Self> {
        Ok(Self(control::NetworkInterface::open(name)?))
    }

    /// The name of the interface.
    pub fn name(&self) -> String {
        self.0.name()
    }

    /// The kind of the interface.
    pub fn kind(&self) -> Result<Kind> {
        Ok(convert::kind(self.0.kind()?))
    }

    /// The administrative state.
    pub fn state(&self) -> Result<State> {
        Ok(convert::state(self.0.state()?))
    }

    /// Sets the interface up or down. While it is down, operations on its sockets fail with
    /// [`NetworkDown`](crate::Error::NetworkDown).
    pub fn set_state(&self, state: State) -> Result<()> {
        Ok(self.0.set_state(convert::state_to_wit(state))?)
    }

    /// Whether the device's link carries frames.
    pub fn link(&self) -> Result<Link> {
        Ok(convert::link(self.0.link()?))
    }

    /// The hardware address; `None` if the medium has no hardware addresses.
    pub fn hardware_address(&self) -> Result<Option<MacAddress>> {
        self.0.hardware_address()?.map(convert::mac).transpose()
    }

    /// Sets the hardware address.
    ///
    /// # Errors
    /// [`NotSupported`](crate::Error::NotSupported) if the medium has no hardware addresses.
    pub fn set_hardware_address(&self, address: MacAddress) -> Result<()> {
        Ok(self.0.set_hardware_address(convert::mac_to_wit(address))?)
    }

    /// The IP MTU in bytes.
    pub fn mtu(&self) -> Result<u32> {
        Ok(self.0.mtu()?)
    }

    /// Sets the IP MTU in bytes.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::Error::InvalidArgument) if it is less than 1280 or more than the device supports.
    pub fn set_mtu(&self, mtu: u32) -> Result<()> {
        Ok(self.0.set_mtu(mtu)?)
    }

    /// How many frames the device takes or provides at once, if it specifies that.
    pub fn maximum_burst_size(&self) -> Result<Option<u32>> {
        Ok(self.0.maximum_burst_size()?)
    }

    /// Whether the stack answers echo requests.
    pub fn echo_reply(&self) -> Result<bool> {
        Ok(self.0.echo_reply()?)
    }

    /// Sets whether the stack answers echo requests.
    pub fn set_echo_reply(&self, enabled: bool) -> Result<()> {
        Ok(self.0.set_echo_reply(enabled)?)
    }

    /// The addresses, with their origins and lifetimes.
    pub fn addresses(&self) -> Result<Vec<AddressInfo>> {
        self.0.addresses()?.into_iter().map(convert::address_info).collect()
    }

    /// Adds an address.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::Error::InvalidArgument) if no host can have the address,
    /// [`AddressInUse`](crate::Error::AddressInUse) if the interface already has it,
    /// [`NoFreeSlot`](crate::Error::NoFreeSlot) if the table is full.
    pub fn add_address(&self, cidr: Cidr) -> Result<()> {
        Ok(self.0.add_address(convert::cidr_to_wit(cidr))?)
    }

    /// Removes an address. Connections from it fail with [`AddressNotAvailable`](crate::Error::AddressNotAvailable).
    ///
    /// # Errors
    /// [`AddressNotAvailable`](crate::Error::AddressNotAvailable) if the interface does not have it.
    pub fn remove_address(&self, cidr: Cidr) -> Result<()> {
        Ok(self.0.remove_address(convert::cidr_to_wit(cidr))?)
    }

    /// The routes, without those to the addresses' own networks.
    pub fn routes(&self) -> Result<Vec<RouteInfo>> {
        self.0.routes()?.into_iter().map(convert::route_info).collect()
    }

    /// Adds a route. It replaces a route to the same network with the same metric.
    ///
    /// # Errors
    /// [`NoFreeSlot`](crate::Error::NoFreeSlot) if the table is full.
    pub fn add_route(&self, route: Route) -> Result<()> {
        Ok(self.0.add_route(convert::route_to_wit(route))?)
    }

    /// Removes a route, whatever its lifetime.
    ///
    /// # Errors
    /// [`RemoteUnreachable`](crate::Error::RemoteUnreachable) if there is no such route.
    pub fn remove_route(&self, route: Route) -> Result<()> {
        Ok(self.0.remove_route(convert::route_to_wit(route))?)
    }

    /// The DNS servers.
    pub fn dns_servers(&self) -> Result<Vec<IpAddr>> {
        Ok(self.0.dns_servers()?.into_iter().map(ip_from_wit).collect())
    }

    /// Adds a DNS server.
    ///
    /// # Errors
    /// As [`add_address`](Self::add_address).
    pub fn add_dns_server(&self, server: IpAddr) -> Result<()> {
        Ok(self.0.add_dns_server(ip_to_wit(server))?)
    }

    /// Removes a DNS server.
    ///
    /// # Errors
    /// [`AddressNotAvailable`](crate::Error::AddressNotAvailable) if the interface does not have it.
    pub fn remove_dns_server(&self, server: IpAddr) -> Result<()> {
        Ok(self.0.remove_dns_server(ip_to_wit(server))?)
    }

    /// The search domains, in the order in which they are used: those of the lease (RFC 3397), then those that routers
    /// advertise (RFC 8106). In small letters, without a dot at the end, each once.
    pub fn search_domains(&self) -> Result<Vec<String>> {
        Ok(self.0.search_domains()?)
    }

    /// The state of DHCP, and the lease.
    pub fn dhcp(&self) -> Result<DhcpStatus> {
        convert::dhcp_status(self.0.dhcp()?)
    }

    /// Switches DHCP on or off. When it is switched off, the settings of the lease are withdrawn.
    ///
    /// # Errors
    /// [`NotSupported`](crate::Error::NotSupported) if the medium is not Ethernet.
    pub fn set_dhcp(&self, enabled: bool) -> Result<()> {
        Ok(self.0.set_dhcp(enabled)?)
    }

    /// Whether the interface configures itself for IPv6 (RFC 4862).
    pub fn autoconfiguration(&self) -> Result<bool> {
        Ok(self.0.autoconfiguration()?)
    }

    /// The state of IPv6 autoconfiguration, and what routers advertise about DHCPv6.
    pub fn autoconfiguration_status(&self) -> Result<AutoconfigurationStatus> {
        Ok(convert::autoconfiguration_status(self.0.autoconfiguration_status()?))
    }

    /// Switches IPv6 autoconfiguration on or off. When it is switched off, its settings are withdrawn.
    ///
    /// # Errors
    /// [`NotSupported`](crate::Error::NotSupported) if the medium is not Ethernet.
    pub fn set_autoconfiguration(&self, enabled: bool) -> Result<()> {
        Ok(self.0.set_autoconfiguration(enabled)?)
    }

    /// The counters of the interface.
    pub fn statistics(&self) -> Result<Statistics> {
        Ok(convert::statistics(self.0.statistics()?))
    }

    /// The hosts on the link whose hardware address is known.
    pub fn neighbours(&self) -> Result<Vec<Neighbour>> {
        self.0.neighbours()?.into_iter().map(convert::neighbour).collect()
    }
}

impl fmt::Debug for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Interface").field(&self.0).finish()
    }
}

/// An item of a [`Watch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An interface has changed.
    Changed(Event),
    /// This many events were lost before the next one, because the reader was too slow. The reader should query
    /// everything again.
    Lost(u64),
}

/// Watches the changes of the interfaces that the app may use, from now on.
///
/// # Errors
/// [`LimitReached`](crate::Error::LimitReached) if the app has as many watches as it may.
pub fn watch() -> Result<Watch> {
    Ok(Watch(control::watch()?))
}

/// The changes of the interfaces, in order. Dropping it ends the watch.
///
/// A slow reader loses events and is told how many; it does not delay anything else.
pub struct Watch(StreamReader<control::InterfaceEvent>);

impl Watch {
    /// Waits for the next event. `None` when the host has ended the watch.
    ///
    /// If the future is dropped at the moment when an event arrives, the event is lost.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::Error::InvalidArgument) if the host's event contains an invalid value.
    pub async fn next(&mut self) -> Option<Result<Notice>> {
        Some(convert::notice(self.0.next().await?))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.0).finish()
    }
}
