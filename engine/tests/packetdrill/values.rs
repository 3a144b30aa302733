//! Mapping between the numbers of a script and the numbers on the wire.
//!
//! A script counts from 0, while the wire has random initial sequence numbers and an unknown clock. The mapping is
//! packetdrill's: a segment with SYN has the peer's literal sequence number, and ours relative to the one that the
//! script specifies. All other numbers are relative to the initial ones. Our timestamps are relative to the first one
//! seen. An echoed timestamp is the one that was on the wire when the script first specified it.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::options::{self, TcpOption, TcpOptions};
use super::script::{Ecn, Flags, IpFields, Segment, Start};
use super::wire::LiveSegment;

/// A connection on the wire: two addresses, and the bases of relative numbers.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// Our initial sequence number in the script.
    script_initial: u32,
    local_initial: Option<u32>,
    remote_initial: Option<u32>,
    /// Whether the next SYNs may start it again.
    was_reset: bool,
    /// Our timestamps on the wire, by their values in the script.
    timestamps: HashMap<u32, u32>,
    /// The first of them: in the script, and on the wire.
    first_timestamp: Option<(u32, u32)>,
    scales: (Option<u8>, Option<u8>),
    /// The last sequence number that we acknowledged, relative, and the window that we offered.
    offered: Option<(u32, u32)>,
    /// The sequence number after the last one that we sent.
    highest: Option<u32>,
    /// The options of the SYNs: ours and the peer's.
    opening: (Vec<TcpOption>, Vec<TcpOption>),
    /// Whether the peer's SYN and ours agreed on ECN.
    ecn: (bool, bool),
    /// Whether our last acknowledgement reported data after a hole.
    has_hole: bool,
    /// Whether FINs were seen: ours and the peer's.
    ended: (bool, bool),
    /// Whether no socket listens or connects there, so that segments start nothing.
    is_for_nobody: bool,
    /// The data that was written to the socket.
    pub(crate) written: Vec<u8>,
}

