//! The detection of spurious recoveries: by the echo of the original's timestamp (Eifel, RFC 3522), or by duplicates
//! reported for everything that was retransmitted (RFC 3708).

use super::report::Report;

/// The evidence about one recovery.
#[derive(Clone, Copy, Debug)]
pub(super) struct Undo {
    /// The TSval of the first retransmission, until an acknowledgement has decided. An acknowledgement that echoes an
    /// older TSval was caused by the original.
    stamp: Option<u32>,
    /// The retransmitted bytes for which no duplicate was reported yet. If duplicates were reported for all of them,
    /// none was lost.
    unreported: usize,
    /// Nothing was retransmitted yet.
    untouched: bool,
}

impl Undo {
    pub(super) const fn new() -> Self {
        Self { stamp: None, unreported: 0, untouched: true }
    }

    /// Records a retransmission; `stamp` is the TSval that it carries.
    pub(super) const fn on_retransmitted(&mut self, bytes: usize, stamp: Option<u32>) {
        if self.untouched {
            (self.untouched, self.stamp) = (false, stamp);
        }
        self.unreported = self.unreported.saturating_add(bytes);
    }

    /// Records that the peer has received bytes twice.
    pub(super) const fn on_duplicate(&mut self, bytes: usize) {
        self.unreported = self.unreported.saturating_sub(bytes);
    }

    /// Records that the recovery has ended. The echo no longer decides; duplicates may still be reported later.
    pub(super) const fn on_end(&mut self) {
        self.stamp = None;
    }

    /// Whether an acknowledgement shows that nothing was lost.
    pub(super) fn is_spurious(&mut self, report: &Report<'_>) -> bool {
        if self.untouched {
            return false;
        }
        let older = |stamp: u32, echo: u32| echo.wrapping_sub(stamp).cast_signed() < 0;
        // The first acknowledgement after a retransmission decides (RFC 3522 section 3.2, step 5).
        let stamp = if report.is_progress() { self.stamp.take() } else { None };
        let original = matches!((stamp, report.echo), (Some(stamp), Some(echo)) if older(stamp, echo));
        original || self.unreported == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::sequence::Sequence;
    use crate::time::Instant;

    fn report(before: u32, acknowledged: u32, echo: Option<u32>) -> Report<'static> {
        Report {
            now: Instant::ORIGIN,
            before: Sequence(before),
            acknowledged: Sequence(acknowledged),
            next: Sequence(1000),
            sack: &[],
            echo,
            echoed_rtt: None,
            bare: true,
            congestion_experienced: false,
            limited: true,
        }
    }

    /// RFC 3522.
    #[test]
    fn the_first_progress_decides_by_its_echo() {
        let mut undo = Undo::new();
        assert!(!undo.is_spurious(&report(0, 100, Some(0))), "nothing was sent again");
        undo.on_retransmitted(100, Some(u32::MAX));
        undo.on_retransmitted(100, Some(50));
        assert!(!undo.is_spurious(&report(100, 100, Some(u32::MAX - 1))), "no progress");
        let mut late = undo;
        assert!(undo.is_spurious(&report(100, 200, Some(u32::MAX - 1))));
        assert!(!late.is_spurious(&report(100, 200, Some(u32::MAX))), "of the retransmission");
        assert!(!late.is_spurious(&report(200, 300, Some(u32::MAX - 1))), "it was decided");
    }

    /// RFC 3708.
    #[test]
    fn duplicates_of_all_retransmissions_show_that_nothing_was_lost() {
        let mut undo = Undo::new();
        undo.on_retransmitted(200, None);
        undo.on_duplicate(100);
        assert!(!undo.is_spurious(&report(0, 0, None)));
        undo.on_end();
        undo.on_duplicate(100);
        assert!(undo.is_spurious(&report(0, 0, None)));
    }
}
