//! The options of sockets.

pub use xila_network_engine::tcp::{KeepAlive, Options as TcpOptions};
use xila_network_engine::udp::queue::LEAST_LIMIT;
pub use xila_network_engine::wire::{HopLimit, InvalidHopLimit};

use crate::error::InvalidOption;

/// The options of a UDP socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// The memory in bytes that datagrams may take while they wait to be received: their payloads, and about 250 bytes
    /// for each. A datagram that has no room is dropped and counted, even if the queue is empty. Values below 2304,
    /// which is enough for one datagram in an Ethernet frame, count as 2304, and values above 4 MiB as 4 MiB
    /// (`SO_RCVBUF`).
    pub receive_buffer: usize,
    /// Whether datagrams may be sent to broadcast addresses (`SO_BROADCAST`).
    pub broadcast: bool,
    /// The hop limit (IPv6) or time to live (IPv4) of the datagrams sent.
    pub hop_limit: HopLimit,
    /// Whether datagrams that exceed the path MTU are refused (like `IP_PMTUDISC_DO` of ip(7)) and not sent in
    /// fragments.
    pub dont_fragment: bool,
    /// Whether datagrams to a multicast group are received by its members on this host too (`IP_MULTICAST_LOOP`).
    pub multicast_loop: bool,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self {
            receive_buffer: 208 * 1024,
            broadcast: false,
            hop_limit: HopLimit::DEFAULT,
            dont_fragment: false,
            multicast_loop: false,
        }
    }
}

impl UdpOptions {
    /// # Errors
    /// [`InvalidOption`] for an empty buffer.
    pub(crate) const fn validate(&self) -> Result<(), InvalidOption> {
        if self.receive_buffer == 0 { Err(InvalidOption) } else { Ok(()) }
    }
}

/// What an operation of a socket does that cannot be served now: its interface is set down, or does not have the socket's
/// local address any more.
///
/// A missing cable is no such outage: operations wait for it, whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnOutage {
    /// It fails at once: with `NetworkDown` while no interface of the socket is up, and with `AddressNotAvailable` while
    /// no interface has the local address. It may be tried again later.
    #[default]
    Fail,
    /// It goes on while the interface is down: written data is queued and sent later, reads and accepts wait. It fails
    /// as with [`Fail`](Self::Fail) once the interface is unmounted or the address is removed.
    WaitWhileDown,
    /// It goes on as long as the socket may work again, as on Linux: also while the local address is missing, and, if
    /// that is unspecified, while there is no interface. It fails with `NetworkDown` once the interface that the socket
    /// depends on is unmounted.
    Wait,
}

/// The maximum number of bytes in the queue of a datagram socket whose owner asked for `receive_buffer`. A guest is
/// charged the same number for the socket, so no guest holds more than is counted.
pub(crate) fn datagram_memory(receive_buffer: usize) -> usize {
    receive_buffer.clamp(LEAST_LIMIT, MOST_BUFFER)
}

/// The maximum size of any buffer, in bytes.
pub(crate) const MOST_BUFFER: usize = xila_network_engine::tcp::options::MOST_BUFFER;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_queue_holds_something_and_not_everything() {
        assert_eq!([0, 1, 2304].map(datagram_memory), [2304; 3]);
        assert_eq!([99_000, MOST_BUFFER].map(datagram_memory), [99_000, MOST_BUFFER]);
        assert_eq!(datagram_memory(usize::MAX), MOST_BUFFER);
    }
}
