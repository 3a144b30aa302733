//! The table of the connections through a gateway, of which no app takes all places.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use hashbrown::HashMap;
use tokio::sync::oneshot;

use crate::platform::Instant;
use crate::socket::TcpStream;

/// The ends of a connection: the app's, and the destination.
pub(super) type Ends = (SocketAddr, SocketAddr);

/// The most connections at one time.
pub(super) const MOST: usize = 4096;
/// The places among them that are only for addresses of apps with at most [`FEW`] connections.
const RESERVE: usize = MOST / 4;
const FEW: usize = 64;
/// How long an app's handshake is expected to take. Whoever takes longer has given up, most likely.
const SOON: Duration = Duration::from_secs(1);

/// How far a connection is.
enum State<S> {
    /// The host connects for this SYN, the latest one.
    Held(S),
    /// The host is connected, and the app's SYN was given to the stack.
    Admitted(oneshot::Sender<TcpStream>, Instant),
    /// Both connections are established.
    Open,
}

/// A connection. Its number tells it from earlier ones with the same ends.
struct Entry<S> {
    state: State<S>,
    number: u64,
    /// When this is dropped, the task of the connection ends.
    _gives_way: oneshot::Sender<()>,
}

/// The connections by their ends, with SYNs of the type `S`.
pub(super) struct Table<S> {
    known: HashMap<Ends, Entry<S>>,
    /// How many connections each address of an app has.
    counts: HashMap<IpAddr, usize>,
    /// The number of connections so far.
    count: u64,
}

impl<S> Default for Table<S> {
    fn default() -> Self {
        Self { known: HashMap::new(), counts: HashMap::new(), count: 0 }
    }
}

/// What becomes of a SYN.
pub(super) enum Arrived<S> {
    /// The host connects already.
    Repeated,
    /// The stack knows what to answer.
    ForStack(S),
    /// A connection with these ends is carried, of which the stack may have ended its side.
    Stale(S),
    /// It is lost.
    NoRoom,
    /// The host is to connect.
    New {
        /// The number of the connection.
        number: u64,
        /// Ends with an error when the host is to give up.
        given_way: oneshot::Receiver<()>,
    },
}

impl<S> Table<S> {
    /// Takes note of a SYN.
    pub(super) fn syn(&mut self, syn: S, ends: Ends) -> Arrived<S> {
        if let Some(entry) = self.known.get_mut(&ends) {
            return match &mut entry.state {
                State::Held(latest) => {
                    *latest = syn;
                    Arrived::Repeated
                }
                State::Admitted(..) => Arrived::ForStack(syn),
                State::Open => Arrived::Stale(syn),
            };
        }
        if !self.has_room(ends.0.ip()) {
            return Arrived::NoRoom;
        }
        self.count += 1;
        let (number, (gives_way, given_way)) = (self.count, oneshot::channel());
        *self.counts.entry(ends.0.ip()).or_default() += 1;
        self.known.insert(ends, Entry { state: State::Held(syn), number, _gives_way: gives_way });
        Arrived::New { number, given_way }
    }

    /// Whether an app gets a place. If none is free, the oldest connection that the host is still making gives way, of the
    /// app that has most of all, unless that is this one.
    fn has_room(&mut self, app: IpAddr) -> bool {
        if self.known.len() < MOST - RESERVE {
            return true;
        }
        let count = |app: &IpAddr| self.counts.get(app).copied().unwrap_or_default();
        if self.known.len() < MOST {
            return count(&app) < FEW;
        }
        // Who has most finds no place, and this is found out without a look at all connections.
        if self.counts.values().all(|most| *most <= count(&app) + 1) {
            return false;
        }
        let held = self.known.iter().filter(|(_, entry)| matches!(entry.state, State::Held(_)));
        let held = held.map(|((known, destination), entry)| {
            ((count(&known.ip()), u64::MAX - entry.number), (*known, *destination))
        });
        match held.max_by_key(|(rank, _)| *rank) {
            Some(((most, _), ends)) if most > count(&app) + 1 => self.forget(ends).is_some(),
            _ => false,
        }
    }

