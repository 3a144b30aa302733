//! Fragmentation of packets that are longer than their path's MTU (RFC 791 section 3.2, RFC 8200 section 4.5), and the
//! identifications by which receivers reassemble the fragments.
//!
//! The caller decides whether a packet may be fragmented. TCP segments and packets sent with "don't fragment" must not
//! be.

use alloc::vec::Vec;
use core::ops::Range;

use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6Packet};
use thiserror::Error;

use super::headers::{EXTENSIONS, FRAGMENT_HEADER, upper_header};
use crate::buffer::Payload;
use crate::wire::{IPV4_HEADER, IPV6_HEADER};

mod identifications;
#[cfg(test)]
mod tests;

pub use identifications::Identifications;

/// Fragment offsets are in units of this many bytes.
const UNIT: usize = 8;

/// Why a packet is not fragmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Uncut {
    /// It is not longer than its path's MTU, and is sent as it is.
    #[error("the packet fits")]
    Fits,
    /// Its headers cannot be parsed, or its length differs from the length in its header.
    #[error("the packet is malformed")]
    Malformed,
    /// The MTU is too small: it leaves no space for eight bytes after the headers that all fragments have, or, in IPv6,
    /// for all headers up to the upper-layer header, which must be in the first fragment (RFC 7112 section 5).
    #[error("the path takes too little for the packet's headers")]
    Narrow,
    /// It is an IPv6 packet that already has a Fragment header.
    #[error("the packet is a fragment already")]
    Fragment,
}

/// How a packet is divided into fragments.
#[derive(Clone, Debug)]
pub struct Fragmentation {
    /// The headers of the first fragment, and those of the other fragments. In IPv4 the others contain only the options
    /// that are copied (RFC 791 section 3.1). In IPv6 they are the IPv6 header, extension headers and the Fragment
    /// header. The fields that differ between fragments are written later.
    first: Vec<u8>,
    others: Vec<u8>,
    family: Family,
    /// The range of the packet that is divided.
    divided: Range<usize>,
    /// How many bytes of this range are in the first fragment, and in each fragment that is neither the first nor the
    /// last.
    first_length: usize,
    other_length: usize,
}

#[derive(Clone, Copy, Debug)]
enum Family {
    V4 {
        /// The fragment offset in bytes and the more-fragments flag of the original packet, if it is a fragment itself.
        offset: usize,
        more: bool,
    },
    V6,
}

impl Fragmentation {
    /// Plans how to divide a packet of `length` bytes into fragments of at most `mtu` bytes. `head` contains the
    /// complete IP header, options and extension headers, and in IPv6 the upper-layer header. It may contain more of
    /// the packet.
    ///
    /// All fragments carry the same [identification](Identifications); IPv4 uses its lower 16 bits. An IPv4 packet that
    /// is a fragment already keeps its own.
    ///
    /// # Errors
    /// See [`Uncut`].
    pub fn new(head: &[u8], length: usize, mtu: usize, identification: u32) -> Result<Self, Uncut> {
        if length <= mtu {
            return Err(Uncut::Fits);
        }
        match head.first().map(|octet| octet >> 4) {
            Some(4) => Self::new_v4(head, length, mtu, identification),
            Some(6) => Self::new_v6(head, length, mtu, identification),
            Some(_) | None => Err(Uncut::Malformed),
        }
    }

    /// The number of fragments: at least two.
    #[must_use]
    pub fn count(&self) -> usize {
        1 + self.divided.len().saturating_sub(self.first_length).div_ceil(self.other_length)
    }

    /// The length of a fragment in bytes, headers included; 0 if there is no such fragment.
    #[must_use]
    pub fn length(&self, index: usize) -> usize {
        let length = self.range(index).len();
        if length == 0 { 0 } else { self.headers(index).len() + length }
    }

