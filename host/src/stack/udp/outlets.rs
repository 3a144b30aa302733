//! Datagrams that wait for their socket's turn to send, and the tasks that wait for room in these queues.
//!
//! A datagram that the device does not take at once is queued here. If its sender waited in a task for the device
//! instead, other senders would have filled the device before that task runs. When the socket is dropped, its datagrams
//! are discarded, some of them [after a while](super::Operations::close).

use core::sync::atomic::{AtomicU64, Ordering};
use core::task::Waker;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::Outgoing;
use crate::platform::Instant;
use crate::stack::owner::Owner;
use crate::stack::{Shared, Stack};
use crate::waiters::{Waiters, Wakes};

/// A socket as the sender of datagrams. It must not be dropped under a stack's lock, which it takes then.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) owner: Owner,
    pub(crate) number: OutletNumber,
    /// The stacks where datagrams of the socket may wait. This lock is taken inside a stack's lock.
    stacks: Mutex<Vec<Weak<Shared>>>,
}

/// A number that identifies an [`Outlet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OutletNumber(u64);

impl Outlet {
    /// The outlet of a new socket.
    pub(crate) fn new(owner: Owner) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { owner, number: OutletNumber(NEXT.fetch_add(1, Ordering::Relaxed)), stacks: Mutex::default() }
    }

    /// Notes that a datagram of the socket waits on a stack.
    pub(super) fn waits_on(&self, stack: &Stack) {
        let mut stacks = self.stacks.lock();
        if !stacks.iter().any(|known| known.as_ptr() == Arc::as_ptr(&stack.0)) {
            stacks.retain(|known| known.strong_count() > 0);
            stacks.push(Arc::downgrade(&stack.0));
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        for stack in core::mem::take(self.stacks.get_mut()).iter().filter_map(Weak::upgrade) {
            Stack(stack).with_mut(|core| core.udp().close(self));
        }
    }
}

/// While fewer bytes of a socket wait, it may add a datagram: so it has a few small datagrams waiting, or one of any
/// size.
const MOST_OF_SOCKET: usize = 4096;
/// The same limit for all sockets of one owner together, since owners are not charged for these bytes.
const MOST_OF_OWNER: usize = 1 << 20;
/// The approximate number of bytes that a datagram takes beside its payload.
const OVERHEAD: usize = 64;

/// The sockets that have datagrams waiting, on one stack.
#[derive(Default)]
pub(super) struct Outlets {
    queues: HashMap<OutletNumber, Held>,
    shares: HashMap<Owner, Share>,
    /// The dropped sockets whose datagrams may still leave, and until when. The first ends first.
    lingering: VecDeque<(Instant, OutletNumber)>,
}

struct Held {
    owner: Owner,
    datagrams: VecDeque<Outgoing<Vec<u8>>>,
    bytes: usize,
    waiters: Waiters,
}

#[derive(Default)]
struct Share {
    bytes: usize,
    waiters: Waiters,
}

impl Held {
    const fn new(owner: Owner) -> Self {
        Self { owner, datagrams: VecDeque::new(), bytes: 0, waiters: Waiters::new() }
    }
}

impl Outlets {
    /// Whether a socket may add a datagram. If not, `waker` is woken when it may.
    pub(super) fn has_room(&mut self, outlet: &Outlet, waker: Option<&Waker>) -> bool {
        let waiters = match (self.queues.get_mut(&outlet.number), self.shares.get_mut(&outlet.owner)) {
            (Some(held), _) if held.bytes >= MOST_OF_SOCKET => &mut held.waiters,
            (_, Some(share)) if share.bytes >= MOST_OF_OWNER => &mut share.waiters,
            _ => return true,
        };
        if let Some(waker) = waker {
            waiters.register(waker);
        }
        false
    }

    /// Adds a datagram. Returns true if it is the only one of the socket.
    pub(super) fn push(&mut self, outlet: &Outlet, datagram: Outgoing<Vec<u8>>) -> bool {
        let held = self.queues.entry(outlet.number).or_insert_with(|| Held::new(outlet.owner.clone()));
        let bytes = datagram.payload.len() + OVERHEAD;
        held.bytes += bytes;
        self.shares.entry_ref(&outlet.owner).or_default().bytes += bytes;
        held.datagrams.push_back(datagram);
        held.datagrams.len() == 1
    }

    /// The owner of a socket that has datagrams waiting.
    pub(super) fn owner(&self, outlet: OutletNumber) -> Option<Owner> {
        self.queues.get(&outlet).map(|held| held.owner.clone())
    }

    /// Takes a socket's oldest datagram.
    pub(super) fn take(&mut self, outlet: OutletNumber) -> Option<Outgoing<Vec<u8>>> {
        self.queues.get_mut(&outlet)?.datagrams.pop_front()
    }

