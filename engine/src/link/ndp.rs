//! Neighbour discovery for IPv6 over Ethernet (RFC 4861): messages read and written.
//!
//! | Room | Holds |
//! |---|---|
//! | this file | messages as they arrive, with all checks of RFC 4861 sections 6.1, 7.1 and 8.1 |
//! | [`options`] | what messages carry beside their header |
//! | [`mod@write`] | messages as they leave |
//!
//! What is read has passed every check that can be made without knowing this host's addresses, routers and
//! neighbours.

use core::net::Ipv6Addr;
use core::time::Duration;

use smoltcp::wire::EthernetAddress;

use crate::ip::icmp::{at, checksum};

pub mod options;
pub mod write;

#[cfg(test)]
mod tests;

pub use options::{NdpOption, Options, Preference};
pub use write::{all_nodes, all_routers, router_solicitation, solicited_node};

/// The numbers of message types (RFC 4861 section 4).
mod types {
    pub(super) const ROUTER_SOLICITATION: u8 = 133;
    pub(super) const ROUTER_ADVERTISEMENT: u8 = 134;
    pub(super) const NEIGHBOUR_SOLICITATION: u8 = 135;
    pub(super) const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    pub(super) const REDIRECT: u8 = 137;
}

/// What an IPv6 packet with an ICMPv6 message says of it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Who sent it.
    pub source: Ipv6Addr,
    /// Whom it is for.
    pub destination: Ipv6Addr,
    /// Only a message with 255 was sent on this link: no router has passed it on.
    pub hop_limit: u8,
    /// Whether it came in fragments (RFC 6980 section 5).
    pub fragmented: bool,
    /// The message, from the ICMPv6 type on.
    pub bytes: &'a [u8],
}

/// A message that is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A host asks for routers. A host drops it (RFC 4861 section 6.2.6).
    RouterSolicitation,
    /// A router tells of itself and the link.
    RouterAdvertisement(RouterAdvertisement<'a>),
    /// A neighbour asks where another is.
    Solicitation(Solicitation),
    /// A neighbour tells where it is.
    Advertisement(Advertisement),
    /// A router tells of a better first hop.
    Redirect(Redirect<'a>),
}

/// A neighbour solicitation (RFC 4861 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solicitation {
    /// Who asks; `::` while it makes sure that it may have the target's address.
    pub source: Ipv6Addr,
    /// Whom it was for: the target, its solicited-node group or another one of this host's.
    pub destination: Ipv6Addr,
    /// Who is asked for.
    pub target: Ipv6Addr,
    /// The hardware address of who asks.
    pub hardware: Option<EthernetAddress>,
    /// What tells a probe that comes back from another host's (RFC 7527 section 4.2), where it has the length of
    /// those that this engine sends.
    pub nonce: Option<[u8; 6]>,
}

/// A neighbour advertisement (RFC 4861 section 4.4).
///
/// It is about its target, not about its source: another host may answer in the target's name (RFC 4861 section
/// 7.2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// Who it is about.
    pub target: Ipv6Addr,
    /// Its hardware address. Without one, it says that the target is there.
    pub hardware: Option<EthernetAddress>,
    /// Whether the target is a router.
    pub router: bool,
    /// Whether it answers a solicitation, which proves that the target hears this host.
    pub solicited: bool,
    /// Whether it takes the place of another hardware address that is known.
    pub overrides: bool,
}

/// A router advertisement (RFC 4861 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterAdvertisement<'a> {
    /// The router, by its link-local address.
    pub source: Ipv6Addr,
    /// The hop limit that it suggests for packets; `None` where it does not say.
    pub hop_limit: Option<u8>,
    /// Addresses are to be had by DHCPv6.
    pub managed: bool,
    /// Other configuration is to be had by DHCPv6.
    pub other: bool,
    /// How much the router wants to be a default router (RFC 4191 section 2.2).
    pub preference: Preference,
    /// How long it is a default router; zero where it is none.
    pub lifetime: Duration,
    /// How long a neighbour is reachable after it was heard.
    pub reachable_time: Option<Duration>,
    /// The time between solicitations.
    pub retransmit_time: Option<Duration>,
    /// What else it says.
    pub options: Options<'a>,
}

/// A redirect (RFC 4861 section 4.5). Whether it came from the present first hop to its destination is for the caller
/// to check (section 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect<'a> {
    /// The router that sent it.
    pub source: Ipv6Addr,
    /// The better first hop: a router's link-local address, or the destination itself, which is on the link then.
    pub target: Ipv6Addr,
    /// Where packets go that this is about.
    pub destination: Ipv6Addr,
    /// The hardware address of the target.
    pub hardware: Option<EthernetAddress>,
    /// What else it says: the packet that it is about.
    pub options: Options<'a>,
}

