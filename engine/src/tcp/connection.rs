//! One connection, from its first SYN to its end (RFC 9293 section 3.10).
//!
//! | Module | Contents |
//! |---|---|
//! | this file | the parts of a connection, and how it ends |
//! | `owner` | the owner's calls: read, write, shut down |
//! | `synchronized` | the state after the handshake, from ESTABLISHED on |
//! | `opening` | SYN-SENT, and SYN-RECEIVED after a simultaneous open |
//! | `arrives` | the processing of a segment in a synchronized state |
//! | `leaves` | the choice and the sending of the next segment |
//! | `deadlines` | timers |

mod arrives;
mod deadlines;
mod leaves;
mod opening;
mod owner;
mod synchronized;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::time::Duration;

use super::clock::Clock;
use super::congestion::CongestionControl;
use super::options::{InvalidOption, Options};
use super::sequence::Sequence;
use super::state::{Cause, Info, TcpState};
use super::time_wait::{Remnant, RemnantClock};
use super::tuple::Tuple;
use crate::buffer::ReceiveQueue;
use crate::time::Instant;
use opening::Opening;
use synchronized::Synchronized;

pub(super) use arrives::Arrival;
pub use owner::{ReadError, WriteError};
pub(super) use synchronized::{Charges, Opened};

/// The properties of a link that connections need to know.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The IP MTU in bytes.
    pub mtu: usize,
    /// Nothing is lost or queued in the path, as on a loopback. Then congestion control has only costs, and so has
    /// delaying the acknowledgement of data that was read.
    pub lossless: bool,
    /// Whether checksums are verified on received segments.
    pub checksums: bool,
}

/// The phase of a connection's life.
enum State {
    /// A SYN was sent or is to be sent, and the handshake is not complete.
    Opening(Box<Opening>),
    /// From ESTABLISHED to LAST-ACK.
    Synchronized(Box<Synchronized>),
    /// The connection is over; data that had arrived may still be read.
    Closed(Remains),
}

/// What remains of a connection that is over.
struct Remains {
    /// The bytes that were not read; `None` if everything was read.
    unread: Option<Box<ReceiveQueue>>,
    /// The peer's FIN was received in order.
    ended: bool,
    cause: Option<Cause>,
}

/// Who owns a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The caller of `connect` waits for the handshake. Becomes `Held` when the connection is established; fails at
    /// `deadline`.
    Connecting {
        /// When the attempt fails.
        deadline: Instant,
    },
    /// A socket, or the accept queue of a listener.
    Held,
    /// Nobody any more: an orphan. What was written must be delivered, and the connection closed, by `deadline`.
    Nobody {
        /// When the connection is reset.
        deadline: Instant,
    },
}

/// See the [module](self).
pub(super) struct Connection {
    tuple: Tuple,
    options: Arc<Options>,
    owner: Owner,
    state: State,
    clock: Clock,
    /// When the last acceptable segment of the peer arrived.
    heard: Instant,
    /// The number of keep-alive probes since then, and when the last of them was due.
    probes: u32,
    probed: Instant,
    /// A keep-alive probe is to be sent.
    probe_due: bool,
    /// The reset that is to be sent because the connection was aborted.
    reset_due: Option<Box<Reset>>,
    /// Since when the peer owes an answer: since then data is outstanding and none of it was acknowledged.
    unanswered: Option<Instant>,
    /// The reader at the other end, on this interface, has not looked at the data that arrived there last, so small
    /// segments may wait.
    reader_is_behind: bool,
    /// The owner waits until everything is acknowledged, so small segments are not held back.
    flushing: bool,
    /// The owner shut down reading while bytes were unread.
    unread_lost: bool,
    bytes_read: u64,
    bytes_written: u64,
}

/// A reset that is to be sent.
#[derive(Clone, Copy, Debug)]
struct Reset {
    sequence: Sequence,
    /// RCV.NXT, which the reset acknowledges.
    expected: Sequence,
    /// When the reset is given up: it is as dispensable as any other packet, and is dropped if the link does not take
    /// it by then.
    deadline: Instant,
}

/// How long a reset may wait to be sent.
const PARTING: Duration = Duration::from_secs(1);