    fn forget(&mut self, ends: Ends) -> Option<Entry<S>> {
        let entry = self.known.remove(&ends)?;
        let app = ends.0.ip();
        if let Some(count) = self.counts.get_mut(&app) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&app);
            }
        }
        Some(entry)
    }

    /// The host has connected for a SYN, which is returned. `None` if the place was given to another connection.
    pub(super) fn admit(
        &mut self,
        ends: Ends,
        number: u64,
        relays: oneshot::Sender<TcpStream>,
        now: Instant,
    ) -> Option<S> {
        let entry = self.known.get_mut(&ends).filter(|entry| entry.number == number)?;
        match core::mem::replace(&mut entry.state, State::Admitted(relays, now)) {
            State::Held(syn) => Some(syn),
            State::Admitted(..) | State::Open => None,
        }
    }

    /// The stack has accepted a connection. Returns who relays it; `None` if nobody does.
    pub(super) fn open(&mut self, ends: Ends) -> Option<oneshot::Sender<TcpStream>> {
        let entry = self.known.get_mut(&ends)?;
        if !matches!(entry.state, State::Admitted(..)) {
            return None;
        }
        match core::mem::replace(&mut entry.state, State::Open) {
            State::Admitted(relays, _) => Some(relays),
            State::Held(_) | State::Open => None,
        }
    }

    /// Forgets a connection, if it is still there. Returns its SYN if the host has not connected.
    pub(super) fn remove(&mut self, ends: Ends, number: u64) -> Option<S> {
        self.known.get(&ends).filter(|entry| entry.number == number)?;
        match self.forget(ends)?.state {
            State::Held(syn) => Some(syn),
            State::Admitted(..) | State::Open => None,
        }
    }

    /// The number of connections that carry something, or will do so soon.
    pub(super) fn carried(&self, now: Instant) -> usize {
        let is_carried = |entry: &&Entry<S>| match entry.state {
            State::Held(_) => false,
            State::Admitted(_, since) => now < since + SOON,
            State::Open => true,
        };
        self.known.values().filter(is_carried).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(app: u8, port: u16) -> Ends {
        (SocketAddr::new([10, 0, 2, app].into(), port), SocketAddr::new([192, 0, 2, 1].into(), 80))
    }

    /// Takes places, until `app` gets no more, or has `most`.
    fn take(table: &mut Table<u8>, app: u8, most: u16) -> Vec<(Ends, oneshot::Receiver<()>)> {
        let ends = (1..=most).map(|port| ends(app, port));
        let taken = ends.map_while(|ends| match table.syn(60, ends) {
            Arrived::New { given_way, .. } => Some((ends, given_way)),
            _ => None,
        });
        taken.collect()
    }

    #[test]
    fn no_app_takes_all_places() {
        let mut table = Table::default();
        let mut greedy = take(&mut table, 1, u16::MAX);
        assert_eq!(greedy.len(), MOST - RESERVE);
        let second = take(&mut table, 2, u16::MAX);
        assert_eq!(second.len(), FEW);
        let others: Vec<_> = (3..18).map(|app| take(&mut table, app, FEW as u16)).collect();
        assert!(others.iter().all(|taken| taken.len() == FEW));
        assert_eq!(table.known.len(), MOST);
        // A further app's connection takes the place of the oldest one that is being made for the greedy app.
        assert!(matches!(table.syn(60, ends(20, 1)), Arrived::New { .. }));
        assert!(greedy[0].1.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed));
        assert!(greedy[1].1.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty));
        assert!(matches!(table.syn(60, ends(1, 9999)), Arrived::NoRoom), "nobody gives way to the greedy one");
        // What is carried does not give way.
        let held: Vec<(Ends, u64)> = table.known.iter().map(|(ends, entry)| (*ends, entry.number)).collect();
        let last = ends(20, 1);
        for (ends, number) in held.into_iter().filter(|(ends, _)| *ends != last) {
            assert!(table.admit(ends, number, oneshot::channel().0, Instant::ORIGIN).is_some());
        }
        assert!(matches!(table.syn(60, ends(21, 1)), Arrived::NoRoom));
    }

    #[test]
    fn the_latest_syn_is_admitted_and_a_place_is_given_back_by_its_owner_only() {
        let mut table = Table::default();
        let at = ends(1, 1);
        let Arrived::New { number, given_way: _given_way } = table.syn(60, at) else { panic!("it is new") };
        assert!(matches!(table.syn(64, at), Arrived::Repeated));
        assert_eq!(table.carried(Instant::ORIGIN), 0, "it has no data");
        let (relays, _accepted) = oneshot::channel();
        let admitted = table.admit(at, number, relays, Instant::ORIGIN).expect("it was held");
        assert_eq!(admitted, 64);
        assert_eq!(table.carried(Instant::ORIGIN), 1);
        assert_eq!(table.carried(Instant::ORIGIN + SOON), 0, "the app has given up");
        assert!(matches!(table.syn(60, at), Arrived::ForStack(_)));
        assert!(table.open(at).is_some());
        assert!(table.open(at).is_none(), "a second connection has nobody");
        assert_eq!(table.carried(Instant::ORIGIN + SOON), 1);
        assert!(matches!(table.syn(60, at), Arrived::Stale(_)));
        assert!(table.remove(at, number + 1).is_none());
        assert_eq!(table.known.len(), 1);
        assert!(table.remove(at, number).is_none(), "it was admitted");
        assert!(table.known.is_empty() && table.counts.is_empty());
    }
}
