//! Whose version of the protocol is spoken: the newest, or that of an older querier that was heard.

use core::time::Duration;

use super::query::{Querier, Query};
use crate::time::Instant;

/// Until a querier says otherwise (RFC 3376 section 8.1, RFC 3810 section 9.1).
const DEFAULT_ROBUSTNESS: u8 = 2;
/// Until a querier says otherwise (RFC 3376 section 8.2, RFC 3810 section 9.2).
const DEFAULT_QUERY_INTERVAL: Duration = Duration::from_secs(125);

/// A version of the protocols. The Host Compatibility Mode of RFC 3376 section 7.2.1 and RFC 3810 section 8.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// IGMPv3 or MLDv2: one report has records of many groups. It is so at first, and when no older querier was heard
    /// for as long as [`Queriers`] waits.
    Newest,
    /// IGMPv2 or MLDv1: a report for each group, which members hear from each other, and a message for a group that is
    /// left. It is so when a querier of that version was heard, and none of an older one.
    Older,
    /// IGMPv1: as the older one, but nothing is said of a group that is left. It is so when a querier of that version
    /// was heard.
    Oldest,
}

impl Version {
    /// In how long a report that nobody asked for is repeated at the latest: the Unsolicited Report Interval (RFC 3376
    /// section 8.11, RFC 3810 section 9.11; RFC 2236 section 8.10, RFC 2710 section 7.10).
    pub(super) const fn unsolicited_report_interval(self) -> Duration {
        match self {
            Self::Newest => Duration::from_secs(1),
            Self::Older | Self::Oldest => Duration::from_secs(10),
        }
    }
}

/// What is known of the queriers on the link.
#[derive(Debug)]
pub(super) struct Queriers {
    robustness: u8,
    query_interval: Duration,
    /// How long an older and the oldest version are spoken: the Older Version Querier Present timers.
    older_until: Option<Instant>,
    oldest_until: Option<Instant>,
}

impl Queriers {
    /// None has been heard.
    pub(super) const fn new() -> Self {
        Self {
            robustness: DEFAULT_ROBUSTNESS,
            query_interval: DEFAULT_QUERY_INTERVAL,
            older_until: None,
            oldest_until: None,
        }
    }

    /// Takes note of what a query says of its querier.
    ///
    /// An older one has been there for the Older Version Querier Present Timeout (RFC 3376 section 8.12, RFC 3810
    /// section 9.12): robustness times the interval of queries, as the last query said that named one, and the time in
    /// which one is answered.
    pub(super) fn hear(&mut self, query: &Query, now: Instant) {
        let until = self.query_interval.saturating_mul(u32::from(self.robustness)) + query.max_response;
        match query.querier {
            // Zero stands for "not said" (RFC 3376 sections 4.1.6 and 4.1.7, RFC 3810 sections 5.1.8 and 5.1.9).
            Querier::Newest { robustness, interval } => {
                self.robustness = if robustness == 0 { DEFAULT_ROBUSTNESS } else { robustness };
                self.query_interval = if interval.is_zero() { DEFAULT_QUERY_INTERVAL } else { interval };
            }
            Querier::Older => self.older_until = Some(now + until),
            Querier::Oldest => self.oldest_until = Some(now + until),
            Querier::Unknown => {}
        }
    }

    /// The version to be spoken.
    pub(super) fn version(&self, now: Instant) -> Version {
        if self.oldest_until.is_some_and(|until| now < until) {
            Version::Oldest
        } else if self.older_until.is_some_and(|until| now < until) {
            Version::Older
        } else {
            Version::Newest
        }
    }

    /// How often a change is reported: the Robustness Variable.
    pub(super) const fn robustness(&self) -> u8 {
        self.robustness
    }
}
