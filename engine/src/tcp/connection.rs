//! One connection, from its first SYN to its end (RFC 9293 section 3.10).
//!
//! | Room | Says |
//! |---|---|
//! | here | what a connection consists of, and what its owner asks of it |
//! | `opening` | SYN-SENT, and SYN-RECEIVED after a simultaneous open |
//! | `arrives` | what a segment does to a synchronized connection |
//! | `leaves` | which segment leaves next |
//! | `deadlines` | what is due, and when |

mod arrives;
mod deadlines;
mod leaves;
mod opening;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

pub(super) use arrives::Arrival;
use opening::Opening;

use super::clock::Clock;
use super::congestion::{Algorithm, Congestion, CongestionControl};
use super::handshake::Agreement;
use super::options::{InvalidOption, Options};
use super::receive::{Receiver, ReceiverSetup};
use super::recovery::RecoveryState;
use super::rtt::RoundTrip;
use super::send::{Sender, SenderSetup};
use super::sequence::Sequence;
use super::state::{Cause, Info, TcpState};
use super::time_wait::{Remnant, RemnantClock};
use super::tuple::Tuple;
use crate::buffer::{ReceiveQueue, SendQueue};
use crate::time::Instant;

/// What a connection is told of its interface.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The IP MTU in bytes.
    pub mtu: usize,
    /// Nothing is lost or waits in the path, as on a loopback: then congestion control and delayed acknowledgements only
    /// cost.
    pub lossless: bool,
    /// Checksums are computed and verified.
    pub checksums: bool,
}

/// Where a connection is in its life.
enum State {
    /// A SYN was sent, and the handshake is not over.
    Opening(Opening),
    /// From ESTABLISHED to LAST-ACK.
    Synchronized(Box<Synchronized>),
    /// The connection is over; what had arrived may still be read.
    Closed(Remains),
}

/// What both ends know of each other.
struct Synchronized {
    sender: Sender,
    receiver: Receiver,
    agreement: Agreement,
    /// The peer ended its half before this end did: LAST-ACK follows, not CLOSING.
    peer_ended_first: bool,
    ecn: EcnEcho,
}

/// RFC 3168 section 6.1.
#[derive(Clone, Copy, Debug, Default)]
struct EcnEcho {
    /// A mark has come, and is echoed until the peer says that it has slowed down.
    echoing: bool,
    /// The next new data says that this end has slowed down.
    slowed: bool,
}

/// What is left of a connection that has ended.
struct Remains {
    unread: ReceiveQueue,
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
    options: Options,
    owner: Owner,
    state: State,
    clock: Clock,
    /// When the peer was last heard: something of it that was verified.
    heard: Instant,
    /// Keep-alive probes since.
    probes: u32,
    /// A keep-alive probe is to leave.
    probe_due: bool,
    /// A reset is to leave: the connection was given up. Its sequence number, and what was expected of the peer.
    reset_due: Option<(Sequence, Sequence)>,
    /// Since when the peer owes an answer: something is outstanding, and nothing of it was acknowledged since.
    unanswered: Option<Instant>,
    /// The owner stopped reading with bytes unread.
    unread_lost: bool,
    bytes_read: u64,
    bytes_written: u64,
}

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
}

impl Effects {
    const ALL: Self = Self { readable: true, writable: true, reset: None, time_wait: false };
}

impl Connection {
    /// A connection whose SYN is to leave.
    pub(super) fn connect(
        tuple: Tuple,
        options: Options,
        isn: Sequence,
        clock_offset: u32,
        deadline: Instant,
        now: Instant,
    ) -> Self {
        let state = State::Opening(Opening::new(isn));
        Self::new(tuple, options, Owner::Connecting { deadline }, state, Clock::new(clock_offset, None, now), now)
    }

    fn new(tuple: Tuple, options: Options, owner: Owner, state: State, clock: Clock, now: Instant) -> Self {
        Self {
            tuple,
            options,
            owner,
            state,
            clock,
            heard: now,
            probes: 0,
            probe_due: false,
            reset_due: None,
            unanswered: None,
            unread_lost: false,
            bytes_read: 0,
            bytes_written: 0,
        }
    }

    /// A connection whose handshake a listener has seen to its end.
    pub(super) fn accepted(
        tuple: Tuple,
        options: Options,
        opened: &Opened,
        clock_offset: u32,
        link: &Link,
        now: Instant,
    ) -> Self {
        let clock = Clock::new(clock_offset, opened.agreement.timestamp, now);
        let synchronized = Synchronized::new(&tuple, &options, opened, link, now);
        let state = State::Synchronized(Box::new(synchronized));
        Self::new(tuple, options, Owner::Held, state, clock, now)
    }

