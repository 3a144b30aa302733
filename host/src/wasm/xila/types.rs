//! `xila:network/types`: the error codes.

use crate::error::Error;
use crate::wasm::NetworkCtxView;
use crate::wasm::bindings::types::{ErrorCode, Host};
use crate::wasm::failure::Failure;

/// The failure of a host function of `xila:network`.
pub type NetworkError = Failure<ErrorCode>;

impl Host for NetworkCtxView<'_> {
    fn convert_error_code(&mut self, error: NetworkError) -> wasmtime::Result<ErrorCode> {
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
            Error::LimitReached => Self::LimitReached,
            Error::ResourceBusy => Self::ResourceBusy,
            Error::NoFreeSlot => Self::NoFreeSlot,
            Error::NotFound => Self::NotFound,
            Error::AddressInUse => Self::AddressInUse,
            Error::AddressNotAvailable => Self::AddressNotAvailable,
            Error::RemoteUnreachable => Self::RemoteUnreachable,
            Error::ConnectionRefused => Self::ConnectionRefused,
            Error::ConnectionReset => Self::ConnectionReset,
            Error::ConnectionAborted => Self::ConnectionAborted,
            Error::BrokenPipe => Self::BrokenPipe,
            Error::TimedOut => Self::TimedOut,
            Error::NetworkDown => Self::NetworkDown,
            Error::PacketTooLarge => Self::PacketTooLarge,
            // No interface has an invalid name.
            Error::InvalidIdentifier(_) => Self::NotFound,
            // These three never reach a guest: guests do not mount interfaces, and their calls wait instead of
            // blocking. The nearest codes are used, so that a bug here does not become a trap.
            Error::DuplicateIdentifier(_) => Self::AddressInUse,
            Error::FailedToMountDevice(_) => Self::NetworkDown,
            Error::WouldBlock => Self::ResourceBusy,
        }
    }
}
