//! What one guest may do with a network, and how much of it the guest may hold.
//!
//! A guest reaches nothing until its context is given a [`Network`](crate::socket::Network). On that network it may do
//! what its [`Policy`] allows, by whatever interface it asks: sockets of `xila:network` and of `wasi:sockets` 0.2 and
//! 0.3, name resolution, pings and the control of interfaces all check the policy before they have any effect. Received
//! packets that the policy denies are dropped before the socket or its peer can notice them. The [`Quota`] limits how
//! much the guest may hold at once.
//!
//! | Module | Contents |
//! |---|---|
//! | this file | the policy: rules in order, or a function of the host |
//! | `rule`, `operation`, `request` | one rule, the operations that rules name, and the request that a policy decides |
//! | `text`, `mistake` | the parser of the text form, and its errors, which point at the wrong word |
//! | `names` | the addresses that a guest got by resolving names, for their time to live |
//! | `guard` | the enforcement of one guest's policy, which sockets ask |
//! | `audit` | denials, as events |
//! | `quota` | the limits of what a guest may hold |
//! | `rates` | the limits of what a guest may do in a second |
//! | `traffic` | the counters of what a guest has done |

mod audit;
mod guard;
mod mistake;
mod names;
mod operation;
#[cfg(feature = "wasm")]
mod quota;
mod rates;
mod request;
mod rule;
mod text;
mod traffic;

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

pub use audit::{Audit, Denial};
pub(crate) use guard::Guard;
pub use mistake::ParseError;
pub use operation::{Operation, Protocol};
#[cfg(feature = "wasm")]
pub use quota::{Charge, Limits, Quota, SocketKind, Usage};
pub(crate) use rates::Bucket;
pub use rates::{Rate, Rates};
pub use request::Request;
pub use rule::{Action, Rule};
pub(crate) use traffic::Counters;
pub use traffic::Traffic;

/// What a guest may do: a list of rules, of which the first that covers an operation decides. An operation that no rule
/// covers is denied.
///
/// A policy is written as text, with one rule on each line:
///
/// ```text
/// # Text after a # is a comment.
/// allow tcp connect *.example.org:443          # implies the resolution of these names
/// allow tcp connect 192.0.2.0/24:80,8000-8999 on eth0
/// deny  tcp listen :22
/// allow tcp listen any from 10.0.0.0/8         # implies connections from there
/// allow udp send [2001:db8::53]:53             # implies the answers
/// allow icmp ping any
/// allow control read
/// ```
///
/// A rule consists of an action (`allow` or `deny`), a protocol (`tcp`, `udp`, `icmp`, `dns`, `control` or `any`),
/// operations of the protocol (separated by commas; all of them if none is named), a target, `from` and the peers, and
/// `on` and an interface.
///
/// | Operation | Target |
/// |---|---|
/// | `tcp connect`, `udp send`, `icmp ping` | the peer |
/// | `tcp accept`, `udp receive` | the peer |
/// | `tcp bind`, `tcp listen`, `udp bind` | the guest's own address and port |
/// | `udp multicast`, `udp broadcast` | the group, the broadcast address |
/// | `dns resolve` | the name |
/// | `control read`, `control write` | the command, such as `set-mtu` |
///
/// A target is an address, a network, a name, or `any`, optionally followed by a colon and ports: `10.0.0.1`,
/// `10.0.0.0/8:80`, `[2001:db8::]/32` or `[2001:db8::/32]:443`, `example.org`, `*.example.org:443`, `:8000-8999`.
/// `*.example.org` covers all names below the domain, but not the domain itself. An IPv4-mapped IPv6 address is treated
/// as the IPv4 address. A host that is named like a word of rules is written with a final dot: `any.`, `from.` or `on.`.
/// Names and commands have neither ports nor peers, so `allow any :443` and `allow any from 10.0.0.0/8` do not cover
/// them.
///
/// A name covers the addresses that the guest itself got by resolving the name, for their time to live, and no others.
///
/// Some operations imply others, so that a single rule is useful by itself. A guest that may connect or send to a name,
/// or ping it, may resolve the name. A guest that may listen may accept connections, from the peers that `from` names.
/// A guest that may bind a UDP port may receive on it, and a guest that may send to a peer may receive from it. A
/// socket may have an ephemeral port if anything of its protocol is allowed, but not at an address at which an earlier
/// rule denies every port. A guest that may send to a peer may connect a UDP socket to it, and no other guest may. To
/// deny an implied operation, put a `deny` rule before: `deny tcp accept 10.0.0.66`.
///
/// A socket that is bound to the unspecified address needs a rule that covers every address: `any`, or `0.0.0.0/0` or
/// `::/0`. If an earlier rule denies some of these addresses or some peers, packets to these addresses or from these
/// peers are dropped as if they had not arrived.
#[derive(Clone)]
pub struct Policy(Kind);

#[derive(Clone)]
enum Kind {
    Rules(Arc<[Rule]>),
    Function(Arc<Function>),
}

