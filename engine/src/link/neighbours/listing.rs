//! What others may ask about neighbours.

use core::net::IpAddr;
use core::time::Duration;

use smoltcp::wire::EthernetAddress;

/// Whether a neighbour is reachable, as the choice of a router asks (RFC 4861 section 6.3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// Nothing is known.
    Unknown,
    /// It is being asked for.
    Incomplete,
    /// It is reachable, or was, and nothing says that it no longer is.
    Probable,
    /// It did not answer in the last half minute.
    Failed,
}

/// The states that a listing shows (`ip neigh`): those of RFC 4861 section 7.3.2, and two more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being asked for.
    Incomplete,
    /// It was confirmed within the reachable time.
    Reachable,
    /// Its address is known, and nothing goes there.
    Stale,
    /// Packets go there, and a confirmation is waited for.
    Delay,
    /// It is being probed.
    Probe,
    /// It did not answer, or had to give way before it could.
    Failed,
    /// It was configured.
    Permanent,
}

/// What a listing shows of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub hop: IpAddr,
    /// Its hardware address, where it is known.
    pub hardware: Option<EthernetAddress>,
    /// Its state.
    pub state: State,
    /// Whether it is known to be a router.
    pub is_router: bool,
    /// How long ago it was confirmed that packets reach it, where that ever was.
    pub confirmed: Option<Duration>,
    /// How much waits for it.
    pub waiting: usize,
}
