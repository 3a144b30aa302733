//! Mappings of datagrams: each socket of an app has one of the host's (RFC 4787).
//!
//! The mapping does not depend on the destination (REQ-1), so an app is seen at one address by all of its peers. What
//! comes back is taken only from addresses that the app has sent to (REQ-8, address-dependent filtering). A mapping
//! lasts for five minutes after the app's last datagram (REQ-5, REQ-6).

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use parking_lot::Mutex;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use xila_network_engine::ip::icmp::write::Reason;

use super::Shared;
use super::error_queue::{self, Told};
use super::failure::Failure;
use super::front::Octets;
use super::reply::Replies;
use crate::address::Family;

/// The mappings of a gateway.
pub(super) struct Mappings {
    shared: Arc<Shared>,
    replies: Replies,
    known: Arc<Mutex<Known>>,
}

/// The mappings by the app's end.
type Known = HashMap<SocketAddr, mpsc::Sender<Outbound>>;

/// A packet of an app with one datagram or several.
pub(super) struct Outbound {
    pub(super) destination: SocketAddr,
    /// The IP packet.
    pub(super) packet: Octets,
    /// Where its payload is.
    pub(super) payload: Range<usize>,
    /// The length of each datagram but the last one, if there are several; otherwise that of the payload.
    pub(super) segment: usize,
}

/// The most mappings at one time.
const MOST: usize = 4096;
/// The most packets of an app that wait for the host's socket.
const QUEUE: usize = 128;
/// The most peers of one mapping that are heard. Beyond that, the one that was spoken to first is forgotten.
const PEERS: usize = 256;
/// How long a mapping lasts without a datagram of the app.
const IDLE: Duration = Duration::from_secs(300);
/// The longest payload of a datagram.
const LONGEST: usize = 65535;

impl Mappings {
    pub(super) fn new(shared: Arc<Shared>, replies: Replies) -> Self {
        Self { shared, replies, known: Arc::default() }
    }

    /// Sends a datagram of `app` to the outside. If too many wait, it is lost, as in any queue of a router.
    pub(super) fn send(&self, app: SocketAddr, outbound: Outbound) {
        let mut known = self.known.lock();
        let count = known.len();
        match known.entry(app) {
            Entry::Occupied(entry) => {
                // It is full, or its task ends just now and the app has to send again.
                let _lost = entry.get().try_send(outbound);
            }
            Entry::Vacant(_) if count >= MOST => {
                tracing::debug!(
                    "{MOST} sockets of apps send datagrams through the gateway: a further one is not served"
                );
            }
            Entry::Vacant(entry) => {
                let (sender, outbounds) = mpsc::channel(QUEUE);
                let _first = sender.try_send(outbound);
                entry.insert(sender);
                drop(known);
                let place = Place { known: self.known.clone(), app };
                let mapping = Mapping {
                    shared: self.shared.clone(),
                    replies: self.replies.clone(),
                    peers: VecDeque::new(),
                    admitted: None,
                    place,
                };
                self.shared.spawn(mapping.run(outbounds));
            }
        }
    }
}

/// The place of a mapping in the table, which is free again when this is dropped.
struct Place {
    known: Arc<Mutex<Known>>,
    app: SocketAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.known.lock().remove(&self.app);
    }
}

/// One mapping.
struct Mapping {
    shared: Arc<Shared>,
    replies: Replies,
    /// The addresses that are heard, the one that was spoken to last at the end.
    peers: VecDeque<IpAddr>,
    /// The destination that was admitted last: to ask again for each datagram would cost more than to send it.
    admitted: Option<SocketAddr>,
    place: Place,
}

impl Mapping {
    async fn run(mut self, mut outbounds: mpsc::Receiver<Outbound>) {
        let app = self.place.app;
        let socket = match bind(app.ip()).await {
            Ok(socket) => socket,
            Err(error) => {
                if let (Failure::Report(reason), Some(first)) = (Failure::from(&error), outbounds.recv().await) {
                    self.replies.report(&first.packet, app.ip(), None, reason);
                }
                return;
            }
        };
        let mut buffer = vec![0; LONGEST];
        let clock = self.shared.platform.clock.clone();
        let mut timer = clock.timer();
        timer.set(Some(clock.now() + IDLE));
        loop {
            let idle = core::future::poll_fn(|context| timer.poll(context));
            tokio::select! {
                outbound = outbounds.recv() => {
                    let Some(outbound) = outbound else { return };
                    self.send(&socket, &outbound).await;
                    timer.set(Some(clock.now() + IDLE));
                }
                ready = socket.ready(Interest::READABLE | Interest::ERROR) => {
                    if let Err(error) = ready {
                        tracing::warn!(%app, %error, "the gateway's socket for an app fails");
                        return;
                    }
                    self.receive(&socket, &mut buffer);
                }
                () = idle => return,
            }
        }
    }

