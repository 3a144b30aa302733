//! What an error of a host's socket means to an app.

use std::io::{Error, ErrorKind};

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
                tracing::warn!(%error, "the gateway has no socket for an app");
                Self::Silence
            }
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
}
