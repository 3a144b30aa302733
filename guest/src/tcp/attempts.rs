//! Connecting to a peer with several addresses: how long each address is tried, and which error is returned.

use std::time::Duration;

use crate::Error;

/// How long all attempts together may take if the caller sets no timeout: the host's default timeout for one attempt.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long an address is tried while there are others: long enough for a SYN and two retransmissions (after 1 and 3
/// seconds, RFC 6298), and much shorter than the timeout of a peer with only one address.
///
/// By RFC 8305 section 5, the next attempt would start 250 ms after the previous one, and both would continue. That
/// needs a timer, which a guest does not have.
const TURN: Duration = Duration::from_secs(5);

/// How long the next attempt may take, with `more` addresses after it and `elapsed` since the first attempt began.
/// `Some(None)` leaves the timeout to the host; `None` means that no time is left.
pub(super) fn attempt_timeout(
    timeout: Option<Duration>,
    elapsed: Duration,
    first: bool,
    more: usize,
) -> Option<Option<Duration>> {
    if first && more == 0 {
        return Some(timeout);
    }
    let left = timeout.unwrap_or(PATIENCE).saturating_sub(elapsed);
    // If the caller chose a timeout of 0, the host refuses it.
    if left.is_zero() && !first {
        return None;
    }
    // If there are too many addresses for a full turn each, they share the time that is left.
    let share = left / u32::try_from(more).map_or(u32::MAX, |more| more.saturating_add(1));
    Some(Some(if more == 0 { left } else { share.min(TURN) }))
}

/// The more informative of two errors: an answer is more informative than a timeout, and a timeout more than a missing
/// route.
pub(super) fn more_informative(one: Error, other: Error) -> Error {
    if informativeness(other) > informativeness(one) { other } else { one }
}

fn informativeness(error: Error) -> u8 {
    match error {
        Error::RemoteUnreachable | Error::NetworkDown | Error::AddressNotAvailable | Error::InvalidArgument => 0,
        Error::TimedOut => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_only_address_gets_all_the_time() {
        assert_eq!(attempt_timeout(None, s(0), true, 0), Some(None));
        assert_eq!(attempt_timeout(Some(s(60)), s(0), true, 0), Some(Some(s(60))));
    }

    #[test]
    fn each_of_several_addresses_gets_a_turn_and_the_last_gets_the_rest() {
        assert_eq!(attempt_timeout(None, s(0), true, 2), Some(Some(s(5))));
        assert_eq!(attempt_timeout(None, s(5), false, 1), Some(Some(s(5))));
        assert_eq!(attempt_timeout(None, s(10), false, 0), Some(Some(s(20))));
        assert_eq!(attempt_timeout(Some(s(7)), s(5), false, 1), Some(Some(s(1))));
        assert_eq!(attempt_timeout(None, s(0), true, 29), Some(Some(s(1))), "thirty share the time");
        assert_eq!(attempt_timeout(Some(s(7)), s(7), false, 0), None);
        assert_eq!(attempt_timeout(Some(s(0)), s(0), true, 1), Some(Some(s(0))));
    }

    #[test]
    fn an_answer_is_more_informative_than_a_timeout() {
        assert_eq!(more_informative(Error::ConnectionRefused, Error::RemoteUnreachable), Error::ConnectionRefused);
        assert_eq!(more_informative(Error::RemoteUnreachable, Error::TimedOut), Error::TimedOut);
        assert_eq!(more_informative(Error::TimedOut, Error::ConnectionRefused), Error::ConnectionRefused);
        assert_eq!(more_informative(Error::ConnectionRefused, Error::AccessDenied), Error::ConnectionRefused);
    }
}
