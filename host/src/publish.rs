//! Published ports: a port of the host leads to a port of an app.
//!
//! A [`TcpPublication`] or [`UdpPublication`] listens with the host's own socket and carries what comes to an address
//! on a [`Network`]. The app sees that network's address as its peer; with [`ProxyProtocol`] it is told the real one.

mod proxy_protocol;

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use tokio::task::JoinSet;

pub use self::proxy_protocol::ProxyProtocol;
use crate::address::Family;
use crate::error::ConnectError;
use crate::gateway::{Queue, Queues, TooManyQueues, relay, reset};
use crate::socket::{Network, TcpStream, UdpSocket};

/// The most connections, and the most peers of datagrams, of one publication at one time.
const MOST: usize = 4096;
/// How long the flow of a peer lasts without a datagram.
const IDLE: Duration = Duration::from_secs(300);
/// The most datagrams of one peer that wait.
const QUEUE: usize = 128;
/// How long accepting rests when the host has no more sockets.
const REST: Duration = Duration::from_millis(100);

/// Connections to a port of the host lead to an app.
#[derive(Debug)]
pub struct TcpPublication {
    /// The host's listener.
    pub listener: tokio::net::TcpListener,
    /// The network that the app is reached on.
    pub network: Network,
    /// The addresses that the app may listen on, in the order in which they are tried.
    pub targets: Vec<SocketAddr>,
    /// How the app is told the peer's address.
    pub proxy_protocol: Option<ProxyProtocol>,
}

impl TcpPublication {
    /// Carries connections until the future is dropped. A peer is reset where the app refuses it.
    pub async fn run(self) {
        let Self { listener, network, targets, proxy_protocol } = self;
        let targets = Arc::<[SocketAddr]>::from(targets);
        let mut connections = JoinSet::new();
        loop {
            let accepted = listener.accept().await;
            while connections.try_join_next().is_some() {}
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a published port cannot accept a connection");
                    tokio::time::sleep(REST).await;
                    continue;
                }
            };
            if connections.len() >= MOST {
                tracing::warn!("{MOST} connections are open to a published port: a further one is reset");
                reset(&stream);
                continue;
            }
            let (network, targets) = (network.clone(), targets.clone());
            connections.spawn(async move {
                match connect(&network, &targets).await {
                    Ok(app) => carry(stream, peer, app, proxy_protocol).await,
                    Err(error) => {
                        tracing::info!(%peer, %error, "the app does not take a connection to a published port");
                        reset(&stream);
                    }
                }
            });
        }
    }
}

/// Connects to the first of some addresses where the app listens.
async fn connect(network: &Network, targets: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
    let mut failure = ConnectError::InvalidArgument;
    for target in targets {
        match TcpStream::connect(network, *target).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn carry(
    outside: tokio::net::TcpStream,
    peer: SocketAddr,
    app: TcpStream,
    proxy_protocol: Option<ProxyProtocol>,
) {
    let prepared = async {
        outside.set_nodelay(true)?;
        if let Some(version) = proxy_protocol {
            app.write_all(&version.header(peer, outside.local_addr()?)).await?;
        }
        io::Result::Ok(())
    };
    match prepared.await {
        Ok(()) => relay(app, outside).await,
        Err(error) => {
            tracing::debug!(%peer, %error, "a connection to a published port ends at once");
            app.abort();
            reset(&outside);
        }
    }
}

/// Datagrams to a port of the host lead to an app. Each peer has a socket of its own on the app's network.
#[derive(Debug)]
pub struct UdpPublication {
    /// The host's socket.
    pub socket: tokio::net::UdpSocket,
    /// The network that the app is reached on.
    pub network: Network,
    /// Where the app receives.
    pub target: SocketAddr,
}

impl UdpPublication {
    /// Carries datagrams until the future is dropped.
    pub async fn run(self) {
        let Self { socket, network, target } = self;
        let (socket, peers) = (Arc::new(socket), Queues::new(MOST, QUEUE));
        let mut tasks = JoinSet::new();
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            let received = socket.recv_from(&mut buffer).await;
            while tasks.try_join_next().is_some() {}
            let (length, peer) = match received {
                Ok(received) => received,
                Err(error) => {
                    // The error of an answer that was sent before: its peer has gone.
                    tracing::debug!(%error, "a published port has an error");
                    continue;
                }
            };
            match peers.send(peer, buffer[..length].to_vec()) {
                Ok(None) => {}
                Ok(Some(datagrams)) => {
                    let flow = Flow { peer, target, outside: socket.clone(), network: network.clone() };
                    tasks.spawn(flow.serve(datagrams));
                }
                Err(TooManyQueues) => {
                    tracing::warn!("{MOST} peers send datagrams to a published port: a further one is not served");
                }
            }
        }
    }
}

/// What is needed to carry the datagrams of a peer.
struct Flow {
    peer: SocketAddr,
    target: SocketAddr,
    outside: Arc<tokio::net::UdpSocket>,
    network: Network,
}

impl Flow {
    /// Carries datagrams in both directions until the peer has been silent for a while.
    async fn serve(self, mut datagrams: Queue<SocketAddr, Vec<u8>>) {
        let Self { peer, target, outside, network } = self;
        let any = SocketAddr::new(Family::of(target.ip()).unspecified(), 0);
        let app = match UdpSocket::bind(&network, any) {
            Ok(app) => app,
            Err(error) => return tracing::warn!(%error, "a published port has no socket for a peer"),
        };
        if let Err(error) = app.connect(target) {
            return tracing::warn!(%target, %error, "a published port does not reach its app");
        }
        let mut buffer = vec![0; usize::from(u16::MAX)];
        let mut last = tokio::time::Instant::now();
        loop {
            tokio::select! {
                datagram = datagrams.next() => {
                    if let Err(error) = app.send(&datagram).await {
                        tracing::debug!(%target, %error, "a datagram to a published port is lost");
                    }
                    last = tokio::time::Instant::now();
                }
                received = app.recv(&mut buffer) => match received {
                    Ok(length) => {
                        if let Err(error) = outside.send_to(&buffer[..length], peer).await {
                            tracing::debug!(%peer, %error, "an answer from a published port is lost");
                        }
                    }
                    // The app does not receive there now; it may later.
                    Err(error) => tracing::debug!(%target, %error, "a published port has no app"),
                },
                () = tokio::time::sleep_until(last + IDLE) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
