//! DNS servers that are reached through a network, as an upstream; and how servers are asked, whatever they are reached
//! through.

use core::future::Future;
use core::net::SocketAddr;
use core::time::Duration;

use super::forward::is_answer;
use super::{Answering, Transport, Upstream, UpstreamError};
use crate::address::Family;
use crate::platform::Clock;
use crate::socket::{Network, TcpStream, UdpSocket};

/// How long all servers may take together, a little less than the client of an upstream waits. Each has an equal part, so
/// that the last one is asked before the client gives up.
const PATIENCE: Duration = Duration::from_millis(4500);
/// How long an answer is waited for before the datagram is sent again, for the first time: it may have been lost (RFC 1035
/// section 4.2.1). After that, each time is twice as long.
const REPETITION: Duration = Duration::from_secs(1);
/// The number of datagrams that may come for a query and are not its answer (RFC 5452 section 9.3).
const MOST_MISFITS: usize = 16;

/// Asks servers one after another, until one answers in time. A server that cannot or does not want to answer, as its
/// answer says, is passed over as resolv.conf(5) does: if there is no better answer, it is that of the first.
pub(crate) async fn ask_each<F>(
    clock: &dyn Clock,
    servers: &[SocketAddr],
    ask: impl Fn(SocketAddr) -> F,
) -> Result<Vec<u8>, UpstreamError>
where
    F: Future<Output = Result<Vec<u8>, UpstreamError>>,
{
    let (mut outcome, mut refusal) = (UpstreamError::Unreachable, None);
    let patience = PATIENCE / u32::try_from(servers.len().max(1)).unwrap_or(u32::MAX);
    for server in servers {
        match clock.within(patience, ask(*server)).await {
            Some(Ok(answer)) if !is_refusal(&answer) => return Ok(answer),
            Some(Ok(answer)) => refusal = refusal.or(Some(answer)),
            Some(Err(error)) => outcome = error,
            None => {}
        }
    }
    refusal.ok_or(outcome)
}

/// Whether an answer says that its server has none: SERVFAIL, NOTIMP or REFUSED (RFC 1035 section 4.1.1).
fn is_refusal(answer: &[u8]) -> bool {
    answer.get(3).is_some_and(|flags| matches!(flags & 0x0f, 2 | 4 | 5))
}

/// Sends a query in a datagram until there is an answer to it, among the few datagrams from its server that are considered.
/// The caller says when it has waited for long enough.
pub(crate) async fn by_datagrams<S, R>(
    clock: &dyn Clock,
    query: &[u8],
    send: impl Fn() -> S,
    receive: impl Fn() -> R,
) -> Result<Vec<u8>, UpstreamError>
where
    S: Future<Output = Result<(), UpstreamError>>,
    R: Future<Output = Result<Vec<u8>, UpstreamError>>,
{
    let (mut misfits, mut wait) = (0, REPETITION);
    send().await?;
    while misfits <= MOST_MISFITS {
        match clock.within(wait, receive()).await {
            Some(datagram) => {
                let datagram = datagram?;
                if is_answer(query, &datagram) {
                    return Ok(datagram);
                }
                misfits += 1;
            }
            None => {
                wait *= 2;
                send().await?;
            }
        }
    }
    Err(UpstreamError::Unreachable)
}

/// Servers that are asked one after another, until one answers.
#[derive(Clone)]
pub struct Servers {
    network: Network,
    servers: Vec<SocketAddr>,
}

impl Servers {
    /// Asks `servers` through a network, each on a socket of its own for each query.
    #[must_use]
    pub const fn new(network: Network, servers: Vec<SocketAddr>) -> Self {
        Self { network, servers }
    }

    async fn ask_one(&self, server: SocketAddr, query: &[u8], transport: Transport) -> Result<Vec<u8>, UpstreamError> {
        match transport {
            Transport::Udp => self.by_udp(server, query).await,
            Transport::Tcp => self.by_tcp(server, query).await,
        }
    }

    /// Sends a datagram from a random port, and waits for the answer.
    async fn by_udp(&self, server: SocketAddr, query: &[u8]) -> Result<Vec<u8>, UpstreamError> {
        let any = SocketAddr::new(Family::of(server.ip()).unspecified(), 0);
        let socket = UdpSocket::bind(&self.network, any).map_err(failed)?;
        socket.connect(server).map_err(failed)?;
        let send = || async { socket.send(query).await.map(drop).map_err(failed) };
        let receive = || async { Ok(socket.recv_datagram().await.map_err(failed)?.data) };
        by_datagrams(&*self.network.platform().clock, query, send, receive).await
    }

    /// Sends a message and receives one on a connection of its own, each with its length in front.
    async fn by_tcp(&self, server: SocketAddr, query: &[u8]) -> Result<Vec<u8>, UpstreamError> {
        let stream = TcpStream::connect(&self.network, server).await.map_err(failed)?;
        let length = u16::try_from(query.len()).map_err(failed)?.to_be_bytes();
        stream.write_all(&[&length, query].concat()).await.map_err(failed)?;
        let mut length = [0; 2];
        fill(&stream, &mut length).await?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        fill(&stream, &mut answer).await?;
        Ok(answer)
    }
}

impl Upstream for Servers {
    fn ask<'a>(&'a self, query: &'a [u8], transport: Transport) -> Answering<'a> {
        Box::pin(async move {
            ask_each(&*self.network.platform().clock, &self.servers, |server| self.ask_one(server, query, transport))
                .await
        })
    }
}

impl core::fmt::Debug for Servers {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Servers").field("servers", &self.servers).finish_non_exhaustive()
    }
}

fn failed(error: impl core::fmt::Display) -> UpstreamError {
    UpstreamError::Failed(error.to_string())
}

async fn fill(stream: &TcpStream, mut buffer: &mut [u8]) -> Result<(), UpstreamError> {
    while !buffer.is_empty() {
        match stream.read(buffer).await.map_err(failed)? {
            0 => return Err(UpstreamError::Unreachable),
            count => buffer = buffer.get_mut(count..).unwrap_or_default(),
        }
    }
    Ok(())
}
