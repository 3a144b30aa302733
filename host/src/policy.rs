//! What one guest may do with a network, and how much of it the guest may hold.
//!
//! A guest reaches nothing until its context is given a [`Network`](crate::socket::Network). On that network it may do what
//! its [`Policy`] allows, on every surface alike: sockets of `xila:network` and of `wasi:sockets` 0.2 and 0.3, names, pings
//! and the control of interfaces all ask the policy before they have any effect, and packets that the policy denies are
//! dropped when they arrive, before the socket or its peer can tell. How much the guest may hold at once is its [`Quota`].
//!
//! | Room | Holds |
//! |---|---|
//! | this file | the policy: rules in order, or a function of the host's |
//! | `rule`, `operation`, `request` | one rule, the operations that rules are about, and what is asked |
//! | `text` | the text form, and errors that point at the word |
//! | `names` | the addresses that names have given a guest, for their time to live |
//! | `guard` | the policy of one guest at work: what sockets ask |
//! | `audit` | denials, as events |
//! | `quota` | how much a guest may hold |

mod audit;
mod guard;
mod names;
mod operation;
#[cfg(feature = "wasm")]
mod quota;
mod request;
mod rule;
mod text;

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

pub use audit::{Audit, Denial};
pub(crate) use guard::Guard;
pub use operation::{Operation, Protocol};
#[cfg(feature = "wasm")]
pub use quota::{Charge, Limits, Quota, Usage};
pub use request::Request;
pub use rule::{Action, Rule};
pub use text::ParseError;

/// What a guest may do: rules in order, of which the first that covers an operation decides. What no rule covers is denied.
///
/// A policy is written as text, with a rule on each line:
///
/// ```text
/// # What is behind a # is a remark.
/// allow tcp connect *.example.org:443          # and the resolution of these names
/// allow tcp connect 192.0.2.0/24:80,8000-8999 on eth0
/// deny  tcp listen :22
/// allow tcp listen any from 10.0.0.0/8         # and connections from there
/// allow udp send [2001:db8::53]:53             # and what comes back
/// allow icmp ping any
/// allow control read
/// ```
///
/// A rule is an action (`allow` or `deny`), a protocol (`tcp`, `udp`, `icmp`, `dns`, `control` or `any`), operations of the
/// protocol (several with commas between them; all, unless some are named), a target, `from` a peer, and `on` an interface.
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
/// A target is an address, a network, a name, or `any`, with ports behind a colon or without: `10.0.0.1`, `10.0.0.0/8:80`,
/// `[2001:db8::]/32` or `[2001:db8::/32]:443`, `example.org`, `*.example.org:443`, `:8000-8999`. `*.example.org` has all names
/// below the domain, and not the domain itself. An IPv4-mapped IPv6 address is the IPv4 address.
///
/// A name admits those addresses that the guest's own resolution of the name gave, for their time to live, and no others.
///
/// Some operations follow from others, so that a rule is of use by itself. Who may connect or send to a name, or ping it, may
/// resolve it. Who may listen accepts connections, from the peers behind `from`. Who may bind a UDP port receives on it, and
/// who may send to a peer receives from it. A socket may have a port of chance if anything of its protocol is allowed. To deny what
/// follows, put a rule with `deny` before: `deny tcp accept 10.0.0.66`.
///
/// A socket that is bound to every address needs a rule that has every address: `any`, or `0.0.0.0/0` or `::/0`. If some of them or
/// some peers are denied by an earlier rule, what comes there or from there is dropped as if it had not come.
#[derive(Clone)]
pub struct Policy(Kind);

#[derive(Clone)]
enum Kind {
    Rules(Arc<[Rule]>),
    Function(Arc<Function>),
}

type Function = dyn Fn(&Request<'_>) -> Action + Send + Sync;

/// What a [`Policy`] decides, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// What is decided.
    pub action: Action,
    /// The rule that decides; `None` where no rule covers the operation, or a function decides.
    pub rule: Option<&'a Rule>,
}

impl Policy {
    /// Everything is allowed.
    #[must_use]
    pub fn allow_all() -> Self {
        Self(Kind::Rules([text::everything()].into()))
    }

    /// Everything is denied.
    #[must_use]
    pub fn deny_all() -> Self {
        Self(Kind::Rules([].into()))
    }

    /// A function of the host's decides. It is asked for every operation and every packet that arrives, perhaps with a lock
    /// held: it must not wait, and must not use the network. An operation that [follows](Self) from another is asked for by
    /// itself.
    #[must_use]
    pub fn from_fn(decide: impl Fn(&Request<'_>) -> Action + Send + Sync + 'static) -> Self {
        Self(Kind::Function(Arc::new(decide)))
    }

    /// The rules, in order; none where a function decides.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        match &self.0 {
            Kind::Rules(rules) => rules,
            Kind::Function(_) => &[],
        }
    }

    /// The policy with further rules behind its own.
    ///
    /// # Panics
    /// Where a function decides in either of them, which has no rules.
    #[must_use]
    pub fn then(&self, other: &Self) -> Self {
        let (Kind::Rules(first), Kind::Rules(then)) = (&self.0, &other.0) else {
            panic!("a function has no rules to be put in order")
        };
        Self(Kind::Rules(first.iter().chain(&**then).cloned().collect()))
    }

    /// Decides an operation that is written as in a rule, such as `tcp connect example.org:443`, `tcp listen 10.0.0.1:80 from
    /// 10.0.0.9` or `control write set-mtu on eth0`, and tells why. A name is taken as resolved.
    ///
    /// # Errors
    /// [`ParseError`], also where the text is of several operations or addresses.
    pub fn explain(&self, operation: &str) -> Result<Decision<'_>, ParseError> {
        let asked = text::operation(operation)?;
        Ok(self.decide(&asked.request()))
    }

    /// Decides a request.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Decision<'_> {
        match &self.0 {
            Kind::Function(decide) => Decision { action: decide(request), rule: None },
            Kind::Rules(rules) => {
                let decisive = if request.is_by_chance() {
                    rules.iter().find(|rule| rule.needs_socket(request) || rule.forbids_socket(request))
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
