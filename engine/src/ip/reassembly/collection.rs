//! The fragments of one incomplete packet.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

use smoltcp::wire::{Ipv4Packet, Ipv6Packet};

use super::LONGEST;
use crate::ip::headers::{Fragment, Packet};
use crate::wire::{Ecn, IPV6_HEADER};

/// The most runs of adjacent fragments, which limits the gaps between them. No honest link causes more gaps.
const RUNS: usize = 64;
/// The memory that a fragment takes beside its bytes: its node in the tree, and the allocator's overhead.
const OVERHEAD: usize = 64;

/// Why a fragment cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// It is identical to an earlier one.
    Duplicate,
    /// It overlaps an earlier one, or contradicts it about the end of the packet.
    Overlap,
    /// It would leave more gaps than [`RUNS`] allows.
    Gaps,
}

/// The fragments that have arrived.
#[derive(Debug, Default)]
pub(super) struct Collection {
    /// The pieces by offset. They do not overlap.
    pieces: BTreeMap<usize, Box<[u8]>>,
    /// The number of runs of adjacent pieces.
    runs: usize,
    /// The total length of the pieces in bytes.
    length: usize,
    /// The length of the original's fragmentable part in bytes, once the last fragment has arrived.
    end: Option<usize>,
    first: Option<First>,
    /// The ECN codepoints of the fragments: one bit for each codepoint.
    codepoints: u8,
}

/// The headers before the first fragment's payload: those of the original packet, and the Fragment header.
#[derive(Debug)]
struct First {
    headers: Box<[u8]>,
    fragment: Fragment,
    is_ipv4: bool,
    ecn: Ecn,
}

impl Collection {
    /// The memory that a fragment takes, in bytes.
    pub(super) fn cost(packet: &Packet<'_>, fragment: &Fragment) -> usize {
        let kept = if fragment.offset == 0 { 0 } else { packet.payload_at };
        OVERHEAD + packet.bytes.len().saturating_sub(kept)
    }

    /// Adds a fragment whose payload is not empty.
    pub(super) fn add(&mut self, packet: &Packet<'_>, fragment: &Fragment) -> Result<(), Misfit> {
        let (start, payload) = (fragment.offset, packet.bytes.get(packet.payload_at..).unwrap_or_default());
        let end = start + payload.len();
        if let Some(same) = self.pieces.get(&start) {
            let is_last = self.end == Some(end);
            let is_same = **same == *payload && is_last != fragment.more;
            return Err(if is_same { Misfit::Duplicate } else { Misfit::Overlap });
        }
        let before = self.pieces.range(..start).next_back().map(|(at, bytes)| at + bytes.len());
        let after = self.pieces.range((Bound::Excluded(start), Bound::Unbounded)).next().map(|(at, _)| *at);
        let farthest = self.pieces.last_key_value().map_or(0, |(at, bytes)| at + bytes.len());
        let is_beyond = match self.end {
            Some(known) => !fragment.more || end > known,
            None => !fragment.more && farthest > end,
        };
        if is_beyond || before.is_some_and(|before| before > start) || after.is_some_and(|after| after < end) {
            return Err(Misfit::Overlap);
        }
        let joined = usize::from(before == Some(start)) + usize::from(after == Some(end));
        let runs = (self.runs + 1).saturating_sub(joined);
        if runs > RUNS {
            return Err(Misfit::Gaps);
        }
        if start == 0 {
            let headers = packet.bytes.get(..packet.payload_at).unwrap_or_default().into();
            let is_ipv4 = packet.source.is_ipv4();
            self.first = Some(First { headers, fragment: *fragment, is_ipv4, ecn: packet.ecn });
        }
        if !fragment.more {
            self.end = Some(end);
        }
        self.codepoints |= 1 << packet.ecn.bits();
        self.runs = runs;
        self.length += payload.len();
        self.pieces.insert(start, payload.into());
        Ok(())
    }

    /// Whether all fragments are there: the pieces, which do not overlap, have as many bytes as the packet.
    pub(super) fn is_whole(&self) -> bool {
        self.end == Some(self.length)
    }

    /// The ECN codepoint of the reassembled packet (RFC 3168 section 5.3); `None` if the packet must be dropped. A CE
    /// mark must not be lost, and must not be set on a packet whose sender does not support ECN. If the fragments
    /// differ otherwise, which no router should cause, not-ECT wins if one fragment has it, else the first fragment's
    /// codepoint.
    pub(super) fn ecn(&self) -> Option<Ecn> {
        let has = |ecn: Ecn| self.codepoints & 1 << ecn.bits() != 0;
        match (has(Ecn::Congested), has(Ecn::NotCapable)) {
            (true, true) => None,
            (true, false) => Some(Ecn::Congested),
            (false, true) => Some(Ecn::NotCapable),
            (false, false) => self.first.as_ref().map(|first| first.ecn),
        }
    }

    /// The reassembled packet; `None` if it is too long for its length field, or the first fragment is missing.
    pub(super) fn join(&self, ecn: Ecn) -> Option<Vec<u8>> {
        let First { headers, fragment, is_ipv4, .. } = self.first.as_ref()?;
        let kept = if *is_ipv4 { headers.get(..) } else { headers.get(..fragment.header_at) }?;
        let mut whole = Vec::with_capacity(kept.len() + self.length);
        whole.extend_from_slice(kept);
        self.pieces.values().for_each(|piece| whole.extend_from_slice(piece));
        if *is_ipv4 {
            let total = u16::try_from(whole.len()).ok()?;
            let mut ip = Ipv4Packet::new_unchecked(&mut whole[..]);
            ip.set_total_len(total);
            ip.clear_flags();
            ip.set_frag_offset(0);
            ip.set_ecn(ecn.bits());
            ip.fill_checksum();
        } else {
            let length = whole.len().checked_sub(IPV6_HEADER).filter(|length| *length <= LONGEST)?;
            *whole.get_mut(fragment.named_at)? = *headers.get(fragment.header_at)?;
            let mut ip = Ipv6Packet::new_unchecked(&mut whole[..]);
            ip.set_payload_len(u16::try_from(length).ok()?);
            ip.set_traffic_class(ip.traffic_class() & !0b11 | ecn.bits());
        }
        Some(whole)
    }

    /// The first fragment as it arrived.
    pub(super) fn first_fragment(&self) -> Option<Vec<u8>> {
        let (first, payload) = (self.first.as_ref()?, self.pieces.get(&0)?);
        Some([&first.headers[..], payload].concat())
    }
}