/// The effects of a segment or a timeout that [`Tcp`](super::Tcp) must apply outside of the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effects {
    /// There is something to read, or reading has ended.
    pub(super) readable: bool,
    /// There is room to write, or writing has ended, or the handshake is complete.
    pub(super) writable: bool,
    /// A reset with this sequence number is to be sent in answer to the segment.
    pub(super) reset: Option<Sequence>,
    /// The connection is to move to TIME-WAIT.
    pub(super) time_wait: bool,
    /// The peer has acknowledged something new, or answered a probe.
    pub(super) advanced: bool,
}

impl Effects {
    const ALL: Self = Self { readable: true, writable: true, reset: None, time_wait: false, advanced: false };

    /// The effects of both.
    fn and(self, later: Self) -> Self {
        Self {
            readable: self.readable || later.readable,
            writable: self.writable || later.writable,
            reset: self.reset.or(later.reset),
            time_wait: self.time_wait || later.time_wait,
            advanced: self.advanced || later.advanced,
        }
    }
}

impl Connection {
    /// A new connection whose SYN is to be sent.
    pub(super) fn connect(
        tuple: Tuple,
        options: Arc<Options>,
        charges: Charges,
        isn: Sequence,
        clock_offset: u32,
        deadline: Instant,
        now: Instant,
    ) -> Self {
        let state = State::Opening(Box::new(Opening::new(isn, charges, &options)));
        Self::new(tuple, options, Owner::Connecting { deadline }, state, Clock::new(clock_offset, None, now), now)
    }

    fn new(tuple: Tuple, options: Arc<Options>, owner: Owner, state: State, clock: Clock, now: Instant) -> Self {
        Self {
            tuple,
            options,
            owner,
            state,
            clock,
            heard: now,
            probes: 0,
            probed: now,
            probe_due: false,
            reset_due: None,
            unanswered: None,
            reader_is_behind: false,
            flushing: false,
            unread_lost: false,
            bytes_read: 0,
            bytes_written: 0,
        }
    }

    /// A new connection whose handshake a listener has completed.
    pub(super) fn accepted(
        tuple: Tuple,
        options: Arc<Options>,
        opened: &Opened,
        charges: Charges,
        clock_offset: u32,
        link: &Link,
        now: Instant,
    ) -> Self {
        let clock = Clock::new(clock_offset, opened.agreement.timestamp, now);
        let seed = clock.seed(opened.isn);
        let synchronized = Synchronized::new(&tuple, &options, opened, charges, seed, link, now);
        let state = State::Synchronized(Box::new(synchronized));
        Self::new(tuple, options, Owner::Held, state, clock, now)
    }

    pub(super) const fn tuple(&self) -> &Tuple {
        &self.tuple
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) const fn owner(&self) -> Owner {
        self.owner
    }

    /// Why the connection failed, if it did.
    pub(super) const fn cause(&self) -> Option<Cause> {
        match &self.state {
            State::Closed(remains) => remains.cause,
            State::Opening(_) | State::Synchronized(_) => None,
        }
    }

    pub(super) const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    pub(super) const fn is_opening(&self) -> bool {
        matches!(self.state, State::Opening(_))
    }

    /// The state, by the RFC's names.
    pub(super) fn state(&self) -> TcpState {
        match &self.state {
            State::Opening(opening) if opening.is_answered() => TcpState::SynReceived,
            State::Opening(_) => TcpState::SynSent,
            State::Closed(_) => TcpState::Closed,
            State::Synchronized(synchronized) => synchronized.state(),
        }
    }

    /// The statistics that `ss -i` shows.
    pub(super) fn info(&self) -> Info {
        let info = Info {
            state: self.state(),
            bytes_read: self.bytes_read,
            bytes_written: self.bytes_written,
            congestion: self.options.congestion.unwrap_or_default(),
            ..Info::CLOSED
        };
        match &self.state {
            State::Synchronized(synchronized) => synchronized.describe(info),
            State::Closed(remains) => {
                Info { receive_queue: remains.unread.as_ref().map_or(0, |unread| unread.len()), ..info }
            }
            State::Opening(_) => info,
        }
    }

