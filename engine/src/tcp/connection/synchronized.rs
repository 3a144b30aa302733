//! The state of a connection after the handshake: its sending half, its receiving half, and what the ends have agreed
//! on.

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

/// The state of a connection after the handshake.
pub(super) struct Synchronized {
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    pub(super) agreement: Agreement,
    /// The peer closed its half before this end did, so that LAST-ACK follows, and not CLOSING.
    pub(super) peer_ended_first: bool,
    pub(super) ecn: EcnEcho,
}

/// The charges of a connection's two queues on the budgets of its owner and its interface.
#[derive(Debug, Default)]
pub(in crate::tcp) struct Charges {
    send: Charge,
    receive: Charge,
}

impl Charges {
    /// Reserves memory for a connection; `None` if not enough is left.
    pub(in crate::tcp) fn new(options: &Options, interface: &Budget) -> Option<Self> {
        let charge = || Charge::new(options.budget.as_ref(), Some(interface));
        Some(Self { send: charge()?, receive: charge()? })
    }

    /// The window that a SYN offers, which depends on the memory that is left for received data.
    pub(in crate::tcp) fn window(&self, options: &Options) -> u16 {
        handshake::syn_window(options, self.receive.left())
    }
}

/// The state of ECN (RFC 3168 section 6.1).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EcnEcho {
    /// A congestion mark was received, and is echoed (ECE) until the peer says (CWR) that it has reduced its window.
    pub(super) echoing: bool,
    /// The next new data tells the peer (CWR) that this end has reduced its window.
    pub(super) slowed: bool,
}

/// The result of a handshake.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Opened {
    /// ISS and IRS.
    pub(in crate::tcp) isn: Sequence,
    pub(in crate::tcp) peer_isn: Sequence,
    pub(in crate::tcp) agreement: Agreement,
    /// The window that this end's SYN offered.
    pub(in crate::tcp) offered: u16,
    /// The sequence number, the acknowledgement and the window field of the segment that completed the handshake.
    pub(in crate::tcp) update: (Sequence, Sequence, u16),
    /// The window field is that of a SYN, which is not scaled.
    pub(in crate::tcp) unscaled: bool,
    /// The round-trip time that the handshake measured, if it did.
    pub(in crate::tcp) rtt: Option<Duration>,
    /// How often the SYN was retransmitted.
    pub(in crate::tcp) retries: u32,
    /// The path MTU.
    pub(in crate::tcp) path_mtu: usize,
}

impl Synchronized {
    /// The state at the end of a handshake. `seed` is for the random choices of the congestion control.
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
        // The loss of one SYN says little about the path; the loss of several means congestion (RFC 6928 section 2,
        // last paragraph).
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
            most: options.max_receive_buffer(),
            charge: charges.receive,
            segment: own.saturating_sub(agreement.options_length()).max(1),
            selective: agreement.selective,
            prompt: link.lossless,
        });
        Self { sender, receiver, agreement, peer_ended_first: false, ecn: EcnEcho::default() }
    }

    /// The state, which follows from the states of the two halves.
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
            // After a mark, the state is CWR until the peer was told that the window was reduced.
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
