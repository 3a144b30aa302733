//! IPv6 neighbour discovery over Ethernet (RFC 4861): parsing and emitting of messages.
//!
//! | Module | Contents |
//! |---|---|
//! | this file | received messages, with all checks of RFC 4861 sections 6.1, 7.1 and 8.1 |
//! | [`options`] | the options of messages |
//! | [`mod@write`] | messages that are sent |
//!
//! A parsed message has passed every check that does not need this host's addresses, routers and neighbours.

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

/// An ICMPv6 message with the properties of the IPv6 packet that carries it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The source address.
    pub source: Ipv6Addr,
    /// The destination address.
    pub destination: Ipv6Addr,
    /// The hop limit. Only 255 proves that the message was sent on this link and not forwarded by a router.
    pub hop_limit: u8,
    /// Whether the packet was fragmented (RFC 6980 section 5).
    pub fragmented: bool,
    /// The message, from the ICMPv6 type on.
    pub bytes: &'a [u8],
}

/// A valid message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A router solicitation. Hosts ignore it (RFC 4861 section 6.2.6).
    RouterSolicitation,
    /// A router advertisement.
    RouterAdvertisement(RouterAdvertisement<'a>),
    /// A neighbour solicitation: it asks for the hardware address of its target.
    Solicitation(Solicitation),
    /// A neighbour advertisement: it announces the hardware address of its target.
    Advertisement(Advertisement),
    /// A redirect: a router reports a better first hop.
    Redirect(Redirect<'a>),
}

/// A neighbour solicitation (RFC 4861 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solicitation {
    /// The source address; `::` if it is a probe of duplicate address detection.
    pub source: Ipv6Addr,
    /// The destination address: the target, its solicited-node group, or another group or address of this host.
    pub destination: Ipv6Addr,
    /// The address that is asked for.
    pub target: Ipv6Addr,
    /// The hardware address of the sender.
    pub hardware: Option<EthernetAddress>,
    /// The nonce, which distinguishes an own probe that was looped back from another host's probe (RFC 7527 section
    /// 4.2). Only nonces of the length that this engine sends are kept.
    pub nonce: Option<[u8; 6]>,
}

/// A neighbour advertisement (RFC 4861 section 4.4).
///
/// It is about its target, not about its source: another host may answer on behalf of the target (RFC 4861 section
/// 7.2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// The address that it is about.
    pub target: Ipv6Addr,
    /// The hardware address of the target. Without one, the message only says that the target is present.
    pub hardware: Option<EthernetAddress>,
    /// Whether the target is a router.
    pub router: bool,
    /// Whether it answers a solicitation, which proves that the target receives this host's packets.
    pub solicited: bool,
    /// Whether it overrides a hardware address that is already known.
    pub overrides: bool,
}

/// A router advertisement (RFC 4861 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterAdvertisement<'a> {
    /// The link-local address of the router.
    pub source: Ipv6Addr,
    /// The hop limit that it suggests for packets; `None` if unspecified.
    pub hop_limit: Option<u8>,
    /// The M flag: addresses are available by DHCPv6.
    pub managed: bool,
    /// The O flag: other configuration is available by DHCPv6.
    pub other: bool,
    /// The router's preference as a default router (RFC 4191 section 2.2).
    pub preference: Preference,
    /// How long it is a default router; zero if it is none.
    pub lifetime: Duration,
    /// How long a neighbour is considered reachable after a confirmation; `None` if unspecified.
    pub reachable_time: Option<Duration>,
    /// The time between retransmitted solicitations; `None` if unspecified.
    pub retransmit_time: Option<Duration>,
    /// The options.
    pub options: Options<'a>,
}

/// A redirect (RFC 4861 section 4.5). The caller must check that it came from the current first hop to its destination
/// (section 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect<'a> {
    /// The router that sent it.
    pub source: Ipv6Addr,
    /// The better first hop: the link-local address of a router, or the destination itself, which is on-link then.
    pub target: Ipv6Addr,
    /// The destination that is redirected.
    pub destination: Ipv6Addr,
    /// The hardware address of the target.
    pub hardware: Option<EthernetAddress>,
    /// The options, among them the packet that caused the redirect.
    pub options: Options<'a>,
}

/// Why a message is invalid. It is dropped silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is an ICMPv6 message of another kind.
    #[error("it is not neighbour discovery")]
    OtherType,
    /// Its packet was fragmented.
    #[error("it came in fragments")]
    Fragmented,
    /// Its hop limit is not 255, so it may come from another link.
    #[error("its hop limit is not 255")]
    HopLimit,
    /// Its checksum is wrong.
    #[error("its checksum is wrong")]
    Checksum,
    /// Its code is not 0.
    #[error("its code is not 0")]
    Code,
    /// It is shorter than its fixed part.
    #[error("it is cut short")]
    Length,
    /// An option has length 0 or extends beyond the message.
    #[error("an option's length is wrong")]
    OptionLength,
    /// Its source may not send it.
    #[error("its source may not send it")]
    Source,
    /// It is a probe that is not addressed to a solicited-node group, or a solicited advertisement addressed to a
    /// group.
    #[error("its destination does not fit")]
    Destination,
    /// Its target cannot be a neighbour, or, in a redirect, a router.
    #[error("its target does not fit")]
    Target,
    /// It carries a source hardware address although its source is unspecified.
    #[error("it has a hardware address without an address")]
    HardwareAddress,
}

