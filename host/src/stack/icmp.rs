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

use super::Core;
use super::ports::candidates;
use crate::address::Family;
use crate::error::BindError;

/// The mailboxes of the sockets, by what they are bound to.
pub(super) type Mailboxes = HashMap<(Family, IcmpBinding), Arc<Mailbox>>;

impl Core {
    /// Registers a mailbox under what it is bound to.
    ///
    /// # Errors
    /// [`BindError::AddressInUse`]; [`BindError::NetworkDown`] where the interface is gone.
    pub(crate) fn icmp_bind(
        &mut self,
        family: Family,
        binding: IcmpBinding,
        mailbox: &Arc<Mailbox>,
    ) -> Result<(), BindError> {
        self.check_mounted()?;
        if !self.engage(|engine, _, _| engine.icmp_mut().bind(family == Family::V4, binding)) {
            return Err(BindError::AddressInUse);
        }
        self.icmp.insert((family, binding), mailbox.clone());
        Ok(())
    }

    /// Removes what is bound to `binding`.
    pub(crate) fn icmp_unbind(&mut self, family: Family, binding: IcmpBinding) {
        self.icmp.remove(&(family, binding));
        self.engage(|engine, _, _| engine.icmp_mut().unbind(family == Family::V4, binding));
    }

    /// The identifiers there are, from a random one on.
    pub(crate) fn identifier_candidates(&mut self) -> impl Iterator<Item = u16> + use<> {
        candidates(&(1..=u16::MAX), self.engine.random().next_u64())
    }

    /// Wakes everyone who waits for a message.
    pub(super) fn rouse_messages(&mut self) {
        for mailbox in self.icmp.values() {
            mailbox.rouse(&mut self.wakes);
        }
    }

    pub(super) fn echo_arrived(&mut self, reply: Replied) {
        let Replied { source, identifier, sequence, data, hop_limit } = reply;
        let message = IcmpMessage::EchoReply(EchoReply { source, sequence, data, hop_limit });
        self.deliver_message(Family::of(source), IcmpBinding::Echo(identifier), message);
    }

    pub(super) fn error_arrived(&mut self, report: &Report) {
        let &Report { binding, source, kind, destination, sequence, mtu } = report;
        let told = IcmpReport { source, kind: kind.into(), destination, sequence, mtu };
        self.deliver_message(Family::of(destination.ip()), binding, IcmpMessage::Error(told));
    }

    fn deliver_message(&mut self, family: Family, binding: IcmpBinding, message: IcmpMessage) {
        if let Some(mailbox) = self.icmp.get(&(family, binding))
            && !mailbox.deliver(message, &mut self.wakes)
        {
            self.statistics.datagram_drops += 1;
        }
    }
}