    pub(super) const fn tuple(&self) -> &Tuple {
        &self.tuple
    }

    pub(super) const fn options(&self) -> &Options {
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
            State::Closed(remains) => Info { receive_queue: remains.unread.len(), ..info },
            State::Opening(_) => info,
        }
    }

    /// Reads what has arrived. `Ok(0)` for a non-empty buffer is the end of the stream.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = match self.readable()? {
            Readable::Live(receiver) => receiver.read(buffer),
            Readable::Left(unread) => unread.read(buffer),
            Readable::End => 0,
        };
        self.bytes_read += count as u64;
        Ok(count)
    }

    /// As [`read`](Self::read), into a vector of its own.
    pub(super) fn read_vec(&mut self, most: usize) -> Result<Vec<u8>, ReadError> {
        let bytes = match self.readable()? {
            Readable::Live(receiver) => receiver.read_vec(most),
            Readable::Left(unread) => unread.read_vec(most),
            Readable::End => Vec::new(),
        };
        self.bytes_read += bytes.len() as u64;
        Ok(bytes)
    }

    /// As [`read`](Self::read), leaving the bytes where they are.
    pub(super) fn peek(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        Ok(match self.readable()? {
            Readable::Live(receiver) => receiver.peek(buffer),
            Readable::Left(unread) => unread.peek(buffer),
            Readable::End => 0,
        })
    }

    /// Whether a read would not wait.
    pub(super) fn is_readable(&mut self) -> bool {
        !matches!(self.readable(), Err(ReadError::WouldBlock))
    }

    fn readable(&mut self) -> Result<Readable<'_>, ReadError> {
        match &mut self.state {
            State::Opening(_) => Err(ReadError::WouldBlock),
            State::Synchronized(synchronized) => {
                let receiver = &mut synchronized.receiver;
                if receiver.is_discarding() {
                    Ok(Readable::End)
                } else if !receiver.is_empty() {
                    Ok(Readable::Live(receiver))
                } else if receiver.is_ended() {
                    Ok(Readable::End)
                } else {
                    Err(ReadError::WouldBlock)
                }
            }
            State::Closed(remains) => match remains.cause {
                _ if !remains.unread.is_empty() => Ok(Readable::Left(&mut remains.unread)),
                Some(cause) if !remains.ended => Err(ReadError::Ended(cause)),
                _ => Ok(Readable::End),
            },
        }
    }

    /// Queues bytes to be sent, as many as there is room for.
    pub(super) fn write(&mut self, bytes: &[u8], now: Instant) -> Result<usize, WriteError> {
        let sender = self.writable()?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let count = sender.write(bytes);
        if count == 0 {
            return Err(WriteError::WouldBlock);
        }
        self.bytes_written += count as u64;
        self.unanswered.get_or_insert(now);
        Ok(count)
    }

    /// How many bytes a write would take.
    pub(super) fn room(&mut self) -> Result<usize, WriteError> {
        Ok(self.writable()?.queue().room())
    }

    fn writable(&mut self) -> Result<&mut Sender, WriteError> {
        match &mut self.state {
            State::Opening(_) => Err(WriteError::WouldBlock),
            State::Synchronized(synchronized) if synchronized.sender.is_finishing() => Err(WriteError::Finished),
            State::Synchronized(synchronized) => Ok(&mut synchronized.sender),
            State::Closed(Remains { cause, .. }) => Err(cause.map_or(WriteError::Finished, WriteError::Ended)),
        }
    }

    /// Whether everything written was acknowledged and, where `finished`, the end of the stream too.
    pub(super) fn is_flushed(&self, finished: bool) -> Result<bool, Cause> {
        match &self.state {
            State::Opening(_) => Ok(false),
            State::Synchronized(synchronized) => {
                let sender = &synchronized.sender;
                Ok(sender.queue().is_empty() && (!finished || sender.is_finished()))
            }
            State::Closed(remains) => remains.cause.map_or(Ok(true), Err),
        }
    }

    /// Ends the sending half: a FIN follows what was written.
    pub(super) fn shutdown_write(&mut self, now: Instant) -> Result<(), Cause> {
        match &mut self.state {
            State::Opening(_) => Ok(()),
            State::Synchronized(synchronized) => {
                synchronized.sender.finish();
                self.unanswered.get_or_insert(now);
                Ok(())
            }
            State::Closed(remains) => remains.cause.map_or(Ok(()), Err),
        }
    }

    /// Ends the receiving half: reads find the end of the stream from now on, and what arrives is thrown away.
    pub(super) fn shutdown_read(&mut self) {
        match &mut self.state {
            State::Opening(_) => {}
            State::Synchronized(synchronized) => self.unread_lost |= synchronized.receiver.discard(),
            State::Closed(remains) => {
                remains.unread.clear();
                remains.ended = true;
            }
        }
    }

    /// The owner lets go. Unread bytes mean a reset (RFC 2525 section 2.17); otherwise the connection is seen to its end
    /// within the linger time.
    pub(super) fn release(&mut self, now: Instant) {
        self.owner = Owner::Nobody { deadline: now + self.options.linger_time() };
        let discard = self.unread_lost || self.options.linger.is_zero();
        match &mut self.state {
            State::Synchronized(synchronized) if synchronized.receiver.is_empty() && !discard => {
                synchronized.sender.finish();
                self.unanswered.get_or_insert(now);
            }
            State::Opening(_) | State::Synchronized(_) => self.abort(Cause::Aborted),
            State::Closed(_) => {}
        }
    }

    /// Ends the connection at once with a reset.
    pub(super) fn abort(&mut self, cause: Cause) {
        self.reset_due = match &self.state {
            // RFC 9293 section 3.10.5: a SYN that nobody has answered needs no reset.
            State::Opening(opening) => opening.expected().map(|expected| (opening.isn() + 1, expected)),
            State::Synchronized(synchronized) => Some((synchronized.sender.next(), synchronized.receiver.next())),
            State::Closed(_) => return,
        };
        self.close(Some(cause));
    }

    /// The reset that was to leave will not.
    pub(super) const fn forget_reset(&mut self) {
        self.reset_due = None;
    }

    /// Whether nothing is left to be sent of a connection that is over.
    pub(super) const fn is_done(&self) -> bool {
        self.is_closed() && self.reset_due.is_none()
    }

    /// The connection is over. What had arrived can still be read.
    fn close(&mut self, cause: Option<Cause>) {
        let (unread, ended) = match core::mem::replace(&mut self.state, State::Closed(Remains::NONE)) {
            State::Synchronized(synchronized) => synchronized.receiver.into_remains(),
            State::Opening(_) => (ReceiveQueue::new(0), false),
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
        let mut options = self.options.clone();
        change(&mut options);
        options.validate()?;
        if let State::Synchronized(synchronized) = &mut self.state {
            if options.receive_limit() != self.options.receive_limit() {
                synchronized.receiver.set_limit(options.receive_limit());
            }
            if options.send_limit() != self.options.send_limit() {
                synchronized.sender.set_limit(options.send_limit());
            }
        }
        if options.keep_alive != self.options.keep_alive {
            (self.heard, self.probes) = (now, 0);
        }
        self.options = options;
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
        if let State::Synchronized(synchronized) = &mut self.state {
            let segment = synchronized.agreement.segment(mtu, self.tuple.remote.ip());
            synchronized.sender.set_segment_size(segment);
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

    /// Whether an acknowledgement is to leave now.
    pub(super) fn owes_acknowledgement(&self) -> bool {
        matches!(&self.state, State::Synchronized(synchronized) if synchronized.receiver.owes_acknowledgement())
    }

    /// Bytes of memory that the connection's queues hold.
    pub(super) fn held(&self) -> usize {
        match &self.state {
            State::Synchronized(synchronized) => synchronized.sender.held() + synchronized.receiver.held(),
            State::Closed(remains) => remains.unread.held(),
            State::Opening(_) => 0,
        }
    }
}

/// Where a read finds its bytes.
enum Readable<'a> {
    Live(&'a mut Receiver),
    Left(&'a mut ReceiveQueue),
    End,
}

impl Remains {
    const NONE: Self = Self { unread: ReceiveQueue::new(0), ended: false, cause: None };
}

/// Why nothing was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing is there yet.
    #[error("nothing is there yet")]
    WouldBlock,
    /// The connection has ended, and everything that had arrived was read.
    #[error(transparent)]
    Ended(Cause),
    /// There is no such connection.
    #[error("there is no such connection")]
    Unknown,
}

/// Why nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// There is no room yet.
    #[error("there is no room yet")]
    WouldBlock,
    /// This end has closed its half.
    #[error("the sending half is closed")]
    Finished,
    /// The connection has ended.
    #[error(transparent)]
    Ended(Cause),
    /// There is no such connection.
    #[error("there is no such connection")]
    Unknown,
}

/// How a handshake ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    /// ISS and IRS.
    pub(super) isn: Sequence,
    pub(super) peer_isn: Sequence,
    pub(super) agreement: Agreement,
    /// The window that this end's SYN offered.
    pub(super) offered: u16,
    /// The segment that ended it: its sequence number, acknowledgement and window field, as far as that is known.
    pub(super) update: (Sequence, Sequence, u16),
    /// The window field is of a SYN, which is not scaled.
    pub(super) unscaled: bool,
    /// The round-trip time that the handshake took, where nothing was sent twice.
    pub(super) rtt: Option<Duration>,
    /// How often the SYN was sent again.
    pub(super) retries: u32,
    /// The MTU of the path.
    pub(super) path_mtu: usize,
}

