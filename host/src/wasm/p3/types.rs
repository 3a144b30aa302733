//! `wasi:sockets/types` 0.3: error codes.

use crate::error::Error;
use crate::wasm::NetworkCtxView;
use crate::wasm::failure::Failure;
use crate::wasm::p3::bindings::types::{ErrorCode, Host};

/// The failure of a host function of `wasi:sockets` 0.3.
pub type SocketError = Failure<ErrorCode>;

impl Host for NetworkCtxView<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.code()
    }
}

impl From<Error> for ErrorCode {
    fn from(error: Error) -> Self {
        match error {
            Error::AccessDenied => Self::AccessDenied,
            Error::NotSupported => Self::NotSupported,
            Error::InvalidArgument => Self::InvalidArgument,
            Error::InvalidState => Self::InvalidState,
            // ENOMEM and ENOBUFS.
            Error::LimitReached | Error::NoFreeSlot => Self::OutOfMemory,
            Error::AddressInUse => Self::AddressInUse,
            Error::AddressNotAvailable => Self::AddressNotBindable,
            // ENETDOWN has no code of its own, and without an interface no remote is reachable.
            Error::RemoteUnreachable | Error::NetworkDown | Error::NotFound => Self::RemoteUnreachable,
            Error::ConnectionRefused => Self::ConnectionRefused,
            Error::ConnectionReset => Self::ConnectionReset,
            Error::ConnectionAborted => Self::ConnectionAborted,
            Error::BrokenPipe => Self::ConnectionBroken,
            Error::TimedOut => Self::Timeout,
            Error::PacketTooLarge => Self::DatagramTooLarge,
            // These never reach a guest: guests do not mount or name interfaces here, and their calls wait instead of
            // blocking.
            error @ (Error::ResourceBusy
            | Error::WouldBlock
            | Error::InvalidIdentifier(_)
            | Error::DuplicateIdentifier(_)
            | Error::FailedToMountDevice(_)) => Self::Other(Some(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, SocketAddr};

    use super::*;
    use crate::address::Family;
    use crate::wasm::p3::bindings::types::{IpAddress, IpAddressFamily, IpSocketAddress, Ipv6SocketAddress};

    #[test]
    fn addresses_are_converted_without_loss() {
        for text in ["192.0.2.1:80", "0.0.0.0:0", "[2001:db8::1]:65535", "[::ffff:192.0.2.1]:1", "[::]:0"] {
            let address: SocketAddr = text.parse().expect(text);
            assert_eq!(SocketAddr::from(IpSocketAddress::from(address)), address);
        }
        for family in [Family::V4, Family::V6] {
            assert_eq!(Family::from(IpAddressFamily::from(family)), family);
        }
    }

    #[test]
    fn an_address_is_written_in_the_order_of_its_parts() {
        let IpAddress::Ipv4(octets) = IpAddr::from([192, 0, 2, 1]).into() else { panic!("not v4") };
        assert_eq!(octets, (192, 0, 2, 1));
        let IpAddress::Ipv6(groups) = "2001:db8::1".parse::<IpAddr>().expect("v6").into() else { panic!("not v6") };
        assert_eq!(groups, (0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
    }

    #[test]
    fn flow_information_and_scope_are_ignored() {
        let address = (0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let labelled = IpSocketAddress::Ipv6(Ipv6SocketAddress { port: 7, flow_info: 5, address, scope_id: 2 });
        assert_eq!(SocketAddr::from(labelled), "[fe80::1]:7".parse().expect("an address"));
    }

    #[test]
    fn each_cause_has_the_code_that_posix_has_for_it() {
        let code = |error: Error| format!("{:?}", ErrorCode::from(error));
        for (error, expected) in [
            (Error::AccessDenied, ErrorCode::AccessDenied),
            (Error::NotSupported, ErrorCode::NotSupported),
            (Error::InvalidArgument, ErrorCode::InvalidArgument),
            (Error::LimitReached, ErrorCode::OutOfMemory),
            (Error::NoFreeSlot, ErrorCode::OutOfMemory),
            (Error::TimedOut, ErrorCode::Timeout),
            (Error::InvalidState, ErrorCode::InvalidState),
            (Error::AddressNotAvailable, ErrorCode::AddressNotBindable),
            (Error::NotFound, ErrorCode::RemoteUnreachable),
            (Error::AddressInUse, ErrorCode::AddressInUse),
            (Error::RemoteUnreachable, ErrorCode::RemoteUnreachable),
            (Error::NetworkDown, ErrorCode::RemoteUnreachable),
            (Error::ConnectionRefused, ErrorCode::ConnectionRefused),
            (Error::BrokenPipe, ErrorCode::ConnectionBroken),
            (Error::ConnectionReset, ErrorCode::ConnectionReset),
            (Error::ConnectionAborted, ErrorCode::ConnectionAborted),
            (Error::PacketTooLarge, ErrorCode::DatagramTooLarge),
            (Error::ResourceBusy, ErrorCode::Other(Some("busy".into()))),
        ] {
            assert_eq!(code(error.clone()), format!("{expected:?}"), "{error:?}");
        }
    }
}
