//! Which large packets were sent lately, so that a router's word about one can be believed or not.

use crate::stack::demux::Tuple;

/// Packets are large that some path may not take whole: no path is narrower than this, IP header included.
pub(super) const LARGE: usize = 552;
/// How many pairs of ends are remembered.
const MOST: usize = 32;

/// What a packet without a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) enum Protocol {
    /// A datagram.
    Udp,
    /// An echo request, whose identifier stands for a port and whose remote port is 0.
    Echo,
}

/// The ends of the last large packets: a ring, without memory of its own.
#[derive(Debug, Default)]
pub(super) struct Recent {
    ends: [Option<(Protocol, Tuple)>; MOST],
    last: usize,
}

impl Recent {
    /// Notes that a large packet was sent.
    pub(super) fn note(&mut self, protocol: Protocol, tuple: Tuple) {
        let ends = Some((protocol, tuple));
        // Most packets go where the last one went.
        if self.ends[self.last] != ends && !self.ends.contains(&ends) {
            self.last = (self.last + 1) % MOST;
            self.ends[self.last] = ends;
        }
    }

    pub(super) fn has(&self, protocol: Protocol, tuple: &Tuple) -> bool {
        self.ends.contains(&Some((protocol, *tuple)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ends_are_remembered() {
        let mut recent = Recent::default();
        let to = |port| Tuple::new(([10, 0, 0, 1], 7).into(), ([10, 0, 0, 2], port).into());
        for port in 0..100 {
            recent.note(Protocol::Udp, to(port));
            recent.note(Protocol::Udp, to(port));
        }
        assert!((68..100).all(|port| recent.has(Protocol::Udp, &to(port))));
        assert!(!recent.has(Protocol::Udp, &to(67)) && !recent.has(Protocol::Echo, &to(99)));
    }
}
