//! ICMP: whose mailbox an echo reply or an error is for.
//!
//! A socket is a [`Mailbox`] that is registered under what it is bound to, of each family, with every stack that it uses.
//!
//! | An error about | reaches |
//! |---|---|
//! | an echo request | the socket of its identifier |
//! | a datagram | a UDP socket that is connected to that peer, as its next result; the socket that watches the port |
//! | a TCP segment | a connection that is being made, by the very segment quoted; the socket that watches the port |

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
use super::waiters::Wakes;
use crate::address::Family;
use crate::error::BindError;

/// The mailboxes of the sockets, by what they are bound to.
#[derive(Default)]
pub(super) struct Table(HashMap<(Family, IcmpBinding), Arc<Mailbox>>);

/// ICMP of a stack, with all that its operations touch.
pub(crate) struct Operations<'a> {
    pub(super) table: &'a mut Table,
    pub(super) interface: &'a mut Attachment,
    pub(super) notices: &'a mut Notices,
}

impl Table {
    /// How many sockets there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Wakes everyone who waits for a message.
    pub(super) fn rouse(&self, wakes: &mut Wakes) {
        self.0.values().for_each(|mailbox| mailbox.rouse(wakes));
    }

    /// The engine is gone, and what it had.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Operations<'_> {
    /// Registers a mailbox under what it is bound to.
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

    /// Removes what is bound to `binding`.
    pub(crate) fn unbind(&mut self, family: Family, binding: IcmpBinding) {
        self.table.0.remove(&(family, binding));
        self.interface.engage(|engine, _, _| engine.icmp_mut().unbind(family == Family::V4, binding));
    }

    /// The identifiers there are, from a random one on.
    pub(crate) fn identifier_candidates(&mut self) -> impl Iterator<Item = u16> + use<> {
        candidates(&(1..=u16::MAX), self.interface.random().next_u64())
    }

    /// A reply to an echo request has arrived.
    pub(super) fn replied(&mut self, reply: Replied) {
        let Replied { source, identifier, sequence, data, hop_limit } = reply;
        let message = IcmpMessage::EchoReply(EchoReply { source, sequence, data, hop_limit });
        self.deliver(Family::of(source), IcmpBinding::Echo(identifier), message);
    }

    /// An error has arrived.
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