impl<'a> Message<'a> {
    /// Parses a message. The checksum is verified if `verify` is set.
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
        // No valid message has a multicast or loopback source.
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

/// The checks of RFC 4861 section 6.1.1.
fn read_router_solicitation<'a>(received: &Received<'a>) -> Result<Message<'a>, Invalid> {
    let options = Options::read(received.bytes, 8)?;
    if received.source.is_unspecified() && options.has_source_hardware() {
        return Err(Invalid::HardwareAddress);
    }
    Ok(Message::RouterSolicitation)
}

impl Solicitation {
    /// The checks of RFC 4861 section 7.1.1.
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

    /// Whether it is a probe: its sender wants to use the target's address and has no address yet.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.source.is_unspecified()
    }

    /// Whether another host probes for an address that this host probes for: then neither may use it, whichever began
    /// first (RFC 4862 section 5.4.3). `nonces` returns whether this host has sent a nonce itself: then the probe is
    /// its own and was looped back (RFC 7527 section 4.2).
    ///
    /// A solicitation with a source address only asks for a neighbour, and does not contest the address.
    #[must_use]
    pub fn contests(&self, address: Ipv6Addr, nonces: impl Fn([u8; 6]) -> bool) -> bool {
        self.is_probe() && self.target == address && !self.nonce.is_some_and(nonces)
    }

    /// The address and hardware address of the sender, to be stored in the neighbour cache if the target is this host
    /// (RFC 4861 section 7.2.3). `None` for a probe, if the sender does not give its hardware address, or if `own` says
    /// that the source is an address of this host.
    #[must_use]
    pub fn sender(&self, own: impl Fn(Ipv6Addr) -> bool) -> Option<(Ipv6Addr, EthernetAddress)> {
        let hardware = self.hardware?;
        (!self.is_probe() && !own(self.source)).then_some((self.source, hardware))
    }

    /// The answer of this host, which has the target's address, and its destination: all nodes if a probe asks (RFC
    /// 4861 section 7.2.4).
    #[must_use]
    pub const fn answer(&self, hardware: EthernetAddress) -> (Ipv6Addr, Advertisement) {
        let solicited = !self.is_probe();
        let destination = if solicited { self.source } else { all_nodes() };
        let target = self.target;
        (destination, Advertisement { target, hardware: Some(hardware), router: false, solicited, overrides: true })
    }
}

impl Advertisement {
    /// The checks of RFC 4861 section 7.1.2.
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

    /// The announcement of an address of this host, when it is acquired, when the hardware address has changed, and
    /// when the link is up again. It is sent to [all nodes](all_nodes) (RFC 4861 section 7.2.6).
    #[must_use]
    pub const fn announcement(target: Ipv6Addr, hardware: EthernetAddress) -> Self {
        Self { target, hardware: Some(hardware), router: false, solicited: false, overrides: true }
    }

    /// Whether another host has an address that this host has or wants to use (RFC 4862 section 5.4.4). `hardware` is
    /// this host's own hardware address: its own messages may come back.
    #[must_use]
    pub fn contests(&self, address: Ipv6Addr, hardware: EthernetAddress) -> bool {
        self.target == address && self.hardware != Some(hardware)
    }
}

impl<'a> RouterAdvertisement<'a> {
    /// The checks of RFC 4861 section 6.1.2.
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
            // The preference is ignored if it is not a default router. The reserved value counts as medium.
            preference: Preference::from_bits(flags >> 3).filter(|_| lifetime > 0).unwrap_or_default(),
            lifetime: Duration::from_secs(lifetime.into()),
            reachable_time: time(8),
            retransmit_time: time(12),
            options,
        })
    }
}

impl<'a> Redirect<'a> {
    /// The checks of RFC 4861 section 8.1.
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

/// The target address, which is at the same offset in all messages that have one, and must be a unicast address.
fn target(bytes: &[u8]) -> Result<Ipv6Addr, Invalid> {
    let target: Ipv6Addr = at::<16>(bytes, 8).ok_or(Invalid::Length)?.into();
    let is_one = !target.is_multicast() && !target.is_unspecified() && !target.is_loopback();
    if is_one { Ok(target) } else { Err(Invalid::Target) }
}

/// Whether an address is a solicited-node group (RFC 4291 section 2.7.1).
fn is_solicited_node(address: Ipv6Addr) -> bool {
    solicited_node(address) == address
}
