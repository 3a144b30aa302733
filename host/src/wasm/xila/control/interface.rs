//! The resource `network-interface`, with the typed operations.

use wasmtime::component::Resource;
use xila_network_commands::Command;
use xila_network_commands::commands::{
    AddAddress, AddDnsServer, AddRoute, GetAutoconfiguration, GetAutoconfigurationStatus, GetDhcp, GetEchoReply,
    GetHardwareAddress, GetKind, GetLink, GetMaximumBurst, GetMtu, GetState, GetStatistics, ListAddresses,
    ListDnsServers, ListNeighbours, ListRoutes, ListSearchDomains, RemoveAddress, RemoveDnsServer, RemoveRoute,
    SetAutoconfiguration, SetDhcp, SetEchoReply, SetHardwareAddress, SetMtu, SetState,
};

use crate::address::{Cidr, MacAddress, Route};
use crate::error::{ConfigureError, Error, Result};
use crate::interface::Interface;
use crate::platform::Access;
use crate::wasm::NetworkCtxView;
use crate::wasm::bindings::control::{
    AddressInfo, AutoconfigurationStatus, DhcpStatus, HostNetworkInterface, Kind, Link, Neighbour, Route as WitRoute,
    RouteInfo, State, Statistics,
};
use crate::wasm::bindings::types::{IpAddress, IpCidr, MacAddress as WitMacAddress};
use crate::wasm::failure::{get, push};
use crate::wasm::xila::types::NetworkError;

/// The resource of a `network-interface` handle: a name, which is looked up in each call. So the handle works again
/// after the interface was unmounted and another one was mounted under the name.
pub struct NetworkInterface {
    name: String,
}

impl NetworkCtxView<'_> {
    /// Reads from the interface of a handle.
    fn look<C: Command, R>(
        &self,
        handle: &Resource<NetworkInterface>,
        look: impl FnOnce(&Interface) -> R,
    ) -> Result<R, NetworkError> {
        let name = &get(self.table, handle)?.name;
        self.ctx.check(Access::READ)?;
        let interface = self.ctx.interface(name)?;
        self.ctx.check_command(name, C::ID)?;
        Ok(look(&interface))
    }

    /// Changes the interface of a handle. An invalid value is reported only to guests with the right to change
    /// interfaces.
    fn change<C: Command, V, E: Into<Error>>(
        &self,
        handle: &Resource<NetworkInterface>,
        value: Result<V>,
        change: impl FnOnce(&Interface, V) -> Result<(), E>,
    ) -> Result<(), NetworkError> {
        let name = &get(self.table, handle)?.name;
        self.ctx.check(Access::WRITE)?;
        self.ctx.check_command(name, C::ID)?;
        let value = value?;
        Ok(change(&self.ctx.interface(name)?, value)?)
    }
}

