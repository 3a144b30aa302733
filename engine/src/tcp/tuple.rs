//! The ends of a connection.

use core::hash::{Hash, Hasher};
use core::net::{IpAddr, SocketAddr};

/// A connection's two ends, by which segments are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

impl Hash for Tuple {
    /// Every packet is looked up by its ends, so they are hashed in few and long words.
    fn hash<H: Hasher>(&self, state: &mut H) {
        for end in [&self.local, &self.remote] {
            match end.ip() {
                IpAddr::V4(address) => state.write_u64(u64::from(address.to_bits()) << 16 | u64::from(end.port())),
                IpAddr::V6(address) => {
                    let [high, low] = halves(address.to_bits());
                    state.write_u64(high);
                    state.write_u64(low);
                    state.write_u16(end.port());
                }
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "each half is cut to its bits")]
const fn halves(bits: u128) -> [u64; 2] {
    [(bits >> 64) as u64, bits as u64]
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
