//! The errors of interfaces and their manager.

use super::Error;

operation_error! {
    /// The cause why an interface was not changed: by the methods of [`Interface`](crate::Interface) that set, add and
    /// remove.
    pub enum ConfigureError {
        /// The interface is unmounted \[ENODEV\].
        #[error("the interface is unmounted")]
        NotFound,
        /// The MTU is less than 1280 or more than the device's; or no host can have the address of an address or
        /// server; or the route is invalid \[EINVAL\].
        #[error("no interface can be configured like this")]
        InvalidArgument,
        /// The medium has no hardware addresses, DHCP or autoconfiguration: it is not Ethernet \[EOPNOTSUPP\].
        #[error("the medium of the interface does not support this")]
        NotSupported,
        /// The interface already has the address or server that is to be added \[EADDRINUSE\].
        #[error("the interface has this address already")]
        AddressInUse,
        /// The interface does not have the address or server that is to be removed \[EADDRNOTAVAIL\].
        #[error("the interface does not have this address")]
        AddressNotAvailable,
        /// The interface does not have the route that is to be removed \[ENETUNREACH\].
        #[error("the interface does not have this route")]
        RemoteUnreachable,
        /// The interface has the maximum number of addresses, routes or servers \[ENOSPC\].
        #[error("the interface has as many of these as it may have")]
        NoFreeSlot,
        /// The interface ended while it was being changed \[ENETDOWN\].
        #[error("the interface ended while it was being changed")]
        NetworkDown,
    }
}

sole_cause! {
    /// There is no interface with that name, or not any more \[ENODEV\].
    #[error("no such interface")]
    pub struct InterfaceNotFound: NotFound of ConfigureError;
}

sole_cause! {
    /// The range of ports is empty or includes port 0 \[EINVAL\].
    #[error("the range of ports has none, or has port 0")]
    pub struct InvalidPortRange: InvalidArgument of;
}

/// The cause why an interface was not mounted: by [`Manager::mount_interface`](crate::Manager::mount_interface).
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// The name is not 1 to 15 characters of `a-z 0-9 _ -` \[EINVAL\].
    #[error("invalid interface name {0:?}: it takes 1 to 15 of a-z, 0-9, _ and -")]
    InvalidIdentifier(String),
    /// An interface with that name exists \[EEXIST\].
    #[error("an interface named {0:?} is mounted already")]
    DuplicateIdentifier(String),
    /// The device is not usable for a stack, or the node cannot be made, with the cause as text \[EIO\].
    #[error("the device cannot be mounted: {0}")]
    FailedToMountDevice(String),
    /// The configuration cannot be applied.
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
