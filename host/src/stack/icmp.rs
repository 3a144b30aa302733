//! ICMP: delivery of echo replies and errors to the mailboxes of sockets.
//!
//! An ICMP socket is a [`Mailbox`] that is registered with every stack of its network, by its address family and
//! [binding](IcmpBinding).
//!
//! | An error about | is delivered to |
//! |---|---|
//! | an echo request | the socket that is bound to its identifier |
//! | a datagram | the UDP socket connected to that peer, at its next operation; the ICMP socket that watches the port |
//! | a TCP segment | the connection being made, if it has sent that segment; the ICMP socket that watches the port |

mod mailbox;
mod message;

use std::sync::Arc;

use hashbrown::HashMap;
use xila_network_engine::icmp::{EchoReply as Replied, Report};

#[cfg(feature = "wasm")]
pub(crate) use mailbox::MOST_QUEUED;
pub(crate) use mailbox::Mailbox;
pub use message::{EchoReply, IcmpBinding, IcmpErrorKind, IcmpMessage, IcmpReport};

use super::attachment::Attachment;
use super::notices::Notices;
use super::ports::candidates;
use crate::address::Family;
use crate::error::BindError;
use crate::waiters::Wakes;

/// The mailboxes of the sockets, by family and binding.
#[derive(Default)]
pub(super) struct Table(HashMap<(Family, IcmpBinding), Arc<Mailbox>>);

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
    pub(super) fn wake_all(&self, wakes: &mut Wakes) {
        self.0.values().for_each(|mailbox| mailbox.wake_all(wakes));
    }

    /// Forgets all sockets, after the engine has panicked.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Operations<'_> {
    /// Registers a mailbox under its family and binding.
    ///
    /// # Errors
    /// [`BindError::AddressInUse`]; [`BindError::NetworkDown`] where the interface is gone.
    pub(crate) fn bind(
        &mut self,
        family: Family,
        binding: IcmpBinding,
        mailbox: &Arc<Mailbox>,
    ) -> Result<(), BindError> {
        self.interface.check_mounted()?;
        if !self.interface.engage(|engine, _, _| engine.icmp_mut().bind(family == Family::V4, binding)) {
            return Err(BindError::AddressInUse);
        }
        self.table.0.insert((family, binding), mailbox.clone());
        Ok(())
    }

    /// Removes the mailbox that is bound to `binding`.
    pub(crate) fn unbind(&mut self, family: Family, binding: IcmpBinding) {
        self.table.0.remove(&(family, binding));
        self.interface.engage(|engine, _, _| engine.icmp_mut().unbind(family == Family::V4, binding));
    }

    /// All echo identifiers, starting at a random one.
    pub(crate) fn identifier_candidates(&mut self) -> impl Iterator<Item = u16> + use<> {
        candidates(&(1..=u16::MAX), self.interface.random().next_u64())
    }

    /// Delivers a reply to an echo request.
    pub(super) fn replied(&mut self, reply: Replied) {
        let Replied { source, identifier, sequence, data, hop_limit } = reply;
        let message = IcmpMessage::EchoReply(EchoReply { source, sequence, data, hop_limit });
        self.deliver(Family::of(source), IcmpBinding::Echo(identifier), message);
    }

    /// Delivers an ICMP error.
    pub(super) fn reported(&mut self, report: &Report) {
        let &Report { binding, source, kind, destination, sequence, mtu } = report;
        let told = IcmpReport { source, kind: kind.into(), destination, sequence, mtu };
        self.deliver(Family::of(destination.ip()), binding, IcmpMessage::Error(told));
    }

    fn deliver(&mut self, family: Family, binding: IcmpBinding, message: IcmpMessage) {
        if let Some(mailbox) = self.table.0.get(&(family, binding))
            && !mailbox.deliver(message, &mut self.notices.wakes)
        {
            self.interface.count_dropped_datagram();
        }
    }
}
