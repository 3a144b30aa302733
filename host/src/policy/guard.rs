//! The enforcement of one guest's policy: sockets, resolver and control ask the [`Guard`] before they act.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;

use hickory_proto::rr::Name;
use parking_lot::Mutex;

use super::audit::{Audit, Denial};
use super::names::{Names, canonical_name};
use super::operation::Operation;
use super::request::Request;
use super::rule::Action;
use super::{Decision, Policy};
use crate::error::Denied;
use crate::platform::Clock;

/// The policy of one guest, with the names that the guest has resolved and the receiver of denials. Every socket of the
/// guest checks an operation here before it does anything else.
pub(crate) struct Guard {
    /// The guard of the network that this guest's network was made from, which restricts it too.
    outer: Option<Arc<Self>>,
    policy: Policy,
    label: String,
    clock: Arc<dyn Clock>,
    audit: Option<Arc<dyn Audit>>,
    /// Whether the policy compares the names of hosts. If it does not, no names are recorded and looked up, which would
    /// cost a lock for each datagram.
    compares_names: bool,
    names: Mutex<Names>,
    denials: AtomicU64,
}

impl Guard {
    pub(crate) fn new(policy: Policy, label: String, clock: Arc<dyn Clock>, audit: Option<Arc<dyn Audit>>) -> Self {
        let compares_names = policy.compares_names();
        let (names, denials) = (Mutex::default(), AtomicU64::new(0));
        Self { outer: None, policy, label, clock, audit, compares_names, names, denials }
    }

    /// The same guard, which allows only what `outer` allows, too.
    pub(crate) fn within(self, outer: Option<Arc<Self>>) -> Self {
        Self { outer, ..self }
    }

    /// Checks a request. If a policy denies it, the denial is counted, logged and reported to that policy's audit.
    pub(crate) fn check(&self, request: &Request<'_>) -> Result<(), Denied> {
        if let Some(outer) = &self.outer {
            outer.check(request)?;
        }
        let names = match request.remote {
            Some(remote) if self.compares_names => self.names.lock().of(remote.ip(), self.clock.now()),
            Some(_) | None => Vec::new(),
        };
        let request = Request { names: &names, ..*request };
        let Decision { action, rule } = self.policy.decide(&request);
        match action {
            Action::Allow => Ok(()),
            Action::Deny => {
                self.denials.fetch_add(1, Ordering::Relaxed);
                let (guest, operation) = (&self.label, request.operation);
                tracing::debug!(%guest, %operation, local = ?request.local, remote = ?request.remote, "denied");
                if let Some(audit) = &self.audit {
                    let line = rule.map(super::Rule::line);
                    audit.denied(Denial::new(self.clock.now(), guest, &request, line));
                }
                Err(Denied)
            }
        }
    }

    /// Whether the policy allows the guest to receive a packet that has arrived on an interface.
    pub(crate) fn admits(&self, operation: Operation, interface: &str, local: SocketAddr, remote: SocketAddr) -> bool {
        let (interface, local, remote) = (Some(interface), Some(local), Some(remote));
        self.check(&Request { interface, local, remote, ..Request::new(operation) }).is_ok()
    }

    /// Checks that the guest may resolve a name.
    pub(crate) fn check_name(&self, name: &Name) -> Result<(), Denied> {
        let name = canonical_name(name);
        self.check(&Request { name: Some(&name), ..Request::new(Operation::Resolve) })
    }

    /// Records an address that the guest got by resolving a name.
    pub(crate) fn learn(&self, name: &Name, address: IpAddr, lifetime: Duration) {
        if let Some(outer) = &self.outer {
            outer.learn(name, address, lifetime);
        }
        if self.compares_names {
            self.names.lock().learn(&canonical_name(name), address, lifetime, self.clock.now());
        }
    }

    /// The number of denials so far.
    pub(crate) fn denials(&self) -> u64 {
        self.denials.load(Ordering::Relaxed) + self.outer.as_ref().map_or(0, |outer| outer.denials())
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Guard")
            .field("label", &self.label)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
