//! The SACK blocks that report to the peer which bytes arrived out of order, or twice (RFC 2018, RFC 2883).

use smallvec::SmallVec;

use crate::tcp::segment::{SackBlock, SackBlocks};
use crate::tcp::sequence::Sequence;

/// The number of out-of-order ranges whose order of arrival is remembered (RFC 2018 section 4: the most recent first).
const REMEMBERED: usize = 8;
/// The number of blocks that every acknowledgement has room for (RFC 2018 section 3: three fit beside timestamps).
const GUARANTEED_BLOCKS: usize = 3;
/// The maximum number of blocks of an acknowledgement.
const MAX_BLOCKS: usize = 4;

/// What is to be reported. It exists only while there is something.
#[derive(Debug, Default)]
pub(super) struct Selective {
    /// Ranges out of order, the most recently changed first.
    recent: SmallVec<[SackBlock; 4]>,
    /// How many of them, from the first, were not reported in their present form by any acknowledgement.
    unreported: usize,
    /// A duplicate that the next acknowledgement reports.
    duplicate: Option<SackBlock>,
}

impl Selective {
    /// Whether there is nothing to report.
    pub(super) fn is_empty(&self) -> bool {
        self.recent.is_empty() && self.duplicate.is_none()
    }

    /// Records that a range out of order has arrived or grown: it moves to the front, and the ranges that it has
    /// absorbed are removed.
    pub(super) fn on_range(&mut self, block: SackBlock) {
        let (start, end) = block;
        let is_apart = |known: &SackBlock| known.1.before(start) || known.0.after(end);
        self.unreported = 1 + self.recent.iter().take(self.unreported).filter(|known| is_apart(known)).count();
        self.recent.retain(|known| is_apart(known));
        self.recent.insert(0, block);
        self.recent.truncate(REMEMBERED);
    }

    /// Records that everything before `next` is in order now.
    pub(super) fn on_advance(&mut self, next: Sequence) {
        self.recent.retain(|(start, _)| start.after(next));
        self.unreported = self.unreported.min(self.recent.len());
    }

    /// Records that the data out of order was dropped.
    pub(super) fn on_reneged(&mut self) {
        self.recent.clear();
        self.unreported = 0;
    }

    /// Records that data has arrived that was received before.
    pub(super) const fn on_duplicate(&mut self, block: SackBlock) {
        self.duplicate = Some(block);
    }

    /// Records that an acknowledgement with these blocks was sent.
    pub(super) const fn on_reported(&mut self) {
        (self.unreported, self.duplicate) = (0, None);
    }

    /// Whether a duplicate is to be reported.
    pub(super) const fn has_duplicate(&self) -> bool {
        self.duplicate.is_some()
    }

    /// Whether there are as many unreported ranges as every acknowledgement has room for.
    pub(super) const fn is_full(&self) -> bool {
        // A duplicate needs two blocks: its own, and that of the range around it.
        self.unreported + if self.duplicate.is_some() { 2 } else { 0 } >= GUARANTEED_BLOCKS
    }

    /// The blocks to send (RFC 2018 section 4, RFC 2883 section 4): a duplicate first, then the most recent ranges.
    pub(super) fn blocks(&self) -> SackBlocks {
        let mut blocks = SackBlocks::new();
        blocks.extend(self.duplicate);
        if let Some((start, end)) = self.duplicate {
            // The range that contains the duplicate comes second, so that the peer recognizes the duplicate.
            let around = self.recent.iter().find(|known| known.0.at_or_before(start) && known.1.at_or_after(end));
            blocks.extend(around.copied());
        }
        for &block in &self.recent {
            if blocks.len() < MAX_BLOCKS
                && !blocks.iter().skip(usize::from(self.duplicate.is_some())).any(|known| *known == block)
            {
                blocks.push(block);
            }
        }
        blocks
    }

    /// The bytes of memory held.
    pub(super) fn held(&self) -> usize {
        let apart = if self.recent.spilled() { self.recent.capacity() * size_of::<SackBlock>() } else { 0 };
        size_of::<Self>() + apart
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(start: u32, end: u32) -> SackBlock {
        (Sequence(start), Sequence(end))
    }

    fn reported(selective: &Selective) -> std::vec::Vec<(u32, u32)> {
        selective.blocks().iter().map(|(start, end)| (start.0, end.0)).collect()
    }

    #[test]
    fn the_most_recent_range_is_reported_first_and_absorbs_the_ranges_it_touches() {
        let mut selective = Selective::default();
        for (start, end) in [(10, 20), (30, 40), (50, 60)] {
            selective.on_range(block(start, end));
        }
        assert_eq!(reported(&selective), [(50, 60), (30, 40), (10, 20)]);
        selective.on_range(block(30, 60));
        assert_eq!((reported(&selective), selective.is_full()), (std::vec![(30, 60), (10, 20)], false));
        selective.on_advance(Sequence(20));
        assert_eq!(reported(&selective), [(30, 60)]);
        selective.on_reneged();
        assert!(selective.is_empty());
    }

    #[test]
    fn three_ranges_fill_an_acknowledgement_and_a_duplicate_counts_for_two() {
        let mut selective = Selective::default();
        for at in [10, 20, 30] {
            assert!(!selective.is_full());
            selective.on_range(block(at, at + 5));
        }
        assert!(selective.is_full());
        selective.on_reported();
        selective.on_range(block(40, 45));
        assert!(!selective.is_full());
        selective.on_duplicate(block(21, 24));
        assert!(selective.is_full() && selective.has_duplicate());
        assert_eq!(reported(&selective), [(21, 24), (20, 25), (40, 45), (30, 35)]);
        selective.on_reported();
        assert!(!selective.has_duplicate() && !selective.is_full());
    }
}
