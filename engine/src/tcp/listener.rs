//! Bound sockets and listeners: which local addresses and ports are in use, the accept queues, and the limits on
//! handshakes.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use hashbrown::HashMap;

use super::options::Options;
use super::{BindError, ConnectionId, ListenerId, Tuple};
use crate::ports::{Owner, PortLimits, Ports, size};
use crate::random::Secret;
use crate::slots::Slots;
use crate::time::Instant;

/// The number of connections that may wait to be accepted: the backlog. A listener that listens on several interfaces
/// has one number for all of them: clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Places(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    taken: AtomicUsize,
    limit: AtomicUsize,
}

impl Places {
    /// A backlog of `limit` places.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Count { taken: AtomicUsize::new(0), limit: AtomicUsize::new(limit) }))
    }

    /// The size of the backlog.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// Changes the size of the backlog. Connections that wait already keep their places.
    pub fn set_limit(&self, limit: usize) {
        self.0.limit.store(limit, Ordering::Relaxed);
    }

    /// The number of free places.
    #[must_use]
    pub fn left(&self) -> usize {
        self.limit().saturating_sub(self.0.taken.load(Ordering::Relaxed))
    }

    /// Takes a place, even if none is free.
    fn take(&self) {
        self.0.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives places back.
    fn give_back(&self, count: usize) {
        self.0.taken.fetch_sub(count, Ordering::Relaxed);
    }
}

/// Decides whether a listener hears of a peer, by the two ends as this host sees them. It must not wait.
pub type Filter = Arc<dyn Fn(&Tuple) -> bool + Send + Sync>;

/// A socket that is bound to a local address and port.
pub(super) struct Listener {
    local: SocketAddr,
    owner: Owner,
    listening: Option<Listening>,
}

/// The state of a listener.
pub(super) struct Listening {
    /// The options of new connections, which share them until they are configured.
    pub(super) options: Arc<Options>,
    places: Places,
    ready: VecDeque<ConnectionId>,
    /// The number of handshakes under way.
    half_open: usize,
    /// Since when handshakes have reached their limit.
    crowded: Option<Instant>,
    /// Which peers may connect; without a filter, all.
    filter: Option<Filter>,
}

/// How long handshakes may be at their limit before this is taken for a SYN flood. Genuine peers complete their
/// handshakes within a round-trip time. It is better not to answer the SYNs of others in the meantime, so that they are
/// repeated, than to admit them without a place.
const CROWD: Duration = Duration::from_millis(500);

/// What is done about a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The SYN begins a handshake.
    Admitted,
    /// The SYN is answered with a cookie.
    Cookie,
    /// The SYN is dropped.
    Dropped,
}

impl Listening {
    /// Decides about a SYN. No more handshakes may be under way than connections could be accepted. `room` says whether
    /// the interface has room for another handshake.
    pub(super) fn admit(&mut self, room: bool, now: Instant) -> Admission {
        let left = self.places.left();
        if left == 0 {
            return Admission::Dropped;
        }
        if self.admits_now(room) {
            // The attack is over only when half of the handshakes are gone: while one place after the other becomes
            // free, it is still the same attack.
            if self.half_open * 2 < left {
                self.crowded = None;
            }
            return Admission::Admitted;
        }
        let since = *self.crowded.get_or_insert(now);
        if room && now - since < CROWD { Admission::Dropped } else { Admission::Cookie }
    }

    /// Lets connections come only from peers that pass the filter.
    pub(super) fn set_filter(&mut self, filter: Option<Filter>) {
        self.filter = filter;
    }

    /// Whether the listener hears of a peer.
    pub(super) fn hears(&self, tuple: &Tuple) -> bool {
        self.filter.as_ref().is_none_or(|passes| passes(tuple))
    }

    /// Whether a SYN begins a handshake now, and is neither dropped nor answered with a cookie.
    pub(super) fn admits_now(&self, room: bool) -> bool {
        room && self.half_open < self.places.left()
    }

