//! The choice, the encoding and the sending of the next segment of a connection.

use super::{Connection, Link, Reset, State, Synchronized};
use crate::ip::output::{Blocked, Outlet, Packet};
use crate::tcp::handshake;
use crate::tcp::segment::{Control, Header, SackBlocks, SegmentOptions};
use crate::tcp::send::Plan;
use crate::tcp::sequence::Sequence;
use crate::time::Instant;
use crate::wire::Ecn;

/// The number of SACK blocks that an acknowledgement has room for, without and with a timestamp.
const MAX_BLOCKS: usize = 4;
const MAX_BLOCKS_STAMPED: usize = 3;

/// The bytes that SACK blocks take in a header, with padding.
const fn blocks_length(count: usize) -> usize {
    if count == 0 { 0 } else { 4 + 8 * count }
}

impl Connection {
    /// Whether something is to be sent, as far as this is known without trying.
    pub(in crate::tcp) fn has_to_send(&mut self, now: Instant) -> bool {
        if self.reset_due.is_some() || self.probe_due {
            return true;
        }
        match &mut self.state {
            State::Opening(opening) => opening.is_due() || opening.challenge().is_some(),
            State::Synchronized(synchronized) => {
                let eager = self.options.no_delay && (self.flushing || !self.reader_is_behind);
                let planned = synchronized.sender.plan(eager, 0, now).is_some();
                if !planned {
                    synchronized.sender.on_all_sent(now);
                }
                planned || synchronized.receiver.owes_acknowledgement()
            }
            State::Closed(_) => false,
        }
    }

    /// Sends what is to be sent, up to about `quantum` bytes. Returns how many bytes were sent, and whether there is
    /// more.
    ///
    /// The reason why the outlet did not take a packet, which stays to be sent.
    pub(in crate::tcp) fn transmit(
        &mut self,
        quantum: usize,
        link: &Link,
        out: &mut dyn Outlet,
        now: Instant,
    ) -> (usize, Result<bool, Blocked>) {
        let mut sent = 0;
        loop {
            match self.transmit_one(link, out, now) {
                Ok(0) => {
                    if let State::Synchronized(synchronized) = &mut self.state {
                        synchronized.sender.on_all_sent(now);
                    }
                    return (sent, Ok(false));
                }
                Ok(length) => sent += length,
                Err(blocked) => return (sent, Err(blocked)),
            }
            if sent >= quantum {
                return (sent, Ok(true));
            }
        }
    }

    /// Sends one packet, if there is one, and returns its length.
    fn transmit_one(&mut self, link: &Link, out: &mut dyn Outlet, now: Instant) -> Result<usize, Blocked> {
        if let Some(Reset { sequence, expected, .. }) = self.reset_due.as_deref().copied() {
            let control = Control { rst: true, ..Control::ACK };
            let length = self.send_bare(control, sequence, expected, out, now)?;
            self.reset_due = None;
            return Ok(length);
        }
        match &mut self.state {
            State::Opening(opening) if opening.is_due() => {
                self.send_syn(link, out, now)?;
                Ok(1)
            }
            State::Opening(opening) => match opening.challenge() {
                Some((next, expected)) => {
                    let length = self.send_bare(Control::ACK, next, expected, out, now)?;
                    if let State::Opening(opening) = &mut self.state {
                        opening.on_challenged();
                    }
                    Ok(length)
                }
                None => Ok(0),
            },
            State::Closed(_) => Ok(0),
            State::Synchronized(_) => self.transmit_synchronized(out, now),
        }
    }

    fn transmit_synchronized(&mut self, out: &mut dyn Outlet, now: Instant) -> Result<usize, Blocked> {
        let State::Synchronized(synchronized) = &mut self.state else { return Ok(0) };
        let (next, expected) = (synchronized.sender.next(), synchronized.receiver.next());
        let eager = self.options.no_delay && (self.flushing || !self.reader_is_behind);
        // A segment with CWR is sent alone, not together with others as one large segment (RFC 3168 section 6.1.2).
        let most = if synchronized.ecn.slowed { 0 } else { self.max_data_in(out.longest()) };
        let State::Synchronized(synchronized) = &mut self.state else { return Ok(0) };
        if let Some(plan) = synchronized.sender.plan(eager, most, now) {
            return self.send_planned(&plan, out, now);
        }
        if self.probe_due {
            // RFC 9293 section 3.8.4: a sequence number that was acknowledged already, which the peer has to answer.
            let length = self.send_bare(Control::ACK, next - 1, expected, out, now)?;
            self.probe_due = false;
            return Ok(length);
        }
        if synchronized.receiver.owes_acknowledgement() {
            return self.send_bare(Control::ACK, next, expected, out, now);
        }
        Ok(0)
    }

    /// The bytes of data that packets of this length hold besides their headers and options.
    fn max_data_in(&self, packet: usize) -> usize {
        let State::Synchronized(synchronized) = &self.state else { return 0 };
        let headers = handshake::headers(self.tuple.local().ip()) + synchronized.agreement.options_length();
        packet.saturating_sub(headers)
    }

