//! The connections of one guest that wait for a further request.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use scopeguard::ScopeGuard;
use tokio::sync::Semaphore;
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

use super::link::Link;
use super::origin::Origin;
use crate::platform::{Clock, Instant};
use crate::policy::Quota;
use crate::socket::Network;

/// How many connections of one guest wait at most.
///
/// They are not counted among the guest's sockets: the guest does not know of them, and must not be refused a socket
/// because of them. So there are few.
const MOST: usize = 8;
/// How many connections that have waited are being closed at most. They are not counted either.
const MOST_CLOSING: usize = 8;
/// How long a connection waits at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// The idle connections of one guest. Those that are leased come back to it, unless it is gone by then.
pub(super) struct Pool {
    network: Network,
    quota: Quota,
    clock: Arc<dyn Clock>,
    waiting: Mutex<Waiting>,
    /// A permit for each connection that may be closed in peace.
    closing: Arc<Semaphore>,
}

#[derive(Default)]
struct Waiting {
    /// In the order in which they began to wait.
    links: Vec<Idle>,
    /// Closes the connections that have waited for too long. `None` if none waits.
    closer: Option<AbortOnDropJoinHandle<()>>,
}

struct Idle {
    origin: Origin,
    link: Link,
    since: Instant,
    /// The version of the network at that time. When an interface is set down or loses an address, or a route is
    /// changed, a new connection may go another way, or fail at once where an old one would wait.
    version: u64,
}

impl Pool {
    pub(super) fn new(network: Network, quota: Quota, clock: Arc<dyn Clock>) -> Self {
        let closing = Arc::new(Semaphore::new(MOST_CLOSING));
        Self { network, quota, clock, waiting: Mutex::default(), closing }
    }

    /// The connection to the server of an origin that has waited for the shortest time. It has no charge.
    pub(super) fn take(self: &Arc<Self>, origin: &Origin) -> Option<Lease> {
        let version = self.network.version();
        let mut waiting = self.waiting.lock();
        waiting.links.retain(|idle| idle.version == version && idle.link.is_idle());
        let place = waiting.links.iter().rposition(|idle| idle.origin == *origin)?;
        let Idle { origin, link, .. } = waiting.links.remove(place);
        drop(waiting);
        Some(self.lease(origin, link))
    }

    /// Leases a new connection to the server of an origin.
    pub(super) fn lease(self: &Arc<Self>, origin: Origin, link: Link) -> Lease {
        scopeguard::guard(Leased { link, origin, pool: Arc::downgrade(self) }, Leased::end)
    }

    fn put_back(self: &Arc<Self>, origin: Origin, mut link: Link) {
        // The queues of a connection are the guest's memory even while the connection waits.
        if self.quota.memory().left() < self.quota.limits().buffer_bytes / 2 {
            return;
        }
        link.charge = None;
        let mut waiting = self.waiting.lock();
        if waiting.links.len() == MOST {
            self.close(waiting.links.remove(0).link);
        }
        waiting.links.push(Idle { origin, link, since: self.clock.now(), version: self.network.version() });
        if waiting.closer.is_none() {
            waiting.closer = Some(spawn(close(Arc::downgrade(self), self.clock.clone())));
        }
    }

    /// Closes a connection that waits: in peace, unless too many are being closed already.
    fn close(&self, link: Link) {
        if let Ok(permit) = self.closing.clone().try_acquire_owned() {
            link.close(self.clock.clone(), permit);
        }
    }

    /// Closes the connections that have waited for too long. Returns when the next will have; if none is left, `None`,
    /// and the task that asks has to end.
    fn expire(&self) -> Option<Instant> {
        let mut waiting = self.waiting.lock();
        let now = self.clock.now();
        let count = waiting.links.partition_point(|idle| idle.since + PATIENCE <= now);
        for idle in waiting.links.drain(..count) {
            self.close(idle.link);
        }
        let next = waiting.links.first().map(|idle| idle.since + PATIENCE);
        if next.is_none() {
            waiting.closer = None;
        }
        next
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for idle in std::mem::take(&mut self.waiting.get_mut().links) {
            self.close(idle.link);
        }
    }
}

