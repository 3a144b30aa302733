//! The states of a connection, and the bits of its options, by their names in scripts.

use xila_network_engine::tcp::TcpState;

/// A state of RFC 9293 section 3.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Closed,
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
}

impl State {
    const ALL: [(Self, &'static str, &'static str); 11] = [
        (Self::Closed, "CLOSED", "TCPI_CLOSED"),
        (Self::Listen, "LISTEN", "TCPI_LISTEN"),
        (Self::SynSent, "SYN_SENT", "TCPI_SYN_SENT"),
        (Self::SynReceived, "SYN_RCVD", "TCPI_SYN_RECEIVED"),
        (Self::Established, "ESTABLISHED", "TCPI_ESTABLISHED"),
        (Self::FinWait1, "FIN_WAIT_1", "TCPI_FIN_WAIT_1"),
        (Self::FinWait2, "FIN_WAIT_2", "TCPI_FIN_WAIT_2"),
        (Self::CloseWait, "CLOSE_WAIT", "TCPI_CLOSE_WAIT"),
        (Self::Closing, "CLOSING", "TCPI_CLOSING"),
        (Self::LastAck, "LAST_ACK", "TCPI_LAST_ACK"),
        (Self::TimeWait, "TIME_WAIT", "TCPI_TIME_WAIT"),
    ];

    /// Its name in `sockstat`.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(state, ..)| *state == self).map_or("", |(_, name, _)| name)
    }

    /// The state with this name in code snippets.
    pub(crate) fn by_tcpi_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(.., known)| *known == name).map(|(state, ..)| *state)
    }
}

/// The option bit with this name in code snippets.
pub(crate) fn option_bit(name: &str) -> Option<f64> {
    let names = ["TCPI_OPT_TIMESTAMPS", "TCPI_OPT_SACK", "TCPI_OPT_WSCALE", "TCPI_OPT_ECN"];
    names.iter().position(|known| *known == name).map(|bit| f64::from(1 << bit))
}

impl From<TcpState> for State {
    fn from(state: TcpState) -> Self {
        match state {
            TcpState::SynSent => Self::SynSent,
            TcpState::SynReceived => Self::SynReceived,
            TcpState::Established => Self::Established,
            TcpState::FinWait1 => Self::FinWait1,
            TcpState::FinWait2 => Self::FinWait2,
            TcpState::CloseWait => Self::CloseWait,
            TcpState::Closing => Self::Closing,
            TcpState::LastAck => Self::LastAck,
            TcpState::TimeWait => Self::TimeWait,
            TcpState::Closed => Self::Closed,
        }
    }
}
