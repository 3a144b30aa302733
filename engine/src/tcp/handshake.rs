//! What the two SYNs of a connection agree on (RFC 9293 section 3.7.1, RFC 7323, RFC 2018, RFC 3168), and the options
//! and control bits that this end's SYNs carry.

use core::net::IpAddr;

use super::options::{EcnUse, Options};
use super::receive::scale_for;
use super::segment::{Control, FIXED_HEADER, Segment, SegmentOptions, Timestamp};
use crate::wire::{IPV4_HEADER, IPV6_HEADER};

/// The MSS of an IPv4 peer whose SYN has no MSS option (RFC 9293 section 3.7.1, MUST-15).
const DEFAULT_V4: u16 = 536;
/// The MSS of an IPv6 peer whose SYN has no MSS option (RFC 9293 section 3.7.1).
const DEFAULT_V6: u16 = 1220;
/// The smallest MSS that is accepted; a smaller one is treated as this. Smaller segments would serve an attacker
/// (`tcp_min_snd_mss` of Linux).
const LEAST: u16 = 48;
/// The length of the timestamps option with its padding, in bytes.
const TIMESTAMP_LENGTH: usize = 12;

/// The length of the IP and TCP headers without options, in bytes.
pub(super) const fn headers(address: IpAddr) -> usize {
    FIXED_HEADER + if address.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER }
}

/// The MSS for a link of this MTU (RFC 6691: options are not subtracted).
pub(super) fn segment_for(mtu: usize, address: IpAddr) -> usize {
    mtu.saturating_sub(headers(address)).max(1)
}

/// What both ends of a connection have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agreement {
    /// The peer's MSS, in bytes.
    pub(super) mss: u16,
    /// The window scales of the peer and of this end, in bits; `None` if windows are not scaled.
    pub(super) scales: Option<(u8, u8)>,
    /// Whether both ends use selective acknowledgements.
    pub(super) selective: bool,
    /// The peer's TSval, if both ends use timestamps.
    pub(super) timestamp: Option<u32>,
    /// Whether both ends use ECN.
    pub(super) ecn: bool,
}

impl Agreement {
    /// The agreement that follows from the peer's SYN, or SYN and ACK, and the options of this end.
    pub(super) fn new(options: &Options, segment: &Segment<'_>, address: IpAddr) -> Self {
        let default = if address.is_ipv4() { DEFAULT_V4 } else { DEFAULT_V6 };
        let Segment { options: theirs, control, .. } = segment;
        // A SYN requests ECN with both ECE and CWR; a SYN and ACK accepts it with ECE alone (RFC 3168 section 6.1.1).
        let ecn = if control.ack {
            options.ecn == EcnUse::Request && control.ece && !control.cwr
        } else {
            options.ecn != EcnUse::Off && control.ece && control.cwr
        };
        Self {
            mss: theirs.mss.unwrap_or(default).max(LEAST),
            scales: theirs.scale.filter(|_| options.window_scaling).map(|scale| (scale, own_scale(options))),
            selective: options.selective && theirs.sack_permitted,
            timestamp: theirs.timestamp.filter(|_| options.timestamps).map(|timestamp| timestamp.value),
            ecn,
        }
    }

    /// The options of the answer to the peer's SYN: only those that the peer has offered too.
    pub(super) fn answer(&self, mss: u16, clock: u32) -> SegmentOptions {
        SegmentOptions {
            mss: Some(mss),
            scale: self.scales.map(|(_, own)| own),
            sack_permitted: self.selective,
            timestamp: self.timestamp.map(|echo| Timestamp { value: clock, echo }),
            ..SegmentOptions::default()
        }
    }

    /// The control bits of the answer to the peer's SYN.
    pub(super) const fn answer_control(&self) -> Control {
        Control { syn: true, ece: self.ecn, ..Control::ACK }
    }

    /// The window field of segments that follow this end's SYN, before anything is read: the window that the SYN
    /// offered, scaled (RFC 7323 section 2.3).
    pub(super) fn window_field(&self, offered: u16) -> u16 {
        offered >> self.scales.map_or(0, |(_, own)| own)
    }

    /// The bytes of data in a full segment to the peer over a path of this MTU.
    pub(super) fn segment(&self, mtu: usize, address: IpAddr) -> usize {
        usize::from(self.mss).min(segment_for(mtu, address)).saturating_sub(self.options_length()).max(1)
    }