impl Flow {
    pub(crate) fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            local,
            remote,
            script_initial: 0,
            local_initial: None,
            remote_initial: None,
            was_reset: false,
            timestamps: HashMap::new(),
            first_timestamp: None,
            scales: (None, None),
            offered: None,
            highest: None,
            opening: (Vec::new(), Vec::new()),
            ecn: (false, false),
            has_hole: false,
            ended: (false, false),
            is_for_nobody: false,
            written: Vec::new(),
        }
    }

    /// A flow between ports that no socket uses.
    pub(crate) fn for_nobody(self) -> Self {
        Self { is_for_nobody: true, ..self }
    }

    /// Whether both ends have sent a FIN.
    pub(crate) const fn has_ended(&self) -> bool {
        self.ended.0 && self.ended.1
    }

    /// Whether our FIN with this number was sent.
    pub(crate) fn has_sent_fin(&self, number: u32) -> bool {
        self.ended.0 && self.highest == Some(self.live_local(number).wrapping_add(1))
    }

    /// Whether our last acknowledgement reported data after a hole.
    pub(crate) const fn has_hole(&self) -> bool {
        self.has_hole
    }

    /// Whether window scaling is in use.
    pub(crate) const fn is_scaled(&self) -> bool {
        matches!(self.scales, (Some(_), Some(_)))
    }

    /// The last acknowledged sequence number, relative, and the window offered with it, in octets.
    pub(crate) const fn offered(&self) -> Option<(u32, u32)> {
        self.offered
    }

    /// The right edge of the offered window, in units of the window scale.
    pub(crate) fn edge(&self) -> Option<u32> {
        self.offered.map(|(next, window)| next.wrapping_add(window) >> self.shift())
    }

    /// The window scale that is applied to our windows.
    pub(crate) fn shift(&self) -> u8 {
        if self.is_scaled() { self.scales.0.unwrap_or_default() } else { 0 }
    }

    /// Whether a segment was sent before: it ends no later than the last one sent.
    pub(crate) fn is_repeated(&self, live: &LiveSegment) -> bool {
        self.highest.is_some_and(|highest| end(live).wrapping_sub(highest).cast_signed() <= 0)
    }

    /// The MSS of segments that we send on a link with this MTU, if the peer's MSS is known.
    pub(crate) fn mss(&self, mtu: usize) -> Option<usize> {
        let ours = mtu.saturating_sub(if self.local.is_ipv4() { 40 } else { 60 });
        let timestamps = if self.negotiated() & 1 != 0 { 12 } else { 0 };
        let theirs = self.opening.1.iter().find_map(|option| match option {
            TcpOption::MaximumSegmentSize(size) => Some(usize::from(*size)),
            _ => None,
        })?;
        Some(ours.min(theirs).saturating_sub(timestamps))
    }

    /// The negotiated options, as bits of `tcpi_options`: timestamps, SACK, window scale, ECN.
    pub(crate) fn negotiated(&self) -> u8 {
        let is_in_both = |is_it: fn(&TcpOption) -> bool| {
            u8::from(self.opening.0.iter().any(is_it) && self.opening.1.iter().any(is_it))
        };
        is_in_both(|option| matches!(option, TcpOption::Timestamps { .. }))
            | is_in_both(|option| matches!(option, TcpOption::SackPermitted)) << 1
            | is_in_both(|option| matches!(option, TcpOption::WindowScale(_))) << 2
            | u8::from(self.ecn == (true, true)) << 3
    }

    /// Our literal sequence number for `number` in the script, in a segment without SYN.
    pub(crate) fn live_local(&self, number: u32) -> u32 {
        number.wrapping_add(self.local_initial.unwrap_or_default())
    }

    /// Converts a segment of the script to one that the peer sends.
    pub(crate) fn inbound(&mut self, segment: &Segment) -> LiveSegment {
        let is_syn = segment.flags.has(Flags::SYN);
        let (Start::Relative(start) | Start::Absolute(start)) = segment.start else {
            unreachable!("the parser knows `...` for outbound segments alone")
        };
        if is_syn && !self.is_for_nobody && (self.remote_initial.is_none() || self.was_reset) {
            self.remote_initial = Some(start);
        }
        self.was_reset |= segment.flags.has(Flags::RST);
        self.ended.1 |= segment.flags.has(Flags::FIN);
        let remote_initial = self.remote_initial.unwrap_or_default();
        let is_absolute = is_syn || matches!(segment.start, Start::Absolute(_));
        let sequence = if is_absolute { start } else { start.wrapping_add(remote_initial) };
        let local_offset = self.local_offset(is_syn);
        let acknowledgement = if segment.flags.has(Flags::ACK) {
            segment.acknowledgement.wrapping_add(local_offset)
        } else {
            segment.acknowledgement
        };
        let TcpOptions::List(options) = &segment.options else {
            unreachable!("the executor refuses inbound segments with any options")
        };
        let mut options = options.clone();
        for option in &mut options {
            self.map_inbound(option, local_offset, segment.flags.has(Flags::ACK));
        }
        let first = sequence.wrapping_add(u32::from(is_syn)).wrapping_sub(remote_initial);
        let live = LiveSegment {
            source: self.remote,
            destination: self.local,
            traffic_class: traffic_class(segment.ip),
            hop_limit: segment.ip.hop_limit.unwrap_or(64),
            flags: segment.flags,
            sequence,
            acknowledgement,
            window: segment.window.unwrap_or_default(),
            urgent: segment.urgent,
            options: options::encode(&options),
            payload: (0..segment.length).map(|at| pattern(first.wrapping_add(at as u32))).collect(),
        };
        if is_syn && self.remote_initial == Some(sequence) {
            self.scales.1 = live.window_scale();
            self.opening.1 = options::decode(&live.options);
            self.ecn.1 = asks_for_ecn(live.flags);
        }
        live
    }

    fn map_inbound(&self, option: &mut TcpOption, local_offset: u32, acknowledges: bool) {
        match option {
            TcpOption::Sack(blocks) => {
                for (left, right) in blocks {
                    *left = left.wrapping_add(local_offset);
                    *right = right.wrapping_add(local_offset);
                }
            }
            TcpOption::Timestamps { echo, echo_is_live: false, .. } if acknowledges => {
                *echo = match (self.timestamps.get(echo), self.first_timestamp) {
                    (Some(live), _) => *live,
                    (None, Some((script, live))) => live.wrapping_add(echo.wrapping_sub(script)),
                    (None, None) => *echo,
                };
            }
            _ => {}
        }
    }

    /// Converts a segment that we sent to the script's notation; `expected` is the one in the script.
    pub(crate) fn outbound(&mut self, live: &LiveSegment, expected: Option<&Segment>) -> Segment {
        let is_syn = live.flags.has(Flags::SYN);
        if is_syn && (self.local_initial.is_none() || self.was_reset) {
            self.was_reset = false;
            self.local_initial = Some(live.sequence);
            self.script_initial = match expected.map(|segment| segment.start) {
                Some(Start::Relative(start) | Start::Absolute(start)) => start,
                Some(Start::Any) | None => 0,
            };
        }
        if is_syn {
            self.scales.0 = live.window_scale();
            self.opening.0 = options::decode(&live.options);
            self.ecn.0 = asks_for_ecn(live.flags);
        }
        if !live.flags.has(Flags::RST) && !self.is_repeated(live) {
            self.highest = Some(end(live));
        }
        self.ended.0 |= live.flags.has(Flags::FIN);
        self.has_hole = options::decode(&live.options).iter().any(|option| matches!(option, TcpOption::Sack(_)));
        if is_syn && !live.flags.has(Flags::ACK) {
            // The window in a SYN counts from the peer's own sequence number.
            self.offered = Some((1, u32::from(live.window)));
        }
        self.was_reset |= live.flags.has(Flags::RST);
        let is_absolute = matches!(expected.map(|segment| segment.start), Some(Start::Absolute(_)));
        let local_offset = if is_absolute { 0 } else { self.local_offset(is_syn) };
        let remote_offset = if is_syn { 0 } else { self.remote_initial.unwrap_or_default() };
        let mut options = options::decode(&live.options);
        for option in &mut options {
            self.map_outbound(option, remote_offset, expected);
        }
        let acknowledges = live.flags.has(Flags::ACK);
        let acknowledgement =
            if acknowledges { live.acknowledgement.wrapping_sub(remote_offset) } else { live.acknowledgement };
        if acknowledges && !live.flags.has(Flags::RST) {
            let relative = live.acknowledgement.wrapping_sub(self.remote_initial.unwrap_or_default());
            let shift = if is_syn { 0 } else { self.shift() };
            self.offered = Some((relative, u32::from(live.window) << shift));
        }
        Segment {
            ip: IpFields { ecn: None, traffic_class: Some(live.traffic_class), hop_limit: Some(live.hop_limit) },
            ports: None,
            flags: live.flags,
            start: Start::Relative(live.sequence.wrapping_sub(local_offset)),
            length: live.payload.len(),
            acknowledgement,
            window: Some(live.window),
            urgent: live.urgent,
            options: TcpOptions::List(options),
        }
    }

    fn map_outbound(&mut self, option: &mut TcpOption, remote_offset: u32, expected: Option<&Segment>) {
        match option {
            TcpOption::Sack(blocks) => {
                for (left, right) in blocks {
                    *left = left.wrapping_sub(remote_offset);
                    *right = right.wrapping_sub(remote_offset);
                }
            }
            TcpOption::Timestamps { value: Some(value), .. } => {
                if let Some(script) = expected.and_then(timestamp) {
                    self.timestamps.insert(script, *value);
                    self.first_timestamp.get_or_insert((script, *value));
                }
                if let Some((script, live)) = self.first_timestamp {
                    *value = script.wrapping_add(value.wrapping_sub(live));
                }
            }
            _ => {}
        }
    }

    /// The error in the payload of a segment that we sent, if there is one.
    pub(crate) fn wrong_payload(&self, live: &LiveSegment) -> Option<String> {
        let first = live.sequence.wrapping_add(u32::from(live.flags.has(Flags::SYN)));
        let first = first.wrapping_sub(self.local_initial?).wrapping_sub(1) as usize;
        let wrong = live.payload.iter().enumerate().find(|&(at, octet)| self.written.get(first + at) != Some(octet))?;
        Some(format!("octet {} of its payload is not what was written", wrong.0))
    }

    const fn local_offset(&self, is_syn: bool) -> u32 {
        let initial = match self.local_initial {
            Some(initial) => initial,
            None => 0,
        };
        if is_syn { initial.wrapping_sub(self.script_initial) } else { initial }
    }
}

