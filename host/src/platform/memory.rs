//! What outlives a run: a place where an interface finds again who it was.
//!
//! A host that is given another hardware address at every start is a stranger to its network each time: DHCP servers run out
//! of leases, and its IPv6 addresses change. So a stack keeps a [`Record`] of each interface where the platform has a
//! [`Memory`]: [`Folder`] has one file for each, [`Volatile`] forgets at the end of the process.

mod folder;
mod volatile;

use std::io;

pub use folder::Folder;
pub use volatile::Volatile;

/// The most bytes that a [`Record`] has to hold. What interfaces store is far less; a record that is longer is not theirs.
pub const LONGEST: usize = 4096;

/// A place for records, each under the name of an interface.
///
/// Where two have the same memory, be they managers or processes, the same name must not make them the same host: a record
/// has one owner at a time. Who finds it taken has a hardware address of its own, and stores nothing.
///
/// No lock of a stack is held in any of these calls, and they may wait for a disk. They are few: an interface stores
/// something when it is mounted for the first time, and when it is lent another address or gives it back.
pub trait Memory: Send + Sync {
    /// Takes the record of a name, whether anything was stored there or not, until it is dropped; `None` where somebody
    /// else has it.
    ///
    /// # Errors
    /// What the place fails with. The interface then does without.
    fn open(&self, name: &str) -> io::Result<Option<Box<dyn Record>>>;
}

/// What is stored of one interface, in the hands of its owner.
///
/// The bytes have a key in them that identifiers of IPv6 addresses are made with: others should not read them.
pub trait Record: Send {
    /// What was stored last, in whichever run; `None` where nothing ever was.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where there are more than [`LONGEST`] bytes, which need not be read; what the place
    /// fails with.
    fn load(&mut self) -> io::Result<Option<Vec<u8>>>;

    /// Stores these bytes in the place of those of before: a run that ends in between leaves the one or the other.
    ///
    /// # Errors
    /// What the place fails with. What was stored before is still there then.
    fn store(&mut self, bytes: &[u8]) -> io::Result<()>;
}
