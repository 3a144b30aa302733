//! What a socket can be asked for.

pub use xila_network_engine::tcp::{KeepAlive, Options as TcpOptions};

use crate::error::{Error, Result};

/// The options of a UDP socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// Bytes of datagrams that may wait to be received; what comes beyond is dropped and counted. Up to 4 MiB.
    pub receive_buffer: usize,
    /// Whether datagrams may be sent to broadcast addresses (`SO_BROADCAST`).
    pub broadcast: bool,
    /// The hop limit (IPv6) or time to live (IPv4) of the datagrams sent, 1 to 255.
    pub hop_limit: u8,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self { receive_buffer: 208 * 1024, broadcast: false, hop_limit: 64 }
    }
}

impl UdpOptions {
    /// # Errors
    /// [`Error::InvalidArgument`] for a hop limit of 0 or an empty buffer.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.hop_limit == 0 || self.receive_buffer == 0 { Err(Error::InvalidArgument) } else { Ok(()) }
    }
}

/// The most that any buffer holds, in bytes.
pub(crate) const MOST_BUFFER: usize = xila_network_engine::tcp::options::MOST_BUFFER;
