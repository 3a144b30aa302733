//! What the interfaces of the app's network are and do, and how to change it.
//!
//! An app that uses any of this imports `xila:network/control`, which a host allows apart from sockets, and looking
//! apart from changing. Every operation exists twice: as a method of [`Interface`], and as a command to the interface's
//! character device, a [`DeviceFile`]. Both do the same and fail the same. The types are those of the crate
//! `xila-network-commands`, which the host has too.

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

/// A network interface. It may be unmounted while this handle is held; what it is asked then fails with
/// [`NotFound`](crate::Error::NotFound).
///
/// Every method fails with [`AccessDenied`](crate::Error::AccessDenied) where the host does not allow it.
pub struct Interface(control::NetworkInterface);

impl Interface {
    /// The names of the interfaces that the app may use, in the order in which they were mounted.
    pub fn list() -> Result<Vec<String>> {
        Ok(control::list()?)
    }

    /// Opens an interface by its name.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) where there is none of that name that the app may use.
    pub fn open(name: &str) -> Result<Self> {
        Ok(Self(control::NetworkInterface::open(name)?))
    }

    /// The name.
    pub fn name(&self) -> String {
        self.0.name()
    }

    /// What the interface is.
    pub fn kind(&self) -> Result<Kind> {
        Ok(convert::kind(self.0.kind()?))
    }

    /// The administrative state.
    pub fn state(&self) -> Result<State> {
        Ok(convert::state(self.0.state()?))
    }

    /// Puts the interface up or down. Down, operations on its sockets fail with
    /// [`NetworkDown`](crate::Error::NetworkDown).
    pub fn set_state(&self, state: State) -> Result<()> {
        Ok(self.0.set_state(convert::state_to_wit(state))?)
    }

    /// Whether the device's link carries frames.
    pub fn link(&self) -> Result<Link> {
        Ok(convert::link(self.0.link()?))
    }

    /// The hardware address; none where the medium has no such thing.
    pub fn hardware_address(&self) -> Result<Option<MacAddress>> {
        self.0.hardware_address()?.map(convert::mac).transpose()
    }

    /// Sets the hardware address.
    ///
    /// # Errors
    /// [`NotSupported`](crate::Error::NotSupported) where the medium has none.
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
    /// [`InvalidArgument`](crate::Error::InvalidArgument) for less than 1280 or more than the device takes.
    pub fn set_mtu(&self, mtu: u32) -> Result<()> {
        Ok(self.0.set_mtu(mtu)?)
    }

    /// How many frames the device takes or gives at once, where it says so.
    pub fn maximum_burst_size(&self) -> Result<Option<u32>> {
        Ok(self.0.maximum_burst_size()?)
    }

    /// Whether the stack answers echo requests.
    pub fn echo_reply(&self) -> Result<bool> {
        Ok(self.0.echo_reply()?)
    }

    /// Lets the stack answer echo requests, or not.
    pub fn set_echo_reply(&self, enabled: bool) -> Result<()> {
        Ok(self.0.set_echo_reply(enabled)?)
    }

    /// The addresses, with where they come from and how long they last.
    pub fn addresses(&self) -> Result<Vec<AddressInfo>> {
        self.0.addresses()?.into_iter().map(convert::address_info).collect()
    }

    /// Adds an address.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::Error::InvalidArgument) for one that no host can have,
    /// [`AddressInUse`](crate::Error::AddressInUse) for one that is there, [`NoFreeSlot`](crate::Error::NoFreeSlot)
    /// where the table is full.
    pub fn add_address(&self, cidr: Cidr) -> Result<()> {
        Ok(self.0.add_address(convert::cidr_to_wit(cidr))?)
    }

    /// Removes an address. Connections from it fail with [`AddressNotAvailable`](crate::Error::AddressNotAvailable).
    ///
    /// # Errors
    /// [`AddressNotAvailable`](crate::Error::AddressNotAvailable) where it is not there.
    pub fn remove_address(&self, cidr: Cidr) -> Result<()> {
        Ok(self.0.remove_address(convert::cidr_to_wit(cidr))?)
    }

