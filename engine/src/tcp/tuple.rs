//! The two ends of a connection, as a key of tables.

use core::hash::{Hash, Hasher};
use core::net::{IpAddr, SocketAddr, SocketAddrV6};

/// An address and a port, as a key of a table. Every packet is looked up by one or two of them, so they are hashed as
/// few long words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
}

impl Hash for End {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.address {
            IpAddr::V4(address) => state.write_u64(u64::from(address.to_bits()) << 16 | u64::from(self.port)),
            IpAddr::V6(address) => {
                let [high, low] = halves(address.to_bits());
                state.write_u64(high);
                state.write_u64(low);
                state.write_u16(self.port);
            }
        }
    }
}

/// The two ends of a connection, which identify it: the addresses, their scopes and the ports. The flow label is not
/// part of an end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tuple {
    // These are not two `SocketAddr`s, which are a third larger: every connection has a tuple, and every packet is
    // looked up by one.
    local: IpAddr,
    remote: IpAddr,
    local_port: u16,
    remote_port: u16,
    local_scope: u32,
    remote_scope: u32,
}

impl Tuple {
    /// The pair of this host's end and the peer's.
    #[must_use]
    pub const fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            local: local.ip(),
            remote: remote.ip(),
            local_port: local.port(),
            remote_port: remote.port(),
            local_scope: scope(local),
            remote_scope: scope(remote),
        }
    }

    /// This host's end.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        end(self.local, self.local_port, self.local_scope)
    }

    /// The peer's end.
    #[must_use]
    pub const fn remote(&self) -> SocketAddr {
        end(self.remote, self.remote_port, self.remote_scope)
    }

    /// The tuple of the same connection at the peer.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self::new(self.remote(), self.local())
    }
}

const fn scope(end: SocketAddr) -> u32 {
    match end {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(end) => end.scope_id(),
    }
}

const fn end(address: IpAddr, port: u16, scope: u32) -> SocketAddr {
    match address {
        IpAddr::V4(_) => SocketAddr::new(address, port),
        IpAddr::V6(address) => SocketAddr::V6(SocketAddrV6::new(address, port, 0, scope)),
    }
}

impl core::fmt::Debug for Tuple {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Tuple").field("local", &self.local()).field("remote", &self.remote()).finish()
    }
}

impl Hash for Tuple {
    /// The scope is left out of the hash. Ends that differ only in their scope are rare, so collisions between them do
    /// no harm.
    fn hash<H: Hasher>(&self, state: &mut H) {
        End { address: self.local, port: self.local_port }.hash(state);
        End { address: self.remote, port: self.remote_port }.hash(state);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "each half is cut to its bits")]
const fn halves(bits: u128) -> [u64; 2] {
    [(bits >> 64) as u64, bits as u64]
}

#[cfg(test)]
mod tests {
    use core::net::Ipv6Addr;

    use super::*;

    #[test]
    fn a_tuple_returns_the_ends_that_it_was_made_of() {
        let v6 = |last, scope| {
            SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last), 80, 0, scope))
        };
        for (local, remote) in
            [(SocketAddr::from(([10, 0, 0, 1], 80)), SocketAddr::from(([10, 0, 0, 2], 50_000))), (v6(1, 3), v6(2, 7))]
        {
            let tuple = Tuple::new(local, remote);
            assert_eq!((tuple.local(), tuple.remote()), (local, remote));
            assert_eq!(tuple.reversed(), Tuple::new(remote, local), "the peer sees them the other way round");
            assert_eq!(tuple.reversed().reversed(), tuple);
        }
        assert_ne!(Tuple::new(v6(1, 3), v6(2, 7)), Tuple::new(v6(1, 3), v6(2, 8)));
    }
}
