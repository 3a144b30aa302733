//! Where the sender stands.

use super::prr::Prr;
use crate::tcp::sequence::Sequence;

/// The state of loss recovery, by the names that `ss -i` has for it (Linux `tcp_ca_state`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoveryState {
    /// Nothing is missing.
    #[default]
    Open,
    /// The peer has something out of order, and nothing is taken for lost yet.
    Disorder,
    /// The window was lowered because routers marked packets (RFC 3168), for the present round.
    Cwr,
    /// Something was lost, and is sent again while acknowledgements come (fast recovery).
    Recovery,
    /// The retransmission timer ran out.
    Loss,
}

/// What is done about losses.
#[derive(Clone, Debug, Default)]
pub(super) enum Phase {
    /// Nothing is taken for lost. Left for `Recovery` with the first loss that an acknowledgement shows, or for `Loss` by
    /// the timer.
    #[default]
    Open,
    /// Left for `Open` when everything before `point` is acknowledged, for `Loss` by the timer.
    Recovery { point: Sequence, prr: Prr },
    /// Left for `Open` likewise. `progress` says whether anything was acknowledged since the timer ran out.
    Loss { point: Sequence, progress: bool },
}

impl Phase {
    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Whether it ends when everything before this was acknowledged.
    pub(super) fn is_over(&self, acknowledged: Sequence) -> bool {
        match self {
            Self::Recovery { point, .. } | Self::Loss { point, .. } => acknowledged.at_or_after(*point),
            Self::Open => false,
        }
    }
}
