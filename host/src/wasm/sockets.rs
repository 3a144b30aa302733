//! The sockets of `wasi:sockets`, in the parts that versions 0.2 and 0.3 of its WIT share.
//!
//! A socket of `wasi:sockets` is made first, and bound, connected or made a listener later, as in POSIX. Until then it
//! stores the options that were set. [`p2`](super::p2) and [`p3`](super::p3) look up such a socket, call it, and
//! convert values and errors. What only one of them has (the start and finish of operations in 0.2) is in that module.

mod addresses;
mod names;
mod tcp;
mod udp;

pub(super) use names::{NameError, resolve};
pub(super) use tcp::TcpSocket;
pub(super) use udp::{Bound, UdpSocket};

use std::net::{IpAddr, SocketAddr};

use crate::address::{Family, is_v4_mapped};
use crate::error::{BindError, Error, Result};
use crate::policy::{Charge, Quota, SocketKind};
use crate::socket::Network;
use crate::wasm::NetworkCtx;

/// The network that a socket is made on, and its charge to the guest's quota.
struct Account {
    network: Network,
    quota: Quota,
    charge: Charge,
}

impl Account {
    /// # Errors
    /// [`Error::AccessDenied`] for a guest without a network; [`Error::LimitReached`].
    fn open(ctx: &NetworkCtx, kind: SocketKind) -> Result<Self> {
        let network = ctx.network(None).map_err(|_none| Error::AccessDenied)?;
        let quota = ctx.quota().clone();
        let charge = quota.charge(kind, 0)?;
        Ok(Self { network, quota, charge })
    }
}

/// The unspecified address of a family, and port 0.
const fn any(family: Family) -> SocketAddr {
    match family {
        Family::V4 => SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0),
        Family::V6 => SocketAddr::new(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), 0),
    }
}

/// # Errors
/// [`Error::InvalidArgument`] for an address of another family, and for an IPv6 address that embeds an IPv4 address,
/// because no socket serves both families (WIT: IPV6_V6ONLY is always on).
fn check_family(address: SocketAddr, family: Family) -> Result<()> {
    let embedded = match address.ip() {
        IpAddr::V4(_) => false,
        // IPv4-compatible addresses, `::192.0.2.1`, are deprecated (RFC 4291 section 2.5.5.1).
        IpAddr::V6(v6) => is_v4_mapped(v6.into()) || matches!(v6.segments(), [0, 0, 0, 0, 0, 0, high, _] if high != 0),
    };
    if Family::of(address.ip()) == family && !embedded { Ok(()) } else { Err(Error::InvalidArgument) }
}

/// Converts the error of binding: without an interface, no address is available.
fn not_bindable(error: BindError) -> Error {
    if error == BindError::NotFound { Error::AddressNotAvailable } else { error.into() }
}

/// # Errors
/// [`Error::InvalidArgument`] for what cannot be a remote address: another family, an unspecified address, port 0.
fn check_remote(remote: SocketAddr, family: Family) -> Result<()> {
    check_family(remote, family)?;
    if remote.ip().is_unspecified() || remote.port() == 0 { Err(Error::InvalidArgument) } else { Ok(()) }
}
