//! The protocol version that is spoken: the newest, or the one of an older querier on the link.

use core::time::Duration;

use super::query::{Querier, Query};
use crate::time::Instant;

/// The robustness variable until a querier announces one (RFC 3376 section 8.1, RFC 3810 section 9.1).
const DEFAULT_ROBUSTNESS: u8 = 2;
/// The query interval until a querier announces one (RFC 3376 section 8.2, RFC 3810 section 9.2).
const DEFAULT_QUERY_INTERVAL: Duration = Duration::from_secs(125);

/// A protocol version: the Host Compatibility Mode of RFC 3376 section 7.2.1 and RFC 3810 section 8.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// IGMPv3 or MLDv2: one report has records of many groups. It is the initial state, and the state after no older
    /// querier was heard for the timeout of [`Queriers`].
    Newest,
    /// IGMPv2 or MLDv1: one report per group, which other members process, and a message when a group is left. It is
    /// the state while a querier of that version was heard recently, and none of IGMPv1.
    Older,
    /// IGMPv1: as the previous one, but without a message when a group is left. It is the state while a querier of that
    /// version was heard recently.
    Oldest,
}

impl Version {
    /// The Unsolicited Report Interval: the maximum time until an unsolicited report is repeated (RFC 3376 section
    /// 8.11, RFC 3810 section 9.11; RFC 2236 section 8.10, RFC 2710 section 7.10).
    pub(super) const fn unsolicited_report_interval(self) -> Duration {
        match self {
            Self::Newest => Duration::from_secs(1),
            Self::Older | Self::Oldest => Duration::from_secs(10),
        }
    }
}

/// The state of the queriers on the link.
#[derive(Debug)]
pub(super) struct Queriers {
    robustness: u8,
    query_interval: Duration,
    /// When the Older Version Querier Present timers expire, for the older and for the oldest version.
    older_until: Option<Instant>,
    oldest_until: Option<Instant>,
}

impl Queriers {
    /// The state before any querier was heard.
    pub(super) const fn new() -> Self {
        Self {
            robustness: DEFAULT_ROBUSTNESS,
            query_interval: DEFAULT_QUERY_INTERVAL,
            older_until: None,
            oldest_until: None,
        }
    }

    /// Updates the state by a query.
    ///
    /// An older querier counts as present for the Older Version Querier Present Timeout (RFC 3376 section 8.12, RFC
    /// 3810 section 9.12): the robustness times the query interval, by the last query that contained them, plus the
    /// response time of the query.
    pub(super) fn hear(&mut self, query: &Query, now: Instant) {
        let until = self.query_interval.saturating_mul(u32::from(self.robustness)) + query.max_response;
        match query.querier {
            // Zero means "not specified" (RFC 3376 sections 4.1.6 and 4.1.7, RFC 3810 sections 5.1.8 and 5.1.9).
            Querier::Newest { robustness, interval } => {
                self.robustness = if robustness == 0 { DEFAULT_ROBUSTNESS } else { robustness };
                self.query_interval = if interval.is_zero() { DEFAULT_QUERY_INTERVAL } else { interval };
            }
            Querier::Older => self.older_until = Some(now + until),
            Querier::Oldest => self.oldest_until = Some(now + until),
            Querier::Unknown => {}
        }
    }

    /// The version to speak.
    pub(super) fn version(&self, now: Instant) -> Version {
        if self.oldest_until.is_some_and(|until| now < until) {
            Version::Oldest
        } else if self.older_until.is_some_and(|until| now < until) {
            Version::Older
        } else {
            Version::Newest
        }
    }

    /// The Robustness Variable: how often a change is reported.
    pub(super) const fn robustness(&self) -> u8 {
        self.robustness
    }
}
