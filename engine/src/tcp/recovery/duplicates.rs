//! Duplicate acknowledgements of a peer that has no selective acknowledgements. Each stands for a segment that has
//! arrived, but does not say which (RFC 5681 section 3.2, RFC 6582).

/// The number of duplicates after which the first segment is taken for lost (RFC 5681 section 3.2).
const THRESHOLD: u32 = 3;

/// The number of duplicates since the last new acknowledgement, less those that a partial acknowledgement has accounted
/// for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Duplicates(u32);

impl Duplicates {
    pub(super) const NONE: Self = Self(0);

    pub(super) const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether there are enough duplicates to show a loss.
    pub(super) const fn show_loss(self) -> bool {
        self.0 >= THRESHOLD
    }

    /// The bytes that have left the path (RFC 3042; RFC 5681 section 3.2, step 4).
    pub(super) const fn bytes(self, segment: usize) -> usize {
        (self.0 as usize).saturating_mul(segment)
    }

    /// Counts one more duplicate.
    pub(super) const fn on_duplicate(&mut self) {
        self.0 = self.0.saturating_add(1);
    }

    /// Accounts for a partial acknowledgement of `bytes` in a recovery: one segment of them was the retransmission; the
    /// others had been counted as duplicates.
    pub(super) fn on_part(&mut self, bytes: usize, segment: usize) {
        let segments = u32::try_from(bytes / segment.max(1)).unwrap_or(u32::MAX);
        self.0 = self.0.saturating_sub(segments.saturating_sub(1));
    }

    pub(super) const fn clear(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_duplicate_shows_a_loss_and_each_counts_as_a_segment_that_has_left() {
        let mut duplicates = Duplicates::default();
        assert!(duplicates.is_none());
        let seen: std::vec::Vec<_> = (0..3)
            .map(|_| {
                duplicates.on_duplicate();
                (duplicates.show_loss(), duplicates.bytes(1000))
            })
            .collect();
        assert_eq!(seen, [(false, 1000), (false, 2000), (true, 3000)]);
        // Two segments had been counted, the third was retransmitted.
        duplicates.on_part(3000, 1000);
        assert_eq!(duplicates.bytes(1000), 1000);
        duplicates.on_part(10_000, 1000);
        assert!(duplicates.is_none());
    }
}
