//! The peer's receive window.

use crate::tcp::sequence::Sequence;

/// SND.WND in bytes, as set by the peer's segments.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerWindow {
    // Windows have at most 30 bits (RFC 7323 section 2.3).
    size: u32,
    largest: u32,
    /// SND.WL1 and SND.WL2.
    updated_by: (Sequence, Sequence),
}

impl PeerWindow {
    /// The window that a segment with these numbers offered.
    pub(super) fn new(sequence: Sequence, acknowledgement: Sequence, size: usize) -> Self {
        let size = in_bits(size);
        Self { size, largest: size, updated_by: (sequence, acknowledgement) }
    }

    pub(super) const fn size(&self) -> usize {
        self.size as usize
    }

    /// The largest window so far (Max.SND.WND).
    pub(super) const fn largest(&self) -> usize {
        self.largest as usize
    }

    /// Sets the window from a segment, unless the segment is an old one (RFC 9293 section 3.10.7.4). Returns whether
    /// the window changed.
    pub(super) fn update(&mut self, sequence: Sequence, acknowledgement: Sequence, size: usize) -> bool {
        let (by_sequence, by_acknowledgement) = self.updated_by;
        let newer = by_sequence.before(sequence)
            || (by_sequence == sequence && by_acknowledgement.at_or_before(acknowledgement));
        if !newer {
            return false;
        }
        let size = in_bits(size);
        self.updated_by = (sequence, acknowledgement);
        self.largest = self.largest.max(size);
        core::mem::replace(&mut self.size, size) != size
    }

    /// Whether a segment of this many bytes does not fit, and the window is less than half of the largest so far. It is
    /// then not worth a segment (RFC 9293 section 3.8.6.2.1).
    pub(super) const fn is_too_small_for(&self, length: usize) -> bool {
        self.size() < length && (self.size == 0 || self.size * 2 < self.largest)
    }
}

fn in_bits(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_segment_does_not_set_the_window() {
        let mut window = PeerWindow::new(Sequence(100), Sequence(200), 1000);
        assert!(!window.update(Sequence(99), Sequence(300), 5));
        assert!(!window.update(Sequence(100), Sequence(199), 5));
        assert_eq!((window.size(), window.largest()), (1000, 1000));
        assert!(window.update(Sequence(100), Sequence(200), 2000));
        assert!(!window.update(Sequence(101), Sequence(100), 2000), "the same");
        assert!(window.update(Sequence(101), Sequence(100), 10));
        assert_eq!((window.size(), window.largest()), (10, 2000));
    }

    #[test]
    fn half_of_the_largest_is_worth_a_segment() {
        let mut window = PeerWindow::new(Sequence(0), Sequence(0), 1000);
        window.update(Sequence(0), Sequence(0), 499);
        assert!(window.is_too_small_for(500) && !window.is_too_small_for(499));
        window.update(Sequence(0), Sequence(0), 500);
        assert!(!window.is_too_small_for(1000));
        let never = PeerWindow::new(Sequence(0), Sequence(0), 0);
        assert!(never.is_too_small_for(1));
    }
}
