//! The commands of a node: those of Xila's own interfaces, so that Xila's programs work unchanged, and one that carries
//! any command of the network.

use embassy_time::Instant;
use xila_network_host::address::{Cidr, InvalidValue, MacAddress};
use xila_network_host::commands::command::{decode, encode};
use xila_network_host::commands::commands::*;
use xila_network_host::commands::interface::{DhcpState, Link, RouteInfo, State};
use xila_network_host::commands::{Command, InvalidPayload};
use xila_network_host::device::ETHERNET_HEADER;
use xila_network_host::platform::DeviceFile;

use super::{NETWORK_CONTROL, to_xila};
use crate::xila::file_system::{AnyByLayout, ControlCommand, ControlCommandIdentifier, Error, Result};
use crate::xila::network::*;

/// One execution of a command.
pub(super) struct Call<'a> {
    pub(super) interface: DeviceFile,
    pub(super) input: &'a AnyByLayout,
    pub(super) output: &'a mut AnyByLayout,
}

impl Call<'_> {
    /// Executes the command. Lists are counted and read by index. They may change between two calls, which Xila's
    /// programs accept.
    pub(super) fn execute(self, command: ControlCommandIdentifier) -> Result<()> {
        match command {
            NETWORK_CONTROL::IDENTIFIER => self.answer::<NETWORK_CONTROL>(|on, (id, input)| {
                let mut output = Vec::new();
                on.control(*id, input, &mut output).map_err(|error| to_xila(&error))?;
                Ok(output)
            }),
            SET_STATE::IDENTIFIER => {
                self.answer::<SET_STATE>(|on, up| ask::<SetState>(on, &if *up { State::Up } else { State::Down }))
            }
            GET_STATE::IDENTIFIER => self.answer::<GET_STATE>(|on, ()| Ok(ask::<GetState>(on, &())? == State::Up)),
            GET_HARDWARE_ADDRESS::IDENTIFIER => self.answer::<GET_HARDWARE_ADDRESS>(|on, ()| {
                ask::<GetHardwareAddress>(on, &())?.map(MacAddress::octets).ok_or(Error::UnsupportedOperation)
            }),
            SET_HARDWARE_ADDRESS::IDENTIFIER => self.answer::<SET_HARDWARE_ADDRESS>(|on, address| {
                ask::<SetHardwareAddress>(on, &MacAddress::new(*address).map_err(invalid)?)
            }),
            GET_MAXIMUM_TRANSMISSION_UNIT::IDENTIFIER => {
                self.answer::<GET_MAXIMUM_TRANSMISSION_UNIT>(|on, ()| frame_length(on))
            }
            GET_MAXIMUM_BURST_SIZE::IDENTIFIER => self.answer::<GET_MAXIMUM_BURST_SIZE>(|on, ()| {
                Ok(ask::<GetMaximumBurst>(on, &())?.map(|frames| frames as usize))
            }),
            IS_LINK_UP::IDENTIFIER => self.answer::<IS_LINK_UP>(|on, ()| Ok(ask::<GetLink>(on, &())? == Link::Up)),
            GET_ROUTE_COUNT::IDENTIFIER => {
                self.answer::<GET_ROUTE_COUNT>(|on, ()| Ok(ask::<ListRoutes>(on, &())?.len()))
            }
            GET_ROUTE::IDENTIFIER => {
                self.answer::<GET_ROUTE>(|on, index| Ok(route_to_xila(nth(ask::<ListRoutes>(on, &())?, *index)?)))
            }
            ADD_ROUTE::IDENTIFIER => {
                self.answer::<ADD_ROUTE>(|on, route| ask::<AddRoute>(on, &route_from_xila(route)?))
            }
            REMOVE_ROUTE::IDENTIFIER => self.answer::<REMOVE_ROUTE>(|on, index| {
                ask::<RemoveRoute>(on, &nth(ask::<ListRoutes>(on, &())?, *index)?.route)
            }),
            GET_DNS_SERVER_COUNT::IDENTIFIER => {
                self.answer::<GET_DNS_SERVER_COUNT>(|on, ()| Ok(ask::<ListDnsServers>(on, &())?.len()))
            }
            GET_DNS_SERVER::IDENTIFIER => {
                self.answer::<GET_DNS_SERVER>(|on, index| Ok(nth(ask::<ListDnsServers>(on, &())?, *index)?.into()))
            }
            ADD_DNS_SERVER::IDENTIFIER => {
                self.answer::<ADD_DNS_SERVER>(|on, server| ask::<AddDnsServer>(on, &(*server).into()))
            }
            REMOVE_DNS_SERVER::IDENTIFIER => self.answer::<REMOVE_DNS_SERVER>(|on, index| {
                ask::<RemoveDnsServer>(on, &nth(ask::<ListDnsServers>(on, &())?, *index)?)
            }),
            SET_DHCP_STATE::IDENTIFIER => self.answer::<SET_DHCP_STATE>(ask::<SetDhcp>),
            GET_DHCP_STATE::IDENTIFIER => {
                self.answer::<GET_DHCP_STATE>(|on, ()| Ok(ask::<GetDhcp>(on, &())?.state != DhcpState::Off))
            }
            GET_IP_ADDRESS_COUNT::IDENTIFIER => {
                self.answer::<GET_IP_ADDRESS_COUNT>(|on, ()| Ok(ask::<ListAddresses>(on, &())?.len()))
            }
            GET_IP_ADDRESS::IDENTIFIER => self.answer::<GET_IP_ADDRESS>(|on, index| {
                Ok(cidr_to_xila(nth(ask::<ListAddresses>(on, &())?, *index)?.cidr))
            }),
            ADD_IP_ADDRESS::IDENTIFIER => {
                self.answer::<ADD_IP_ADDRESS>(|on, cidr| ask::<AddAddress>(on, &cidr_from_xila(*cidr)?))
            }
            REMOVE_IP_ADDRESS::IDENTIFIER => self.answer::<REMOVE_IP_ADDRESS>(|on, index| {
                ask::<RemoveAddress>(on, &nth(ask::<ListAddresses>(on, &())?, *index)?.cidr)
            }),
            _ => Err(Error::UnsupportedOperation),
        }
    }

    /// Runs `operation` on the input of a Xila command, and stores its output.
    fn answer<C: ControlCommand>(
        self,
        operation: impl FnOnce(&DeviceFile, &C::Input) -> Result<C::Output>,
    ) -> Result<()> {
        let output = self.output.cast_mutable::<C::Output>()?;
        *output = operation(&self.interface, self.input.cast::<C::Input>()?)?;
        Ok(())
    }
}