    /// The routes beyond the addresses' own networks.
    pub fn routes(&self) -> Result<Vec<RouteInfo>> {
        self.0.routes()?.into_iter().map(convert::route_info).collect()
    }

    /// Adds a route; one to the same network with the same metric is replaced.
    ///
    /// # Errors
    /// [`NoFreeSlot`](crate::Error::NoFreeSlot) where the table is full.
    pub fn add_route(&self, route: Route) -> Result<()> {
        Ok(self.0.add_route(convert::route_to_wit(route))?)
    }

    /// Removes a route, whatever its lifetime.
    ///
    /// # Errors
    /// [`RemoteUnreachable`](crate::Error::RemoteUnreachable) where there is no such route.
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
    /// [`AddressNotAvailable`](crate::Error::AddressNotAvailable) where it is not there.
    pub fn remove_dns_server(&self, server: IpAddr) -> Result<()> {
        Ok(self.0.remove_dns_server(ip_to_wit(server))?)
    }

    /// The domains in which names are looked for that have no dot, in this order: those of the lease (RFC 3397), then
    /// those that routers advertise (RFC 8106). In small letters, without a dot at the end, each once.
    pub fn search_domains(&self) -> Result<Vec<String>> {
        Ok(self.0.search_domains()?)
    }

    /// What DHCP does, and the lease.
    pub fn dhcp(&self) -> Result<DhcpStatus> {
        convert::dhcp_status(self.0.dhcp()?)
    }

    /// Switches DHCP on or off. Off, what the lease brought is withdrawn.
    ///
    /// # Errors
    /// [`NotSupported`](crate::Error::NotSupported) where the medium is not Ethernet.
    pub fn set_dhcp(&self, enabled: bool) -> Result<()> {
        Ok(self.0.set_dhcp(enabled)?)
    }

    /// Whether the interface configures itself for IPv6 (RFC 4862).
    pub fn autoconfiguration(&self) -> Result<bool> {
        Ok(self.0.autoconfiguration()?)
    }

    /// What the IPv6 autoconfiguration does, and what routers say of DHCPv6.
    pub fn autoconfiguration_status(&self) -> Result<AutoconfigurationStatus> {
        Ok(convert::autoconfiguration_status(self.0.autoconfiguration_status()?))
    }

    /// Switches the IPv6 autoconfiguration on or off. Off, what it brought is withdrawn.
    ///
    /// # Errors
    /// [`NotSupported`](crate::Error::NotSupported) where the medium is not Ethernet.
    pub fn set_autoconfiguration(&self, enabled: bool) -> Result<()> {
        Ok(self.0.set_autoconfiguration(enabled)?)
    }

    /// What the interface has counted.
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

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An interface has changed.
    Changed(Event),
    /// So many events were lost before the next one, because nobody read them. Look at everything anew.
    Lost(u64),
}

/// The changes of the interfaces that the app may use, from now on.
///
/// # Errors
/// [`LimitReached`](crate::Error::LimitReached) where the app has as many watches as it may.
pub fn watch() -> Result<Watch> {
    Ok(Watch(control::watch()?))
}

/// The changes of the interfaces, one after another. Dropping it ends the watch.
///
/// Who reads slowly loses events and is told how many; nobody waits for him.
pub struct Watch(StreamReader<control::InterfaceEvent>);

impl Watch {
    /// Waits for the next event. `None` when the host has ended the watch.
    ///
    /// Dropping the future in the moment in which an event arrives loses it.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::Error::InvalidArgument) where the host tells what cannot be.
    pub async fn next(&mut self) -> Option<Result<Notice>> {
        Some(convert::notice(self.0.next().await?))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.0).finish()
    }
}
