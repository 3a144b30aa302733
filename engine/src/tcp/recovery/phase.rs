//! The state of loss recovery, and its phases.

use super::prr::Prr;
use crate::tcp::sequence::Sequence;

/// The state of loss recovery, under the names of `ss -i` (Linux `tcp_ca_state`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoveryState {
    /// Nothing is missing.
    #[default]
    Open,
    /// The peer has received data out of order, and nothing is taken for lost yet.
    Disorder,
    /// The window was lowered because routers marked packets (RFC 3168), for the present round.
    Cwr,
    /// Something was lost, and is retransmitted while acknowledgements arrive (fast recovery).
    Recovery,
    /// The retransmission timer has expired.
    Loss,
}

/// The phase of loss recovery.
#[derive(Clone, Debug, Default)]
pub(super) enum Phase {
    /// Nothing is taken for lost. Becomes `Recovery` with the first loss that is detected, or `Loss` when the
    /// retransmission timer expires.
    #[default]
    Open,
    /// Becomes `Open` when everything before `point` is acknowledged, or `Loss` when the retransmission timer expires.
    Recovery { point: Sequence, prr: Prr },
    /// Becomes `Open` when everything before `point` is acknowledged. `progress` says whether anything was acknowledged
    /// since the timer expired.
    Loss { point: Sequence, progress: bool },
}

impl Phase {
    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Whether the phase ends when everything before `acknowledged` was acknowledged.
    pub(super) fn is_over(&self, acknowledged: Sequence) -> bool {
        match self {
            Self::Recovery { point, .. } | Self::Loss { point, .. } => acknowledged.at_or_after(*point),
            Self::Open => false,
        }
    }
}
