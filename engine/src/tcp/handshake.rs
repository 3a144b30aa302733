//! What the two SYNs of a connection agree on (RFC 9293 section 3.7.1, RFC 7323, RFC 2018, RFC 3168).

use core::net::IpAddr;

use super::options::{EcnUse, Options};
use super::receive::scale_for;
use super::segment::{Control, FIXED_HEADER, Segment, SegmentOptions, Timestamp};
use crate::wire::{IPV4_HEADER, IPV6_HEADER};

/// A peer that says nothing takes segments of this size (RFC 9293 section 3.7.1, MUST-15).
const DEFAULT_V4: u16 = 536;
/// The same for IPv6 (RFC 9293 section 3.7.1).
const DEFAULT_V6: u16 = 1220;
/// A peer that says less is taken to have said this: smaller segments would serve an attacker (Linux `tcp_min_snd_mss`).
const LEAST: u16 = 48;
/// Bytes of the timestamp option with its padding.
const TIMESTAMP_LENGTH: usize = 12;

/// Bytes of the IP and TCP headers without options.
pub(super) const fn headers(address: IpAddr) -> usize {
    FIXED_HEADER + if address.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER }
}

/// The largest segment that a link of this MTU takes (RFC 6691: options are not subtracted).
pub(super) fn segment_for(mtu: usize, address: IpAddr) -> usize {
    mtu.saturating_sub(headers(address)).max(1)
}

/// What both ends agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agreement {
    /// The largest segment that the peer takes, in bytes.
    pub(super) mss: u16,
    /// By how many bits the peer's windows are shifted, and this end's; `None` where they are not.
    pub(super) scales: Option<(u8, u8)>,
    /// Both ends report ranges.
    pub(super) selective: bool,
    /// The peer's TSval, where both ends have timestamps.
    pub(super) timestamp: Option<u32>,
    /// Both ends know of ECN.
    pub(super) ecn: bool,
}

impl Agreement {
    /// What a SYN of the peer's comes to, with these options at this end.
    pub(super) fn new(options: &Options, segment: &Segment<'_>, address: IpAddr) -> Self {
        let default = if address.is_ipv4() { DEFAULT_V4 } else { DEFAULT_V6 };
        let Segment { options: theirs, control, .. } = segment;
        // A SYN asks for ECN with both bits, its answer agrees with one of them (RFC 3168 section 6.1.1).
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

    /// The options of the answer to the peer's SYN: only what the peer has offered too.
    pub(super) fn answer(&self, mss: u16, clock: u32) -> SegmentOptions {
        SegmentOptions {
            mss: Some(mss),
            scale: self.scales.map(|(_, own)| own),
            sack_permitted: self.selective,
            timestamp: self.timestamp.map(|echo| Timestamp { value: clock, echo }),
            ..SegmentOptions::default()
        }
    }

    /// The control bits of that answer.
    pub(super) const fn answer_control(&self) -> Control {
        Control { syn: true, ece: self.ecn, ..Control::ACK }
    }

    /// The window field of what follows this end's SYN, before anything is read: the window that it offered, scaled (RFC 7323
    /// section 2.3).
    pub(super) fn window_field(&self, offered: u16) -> u16 {
        offered >> self.scales.map_or(0, |(_, own)| own)
    }

    /// Bytes of data in a full segment to the peer, over a path of this MTU.
    pub(super) fn segment(&self, mtu: usize, address: IpAddr) -> usize {
        usize::from(self.mss).min(segment_for(mtu, address)).saturating_sub(self.options_length()).max(1)
    }

    /// Bytes of the options that each segment has.
    pub(super) const fn options_length(&self) -> usize {
        if self.timestamp.is_some() { TIMESTAMP_LENGTH } else { 0 }
    }
}

/// The options of a SYN that begins a connection: all that this end has.
pub(super) fn offer(options: &Options, mss: u16, clock: u32) -> SegmentOptions {
    SegmentOptions {
        mss: Some(mss),
        scale: options.window_scaling.then(|| own_scale(options)),
        sack_permitted: options.selective,
        timestamp: options.timestamps.then_some(Timestamp { value: clock, echo: 0 }),
        ..SegmentOptions::default()
    }
}

/// The control bits of that SYN, which was sent `tries` times before. Some hosts and firewalls drop SYNs that ask for ECN: it
/// is asked for once (RFC 3168 section 6.1.1.1).
pub(super) fn offer_control(options: &Options, tries: u32) -> Control {
    let ecn = options.ecn == EcnUse::Request && tries == 0;
    Control { syn: true, ece: ecn, cwr: ecn, ..Control::NONE }
}

/// The window field of a SYN, which is never scaled (RFC 7323 section 2.2), where there is so much memory left for what comes:
/// half of that, as later windows are.
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
    fn only_what_both_have_is_agreed_on() {
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
    fn ecn_is_for_those_who_ask_or_agree() {
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
