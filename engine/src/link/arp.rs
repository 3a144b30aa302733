//! ARP for IPv4 over Ethernet (RFC 826, RFC 5227): messages read and written, and what each says to this host.

use core::net::Ipv4Addr;

use smoltcp::wire::EthernetAddress;

use crate::ip::icmp::at;

#[cfg(test)]
mod tests;

/// Bytes of a message.
pub const LENGTH: usize = 28;
/// What hardware addresses are that stand for nobody: the target's in requests.
const NOBODY: EthernetAddress = EthernetAddress([0; 6]);
/// Hardware type 1, Ethernet; protocol type 0x0800, IPv4; addresses of 6 and of 4 bytes.
const KINDS: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Asks for the hardware address of the target.
    Request,
    /// Tells that of the sender.
    Reply,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// What it is.
    pub operation: Operation,
    /// The hardware address of the sender: of one host.
    pub sender_hardware: EthernetAddress,
    /// The sender's address; 0.0.0.0 in a probe.
    pub sender: Ipv4Addr,
    /// The hardware address of the target. It means nothing in a request.
    pub target_hardware: EthernetAddress,
    /// Who is asked for, or whom it is for.
    pub target: Ipv4Addr,
}

/// What a message says to this host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// What to send back, to the hardware address that it names as the target.
    pub answer: Option<Arp>,
    /// What it says about a neighbour.
    pub evidence: Option<Evidence>,
    /// Which of this host's addresses somebody else uses as well: the [claim](super::claim::Claim) of it is to be
    /// told.
    pub conflict: Option<Ipv4Addr>,
}

/// Where a neighbour is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The neighbour.
    pub address: Ipv4Addr,
    /// Its hardware address.
    pub hardware: EthernetAddress,
    /// How it came to be said.
    pub kind: EvidenceKind,
}

/// How a neighbour came to say where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceKind {
    /// It asked for this host, and so will be sent something soon: worth to be remembered (RFC 826, "Packet
    /// Reception").
    Asked,
    /// It tells this host alone: an answer, if it was asked.
    Answered,
    /// It tells everybody, or asks for somebody else. It changes what is known already, and nothing else.
    Overheard,
}

impl Arp {
    /// Reads a message; padding of its frame may follow. `None` for one that is cut short, is not about IPv4 over
    /// Ethernet or has another operation, and for one whose sender is not one host: a multicast, broadcast or zero
    /// hardware address, or an address that no host has.
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

    /// A probe for an address that this host would like to have (RFC 5227 section 2.1.1). It has no sender, so that
    /// nobody learns from it.
    #[must_use]
    pub const fn probe(hardware: EthernetAddress, address: Ipv4Addr) -> Self {
        Self::request(hardware, Ipv4Addr::UNSPECIFIED, address)
    }

    /// An announcement of an address that this host has (RFC 5227 section 2.3): a request, because every host
    /// understands those.
    #[must_use]
    pub const fn announcement(hardware: EthernetAddress, address: Ipv4Addr) -> Self {
        Self::request(hardware, address, address)
    }

    /// The reply of this host, which has the target's address, to a request.
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

    /// Whether it is a probe: its sender would like to have the target's address.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        matches!(self.operation, Operation::Request) && self.sender.is_unspecified()
    }

    /// Whether its sender tells everybody where it is, by a request or by a reply (RFC 5227 section 3).
    #[must_use]
    pub fn is_announcement(&self) -> bool {
        self.sender == self.target && !self.sender.is_unspecified()
    }

    /// Whether another host uses an address, or would like to have it too: with either, a host that probes for it has
    /// lost it (RFC 5227 section 2.1.1). `hardware` is this host's own: its own messages may come back.
    #[must_use]
    pub fn contests(&self, address: Ipv4Addr, hardware: EthernetAddress) -> bool {
        self.sender_hardware != hardware && (self.sender == address || (self.is_probe() && self.target == address))
    }

    /// What the message says to a host with this hardware address. `own` tells the addresses that it has and answers
    /// for, without those that it still probes for: see [`contests`](Self::contests) for them.
    ///
    /// A request is answered whatever network its sender is in: its sender believes to be on the link, and that is
    /// all that the answer needs. Nothing is learnt about this host's own addresses.
    #[must_use]
    pub fn judge(&self, hardware: EthernetAddress, own: impl Fn(Ipv4Addr) -> bool) -> Judgement {
        if self.sender_hardware == hardware {
            return Judgement::default();
        }
        // RFC 5227 section 2.4.
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