    fn send_planned(&mut self, plan: &Plan, out: &mut dyn Outlet, now: Instant) -> Result<usize, Blocked> {
        let State::Synchronized(synchronized) = &mut self.state else { return Ok(0) };
        let Synchronized { sender, receiver, agreement, ecn, .. } = &mut **synchronized;
        let window = receiver.window_field();
        let timestamp = self.clock.option(now);
        let spare = sender.segment_size().saturating_sub(plan.length);
        let new_data = !plan.again && plan.length > 0;
        let slowed = ecn.slowed && new_data;
        let header = Header {
            source_port: self.tuple.local().port(),
            destination_port: self.tuple.remote().port(),
            sequence: plan.start,
            acknowledgement: receiver.next(),
            control: Control {
                psh: plan.push && plan.length > 0,
                fin: plan.fin,
                ece: agreement.ecn && ecn.echoing,
                cwr: slowed,
                ..Control::ACK
            },
            window,
            options: SegmentOptions {
                timestamp,
                sack: fitting(receiver.sack_blocks(), spare, timestamp.is_some()),
                ..SegmentOptions::default()
            },
        };
        let head = header.emit();
        let payload = sender.queue().slices(plan.offset, plan.length);
        let packet = Packet {
            source: self.tuple.local().ip(),
            destination: self.tuple.remote().ip(),
            hop_limit: self.options.hop_limit.octet(),
            traffic_class: self.options.traffic_class,
            // RFC 3168 sections 6.1.4 and 6.1.5: neither pure acknowledgements nor retransmissions are ECN-capable.
            ecn: if agreement.ecn && new_data { Ecn::Capable0 } else { Ecn::NotCapable },
            head: head.bytes(),
            payload: &payload,
            segment: if plan.length > sender.segment_size() { sender.segment_size() } else { 0 },
        };
        let length = packet.length();
        out.send(&packet)?;
        ecn.slowed &= !slowed;
        self.flushing &= !plan.push;
        sender.on_sent(plan, timestamp.map(|timestamp| timestamp.value), now);
        if new_data {
            receiver.on_sent_with_data(window, now);
        } else {
            receiver.on_sent(window);
        }
        self.unanswered.get_or_insert(now);
        Ok(length)
    }

    /// Sends a segment without data: an acknowledgement, a keep-alive probe, or a reset of a connection that is over.
    fn send_bare(
        &mut self,
        control: Control,
        sequence: Sequence,
        expected: Sequence,
        out: &mut dyn Outlet,
        now: Instant,
    ) -> Result<usize, Blocked> {
        let timestamp = self.clock.option(now);
        let mut header = Header {
            source_port: self.tuple.local().port(),
            destination_port: self.tuple.remote().port(),
            sequence,
            acknowledgement: expected,
            control,
            window: 0,
            options: SegmentOptions { timestamp, ..SegmentOptions::default() },
        };
        match &self.state {
            State::Synchronized(synchronized) => {
                let most = if timestamp.is_some() { MAX_BLOCKS_STAMPED } else { MAX_BLOCKS };
                header.window = synchronized.receiver.window_field();
                header.control.ece = synchronized.agreement.ecn && synchronized.ecn.echoing;
                header.options.sack = synchronized.receiver.sack_blocks();
                header.options.sack.truncate(most);
            }
            State::Opening(opening) => header.window = opening.window_field(),
            State::Closed(_) => {}
        }
        let head = header.emit();
        let packet = Packet {
            source: self.tuple.local().ip(),
            destination: self.tuple.remote().ip(),
            hop_limit: self.options.hop_limit.octet(),
            traffic_class: self.options.traffic_class,
            ecn: Ecn::NotCapable,
            head: head.bytes(),
            payload: &[],
            segment: 0,
        };
        out.send(&packet)?;
        if let State::Synchronized(synchronized) = &mut self.state {
            synchronized.receiver.on_sent(header.window);
        }
        Ok(packet.length())
    }
}

/// The SACK blocks that fit into the `spare` bytes of a segment.
fn fitting(mut blocks: SackBlocks, spare: usize, stamped: bool) -> SackBlocks {
    let most = if stamped { MAX_BLOCKS_STAMPED } else { MAX_BLOCKS };
    let mut count = blocks.len().min(most);
    while count > 0 && blocks_length(count) > spare {
        count -= 1;
    }
    blocks.truncate(count);
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sack_blocks_take_no_room_from_data() {
        let blocks: SackBlocks = (0..4).map(|block| (Sequence(block), Sequence(block + 1))).collect();
        let count = |spare, stamped| fitting(blocks.clone(), spare, stamped).len();
        assert_eq!([count(0, false), count(11, false), count(12, false), count(100, false)], [0, 0, 1, 4]);
        assert_eq!(count(100, true), 3);
    }
}
