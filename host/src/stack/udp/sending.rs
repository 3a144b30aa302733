//! Sending of datagrams: at once, or in the turns of their sockets.

use core::net::{IpAddr, SocketAddr};
use core::task::Waker;
use core::time::Duration;

use xila_network_engine::engine::{Datagram as Leaving, EchoRequest};
use xila_network_engine::interface;
use xila_network_engine::udp::datagram;

use super::{Kind, Operations, Outgoing, Outlet, OutletNumber};
use crate::error::SendError;
use crate::stack::attachment::OnLink;
use crate::stack::drive::{Sender, Sending};
use crate::stack::owner::{Allowed, Owner};

impl Operations<'_> {
    /// Sends a datagram of a socket, or queues it for the socket's turn. Then sends `others`, which differ from the
    /// first only in their payloads, as far as they can leave at once. Returns how many datagrams were sent or queued,
    /// counted from the first; the caller must send the rest again.
    ///
    /// # Errors
    /// The errors concern the first datagram: [`SendError::WouldBlock`] while the maximum number of datagrams waits for
    /// the socket's turn or for the neighbour, and `waker` is woken when that is over; [`SendError::PacketTooLarge`],
    /// [`SendError::RemoteUnreachable`], [`SendError::AccessDenied`] for a broadcast that is not allowed,
    /// [`SendError::NetworkDown`].
    pub(crate) fn send(
        &mut self,
        outlet: &Outlet,
        datagram: &Outgoing<&[u8]>,
        others: &[&[u8]],
        waker: Option<&Waker>,
    ) -> Result<usize, SendError> {
        self.interface.check_up()?;
        let to = datagram.remote.ip();
        if self.interface.is_broadcast(to) && !datagram.broadcast {
            return Err(SendError::AccessDenied);
        }
        if datagram.payload.len() > datagram::longest_payload(to) {
            return Err(SendError::PacketTooLarge);
        }
        match self.attempt_at_once(&outlet.owner, datagram, others) {
            Ok(count) => return Ok(count),
            Err(Attempt::Refused(error)) => return Err(error),
            Err(Attempt::Crowded) if datagram.drops_if_crowded => {
                // Not the oldest packet of the neighbour's queue, as on Linux: that may be another guest's.
                self.interface.count_dropped_datagram();
                return Ok(1);
            }
            Err(Attempt::Crowded) => {
                if let Some(waker) = waker {
                    self.table.crowded.register(waker);
                }
                return Err(SendError::WouldBlock);
            }
            Err(Attempt::Full) => {}
        }
        if !self.table.outlets.has_room(outlet, waker) {
            return Err(SendError::WouldBlock);
        }
        if self.table.outlets.push(outlet, datagram.map(|payload| payload.to_vec())) {
            self.pace.schedule.push(&outlet.owner, Sender::Socket(outlet.number));
        }
        if let Some(stack) = self.notices.stack() {
            outlet.waits_on(&stack);
        }
        Ok(1)
    }

    /// A socket's turn to send, at most `budget` datagrams. It ends with the datagram that reaches `bytes`. Returns also
    /// how many bytes were used.
    pub(in crate::stack) fn turn(&mut self, outlet: OutletNumber, bytes: usize, budget: &mut usize) -> (Sending, u64) {
        let mut used = 0;
        let Some(owner) = self.table.outlets.owner(outlet) else { return (Sending::Done, used) };
        while let Some(datagram) = self.table.outlets.take(outlet) {
            let length = datagram.payload.len();
            match self.attempt_and_count(&owner, &datagram.map(Vec::as_slice), &[]) {
                Ok(sent) => used += sent.bytes,
                Err(Attempt::Full) => {
                    self.table.outlets.put_back(outlet, datagram);
                    return (Sending::Full, used);
                }
                // There was room when the datagram was queued, but others that were queued before have taken it.
                Err(Attempt::Crowded) if !datagram.drops_if_crowded => {
                    self.table.outlets.put_back(outlet, datagram);
                    self.table.held_up.push(outlet);
                    return (Sending::Done, used);
                }
                // The route or the neighbour has changed since the datagram was queued.
                Err(Attempt::Crowded | Attempt::Refused(_)) => self.interface.count_dropped_datagram(),
            }
            *budget = budget.saturating_sub(1);
            if self.table.outlets.release(outlet, length, &mut self.notices.wakes) {
                break;
            }
            // The fragments of the datagram may have filled the device.
            if self.interface.engine().interface().is_behind() || *budget == 0 || used >= bytes as u64 {
                return (Sending::More, used);
            }
        }
        (Sending::Done, used)
    }

    /// Puts the sockets into the schedule whose neighbours have room again, and discards what dropped sockets have left
    /// for too long.
    pub(in crate::stack) fn schedule(&mut self) {
        while let Some(outlet) = self.table.outlets.next_overdue(self.interface.now()) {
            self.discard(outlet);
        }
        if core::mem::take(&mut self.table.is_uncrowded) {
            for outlet in self.table.held_up.drain(..) {
                if let Some(owner) = self.table.outlets.owner(outlet) {
                    self.pace.schedule.push(&owner, Sender::Socket(outlet));
                }
            }
        }
    }

    /// Called when a socket is dropped while its datagrams may still wait here. They may leave within the
    /// [linger time](LINGER), as from the queue of a device. If they wait for the rate of their owner they are discarded
    /// at once: that may take hours, and the source port may be a neighbour's by then.
    pub(super) fn close(&mut self, outlet: &Outlet) {
        let now = self.interface.now();
        if self.interface.check_up().is_ok() && outlet.owner.may_send(now).is_ok() {
            self.table.outlets.linger(outlet.number, now + LINGER);
        } else {
            self.discard(outlet.number);
        }
    }

    /// Discards the datagrams of a socket that wait for their turn.
    fn discard(&mut self, outlet: OutletNumber) {
        let Some(owner) = self.table.outlets.owner(outlet) else { return };
        self.table.held_up.retain(|held_up| *held_up != outlet);
        self.pace.schedule.remove(&owner, Sender::Socket(outlet));
        while let Some(datagram) = self.table.outlets.take(outlet) {
            self.interface.count_dropped_datagram();
            self.table.outlets.release(outlet, datagram.payload.len(), &mut self.notices.wakes);
        }
    }

    /// Whether a socket may queue a datagram for its turn. If not, `waker` is woken when it may.
    pub(crate) fn has_room(&mut self, outlet: &Outlet, waker: &Waker) -> bool {
        self.interface.check_up().is_err() || self.table.outlets.has_room(outlet, Some(waker))
    }

    /// Whether a datagram of a socket to an address could be sent or queued now. If not, `waker` is woken when it
    /// could.
    pub(crate) fn may_send(&mut self, outlet: &Outlet, to: IpAddr, waker: &Waker) -> bool {
        if self.interface.check_up().is_err() {
            return true;
        }
        let owner = outlet.owner.in_engine();
        let crowded = self.interface.engage(|engine, _, _| engine.interface_mut().is_crowded(to, owner));
        if crowded {
            self.table.crowded.register(waker);
        }
        !crowded && self.table.outlets.has_room(outlet, Some(waker))
    }

    /// Like [`attempt`](Self::attempt), at once and not in a turn of the schedule. [`Attempt::Full`] means that the
    /// datagram can be sent, but must wait for its turn; it is the only error for which it should be queued. Returns how
    /// many datagrams were sent.
    fn attempt_at_once(
        &mut self,
        owner: &Owner,
        datagram: &Outgoing<&[u8]>,
        others: &[&[u8]],
    ) -> Result<usize, Attempt> {
        // If other senders wait for the device, this datagram must wait too. Whether the device is still full is found
        // out when the stack is driven, directly after this.
        let is_first = !self.pace.full && self.pace.schedule.is_clear_for(owner);
        let sent = match owner.may_send(self.interface.now()) {
            Ok(Allowed::EVERYTHING) if is_first => self.attempt_and_count(owner, datagram, others)?,
            // A row of datagrams would leave at once, so a limited owner sends them one by one.
            Ok(_) if is_first => self.attempt_and_count(owner, datagram, &[])?,
            // What prevents that it is sent at all is told now, because in its turn there is nobody to be told.
            Ok(_) | Err(_) => return Err(self.obstacle(owner, datagram).unwrap_or(Attempt::Full)),
        };
        Ok(sent.datagrams)
    }

    /// The cause why a datagram could not be sent even if the device had room.
    fn obstacle(&mut self, owner: &Owner, datagram: &Outgoing<&[u8]>) -> Option<Attempt> {
        let (to, owner) = (datagram.remote.ip(), owner.in_engine());
        if !self.interface.leads_to(to) {
            return Some(Attempt::Refused(SendError::RemoteUnreachable));
        }
        let mtu = self.interface.engine().interface().mtu_to(to, self.interface.now());
        if datagram.whole && datagram.content_length() + ip_header(to) > mtu {
            return Some(Attempt::Refused(SendError::PacketTooLarge));
        }
        let is_crowded = self.interface.engage(|engine, _, _| engine.interface_mut().is_crowded(to, owner));
        is_crowded.then_some(Attempt::Crowded)
    }

    /// Like [`attempt`](Self::attempt), and counts what was sent.
    fn attempt_and_count(
        &mut self,
        owner: &Owner,
        datagram: &Outgoing<&[u8]>,
        others: &[&[u8]],
    ) -> Result<Sent, Attempt> {
        let before = self.interface.on_link();
        let datagrams = self.attempt(owner, datagram, others)?;
        let OnLink { bytes, packets } = self.interface.on_link_since(before);
        // What waits for its neighbour to be resolved, or as a fragment for the device, is counted now, because it leaves
        // in no turn.
        let (length, header) = (datagram.content_length(), ip_header(datagram.remote.ip()));
        let bytes = bytes.max((length + header) as u64);
        let fragments = length.div_ceil(self.interface.capabilities.mtu - header);
        let packets = packets.max(fragments.max(datagrams) as u64);
        owner.sent(bytes, packets, self.interface.now());
        Ok(Sent { datagrams, bytes })
    }

    fn attempt(&mut self, owner: &Owner, datagram: &Outgoing<&[u8]>, others: &[&[u8]]) -> Result<usize, Attempt> {
        let owner = owner.in_engine();
        let &Outgoing { kind, payload, port, source, remote, hop_limit, whole, loops_back, .. } = datagram;
        let destination = remote;
        let source = SocketAddr::new(source, port);
        let sent = self.interface.engage(|engine, port, now| {
            Some(match kind {
                Kind::Datagram => {
                    let leaving = Leaving { owner, source, destination, hop_limit, whole, loops_back, payload };
                    engine.send_datagrams(&leaving, others, now, port)
                }
                Kind::EchoRequest { sequence } => {
                    let request = EchoRequest { owner, source, destination, hop_limit, sequence, payload };
                    engine.send_echo(&request, now, port).map(|()| 1)
                }
            })
        });
        let sent = sent.ok_or(Attempt::Refused(SendError::NetworkDown))?;
        sent.map_err(|error| match error {
            interface::SendError::Full => Attempt::Full,
            interface::SendError::Crowded => Attempt::Crowded,
            interface::SendError::Unreachable => Attempt::Refused(SendError::RemoteUnreachable),
            interface::SendError::TooLarge { mtu: _ } => Attempt::Refused(SendError::PacketTooLarge),
        })
    }
}

/// How long the datagrams of a dropped socket may wait for a device that is full, or for a neighbour.
const LINGER: Duration = Duration::from_secs(1);

/// The bytes of the IP header of a datagram to an address.
const fn ip_header(to: IpAddr) -> usize {
    match to {
        IpAddr::V4(_) => 20,
        IpAddr::V6(_) => 40,
    }
}

/// What was sent, or waits for its neighbour.
struct Sent {
    datagrams: usize,
    /// At least the bytes of the first datagram.
    bytes: u64,
}

/// The cause why a datagram was not sent.
enum Attempt {
    /// The device has no room for the frame.
    Full,
    /// The queue of packets for unresolved neighbours is full.
    Crowded,
    /// The datagram cannot be sent; the cause.
    Refused(SendError),
}

impl Outgoing<&[u8]> {
    /// The bytes of the IP packet's content. The headers of both kinds are equally long.
    const fn content_length(&self) -> usize {
        datagram::HEADER + self.payload.len()
    }
}
