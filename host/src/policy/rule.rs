//! One rule of a policy: whether it covers a request, and its text form.

use core::fmt;
use core::net::SocketAddr;
use core::ops::RangeInclusive;

use super::operation::{Operation, Operations};
use super::request::{Endpoint, Request};
use crate::address::Cidr;

/// The decision of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The operation is allowed.
    Allow,
    /// The operation fails with `access-denied`, or the received packet is dropped.
    Deny,
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

/// One rule of a [`Policy`](super::Policy): an action for the operations that it covers. Its text form is described at
/// [`Policy`](super::Policy).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub(super) action: Action,
    pub(super) operations: Operations,
    pub(super) target: Target,
    /// The peers that a rule about a bound socket admits; `None` for all of them.
    pub(super) from: Option<Target>,
    /// The only interface to which the rule applies; `None` for all of them.
    pub(super) interface: Option<String>,
    /// The rule's line in the policy's text, counted from 1.
    pub(super) line: usize,
}

impl Rule {
    /// The decision of the rule for the operations that it covers.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// The line of the policy's text that the rule is on, counted from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// Whether the rule applies to a request, directly or because it implies the operation.
    pub(super) fn covers(&self, request: &Request<'_>) -> bool {
        self.operations.contains(request.operation) && self.covers_directly(request) || self.covers_by_another(request)
    }

    /// Whether it depends on the names of the remote endpoint whether the rule covers a request.
    pub(super) const fn compares_names(&self) -> bool {
        self.target.is_name()
    }

    /// Whether the target, the peers and the interface of the rule match the request. The rule must name the operation.
    fn covers_directly(&self, request: &Request<'_>) -> bool {
        // Names and commands have no peers.
        let has_peers = self.from.as_ref().is_some_and(|from| !from.is_any());
        if request.operation == Operation::Resolve {
            // `on` is not compared: the host decides how DNS queries travel.
            return self.target.covers_name(request.name) && !has_peers;
        }
        let is_covered = match request.operation.endpoint() {
            Some(Endpoint::Remote) => self.is_to(request),
            Some(Endpoint::Local) => self.is_at(request),
            None => self.target.covers_command(request.command) && !has_peers,
        };
        is_covered && self.is_from(request) && self.is_on(request)
    }

    /// Whether the rule implies the operation. An allowed operation implies those without which it would be useless: a
    /// listening socket accepts connections, a bound socket receives, a sender receives answers, and a guest resolves
    /// the name to which it connects. A denied bind or listen implies what
    /// [`covers_what_a_wildcard_hears`](Self::covers_what_a_wildcard_hears) says.
    fn covers_by_another(&self, request: &Request<'_>) -> bool {
        let has = |operation| self.operations.contains(operation);
        if self.action == Action::Deny {
            return self.covers_what_a_wildcard_hears(request);
        }
        match request.operation {
            Operation::TcpBind => has(Operation::TcpListen) && self.is_at(request) && self.is_on(request),
            Operation::TcpAccept => {
                has(Operation::TcpListen) && self.is_at(request) && self.is_from(request) && self.is_on(request)
            }
            Operation::UdpReceive => {
                let is_to_many = request.local.is_some_and(|local| local.ip().to_canonical().is_multicast());
                let answers = has(Operation::UdpSend) && self.is_to(request);
                let serves = has(Operation::UdpBind) && self.is_at(request);
                let overhears = is_to_many && has(Operation::UdpMulticast) && self.is_at(request);
                (answers || serves || overhears) && self.is_from(request) && self.is_on(request)
            }
            Operation::Resolve => {
                let reaches = [Operation::TcpConnect, Operation::UdpSend, Operation::Ping].into_iter().any(has);
                reaches && self.target.is_name() && self.target.covers_name(request.name)
            }
            _ => false,
        }
    }

    /// Whether the rule denies binding or listening at some addresses, on an interface or from some peers, and the
    /// packet arrived there or came from them. A socket that may be bound nevertheless, such as one that is bound to
    /// the unspecified address, must not receive such packets.
    fn covers_what_a_wildcard_hears(&self, request: &Request<'_>) -> bool {
        let binding = match request.operation {
            Operation::TcpAccept => Operation::TcpListen,
            Operation::UdpReceive => Operation::UdpBind,
            _ => return false,
        };
        let is_partial =
            matches!(self.target.host, Host::Network(_)) || self.interface.is_some() || self.from.is_some();
        let is_bound_there = self.is_at(request) && self.is_from(request) && self.is_on(request);
        is_partial && self.operations.contains(binding) && is_bound_there
    }

    /// Whether the rule allows any operation of the request's protocol. A socket with an ephemeral port may then be
    /// created, because the operation needs one.
    pub(super) fn needs_socket(&self, request: &Request<'_>) -> bool {
        let kind = request.operation.protocol();
        self.action == Action::Allow && self.operations.iter().any(|operation| operation.protocol() == kind)
    }

    /// Whether the rule denies all operations of the request's protocol, for all targets, peers and interfaces.
    pub(super) fn forbids_socket(&self, request: &Request<'_>) -> bool {
        let kind = request.operation.protocol();
        let all = Operation::ALL.into_iter().filter(|operation| operation.protocol() == kind);
        self.action == Action::Deny
            && self.target.is_any()
            && self.from.is_none()
            && self.interface.is_none()
            && all.into_iter().all(|operation| self.operations.contains(operation))
    }