impl Synchronized {
    fn new(tuple: &Tuple, options: &Options, opened: &Opened, link: &Link, now: Instant) -> Self {
        let Opened { isn, peer_isn, agreement, offered, update, unscaled, rtt, retries, path_mtu } = *opened;
        let segment = agreement.segment(path_mtu.min(link.mtu), tuple.remote.ip());
        let (peer_scale, own_scale) = agreement.scales.unwrap_or((0, 0));
        let default = if link.lossless { Algorithm::None } else { Algorithm::Cubic };
        let mut congestion = Congestion::new(options.congestion.unwrap_or(default), segment);
        let mut round_trip = RoundTrip::default();
        if let Some(rtt) = rtt {
            round_trip.measure(rtt, 1, now);
        }
        // One SYN that is lost says little of the path; more do (RFC 6928 section 2, last paragraph).
        if retries > 1 {
            congestion.on_timeout(now, segment, false);
        }
        let window = usize::from(update.2) << if unscaled { 0 } else { peer_scale };
        let sender = Sender::new(
            SenderSetup {
                first: isn + 1,
                window_update: (update.0, update.1, window),
                segment,
                selective: agreement.selective,
                congestion,
                rtt: round_trip,
                queue: SendQueue::new(options.send_limit()),
            },
            now,
        );
        let own = super::handshake::segment_for(link.mtu, tuple.local.ip());
        let receiver = Receiver::new(ReceiverSetup {
            first: peer_isn + 1,
            window: usize::from(offered),
            scale: own_scale,
            limit: options.receive_limit(),
            segment: own - if agreement.timestamp.is_some() { super::handshake::TIMESTAMP_LENGTH } else { 0 },
            selective: agreement.selective,
            delays: !link.lossless,
        });
        Self { sender, receiver, agreement, peer_ended_first: false, ecn: EcnEcho::default() }
    }

