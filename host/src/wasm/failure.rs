//! Why a host function failed, whichever interface it is of.

use wasmtime::component::{Resource, ResourceTable, ResourceTableError};

use crate::error::Error;

/// Why a host function failed; `C` is the error code of its WIT interface.
#[derive(Debug)]
pub enum Failure<C> {
    /// An error of the operation: the guest gets its code.
    Code(C),
    /// A stale handle or a mistake of the host: the guest traps.
    Trap(wasmtime::Error),
}

impl<C> Failure<C> {
    /// The code for the guest, or else the trap.
    pub(super) fn code(self) -> wasmtime::Result<C> {
        match self {
            Self::Code(code) => Ok(code),
            Self::Trap(trap) => Err(trap),
        }
    }
}

/// The error of any operation, by way of the one that has the causes of all.
impl<C: From<Error>, E: Into<Error>> From<E> for Failure<C> {
    fn from(error: E) -> Self {
        Self::Code(error.into().into())
    }
}

impl<C> From<wasmtime::Error> for Failure<C> {
    fn from(trap: wasmtime::Error) -> Self {
        Self::Trap(trap)
    }
}

/// Puts a resource into the guest's table. A full table is a limit like any other.
pub(super) fn push<T: Send + 'static>(table: &mut ResourceTable, entry: T) -> Result<Resource<T>, Error> {
    table.push(entry).map_err(|_full: ResourceTableError| Error::LimitReached)
}

/// Puts two resources into the guest's table, or neither.
pub(super) fn push_both<A: Send + 'static, B: Send + 'static, C: From<Error>>(
    table: &mut ResourceTable,
    one: A,
    other: B,
) -> Result<(Resource<A>, Resource<B>), Failure<C>> {
    let one = push(table, one)?;
    match push(table, other) {
        Ok(other) => Ok((one, other)),
        Err(full) => {
            table.delete(one).map_err(wasmtime::Error::from)?;
            Err(full.into())
        }
    }
}

/// Looks a resource up. A handle that leads nowhere is a trap.
pub(super) fn get<'a, T: 'static>(table: &'a ResourceTable, handle: &Resource<T>) -> wasmtime::Result<&'a T> {
    Ok(table.get(handle)?)
}

/// As [`get`], to change it.
pub(super) fn get_mut<'a, T: 'static>(
    table: &'a mut ResourceTable,
    handle: &Resource<T>,
) -> wasmtime::Result<&'a mut T> {
    Ok(table.get_mut(handle)?)
}
