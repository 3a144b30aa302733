//! Published ports of UDP.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Targets;
use super::datagrams::Datagrams;
use super::peers::{Datagram, Peers, Queue};
use crate::address::Family;
use crate::error::ReceiveError;
use crate::socket::{Network, UdpSocket};

/// The most peers of one publication at one time.
const MOST: usize = 4096;
/// How long a peer is known without a datagram in either direction (RFC 4787, REQ-5 and REQ-6).
const IDLE: Duration = Duration::from_secs(300);
/// The most datagrams of one peer that wait.
const QUEUE: usize = 128;
/// The most bytes that wait, of all peers together.
const MOST_BYTES: usize = 16 << 20;
/// The most datagrams of one peer that are kept until it is known at which address the app receives.
const KEPT: usize = 8;

/// Datagrams to a port of the host lead to an app. Each peer has a socket of its own on the app's network. If there are
/// more peers than can be known, the one that has been silent for the longest time is forgotten.
#[derive(Debug)]
pub struct UdpPublication {
    /// The host's socket. Answers leave from the address that the peer has asked, also if the socket is bound to all.
    pub socket: tokio::net::UdpSocket,
    /// The network that the app is reached on.
    pub network: Network,
    /// Where the app may receive. The next target is tried when the network tells that nothing receives at one.
    pub targets: Targets,
}

impl UdpPublication {
    /// Carries datagrams until the future is dropped.
    pub async fn run(self) {
        let Self { socket, network, targets } = self;
        let outside = match Datagrams::new(socket) {
            Ok(outside) => Arc::new(outside),
            Err(error) => return tracing::warn!(%error, "a published port cannot tell its addresses apart"),
        };
        let peers = Peers::new(MOST, QUEUE, MOST_BYTES);
        let mut tasks = JoinSet::new();
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            let received = outside.receive(&mut buffer).await;
            while tasks.try_join_next().is_some() {}
            let (length, ends) = match received {
                Ok(received) => received,
                Err(error) => {
                    // The error of an answer that was sent before: its peer has gone.
                    tracing::debug!(%error, "a published port has an error");
                    continue;
                }
            };
            if let Some(queue) = peers.receive(ends, &buffer[..length]) {
                let way = Way::new(network.clone(), targets.clone());
                let flow = Flow { queue, outside: outside.clone(), way, kept: Vec::new(), is_answered: false };
                tasks.spawn(flow.serve());
            }
        }
    }
}

/// The way to the app: the addresses that it may receive at, of which one is tried at a time.
struct Way {
    network: Network,
    targets: Targets,
    /// The targets that there were when the first of them was tried.
    known: Vec<SocketAddr>,
    /// The place of the present target among them.
    at: usize,
    /// The socket that is connected to the present target, once there was something to send.
    app: Option<UdpSocket>,
}

/// The datagrams of one peer.
struct Flow {
    queue: Queue,
    outside: Arc<Datagrams>,
    way: Way,
    /// The first datagrams, to be sent to the next target if nothing receives at the present one.
    kept: Vec<Datagram>,
    /// Whether the app has answered, so that the present target is the right one.
    is_answered: bool,
}

enum Event {
    /// The peer has sent something; `None` if it has had to make room for another one.
    Peer(Option<Datagram>),
    App(Result<Vec<u8>, ReceiveError>),
    Silence,
}

impl Flow {
    /// Carries datagrams in both directions until there were none for a while.
    async fn serve(mut self) {
        let mut last = Instant::now();
        loop {
            let event = tokio::select! {
                datagram = self.queue.next() => Event::Peer(datagram),
                received = self.way.receive() => Event::App(received),
                () = sleep_until(last + IDLE) => Event::Silence,
            };
            match event {
                Event::Peer(Some(datagram)) => self.inwards(datagram).await,
                Event::App(Ok(answer)) => self.outwards(&answer).await,
                Event::App(Err(ReceiveError::ConnectionRefused | ReceiveError::RemoteUnreachable)) => {
                    self.try_next().await;
                    continue;
                }
                Event::App(Err(ReceiveError::PacketTooLarge)) => continue,
                Event::App(Err(error)) => {
                    return tracing::debug!(%error, "a published port has lost its way to the app");
                }
                Event::Peer(None) | Event::Silence => return,
            }
            last = Instant::now();
        }
    }

    async fn inwards(&mut self, datagram: Datagram) {
        self.way.send(&datagram.data).await;
        if !self.is_answered && self.kept.len() < KEPT {
            self.kept.push(datagram);
        }
    }

    async fn outwards(&mut self, answer: &[u8]) {
        self.is_answered = true;
        self.kept = Vec::new();
        self.queue.touch();
        let ends = self.queue.ends();
        if let Err(error) = self.outside.send(answer, ends).await {
            tracing::debug!(peer = %ends.peer, %error, "an answer from a published port is lost");
        }
    }

    /// Nothing receives at the present target, or not any more.
    async fn try_next(&mut self) {
        if self.is_answered {
            // The app has been here. It may come back, or another answer like this leads further.
            self.is_answered = false;
        } else if self.way.advance() {
            for datagram in &self.kept {
                self.way.send(&datagram.data).await;
            }
        } else {
            // The app may receive later: the peer's next datagram finds out.
            self.kept = Vec::new();
        }
    }
}

impl Way {
    const fn new(network: Network, targets: Targets) -> Self {
        Self { network, targets, known: Vec::new(), at: 0, app: None }
    }

    /// Sends a datagram to the present target, or to the next one that can be reached.
    async fn send(&mut self, datagram: &[u8]) {
        if self.at == 0 && self.app.is_none() {
            self.known = self.targets.now();
        }
        while let Some(target) = self.known.get(self.at).copied() {
            let sent = match self.socket(target) {
                Ok(app) => app.send(datagram).await.map_err(|error| error.to_string()),
                Err(error) => Err(error),
            };
            match sent {
                Ok(_) => return,
                Err(error) => tracing::debug!(%target, %error, "a datagram to a published port does not reach its app"),
            }
            if !self.advance() {
                return;
            }
        }
    }

    /// The socket that is connected to the present target.
    fn socket(&mut self, target: SocketAddr) -> Result<&UdpSocket, String> {
        if self.app.is_none() {
            let any = SocketAddr::new(Family::of(target.ip()).unspecified(), 0);
            let app = UdpSocket::bind(&self.network, any).map_err(|error| error.to_string())?;
            app.connect(target).map_err(|error| error.to_string())?;
            self.app = Some(app);
        }
        self.app.as_ref().ok_or_else(|| "there is no socket".to_owned())
    }

    /// Turns to the next target. After the last one it is the first one's turn again, and `false` is returned.
    fn advance(&mut self) -> bool {
        self.app = None;
        self.at += 1;
        let is_another = self.at < self.known.len();
        if !is_another {
            self.at = 0;
        }
        is_another
    }

    /// What the app sends.
    async fn receive(&self) -> Result<Vec<u8>, ReceiveError> {
        match &self.app {
            Some(app) => app.recv_datagram().await.map(|datagram| datagram.data),
            None => core::future::pending().await,
        }
    }
}
