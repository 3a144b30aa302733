//! Mappings of echo requests: each identifier of an app has a ping socket of the host (icmp(7)), which needs no
//! privileges where `net.ipv4.ping_group_range` allows it.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use parking_lot::Mutex;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use xila_network_engine::ip::icmp::write::{self, Reason};

use super::Shared;
use super::error_queue;
use super::failure::Failure;
use super::front::Octets;
use super::reply::Replies;

/// The mappings of a gateway.
pub(super) struct Echoes {
    shared: Arc<Shared>,
    replies: Replies,
    known: Arc<Mutex<Known>>,
}

/// The mappings by the app's address and identifier.
type Known = HashMap<(IpAddr, u16), mpsc::Sender<Request>>;

/// An echo request of an app.
pub(super) struct Request {
    pub(super) destination: IpAddr,
    pub(super) sequence: u16,
    /// The IP packet.
    pub(super) packet: Octets,
    /// Where the echoed data is.
    pub(super) payload: Range<usize>,
}

/// The most mappings at one time.
const MOST: usize = 256;
/// The most requests that wait for the host's socket, and that are remembered for errors.
const QUEUE: usize = 64;
/// How long a mapping lasts without a request of the app (RFC 5508 section 3.2, REQ-2).
const IDLE: Duration = Duration::from_secs(60);
/// The longest echo message.
const LONGEST: usize = 65535;
/// The length of an echo message's header, in bytes (RFC 792).
const HEADER: usize = 8;

impl Echoes {
    pub(super) fn new(shared: Arc<Shared>, replies: Replies) -> Self {
        Self { shared, replies, known: Arc::default() }
    }

    /// Sends an echo request of `app` with this identifier to the outside.
    pub(super) fn send(&self, app: IpAddr, identifier: u16, request: Request) {
        let key = (app, identifier);
        let mut known = self.known.lock();
        let count = known.len();
        match known.entry(key) {
            Entry::Occupied(entry) => {
                // It is full, or its task ends just now.
                let _lost = entry.get().try_send(request);
            }
            Entry::Vacant(_) if count >= MOST => {
                tracing::debug!("{MOST} echo sockets are open at the gateway: a further one is not served");
            }
            Entry::Vacant(entry) => {
                let (sender, requests) = mpsc::channel(QUEUE);
                let _first = sender.try_send(request);
                entry.insert(sender);
                drop(known);
                let mapping = Mapping {
                    shared: self.shared.clone(),
                    replies: self.replies.clone(),
                    known: self.known.clone(),
                    key,
                    sent: std::collections::VecDeque::new(),
                };
                self.shared.spawn(mapping.run(requests));
            }
        }
    }
}

/// One mapping. Its place in the table is free again when this is dropped.
struct Mapping {
    shared: Arc<Shared>,
    replies: Replies,
    known: Arc<Mutex<Known>>,
    key: (IpAddr, u16),
    /// The latest requests, for errors about them.
    sent: std::collections::VecDeque<Request>,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.known.lock().remove(&self.key);
    }
}

impl Mapping {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let (app, _) = self.key;
        let socket = match open(app) {
            Ok(socket) => socket,
            Err(error) => {
                if error.kind() == io::ErrorKind::PermissionDenied {
                    tracing::warn!(
                        "this user may not send echo requests: his group is not in net.ipv4.ping_group_range"
                    );
                }
                if let (Failure::Report(reason), Some(first)) = (Failure::from(&error), requests.recv().await) {
                    self.replies.report(&first.packet, app, None, reason);
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
                request = requests.recv() => {
                    let Some(request) = request else { return };
                    self.send(&socket, request).await;
                    timer.set(Some(clock.now() + IDLE));
                }
                ready = socket.ready(Interest::READABLE | Interest::ERROR) => {
                    if let Err(error) = ready {
                        tracing::warn!(%app, %error, "the gateway's echo socket fails");
                        return;
                    }
                    self.receive(&socket, &mut buffer);
                }
                () = idle => return,
            }
        }
    }

    async fn send(&mut self, socket: &UdpSocket, request: Request) {
        let (app, _) = self.key;
        let destination = SocketAddr::new(request.destination, 0);
        if !self.shared.outside.admits(destination) {
            tracing::debug!(%app, destination = %request.destination, "the gateway does not lead there");
            return self.replies.report(&request.packet, app, None, Reason::Prohibited);
        }
        let mut message = Vec::new();
        let payload = request.packet.get(request.payload.clone()).unwrap_or_default();
        // The host sets the identifier to that of the socket, and the checksum.
        write::echo_request(&mut message, app, request.destination, 0, request.sequence, payload);
        let sent = socket.send_to(&message, destination).await;
        if let Err(error) = &sent {
            self.tell_errors(socket);
            if let Failure::Report(reason) = Failure::from(error) {
                return self.replies.report(&request.packet, app, None, reason);
            }
        }
        if self.sent.len() == QUEUE {
            self.sent.pop_front();
        }
        self.sent.push_back(request);
    }

    /// Passes on everything that has arrived.
    fn receive(&mut self, socket: &UdpSocket, buffer: &mut [u8]) {
        let (app, identifier) = self.key;
        loop {
            match socket.try_recv_from(buffer) {
                Ok((length, peer)) => {
                    if let Some((header, payload)) = buffer[..length].split_first_chunk::<HEADER>() {
                        let [_, _, _, _, _, _, high, low] = *header;
                        let sequence = u16::from_be_bytes([high, low]);
                        self.sent.retain(|sent| sent.destination != peer.ip() || sent.sequence != sequence);
                        self.replies.echo(peer.ip(), app, identifier, sequence, payload);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.tell_errors(socket);
                    return;
                }
                Err(_) => self.tell_errors(socket),
            }
        }
    }

    /// Tells the app the errors that the host has received about its requests.
    fn tell_errors(&mut self, socket: &UdpSocket) {
        let (app, _) = self.key;
        error_queue::drain(socket, |told| {
            // The host keeps the whole message, which begins with its header.
            let sequence = told.payload.get(6..8).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
            let about = |sent: &Request| sent.destination == told.destination.ip() && Some(sent.sequence) == sequence;
            if let Some(at) = self.sent.iter().position(about)
                && let Some(request) = self.sent.remove(at)
            {
                self.replies.report(&request.packet, app, told.from, told.reason);
            }
        });
    }
}

fn open(family: IpAddr) -> io::Result<UdpSocket> {
    let (domain, protocol) = match family {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket: OwnedFd = socket(domain, SockType::Datagram, flags, protocol)?;
    error_queue::enable(&socket, family)?;
    // A ping socket has the calls of a datagram socket.
    UdpSocket::from_std(socket.into())
}
