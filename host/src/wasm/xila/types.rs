//! `xila:network/types`: the error codes.

use wasmtime::component::{Resource, ResourceTable};

use crate::error::Error;
use crate::wasm::NetworkCtxView;
use crate::wasm::bindings::types::{ErrorCode, Host};

/// Why a host function failed.
#[derive(Debug)]
pub enum NetworkError {
    /// An error of the operation: the guest gets its code.
    Code(ErrorCode),
    /// A stale handle or a mistake of the host: the guest traps.
    Trap(wasmtime::Error),
}

impl From<Error> for NetworkError {
    fn from(error: Error) -> Self {
        Self::Code(error.into())
    }
}

impl Host for NetworkCtxView<'_> {
    fn convert_error_code(&mut self, error: NetworkError) -> wasmtime::Result<ErrorCode> {
        match error {
            NetworkError::Code(code) => Ok(code),
            NetworkError::Trap(trap) => Err(trap),
        }
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
            // A name that cannot be an interface's is the name of none.
            Error::InvalidIdentifier(_) => Self::NotFound,
            // These three reach no guest: it mounts no interfaces, and its calls wait where others would block. The
            // nearest code keeps a mistake here from being a trap.
            Error::DuplicateIdentifier(_) => Self::AddressInUse,
            Error::FailedToMountDevice(_) => Self::NetworkDown,
            Error::WouldBlock => Self::ResourceBusy,
        }
    }
}

/// Puts a socket into the guest's table. A full table is a limit like any other.
pub(super) fn push<T: Send + 'static>(table: &mut ResourceTable, entry: T) -> Result<Resource<T>, NetworkError> {
    table.push(entry).map_err(|_| Error::LimitReached.into())
}

/// Looks a socket up. A handle that leads nowhere is a trap.
pub(super) fn get<'a, T: 'static>(table: &'a ResourceTable, handle: &Resource<T>) -> wasmtime::Result<&'a T> {
    Ok(table.get(handle)?)
}

impl From<wasmtime::Error> for NetworkError {
    fn from(trap: wasmtime::Error) -> Self {
        Self::Trap(trap)
    }
}
