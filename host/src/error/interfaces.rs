//! What interfaces and their manager fail with.

use super::Error;

operation_error! {
    /// Why an interface is not changed: the methods of [`Interface`](crate::Interface) that set, add and remove.
    pub enum ConfigureError {
        /// The interface is unmounted \[ENODEV\].
        #[error("the interface is unmounted")]
        NotFound,
        /// The MTU is less than 1280 or more than the device takes; no host can have the address, or be the server; no packet
        /// can take the route \[EINVAL\].
        #[error("no interface can be configured like this")]
        InvalidArgument,
        /// The medium has no hardware addresses, DHCP or autoconfiguration: it is not Ethernet \[EOPNOTSUPP\].
        #[error("the medium of the interface does not support this")]
        NotSupported,
        /// The address or server that is added is there already \[EADDRINUSE\].
        #[error("the interface has this address already")]
        AddressInUse,
        /// The address or server that is removed is not there \[EADDRNOTAVAIL\].
        #[error("the interface does not have this address")]
        AddressNotAvailable,
        /// The route that is removed is not there \[ENETUNREACH\].
        #[error("the interface does not have this route")]
        RemoteUnreachable,
        /// The interface has as many addresses, routes or servers as it may have \[ENOSPC\].
        #[error("the interface has as many of these as it may have")]
        NoFreeSlot,
        /// The interface ended while it was being changed \[ENETDOWN\].
        #[error("the interface ended while it was being changed")]
        NetworkDown,
    }
}

sole_cause! {
    /// There is no interface of that name, or not any more \[ENODEV\].
    #[error("no such interface")]
    pub struct InterfaceNotFound: NotFound of ConfigureError;
}

sole_cause! {
    /// The range of ports has none, or has port 0 \[EINVAL\].
    #[error("the range of ports has none, or has port 0")]
    pub struct InvalidPortRange: InvalidArgument of;
}

/// Why an interface is not mounted: [`Manager::mount_interface`](crate::Manager::mount_interface).
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// A name that is not 1 to 15 of `a-z 0-9 _ -` \[EINVAL\].
    #[error("invalid interface name {0:?}: it takes 1 to 15 of a-z, 0-9, _ and -")]
    InvalidIdentifier(String),
    /// An interface of that name exists \[EEXIST\].
    #[error("an interface named {0:?} is mounted already")]
    DuplicateIdentifier(String),
    /// The device cannot carry a stack, or its node cannot be made; the cause in words \[EIO\].
    #[error("the device cannot be mounted: {0}")]
    FailedToMountDevice(String),
    /// The interface cannot be what its configuration says.
    #[error(transparent)]
    Configure(#[from] ConfigureError),
}

impl From<MountError> for Error {
    fn from(error: MountError) -> Self {
        match error {
            MountError::InvalidIdentifier(name) => Self::InvalidIdentifier(name),
            MountError::DuplicateIdentifier(name) => Self::DuplicateIdentifier(name),
            MountError::FailedToMountDevice(reason) => Self::FailedToMountDevice(reason),
            MountError::Configure(error) => error.into(),
        }
    }
}

becomes_io_error!(MountError);

/// The process has a manager already \[EEXIST\].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the process has a manager already")]
pub struct AlreadyInitialized;

impl From<AlreadyInitialized> for Error {
    fn from(AlreadyInitialized: AlreadyInitialized) -> Self {
        Self::DuplicateIdentifier("manager".into())
    }
}

becomes_io_error!(AlreadyInitialized);
