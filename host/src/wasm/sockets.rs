//! The sockets of `wasi:sockets`, before a version of its WIT: what 0.2 and 0.3 say in the same words.
//!
//! A socket of `wasi:sockets` is made first and bound, connected or made a listener later, as in POSIX; until then it
//! keeps the options that it was given. [`p2`](super::p2) and [`p3`](super::p3) look such a socket up, call it, and convert
//! values and errors; what is special to one of them (0.2's begin and end of operations) is kept there.

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
use crate::policy::{Charge, Quota};
use crate::socket::Network;
use crate::wasm::NetworkCtx;

/// What a socket is made on, and its place in the guest's quota.
struct Account {
    network: Network,
    quota: Quota,
    charge: Charge,
}

impl Account {
    /// # Errors
    /// [`Error::AccessDenied`] for a guest without a network; [`Error::LimitReached`].
    fn open(ctx: &NetworkCtx) -> Result<Self> {
        let network = ctx.network(None).map_err(|_none| Error::AccessDenied)?;
        let quota = ctx.quota().clone();
        let charge = quota.charge(0)?;
        Ok(Self { network, quota, charge })
    }
}

/// Every address of a family, and any port.
const fn any(family: Family) -> SocketAddr {
    match family {
        Family::V4 => SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0),
        Family::V6 => SocketAddr::new(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), 0),
    }
}

/// # Errors
/// [`Error::InvalidArgument`] for an address of another family. Those that stand for IPv4 addresses in IPv6 are of none:
/// no socket serves both (WIT: IPV6_V6ONLY is always on).
fn check_family(address: SocketAddr, family: Family) -> Result<()> {
    let embedded = match address.ip() {
        IpAddr::V4(_) => false,
        // IPv4-compatible addresses, `::192.0.2.1`, are deprecated (RFC 4291 section 2.5.5.1).
        IpAddr::V6(v6) => is_v4_mapped(v6.into()) || matches!(v6.segments(), [0, 0, 0, 0, 0, 0, high, _] if high != 0),
    };
    if Family::of(address.ip()) == family && !embedded { Ok(()) } else { Err(Error::InvalidArgument) }
}

/// Where there is no interface, there is no address to bind to.
fn not_bindable(error: BindError) -> Error {
    if error == BindError::NotFound { Error::AddressNotAvailable } else { error.into() }
}

/// # Errors
/// [`Error::InvalidArgument`] for what is nobody's address: another family, an unspecified address, port 0.
fn check_remote(remote: SocketAddr, family: Family) -> Result<()> {
    check_family(remote, family)?;
    if remote.ip().is_unspecified() || remote.port() == 0 { Err(Error::InvalidArgument) } else { Ok(()) }
}