    /// The owner releases the connection. If bytes were not read, it is reset (RFC 2525 section 2.17); otherwise it is
    /// closed in good order, within the linger time.
    pub(super) fn release(&mut self, now: Instant) {
        if matches!(self.owner, Owner::Nobody { .. }) {
            return;
        }
        self.owner = Owner::Nobody { deadline: now + self.options.linger_time() };
        let discard = self.unread_lost || self.options.linger.is_zero();
        match &mut self.state {
            State::Synchronized(synchronized) if synchronized.receiver.is_empty() && !discard => {
                synchronized.sender.finish();
                synchronized.sender.forgo();
                synchronized.receiver.forgo();
                self.unanswered.get_or_insert(now);
            }
            State::Opening(_) | State::Synchronized(_) => self.abort(Cause::Aborted, now),
            State::Closed(_) => {}
        }
    }

    /// Ends the connection at once with a reset.
    pub(super) fn abort(&mut self, cause: Cause, now: Instant) {
        let ends = match &self.state {
            // RFC 9293 section 3.10.5: in SYN-SENT no reset is sent.
            State::Opening(opening) => opening.expected().map(|expected| (opening.isn() + 1, expected)),
            State::Synchronized(synchronized) => Some((synchronized.sender.next(), synchronized.receiver.next())),
            State::Closed(_) => return,
        };
        self.reset_due =
            ends.map(|(sequence, expected)| Box::new(Reset { sequence, expected, deadline: now + PARTING }));
        self.close(Some(cause));
    }

    /// Drops the reset that was to be sent.
    pub(super) fn forget_reset(&mut self) {
        self.reset_due = None;
    }

    /// Whether the connection is over and nothing of it is left to be sent.
    pub(super) const fn is_done(&self) -> bool {
        self.is_closed() && self.reset_due.is_none()
    }

    /// Ends the connection. Data that had arrived can still be read.
    fn close(&mut self, cause: Option<Cause>) {
        let (unread, ended) = match core::mem::replace(&mut self.state, State::Closed(Remains::NONE)) {
            State::Synchronized(synchronized) => {
                let (unread, ended) = synchronized.receiver.into_remains();
                ((!unread.is_empty()).then(|| Box::new(unread)), ended)
            }
            State::Opening(_) => (None, false),
            State::Closed(remains) => (remains.unread, remains.ended),
        };
        self.state = State::Closed(Remains { unread, ended, cause });
    }

    /// What TIME-WAIT has to remember of a connection that both ends have closed.
    fn remnant(&self) -> Option<Remnant> {
        let State::Synchronized(synchronized) = &self.state else { return None };
        let timestamp = self.clock.recent().map(|recent| RemnantClock { offset: self.clock.offset(), recent });
        Some(Remnant {
            next: synchronized.sender.next(),
            expected: synchronized.receiver.next(),
            window: synchronized.receiver.window_field(),
            hop_limit: self.options.hop_limit,
            traffic_class: self.options.traffic_class,
            timestamp,
        })
    }

    /// Ends the connection because it moves to TIME-WAIT. Returns what TIME-WAIT has to remember of it.
    pub(super) fn retire(&mut self) -> Option<Remnant> {
        let remnant = self.remnant();
        self.close(None);
        remnant
    }

    /// Changes options that may change while the connection lives.
    ///
    /// [`InvalidOption`], in which case nothing was changed.
    pub(super) fn configure(&mut self, change: impl FnOnce(&mut Options), now: Instant) -> Result<(), InvalidOption> {
        let mut options = (*self.options).clone();
        change(&mut options);
        options.validate()?;
        if let State::Synchronized(synchronized) = &mut self.state {
            if options.receive_buffer != self.options.receive_buffer {
                synchronized.receiver.set_limit(options.receive_limit(), options.max_receive_buffer());
            }
            if options.send_buffer != self.options.send_buffer {
                synchronized.sender.set_limit(options.send_limit());
            }
        }
        if options.keep_alive != self.options.keep_alive {
            (self.heard, self.probes) = (now, 0);
        }
        self.options = Arc::new(options);
        Ok(())
    }

