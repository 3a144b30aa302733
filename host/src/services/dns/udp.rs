//! Queries by UDP.

use core::future::poll_fn;
use core::net::{IpAddr, SocketAddr};
use core::task::Poll;
use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::respond::Verdict;
use super::{Service, Transport};
use crate::error::SendError;
use crate::socket::{Datagram, UdpSocket};

/// The most queries that wait for the upstream, of all clients and of one.
const MOST: usize = 1024;
const MOST_OF_ONE: usize = MOST / 4;
/// The longest query in bytes.
pub(super) const LONGEST_QUERY: usize = 4096;

/// What has happened.
enum Event {
    Query(Datagram),
    /// The answer of the upstream for a client.
    Answer(SocketAddr, Vec<u8>),
    /// The interface has ended.
    End,
}

/// Serves a socket until its interface has ended.
pub(super) async fn serve(service: &Service<'_>, socket: &UdpSocket) {
    let mut waiting = FuturesUnordered::new();
    let mut clients = BTreeMap::<IpAddr, usize>::new();
    loop {
        let event = poll_fn(|context| {
            if let Poll::Ready(Some((client, answer))) = waiting.poll_next_unpin(context) {
                return Poll::Ready(Event::Answer(client, answer));
            }
            socket.poll_recv_datagram(context).map(|received| match received {
                Ok(datagram) => Event::Query(datagram),
                Err(error) => {
                    tracing::debug!(%error, "DNS is served no more by UDP");
                    Event::End
                }
            })
        });
        match event.await {
            Event::End => return,
            Event::Answer(client, answer) => {
                if let Some(count) = clients.get_mut(&client.ip()) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        clients.remove(&client.ip());
                    }
                }
                send(socket, &answer, client);
            }
            Event::Query(datagram) => {
                let client = datagram.remote;
                if datagram.data.len() > LONGEST_QUERY {
                    continue;
                }
                match service.responder.consider(&datagram.data, Transport::Udp, &*service.platform.random) {
                    Verdict::Ignore => {}
                    Verdict::Answer(answer) => send(socket, &answer, client),
                    Verdict::Forward(forward) => {
                        let of_client = clients.get(&client.ip()).copied().unwrap_or_default();
                        match service.responder.upstream() {
                            Some(upstream) if waiting.len() < MOST && of_client < MOST_OF_ONE => {
                                clients.insert(client.ip(), of_client + 1);
                                let clock = &*service.platform.clock;
                                waiting.push(async move { (client, forward.ask(upstream, clock).await) });
                            }
                            // The client asks again, while an error would make it give up.
                            Some(_) => tracing::debug!(%client, "too many queries wait for name servers"),
                            None => send(socket, &forward.fail(), client),
                        }
                    }
                }
            }
        }
    }
}

/// Sends an answer if there is room. Otherwise it is lost, as it could be on the way, and the client asks again.
fn send(socket: &UdpSocket, answer: &[u8], client: SocketAddr) {
    match socket.try_send_to(answer, client) {
        Ok(_) | Err(SendError::WouldBlock) => {}
        Err(error) => tracing::debug!(%client, %error, "a DNS answer cannot be sent"),
    }
}