/// Closes the connections of a pool that have waited for too long, until none is left.
async fn close(pool: Weak<Pool>, clock: Arc<dyn Clock>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.expire()) {
        clock.wait(next).await;
    }
}

/// A connection that is in use. When the lease is dropped, the connection waits for a further request if it is idle, and
/// is closed otherwise.
pub(super) type Lease = ScopeGuard<Leased, fn(Leased)>;

pub(super) struct Leased {
    pub(super) link: Link,
    origin: Origin,
    pool: Weak<Pool>,
}

impl Leased {
    fn end(self) {
        if self.link.is_idle()
            && let Some(pool) = self.pool.upgrade()
        {
            pool.put_back(self.origin, self.link);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http_body_util::{BodyExt as _, Empty};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use wasmtime_wasi_http::Error;

    use super::super::body::Lent;
    use super::*;
    use crate::Manager;
    use crate::interface::State;
    use crate::platform::simulated::Simulation;
    use crate::policy::{Limits, SocketKind};

    /// A pool, and what it depends on. Only its time is simulated, because its tasks are tokio's.
    struct Place {
        simulation: Simulation,
        manager: Manager,
        quota: Quota,
        pool: Arc<Pool>,
    }

    impl Place {
        fn new() -> Self {
            let simulation = Simulation::new(1);
            let (manager, quota) = (Manager::new(simulation.platform()), Quota::new(Limits::default()));
            let pool = Arc::new(Pool::new(manager.network(), quota.clone(), simulation.platform().clock));
            Self { simulation, manager, quota, pool }
        }

        /// A new connection to the server of an origin, and the server's end.
        async fn connect(&self, host: &str) -> (Lease, DuplexStream) {
            let (near, far) = tokio::io::duplex(1 << 16);
            let charge = self.quota.charge(SocketKind::Tcp, 0).expect("a charge");
            let link = Link::new(Box::new(near), charge).await.expect("a link");
            (self.pool.lease(origin(host), link), far)
        }

        /// Lets a new connection to the server of an origin wait, after its first response. Returns the server's end.
        async fn leave(&self, host: &str) -> DuplexStream {
            let (mut lease, mut server) = self.connect(host).await;
            exchange(&mut lease, &mut server).await;
            server
        }

        fn waiting(&self) -> usize {
            self.pool.waiting.lock().links.len()
        }
    }

    fn origin(host: &str) -> Origin {
        Origin::of(&format!("http://{host}/").parse().expect("a URI")).expect("an origin")
    }

    /// A request, and the response of the server.
    async fn exchange(lease: &mut Lease, server: &mut DuplexStream) {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = Request::get("/").body(Lent::given(body)).expect("a request");
        let serve = async {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(server.read_u8().await.expect("a request"));
            }
            server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("a client");
        };
        let (response, ()) = tokio::join!(lease.link.send(request), serve);
        assert_eq!(response.expect("a response").status(), 204);
        lease.link.finish().await.expect("it is idle");
    }

    async fn is_closed(server: &mut DuplexStream) {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_secs(20), server.read(&mut byte)).await;
        assert_eq!(read.expect("it is not closed").expect("the end"), 0);
    }

    #[tokio::test]
    async fn a_connection_waits_for_requests_of_its_origin_and_is_nobodys_meanwhile() {
        let place = Place::new();
        let mut server = place.leave("a").await;
        assert_eq!(place.quota.usage().sockets, 0);
        assert!(place.pool.take(&origin("b")).is_none());
        let mut lease = place.pool.take(&origin("a")).expect("a connection");
        assert!(place.pool.take(&origin("a")).is_none(), "it has been taken");
        exchange(&mut lease, &mut server).await;
        drop(lease);
        assert_eq!(place.waiting(), 1);
    }