    /// Counts a handshake that has begun.
    pub(super) const fn begin(&mut self) {
        self.half_open += 1;
    }

    /// Counts a handshake that has ended, whether it succeeded or not.
    pub(super) const fn end(&mut self) {
        self.half_open = self.half_open.saturating_sub(1);
    }

    /// The number of handshakes under way.
    pub(super) const fn half_open(&self) -> usize {
        self.half_open
    }

    /// Whether a connection can be queued.
    pub(super) fn has_room(&self) -> bool {
        self.places.left() > 0
    }

    /// Adds a connection to the accept queue. A handshake that was admitted has been promised a place, so its
    /// connection is queued even if a connection that came by a cookie has taken that place. Thus at most twice as many
    /// connections wait as there are places.
    pub(super) fn queue(&mut self, id: ConnectionId) {
        self.places.take();
        self.ready.push_back(id);
    }

    fn take(&mut self) -> Option<ConnectionId> {
        let id = self.ready.pop_front()?;
        self.places.give_back(1);
        Some(id)
    }

    fn forget(&mut self, id: ConnectionId) {
        let before = self.ready.len();
        self.ready.retain(|known| *known != id);
        self.places.give_back(before - self.ready.len());
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.places.give_back(self.ready.len());
    }
}

/// The listeners of one interface, by address and port. `0.0.0.0` covers IPv4 only and `::` IPv6 only: no socket serves
/// both families (as in wasi:sockets).
pub(super) struct Listeners {
    listeners: Slots<Listener>,
    by_address: HashMap<SocketAddr, ListenerId, Secret>,
    v4: Ports,
    v6: Ports,
}

/// The limits of bound sockets. To a quarter of the ephemeral ports guests may bind sockets; to the others none, so that
/// bound sockets do not take the ports of [connections](super::destinations).
pub(super) fn limits_of_bound(ports: &PortLimits) -> PortLimits {
    let size = size(&ports.range);
    PortLimits { reserve: size - size.div_ceil(4), ..ports.clone() }
}

/// The port of a listener for all ports that no other socket is bound to. No segment has it: it is reserved (RFC 6335
/// section 6).
const EVERY_PORT: u16 = 0;

const fn wildcard(local: SocketAddr) -> SocketAddr {
    match local {
        SocketAddr::V4(local) => SocketAddr::new(IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED), local.port()),
        SocketAddr::V6(local) => SocketAddr::new(IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED), local.port()),
    }
}

impl Listeners {
    /// No sockets. `ports` are the ephemeral ports.
    pub(super) fn new(ports: &PortLimits, secret: &Secret) -> Self {
        let ports = || Ports::new(limits_of_bound(ports), secret);
        let (v4, v6) = (ports(), ports());
        Self { listeners: Slots::default(), by_address: HashMap::with_hasher(secret.clone()), v4, v6 }
    }

    /// Whether a socket is bound such that another cannot be bound to this address and port.
    pub(super) fn conflicts(&self, address: IpAddr, port: u16) -> bool {
        let local = SocketAddr::new(address, port);
        let ports = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        let is_bound = |local| self.by_address.contains_key(&local);
        ports.is_taken(port) && (address.is_unspecified() || is_bound(local) || is_bound(wildcard(local)))
    }

    const fn ports_mut(&mut self, address: IpAddr) -> &mut Ports {
        if address.is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }

    /// The socket that is bound to exactly this address and port.
    pub(super) fn at(&self, local: SocketAddr) -> Option<ListenerId> {
        self.by_address.get(&local).copied()
    }

    pub(super) fn bind(&mut self, address: IpAddr, port: u16, owner: Owner) -> Result<ListenerId, BindError> {
        if self.conflicts(address, port) {
            return Err(BindError::AddressInUse);
        }
        self.ports_mut(address).take(port, owner)?;
        let local = SocketAddr::new(address, port);
        let id = ListenerId(self.listeners.insert(Listener { local, owner, listening: None }));
        self.by_address.insert(local, id);
        Ok(id)
    }

