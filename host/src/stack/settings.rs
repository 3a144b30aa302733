//! The settings of an interface, and its state as shown to callers: methods of [`Attachment`].
//!
//! | Module | Contents |
//! |---|---|
//! | this file | the device, the administrative state, the hardware address, the MTU, neighbours |
//! | `addresses`, `routes` | the addresses and routes |
//! | `configuration` | DHCP, autoconfiguration and DNS servers |

mod addresses;
mod configuration;
mod routes;

use smoltcp::wire::EthernetAddress;
use xila_network_commands::event::Change;
use xila_network_commands::interface::{Link, Neighbour, Origin, State};
#[cfg(feature = "gateway")]
use xila_network_engine::interface::{Outgoing, SendError};
use xila_network_engine::ip::addresses as engine;
use xila_network_engine::wire::IPV6_LEAST_MTU;

use super::attachment::Attachment;
use super::options::OnOutage;
use crate::address::MacAddress;
use crate::device::{Capabilities, Medium};
use crate::error::{ConfigureError, NetworkDown};

pub(super) use routes::as_route;
pub(crate) use routes::{Outlook, Reach};

impl Attachment {
    /// # Errors
    /// [`NetworkDown`] where the interface is down or gone.
    pub(crate) fn check_up(&self) -> Result<(), NetworkDown> {
        if self.state == State::Up && !self.is_gone() { Ok(()) } else { Err(NetworkDown) }
    }

    /// # Errors
    /// [`NetworkDown`] where the interface is gone.
    pub(crate) fn check_mounted(&self) -> Result<(), NetworkDown> {
        if !self.is_gone() { Ok(()) } else { Err(NetworkDown) }
    }

    /// Checks whether an operation may go on.
    ///
    /// # Errors
    /// [`NetworkDown`] where the interface is gone, or is down and the operation must not wait.
    pub(crate) fn check_usable(&self, on_outage: OnOutage) -> Result<(), NetworkDown> {
        match on_outage {
            OnOutage::Fail => self.check_up(),
            OnOutage::WaitWhileDown | OnOutage::Wait => self.check_mounted(),
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.check_up().is_ok()
    }

    pub(crate) const fn state(&self) -> State {
        self.state
    }

    pub(crate) fn driver(&self) -> &'static str {
        self.port().map_or("none", |port| port.device.driver())
    }

    pub(crate) fn loops_back(&self) -> bool {
        !self.is_gone() && self.engine().interface().link().loops_back
    }

    /// Whether the medium is Ethernet.
    fn is_ethernet(&self) -> bool {
        self.capabilities.medium == Medium::Ethernet
    }

    pub(crate) fn link(&self) -> Link {
        self.port().map_or(Link::Down, |port| port.device.link())
    }

    pub(crate) const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    pub(crate) fn hardware_address(&self) -> Option<MacAddress> {
        self.engine().interface().link().hardware.and_then(|hardware| MacAddress::new(hardware.0).ok())
    }

    /// # Errors
    /// [`ConfigureError::NotSupported`] where the medium has no hardware addresses.
    pub(crate) fn set_hardware_address(&mut self, address: MacAddress) -> Result<(), ConfigureError> {
        let known = self.hardware_address().ok_or(ConfigureError::NotSupported)?;
        if known != address {
            let hardware = EthernetAddress(address.octets());
            self.engage(|engine, _, now| engine.set_hardware(hardware, now));
            self.note(Change::HardwareAddress(address));
            self.act();
        }
        Ok(())
    }

    /// The present IP MTU.
    pub(crate) const fn mtu(&self) -> u32 {
        // It is between 1280 and 65535, so it fits.
        self.capabilities.mtu as u32
    }

    pub(crate) fn maximum_burst(&self) -> Option<u32> {
        self.capabilities.max_burst.and_then(|frames| u32::try_from(frames).ok())
    }