impl HostNetworkInterface for NetworkCtxView<'_> {
    fn open(&mut self, name: String) -> Result<Resource<NetworkInterface>, NetworkError> {
        self.ctx.rights()?;
        self.ctx.interface(&name)?;
        Ok(push(self.table, NetworkInterface { name })?)
    }

    fn name(&mut self, interface: Resource<NetworkInterface>) -> wasmtime::Result<String> {
        Ok(get(self.table, &interface)?.name.clone())
    }

    fn kind(&mut self, interface: Resource<NetworkInterface>) -> Result<Kind, NetworkError> {
        self.look::<GetKind, _>(&interface, |interface| interface.kind().into())
    }

    fn state(&mut self, interface: Resource<NetworkInterface>) -> Result<State, NetworkError> {
        self.look::<GetState, _>(&interface, |interface| interface.state().into())
    }

    fn set_state(&mut self, interface: Resource<NetworkInterface>, value: State) -> Result<(), NetworkError> {
        self.change::<SetState, _, _>(&interface, Ok(value.into()), |interface, value| {
            interface.set_state(value);
            Ok::<_, ConfigureError>(())
        })
    }

    fn link(&mut self, interface: Resource<NetworkInterface>) -> Result<Link, NetworkError> {
        self.look::<GetLink, _>(&interface, |interface| interface.link().into())
    }

    fn hardware_address(
        &mut self,
        interface: Resource<NetworkInterface>,
    ) -> Result<Option<WitMacAddress>, NetworkError> {
        self.look::<GetHardwareAddress, _>(&interface, |interface| {
            interface.hardware_address().map(|address| address.octets().into())
        })
    }

    fn set_hardware_address(
        &mut self,
        interface: Resource<NetworkInterface>,
        value: WitMacAddress,
    ) -> Result<(), NetworkError> {
        let address = MacAddress::new(value.into()).map_err(Into::into);
        self.change::<SetHardwareAddress, _, _>(&interface, address, Interface::set_hardware_address)
    }

    fn mtu(&mut self, interface: Resource<NetworkInterface>) -> Result<u32, NetworkError> {
        self.look::<GetMtu, _>(&interface, Interface::mtu)
    }

    fn set_mtu(&mut self, interface: Resource<NetworkInterface>, value: u32) -> Result<(), NetworkError> {
        self.change::<SetMtu, _, _>(&interface, Ok(value), Interface::set_mtu)
    }

    fn maximum_burst_size(&mut self, interface: Resource<NetworkInterface>) -> Result<Option<u32>, NetworkError> {
        self.look::<GetMaximumBurst, _>(&interface, Interface::maximum_burst_size)
    }

    fn echo_reply(&mut self, interface: Resource<NetworkInterface>) -> Result<bool, NetworkError> {
        self.look::<GetEchoReply, _>(&interface, Interface::echo_reply)
    }

    fn set_echo_reply(&mut self, interface: Resource<NetworkInterface>, value: bool) -> Result<(), NetworkError> {
        self.change::<SetEchoReply, _, _>(&interface, Ok(value), Interface::set_echo_reply)
    }

    fn addresses(&mut self, interface: Resource<NetworkInterface>) -> Result<Vec<AddressInfo>, NetworkError> {
        self.look::<ListAddresses, _>(&interface, |interface| {
            interface.address_list().into_iter().map(Into::into).collect()
        })
    }

    fn add_address(&mut self, interface: Resource<NetworkInterface>, cidr: IpCidr) -> Result<(), NetworkError> {
        self.change::<AddAddress, _, _>(&interface, Cidr::try_from(cidr), Interface::add_address)
    }

    fn remove_address(&mut self, interface: Resource<NetworkInterface>, cidr: IpCidr) -> Result<(), NetworkError> {
        self.change::<RemoveAddress, _, _>(&interface, Cidr::try_from(cidr), Interface::remove_address)
    }

    fn routes(&mut self, interface: Resource<NetworkInterface>) -> Result<Vec<RouteInfo>, NetworkError> {
        self.look::<ListRoutes, _>(&interface, |interface| interface.route_list().into_iter().map(Into::into).collect())
    }

    fn add_route(&mut self, interface: Resource<NetworkInterface>, route: WitRoute) -> Result<(), NetworkError> {
        self.change::<AddRoute, _, _>(&interface, Route::try_from(route), Interface::add_route)
    }

    fn remove_route(&mut self, interface: Resource<NetworkInterface>, route: WitRoute) -> Result<(), NetworkError> {
        self.change::<RemoveRoute, _, _>(&interface, Route::try_from(route), Interface::remove_route)
    }

    fn dns_servers(&mut self, interface: Resource<NetworkInterface>) -> Result<Vec<IpAddress>, NetworkError> {
        self.look::<ListDnsServers, _>(&interface, |interface| {
            interface.dns_servers().into_iter().map(Into::into).collect()
        })
    }

    fn add_dns_server(
        &mut self,
        interface: Resource<NetworkInterface>,
        address: IpAddress,
    ) -> Result<(), NetworkError> {
        self.change::<AddDnsServer, _, _>(&interface, Ok(address.into()), Interface::add_dns_server)
    }

    fn remove_dns_server(
        &mut self,
        interface: Resource<NetworkInterface>,
        address: IpAddress,
    ) -> Result<(), NetworkError> {
        self.change::<RemoveDnsServer, _, _>(&interface, Ok(address.into()), Interface::remove_dns_server)
    }

    fn search_domains(&mut self, interface: Resource<NetworkInterface>) -> Result<Vec<String>, NetworkError> {
        self.look::<ListSearchDomains, _>(&interface, Interface::search_domains)
    }

    fn dhcp(&mut self, interface: Resource<NetworkInterface>) -> Result<DhcpStatus, NetworkError> {
        self.look::<GetDhcp, _>(&interface, |interface| interface.dhcp().into())
    }

    fn set_dhcp(&mut self, interface: Resource<NetworkInterface>, enabled: bool) -> Result<(), NetworkError> {
        self.change::<SetDhcp, _, _>(&interface, Ok(enabled), Interface::set_dhcp)
    }

    fn autoconfiguration(&mut self, interface: Resource<NetworkInterface>) -> Result<bool, NetworkError> {
        self.look::<GetAutoconfiguration, _>(&interface, Interface::autoconfiguration)
    }

    fn autoconfiguration_status(
        &mut self,
        interface: Resource<NetworkInterface>,
    ) -> Result<AutoconfigurationStatus, NetworkError> {
        self.look::<GetAutoconfigurationStatus, _>(&interface, |interface| interface.autoconfiguration_status().into())
    }

    fn set_autoconfiguration(
        &mut self,
        interface: Resource<NetworkInterface>,
        enabled: bool,
    ) -> Result<(), NetworkError> {
        self.change::<SetAutoconfiguration, _, _>(&interface, Ok(enabled), Interface::set_autoconfiguration)
    }

    fn statistics(&mut self, interface: Resource<NetworkInterface>) -> Result<Statistics, NetworkError> {
        self.look::<GetStatistics, _>(&interface, |interface| interface.statistics().into())
    }

    fn neighbours(&mut self, interface: Resource<NetworkInterface>) -> Result<Vec<Neighbour>, NetworkError> {
        self.look::<ListNeighbours, _>(&interface, |interface| {
            interface.neighbours().into_iter().map(Into::into).collect()
        })
    }

    fn drop(&mut self, interface: Resource<NetworkInterface>) -> wasmtime::Result<()> {
        self.table.delete(interface)?;
        Ok(())
    }
}
