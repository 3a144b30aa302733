//! Queries by TCP (RFC 7766): several on a connection, which are answered in the order in which answers come.

use core::future::{Future as _, poll_fn};
use core::net::{IpAddr, SocketAddr};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::collections::BTreeMap;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};

use super::respond::Verdict;
use super::udp::LONGEST_QUERY;
use super::{Service, Transport};
use crate::socket::{TcpListener, TcpStream};

/// The most connections, of all clients and of one.
const MOST: usize = 64;
const MOST_OF_ONE: usize = MOST / 4;
/// The most queries of a connection that wait for the upstream. Further ones are not read.
const PIPELINE: usize = 16;
/// How long a connection may be without a complete query, or without taking an answer (RFC 7766 section 6.2.3).
const IDLE: Duration = Duration::from_secs(10);

/// What has happened.
enum Event {
    Connection(TcpStream, SocketAddr),
    /// A connection has ended.
    Ended(IpAddr),
    /// The interface has ended.
    End,
}

/// Serves a listener until its interface has ended.
pub(super) async fn serve(service: &Service<'_>, listener: &TcpListener) {
    let mut connections = FuturesUnordered::new();
    let mut clients = BTreeMap::<IpAddr, usize>::new();
    loop {
        let event = poll_fn(|context| {
            if let Poll::Ready(Some(client)) = connections.poll_next_unpin(context) {
                return Poll::Ready(Event::Ended(client));
            }
            listener.poll_accept(context).map(|accepted| match accepted {
                Ok((stream, client)) => Event::Connection(stream, client),
                Err(error) => {
                    tracing::debug!(%error, "DNS is served no more by TCP");
                    Event::End
                }
            })
        });
        match event.await {
            Event::End => return,
            Event::Ended(client) => {
                if let Some(count) = clients.get_mut(&client) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        clients.remove(&client);
                    }
                }
            }
            Event::Connection(stream, client) => {
                let client = client.ip();
                let of_client = clients.get(&client).copied().unwrap_or_default();
                if connections.len() < MOST && of_client < MOST_OF_ONE {
                    clients.insert(client, of_client + 1);
                    connections.push(connection(service, stream).map(move |()| client));
                }
            }
        }
    }
}

/// What has happened on a connection.
enum Happened {
    /// A query, or `None` if there are no more.
    Query(Option<Vec<u8>>),
    Answer(Vec<u8>),
    Idle,
}

/// Serves a connection until it ends.
async fn connection(service: &Service<'_>, stream: TcpStream) {
    let clock = &*service.platform.clock;
    let mut waiting = FuturesUnordered::new();
    let mut query = pin!(read(&stream));
    let mut has_more = true;
    let mut idle = clock.timer();
    while has_more || !waiting.is_empty() {
        idle.set(Some(clock.now() + IDLE));
        let happened = poll_fn(|context| {
            if let Poll::Ready(Some(answer)) = waiting.poll_next_unpin(context) {
                return Poll::Ready(Happened::Answer(answer));
            }
            if has_more
                && waiting.len() < PIPELINE
                && let Poll::Ready(query) = query.as_mut().poll(context)
            {
                return Poll::Ready(Happened::Query(query));
            }
            if waiting.is_empty() { idle.poll(context).map(|()| Happened::Idle) } else { Poll::Pending }
        });
        let answer = match happened.await {
            Happened::Idle => return,
            Happened::Answer(answer) => answer,
            Happened::Query(None) => {
                has_more = false;
                continue;
            }
            Happened::Query(Some(message)) => {
                query.set(read(&stream));
                match service.responder.consider(&message, Transport::Tcp, &*service.platform.random) {
                    // Whoever sends no queries has no use of the connection.
                    Verdict::Ignore => return,
                    Verdict::Answer(answer) => answer,
                    Verdict::Forward(forward) => match service.responder.upstream() {
                        Some(upstream) => {
                            waiting.push(forward.ask(upstream, clock));
                            continue;
                        }
                        None => forward.fail(),
                    },
                }
            }
        };
        if write(service, &stream, &answer).await.is_none() {
            return;
        }
    }
}

/// Reads a message, which has its length in front. `None` at the end of the connection, and if the message is too long.
async fn read(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    fill(stream, &mut length).await?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > LONGEST_QUERY {
        return None;
    }
    let mut message = vec![0; length];
    fill(stream, &mut message).await?;
    Some(message)
}

async fn fill(stream: &TcpStream, mut buffer: &mut [u8]) -> Option<()> {
    while !buffer.is_empty() {
        let count = stream.read(buffer).await.ok().filter(|count| *count > 0)?;
        buffer = buffer.get_mut(count..)?;
    }
    Some(())
}

/// Writes a message with its length in front. `None` if the connection does not take it.
async fn write(service: &Service<'_>, stream: &TcpStream, message: &[u8]) -> Option<()> {
    let length = u16::try_from(message.len()).ok()?.to_be_bytes();
    let bytes = [&length, message].concat();
    service.platform.clock.within(IDLE, stream.write_all(&bytes)).await?.ok()
}
