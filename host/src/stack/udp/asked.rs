//! The interface and the local address by which each recent peer has sent to a socket, so that answers leave the same
//! way.
//!
//! A socket that is bound to the unspecified address has no source address of its own. The address that the routes
//! choose may differ from the address that the peer has sent to, and a link-local peer is reachable on one link only.

use core::net::{IpAddr, SocketAddr};

use xila_network_engine::udp::queue::Datagram;

/// The number of peers that are remembered. A further peer replaces another, whose answers then leave by the routes.
const PLACES: usize = 64;

/// The peers that have sent recently. Nothing is allocated before the first.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    places: Option<Box<[Option<Peer>; PLACES]>>,
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    remote: SocketAddr,
    way: Way,
}

/// A way back to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// The number of the interface on which the peer's datagram arrived.
    pub(crate) interface: u32,
    /// The local address that the peer has sent to; `None` if it was a multicast or broadcast address.
    pub(crate) address: Option<IpAddr>,
}

impl Asked {
    /// Notes the way of a datagram that has arrived. `is_for_many` says whether it was sent to a multicast or broadcast
    /// address.
    pub(crate) fn note(&mut self, datagram: &Datagram, is_for_many: bool) {
        let address = (!is_for_many).then_some(datagram.local.ip());
        let way = Way { interface: datagram.interface, address };
        let place = place(datagram.remote);
        let places = self.places.get_or_insert_with(|| Box::new([None; PLACES]));
        places[place] = Some(Peer { remote: datagram.remote, way });
    }

    /// The way back to a peer, if it is remembered.
    pub(crate) fn by(&self, remote: SocketAddr) -> Option<Way> {
        let peer = self.places.as_ref()?[place(remote)]?;
        (peer.remote == remote).then_some(peer.way)
    }
}

/// The index of a peer's place. An attacker that displaces another peer on purpose gains nothing: the answers to that
/// peer leave by the routes, as they would without this table.
fn place(remote: SocketAddr) -> usize {
    let bits = match remote.ip() {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64 ^ address.to_bits() as u64,
    };
    let mixed = (bits ^ u64::from(remote.port()) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use xila_network_engine::udp::queue::Content;
    use xila_network_engine::wire::Ecn;

    use super::*;

    fn datagram(remote: u16, interface: u32) -> Datagram {
        Datagram {
            content: Content::Owned(Vec::new()),
            remote: ([10, 0, 0, 9], remote).into(),
            local: ([10, 0, 0, 1], 53).into(),
            interface,
            hop_limit: 64,
            ecn: Ecn::default(),
        }
    }

    #[test]
    fn the_latest_way_of_each_peer_is_remembered() {
        let mut asked = Asked::default();
        assert_eq!(asked.by(datagram(1, 0).remote), None);
        asked.note(&datagram(1, 7), false);
        asked.note(&datagram(1, 8), false);
        let address = Some([10, 0, 0, 1].into());
        assert_eq!(asked.by(datagram(1, 0).remote), Some(Way { interface: 8, address }));
        assert_eq!(asked.by(datagram(2, 0).remote), None);
        asked.note(&datagram(1, 9), true);
        assert_eq!(asked.by(datagram(1, 0).remote), Some(Way { interface: 9, address: None }));
    }

    #[test]
    fn many_peers_do_not_make_the_table_larger() {
        let mut asked = Asked::default();
        for port in 0..5000 {
            asked.note(&datagram(port, 1), false);
            assert!(asked.by(datagram(port, 0).remote).is_some());
        }
        let known = (0..5000).filter(|port| asked.by(datagram(*port, 0).remote).is_some()).count();
        assert!((1..=PLACES).contains(&known));
    }
}
