//! Published ports: a port of the host leads to a port of an app.
//!
//! A [`TcpPublication`] or [`UdpPublication`] listens with the host's own socket and carries what comes to an address
//! on a [`Network`]. The app sees that network's address as its peer; with [`ProxyProtocol`] it is told the real one.

mod datagrams;
mod peers;
mod proxy_protocol;
mod targets;
mod udp;

use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use tokio::task::JoinSet;

pub use self::proxy_protocol::ProxyProtocol;
pub use self::targets::Targets;
pub use self::udp::UdpPublication;
use crate::error::ConnectError;
use crate::gateway::{relay, reset};
use crate::socket::{Network, TcpStream};

/// The most connections of one publication at one time.
const MOST: usize = 4096;
/// How long accepting rests when the host has no more sockets.
const REST: Duration = Duration::from_millis(100);

/// Connections to a port of the host lead to an app.
#[derive(Debug)]
pub struct TcpPublication {
    /// The host's listener.
    pub listener: tokio::net::TcpListener,
    /// The network that the app is reached on.
    pub network: Network,
    /// Where the app may listen.
    pub targets: Targets,
    /// How the app is told the peer's address.
    pub proxy_protocol: Option<ProxyProtocol>,
}

impl TcpPublication {
    /// Carries connections until the future is dropped. A peer is reset where the app refuses it.
    pub async fn run(self) {
        let Self { listener, network, targets, proxy_protocol } = self;
        let mut connections = JoinSet::new();
        let mut was_full = false;
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
            let is_full = connections.len() >= MOST;
            if is_full && !was_full {
                tracing::warn!("{MOST} connections are open to a published port: further ones are reset");
            }
            was_full = is_full;
            if is_full {
                reset(&stream);
                continue;
            }
            let (network, targets) = (network.clone(), targets.clone());
            connections.spawn(async move {
                match connect(&network, &targets.now()).await {
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
    // It has no address at all, as before there is a lease.
    let mut failure = ConnectError::RemoteUnreachable;
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

#[cfg(test)]
mod tests;