    /// The bytes of options that every segment carries.
    pub(super) const fn options_length(&self) -> usize {
        if self.timestamp.is_some() { TIMESTAMP_LENGTH } else { 0 }
    }
}

/// The options of a SYN that opens a connection: all that this end supports.
pub(super) fn offer(options: &Options, mss: u16, clock: u32) -> SegmentOptions {
    SegmentOptions {
        mss: Some(mss),
        scale: options.window_scaling.then(|| own_scale(options)),
        sack_permitted: options.selective,
        timestamp: options.timestamps.then_some(Timestamp { value: clock, echo: 0 }),
        ..SegmentOptions::default()
    }
}

/// The control bits of a SYN that opens a connection and was sent `tries` times before. Some hosts and firewalls drop
/// SYNs that request ECN, so only the first SYN requests it (RFC 3168 section 6.1.1.1).
pub(super) fn offer_control(options: &Options, tries: u32) -> Control {
    let ecn = options.ecn == EcnUse::Request && tries == 0;
    Control { syn: true, ece: ecn, cwr: ecn, ..Control::NONE }
}

/// The window field of a SYN, which is never scaled (RFC 7323 section 2.2). `left` is the memory that is left for
/// received data; the window offers at most half of it, as later windows do.
pub(super) fn syn_window(options: &Options, left: usize) -> u16 {
    u16::try_from(options.receive_limit().min(left / 2)).unwrap_or(u16::MAX)
}

fn own_scale(options: &Options) -> u8 {
    scale_for(options.receive_limit().max(options.window_limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::Payload;
    use crate::tcp::sequence::Sequence;

    const PEER: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));

    fn syn(control: Control, options: SegmentOptions) -> Segment<'static> {
        Segment {
            source_port: 1,
            destination_port: 2,
            sequence: Sequence(0),
            acknowledgement: Sequence(0),
            control,
            window: 1000,
            options,
            payload: Payload::EMPTY,
        }
    }

    #[test]
    fn only_options_that_both_ends_have_are_agreed_on() {
        let full = offer(&Options::default(), 1460, 7);
        let agreed =
            Agreement::new(&Options::default(), &syn(Control { syn: true, ..Control::NONE }, full.clone()), PEER);
        let expected = Agreement { mss: 1460, scales: Some((7, 7)), selective: true, timestamp: Some(7), ecn: false };
        assert_eq!(agreed, expected);
        let plain = Options { timestamps: false, window_scaling: false, selective: false, ..Options::default() };
        let agreed = Agreement::new(&plain, &syn(Control::NONE, full), PEER);
        let expected = Agreement { mss: 1460, scales: None, selective: false, timestamp: None, ecn: false };
        assert_eq!(agreed, expected);
        let agreed = Agreement::new(&Options::default(), &syn(Control::NONE, SegmentOptions::default()), PEER);
        assert_eq!(agreed, Agreement { mss: 536, ..expected });
        assert_eq!(agreed.answer(1460, 7), SegmentOptions { mss: Some(1460), ..SegmentOptions::default() });
    }

    #[test]
    fn ecn_is_used_only_if_both_ends_request_or_accept_it() {
        let asks = Control { syn: true, ece: true, cwr: true, ..Control::NONE };
        let agrees = Control { syn: true, ece: true, ..Control::ACK };
        let ecn = |ecn, control| {
            Agreement::new(&Options { ecn, ..Options::default() }, &syn(control, SegmentOptions::default()), PEER).ecn
        };
        assert!(!ecn(EcnUse::Off, asks) && ecn(EcnUse::Accept, asks) && ecn(EcnUse::Request, asks));
        assert!(!ecn(EcnUse::Off, agrees) && !ecn(EcnUse::Accept, agrees) && ecn(EcnUse::Request, agrees));
        assert!(!ecn(EcnUse::Request, Control { cwr: true, ..agrees }));
    }

    #[test]
    fn segments_fit_the_path_and_the_peer() {
        let agreed = Agreement { mss: 1460, scales: None, selective: true, timestamp: Some(1), ecn: false };
        assert_eq!(agreed.segment(1500, PEER), 1448);
        assert_eq!(agreed.segment(1400, PEER), 1348);
        assert_eq!(Agreement { mss: LEAST, ..agreed }.segment(1500, PEER), 36);
        assert_eq!(agreed.segment(72, PEER), 20, "what the peer takes does not widen the link");
        assert_eq!((agreed.segment(0, PEER), segment_for(72, PEER)), (1, 32));
    }
}