type Function = dyn Fn(&Request<'_>) -> Action + Send + Sync;

/// The decision of a [`Policy`], and the reason for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Whether the operation is allowed or denied.
    pub action: Action,
    /// The rule that decided; `None` if no rule covers the operation, or if a function decided.
    pub rule: Option<&'a Rule>,
}

impl Policy {
    /// A policy that allows everything.
    #[must_use]
    pub fn allow_all() -> Self {
        Self(Kind::Rules([text::everything()].into()))
    }

    /// Everything is denied.
    #[must_use]
    pub fn deny_all() -> Self {
        Self(Kind::Rules([].into()))
    }

    /// A policy by which a function of the host decides. The function is called for every operation and every received
    /// packet, possibly while a lock is held: it must not block, and must not use the network. It is also called for an
    /// operation that rules would [imply](Self) by another one. It is not asked about the ephemeral port of a connection.
    ///
    /// Functions and rules can say the same:
    ///
    /// ```
    /// use xila_network_host::policy::{Action, Operation, Policy, Request};
    ///
    /// let rules: Policy = "allow tcp connect :443\nallow dns resolve any".parse()?;
    /// let function = Policy::from_fn(|request| match (request.operation, request.remote) {
    ///     (Operation::TcpConnect, Some(remote)) if remote.port() == 443 => Action::Allow,
    ///     (Operation::Resolve, _) => Action::Allow,
    ///     _ => Action::Deny,
    /// });
    ///
    /// for (operation, port, action) in [
    ///     (Operation::TcpConnect, 443, Action::Allow),
    ///     (Operation::TcpConnect, 80, Action::Deny),
    ///     (Operation::UdpSend, 443, Action::Deny),
    /// ] {
    ///     let request = Request { remote: Some(([192, 0, 2, 1], port).into()), ..Request::new(operation) };
    ///     assert_eq!([&rules, &function].map(|policy| policy.decide(&request).action), [action; 2]);
    /// }
    /// # Ok::<(), xila_network_host::policy::ParseError>(())
    /// ```
    #[must_use]
    pub fn from_fn(decide: impl Fn(&Request<'_>) -> Action + Send + Sync + 'static) -> Self {
        Self(Kind::Function(Arc::new(decide)))
    }

    /// The rules, in order; empty if a function decides.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        match &self.0 {
            Kind::Rules(rules) => rules,
            Kind::Function(_) => &[],
        }
    }

    /// The policy followed by the rules of another policy.
    ///
    /// # Panics
    /// If a function decides in either policy, because a function has no rules.
    #[must_use]
    pub fn then(&self, other: &Self) -> Self {
        let (Kind::Rules(first), Kind::Rules(then)) = (&self.0, &other.0) else {
            panic!("a function has no rules to be put in order")
        };
        Self(Kind::Rules(first.iter().chain(&**then).cloned().collect()))
    }

    /// Decides an operation that is written as in a rule, such as `tcp connect example.org:443`, `tcp listen
    /// 10.0.0.1:80 from 10.0.0.9` or `control write set-mtu on eth0`, and returns the deciding rule. A name counts as
    /// resolved by the guest.
    ///
    /// # Errors
    /// [`ParseError`], also if the text names several operations or addresses.
    pub fn explain(&self, operation: &str) -> Result<Decision<'_>, ParseError> {
        let asked = text::operation(operation)?;
        Ok(self.decide(&asked.request()))
    }

    /// Whether a decision can depend on the [names](Request::names) of a remote endpoint.
    pub(crate) fn compares_names(&self) -> bool {
        match &self.0 {
            Kind::Function(_) => true,
            Kind::Rules(rules) => rules.iter().any(Rule::compares_names),
        }
    }

    /// Decides a request.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Decision<'_> {
        match &self.0 {
            Kind::Function(decide) => Decision { action: decide(request), rule: None },
            Kind::Rules(rules) => {
                let decisive = if request.is_by_chance() {
                    rules.iter().find(|rule| {
                        rule.needs_socket(request) || rule.forbids_socket(request) || rule.forbids_address(request)
                    })
                } else {
                    rules.iter().find(|rule| rule.covers(request))
                };
                Decision { action: decisive.map_or(Action::Deny, Rule::action), rule: decisive }
            }
        }
    }
}

impl Default for Policy {
    /// Everything is denied.
    fn default() -> Self {
        Self::deny_all()
    }
}

impl FromStr for Policy {
    type Err = ParseError;

    /// Reads the [text form](Self).
    fn from_str(text: &str) -> Result<Self, ParseError> {
        text::parse(text).map(|rules| Self(Kind::Rules(rules.into())))
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Rules(rules) => formatter.debug_list().entries(rules.iter().map(Rule::to_string)).finish(),
            Kind::Function(_) => formatter.write_str("Policy(a function)"),
        }
    }
}

#[cfg(test)]
mod tests;
