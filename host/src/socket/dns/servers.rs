//! Asking the servers that the interfaces know.

use core::net::{IpAddr, SocketAddr};

use futures_util::StreamExt;
use hickory_resolver::net::NetError;
use hickory_resolver::net::tcp::TcpClientStream;
use hickory_resolver::net::udp::UdpClientStream;
use hickory_resolver::net::xfer::{DnsRequestSender, DnsStreamHandle, FirstAnswer};
use hickory_resolver::proto::op::{
    DnsRequest, DnsRequestOptions, DnsResponse, Edns, Message, MessageType, OpCode, Query, ResponseCode, SerialMessage,
};

use super::runtime::{Provider, within};
use super::{ResolveError, ResolverOptions};
use crate::socket::network::Network;

/// The port of DNS servers.
const PORT: u16 = 53;

/// The largest answer by UDP that is asked for: it passes any IPv6 link without fragments.
const UDP_PAYLOAD: u16 = 1232;

/// A server, and the part of the network that leads to it.
struct Server {
    address: IpAddr,
    network: Network,
}

/// What came of asking one server.
enum Outcome {
    /// The records, or that there are none.
    Answer(DnsResponse),
    /// The server answered that it cannot, or what makes no sense.
    Failed,
    /// Nothing.
    Silent,
}

/// Asks one server after the other until one has an answer: that there is no such name is one too. Those that answered
/// without one are not asked again.
pub(super) async fn ask(
    network: &Network,
    options: &ResolverOptions,
    query: &Query,
) -> Result<DnsResponse, ResolveError> {
    let mut servers = known(network);
    let mut failure = ResolveError::ServersUnreachable;
    for round in 0..options.attempts.max(1) {
        let mut silent = Vec::new();
        for server in servers {
            // An old server may be silent for the extension only, or say so in a way that hickory passes over.
            let asking = exchange(&server, query, round == 0);
            match within(network.platform(), options.timeout, asking).await.unwrap_or(Outcome::Silent) {
                Outcome::Answer(response) => return Ok(response),
                Outcome::Failed => failure = ResolveError::ServerFailure,
                Outcome::Silent => silent.push(server),
            }
        }
        servers = silent;
    }
    Err(failure)
}

/// The servers in the order of their interfaces. Each is asked through its interface, but this host's own addresses are
/// reached by the loopback.
fn known(network: &Network) -> Vec<Server> {
    let stacks = network.stacks();
    let is_own = |address: IpAddr| {
        address.is_loopback() || stacks.iter().any(|stack| stack.with(|core| core.interface.has_address(address)))
    };
    let mut servers = Vec::new();
    for stack in &stacks {
        // It may have gone meanwhile.
        let Ok(interface) = network.interface(stack.name()) else { continue };
        for address in stack.with(|core| core.interface.dns_servers()) {
            let network = if is_own(address) { network.clone() } else { interface.clone() };
            servers.push(Server { address, network });
        }
    }
    servers
}

/// One query to one server, at first with EDNS (RFC 6891) where it is `extended`.
async fn exchange(server: &Server, query: &Query, extended: bool) -> Outcome {
    let edns = extended.then(|| {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD);
        edns
    });
    let mut answer = attempt(server, query, edns).await;
    let does_not_know = |code| matches!(code, ResponseCode::FormErr | ResponseCode::NotImp);
    if extended && answer.as_ref().is_ok_and(|response| does_not_know(response.response_code)) {
        // It may be the extension that it does not know (RFC 6891 section 7).
        answer = attempt(server, query, None).await;
    }
    let address = server.address;
    match answer {
        Ok(response) => match response.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Outcome::Answer(response),
            code => {
                tracing::debug!(%address, %code, "the name server fails");
                Outcome::Failed
            }
        },
        Err(error) => {
            tracing::debug!(%address, %error, "no answer of the name server");
            if matches!(error, NetError::Io(_)) { Outcome::Silent } else { Outcome::Failed }
        }
    }
}

/// The answer to a query, asked for by UDP, and by TCP where it does not fit.
async fn attempt(server: &Server, query: &Query, edns: Option<Edns>) -> Result<DnsResponse, NetError> {
    let address = SocketAddr::new(server.address, PORT);
    let provider = Provider(server.network.clone());
    let id = server.network.platform().random_u64().to_be_bytes();
    let mut message = Message::new(u16::from_be_bytes([id[0], id[1]]), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(query.clone());
    message.edns = edns;
    let mut answer = by_udp(address, message.clone(), provider.clone()).await?;
    if answer.truncation {
        answer = by_tcp(address, &message, provider).await?;
    }
    if (answer.id, answer.op_code) != (message.id, message.op_code) || answer.queries != message.queries {
        return Err(NetError::from("the answer is to another question"));
    }
    if answer.truncation { Err(NetError::Truncated) } else { Ok(answer) }
}

/// One datagram, from a port of its own. Hickory passes over what comes with another source, number or question.
async fn by_udp(server: SocketAddr, message: Message, provider: Provider) -> Result<DnsResponse, NetError> {
    // The interface has a range to choose from, and chooses at random.
    let mut exchange =
        UdpClientStream::builder(server, provider).with_os_port_selection(true).with_max_retries(1).build();
    exchange.send_message(DnsRequest::new(message, DnsRequestOptions::default())).first_answer().await
}

/// One message each way, on a connection of its own (RFC 7766).
async fn by_tcp(server: SocketAddr, message: &Message, provider: Provider) -> Result<DnsResponse, NetError> {
    let (connecting, mut sender) = TcpClientStream::new(server, None, None, provider);
    let mut connection = connecting.await?;
    sender.send(SerialMessage::new(message.to_vec()?, server))?;
    let answer = connection.next().await.ok_or(NetError::NoConnections)??;
    Ok(DnsResponse::from_buffer(answer.into_parts().0)?)
}