/// The sequence number after a segment.
fn end(live: &LiveSegment) -> u32 {
    let control = u32::from(live.flags.has(Flags::SYN)) + u32::from(live.flags.has(Flags::FIN));
    live.sequence.wrapping_add(control).wrapping_add(u32::try_from(live.payload.len()).unwrap_or(u32::MAX))
}

/// Whether a SYN asks for ECN, or a SYN-ACK agrees to it (RFC 3168 section 6.1.1).
fn asks_for_ecn(flags: Flags) -> bool {
    const ECE: u16 = 0x40;
    const CWR: u16 = 0x80;
    flags.0 & (ECE | CWR) == if flags.has(Flags::ACK) { ECE } else { ECE | CWR }
}

/// The octet at `position` of the peer's stream. The first octet after its SYN has position 1.
pub(crate) const fn pattern(position: u32) -> u8 {
    (position % 251) as u8
}

/// The timestamp of a segment in the script.
fn timestamp(segment: &Segment) -> Option<u32> {
    let TcpOptions::List(options) = &segment.options else { return None };
    options.iter().find_map(|option| match option {
        TcpOption::Timestamps { value, .. } => *value,
        _ => None,
    })
}

fn traffic_class(ip: IpFields) -> u8 {
    let ecn = match ip.ecn {
        None | Some(Ecn::NotCapable) => 0,
        Some(Ecn::Ect1) => 1,
        Some(Ecn::Ect0 | Ecn::Ect01) => 2,
        Some(Ecn::CongestionExperienced) => 3,
    };
    ip.traffic_class.unwrap_or(0) | ecn
}
