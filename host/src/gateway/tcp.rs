//! Connections of apps to the outside.
//!
//! A SYN is held while the host connects to its destination. If that succeeds, the SYN is given to the gateway's stack,
//! whose listener takes every address and port, and both connections are [relayed](super::relay). If it fails, the SYN
//! is answered with what the failure means.

mod table;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use xila_network_engine::ip::icmp::write::Reason;

use self::table::{Arrived, Ends, MOST, Table};
use super::Shared;
use super::failure::Failure;
use super::relay::{relay, reset};
use super::reply::Replies;
use crate::device::intercepted::Injector;
use crate::device::{ETHERNET_HEADER, Frame};
use crate::error::BindError;
use crate::socket::{KeepAlive, ListenOptions, Network, TcpListener, TcpOptions, TcpSocket};

/// A SYN of an app.
struct Syn {
    frame: Frame,
    /// Where the segment is in the IP packet.
    segment_at: usize,
}

/// The connections through a gateway.
pub(super) struct Connections {
    shared: Arc<Shared>,
    replies: Replies,
    injector: Injector,
    table: Mutex<Table<Syn>>,
}

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
        Self { shared, replies, injector, table: Mutex::default() }
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

    /// The number of connections that are carried, or are about to be.
    pub(super) fn carried(&self) -> usize {
        let now = self.shared.platform.clock.now();
        self.table.lock().carried(now)
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        // An error means that the gateway's interface is gone.
        while let Ok((stream, app)) = listener.accept().await {
            let refused = match self.table.lock().open((app, stream.local_addr())) {
                Some(relays) => relays.send(stream).err(),
                None => Some(stream),
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
        match self.table.lock().syn(Syn { frame, segment_at }, ends) {
            Arrived::ForStack(syn) => return Some(syn.frame),
            Arrived::Repeated => {}
            Arrived::Stale(syn) => {
                // The stack is locked now.
                let connections = self.clone();
                self.shared.spawn(async move { connections.again(syn, ends) });
            }
            Arrived::NoRoom => {
                tracing::debug!(app = %ends.0, "{MOST} connections are open at the gateway: a SYN is not answered");
            }
            Arrived::New { number, given_way } => {
                let place = Place { connections: self.clone(), ends, number };
                self.shared.spawn(async move {
                    // An error means that its place was given to another connection.
                    tokio::select! {
                        biased;
                        () = place.open() => {}
                        _ = given_way => tracing::debug!(app = %ends.0, "a connection that is not made yet gives way"),
                    }
                });
            }
        }
        None
    }

    /// A SYN has come for a connection that is carried. If the stack has that connection, it knows what to answer (RFC
    /// 9293 section 3.10.7.4). If the app's side has ended, the stack would accept a new one, for which nothing is
    /// connected: the SYN is lost, and when it is repeated the place may be free.
    fn again(&self, syn: Syn, (app, destination): Ends) {
        if self.shared.interface.get().is_some_and(|interface| interface.has_tcp_connection(destination, app)) {
            let _queued = self.injector.to_stack(syn.frame);
        }
    }
}

/// The place of a connection in the table, which is free again when this is dropped.
struct Place {
    connections: Arc<Connections>,
    ends: Ends,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        // Its SYN, if it was not answered, has nobody any more.
        drop(self.connections.table.lock().remove(self.ends, self.number));
    }
}

impl Place {
    /// Connects to the destination, and then lets the app connect.
    async fn open(&self) {
        let Connections { shared, replies, injector, table } = &*self.connections;
        let (app, destination) = self.ends;
        let outside = match self.target() {
            Ok(target) => connect(target).await.map_err(|error| Failure::from(&error)),
            Err(failure) => Err(failure),
        };
        // What is answered or goes to the stack is the latest SYN: meanwhile, the app may have given up, and begun again
        // with the same port.
        let outside = match outside {
            Ok(outside) => outside,
            Err(failure) => {
                let Some(syn) = table.lock().remove(self.ends, self.number) else { return };
                let packet = syn.frame.get(ETHERNET_HEADER..).unwrap_or_default();
                return match failure {
                    Failure::Refused => replies.refuse(packet, syn.segment_at, app, destination),
                    Failure::Report(reason) => replies.report(packet, app.ip(), None, reason),
                    Failure::Silence => {}
                };
            }
        };
        let (admitted, accepted) = oneshot::channel();
        let now = shared.platform.clock.now();
        let Some(syn) = table.lock().admit(self.ends, self.number, admitted, now) else { return reset(&outside) };
        // If the frame is lost, the app sends it again.
        let _queued = injector.to_stack(syn.frame);
        match shared.platform.clock.within(HANDSHAKE, accepted).await {
            Some(Ok(stream)) => relay(stream, outside).await,
            Some(Err(_)) | None => reset(&outside),
        }
    }

    /// Where the host connects to.
    fn target(&self) -> Result<SocketAddr, Failure> {
        let Shared { router, outside, .. } = &*self.connections.shared;
        let (app, destination) = self.ends;
        if router.is(destination.ip()) {
            return outside.on_loopback(destination).ok_or(Failure::Refused);
        }
        if router.is_near(destination.ip()) {
            // The gateway serves nothing at its link-local address, and does not carry from app to app.
            return Err(Failure::Refused);
        }
        if outside.admits(destination).map_err(|error| Failure::from(&error))? {
            return Ok(destination);
        }
        tracing::info!(%app, %destination, "the gateway does not lead there");
        Err(Failure::Report(Reason::Prohibited))
    }
}

async fn connect(target: SocketAddr) -> io::Result<tokio::net::TcpStream> {
    let stream = tokio::net::TcpStream::connect(target).await?;
    // The app's own segments decide what is sent when.
    stream.set_nodelay(true)?;
    Ok(stream)
}
