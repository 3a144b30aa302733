//! What an error of a host's socket means to an app.

use core::time::Duration;
use std::io::{Error, ErrorKind};
use std::time::Instant;

use nix::libc;
use parking_lot::Mutex;
use xila_network_engine::ip::icmp::write::Reason;

/// What an app is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody serves the port.
    Refused,
    /// An ICMP error.
    Report(Reason),
    /// Nothing: the app finds out by itself that nobody answers, or tries again.
    Silence,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        // Errors that the standard library has no kind for.
        match error.raw_os_error() {
            Some(libc::EHOSTDOWN | libc::ENONET) => return Self::Report(Reason::AddressUnreachable),
            // What an ICMP error about the protocol is told as. The pointer is that to the protocol of an IPv6 header.
            Some(libc::ENOPROTOOPT) => return Self::Report(Reason::ProtocolUnreachable { pointer: 6 }),
            Some(libc::EAFNOSUPPORT) => return Self::Report(Reason::NoRoute),
            // The queue of errors tells the MTU of the path. A datagram that is longer than any can be has no way.
            Some(libc::EMSGSIZE) => return Self::Silence,
            _ => {}
        }
        match error.kind() {
            // A reset during the handshake is what a refusal is.
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Self::Refused,
            ErrorKind::HostUnreachable => Self::Report(Reason::AddressUnreachable),
            ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => Self::Report(Reason::NoRoute),
            // A firewall of the host.
            ErrorKind::PermissionDenied => Self::Report(Reason::Prohibited),
            // A host without IPv6 has no addresses to send from.
            ErrorKind::AddrNotAvailable | ErrorKind::Unsupported => Self::Report(Reason::NoRoute),
            ErrorKind::TimedOut => Self::Silence,
            // The host is out of sockets, memory or ports, which may be over when the app tries again.
            _ => {
                if let Some(silent) = WARNINGS.allow(Instant::now()) {
                    tracing::warn!(%error, silent, "the gateway has no socket for an app");
                }
                Self::Silence
            }
        }
    }
}

/// The warnings about a lack of resources, which every packet of an app may meet with.
static WARNINGS: Warnings = Warnings(Mutex::new(None));

/// Lets one warning pass in each [`INTERVAL`].
struct Warnings(Mutex<Option<(Instant, u64)>>);

/// The time between two warnings.
const INTERVAL: Duration = Duration::from_secs(10);

impl Warnings {
    /// The number of warnings that were not given since the last one, if a warning may be given now.
    fn allow(&self, now: Instant) -> Option<u64> {
        let mut last = self.0.lock();
        match &mut *last {
            Some((given, silent)) if now.saturating_duration_since(*given) < INTERVAL => {
                *silent += 1;
                None
            }
            _ => Some(last.replace((now, 0)).map_or(0, |(_, silent)| silent)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_is_told_as_what_it_is() {
        let told = |kind: ErrorKind| Failure::from(&Error::from(kind));
        assert_eq!(told(ErrorKind::ConnectionRefused), Failure::Refused);
        assert_eq!(told(ErrorKind::HostUnreachable), Failure::Report(Reason::AddressUnreachable));
        assert_eq!(told(ErrorKind::NetworkUnreachable), Failure::Report(Reason::NoRoute));
        assert_eq!(told(ErrorKind::PermissionDenied), Failure::Report(Reason::Prohibited));
        assert_eq!(told(ErrorKind::TimedOut), Failure::Silence);
        assert_eq!(told(ErrorKind::OutOfMemory), Failure::Silence);
    }

    #[test]
    fn errors_without_a_kind_are_told_by_their_number() {
        let told = |number: i32| Failure::from(&Error::from_raw_os_error(number));
        assert_eq!(told(libc::EHOSTDOWN), Failure::Report(Reason::AddressUnreachable));
        assert_eq!(told(libc::ENONET), Failure::Report(Reason::AddressUnreachable));
        assert_eq!(told(libc::ENOPROTOOPT), Failure::Report(Reason::ProtocolUnreachable { pointer: 6 }));
        assert_eq!(told(libc::EMSGSIZE), Failure::Silence);
        assert_eq!(told(libc::EMFILE), Failure::Silence);
    }

    #[test]
    fn warnings_are_few_and_say_how_many_were_not_given() {
        let (warnings, start) = (Warnings(Mutex::new(None)), Instant::now());
        assert_eq!(warnings.allow(start), Some(0));
        assert!((0..100).all(|number| warnings.allow(start + INTERVAL * number / 100).is_none()));
        assert_eq!(warnings.allow(start + INTERVAL), Some(100));
        assert_eq!(warnings.allow(start + INTERVAL * 2), Some(0));
    }
}
