//! The failure of a host function, for all WIT interfaces, and access to the table of resources.

use wasmtime::component::{Resource, ResourceTable, ResourceTableError};

use crate::error::Error;

/// The failure of a host function. `C` is the error code of its WIT interface.
#[derive(Debug)]
pub enum Failure<C> {
    /// The operation failed: the guest gets the error code.
    Code(C),
    /// An invalid handle or a bug of the host: the guest traps.
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

/// Converts the error of any operation, by way of [`Error`], which has the causes of all.
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

/// Adds a resource to the guest's table. A full table is the error [`Error::LimitReached`].
pub(super) fn push<T: Send + 'static>(table: &mut ResourceTable, entry: T) -> Result<Resource<T>, Error> {
    table.push(entry).map_err(|_full: ResourceTableError| Error::LimitReached)
}

/// Adds two resources to the guest's table, or neither.
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

/// Whether the guest's table has places for `count` more resources.
pub(super) fn has_room(table: &mut ResourceTable, count: usize) -> bool {
    let Some(others) = count.checked_sub(1) else { return true };
    let Ok(place) = table.push(()) else { return false };
    let have_room = has_room(table, others);
    // The table gives the places of deleted resources to the next ones.
    table.delete(place).is_ok() && have_room
}

/// Looks up a resource. An invalid handle is a trap.
pub(super) fn get<'a, T: 'static>(table: &'a ResourceTable, handle: &Resource<T>) -> wasmtime::Result<&'a T> {
    Ok(table.get(handle)?)
}

/// Like [`get`], but mutable.
pub(super) fn get_mut<'a, T: 'static>(
    table: &'a mut ResourceTable,
    handle: &Resource<T>,
) -> wasmtime::Result<&'a mut T> {
    Ok(table.get_mut(handle)?)
}
