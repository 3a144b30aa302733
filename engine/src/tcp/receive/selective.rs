//! What the peer is told of bytes that arrived out of order, or twice (RFC 2018, RFC 2883).

use smallvec::SmallVec;

use crate::tcp::segment::{SackBlock, SackBlocks};
use crate::tcp::sequence::Sequence;

/// Out-of-order ranges whose order of arrival is remembered (RFC 2018 section 4: the most recent first).
const REMEMBERED: usize = 8;
/// Ranges that one acknowledgement tells of for certain (RFC 2018 section 3: three fit beside timestamps).
const TOLD: usize = 3;
/// The most that an acknowledgement tells of.
const MOST_TOLD: usize = 4;

/// What there is to tell. It is there while there is something.
#[derive(Debug, Default)]
pub(super) struct Selective {
    /// Ranges out of order, the most recently changed first.
    recent: SmallVec<[SackBlock; 4]>,
    /// How many of them, from the first, no acknowledgement has told of as they are now.
    untold: usize,
    /// A duplicate that the next acknowledgement reports.
    duplicate: Option<SackBlock>,
}

impl Selective {
    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.recent.is_empty() && self.duplicate.is_none()
    }

    /// A range out of order has come or grown: it goes to the front, and what it has swallowed goes.
    pub(super) fn on_range(&mut self, block: SackBlock) {
        let (start, end) = block;
        let is_apart = |known: &SackBlock| known.1.before(start) || known.0.after(end);
        self.untold = 1 + self.recent.iter().take(self.untold).filter(|known| is_apart(known)).count();
        self.recent.retain(|known| is_apart(known));
        self.recent.insert(0, block);
        self.recent.truncate(REMEMBERED);
    }

    /// Everything before `next` is in order now.
    pub(super) fn on_advance(&mut self, next: Sequence) {
        self.recent.retain(|(start, _)| start.after(next));
        self.untold = self.untold.min(self.recent.len());
    }

    /// What was out of order was thrown away.
    pub(super) fn on_reneged(&mut self) {
        self.recent.clear();
        self.untold = 0;
    }

    /// Something has arrived that was there already.
    pub(super) const fn on_duplicate(&mut self, block: SackBlock) {
        self.duplicate = Some(block);
    }

    /// An acknowledgement has told of it.
    pub(super) const fn on_told(&mut self) {
        (self.untold, self.duplicate) = (0, None);
    }

    /// Whether a duplicate is to be reported.
    pub(super) const fn has_duplicate(&self) -> bool {
        self.duplicate.is_some()
    }

    /// Whether there is as much that the peer does not know of as one acknowledgement tells of.
    pub(super) const fn is_much(&self) -> bool {
        // A duplicate takes the place of two: its own, and that of the range around it.
        self.untold + if self.duplicate.is_some() { 2 } else { 0 } >= TOLD
    }

    /// The ranges to report (RFC 2018 section 4, RFC 2883 section 4): a duplicate first, then what arrived most recently.
    pub(super) fn blocks(&self) -> SackBlocks {
        let mut blocks = SackBlocks::new();
        blocks.extend(self.duplicate);
        if let Some((start, end)) = self.duplicate {
            // The range that the duplicate lies in comes second, so that the peer sees that it is one.
            let around = self.recent.iter().find(|known| known.0.at_or_before(start) && known.1.at_or_after(end));
            blocks.extend(around.copied());
        }
        for &block in &self.recent {
            if blocks.len() < MOST_TOLD
                && !blocks.iter().skip(usize::from(self.duplicate.is_some())).any(|known| *known == block)
            {
                blocks.push(block);
            }
        }
        blocks
    }

    /// Bytes of memory held.
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

    fn told(selective: &Selective) -> std::vec::Vec<(u32, u32)> {
        selective.blocks().iter().map(|(start, end)| (start.0, end.0)).collect()
    }

    #[test]
    fn the_most_recent_range_is_told_first_and_swallows_what_it_touches() {
        let mut selective = Selective::default();
        for (start, end) in [(10, 20), (30, 40), (50, 60)] {
            selective.on_range(block(start, end));
        }
        assert_eq!(told(&selective), [(50, 60), (30, 40), (10, 20)]);
        selective.on_range(block(30, 60));
        assert_eq!((told(&selective), selective.is_much()), (std::vec![(30, 60), (10, 20)], false));
        selective.on_advance(Sequence(20));
        assert_eq!(told(&selective), [(30, 60)]);
        selective.on_reneged();
        assert!(selective.is_empty());
    }

    #[test]
    fn three_ranges_are_much_and_a_duplicate_counts_for_two() {
        let mut selective = Selective::default();
        for at in [10, 20, 30] {
            assert!(!selective.is_much());
            selective.on_range(block(at, at + 5));
        }
        assert!(selective.is_much());
        selective.on_told();
        selective.on_range(block(40, 45));
        assert!(!selective.is_much());
        selective.on_duplicate(block(21, 24));
        assert!(selective.is_much() && selective.has_duplicate());
        assert_eq!(told(&selective), [(21, 24), (20, 25), (40, 45), (30, 35)]);
        selective.on_told();
        assert!(!selective.has_duplicate() && !selective.is_much());
    }
}