    /// Whether a sequence number was sent and not acknowledged yet.
    pub(super) fn is_in_flight(&self, sequence: Sequence) -> bool {
        match &self.state {
            State::Opening(opening) => opening.isn() == sequence,
            State::Synchronized(synchronized) => synchronized.sender.is_in_flight(sequence),
            State::Closed(_) => false,
        }
    }

    /// Sets the path MTU to the peer, in bytes. Segments in flight are taken for lost if the new segments are shorter.
    pub(super) fn set_path_mtu(&mut self, mtu: usize) {
        self.set_longest_packet(mtu, true);
    }

    /// Sets the MTU of the link, in bytes. Segments in flight are not affected.
    pub(super) fn set_link_mtu(&mut self, mtu: usize) {
        self.set_longest_packet(mtu, false);
    }

    fn set_longest_packet(&mut self, mtu: usize, drops: bool) {
        if let State::Synchronized(synchronized) = &mut self.state {
            let segment = synchronized.agreement.segment(mtu, self.tuple.remote().ip());
            synchronized.sender.set_segment_size(segment, drops);
        }
    }

    /// Segments retransmitted so far.
    pub(super) fn retransmitted(&self) -> u64 {
        match &self.state {
            State::Synchronized(synchronized) => synchronized.sender.recovery().retransmitted(),
            State::Opening(opening) => opening.retransmitted(),
            State::Closed(_) => 0,
        }
    }

    /// Doubles the send buffer if the path carries more than the buffer holds: the data in flight, and the data that is
    /// sent next while that is acknowledged. Returns whether the buffer has grown.
    pub(super) fn grow(&mut self) -> bool {
        let State::Synchronized(synchronized) = &mut self.state else { return false };
        let sender = &mut synchronized.sender;
        let (limit, most) = (sender.queue().limit(), self.options.max_send_buffer());
        let window = sender.congestion().window().min(sender.window());
        let grows = limit < most && window * 2 > limit && sender.queue().len() * 2 > limit;
        if grows {
            sender.set_limit((limit * 2).min(most));
        }
        grows
    }

    /// Whether data has arrived that the owner has not looked at.
    pub(super) fn has_news(&self) -> bool {
        matches!(&self.state, State::Synchronized(synchronized) if synchronized.receiver.has_news())
    }

    /// Sets whether the [reader at the other end](Self::reader_is_behind) has data that it has not looked at, if that
    /// is known.
    pub(super) const fn set_reader_is_behind(&mut self, is_behind: bool) {
        self.reader_is_behind = is_behind;
    }

    /// Sends small segments without delay until everything written so far was sent.
    pub(super) const fn flush(&mut self) {
        self.flushing = true;
    }

    /// Frees memory that holds nothing.
    pub(super) fn sleep(&mut self) {
        if let State::Synchronized(synchronized) = &mut self.state {
            synchronized.sender.sleep();
            synchronized.receiver.sleep();
        }
    }

    /// Whether an acknowledgement is to be sent now.
    pub(super) fn owes_acknowledgement(&self) -> bool {
        matches!(&self.state, State::Synchronized(synchronized) if synchronized.receiver.owes_acknowledgement())
    }

    /// The bytes of memory that are charged for the connection's queues.
    #[cfg(test)]
    pub(super) fn queues_held(&self) -> usize {
        match &self.state {
            State::Synchronized(synchronized) => synchronized.sender.queue().held() + synchronized.receiver.charged(),
            State::Closed(remains) => remains.unread.as_ref().map_or(0, |unread| unread.charged()),
            State::Opening(_) => 0,
        }
    }

    /// The bytes of memory that the connection's queues hold.
    pub(super) fn held(&self) -> usize {
        match &self.state {
            State::Synchronized(synchronized) => synchronized.sender.held() + synchronized.receiver.held(),
            State::Closed(remains) => remains.unread.as_ref().map_or(0, |unread| unread.held()),
            State::Opening(opening) => opening.held(),
        }
    }
}

/// The size of the state after the handshake, in bytes. It is allocated apart from the connection's table entry.
#[cfg(test)]
pub(super) const SYNCHRONIZED: usize = size_of::<Synchronized>();

impl Remains {
    const NONE: Self = Self { unread: None, ended: false, cause: None };
}
