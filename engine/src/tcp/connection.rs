//! One connection, from its first SYN to its end (RFC 9293 section 3.10).
//!
//! | Room | Says |
//! |---|---|
//! | here | what a connection consists of, and how it ends |
//! | `owner` | what its owner reads, writes and ends |
//! | `synchronized` | what both ends know of each other once they do |
//! | `opening` | SYN-SENT, and SYN-RECEIVED after a simultaneous open |
//! | `arrives` | what a segment does to a synchronized connection |
//! | `leaves` | which segment leaves next |
//! | `deadlines` | what is due, and when |

mod arrives;
mod deadlines;
mod leaves;
mod opening;
mod owner;
mod synchronized;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::time::Duration;

pub(super) use arrives::Arrival;
use opening::Opening;
pub use owner::{ReadError, WriteError};
use synchronized::Synchronized;
pub(super) use synchronized::{Charges, Opened};

use super::clock::Clock;
use super::congestion::CongestionControl;
use super::options::{InvalidOption, Options};
use super::sequence::Sequence;
use super::state::{Cause, Info, TcpState};
use super::time_wait::{Remnant, RemnantClock};
use super::tuple::Tuple;
use crate::buffer::ReceiveQueue;
use crate::time::Instant;

/// What a connection is told of its interface.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The IP MTU in bytes.
    pub mtu: usize,
    /// Nothing is lost or waits in the path, as on a loopback: then congestion control only costs, and so does waiting before
    /// what was read is acknowledged.
    pub lossless: bool,
    /// Checksums are computed and verified.
    pub checksums: bool,
}

/// Where a connection is in its life.
enum State {
    /// A SYN was sent, and the handshake is not over.
    Opening(Box<Opening>),
    /// From ESTABLISHED to LAST-ACK.
    Synchronized(Box<Synchronized>),
    /// The connection is over; what had arrived may still be read.
    Closed(Remains),
}

/// What is left of a connection that has ended.
struct Remains {
    /// None where everything was read.
    unread: Option<Box<ReceiveQueue>>,
    /// The peer's FIN was received in order.
    ended: bool,
    cause: Option<Cause>,
}

/// Who holds a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// `connect` waits for it. Left for `Held` when it is established, or it fails at `deadline`.
    Connecting {
        /// When it is given up.
        deadline: Instant,
    },
    /// Somebody, or a listener's queue.
    Held,
    /// Nobody any more. It is delivered what was written, and closed, by `deadline`.
    Nobody {
        /// When it is reset.
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
    /// When the peer was last heard: something of it that was verified.
    heard: Instant,
    /// Keep-alive probes since, and when the last of them was due.
    probes: u32,
    probed: Instant,
    /// A keep-alive probe is to leave.
    probe_due: bool,
    /// A reset is to leave: the connection was given up.
    reset_due: Option<Box<Reset>>,
    /// Since when the peer owes an answer: something is outstanding, and nothing of it was acknowledged since.
    unanswered: Option<Instant>,
    /// Who reads at the other end has not looked at what arrived there last: what is small may wait until he does.
    reader_is_behind: bool,
    /// The owner waits until everything was acknowledged: nothing that may leave is held back.
    flushing: bool,
    /// The owner stopped reading with bytes unread.
    unread_lost: bool,
    bytes_read: u64,
    bytes_written: u64,
}

/// A reset that is to leave.
#[derive(Clone, Copy, Debug)]
struct Reset {
    sequence: Sequence,
    /// What was expected of the peer.
    expected: Sequence,
    /// By when: it is worth no more than any other packet, and is forgotten where the link does not take it.
    deadline: Instant,
}

/// How long a reset may take to leave.
const PARTING: Duration = Duration::from_secs(1);

/// What a segment came to, beyond what the connection itself does about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effects {
    /// There is something to be read, or reading has ended.
    pub(super) readable: bool,
    /// There is room to be written to, or writing has ended, or the handshake is over.
    pub(super) writable: bool,
    /// A reset with this sequence number answers the segment.
    pub(super) reset: Option<Sequence>,
    /// It is TIME-WAIT's now.
    pub(super) time_wait: bool,
    /// The peer has acknowledged something new, or answered a probe.
    pub(super) advanced: bool,
}

impl Effects {
    const ALL: Self = Self { readable: true, writable: true, reset: None, time_wait: false, advanced: false };

    /// What both come to.
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
    /// A connection whose SYN is to leave.
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

    /// A connection whose handshake a listener has seen to its end.
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

    /// Why the connection ended, where it did not end in good order.
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

    /// The state by the RFC's name.
    pub(super) fn state(&self) -> TcpState {
        match &self.state {
            State::Opening(opening) if opening.is_answered() => TcpState::SynReceived,
            State::Opening(_) => TcpState::SynSent,
            State::Closed(_) => TcpState::Closed,
            State::Synchronized(synchronized) => synchronized.state(),
        }
    }

    /// What `ss -i` shows.
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

