//! The DNS servers: which are asked, in which order, and how often.

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use hickory_proto::op::{Query, ResponseCode};

use super::ResolveError;
use super::exchange::{ErrorKind, ExchangeError, Response, exchange};
use crate::socket::network::Network;

/// A server, and the network through which it is asked.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: IpAddr,
    pub(super) network: Network,
}

/// How often and for how long servers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Patience {
    /// How long one server may take.
    pub(super) timeout: Duration,
    /// How many times a server that does not answer is asked.
    pub(super) attempts: usize,
}

/// The cause why no server had an answer.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// No server answered, or none is known.
    Silence,
    /// A server sent an invalid message.
    Nonsense,
    /// A server answered with a failure or a refusal.
    Refusal(Arc<Response>),
    /// The policy of the guest who has picked the server denies a part of the exchange.
    Denied,
}

impl From<Failure> for ResolveError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Silence => Self::ServersUnreachable,
            Failure::Denied => Self::AccessDenied,
            Failure::Nonsense | Failure::Refusal(_) => Self::ServerFailure,
        }
    }
}

/// The servers of all interfaces, in the order of the interfaces. Each server is asked through its interface, except
/// that addresses of this host itself are reached through the loopback.
pub(super) fn known(network: &Network) -> Vec<Server> {
    let stacks = network.stacks();
    let is_own = |address: IpAddr| {
        address.is_loopback() || stacks.iter().any(|stack| stack.with(|core| core.interface.has_address(address)))
    };
    let mut servers = Vec::new();
    for stack in &stacks {
        // The interface may have been unmounted meanwhile.
        let Ok(interface) = network.interface(stack.name()) else { continue };
        for address in stack.with(|core| core.interface.dns_servers()) {
            let network = if is_own(address) { network.clone() } else { interface.clone() };
            servers.push(Server { address, network });
        }
    }
    servers
}

/// Asks one server after the other until one has an answer; NXDOMAIN is an answer, too. Servers that answered with a
/// failure are not asked again.
pub(super) async fn ask(mut servers: Vec<Server>, patience: Patience, query: Query) -> Result<Arc<Response>, Failure> {
    let mut failure = Failure::Silence;
    for round in 0..patience.attempts.max(1) {
        let mut silent = Vec::new();
        for server in servers {
            // An old server may ignore the query only because of EDNS.
            let asking = attempt(&server, &query, round == 0);
            match server.network.platform().clock.within(patience.timeout, asking).await {
                Some(Ok(response)) => match response.message.response_code {
                    ResponseCode::NoError | ResponseCode::NXDomain => return Ok(Arc::new(response)),
                    code => {
                        tracing::debug!(address = %server.address, %code, "the name server fails");
                        failure = Failure::Refusal(Arc::new(response));
                    }
                },
                Some(Err(error)) => {
                    tracing::debug!(address = %server.address, %error, "no answer of the name server");
                    match error.kind() {
                        ErrorKind::Nonsense => failure = Failure::Nonsense,
                        ErrorKind::Denied => failure = Failure::Denied,
                        ErrorKind::Silence => silent.push(server),
                    }
                }
                None => {
                    tracing::debug!(address = %server.address, "no answer of the name server in time");
                    silent.push(server);
                }
            }
        }
        servers = silent;
    }
    Err(failure)
}

/// Sends one query to one server, at first with EDNS (RFC 6891) if `extended`.
async fn attempt(server: &Server, query: &Query, extended: bool) -> Result<Response, ExchangeError> {
    let response = exchange(server, query, extended).await?;
    let code = response.message.response_code;
    if extended && matches!(code, ResponseCode::FormErr | ResponseCode::NotImp) {
        // The server may not support EDNS (RFC 6891 section 7).
        return exchange(server, query, false).await;
    }
    Ok(response)
}