    /// Makes a bound socket listen.
    pub(super) fn open(&mut self, id: ListenerId, places: Places, options: Arc<Options>) {
        if let Some(listener) = self.listeners.get_mut(id.0) {
            listener.listening =
                Some(Listening { options, places, ready: VecDeque::new(), half_open: 0, crowded: None, filter: None });
        }
    }

    /// The listener for a local address and port: one that is bound to exactly that, else one with the wildcard
    /// address, else one with the wildcard address and every port.
    pub(super) fn find(&self, local: SocketAddr) -> Option<ListenerId> {
        if self.by_address.is_empty() {
            return None;
        }
        let any = wildcard(local);
        let at = |local: &SocketAddr| self.by_address.get(local);
        let found = *at(&local).or_else(|| at(&any)).or_else(|| at(&SocketAddr::new(any.ip(), EVERY_PORT)))?;
        self.listening(found).map(|_| found)
    }

    /// The owner of a socket; the host, if the socket is closed.
    pub(super) fn owner(&self, id: ListenerId) -> Owner {
        self.listeners.get(id.0).map_or(Owner::HOST, |listener| listener.owner)
    }

    pub(super) fn listening(&self, id: ListenerId) -> Option<&Listening> {
        self.listeners.get(id.0)?.listening.as_ref()
    }

    pub(super) fn listening_mut(&mut self, id: ListenerId) -> Option<&mut Listening> {
        self.listeners.get_mut(id.0)?.listening.as_mut()
    }

    /// Takes the oldest connection from the accept queue.
    pub(super) fn take(&mut self, id: ListenerId) -> Option<ConnectionId> {
        self.listening_mut(id)?.take()
    }

    /// Whether a connection waits to be accepted.
    pub(super) fn is_ready(&self, id: ListenerId) -> bool {
        self.listening(id).is_some_and(|listening| !listening.ready.is_empty())
    }

    /// Removes a connection that has ended from the accept queue.
    pub(super) fn forget(&mut self, id: ListenerId, connection: ConnectionId) {
        if let Some(listening) = self.listening_mut(id) {
            listening.forget(connection);
        }
    }

    /// Releases the address. Returns the connections that waited to be accepted.
    pub(super) fn unbind(&mut self, id: ListenerId) -> VecDeque<ConnectionId> {
        let Some(mut listener) = self.listeners.remove(id.0) else { return VecDeque::new() };
        let local = listener.local;
        self.by_address.remove(&local);
        self.ports_mut(local.ip()).give_back(local.port(), listener.owner);
        listener.listening.as_mut().map_or_else(VecDeque::new, |listening| {
            listening.places.give_back(listening.ready.len());
            core::mem::take(&mut listening.ready)
        })
    }

