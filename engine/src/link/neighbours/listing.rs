//! What other modules can ask about neighbours.

use core::net::IpAddr;
use core::time::Duration;

use smoltcp::wire::EthernetAddress;

/// The reachability of a neighbour, as router selection uses it (RFC 4861 section 6.3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// Nothing is known.
    Unknown,
    /// Address resolution is running.
    Incomplete,
    /// It is reachable, or was and has not failed since.
    Probable,
    /// It failed to answer within the last half minute.
    Failed,
}

/// The states in a listing (as of `ip neigh`): those of RFC 4861 section 7.3.2, and two more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Address resolution is running.
    Incomplete,
    /// It was confirmed within the reachable time.
    Reachable,
    /// Its hardware address is known, but not confirmed recently, and no packets are sent to it.
    Stale,
    /// Packets are sent to it, and a confirmation may still come.
    Delay,
    /// It is being probed.
    Probe,
    /// It did not answer, or its entry was displaced before it could.
    Failed,
    /// It is a static entry.
    Permanent,
}

/// A neighbour in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub hop: IpAddr,
    /// Its hardware address, if known.
    pub hardware: Option<EthernetAddress>,
    /// Its state.
    pub state: State,
    /// Whether it is known to be a router.
    pub is_router: bool,
    /// How long ago it was last confirmed that packets reach it; `None` if it never was.
    pub confirmed: Option<Duration>,
    /// The number of items that wait for it.
    pub waiting: usize,
}
