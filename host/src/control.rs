//! The character device of an interface: commands by identifier and bytes.
//!
//! An interface's node decodes the payload, executes the operation of the stack for that command (the same that the
//! typed methods of [`Interface`] execute) and encodes the result. A command that the stack does not know is passed to
//! the interface's [controller](crate::device::Controller), without any lock held.

use xila_network_commands::commands::{
    AddAddress, AddDnsServer, AddRoute, GetAutoconfiguration, GetAutoconfigurationStatus, GetDhcp, GetEchoReply,
    GetHardwareAddress, GetKind, GetLink, GetMaximumBurst, GetMtu, GetState, GetStatistics, ListAddresses,
    ListDnsServers, ListNeighbours, ListRoutes, ListSearchDomains, RemoveAddress, RemoveDnsServer, RemoveRoute,
    SetAutoconfiguration, SetDhcp, SetEchoReply, SetHardwareAddress, SetMtu, SetState,
};
use xila_network_commands::{Command, CommandId};

use crate::device::controller::execute;
use crate::error::{ConfigureError, Result};
use crate::interface::Interface;
use crate::platform::{Access, CharacterDevice};
use crate::stack::Core;
use crate::stack::attachment::Attachment;

/// The directory in which interfaces appear as devices.
pub const DIRECTORY: &str = "/devices/network";

/// The path of an interface's device.
#[must_use]
pub fn path(interface: &str) -> String {
    format!("{DIRECTORY}/{interface}")
}

/// The word for a command in rules of a [policy](crate::policy::Policy): its name in small letters with hyphens, such as
/// `set-mtu`, or its identifier where it is one of a driver's own.
#[cfg(feature = "wasm")]
pub(crate) fn command_word(command: CommandId) -> String {
    match xila_network_commands::commands::ALL.iter().find(|(known, _)| *known == command) {
        Some((_, name)) => name.to_ascii_lowercase().replace(' ', "-"),
        None => format!("{:#010x}", command.to_raw()),
    }
}

/// An interface as a character device.
pub(crate) struct Node(Interface);

impl Node {
    pub(crate) const fn new(interface: Interface) -> Self {
        Self(interface)
    }
}

impl CharacterDevice for Node {
    fn control(&self, access: Access, command: CommandId, input: &[u8], output: &mut Vec<u8>) -> Result<()> {
        let call = Call { interface: &self.0, wait: !access.non_blocking, input, output };
        match command {
            GetKind::ID => {
                let kind = self.0.kind();
                call.look::<GetKind>(|_| kind)
            }
            GetState::ID => call.look::<GetState>(|core| core.interface.state()),
            SetState::ID => call.execute::<SetState>(|core, state| {
                core.interface.set_state(state);
                Ok(())
            }),
            GetLink::ID => call.look::<GetLink>(|core| core.interface.link()),
            GetHardwareAddress::ID => call.look::<GetHardwareAddress>(|core| core.interface.hardware_address()),
            SetHardwareAddress::ID => call.set::<SetHardwareAddress>(Attachment::set_hardware_address),
            GetMtu::ID => call.look::<GetMtu>(|core| core.interface.mtu()),
            SetMtu::ID => call.set::<SetMtu>(Attachment::set_mtu),
            GetMaximumBurst::ID => call.look::<GetMaximumBurst>(|core| core.interface.maximum_burst()),
            GetEchoReply::ID => call.look::<GetEchoReply>(|core| core.interface.echo_reply()),
            SetEchoReply::ID => call.execute::<SetEchoReply>(|core, enabled| {
                core.interface.set_echo_reply(enabled);
                Ok(())
            }),
            ListAddresses::ID => call.look::<ListAddresses>(|core| core.interface.address_list()),
            AddAddress::ID => call.set::<AddAddress>(Attachment::add_address),
            RemoveAddress::ID => call.set::<RemoveAddress>(Attachment::remove_address),
            ListRoutes::ID => call.look::<ListRoutes>(|core| core.interface.route_list()),
            AddRoute::ID => call.set::<AddRoute>(Attachment::add_route),
            RemoveRoute::ID => call.set::<RemoveRoute>(Attachment::remove_route),
            ListDnsServers::ID => call.look::<ListDnsServers>(|core| core.interface.dns_servers()),
            AddDnsServer::ID => call.set::<AddDnsServer>(Attachment::add_dns_server),
            RemoveDnsServer::ID => call.set::<RemoveDnsServer>(Attachment::remove_dns_server),
            ListSearchDomains::ID => call.look::<ListSearchDomains>(|core| core.interface.search_domains()),
            GetDhcp::ID => call.look::<GetDhcp>(|core| core.interface.dhcp_status()),
            SetDhcp::ID => call.set::<SetDhcp>(Attachment::set_dhcp),
            GetAutoconfiguration::ID => call.look::<GetAutoconfiguration>(|core| core.interface.autoconfiguration()),
            SetAutoconfiguration::ID => call.set::<SetAutoconfiguration>(Attachment::set_autoconfiguration),
            GetAutoconfigurationStatus::ID => {
                call.look::<GetAutoconfigurationStatus>(|core| core.interface.autoconfiguration_status())
            }
            GetStatistics::ID => call.look::<GetStatistics>(|core| core.statistics()),
            ListNeighbours::ID => call.look::<ListNeighbours>(|core| core.interface.neighbours()),
            // A command of the driver. The driver is not called any more after its interface was unmounted.
            _ => {
                self.0.perform(call.wait, |_| Ok(()))?;
                self.0.controller().control(command, input, call.output)
            }
        }
    }
}

/// One execution of a command.
struct Call<'a> {
    interface: &'a Interface,
    wait: bool,
    input: &'a [u8],
    output: &'a mut Vec<u8>,
}

impl Call<'_> {
    /// Executes a command that sets something of the interface.
    fn set<C: Command>(
        self,
        operation: impl FnOnce(&mut Attachment, C::Input) -> Result<C::Output, ConfigureError>,
    ) -> Result<()> {
        self.execute::<C>(|core, input| operation(&mut core.interface, input))
    }

    /// Executes a command that changes the stack.
    fn execute<C: Command>(
        self,
        operation: impl FnOnce(&mut Core, C::Input) -> Result<C::Output, ConfigureError>,
    ) -> Result<()> {
        let Self { interface, wait, input, output } = self;
        execute::<C>(input, output, |input| interface.perform(wait, |core| operation(core, input)))
    }

    /// Executes a command that only reads.
    fn look<C: Command<Input = ()>>(self, look: impl FnOnce(&Core) -> C::Output) -> Result<()> {
        self.execute::<C>(|core, ()| Ok(look(core)))
    }
}