    /// The number of sockets that listen.
    pub(super) fn count(&self) -> usize {
        self.listeners.iter().filter(|(_, listener)| listener.listening.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::random::Random;

    fn listeners() -> Listeners {
        Listeners::new(&PortLimits::default(), &Secret::new(&mut Random::new([3; 32])))
    }

    const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const TWO: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
    const ANY6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

    #[test]
    fn a_wildcard_and_an_address_of_its_family_exclude_each_other() {
        let mut listeners = listeners();
        let one = listeners.bind(ONE, 80, Owner::HOST).expect("free");
        assert_eq!(listeners.bind(ONE, 80, Owner::HOST), Err(BindError::AddressInUse));
        assert_eq!(listeners.bind(ANY, 80, Owner::HOST), Err(BindError::AddressInUse));
        let others = [
            listeners.bind(TWO, 80, Owner::HOST),
            listeners.bind(ANY6, 80, Owner::HOST),
            listeners.bind(ONE, 81, Owner::HOST),
        ];
        assert!(others.iter().all(Result::is_ok));
        listeners.unbind(one);
        listeners.unbind(others[0].expect("bound"));
        let any = listeners.bind(ANY, 80, Owner::HOST).expect("free again");
        assert!(listeners.conflicts(ONE, 80));
        listeners.unbind(any);
        assert!(!listeners.conflicts(ONE, 80));
    }

    #[test]
    fn only_a_socket_that_listens_is_found() {
        let mut listeners = listeners();
        let any = listeners.bind(ANY, 80, Owner::HOST).expect("free");
        assert_eq!(listeners.find(SocketAddr::new(ONE, 80)), None);
        listeners.open(any, Places::new(1), Arc::default());
        assert_eq!(listeners.find(SocketAddr::new(ONE, 80)), Some(any));
        assert_eq!(listeners.find(SocketAddr::new(ANY6, 80)), None);
        assert_eq!(listeners.count(), 1);
    }

    #[test]
    fn a_listener_for_every_port_comes_last() {
        let mut listeners = listeners();
        let mut open = |address, port| {
            let id = listeners.bind(address, port, Owner::HOST).expect("free");
            listeners.open(id, Places::new(1), Arc::default());
            id
        };
        let (every, http) = (open(ANY, EVERY_PORT), open(ANY, 80));
        assert_eq!(listeners.bind(ANY, EVERY_PORT, Owner::HOST), Err(BindError::AddressInUse));
        assert_eq!(listeners.find(SocketAddr::new(ONE, 80)), Some(http));
        assert_eq!(listeners.find(SocketAddr::new(ONE, 81)), Some(every));
        assert_eq!(listeners.find(SocketAddr::new(ANY6, 81)), None);
        listeners.unbind(every);
        assert_eq!(listeners.find(SocketAddr::new(ONE, 81)), None);
    }

    #[test]
    fn handshakes_at_their_limit_are_an_attack_only_after_a_while() {
        let at = |millis| Instant::from_origin(Duration::from_millis(millis));
        let mut listeners = listeners();
        let id = listeners.bind(ONE, 80, Owner::HOST).expect("free");
        listeners.open(id, Places::new(4), Arc::default());
        let listening = listeners.listening_mut(id).expect("it listens");
        for _ in 0..4 {
            assert_eq!(listening.admit(true, at(0)), Admission::Admitted);
            listening.begin();
        }
        assert_eq!(listening.admit(true, at(10)), Admission::Dropped);
        assert_eq!(listening.admit(true, at(509)), Admission::Dropped);
        assert_eq!(listening.admit(true, at(510)), Admission::Cookie);
        assert_eq!(listening.admit(false, at(0)), Admission::Cookie, "no room for anybody's");
        listening.end();
        assert_eq!(listening.admit(true, at(600)), Admission::Admitted);
        listening.begin();
        assert_eq!(listening.admit(true, at(601)), Admission::Cookie, "the same crowd");
        (0..4).for_each(|_| listening.end());
        assert_eq!(listening.admit(true, at(700)), Admission::Admitted);
        (0..4).for_each(|_| listening.begin());
        assert_eq!(listening.admit(true, at(701)), Admission::Dropped, "another crowd");
    }

    #[test]
    fn places_are_shared_and_given_back() {
        let places = Places::new(2);
        let mut here = listeners();
        let mut there = listeners();
        let (a, b) = (here.bind(ONE, 80, Owner::HOST).expect("free"), there.bind(TWO, 80, Owner::HOST).expect("free"));
        here.open(a, places.clone(), Arc::default());
        there.open(b, places.clone(), Arc::default());
        let mut connections = Slots::default();
        let mut connection = || ConnectionId(connections.insert(()));
        let (first, second) = (connection(), connection());
        here.listening_mut(a).expect("it listens").queue(first);
        there.listening_mut(b).expect("it listens").queue(second);
        assert!(!there.listening(b).expect("it listens").has_room());
        assert_eq!(here.take(a), Some(first));
        assert_eq!(places.left(), 1);
        assert_eq!(there.unbind(b), [second]);
        assert_eq!(places.left(), 2);
    }
}