    /// Whether the rule denies binding at the address that the guest has chosen, whatever the port. The unspecified
    /// address is no choice: every client has a socket that is bound to it.
    pub(super) fn forbids_address(&self, request: &Request<'_>) -> bool {
        let covers = |local: SocketAddr| !local.ip().is_unspecified() && self.target.covers(local, &[]);
        self.action == Action::Deny
            && self.operations.contains(request.operation)
            && matches!(self.target.host, Host::Network(_))
            && self.target.ports.is_empty()
            && self.from.is_none()
            && request.local.is_some_and(covers)
            && self.is_on(request)
    }

    /// Whether the target covers the remote endpoint. If that is not known, the target must be `any`.
    fn is_to(&self, request: &Request<'_>) -> bool {
        request.remote.map_or(self.target.is_any(), |remote| self.target.covers(remote, request.names))
    }

    /// Whether the target covers the local endpoint. If that is not known, the target must be `any`.
    fn is_at(&self, request: &Request<'_>) -> bool {
        request.local.map_or(self.target.is_any(), |local| self.target.covers(local, &[]))
    }

    /// Whether the rule is about the remote endpoint. While a socket is being bound, nobody knows who its peers will
    /// be: a rule that allows some peers allows the socket, and a rule that denies some peers leaves it to the next
    /// rule.
    fn is_from(&self, request: &Request<'_>) -> bool {
        let Some(from) = &self.from else { return true };
        request.remote.map_or(self.action == Action::Allow, |remote| from.covers(remote, &[]))
    }

    fn is_on(&self, request: &Request<'_>) -> bool {
        self.interface.is_none() || self.interface.as_deref() == request.interface
    }
}

impl fmt::Display for Rule {
    /// The text form of the rule.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, operations, target, from, interface, line: _ } = self;
        let operations = operations.to_string();
        write!(formatter, "{action} {operations}")?;
        if !(target.is_any() && operations.ends_with("any")) {
            write!(formatter, " {target}")?;
        }
        if let Some(from) = from {
            write!(formatter, " from {from}")?;
        }
        if let Some(interface) = interface {
            write!(formatter, " on {interface}")?;
        }
        Ok(())
    }
}

/// The target of a rule: hosts (addresses or names) and ports, or commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: Host,
    /// Ranges of ports, none of which is empty. No range stands for all ports.
    pub(super) ports: Vec<RangeInclusive<u16>>,
}

/// The hosts or commands that a target covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Any,
    /// The addresses that have this prefix.
    Network(Cidr),
    /// The host with this name, in lower case and without a final dot; or the command with this name.
    Name(String),
    /// The hosts below this domain, written in the same way, but not the domain itself.
    Below(String),
}

impl Target {
    /// All hosts and ports, or all commands.
    pub(super) const ANY: Self = Self { host: Host::Any, ports: Vec::new() };

    pub(super) fn is_any(&self) -> bool {
        self.host == Host::Any && self.ports.is_empty()
    }

    const fn is_name(&self) -> bool {
        matches!(self.host, Host::Name(_) | Host::Below(_))
    }

    /// Whether the target covers an address and port. `names` are the names that the guest has resolved to the address.
    fn covers(&self, at: SocketAddr, names: &[String]) -> bool {
        self.covers_port(at.port())
            && match &self.host {
                Host::Any => true,
                Host::Network(network) => network.contains(at.ip().to_canonical()),
                Host::Name(_) | Host::Below(_) => names.iter().any(|name| self.covers_name(Some(name))),
            }
    }

    fn covers_port(&self, port: u16) -> bool {
        self.ports.is_empty() || self.ports.iter().any(|range| range.contains(&port))
    }

    fn covers_name(&self, name: Option<&str>) -> bool {
        let Some(name) = name else { return self.is_any() };
        match &self.host {
            // A rule about the ports of all hosts is not about names, which have no ports.
            Host::Any => self.ports.is_empty(),
            Host::Network(_) => false,
            Host::Name(known) => name == known,
            Host::Below(domain) => {
                name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
        }
    }

    fn covers_command(&self, command: Option<&str>) -> bool {
        match (&self.host, command) {
            (Host::Any, _) => self.ports.is_empty(),
            (Host::Name(known), Some(command)) => known == command,
            (Host::Name(_), None) | (Host::Network(_) | Host::Below(_), _) => false,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_ports = !self.ports.is_empty();
        match &self.host {
            Host::Any if has_ports => {}
            Host::Any => formatter.write_str("any")?,
            Host::Network(network) => {
                let is_ipv6 = network.address().is_ipv6();
                let network = if is_host(network) { network.address().to_string() } else { network.to_string() };
                if has_ports && is_ipv6 { write!(formatter, "[{network}]") } else { formatter.write_str(&network) }?;
            }
            // With a final dot, a name is not taken for a word of rules.
            Host::Name(name) if is_word(name) => write!(formatter, "{name}.")?,
            Host::Name(name) => formatter.write_str(name)?,
            Host::Below(domain) => write!(formatter, "*.{domain}")?,
        }
        for (index, range) in self.ports.iter().enumerate() {
            formatter.write_str(if index == 0 { ":" } else { "," })?;
            match (range.start(), range.end()) {
                (start, end) if start == end => write!(formatter, "{start}")?,
                (start, end) => write!(formatter, "{start}-{end}")?,
            }
        }
        Ok(())
    }
}

/// Whether a name is a word of rules. A host of this name is written with a final dot.
pub(super) fn is_word(name: &str) -> bool {
    matches!(name, "any" | "from" | "on")
}

/// Whether a network is a single address.
pub(super) fn is_host(network: &Cidr) -> bool {
    network.prefix() == if network.address().is_ipv4() { 32 } else { 128 }
}