    /// The owner lets go. Unread bytes mean a reset (RFC 2525 section 2.17); otherwise the connection is seen to its end
    /// within the linger time.
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
            // RFC 9293 section 3.10.5: a SYN that nobody has answered needs no reset.
            State::Opening(opening) => opening.expected().map(|expected| (opening.isn() + 1, expected)),
            State::Synchronized(synchronized) => Some((synchronized.sender.next(), synchronized.receiver.next())),
            State::Closed(_) => return,
        };
        self.reset_due =
            ends.map(|(sequence, expected)| Box::new(Reset { sequence, expected, deadline: now + PARTING }));
        self.close(Some(cause));
    }

    /// The reset that was to leave will not.
    pub(super) fn forget_reset(&mut self) {
        self.reset_due = None;
    }

    /// Whether nothing is left to be sent of a connection that is over.
    pub(super) const fn is_done(&self) -> bool {
        self.is_closed() && self.reset_due.is_none()
    }

    /// The connection is over. What had arrived can still be read.
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

    /// What TIME-WAIT has to know; only of a connection that both ends have closed.
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

    /// Leaves for TIME-WAIT: what to remember of the connection there.
    pub(super) fn retire(&mut self) -> Option<Remnant> {
        let remnant = self.remnant();
        self.close(None);
        remnant
    }

    /// Applies options that may change while the connection lives.
    ///
    /// # Errors
    /// [`InvalidOption`], and nothing was changed.
    pub(super) fn configure(&mut self, change: impl FnOnce(&mut Options), now: Instant) -> Result<(), InvalidOption> {
        let mut options = (*self.options).clone();
        change(&mut options);
        options.validate()?;
        if let State::Synchronized(synchronized) = &mut self.state {
            if options.receive_buffer != self.options.receive_buffer {
                synchronized.receiver.set_limit(options.receive_limit(), options.most_received());
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

    /// The path to the peer takes packets of `mtu` bytes.
    pub(super) fn set_path_mtu(&mut self, mtu: usize) {
        self.set_longest_packet(mtu, true);
    }

    /// The link takes packets of so many bytes from now on. What has left has left.
    pub(super) fn set_link_mtu(&mut self, mtu: usize) {
        self.set_longest_packet(mtu, false);
    }

    fn set_longest_packet(&mut self, mtu: usize, drops: bool) {
        if let State::Synchronized(synchronized) = &mut self.state {
            let segment = synchronized.agreement.segment(mtu, self.tuple.remote().ip());
            synchronized.sender.set_segment_size(segment, drops);
        }
    }

    /// Segments sent again so far.
    pub(super) fn retransmitted(&self) -> u64 {
        match &self.state {
            State::Synchronized(synchronized) => synchronized.sender.recovery().retransmitted(),
            State::Opening(opening) => opening.retransmitted(),
            State::Closed(_) => 0,
        }
    }

    /// Lets the send buffer hold twice as much where the path carries more than it holds: what is in flight, and what comes
    /// next while that is acknowledged. Whether it has grown.
    pub(super) fn grow(&mut self) -> bool {
        let State::Synchronized(synchronized) = &mut self.state else { return false };
        let sender = &mut synchronized.sender;
        let (limit, most) = (sender.queue().limit(), self.options.most_sent());
        let window = sender.congestion().window().min(sender.window());
        let grows = limit < most && window * 2 > limit && sender.queue().len() * 2 > limit;
        if grows {
            sender.set_limit((limit * 2).min(most));
        }
        grows
    }

    /// Whether something has arrived that the owner has not looked at.
    pub(super) fn has_news(&self) -> bool {
        matches!(&self.state, State::Synchronized(synchronized) if synchronized.receiver.has_news())
    }

    /// Says whether [who reads at the other end](Self::reader_is_behind) has looked at everything, where that is known.
    pub(super) const fn set_reader_is_behind(&mut self, is_behind: bool) {
        self.reader_is_behind = is_behind;
    }

    /// Holds nothing back until everything written so far was sent.
    pub(super) const fn flush(&mut self) {
        self.flushing = true;
    }

    /// Gives memory back that nothing is in.
    pub(super) fn sleep(&mut self) {
        if let State::Synchronized(synchronized) = &mut self.state {
            synchronized.sender.sleep();
            synchronized.receiver.sleep();
        }
    }

    /// Whether an acknowledgement is to leave now.
    pub(super) fn owes_acknowledgement(&self) -> bool {
        matches!(&self.state, State::Synchronized(synchronized) if synchronized.receiver.owes_acknowledgement())
    }

    /// Bytes of memory that are charged for the connection's queues.
    #[cfg(test)]
    pub(super) fn queues_held(&self) -> usize {
        match &self.state {
            State::Synchronized(synchronized) => synchronized.sender.queue().held() + synchronized.receiver.charged(),
            State::Closed(remains) => remains.unread.as_ref().map_or(0, |unread| unread.charged()),
            State::Opening(_) => 0,
        }
    }

    /// Bytes of memory that the connection's queues hold.
    pub(super) fn held(&self) -> usize {
        match &self.state {
            State::Synchronized(synchronized) => synchronized.sender.held() + synchronized.receiver.held(),
            State::Closed(remains) => remains.unread.as_ref().map_or(0, |unread| unread.held()),
            State::Opening(opening) => opening.held(),
        }
    }
}

/// Bytes of memory of what both ends know of each other, which a connection has apart from its entry.
#[cfg(test)]
pub(super) const SYNCHRONIZED: usize = size_of::<Synchronized>();

impl Remains {
    const NONE: Self = Self { unread: None, ended: false, cause: None };
}
