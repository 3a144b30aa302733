//! Which servers are asked, and in which order.

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use hickory_proto::op::{Query, ResponseCode};

use super::ResolveError;
use super::exchange::{ExchangeError, Response, exchange};
use crate::socket::network::Network;

/// A server, and the part of the network that leads to it.
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
    /// How often those are asked that were silent.
    pub(super) attempts: usize,
}

/// Why none of the servers had an answer.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// None said anything, or there is none.
    Silence,
    /// One said what makes no sense.
    Nonsense,
    /// One answered that it cannot, or will not.
    Refusal(Arc<Response>),
}

impl From<Failure> for ResolveError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Silence => Self::ServersUnreachable,
            Failure::Nonsense | Failure::Refusal(_) => Self::ServerFailure,
        }
    }
}

/// The servers that the interfaces know, in the order of their interfaces. Each is asked through its interface, but this
/// host's own addresses are reached by the loopback.
pub(super) fn known(network: &Network) -> Vec<Server> {
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

/// Asks one server after the other until one has an answer: that there is no such name is one too. Those that answered
/// without one are not asked again.
pub(super) async fn ask(mut servers: Vec<Server>, patience: Patience, query: Query) -> Result<Arc<Response>, Failure> {
    let mut failure = Failure::Silence;
    for round in 0..patience.attempts.max(1) {
        let mut silent = Vec::new();
        for server in servers {
            // An old server may be silent for the extension only.
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
                    if error.is_nonsense() {
                        failure = Failure::Nonsense;
                    } else {
                        silent.push(server);
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

/// One question to one server, at first with EDNS (RFC 6891) where it is `extended`.
async fn attempt(server: &Server, query: &Query, extended: bool) -> Result<Response, ExchangeError> {
    let response = exchange(server, query, extended).await?;
    let code = response.message.response_code;
    if extended && matches!(code, ResponseCode::FormErr | ResponseCode::NotImp) {
        // It may be the extension that it does not know (RFC 6891 section 7).
        return exchange(server, query, false).await;
    }
    Ok(response)
}
