//! Memory for [`Recovery`] only while it is needed: most connections are idle most of the time, and lose nothing.

use alloc::boxed::Box;
use core::ops::Deref;

use super::Recovery;

/// The recovery of a connection, which is awake while something is in flight, and for good once something was lost or
/// late. While it is asleep, it takes no memory, and reads like the recovery of a connection that has sent nothing yet.
#[derive(Debug, Default)]
pub(in crate::tcp) struct Sleeper(Option<Box<Recovery>>);

/// The recovery that is read while it is asleep. Whether the peer has selective acknowledgements matters only for data
/// in flight.
static ASLEEP: Recovery = Recovery::new(true, 0);

impl Sleeper {
    /// Wakes the recovery; the arguments are those of [`Recovery::new`].
    pub(in crate::tcp) fn wake(&mut self, selective: bool, segment: usize) -> &mut Recovery {
        self.0.get_or_insert_with(|| Box::new(Recovery::new(selective, segment)))
    }

    /// The recovery, if it is awake.
    pub(in crate::tcp) fn awake(&mut self) -> Option<&mut Recovery> {
        self.0.as_deref_mut()
    }

    /// Frees the memory, unless there is something to remember.
    pub(in crate::tcp) fn sleep(&mut self) {
        self.0.take_if(|recovery| recovery.is_as_new());
    }

    /// The bytes of memory held.
    #[must_use]
    pub(in crate::tcp) fn held(&self) -> usize {
        self.0.as_ref().map_or(0, |recovery| size_of::<Recovery>() + recovery.held())
    }
}

impl Deref for Sleeper {
    type Target = Recovery;

    fn deref(&self) -> &Recovery {
        self.0.as_deref().unwrap_or(&ASLEEP)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::tcp::congestion::{Algorithm, Congestion};
    use crate::tcp::recovery::Report;
    use crate::tcp::rtt::RoundTrip;
    use crate::tcp::sequence::Sequence;
    use crate::time::Instant;

    /// Sends one segment and has it acknowledged, after the timer has expired if `late`. Returns the bytes of memory
    /// held afterwards.
    fn held_after_a_segment(late: bool) -> usize {
        let (mut rtt, mut congestion) = (RoundTrip::default(), Congestion::new(Algorithm::Cubic, 1000, 0));
        let mut recovery = Sleeper::default();
        assert_eq!((recovery.held(), recovery.in_flight(), recovery.awake().is_none()), (0, 0, true));
        let now = Instant::ORIGIN + Duration::from_millis(1);
        let (start, end) = (Sequence(0), Sequence(1000));
        recovery.wake(true, 1000).on_sent(start, end, now);
        recovery.sleep();
        assert_eq!(recovery.in_flight(), 1000, "what is under way keeps it awake");
        if let Some(recovery) = recovery.awake().filter(|_| late) {
            recovery.on_timeout(now, end, &rtt, &mut congestion);
            recovery.on_retransmitted(start, end, None, now);
        }
        let report = Report {
            now,
            before: start,
            acknowledged: end,
            next: end,
            sack: &[],
            echo: None,
            echoed_rtt: None,
            bare: true,
            congestion_experienced: false,
            limited: false,
        };
        recovery.wake(true, 1000).on_report(&report, &mut rtt, &mut congestion);
        recovery.sleep();
        assert_eq!((recovery.in_flight(), recovery.retransmitted()), (0, u64::from(late)));
        recovery.held()
    }

    #[test]
    fn a_connection_that_loses_nothing_remembers_nothing_when_it_is_idle() {
        assert_eq!(held_after_a_segment(false), 0);
        assert!(held_after_a_segment(true) > 0, "what was sent again is counted for good");
    }
}