/// Why a message is not read. It is dropped in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is an ICMPv6 message of another kind.
    #[error("it is not neighbour discovery")]
    OtherType,
    /// It came in fragments.
    #[error("it came in fragments")]
    Fragmented,
    /// It may come from beyond the link.
    #[error("its hop limit is not 255")]
    HopLimit,
    /// Its checksum is wrong.
    #[error("its checksum is wrong")]
    Checksum,
    /// Its code is not 0.
    #[error("its code is not 0")]
    Code,
    /// It is shorter than its header.
    #[error("it is cut short")]
    Length,
    /// An option has a length of 0 or goes beyond the message.
    #[error("an option's length is wrong")]
    OptionLength,
    /// Its source is none that may send it.
    #[error("its source may not send it")]
    Source,
    /// It is a probe that is not for a solicited-node group, or an answer that is for many.
    #[error("its destination does not fit")]
    Destination,
    /// What it is about cannot be a neighbour, or, in a redirect, a router.
    #[error("its target does not fit")]
    Target,
    /// It has the hardware address of somebody who has no address.
    #[error("it has a hardware address without an address")]
    HardwareAddress,
}

impl<'a> Message<'a> {
    /// Reads a message. The checksum is looked at where `verify` says so.
    ///
    /// # Errors
    /// See [`Invalid`].
    pub fn read(received: &Received<'a>, verify: bool) -> Result<Self, Invalid> {
        let Received { source, destination, hop_limit, fragmented, bytes } = *received;
        let [number, code, _, _] = at(bytes, 0).ok_or(Invalid::Length)?;
        if !(types::ROUTER_SOLICITATION..=types::REDIRECT).contains(&number) {
            return Err(Invalid::OtherType);
        }
        if fragmented {
            return Err(Invalid::Fragmented);
        }
        if hop_limit != 255 {
            return Err(Invalid::HopLimit);
        }
        if verify && checksum(source.into(), destination.into(), bytes) != 0 {
            return Err(Invalid::Checksum);
        }
        if code != 0 {
            return Err(Invalid::Code);
        }
        // No group and not this host over its own loopback sends any of them.
        if source.is_multicast() || source.is_loopback() {
            return Err(Invalid::Source);
        }
        match number {
            types::ROUTER_SOLICITATION => read_router_solicitation(received),
            types::ROUTER_ADVERTISEMENT => RouterAdvertisement::read(received).map(Message::RouterAdvertisement),
            types::NEIGHBOUR_SOLICITATION => Solicitation::read(received).map(Self::Solicitation),
            types::NEIGHBOUR_ADVERTISEMENT => Advertisement::read(received).map(Self::Advertisement),
            _ => Redirect::read(received).map(Message::Redirect),
        }
    }
}

/// RFC 4861 section 6.1.1.
fn read_router_solicitation<'a>(received: &Received<'a>) -> Result<Message<'a>, Invalid> {
    let options = Options::read(received.bytes, 8)?;
    if received.source.is_unspecified() && options.has_source_hardware() {
        return Err(Invalid::HardwareAddress);
    }
    Ok(Message::RouterSolicitation)
}

impl Solicitation {
    /// RFC 4861 section 7.1.1.
    fn read(received: &Received<'_>) -> Result<Self, Invalid> {
        let Received { source, destination, bytes, .. } = *received;
        let options = Options::read(bytes, 24)?;
        let target = target(bytes)?;
        if source.is_unspecified() {
            if !is_solicited_node(destination) {
                return Err(Invalid::Destination);
            }
            if options.has_source_hardware() {
                return Err(Invalid::HardwareAddress);
            }
        }
        Ok(Self { source, destination, target, hardware: options.source_hardware(), nonce: options.nonce() })
    }

    /// Whether it is a probe: its sender would like to have the target's address, and has none.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.source.is_unspecified()
    }

    /// Whether another host would like to have an address for which this one probes: neither gets it, whoever began
    /// (RFC 4862 section 5.4.3). `nonces` tells whether this host sent a nonce itself: the probe has come back then
    /// (RFC 7527 section 4.2).
    ///
    /// A host that asks for the address of a neighbour which it takes to be there says nothing against it.
    #[must_use]
    pub fn contests(&self, address: Ipv6Addr, nonces: impl Fn([u8; 6]) -> bool) -> bool {
        self.is_probe() && self.target == address && !self.nonce.is_some_and(nonces)
    }

    /// Who asks and where it is: worth to be remembered where the target is this host (RFC 4861 section 7.2.3).
    /// `None` from a probe, from a sender that does not say it, and for this host's own addresses, which `own` tells.
    #[must_use]
    pub fn sender(&self, own: impl Fn(Ipv6Addr) -> bool) -> Option<(Ipv6Addr, EthernetAddress)> {
        let hardware = self.hardware?;
        (!self.is_probe() && !own(self.source)).then_some((self.source, hardware))
    }

    /// What this host, which has the target's address, answers, and to whom: to all where a probe asks (RFC 4861
    /// section 7.2.4).
    #[must_use]
    pub const fn answer(&self, hardware: EthernetAddress) -> (Ipv6Addr, Advertisement) {
        let solicited = !self.is_probe();
        let destination = if solicited { self.source } else { all_nodes() };
        let target = self.target;
        (destination, Advertisement { target, hardware: Some(hardware), router: false, solicited, overrides: true })
    }
}

