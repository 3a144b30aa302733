//! The memory of interfaces, which outlasts a run of the host.
//!
//! If a host has another hardware address after every start, it is a new host to its network each time: DHCP servers
//! run out of leases, and its IPv6 addresses change. So a stack keeps a [`Record`] of each interface if the platform
//! has a [`Memory`]. [`Folder`] has a file for each interface; [`Volatile`] forgets everything at the end of the
//! process.

mod folder;
mod volatile;

use std::io;

pub use folder::Folder;
pub use volatile::Volatile;

/// The maximum size of a [`Record`] in bytes. Interfaces store far less; a longer record was not written by an
/// interface.
pub const LONGEST: usize = 4096;

/// A store of records, each under the name of an interface.
///
/// If two managers or processes use the same memory, interfaces with the same name must not become the same host. So a
/// record has one owner at a time. An interface whose record is taken draws another hardware address, and stores
/// nothing.
///
/// These calls are made without any lock of a stack held, and may wait for a disk. They are few: an interface stores
/// something when it is mounted for the first time, and when it obtains another lease or releases it.
pub trait Memory: Send + Sync {
    /// Takes the record of a name, whether anything was stored in it or not, until the returned value is dropped.
    /// `None` if it has another owner.
    ///
    /// # Errors
    /// The error of the store. The interface then works without a record.
    fn open(&self, name: &str) -> io::Result<Option<Box<dyn Record>>>;
}

/// The record of one interface, held by its owner.
///
/// The bytes contain the secret key of IPv6 interface identifiers, so others should not be able to read them.
pub trait Record: Send {
    /// The bytes that were stored last, in this or an earlier run; `None` if none were.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if there are more than [`LONGEST`] bytes, which need not be read; the error of
    /// the store.
    fn load(&mut self) -> io::Result<Option<Vec<u8>>>;

    /// Replaces the stored bytes. A run that ends meanwhile leaves either the old or the new bytes.
    ///
    /// # Errors
    /// The error of the store. The old bytes are still stored then.
    fn store(&mut self, bytes: &[u8]) -> io::Result<()>;
}
