//! Connections of apps to the outside.
//!
//! A SYN is held while the host connects to its destination. If that succeeds, the SYN is given to the gateway's stack,
//! whose listener takes every address and port, and both connections are [relayed](super::relay). If it fails, the SYN
//! is answered with what the failure means.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use xila_network_engine::ip::icmp::write::Reason;

use super::Shared;
use super::failure::Failure;
use super::relay::{relay, reset};
use super::reply::Replies;
use crate::device::intercepted::Injector;
use crate::device::{ETHERNET_HEADER, Frame};
use crate::error::BindError;
use crate::socket::{KeepAlive, ListenOptions, Network, TcpListener, TcpOptions, TcpSocket, TcpStream};

/// The ends of a connection: the app's, and the destination.
pub(super) type Ends = (SocketAddr, SocketAddr);

/// The connections through a gateway.
pub(super) struct Connections {
    shared: Arc<Shared>,
    replies: Replies,
    injector: Injector,
    known: Mutex<HashMap<Ends, State>>,
}

/// How far a connection is.
enum State {
    /// The host connects.
    Held,
    /// The host is connected, and the app's SYN was given to the stack.
    Admitted(oneshot::Sender<TcpStream>),
    /// Both connections are established.
    Open,
}

/// The most connections at one time.
const MOST: usize = 4096;
/// How long an app may take to complete its handshake when the host is connected. It is a matter of microseconds, unless
/// the app has given up.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// How many connections may wait between their handshake and their relay.
const BACKLOG: usize = 1024;
/// How a silent connection is checked: an app that was ended does not say so. Its peers may be silent for two hours and
/// more (RFC 5382 section 5).
const KEEP_ALIVE: KeepAlive =
    KeepAlive { idle: Duration::from_secs(7440), interval: Duration::from_secs(60), count: 5 };

impl Connections {
    pub(super) fn new(shared: Arc<Shared>, replies: Replies, injector: Injector) -> Self {
        Self { shared, replies, injector, known: Mutex::default() }
    }

    /// Takes the connections that the gateway's stack accepts from now on.
    ///
    /// # Errors
    /// See [`BindError`].
    pub(super) fn serve(self: &Arc<Self>, network: &Network) -> Result<(), BindError> {
        for any in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
            let tcp = TcpOptions { keep_alive: Some(KEEP_ALIVE), ..TcpOptions::default() };
            let options = ListenOptions { backlog: BACKLOG, tcp };
            let listener = TcpSocket::bind_every_port(network, any)?.listen(options)?;
            self.shared.spawn(self.clone().accept(listener));
        }
        Ok(())
    }

    /// The number of connections.
    pub(super) fn count(&self) -> usize {
        self.known.lock().len()
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        // An error means that the gateway's interface is gone.
        while let Ok((stream, app)) = listener.accept().await {
            let ends = (app, stream.local_addr());
            let admitted = self.known.lock().get_mut(&ends).map(|state| core::mem::replace(state, State::Open));
            let refused = match admitted {
                Some(State::Admitted(relays)) => relays.send(stream).err(),
                Some(State::Held | State::Open) | None => Some(stream),
            };
            if let Some(stream) = refused {
                // Nobody relays it: its task has given up.
                stream.abort();
            }
        }
    }

    /// A SYN of an app has arrived, in `frame`, with its segment at `segment_at` in the IP packet. Returns the frame if
    /// it is for the gateway's stack.
    pub(super) fn syn(self: &Arc<Self>, frame: Frame, segment_at: usize, ends: Ends) -> Option<Frame> {
        let mut known = self.known.lock();
        let count = known.len();
        match known.entry(ends) {
            Entry::Occupied(entry) => match entry.get() {
                // It is a repetition.
                State::Held => None,
                State::Admitted(_) | State::Open => Some(frame),
            },
            Entry::Vacant(_) if count >= MOST => {
                tracing::debug!("{MOST} connections are open at the gateway: a further one is not answered");
                None
            }
            Entry::Vacant(entry) => {
                entry.insert(State::Held);
                drop(known);
                let place = Place { connections: self.clone(), ends };
                self.shared.spawn(place.open(frame, segment_at));
                None
            }
        }
    }
}

/// The place of a connection in the table, which is free again when this is dropped.
struct Place {
    connections: Arc<Connections>,
    ends: Ends,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.known.lock().remove(&self.ends);
    }
}

impl Place {
    /// Connects to the destination, and then lets the app connect.
    async fn open(self, frame: Frame, segment_at: usize) {
        let Connections { shared, replies, injector, known } = &*self.connections;
        let (app, destination) = self.ends;
        let target = if shared.router.is(destination.ip()) {
            shared.outside.on_loopback(destination).ok_or(Failure::Refused)
        } else if shared.outside.admits(destination) {
            Ok(destination)
        } else {
            tracing::info!(%app, %destination, "the gateway does not lead there");
            Err(Failure::Report(Reason::Prohibited))
        };
        let outside = match target {
            Ok(target) => connect(target).await.map_err(|error| Failure::from(&error)),
            Err(failure) => Err(failure),
        };
        let outside = match outside {
            Ok(outside) => outside,
            Err(failure) => {
                let packet = frame.get(ETHERNET_HEADER..).unwrap_or_default();
                return match failure {
                    Failure::Refused => replies.refuse(packet, segment_at, app, destination),
                    Failure::Report(reason) => replies.report(packet, app.ip(), None, reason),
                    Failure::Silence => {}
                };
            }
        };
        let (admitted, accepted) = oneshot::channel();
        known.lock().insert(self.ends, State::Admitted(admitted));
        // If the frame is lost, the app sends it again.
        let _queued = injector.to_stack(frame);
        match shared.platform.clock.within(HANDSHAKE, accepted).await {
            Some(Ok(stream)) => relay(stream, outside).await,
            Some(Err(_)) | None => reset(&outside),
        }
    }
}

async fn connect(target: SocketAddr) -> io::Result<tokio::net::TcpStream> {
    let stream = tokio::net::TcpStream::connect(target).await?;
    // The app's own segments decide what is sent when.
    stream.set_nodelay(true)?;
    Ok(stream)
}
