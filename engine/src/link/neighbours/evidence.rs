//! Evidence about neighbours: what the messages of ARP and neighbour discovery say.

use smoltcp::wire::EthernetAddress;

/// Evidence about a neighbour: the fields of a message that passed the checks of its protocol. Hardware addresses that
/// are not those of a single station (multicast, broadcast, all zero) are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The source of a neighbour solicitation to this host with a source link-layer address, or the sender of an ARP
    /// request for one of this host's addresses (RFC 4861 section 7.2.3). Creates an entry.
    Solicitation {
        /// The sender's hardware address.
        hardware: EthernetAddress,
    },
    /// The source of a router advertisement (RFC 4861 section 6.3.4). Creates an entry if it contains a hardware
    /// address.
    RouterAdvertisement {
        /// The source link-layer address, if the message has one.
        hardware: Option<EthernetAddress>,
    },
    /// The target of a redirect (RFC 4861 section 8.3). Creates an entry if it contains a hardware address.
    Redirect {
        /// The target link-layer address, if the message has one.
        hardware: Option<EthernetAddress>,
        /// The target is not the destination, so it is a router.
        is_router: bool,
    },
    /// The target of a neighbour advertisement (RFC 4861 section 7.2.5). Creates no entry.
    Advertisement {
        /// The target link-layer address, if the message has one.
        hardware: Option<EthernetAddress>,
        /// The solicited flag.
        is_solicited: bool,
        /// The override flag.
        overrides: bool,
        /// The router flag.
        is_router: bool,
    },
    /// The sender of an ARP reply to one of this host's addresses. It counts as solicited while the cache solicits the
    /// neighbour, otherwise as an announcement. Creates no entry.
    ArpReply {
        /// The sender's hardware address.
        hardware: EthernetAddress,
    },
    /// The sender of any other ARP packet: an announcement (RFC 5227 section 2.3), or a request for another host's
    /// address. Updates an existing entry (the merge of RFC 826, "packet reception"). Creates no entry.
    ArpAnnouncement {
        /// The sender's hardware address.
        hardware: EthernetAddress,
    },
}

/// What the caller must do about evidence.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Noted,
    /// The neighbour was a router and is not one any more. The caller removes it from the list of default routers and
    /// determines the next hop of its users again (RFC 4861 sections 7.2.5 and 7.3.3).
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

    /// Whether it creates an entry for a neighbour that was not solicited.
    pub(super) const fn makes_entry(self) -> bool {
        match self {
            Self::Solicitation { .. } => true,
            Self::RouterAdvertisement { hardware } | Self::Redirect { hardware, .. } => hardware.is_some(),
            Self::Advertisement { .. } | Self::ArpReply { .. } | Self::ArpAnnouncement { .. } => false,
        }
    }
}
