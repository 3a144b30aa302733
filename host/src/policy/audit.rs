//! Denials, as events.

use core::net::SocketAddr;

use super::operation::Operation;
use super::request::Request;
use crate::platform::Instant;

/// Something that a policy has denied to a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Denial {
    /// When, on the time line of the platform's clock.
    pub at: Instant,
    /// The guest's label; empty where the host has given none.
    pub guest: String,
    /// What was denied.
    pub operation: Operation,
    /// The interface by which it would have been done, where it is tied to one.
    pub interface: Option<String>,
    /// The guest's own address and port.
    pub local: Option<SocketAddr>,
    /// The peer's address and port.
    pub remote: Option<SocketAddr>,
    /// The name that was to be resolved.
    pub name: Option<String>,
    /// The command that was to be executed.
    pub command: Option<String>,
    /// The line of the rule that decided; `None` where no rule covers the operation, or a function decided.
    pub line: Option<usize>,
}

impl Denial {
    pub(super) fn new(at: Instant, guest: &str, request: &Request<'_>, line: Option<usize>) -> Self {
        let Request { operation, interface, local, remote, names: _, name, command } = *request;
        Self {
            at,
            guest: guest.to_owned(),
            operation,
            interface: interface.map(str::to_owned),
            local,
            remote,
            name: name.map(str::to_owned),
            command: command.map(str::to_owned),
            line,
        }
    }
}

/// Where denials are told: one call for each, perhaps with a lock held. It must not wait, and must not use the network.
pub trait Audit: Send + Sync {
    /// Takes note of a denial.
    fn denied(&self, denial: Denial);
}

impl<F: Fn(Denial) + Send + Sync> Audit for F {
    fn denied(&self, denial: Denial) {
        self(denial);
    }
}
