//! Behaviours of FreeBSD that its scripts assert and that no RFC requires.
//!
//! Each tolerance is one kind of difference between a foreign script and the engine, with the reason. Our own scripts
//! get none. The tolerances that were needed are counted and reported; other differences are failures.

use std::collections::BTreeSet;

/// A difference that is tolerated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tolerance {
    /// Padding of the options.
    Padding,
    /// A scaled window that is larger by one unit.
    WindowRoundedUp,
    /// A window whose right edge does not move.
    WindowHeld,
    /// A receive buffer that is a multiple of the MSS.
    RoundedBuffer,
    /// The right edge of the receive window.
    Edge,
    /// The expiry of a retransmission timer.
    Slop,
    /// An acknowledgement that FreeBSD would not have delayed.
    EverySecondSegment,
    /// A FIN that FreeBSD sends again.
    FinAgain,
    /// The error of a connection that is reset when it has almost ended.
    ResetAtTheEnd,
    /// A reset, although FreeBSD sends nothing.
    ResetForSynAck,
    /// The hop limit and the traffic class of a reset.
    HeaderOfResets,
    /// A script with a standard variant and a FreeBSD variant.
    Variant,
}

impl Tolerance {
    /// Why it is tolerated.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Padding => {
                "NOP and EOL where FreeBSD pads otherwise: options may begin on any octet (RFC 9293 section 3.1)"
            }
            Self::WindowRoundedUp => {
                "FreeBSD rounds a scaled window up, one unit past its buffer; RFC 7323 section 2.3 shifts right"
            }
            Self::WindowHeld => {
                "FreeBSD moves the window's right edge by any amount; RFC 9293 section 3.8.6.2.2 by a segment at least: the window is smaller by less than one"
            }
            Self::RoundedBuffer => {
                "FreeBSD rounds a connection's receive buffer up to whole segments: the interpreter sets it so, as an application could"
            }
            Self::Edge => {
                "FreeBSD takes segments up to its buffer's end though it offered less (65535 without scaling): an arrival at that edge is moved to the offered one"
            }
            Self::Slop => {
                "FreeBSD adds rexmit_slop to a backed-off timeout; RFC 6298 section 5.5 doubles it: a retransmission may come earlier by as much"
            }
            Self::EverySecondSegment => {
                "FreeBSD acknowledges every second segment at once, however small; RFC 5681 section 4.2 every second full one: the acknowledgement comes later"
            }
            Self::FinAgain => {
                "FreeBSD puts its FIN into acknowledgements in CLOSING again; RFC 9293 section 3.10.7.4 asks for the acknowledgement alone"
            }
            Self::ResetAtTheEnd => {
                "FreeBSD says ECONNRESET for a reset in CLOSING and LAST-ACK; RFC 9293 section 3.10.7.4 just deletes the connection there"
            }
            Self::ResetForSynAck => {
                "FreeBSD does not answer a SYN with ACK to a listener; RFC 9293 section 3.10.7.2, second step, asks for a reset"
            }
            Self::HeaderOfResets => {
                "FreeBSD sends resets for nobody with the hop limit and the traffic class of a socket that is bound there"
            }
            Self::Variant => "the script's own FreeBSD variant, beside the standard one, was met",
        }
    }
}

/// The tolerances of one script.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tolerances {
    is_foreign: bool,
    used: BTreeSet<Tolerance>,
}

impl Tolerances {
    /// None for our own scripts; all of them for foreign ones.
    pub(crate) fn new(is_foreign: bool) -> Self {
        Self { is_foreign, used: BTreeSet::new() }
    }

    /// Whether `tolerance` is allowed. Records that it was needed.
    pub(crate) fn allow(&mut self, tolerance: Tolerance) -> bool {
        if self.is_foreign {
            self.used.insert(tolerance);
        }
        self.is_foreign
    }

    /// Whether any tolerance is allowed.
    pub(crate) const fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    /// The tolerances that were needed.
    pub(crate) fn used(&self) -> impl Iterator<Item = Tolerance> + '_ {
        self.used.iter().copied()
    }
}
