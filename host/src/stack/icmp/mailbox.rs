//! The mailbox of an ICMP socket: messages that wait to be received.

use core::task::Waker;
use std::collections::VecDeque;

use parking_lot::Mutex;

use super::message::IcmpMessage;
use crate::error::ReceiveError;
use crate::waiters::{Waiters, Wakes};

/// The maximum size of the queue of one socket in bytes: the default of a UDP socket.
pub(crate) const MOST_QUEUED: usize = 208 * 1024;
/// What a message counts beside its payload, so that empty messages are bounded too: 832 of them fit.
const OVERHEAD: usize = 256;

/// An ICMP socket as the stacks see it. Its lock is taken inside a stack's lock, never the other way round.
#[derive(Default)]
pub(crate) struct Mailbox(Mutex<Content>);

#[derive(Default)]
struct Content {
    queue: VecDeque<IcmpMessage>,
    weight: usize,
    waiters: Waiters,
}

fn weight(message: &IcmpMessage) -> usize {
    OVERHEAD
        + match message {
            IcmpMessage::EchoReply(reply) => reply.data.len(),
            IcmpMessage::Error(_) => 0,
        }
}

impl Mailbox {
    /// Queues a message. Returns false if there is no room.
    pub(super) fn deliver(&self, message: IcmpMessage, wakes: &mut Wakes) -> bool {
        let mut content = self.0.lock();
        let weight = weight(&message);
        if content.weight + weight > MOST_QUEUED {
            return false;
        }
        content.weight += weight;
        content.queue.push_back(message);
        content.waiters.take(wakes);
        true
    }

    /// Takes the oldest message.
    ///
    /// # Errors
    /// [`ReceiveError::WouldBlock`] while nothing is there, and `waker` is woken when something comes.
    pub(crate) fn take(&self, waker: &Waker) -> Result<IcmpMessage, ReceiveError> {
        let mut content = self.0.lock();
        let Some(message) = content.queue.pop_front() else {
            content.waiters.register(waker);
            return Err(ReceiveError::WouldBlock);
        };
        content.weight -= weight(&message);
        Ok(message)
    }

    pub(super) fn wake_all(&self, wakes: &mut Wakes) {
        self.0.lock().waiters.take(wakes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::icmp::message::EchoReply;

    #[test]
    fn messages_are_bounded_by_number_and_by_bytes() {
        for (length, most) in [(0, 832), (56, 682), (60_000, 3)] {
            let (mailbox, mut wakes) = (Mailbox::default(), Wakes::new());
            let reply = EchoReply { source: [10, 0, 0, 1].into(), sequence: 1, data: vec![0; length], hop_limit: 64 };
            let mut deliver = || mailbox.deliver(IcmpMessage::EchoReply(reply.clone()), &mut wakes);
            let taken = (0..1000).filter(|_| deliver()).count();
            assert_eq!(taken, most, "of {length} bytes");
            (0..taken).for_each(|_| assert!(mailbox.take(Waker::noop()).is_ok()));
            assert_eq!(mailbox.0.lock().weight, 0);
        }
    }
}
