//! `wasi:sockets/network` and `wasi:sockets/instance-network` 0.2: error codes, and the handle of the network.

use wasmtime::component::Resource;

use super::bindings::instance_network;
use super::bindings::network::{ErrorCode, Host, HostNetwork};
use crate::error::Error;
use crate::wasm::NetworkCtxView;
use crate::wasm::failure::{Failure, get, push};

/// The failure of a host function of `wasi:sockets` 0.2.
pub type SocketError = Failure<ErrorCode>;

/// The resource of a `network` handle. It is empty: the guest's context says what the guest may use, and a guest
/// without a network gets no socket to use the handle with.
#[derive(Debug)]
pub struct Network(());

impl NetworkCtxView<'_> {
    /// Traps for an invalid handle.
    pub(super) fn check_network(&self, network: &Resource<Network>) -> wasmtime::Result<()> {
        get(self.table, network).map(|Network(())| ())
    }
}

impl Host for NetworkCtxView<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.code()
    }

    fn network_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(get(self.table, &error)?.downcast_ref::<Error>().cloned().map(ErrorCode::from))
    }
}

impl HostNetwork for NetworkCtxView<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

impl instance_network::Host for NetworkCtxView<'_> {
    fn instance_network(&mut self) -> wasmtime::Result<Resource<Network>> {
        Ok(push(self.table, Network(()))?)
    }
}

impl From<Error> for ErrorCode {
    fn from(error: Error) -> Self {
        match error {
            Error::AccessDenied => Self::AccessDenied,
            Error::NotSupported => Self::NotSupported,
            Error::InvalidArgument => Self::InvalidArgument,
            // Streams report a closed half in their own way.
            Error::InvalidState | Error::BrokenPipe => Self::InvalidState,
            Error::LimitReached | Error::NoFreeSlot => Self::OutOfMemory,
            Error::ResourceBusy => Self::ConcurrencyConflict,
            Error::AddressInUse => Self::AddressInUse,
            Error::AddressNotAvailable => Self::AddressNotBindable,
            // Without an interface, no remote is reachable.
            Error::RemoteUnreachable | Error::NetworkDown | Error::NotFound => Self::RemoteUnreachable,
            Error::ConnectionRefused => Self::ConnectionRefused,
            Error::ConnectionReset => Self::ConnectionReset,
            Error::ConnectionAborted => Self::ConnectionAborted,
            Error::TimedOut => Self::Timeout,
            Error::PacketTooLarge => Self::DatagramTooLarge,
            Error::WouldBlock => Self::WouldBlock,
            // These errors are about mounting interfaces, which guests cannot do.
            Error::InvalidIdentifier(_) | Error::DuplicateIdentifier(_) | Error::FailedToMountDevice(_) => {
                Self::Unknown
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::wasm::p2::bindings::network::IpSocketAddress;

    #[test]
    fn addresses_are_converted_without_loss() {
        for text in ["192.0.2.1:80", "0.0.0.0:0", "[2001:db8::1]:65535", "[::ffff:192.0.2.1]:1", "[::]:0"] {
            let address: SocketAddr = text.parse().expect(text);
            assert_eq!(SocketAddr::from(IpSocketAddress::from(address)), address);
        }
    }

    #[test]
    fn the_error_of_a_stream_is_converted_to_its_code() {
        let error = wasmtime::Error::from(Error::ConnectionReset);
        let code = error.downcast_ref::<Error>().cloned().map(ErrorCode::from);
        assert_eq!(code, Some(ErrorCode::ConnectionReset));
    }
}