    /// The state by how far each half is.
    fn state(&self) -> TcpState {
        let (sender, receiver) = (&self.sender, &self.receiver);
        match (sender.is_finishing(), receiver.is_ended()) {
            (false, false) => TcpState::Established,
            (false, true) => TcpState::CloseWait,
            (true, false) if sender.is_finished() => TcpState::FinWait2,
            (true, false) => TcpState::FinWait1,
            (true, true) if self.peer_ended_first => TcpState::LastAck,
            (true, true) if sender.is_finished() => TcpState::TimeWait,
            (true, true) => TcpState::Closing,
        }
    }

    fn describe(&self, info: Info) -> Info {
        let (sender, receiver, recovery) = (&self.sender, &self.receiver, self.sender.recovery());
        let state = match recovery.state() {
            // What is slowed down after a mark is told so until the peer knows.
            RecoveryState::Open if self.ecn.slowed => RecoveryState::Cwr,
            state => state,
        };
        Info {
            receive_queue: receiver.len(),
            send_queue: sender.queue().len(),
            rtt: sender.rtt().smoothed(),
            rtt_variance: sender.rtt().variance(),
            minimum_rtt: sender.rtt().minimum(),
            timeout: sender.rtt().timeout(),
            backoff: sender.rtt().doublings(),
            segment: sender.segment_size(),
            congestion_window: sender.congestion().window(),
            threshold: sender.congestion().threshold(),
            send_window: sender.window(),
            receive_window: receiver.window(),
            in_flight: recovery.in_flight(),
            sacked: recovery.sacked(),
            lost_now: recovery.lost_now(),
            lost: recovery.lost(),
            retransmitted: recovery.retransmitted(),
            recovery: state,
            congestion: match sender.congestion() {
                Congestion::Cubic(_) => Algorithm::Cubic,
                Congestion::Unlimited(_) => Algorithm::None,
            },
            ..info
        }
    }
}