    /// Puts back a datagram that was [taken](Self::take) and could not be sent.
    pub(super) fn put_back(&mut self, outlet: OutletNumber, datagram: Outgoing<Vec<u8>>) {
        if let Some(held) = self.queues.get_mut(&outlet) {
            held.datagrams.push_front(datagram);
        }
    }

    /// Releases the room of a datagram that was [taken](Self::take). Returns true if no datagram of the socket is left.
    pub(super) fn release(&mut self, outlet: OutletNumber, payload: usize, wakes: &mut Wakes) -> bool {
        let bytes = payload + OVERHEAD;
        let Some(held) = self.queues.get_mut(&outlet) else { return true };
        if let Some(share) = self.shares.get_mut(&held.owner) {
            share.bytes -= bytes;
            if share.bytes < MOST_OF_OWNER {
                share.waiters.take(wakes);
            }
            if share.bytes == 0 {
                self.shares.remove(&held.owner);
            }
        }
        held.bytes -= bytes;
        if held.bytes < MOST_OF_SOCKET {
            held.waiters.take(wakes);
        }
        let empty = held.datagrams.is_empty();
        if empty {
            self.queues.remove(&outlet);
        }
        empty
    }

    /// Lets the datagrams of a dropped socket wait until a time, which is not before that of any other.
    pub(super) fn linger(&mut self, outlet: OutletNumber, until: Instant) {
        if self.queues.contains_key(&outlet) {
            self.lingering.push_back((until, outlet));
        }
    }

    /// The time at which the datagrams of the next dropped socket must be discarded, if any are left.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.lingering.front().map(|(until, _)| *until)
    }

    /// Takes the next dropped socket whose time is over.
    pub(super) fn next_overdue(&mut self, now: Instant) -> Option<OutletNumber> {
        self.lingering.pop_front_if(|(until, _)| *until <= now).map(|(_, outlet)| outlet)
    }

    /// Wakes every task that waits for room.
    pub(super) fn wake_all(&mut self, wakes: &mut Wakes) {
        self.queues.values_mut().for_each(|held| held.waiters.take(wakes));
        self.shares.values_mut().for_each(|share| share.waiters.take(wakes));
    }
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use super::super::Kind;
    use super::*;
    use crate::policy::Rates;

    fn datagram(length: usize) -> Outgoing<Vec<u8>> {
        let remote = SocketAddr::new([10, 0, 0, 1].into(), 9);
        Outgoing {
            kind: Kind::Datagram,
            payload: vec![0; length],
            port: 1,
            source: remote.ip(),
            remote,
            hop_limit: 1,
            broadcast: false,
            whole: false,
            loops_back: false,
            drops_if_crowded: false,
        }
    }

    #[test]
    fn a_socket_holds_a_few_small_datagrams_or_one_large_one() {
        let mut outlets = Outlets::default();
        let [small, large] = [(); 2].map(|()| Outlet::new(Owner::HOST));
        let mut count = 0;
        while outlets.has_room(&small, None) {
            assert_eq!(outlets.push(&small, datagram(1000)), count == 0);
            count += 1;
        }
        assert_eq!(count, 4);
        assert!(outlets.has_room(&large, None), "another socket has its own room");
        outlets.push(&large, datagram(65_507));
        assert!(!outlets.has_room(&large, None));
        let mut wakes = Wakes::new();
        for left in (0..4).rev() {
            assert!(outlets.take(small.number).is_some());
            assert_eq!(outlets.release(small.number, 1000, &mut wakes), left == 0);
            assert!(outlets.has_room(&small, None));
        }
        assert!(outlets.take(large.number).is_some());
        assert!(outlets.release(large.number, 65_507, &mut wakes));
        assert!(outlets.queues.is_empty() && outlets.shares.is_empty());
    }

    #[test]
    fn the_limit_of_an_owner_with_many_sockets_does_not_affect_others() {
        let mut outlets = Outlets::default();
        let [guest, other] = [(); 2].map(|()| Owner::guest(Rates::UNLIMITED, ""));
        let mut sockets = Vec::new();
        loop {
            let outlet = Outlet::new(guest.clone());
            if !outlets.has_room(&outlet, None) {
                break;
            }
            outlets.push(&outlet, datagram(60_000));
            sockets.push(outlet);
        }
        assert!(sockets.len() < 20);
        assert!(outlets.has_room(&Outlet::new(other), None));
        outlets.take(sockets[0].number);
        outlets.release(sockets[0].number, 60_000, &mut Wakes::new());
        assert!(outlets.has_room(&Outlet::new(guest), None));
    }
}
