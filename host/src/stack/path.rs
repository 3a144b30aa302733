//! Path MTU discovery (RFC 1191, RFC 8201): what routers say of links that are narrower than this interface's.
//!
//! What is known is kept per destination, and only ever makes packets smaller. TCP asks for it when it cuts segments; for
//! other packets it is looked at where frames leave (`phy`), and only for frames that are longer than the narrowest path.

use core::net::IpAddr;

use super::Core;
use crate::platform::Instant;

impl Core {
    /// The largest IP packet that goes to a destination whole, as far as this host knows.
    pub(super) fn path_mtu(&self, destination: IpAddr) -> usize {
        let known = self.port.as_ref().and_then(|port| port.paths.mtu(destination, self.now));
        known.map_or(self.capabilities.mtu, |known| known.min(self.capabilities.mtu))
    }

    /// A router has dropped a packet of this host of `length` bytes because its next link takes only `mtu`.
    pub(super) fn path_narrows(&mut self, destination: IpAddr, mtu: u32, length: usize) {
        let now = self.now;
        // This host sends nothing longer, and nothing is dropped between itself and itself.
        if length > self.capabilities.mtu || self.loops_back() {
            return;
        }
        if let Some(port) = &mut self.port {
            if port.paths.is_empty() {
                // Not to be guessed by those who do not see the fragments (RFC 7739).
                port.identification = self.random as u16;
            }
            port.paths.learn(destination, usize::try_from(mtu).unwrap_or(usize::MAX), length, now);
        }
        self.tcp_path_narrowed(destination, self.path_mtu(destination));
    }

    pub(super) fn paths_next(&self) -> Option<Instant> {
        self.port.as_ref().and_then(|port| port.paths.next())
    }

    pub(super) fn paths_expire(&mut self) {
        if let Some(port) = &mut self.port {
            port.paths.expire(self.now);
        }
    }
}
