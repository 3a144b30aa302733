//! The owner of sockets: the host, or one guest. Links are shared out among owners, and what a guest sends is counted
//! and limited by its owner.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::{Level, Span};
use xila_network_engine::ports::Owner as InEngine;

use crate::platform::Instant;
use crate::policy::{Bucket, Counters, Rates};

/// The host, or one guest. Clones are the same owner.
#[derive(Clone)]
pub(crate) struct Owner(Option<Arc<Guest>>);

/// A connection, a listener or a datagram socket, as it is named in logs.
pub(crate) struct Flow<'a> {
    pub(crate) protocol: &'static str,
    /// The interface; `None` for a socket that several interfaces may serve.
    pub(crate) interface: Option<&'a str>,
    pub(crate) local: SocketAddr,
    pub(crate) remote: Option<SocketAddr>,
}

/// What an owner may send, at least 1 of each. A single frame may be longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) bytes: usize,
    pub(crate) packets: usize,
}

impl Allowed {
    pub(crate) const EVERYTHING: Self = Self { bytes: usize::MAX, packets: usize::MAX };
}

/// One guest.
struct Guest {
    /// A number that no other guest has; never 0.
    number: u64,
    rates: Rates,
    /// What is left of the rates; `None` until the first use.
    allowance: Mutex<Option<Allowance>>,
    counters: Counters,
    /// Whether [`Owner::warn_of_loopback`] has warned.
    warned: AtomicBool,
    /// The span of the guest, in which its connections and sockets are reported.
    span: Span,
}

/// What is left of a guest's rates.
struct Allowance {
    connections: Option<Bucket>,
    bytes: Option<Bucket>,
    packets: Option<Bucket>,
}

impl Allowance {
    fn new(rates: Rates, now: Instant) -> Self {
        let bucket = |rate: Option<_>| rate.map(|rate| Bucket::new(rate, now));
        Self { connections: bucket(rates.connections), bytes: bucket(rates.bytes), packets: bucket(rates.packets) }
    }
}

impl Guest {
    fn with_allowance<R>(&self, now: Instant, act: impl FnOnce(&mut Allowance) -> R) -> R {
        act(self.allowance.lock().get_or_insert_with(|| Allowance::new(self.rates, now)))
    }
}

impl Owner {
    pub(crate) const HOST: Self = Self(None);

    /// A new guest with these rates, different from all earlier ones. It is named by `label` in logs.
    pub(crate) fn guest(rates: Rates, label: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let span = tracing::info_span!("guest", number, label);
        let (allowance, counters) = (Mutex::default(), Counters::default());
        let warned = AtomicBool::new(false);
        Self(Some(Arc::new(Guest { number, rates, allowance, counters, warned, span })))
    }

    /// The number of the guest; 0 for the host.
    fn number(&self) -> u64 {
        self.0.as_ref().map_or(0, |guest| guest.number)
    }

    /// How much the owner may do in a second.
    pub(crate) fn rates(&self) -> Rates {
        self.0.as_ref().map_or(Rates::UNLIMITED, |guest| guest.rates)
    }

    /// The owner as the engine knows it.
    pub(crate) fn in_engine(&self) -> InEngine {
        InEngine(self.number())
    }

    /// What the owner may send now. `Err` is the time until which the owner may send nothing.
    pub(crate) fn may_send(&self, now: Instant) -> Result<Allowed, Instant> {
        let Some(guest) = self.0.as_ref().filter(|guest| guest.rates.limit_sending()) else {
            return Ok(Allowed::EVERYTHING);
        };
        guest.with_allowance(now, |Allowance { bytes, packets, connections: _ }| {
            let left = |bucket: &mut Option<Bucket>| match bucket {
                None => Ok(usize::MAX),
                Some(bucket) => match bucket.ready_at(now) {
                    at if at > now => Err(at),
                    _ => Ok(usize::try_from(bucket.left(now)).unwrap_or(usize::MAX)),
                },
            };
            match (left(bytes), left(packets)) {
                (Ok(bytes), Ok(packets)) => Ok(Allowed { bytes, packets }),
                (bytes, packets) => Err(bytes.err().max(packets.err()).unwrap_or(now)),
            }
        })
    }

    /// Counts what the owner has sent.
    pub(crate) fn sent(&self, bytes: u64, packets: u64, now: Instant) {
        let Some(guest) = self.0.as_ref().filter(|_| bytes > 0) else { return };
        guest.counters.sent_bytes.add(bytes);
        guest.counters.sent_packets.add(packets);
        if guest.rates.limit_sending() {
            guest.with_allowance(now, |allowance| {
                for (bucket, used) in [(&mut allowance.bytes, bytes), (&mut allowance.packets, packets)] {
                    bucket.iter_mut().for_each(|bucket| bucket.spend(used, now));
                }
            });
        }
    }

    /// Whether the owner may open a connection. If not, it has used its rate, and the refusal is counted.
    pub(crate) fn may_connect(&self, now: Instant) -> bool {
        let Some(guest) = self.0.as_ref().filter(|guest| guest.rates.connections.is_some()) else { return true };
        let may = guest.with_allowance(now, |Allowance { connections, .. }| {
            connections.as_mut().is_none_or(|bucket| bucket.left(now) > 0)
        });
        if !may {
            guest.counters.refused.add(1);
        }
        may
    }

    /// Counts a connection that the owner has begun to open.
    pub(crate) fn connects(&self, now: Instant) {
        let Some(guest) = &self.0 else { return };
        guest.counters.connected.add(1);
        if guest.rates.connections.is_some() {
            guest.with_allowance(now, |Allowance { connections, .. }| {
                connections.iter_mut().for_each(|bucket| bucket.spend(1, now));
            });
        }
    }

    /// Logs an event of one of the owner's flows, in a span of the flow, which is in the span of the guest.
    pub(crate) fn log(&self, flow: &Flow<'_>, event: &'static str) {
        if !tracing::enabled!(Level::DEBUG) {
            return;
        }
        let &Flow { protocol, interface, local, remote } = flow;
        let guest = self.0.as_ref().and_then(|guest| guest.span.id());
        let remote = remote.map(tracing::field::display);
        let span = tracing::debug_span!(parent: guest, "flow", protocol, interface, %local, remote);
        span.in_scope(|| tracing::debug!("{event}"));
    }

    /// Logs that a socket of the guest cannot reach a remote because it is bound to the loopback. It is logged once for
    /// each guest, so that no guest fills a log.
    pub(crate) fn warn_of_loopback(&self, local: IpAddr, remote: IpAddr) {
        let Some(guest) = self.0.as_ref().filter(|guest| !guest.warned.swap(true, Ordering::Relaxed)) else { return };
        guest.span.in_scope(|| {
            tracing::warn!(%local, %remote, "a socket is bound to the loopback, from where no other host is reached; \
                bind it to the unspecified address, or not at all");
        });
    }

    /// The counters of a guest.
    pub(crate) fn counters(&self) -> Option<&Counters> {
        self.0.as_ref().map(|guest| &guest.counters)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Owner").field(&self.number()).finish()
    }
}

impl PartialEq for Owner {
    fn eq(&self, other: &Self) -> bool {
        self.number() == other.number()
    }
}

impl Eq for Owner {}

impl Hash for Owner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number().hash(state);
    }
}
