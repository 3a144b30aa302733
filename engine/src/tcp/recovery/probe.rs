//! The tail loss probe (RFC 8985 section 7).

use super::report::Report;
use crate::tcp::segment::SackBlock;
use crate::tcp::sequence::Sequence;

/// A loss probe that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    /// SND.NXT after it was sent.
    end: Sequence,
    /// It was a retransmission, and not new data.
    again: bool,
}

/// What an acknowledgement shows about a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing yet.
    Pending,
    /// The probe was not needed: nothing was lost.
    Needless,
    /// The probe has repaired a loss, and so has hidden it from the congestion control.
    Repair,
}

impl Probe {
    pub(super) const fn new(end: Sequence, again: bool) -> Self {
        Self { end, again }
    }

    /// Decides what an acknowledgement shows about the probe (RFC 8985 section 7.4.2).
    pub(super) fn judge(&self, report: &Report<'_>, duplicate: Option<SackBlock>) -> Outcome {
        if report.acknowledged.before(self.end) {
            return Outcome::Pending;
        }
        let reported = duplicate.is_some_and(|(_, end)| end == self.end);
        let silent = report.acknowledged == self.end && !report.is_progress() && report.sack.is_empty();
        if !self.again || reported || silent {
            Outcome::Needless
        } else if report.acknowledged.after(self.end) {
            Outcome::Repair
        } else {
            Outcome::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    /// RFC 8985 section 7.4.2: acknowledgements after a probe of 100 to 200.
    #[test]
    fn only_progress_beyond_a_repetition_shows_a_loss() {
        let duplicate = (Sequence(100), Sequence(200));
        for (again, before, acknowledged, sack, outcome) in [
            (true, 100, 150, &[][..], Outcome::Pending),
            (true, 100, 200, &[], Outcome::Pending),
            (true, 200, 200, &[], Outcome::Needless),
            (true, 200, 300, &[], Outcome::Repair),
            (true, 200, 200, &[duplicate], Outcome::Needless),
            (true, 200, 300, &[duplicate], Outcome::Needless),
            (false, 100, 200, &[], Outcome::Needless),
        ] {
            let report = Report {
                now: Instant::ORIGIN,
                before: Sequence(before),
                acknowledged: Sequence(acknowledged),
                next: Sequence(1000),
                sack,
                echo: None,
                echoed_rtt: None,
                bare: true,
                congestion_experienced: false,
                limited: true,
            };
            assert_eq!(Probe::new(Sequence(200), again).judge(&report, report.duplicate()), outcome);
        }
    }
}
