//! Denials as events: the data of a denial, and the trait of the host's receiver.

use core::net::SocketAddr;

use super::operation::Operation;
use super::request::Request;
use crate::platform::Instant;

/// One operation or packet that a policy has denied to a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Denial {
    /// The time of the denial, by the platform's clock.
    pub at: Instant,
    /// The guest's label; empty if the host has given none.
    pub guest: String,
    /// The operation that was denied.
    pub operation: Operation,
    /// The interface that the operation would have used, if it is tied to one.
    pub interface: Option<String>,
    /// The guest's own address and port.
    pub local: Option<SocketAddr>,
    /// The peer's address and port.
    pub remote: Option<SocketAddr>,
    /// The name that the guest wanted to resolve.
    pub name: Option<String>,
    /// The command that the guest wanted to execute.
    pub command: Option<String>,
    /// The line of the rule that decided; `None` if no rule covers the operation, or if a function decided.
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

/// The receiver of denials. It is called once for each denial, possibly while a lock is held: it must not block, and
/// must not use the network.
pub trait Audit: Send + Sync {
    /// Receives one denial.
    fn denied(&self, denial: Denial);
}

impl<F: Fn(Denial) + Send + Sync> Audit for F {
    fn denied(&self, denial: Denial) {
        self(denial);
    }
}