    #[tokio::test]
    async fn what_is_under_way_when_its_lease_is_dropped_is_closed() {
        let place = Place::new();
        let (lease, mut unused) = place.connect("a").await;
        drop(lease);
        is_closed(&mut unused).await;
        let (mut lease, mut server) = place.connect("a").await;
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = Request::get("/").body(Lent::given(body)).expect("a request");
        tokio::select! {
            biased;
            _ = lease.link.send(request) => panic!("nobody has answered"),
            byte = server.read_u8() => assert_eq!(byte.expect("a request"), b'G'),
        }
        drop(lease);
        assert_eq!(place.waiting(), 0);
        server.read_to_end(&mut Vec::new()).await.expect("the rest and the end");
    }

    #[tokio::test]
    async fn the_oldest_connection_makes_room_for_the_newest() {
        let place = Place::new();
        let mut oldest = place.leave("a").await;
        let mut others = Vec::new();
        for _ in 0..MOST {
            others.push(place.leave("b").await);
        }
        is_closed(&mut oldest).await;
        assert_eq!(place.waiting(), MOST);
        assert!(place.pool.take(&origin("a")).is_none());
    }

    #[tokio::test]
    async fn a_connection_does_not_wait_for_ever() {
        let place = Place::new();
        let mut first = place.leave("a").await;
        place.simulation.advance(PATIENCE / 2);
        let mut second = place.leave("b").await;
        assert_eq!(place.waiting(), 2);
        place.simulation.advance(PATIENCE / 2);
        is_closed(&mut first).await;
        assert_eq!(place.waiting(), 1);
        place.simulation.advance(PATIENCE / 2);
        is_closed(&mut second).await;
        // The task that has closed them has ended, and another one takes its place.
        let mut third = place.leave("c").await;
        place.simulation.advance(PATIENCE);
        is_closed(&mut third).await;
    }

    #[tokio::test]
    async fn a_connection_that_the_server_has_closed_is_not_used() {
        let place = Place::new();
        let server = place.leave("a").await;
        drop(server);
        while place.pool.waiting.lock().links[0].link.is_idle() {
            tokio::task::yield_now().await;
        }
        assert!(place.pool.take(&origin("a")).is_none());
    }

    #[tokio::test]
    async fn a_connection_is_not_used_when_the_network_has_changed() {
        let place = Place::new();
        let mut server = place.leave("a").await;
        place.manager.interface("lo").expect("the loopback").set_state(State::Down);
        assert!(place.pool.take(&origin("a")).is_none());
        is_closed(&mut server).await;
    }

    #[tokio::test]
    async fn no_connection_waits_while_the_guest_lacks_memory() {
        let place = Place::new();
        let limit = place.quota.limits().buffer_bytes;
        let charge = place.quota.charge_memory(limit / 2 + 1).expect("memory");
        is_closed(&mut place.leave("a").await).await;
        drop(charge);
        let _server = place.leave("a").await;
        assert_eq!(place.waiting(), 1);
    }

    #[tokio::test]
    async fn the_connections_end_with_the_guest() {
        let place = Place::new();
        let mut waiting = place.leave("a").await;
        let (mut lease, mut used) = place.connect("a").await;
        exchange(&mut lease, &mut used).await;
        drop(place);
        is_closed(&mut waiting).await;
        drop(lease);
        is_closed(&mut used).await;
    }

    #[tokio::test]
    async fn a_body_comes_back_only_if_nothing_of_it_was_taken() {
        let full = |bytes: &'static [u8]| {
            http_body_util::Full::new(bytes::Bytes::from_static(bytes)).map_err(|never| match never {}).boxed_unsync()
        };
        let (lent, back) = Lent::new(full(b"whole"));
        drop(lent);
        let body = back.await.expect("the body").collect().await.expect("bytes");
        assert_eq!(body.to_bytes().as_ref(), b"whole");
        let (mut lent, back) = Lent::new(full(b"begun"));
        assert!(lent.frame().await.is_some());
        drop(lent);
        assert!(back.await.is_err());
        let (mut lent, back) = Lent::new(full(b""));
        assert!(lent.frame().await.is_none());
        drop(lent);
        let empty: Result<_, Error> = back.await.expect("the body").collect().await;
        assert!(empty.expect("bytes").to_bytes().is_empty());
    }
}