/// Executes a command of the network.
fn ask<C: Command>(interface: &DeviceFile, input: &C::Input) -> Result<C::Output> {
    let mut output = Vec::new();
    interface.control(C::ID.to_raw(), &encode(input), &mut output).map_err(|error| to_xila(&error))?;
    decode(&output).map_err(|InvalidPayload| Error::InputOutput)
}

/// The maximum frame length, which is Xila's MTU; ours is the IP MTU.
fn frame_length(interface: &DeviceFile) -> Result<usize> {
    let header = ask::<GetHardwareAddress>(interface, &())?.map_or(0, |_| ETHERNET_HEADER);
    Ok(ask::<GetMtu>(interface, &())? as usize + header)
}

fn nth<T>(list: Vec<T>, index: usize) -> Result<T> {
    list.into_iter().nth(index).ok_or(Error::InvalidParameter)
}

fn invalid(InvalidValue: InvalidValue) -> Error {
    Error::InvalidParameter
}

fn cidr_to_xila(cidr: Cidr) -> IpCidr {
    IpCidr { address: cidr.address().into(), prefix_length: cidr.prefix() }
}

fn cidr_from_xila(cidr: IpCidr) -> Result<Cidr> {
    Cidr::new(cidr.address.into(), cidr.prefix_length).map_err(invalid)
}

/// Converts a route. Xila's routes have no metric.
fn route_to_xila(info: RouteInfo) -> Route {
    Route {
        cidr: cidr_to_xila(info.route.destination()),
        via_router: info.route.gateway().into(),
        preferred_until: None,
        expires_at: info.valid.and_then(|valid| Instant::now().checked_add(valid.try_into().ok()?)),
    }
}

fn route_from_xila(route: &Route) -> Result<xila_network_host::address::Route> {
    let made = xila_network_host::address::Route::new(cidr_from_xila(route.cidr)?, route.via_router.into());
    let made = made.map_err(invalid)?;
    let Some(end) = route.expires_at else { return Ok(made) };
    let left = end.checked_duration_since(Instant::now()).ok_or(Error::InvalidParameter)?;
    Ok(made.with_lifetime(left.into()))
}
