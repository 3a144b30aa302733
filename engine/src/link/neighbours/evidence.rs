//! Evidence about neighbours: what the messages of ARP and neighbour discovery say.

use smoltcp::wire::EthernetAddress;

/// Evidence about a neighbour: the fields of a message that passed the checks of its protocol. Hardware addresses that
/// are not those of a single station (multicast, broadcast, all zero) are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The source of a neighbour solicitation to this host with a source link-layer address, or the sender of an ARP
    /// request for one of this host's addresses (RFC 4861 section 7.2.3). Makes an entry.
    Solicitation {
        /// The sender's hardware address.
        hardware: EthernetAddress,
    },
    /// The source of a router advertisement (RFC 4861 section 6.3.4). Makes an entry where it has an address.
    RouterAdvertisement {
        /// The source link-layer address, where the message has one.
        hardware: Option<EthernetAddress>,
    },
    /// The target of a redirect (RFC 4861 section 8.3). Makes an entry where it has an address.
    Redirect {
        /// The target link-layer address, where the message has one.
        hardware: Option<EthernetAddress>,
        /// The target is not the destination, and so a router.
        is_router: bool,
    },
    /// The target of a neighbour advertisement (RFC 4861 section 7.2.5). Makes no entry.
    Advertisement {
        /// The target link-layer address, where the message has one.
        hardware: Option<EthernetAddress>,
        /// The solicited flag.
        is_solicited: bool,
        /// The override flag.
        overrides: bool,
        /// The router flag.
        is_router: bool,
    },
    /// The sender of an ARP reply to one of this host's addresses. It counts as solicited while the cache asks, else as
    /// an announcement. Makes no entry.
    ArpReply {
        /// The sender's hardware address.
        hardware: EthernetAddress,
    },
    /// The sender of any other ARP packet: an announcement (RFC 5227 section 2.3), or a request for somebody else's
    /// address. What is known of the sender is corrected (RFC 826, the merge of "packet reception"). Makes no entry.
    ArpAnnouncement {
        /// The sender's hardware address.
        hardware: EthernetAddress,
    },
}

/// What the caller has to do about something that was heard.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Noted,
    /// The neighbour was a router and says that it is none: it leaves the list of default routers, and who uses it
    /// determines the next hop anew (RFC 4861 sections 7.2.5 and 7.3.3).
    NoLongerRouter,
}

impl Evidence {
    pub(super) const fn hardware(self) -> Option<EthernetAddress> {
        match self {
            Self::Solicitation { hardware } | Self::ArpReply { hardware } | Self::ArpAnnouncement { hardware } => {
                Some(hardware)
            }
            Self::RouterAdvertisement { hardware }
            | Self::Redirect { hardware, .. }
            | Self::Advertisement { hardware, .. } => hardware,
        }
    }

    /// Whether its sender becomes known by it, where nobody asked.
    pub(super) const fn makes_entry(self) -> bool {
        match self {
            Self::Solicitation { .. } => true,
            Self::RouterAdvertisement { hardware } | Self::Redirect { hardware, .. } => hardware.is_some(),
            Self::Advertisement { .. } | Self::ArpReply { .. } | Self::ArpAnnouncement { .. } => false,
        }
    }
}
