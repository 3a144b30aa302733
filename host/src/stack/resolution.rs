//! Connections that wait for a next hop's hardware address.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use hashbrown::HashMap;
use smallvec::SmallVec;
use xila_network_engine::tcp::Cause;

use super::Core;
use super::neighbours::{RETRANSMIT, SOLICITATIONS};
use super::tcp::FlowId;
use crate::platform::Instant;

/// The next hops that are waited for, and who waits. Only who waits for a hop is woken when it answers.
#[derive(Debug, Default)]
pub(super) struct Resolution {
    hops: HashMap<IpAddr, Waiting>,
    /// When each is asked again. All are asked at the same pace, so the first is the earliest.
    order: VecDeque<(Instant, IpAddr)>,
}

/// Those who wait for one hop, and since when.
type Waiting = SmallVec<[(FlowId, Instant); 2]>;

/// How long a next hop may leave questions unanswered before a connection that is being made to it fails, as on Linux.
const RESOLUTION: Duration = RETRANSMIT.saturating_mul(SOLICITATIONS as u32);

impl Resolution {
    /// Adds a connection to those who wait; whether it is the first.
    fn wait(&mut self, hop: IpAddr, id: FlowId, now: Instant) -> bool {
        let waiting = self.hops.entry(hop).or_default();
        let first = waiting.is_empty();
        if !waiting.iter().any(|(known, _)| *known == id) {
            waiting.push((id, now));
        }
        if first {
            self.order.push_back((now + RETRANSMIT, hop));
        }
        first
    }

    /// A host has answered: who waited for it.
    fn found(&mut self, hop: IpAddr) -> Waiting {
        self.hops.remove(&hop).unwrap_or_default()
    }

    /// A hop that is to be asked again by now.
    fn due(&mut self, now: Instant) -> Option<IpAddr> {
        while let Some((at, hop)) = self.order.front().copied() {
            if at > now {
                return None;
            }
            self.order.pop_front();
            if self.hops.contains_key(&hop) {
                return Some(hop);
            }
        }
        None
    }

    /// When a hop is to be asked again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.front().map(|(at, _)| *at)
    }
}

impl Core {
    /// A connection waits for a next hop, which is asked for its hardware address.
    pub(super) fn wait_for(&mut self, hop: IpAddr, id: FlowId) {
        let now = self.now;
        if self.resolution.wait(hop, id, now) {
            self.solicit_hop(hop);
        }
    }

    /// A next hop's hardware address has become known.
    pub(super) fn hop_found(&mut self, hop: IpAddr) {
        self.tcp_resume_answers();
        let waiting = self.resolution.found(hop);
        if !waiting.is_empty() {
            self.tcp_resume(waiting.into_iter().map(|(id, _)| id));
        }
    }

    /// The link is up again: hops may answer that did not, and are asked at once.
    pub(super) fn resolution_restart(&mut self) {
        let waiting = core::mem::take(&mut self.resolution).hops;
        self.tcp_resume(waiting.into_values().flatten().map(|(id, _)| id));
    }

    /// Asks again. A connection that is being made fails after as many questions as RFC 4861 has; one that is established
    /// has its own time.
    pub(super) fn resolution_expire(&mut self) {
        let now = self.now;
        while let Some(hop) = self.resolution.due(now) {
            let waiting = self.resolution.found(hop);
            let late = |since: Instant| now - since >= RESOLUTION;
            for (id, _) in waiting.iter().filter(|(_, since)| late(*since)) {
                self.tcp_fail_connecting(*id, Cause::Unreachable);
            }
            let left: Waiting = waiting.into_iter().filter(|(id, _)| self.tcp.waits(*id)).collect();
            if !left.is_empty() {
                self.resolution.hops.insert(hop, left);
                self.resolution.order.push_back((now + RETRANSMIT, hop));
                self.solicit_hop(hop);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use xila_network_engine::slots::Slots;
    use xila_network_engine::tcp::ConnectionId;

    use super::*;

    #[test]
    fn only_who_waits_for_a_hop_is_told_of_it() {
        let (mut resolution, mut slots) = (Resolution::default(), Slots::default());
        let [one, other] = [(); 2].map(|()| ConnectionId(slots.insert(())));
        let hops: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        assert!(resolution.wait(hops[0], one, Instant::ORIGIN));
        assert!(!resolution.wait(hops[0], one, Instant::ORIGIN));
        assert!(resolution.wait(hops[1], other, Instant::ORIGIN));
        assert_eq!(resolution.found(hops[1])[..], [(other, Instant::ORIGIN)]);
        assert_eq!(resolution.found(hops[1])[..], []);
        let due = Instant::ORIGIN + Duration::from_secs(1);
        assert_eq!((resolution.next(), resolution.due(due), resolution.due(due)), (Some(due), Some(hops[0]), None));
    }
}
