//! What both ends know of each other, once the handshake is over.

use core::time::Duration;

use super::Link;
use crate::buffer::{Budget, Charge, SendQueue};
use crate::tcp::congestion::{Algorithm, Congestion, CongestionControl};
use crate::tcp::handshake::{self, Agreement};
use crate::tcp::options::Options;
use crate::tcp::receive::{Receiver, ReceiverSetup};
use crate::tcp::recovery::RecoveryState;
use crate::tcp::rtt::RoundTrip;
use crate::tcp::send::{Sender, SenderSetup};
use crate::tcp::sequence::Sequence;
use crate::tcp::state::{Info, TcpState};
use crate::tcp::tuple::Tuple;
use crate::time::Instant;

/// What both ends know of each other.
pub(super) struct Synchronized {
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    pub(super) agreement: Agreement,
    /// The peer ended its half before this end did: LAST-ACK follows, not CLOSING.
    pub(super) peer_ended_first: bool,
    pub(super) ecn: EcnEcho,
}

/// What a connection's two queues hold of the budgets that it belongs to.
#[derive(Debug, Default)]
pub(in crate::tcp) struct Charges {
    send: Charge,
    receive: Charge,
}

impl Charges {
    /// What is reserved for a connection; `None` where that is not left.
    pub(in crate::tcp) fn new(options: &Options, interface: &Budget) -> Option<Self> {
        let charge = || Charge::new(options.budget.as_ref(), Some(interface));
        Some(Self { send: charge()?, receive: charge()? })
    }

    /// The window that a SYN offers, by what is left for what comes.
    pub(in crate::tcp) fn window(&self, options: &Options) -> u16 {
        handshake::syn_window(options, self.receive.left())
    }
}

/// RFC 3168 section 6.1.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EcnEcho {
    /// A mark has come, and is echoed until the peer says that it has slowed down.
    pub(super) echoing: bool,
    /// The next new data says that this end has slowed down.
    pub(super) slowed: bool,
}

/// How a handshake ended.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Opened {
    /// ISS and IRS.
    pub(in crate::tcp) isn: Sequence,
    pub(in crate::tcp) peer_isn: Sequence,
    pub(in crate::tcp) agreement: Agreement,
    /// The window that this end's SYN offered.
    pub(in crate::tcp) offered: u16,
    /// The segment that ended it: its sequence number, acknowledgement and window field, as far as that is known.
    pub(in crate::tcp) update: (Sequence, Sequence, u16),
    /// The window field is of a SYN, which is not scaled.
    pub(in crate::tcp) unscaled: bool,
    /// The round-trip time that the handshake took, where that can be told.
    pub(in crate::tcp) rtt: Option<Duration>,
    /// How often the SYN was sent again.
    pub(in crate::tcp) retries: u32,
    /// The MTU of the path.
    pub(in crate::tcp) path_mtu: usize,
}

impl Synchronized {
    /// `seed` is for what the congestion control leaves to chance.
    pub(super) fn new(
        tuple: &Tuple,
        options: &Options,
        opened: &Opened,
        charges: Charges,
        seed: u64,
        link: &Link,
        now: Instant,
    ) -> Self {
        let Opened { isn, peer_isn, agreement, offered, update, unscaled, rtt, retries, path_mtu } = *opened;
        let segment = agreement.segment(path_mtu.min(link.mtu), tuple.remote().ip());
        let (peer_scale, own_scale) = agreement.scales.unwrap_or((0, 0));
        let default = if link.lossless { Algorithm::None } else { Algorithm::Cubic };
        let mut congestion = Congestion::new(options.congestion.unwrap_or(default), segment, seed);
        let mut round_trip = RoundTrip::default();
        if let Some(rtt) = rtt {
            round_trip.measure(rtt, 1, now);
        }
        if retries > 0 {
            round_trip.distrust();
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
                queue: SendQueue::new(options.send_limit(), charges.send),
            },
            now,
        );
        let own = handshake::segment_for(link.mtu, tuple.local().ip());
        let receiver = Receiver::new(ReceiverSetup {
            first: peer_isn + 1,
            window: usize::from(offered),
            scale: own_scale,
            limit: options.receive_limit(),
            most: options.most_received(),
            charge: charges.receive,
            segment: own.saturating_sub(agreement.options_length()).max(1),
            selective: agreement.selective,
            prompt: link.lossless,
        });
        Self { sender, receiver, agreement, peer_ended_first: false, ecn: EcnEcho::default() }
    }

    /// The state by how far each half is.
    pub(super) fn state(&self) -> TcpState {
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

    pub(super) fn describe(&self, info: Info) -> Info {
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
            congestion: sender.congestion().algorithm(),
            ..info
        }
    }
}