    /// Writes a fragment into a buffer of [its length](Self::length), with the checksum of the IPv4 header. `packet` is
    /// the whole packet.
    ///
    /// # Panics
    /// If `into` or `packet` is too short, which is a bug in the caller.
    pub fn write(&self, packet: &Payload<'_>, index: usize, into: &mut [u8]) {
        let (range, length) = (self.range(index), self.length(index));
        let headers = self.headers(index);
        let (head, body) = into[..length].split_at_mut(headers.len());
        head.copy_from_slice(headers);
        copy(packet, &range, body);
        let offset = range.start - self.divided.start;
        let is_last = range.end == self.divided.end;
        match self.family {
            Family::V4 { offset: before, more } => {
                let mut ip = Ipv4Packet::new_unchecked(head);
                // No fragment is longer than the packet, whose length has 16 bits, and none begins after its end.
                ip.set_total_len(u16::try_from(length).unwrap_or(u16::MAX));
                ip.set_more_frags(more || !is_last);
                ip.set_frag_offset(u16::try_from(before + offset).unwrap_or(u16::MAX));
                ip.fill_checksum();
            }
            Family::V6 => {
                let field = u16::try_from(offset).unwrap_or(u16::MAX) | u16::from(!is_last);
                let at = head.len() - FRAGMENT_HEADER + 2;
                head[at..at + 2].copy_from_slice(&field.to_be_bytes());
                let payload = u16::try_from(length - IPV6_HEADER).unwrap_or(u16::MAX);
                Ipv6Packet::new_unchecked(head).set_payload_len(payload);
            }
        }
    }

    /// The range of the packet that a fragment carries.
    fn range(&self, index: usize) -> Range<usize> {
        let Range { start, end } = self.divided;
        let at = |index: usize| match index.checked_sub(1) {
            None => start,
            Some(others) => start
                .saturating_add(self.first_length)
                .saturating_add(others.saturating_mul(self.other_length))
                .min(end),
        };
        at(index)..at(index.saturating_add(1))
    }

    fn headers(&self, index: usize) -> &[u8] {
        if index == 0 { &self.first } else { &self.others }
    }

    fn new_v4(head: &[u8], length: usize, mtu: usize, identification: u32) -> Result<Self, Uncut> {
        let &[octet, ..] = head.first_chunk::<IPV4_HEADER>().ok_or(Uncut::Malformed)?;
        let header = usize::from(octet & 0xf) * 4;
        let mut first = head.get(..header).filter(|first| first.len() >= IPV4_HEADER).ok_or(Uncut::Malformed)?.to_vec();
        let mut ip = Ipv4Packet::new_unchecked(&mut first[..]);
        if usize::from(ip.total_len()) != length || length <= header {
            return Err(Uncut::Malformed);
        }
        let family = Family::V4 { offset: usize::from(ip.frag_offset()), more: ip.more_frags() };
        if let Family::V4 { offset: 0, more: false } = family {
            ip.set_ident((identification & 0xffff) as u16);
        }
        ip.set_dont_frag(false);
        let mut others = copied_header(&first)?;
        let words = u8::try_from(others.len() / 4).map_err(|_| Uncut::Malformed)?;
        Ipv4Packet::new_unchecked(&mut others[..]).set_header_len(words * 4);
        Self::checked(first, others, family, header..length, mtu, UNIT)
    }

    fn new_v6(head: &[u8], length: usize, mtu: usize, identification: u32) -> Result<Self, Uncut> {
        let header: &[u8; IPV6_HEADER] = head.first_chunk().ok_or(Uncut::Malformed)?;
        if IPV6_HEADER + usize::from(Ipv6Packet::new_unchecked(header).payload_len()) != length {
            return Err(Uncut::Malformed);
        }
        let Chain { begin, named_at, end } = Chain::of(head)?;
        let mut first = head.get(..begin).ok_or(Uncut::Malformed)?.to_vec();
        let named = first.get_mut(named_at).ok_or(Uncut::Malformed)?;
        let next = core::mem::replace(named, IpProtocol::Ipv6Frag.into());
        first.extend([next, 0, 0, 0]);
        first.extend(identification.to_be_bytes());
        Self::checked(first.clone(), first, Family::V6, begin..length, mtu, end.min(length) - begin)
    }

