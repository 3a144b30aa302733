//! Proportional rate reduction (RFC 6937): how much may be sent during a recovery.

/// The variables of one recovery.
#[derive(Clone, Debug, Default)]
pub(super) struct Prr {
    /// RecoverFS: FlightSize when the recovery began.
    flight: usize,
    /// `prr_delivered`: the bytes delivered since.
    delivered: usize,
    /// `prr_out`: the bytes sent since.
    out: usize,
    /// `sndcnt`: the bytes that may be sent until the next acknowledgement.
    room: usize,
    segment: usize,
}

impl Prr {
    pub(super) fn new(flight: usize, segment: usize) -> Self {
        Self { flight: flight.max(1), delivered: 0, out: 0, room: 0, segment }
    }

    pub(super) const fn room(&self) -> usize {
        self.room
    }

    pub(super) fn on_sent(&mut self, bytes: usize) {
        self.out = self.out.saturating_add(bytes);
        self.room = self.room.saturating_sub(bytes);
    }

    /// Processes an acknowledgement that shows `arrived` more bytes to be delivered, with `in_flight` bytes still in
    /// flight. The window is to become `threshold`. `safe` means that the acknowledgement shows no further loss: then
    /// the window may grow towards the threshold as in slow start (PRR-SSRB), otherwise by no more than what was
    /// delivered (PRR-CRB).
    pub(super) fn on_delivered(&mut self, arrived: usize, in_flight: usize, threshold: usize, safe: bool) {
        self.delivered = self.delivered.saturating_add(arrived);
        let room = if in_flight > threshold {
            let due = (self.delivered as u128 * threshold as u128).div_ceil(self.flight as u128);
            usize::try_from(due).unwrap_or(usize::MAX).saturating_sub(self.out)
        } else {
            let behind = self.delivered.saturating_sub(self.out);
            let limit = if safe { behind.max(arrived) + self.segment } else { behind };
            limit.min(threshold - in_flight)
        };
        // The first retransmission is sent at once (RFC 6937 section 3).
        self.room = if self.out == 0 { room.max(self.segment) } else { room };
    }

    /// Allows a segment at once, whatever the rate: the next hole of RFC 6582 section 3.2, step 3.
    pub(super) fn allow_segment(&mut self) {
        self.room = self.room.max(self.segment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6937 section 4: at the end of a recovery the window is the threshold.
    #[test]
    fn the_window_is_the_threshold_when_the_recovery_ends() {
        let mut prr = Prr::new(20_000, 1000);
        let (mut in_flight, mut sent) = (19_000usize, 0);
        for _ in 0..19 {
            in_flight -= 1000;
            prr.on_delivered(1000, in_flight, 10_000, true);
            while prr.room() >= 1000 {
                prr.on_sent(1000);
                in_flight += 1000;
                sent += 1;
            }
        }
        assert!((9_000..=11_000).contains(&in_flight), "{in_flight} after {sent}");
    }

    #[test]
    fn after_heavy_losses_the_flight_grows_back_to_the_threshold_and_no_further() {
        let mut prr = Prr::new(20_000, 1000);
        let mut in_flight = 2000usize;
        for _ in 0..20 {
            in_flight = in_flight.saturating_sub(1000);
            prr.on_delivered(1000, in_flight, 10_000, true);
            while prr.room() >= 1000 {
                prr.on_sent(1000);
                in_flight += 1000;
            }
            assert!(in_flight <= 10_000);
        }
        assert_eq!(in_flight, 10_000);
    }

    #[test]
    fn the_first_retransmission_leaves_at_once() {
        let mut prr = Prr::new(20_000, 1000);
        prr.on_delivered(0, 19_000, 10_000, false);
        assert_eq!(prr.room(), 1000);
    }
}