    async fn send(&mut self, socket: &UdpSocket, outbound: &Outbound) {
        let (app, destination) = (self.place.app, outbound.destination);
        let target = if self.shared.router.is(destination.ip()) {
            self.shared.outside.on_loopback(destination).ok_or((Some(destination.ip()), Reason::PortUnreachable))
        } else if self.admitted == Some(destination) || self.shared.outside.admits(destination) {
            self.admitted = Some(destination);
            Ok(destination)
        } else {
            tracing::debug!(%app, %destination, "the gateway does not lead there");
            Err((None, Reason::Prohibited))
        };
        let target = match target {
            Ok(target) => target,
            Err((from, reason)) => return self.replies.report(&outbound.packet, app.ip(), from, reason),
        };
        self.hear(target.ip());
        let payload = outbound.packet.get(outbound.payload.clone()).unwrap_or_default();
        // A datagram without payload is one, too.
        let datagrams: &mut dyn Iterator<Item = &[u8]> = if payload.is_empty() {
            &mut core::iter::once(payload)
        } else {
            &mut payload.chunks(outbound.segment.max(1))
        };
        let mut datagrams: Vec<&[u8]> = datagrams.collect();
        datagrams.reverse();
        // A socket returns the error of an earlier datagram once, and has not sent then.
        let mut patience = 2;
        while let Some(datagram) = datagrams.last() {
            match socket.send_to(datagram, target).await {
                Ok(_) => {
                    datagrams.pop();
                }
                Err(error) => {
                    let told = self.tell_errors(socket);
                    patience -= 1;
                    if told && patience > 0 {
                        continue;
                    }
                    let reason = match Failure::from(&error) {
                        Failure::Report(reason) => reason,
                        Failure::Refused => Reason::PortUnreachable,
                        Failure::Silence => return,
                    };
                    return self.replies.report(&outbound.packet, app.ip(), None, reason);
                }
            }
        }
    }

    /// Hears a peer from now on.
    fn hear(&mut self, peer: IpAddr) {
        if self.peers.back() == Some(&peer) {
            return;
        }
        self.peers.retain(|known| *known != peer);
        if self.peers.len() >= PEERS {
            self.peers.pop_front();
        }
        self.peers.push_back(peer);
    }

    /// Passes on everything that has arrived.
    fn receive(&mut self, socket: &UdpSocket, buffer: &mut [u8]) {
        loop {
            match socket.try_recv_from(buffer) {
                Ok((length, peer)) if self.peers.contains(&peer.ip()) => {
                    self.replies.datagram(self.as_seen(peer), self.place.app, &buffer[..length]);
                }
                Ok(_) => tracing::debug!(app = %self.place.app, "a datagram of a stranger is dropped at the gateway"),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.tell_errors(socket);
                    return;
                }
                // The error of a datagram that was sent; the queue of errors says more.
                Err(_) => {
                    self.tell_errors(socket);
                }
            }
        }
    }

    /// Tells the app the errors that the host has received about its datagrams. Returns whether there were any.
    fn tell_errors(&self, socket: &UdpSocket) -> bool {
        error_queue::drain(socket, |Told { destination, from, reason, payload }| {
            let destination = self.as_seen(destination);
            // A port is unreachable by the word of the host itself.
            let from = if reason == Reason::PortUnreachable { Some(destination.ip()) } else { from };
            self.replies.report_datagram(self.place.app, destination, &payload, from.map(|it| self.seen(it)), reason);
        })
    }

    /// The address by which the app knows a peer: the gateway's for the host's loopback.
    fn as_seen(&self, peer: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.seen(peer.ip()), peer.port())
    }

    fn seen(&self, peer: IpAddr) -> IpAddr {
        if peer.is_loopback() { self.shared.router.of_family(peer) } else { peer }
    }
}

async fn bind(family: IpAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Family::of(family).unspecified(), 0)).await?;
    error_queue::enable(&socket, family)?;
    Ok(socket)
}