    /// Checks the plan: the first fragment must have space for `least` bytes, and every fragment for one unit.
    fn checked(
        first: Vec<u8>,
        others: Vec<u8>,
        family: Family,
        divided: Range<usize>,
        mtu: usize,
        least: usize,
    ) -> Result<Self, Uncut> {
        let room = |headers: &[u8]| mtu.saturating_sub(headers.len()) / UNIT * UNIT;
        let (first_length, other_length) = (room(&first), room(&others));
        if first_length < least.max(UNIT) || other_length < UNIT {
            return Err(Uncut::Narrow);
        }
        Ok(Self { first, others, family, divided, first_length, other_length })
    }
}

/// Copies a range of a packet.
fn copy(packet: &Payload<'_>, range: &Range<usize>, into: &mut [u8]) {
    let mut begin = 0;
    for bytes in packet.chunks() {
        let end = begin + bytes.len();
        let (from, to) = (range.start.max(begin), range.end.min(end));
        if from < to {
            into[from - range.start..to - range.start].copy_from_slice(&bytes[from - begin..to - begin]);
        }
        begin = end;
    }
    assert!(range.end <= begin, "the packet is as long as it was when the cuts were planned");
}

/// An IPv4 header with only the options that every fragment carries: those with the copied flag in their type (RFC 791
/// section 3.1).
fn copied_header(header: &[u8]) -> Result<Vec<u8>, Uncut> {
    const END_OF_LIST: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const COPIED: u8 = 1 << 7;

    let (fixed, mut options) = header.split_at_checked(IPV4_HEADER).ok_or(Uncut::Malformed)?;
    let mut copied = fixed.to_vec();
    while let Some(&kind) = options.first() {
        let length = match kind {
            END_OF_LIST => break,
            NO_OPERATION => 1,
            _ => options.get(1).copied().map(usize::from).filter(|length| *length >= 2).ok_or(Uncut::Malformed)?,
        };
        let (option, rest) = options.split_at_checked(length).ok_or(Uncut::Malformed)?;
        if kind & COPIED != 0 {
            copied.extend_from_slice(option);
        }
        options = rest;
    }
    copied.resize(copied.len().next_multiple_of(4), END_OF_LIST);
    Ok(copied)
}

/// The headers of an IPv6 packet, as fragmentation needs them.
struct Chain {
    /// Where the fragmentable part begins: after the headers that nodes on the path process, which every fragment
    /// carries (RFC 8200 section 4.5). `named_at` is the offset of the octet that names the header there.
    /// The offset of the octet that names the header at `begin`.
    begin: usize,
    named_at: usize,
    /// Where the upper-layer header ends, as far as this host knows its length.
    end: usize,
}

impl Chain {
    fn of(head: &[u8]) -> Result<Self, Uncut> {
        /// The offset of the next header field in the IPv6 header.
        const NEXT_HEADER: usize = 6;
        let mut named_at = NEXT_HEADER;
        let mut at = IPV6_HEADER;
        let mut divided = (at, named_at);
        for _ in 0..=EXTENSIONS {
            let protocol = head.get(named_at).copied().map(IpProtocol::from).ok_or(Uncut::Malformed)?;
            if let Some(upper) = upper_header(protocol) {
                return Ok(Self { begin: divided.0, named_at: divided.1, end: at + upper });
            }
            if protocol == IpProtocol::Ipv6Frag {
                return Err(Uncut::Fragment);
            }
            let length = head.get(at + 1).copied().map(usize::from).ok_or(Uncut::Malformed)?;
            (named_at, at) = (at, at + (length + 1) * 8);
            if matches!(protocol, IpProtocol::HopByHop | IpProtocol::Ipv6Route) {
                divided = (at, named_at);
            }
        }
        Err(Uncut::Malformed)
    }
}
