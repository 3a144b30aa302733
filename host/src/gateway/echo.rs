//! Mappings of echo requests: each identifier of an app has a ping socket of the host (icmp(7)), which needs no
//! privileges where `net.ipv4.ping_group_range` allows it.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use tokio::net::UdpSocket;
use xila_network_engine::ip::icmp::write::{self, Reason};

use super::Shared;
use super::error_queue;
use super::failure::Failure;
use super::front::Octets;
use super::mapping::{self, HopLimit, carry};
use super::queues::{Queues, Share};
use super::reply::Replies;

/// The mappings of a gateway.
pub(super) struct Echoes {
    shared: Arc<Shared>,
    replies: Replies,
    /// The queues by the app's address and identifier.
    queues: Queues<(IpAddr, u16), Request>,
}

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
/// The most bytes that wait for the host's socket.
const BYTES: usize = 1 << 20;
/// The length of an echo message's header, in bytes (RFC 792).
const HEADER: usize = 8;

impl Echoes {
    pub(super) fn new(shared: Arc<Shared>, replies: Replies) -> Self {
        let share =
            Share { owner: |(app, _): &(IpAddr, u16)| *app, size: |it: &Request| it.packet.len(), bytes: BYTES };
        Self { shared, replies, queues: Queues::new(MOST, QUEUE, share) }
    }

    /// Sends an echo request of `app` with this identifier to the outside.
    pub(super) fn send(&self, app: IpAddr, identifier: u16, request: Request) {
        if let Some(queue) = self.queues.send((app, identifier), request) {
            let (shared, replies) = (self.shared.clone(), self.replies.clone());
            let clock = shared.platform.clock.clone();
            let mapping =
                Mapping { shared, replies, app, identifier, sent: VecDeque::new(), hop_limit: HopLimit::default() };
            self.shared.spawn(async move { carry(mapping, queue, &*clock).await });
        }
    }
}

/// One mapping.
struct Mapping {
    shared: Arc<Shared>,
    replies: Replies,
    app: IpAddr,
    identifier: u16,
    /// The latest requests, for errors about them.
    sent: VecDeque<Request>,
    hop_limit: HopLimit,
}

impl mapping::Mapping for Mapping {
    type App = (IpAddr, u16);
    type Packet = Request;

    /// RFC 5508 section 3.2, REQ-2.
    const IDLE: Duration = Duration::from_secs(60);

    fn open(&self) -> io::Result<UdpSocket> {
        let opened = open(self.app);
        if opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
            tracing::warn!("this user may not send echo requests: his group is not in net.ipv4.ping_group_range");
        }
        opened
    }

    async fn send(&mut self, socket: &UdpSocket, request: Request) {
        let app = self.app;
        let destination = SocketAddr::new(request.destination, 0);
        match self.shared.outside.admits(destination) {
            Ok(true) => {}
            Ok(false) => {
                tracing::debug!(%app, destination = %request.destination, "the gateway does not lead there");
                return self.report(&request, Reason::Prohibited);
            }
            Err(error) => {
                if let Failure::Report(reason) = Failure::from(&error) {
                    self.report(&request, reason);
                }
                return;
            }
        }
        if let Err(error) = self.hop_limit.pass_on(socket, app, request.packet.hop_limit()) {
            return tracing::warn!(%app, %error, "the hop limit of the gateway's socket cannot be set");
        }
        let mut message = Vec::new();
        let payload = request.packet.get(request.payload.clone()).unwrap_or_default();
        // The host sets the identifier to that of the socket, and the checksum.
        write::echo_request(&mut message, app, request.destination, 0, request.sequence, payload);
        let sent = socket.send_to(&message, destination).await;
        if let Err(error) = &sent {
            self.tell_errors(socket);
            if let Failure::Report(reason) = Failure::from(error) {
                return self.report(&request, reason);
            }
        }
        if self.sent.len() == QUEUE {
            self.sent.pop_front();
        }
        self.sent.push_back(request);
    }

    fn pass(&mut self, peer: SocketAddr, data: &[u8]) {
        if let Some((header, payload)) = data.split_first_chunk::<HEADER>() {
            let [_, _, _, _, _, _, high, low] = *header;
            let sequence = u16::from_be_bytes([high, low]);
            self.sent.retain(|sent| sent.destination != peer.ip() || sent.sequence != sequence);
            self.replies.echo(peer.ip(), self.app, self.identifier, sequence, payload);
        }
    }

    fn tell_errors(&mut self, socket: &UdpSocket) -> bool {
        error_queue::drain(socket, |told| {
            // The host keeps the whole message, which begins with its header.
            let sequence = told.payload.get(6..8).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
            let about = |sent: &Request| sent.destination == told.destination.ip() && Some(sent.sequence) == sequence;
            if let Some(at) = self.sent.iter().position(about)
                && let Some(request) = self.sent.remove(at)
            {
                self.replies.report(&request.packet, self.app, told.from, told.reason);
            }
        })
    }

    fn report(&self, request: &Request, reason: Reason) {
        self.replies.report(&request.packet, self.app, None, reason);
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
