//! ICMP: delivery of echo replies and errors to the mailboxes of sockets.
//!
//! An ICMP socket is a [`Mailbox`] that is registered with every stack of its network, by its address family and
//! [binding](IcmpBinding). The engine decides which mailbox receives a message. An ICMP socket that watches a port
//! receives only errors about packets that sockets of its own owner have sent.
//!
//! | An error about | is delivered to |
//! |---|---|
//! | an echo request | the socket that is bound to its identifier |
//! | a datagram | the UDP socket connected to that peer, at its next operation; the sender's ICMP socket that watches the port |
//! | a TCP segment | the connection being made, if it has sent that segment; the sender's ICMP socket that watches the port |

mod mailbox;
mod message;

use std::sync::Arc;

use xila_network_engine::icmp::{self as engine, EchoReply as Replied, Report, SocketId};

#[cfg(feature = "wasm")]
pub(crate) use mailbox::MOST_QUEUED;
pub(crate) use mailbox::Mailbox;
pub use message::{EchoReply, IcmpBinding, IcmpErrorKind, IcmpMessage, IcmpReport};

use super::attachment::Attachment;
use super::mailboxes::Mailboxes;
use super::notices::Notices;
use super::owner::Owner;
use super::ports::shuffled;
use crate::address::Family;
use crate::error::BindError;
use crate::waiters::Wakes;

/// The ICMP part of a stack.
#[derive(Default)]
pub(super) struct Table(Mailboxes<Mailbox>);

/// The operations on ICMP of a stack, with the parts of the core that they touch.
pub(crate) struct Operations<'a> {
    pub(super) table: &'a mut Table,
    pub(super) interface: &'a mut Attachment,
    pub(super) notices: &'a mut Notices,
}

impl Table {
    /// The number of sockets.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Wakes every task that waits for a message.
    pub(super) fn wake_all(&mut self, wakes: &mut Wakes) {
        self.0.iter().for_each(|mailbox| mailbox.wake_all(wakes));
    }

    /// Forgets all sockets, after the engine has panicked.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Operations<'_> {
    /// Registers a mailbox under its family and binding.
    ///
    /// # Errors
    /// [`BindError::AddressInUse`]; [`BindError::LimitReached`] where the owner has used its share of the echo
    /// identifiers; [`BindError::NetworkDown`] where the interface is gone.
    pub(crate) fn bind(
        &mut self,
        family: Family,
        binding: IcmpBinding,
        owner: &Owner,
        mailbox: &Arc<Mailbox>,
    ) -> Result<(), BindError> {
        let id = self.interface.engage(|engine, _, _| {
            let owner = owner.in_engine();
            engine.bind_icmp(family == Family::V4, binding, owner).map_err(BindError::from)
        })?;
        self.table.0.insert(id.0, mailbox);
        Ok(())
    }

    /// Removes a mailbox.
    pub(crate) fn unbind(&mut self, mailbox: &Arc<Mailbox>) {
        if let Some(key) = self.table.0.remove(mailbox) {
            self.interface.engage(|engine, _, _| engine.unbind_icmp(SocketId(key)));
        }
    }

    /// The free echo identifiers of a family in random order.
    pub(crate) fn free_identifiers(&mut self, family: Family) -> impl Iterator<Item = u16> + use<> {
        let free = self.interface.engine().icmp().free_identifiers(family == Family::V4).clone();
        shuffled(free, self.interface.random().split())
    }

    /// Delivers a reply to an echo request.
    pub(super) fn replied(&mut self, reply: Replied) {
        let Replied { to, source, sequence, data, hop_limit } = reply;
        self.deliver(to, IcmpMessage::EchoReply(EchoReply { source, sequence, data, hop_limit }));
    }

    /// Delivers an ICMP error.
    pub(super) fn reported(&mut self, report: &Report) {
        let &Report { to, source, kind, destination, sequence, mtu } = report;
        self.deliver(to, IcmpMessage::Error(IcmpReport { source, kind: kind.into(), destination, sequence, mtu }));
    }

    fn deliver(&mut self, to: SocketId, message: IcmpMessage) {
        if let Some(mailbox) = self.table.0.get(to.0)
            && !mailbox.deliver(message, &mut self.notices.wakes)
        {
            self.interface.count_dropped_datagram();
        }
    }
}

impl From<engine::BindError> for BindError {
    fn from(error: engine::BindError) -> Self {
        match error {
            engine::BindError::InUse | engine::BindError::NoIdentifier => Self::AddressInUse,
            engine::BindError::ShareExhausted => Self::LimitReached,
        }
    }
}