impl Advertisement {
    /// RFC 4861 section 7.1.2.
    fn read(received: &Received<'_>) -> Result<Self, Invalid> {
        let options = Options::read(received.bytes, 24)?;
        let target = target(received.bytes)?;
        let flags = received.bytes.get(4).copied().unwrap_or_default();
        let solicited = flags & write::SOLICITED != 0;
        if solicited && received.destination.is_multicast() {
            return Err(Invalid::Destination);
        }
        if received.source.is_unspecified() {
            return Err(Invalid::Source);
        }
        Ok(Self {
            target,
            hardware: options.target_hardware(),
            router: flags & write::ROUTER != 0,
            solicited,
            overrides: flags & write::OVERRIDE != 0,
        })
    }

    /// The announcement of an address that this host has: when it is taken, when the hardware address is another and
    /// when the link is back. It is for [all nodes](all_nodes) (RFC 4861 section 7.2.6).
    #[must_use]
    pub const fn announcement(target: Ipv6Addr, hardware: EthernetAddress) -> Self {
        Self { target, hardware: Some(hardware), router: false, solicited: false, overrides: true }
    }

    /// Whether another host has an address that this one has or would like to have (RFC 4862 section 5.4.4).
    /// `hardware` is this host's own: its own messages may come back.
    #[must_use]
    pub fn contests(&self, address: Ipv6Addr, hardware: EthernetAddress) -> bool {
        self.target == address && self.hardware != Some(hardware)
    }
}

impl<'a> RouterAdvertisement<'a> {
    /// RFC 4861 section 6.1.2.
    fn read(received: &Received<'a>) -> Result<Self, Invalid> {
        let Received { source, bytes, .. } = *received;
        let options = Options::read(bytes, 16)?;
        if !source.is_unicast_link_local() {
            return Err(Invalid::Source);
        }
        let [hop_limit, flags] = at(bytes, 4).ok_or(Invalid::Length)?;
        let lifetime = at(bytes, 6).map(u16::from_be_bytes).ok_or(Invalid::Length)?;
        let time = |offset| {
            let milliseconds = at(bytes, offset).map(u32::from_be_bytes).filter(|milliseconds| *milliseconds > 0)?;
            Some(Duration::from_millis(milliseconds.into()))
        };
        Ok(Self {
            source,
            hop_limit: (hop_limit > 0).then_some(hop_limit),
            managed: flags & 0x80 != 0,
            other: flags & 0x40 != 0,
            // That of one which is no default router means nothing; a reserved one is medium.
            preference: Preference::from_bits(flags >> 3).filter(|_| lifetime > 0).unwrap_or_default(),
            lifetime: Duration::from_secs(lifetime.into()),
            reachable_time: time(8),
            retransmit_time: time(12),
            options,
        })
    }
}

impl<'a> Redirect<'a> {
    /// RFC 4861 section 8.1.
    fn read(received: &Received<'a>) -> Result<Self, Invalid> {
        let Received { source, bytes, .. } = *received;
        let options = Options::read(bytes, 40)?;
        if !source.is_unicast_link_local() {
            return Err(Invalid::Source);
        }
        let target = target(bytes)?;
        let destination: Ipv6Addr = at::<16>(bytes, 24).ok_or(Invalid::Length)?.into();
        if destination.is_multicast() {
            return Err(Invalid::Destination);
        }
        if !target.is_unicast_link_local() && target != destination {
            return Err(Invalid::Target);
        }
        Ok(Self { source, target, destination, hardware: options.target_hardware(), options })
    }
}

/// The target, which lies at one place in all messages that have one, and is one node.
fn target(bytes: &[u8]) -> Result<Ipv6Addr, Invalid> {
    let target: Ipv6Addr = at::<16>(bytes, 8).ok_or(Invalid::Length)?.into();
    let is_one = !target.is_multicast() && !target.is_unspecified() && !target.is_loopback();
    if is_one { Ok(target) } else { Err(Invalid::Target) }
}

/// RFC 4291 section 2.7.1.
fn is_solicited_node(address: Ipv6Addr) -> bool {
    solicited_node(address) == address
}
