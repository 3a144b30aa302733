//! An Ethernet segment inside the process.
//!
//! A [`Hub`] is a learning switch with any number of [ports](HubPort). A frame for a known station is sent to that
//! station's port, any other frame to all ports. With one receiver the frame itself is passed on; each further receiver
//! gets a copy. Latency, jitter, loss, duplication and reordering are [options](HubOptions), which draw from one seeded
//! generator: in [simulated](crate::platform::simulated) time the same seed loses the same frames.
//!
//! **Back-pressure.** Each port holds a bounded number of frames, including those in flight. A frame for one receiver
//! whose port is full waits in the sender's transmit queue, and when that is full,
//! [`allocate`](super::Device::allocate) returns no frame. So nothing is lost. In two cases frames are dropped and
//! counted: a frame for several receivers is dropped for those whose ports are full, and a frame for a receiver that
//! has taken nothing for a second although it could, because a stack that does not run must not stop the others.

mod options;
mod port;
mod queues;
mod segment;

#[cfg(test)]
mod tests;

use core::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
pub use xila_network_commands::drivers::hub::Statistics as HubStatistics;

pub use self::options::{HubOptions, InvalidOption};
pub use self::port::{Cable, HubPort};
use self::segment::Segment;
use super::Capabilities;
use crate::platform::{Clock, Platform};

/// An Ethernet segment. A clone is another handle to it. It exists as long as a handle or a port does.
#[derive(Clone)]
pub struct Hub {
    segment: Arc<Mutex<Segment>>,
    clock: Arc<dyn Clock>,
    capabilities: Capabilities,
}

impl Hub {
    /// A hub without ports. Options outside their ranges are clamped. If they come from a user,
    /// [validate](HubOptions::validate) them first.
    #[must_use]
    pub fn new(platform: &Platform, options: HubOptions) -> Self {
        let options = options.clamped();
        let capabilities = options.capabilities();
        Self { segment: Arc::new(Mutex::new(Segment::new(options))), clock: platform.clock.clone(), capabilities }
    }

    /// Adds a port.
    #[must_use]
    pub fn port(&self) -> HubPort {
        HubPort::new(self.segment.clone(), self.clock.clone(), self.capabilities)
    }

    /// The counters of the hub.
    #[must_use]
    pub fn statistics(&self) -> HubStatistics {
        self.segment.lock().statistics()
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hub").field("capabilities", &self.capabilities).finish_non_exhaustive()
    }
}
