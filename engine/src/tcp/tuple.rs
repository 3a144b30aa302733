//! The ends of a connection.

use core::net::SocketAddr;

/// A connection's two ends, by which segments are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tuple {
    /// This host's end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
}

impl Tuple {
    /// The same connection as its peer sees it.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { local: self.remote, remote: self.local }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_sees_the_ends_the_other_way_round() {
        let (local, remote) = (([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], 50_000).into());
        let tuple = Tuple { local, remote };
        assert_eq!(tuple.reversed(), Tuple { local: remote, remote: local });
        assert_eq!(tuple.reversed().reversed(), tuple);
    }
}
