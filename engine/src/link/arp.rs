//! ARP for IPv4 over Ethernet (RFC 826, RFC 5227): parsing and emitting of messages, and what a message means to this
//! host.

use core::net::Ipv4Addr;

use smoltcp::wire::EthernetAddress;

use crate::ip::icmp::at;

#[cfg(test)]
mod tests;

/// The length of a message in bytes.
pub const LENGTH: usize = 28;
/// The hardware address that stands for no host: the target's in requests.
const NOBODY: EthernetAddress = EthernetAddress([0; 6]);
/// Hardware type 1, Ethernet; protocol type 0x0800, IPv4; address lengths 6 and 4.
const KINDS: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// The operation of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Asks for the hardware address of the target.
    Request,
    /// Announces the hardware address of the sender.
    Reply,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// The operation.
    pub operation: Operation,
    /// The hardware address of the sender. It is the address of a single host.
    pub sender_hardware: EthernetAddress,
    /// The sender's address; 0.0.0.0 in a probe.
    pub sender: Ipv4Addr,
    /// The hardware address of the target. It is meaningless in a request.
    pub target_hardware: EthernetAddress,
    /// The address that is asked for, or the receiver of a reply.
    pub target: Ipv4Addr,
}

/// What a message means to this host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// A reply to send, to the hardware address of its target.
    pub answer: Option<Arp>,
    /// The evidence about a neighbour.
    pub evidence: Option<Evidence>,
    /// An address of this host that another host uses as well. The caller must tell the [claim](super::claim::Claim) of
    /// it.
    pub conflict: Option<Ipv4Addr>,
}

/// The hardware address of a neighbour, by a message from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The neighbour.
    pub address: Ipv4Addr,
    /// Its hardware address.
    pub hardware: EthernetAddress,
    /// How the message was sent.
    pub kind: EvidenceKind,
}

/// How a neighbour has sent its hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceKind {
    /// It asked for this host, which will soon send something to it, so it is worth an entry in the cache (RFC 826,
    /// "Packet Reception").
    Asked,
    /// It replied to this host only: an answer, if this host asked.
    Answered,
    /// It told every host, or asked for another host. This updates existing entries only.
    Overheard,
}

impl Arp {
    /// Parses a message; padding of its frame may follow. Returns `None` if it is truncated, is not about IPv4 over
    /// Ethernet, has an unknown operation, or has a sender that is not a single host: a multicast, broadcast or zero
    /// hardware address, or an IP address that no host has.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if at::<6>(bytes, 0)? != KINDS {
            return None;
        }
        let operation = match at(bytes, 6).map(u16::from_be_bytes)? {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return None,
        };
        let arp = Self {
            operation,
            sender_hardware: EthernetAddress(at(bytes, 8)?),
            sender: at::<4>(bytes, 14)?.into(),
            target_hardware: EthernetAddress(at(bytes, 18)?),
            target: at::<4>(bytes, 24)?.into(),
        };
        let is_one = arp.sender_hardware.is_unicast() && arp.sender_hardware != NOBODY;
        let is_host = arp.sender.is_unspecified() || may_be_neighbour(arp.sender);
        (is_one && is_host).then_some(arp)
    }

    /// The bytes of the message.
    #[must_use]
    pub fn bytes(&self) -> [u8; LENGTH] {
        let operation = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        let mut bytes = [0; LENGTH];
        let fields: [&[u8]; 6] = [
            &KINDS,
            &[0, operation],
            &self.sender_hardware.0,
            &self.sender.octets(),
            &self.target_hardware.0,
            &self.target.octets(),
        ];
        for (byte, value) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *byte = *value;
        }
        bytes
    }

    /// A request from this host.
    #[must_use]
    pub const fn request(hardware: EthernetAddress, source: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self {
            operation: Operation::Request,
            sender_hardware: hardware,
            sender: source,
            target_hardware: NOBODY,
            target,
        }
    }

    /// A probe for an address that this host wants to use (RFC 5227 section 2.1.1). Its sender address is 0.0.0.0, so
    /// that no host updates its cache.
    #[must_use]
    pub const fn probe(hardware: EthernetAddress, address: Ipv4Addr) -> Self {
        Self::request(hardware, Ipv4Addr::UNSPECIFIED, address)
    }

    /// An announcement of an address of this host (RFC 5227 section 2.3). It is a request, because every host processes
    /// requests.
    #[must_use]
    pub const fn announcement(hardware: EthernetAddress, address: Ipv4Addr) -> Self {
        Self::request(hardware, address, address)
    }

    /// The reply to this request, from this host, which has the target's address.
    #[must_use]
    pub const fn reply(&self, hardware: EthernetAddress) -> Self {
        Self {
            operation: Operation::Reply,
            sender_hardware: hardware,
            sender: self.target,
            target_hardware: self.sender_hardware,
            target: self.sender,
        }
    }

    /// Whether it is a probe: its sender wants to use the target's address.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        matches!(self.operation, Operation::Request) && self.sender.is_unspecified()
    }

    /// Whether it is an announcement, as a request or as a reply (RFC 5227 section 3).
    #[must_use]
    pub fn is_announcement(&self) -> bool {
        self.sender == self.target && !self.sender.is_unspecified()
    }

    /// Whether another host uses an address or probes for it. In both cases a host that probes for the address has lost
    /// it (RFC 5227 section 2.1.1). `hardware` is this host's own hardware address: its own messages may come back.
    #[must_use]
    pub fn contests(&self, address: Ipv4Addr, hardware: EthernetAddress) -> bool {
        self.sender_hardware != hardware && (self.sender == address || (self.is_probe() && self.target == address))
    }

    /// What the message means to a host with this hardware address. `own` returns whether this host has an address and
    /// answers for it. It must be false for addresses that are still probed: see [`contests`](Self::contests) for them.
    ///
    /// A request is answered whatever network its sender is in, because the answer only needs the sender to be on the
    /// link. Nothing is learned about this host's own addresses.
    #[must_use]
    pub fn judge(&self, hardware: EthernetAddress, own: impl Fn(Ipv4Addr) -> bool) -> Judgement {
        if self.sender_hardware == hardware {
            return Judgement::default();
        }
        // The conflict of RFC 5227 section 2.4.
        if own(self.sender) {
            return Judgement { conflict: Some(self.sender), ..Judgement::default() };
        }
        let is_for_us = own(self.target);
        let is_request = self.operation == Operation::Request;
        let kind = if self.is_announcement() || !is_for_us {
            EvidenceKind::Overheard
        } else if is_request {
            EvidenceKind::Asked
        } else {
            EvidenceKind::Answered
        };
        let evidence = Evidence { address: self.sender, hardware: self.sender_hardware, kind };
        Judgement {
            answer: (is_request && is_for_us).then(|| self.reply(hardware)),
            evidence: (!self.sender.is_unspecified()).then_some(evidence),
            conflict: None,
        }
    }
}

/// Whether an address may be that of a host on the link.
const fn may_be_neighbour(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first != 127 && first < 224
}
