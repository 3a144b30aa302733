//! Answers that are kept.

use std::sync::Arc;
use std::time;

use core::time::Duration;

use hickory_resolver::config::ResolverOpts;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{DnsResponse, Message, Query, ResponseCode};
use hickory_resolver::{ResponseCache, TtlConfig};

use super::ResolveError;
use crate::platform::{Clock, Instant, Platform};

/// The longest answer that is kept, in octets: a server must not fill the memory.
const MOST_KEPT: usize = 4096;

/// How long a name may be known not to exist (RFC 2308 section 5).
const MOST_NEGATIVE: Duration = Duration::from_secs(3 * 60 * 60);

/// Hickory's cache, on the platform's clock.
pub(super) struct Cache {
    responses: ResponseCache,
    clock: Arc<dyn Clock>,
    /// One instant on the platform's clock, and on the one that hickory's cache is written for.
    since: (Instant, time::Instant),
}

impl Cache {
    /// A cache for so many answers.
    pub(super) fn new(most: usize, platform: &Platform) -> Self {
        let mut options = ResolverOpts::default();
        options.negative_max_ttl = Some(MOST_NEGATIVE);
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        let clock = platform.clock.clone();
        let since = (clock.now(), time::Instant::now());
        Self { responses: ResponseCache::new(most, TtlConfig::from_opts(&options)), clock, since }
    }

    fn now(&self) -> time::Instant {
        let (origin, start) = self.since;
        start.checked_add(self.clock.now() - origin).unwrap_or(start)
    }

    /// The answer to a query that is known still, its times to live those that remain.
    pub(super) fn get(&self, query: &Query) -> Option<Result<Message, ResolveError>> {
        let kept = self.responses.get(query, self.now())?;
        Some(kept.map_err(|error| match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) => no_records(none.response_code),
            _ => ResolveError::ServerFailure,
        }))
    }

    /// Keeps an answer for its time to live; what it says.
    pub(super) fn keep(&self, query: Query, response: DnsResponse) -> Result<Message, ResolveError> {
        let is_small = response.as_buffer().len() <= MOST_KEPT;
        match DnsError::from_response(response) {
            Ok(response) => {
                let mut message = response.into_message();
                // All that is looked at: the answers, and whether the server has the zone.
                message.authorities.retain(|record| record.record_type().is_soa());
                message.additionals.clear();
                if is_small && message.answers.iter().all(|record| record.ttl > 0) {
                    self.responses.insert(query, Ok(message.clone()), self.now());
                }
                Ok(message)
            }
            Err(DnsError::NoRecordsFound(mut none)) => {
                let code = none.response_code;
                (none.ns, none.authorities) = (None, None);
                if is_small && none.negative_ttl.is_some_and(|ttl| ttl > 0) {
                    self.responses.insert(query, Err(none.into()), self.now());
                }
                Err(no_records(code))
            }
            Err(_) => Err(ResolveError::ServerFailure),
        }
    }
}

fn no_records(code: ResponseCode) -> ResolveError {
    if code == ResponseCode::NXDomain { ResolveError::NameNotFound } else { ResolveError::NoRecords }
}