    /// Sets the IP MTU, at most the device's.
    ///
    /// # Errors
    /// [`ConfigureError::InvalidArgument`] outside the range from 1280 (RFC 8200 section 5) to the device's MTU;
    /// [`ConfigureError::NetworkDown`] where the interface is gone.
    pub(crate) fn set_mtu(&mut self, mtu: u32) -> Result<(), ConfigureError> {
        let port = self.port().ok_or(ConfigureError::NetworkDown)?;
        let mtu = usize::try_from(mtu).map_err(|_| ConfigureError::InvalidArgument)?;
        if !(IPV6_LEAST_MTU..=port.device.capabilities().mtu).contains(&mtu) {
            return Err(ConfigureError::InvalidArgument);
        }
        self.engage(|engine, _, _| engine.set_mtu(mtu));
        self.act();
        Ok(())
    }

    /// Changes the administrative state, and wakes all waiting tasks.
    pub(crate) fn set_state(&mut self, state: State) {
        if self.state == state {
            return;
        }
        self.state = state;
        self.request_wake_all();
        self.note(Change::State(state));
        match state {
            State::Up => {
                // The device is read again, and every timer that expired meanwhile runs now.
                self.request_drive();
                if self.known_link == Link::Up {
                    self.engage(|engine, _, now| engine.resume(now));
                }
                self.act();
            }
            // Until then the engine sends nothing on its own, whatever is changed meanwhile.
            State::Down => self.engage(|engine, _, now| engine.link_down(now)),
        }
    }

    /// Handles a change of the state of the device's link.
    pub(super) fn link_changed(&mut self, link: Link) {
        if link == self.known_link {
            return;
        }
        self.known_link = link;
        self.note(Change::Link(link));
        match link {
            Link::Up => {
                self.engage(|engine, _, now| engine.link_up(now));
                if self.state == State::Down {
                    // It may be another link, but while the interface is down nothing is sent on it.
                    self.engage(|engine, _, now| engine.link_down(now));
                }
                // The work that this leaves is done before the runner sleeps.
                self.request_drive();
            }
            Link::Down => self.engage(|engine, _, now| engine.link_down(now)),
        }
        self.act();
    }

    pub(crate) const fn echo_reply(&self) -> bool {
        self.engine().echo_reply()
    }

    pub(crate) fn set_echo_reply(&mut self, enabled: bool) {
        self.tend(|engine, _| engine.set_echo_reply(enabled));
    }

    /// Sets whether every address is this host's: it is a router that answers in the place of other hosts.
    #[cfg(feature = "gateway")]
    pub(crate) fn set_every_address(&mut self, every: bool) {
        self.tend(|engine, _| engine.interface_mut().set_every_address(every));
    }

    /// Sets whether this host is a router, as its neighbours are told.
    pub(crate) fn set_router(&mut self, router: bool) {
        self.tend(|engine, _| engine.interface_mut().set_router(router));
    }

    /// Sends a packet that no socket sends: a router's.
    ///
    /// # Errors
    /// [`SendError::Unreachable`] also where the interface is gone.
    #[cfg(feature = "gateway")]
    pub(crate) fn forward(&mut self, packet: &Outgoing<'_>) -> Result<(), SendError> {
        let sent = self.engage(|engine, port, now| Some(engine.forward(packet, now, port)));
        sent.unwrap_or(Err(SendError::Unreachable))
    }

    /// The neighbours whose hardware address is known, sorted by IP address.
    pub(crate) fn neighbours(&self) -> Vec<Neighbour> {
        let known = self.engine().interface().neighbours(self.now()).filter_map(|known| {
            let hardware_address = MacAddress::new(known.hardware?.0).ok()?;
            Some(Neighbour { address: known.hop, hardware_address, age: known.confirmed.unwrap_or_default() })
        });
        let mut known: Vec<Neighbour> = known.collect();
        known.sort_unstable_by_key(|neighbour| neighbour.address);
        known
    }
}

const fn origin(origin: engine::Origin) -> Origin {
    match origin {
        engine::Origin::Static => Origin::Static,
        engine::Origin::Dhcp => Origin::Dhcp,
        engine::Origin::Router | engine::Origin::LinkLocal => Origin::Autoconfigured,
    }
}
